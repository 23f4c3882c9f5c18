//! HTTP ports: who has a place, and for how long. Raw sockets that ask for little and take their time.

use super::*;
use crate::net::http::{self, HttpConfig, Places};

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n";

/// A port with one page; gives its end too.
fn open(places: Places, public: bool) -> (SocketAddr, CancellationToken) {
    let stop = CancellationToken::new();
    let listener = crate::net::listener::bind("127.0.0.1:0".parse().unwrap(), 64).unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let config = HttpConfig { label: "http", places, tls: None, public };
    tokio::spawn(http::serve(listener, router, config, stop.clone()));
    (address, stop)
}

/// What comes until so many answers' ends have come.
async fn answers(stream: &mut TcpStream, count: usize) -> String {
    let mut text = String::new();
    while text.matches("hello").count() < count {
        let mut bytes = [0; 4_096];
        let read = soon(stream.read(&mut bytes)).await.unwrap();
        assert!(read > 0, "closed after {text}");
        text += std::str::from_utf8(&bytes[..read]).unwrap();
    }
    text
}

/// Until the server has closed; what it said before.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _ = soon(stream.read_to_end(&mut bytes)).await;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn half_requests_count_at_the_gate_and_are_gone_after_seconds() {
    let gate = Gate::new(100, 3);
    let (address, stop) = open(Places::Gate(gate.clone()), true);
    let (mut silent, mut half) = (connect(address).await, connect(address).await);
    soon(half.write_all(b"GET / HTTP/1.1\r\nx-slow: ")).await.unwrap();
    let mut asked = connect(address).await;
    soon(asked.write_all(HELLO)).await.unwrap();
    answers(&mut asked, 1).await;
    assert_eq!(gate.connections(), 3);
    assert_eq!(rest(&mut connect(address).await).await, "", "one too many of its address");
    // A byte now and then gains nothing.
    for stream in [&mut silent, &mut half] {
        let trickle = async {
            while stream.write_all(b"a").await.is_ok() {
                let mut bytes = [0; 64];
                let read = timeout(Duration::from_millis(200), stream.read(&mut bytes)).await;
                if matches!(read, Ok(Ok(0) | Err(_))) {
                    return;
                }
            }
        };
        soon(trickle).await;
    }
    // Neither does asking once.
    assert_eq!(rest(&mut asked).await, "");
    while gate.connections() > 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_refused() {
    let (address, stop) = open(Places::Gate(Gate::new(10, 10)), true);
    let mut client = connect(address).await;
    let request = b"GET / HTTP/1.1\r\nhost: here\r\ncontent-length: 9000\r\n\r\nbody";
    soon(client.write_all(request)).await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"), "{answer}");
    stop.cancel();
}

#[tokio::test]
async fn requests_that_pour_are_answered_at_their_rate() {
    let (address, stop) = open(Places::Gate(Gate::new(10, 10)), true);
    let mut client = connect(address).await;
    let began = tokio::time::Instant::now();
    soon(client.write_all(&HELLO.repeat(230))).await.unwrap();
    answers(&mut client, 230).await;
    assert!(began.elapsed() >= Duration::from_millis(550), "{:?}", began.elapsed());
    stop.cancel();
}

#[tokio::test]
async fn a_port_with_places_of_its_own_has_room_for_one_more() {
    let (address, stop) = open(Places::Own(4), false);
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(connect(address).await);
    }
    let mut probe = connect(address).await;
    soon(probe.write_all(HELLO)).await.unwrap();
    answers(&mut probe, 1).await;
    // The oldest have made room.
    for stream in &mut silent[..30] {
        assert_eq!(rest(stream).await, "");
    }
    stop.cancel();
}
