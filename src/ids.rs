//! The names of things: one newtype for each kind of id, so that none can be taken for another.
//!
//! Everything uses these. They hold no behaviour but how an id is made, shown and read.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A key of a content table (item, skill, NPC or quest kind): what stands in `config.toml`.
pub type Key = Arc<str>;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map($name)
            }
        }
    };
}

id!(
    /// A player: an account and its character share this id. 1 to 2³² − 1, given by the store.
    PlayerId(u64)
);
id!(
    /// Anything that stands in the world. Players keep their [`PlayerId`]; what a zone makes
    /// itself has the zone's number in the bits above 32, so ids are unique in the whole world.
    EntityId(u64)
);
id!(
    /// A zone, as numbered in the configuration: 1 to 65,535.
    ZoneId(u16)
);
id!(
    /// A running server process. Random below 2⁵³ (so that JSON readers keep every digit),
    /// made anew at each start.
    ServerId(u64)
);
id!(
    /// A session within its gateway process; never used again there. Made of the time, so that of
    /// two sessions of one player the younger has the higher, on whichever gateways they are.
    SessionKey(u64)
);
id!(
    /// One stack of items in an inventory, given by the store.
    ItemId(u64)
);
id!(
    /// A guild, given by the store.
    GuildId(u64)
);
id!(
    /// How often a player's owner has changed. The store refuses a write with an older one.
    Epoch(u64)
);
id!(
    /// An event of one zone; rises from 1.
    EventId(u64)
);
id!(
    /// A question from one role to another; the answer carries it back. Unique per asker.
    RequestId(u64)
);

/// Names one change of value for ever: the store applies it once, however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u128);

impl OperationId {
    /// The `sequence`th operation of `origin`, a number that no other incarnation of any maker has:
    /// a random one, or one made of a lease's epoch.
    pub fn new(origin: u64, sequence: u64) -> Self {
        Self((u128::from(origin) << 64) | u128::from(sequence))
    }

    /// As a UUID, which both databases can store.
    pub fn uuid(self) -> uuid::Uuid {
        uuid::Uuid::from_u128(self.0)
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid())
    }
}

/// Which session of which gateway: where a player's private packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRef {
    /// The process that holds the connection.
    pub gateway: ServerId,
    /// The session there.
    pub key: SessionKey,
}

impl SessionKey {
    /// Bits below the millisecond in which a key was made.
    const SHIFT: u32 = 20;

    /// The least key of that time, Unix ms.
    pub fn made_at(time: u64) -> Self {
        Self(time << Self::SHIFT)
    }

    /// When its session was let in, Unix ms by its gateway's clock.
    pub fn time(self) -> u64 {
        self.0 >> Self::SHIFT
    }
}

impl SessionRef {
    /// Whether it was let in after another session of the same player: that one has to go.
    pub fn is_younger_than(self, other: Self) -> bool {
        (self.key, self.gateway) > (other.key, other.gateway)
    }
}

/// What a guild's member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GuildRank {
    /// Talks.
    Member,
    /// Invites, and casts out members.
    Officer,
    /// Does everything.
    Leader,
}

/// A log-in ticket's number, to be used up when the ticket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketUse {
    /// The JWT's `jti`.
    pub id: uuid::Uuid,
    /// Unix milliseconds after which nobody takes it any more.
    pub expires_at: u64,
}

impl EntityId {
    /// The first bit that no player id reaches.
    const ZONE_SHIFT: u32 = 32;

    /// The `serial`th thing that `zone` has made.
    pub fn of_zone(zone: ZoneId, serial: u32) -> Self {
        Self((u64::from(zone.0) << Self::ZONE_SHIFT) | u64::from(serial))
    }

    /// The player this is, if it is one.
    pub fn player(self) -> Option<PlayerId> {
        (self.0 != 0 && self.0 >> Self::ZONE_SHIFT == 0).then_some(PlayerId(self.0))
    }
}

impl From<PlayerId> for EntityId {
    fn from(player: PlayerId) -> Self {
        Self(player.0)
    }
}

impl ServerId {
    /// A new random one, never 0.
    pub fn random() -> Self {
        Self(rand::random_range(1..1u64 << 53))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_knows_whether_it_is_a_player() {
        assert_eq!(EntityId::from(PlayerId(7)).player(), Some(PlayerId(7)));
        assert_eq!(EntityId::of_zone(ZoneId(1), 7).player(), None);
        assert_eq!(EntityId(0).player(), None);
    }
}
