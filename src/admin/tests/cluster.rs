//! The cluster over the operators' port: what it shows, zones moved, servers drained.

use super::*;
use crate::msg::master::{ServerStatus, ZoneStatus};

/// A server of the cluster that runs these zones.
fn status(server: u64, name: &str, zones: &[u16]) -> ServerStatus {
    ServerStatus {
        server: ServerId(server),
        name: name.to_owned(),
        roles: vec![Role::Zone],
        version: "0.1.0".into(),
        region: String::new(),
        host: "10.0.0.1".into(),
        port: 0,
        text_port: 0,
        players: 3,
        capacity: 100,
        cpu_percent: 12.0,
        memory: 1 << 20,
        zones: zones
            .iter()
            .map(|zone| ZoneStatus { zone: ZoneId(*zone), players: 3, origin: 1 })
            .collect(),
        draining: false,
        link_host: "10.1.0.1".into(),
        link_port: 8091,
        started_at: 5,
        links: 2,
    }
}

impl Port {
    /// With the servers `gate` (1), which runs zone 1, `zone-1` (21) and `zone-2` (22).
    async fn with_three() -> Self {
        let port = Self::open(true).await;
        for status in
            [status(1, "gate", &[1]), status(21, "zone-1", &[]), status(22, "zone-2", &[])]
        {
            port.to_master.send(MasterMsg::Status(Box::new(status))).unwrap();
        }
        while get(port.address, "/cluster").await.json()["servers"].as_array().unwrap().len() < 3 {}
        port
    }
}

#[tokio::test]
async fn the_cluster_is_shown_with_its_servers_and_zones() {
    let port = Port::with_three().await;
    let cluster = get(port.address, "/cluster").await;
    assert_eq!(cluster.status, 200);
    let cluster = cluster.json();
    assert_eq!((&cluster["players"], &cluster["settling"]), (&json!(0), &json!(false)));
    assert_eq!(cluster["balancing"], "least_connections");
    let gate = &cluster["servers"][0];
    for (field, wanted) in [
        ("name", json!("gate")),
        ("does", json!(["zone"])),
        ("version", json!("0.1.0")),
        ("link_host", json!("10.1.0.1")),
        ("link_port", json!(8091)),
        ("links", json!(2)),
        ("started_at", json!(5)),
        ("draining", json!(false)),
        ("state", json!("alive")),
        ("zones", json!([1])),
        ("memory_bytes", json!(1 << 20)),
    ] {
        assert_eq!(gate[field], wanted, "{field}");
    }
    let zone = json!({"zone": 1, "name": "Meadow", "players": 3, "state": "running", "server": 1});
    assert_eq!(cluster["zones"], json!([zone]));
}

#[tokio::test]
async fn a_zone_is_moved_by_name_or_number_to_a_server_by_name_or_id() {
    let mut port = Port::with_three().await;
    let to = |server: Value| json!({ "server": server });
    let there = port.post("/zones/meadow/move", to(json!("gate"))).await.json();
    assert_eq!((&there["under_way"], &there["from"]), (&json!(false), &Value::Null));
    let several = port.post("/zones/1/move", to(json!("zone"))).await;
    assert_error(&several, 409, "21 zone-1, 22 zone-2");
    let moving = port.post("/zones/1/move", to(json!(22))).await;
    let wanted = json!({"status": "ok", "zone": 1, "from": 1, "to": 22, "under_way": true});
    assert_eq!(moving.json(), wanted);
    let told = port.host.recv().await;
    assert_eq!(told, Some(HostMsg::Move { zone: ZoneId(1), to: ServerId(22) }));
    assert_error(&port.post("/zones/1/move", to(json!("zone-1"))).await, 409, "already");
    assert_error(&port.post("/zones/7/move", to(json!(22))).await, 404, "known are: 1 Meadow");
    let nowhere = port.post("/zones/1/move", to(json!("zone-9"))).await;
    assert_error(&nowhere, 404, "known are: 1 gate, 21 zone-1, 22 zone-2");
    for wrong in [json!(null), json!(""), json!([]), json!(-1), json!("x".repeat(200))] {
        assert_error(&port.post("/zones/1/move", to(wrong)).await, 400, "server");
    }
    let cluster = get(port.address, "/cluster").await.json();
    assert_eq!(
        (&cluster["zones"][0]["state"], &cluster["zones"][0]["from"]),
        (&json!("ordered"), &json!(1))
    );
}

#[tokio::test]
async fn a_server_is_drained_and_gets_no_zones_any_more() {
    let mut port = Port::with_three().await;
    let drained = port.post("/servers/ga/drain", json!({})).await;
    assert_eq!(drained.json(), json!({"status": "ok", "server_id": 1, "name": "gate"}));
    while port.node.recv().await.unwrap() != NodeMsg::Drain {}
    let Some(HostMsg::Move { zone, .. }) = port.host.recv().await else { panic!("its zone goes") };
    assert_eq!(zone, ZoneId(1));
    let gate = get(port.address, "/cluster").await.json()["servers"][0].clone();
    assert_eq!((&gate["state"], &gate["draining"]), (&json!("draining"), &json!(true)));
    let back = port.post("/zones/1/move", json!({"server": "gate"})).await;
    assert_error(&back, 409, "takes no zones");
    assert_error(&port.post("/servers/zone-1/drain", json!({})).await, 503, "cannot be reached");
    assert_error(&port.post("/servers/nobody/drain", json!({})).await, 404, "known are");
    let odd = port.post("/servers/%0A%1B/drain", json!({})).await;
    assert_error(&odd, 404, "no server ''");
}
