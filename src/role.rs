//! The five roles, and which of them a process plays.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One part of the game that a process can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Registry of servers, placement, presence.
    Master,
    /// Accounts and tickets.
    Login,
    /// Client connections.
    Gateway,
    /// The world.
    Zone,
    /// Channels, rooms, guilds.
    Chat,
}

impl Role {
    /// All of them, in the order in which they start.
    pub const ALL: [Role; 5] = [Role::Master, Role::Chat, Role::Zone, Role::Login, Role::Gateway];

    /// The word used in flags, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Login => "login",
            Role::Gateway => "gateway",
            Role::Zone => "zone",
            Role::Chat => "chat",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The roles of one process: at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Every role in one process.
    pub fn all() -> Self {
        Self(Role::ALL.to_vec())
    }

    /// These, each once; none if there are none.
    pub fn of(roles: impl IntoIterator<Item = Role>) -> Option<Self> {
        let mut kept = Vec::new();
        for role in roles {
            if !kept.contains(&role) {
                kept.push(role);
            }
        }
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// Whether this process plays `role`.
    pub fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether this process is a whole world by itself.
    pub fn is_all(&self) -> bool {
        Role::ALL.iter().all(|role| self.has(*role))
    }

    /// The roles in the order in which they start.
    pub fn iter(&self) -> impl Iterator<Item = Role> + '_ {
        Role::ALL.into_iter().filter(|role| self.has(*role))
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all");
        }
        let words: Vec<_> = self.iter().map(Role::as_str).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Roles {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut roles = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word.eq_ignore_ascii_case("all") {
                return Ok(Self::all());
            }
            let known = Role::ALL.into_iter().find(|role| word.eq_ignore_ascii_case(role.as_str()));
            let role = known.ok_or_else(|| {
                format!("'{word}' is not a role: use master, login, gateway, zone, chat or all")
            })?;
            if !roles.contains(&role) {
                roles.push(role);
            }
        }
        Ok(Self(roles))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_read_from_a_list() {
        let roles: Roles = "zone, chat".parse().unwrap();
        assert!(roles.has(Role::Zone) && roles.has(Role::Chat) && !roles.has(Role::Master));
        assert_eq!(roles.to_string(), "chat,zone");
        assert!("all".parse::<Roles>().unwrap().is_all());
        assert!("queen".parse::<Roles>().unwrap_err().contains("'queen'"));
    }
}
