//! Whole runs against a small world that shows its players to each other, or fails to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::options::for_test;
use super::report::Report;
use crate::geometry::{Point, Pose, Rect};
use crate::proto::{self, PacketType};
use crate::protocol::packet;
use crate::tick::{TICK, unix_millis};
use crate::token::{TicketSigner, TicketVerifier};
use crate::world::entity::Handle;
use crate::world::frame::PackedPosition;

const ZONE: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 400.0, max_y: 400.0 };

type Outgoing = (PacketType, Vec<u8>);

/// What a world fails to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Shows places in one tick of three only.
    Sheds,
    /// Cuts everybody off when they walk.
    Cuts,
}

#[derive(Default)]
struct Players {
    /// Handles by name; a player's id is its handle.
    names: BTreeMap<String, u16>,
    inside: BTreeMap<u16, Sender<Outgoing>>,
    moved: BTreeMap<u16, Pose>,
}

struct World {
    port: u16,
    fault: Fault,
    verifier: Option<TicketVerifier>,
    players: Mutex<Players>,
    registered: AtomicU64,
    logged_in: AtomicU64,
    logged_out: AtomicU64,
}

fn enter_packet(handle: u16, name: &str) -> Outgoing {
    let entity = proto::EntityEnter {
        entity_id: u64::from(handle),
        kind: proto::EntityKind::EntityPlayer as i32,
        name: name.to_owned(),
        zone_id: 1,
        handle: u32::from(handle),
        ..Default::default()
    };
    (PacketType::EntityEnter, entity.encode_to_vec())
}

impl World {
    /// Runs on a thread of its own until the test is over.
    fn start(fault: Fault, key: &Path) -> Arc<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let signer = key.is_file().then(|| TicketSigner::load_or_create(key).unwrap());
        let world = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            fault,
            verifier: signer.map(|signer| signer.verifier()),
            players: Mutex::default(),
            registered: AtomicU64::new(0),
            logged_in: AtomicU64::new(0),
            logged_out: AtomicU64::new(0),
        });
        let there = world.clone();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::spawn(there.clone().tick());
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(there.clone().serve(stream));
                }
            });
        });
        world
    }

    async fn tick(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        for tick in 0u64.. {
            ticks.tick().await;
            let mut players = self.players.lock();
            let moved = std::mem::take(&mut players.moved);
            if moved.is_empty() || (self.fault == Fault::Sheds && !tick.is_multiple_of(3)) {
                continue;
            }
            let records =
                moved.iter().map(|(h, pose)| PackedPosition::pack(Handle(*h), *pose, &ZONE).0);
            let sync = proto::SyncPositions {
                zone_id: 1,
                tick,
                records: records.collect(),
                ..Default::default()
            };
            for sender in players.inside.values() {
                let _ = sender.try_send((PacketType::SyncPositions, sync.encode_to_vec()));
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let (mut read, mut write) = stream.into_split();
        let (sender, mut outgoing): (_, Receiver<Outgoing>) = channel(4_096);
        tokio::spawn(async move {
            let (mut sequence, mut frame) = (0, Vec::new());
            while let Some((kind, payload)) = outgoing.recv().await {
                sequence += 1;
                frame.clear();
                packet::append(&mut frame, kind, sequence, 1, &[&payload]);
                if write.write_all(&frame).await.is_err() {
                    return;
                }
            }
        });
        let mut me = None;
        while let Ok(length) = read.read_u32_le().await {
            let mut body = vec![0; length as usize];
            if read.read_exact(&mut body).await.is_err() {
                break;
            }
            let (header, payload) = packet::decode(&body, 16_384).unwrap();
            let kind = PacketType::try_from(header.kind).unwrap();
            if self.fault == Fault::Cuts && kind == PacketType::MovementUpdate {
                let message = "cut".to_owned();
                let notice = proto::DisconnectNotice { message, ..Default::default() };
                let _ = sender.send((PacketType::DisconnectNotice, notice.encode_to_vec())).await;
                break;
            }
            self.answer(kind, &payload, &mut me, &sender);
        }
        let mut players = self.players.lock();
        if let Some(me) = me {
            players.inside.remove(&me);
        }
    }

    fn answer(
        &self,
        kind: PacketType,
        payload: &[u8],
        me: &mut Option<u16>,
        sender: &Sender<Outgoing>,
    ) {
        let say = |kind, bytes| sender.try_send((kind, bytes)).unwrap();
        let players = &mut *self.players.lock();
        match kind {
            PacketType::RegisterRequest => {
                let ask = proto::RegisterRequest::decode(payload).unwrap();
                let handle = players.names.len() as u16 + 1;
                let success = !players.names.contains_key(&ask.username);
                if success {
                    players.names.insert(ask.username, handle);
                    self.registered.fetch_add(1, Relaxed);
                }
                let answer = proto::RegisterResponse {
                    success,
                    error_code: i32::from(!success) * proto::ErrorCode::ErrorNameTaken as i32,
                    player_id: u64::from(handle),
                    ..Default::default()
                };
                say(PacketType::RegisterResponse, answer.encode_to_vec());
            }
            PacketType::LoginRequest => {
                let ask = proto::LoginRequest::decode(payload).unwrap();
                self.logged_in.fetch_add(1, Relaxed);
                let answer = proto::LoginResponse {
                    success: true,
                    player_id: u64::from(players.names[&ask.username]),
                    session_token: ask.username,
                    ..Default::default()
                };
                say(PacketType::LoginResponse, answer.encode_to_vec());
            }
            PacketType::EnterWorldRequest => {
                let ask = proto::EnterWorldRequest::decode(payload).unwrap();
                *me = Some(self.enter(players, &ask.session_token, sender));
            }
            PacketType::MovementUpdate => {
                let update = proto::MovementUpdate::decode(payload).unwrap();
                let at = Point { x: update.x, y: update.y };
                players.moved.insert(me.unwrap(), Pose { at, rotation: update.rotation });
            }
            PacketType::HeartbeatRequest => {
                let ask = proto::HeartbeatRequest::decode(payload).unwrap();
                let client_time = ask.client_time;
                let answer = proto::HeartbeatResponse { client_time, server_time: 1 };
                say(PacketType::HeartbeatResponse, answer.encode_to_vec());
            }
            PacketType::LogoutRequest => {
                self.logged_out.fetch_add(1, Relaxed);
                let answer = proto::LogoutResponse { success: true };
                say(PacketType::LogoutResponse, answer.encode_to_vec());
            }
            _ => {}
        }
    }

    /// A ticket is a name, or one that a bot has signed itself.
    fn enter(&self, players: &mut Players, ticket: &str, sender: &Sender<Outgoing>) -> u16 {
        let signed = self.verifier.as_ref().and_then(|v| v.verify(ticket, unix_millis()).ok());
        let handle = match signed {
            Some(ticket) => ticket.player.0 as u16,
            None => players.names[ticket],
        };
        let name = players.names.iter().find(|(_, h)| **h == handle).unwrap().0.clone();
        let player = proto::PlayerInfo {
            player_id: u64::from(handle),
            name: name.clone(),
            x: 200.0,
            y: 200.0,
            ..Default::default()
        };
        let answer =
            proto::EnterWorldResponse { success: true, player: Some(player), ..Default::default() };
        let zone = proto::ZoneEnter {
            zone_id: 1,
            max_x: ZONE.max_x,
            max_y: ZONE.max_y,
            reset: true,
            ..Default::default()
        };
        let say = |packet| sender.try_send(packet).unwrap();
        say((PacketType::EnterWorldResponse, answer.encode_to_vec()));
        say((PacketType::ZoneEnter, zone.encode_to_vec()));
        for (name, other) in players.names.iter().filter(|(_, h)| players.inside.contains_key(h)) {
            say(enter_packet(*other, name));
        }
        for other in players.inside.values() {
            let _ = other.try_send(enter_packet(handle, &name));
        }
        players.inside.insert(handle, sender.clone());
        handle
    }

    /// A run of four bots for a good second.
    fn test(&self, key: &Path, more: &[&str]) -> anyhow::Result<Report> {
        let port = self.port.to_string();
        let key = key.to_str().unwrap();
        let mut words = vec!["--port", &port, "--login-port", &port, "--key", key];
        words.extend(["--clients", "4", "--duration", "1500ms", "--threads", "2"]);
        words.extend(more);
        super::run(for_test(&words))
    }
}

fn share(report: &Report) -> f64 {
    report.delivered as f64 / report.expected as f64
}

#[test]
fn a_world_that_shows_everything_has_delivered_everything() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("login.key");
    let world = World::start(Fault::None, &key);
    let report = world.test(&key, &["--assert", "errors=0,connected=4"]).unwrap();
    assert!(report.passed(), "{report}");
    // 4 watchers of 3 others at 10 inputs a second; a busy machine may be late now and then.
    assert!(report.expected > 100 && share(&report) > 0.8, "{report}");
    assert!(report.latency.count == report.delivered && report.latency.p50_ms > 0.0);
    assert_eq!(report.visible, Some(3.0), "{report}");
    assert!(report.updates_per_second > report.moves_per_second, "{report}");
    assert!(report.machine.server_memory.is_some() || !cfg!(target_os = "linux"));
    assert_eq!(world.logged_out.load(Relaxed), 4, "nobody is left standing about");
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["delivered"], report.delivered);
    assert!(!key.exists(), "a missing key is not made");
}

#[test]
fn a_world_that_sheds_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("login.key");
    let report = World::start(Fault::Sheds, &key)
        .test(&key, &["--scenario", "crowd", "--assert", "delivered>=90%"])
        .unwrap();
    assert!(share(&report) < 0.8, "{report}");
    assert!(!report.passed(), "{report}");
}

#[test]
fn a_world_that_cuts_its_players_off_is_at_fault() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("login.key");
    let fault = World::start(Fault::Cuts, &key).test(&key, &[]).unwrap_err();
    assert!(fault.to_string().contains("cut"), "{fault}");
}

#[test]
fn known_bots_come_in_with_tickets_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("login.key");
    TicketSigner::load_or_create(&key).unwrap();
    let world = World::start(Fault::None, &key);
    world.test(&key, &["--scenario", "echo"]).unwrap();
    let counts = || [&world.registered, &world.logged_in].map(|count| count.load(Relaxed));
    assert_eq!(counts(), [4, 0], "registering tells the id, and that is all a ticket needs");
    let report = world.test(&key, &["--scenario", "echo"]).unwrap();
    assert_eq!(counts(), [4, 0], "remembered");
    assert_eq!(report.delivered, report.expected, "{report}");

    // The memory of another world: bot 0 would be somebody else here.
    let file = folder.path().join("loadtest-accounts.json");
    let mut memory: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let other = memory["ids"]["bot00001"].clone();
    memory["ids"]["bot00000"] = other;
    std::fs::write(&file, memory.to_string()).unwrap();
    let report = world.test(&key, &["--scenario", "echo"]).unwrap();
    assert_eq!((report.connected, counts()), (4, [4, 1]), "it has logged in for real");
}

#[test]
fn nobody_there_is_no_test() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    drop(listener);
    let words = ["--port", &port, "--login-port", &port, "--clients", "2", "--duration", "100ms"];
    let fault = super::run(for_test(&words)).unwrap_err();
    assert!(fault.to_string().contains("cannot connect"), "{fault}");
}
