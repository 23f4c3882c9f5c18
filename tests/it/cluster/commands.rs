//! The operators' commands against a running server: the cluster shown, zones, words, kicks, and
//! errors that say what to do.

use serde_json::Value;
use throng::proto::{ChatChannel, DisconnectReason};

use crate::http::post;
use crate::operators::token;
use crate::player::Player;
use crate::scenarios;
use crate::server::{Server, Topology, within};

scenarios![
    operators_look_at_the_cluster_by_command,
    operators_act_by_command,
    commands_say_what_is_wrong,
    servers_and_zones_have_names,
    the_only_server_is_not_ended_unasked,
];

/// A command against the server's operators' port: its exit code and what it said.
async fn run(server: &Server, words: &[&str]) -> (Option<i32>, String) {
    let master = format!("http://{}", server.address("admin"));
    let words: Vec<&str> = words.iter().copied().chain(["--master", &master]).collect();
    server.command(&words, "").await
}

/// The cluster as JSON, by command.
async fn shown(server: &Server) -> Value {
    let (code, said) = run(server, &["cluster", "status", "--json"]).await;
    assert_eq!(code, Some(0), "{said}");
    serde_json::from_str(&said).expect("JSON alone")
}

/// The same, once every zone runs.
async fn settled(server: &Server) -> Value {
    within("zones that run", async {
        loop {
            let cluster = shown(server).await;
            let zones = cluster["zones"].as_array().expect("a list");
            if zones.iter().all(|zone| zone["state"] == "running") {
                return cluster;
            }
        }
    })
    .await
}

async fn operators_look_at_the_cluster_by_command(topology: Topology) {
    let server = Server::start(topology);
    let _ann = Player::new(&server, "Ann").await;
    // Players are told once a second.
    within("Ann in the numbers", async {
        while !run(&server, &["cluster", "status"]).await.1.contains("1 player;") {}
    })
    .await;
    let cluster = settled(&server).await;
    assert_eq!(cluster["players"], 1);
    let (code, said) = run(&server, &["cluster", "status"]).await;
    assert_eq!(code, Some(0), "{said}");
    let gateway = format!(":{} ", server.address("gateway").port());
    let line = said.lines().find(|line| line.contains(&gateway)).expect("the gateway's line");
    for part in ["alive", env!("CARGO_PKG_VERSION"), " MiB "] {
        assert!(line.contains(part), "no {part} in: {line}");
    }
    let servers = cluster["servers"].as_array().expect("a list");
    for zone in cluster["zones"].as_array().expect("a list") {
        let home = servers.iter().find(|known| known["server_id"] == zone["server"]);
        let home = home.expect("its server is known");
        assert!(home["zones"].as_array().expect("a list").contains(&zone["zone"]), "{cluster}");
        let name = zone["name"].as_str().expect("a name");
        let line = said.lines().find(|line| line.contains(name)).expect("each zone has a line");
        assert!(line.contains(&format!("({})", zone["server"])), "{line}");
    }
    let (code, said) = run(&server, &["zones", "list"]).await;
    assert_eq!((code, said.lines().count()), (Some(0), 4), "{said}");
    let (_, said) = run(&server, &["zones", "list", "--json"]).await;
    let zones: Value = serde_json::from_str(&said).expect("JSON alone");
    assert_eq!(zones[0]["server"], cluster["zones"][0]["server"]);
}

async fn operators_act_by_command(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let (code, said) = run(&server, &["announce", "the server rests at noon"]).await;
    assert_eq!((code, said.trim()), (Some(0), "told through 1 gateway"));
    assert_eq!(ann.hears("the server rests at noon").await.channel(), ChatChannel::ChatSystem);
    // It is there already, and from now on by the operators' choice.
    let home = settled(&server).await["zones"][1]["server"].to_string();
    let (code, said) = run(&server, &["zones", "move", "arena", &home]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("zone 2 Arena runs on "), "{said}");
    let (code, said) = run(&server, &["kick", "ann", "--message", "be kind"]).await;
    assert_eq!(code, Some(0), "{said}");
    let notice = ann.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectKicked);
    assert_eq!(notice.message, "be kind");
}

async fn commands_say_what_is_wrong(topology: Topology) {
    let server = Server::start(topology);
    let file = server.data().join("wrong.token");
    std::fs::write(&file, "this-is-not-the-right-token").expect("a file");
    let wrong = ["--token-file", file.to_str().expect("a plain path")];
    let missing = ["--token-file", "/nowhere/at/all"];
    for (words, code, part) in [
        (&["kick", "nobody"][..], 1, "throng: no player called nobody is in the world\n"),
        (&["kick", "a b"], 1, "name"),
        (&["announce", ""], 1, "text"),
        (&["zones", "move", "attic", "all"], 1, "known are: 1 Field, 2 Arena, 3 Moor"),
        (&["zones", "move", "1", "elsewhere"], 1, "no server 'elsewhere'"),
        (&["drain", "elsewhere"], 1, "no server 'elsewhere'"),
        (&["drain"], 2, "SERVER"),
        (&["announce", "hello", wrong[0], wrong[1]], 77, "not the operators' token"),
        (&["announce", "hello", missing[0], missing[1]], 77, "/nowhere/at/all"),
    ] {
        let (got, said) = run(&server, words).await;
        assert_eq!(got, Some(code), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
    }
    // Looking for accounts where there are none makes no place for them.
    let at = server.data().with_file_name("an-empty-folder");
    let there = at.to_str().expect("a plain path");
    for words in [&["account", "list"][..], &["account", "ban", "mallory"]] {
        let elsewhere = ["--data-dir", there, "--set", "store.url=sqlite"];
        let (got, said) = server.command(&[words, &elsewhere].concat(), "").await;
        assert_eq!(got, Some(1), "{said}");
        for part in [there, "throng.db", "--data-dir"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!at.exists(), "{words:?} has made something");
    }
    // A port that nobody has: it was somebody's just now.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr());
    let nobody = format!("http://{}", free.expect("a free port"));
    let (code, said) = server.command(&["cluster", "status", "--master", &nobody], "").await;
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(&nobody) && said.contains("--master"), "{said}");
}

async fn the_only_server_is_not_ended_unasked(topology: Topology) {
    let mut server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    settled(&server).await;
    if topology == Topology::Spread {
        // There are others: nothing is asked.
        let (code, said) = run(&server, &["drain", "chat"]).await;
        assert_eq!(code, Some(0), "{said}");
        return;
    }
    let (code, said) = run(&server, &["drain", "world"]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("the only server") && said.contains("--yes"), "{said}");
    ann.say("still here").await.unwrap();
    let (code, said) = run(&server, &["drain", "world", "--yes"]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(ann.sent_away().await.reason(), DisconnectReason::DisconnectShutdown);
    assert_eq!(server.ended().await.code(), Some(0));
}

async fn servers_and_zones_have_names(topology: Topology) {
    let server = Server::start(topology);
    let (admin, token) = (server.address("admin"), token(&server));
    let home = settled(&server).await["zones"][0]["server"].clone();
    let id = home.to_string();
    let (begins, _) = id.split_at(id.len() - 1);
    let mut words = vec![home.clone(), Value::from(begins)];
    if topology != Topology::Spread {
        // Without a name of its own a server is called after its roles.
        words.push(Value::from("wor"));
    }
    for server in words {
        let body = serde_json::json!({ "server": server });
        let moved = post(admin, "/zones/field/move", Some(&token), &body).await;
        assert_eq!(moved.status, 200, "{}", moved.body);
        assert_eq!(moved.json()["to"], home);
    }
    let (code, said) = Server::refused(&[("name", "two words")]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("name = "), "{said}");
}
