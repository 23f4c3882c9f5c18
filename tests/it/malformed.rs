//! Bytes that are no packets, headers that lie, packets out of place. Each time: a clear refusal,
//! and a witness in the same world who notices nothing.

use prost::Message;
use throng::client::Event;
use throng::proto::{self, DisconnectReason, ErrorCode, PacketHeader, PacketType};
use throng::protocol::table::{ClientState, TABLE};

use crate::player::{PASSWORD, Player};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::wire::Bytes;

scenarios![
    bytes_that_are_no_packets,
    bent_and_random_bytes,
    headers_that_lie,
    packets_out_of_place,
    three_strikes_end_a_connection,
];

/// A player that plays on.
pub async fn witness(server: &Server) -> Player {
    Player::new(server, "Witness").await
}

/// The witness is served as ever, and so is a newcomer's first packet.
pub async fn all_is_well(server: &Server, witness: &mut Player) {
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
    let bomb = zeros_in_lz4(&vec![0; 900]);
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
fn zeros_in_lz4(zeros: &[u8]) -> Vec<u8> {
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
    for kind in [0, 1, -1, 999, 1_014, 2_019, 4_007, i32::MAX, i32::MIN] {
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
