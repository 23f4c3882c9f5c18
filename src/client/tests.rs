//! The client against a server that says what each test tells it to.

use std::time::Duration;

use super::fake::{FakeServer, Peer};
use super::*;
use crate::ids::{EntityId, PlayerId};
use crate::proto::{ErrorCode, EventKind, PacketType};

fn entered(token: &str) -> proto::EnterWorldResponse {
    proto::EnterWorldResponse {
        success: true,
        player: Some(proto::PlayerInfo { player_id: 7, name: "bot".into(), ..Default::default() }),
        session_id: "a-session".into(),
        resume_token: token.into(),
        ..Default::default()
    }
}

/// A client in the world of a fake server.
async fn in_world(server: &FakeServer, endpoint: &Endpoint) -> (Client, Peer) {
    let serve = async {
        let mut peer = server.accept().await;
        let ask: proto::EnterWorldRequest = peer.expect(PacketType::EnterWorldRequest).await;
        assert_eq!(ask.session_token, "ticket");
        peer.say(PacketType::EnterWorldResponse, &entered("token-1")).await;
        peer
    };
    let play = async {
        let mut client = Client::connect(endpoint.clone()).await.unwrap();
        client.set_recovery(None);
        client.enter("ticket").await.unwrap();
        client
    };
    let (peer, client) = tokio::join!(serve, play);
    (client, peer)
}

#[tokio::test]
async fn a_log_in_sends_a_hash_and_gives_the_ticket() {
    let (server, endpoint) = FakeServer::start().await;
    let serve = async {
        let mut peer = server.accept().await;
        let ask: proto::LoginRequest = peer.expect(PacketType::LoginRequest).await;
        assert_eq!(ask.username, "ann");
        // SHA-256 of "abc", from the standard's own examples (FIPS 180-4).
        assert_eq!(
            ask.password_hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let place = proto::LoginQueue { position: 1, length: 1, estimated_wait_ms: 20 };
        peer.say(PacketType::LoginQueue, &place).await;
        let answer = proto::LoginResponse {
            success: true,
            session_token: "ticket".into(),
            player_id: 7,
            ..Default::default()
        };
        peer.say(PacketType::LoginResponse, &answer).await;
        let _: proto::RegisterRequest = peer.expect(PacketType::RegisterRequest).await;
        let answer = proto::RegisterResponse {
            error_code: ErrorCode::ErrorNameTaken as i32,
            error_message: "taken".into(),
            ..Default::default()
        };
        peer.say(PacketType::RegisterResponse, &answer).await;
    };
    let play = async {
        let mut client = Client::connect(endpoint.clone()).await.unwrap();
        assert_eq!(client.login("ann", "abc").await.unwrap().session_token, "ticket");
        let refused = client.register("ann", "abc").await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::ErrorNameTaken));
        assert!(refused.to_string().contains("taken"), "{refused}");
        assert!(matches!(client.next().await.unwrap(), Event::LoginQueue(_)), "it waited its turn");
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn an_answer_finds_its_question_and_all_else_waits() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let serve = async {
        let blow: proto::CombatAction = peer.expect(PacketType::CombatAction).await;
        let chat = proto::ChatMessage { text: "between".into(), ..Default::default() };
        peer.say(PacketType::ChatMessage, &chat).await;
        let other = proto::Error { in_reply_to: 1, ..Default::default() };
        peer.say(PacketType::Error, &other).await;
        let mut event = proto::GameEvent {
            kind: EventKind::EventPlayerAttack as i32,
            actor_id: 8,
            target_id: blow.target_id,
            amount: 3,
            ..Default::default()
        };
        peer.say(PacketType::GameEvent, &event).await;
        (event.actor_id, event.amount) = (7, 12);
        peer.say(PacketType::GameEvent, &event).await;
        let _: proto::CombatAction = peer.expect(PacketType::CombatAction).await;
        let refused = proto::Error {
            code: ErrorCode::ErrorCooldown as i32,
            in_reply_to: peer.heard,
            retry_after_ms: 300,
            ..Default::default()
        };
        peer.say(PacketType::Error, &refused).await;
    };
    let play = async {
        let hit = client.attack(EntityId(9)).await.unwrap();
        assert_eq!(hit.amount, 12, "another's blow is no answer");
        let refused = client.attack(EntityId(9)).await.unwrap_err();
        let ClientError::Refused { code, retry_after, .. } = &refused else { panic!("{refused}") };
        assert_eq!(*code, ErrorCode::ErrorCooldown);
        assert_eq!(*retry_after, Some(Duration::from_millis(300)));
        assert!(matches!(client.next().await.unwrap(), Event::Chat(_)));
        assert!(matches!(client.next().await.unwrap(), Event::Error(_)));
        let Event::Game(event) = client.next().await.unwrap() else { panic!("not the blow") };
        assert_eq!(event.actor_id, 8);
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_silent_client_sends_heartbeats_by_itself() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    client.set_heartbeat(Duration::from_millis(20));
    let serve = async {
        for _ in 0..3 {
            let (kind, payload) = peer.hear().await;
            assert_eq!(kind, PacketType::HeartbeatRequest);
            let beat: proto::HeartbeatRequest = prost::Message::decode(payload).unwrap();
            let client_time = beat.client_time;
            let answer = proto::HeartbeatResponse { client_time, server_time: 1 };
            peer.say(PacketType::HeartbeatResponse, &answer).await;
        }
        peer.say(PacketType::ChatMessage, &proto::ChatMessage::default()).await;
    };
    let play = async {
        assert!(matches!(client.next().await.unwrap(), Event::Chat(_)), "answers are not shown");
    };
    tokio::join!(serve, play);
    assert!(client.round_trip().is_some());
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let chat = proto::ChatMessage { text: "x".repeat(3_000), ..Default::default() };
    let mut frame = Vec::new();
    let payload = prost::Message::encode_to_vec(&chat);
    crate::protocol::packet::append(&mut frame, PacketType::ChatMessage, 2, 1, &[&payload]);
    for part in frame.chunks(700) {
        peer.say_raw(part).await;
        let waited = tokio::time::timeout(Duration::from_millis(5), client.next()).await;
        if let Ok(event) = waited {
            assert_eq!(event.unwrap(), Event::Chat(chat.clone()));
            return;
        }
    }
    assert_eq!(client.next().await.unwrap(), Event::Chat(chat));
}

#[tokio::test]
async fn a_lost_session_goes_on_where_the_server_said() {
    let (server, endpoint) = FakeServer::start().await;
    let (elsewhere, other) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    peer.say(PacketType::ChatMessage, &proto::ChatMessage::default()).await;
    let host = "127.0.0.1".to_owned();
    let to = proto::Redirect { host, port: u32::from(other.port) };
    peer.say(PacketType::Redirect, &to).await;
    let notice = proto::DisconnectNotice {
        reason: proto::DisconnectReason::DisconnectDrain as i32,
        message: "moving house".into(),
        may_resume: true,
    };
    peer.say(PacketType::DisconnectNotice, &notice).await;
    drop(peer);
    for _ in 0..3 {
        client.next().await.unwrap();
    }
    let over = client.next().await.unwrap_err();
    assert!(over.is_disconnect() && over.to_string().contains("moving house"), "{over}");

    let serve = async {
        // The first try meets a server that falls over before it answers.
        drop(elsewhere.accept_raw().await);
        let mut peer = elsewhere.accept().await;
        let ask: proto::ResumeRequest = peer.expect(PacketType::ResumeRequest).await;
        assert_eq!(ask.resume_token, "token-1");
        assert_eq!(ask.last_sequence, 4, "counted over the old connection");
        let answer = proto::ResumeResponse {
            success: true,
            resume_token: "token-2".into(),
            session_id: "a-session".into(),
            player_id: 7,
            replayed: 1,
            last_client_sequence: 1,
            ..Default::default()
        };
        peer.say(PacketType::ResumeResponse, &answer).await;
        peer.say(PacketType::ChatMessage, &proto::ChatMessage::default()).await;
        let _: proto::MoveTo = peer.expect(PacketType::MoveTo).await;
        drop(peer);
        let mut peer = elsewhere.accept().await;
        let ask: proto::ResumeRequest = peer.expect(PacketType::ResumeRequest).await;
        assert_eq!((ask.resume_token.as_str(), ask.last_sequence), ("token-2", 2));
        let answer = proto::ResumeResponse {
            error_code: ErrorCode::ErrorResumeRefused as i32,
            ..Default::default()
        };
        peer.say(PacketType::ResumeResponse, &answer).await;
        peer.until_closed().await;
    };
    let play = async {
        let resumed = client.reconnect().await.unwrap();
        assert_eq!(
            resumed,
            Resumed { replayed: 1, lost: false, last_client_sequence: 1, anew: false }
        );
        assert!(matches!(client.next().await.unwrap(), Event::Chat(_)));
        client.move_to(1.0, 2.0).await.unwrap();
        assert!(client.next().await.unwrap_err().is_disconnect());
        let refused = client.reconnect().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::ErrorResumeRefused));
        assert_eq!(client.session().unwrap().player, PlayerId(7));
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_ban_is_not_resumed() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let reason = proto::DisconnectReason::DisconnectBanned;
    let notice = proto::DisconnectNotice { reason: reason as i32, ..Default::default() };
    peer.say(PacketType::DisconnectNotice, &notice).await;
    drop(peer);
    client.next().await.unwrap();
    assert!(client.next().await.is_err());
    let over = client.reconnect().await.unwrap_err();
    assert!(matches!(over, ClientError::Disconnected { reason: r, .. } if r == reason), "{over}");
}

#[tokio::test]
async fn a_gap_in_the_servers_sequence_is_noticed() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let mut frame = Vec::new();
    crate::protocol::packet::append(&mut frame, PacketType::ChatMessage, 3, 1, &[]);
    peer.say_raw(&frame).await;
    let error = client.next().await.unwrap_err();
    assert!(matches!(&error, ClientError::Protocol(words) if words.contains('3')), "{error}");
}

#[tokio::test]
async fn what_the_server_shows_is_in_the_view() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let zone = proto::ZoneEnter { zone_id: 1, reset: true, ..Default::default() };
    peer.say(PacketType::ZoneEnter, &zone).await;
    for id in [7, 8, 9u64] {
        let wolf = proto::EntityEnter {
            entity_id: id,
            kind: proto::EntityKind::EntityNpc as i32,
            health: 30,
            zone_id: 1,
            handle: id as u32,
            position: (id * 100) << 16,
            ..Default::default()
        };
        peer.say(PacketType::EntityEnter, &wolf).await;
    }
    let damage = proto::GameEvent {
        kind: EventKind::EventPlayerDamage as i32,
        target_id: 8,
        remaining: 12,
        ..Default::default()
    };
    peer.say(PacketType::GameEvent, &damage).await;
    let place = proto::PositionCorrection { x: 3.0, y: 4.0, ..Default::default() };
    peer.say(PacketType::PositionCorrection, &place).await;
    for _ in 0..6 {
        client.next().await.unwrap();
    }
    assert_eq!(client.view().len(), 3);
    assert_eq!(client.view().get(EntityId(8)).unwrap().about.health, 12);
    assert_eq!(client.view().me().map(|me| (me.x, me.y)), Some((3.0, 4.0)));
    let (id, _) = client.view().nearest(proto::EntityKind::EntityNpc).unwrap();
    assert_eq!(id, EntityId(8), "oneself is not the nearest other");
}

#[tokio::test]
async fn a_log_out_is_answered_and_closes() {
    let (server, endpoint) = FakeServer::start().await;
    let (client, mut peer) = in_world(&server, &endpoint).await;
    let serve = async {
        let _: proto::LogoutRequest = peer.expect(PacketType::LogoutRequest).await;
        peer.say(PacketType::LogoutResponse, &proto::LogoutResponse { success: true }).await;
        peer.until_closed().await;
    };
    let (result, ()) = tokio::join!(client.logout(), serve);
    result.unwrap();
}

#[tokio::test]
async fn tls_is_spoken_with_who_is_trusted_and_nobody_else() {
    let made = rcgen::generate_simple_self_signed(["world.test".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let (server, plain) = FakeServer::start().await;
    let named = |name| Some(Tls::trusting(pem.as_bytes(), name).unwrap());
    let serve = async {
        let stream = acceptor.accept(server.accept_raw().await).await.unwrap();
        let mut peer = Peer::new(stream);
        let beat: proto::HeartbeatRequest = peer.expect(PacketType::HeartbeatRequest).await;
        let answer = proto::HeartbeatResponse { client_time: beat.client_time, server_time: 1 };
        peer.say(PacketType::HeartbeatResponse, &answer).await;
        assert!(acceptor.accept(server.accept_raw().await).await.is_err());
    };
    let play = async {
        let right = Endpoint { tls: named("world.test"), ..plain.clone() };
        Client::connect(right).await.unwrap().ping().await.unwrap();
        let wrong = Endpoint { tls: named("other.test"), ..plain.clone() };
        let error = Client::connect(wrong).await.err().unwrap();
        assert!(matches!(error, ClientError::Tls(_)), "{error}");
    };
    tokio::join!(serve, play);
    assert!(Tls::trusting(b"no certificate", "world.test").is_err());
}
