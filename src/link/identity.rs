//! Who a process is to the others of its cluster.

use crate::ids::ServerId;
use crate::role::Roles;

/// What a process says of itself when a link begins, once both have proven the cluster secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Which; made anew at each start of the process.
    pub server: ServerId,
    /// What it plays.
    pub roles: Roles,
    /// Where others reach its links: a host name or address.
    pub host: String,
    /// And its port there.
    pub port: u16,
    /// Of the program.
    pub version: String,
}
