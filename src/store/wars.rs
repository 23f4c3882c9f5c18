//! Wars between guilds: declared, scored by kills, ended; each is kept as history.
//!
//! Called by the chat role. Each change is applied once per operation id; a retry gets the record
//! as it was after the first time.

use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::outcome::{self, Outcome};
use super::record::WarRecord;
use super::writer::Write;
use super::{Store, StoreError, guilds};
use crate::ids::{GuildId, OperationId};
use crate::limits::GUILD_WARS_MAX;

impl Store {
    /// Starts a war between two guilds at `now` (Unix ms).
    ///
    /// # Errors
    /// A conflict if they are at war, or one of them fights too many.
    pub async fn start_war(
        &self,
        id: OperationId,
        attacker: GuildId,
        defender: GuildId,
        now: u64,
    ) -> Result<WarRecord, StoreError> {
        let change = Change::Start { attacker, now };
        self.write("start_war", War { id, guilds: pair(attacker, defender), change }).await
    }

    /// Counts a kill of `killer`'s guild in its war with `victim`'s, once per operation id.
    ///
    /// # Errors
    /// A conflict if they are not at war.
    pub async fn score_war(
        &self,
        id: OperationId,
        killer: GuildId,
        victim: GuildId,
    ) -> Result<WarRecord, StoreError> {
        let change = Change::Score { killer };
        self.write("score_war", War { id, guilds: pair(killer, victim), change }).await
    }

    /// Ends a war at `now` (Unix ms); its score is kept as history.
    ///
    /// # Errors
    /// A conflict if they are not at war.
    pub async fn end_war(
        &self,
        id: OperationId,
        one: GuildId,
        other: GuildId,
        now: u64,
    ) -> Result<WarRecord, StoreError> {
        let change = Change::End { now };
        self.write("end_war", War { id, guilds: pair(one, other), change }).await
    }
}

/// A war is stored under the smaller id first.
fn pair(one: GuildId, other: GuildId) -> (GuildId, GuildId) {
    (one.min(other), one.max(other))
}

const FOUGHT: &str = "SELECT first_guild, second_guild, first_kills, second_kills, started_at \
    FROM wars WHERE ended_at IS NULL ORDER BY started_at, id";
const COUNT: &str = "SELECT COUNT(*) FROM wars \
    WHERE (first_guild = $1 OR second_guild = $1) AND ended_at IS NULL";
const START: &str = "INSERT INTO wars (first_guild, second_guild, attacker, started_at) \
    VALUES ($1, $2, $3, $4) \
    ON CONFLICT (first_guild, second_guild) WHERE ended_at IS NULL DO NOTHING \
    RETURNING first_guild, second_guild, first_kills, second_kills, started_at";
const SCORE: &str = "UPDATE wars SET first_kills = first_kills + $3, \
    second_kills = second_kills + $4 \
    WHERE first_guild = $1 AND second_guild = $2 AND ended_at IS NULL \
    RETURNING first_guild, second_guild, first_kills, second_kills, started_at";
const END: &str = "UPDATE wars SET ended_at = $3 \
    WHERE first_guild = $1 AND second_guild = $2 AND ended_at IS NULL \
    RETURNING first_guild, second_guild, first_kills, second_kills, started_at";
const END_ALL: &str = "UPDATE wars SET ended_at = $2 \
    WHERE (first_guild = $1 OR second_guild = $1) AND ended_at IS NULL";

/// Every war that is fought.
pub(super) async fn fought(db: &mut Connection<'_>) -> Result<Vec<WarRecord>, Failure> {
    db.rows(FOUGHT, values![]).await?.iter().map(record).collect()
}

/// Ends every war of a guild.
pub(super) async fn end_all(
    db: &mut Connection<'_>,
    guild: GuildId,
    now: u64,
) -> Result<(), Failure> {
    db.execute(END_ALL, values![guild, now]).await?;
    Ok(())
}

fn record(row: &Row) -> Result<WarRecord, Failure> {
    Ok(WarRecord {
        first: GuildId(row.number(0)?),
        second: GuildId(row.number(1)?),
        first_kills: row.number(2)?,
        second_kills: row.number(3)?,
        started_at: row.number(4)?,
    })
}

struct War {
    id: OperationId,
    guilds: (GuildId, GuildId),
    change: Change,
}

enum Change {
    Start { attacker: GuildId, now: u64 },
    Score { killer: GuildId },
    End { now: u64 },
}

impl Write for War {
    type Answer = WarRecord;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<WarRecord, Failure> {
        if let Some(outcome) = outcome::find(db, self.id).await? {
            return outcome.into_war().ok_or_else(|| outcome::mismatch(self.id));
        }
        let (first, second) = self.guilds;
        let row = match self.change {
            Change::Start { attacker, now } => {
                may_start(db, first, second).await?;
                let row = db.row(START, values![first, second, attacker, now]).await?;
                row.ok_or(StoreError::Conflict("the guilds are at war"))?
            }
            Change::Score { killer } => {
                let (by_first, by_second) = (killer == first, killer == second);
                let row = db.row(SCORE, values![first, second, by_first, by_second]).await?;
                row.ok_or(StoreError::Conflict("the guilds are not at war"))?
            }
            Change::End { now } => {
                let row = db.row(END, values![first, second, now]).await?;
                row.ok_or(StoreError::Conflict("the guilds are not at war"))?
            }
        };
        let war = record(&row)?;
        outcome::keep(db, self.id, None, &Outcome::from(&war)).await?;
        Ok(war)
    }
}

/// Both must be there, be two, and have a war to spare. Always locked in the order of their ids.
async fn may_start(
    db: &mut Connection<'_>,
    first: GuildId,
    second: GuildId,
) -> Result<(), Failure> {
    if first == second {
        return Err(StoreError::Conflict("a guild has no war with itself").into());
    }
    for guild in [first, second] {
        guilds::lock(db, guild).await?;
        let row = db.row(COUNT, values![guild]).await?.ok_or(StoreError::NotFound)?;
        if row.number::<usize>(0)? >= GUILD_WARS_MAX {
            return Err(StoreError::Conflict("one of the guilds fights too many wars").into());
        }
    }
    Ok(())
}
