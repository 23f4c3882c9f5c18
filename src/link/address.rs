//! Which inbox of a process a message is for.

use std::fmt;

use crate::ids::ZoneId;
use crate::role::Role;

/// One role's inbox in a process; zones have one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The master's.
    Master,
    /// The login role's.
    Login,
    /// The gateway's session manager's.
    Gateway,
    /// One zone's.
    Zone(ZoneId),
    /// The chat role's.
    Chat,
}

impl Address {
    /// The role behind it.
    pub fn role(self) -> Role {
        match self {
            Address::Master => Role::Master,
            Address::Login => Role::Login,
            Address::Gateway => Role::Gateway,
            Address::Zone(_) => Role::Zone,
            Address::Chat => Role::Chat,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Zone(zone) => write!(f, "zone {zone}"),
            other => f.write_str(other.role().as_str()),
        }
    }
}
