//! Too much of it: floods, clients that do not read, connections that never speak.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use throng::client::Event;
use throng::proto::{self, ChatChannel, ErrorCode, EventKind, PacketType};
use tokio::net::{TcpSocket, TcpStream};

use crate::malformed::{all_is_well, witness};
use crate::player::{PASSWORD, Player};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};

scenarios![
    a_flood_is_held_back,
    a_client_that_does_not_read_slows_nobody,
    connections_that_never_speak,
];

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
    for line in 0..12 {
        let (channel, text) = (ChatChannel::ChatNear.into(), format!("line {line}"));
        talker.send(&proto::ChatSend { channel, text, ..Default::default() }).await.unwrap();
    }
    assert_eq!(told_once(&mut talker, 12 - 5).await, ErrorCode::ErrorMuted);
    let target_id = 999_999;
    for _ in 0..40 {
        talker.send(&proto::CombatAction { target_id, ..Default::default() }).await.unwrap();
    }
    assert_eq!(told_once(&mut talker, 40 - 10).await, ErrorCode::ErrorRateLimited);
    let withheld = metric(&server, "throng_refusals_withheld_total").await;
    assert!(withheld >= 20.0, "{withheld} refusals were not told");
    all_is_well(&server, &mut witness).await;
}

/// The refusal for a rate that a player is told once a second, though at most `most` packets were
/// refused: far fewer than those.
async fn told_once(player: &mut Player, most: u32) -> ErrorCode {
    let mut told = Vec::new();
    player.ping().await.unwrap();
    for event in player.so_far().await {
        if let Event::Error(error) = event
            && [ErrorCode::ErrorMuted, ErrorCode::ErrorRateLimited].contains(&error.code())
        {
            assert!(error.retry_after_ms > 0, "{error:?}");
            told.push(error.code());
        }
    }
    assert!(!told.is_empty() && told.len() as u32 <= most / 2, "{told:?}");
    told[0]
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

/// The sum of a metric over its labels and the server's processes.
pub async fn metric(server: &Server, name: &str) -> f64 {
    let page = server.metrics().await;
    let lines = page
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
