//! The real router on a free port, beside a real master and a real store.

mod cluster;
#[path = "../../tests/common/http.rs"]
mod http;

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::*;
use crate::ids::{PlayerId, RequestId, ServerId, SessionKey, SessionRef};
use crate::link::{Inbox, Outbox, inbox};
use crate::master::query::QUERIES_WAITING;
use crate::master::{self, MasterConfig};
use crate::msg::{GatewayMsg, HostMsg, MasterMsg, NodeMsg};
use crate::role::{Role, Roles};
use crate::store::StoreConfig;
use http::{get, post, raw, request};

const TOKEN: &str = "correct-horse-battery-staple-glue";
const GATEWAY: ServerId = ServerId(1);

/// A served port.
struct Port {
    address: SocketAddr,
    readiness: Readiness,
    store: Store,
    to_master: Outbox<MasterMsg>,
    gateway: Inbox<GatewayMsg>,
    node: Inbox<NodeMsg>,
    host: Inbox<HostMsg>,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Port {
    /// With a master that is asked through this process, or without one.
    async fn open(with_master: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let (ask, queries) = mpsc::channel(QUERIES_WAITING);
        let (to_master, messages) = inbox(64, false);
        let (outbox, gateway) = inbox(64, false);
        let peers = master::Peers::default();
        peers.gateways.insert(GATEWAY, outbox);
        let (outbox, node) = inbox(64, false);
        peers.nodes.insert(GATEWAY, outbox);
        let (outbox, host) = inbox(64, false);
        peers.hosts.insert(GATEWAY, outbox);
        let stop = CancellationToken::new();
        let config = MasterConfig::default();
        let zones = vec![ZoneId(1)];
        let parts = master::Parts { config, zones, alone: true, peers, store: store.clone() };
        tokio::spawn(master::run(parts, messages, queries, stop.clone()));
        let readiness = Readiness::new(Roles::all());
        Role::ALL.into_iter().for_each(|role| readiness.started(role));
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let state = AdminState {
            metrics: recorder.handle(),
            token: OperatorToken::new(TOKEN).unwrap(),
            master: with_master.then_some(ask),
            master_links: vec!["master.example:8091".to_owned()],
            store: Some(store.clone()),
            readiness: readiness.clone(),
            started: crate::tick::now(),
            hosts: Hosts::new(["ops.example".to_owned()]),
            zone_names: BTreeMap::from([(ZoneId(1), "Meadow".into())]),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(serve(listener, router(state), stop.clone()));
        Self {
            address,
            readiness,
            store,
            to_master,
            gateway,
            node,
            host,
            stop,
            served,
            _folder: folder,
        }
    }

    async fn post(&self, path: &str, body: Value) -> http::Response {
        post(self.address, path, Some(TOKEN), &body).await
    }

    /// Registers a server and gives its id.
    async fn register(&self, kind: Value, port: u16) -> u64 {
        let body = json!({"type": kind, "host": "10.0.0.7", "port": port, "capacity": 100});
        let answer = self.post("/register", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.json()["status"], "success");
        answer.json()["server_id"].as_u64().unwrap()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[track_caller]
fn assert_error(answer: &http::Response, status: u16, part: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["status"], "error");
    let message = body["message"].as_str().unwrap();
    assert!(message.contains(part), "'{message}' does not name '{part}'");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_server_registers_beats_and_is_found_least_loaded_first() {
    let port = Port::open(true).await;
    let zone = port.register(json!(2), 9_000).await;
    let other = port.register(json!("zone"), 9_001).await;
    port.register(json!("CHAT"), 9_002).await;
    let beat = |id: u64, load: Value| {
        port.post("/heartbeat", json!({"server_id": id, "current_load": load}))
    };
    assert_eq!(beat(zone, json!(70)).await.json(), json!({"status": "ok"}));
    assert_eq!(beat(other, json!(12.0)).await.status, 200, "a whole number, however written");
    let found = post(port.address, "/query", None, &json!({"type": 2})).await;
    let wanted = json!({"servers": [
        {"server_id": other, "host": "10.0.0.7", "port": 9_001, "load": 12},
        {"server_id": zone, "host": "10.0.0.7", "port": 9_000, "load": 70},
    ]});
    assert_eq!(found.json(), wanted);
    beat(other, json!(100)).await;
    let found = post(port.address, "/query", None, &json!({"type": "zone"})).await.json();
    assert_eq!(found["servers"].as_array().unwrap().len(), 1, "the full one is left out");
    let none = post(port.address, "/query", None, &json!({"type": "database"})).await;
    assert_eq!(none.json(), json!({"servers": []}));
}

#[tokio::test]
async fn the_load_is_a_count_measured_against_the_capacity() {
    let port = Port::open(true).await;
    let mut ids = Vec::new();
    for (place, (capacity, clients, _)) in LOADS.into_iter().enumerate() {
        let at = 9_000 + place;
        let body = json!({"type": 1, "host": "h", "port": at, "capacity": capacity});
        let id = port.post("/register", body).await.json()["server_id"].clone();
        let beat = json!({"server_id": id, "current_load": clients});
        assert_eq!(port.post("/heartbeat", beat).await.status, 200, "{clients} of {capacity}");
        ids.push(id);
    }
    let found = post(port.address, "/query", None, &json!({"type": "world"})).await.json();
    let found: Vec<(Value, Value)> = found["servers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|server| (server["server_id"].clone(), server["load"].clone()))
        .collect();
    let by_share = [5, 4, 0, 1].map(|at: usize| (ids[at].clone(), json!(LOADS[at].2)));
    assert_eq!(found, by_share, "those that are full are not named");
}

/// Capacity, clients, percent; the last two differ by less than a percent.
const LOADS: [(u64, u64, u64); 6] =
    [(200, 50, 25), (1_000, 999, 99), (80, 80, 100), (80, 81, 100), (10_000, 19, 0), (1_000, 1, 0)];

#[tokio::test]
async fn an_unknown_server_is_told_to_register_again() {
    let port = Port::open(true).await;
    let beat = |id: u64| json!({"server_id": id, "current_load": 1});
    assert_error(&port.post("/heartbeat", beat(5)).await, 410, "register again");
    let first = port.register(json!(2), 9_000).await;
    let again = port.register(json!(2), 9_000).await;
    assert_ne!(first, again, "the same program, started again");
    assert_error(&port.post("/heartbeat", beat(first)).await, 410, "register again");
    assert_eq!(port.post("/heartbeat", beat(again)).await.status, 200);
    assert_eq!(port.post("/unregister", json!({"server_id": again})).await.status, 200);
    assert_error(&port.post("/unregister", json!({"server_id": again})).await, 410, "unknown");
}

#[tokio::test]
async fn what_is_wrong_with_a_body_is_named() {
    let port = Port::open(true).await;
    let good = json!({"type": 2, "host": "h", "port": 1, "capacity": 1});
    for (field, wrong) in [
        ("type", json!(7)),
        ("type", json!("queen")),
        ("type", json!(-1)),
        ("type", json!(null)),
        ("host", json!("")),
        ("host", json!("a b")),
        ("host", json!("x'; DROP TABLE servers; --")),
        ("host", json!("h".repeat(254))),
        ("host", json!(5)),
        ("port", json!(0)),
        ("port", json!(65_536)),
        ("port", json!("9000")),
        ("port", json!(1.5)),
        ("capacity", json!(0)),
        ("capacity", json!(-5)),
        ("capacity", json!(1e30)),
        ("region", json!(["eu"])),
        ("region", json!("a\u{0}b")),
    ] {
        let mut body = good.clone();
        body[field] = wrong.clone();
        assert_error(&port.post("/register", body).await, 400, field);
    }
    for field in ["type", "host", "port", "capacity"] {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(field);
        assert_error(&port.post("/register", body).await, 400, &format!("{field} is missing"));
    }
    for load in [json!(-1), json!(12.5), json!(10_000_001), json!("50"), json!(null)] {
        let body = json!({"server_id": 1, "current_load": load});
        assert_error(&port.post("/heartbeat", body).await, 400, "current_load");
    }
    for id in [json!(0), json!(-1), json!("1"), json!(1u64 << 53)] {
        let body = json!({"server_id": id, "current_load": 1});
        assert_error(&port.post("/heartbeat", body).await, 400, "server_id");
    }
    assert_error(&post(port.address, "/query", None, &json!({})).await, 400, "type");
    for (body, part) in [("", "JSON"), ("{", "JSON"), ("[1]", "object"), ("{\"type\":}", "JSON")] {
        assert_error(&request(port.address, "POST", "/query", &[], body).await, 400, part);
    }
    assert_eq!(port.post("/register", good).await.status, 200);
}

#[tokio::test]
async fn whatever_changes_state_needs_the_token() {
    let port = Port::open(true).await;
    let bodies = [
        ("/register", json!({"type": 2, "host": "h", "port": 1, "capacity": 1})),
        ("/heartbeat", json!({"server_id": 1, "current_load": 1})),
        ("/unregister", json!({"server_id": 1})),
        ("/kick", json!({"name": "Anna_1"})),
        ("/announce", json!({"text": "hello"})),
        ("/zones/1/move", json!({"server": "1"})),
        ("/servers/1/drain", json!({})),
    ];
    for (path, body) in bodies {
        for token in [None, Some("wrong-horse-battery-staple"), Some("")] {
            let answer = post(port.address, path, token, &body).await;
            assert_error(&answer, 401, "token");
            assert!(answer.header("www-authenticate").is_some_and(|v| v.starts_with("Bearer")));
        }
    }
    assert_eq!(get(port.address, "/servers").await.json(), json!({"servers": []}));
}

#[tokio::test]
async fn unknown_routes_wrong_methods_and_huge_bodies_are_answered_in_json() {
    let port = Port::open(true).await;
    assert_error(&get(port.address, "/nowhere?secret=1").await, 404, "/nowhere");
    let wrong = get(port.address, "/register").await;
    assert_error(&wrong, 405, "/register");
    assert_eq!(wrong.header("allow"), Some("POST"));
    let wrong = request(port.address, "DELETE", "/servers", &[], "").await;
    assert_error(&wrong, 405, "DELETE");
    let huge = json!({"type": 2, "host": "h".repeat(20_000)});
    assert_error(&post(port.address, "/query", None, &huge).await, 413, "16384");
    // Without saying how long it is.
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let head = "POST /query HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_error(&raw(port.address, &format!("{head}{chunk}{chunk}0\r\n\r\n")).await, 413, "16384");
}

#[tokio::test]
async fn a_process_without_a_master_says_so_and_still_has_health_and_metrics() {
    let port = Port::open(false).await;
    for path in ["/query", "/register"] {
        let body = json!({"type": 2, "host": "h", "port": 1, "capacity": 1});
        assert_error(&port.post(path, body).await, 404, "no master");
    }
    for path in ["/servers", "/cluster"] {
        let answer = get(port.address, path).await;
        assert_error(&answer, 404, "no master");
        assert_error(&answer, 404, "master.example:8091");
    }
    assert_eq!(get(port.address, "/healthz").await.status, 200);
    assert_eq!(get(port.address, "/readyz").await.status, 200);
    let metrics = get(port.address, "/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let status = get(port.address, "/status.json").await.json();
    assert_eq!((&status["master"], &status["roles"]), (&Value::Null, &json!("all")));
}

#[tokio::test]
async fn readiness_names_what_is_missing_and_health_does_not_care() {
    let port = Port::open(true).await;
    let ready = get(port.address, "/readyz").await;
    assert_eq!((ready.status, ready.json()), (200, json!({"status": "ok", "problems": []})));
    port.readiness.does_without(vec!["no master is linked".into()]);
    let ready = get(port.address, "/readyz").await;
    let warned = json!({"status": "ok", "problems": [], "warnings": ["no master is linked"]});
    assert_eq!((ready.status, ready.json()), (200, warned));
    port.readiness.ended(Role::Zone);
    port.store.close().await;
    let unready = get(port.address, "/readyz").await;
    assert_eq!(unready.status, 503);
    let problems = unready.json()["problems"].to_string();
    assert!(problems.contains("zone") && problems.contains("store"), "{problems}");
    assert_eq!(get(port.address, "/healthz").await.status, 200);
    assert_eq!(get(port.address, "/servers").await.status, 200);
}

#[tokio::test]
async fn a_strangers_name_is_answered_with_nothing_but_the_key_that_would_allow_it() {
    let port = Port::open(true).await;
    let ask = async |path: &str, host: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(port.address, &head).await
    };
    for path in ["/", "/metrics", "/cluster", "/status.json", "/readyz", "/nowhere"] {
        for host in ["evil.example", "evil.example:8090"] {
            assert_error(&ask(path, host).await, 421, "admin.allowed_hosts");
        }
    }
    for host in ["127.0.0.1:8090", "10.0.0.3:8090", "localhost:1", "ops.example:8090"] {
        assert_eq!(ask("/metrics", host).await.status, 200, "{host}");
    }
    let old = raw(port.address, "GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(old.status, 200, "a program that names no host");
}

#[tokio::test]
async fn operators_kick_and_announce() {
    let mut port = Port::open(true).await;
    let nobody = port.post("/kick", json!({"name": "Anna_1"})).await;
    assert_error(&nobody, 404, "no player called Anna_1 is in the world");
    let claim = MasterMsg::Claim {
        request: RequestId(1),
        player: PlayerId(4),
        name: "Anna_1".into(),
        session: SessionRef { gateway: GATEWAY, key: SessionKey(9) },
        device: String::new(),
    };
    port.to_master.send(claim).unwrap();
    // The grant first: then the master knows the player.
    loop {
        if let Some(GatewayMsg::PresenceGranted { .. }) = port.gateway.recv().await {
            break;
        }
    }
    let kicked = port.post("/kick", json!({"name": "anna_1", "message": "be nice"})).await;
    assert_eq!(kicked.json(), json!({"status": "ok"}), "{}", kicked.status);
    let told = port.post("/announce", json!({"text": "restart at noon"})).await;
    assert_eq!(told.json(), json!({"status": "ok", "gateways": 1}));
    let (mut kicks, mut words) = (0, 0);
    while kicks + words < 2 {
        match port.gateway.recv().await {
            Some(GatewayMsg::Kick { session, message, .. }) => {
                assert_eq!((session, message.as_str()), (SessionKey(9), "be nice"));
                kicks += 1;
            }
            Some(GatewayMsg::Broadcast { .. }) => words += 1,
            Some(_) => {}
            None => panic!("the master is gone"),
        }
    }
    assert_eq!((kicks, words), (1, 1));
    assert_error(&port.post("/kick", json!({"name": "x"})).await, 400, "name");
    let long = port.post("/announce", json!({"text": "x".repeat(257)})).await;
    assert_error(&long, 400, "text");
}

#[tokio::test]
async fn the_dashboard_loads_nothing_from_elsewhere() {
    let port = Port::open(true).await;
    for (path, kind) in
        [("/", "text/html"), ("/dashboard.css", "text/css"), ("/dashboard.js", "text/javascript")]
    {
        let page = get(port.address, path).await;
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").is_some_and(|value| value.starts_with(kind)));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let foreign = page.body.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http:") && !foreign.contains("https:"), "{path}");
        assert!(!foreign.contains("<style") && !foreign.contains("onclick"), "{path}");
    }
    let status = get(port.address, "/status.json").await.json();
    assert_eq!(status["master"]["balancing"], "least_connections");
    assert_eq!(status["zone_names"]["1"], "Meadow");
}

#[tokio::test]
async fn the_description_names_every_route_and_each_route_is_there() {
    let port = Port::open(true).await;
    let description = get(port.address, "/openapi.json").await.json();
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths = description["paths"].as_object().unwrap();
    let wanted = [
        "/announce",
        "/cluster",
        "/healthz",
        "/heartbeat",
        "/kick",
        "/metrics",
        "/query",
        "/readyz",
        "/register",
        "/servers",
        "/servers/{server}/drain",
        "/status.json",
        "/unregister",
        "/zones/{zone}/move",
    ];
    let mut named: Vec<&str> = paths.keys().map(String::as_str).collect();
    named.sort_unstable();
    assert_eq!(named, wanted);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap() {
            let method = method.to_uppercase();
            let answer = request(port.address, &method, path, &[], "").await;
            assert!(![404, 405].contains(&answer.status), "{method} {path}: {}", answer.status);
            let guarded = operation.get("security").is_some();
            assert_eq!(answer.status == 401, guarded, "{method} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn the_port_closes_when_it_is_told_to_though_a_client_stays() {
    let mut port = Port::open(true).await;
    let idle = tokio::net::TcpStream::connect(port.address).await.unwrap();
    assert_eq!(get(port.address, "/healthz").await.status, 200);
    port.stop.cancel();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), &mut port.served).await;
    ended.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(port.address).await.is_err());
    drop(idle);
}
