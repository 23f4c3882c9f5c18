//! Wars between guilds: begun, scored by kills, ended; each is kept as history. What comes before
//! them is in `declarations.rs`.
//!
//! Called by the chat role. Each change is applied once per operation id; a retry gets the record
//! as it was after the first time. After a war its two guilds have a truce.

use std::time::Duration;

use super::connection::{Connection, Row, values};
use super::failure::Failure;
use super::job::Write;
use super::outcome::{self, Outcome};
use super::record::{TruceRecord, WarRecord};
use super::{Store, StoreError, declarations};
use crate::ids::{GuildId, OperationId, PlayerId};

impl Store {
    /// Starts a war between two guilds at `now` (Unix ms), without a notice.
    ///
    /// # Errors
    /// A conflict if they are at war or about to be, have a truce, or the attacker fights too many.
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

    /// Lets a war that is declared begin at `now` (Unix ms): its notice is over, or the other side
    /// wants it too.
    ///
    /// # Errors
    /// A conflict if no war is declared between them.
    pub async fn begin_war(
        &self,
        id: OperationId,
        one: GuildId,
        other: GuildId,
        now: u64,
    ) -> Result<WarRecord, StoreError> {
        let change = Change::Begin { now };
        self.write("begin_war", War { id, guilds: pair(one, other), change }).await
    }

    /// Counts a kill of `killer`'s guild in its war with `victim`'s at `now` (Unix ms), once per
    /// operation id. A victim that has counted for the killer's guild within `again_after` does not
    /// count: the score stays as it is.
    ///
    /// # Errors
    /// A conflict if they are not at war.
    pub async fn score_war(
        &self,
        id: OperationId,
        killer: GuildId,
        victim: (PlayerId, GuildId),
        now: u64,
        again_after: Duration,
    ) -> Result<WarRecord, StoreError> {
        let again = now.saturating_sub(again_after.as_millis() as u64);
        let change = Change::Score { killer, victim: victim.0, now, again };
        self.write("score_war", War { id, guilds: pair(killer, victim.1), change }).await
    }

    /// Ends a war at `now` (Unix ms); its score is kept as history. The two have a truce until
    /// `truce_until` (Unix ms).
    ///
    /// # Errors
    /// A conflict if they are not at war.
    pub async fn end_war(
        &self,
        id: OperationId,
        one: GuildId,
        other: GuildId,
        now: u64,
        truce_until: u64,
    ) -> Result<WarRecord, StoreError> {
        let change = Change::End { now, truce_until };
        self.write("end_war", War { id, guilds: pair(one, other), change }).await
    }
}

/// A war is stored under the smaller id first.
pub(super) fn pair(one: GuildId, other: GuildId) -> (GuildId, GuildId) {
    (one.min(other), one.max(other))
}

const FOUGHT: &str = "SELECT first_guild, second_guild, attacker, first_kills, second_kills, started_at \
    FROM wars WHERE ended_at IS NULL ORDER BY started_at, id";
const VICTIM: &str = "INSERT INTO war_victims (guild_id, player_id, counted_at) \
    VALUES ($1, $2, $3) \
    ON CONFLICT (guild_id, player_id) DO UPDATE SET counted_at = excluded.counted_at \
    WHERE war_victims.counted_at <= $4";
const TRUCES: &str = "SELECT first_guild, second_guild, until FROM truces WHERE until > $1 \
    ORDER BY first_guild, second_guild";
const TRUCE: &str = "INSERT INTO truces (first_guild, second_guild, until) VALUES ($1, $2, $3) \
    ON CONFLICT (first_guild, second_guild) DO UPDATE SET until = excluded.until";
const START: &str = "INSERT INTO wars (first_guild, second_guild, attacker, started_at) \
    VALUES ($1, $2, $3, $4) \
    ON CONFLICT (first_guild, second_guild) WHERE ended_at IS NULL DO NOTHING \
    RETURNING first_guild, second_guild, attacker, first_kills, second_kills, started_at";
const SCORE: &str = "UPDATE wars SET first_kills = first_kills + $3, \
    second_kills = second_kills + $4 \
    WHERE first_guild = $1 AND second_guild = $2 AND ended_at IS NULL \
    RETURNING first_guild, second_guild, attacker, first_kills, second_kills, started_at";
const END: &str = "UPDATE wars SET ended_at = $3 \
    WHERE first_guild = $1 AND second_guild = $2 AND ended_at IS NULL \
    RETURNING first_guild, second_guild, attacker, first_kills, second_kills, started_at";
const END_ALL: &str = "UPDATE wars SET ended_at = $2 \
    WHERE (first_guild = $1 OR second_guild = $1) AND ended_at IS NULL";

/// Every war that is fought.
pub(super) async fn fought(db: &mut Connection<'_>) -> Result<Vec<WarRecord>, Failure> {
    db.rows(FOUGHT, values![]).await?.iter().map(record).collect()
}

/// Every truce that holds at `now` (Unix ms).
pub(super) async fn truces(db: &mut Connection<'_>, now: u64) -> Result<Vec<TruceRecord>, Failure> {
    let rows = db.rows(TRUCES, values![now]).await?;
    let truce = |row: &Row| {
        let (first, second) = (GuildId(row.number(0)?), GuildId(row.number(1)?));
        Ok(TruceRecord { first, second, until: row.number(2)? })
    };
    rows.iter().map(truce).collect()
}

/// Two guilds may not go to war again until then (Unix ms).
pub(super) async fn make_truce(
    db: &mut Connection<'_>,
    (first, second): (GuildId, GuildId),
    until: u64,
) -> Result<(), Failure> {
    db.execute(TRUCE, values![first, second, until]).await?;
    Ok(())
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
        attacker: GuildId(row.number(2)?),
        first_kills: row.number(3)?,
        second_kills: row.number(4)?,
        started_at: row.number(5)?,
    })
}

struct War {
    id: OperationId,
    guilds: (GuildId, GuildId),
    change: Change,
}

enum Change {
    Start { attacker: GuildId, now: u64 },
    Begin { now: u64 },
    Score { killer: GuildId, victim: PlayerId, now: u64, again: u64 },
    End { now: u64, truce_until: u64 },
}

impl Write for War {
    type Answer = WarRecord;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<WarRecord, Failure> {
        if let Some(outcome) = outcome::find_locked(db, self.id).await? {
            return outcome.into_war().ok_or_else(|| outcome::mismatch(self.id));
        }
        let (first, second) = self.guilds;
        let war = match self.change {
            Change::Start { attacker, now } => {
                let defender = if attacker == first { second } else { first };
                declarations::may_declare(db, attacker, defender, now).await?;
                start(db, self.guilds, attacker, now).await?
            }
            Change::Begin { now } => {
                let attacker = declarations::take(db, self.guilds).await?;
                let attacker = attacker.ok_or(StoreError::Conflict("no war is declared"))?;
                start(db, self.guilds, attacker, now).await?
            }
            Change::Score { killer, victim, now, again } => {
                let counts = db.execute(VICTIM, values![killer, victim, now, again]).await? > 0;
                let by_first = counts && killer == first;
                let by_second = counts && killer == second;
                let row = db.row(SCORE, values![first, second, by_first, by_second]).await?;
                record(&row.ok_or(StoreError::Conflict("the guilds are not at war"))?)?
            }
            Change::End { now, truce_until } => {
                let row = db.row(END, values![first, second, now]).await?;
                make_truce(db, self.guilds, truce_until).await?;
                record(&row.ok_or(StoreError::Conflict("the guilds are not at war"))?)?
            }
        };
        outcome::keep(db, self.id, None, &Outcome::from(&war)).await?;
        Ok(war)
    }
}

async fn start(
    db: &mut Connection<'_>,
    (first, second): (GuildId, GuildId),
    attacker: GuildId,
    now: u64,
) -> Result<WarRecord, Failure> {
    let row = db.row(START, values![first, second, attacker, now]).await?;
    record(&row.ok_or(StoreError::Conflict("the guilds are at war"))?)
}
