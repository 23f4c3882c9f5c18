//! Lost connections, second log-ins, and the tickets and tokens behind them.

use throng::client::{Client, Event};
use throng::ids::PlayerId;
use throng::names::Name;
use throng::proto::{self, ChatChannel, DisconnectReason, ErrorCode, PacketType};
use throng::token::TicketSigner;

use crate::player::{PASSWORD, Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::text::TextClient;
use crate::wire::{Line, Raw};

scenarios![
    what_was_missed_comes_once_and_in_order,
    nothing_falls_between_two_connections,
    a_token_is_good_for_one_resumption,
    a_session_is_taken_over_while_its_old_connection_stands,
    a_session_outlives_a_crash_of_the_server,
    a_lost_session_ends_in_time,
    the_newest_log_in_wins,
    or_the_oldest_if_so_configured,
    tickets_are_good_once_and_for_a_minute,
    who_logs_out_is_gone,
];

async fn what_was_missed_comes_once_and_in_order(topology: Topology) {
    let server = Server::start(topology);
    let line = Line::to(server.address("gateway")).await;
    let mut ann = Player::new_at(line.endpoint(), "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    found_a_guild(&mut bob, &mut ann).await;
    let session = ann.session().unwrap().session_id.clone();
    ann.so_far().await;

    // Two are sent into the dying connection, two when it is gone.
    line.deafen();
    bob.chat(ChatChannel::ChatWhisper, "Ann", "one").await.unwrap();
    bob.chat(ChatChannel::ChatGuild, "", "two").await.unwrap();
    line.cut();
    lost(&mut ann).await;
    bob.chat(ChatChannel::ChatWhisper, "Ann", "three").await.unwrap();
    bob.chat(ChatChannel::ChatGuild, "", "four").await.unwrap();

    let resumed = within("a resumption", ann.reconnect()).await.unwrap();
    assert_eq!((resumed.replayed, resumed.lost), (4, false));
    assert_eq!(ann.session().unwrap().session_id, session, "it is the same session");
    let mut missed = Vec::new();
    let reset = ann.until("a fresh view", |event| match event {
        Event::Chat(chat) => {
            missed.push(chat.text.clone());
            None
        }
        Event::ZoneEnter(zone) => Some(zone.reset),
        _ => None,
    });
    assert!(reset.await, "everything in view follows");
    assert_eq!(missed, ["one", "two", "three", "four"]);
    let (them, me) = (bob.id, ann.id);
    ann.sees(them).await;
    ann.sees(me).await;
    bob.chat(ChatChannel::ChatWhisper, "Ann", "five").await.unwrap();
    ann.hears("five").await;
    ann.say("I am back").await.unwrap();
    bob.hears("I am back").await;
}

async fn nothing_falls_between_two_connections(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let line = Line::to(server.address("gateway")).await;
    let mut ann = Player::new_at(line.endpoint(), "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let mut heard = Vec::new();
    for round in 0..12 {
        line.cut();
        // Nobody has noticed yet, somebody has, everybody has.
        for part in 0..3 {
            let text = format!("{round}.{part}");
            bob.chat(ChatChannel::ChatWhisper, "Ann", &text).await.unwrap();
        }
        lost(&mut ann).await;
        let resumed = within("a resumption", ann.reconnect()).await.unwrap();
        assert!(!resumed.lost);
        let last = format!("{round}.2");
        ann.until(&last, |event| match event {
            Event::Chat(chat) => {
                heard.push(chat.text.clone());
                (chat.text == last).then_some(())
            }
            _ => None,
        })
        .await;
    }
    let said: Vec<String> =
        (0..12).flat_map(|round| (0..3).map(move |part| format!("{round}.{part}"))).collect();
    assert_eq!(heard, said, "each once, in order");
}

/// Waits until a client has noticed that its connection is gone.
async fn lost(player: &mut Player) {
    within("the loss of the connection", async { while player.client.next().await.is_ok() {} })
        .await;
}

async fn found_a_guild(leader: &mut Player, member: &mut Player) {
    leader.guild(&proto::GuildCreateRequest { name: "Pack".into() }).await.unwrap();
    let player = member.name.clone();
    leader.guild(&proto::GuildInvite { player, guild: String::new() }).await.unwrap();
    let join = proto::GuildJoin { guild: "Pack".into(), player: String::new() };
    member.guild(&join).await.unwrap();
}

/// What a connection of its own is told for a token.
async fn resume(server: &Server, token: &str, last_sequence: u64) -> (Raw, proto::ResumeResponse) {
    let mut raw = Raw::open(&server.endpoint()).await;
    let request = proto::ResumeRequest { resume_token: token.to_owned(), last_sequence };
    match raw.ask(&request, PacketType::ResumeResponse).await {
        Event::Resume(response) => (raw, response),
        other => panic!("{other:?}"),
    }
}

async fn a_token_is_good_for_one_resumption(topology: Topology) {
    let server = Server::start(topology);
    let line = Line::to(server.address("gateway")).await;
    let mut ann = Player::new_at(line.endpoint(), "Ann").await;
    let first = ann.entered.resume_token.clone();
    for _ in 0..3 {
        line.cut();
        lost(&mut ann).await;
        within("a resumption", ann.reconnect()).await.unwrap();
    }
    for token in [first.as_str(), "no token at all", "' OR 1=1 --", &"x".repeat(512)] {
        let (_, response) = resume(&server, token, 0).await;
        assert!(!response.success, "{token}");
        assert_eq!(response.error_code(), ErrorCode::ErrorResumeRefused, "{token}");
    }
    ann.say("still here").await.unwrap();
}

async fn a_session_is_taken_over_while_its_old_connection_stands(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    ann.so_far().await;
    bob.sees(ann.id).await;
    let token = ann.entered.resume_token.clone();
    let (mut raw, response) = resume(&server, &token, u64::MAX).await;
    assert!(response.success && response.player_id == ann.id.0);
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
    raw.until(PacketType::ZoneEnter).await;
    let chat = proto::ChatSend {
        channel: ChatChannel::ChatNear as i32,
        text: "from the new one".into(),
        target: String::new(),
    };
    raw.ask(&chat, PacketType::ChatMessage).await;
    bob.hears("from the new one").await;
    assert!(bob.view().get(ann.id).is_some(), "nobody saw anything of it");
}

async fn a_session_outlives_a_crash_of_the_server(topology: Topology) {
    let mut server = Server::start(topology);
    let line = Line::to(server.address("gateway")).await;
    let mut ann = Player::new_at(line.endpoint(), "Ann").await;
    let session = ann.session().unwrap().session_id.clone();
    // The token is stored beside the entry; what is written later and acknowledged proves it.
    ann.guild(&proto::GuildCreateRequest { name: "Pack".into() }).await.unwrap();
    server.kill().await;
    lost(&mut ann).await;
    server.start_again();
    line.lead_to(server.address("gateway"));
    let resumed = within("a resumption", ann.reconnect()).await.unwrap();
    assert!(resumed.lost, "what the old process had not sent nobody knows");
    let me = ann.id;
    ann.until("a fresh view", |event| matches!(event, Event::ZoneEnter(_)).then_some(())).await;
    ann.sees(me).await;
    ann.say("no password asked").await.unwrap();
    assert!(!session.is_empty());
}

async fn a_lost_session_ends_in_time(topology: Topology) {
    let server = Server::start_with(topology, &[("gateway.resume_seconds", "1")]);
    let line = Line::to(server.address("gateway")).await;
    let mut ann = Player::new_at(line.endpoint(), "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    bob.sees(ann.id).await;
    line.cut();
    lost(&mut ann).await;
    assert!(bob.view().get(ann.id).is_some(), "the character stands for a while");
    bob.loses(ann.id).await;
    let refused = within("a refusal", ann.reconnect()).await;
    assert_eq!(refusal(refused), ErrorCode::ErrorResumeRefused);
}

async fn the_newest_log_in_wins(topology: Topology) {
    let server = Server::start(topology);
    let mut old = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    old.go(75.0, 5.0).await;
    bob.sees_at(old.id, 75.0, 5.0).await;
    bob.so_far().await;
    let mut new = Player::again(&server, "ann").await;
    let notice = old.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
    assert!(!notice.may_resume);
    let place = new.place();
    assert!(place.distance(throng::geometry::Point { x: 75.0, y: 5.0 }) < 1.0, "{place:?}");
    new.say("it is me").await.unwrap();
    bob.until("the newcomer's word, and no coming and going", |event| match event {
        Event::Chat(chat) if chat.text == "it is me" => Some(()),
        Event::EntityLeave(leave) if leave.entity_id == old.id.0 => panic!("{leave:?}"),
        _ => None,
    })
    .await;
    assert_eq!(new.inventory().await.unwrap().items.len(), 1);
}

async fn or_the_oldest_if_so_configured(topology: Topology) {
    let server = Server::start_with(topology, &[("login.duplicate", "reject")]);
    let mut ann = Player::new(&server, "Ann").await;
    let mut text = TextClient::connect(&server).await;
    text.send(&format!("LOGIN Ann {PASSWORD}")).await;
    let refused = text.expect("ERROR").await;
    assert!(refused.contains("already"), "{refused}");
    ann.say("I stay").await.unwrap();
    // The same device may come back: its old connection may be dead without anybody knowing.
    let mut again = Player::again(&server, "Ann").await;
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
    again.say("I came back").await.unwrap();
}

async fn tickets_are_good_once_and_for_a_minute(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = server.connect().await;
    ann.register("Ann", PASSWORD).await.unwrap();
    let login = ann.login("Ann", PASSWORD).await.unwrap();
    let ticket = login.session_token;
    ann.enter(&ticket).await.unwrap();
    assert_eq!(entering(&server, &ticket).await, ErrorCode::ErrorTicketUsed);
    ann.logout().await.unwrap();
    assert_eq!(entering(&server, &ticket).await, ErrorCode::ErrorTicketUsed);

    let (name, player) = (Name::parse("Ann").unwrap(), PlayerId(login.player_id));
    let now = throng::tick::unix_millis();
    let own = TicketSigner::load_or_create(&server.data().join("login.key")).unwrap();
    let expired = own.sign(player, &name, "", now - 120_000).unwrap();
    assert_eq!(entering(&server, &expired).await, ErrorCode::ErrorTicketExpired);
    let folder = tempfile::TempDir::new().unwrap();
    let other = TicketSigner::load_or_create(&folder.path().join("key")).unwrap();
    let forged = other.sign(player, &name, "", now).unwrap();
    let mut bent = ticket.clone();
    let middle = ticket.len() / 2;
    bent.replace_range(middle..=middle, if &ticket[middle..=middle] == "A" { "B" } else { "A" });
    for forged in [forged.as_str(), &bent, "a.b.c", "'; DROP TABLE accounts; --"] {
        assert_eq!(entering(&server, forged).await, ErrorCode::ErrorTicketInvalid, "{forged}");
    }
}

/// How entering with a ticket is refused.
async fn entering(server: &Server, ticket: &str) -> ErrorCode {
    let mut client: Client = server.connect().await;
    refusal(client.enter(ticket).await)
}

async fn who_logs_out_is_gone(topology: Topology) {
    let server = Server::start(topology);
    let ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let (id, token) = (ann.id, ann.entered.resume_token.clone());
    bob.sees(id).await;
    ann.client.logout().await.unwrap();
    bob.loses(id).await;
    let (_, response) = resume(&server, &token, 0).await;
    assert!(!response.success);
    Player::again(&server, "Ann").await;
    bob.sees(id).await;
}
