//! A browser's way in: the same packets over a WebSocket, in the same world.

use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use throng::client::{ClientMessage, Event};
use throng::ids::EntityId;
use throng::proto::{self, ChatChannel};
use throng::protocol::client::password_hash;
use throng::protocol::packet;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::http;
use crate::player::{PASSWORD, Player};
use crate::scenarios;
use crate::server::{PATIENCE, Server, Topology, within};

scenarios![a_browser_plays_in_the_same_world, a_refused_page_and_its_operator_are_told_the_key];

/// Asks for a WebSocket as the browser of a page does that comes from `origin`.
async fn upgrade(address: SocketAddr, origin: &str, host: &str) -> http::Response {
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade, close\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    http::raw(address, &head).await
}

async fn a_refused_page_and_its_operator_are_told_the_key(topology: Topology) {
    let server = Server::start(topology);
    let web = server.address("web");
    let refused = upgrade(web, "http://localhost:5173", "play.example").await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    for part in ["http://localhost:5173", "net.allowed_origins"] {
        assert!(refused.body.contains(part), "{}", refused.body);
    }
    let said = |log: &str| log.contains("net.allowed_origins") && log.contains("localhost:5173");
    within("a line in the log", async {
        while !said(&server.log()) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let stranger = format!("Host: evil.example:{}", server.address("admin").port());
    let head = format!("GET /cluster HTTP/1.1\r\n{stranger}\r\nConnection: close\r\n\r\n");
    let refused = http::raw(server.address("admin"), &head).await;
    assert_eq!(refused.status, 421, "{}", refused.body);
    assert!(refused.body.contains("admin.allowed_hosts"), "{}", refused.body);
}

/// A blocking WebSocket client.
struct Browser {
    socket: WebSocket<TcpStream>,
    sequence: u64,
}

impl Browser {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the web port");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let (socket, _) = client(format!("ws://{address}/ws"), stream).expect("a WebSocket");
        Self { socket, sequence: 0 }
    }

    fn send<M: ClientMessage>(&mut self, message: &M) {
        self.sequence += 1;
        let mut frame = Vec::new();
        packet::append(&mut frame, M::KIND, self.sequence, 1, &[&message.encode_to_vec()]);
        // One message is one packet: its length needs no telling.
        let body = Bytes::from(frame).slice(packet::LENGTH_BYTES..);
        self.socket.send(Message::Binary(body)).expect("a connection");
    }

    fn until<T>(&mut self, fits: impl Fn(&Event) -> Option<T>) -> T {
        loop {
            let Message::Binary(body) = self.socket.read().expect("a message") else { continue };
            let (header, payload) = packet::decode(&body, 65_536).expect("a packet");
            let payload = Bytes::copy_from_slice(&payload);
            let event = Event::decode(header.kind, payload).expect("its message");
            if let Some(found) = fits(&event) {
                return found;
            }
        }
    }

    /// Registers, logs in and enters.
    fn enter(&mut self, name: &str) -> u64 {
        let (username, client_version) = (name.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let password_hash = password_hash(PASSWORD);
        self.send(&proto::RegisterRequest {
            username: username.clone(),
            password_hash: password_hash.clone(),
            client_version: client_version.clone(),
        });
        self.until(|event| matches!(event, Event::Register(r) if r.success).then_some(()));
        let device_id = "browser".into();
        self.send(&proto::LoginRequest { username, password_hash, client_version, device_id });
        let session_token = self.until(|event| match event {
            Event::Login(login) if login.success => Some(login.session_token.clone()),
            _ => None,
        });
        self.send(&proto::EnterWorldRequest { session_token });
        self.until(|event| match event {
            Event::EnterWorld(entered) => entered.player.as_ref().map(|player| player.player_id),
            _ => None,
        })
    }
}

async fn a_browser_plays_in_the_same_world(topology: Topology) {
    let server = Server::start(topology);
    let mut bob = Player::new(&server, "Bob").await;
    let address = server.address("web");
    let browser = tokio::task::spawn_blocking(move || {
        let mut browser = Browser::open(address);
        let id = browser.enter("Ann");
        browser.send(&proto::MoveTo { x: 75.0, y: 5.0 });
        (browser, id)
    });
    let (mut browser, id) = browser.await.unwrap();
    bob.sees_at(EntityId(id), 75.0, 5.0).await;
    bob.say("hello, browser").await.unwrap();
    let browser = tokio::task::spawn_blocking(move || {
        browser.until(|event| match event {
            Event::Chat(chat) => (chat.text == "hello, browser").then_some(()),
            _ => None,
        });
        let (channel, text) = (ChatChannel::ChatNear as i32, "hello, Bob".into());
        browser.send(&proto::ChatSend { channel, target: String::new(), text });
        browser
    });
    bob.hears("hello, Bob").await;
    let mut browser = browser.await.unwrap();
    browser.socket.close(None).expect("a close");
    drop(browser);
    assert!(bob.view().get(EntityId(id)).is_some(), "a lost connection may be resumed");
}
