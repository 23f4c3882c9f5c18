//! `throng loadtest` against a real server: what it promises on its command line.

use crate::server::{Server, Topology};
use crate::{scenarios, scenarios_of_one_process};

scenarios!(
    bots_play_and_report,
    bots_talk_in_rooms,
    a_condition_that_does_not_hold_shows_in_the_exit_code,
    a_server_that_is_not_there_is_said_so,
);

mod own {
    super::scenarios_of_one_process!(
        a_run_may_bring_its_own_server_and_a_bare_loop,
        a_run_may_bring_several_processes_and_their_database,
    );
    use super::{
        a_run_may_bring_its_own_server_and_a_bare_loop,
        a_run_may_bring_several_processes_and_their_database,
    };
}

async fn bots(server: &Server, arguments: &[&str]) -> (Option<i32>, String) {
    let port = server.address("gateway").port().to_string();
    let key = server.data().join("login.key").display().to_string();
    let login = server.address("login").port().to_string();
    let mut line = vec!["loadtest", "--port", &port, "--login-port", &login, "--key", &key];
    line.extend(["--warm-up", "5s"]);
    line.extend(arguments);
    server.command(&line, "").await
}

async fn bots_play_and_report(topology: Topology) {
    let server = Server::start(topology);
    let run =
        ["--clients", "12", "--duration", "2s", "--json", "--assert", "errors=0,connected=12"];
    let (code, said) = bots(&server, &run).await;
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(said.trim()).expect("a JSON report");
    assert_eq!(report["connected"], 12);
    assert!(report["updates_per_second"].as_f64().unwrap() > 0.0, "{said}");
    assert!(report["latency"]["count"].as_u64().unwrap() > 0, "{said}");
    // The second run comes in with tickets of its own making: nobody is registered again.
    let (code, said) = bots(&server, &run).await;
    assert_eq!(code, Some(0), "{said}");
}

async fn bots_talk_in_rooms(topology: Topology) {
    let server = Server::start(topology);
    let run = ["--clients", "6", "--group", "6", "--scenario", "chat", "--duration", "5s"];
    let (code, said) = bots(&server, &[&run[..], &["--assert", "delivered=100%"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
}

async fn a_condition_that_does_not_hold_shows_in_the_exit_code(topology: Topology) {
    let server = Server::start(topology);
    let run = ["--clients", "2", "--duration", "500ms", "--assert", "connected>=3"];
    let (code, said) = bots(&server, &run).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILED"), "{said}");
    let (code, said) = bots(&server, &["--assert", "delivered>=lots"]).await;
    assert_eq!(code, Some(2), "{said}");
}

async fn a_server_that_is_not_there_is_said_so(topology: Topology) {
    let server = Server::start(topology);
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free.to_string();
    let run = ["loadtest", "--port", &port, "--login-port", &port, "--clients", "1"];
    let (code, said) = server.command(&run, "").await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot connect"), "{said}");
}

async fn a_run_may_bring_its_own_server_and_a_bare_loop(topology: Topology) {
    let server = Server::start(topology);
    let run = ["loadtest", "--start", "--baseline", "--scenario", "walk", "--clients", "5"];
    let more =
        ["--duration", "2s", "--warm-up", "5s", "--json", "--assert", "errors=0,connected=5"];
    let (code, said) = server.command(&[&run[..], &more].concat(), "").await;
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(said.trim()).expect("a JSON report");
    assert!(report["came_up_ms"].as_f64().unwrap() > 0.0, "{said}");
    assert!(report["ticks"]["count"].as_u64().unwrap() > 0, "{said}");
    assert!(report["syncs"].as_u64().unwrap() > 0, "{said}");
    assert!(report["bare"]["delivered"].as_f64().unwrap() > 0.0, "{said}");
    assert_eq!(report["server_said"].as_array().unwrap().len(), 0, "{said}");
}

async fn a_run_may_bring_several_processes_and_their_database(topology: Topology) {
    let server = Server::start(topology);
    let run = ["loadtest", "--start", "--processes", "--postgres", "own", "--scenario", "walk"];
    let more = ["--clients", "4", "--storm", "2", "--duration", "3s", "--json"];
    let (code, said) = server.command(&[&run[..], &more].concat(), "").await;
    assert_eq!(code, Some(0), "{said}");
    let report: serde_json::Value = serde_json::from_str(said.trim()).expect("a JSON report");
    assert_eq!(report["connected"], 4, "{said}");
    assert!(report["log_ins_per_second"].as_f64().unwrap() > 0.0, "{said}");
    assert!(report["latency_before"]["count"].as_u64().unwrap() > 0, "{said}");
    assert!(report["latency_later"]["count"].as_u64().unwrap() > 0, "{said}");
    assert!(report["ticks"]["count"].as_u64().unwrap() > 0, "{said}");
    assert!(report["threads"]["zone"].as_f64().is_none_or(|share| share < 1.0), "{said}");
}
