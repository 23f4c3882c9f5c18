//! What every process accepts, whatever it plays: who else there is in the cluster, and what the
//! operators want of it.

use bytes::Bytes;

use crate::ids::{ServerId, ZoneId};
use crate::role::Role;

/// A message to a process.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeMsg {
    /// From the master, whenever it changes and every few seconds: all living servers.
    Members(Vec<Member>),
    /// From a peer, first of all on a link and whenever it changes: what it plays and hosts.
    Introduced(Box<Introduction>),
    /// From the master, by the operators' wish: hand everything over, take nobody new, end.
    Drain,
}

/// A server of the cluster, and where its links are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub server: ServerId,
    /// What it plays.
    pub roles: Vec<Role>,
    /// Where its links port is.
    pub host: String,
    /// See `host`; not 0.
    pub port: u16,
}

/// What a process says of itself to each of its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Which.
    pub server: ServerId,
    /// What it plays.
    pub roles: Vec<Role>,
    /// When it started, Unix ms: of two that play chat or master, the younger is the one.
    pub started_at: u64,
    /// The public key that checks the log-in tickets it signs; none: it plays no login.
    pub ticket_key: Option<Bytes>,
    /// The zones that run in it.
    pub zones: Vec<HostedZone>,
}

/// A zone that runs somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostedZone {
    /// Which.
    pub zone: ZoneId,
    /// Its incarnation: the higher one of two is the one that counts.
    pub origin: u64,
}
