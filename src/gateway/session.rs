//! One connection and, once its player is in the world, one session, as its shard holds them.
//!
//! Grouped by lifetime: [`Conn`] lives as long as the socket, [`Playing`] as long as the player is
//! in the world through it.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::outlet::Outlet;
use super::pace::{Budgets, Strikes};
use crate::geometry::Point;
use crate::ids::{PlayerId, SessionKey, ZoneId};
use crate::net::rate::{RateGate, Withheld};
use crate::net::{ConnId, Peer};
use crate::protocol::table::ClientState;
use crate::tick::Tick;
use crate::world::entity::Handle;
use crate::world::interest::View;

/// What a client is to us.
pub(super) enum State {
    /// Has proven nothing yet.
    Fresh,
    /// Waits for login or for the world; the state to fall back to.
    Waiting { authenticated: bool },
    /// Has logged in on this connection.
    Authenticated,
    /// Its player is in the world.
    InWorld(Box<Playing>),
    /// Was told to go; nothing more is read.
    Closing,
}

/// One connection.
pub(super) struct Conn {
    pub id: ConnId,
    pub peer: Peer,
    pub opened: Instant,
    pub heard: Instant,
    /// When it first logged in; none: it has not.
    pub logged_in: Option<Instant>,
    /// Packets read so far: the next one's sequence is one more.
    pub received: u64,
    pub strikes: Strikes,
    pub rates: RateGate,
    pub withheld: Withheld,
    pub state: State,
    pub outlet: Outlet,
    /// Packets made and not yet written, in order.
    pub pending: Vec<u8>,
    /// It is written to at the end of this turn.
    pub answered: bool,
}

/// A player in the world through a connection.
pub(super) struct Playing {
    pub session: SessionKey,
    pub player: PlayerId,
    /// Where the player stands.
    pub zone: ZoneId,
    /// The player's own handle in that zone's frames, once seen.
    pub handle: Option<Handle>,
    /// Where its eyes are.
    pub eye: Point,
    /// What it sees of each zone in sight.
    pub views: SmallVec<[View; 1]>,
    pub budgets: Budgets,
    /// The frame it was last told of.
    pub told: Option<(ZoneId, Tick)>,
    /// Whether the next view must be a whole one.
    pub reset: bool,
    /// Frames of its zone in a row in which its player was not.
    pub absent: u32,
    /// Since when it has resumed and not shown yet that it has its new resume token.
    pub unproven: Option<Instant>,
    /// Whether it was muted and its session manager knows; until it speaks again.
    pub muted: bool,
}

impl Conn {
    /// The state that decides which packets are allowed.
    pub(super) fn client_state(&self) -> ClientState {
        match &self.state {
            State::Fresh | State::Closing | State::Waiting { authenticated: false } => {
                ClientState::Fresh
            }
            State::Waiting { authenticated: true } | State::Authenticated => {
                ClientState::Authenticated
            }
            State::InWorld(_) => ClientState::InWorld,
        }
    }

    /// The shard has stood still for so long: that was not this client's silence.
    pub(super) fn forgive(&mut self, lost: Duration) {
        self.opened += lost;
        self.heard += lost;
        if let Some(at) = &mut self.logged_in {
            *at += lost;
        }
    }

    /// Its player in the world.
    pub(super) fn playing(&mut self) -> Option<&mut Playing> {
        match &mut self.state {
            State::InWorld(playing) => Some(playing),
            _ => None,
        }
    }
}

impl Playing {
    /// Whether a zone's frames concern it.
    pub(super) fn follows(&self, zone: ZoneId) -> bool {
        self.zone == zone || self.views.iter().any(|view| view.zone == zone)
    }
}
