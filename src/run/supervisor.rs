//! The supervisor of a process: everything that must run as long as the process does is in its
//! hands. A part that panics, fails or ends before it was asked to takes the whole process down in
//! good order, so that whoever watches it starts another; a process that is half dead helps nobody.
//!
//! The composition hands its tasks over here. It never starts a part anew, and never waits itself.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::admin::Readiness;
use crate::role::Role;

/// Watches over the parts of a process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Supervisor {
    readiness: Readiness,
    /// Asks the process to drain and stop.
    stop: CancellationToken,
    /// The first part that has failed.
    failed: Arc<OnceLock<&'static str>>,
}

/// What a part leaves when it ends.
pub(super) trait Ending {
    /// Why it could not go on; none: it ended in good order.
    fn problem(self) -> Option<String>;
}

impl Ending for () {
    fn problem(self) -> Option<String> {
        None
    }
}

impl<E: Display> Ending for Result<(), E> {
    fn problem(self) -> Option<String> {
        self.err().map(|error| format!("{error:#}"))
    }
}

impl Supervisor {
    /// Of a process that drains when `stop` is cancelled.
    pub(super) fn new(readiness: Readiness, stop: CancellationToken) -> Self {
        Self { readiness, stop, failed: Arc::default() }
    }

    /// Starts a part, or takes over one that was started; gives what ends after it has ended and
    /// was judged, and must be spawned. With the part goes the `role` that cannot be played
    /// without it.
    pub(super) fn keep<F>(
        &self,
        part: &'static str,
        role: Option<Role>,
        task: F,
    ) -> impl Future<Output = ()> + Send + 'static + use<F>
    where
        F: Future<Output: Ending + Send + 'static> + Send + 'static,
    {
        let supervisor = self.clone();
        let task = tokio::spawn(task);
        async move {
            let problem = match task.await {
                Ok(end) => end.problem(),
                // Only the end of the runtime does that.
                Err(error) if error.is_cancelled() => return,
                Err(error) => Some(error.to_string()),
            };
            match problem {
                Some(problem) => supervisor.fail(part, role, &problem),
                None if supervisor.stop.is_cancelled() => {}
                None => supervisor.fail(part, role, "it ended before it was asked to"),
            }
        }
    }

    /// The part that has failed first.
    pub(super) fn failed(&self) -> Option<&'static str> {
        self.failed.get().copied()
    }

    fn fail(&self, part: &'static str, role: Option<Role>, problem: &str) {
        error!(part, problem, "a part of this process has failed; the process stops");
        self.failed.get_or_init(|| part);
        if let Some(role) = role {
            self.readiness.ended(role);
        }
        self.readiness.drain();
        self.stop.cancel();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn breaks() {
        panic!("broken");
    }

    fn supervisor() -> Supervisor {
        let readiness = Readiness::new("chat".parse().unwrap());
        readiness.started(Role::Chat);
        Supervisor::new(readiness, CancellationToken::new())
    }

    #[tokio::test]
    async fn a_part_that_panics_stops_the_process() {
        let supervisor = supervisor();
        let (go, gone) = oneshot::channel::<()>();
        let part = async move {
            let _ = gone.await;
            breaks();
        };
        let kept = tokio::spawn(supervisor.keep("chat role", Some(Role::Chat), part));
        assert!(!supervisor.stop.is_cancelled());
        drop(go);
        supervisor.stop.cancelled().await;
        kept.await.unwrap();
        assert_eq!(supervisor.failed(), Some("chat role"));
        let problems = supervisor.readiness.report(None).await.problems;
        assert_eq!(problems, ["the chat role is not running", "the process is draining"]);
    }

    #[tokio::test]
    async fn a_part_that_ends_or_fails_early_stops_the_process() {
        for fails in [false, true] {
            let supervisor = supervisor();
            let end = if fails { Err("no thread") } else { Ok(()) };
            supervisor.keep("member", None, async move { end }).await;
            assert!(supervisor.stop.is_cancelled());
            assert_eq!(supervisor.failed(), Some("member"));
            assert_eq!(
                supervisor.readiness.report(None).await.problems,
                ["the process is draining"]
            );
        }
    }

    #[tokio::test]
    async fn a_task_that_runs_already_is_kept_too() {
        let supervisor = supervisor();
        let task = tokio::spawn(async { breaks() });
        supervisor.keep("listener", None, task).await;
        assert_eq!(supervisor.failed(), Some("listener"));
    }

    #[tokio::test]
    async fn an_end_that_was_asked_for_is_no_failure_but_a_panic_is() {
        let supervisor = supervisor();
        let stop = supervisor.stop.clone();
        let part = supervisor.keep("chat role", Some(Role::Chat), stop.cancelled_owned());
        supervisor.stop.cancel();
        part.await;
        assert_eq!(supervisor.failed(), None);
        supervisor.keep("first", None, async { breaks() }).await;
        supervisor.keep("second", None, async { breaks() }).await;
        assert_eq!(supervisor.failed(), Some("first"));
    }
}
