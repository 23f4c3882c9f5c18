//! What the zone host of a process accepts: which zones to run, and zones that come and go whole.

use crate::ids::{Epoch, OperationId, ServerId, SessionRef, ZoneId};
use crate::world::command::Transfer;
use crate::world::whole::{NpcState, Thing, ZoneRest};

/// A message to a zone host.
#[derive(Debug, Clone, PartialEq)]
pub enum HostMsg {
    /// From the master: run this zone, unless another server holds its lease.
    Run {
        /// Which.
        zone: ZoneId,
    },
    /// From the master: hand this zone over to another server.
    Move {
        /// Which.
        zone: ZoneId,
        /// To whom.
        to: ServerId,
    },
    /// From the host that runs a zone: take it over, with everybody in it. Answered by `Taken` or
    /// `NotTaken`.
    Offered(Box<ZoneOffer>),
    /// From the host that has taken a zone over: it runs there.
    Taken {
        /// Which hand-over.
        handover: OperationId,
        /// Which zone.
        zone: ZoneId,
    },
    /// From the host that was to take a zone over: it does not.
    NotTaken {
        /// Which hand-over.
        handover: OperationId,
        /// Which zone.
        zone: ZoneId,
        /// Whether it is sure that nothing was committed; else the store knows.
        certain: bool,
        /// Why, for the log.
        reason: String,
    },
}

/// Players in one part of an offer.
pub const PLAYERS_IN_PART: usize = 256;
/// NPCs, and things, in one part of an offer.
pub const THINGS_IN_PART: usize = 1_024;

/// A part of a zone that is handed over; large zones come in several, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneOffer {
    /// Which hand-over.
    pub handover: OperationId,
    /// Which zone.
    pub zone: ZoneId,
    /// Who runs it.
    pub from: ServerId,
    /// The lease under which it does.
    pub lease: Epoch,
    /// This part, from 0.
    pub part: u32,
    /// How many there are, at least 1.
    pub parts: u32,
    /// Players that stand in it; at most [`PLAYERS_IN_PART`].
    pub players: Vec<Traveller>,
    /// NPCs of it; at most [`THINGS_IN_PART`].
    pub npcs: Vec<NpcState>,
    /// What lies there; at most [`THINGS_IN_PART`].
    pub things: Vec<Thing>,
    /// In part 0: what the zone knows besides.
    pub rest: Option<Box<ZoneRest>>,
    /// In part 0: the gateways that watch it.
    pub watchers: Vec<ServerId>,
}

/// A player on its way to another process.
#[derive(Debug, Clone, PartialEq)]
pub struct Traveller {
    /// All of it.
    pub transfer: Transfer,
    /// Where its packets go.
    pub session: SessionRef,
}
