//! What servers do, with the numbers and names of the HTTP interface.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::role::Role;

/// What a server is for. The numbers are those of the HTTP interface and fixed for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Accounts and tickets.
    Login,
    /// Simulates the world; in this server the zone role does.
    World,
    /// Simulates zones.
    Zone,
    /// Channels, rooms, guilds.
    Chat,
    /// A database.
    Database,
    /// A registry like this.
    Master,
    /// Client connections.
    Gateway,
}

impl Kind {
    /// In the order of their numbers, from 0.
    pub const ALL: [Kind; 7] = [
        Kind::Login,
        Kind::World,
        Kind::Zone,
        Kind::Chat,
        Kind::Database,
        Kind::Master,
        Kind::Gateway,
    ];

    /// The kind with that number.
    pub fn from_number(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|index| Self::ALL.get(index)).copied()
    }

    /// Its name in the HTTP interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Login => "login",
            Kind::World => "world",
            Kind::Zone => "zone",
            Kind::Chat => "chat",
            Kind::Database => "database",
            Kind::Master => "master",
            Kind::Gateway => "gateway",
        }
    }

    /// The role that does this in a server of the cluster; none does a database's work.
    pub(super) fn role(self) -> Option<Role> {
        match self {
            Kind::Login => Some(Role::Login),
            Kind::World | Kind::Zone => Some(Role::Zone),
            Kind::Chat => Some(Role::Chat),
            Kind::Database => None,
            Kind::Master => Some(Role::Master),
            Kind::Gateway => Some(Role::Gateway),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| text.eq_ignore_ascii_case(kind.as_str())).ok_or(())
    }
}
