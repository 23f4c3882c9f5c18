//! Each packet of the server's as lines, as a text client reads them.

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::geometry::{Pose, Rect};
use crate::ids::{EntityId, EventId, GuildId, GuildRank, ItemId, PlayerId, ZoneId};
use crate::msg::Outgoing;
use crate::names::ChatText;
use crate::protocol::server;
use crate::tick::Tick;
use crate::token::ResumeToken;
use crate::world::command::{
    Cooling, Holdings, ItemStack, Notice, OwnStats, PlayerState, QuestProgress,
};
use crate::world::content::{Content, Goal, ItemKind, QuestKind, Reward, ZoneKind};
use crate::world::entity::{Appearance, Handle, Look};
use crate::world::event::{Event, EventKind};
use crate::world::frame::PackedPosition;

const BOUNDS: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 200.0, max_y: 200.0 };

fn meadow() -> ZoneKind {
    ZoneKind {
        id: ZoneId(1),
        name: "Green Meadow".into(),
        bounds: BOUNDS,
        spawn: Point { x: 10.0, y: 10.0 },
        pvp: false,
        npcs: vec![],
        items: vec![],
    }
}

fn content() -> Content {
    let mut content = Content { zones: vec![meadow()], ..Default::default() };
    let pelt = ItemKind {
        name: "Wolf pelt".into(),
        stackable: true,
        on_use: None,
        cooldown_ms: None,
        cooldown_group: None,
    };
    content.items.insert("pelt".into(), pelt);
    let quest = QuestKind {
        name: "The pelts".into(),
        level: 1,
        goals: vec![Goal::Collect { item: "pelt".into(), count: 3 }],
        reward: Reward::default(),
    };
    content.quests.insert("pelts".into(), quest);
    content
}

fn lines(packet: &Outgoing, view: &mut TextView) -> Vec<String> {
    render(packet.kind, &packet.payload, view).lines().map(str::to_owned).collect()
}

fn pose(x: f32, y: f32) -> Pose {
    Pose { at: Point { x, y }, rotation: 90.0 }
}

fn entered() -> TextView {
    let mut view = TextView::new();
    let state = PlayerState {
        id: PlayerId(7),
        name: "Ann".into(),
        epoch: crate::ids::Epoch(1),
        zone: ZoneId(1),
        pose: pose(10.0, 20.5),
        level: 2,
        experience: 150,
        health: 90,
        power: 10,
        gold: 5,
        inventory: vec![],
        quests: vec![],
        timers: vec![],
    };
    let packet = server::enter_world_response(
        &state,
        "",
        &content(),
        Uuid::from_u128(1),
        &ResumeToken::random(),
    );
    assert_eq!(lines(&packet, &mut view), ["WELCOME 00000000-0000-0000-0000-000000000001"]);
    let zone = server::zone_enter(&meadow(), true);
    assert_eq!(
        lines(&zone, &mut view),
        ["ZONE_ENTER 1 Green Meadow", "PLAYER_INFO PLAYER:7:Ann:10.00:20.50:90.0:2:90:120:1:1"]
    );
    assert_eq!(lines(&zone, &mut view).len(), 1, "one is introduced once");
    view
}

fn show(view: &mut TextView, id: u64, handle: u16, look: Look, name: &str) -> Vec<String> {
    let appearance = Appearance {
        look,
        name: name.into(),
        level: 3,
        health: 40,
        max_health: 60,
        guild: None,
        quantity: 2,
        speed: 5.0,
    };
    let packed = PackedPosition::pack(Handle(handle), pose(12.0, 8.0), &BOUNDS);
    let mut payload =
        server::entity_descriptor(EntityId(id), &meadow(), Handle(handle), &appearance).to_vec();
    server::append_entity_position(&mut payload, packed);
    let packet = Outgoing { kind: PacketType::EntityEnter, payload: payload.into() };
    lines(&packet, view)
}

fn sync(moves: &[(u16, f32, f32)]) -> Outgoing {
    let mut payload = Vec::new();
    server::append_sync_header(&mut payload, ZoneId(1), Tick(5), 100);
    for (handle, x, y) in moves {
        let packed = PackedPosition::pack(Handle(*handle), pose(*x, *y), &BOUNDS);
        server::append_sync_record(&mut payload, packed);
    }
    Outgoing { kind: PacketType::SyncPositions, payload: payload.into() }
}

#[test]
fn who_is_seen_is_told_and_followed() {
    let mut view = entered();
    let bob = show(&mut view, 8, 1, Look::Player, "Bob");
    assert_eq!(bob, ["PLAYER_INFO PLAYER:8:Bob:12.00:8.00:90.0:3:40:60:1:1"]);
    let wolf = show(&mut view, 1 << 32, 2, Look::Npc("grey wolf".into()), "Grey Wolf");
    assert_eq!(wolf, ["NPC_INFO NPC:4294967296:grey_wolf:12.00:8.00:90.0:3:40"]);
    let pelt = show(&mut view, 99 << 32, 3, Look::Item("pelt".into()), "Wolf pelt");
    assert_eq!(pelt, ["ITEM_INFO ITEM:425201762304:pelt:12.00:8.00:2"]);

    let bob = lines(&sync(&[(1, 13.0, 8.5)]), &mut view);
    assert_eq!(bob, ["SYNC_POSITIONS 1 8 13.00 8.50 90.0"]);
    let way = set_out(8, Point { x: 14.0, y: -8.456 });
    assert_eq!(way, "PLAYER_MOVE 8 14.00 -8.46\n");
    let both = lines(&sync(&[(1, 14.0, 8.5), (2, 1.0, 2.0)]), &mut view);
    assert_eq!(both, ["SYNC_POSITIONS 2 8 14.00 8.50 90.0 4294967296 1.00 2.00 90.0"]);
    let wolf = lines(&sync(&[(2, 1.0, 2.0)]), &mut view);
    assert_eq!(wolf, ["SYNC_POSITIONS 1 4294967296 1.00 2.00 90.0"]);
    assert!(lines(&sync(&[(77, 1.0, 2.0)]), &mut view).is_empty(), "of nobody it knows");

    let gone = server::entity_leave(EntityId(8), ZoneId(1));
    assert_eq!(lines(&gone, &mut view), ["ENTITY_LEAVE 8"]);
    assert!(lines(&gone, &mut view).is_empty());
}

#[test]
fn a_crowd_is_told_in_lines_that_fit() {
    let mut view = entered();
    for handle in 0..300 {
        show(&mut view, u64::from(handle) + 100, handle, Look::Player, "Bob");
    }
    let moves: Vec<_> = (0..300).map(|handle| (handle, 100.0, 100.0)).collect();
    let told = lines(&sync(&moves), &mut view);
    assert!(told.iter().all(|line| line.len() < 1_024));
    let counted: usize =
        told.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(counted, 300);
}

#[test]
fn events_have_a_line_each() {
    let mut view = entered();
    let (ann, bob) = (EntityId(7), EntityId(8));
    let mut told = |kind| {
        let event = Event { id: EventId(5), tick: Tick(1), at: Point { x: 1.0, y: 2.0 }, kind };
        lines(&server::event(&event, ZoneId(1)), &mut view)
    };
    let attack = |attacker, target| EventKind::PlayerAttack { attacker, target, damage: 12 };
    assert_eq!(told(attack(bob, bob)), ["EVENT_ATTACK 5 8 8 12 1.00 2.00"]);
    assert_eq!(
        told(attack(bob, ann)),
        ["EVENT_ATTACK 5 8 7 12 1.00 2.00", "ATTACK 8 7 12"],
        "one's own player is struck"
    );
    let damage = EventKind::PlayerDamage { victim: ann, attacker: bob, damage: 12, remaining: 78 };
    assert_eq!(told(damage), ["EVENT_DAMAGE 5 7 8 12 78"]);
    let death = EventKind::PlayerDeath { victim: ann, killer: bob };
    assert_eq!(told(death), ["EVENT_DEATH 5 7 8"]);
    let pickup = EventKind::ItemPickup { player: ann, item: "pelt".into(), quantity: 2 };
    assert_eq!(told(pickup), ["EVENT_ITEM_PICKUP 5 7 pelt 2 1.00 2.00"]);
    let skill = EventKind::SkillUse { caster: ann, skill: "heal".into(), target: ann, amount: 9 };
    assert_eq!(told(skill), ["EVENT_SKILL 5 7 heal 7 9 1.00 2.00"]);
    let crossed = EventKind::ZoneChange { player: bob, from: ZoneId(1), to: ZoneId(2) };
    assert_eq!(told(crossed), ["EVENT_ZONE_CHANGE 5 8 1 2"]);
    let quest = EventKind::QuestComplete { player: ann, quest: "pelts".into() };
    assert_eq!(told(quest), ["EVENT_QUEST_COMPLETE 5 7 pelts"]);
    let said = |shout| {
        let (name, text) = ("Bob".into(), "hi all".into());
        EventKind::ChatMessage { speaker: bob, name, text, shout }
    };
    assert_eq!(told(said(false)), ["CHAT Bob hi all"]);
    assert_eq!(told(said(true)), ["ZONE Bob hi all"]);
}

#[test]
fn belongings_and_quests_are_listed() {
    let (mut view, content) = (entered(), content());
    let stack = ItemStack { id: ItemId(4), kind: "pelt".into(), quantity: 3 };
    let holdings = Holdings {
        stacks: vec![stack],
        gold: 17,
        used: Some(ItemId(9)),
        giver: Some(PlayerId(8)),
        request: 3,
    };
    let packet = server::inventory(&holdings, &content);
    assert_eq!(
        lines(&packet, &mut view),
        ["ITEM_USED 9", "ITEM_GIVEN 8", "INVENTORY 1 17", "ITEM 4 pelt 3 - Wolf pelt"]
    );
    let progress =
        |completed| vec![QuestProgress { quest: "pelts".into(), done: vec![1], completed }];
    for (progress, state, done) in
        [(vec![], "available", 0), (progress(false), "active", 1), (progress(true), "completed", 3)]
    {
        let packet = server::quest_log(&progress, 1, &content);
        assert_eq!(
            lines(&packet, &mut view),
            [
                "QUESTS 1".to_owned(),
                format!("QUEST pelts {state} 1 The pelts"),
                format!("QUEST_GOAL pelts {done} 3 Collect 3 × Wolf pelt"),
            ]
        );
    }
    let gone = QuestProgress { quest: "gone".into(), done: vec![1], completed: false };
    let packet = server::quest_log(&[gone], 0, &content);
    let shown = ["QUESTS 1", "QUEST gone active 0 gone"];
    assert_eq!(lines(&packet, &mut view), shown, "to be given up");
    let packet = server::quest_log(&[], 0, &content);
    assert_eq!(lines(&packet, &mut view), ["QUESTS 0"], "the level is too low for it");
}

#[test]
fn ones_own_numbers_are_one_line() {
    let mut view = entered();
    let stats = OwnStats {
        health: 90,
        max_health: 120,
        power: 10,
        max_power: 110,
        experience: 150,
        next_level_at: Some(400),
        level: 2,
        gold: 5,
        combat_ms: 1_500,
        cooldowns: vec![
            (Cooling::Attack, 250),
            (Cooling::Skill("heal".into()), 700),
            (Cooling::Item("potion".into()), 900),
        ],
    };
    let packet = server::notice(&Notice::Stats(stats), 2, &content());
    let line = "PLAYER_STATS 90 120 10 110 2 150 400 5 1500 250 heal:700 item/potion:900";
    assert_eq!(lines(&packet, &mut view), [line]);
}

#[test]
fn talk_answers_to_the_command_that_speaks() {
    let mut view = entered();
    let hi = ChatText::parse("hi").unwrap();
    let mut said = |channel, sender, target: &str| {
        let packet = server::chat_message(channel, PlayerId(sender), "Bob", target, &hi, 1);
        lines(&packet, &mut view)
    };
    use proto::ChatChannel as C;
    assert_eq!(said(C::ChatWorld, 8, ""), ["WORLD Bob hi"]);
    assert_eq!(said(C::ChatWhisper, 8, "Ann"), ["WHISPER Bob hi"]);
    assert_eq!(said(C::ChatWhisper, 7, "Cid"), ["WHISPER_TO Cid hi"]);
    assert_eq!(said(C::ChatGuild, 8, "Pack"), ["GUILD SAY Bob hi"]);
    assert_eq!(said(C::ChatRoom, 8, "inn"), ["ROOM SAY inn Bob hi"]);
    assert_eq!(lines(&server::system_message(&hi, 1), &mut view), ["SYSTEM hi"]);

    assert_eq!(lines(&server::room_joined("inn", "Bob"), &mut view), ["ROOM JOIN inn Bob"]);
    let members = server::room_members("inn", ["Ann", "Bob"], 2);
    assert_eq!(lines(&members, &mut view), ["ROOM WHO inn 2 Ann Bob"]);
    assert_eq!(lines(&server::who(["Ann"], 1), &mut view), ["WHO 1 Ann"]);
    let rooms = server::room_list([("inn", 2), ("attic", 1)]);
    assert_eq!(lines(&rooms, &mut view), ["ROOM LIST 2 inn 2 attic 1"]);
}

#[test]
fn guilds_and_their_wars_are_told() {
    let mut view = entered();
    for (packet, line) in [
        (server::guild_response(GuildId(3), "Pack", "founded"), "GUILD OK 3 Pack founded"),
        (server::guild_invite("Pack", "Bob"), "GUILD INVITE Pack Bob"),
        (server::guild_joined("Pack", "Bob"), "GUILD JOIN Pack Bob"),
        (server::guild_left("Pack", "Bob"), "GUILD LEAVE Pack Bob"),
        (server::guild_kicked("Pack", "Bob"), "GUILD KICK Pack Bob"),
        (server::guild_rank("Pack", "Bob", GuildRank::Officer), "GUILD RANK Pack Bob OFFICER"),
        (server::guild_disbanded("Pack"), "GUILD DISBAND Pack"),
        (server::war_started("Pack", "Herd"), "GUILD WAR Pack Herd"),
        (
            server::war_notice("Pack", "Herd", false, Duration::from_millis(9_001)),
            "GUILD WAR Pack Herd 10 Herd",
        ),
        (server::war_ended("Pack", "Herd", 2, 1), "GUILD PEACE Pack Herd 2 1"),
        (
            server::war_score("Pack", "Herd", (2, 1), "Bob", "Cow"),
            "GUILD SCORE Pack Herd 2 1 Bob Cow",
        ),
    ] {
        assert_eq!(lines(&packet, &mut view), [line]);
    }
    let members = [("Ann", GuildRank::Leader, true), ("Bob", GuildRank::Member, false)];
    let war = |enemy, kills, begins_in| server::WarTold {
        enemy,
        kills,
        started_at: 5,
        begins_in,
        by_us: false,
    };
    let wars = [war("Herd", (2, 1), None), war("Flock", (0, 0), Some(Duration::ZERO))];
    let info = server::guild_info(GuildId(3), "Pack", members, wars);
    assert_eq!(
        lines(&info, &mut view),
        [
            "GUILD INFO 3 Pack 2 2",
            "GUILD MEMBER Ann LEADER online",
            "GUILD MEMBER Bob MEMBER offline",
            "GUILD ENEMY Herd 2 1",
            "GUILD ENEMY Flock 0 0 1",
        ]
    );
}

#[test]
fn the_session_is_told_in_single_lines() {
    let mut view = TextView::new();
    use proto::DisconnectReason::DisconnectKicked;
    let place = crate::msg::login::QueuePlace { position: 2, length: 5, wait_ms: 40 };
    let (code, message) = (ErrorCode::ErrorBanned, "banned".to_owned());
    let banned = crate::msg::login::LoginRefusal { code, message, retry_after_ms: 0 };
    for (packet, line) in [
        (server::error(ErrorCode::ErrorDead, "no\nway", 1, 0), "ERROR no way"),
        (server::error(ErrorCode::ErrorDead, "", 1, 0), "ERROR ERROR_DEAD"),
        (server::login_refused(&banned), "ERROR banned"),
        (server::login_queue(place), "QUEUE 2 5 40"),
        (server::logout_response(), "BYE"),
        (server::disconnect_notice(DisconnectKicked, "be gone", false), "BYE be gone"),
        (server::redirect("10.0.0.1", 8082), "REDIRECT 10.0.0.1 8082"),
        (server::redirect("fe80::1", 8082), "REDIRECT fe80::1 8082"),
        (server::heartbeat_response(1, 2), "PONG"),
    ] {
        assert_eq!(lines(&packet, &mut view), [line]);
    }
}
