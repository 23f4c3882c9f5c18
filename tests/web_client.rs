//! The web client's codec against the server's definitions and bytes, and its connection when it is
//! lost, in node.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prost::Message;
use serde_json::{Value, json};
use throng::proto;

/// Runs one of `tests/web/` with the client's scripts beside it; none if there is no node.
fn in_node(test: &str, input: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!("there is no node here: the web client is not tested");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let scripts = ["web/codec.js", "web/sha256.js", "web/connection.js"].map(PathBuf::from);
    for script in scripts.iter().chain([&Path::new("tests/web").join(test)]) {
        std::fs::copy(root.join(script), folder.path().join(script.file_name().unwrap())).unwrap();
    }
    std::fs::write(folder.path().join("package.json"), "{\"type\":\"module\"}").unwrap();
    let mut node = Command::new("node")
        .arg(folder.path().join(test))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    node.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_lost_connection_goes_on_where_the_server_says() {
    if let Some(wrong) = in_node("connection.mjs", "") {
        assert_eq!(wrong, "", "{wrong}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn packet(kind: proto::PacketType, payload: &[u8], compressed: bool) -> String {
    let sent = if compressed { lz4_flex::block::compress(payload) } else { payload.to_vec() };
    let header = proto::PacketHeader {
        r#type: kind.into(),
        size: payload.len() as u32,
        sequence: 300,
        timestamp: 1_700_000_000_123,
        is_compressed: compressed,
    };
    hex(&proto::Packet { header: Some(header), payload: sent.into() }.encode_to_vec())
}

/// 16 bits of handle, 20 + 20 of centimetres, 8 of a 256th of a turn.
fn position(handle: u64, x: u64, y: u64, rotation: u64) -> u64 {
    handle | x << 16 | y << 36 | rotation << 56
}

fn server_packets() -> Vec<String> {
    let records = vec![position(65_000, 0xf_ffff, 123_456, 255), position(1, 1, 0x8_0000, 64)];
    let sync = proto::SyncPositions { zone_id: 3, tick: 1 << 40, records, dilation_percent: 60 };
    let enter = proto::EntityEnter {
        entity_id: (7 << 32) + 9,
        kind: proto::EntityKind::EntityNpc.into(),
        name: "Wölfin".into(),
        speed: 2.5,
        origin_x: -350.25,
        position: position(9, 100, 200, 128),
        ..Default::default()
    };
    let quest = proto::Quest {
        quest: "hunt".into(),
        name: "The hunt".into(),
        state: proto::QuestState::QuestActive.into(),
        goals: vec![proto::QuestGoal { description: "Wolf".into(), done: 0, wanted: 3 }; 40],
    };
    let log = proto::QuestLog { quests: vec![quest] };
    vec![
        packet(proto::PacketType::SyncPositions, &sync.encode_to_vec(), false),
        packet(proto::PacketType::EntityEnter, &enter.encode_to_vec(), false),
        packet(proto::PacketType::QuestLog, &log.encode_to_vec(), true),
    ]
}

#[test]
fn the_web_client_speaks_the_servers_protocol() {
    let requests = json!([
        ["LOGIN_REQUEST", { "username": "ann", "password_hash": "00ff", "client_version": "0.1.0" }],
        ["MOVE_TO", { "x": -12.5, "y": 0.25 }],
        ["COMBAT_ACTION", { "target_id": (7u64 << 32) + 9, "view_tick": 1u64 << 40, "view_ms": 49 }],
    ]);
    let input = json!({
        "folder": Path::new(env!("CARGO_MANIFEST_DIR")).join("proto"),
        "packets": server_packets(),
        "requests": requests,
        "texts": ["", "abc", "pässword", "x".repeat(200)],
    });
    let Some(said) = in_node("codec.mjs", &input.to_string()) else { return };
    let said: Value = serde_json::from_str(&said).unwrap();

    assert_eq!(said["messages"], json!([]), "web/codec.js and proto/ differ in these messages");
    assert_eq!(said["types"], true, "web/codec.js and proto/packet.proto differ");
    assert_eq!(said["unknown"], json!([]));
    check_read(&said["read"]);
    check_written(&said["written"]);
    for (pair, text) in said["digests"].as_array().unwrap().iter().zip(["", "abc", "pässword"]) {
        let wanted = throng::protocol::client::password_hash(text);
        assert_eq!(pair, &json!([wanted, wanted]), "'{text}'");
    }
}

fn check_read(read: &Value) {
    assert_eq!(read[0]["name"], "SYNC_POSITIONS");
    assert_eq!(read[0]["body"]["tick"], 1u64 << 40);
    let first = &read[0]["body"]["records"][0];
    assert_eq!((&first["handle"], &first["x"]), (&json!(65_000), &json!(10_485.75)));
    assert_eq!((&first["y"], &first["rotation"]), (&json!(1_234.56), &json!(358.593_75)));
    let second = &read[0]["body"]["records"][1];
    assert_eq!((&second["y"], &second["rotation"]), (&json!(5_242.88), &json!(90)));
    let entity = &read[1]["body"];
    assert_eq!(
        (&entity["entity_id"], &entity["name"]),
        (&json!((7u64 << 32) + 9), &json!("Wölfin"))
    );
    assert_eq!((&entity["origin_x"], &entity["level"]), (&json!(-350.25), &json!(0)));
    let goals = read[2]["body"]["quests"][0]["goals"].as_array().unwrap();
    assert_eq!((goals.len(), &goals[39]["wanted"]), (40, &json!(3)));
}

fn check_written(written: &Value) {
    let packets: Vec<proto::Packet> = written
        .as_array()
        .unwrap()
        .iter()
        .map(|text| proto::Packet::decode(unhex(text.as_str().unwrap()).as_slice()).unwrap())
        .collect();
    for (place, packet) in packets.iter().enumerate() {
        let header = packet.header.as_ref().unwrap();
        assert_eq!(header.sequence, place as u64 + 1);
        assert_eq!(header.size as usize, packet.payload.len());
        assert_eq!(header.timestamp, 1_700_000_000_123);
    }
    let login = proto::LoginRequest::decode(packets[0].payload.clone()).unwrap();
    assert_eq!((login.username.as_str(), login.password_hash.as_str()), ("ann", "00ff"));
    let walk = proto::MoveTo::decode(packets[1].payload.clone()).unwrap();
    assert_eq!((walk.x, walk.y), (-12.5, 0.25));
    let strike = proto::CombatAction::decode(packets[2].payload.clone()).unwrap();
    assert_eq!((strike.target_id, strike.view_tick), ((7 << 32) + 9, 1 << 40));
}
