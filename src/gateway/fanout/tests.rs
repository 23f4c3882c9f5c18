//! The fan-out by hand: a zone made up by the test, sockets that only note what is written, and
//! clients that read it as docs/protocol.md says.

mod crowd;
mod order;
mod picture;
mod stage;

use std::collections::BTreeMap;
use std::rc::Rc;

use prost::Message;

use super::*;
use crate::gateway::outlet::{Outlet, ReliableLog, Shelf};
use crate::gateway::pace::{Budgets, Strikes};
use crate::geometry::{Point, Pose, Rect};
use crate::ids::{EventId, PlayerId};
use crate::msg::backlog::Backlog;
use crate::msg::frame::{Descriptors, HealthTold, WireBytes};
use crate::net::rate::{RateGate, Withheld};
use crate::net::{Framing, Peer};
use crate::proto::{self, PacketType};
use crate::protocol::{packet, server};
use crate::tick::Tick;
use crate::world::content::ZoneKind;
use crate::world::entity::{Appearance, Look as Looks};
use crate::world::event::{Event, EventKind};
use crate::world::frame::{Frame, PackedPosition};

const ZONE: ZoneId = ZoneId(1);
const BOUNDS: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 400.0, max_y: 400.0 };

fn zone() -> ZoneKind {
    ZoneKind {
        id: ZONE,
        name: "Arena".into(),
        bounds: BOUNDS,
        spawn: Point { x: 200.0, y: 200.0 },
        pvp: true,
        npcs: vec![],
        items: vec![],
    }
}

/// Sockets that take everything, but for those that have too much waiting.
struct Wires {
    now: Instant,
    written: BTreeMap<ConnId, Vec<u8>>,
    slow: Vec<ConnId>,
    closed: Vec<(ConnId, CloseReason)>,
}

impl Sockets for Wires {
    fn waiting(&self, conn: ConnId) -> usize {
        usize::from(self.slow.contains(&conn))
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        self.written.entry(conn).or_default().extend_from_slice(bytes);
        Written::All
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.closed.push((conn, reason));
    }

    fn now(&self) -> Instant {
        self.now
    }
}

/// One entity of the made-up zone.
#[derive(Debug, Clone)]
struct Thing {
    id: EntityId,
    at: Point,
    health: u32,
    level: u32,
    shown_at: PackedPosition,
}

/// A zone, a fan-out, and those who look on.
struct Stage {
    tick: u64,
    things: BTreeMap<u16, Thing>,
    descriptors: Descriptors,
    /// By handle: whether its descriptor has changed, and whether that is announced.
    changed: BTreeMap<u16, bool>,
    events: Vec<EventKind>,
    events_made: u64,
    fanout: Fanout,
    conns: Vec<Option<Box<Conn>>>,
    wires: Wires,
    backlog: Backlog,
    bandwidth: (u32, u32),
}

/// A packet as its client reads it.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Enter(proto::EntityEnter),
    Leave(u64),
    Event(proto::GameEvent),
    Positions(proto::SyncPositions),
    Other(PacketType),
}

/// Whole frames, read.
fn read(mut bytes: &[u8]) -> Vec<Said> {
    let mut said = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk::<4>() {
        let (body, rest) = rest.split_at(u32::from_le_bytes(*prefix) as usize);
        bytes = rest;
        let (header, payload) = packet::decode(body, 65_536).unwrap();
        let payload = payload.as_ref();
        said.push(match PacketType::try_from(header.kind).unwrap() {
            PacketType::EntityEnter => Said::Enter(Message::decode(payload).unwrap()),
            PacketType::EntityLeave => {
                Said::Leave(proto::EntityLeave::decode(payload).unwrap().entity_id)
            }
            PacketType::GameEvent => Said::Event(Message::decode(payload).unwrap()),
            PacketType::SyncPositions => Said::Positions(Message::decode(payload).unwrap()),
            other => Said::Other(other),
        });
    }
    assert!(bytes.is_empty());
    said
}
