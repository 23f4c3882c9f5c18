//! What strangers cost on every port: those who pour, those who do nothing, those who log in and stay
//! outside. Each time a witness in the same world notices nothing.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use throng::client::{Client, Event};
use throng::proto::{self, DisconnectReason, ErrorCode, PacketType};
use throng::protocol::packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::floods::metric;
use crate::http::get;
use crate::malformed::{all_is_well, witness};
use crate::player::PASSWORD;
use crate::server::{Server, Topology, within};
use crate::text::TextClient;
use crate::wire::Bytes;

/// A connection from another address than the witness's.
async fn from_elsewhere(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    socket.connect(address).await
}

/// Sends bytes while it reads; all that came until the end of the connection.
async fn pour(address: SocketAddr, bytes: Vec<u8>) -> Vec<u8> {
    let (mut reader, mut writer) = from_elsewhere(address).await.unwrap().into_split();
    let pouring = tokio::spawn(async move {
        // The end of the connection is what it waits for.
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let mut said = Vec::new();
    let _ = within("the end of one who pours", reader.read_to_end(&mut said)).await;
    drop(pouring.await.unwrap());
    said
}

fn packets(said: &[u8]) -> Vec<Event> {
    let (mut rest, mut events) = (said, Vec::new());
    while let Ok(Some(body)) = packet::first_frame(rest, 65_536) {
        let (header, payload) = packet::decode(body, 65_536).unwrap();
        events.push(Event::decode(header.kind, payload.into_owned().into()).unwrap());
        rest = &rest[packet::LENGTH_BYTES + body.len()..];
    }
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_pours_is_told_once_and_sent_away() {
    let server = Server::start(Topology::Direct);
    let mut witness = witness(&server).await;
    let mut heartbeats = Vec::new();
    let payload = proto::HeartbeatRequest { client_time: 1 }.encode_to_vec();
    for sequence in 1..=20_000 {
        packet::append(&mut heartbeats, PacketType::HeartbeatRequest, sequence, 1, &[&payload]);
    }
    for port in ["gateway", "login"] {
        let events = packets(&pour(server.address(port), heartbeats.clone()).await);
        let refused = |event: &&Event| matches!(event, Event::Error(it) if it.code() == ErrorCode::ErrorRateLimited);
        assert_eq!(events.iter().filter(refused).count(), 1, "at {port}");
        assert!(events.len() < 400, "{} answers at {port}", events.len());
        let Some(Event::Disconnect(notice)) = events.last() else {
            panic!("no notice at {port}: {:?}", events.last())
        };
        assert_eq!(notice.reason(), DisconnectReason::DisconnectProtocol);
    }
    for line in ["y\n", "MOVE 1 1\n", "PING\n"] {
        let said = pour(server.address("text"), line.repeat(60_000).into_bytes()).await;
        let said = String::from_utf8(said).unwrap();
        assert!(said.lines().count() < 400, "{} answers", said.lines().count());
        assert!(said.lines().any(|line| line.contains("too many packets")), "{said}");
        let last = said.lines().last().unwrap();
        assert!(last.starts_with("BYE more than ten times"), "{last}");
    }
    assert!(metric(&server, "throng_floods_closed_total").await >= 5.0);
    all_is_well(&server, &mut witness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_as_short_after_log_in_as_before() {
    let server = Server::start(Topology::Direct);
    let mut player = TextClient::player(&server, "Wordy").await;
    player.send(&format!("CHAT {}", "x".repeat(5_000))).await;
    let said = player.expect("ERROR").await;
    assert!(said.contains("1024"), "{said}");
    player.expect_end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_logged_in_and_stays_outside_is_a_stranger() {
    let server = Server::start_with(Topology::Direct, &[("net.per_address", "4")]);
    let mut witness = witness(&server).await;
    let mut first = server.connect().await;
    first.register("Loiterer", PASSWORD).await.unwrap();
    first.login("Loiterer", PASSWORD).await.unwrap();
    let mut more = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.login("Loiterer", PASSWORD).await.unwrap();
        more.push(client);
    }
    // The third of its account: the first has to go.
    loop {
        match within("the notice", first.next()).await.unwrap() {
            Event::Disconnect(notice) => {
                assert_eq!(notice.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
                break;
            }
            _ => continue,
        }
    }
    drop(first);
    // Two of them, and two others, are all that the address may hold ...
    let _others = (let_in(&server).await, let_in(&server).await);
    let mut refused = Bytes::open(server.address("gateway")).await;
    let error = refused.error().await.expect("a reason");
    assert_eq!(error.code(), ErrorCode::ErrorUnavailable);
    // ... until one plays.
    let ticket = more[1].login("Loiterer", PASSWORD).await.unwrap().session_token;
    more[1].enter(&ticket).await.unwrap();
    witness.ping().await.unwrap();
    let_in(&server).await;
}

/// A client that is let in, as soon as there is a place.
async fn let_in(server: &Server) -> Client {
    within("a place", async {
        loop {
            let mut client = server.connect().await;
            if client.ping().await.is_ok() {
                return client;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn web_requests_that_are_never_finished_shut_nobody_out() {
    let settings = [("net.per_address", "50"), ("net.max_connections", "120")];
    let server = Server::start_with(Topology::Direct, &settings);
    let mut witness = witness(&server).await;
    let mut half = Vec::new();
    for _ in 0..200 {
        let mut stream = from_elsewhere(server.address("web")).await.unwrap();
        // One that is refused may be gone already.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nx-half: ").await;
        half.push(stream);
    }
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(server.address("admin")).await.unwrap());
    }
    assert_eq!(get(server.address("admin"), "/healthz").await.status, 200);
    assert_eq!(get(server.address("web"), "/").await.status, 200, "for another address");
    let page = server.metrics().await;
    let open =
        page.lines().find_map(|line| line.strip_prefix("throng_connections{port=\"http\"} "));
    assert_eq!(open, Some("50"), "as many as the address may");
    all_is_well(&server, &mut witness).await;
    for mut stream in half {
        let _ = within("the end of half a request", stream.read_to_end(&mut Vec::new())).await;
    }
    drop(silent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_cut_for_a_silence_of_the_servers_own() {
    let settings = [("gateway.dead_seconds", "3"), ("gateway.text_idle_seconds", "3")];
    let server = Server::start_with(Topology::Direct, &settings);
    let mut witness = witness(&server).await;
    let mut lines = TextClient::player(&server, "Typist").await;
    witness.ping().await.unwrap();
    lines.ask("PING", "PONG").await;
    server.signal("-STOP");
    // Longer than either may be silent.
    tokio::time::sleep(Duration::from_secs(6)).await;
    server.signal("-CONT");
    // Time for the shards to take them for dead, if they would.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    lines.ask("PING", "PONG").await;
    within("the witness's heartbeat", witness.ping()).await.expect("an answer");
}
