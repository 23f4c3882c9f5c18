//! The login port over real sockets.

use std::net::SocketAddr;

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::port::LoginPort;
use super::*;
use crate::limits;
use crate::net::rate::RateLimits;
use crate::net::{ConnectionLimits, Framing, Gate, ListenConfig, NetConfig, listen, spawn_shards};
use crate::proto::{self, PacketType};
use crate::protocol::client::password_hash;
use crate::protocol::packet;

/// Opens the port of a running role.
fn open(role: &mut Role) -> SocketAddr {
    let requests = role.requests.clone();
    let make =
        move |shard| LoginPort::new(&tiny(), &RateLimits::default(), shard, requests.clone());
    let net = ConnectionLimits { sweep: Duration::from_millis(20), ..ConnectionLimits::default() };
    let shards = spawn_shards(2, 64, net, role.stop.clone(), make);
    let local = "127.0.0.1:0".parse().unwrap();
    let most = limits::CLIENT_FRAME_MAX_BEFORE_LOGIN;
    let config = ListenConfig::new(&NetConfig::default(), local, Framing::Length, most, "login");
    let (address, _) =
        listen(config, shards.clone(), Gate::new(100, 100), role.stop.clone()).unwrap();
    let (_, empty) = mpsc::channel(1);
    let mut answers = std::mem::replace(&mut role.answers, empty);
    tokio::spawn(async move {
        while let Some((shard, message)) = answers.recv().await {
            let _ = shards.send(shard, message);
        }
    });
    address
}

struct Client {
    stream: TcpStream,
    sequence: u64,
    heard: u64,
}

impl Client {
    async fn connect(address: SocketAddr) -> Self {
        let stream = soon(TcpStream::connect(address)).await.unwrap();
        Self { stream, sequence: 0, heard: 0 }
    }

    async fn send(&mut self, kind: PacketType, message: &impl Message) {
        self.sequence += 1;
        self.send_as(self.sequence, kind, message).await;
    }

    async fn send_as(&mut self, sequence: u64, kind: PacketType, message: &impl Message) {
        let mut frame = Vec::new();
        packet::append(&mut frame, kind, sequence, 0, &[&message.encode_to_vec()]);
        self.send_bytes(&frame).await;
    }

    async fn send_bytes(&mut self, bytes: &[u8]) {
        soon(self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next packet; none: the server has closed.
    async fn receive(&mut self) -> Option<(i32, Vec<u8>)> {
        let mut length = [0; 4];
        soon(self.stream.read_exact(&mut length)).await.ok()?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        soon(self.stream.read_exact(&mut body)).await.ok()?;
        let (header, payload) = packet::decode(&body, limits::SERVER_FRAME_MAX).unwrap();
        self.heard += 1;
        assert_eq!(header.sequence, self.heard, "without gaps");
        Some((header.kind, payload.into_owned()))
    }

    async fn expect<M: Message + Default>(&mut self, kind: PacketType) -> M {
        loop {
            let (got, payload) = self.receive().await.expect("an answer");
            if got != PacketType::LoginQueue as i32 || kind == PacketType::LoginQueue {
                let error = proto::Error::decode(payload.as_slice()).ok();
                assert_eq!(got, kind as i32, "{error:?}");
                return M::decode(payload.as_slice()).unwrap();
            }
        }
    }

    async fn expect_error(&mut self) -> (ErrorCode, u64) {
        let error: proto::Error = self.expect(PacketType::Error).await;
        assert!(!error.message.is_empty());
        (error.code(), error.in_reply_to)
    }

    /// Until the server has closed.
    async fn expect_end(&mut self) -> proto::DisconnectReason {
        let notice: proto::DisconnectNotice = self.expect(PacketType::DisconnectNotice).await;
        assert!(self.receive().await.is_none());
        notice.reason()
    }

    async fn register(&mut self, name: &str, password: &str) -> proto::RegisterResponse {
        let request = proto::RegisterRequest {
            username: name.to_owned(),
            password_hash: password_hash(password),
            client_version: "0.1.0".to_owned(),
        };
        self.send(PacketType::RegisterRequest, &request).await;
        self.expect(PacketType::RegisterResponse).await
    }

    async fn log_in(&mut self, name: &str, password: &str) -> proto::LoginResponse {
        self.send(PacketType::LoginRequest, &login_request(name, password, "0.1.0")).await;
        self.expect(PacketType::LoginResponse).await
    }
}

fn login_request(name: &str, password: &str, version: &str) -> proto::LoginRequest {
    proto::LoginRequest {
        username: name.to_owned(),
        password_hash: password_hash(password),
        client_version: version.to_owned(),
        device_id: "phone".to_owned(),
    }
}

#[tokio::test]
async fn a_client_registers_logs_in_and_is_sent_to_a_gateway() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    let made = client.register("Anna_1", "secret").await;
    assert!(made.success && made.player_id > 0, "{made:?}");
    let wrong = client.log_in("Anna_1", "guess").await;
    assert_eq!((wrong.success, wrong.error_code()), (false, ErrorCode::ErrorBadCredentials));
    let right = client.log_in("Anna_1", "secret").await;
    assert!(right.success, "{right:?}");
    assert_eq!(right.player_id, made.player_id);
    assert_eq!(right.game_servers.len(), 1);
    let server = &right.game_servers[0];
    assert_eq!((server.port, server.max_players, server.load_factor), (8081, 100, 0.03));
    let ticket = role.verifier.verify(&right.session_token, tick::unix_millis()).unwrap();
    assert_eq!(ticket.player.0, right.player_id);
    let beat = proto::HeartbeatRequest { client_time: 77 };
    client.send(PacketType::HeartbeatRequest, &beat).await;
    let answer: proto::HeartbeatResponse = client.expect(PacketType::HeartbeatResponse).await;
    assert_eq!(answer.client_time, 77);
}

#[tokio::test]
async fn without_a_game_server_a_ticket_would_be_useless() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    role.outbox.send(LoginMsg::Servers(vec![])).unwrap();
    let mut client = Client::connect(address).await;
    client.register("Anna_1", "secret").await;
    let refused = client.log_in("Anna_1", "secret").await;
    assert_eq!((refused.success, refused.error_code()), (false, ErrorCode::ErrorNoServers));
}

#[tokio::test]
async fn what_a_person_mistypes_is_told_and_counts_no_strike() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    for (name, version, code) in [
        ("x", "0.1.0", ErrorCode::ErrorInvalidName),
        ("Anna 1", "0.1.0", ErrorCode::ErrorInvalidName),
        ("Anna_1", "zero", ErrorCode::ErrorInvalidArgument),
        ("Anna_1", "0.0.9", ErrorCode::ErrorVersionTooOld),
    ] {
        client.send(PacketType::LoginRequest, &login_request(name, "secret", version)).await;
        assert_eq!(client.expect_error().await, (code, client.sequence), "{name} {version}");
    }
    let mut plain = login_request("Anna_1", "secret", "0.1.0");
    plain.password_hash = "secret".to_owned();
    client.send(PacketType::LoginRequest, &plain).await;
    assert_eq!(client.expect_error().await.0, ErrorCode::ErrorInvalidArgument);
    assert!(client.register("Anna_1", "secret").await.success, "and goes on");
}

#[tokio::test]
async fn three_packets_that_do_not_belong_here_end_the_connection() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    client.send(PacketType::MoveTo, &proto::MoveTo { x: 1.0, y: 1.0 }).await;
    assert_eq!(client.expect_error().await, (ErrorCode::ErrorWrongState, 1));
    client.send(PacketType::LoginResponse, &proto::LoginResponse::default()).await;
    assert_eq!(client.expect_error().await.0, ErrorCode::ErrorUnknownType);
    client.send_bytes(&[3, 0, 0, 0, 0xff, 0xff, 0xff]).await;
    assert_eq!(client.expect_error().await, (ErrorCode::ErrorMalformed, 0));
    assert_eq!(client.expect_end().await, proto::DisconnectReason::DisconnectProtocol);
}

#[tokio::test]
async fn a_session_cannot_be_resumed_at_the_login_port() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    let resume = proto::ResumeRequest { resume_token: "x".repeat(43), last_sequence: 5 };
    client.send(PacketType::ResumeRequest, &resume).await;
    assert_eq!(client.expect_error().await, (ErrorCode::ErrorWrongState, 1));
}

#[tokio::test]
async fn a_sequence_is_neither_repeated_nor_jumped() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    let beat = proto::HeartbeatRequest { client_time: 1 };
    client.send(PacketType::HeartbeatRequest, &beat).await;
    client.expect::<proto::HeartbeatResponse>(PacketType::HeartbeatResponse).await;
    for wrong in [1, 3, u64::MAX] {
        client.send_as(wrong, PacketType::HeartbeatRequest, &beat).await;
        assert_eq!(client.expect_error().await, (ErrorCode::ErrorBadSequence, wrong));
    }
    assert_eq!(client.expect_end().await, proto::DisconnectReason::DisconnectProtocol);
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
    let mut role = Role::start(tiny()).await;
    let address = open(&mut role);
    for (announced, code) in [
        (0, ErrorCode::ErrorMalformed),
        (1_025, ErrorCode::ErrorTooLarge),
        (u32::MAX, ErrorCode::ErrorTooLarge),
    ] {
        let mut client = Client::connect(address).await;
        client.send_bytes(&announced.to_le_bytes()).await;
        assert_eq!(client.expect_error().await, (code, 0));
        assert!(client.receive().await.is_none());
    }
}

#[tokio::test]
async fn one_request_at_a_time_and_whoever_leaves_is_not_hashed_for() {
    // Nobody answers: the login task is not there.
    let mut role = Role::start(tiny()).await;
    let (requests, mut asked) = mpsc::channel(4);
    role.requests = requests;
    let address = open(&mut role);
    let mut client = Client::connect(address).await;
    let login = login_request("Anna_1", "secret", "0.1.0");
    client.send(PacketType::LoginRequest, &login).await;
    let request = soon(asked.recv()).await.unwrap();
    client.send(PacketType::LoginRequest, &login).await;
    assert_eq!(client.expect_error().await, (ErrorCode::ErrorRateLimited, 2));
    drop(client);
    soon(async {
        while !request.gone.is_set() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
