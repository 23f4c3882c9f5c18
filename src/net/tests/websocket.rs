//! The WebSocket bridge, seen by a client of another make: a blocking one, on a thread of its own.

use std::net::TcpStream as StdStream;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::*;
use crate::net::http::{self, HttpConfig, Places};
use crate::net::rate::RateLimits;
use crate::net::websocket::{WebSocketConfig, router};

/// Serves `/ws` on a free port.
async fn serve(server: &Server) -> SocketAddr {
    let allowed_origins = vec!["http://good.example".to_owned()];
    let rate = RateLimits::default();
    let config = WebSocketConfig { allowed_origins, secure: false, rate };
    let router = router(config, server.shards.clone(), server.stop.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = Places::Gate(server.gate.clone());
    let config = HttpConfig { label: "http", places, tls: None, public: true };
    tokio::spawn(http::serve(listener, router, config, server.stop.clone()));
    address
}

fn open(address: SocketAddr, origin: Option<&str>) -> tungstenite::Result<WebSocket<StdStream>> {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let stream = StdStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    match tungstenite::client::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn binary(body: &'static [u8]) -> Message {
    Message::Binary(Bytes::from_static(body))
}

/// The code of the close that comes next.
fn close_code(socket: &mut WebSocket<StdStream>) -> u16 {
    loop {
        if let Message::Close(frame) = socket.read().unwrap() {
            return frame.unwrap().code.into();
        }
    }
}

async fn blocking(act: impl FnOnce() + Send + 'static) {
    soon(tokio::task::spawn_blocking(act)).await.unwrap();
}

#[tokio::test]
async fn packets_are_binary_messages_both_ways() {
    let server = Server::start(1);
    let address = serve(&server).await;
    blocking(move || {
        let mut socket = open(address, Some("http://good.example")).unwrap();
        for body in [&b"one"[..], b"two"] {
            socket.write(binary(body)).unwrap();
        }
        socket.flush().unwrap();
        assert_eq!(socket.read().unwrap(), binary(b"one"));
        assert_eq!(socket.read().unwrap(), binary(b"two"));
        socket.send(Message::Ping(Bytes::from_static(b"there?"))).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong(Bytes::from_static(b"there?")));
        socket.send(binary(b"quit")).unwrap();
        assert_eq!(socket.read().unwrap(), binary(b"bye"));
        assert_eq!(close_code(&mut socket), 1000);
    })
    .await;
    server.end().await;
}

#[tokio::test]
async fn what_is_not_allowed_closes_with_a_code() {
    let mut server = Server::start(1);
    let address = serve(&server).await;
    blocking(move || {
        let mut text = open(address, None).unwrap();
        text.send(Message::Text("hello".into())).unwrap();
        assert_eq!(close_code(&mut text), 1003);
        let mut empty = open(address, None).unwrap();
        empty.send(Message::Binary(Bytes::new())).unwrap();
        assert_eq!(empty.read().unwrap(), binary(b"a frame's length is 0"));
        assert_eq!(close_code(&mut empty), 1008);
        let mut long = open(address, None).unwrap();
        long.send(Message::Binary(vec![7; 1_025].into())).unwrap();
        assert!(long.read().unwrap().into_data().starts_with(b"1025 bytes"));
        assert_eq!(close_code(&mut long), 1008);
        let refused = open(address, Some("http://evil.example")).unwrap_err();
        assert!(matches!(refused, tungstenite::Error::Http(answer) if answer.status() == 403));
    })
    .await;
    let mut closed = 0;
    while closed < 3 {
        closed += usize::from(matches!(server.saw().await, Seen::Closed(..)));
    }
    server.end().await;
}

#[tokio::test]
async fn a_browser_that_does_not_read_is_cut_and_frees_its_place() {
    let mut server = Server::start(1);
    let address = serve(&server).await;
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let silent = tokio::task::spawn_blocking(move || {
        let _socket = open(address, None).unwrap();
        // Keeps it open, unread, until the test has seen what happens.
        let _ = wait.recv();
    });
    let conn = server.opened().await;
    loop {
        server.shards.send(0, Tell::SayAll(framed(&[7; 60_000]).into())).unwrap();
        if let Some(Seen::Closed(id, reason)) = server.saw_or_go_on().await {
            assert_eq!((id, reason), (conn, CloseReason::TooSlow));
            break;
        }
    }
    while server.gate.connections() > 0 {
        tokio::task::yield_now().await;
    }
    drop(done);
    soon(silent).await.unwrap();
    server.end().await;
}

#[tokio::test]
async fn stopping_closes_with_going_away() {
    let mut server = Server::start(1);
    let address = serve(&server).await;
    let client = tokio::task::spawn_blocking(move || {
        let mut socket = open(address, None).unwrap();
        close_code(&mut socket)
    });
    server.opened().await;
    server.stop.cancel();
    assert_eq!(soon(client).await.unwrap(), 1001);
    soon(server.shards.join()).await;
}

impl Server {
    /// What the service saw, if it was anything; lets others work meanwhile.
    async fn saw_or_go_on(&mut self) -> Option<Seen> {
        timeout(Duration::from_millis(1), self.seen.recv()).await.ok().flatten()
    }
}

/// A client's ping, or an empty part of a message, as they go over the wire.
fn small_frame(first: u8) -> [u8; 6] {
    [first, 0x80, 1, 2, 3, 4]
}

#[tokio::test]
async fn frames_that_are_no_packets_are_counted_too() {
    use std::io::Write as _;
    const PING: u8 = 0x89;
    const PART: u8 = 0x00;
    let mut server = Server::start(1);
    let address = serve(&server).await;
    blocking(move || {
        // A burst, and as much again as is allowed to wait: held back, and nothing is lost.
        let mut socket = open(address, None).unwrap();
        socket.get_mut().write_all(&small_frame(PING).repeat(300)).unwrap();
        socket.send(binary(b"after")).unwrap();
        loop {
            match socket.read().unwrap() {
                Message::Pong(_) => {}
                message => break assert_eq!(message, binary(b"after")),
            }
        }
        // Ten times that is the end.
        for (start, frame) in [(Vec::new(), PING), (vec![0x02, 0x80, 1, 2, 3, 4], PART)] {
            let mut socket = open(address, None).unwrap();
            let poured = [start, small_frame(frame).repeat(20_000)].concat();
            let mut writer = socket.get_ref().try_clone().unwrap();
            let pouring = std::thread::spawn(move || writer.write_all(&poured));
            assert_eq!(close_code(&mut socket), 1008);
            drop(socket);
            let _ = pouring.join().unwrap();
        }
    })
    .await;
    let mut closed = 0;
    while closed < 3 {
        closed += usize::from(matches!(server.saw().await, Seen::Closed(..)));
    }
    while server.gate.connections() > 0 {
        tokio::task::yield_now().await;
    }
    server.end().await;
}

#[tokio::test]
async fn a_socket_whose_shard_does_not_read_still_hears() {
    let mut server = Server::start(1);
    let address = serve(&server).await;
    let (said, wait) = std::sync::mpsc::channel::<()>();
    let client = tokio::task::spawn_blocking(move || {
        let mut socket = open(address, None).unwrap();
        socket.send(binary(b"pause")).unwrap();
        for _ in 0..40 {
            socket.send(binary(b"more")).unwrap();
        }
        wait.recv().unwrap();
        let messages: Vec<_> = (0..42).map(|_| socket.read().unwrap()).collect();
        assert_eq!(messages[..2], [binary(b"pause"), binary(b"news")]);
        assert_eq!(messages[41], binary(b"more"));
    });
    let conn = server.opened().await;
    assert!(matches!(server.saw().await, Seen::Paused(..)));
    server.shards.send(0, Tell::Say(conn, framed(b"news").into())).unwrap();
    said.send(()).unwrap();
    soon(client).await.unwrap();
    server.end().await;
}
