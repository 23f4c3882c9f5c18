//! Sessions at their edges: answers that are lost on the way, log-ins that enter in the same moment,
//! a password that is changed while somebody plays, a mute and a new connection.

use throng::client::Event;
use throng::proto::{self, ChatChannel, DisconnectReason, ErrorCode, PacketType};

use crate::player::{PASSWORD, Player};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED};
use crate::wire::Raw;

scenarios![
    an_answer_that_is_lost_costs_nothing,
    of_log_ins_that_enter_at_once_one_plays,
    a_new_password_sends_whoever_plays_away,
    a_mute_outlives_its_connection,
];

/// Asks until the answer is more than *not now*.
async fn resume(server: &Server, token: &str) -> (Raw, proto::ResumeResponse) {
    loop {
        let mut raw = Raw::open(&server.endpoint()).await;
        let request = proto::ResumeRequest { resume_token: token.to_owned(), last_sequence: 0 };
        raw.send(&request).await;
        let answer = raw
            .until_where("an answer", |_, event| {
                matches!(event, Event::Resume(_) | Event::Error(_))
            })
            .await;
        match answer {
            Event::Resume(response) => return (raw, response),
            Event::Error(error) => assert_eq!(error.code(), ErrorCode::ErrorUnavailable),
            other => panic!("{other:?}"),
        }
    }
}

fn word(text: &str) -> proto::ChatSend {
    let (channel, target) = (ChatChannel::ChatNear as i32, String::new());
    proto::ChatSend { channel, text: text.to_owned(), target }
}

async fn an_answer_that_is_lost_costs_nothing(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let ann = Player::new(&server, "Ann").await;
    let (token, id) = (ann.entered.resume_token.clone(), ann.id);
    drop(ann);
    for _ in 0..4 {
        let mut raw = Raw::open(&server.endpoint()).await;
        let request = proto::ResumeRequest { resume_token: token.clone(), last_sequence: 0 };
        raw.send(&request).await;
        // It goes before it has read the answer.
        drop(raw);
        let (_, response) = resume(&server, &token).await;
        assert!(response.success && response.player_id == id.0, "{response:?}");
    }
    let (mut raw, last) = resume(&server, &token).await;
    raw.until(PacketType::ZoneEnter).await;
    raw.ask(&word("I am back"), PacketType::ChatMessage).await;
    let (_, replayed) = resume(&server, &token).await;
    assert_eq!(replayed.error_code(), ErrorCode::ErrorResumeRefused, "the next one is in use");
    let (_, goes_on) = resume(&server, &last.resume_token).await;
    assert!(goes_on.success);
}

async fn of_log_ins_that_enter_at_once_one_plays(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    server.connect().await.register("Twins", PASSWORD).await.unwrap();
    for _ in 0..4 {
        let mut entering = Vec::new();
        for _ in 0..4 {
            let mut client = server.connect().await;
            let session_token = client.login("Twins", PASSWORD).await.unwrap().session_token;
            entering.push((Raw::open(&server.endpoint()).await, session_token));
        }
        for (raw, session_token) in &mut entering {
            let session_token = session_token.clone();
            raw.send(&proto::EnterWorldRequest { session_token }).await;
        }
        let mut plays = 0;
        for (raw, _) in &mut entering {
            let answer = raw.until(PacketType::EnterWorldResponse).await;
            let Event::EnterWorld(answer) = answer else { panic!("{answer:?}") };
            if !answer.success {
                assert_eq!(answer.error_code(), ErrorCode::ErrorAlreadyLoggedIn);
                continue;
            }
            raw.send(&proto::Inventory::default()).await;
            let end = raw.until_where("an inventory or the end", |_, event| {
                matches!(event, Event::Inventory(_) | Event::Disconnect(_))
            });
            plays += usize::from(matches!(end.await, Event::Inventory(_)));
        }
        assert_eq!(plays, 1);
    }
}

async fn a_new_password_sends_whoever_plays_away(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let token = ann.entered.resume_token.clone();
    let mut thief = server.connect().await;
    let ticket = thief.login("Ann", PASSWORD).await.unwrap().session_token;
    let (code, said) = server.command(&["account", "passwd", "Ann"], "a new one").await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectKicked);
    let (_, refused) = resume(&server, &token).await;
    assert!(!refused.success);
    assert!(thief.enter(&ticket).await.is_err(), "a ticket for the old one is void");
}

async fn a_mute_outlives_its_connection(topology: Topology) {
    let server = Server::start_with(topology, &[("net.rate.mute_seconds", "600")]);
    let ann = Player::new(&server, "Ann").await;
    let mut token = ann.entered.resume_token.clone();
    drop(ann);
    let (mut raw, response) = resume(&server, &token).await;
    token = response.resume_token;
    raw.until(PacketType::ZoneEnter).await;
    for _ in 0..10 {
        raw.send(&word("buy gold")).await;
    }
    let muted = |event: &Event| match event {
        Event::Error(error) => {
            error.code() == ErrorCode::ErrorMuted && error.retry_after_ms > 500_000
        }
        _ => false,
    };
    raw.until_where("a mute", |_, event| muted(event)).await;
    drop(raw);
    let (mut raw, _) = resume(&server, &token).await;
    raw.until(PacketType::ZoneEnter).await;
    raw.send(&word("buy gold")).await;
    raw.until_where("it is muted still", |_, event| muted(event)).await;
    drop(raw);
    let mut again = Player::again(&server, "Ann").await;
    let refused = again.say("buy gold").await.unwrap_err();
    assert!(refused.to_string().contains("often"), "{refused}");
}
