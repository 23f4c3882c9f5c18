//! Group commit: what waits together is committed together.
//!
//! A commit costs milliseconds (the disk's), a change inside one costs microseconds. So everything
//! that writes is a [`Write`], waits in a bounded queue, and a lane takes what waits, does each in
//! its own savepoint of one transaction, and answers after the COMMIT. A lane is one task with one
//! connection. SQLite has one lane, since it has one writer; PostgreSQL has several, and a player's
//! writes always take the same one, so their order is kept.
//!
//! Overflow: a full queue refuses at once. A write whose time is over before its turn is not done;
//! one whose time runs out during the COMMIT may have been, which is what operation ids are for.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caught::{broken_off, caught};
use super::connection::{Connection, values};
use super::failure::{Failure, too_late};
use super::job::{Job, Pending, Write, job};
use super::progress::Progress;
use super::prune::Prune;
use super::{Opener, OwnConnection, StoreConfig, StoreError};
use crate::ids::PlayerId;
use crate::{limits, tick};

/// How often what nobody needs any more is deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// How soon again, if there was more than one round may delete.
const PRUNE_AGAIN: Duration = Duration::from_secs(1);
/// How often a transaction is tried before its jobs are refused. A second connection mends a broken
/// one, a third try gets through after a deadlock with another server.
const ATTEMPTS: u32 = 3;

/// The queues' entrances.
pub(super) struct Writer {
    lanes: Vec<mpsc::Sender<Box<dyn Job>>>,
    progress: Vec<Arc<Progress>>,
    depth: Gauge,
    timeout: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Writer {
    /// Starts `lanes` tasks.
    pub(super) fn start(opener: &Opener, lanes: usize, config: &StoreConfig) -> Self {
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let progress: Vec<Arc<Progress>> = (0..lanes).map(|_| Arc::default()).collect();
        let lanes = (0..lanes).map(|number| {
            let (sender, inbox) = mpsc::channel(limits::STORE_QUEUE);
            let lane = Lane::new(number, opener.clone(), inbox, config, stop.clone());
            tasks.spawn(Lane { progress: progress[number].clone(), ..lane }.run());
            sender
        });
        let lanes = lanes.collect();
        let depth = metrics::gauge!("throng_database_queue_depth");
        let timeout = Duration::from_millis(config.timeout_ms);
        Self { lanes, progress, depth, timeout, stop, tasks }
    }

    /// Which lane a player's writes take.
    pub(super) fn lane_of(&self, player: PlayerId) -> usize {
        player.0 as usize % self.lanes.len()
    }

    /// Queues a write; it has its place when this returns.
    pub(super) fn enqueue<W: Write>(&self, write: W) -> Pending<W::Answer> {
        let lane = write.player().map_or(0, |player| self.lane_of(player));
        if write.proves_saving() {
            self.progress[lane].asked(tick::now());
        }
        let (job, pending) = job(write, &self.depth, self.timeout);
        match self.lanes[lane].try_send(job) {
            Ok(()) => pending,
            Err(mpsc::error::TrySendError::Full(_)) => pending.refused("too many changes wait"),
            Err(mpsc::error::TrySendError::Closed(_)) => pending.refused("the store is closed"),
        }
    }

    /// See [`Store::stuck_for`](super::Store::stuck_for).
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        self.progress.iter().filter_map(|lane| lane.stuck_for(tick::now())).max()
    }

    /// Takes nothing more, finishes what waits.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Why a transaction came to nothing.
enum Aborted {
    /// Nothing was committed; another try may do better.
    Before(Failure),
    /// Nothing was committed, and there is no connection to try on.
    NoConnection(Failure),
    /// The COMMIT itself failed: nobody knows.
    During(Failure),
}

/// One task with one connection and one queue.
struct Lane {
    number: usize,
    opener: Opener,
    connection: Option<OwnConnection>,
    inbox: mpsc::Receiver<Box<dyn Job>>,
    company: Duration,
    most: usize,
    progress: Arc<Progress>,
    timeout: Duration,
    stop: CancellationToken,
    /// Whether the last transaction failed, so that a long absence is logged once.
    away: bool,
    commits: Counter,
    group_size: Histogram,
    age: Histogram,
}

impl Lane {
    fn new(
        number: usize,
        opener: Opener,
        inbox: mpsc::Receiver<Box<dyn Job>>,
        config: &StoreConfig,
        stop: CancellationToken,
    ) -> Self {
        Self {
            number,
            opener,
            connection: None,
            inbox,
            company: Duration::from_millis(config.group_commit_ms),
            most: config.group_commit_max.max(1),
            progress: Arc::default(),
            timeout: Duration::from_millis(config.timeout_ms),
            stop,
            away: false,
            commits: metrics::counter!("throng_commits_total"),
            group_size: metrics::histogram!("throng_commit_group_size"),
            age: metrics::histogram!("throng_database_queue_seconds"),
        }
    }

    /// Until the store is closed or dropped, and the queue is empty.
    async fn run(mut self) {
        let mut jobs: Vec<Box<dyn Job>> = Vec::with_capacity(self.most);
        let mut prune = interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !self.inbox.is_closed() => {
                    self.inbox.close();
                    continue;
                }
                // One lane is enough for that.
                _ = prune.tick(), if self.number == 0 && !self.inbox.is_closed() => {
                    if self.prune().await {
                        prune.reset_after(PRUNE_AGAIN);
                    }
                }
                count = self.inbox.recv_many(&mut jobs, self.most) => {
                    if count == 0 {
                        break;
                    }
                    self.await_company(&mut jobs).await;
                }
            }
            self.commit(&mut jobs).await;
        }
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    /// Gives others a moment to come along, if the configuration says so.
    async fn await_company(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        if self.company.is_zero() {
            return;
        }
        let until = tick::now() + self.company;
        while jobs.len() < self.most {
            let room = self.most - jobs.len();
            match timeout_at(until.into(), self.inbox.recv_many(jobs, room)).await {
                Ok(count) if count > 0 => {}
                _ => break,
            }
        }
    }

    /// Whether there is more to delete.
    async fn prune(&mut self) -> bool {
        let (job, pruned) = job(Prune, &Gauge::noop(), self.timeout);
        self.commit(&mut vec![job]).await;
        pruned.outcome().await.unwrap_or(false)
    }

    /// Commits all jobs in one transaction and answers them; leaves `jobs` empty.
    async fn commit(&mut self, jobs: &mut Vec<Box<dyn Job>>) {
        let now = tick::now();
        for late in jobs.extract_if(.., |job| job.deadline() <= now) {
            late.refuse(too_late());
        }
        let Some(deadline) = jobs.iter().map(|job| job.deadline()).max() else {
            return;
        };
        // Players' rows are locked in the order of their ids, in every process, so that no two
        // transactions wait for each other. The sort is stable: a player's own order is kept.
        jobs.sort_by_key(|job| job.player());
        for job in jobs.iter() {
            self.age.record(now.duration_since(job.since()));
        }
        let outcome = match timeout_at(deadline.into(), caught(self.attempt(jobs))).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => {
                self.connection = None;
                Err(broken_off())
            }
            Err(_) => {
                // A statement is still under way on it: only a new one is clean.
                self.connection = None;
                Err(too_late())
            }
        };
        self.report(jobs.len(), outcome.as_ref().err());
        if outcome.is_ok() && jobs.iter().any(|job| job.proves_saving()) {
            self.progress.committed();
        }
        for job in jobs.drain(..) {
            match &outcome {
                Ok(()) => job.answer(),
                Err(error) => job.refuse(error.clone()),
            }
        }
    }

    fn report(&mut self, jobs: usize, error: Option<&StoreError>) {
        match error {
            None => {
                self.commits.increment(1);
                self.group_size.record(jobs as f64);
                if self.away {
                    tracing::info!(lane = self.number, "database is back");
                }
            }
            Some(error) if !self.away => {
                tracing::warn!(lane = self.number, jobs, %error, "database refuses commits");
            }
            Some(_) => {}
        }
        self.away = error.is_some();
    }

    /// Tries the transaction until it is committed, or it makes no sense to go on.
    async fn attempt(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.transaction(jobs).await {
                Ok(()) => return Ok(()),
                Err(Aborted::Before(failure)) if tries < ATTEMPTS => {
                    tracing::debug!(lane = self.number, ?failure, "transaction is tried again");
                    self.connection = None;
                }
                Err(
                    Aborted::Before(failure)
                    | Aborted::NoConnection(failure)
                    | Aborted::During(failure),
                ) => {
                    self.connection = None;
                    return Err(failure.into_store_error());
                }
            }
        }
    }

    async fn transaction(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Aborted> {
        if self.connection.is_none() {
            let opened = self.opener.open().await;
            self.connection = Some(opened.map_err(|e| Aborted::NoConnection(e.into()))?);
        }
        let Some(own) = &mut self.connection else { return Ok(()) };
        let mut db = own.borrow();
        db.begin().await.map_err(Aborted::Before)?;
        lock_in_order(&mut db, with_partners(jobs)).await.map_err(Aborted::Before)?;
        for job in jobs {
            in_savepoint(&mut db, job.as_mut()).await.map_err(Aborted::Before)?;
        }
        db.steer("COMMIT").await.map_err(Aborted::During)
    }
}

/// With a job that changes several players' rows, the order of the jobs is not that of the ids any
/// more: then all rows are locked first, in that order. A save is one too: its rows are its lane's
/// own, but gifts of other lanes reach into them. SQLite has one writer and needs none of it.
async fn lock_in_order(db: &mut Connection<'_>, players: Vec<i64>) -> Result<(), Failure> {
    if matches!(db, Connection::Postgres(_)) && !players.is_empty() {
        db.rows(LOCK_ALL, values![players]).await?;
    }
    Ok(())
}

/// The players whose rows the jobs change, if one of them changes several.
fn with_partners(jobs: &[Box<dyn Job>]) -> Vec<i64> {
    let mut players: Vec<PlayerId> = jobs.iter().flat_map(|job| job.partners()).collect();
    if !players.is_empty() {
        players.extend(jobs.iter().filter_map(|job| job.player()));
    }
    players.iter().map(|player| player.0.cast_signed()).collect()
}

const LOCK_ALL: &str = "SELECT id FROM players WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

async fn in_savepoint(db: &mut Connection<'_>, job: &mut dyn Job) -> Result<(), Failure> {
    if job.only_looks() {
        return job.apply(db).await.map(drop);
    }
    db.steer("SAVEPOINT job").await?;
    if !job.apply(db).await? {
        db.steer("ROLLBACK TO SAVEPOINT job").await?;
    }
    db.steer("RELEASE SAVEPOINT job").await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::connection::values;

    /// A change with a fault in it.
    struct Broken;

    impl Write for Broken {
        type Answer = ();

        async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
            db.row("SELECT 1", values![]).await?;
            panic!("a fault in a change");
        }
    }

    #[tokio::test]
    async fn a_panic_in_a_change_is_answered_and_the_next_one_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let refused = store.write("broken", Broken).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(
            store.lease("zone-1", crate::ids::ServerId(1), Duration::ZERO).await.map(|e| e.0),
            Ok(1)
        );
        let read = store.read("broken", async {
            tokio::task::yield_now().await;
            panic!("a fault in a look");
        });
        assert!(matches!(read.await, Err::<(), _>(StoreError::Unavailable(_))));
        store.ping().await.unwrap();
    }

    #[tokio::test]
    async fn a_lease_that_is_renewed_does_not_hide_that_nothing_is_saved() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&StoreConfig::default(), folder.path()).await.unwrap();
        let (owner, lasts) = (crate::ids::ServerId(1), Duration::from_secs(5));
        let epoch = store.lease("zone-1", owner, lasts).await.unwrap();
        assert_eq!(store.stuck_for(), None);
        store.write("broken", Broken).await.unwrap_err();
        let renewed = store.renew_leases(owner, vec![("zone-1".to_owned(), epoch)], lasts).await;
        assert_eq!(renewed, Ok(Vec::new()));
        assert!(store.stuck_for().is_some(), "what was asked for is not kept");
        store.lease("zone-2", owner, lasts).await.unwrap();
        assert_eq!(store.stuck_for(), None);
    }
}
