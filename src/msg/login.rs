//! What the login role accepts.

use std::net::IpAddr;

use crate::ids::{PlayerId, RequestId, ServerId};
use crate::names::Name;
use crate::proto::ErrorCode;

/// A message to the login role.
#[derive(Debug, Clone, PartialEq)]
pub enum LoginMsg {
    /// From a gateway: a client wants to log in. Answered by `GatewayMsg::LoginDecided`.
    Login {
        /// Which gateway asks.
        from: ServerId,
        /// Its question.
        request: RequestId,
        /// Who.
        credentials: Credentials,
        /// The client's device, may be empty.
        device: String,
        /// The client's address, for the limits.
        address: IpAddr,
    },
    /// From a gateway: a client wants an account. Answered by `GatewayMsg::RegisterDecided`.
    Register {
        /// Which gateway asks.
        from: ServerId,
        /// Its question.
        request: RequestId,
        /// Who.
        credentials: Credentials,
        /// The client's address, for the limits.
        address: IpAddr,
    },
    /// From the master: where to send newcomers, best first (LOAD_BALANCE).
    Servers(Vec<GameServer>),
    /// From the master: whether a player is in the world; answers `MasterMsg::WhereIs`.
    Presence {
        /// The question.
        request: RequestId,
        /// The device it plays from, if it is in.
        device: Option<String>,
    },
}

/// A name and the secret that proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Checked.
    pub name: Name,
    /// SHA-256 of the password, 64 lower-case hex digits; checked for form only. Never logged.
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A gateway as clients are told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct GameServer {
    /// Which.
    pub id: ServerId,
    /// For people.
    pub name: String,
    /// Address to connect to.
    pub host: String,
    /// Packet port.
    pub port: u16,
    /// Text port; 0: none.
    pub text_port: u16,
    /// Players now.
    pub players: u32,
    /// Most players.
    pub capacity: u32,
}

/// What became of a log-in.
#[derive(Debug, Clone, PartialEq)]
pub enum LoginDecision {
    /// The name and secret fit.
    Accepted {
        /// Who it is.
        player: PlayerId,
        /// The name as registered.
        name: Name,
        /// A ticket for ENTER_WORLD_REQUEST.
        ticket: String,
        /// Where to play, best first.
        servers: Vec<GameServer>,
    },
    /// Not let in.
    Refused(LoginRefusal),
}

/// Why a log-in or a registration was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRefusal {
    /// For the client's program.
    pub code: ErrorCode,
    /// For its user.
    pub message: String,
    /// Milliseconds until another try makes sense; 0: none.
    pub retry_after_ms: u32,
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq)]
pub enum RegisterDecision {
    /// Account and character are there.
    Created(PlayerId),
    /// Not made.
    Refused(LoginRefusal),
}

/// A place in the hashing worker's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace {
    /// 1: the next.
    pub position: u32,
    /// All that wait.
    pub length: u32,
    /// Milliseconds until it is its turn, estimated.
    pub wait_ms: u32,
}
