//! Whether this process is alive, and whether it is ready: which of its roles have started.
//!
//! Answers without a master and without a database; that one of them is away is part of the
//! answer. What a process lacks before it has been complete makes it unready. Later that is a
//! warning: play goes on without it, and were all processes unready for it, nobody could come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ids::ZoneId;
use crate::role::{Role, Roles};
use crate::store::Store;

/// How long the database may take to answer.
const STORE_WITHIN: Duration = Duration::from_secs(1);

/// How long nothing may be committed, though it was asked for, by a process that is ready.
const STUCK_AFTER: Duration = Duration::from_secs(5);

/// Which roles of this process have started, and whether it is about to stop. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Readiness {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    roles: Roles,
    /// Parallel to [`Role::ALL`].
    started: [AtomicBool; Role::ALL.len()],
    draining: AtomicBool,
    /// Whether nothing of the cluster was missing once.
    was_complete: AtomicBool,
    /// What of the cluster is missing for its roles to work.
    missing: watch::Sender<Vec<String>>,
    /// Zones whose threads do not go on.
    stalled: Mutex<Vec<ZoneId>>,
    /// What of it is away that they can do without for a while.
    away: Mutex<Vec<String>>,
}

impl Readiness {
    /// Of a process that will play `roles`; none has started yet.
    pub fn new(roles: Roles) -> Self {
        let started = std::array::from_fn(|_| AtomicBool::new(false));
        let (draining, missing) = (AtomicBool::new(false), watch::channel(Vec::new()).0);
        let (stalled, away) = (Mutex::default(), Mutex::default());
        let was_complete = AtomicBool::new(false);
        let inner = Inner { roles, started, draining, was_complete, missing, stalled, away };
        Self { inner: Arc::new(inner) }
    }

    /// A role has started.
    pub fn started(&self, role: Role) {
        self.set(role, true);
    }

    /// A role has ended.
    pub fn ended(&self, role: Role) {
        self.set(role, false);
    }

    fn set(&self, role: Role, to: bool) {
        for (flag, known) in self.inner.started.iter().zip(Role::ALL) {
            if known == role {
                flag.store(to, Ordering::Relaxed);
            }
        }
    }

    /// What of the cluster its roles need and do not have now, in words. Until nothing is missing
    /// for the first time it is a problem, from then on a warning.
    pub fn misses(&self, missing: Vec<String>) {
        if missing.is_empty() {
            self.inner.was_complete.store(true, Ordering::Relaxed);
        }
        self.inner.missing.send_if_modified(|before| {
            let changed = *before != missing;
            *before = missing;
            changed
        });
    }

    /// What of the cluster is away now that its roles can do without for a while, in words.
    pub fn does_without(&self, away: Vec<String>) {
        *self.inner.away.lock() = away;
    }

    /// The zones of this process whose threads do not go on now.
    pub fn stalls(&self, zones: &[ZoneId]) {
        *self.inner.stalled.lock() = zones.to_vec();
    }

    /// Waits until nothing is missing.
    pub async fn complete(&self) {
        let mut missing = self.inner.missing.subscribe();
        // Fails only if the sender is gone, which this holds.
        let _ = missing.wait_for(Vec::is_empty).await;
    }

    /// The process is about to stop and should get no newcomers.
    pub fn drain(&self) {
        self.inner.draining.store(true, Ordering::Relaxed);
    }

    /// What this process plays.
    pub fn roles(&self) -> &Roles {
        &self.inner.roles
    }

    /// What is not as it should be now.
    pub(crate) async fn report(&self, store: Option<&Store>) -> Report {
        let roles = Role::ALL.into_iter().zip(&self.inner.started);
        let mut problems: Vec<String> = roles
            .filter(|(role, flag)| self.inner.roles.has(*role) && !flag.load(Ordering::Relaxed))
            .map(|(role, _)| format!("the {role} role is not running"))
            .collect();
        let mut warnings = self.inner.away.lock().clone();
        let mut lacks = self.inner.missing.borrow().clone();
        let stalled = self.inner.stalled.lock().clone();
        problems.extend(stalled.iter().map(|zone| format!("zone {zone} does not go on")));
        if self.inner.draining.load(Ordering::Relaxed) {
            problems.push("the process is draining".to_owned());
        }
        if let Some(store) = store {
            match away(store).await {
                Some(away) => lacks.push(away),
                None => problems.extend(stuck(store.stuck_for())),
            }
        }
        if self.inner.was_complete.load(Ordering::Relaxed) {
            warnings.extend(lacks);
        } else {
            problems.extend(lacks);
        }
        Report { problems, warnings }
    }
}

/// What `/readyz` tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Why the process is not ready; empty: it is.
    pub(crate) problems: Vec<String>,
    /// What is away that play goes on without.
    pub(crate) warnings: Vec<String>,
}

/// That the database does not answer, if so. That is everybody's trouble: no other process would
/// serve a player better.
async fn away(store: &Store) -> Option<String> {
    match tokio::time::timeout(STORE_WITHIN, store.ping()).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("the store: {error}")),
        Err(_) => Some("the store does not answer".to_owned()),
    }
}

/// That a database which answers takes nothing: a full disk, a standby that only reads, a lane of
/// the writer that is gone.
fn stuck(stuck_for: Option<Duration>) -> Option<String> {
    let time = stuck_for.filter(|time| *time >= STUCK_AFTER)?.as_secs();
    Some(format!("the database answers, but nothing was saved for {time} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(readiness: &Readiness) -> [Vec<String>; 2] {
        let Report { problems, warnings } = readiness.report(None).await;
        [problems, warnings]
    }

    fn one(word: &str) -> Vec<String> {
        vec![word.to_owned()]
    }

    #[tokio::test]
    async fn a_process_is_ready_when_all_its_roles_run() {
        let readiness = Readiness::new("master,zone".parse().unwrap());
        assert_eq!(told(&readiness).await[0].len(), 2);
        readiness.started(Role::Master);
        readiness.started(Role::Zone);
        assert_eq!(told(&readiness).await, [Vec::<String>::new(), vec![]]);
        readiness.ended(Role::Zone);
        assert_eq!(told(&readiness).await, [one("the zone role is not running"), vec![]]);
        readiness.started(Role::Zone);
        readiness.does_without(one("no master is linked"));
        assert_eq!(told(&readiness).await, [vec![], one("no master is linked")]);
        readiness.does_without(vec![]);
        readiness.stalls(&[ZoneId(3)]);
        assert_eq!(told(&readiness).await, [one("zone 3 does not go on"), vec![]]);
        readiness.stalls(&[]);
        readiness.drain();
        assert_eq!(told(&readiness).await, [one("the process is draining"), vec![]]);
    }

    #[tokio::test]
    async fn what_is_lacking_is_a_problem_before_and_a_warning_after_it_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&crate::store::StoreConfig::default(), folder.path()).await;
        let store = store.unwrap();
        store.close().await;
        let readiness = Readiness::new("gateway".parse().unwrap());
        readiness.started(Role::Gateway);
        let chat = || one("no chat server is linked");
        readiness.misses(chat());
        let report = readiness.report(Some(&store)).await;
        assert_eq!((report.problems.len(), report.warnings.len()), (2, 0), "{report:?}");
        readiness.misses(vec![]);
        readiness.complete().await;
        readiness.misses(chat());
        let report = readiness.report(Some(&store)).await;
        assert_eq!((report.problems.len(), report.warnings.len()), (0, 2), "{report:?}");
        readiness.ended(Role::Gateway);
        assert_eq!(told(&readiness).await, [one("the gateway role is not running"), chat()]);
    }

    #[test]
    fn a_database_that_takes_nothing_for_five_seconds_is_a_problem() {
        assert_eq!(stuck(None), None);
        assert_eq!(stuck(Some(STUCK_AFTER - Duration::from_millis(1))), None);
        assert!(stuck(Some(STUCK_AFTER)).is_some_and(|word| word.contains("5 s")));
    }
}
