//! What strangers, broken programs and cheats send. Each time: a clear refusal, nothing lost, and
//! a witness in the same world who notices nothing.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use throng::client::{ClientError, Event};
use throng::ids::{EntityId, ItemId};
use throng::proto::{
    self, ChatChannel, DisconnectReason, ErrorCode, EventKind, PacketHeader, PacketType,
};
use throng::protocol::table::{ClientState, TABLE};
use tokio::net::{TcpSocket, TcpStream};

use crate::player::{PASSWORD, Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::wire::{Bytes, Raw};
use crate::{http, player};

scenarios![
    bytes_that_are_no_packets,
    bent_and_random_bytes,
    headers_that_lie,
    packets_out_of_place,
    three_strikes_end_a_connection,
    moves_that_cannot_be,
    strings_that_bite,
    targets_that_are_none,
    what_belongs_to_others,
    a_flood_is_held_back,
    a_client_that_does_not_read_slows_nobody,
    connections_that_never_speak,
];

/// A player that plays on.
async fn witness(server: &Server) -> Player {
    Player::new(server, "Witness").await
}

/// The witness is served as ever, and so is a newcomer's first packet.
async fn all_is_well(server: &Server, witness: &mut Player) {
    within("the witness's heartbeat", witness.ping()).await.expect("an answer");
    let mut newcomer = server.connect().await;
    within("a newcomer's heartbeat", newcomer.ping()).await.expect("an answer");
}

/// A connection to the packet port that any bytes can be sent through.
async fn bytes(server: &Server) -> Bytes {
    Bytes::open(server.address("gateway")).await
}

async fn bytes_that_are_no_packets(topology: Topology) {
    let settings = [("net.frame_timeout_ms", "200")];
    let server = Server::start_with(topology, &settings);
    let mut witness = witness(&server).await;
    let too_large = |length: u32| (length.to_le_bytes().to_vec(), ErrorCode::ErrorTooLarge);
    for (sent, code) in [
        (0u32.to_le_bytes().to_vec(), ErrorCode::ErrorMalformed),
        too_large(1_025),
        too_large(16_385),
        too_large(u32::MAX),
    ] {
        for port in ["gateway", "login"] {
            let mut stranger = Bytes::open(server.address(port)).await;
            stranger.send(&sent).await;
            let error = stranger.error().await.expect("a reason");
            assert_eq!(error.code(), code, "{sent:?} at {port}");
            stranger.end().await;
        }
    }
    // Never finished: the length alone, half a length, half a body.
    for sent in [&[20, 0, 0, 0][..], &[20, 0], &[20, 0, 0, 0, 1, 2, 3]] {
        let mut stranger = bytes(&server).await;
        stranger.send(sent).await;
        stranger.end().await;
    }
    let mut gone = bytes(&server).await;
    gone.send(&[20, 0, 0, 0, 1, 2]).await;
    drop(gone);
    let mut empty = bytes(&server).await;
    empty.framed(&proto::Packet::default().encode_to_vec()).await;
    empty.end().await;
    all_is_well(&server, &mut witness).await;
}

/// A small generator of its own: the same bytes in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // Xorshift, Marsaglia 2003.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

async fn bent_and_random_bytes(topology: Topology) {
    let server = Server::start(topology);
    let mut witness = witness(&server).await;
    let mut dice = Dice(0x7412_0f66);
    let login = proto::LoginRequest {
        username: "Witness".into(),
        password_hash: "0".repeat(64),
        client_version: env!("CARGO_PKG_VERSION").into(),
        device_id: "x".into(),
    };
    let header = PacketHeader {
        r#type: PacketType::LoginRequest as i32,
        size: login.encoded_len() as u32,
        sequence: 1,
        timestamp: 1,
        is_compressed: false,
    };
    let payload = login.encode_to_vec().into();
    let packet = proto::Packet { header: Some(header), payload }.encode_to_vec();
    for round in 0..60 {
        let mut stranger = bytes(&server).await;
        match round % 3 {
            0 => {
                let mut bent = packet.clone();
                let bit = dice.next() as usize % (bent.len() * 8);
                bent[bit / 8] ^= 1 << (bit % 8);
                stranger.framed(&bent).await;
            }
            1 => {
                let cut = dice.next() as usize % packet.len();
                stranger.framed(&packet[..cut.max(1)]).await;
            }
            _ => {
                let count = 1 + dice.next() as usize % 900;
                let random = dice.bytes(count);
                stranger.framed(&random).await;
                let count = dice.next() as usize % 300;
                let random = dice.bytes(count);
                stranger.send(&random).await;
            }
        }
    }
    all_is_well(&server, &mut witness).await;
}

async fn headers_that_lie(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut stranger = bytes(&server).await;
    let heartbeat = proto::HeartbeatRequest { client_time: 7 }.encode_to_vec();
    let honest = |sequence: u64| PacketHeader {
        r#type: PacketType::HeartbeatRequest as i32,
        size: heartbeat.len() as u32,
        sequence,
        timestamp: u64::MAX,
        is_compressed: false,
    };
    stranger.headed(honest(1), &heartbeat).await;
    assert!(matches!(stranger.next().await, Some(Event::Heartbeat(_))));
    for wrong in [0, 1, 3, u64::MAX] {
        stranger.headed(honest(wrong), &heartbeat).await;
        let error = stranger.error().await.expect("an ERROR");
        assert_eq!((error.code(), error.in_reply_to), (ErrorCode::ErrorBadSequence, wrong));
    }
    let size = |size| PacketHeader { size, ..honest(2) };
    let squeezed = |size| PacketHeader { size, is_compressed: true, ..honest(2) };
    let bomb = lz4_flex_of(&vec![0; 900]);
    for (header, payload) in [
        (size(0), heartbeat.clone()),
        (size(heartbeat.len() as u32 + 1), heartbeat.clone()),
        (size(u32::MAX), heartbeat.clone()),
        (squeezed(2), heartbeat.clone()),
        (squeezed(1_000_000), vec![0xff; 40]),
        (squeezed(u32::MAX), bomb.clone()),
        (squeezed(10), bomb),
    ] {
        stranger.headed(header, &payload).await;
        let error = stranger.error().await.expect("an ERROR");
        let code = error.code();
        assert!(
            matches!(code, ErrorCode::ErrorMalformed | ErrorCode::ErrorTooLarge),
            "{header:?}: {error:?}"
        );
    }
    // The count went on from the gap, and with each packet that could not be read.
    stranger.headed(honest(3 + 7 + 1), &heartbeat).await;
    assert!(matches!(stranger.next().await, Some(Event::Heartbeat(_))), "and on it goes");
    all_is_well(&server, &mut witness).await;
}

/// One LZ4 block: zeros, as the format's shortest way to say many of them.
fn lz4_flex_of(zeros: &[u8]) -> Vec<u8> {
    // A literal zero, then a match of the rest at offset 1 (token, extension bytes).
    let mut rest = zeros.len() - 1 - 4 - 15 - 5;
    let mut block = vec![0x1f, 0, 1, 0];
    while rest >= 255 {
        block.push(255);
        rest -= 255;
    }
    block.push(rest as u8);
    block.extend([0x50, 0, 0, 0, 0, 0]);
    block
}

async fn packets_out_of_place(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut fresh = bytes(&server).await;
    let mut playing = into_world(&server, "Insider").await;
    for rule in &TABLE[1..] {
        let wanted = |state| match rule.from_client() {
            false => Some(ErrorCode::ErrorUnknownType),
            true if !rule.states.has(state) => Some(ErrorCode::ErrorWrongState),
            true => None,
        };
        for (stranger, state) in
            [(&mut fresh, ClientState::Fresh), (&mut playing, ClientState::InWorld)]
        {
            let Some(code) = wanted(state) else { continue };
            stranger.packet(rule.kind as i32, &[]).await;
            let error = stranger.error().await.expect("an ERROR");
            assert_eq!(error.code(), code, "{} in {state:?}", rule.name);
            assert_eq!(error.in_reply_to, stranger.sequence - 1);
        }
    }
    for kind in [0, 1, -1, 999, 1_014, 2_011, 4_007, i32::MAX, i32::MIN] {
        for stranger in [&mut fresh, &mut playing] {
            stranger.packet(kind, b"anything").await;
            let error = stranger.error().await.expect("an ERROR");
            assert_eq!(error.code(), ErrorCode::ErrorUnknownType, "{kind}");
        }
    }
    // A payload that is no such message, and one too large for its type.
    let chat = PacketType::ChatSend as i32;
    playing.packet(chat, &[0xff; 30]).await;
    assert_eq!(playing.error().await.unwrap().code(), ErrorCode::ErrorMalformed);
    playing.packet(chat, &vec![0x20; 5_000]).await;
    assert_eq!(playing.error().await.unwrap().code(), ErrorCode::ErrorTooLarge);
    all_is_well(&server, &mut witness).await;
}

/// Brings a player in through a socket that can then misbehave.
async fn into_world(server: &Server, name: &str) -> Bytes {
    let mut client = server.connect().await;
    client.register(name, PASSWORD).await.expect("a registration");
    let ticket = client.login(name, PASSWORD).await.expect("a log-in").session_token;
    let mut bytes = bytes(server).await;
    let enter = proto::EnterWorldRequest { session_token: ticket };
    bytes.packet(PacketType::EnterWorldRequest as i32, &enter.encode_to_vec()).await;
    loop {
        match bytes.next().await.expect("an answer") {
            Event::EnterWorld(answer) => {
                assert!(answer.success, "{answer:?}");
                return bytes;
            }
            _ => continue,
        }
    }
}

async fn three_strikes_end_a_connection(topology: Topology) {
    let server = Server::start(topology);
    let mut witness = witness(&server).await;
    let mut stranger = bytes(&server).await;
    for _ in 0..3 {
        stranger.packet(12_345, b"?").await;
        assert_eq!(stranger.error().await.unwrap().code(), ErrorCode::ErrorUnknownType);
    }
    match stranger.next().await {
        Some(Event::Disconnect(notice)) => {
            assert_eq!(notice.reason(), DisconnectReason::DisconnectProtocol);
        }
        other => panic!("{other:?}"),
    }
    stranger.end().await;
    all_is_well(&server, &mut witness).await;
}

async fn moves_that_cannot_be(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut cheat = Player::new(&server, "Cheat").await;
    let mut raw = cheat.place();
    for (x, y) in [
        (f32::NAN, 0.0),
        (0.0, f32::INFINITY),
        (f32::NEG_INFINITY, f32::NAN),
        (1.0e9, 0.0),
        (70_000.0, 0.0),
        (-301.0, 0.0),
    ] {
        let sequence = cheat.move_to(x, y).await.unwrap();
        let code = cheat
            .until("a refusal", |event| match event {
                Event::Error(e) if e.in_reply_to == sequence => Some(e.code()),
                _ => None,
            })
            .await;
        assert_eq!(code, ErrorCode::ErrorBadPosition, "MOVE_TO {x} {y}");
        let back = corrected(&mut cheat, x, y).await;
        assert!((back.x - raw.x).abs() < 0.05 && (back.y - raw.y).abs() < 0.05, "{back:?}");
    }
    corrected(&mut cheat, raw.x + 200.0, raw.y).await;
    // Faster than one may, though each step alone is none too long.
    for _ in 0..15 {
        raw.x -= 3.0;
        cheat.walk(raw.x, raw.y, 0.0).await.unwrap();
    }
    let reason = cheat
        .until("a correction", |event| match event {
            Event::Correction(correction) => Some(correction.reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, "too fast");
    // Until the server has enough of it.
    let kicked = within("the end of its patience", async {
        loop {
            if cheat.walk(raw.x + 300.0, raw.y, 0.0).await.is_err() {
                break;
            }
            // No quicker than the rate of moves lets it.
            match tokio::time::timeout(Duration::from_millis(55), cheat.next()).await {
                Ok(Err(error)) => return Some(error),
                _ => continue,
            }
        }
        cheat.next().await.err()
    });
    match kicked.await {
        Some(ClientError::Disconnected { reason, .. }) => {
            assert_eq!(reason, DisconnectReason::DisconnectKicked);
        }
        other => panic!("{other:?}"),
    }
    all_is_well(&server, &mut witness).await;
}

/// Streams an impossible place and gives where the server puts the player instead.
async fn corrected(cheat: &mut Player, x: f32, y: f32) -> proto::PositionCorrection {
    cheat.walk(x, y, 0.0).await.unwrap();
    cheat
        .until("a correction", |event| match event {
            Event::Correction(correction) => Some(correction.clone()),
            _ => None,
        })
        .await
}

/// Texts that have broken other servers.
const BITING: &[&str] = &[
    "'; DROP TABLE accounts; --",
    "\" OR \"\"=\"",
    "a\0b",
    "line\nbreak",
    "\u{202e}drow",
    "zero\u{200b}width",
    "%s%n{}$(id)",
    "../../etc/passwd",
    "раураl_mix",
    "\u{1f4a3}\u{1f4a3}\u{1f4a3}",
    "<script>alert(1)</script>",
];

async fn strings_that_bite(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut mallory = Player::new(&server, "Mallory").await;
    let long = "x".repeat(300);
    let texts = || BITING.iter().copied().chain([long.as_str(), ""]);
    for text in texts() {
        let mut fresh = server.connect().await;
        let refused = fresh.register(text, PASSWORD).await;
        assert_eq!(refusal(refused), ErrorCode::ErrorInvalidName, "{text:?} as a name");
        let refused = fresh.login(text, PASSWORD).await;
        assert_eq!(refusal(refused), ErrorCode::ErrorInvalidName, "{text:?} as a name");

        let names = [
            refusal(mallory.create_room(text).await),
            refusal(mallory.guild(&proto::GuildCreateRequest { name: text.into() }).await),
            refusal(mallory.chat(ChatChannel::ChatWhisper, text, "hello").await),
        ];
        assert_eq!(names, [ErrorCode::ErrorInvalidName; 3], "{text:?}");
        let quest = refusal(mallory.accept_quest(text).await);
        let skill = refusal(mallory.use_skill(text, None).await);
        for code in [quest, skill] {
            let fits = [
                ErrorCode::ErrorNoSuchQuest,
                ErrorCode::ErrorNoSuchSkill,
                ErrorCode::ErrorInvalidArgument,
                ErrorCode::ErrorTooLarge,
            ];
            assert!(fits.contains(&code), "{text:?}: {code:?}");
        }
    }
    for text in ["", "   ", "a\u{7}b", "\u{202e}drow", "line\nbreak", "a\0", &long] {
        for channel in [ChatChannel::ChatNear, ChatChannel::ChatWorld] {
            let refused = mallory.chat(channel, "", text).await;
            assert_eq!(refusal(refused), ErrorCode::ErrorTextRefused, "{text:?}");
        }
    }
    // As talk, what is no control character is only data.
    for text in ["'; DROP TABLE accounts; --", "<script>alert(1)</script>", "%s%n{}$(id)"] {
        mallory.say(text).await.unwrap();
        assert_eq!(witness.hears(text).await.text, text);
    }
    let wrong = proto::LoginRequest {
        username: "Mallory".into(),
        password_hash: "not a hash".into(),
        client_version: "0.1.0\n".into(),
        device_id: "\"".into(),
    };
    let mut raw = Raw::open(&server.endpoint()).await;
    assert_eq!(raw.refused(&wrong).await.code(), ErrorCode::ErrorInvalidArgument);
    mallory.client.logout().await.unwrap();
    Player::again(&server, "Mallory").await;
    all_is_well(&server, &mut witness).await;
}

async fn targets_that_are_none(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut witness = witness(&server).await;
    let mut ann = Player::new(&server, "Ann").await;
    let (me, other) = (ann.id, witness.id);
    ann.sees(other).await;
    let flower = ann.nearest("flower").await;
    for (target, code) in [
        (me, ErrorCode::ErrorNotAllowed),
        (other, ErrorCode::ErrorNotAllowed),
        (flower, ErrorCode::ErrorNotAllowed),
        (EntityId(0), ErrorCode::ErrorNoSuchTarget),
        (EntityId(999_999), ErrorCode::ErrorNoSuchTarget),
        (EntityId(u64::MAX), ErrorCode::ErrorNoSuchTarget),
    ] {
        assert_eq!(refusal(ann.attack(target).await), code, "a blow at {target}");
        let skill = refusal(ann.use_skill("power_strike", Some(target)).await);
        if target != EntityId(0) {
            assert_eq!(skill, code, "a skill at {target}");
        }
    }
    for thing in [me, other, EntityId(0), EntityId(u64::MAX)] {
        let code = refusal(ann.pick_up(thing).await);
        let fits = [ErrorCode::ErrorNoSuchTarget, ErrorCode::ErrorNotAllowed];
        assert!(fits.contains(&code), "picking {thing} up: {code:?}");
    }
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    let dead = refusal(ann.attack(wolf).await);
    let fits = [ErrorCode::ErrorTargetDead, ErrorCode::ErrorNoSuchTarget];
    assert!(fits.contains(&dead), "{dead:?}");
    ann.go(20.0, 0.0).await;
    let wolf = ann.nearest("wolf").await;
    assert_eq!(refusal(ann.attack(wolf).await), ErrorCode::ErrorOutOfRange);
    assert_eq!(refusal(ann.pick_up(flower).await), ErrorCode::ErrorOutOfRange);
    all_is_well(&server, &mut witness).await;
}

async fn what_belongs_to_others(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut ann = Player::new(&server, "Ann").await;
    let mut thief = Player::new(&server, "Thief").await;
    let potions = ItemId(ann.entered.inventory[0].item_id);
    for item in [potions, ItemId(0), ItemId(u64::MAX)] {
        let code = refusal(thief.use_item(item).await);
        assert_eq!(code, ErrorCode::ErrorNoSuchItem, "{item}");
    }
    assert_eq!(ann.carries("healing_potion").await, 3);
    let wolf = ann.nearest("wolf").await;
    let death = ann.kill(wolf).await;
    thief.go(death.x, death.y).await;
    let pelt = thief.nearest("wolf_pelt").await;
    assert_eq!(refusal(thief.pick_up(pelt).await), ErrorCode::ErrorNotAllowed);
    ann.go(death.x, death.y).await;
    // One thing, many hands: one of these gets it, once.
    ann.pick_up(pelt).await.unwrap();
    refusal(ann.pick_up(pelt).await);
    assert_eq!((ann.carries("wolf_pelt").await, thief.carries("wolf_pelt").await), (1, 0));
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    tokio::join!(ann.go(at.x, at.y), thief.go(at.x, at.y));
    let both = tokio::join!(ann.pick_up(flower), thief.pick_up(flower));
    assert_eq!([both.0.is_ok(), both.1.is_ok()].iter().filter(|ok| **ok).count(), 1, "{both:?}");
    let carried = ann.carries("flower").await + thief.carries("flower").await;
    assert_eq!(carried, 1);
    let boulder = ann.nearest("boulder").await;
    let kinds = ann.inventory().await.unwrap().items;
    let pelts = kinds.iter().find(|item| item.kind == "wolf_pelt").unwrap().item_id;
    assert_eq!(refusal(ann.use_item(ItemId(pelts)).await), ErrorCode::ErrorNotUsable);
    assert!(boulder.0 > 0 && player::count(&kinds, "wolf_pelt") == 1);
}

async fn a_flood_is_held_back(topology: Topology) {
    let server = Server::start(topology);
    let mut witness = witness(&server).await;
    let mut flood = Player::new(&server, "Flood").await;
    let sent = 400;
    for time in 0..sent {
        flood.send(&proto::HeartbeatRequest { client_time: time }).await.unwrap();
    }
    let mut held = 0;
    for _ in 0..sent {
        held += flood
            .until("an answer", |event| match event {
                Event::Error(error) => {
                    assert_eq!(error.code(), ErrorCode::ErrorRateLimited);
                    assert!(error.retry_after_ms > 0);
                    Some(1)
                }
                // The client keeps heartbeats to itself: what it gives last is the end of them.
                Event::SyncPositions(_) => Some(0),
                _ => None,
            })
            .await;
        if held > 0 {
            break;
        }
    }
    assert!(held > 0, "{sent} packets at once were all taken");
    let mut talker = Player::new(&server, "Talker").await;
    let mut muted = 0;
    for line in 0..12 {
        match talker.say(&format!("line {line}")).await {
            Ok(_) => assert!(line < 10, "line {line} went through"),
            Err(ClientError::Refused { code: ErrorCode::ErrorMuted, retry_after, .. }) => {
                assert!(retry_after.is_some());
                muted += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(muted >= 5, "{muted} of 12 lines were held back");
    let mut quick = 0;
    for _ in 0..40 {
        let refused = refusal(talker.attack(EntityId(999_999)).await);
        quick += u32::from(refused == ErrorCode::ErrorRateLimited);
    }
    assert!(quick > 10, "{quick} of 40 blows at once were held back");
    all_is_well(&server, &mut witness).await;
}

async fn a_client_that_does_not_read_slows_nobody(topology: Topology) {
    let settings = [
        ("net.slow_client_ms", "500"),
        ("net.outbound_bytes", "16384"),
        ("net.kernel_unsent_bytes", "4096"),
    ];
    let settings = [UNHURRIED, &settings].concat();
    let server = Server::start_with(topology, &settings);
    let mut witness = witness(&server).await;
    let mut client = server.connect().await;
    client.register("Sleeper", PASSWORD).await.unwrap();
    let ticket = client.login("Sleeper", PASSWORD).await.unwrap().session_token;
    let stream = narrow_socket(server.address("gateway")).await;
    let mut out = Vec::new();
    let enter = proto::EnterWorldRequest { session_token: ticket };
    let payload = enter.encode_to_vec();
    throng::protocol::packet::append(&mut out, PacketType::EnterWorldRequest, 1, 1, &[&payload]);
    write(&stream, &out).await;
    let name = "Sleeper".to_owned();
    witness
        .until_view("the sleeper", |c| c.view().iter().any(|(_, seen)| seen.about.name == name))
        .await;
    // It asks for more than the socket holds, and reads none of it.
    out.clear();
    for sequence in 2..1_500 {
        throng::protocol::packet::append(&mut out, PacketType::QuestLog, sequence, 1, &[]);
    }
    write(&stream, &out).await;
    let mut slowest = Duration::ZERO;
    within("the end of the sleeper's connection", async {
        loop {
            slowest = slowest.max(witness.ping().await.unwrap());
            witness.so_far().await;
            let cut = metric(&server, "throng_slow_clients_cut_total").await;
            if cut >= 1.0 {
                break;
            }
        }
    })
    .await;
    assert!(slowest < Duration::from_secs(1), "the witness waited {slowest:?}");
    all_is_well(&server, &mut witness).await;
}

/// A socket that takes little before it is read from.
async fn narrow_socket(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket.connect(address).await.unwrap()
}

async fn write(stream: &TcpStream, mut bytes: &[u8]) {
    within("room in the socket", async {
        while !bytes.is_empty() {
            stream.writable().await.unwrap();
            match stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // Cut already.
                Err(_) => return,
            }
        }
    })
    .await;
}

/// The sum of a metric over its labels.
pub async fn metric(server: &Server, name: &str) -> f64 {
    let page = http::get(server.address("admin"), "/metrics").await;
    let lines = page
        .body
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn connections_that_never_speak(topology: Topology) {
    let settings = [("gateway.auth_seconds", "2"), ("net.per_address", "150")];
    let server = Server::start_with(topology, &settings);
    let mut witness = witness(&server).await;
    let mut silent = Vec::new();
    let mut refused = 0;
    for _ in 0..200 {
        // From an address of their own, whose limit is not the witness's.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        match socket.connect(server.address("gateway")).await {
            Ok(stream) => silent.push(stream),
            Err(_) => refused += 1,
        }
    }
    all_is_well(&server, &mut witness).await;
    let mut words = 0;
    for stream in silent {
        let said = within("the end of the silence", async {
            let mut stream = stream;
            let mut said = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut said).await;
            said
        })
        .await;
        words += usize::from(!said.is_empty());
    }
    assert!(words >= 150 && refused <= 50, "{words} were told why, {refused} never came in");
    let turned_away = metric(&server, "throng_connections_refused_total").await;
    assert!(turned_away >= 40.0, "{turned_away} were one too many of their address");
    witness.so_far().await;
    let wolf = witness.nearest("wolf").await;
    let death = witness.kill(wolf).await;
    assert_eq!(death.kind(), EventKind::EventPlayerDeath);
}
