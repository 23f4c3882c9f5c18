//! Leases: which server is the one that may do a thing, until when, and for which time in a row.
//!
//! Called by servers that must be alone in a job: the master with [`Store::lease`], the hosts of
//! zones with the others, where each start of a zone counts as a time of its own. The epoch that a
//! holder puts into what it sends tells its word from an older one's. The times only say how soon
//! somebody else may have the lease; what keeps a late holder from doing harm are the epochs. They
//! are moments of the database's clock, and callers give durations: a machine whose own clock is
//! wrong, or is set, takes nothing from the living and leaves nothing locked when it dies.

use std::time::Duration;

use super::connection::{Connection, by_its_clock, values};
use super::failure::Failure;
use super::job::Write;
use super::{Store, StoreError};
use crate::ids::{Epoch, ServerId};

impl Store {
    /// Takes or renews the lease called `name` for `owner`, to last so long from now, if nobody else
    /// holds it. Gives its epoch, which rises with every new owner.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if another owner holds it.
    pub async fn lease(
        &self,
        name: &str,
        owner: ServerId,
        lasts: Duration,
    ) -> Result<Epoch, StoreError> {
        let free = Free::After(Duration::ZERO);
        let take = TakeLease { name: name.to_owned(), owner, free, lasts, starts: false };
        self.write("lease", take).await
    }

    /// Begins a new time of holding the lease called `name`, to last so long from now: its epoch
    /// rises, also if `owner` has it already. `free` says when another owner's may be taken.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if another owner holds it.
    pub async fn start_lease(
        &self,
        name: &str,
        owner: ServerId,
        free: Free,
        lasts: Duration,
    ) -> Result<Epoch, StoreError> {
        let take = TakeLease { name: name.to_owned(), owner, free, lasts, starts: true };
        self.write("start_lease", take).await
    }

    /// Renews `owner`'s leases, each under the epoch with which it was started, to last so long from
    /// now. One that has run out is renewed as long as nobody else has started it. Gives the names of those
    /// that are somebody else's, or another time's, by now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn renew_leases(
        &self,
        owner: ServerId,
        leases: Vec<(String, Epoch)>,
        lasts: Duration,
    ) -> Result<Vec<String>, StoreError> {
        self.write("renew_leases", RenewLeases { owner, leases, lasts }).await
    }

    /// Begins a new time of the lease called `name`, which `owner` has under `epoch` and has offered
    /// to another: afterwards nobody can take it over from that epoch any more. Gives the new epoch,
    /// also if this was done before.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] if another has it. After [`StoreError::Unavailable`] nobody knows.
    pub async fn reclaim_lease(
        &self,
        name: &str,
        owner: ServerId,
        epoch: Epoch,
        lasts: Duration,
    ) -> Result<Epoch, StoreError> {
        let change = ChangeLease { name: name.to_owned(), from: owner, epoch, to: owner, lasts };
        self.write("reclaim_lease", change).await
    }

    /// Gives a lease up, so that anybody may start it at once. Does nothing if it is another's, or
    /// another time's, by now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn end_lease(
        &self,
        name: &str,
        owner: ServerId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        self.write("end_lease", EndLease { name: name.to_owned(), owner, epoch }).await
    }

    /// Who has the lease called `name`, or had it last, and under which epoch.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn lease_holder(&self, name: &str) -> Result<Option<(ServerId, Epoch)>, StoreError> {
        self.read("lease_holder", async {
            let mut snapshot = self.snapshot().await?;
            let row = snapshot.connection().row(HOLDER, values![name]).await?;
            row.map(|row| Ok((ServerId(row.bits(0)?), Epoch(row.number(1)?)))).transpose()
        })
        .await
    }
}

/// When a lease that another owner holds may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// Once it has run out, and so long after.
    After(Duration),
    /// However long it lasts: nobody else can use the database, so its owner is gone.
    AtOnce,
}

const TAKE: [&str; 2] = by_its_clock!(
    "INSERT INTO leases (name, owner, epoch, until) VALUES ($1, $2, 1, ",
    " + $3) ON CONFLICT (name) DO UPDATE SET epoch = leases.epoch + \
    CASE WHEN leases.owner = excluded.owner AND $5 = 0 THEN 0 ELSE 1 END, \
    owner = excluded.owner, until = excluded.until \
    WHERE leases.owner = excluded.owner OR $6 = 1 OR leases.until <= ",
    " - $4 RETURNING epoch"
);
const CHANGE: [&str; 2] = by_its_clock!(
    "UPDATE leases SET owner = $4, epoch = epoch + 1, until = ",
    " + $5 WHERE name = $1 AND owner = $2 AND epoch = $3"
);
const RENEW: [&str; 2] = by_its_clock!(
    "UPDATE leases SET until = ",
    " + $4 WHERE name = $1 AND owner = $2 AND epoch = $3"
);
const END: &str = "UPDATE leases SET until = 0 WHERE name = $1 AND owner = $2 AND epoch = $3";
const HOLDER: &str = "SELECT owner, epoch FROM leases WHERE name = $1";

struct TakeLease {
    name: String,
    owner: ServerId,
    free: Free,
    lasts: Duration,
    /// Whether the epoch rises even if the owner stays.
    starts: bool,
}

impl Write for TakeLease {
    type Answer = Epoch;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Epoch, Failure> {
        let (after, at_once) = match self.free {
            Free::After(after) => (after, false),
            Free::AtOnce => (Duration::ZERO, true),
        };
        let (name, lasts) = (self.name.as_str(), millis(self.lasts));
        let values = values![name, self.owner, lasts, millis(after), self.starts, at_once];
        let row = db.row(db.pick(TAKE[0], TAKE[1]), values).await?.ok_or(StoreError::StaleEpoch)?;
        Ok(Epoch(row.number(0)?))
    }
}

/// Hands a lease on, under the next epoch.
pub(super) struct ChangeLease {
    pub(super) name: String,
    pub(super) from: ServerId,
    pub(super) epoch: Epoch,
    pub(super) to: ServerId,
    pub(super) lasts: Duration,
}

impl Write for ChangeLease {
    type Answer = Epoch;

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Epoch, Failure> {
        let Self { name, from, epoch, to, lasts } = self;
        let after = Epoch(epoch.0 + 1);
        let values = values![name.as_str(), *from, *epoch, *to, millis(*lasts)];
        if db.execute(db.pick(CHANGE[0], CHANGE[1]), values).await? > 0 {
            return Ok(after);
        }
        // Whoever has the next epoch has it by this change, done before.
        let row = db.row(HOLDER, values![name.as_str()]).await?.ok_or(StoreError::StaleEpoch)?;
        let holder = (ServerId(row.bits(0)?), Epoch(row.number(1)?));
        if holder == (*to, after) { Ok(after) } else { Err(StoreError::StaleEpoch.into()) }
    }
}

struct RenewLeases {
    owner: ServerId,
    leases: Vec<(String, Epoch)>,
    lasts: Duration,
}

impl Write for RenewLeases {
    /// Those that were lost.
    type Answer = Vec<String>;

    fn proves_saving(&self) -> bool {
        false
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<Vec<String>, Failure> {
        let mut lost = Vec::new();
        for (name, epoch) in &self.leases {
            let values = values![name.as_str(), self.owner, *epoch, millis(self.lasts)];
            if db.execute(db.pick(RENEW[0], RENEW[1]), values).await? == 0 {
                lost.push(name.clone());
            }
        }
        Ok(lost)
    }
}

/// No longer than a year, so that no sum with the clock overflows.
fn millis(duration: Duration) -> u64 {
    duration.min(Duration::from_hours(365 * 24)).as_millis() as u64
}

struct EndLease {
    name: String,
    owner: ServerId,
    epoch: Epoch,
}

impl Write for EndLease {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        db.execute(END, values![self.name.as_str(), self.owner, self.epoch]).await?;
        Ok(())
    }
}
