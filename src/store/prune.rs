//! Deletes what nobody needs any more: old outcomes, used and expired tickets, dead resume tokens,
//! truces that are over.
//!
//! The writer runs it now and then, by the database's clock. It never touches what a player owns, and never more rows at
//! once than a group can bear.

use std::time::Duration;

use super::connection::{Connection, by_its_clock, values};
use super::failure::Failure;
use super::job::Write;

/// How long the outcome of an operation is kept for its retries. Nobody retries for so long; and a
/// quest's reward is guarded by the quest itself, for ever.
pub(super) const KEEP_OPERATIONS: Duration = Duration::from_hours(30 * 24);

/// One round of it.
pub(super) struct Prune;

/// Most rows of one table that one round deletes; stands in the statements, too.
const ROWS_MAX: u64 = 2_000;
const OPERATIONS: [&str; 2] = by_its_clock!(
    "DELETE FROM operations WHERE id IN \
    (SELECT id FROM operations WHERE made_at < ",
    " - $1 ORDER BY made_at LIMIT 2000)"
);
const TICKETS: [&str; 2] = by_its_clock!(
    "DELETE FROM used_tickets WHERE id IN \
    (SELECT id FROM used_tickets WHERE expires_at < ",
    " - $1 ORDER BY expires_at LIMIT 2000)"
);
const RESUME_TOKENS: [&str; 2] = by_its_clock!(
    "DELETE FROM resume_tokens WHERE hash IN \
    (SELECT hash FROM resume_tokens WHERE expires_at < ",
    " - $1 ORDER BY expires_at LIMIT 2000)"
);
const TRUCES: [&str; 2] = by_its_clock!(
    "DELETE FROM truces WHERE (first_guild, second_guild) IN \
    (SELECT first_guild, second_guild FROM truces WHERE until < ",
    " - $1 ORDER BY until LIMIT 2000)"
);
const VICTIMS: [&str; 2] = by_its_clock!(
    "DELETE FROM war_victims WHERE (guild_id, player_id) IN \
    (SELECT guild_id, player_id FROM war_victims WHERE counted_at < ",
    " - $1 ORDER BY counted_at LIMIT 2000)"
);

/// A victim counts again after a day at the latest.
const VICTIM_COUNTS_AGAIN: Duration = Duration::from_hours(24);
/// Tickets, tokens and truces are remembered this much longer than they are valid: the servers that
/// give them say until when by clocks of their own, one of which may be an hour wrong.
const CLOCK_DIFFERENCE: Duration = Duration::from_hours(2);

impl Write for Prune {
    /// Whether there may be more to delete.
    type Answer = bool;

    fn proves_saving(&self) -> bool {
        false
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<bool, Failure> {
        let mut more = false;
        for (sql, age) in [
            (OPERATIONS, KEEP_OPERATIONS),
            (TICKETS, CLOCK_DIFFERENCE),
            (RESUME_TOKENS, CLOCK_DIFFERENCE),
            (TRUCES, CLOCK_DIFFERENCE),
            (VICTIMS, VICTIM_COUNTS_AGAIN),
        ] {
            let sql = db.pick(sql[0], sql[1]);
            more |= db.execute(sql, values![age.as_millis() as u64]).await? == ROWS_MAX;
        }
        Ok(more)
    }
}
