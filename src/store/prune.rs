//! Deletes what nobody needs any more: old outcomes, used and expired tickets, dead resume tokens.
//!
//! The writer runs it now and then. It never touches what a player owns, and never more rows at
//! once than a group can bear.

use std::time::Duration;

use super::connection::{Connection, values};
use super::failure::Failure;
use super::writer::Write;
use crate::tick;

/// How long the outcome of an operation is kept for its retries. Nobody retries for so long; and a
/// quest's reward is guarded by the quest itself, for ever.
pub(super) const KEEP_OPERATIONS: Duration = Duration::from_hours(30 * 24);

/// One round of it.
pub(super) struct Prune;

/// Each deletes at most this many rows at once, oldest first.
const OPERATIONS: &str = "DELETE FROM operations WHERE id IN \
    (SELECT id FROM operations WHERE made_at < $1 ORDER BY made_at LIMIT 5000)";
const TICKETS: &str = "DELETE FROM used_tickets WHERE id IN \
    (SELECT id FROM used_tickets WHERE expires_at < $1 ORDER BY expires_at LIMIT 5000)";
const RESUME_TOKENS: &str = "DELETE FROM resume_tokens WHERE hash IN \
    (SELECT hash FROM resume_tokens WHERE expires_at < $1 ORDER BY expires_at LIMIT 5000)";

/// Tickets are remembered this much longer than they are valid, for clocks that differ.
const CLOCK_DIFFERENCE: Duration = Duration::from_mins(10);

impl Write for Prune {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let before = |age: Duration| tick::unix_millis().saturating_sub(age.as_millis() as u64);
        db.execute(OPERATIONS, values![before(KEEP_OPERATIONS)]).await?;
        db.execute(TICKETS, values![before(CLOCK_DIFFERENCE)]).await?;
        db.execute(RESUME_TOKENS, values![before(CLOCK_DIFFERENCE)]).await?;
        Ok(())
    }
}
