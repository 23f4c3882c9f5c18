//! What the zone host of a process accepts: which zones to run, and zones that come and go whole.

use crate::ids::{Epoch, OperationId, ServerId, SessionRef, ZoneId};
use crate::world::command::Transfer;

/// A message to a zone host.
#[derive(Debug, Clone, PartialEq)]
pub enum HostMsg {
    /// From the master: run this zone, unless another server holds its lease.
    Run {
        /// Which.
        zone: ZoneId,
    },
    /// From the master, or a host that drains: hand this zone over to another server.
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
    /// Players that stand in it.
    pub players: Vec<Traveller>,
}

/// A player on its way to another process.
#[derive(Debug, Clone, PartialEq)]
pub struct Traveller {
    /// All of it.
    pub transfer: Transfer,
    /// Where its packets go.
    pub session: SessionRef,
}
