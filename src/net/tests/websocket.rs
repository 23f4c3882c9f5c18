//! The WebSocket bridge, seen by a client of another make: a blocking one, on a thread of its own.

use std::net::TcpStream as StdStream;

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use super::*;
use crate::net::tls::ClientAddress;
use crate::net::websocket::{WebSocketConfig, router};

/// Serves `/ws` on a free port.
async fn serve(server: &Server) -> SocketAddr {
    let allowed_origins = vec!["http://good.example".to_owned()];
    let config = WebSocketConfig { allowed_origins, secure: false };
    let router = router(config, server.shards.clone(), server.gate.clone(), server.stop.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<ClientAddress>();
    tokio::spawn(axum::serve(listener, service).into_future());
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
