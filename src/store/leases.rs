//! Leases: which server is the one that may do a thing, until when, and for which time in a row.
//!
//! Called by servers that must be alone in a job (the master). A holder stops at `until` by its own
//! clock; the epoch it puts into what it sends tells a newer holder's word from an older one's.

use super::connection::{Connection, values};
use super::failure::Failure;
use super::writer::Write;
use super::{Store, StoreError};
use crate::ids::{Epoch, ServerId};

impl Store {
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
        self.write("lease", TakeLease { name: name.to_owned(), owner, now, until }).await
    }
}

const TAKE: &str = "INSERT INTO leases (name, owner, epoch, until) VALUES ($1, $2, 1, $3) \
    ON CONFLICT (name) DO UPDATE SET \
    epoch = leases.epoch + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END, \
    owner = excluded.owner, until = excluded.until \
    WHERE leases.owner = excluded.owner OR leases.until <= $4 RETURNING epoch";

struct TakeLease {
    name: String,
    owner: ServerId,
    now: u64,
    until: u64,
}

impl Write for TakeLease {
    type Answer = Epoch;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Epoch, Failure> {
        let values = values![self.name.as_str(), self.owner, self.until, self.now];
        let row = db.row(TAKE, values).await?.ok_or(StoreError::StaleEpoch)?;
        Ok(Epoch(row.number(0)?))
    }
}
