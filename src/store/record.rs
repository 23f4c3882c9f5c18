//! The rows as the roles see them.

use std::fmt;

use crate::geometry::Pose;
use crate::ids::{GuildId, GuildRank, Key, PlayerId, SessionRef, ZoneId};
use crate::names::Name;
use crate::world::command::PlayerState;

/// An account, with what only login may see.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// Who.
    pub player: PlayerId,
    /// As registered.
    pub name: Name,
    /// Argon2id PHC string.
    pub secret_hash: String,
    /// Why it is banned, if it is.
    pub ban: Option<String>,
}

impl fmt::Debug for Account {
    /// Without the secret's hash, so that no log ever holds it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("player", &self.player)
            .field("name", &self.name)
            .field("ban", &self.ban)
            .finish_non_exhaustive()
    }
}

/// An account as the login role needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRecord {
    /// What is to be proven.
    pub account: Account,
    /// From where its owner has logged in before, hashed, each with when it last did (Unix ms).
    pub places: Vec<([u8; 32], u64)>,
}

/// An account whose sessions have to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// Whose.
    pub player: PlayerId,
    /// Since when, Unix ms.
    pub at: u64,
    /// Why it is banned. None: its secret is a new one, and who came in before has proven the old.
    pub ban: Option<String>,
}

/// Whether a ticket lets its player in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketStanding {
    /// It does, unless somebody uses it first.
    Good,
    /// It was used before.
    Used,
    /// The account was banned, or got a new secret, since it was given.
    Void,
}

/// An account in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSummary {
    /// Who.
    pub player: PlayerId,
    /// As registered.
    pub name: Name,
    /// Character level.
    pub level: u32,
    /// Unix ms.
    pub created_at: u64,
    /// Unix ms of the last claim; none: never played.
    pub last_seen_at: Option<u64>,
    /// Why it is banned, if it is.
    pub ban: Option<String>,
}

/// What a new character begins with.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCharacter {
    /// In which zone.
    pub zone: ZoneId,
    /// Where.
    pub pose: Pose,
    /// Full health.
    pub health: u32,
    /// Full power.
    pub power: u32,
    /// Kind, quantity, whether equal ones share a stack.
    pub items: Vec<(Key, u32, bool)>,
}

/// A claimed player.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What was saved, with the new epoch.
    pub state: PlayerState,
}

/// What a resume token goes on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeRecord {
    /// Who.
    pub player: PlayerId,
    /// The name.
    pub name: Name,
    /// The client's UUID of the session.
    pub session_id: uuid::Uuid,
    /// The gateway and session that held it last.
    pub session: SessionRef,
    /// The device it was made for.
    pub device: String,
    /// Unix ms.
    pub expires_at: u64,
}

/// A guild with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildRecord {
    /// Which.
    pub id: GuildId,
    /// Its name.
    pub name: Name,
    /// Who, under which name, as what.
    pub members: Vec<(PlayerId, Name, GuildRank)>,
}

/// All that is known of guilds and of what is between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuildBooks {
    /// Every guild.
    pub guilds: Vec<GuildRecord>,
    /// Every war that is fought.
    pub wars: Vec<WarRecord>,
    /// Every war that is declared and not begun.
    pub declarations: Vec<DeclarationRecord>,
    /// Every truce that holds.
    pub truces: Vec<TruceRecord>,
}

/// A war that is declared and not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclarationRecord {
    /// Who has declared it.
    pub attacker: GuildId,
    /// On whom.
    pub defender: GuildId,
    /// Unix ms.
    pub declared_at: u64,
    /// Unix ms.
    pub begins_at: u64,
}

/// Two guilds that may not go to war again for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruceRecord {
    /// The smaller id of the two.
    pub first: GuildId,
    /// The larger.
    pub second: GuildId,
    /// Unix ms.
    pub until: u64,
}

/// A war that is fought, or its score at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarRecord {
    /// The smaller id of the two.
    pub first: GuildId,
    /// The larger.
    pub second: GuildId,
    /// Which of them has declared it.
    pub attacker: GuildId,
    /// Kills of the first.
    pub first_kills: u32,
    /// Kills of the second.
    pub second_kills: u32,
    /// Unix ms.
    pub started_at: u64,
}
