//! Lost connections and what the client makes of them by itself, against servers that say what each
//! test tells them to.

use std::time::Duration;

use super::fake::{FakeServer, Peer};
use super::*;
use crate::proto::{DisconnectReason, ErrorCode, PacketType};

/// Lets a client into the world of a fake server.
async fn let_in(server: &FakeServer, token: &str) -> Peer {
    let mut peer = server.accept().await;
    let _: proto::EnterWorldRequest = peer.expect(PacketType::EnterWorldRequest).await;
    let entered = proto::EnterWorldResponse {
        success: true,
        player: Some(proto::PlayerInfo { player_id: 7, ..Default::default() }),
        session_id: "a-session".into(),
        resume_token: token.into(),
        ..Default::default()
    };
    peer.say(PacketType::EnterWorldResponse, &entered).await;
    peer
}

async fn in_world(server: &FakeServer, endpoint: &Endpoint) -> (Client, Peer) {
    let play = async {
        let mut client = Client::connect(endpoint.clone()).await.unwrap();
        client.enter("ticket").await.unwrap();
        client
    };
    let (peer, client) = tokio::join!(let_in(server, "token-1"), play);
    (client, peer)
}

/// Takes a resumption with that token, and gives the next one.
async fn resume(server: &FakeServer, token: &str, next: &str) -> Peer {
    let mut peer = server.accept().await;
    let ask: proto::ResumeRequest = peer.expect(PacketType::ResumeRequest).await;
    assert_eq!(ask.resume_token, token);
    let answer = proto::ResumeResponse {
        success: true,
        resume_token: next.into(),
        session_id: "a-session".into(),
        player_id: 7,
        ..Default::default()
    };
    peer.say(PacketType::ResumeResponse, &answer).await;
    peer
}

fn gateway(endpoint: &Endpoint) -> proto::ServerInfo {
    let (ip_address, port) = (endpoint.host.clone(), u32::from(endpoint.port));
    proto::ServerInfo { ip_address, port, ..Default::default() }
}

fn resumed(event: &Event) -> bool {
    matches!(event, Event::Resumed(Resumed { anew: false, .. }))
}

#[tokio::test]
async fn a_client_goes_on_at_another_gateway_when_its_own_is_gone() {
    let (server, endpoint) = FakeServer::start().await;
    let (other, elsewhere) = FakeServer::start().await;
    let (mut client, peer) = in_world(&server, &endpoint).await;
    client.learn_gateways(&[gateway(&endpoint), gateway(&elsewhere)]);
    drop((peer, server));
    let serve = async {
        let mut peer = resume(&other, "token-1", "token-2").await;
        let zone = proto::ZoneEnter { zone_id: 1, reset: true, ..Default::default() };
        peer.say(PacketType::ZoneEnter, &zone).await;
        let moved: proto::MoveTo = peer.expect(PacketType::MoveTo).await;
        assert_eq!(moved.x, 4.0);
        peer
    };
    let play = async {
        assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
        assert!(resumed(&client.next().await.unwrap()));
        assert!(matches!(client.next().await.unwrap(), Event::ZoneEnter(_)));
        client.move_to(4.0, 0.0).await.unwrap();
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_drain_sends_a_client_where_the_redirect_says() {
    let (server, endpoint) = FakeServer::start().await;
    let (other, elsewhere) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let to = proto::Redirect { host: elsewhere.host.clone(), port: elsewhere.port.into() };
    peer.say(PacketType::Redirect, &to).await;
    let notice = proto::DisconnectNotice {
        reason: DisconnectReason::DisconnectDrain as i32,
        may_resume: true,
        ..Default::default()
    };
    peer.say(PacketType::DisconnectNotice, &notice).await;
    drop(peer);
    let play = async {
        let mut events = Vec::new();
        while !events.last().is_some_and(resumed) {
            events.push(client.next().await.unwrap());
        }
        assert!(matches!(
            events[..],
            [
                Event::Redirect(_),
                Event::Disconnect(_),
                Event::Reconnecting { .. },
                Event::Resumed(_)
            ]
        ));
    };
    // The old server would still take a connection: it is not asked.
    tokio::join!(resume(&other, "token-1", "token-2"), play);
}

#[tokio::test]
async fn a_gateway_that_is_not_ready_is_asked_again_when_it_says() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, peer) = in_world(&server, &endpoint).await;
    drop(peer);
    let serve = async {
        let mut peer = server.accept().await;
        let _: proto::ResumeRequest = peer.expect(PacketType::ResumeRequest).await;
        let not_now = proto::Error {
            code: ErrorCode::ErrorUnavailable as i32,
            in_reply_to: 1,
            retry_after_ms: 20,
            ..Default::default()
        };
        peer.say(PacketType::Error, &not_now).await;
        resume(&server, "token-1", "token-2").await
    };
    let play = async {
        assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
        assert!(resumed(&client.next().await.unwrap()));
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_cancelled_wait_does_not_lose_the_new_token() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, peer) = in_world(&server, &endpoint).await;
    drop(peer);
    let serve = async {
        let peer = resume(&server, "token-1", "token-2").await;
        drop(peer);
        resume(&server, "token-2", "token-3").await
    };
    let play = async {
        let mut times = 0;
        while times < 2 {
            // Far shorter than a recovery takes.
            let wait = tokio::time::timeout(Duration::from_millis(1), client.next()).await;
            times += usize::from(wait.is_ok_and(|event| resumed(&event.unwrap())));
        }
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_question_that_was_under_way_is_given_back_and_the_session_goes_on() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, mut peer) = in_world(&server, &endpoint).await;
    let serve = async {
        let _: proto::Inventory = peer.expect(PacketType::Inventory).await;
        drop(peer);
        let mut peer = resume(&server, "token-1", "token-2").await;
        let _: proto::Inventory = peer.expect(PacketType::Inventory).await;
        peer.say(PacketType::Inventory, &proto::Inventory { gold: 5, ..Default::default() }).await;
        peer
    };
    let play = async {
        let lost = client.inventory().await.unwrap_err();
        assert!(matches!(lost, ClientError::Interrupted { .. }) && !lost.is_disconnect(), "{lost}");
        assert_eq!(client.inventory().await.unwrap().gold, 5);
        assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
        assert!(resumed(&client.next().await.unwrap()));
    };
    tokio::join!(serve, play);
}

#[tokio::test]
async fn a_session_that_is_lost_for_good_is_an_error_unless_there_is_a_way_to_log_in() {
    let (server, endpoint) = FakeServer::start().await;
    for log_in in [None, Some(("ann".to_owned(), "secret".to_owned()))] {
        let (mut client, peer) = in_world(&server, &endpoint).await;
        client.set_recovery(Some(Recovery { log_in: log_in.clone(), ..Recovery::default() }));
        drop(peer);
        let serve = async {
            let mut peer = server.accept().await;
            let _: proto::ResumeRequest = peer.expect(PacketType::ResumeRequest).await;
            let answer = proto::ResumeResponse {
                error_code: ErrorCode::ErrorResumeRefused as i32,
                ..Default::default()
            };
            peer.say(PacketType::ResumeResponse, &answer).await;
            if log_in.is_none() {
                return peer;
            }
            let mut peer = server.accept().await;
            let ask: proto::LoginRequest = peer.expect(PacketType::LoginRequest).await;
            assert_eq!(ask.username, "ann");
            let answer = proto::LoginResponse {
                success: true,
                session_token: "ticket-2".into(),
                ..Default::default()
            };
            peer.say(PacketType::LoginResponse, &answer).await;
            let _: proto::EnterWorldRequest = peer.expect(PacketType::EnterWorldRequest).await;
            let entered = proto::EnterWorldResponse {
                success: true,
                player: Some(proto::PlayerInfo { player_id: 7, level: 9, ..Default::default() }),
                resume_token: "token-9".into(),
                ..Default::default()
            };
            peer.say(PacketType::EnterWorldResponse, &entered).await;
            peer
        };
        let play = async {
            assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
            let end = client.next().await;
            if log_in.is_none() {
                let error = end.unwrap_err();
                assert_eq!(error.code(), Some(ErrorCode::ErrorResumeRefused), "{error}");
                assert!(client.next().await.is_err(), "it does not begin all over again");
            } else {
                assert!(matches!(end.unwrap(), Event::Resumed(Resumed { anew: true, .. })));
                assert_eq!(client.view().me().map(|me| me.level), Some(9));
            }
        };
        tokio::join!(serve, play);
    }
}

#[tokio::test]
async fn nobody_is_waited_for_longer_than_was_said() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, peer) = in_world(&server, &endpoint).await;
    let within = Duration::from_millis(300);
    client.set_recovery(Some(Recovery { within, log_in: None }));
    drop((peer, server));
    assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
    let error = client.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_client_goes_elsewhere_from_a_gateway_that_has_fallen_silent() {
    let (server, endpoint) = FakeServer::start().await;
    let (other, elsewhere) = FakeServer::start().await;
    let (mut client, _peer) = in_world(&server, &endpoint).await;
    client.learn_gateways(&[gateway(&endpoint), gateway(&elsewhere)]);
    (client.quiet, client.dead) = (Duration::from_millis(20), Duration::from_millis(60));
    let play = async {
        assert!(matches!(client.next().await.unwrap(), Event::Reconnecting { .. }));
        assert!(resumed(&client.next().await.unwrap()));
    };
    // The silent one would take the connection and say nothing: it is not asked first.
    tokio::join!(resume(&other, "token-1", "token-2"), play);
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_is_given_up() {
    let (server, endpoint) = FakeServer::start().await;
    let (mut client, _peer) = in_world(&server, &endpoint).await;
    client.set_recovery(None);
    (client.quiet, client.dead) = (Duration::from_millis(20), Duration::from_millis(60));
    let error = client.next().await.unwrap_err();
    assert!(matches!(error, ClientError::Silent(_)) && error.is_disconnect(), "{error}");
}
