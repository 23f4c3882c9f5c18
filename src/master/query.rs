//! What the operators' port and the command line ask the master, and what they get.
//!
//! Each question carries its own way back. The answers are plain values with a JSON form; nothing
//! in here decides anything.

use serde::Serialize;
use tokio::sync::oneshot;

use crate::ids::{ServerId, ZoneId};
use crate::master::balance::Strategy;
use crate::master::placement::{MoveError, Place};
use crate::master::registry::{Kind, RegisterError, Registration, State, UnknownServer};
use crate::names::{ChatText, Name};

/// Questions that may wait for the master.
pub const QUERIES_WAITING: usize = 256;

/// The way back. Who has stopped waiting is not an error.
pub type Reply<T> = oneshot::Sender<T>;

/// A question to the master.
#[derive(Debug)]
pub enum Query {
    /// A server that is none of the cluster's registers.
    Register {
        /// What it says of itself.
        registration: Registration,
        /// Its new id.
        reply: Reply<Result<ServerId, RegisterError>>,
    },
    /// Such a server is alive.
    Heartbeat {
        /// Which.
        server: ServerId,
        /// Clients it has.
        clients: u32,
        /// Whether it is known.
        reply: Reply<Result<(), UnknownServer>>,
    },
    /// Such a server goes.
    Unregister {
        /// Which.
        server: ServerId,
        /// Whether it was known.
        reply: Reply<Result<(), UnknownServer>>,
    },
    /// Which servers of a kind take newcomers?
    Find {
        /// Which kind.
        kind: Kind,
        /// The living with room, least loaded first.
        reply: Reply<Vec<Found>>,
    },
    /// How is everything?
    Snapshot {
        /// All of it.
        reply: Reply<Box<Snapshot>>,
    },
    /// Send a player away.
    Kick {
        /// Whom.
        name: Name,
        /// What the player is told.
        message: String,
        /// Whether it was in.
        reply: Reply<KickOutcome>,
    },
    /// Tell everybody something.
    Announce {
        /// What.
        text: ChatText,
        /// How many gateways pass it on.
        reply: Reply<usize>,
    },
    /// Run a zone elsewhere.
    Move {
        /// Which.
        zone: ZoneId,
        /// On which server.
        to: ServerId,
        /// Whether it is on its way.
        reply: Reply<Result<Moved, MoveError>>,
    },
    /// Have a server hand everything over, take nobody new and end.
    Drain {
        /// Which.
        server: ServerId,
        /// Whether it was told.
        reply: Reply<Result<(), DrainError>>,
    },
}

/// What became of a kick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KickOutcome {
    /// Its gateway was told.
    Told,
    /// No such player is in the world.
    NotThere,
    /// Its gateway cannot be reached.
    Unreachable,
}

/// What became of the wish to have a zone elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Which.
    pub zone: ZoneId,
    /// Who hands it over; none: nobody runs it, or it is there already.
    pub from: Option<ServerId>,
    /// Where it will run.
    pub to: ServerId,
    /// Whether there is anything to be done; else it runs there already, or is on its way.
    pub under_way: bool,
}

/// Why a server does not drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DrainError {
    /// The id is of no living server of the cluster.
    #[error("no living server of the cluster has this id")]
    Unknown,
    /// It gets nobody new any more, but could not be told to go.
    #[error("the server cannot be reached now; it gets nobody new, try again to end it")]
    Unreachable,
}

/// A server that takes newcomers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which.
    pub server_id: ServerId,
    /// Where.
    pub host: String,
    /// See `host`.
    pub port: u16,
    /// Percent of its capacity in use.
    pub load: u8,
}

/// The whole registry at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Snapshot {
    /// Seconds since the master started.
    pub uptime_seconds: u64,
    /// How newcomers are spread.
    pub balancing: Strategy,
    /// Whether the master is new and still hears what runs and who plays.
    pub settling: bool,
    /// Players in the world.
    pub players: usize,
    /// All servers, the lately dead included.
    pub servers: Vec<ServerView>,
    /// All zones.
    pub zones: Vec<ZoneView>,
}

/// One server for people to look at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerView {
    /// Which.
    pub server_id: ServerId,
    /// For people.
    pub name: String,
    /// How it was registered: `link` or `http`.
    pub source: &'static str,
    /// What it does.
    pub does: Vec<&'static str>,
    /// Its version, if it told.
    pub version: String,
    /// Its region tag.
    pub region: String,
    /// Where clients reach it.
    pub host: String,
    /// See `host`; 0: they do not.
    pub port: u16,
    /// Text port; 0: none.
    pub text_port: u16,
    /// Where its links are reached.
    pub link_host: String,
    /// The port there; 0: it has none.
    pub link_port: u16,
    /// Links that are up.
    pub links: u32,
    /// When it started, Unix ms; none: not told.
    pub started_at: Option<u64>,
    /// Whether it hands everything over and ends.
    pub draining: bool,
    /// Zones that it runs.
    pub zones: Vec<ZoneId>,
    /// Clients now.
    pub players: u32,
    /// Most clients.
    pub capacity: u32,
    /// Percent of its capacity in use.
    pub load: u8,
    /// How it is.
    pub state: State,
    /// Milliseconds since it was last heard of.
    pub silent_ms: u64,
    /// Share of one core used in the last second, percent; none: not told.
    pub cpu_percent: Option<f32>,
    /// Resident memory, bytes; none: not told.
    pub memory_bytes: Option<u64>,
}

/// One zone for people to look at.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ZoneView {
    /// Which.
    pub zone: ZoneId,
    /// Players in it.
    pub players: u32,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
}
