//! Who may come in: names, passwords, versions, bans, and the operators' commands about accounts.

use throng::proto::{self, DisconnectReason, ErrorCode, PacketType};
use throng::protocol::client::password_hash;

use crate::player::{PASSWORD, Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::text::TextClient;
use crate::wire::Raw;

scenarios![
    names_are_unique_and_passwords_checked,
    the_login_port_hands_out_tickets,
    failed_log_ins_are_slowed_down,
    old_clients_are_told_to_update,
    a_ban_takes_effect_while_the_player_plays,
    operators_keep_accounts_by_command,
];

async fn names_are_unique_and_passwords_checked(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut client = server.connect().await;
    let id = client.register("Ann", PASSWORD).await.unwrap();
    for taken in ["Ann", "ann", "ANN", "\u{ff21}nn"] {
        let refused = refusal(client.register(taken, "other").await);
        let fits = [ErrorCode::ErrorNameTaken, ErrorCode::ErrorInvalidName];
        assert!(fits.contains(&refused), "{taken}: {refused:?}");
    }
    for name in ["Bob_2", "Ægir", "Łukasz", "Ольга", "日本語"] {
        assert!(client.register(name, PASSWORD).await.unwrap().0 > id.0, "{name}");
    }
    assert_eq!(refusal(client.login("Ann", "wrong").await), ErrorCode::ErrorBadCredentials);
    assert_eq!(refusal(client.login("Nobody", "wrong").await), ErrorCode::ErrorBadCredentials);
    let login = client.login("aNN", PASSWORD).await.unwrap();
    assert_eq!(login.player_id, id.0);
    assert!(!server.log().contains(&password_hash(PASSWORD)), "no secret is logged");
}

async fn the_login_port_hands_out_tickets(topology: Topology) {
    let server = Server::start(topology);
    let endpoint = crate::server::plain(server.address("login"));
    let mut login = throng::client::Client::connect(endpoint).await.unwrap();
    login.register("Ann", PASSWORD).await.unwrap();
    let answer = within("a gateway to go to", async {
        loop {
            match login.login("Ann", PASSWORD).await {
                Ok(answer) if !answer.game_servers.is_empty() => break answer,
                Ok(_) => {}
                // Until the master has told where the gateway is.
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::ErrorNoServers)),
            }
        }
    })
    .await;
    let gateway = &answer.game_servers[0];
    assert_eq!(gateway.port, u32::from(server.address("gateway").port()));
    assert!((0.0..=1.0).contains(&gateway.load_factor) && gateway.max_players > 0);
    assert_eq!(refusal(login.enter(&answer.session_token).await), ErrorCode::ErrorWrongState);
    let mut play = server.connect().await;
    play.enter(&answer.session_token).await.unwrap();
}

async fn failed_log_ins_are_slowed_down(topology: Topology) {
    let server = Server::start(topology);
    let mut client = server.connect().await;
    for name in ["Ann", "Bob"] {
        client.register(name, PASSWORD).await.unwrap();
    }
    for _ in 0..5 {
        assert_eq!(refusal(client.login("Ann", "wrong").await), ErrorCode::ErrorBadCredentials);
    }
    for password in ["wrong", PASSWORD] {
        let held = client.login("Ann", password).await;
        assert_eq!(refusal(held), ErrorCode::ErrorLoginThrottled, "even the right one waits");
    }
    client.login("Bob", PASSWORD).await.expect("another name is free to log in");
}

async fn old_clients_are_told_to_update(topology: Topology) {
    let server = Server::start_with(topology, &[("login.minimum_client_version", "0.1.0")]);
    let mut raw = Raw::open(&server.endpoint()).await;
    let register = |version: &str| proto::RegisterRequest {
        username: "Ann".into(),
        password_hash: password_hash(PASSWORD),
        client_version: version.into(),
    };
    let refused = raw.refused(&register("0.0.9")).await;
    assert_eq!(refused.code(), ErrorCode::ErrorVersionTooOld);
    assert!(refused.message.contains("0.1.0"), "{refused:?}");
    assert_eq!(raw.refused(&register("new")).await.code(), ErrorCode::ErrorInvalidArgument);
    raw.ask(&register("99.0.0"), PacketType::RegisterResponse).await;
}

async fn a_ban_takes_effect_while_the_player_plays(topology: Topology) {
    let server = Server::start(topology);
    let mut mallory = Player::new(&server, "Mallory").await;
    let mut bob = Player::new(&server, "Bob").await;
    bob.sees(mallory.id).await;
    let ban = ["account", "ban", "mallory", "--reason", "sells gold"];
    let (code, said) = server.command(&ban, "").await;
    assert_eq!(code, Some(0), "{said}");
    let notice = mallory.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectBanned);
    assert!(notice.message.contains("sells gold"), "{}", notice.message);
    bob.loses(mallory.id).await;
    let mut again = server.connect().await;
    assert_eq!(refusal(again.login("Mallory", PASSWORD).await), ErrorCode::ErrorBanned);
    let mut text = TextClient::connect(&server).await;
    let refused = text.ask(&format!("LOGIN Mallory {PASSWORD}"), "ERROR").await;
    assert!(refused.contains("sells gold"), "{refused}");
    let (code, said) = server.command(&["account", "unban", "Mallory"], "").await;
    assert_eq!(code, Some(0), "{said}");
    Player::again(&server, "Mallory").await;
}

async fn operators_keep_accounts_by_command(topology: Topology) {
    let server = Server::start(topology);
    let (code, said) = server.command(&["account", "create", "Ann"], PASSWORD).await;
    assert_eq!(code, Some(0), "{said}");
    let ann = Player::again(&server, "Ann").await;
    assert_eq!(ann.entered.inventory.len(), 1, "the character is like any other");
    let (code, said) = server.command(&["account", "create", "ANN"], PASSWORD).await;
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = server.command(&["account", "passwd", "Ann"], "another secret").await;
    assert_eq!(code, Some(0), "{said}");
    let mut client = server.connect().await;
    assert_eq!(refusal(client.login("Ann", PASSWORD).await), ErrorCode::ErrorBadCredentials);
    client.login("Ann", "another secret").await.unwrap();
    let (code, said) = server.command(&["account", "list"], "").await;
    assert!(code == Some(0) && said.contains("Ann") && said.contains("1 accounts"), "{said}");
    for arguments in [&["account", "ban", "Nobody"][..], &["account", "passwd", "Nobody"]] {
        let (code, said) = server.command(arguments, PASSWORD).await;
        assert!(code == Some(1) && said.contains("Nobody"), "{said}");
    }
    let (code, said) = server.command(&["account", "create", "no name"], PASSWORD).await;
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = server.command(&["check-config"], "").await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = server.command(&["check-config", "--set", "net.io_threads=-1"], "").await;
    assert!(code == Some(78) && said.contains("net.io_threads"), "{said}");
}
