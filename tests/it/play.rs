//! What players do: see each other, talk, fight, hunt, and find everything again after a restart.

use throng::client::Event;
use throng::ids::ItemId;
use throng::proto::{
    self, ChatChannel, DisconnectReason, ErrorCode, EventKind, QuestState, RoomLeave,
};

use crate::player::{Player, count, refusal};
use crate::scenarios;
use crate::server::{Server, Topology};

scenarios![
    two_players_come_move_fight_and_leave,
    who_comes_into_view_stays_a_little_beyond_it,
    talk_reaches_whom_it_is_meant_for,
    a_quest_from_start_to_finish_across_a_restart,
    what_was_acknowledged_survives_a_crash,
    skills_and_potions_do_what_they_say,
];

async fn two_players_come_move_fight_and_leave(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let them = bob.id;
    ann.sees(them).await;
    bob.sees(ann.id).await;
    bob.move_to(75.0, 10.0).await.unwrap();
    ann.sees_at(bob.id, 75.0, 10.0).await;

    let safe = refusal(ann.attack(bob.id).await);
    assert!(matches!(safe, ErrorCode::ErrorNotAllowed | ErrorCode::ErrorOutOfRange), "{safe:?}");
    ann.go(130.0, 0.0).await;
    bob.go(134.0, 0.0).await;
    ann.sees_at(bob.id, 134.0, 0.0).await;
    let blow = ann.attack(bob.id).await.unwrap();
    assert_eq!((blow.actor_id, blow.target_id, blow.amount), (ann.id.0, bob.id.0, 12));
    let told = bob.game(EventKind::EventPlayerAttack, |e| e.actor_id == ann.id.0).await;
    assert_eq!(told.event_id, blow.event_id, "both are told of the same event");
    let hurt = bob.game(EventKind::EventPlayerDamage, |e| e.target_id == them.0).await;
    assert_eq!((hurt.actor_id, hurt.amount, hurt.remaining), (ann.id.0, 12, 88));
    assert_eq!(bob.view().me().unwrap().health, 88);

    ann.kill(bob.id).await;
    bob.game(EventKind::EventPlayerDeath, |e| e.target_id == them.0).await;
    let dead = refusal(bob.attack(ann.id).await);
    assert_eq!(dead, ErrorCode::ErrorDead);
    bob.sees_at(bob.id, 140.0, 0.0).await;
    bob.until_view("life again", |c| c.view().me().unwrap().health == 100).await;

    let id = bob.id;
    bob.client.logout().await.unwrap();
    ann.loses(id).await;
}

async fn who_comes_into_view_stays_a_little_beyond_it(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    ann.sees(bob.id).await;
    let (here, them) = (ann.place(), bob.id);
    let distance =
        |player: &Player| player.view().get(them).map(|seen| seen.newest.at.distance(here));
    for turn in 0..2 {
        bob.move_to(-5.0, 0.0).await.unwrap();
        let mut last = 0.0;
        while let Some(seen) = distance(&ann) {
            last = seen;
            ann.next().await.unwrap();
        }
        assert!((52.5..=55.1).contains(&last), "turn {turn}: last seen at {last} m");
        bob.move_to(60.0, 0.0).await.unwrap();
        ann.sees(them).await;
        let first = distance(&ann).unwrap();
        assert!((47.5..=50.1).contains(&first), "turn {turn}: first seen at {first} m");
    }
}

async fn talk_reaches_whom_it_is_meant_for(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut near = Player::new(&server, "Near").await;
    let mut far = Player::new(&server, "Far").await;
    let mut abroad = Player::new(&server, "Abroad").await;
    far.move_to(-20.0, 0.0).await.unwrap();
    abroad.move_to(180.0, 0.0).await.unwrap();
    let (far_id, abroad_id) = (far.id, abroad.id);
    far.sees_at(far_id, -20.0, 0.0).await;
    abroad.sees_at(abroad_id, 180.0, 0.0).await;

    let said = ann.say("to those near").await.unwrap();
    assert!(said.event_id > 0, "near talk is an event");
    assert_eq!(near.hears("to those near").await.sender, "Ann");
    let said = ann.chat(ChatChannel::ChatZone, "", "to the zone").await.unwrap();
    assert!(said.event_id > 0);
    near.hears("to the zone").await;
    far.until("the zone's talk, and not the near one", |event| match event {
        Event::Chat(chat) => {
            assert_eq!(chat.text, "to the zone");
            Some(())
        }
        _ => None,
    })
    .await;
    ann.chat(ChatChannel::ChatWorld, "", "to the world").await.unwrap();
    for listener in [&mut near, &mut far] {
        assert_eq!(listener.hears("to the world").await.channel(), ChatChannel::ChatWorld);
    }
    abroad
        .until("the world's talk alone", |event| match event {
            Event::Chat(chat) => {
                assert_eq!(chat.text, "to the world");
                Some(())
            }
            _ => None,
        })
        .await;
    let echo = ann.chat(ChatChannel::ChatWhisper, "abroad", "to you").await.unwrap();
    assert_eq!(echo.target, "Abroad", "the answer names the recipient as registered");
    assert_eq!(abroad.hears("to you").await.channel(), ChatChannel::ChatWhisper);
    let nobody = ann.chat(ChatChannel::ChatWhisper, "Nobody", "hello?").await;
    assert!(
        matches!(refusal(nobody), ErrorCode::ErrorNoSuchPlayer | ErrorCode::ErrorMuted),
        "five messages in five seconds may have been sent"
    );
    rooms(&mut near, &mut abroad).await;
    for listener in [&mut near, &mut far] {
        for event in listener.so_far().await {
            assert!(!matches!(event, Event::Chat(c) if c.text == "to you"), "a whisper leaked");
        }
    }
}

/// Two players meet in a room.
async fn rooms(host: &mut Player, guest: &mut Player) {
    let made = host.create_room("inn").await.unwrap();
    assert_eq!(made.players, ["Near"]);
    assert_eq!(refusal(guest.create_room("INN").await), ErrorCode::ErrorRoomExists);
    let outside = guest.chat(ChatChannel::ChatRoom, "inn", "let me in").await;
    assert_eq!(refusal(outside), ErrorCode::ErrorNotInRoom);
    let members = guest.join_room("inn").await.unwrap();
    assert_eq!(members.count, 2);
    host.until("the guest's coming", |event| match event {
        Event::RoomJoined(join) if join.player == "Abroad" => Some(()),
        _ => None,
    })
    .await;
    guest.chat(ChatChannel::ChatRoom, "inn", "a good evening").await.unwrap();
    assert_eq!(host.hears("a good evening").await.target, "inn");
    guest.send(&RoomLeave { room: "inn".into(), player: String::new() }).await.unwrap();
    host.until("the guest's going", |event| match event {
        Event::RoomLeft(left) if left.player == "Abroad" => Some(()),
        _ => None,
    })
    .await;
}

async fn a_quest_from_start_to_finish_across_a_restart(topology: Topology) {
    hunt_across_restarts(Server::start(topology)).await;
}

/// A wolf hunt, with the server stopped in the middle and at the end.
pub async fn hunt_across_restarts(mut server: Server) {
    let mut ann = Player::new(&server, "Ann").await;
    assert_eq!(state_of(&ann.quest_log().await.unwrap(), "wolf_hunt"), QuestState::QuestAvailable);
    let log = ann.accept_quest("wolf_hunt").await.unwrap();
    assert_eq!(state_of(&log, "wolf_hunt"), QuestState::QuestActive);
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    assert_eq!(done(&ann.quest_log().await.unwrap(), "wolf_hunt"), [1, 0]);

    server.terminate();
    let notice = ann.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectShutdown);
    assert!(server.ended().await.success(), "a drained server ends well");
    server.start_again();

    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(ann.entered.player.as_ref().unwrap().experience, 60);
    let log = ann.quest_log().await.unwrap();
    assert_eq!(state_of(&log, "wolf_hunt"), QuestState::QuestActive);
    assert_eq!(done(&log, "wolf_hunt"), [1, 0], "half of it is done still");
    take_a_pelt(&mut ann).await;
    ann.game(EventKind::EventQuestComplete, |e| e.subject == "wolf_hunt").await;
    ann.until_view("level 2", |c| c.view().me().unwrap().level == 2).await;
    let again = ann.accept_quest("wolf_hunt").await;
    assert_eq!(refusal(again), ErrorCode::ErrorQuestState);
    ann.client.logout().await.unwrap();
    assert!(server.stop().await.success());
    server.start_again();

    let mut ann = Player::again(&server, "Ann").await;
    let player = ann.entered.player.clone().unwrap();
    assert_eq!((player.level, player.experience), (2, 60 + 60 + 100));
    assert!(player.gold >= 12, "{} gold", player.gold);
    assert_eq!(count(&ann.entered.inventory, "wolf_pelt"), 1);
    assert_eq!(count(&ann.entered.inventory, "healing_potion"), 3 + 2);
    let log = ann.quest_log().await.unwrap();
    assert_eq!(state_of(&log, "wolf_hunt"), QuestState::QuestCompleted);
}

/// Kills a wolf, walks to what it leaves and takes it.
async fn take_a_pelt(player: &mut Player) {
    let wolf = player.nearest("wolf").await;
    let death = player.kill(wolf).await;
    let pelt = player.nearest("wolf_pelt").await;
    player.go(death.x, death.y).await;
    let taken = player.pick_up(pelt).await.unwrap();
    assert_eq!((taken.subject.as_str(), taken.amount), ("wolf_pelt", 1));
    player
        .until("the pelt among one's belongings", |event| match event {
            Event::Inventory(inventory) => (count(&inventory.items, "wolf_pelt") > 0).then_some(()),
            _ => None,
        })
        .await;
    player.loses(pelt).await;
}

async fn what_was_acknowledged_survives_a_crash(topology: Topology) {
    let mut server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    take_a_pelt(&mut ann).await;
    server.kill().await;
    server.start_again();
    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(count(&ann.entered.inventory, "wolf_pelt"), 1, "neither lost nor doubled");
    take_a_pelt(&mut ann).await;
    assert_eq!(ann.carries("wolf_pelt").await, 2);
}

async fn skills_and_potions_do_what_they_say(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    ann.go(130.0, 0.0).await;
    bob.go(134.0, 0.0).await;
    ann.sees_at(bob.id, 134.0, 0.0).await;
    let strike = ann.use_skill("power_strike", Some(bob.id)).await.unwrap();
    assert_eq!((strike.target_id, strike.amount), (bob.id.0, 29));
    bob.game(EventKind::EventSkillUse, |e| e.subject == "power_strike").await;
    bob.game(EventKind::EventPlayerDamage, |e| e.remaining == 71).await;
    let soon = refusal(ann.use_skill("power_strike", Some(bob.id)).await);
    assert_eq!(soon, ErrorCode::ErrorCooldown);
    let young = refusal(ann.use_skill("meteor", Some(bob.id)).await);
    assert_eq!(young, ErrorCode::ErrorLevelTooLow);
    let unknown = refusal(ann.use_skill("wish", None).await);
    assert_eq!(unknown, ErrorCode::ErrorNoSuchSkill);
    let mend = ann.use_skill("mend", Some(bob.id)).await.unwrap();
    assert_eq!((mend.target_id, mend.amount), (bob.id.0, 29), "no more than what was lacking");

    ann.use_skill("sprint", None).await.unwrap();
    let potions = bob.inventory().await.unwrap();
    let stack = ItemId(potions.items[0].item_id);
    let left = bob.use_item(stack).await.unwrap();
    assert_eq!(count(&left.items, "healing_potion"), 2);
    assert_eq!(refusal(ann.use_item(stack).await), ErrorCode::ErrorNoSuchItem, "it is another's");
    assert_eq!(bob.carries("healing_potion").await, 2);
}

fn state_of(log: &proto::QuestLog, quest: &str) -> QuestState {
    let found = log.quests.iter().find(|known| known.quest == quest);
    found.unwrap_or_else(|| panic!("no {quest} in {log:?}")).state()
}

fn done(log: &proto::QuestLog, quest: &str) -> Vec<u32> {
    let found = log.quests.iter().find(|known| known.quest == quest);
    found.map(|quest| quest.goals.iter().map(|goal| goal.done).collect()).unwrap_or_default()
}
