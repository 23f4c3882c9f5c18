//! Whether this process is alive, and whether it is ready: which of its roles have started.
//!
//! Answers without a master and without a database; that one of them is away is part of the
//! answer. What play goes on without is told too, and never makes a process unready.

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
        Self { inner: Arc::new(Inner { roles, started, draining, missing, stalled, away }) }
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

    /// What of the cluster its roles cannot do without and do not have now, in words.
    pub fn misses(&self, missing: Vec<String>) {
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

    /// What is away and does no harm yet.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.inner.away.lock().clone()
    }

    /// What is not as it should be; empty: ready.
    pub(crate) async fn problems(&self, store: Option<&Store>) -> Vec<String> {
        let mut problems: Vec<String> = Role::ALL
            .into_iter()
            .zip(&self.inner.started)
            .filter(|(role, flag)| self.inner.roles.has(*role) && !flag.load(Ordering::Relaxed))
            .map(|(role, _)| format!("the {role} role is not running"))
            .collect();
        problems.extend(self.inner.missing.borrow().iter().cloned());
        let stalled = self.inner.stalled.lock().clone();
        problems.extend(stalled.iter().map(|zone| format!("zone {zone} does not go on")));
        if self.inner.draining.load(Ordering::Relaxed) {
            problems.push("the process is draining".to_owned());
        }
        if let Some(store) = store {
            match tokio::time::timeout(STORE_WITHIN, store.ping()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => problems.push(format!("the store: {error}")),
                Err(_) => problems.push("the store does not answer".to_owned()),
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_is_ready_when_all_its_roles_run() {
        let readiness = Readiness::new("master,zone".parse().unwrap());
        assert_eq!(readiness.problems(None).await.len(), 2);
        readiness.started(Role::Master);
        readiness.started(Role::Zone);
        assert_eq!(readiness.problems(None).await, [""; 0]);
        readiness.ended(Role::Zone);
        assert_eq!(readiness.problems(None).await, ["the zone role is not running"]);
        readiness.misses(vec!["no master is linked".into()]);
        assert_eq!(readiness.problems(None).await.len(), 2);
        readiness.started(Role::Zone);
        readiness.misses(Vec::new());
        readiness.complete().await;
        readiness.does_without(vec!["no master is linked".into()]);
        assert_eq!(readiness.problems(None).await, [""; 0]);
        assert_eq!(readiness.warnings(), ["no master is linked"]);
        readiness.stalls(&[ZoneId(3)]);
        assert_eq!(readiness.problems(None).await, ["zone 3 does not go on"]);
        readiness.stalls(&[]);
        readiness.drain();
        assert_eq!(readiness.problems(None).await, ["the process is draining"]);
    }
}
