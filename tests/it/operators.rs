//! What operators see and do: metrics, health, the registry, start and stop.

use serde_json::json;
use throng::proto::{ChatChannel, DisconnectReason, EntityKind};
use throng::telemetry::catalogue::{Kind, METRICS};

use crate::floods::metric;
use crate::http::{get, post, request};
use crate::player::Player;
use crate::scenarios;
use crate::server::{Server, Topology, within};

scenarios![
    metrics_move_with_play,
    health_and_readiness_are_told,
    servers_register_over_http,
    operators_announce_and_kick,
    a_taken_port_is_named,
    the_default_world_is_alive,
    a_stop_tells_everybody,
];

/// Metrics that a little play in one process moves.
const MOVING: &[&str] = &[
    "throng_build_info",
    "throng_process_resident_bytes",
    "throng_process_threads",
    "throng_connections",
    "throng_connections_accepted_total",
    "throng_bytes_total",
    "throng_packets_total",
    "throng_packet_handling_seconds",
    "throng_login_seconds",
    "throng_sessions",
    "throng_visible_entities",
    "throng_updates_sent_total",
    "throng_errors_total",
    "throng_zone_tick_seconds",
    "throng_zone_tick_lag_seconds",
    "throng_zone_dilation",
    "throng_zone_players",
    "throng_zone_npcs",
    "throng_zone_items",
    "throng_events_total",
    "throng_event_queueing_seconds",
    "throng_handovers_total",
    "throng_handover_seconds",
    "throng_chat_messages_total",
    "throng_chat_rooms",
    "throng_guilds",
    "throng_database_seconds",
    "throng_commits_total",
    "throng_commit_group_size",
    "throng_database_queue_seconds",
];

async fn metrics_move_with_play(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    ann.chat(ChatChannel::ChatWorld, "", "hello").await.unwrap();
    ann.create_room("inn").await.unwrap();
    let guild = throng::proto::GuildCreateRequest { name: "Pack".into() };
    ann.guild(&guild).await.unwrap();
    ann.go(110.0, 0.0).await;
    let _ = ann.attack(wolf).await;
    for metric in METRICS.iter().filter(|metric| MOVING.contains(&metric.name)) {
        let name = match metric.kind {
            Kind::Histogram => format!("{}_count", metric.name),
            _ => metric.name.to_owned(),
        };
        within(&name, async {
            // Most are published once a second, and nothing tells when.
            while self::metric(&server, &name).await <= 0.0 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    let page = get(server.address("admin"), "/metrics").await;
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let all = server.metrics().await;
    for name in MOVING {
        assert!(METRICS.iter().any(|metric| metric.name == *name), "{name} is in no catalogue");
        assert!(all.contains(&format!("# HELP {name} ")), "{name} is explained");
    }
    assert!(!all.contains("Ann"), "no label names a player");
}

async fn health_and_readiness_are_told(topology: Topology) {
    let server = Server::start(topology);
    let admin = server.address("admin");
    assert_eq!(get(admin, "/healthz").await.status, 200);
    within("readiness", async { while get(admin, "/readyz").await.status != 200 {} }).await;
    assert_eq!(get(admin, "/nothing").await.status, 404);
    assert_eq!(request(admin, "DELETE", "/metrics", &[], "").await.status, 405);
    let dashboard = get(admin, "/").await;
    assert!(dashboard.status == 200 && dashboard.body.contains("<html"), "{}", dashboard.body);
    assert!(get(admin, "/openapi.json").await.json()["paths"]["/register"].is_object());
    let web = get(server.address("web"), "/").await;
    assert!(web.status == 200 && web.body.contains("<html"), "{}", web.body);
    let (code, said) = server.command(&["health", &format!("http://{admin}/healthz")], "").await;
    assert_eq!(code, Some(0), "{said}");
}

/// The operators' token, as the server has written it.
pub fn token(server: &Server) -> String {
    let text = std::fs::read_to_string(server.data().join("operator.token")).expect("a token");
    text.trim().to_owned()
}

async fn servers_register_over_http(topology: Topology) {
    let server = Server::start(topology);
    let (admin, token) = (server.address("admin"), token(&server));
    let world = json!({"type": 1, "host": "10.0.0.1", "port": 9000, "capacity": 50});
    assert_eq!(post(admin, "/register", None, &world).await.status, 401);
    assert_eq!(post(admin, "/register", Some("wrong"), &world).await.status, 401);
    let registered = post(admin, "/register", Some(&token), &world).await;
    assert_eq!(registered.status, 200, "{}", registered.body);
    let registered = registered.json();
    assert_eq!(registered["status"], "success");
    let id = &registered["server_id"];
    let beat = json!({"server_id": id, "current_load": 25});
    assert_eq!(post(admin, "/heartbeat", Some(&token), &beat).await.json()["status"], "ok");
    let found = post(admin, "/query", None, &json!({"type": "world"})).await.json();
    let found = found["servers"].as_array().expect("a list").clone();
    let ours = found.iter().find(|server| server["server_id"] == *id).expect("the new one");
    assert_eq!((&ours["host"], &ours["port"]), (&json!("10.0.0.1"), &json!(9000)));
    assert_eq!(ours["load"], json!(50), "25 clients of 50");
    let full = json!({"server_id": id, "current_load": 50});
    assert_eq!(post(admin, "/heartbeat", Some(&token), &full).await.json()["status"], "ok");
    let found = post(admin, "/query", None, &json!({"type": "world"})).await.json();
    let found = found["servers"].as_array().expect("a list");
    assert!(found.iter().all(|server| server["server_id"] != *id), "a full one is not named");

    let unknown = json!({"server_id": 12345, "current_load": 1});
    assert_eq!(post(admin, "/heartbeat", Some(&token), &unknown).await.status, 410);
    for (body, field) in [
        (json!({"type": 99, "host": "a", "port": 1, "capacity": 1}), "type"),
        (json!({"type": 1, "host": "a", "port": 70_000, "capacity": 1}), "port"),
        (json!({"type": 1, "host": "", "port": 1, "capacity": 1}), "host"),
        (json!({"type": 1, "host": "a", "port": 1}), "capacity"),
    ] {
        let refused = post(admin, "/register", Some(&token), &body).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.body);
        let message = refused.json()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(field), "{body}: {message}");
    }
    let garbage = [("Authorization", format!("Bearer {token}"))];
    let garbage: Vec<_> = garbage.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(request(admin, "POST", "/register", &garbage, "{not json").await.status, 400);
    let long = "x".repeat(200_000);
    assert_eq!(request(admin, "POST", "/register", &garbage, &long).await.status, 413);
    assert_eq!(get(admin, "/register").await.status, 405);
}

async fn operators_announce_and_kick(topology: Topology) {
    let server = Server::start(topology);
    let (admin, token) = (server.address("admin"), token(&server));
    let mut ann = Player::new(&server, "Ann").await;
    let words = json!({"text": "the server rests at noon"});
    let announced = post(admin, "/announce", Some(&token), &words).await;
    assert_eq!(announced.status, 200, "{}", announced.body);
    let heard = ann.hears("the server rests at noon").await;
    assert_eq!((heard.channel(), heard.sender_id), (ChatChannel::ChatSystem, 0));
    let ann_please = json!({"name": "ann"});
    assert_eq!(post(admin, "/kick", None, &ann_please).await.status, 401);
    let kicked = post(admin, "/kick", Some(&token), &ann_please).await;
    assert_eq!(kicked.status, 200, "{}", kicked.body);
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectKicked);
}

async fn a_taken_port_is_named(topology: Topology) {
    let server = Server::start(topology);
    for (name, key) in [("gateway", "ports.gateway"), ("text", "ports.text")] {
        let port = server.address(name).port().to_string();
        let (code, said) = Server::refused(&[(key, &port)]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(key) && said.contains(&port), "{said}");
    }
    let (code, said) = Server::refused(&[("net.io_threads", "999"), ("zone.save_seconds", "0")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("net.io_threads") && said.contains("zone.save_seconds"), "{said}");
}

async fn the_default_world_is_alive(topology: Topology) {
    let server = Server::start_with(topology, &[("world.file", ""), ("zone.seed", "")]);
    let mut ann = Player::new(&server, "Ann").await;
    ann.until_view("somebody else", |c| c.view().nearest(EntityKind::EntityNpc).is_some()).await;
    let before: Vec<_> = ann.view().iter().map(|(id, seen)| (id, seen.newest.at)).collect();
    ann.until_view("movement", |client| {
        before.iter().any(|(id, at)| {
            client.view().get(*id).is_some_and(|seen| seen.newest.at.distance(*at) > 0.5)
        })
    })
    .await;
    let place = ann.place();
    ann.go(place.x + 3.0, place.y).await;
    assert!(ann.quest_log().await.unwrap().quests.len() > 1);
    let query = json!({"type": "zone"});
    assert_eq!(post(server.address("admin"), "/query", None, &query).await.status, 200);
}

async fn a_stop_tells_everybody(topology: Topology) {
    let mut server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut text = crate::text::TextClient::player(&server, "Bob").await;
    ann.go(75.0, 5.0).await;
    server.terminate();
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectShutdown);
    text.expect("BYE").await;
    text.expect_end().await;
    assert_eq!(server.ended().await.code(), Some(0));
    server.start_again();
    let ann = Player::again(&server, "Ann").await;
    let player = ann.entered.player.as_ref().unwrap();
    assert!((player.x - 75.0).abs() < 0.2 && (player.y - 5.0).abs() < 0.2, "{player:?}");
}
