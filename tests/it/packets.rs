//! Every packet type travels at least once, in the direction that the type table says.

use std::collections::BTreeSet;

use throng::client::{Event, Incoming};
use throng::proto::{self, ChatChannel, EventKind, GuildRank, PacketType};
use throng::protocol::client::password_hash;
use throng::protocol::table::TABLE;

use crate::player::PASSWORD;
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED};
use crate::wire::Raw;

scenarios![every_packet_type_travels];

/// Types that one process never sends on its packet port, each with the reason.
const NEVER: &[(PacketType, &str)] = &[(
    PacketType::Redirect,
    "sends a packet client to another process; text clients are told theirs in text_commands",
)];

/// A player driven packet by packet.
struct Scripted {
    raw: Raw,
    id: u64,
    entered: proto::EnterWorldResponse,
}

impl Scripted {
    async fn new(server: &Server, name: &str) -> Self {
        let mut raw = Raw::open(&server.endpoint()).await;
        let (username, client_version) = (name.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let password_hash = password_hash(PASSWORD);
        let register = proto::RegisterRequest {
            username: username.clone(),
            password_hash: password_hash.clone(),
            client_version: client_version.clone(),
        };
        raw.ask(&register, PacketType::RegisterResponse).await;
        let device_id = "script".to_owned();
        let login = proto::LoginRequest { username, password_hash, client_version, device_id };
        let Event::Login(login) = raw.ask(&login, PacketType::LoginResponse).await else {
            panic!("no log-in");
        };
        let enter = proto::EnterWorldRequest { session_token: login.session_token };
        let answer = raw.ask(&enter, PacketType::EnterWorldResponse).await;
        let Event::EnterWorld(entered) = answer else { panic!("{answer:?}") };
        assert!(entered.success, "{entered:?}");
        raw.until(PacketType::ZoneEnter).await;
        Self { raw, id: login.player_id, entered }
    }
}

async fn every_packet_type_travels(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut ann = Scripted::new(&server, "Ann").await;
    let mut bob = Scripted::new(&server, "Bob").await;
    let mut foe = Scripted::new(&server, "Foe").await;
    act(&mut ann.raw, &ann.entered).await;
    part_with_things(&mut ann, &mut bob).await;
    talk(&mut ann.raw, &mut bob.raw).await;
    keep_a_guild(&mut ann.raw, &mut bob.raw).await;
    fight_a_war(&mut ann.raw, &mut foe).await;
    let queued = log_in_at_once(topology).await;
    let resumed = part(&server, &mut ann, &mut bob).await;

    let all = || [&ann.raw, &bob.raw, &foe.raw, &resumed].into_iter().chain(&queued);
    let sent: BTreeSet<i32> = all().flat_map(|raw| raw.sent.clone()).collect();
    let came: BTreeSet<i32> = all().flat_map(|raw| raw.came.clone()).collect();
    let never = |kind: PacketType| NEVER.iter().any(|(known, _)| *known == kind);
    for rule in &TABLE[1..] {
        let kind = rule.kind as i32;
        assert!(!rule.from_client() || sent.contains(&kind), "{} was never sent", rule.name);
        let missing = rule.from_server() && !came.contains(&kind);
        assert_eq!(missing, never(rule.kind), "{} from the server", rule.name);
    }
}

/// What a player does in the world.
async fn act(raw: &mut Raw, entered: &proto::EnterWorldResponse) {
    raw.ask(&proto::HeartbeatRequest { client_time: 1 }, PacketType::HeartbeatResponse).await;
    raw.ask(&proto::MoveTo { x: 61.0, y: 0.0 }, PacketType::SyncPositions).await;
    let leap = proto::MovementUpdate { x: 9_000.0, sequence: 1, ..Default::default() };
    raw.ask(&leap, PacketType::PositionCorrection).await;
    raw.refused(&proto::CombatAction { target_id: 1 << 60, ..Default::default() }).await;
    raw.refused(&proto::PickUp { entity_id: 1 << 60 }).await;
    let item_id = entered.inventory[0].item_id;
    raw.ask(&proto::UseItem { item_id }, PacketType::Inventory).await;
    raw.ask(&proto::Inventory::default(), PacketType::Inventory).await;
    raw.ask(&proto::QuestAccept { quest: "tour".into() }, PacketType::QuestLog).await;
    raw.ask(&proto::QuestLog::default(), PacketType::QuestLog).await;
    let sprint = proto::UseSkill { skill: "sprint".into(), ..Default::default() };
    raw.ask(&sprint, PacketType::GameEvent).await;
}

/// Drops, destroys and gives things away, and gives a quest up.
async fn part_with_things(ann: &mut Scripted, bob: &mut Scripted) {
    let item_id = bob.entered.inventory[0].item_id;
    bob.raw.ask(&proto::ItemDrop { item_id, quantity: 1 }, PacketType::Inventory).await;
    bob.raw.ask(&proto::ItemDestroy { item_id, quantity: 1 }, PacketType::Inventory).await;
    let nobody = 1 << 30;
    let give = proto::ItemGive { player_id: nobody, item_id, quantity: 1, gold: 0 };
    bob.raw.refused(&give).await;
    let abandon = proto::QuestAbandon { quest: "tour".into() };
    ann.raw.ask(&abandon, PacketType::QuestLog).await;
}

async fn talk(ann: &mut Raw, bob: &mut Raw) {
    let channel = ChatChannel::ChatWorld as i32;
    let chat = proto::ChatSend { channel, target: String::new(), text: "hello".into() };
    ann.ask(&chat, PacketType::ChatMessage).await;
    let room = || "inn".to_owned();
    ann.ask(&proto::RoomCreate { room: room() }, PacketType::RoomMembers).await;
    let join = proto::RoomJoin { room: room(), player: String::new() };
    bob.ask(&join, PacketType::RoomMembers).await;
    ann.until(PacketType::RoomJoin).await;
    ann.ask(&proto::RoomList::default(), PacketType::RoomList).await;
    let who = proto::RoomMembers { room: room(), ..Default::default() };
    ann.ask(&who, PacketType::RoomMembers).await;
    let leave = proto::RoomLeave { room: room(), player: String::new() };
    bob.ask(&leave, PacketType::RoomLeave).await;
}

async fn keep_a_guild(ann: &mut Raw, bob: &mut Raw) {
    let granted = PacketType::GuildResponse;
    let (guild, player) = (String::new, || "Bob".to_owned());
    ann.ask(&proto::GuildCreateRequest { name: "Pack".into() }, granted).await;
    for leaves in [true, false] {
        let invite = proto::GuildInvite { player: player(), guild: guild() };
        ann.ask(&invite, granted).await;
        bob.until(PacketType::GuildInvite).await;
        let join = proto::GuildJoin { guild: "Pack".into(), player: String::new() };
        bob.ask(&join, granted).await;
        ann.until(PacketType::GuildJoin).await;
        if leaves {
            bob.ask(&proto::GuildLeave::default(), granted).await;
            ann.until(PacketType::GuildLeave).await;
        }
    }
    let rank = GuildRank::Officer as i32;
    let rank = proto::GuildRankChange { player: player(), rank, guild: guild() };
    ann.ask(&rank, PacketType::GuildRank).await;
    ann.ask(&proto::GuildInfo::default(), PacketType::GuildInfo).await;
    let kick = proto::GuildKick { player: player(), guild: guild() };
    ann.send(&kick).await;
    bob.until(PacketType::GuildKick).await;
}

/// A war with one kill in it, and the end of a guild.
async fn fight_a_war(ann: &mut Raw, foe: &mut Scripted) {
    let herd = proto::GuildCreateRequest { name: "Herd".into() };
    foe.raw.ask(&herd, PacketType::GuildResponse).await;
    let start = proto::GuildWarStart { enemy: "Herd".into(), guild: String::new() };
    ann.ask(&start, PacketType::GuildWarNotice).await;
    let agreed = proto::GuildWarStart { enemy: "Pack".into(), guild: String::new() };
    foe.raw.ask(&agreed, PacketType::GuildWarStart).await;
    ann.until(PacketType::GuildWarStart).await;
    let target_id = foe.id;
    // Life is 100, a blow takes 12.
    for _ in 0..9 {
        ann.send(&proto::CombatAction { target_id, ..Default::default() }).await;
        let struck = |_: &Incoming, event: &Event| matches!(event, Event::Game(event) if event.kind() == EventKind::EventPlayerDamage);
        ann.until_where("a blow", struck).await;
        // The pause between two blows; nothing tells its end.
        tokio::time::sleep(std::time::Duration::from_millis(160)).await;
    }
    ann.until(PacketType::GuildWarScore).await;
    let end = proto::GuildWarEnd { enemy: "Herd".into(), ..Default::default() };
    ann.ask(&end, PacketType::GuildWarEnd).await;
    ann.ask(&proto::GuildDisband::default(), PacketType::GuildDisband).await;
}

/// Ann's session goes on over another connection and ends there.
async fn part(server: &Server, ann: &mut Scripted, bob: &mut Scripted) -> Raw {
    let mut resumed = Raw::open(&server.endpoint()).await;
    let resume_token = ann.entered.resume_token.clone();
    let last_sequence = ann.raw.connection.received();
    let resume = proto::ResumeRequest { resume_token, last_sequence };
    resumed.ask(&resume, PacketType::ResumeResponse).await;
    ann.raw.until(PacketType::DisconnectNotice).await;
    resumed.ask(&proto::LogoutRequest {}, PacketType::LogoutResponse).await;
    bob.raw.until(PacketType::EntityLeave).await;
    resumed
}

/// More log-ins at once than one hashing worker can do at once: somebody is told to wait.
async fn log_in_at_once(topology: Topology) -> Vec<Raw> {
    let slow = [("login.argon2.memory_kib", "65536"), ("login.argon2.passes", "4")];
    let server = Server::start_with(topology, &slow);
    let mut all = Vec::new();
    for _ in 0..8 {
        all.push(Raw::open(&server.endpoint()).await);
    }
    for (index, raw) in all.iter_mut().enumerate() {
        // Nobody of that name costs as much time as somebody.
        let login = proto::LoginRequest {
            username: format!("Nobody_{index}"),
            password_hash: password_hash(PASSWORD),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: String::new(),
        };
        raw.send(&login).await;
    }
    // Its place in the queue is told before its answer.
    for raw in &mut all {
        raw.until(PacketType::LoginResponse).await;
    }
    all
}
