//! What outlives the process: accounts, players, items, guilds, statistics, leases, resume tokens.
//!
//! One `Store` over SQLite (one machine) or PostgreSQL (many), called by the roles, never by the
//! world. Every change of value is an operation with an id that is applied once; every save carries
//! the epoch under which the player is owned.

pub mod record;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{
    Epoch, GuildId, GuildRank, OperationId, PlayerId, ServerId, SessionRef, TicketUse,
};
use crate::names::Name;
use crate::world::command::{CommitRefusal, Operation, PlayerState, Receipt};
use record::{Account, AccountSummary, Claim, GuildRecord, NewCharacter, ResumeRecord, WarRecord};

/// `[store]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite` (a file in the data folder) or a `postgres://…` address.
    pub url: String,
    /// Most connections to PostgreSQL.
    pub connections: u32,
    /// How long one operation may take before it is refused as unavailable, ms.
    pub timeout_ms: u64,
    /// How long the writer waits for company before it commits a group, ms.
    pub group_commit_ms: u64,
    /// Most value changes in one commit.
    pub group_commit_max: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "sqlite".into(),
            connections: 8,
            timeout_ms: 1_000,
            group_commit_ms: 0,
            group_commit_max: 256,
        }
    }
}

/// Why the store did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The name is another's (after folding).
    #[error("the name is taken")]
    NameTaken,
    /// There is no such row.
    #[error("not found")]
    NotFound,
    /// Another server owns the player.
    #[error("another server owns the player")]
    StaleEpoch,
    /// The ticket was used before.
    #[error("the ticket was used before")]
    TicketUsed,
    /// The change is against a rule (a guild is full, a player is in one already).
    #[error("not possible: {0}")]
    Conflict(&'static str),
    /// The database did not answer in time, or said that it cannot.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What the database holds makes no sense.
    #[error("the database holds nonsense: {0}")]
    Corrupt(String),
}

/// The store of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {}

impl Store {
    /// Opens the database (making SQLite's file in `data_dir` if there is none), brings its schema
    /// up to date and starts the writer.
    ///
    /// # Errors
    /// If it cannot be opened, or its schema is a newer version's.
    pub async fn open(
        config: &StoreConfig,
        data_dir: &std::path::Path,
    ) -> Result<Self, StoreError> {
        let _ = (config, data_dir, PathBuf::new(), Duration::ZERO);
        todo!()
    }

    /// Lets the writer finish what waits, then closes. Later calls are refused as unavailable.
    pub async fn close(&self) {}

    /// Whether the database answers now.
    pub async fn ping(&self) -> Result<(), StoreError> {
        todo!()
    }

    // -- accounts ---------------------------------------------------------------------------------

    /// Makes an account, its character with its starting items, and its player row, at once.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`].
    pub async fn create_account(
        &self,
        name: &Name,
        secret_hash: &str,
        character: NewCharacter,
    ) -> Result<PlayerId, StoreError> {
        let _ = (name, secret_hash, character);
        todo!()
    }

    /// The account of that name (folded).
    pub async fn account(&self, name: &Name) -> Result<Option<Account>, StoreError> {
        let _ = name;
        todo!()
    }

    /// The account of that player.
    pub async fn account_of(&self, player: PlayerId) -> Result<Option<Account>, StoreError> {
        let _ = player;
        todo!()
    }

    /// Up to `most` accounts by id after `after`.
    pub async fn accounts(
        &self,
        after: PlayerId,
        most: u32,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        let _ = (after, most);
        todo!()
    }

    /// A new secret; ends every resume token.
    pub async fn set_secret(&self, player: PlayerId, secret_hash: &str) -> Result<(), StoreError> {
        let _ = (player, secret_hash);
        todo!()
    }

    /// Bans (`Some(reason)`) or unbans; a ban ends every resume token.
    pub async fn set_ban(&self, player: PlayerId, reason: Option<&str>) -> Result<(), StoreError> {
        let _ = (player, reason);
        todo!()
    }

    /// Players whose ban began at or after `since` (Unix ms), with the reason.
    pub async fn banned_since(&self, since: u64) -> Result<Vec<(PlayerId, String)>, StoreError> {
        let _ = since;
        todo!()
    }

    // -- players ----------------------------------------------------------------------------------

    /// What is saved of a player, without claiming it.
    pub async fn player(&self, player: PlayerId) -> Result<Option<PlayerState>, StoreError> {
        let _ = player;
        todo!()
    }

    /// Makes `owner` the player's owner under a new epoch and reads its state, at once. A ticket
    /// is used up in the same transaction.
    ///
    /// # Errors
    /// [`StoreError::TicketUsed`], [`StoreError::NotFound`].
    pub async fn claim(
        &self,
        player: PlayerId,
        owner: ServerId,
        ticket: Option<TicketUse>,
    ) -> Result<Claim, StoreError> {
        let _ = (player, owner, ticket);
        todo!()
    }

    /// Uses a ticket up without claiming its player, who stands in the world already.
    ///
    /// # Errors
    /// [`StoreError::TicketUsed`].
    pub async fn use_ticket(&self, ticket: TicketUse) -> Result<(), StoreError> {
        let _ = ticket;
        todo!()
    }

    /// Saves place, health, growth and quests of many players (never items or gold). Gives the
    /// players back whose epoch is not the stored one; those were not saved.
    pub async fn save(&self, states: Vec<PlayerState>) -> Result<Vec<PlayerId>, StoreError> {
        let _ = states;
        todo!()
    }

    /// Saves a last time and gives ownership up, if the epoch is still the stored one.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`].
    pub async fn release(&self, state: PlayerState) -> Result<(), StoreError> {
        let _ = state;
        todo!()
    }

    /// Does one change of value, once, however often it is sent; committed when this returns.
    /// Waits in the writer's queue with others and shares their commit.
    ///
    /// # Errors
    /// Says why it was not done. A repeated operation gets its first outcome again.
    pub async fn commit(&self, operation: Operation) -> Result<Receipt, CommitRefusal> {
        let _ = operation;
        todo!()
    }

    /// Adds to players' counters, once per operation id.
    pub async fn count(
        &self,
        id: OperationId,
        counts: Vec<(PlayerId, &'static str, u64)>,
    ) -> Result<(), StoreError> {
        let _ = (id, counts);
        todo!()
    }

    /// A player's counters by name.
    pub async fn statistics(&self, player: PlayerId) -> Result<Vec<(String, u64)>, StoreError> {
        let _ = player;
        todo!()
    }

    // -- resume tokens ----------------------------------------------------------------------------

    /// Keeps the hash of a session's resume token, in place of its last one.
    pub async fn put_resume(&self, hash: [u8; 32], record: ResumeRecord) -> Result<(), StoreError> {
        let _ = (hash, record);
        todo!()
    }

    /// Takes a resume token out, so that it works once; none if unknown or expired at `now`
    /// (Unix ms).
    pub async fn take_resume(
        &self,
        hash: [u8; 32],
        now: u64,
    ) -> Result<Option<ResumeRecord>, StoreError> {
        let _ = (hash, now);
        todo!()
    }

    /// Ends the resume token of a session, if it has one.
    pub async fn drop_resume(&self, session: SessionRef) -> Result<(), StoreError> {
        let _ = session;
        todo!()
    }

    // -- guilds -----------------------------------------------------------------------------------

    /// Every guild with its members, and every war.
    pub async fn guilds(&self) -> Result<(Vec<GuildRecord>, Vec<WarRecord>), StoreError> {
        todo!()
    }

    /// Makes a guild with its leader.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], or a conflict if the leader is in one.
    pub async fn create_guild(
        &self,
        id: OperationId,
        name: &Name,
        leader: PlayerId,
    ) -> Result<GuildId, StoreError> {
        let _ = (id, name, leader);
        todo!()
    }

    /// Adds a member.
    ///
    /// # Errors
    /// A conflict if the guild is full or the player is in one.
    pub async fn join_guild(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
    ) -> Result<(), StoreError> {
        let _ = (id, guild, player);
        todo!()
    }

    /// Takes a member out.
    pub async fn leave_guild(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
    ) -> Result<(), StoreError> {
        let _ = (id, guild, player);
        todo!()
    }

    /// Gives a member a rank; a new leader makes the old one an officer, at once.
    pub async fn set_guild_rank(
        &self,
        id: OperationId,
        guild: GuildId,
        player: PlayerId,
        rank: GuildRank,
    ) -> Result<(), StoreError> {
        let _ = (id, guild, player, rank);
        todo!()
    }

    /// Ends a guild, its memberships and its wars.
    pub async fn disband_guild(&self, id: OperationId, guild: GuildId) -> Result<(), StoreError> {
        let _ = (id, guild);
        todo!()
    }

    /// Starts a war between two guilds at `now` (Unix ms).
    ///
    /// # Errors
    /// A conflict if they are at war.
    pub async fn start_war(
        &self,
        id: OperationId,
        attacker: GuildId,
        defender: GuildId,
        now: u64,
    ) -> Result<WarRecord, StoreError> {
        let _ = (id, attacker, defender, now);
        todo!()
    }

    /// Counts a kill of `killer`'s guild in its war with `victim`'s, once per operation id.
    pub async fn score_war(
        &self,
        id: OperationId,
        killer: GuildId,
        victim: GuildId,
    ) -> Result<WarRecord, StoreError> {
        let _ = (id, killer, victim);
        todo!()
    }

    /// Ends a war at `now` (Unix ms); its score is kept as history.
    pub async fn end_war(
        &self,
        id: OperationId,
        one: GuildId,
        other: GuildId,
        now: u64,
    ) -> Result<WarRecord, StoreError> {
        let _ = (id, one, other, now);
        todo!()
    }

    // -- leases -----------------------------------------------------------------------------------

    /// Takes or renews the lease called `name` for `owner` until `until` (Unix ms), if nobody else
    /// holds it at `now`. Gives its epoch, which rises with every new owner.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if another owner holds it.
    pub async fn lease(
        &self,
        name: &str,
        owner: ServerId,
        now: u64,
        until: u64,
    ) -> Result<Epoch, StoreError> {
        let _ = (name, owner, now, until);
        todo!()
    }
}
