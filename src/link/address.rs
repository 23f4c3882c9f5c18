//! Which inbox of a process a message is for. Links carry it beside each message, and deliver to
//! the inbox that the process has under it.

use std::fmt;

use crate::ids::ZoneId;
use crate::role::Role;

/// One inbox of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The process itself: who else there is, and what it is told to do.
    Node,
    /// The zone host of a process that plays zones.
    Host,
    /// The master.
    Master,
    /// The login role.
    Login,
    /// A gateway's session manager.
    Gateway,
    /// The chat role.
    Chat,
    /// One zone.
    Zone(ZoneId),
}

impl Address {
    /// The role that answers there; none for the process itself.
    pub fn role(self) -> Option<Role> {
        match self {
            Address::Node => None,
            Address::Host | Address::Zone(_) => Some(Role::Zone),
            Address::Master => Some(Role::Master),
            Address::Login => Some(Role::Login),
            Address::Gateway => Some(Role::Gateway),
            Address::Chat => Some(Role::Chat),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Node => f.write_str("node"),
            Address::Host => f.write_str("host"),
            Address::Master => f.write_str("master"),
            Address::Login => f.write_str("login"),
            Address::Gateway => f.write_str("gateway"),
            Address::Chat => f.write_str("chat"),
            Address::Zone(zone) => write!(f, "zone-{zone}"),
        }
    }
}
