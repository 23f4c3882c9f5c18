//! Clients behind a proxy: each has the limits of its own address, on every port, and nobody but a
//! trusted proxy is believed when it tells one.

use std::net::{Ipv4Addr, SocketAddr};

use prost::Message;
use throng::proto::{self, PacketType};
use throng::protocol::packet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::floods::metric;
use crate::server::{Server, Topology, within};

const ONE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const OTHER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A server that trusts one proxy, with two places for each address.
fn server() -> Server {
    let settings = [("net.trusted_proxies", "[\"127.0.0.1/32\"]"), ("net.per_address", "2")];
    Server::start_with(Topology::Direct, &settings)
}

/// A connection from an address, and what comes first as the answer to some bytes.
async fn asked(from: Ipv4Addr, port: SocketAddr, parts: &[&[u8]]) -> (TcpStream, Vec<u8>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(port).await.unwrap();
    for part in parts {
        // One that is refused may be gone already.
        let _ = stream.write_all(part).await;
    }
    let mut answer = vec![0; 65_536];
    let count = within("an answer", stream.read(&mut answer)).await.unwrap_or(0);
    answer.truncate(count);
    (stream, answer)
}

fn first_version(client: Ipv4Addr) -> Vec<u8> {
    format!("PROXY TCP4 {client} 10.0.0.1 5000 443\r\n").into_bytes()
}

fn second_version(client: Ipv4Addr) -> Vec<u8> {
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c";
    [&fixed[..], &client.octets(), &[10, 0, 0, 1], &[19, 136, 1, 187]].concat()
}

/// What is asked at a port, and whether an answer says that one is served there.
#[allow(clippy::type_complexity, reason = "a table that is read once")]
fn question(port: &str) -> (Vec<u8>, fn(&[u8]) -> bool) {
    match port {
        "text" => (b"PING\n".to_vec(), |answer| answer.starts_with(b"PONG")),
        "web" => (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), |answer| {
            answer.starts_with(b"HTTP/1.1 200")
        }),
        _ => {
            let payload = proto::HeartbeatRequest { client_time: 1 }.encode_to_vec();
            let mut bytes = Vec::new();
            packet::append(&mut bytes, PacketType::HeartbeatRequest, 1, 1, &[&payload]);
            (bytes, |answer| match packet::first_frame(answer, 65_536) {
                Ok(Some(body)) => {
                    let (header, _) = packet::decode(body, 65_536).unwrap();
                    header.kind == PacketType::HeartbeatResponse as i32
                }
                _ => false,
            })
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_of_one_proxy_have_limits_of_their_own_on_every_port() {
    let server = server();
    for port in ["gateway", "login", "text", "web"] {
        let (words, served) = question(port);
        let address = server.address(port);
        for header in [first_version, second_version] {
            let (one, other) = (header(ONE), header(OTHER));
            let (start, rest) = one.split_at(9);
            let first = asked(PROXY, address, &[start, rest, &words]).await;
            let second = asked(PROXY, address, &[&one, &words]).await;
            assert!(served(&first.1) && served(&second.1), "{port}: {:?}", first.1);
            let third = asked(PROXY, address, &[&one, &words]).await;
            assert!(!served(&third.1), "{port}: more than the address may hold");
            let another = asked(PROXY, address, &[&other, &words]).await;
            assert!(served(&another.1), "{port}: another client of the same proxy");
            drop((first, second, third, another));
            all_gone(&server).await;
        }
        let bare = asked(PROXY, address, &[&words]).await;
        assert!(served(&bare.1), "{port}: without a header the proxy is a client itself");
        drop(bare);
        all_gone(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_of_anybody_else_is_not_believed_and_a_bad_one_is_refused() {
    let server = server();
    for port in ["gateway", "login", "text", "web"] {
        let (words, served) = question(port);
        for header in [first_version(ONE), second_version(ONE)] {
            let (_, answer) = asked(STRANGER, server.address(port), &[&header, &words]).await;
            assert!(!served(&answer), "{port}: {}", String::from_utf8_lossy(&answer));
        }
        all_gone(&server).await;
        let bad = b"PROXY TCP4 nobody nowhere 1 2\r\n";
        let (_, answer) = asked(PROXY, server.address(port), &[bad, &words]).await;
        assert!(!served(&answer), "{port}");
    }
    let refused = "throng_connections_refused_total{reason=\"proxy\"}";
    assert_eq!(metric(&server, refused).await, 4.0);
    assert!(server.log().contains("a PROXY header is malformed: a line without"), "told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_proxy_is_believed_and_a_page_that_claims_to_be_one_is_not() {
    let server = server();
    let (web, (_, served)) = (server.address("web"), question("web"));
    let request = |client: &str| {
        format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n")
            .into_bytes()
    };
    let mut held = Vec::new();
    for number in 0..2 {
        // What stands before the last address is the client's own claim.
        let claim = format!("192.0.2.{number}, {ONE}");
        let (stream, answer) = asked(PROXY, web, &[&request(&claim)]).await;
        assert!(served(&answer));
        held.push(stream);
    }
    let (_, answer) = asked(PROXY, web, &[&request(&format!("192.0.2.9, {ONE}"))]).await;
    assert!(answer.starts_with(b"HTTP/1.1 429"), "{}", String::from_utf8_lossy(&answer));
    assert!(served(&asked(PROXY, web, &[&request(&OTHER.to_string())]).await.1));
    for number in 0..2 {
        let (stream, answer) =
            asked(STRANGER, web, &[&request(&format!("192.0.2.{number}"))]).await;
        assert!(served(&answer));
        held.push(stream);
    }
    let (_, answer) = asked(STRANGER, web, &[&request("192.0.2.77")]).await;
    assert!(!served(&answer), "a stranger counts by its own address");
}

/// Waits until no client is connected.
async fn all_gone(server: &Server) {
    within("the end of all connections", async {
        loop {
            let page = server.metrics().await;
            let mut open = page.lines().filter(|line| line.starts_with("throng_connections{"));
            if open.all(|line| line.ends_with(" 0")) {
                return;
            }
        }
    })
    .await;
}
