//! A write on its way through a queue: queued, applied, answered.
//!
//! What the store offers is a [`Write`] each; the writer sees [`Job`]s, whatever their type, and
//! the caller waits on a [`Pending`]. Nothing here knows of transactions.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use metrics::Gauge;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::StoreError;
use super::connection::Connection;
use super::failure::{Failure, too_late};
use crate::ids::PlayerId;
use crate::tick;

/// One change of the database. It may be applied more than once (after a broken connection), but
/// only one of the times is committed.
pub(super) trait Write: Send + 'static {
    /// What the caller gets after the commit.
    type Answer: Send;

    /// The player whose order it keeps; none: the order of its kind.
    fn player(&self) -> Option<PlayerId> {
        None
    }

    /// Other players whose rows it changes.
    fn partners(&self) -> Vec<PlayerId> {
        Vec::new()
    }

    /// How many players' saves it carries, for the queue's depth.
    fn saves(&self) -> usize {
        0
    }

    /// Whether it changes nothing: it comes this way to hear whether changes can be made at all.
    fn only_looks(&self) -> bool {
        false
    }

    /// Whether its commit shows that the database still takes what is to be kept. What is repeated
    /// anyway and hardly takes room (the renewal of a lease) may still fit where a save does not.
    fn proves_saving(&self) -> bool {
        !self.only_looks()
    }

    /// Does it. Whatever it has changed is undone if it fails.
    fn apply(
        &self,
        db: &mut Connection<'_>,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Makes a job of a write, and the caller's end of it.
pub(super) fn job<W: Write>(
    write: W,
    depth: &Gauge,
    timeout: Duration,
) -> (Box<dyn Job>, Pending<W::Answer>) {
    let since = tick::now();
    let deadline = since + timeout;
    let (reply, answer) = oneshot::channel();
    let depth = Depth::add(depth, write.saves());
    let job = Waiting { write, outcome: None, reply, since, deadline, depth };
    (Box::new(job), Pending { answer, deadline, refusal: None })
}

/// A write that waits for its commit.
pub(super) struct Pending<T> {
    answer: oneshot::Receiver<Result<T, StoreError>>,
    deadline: Instant,
    refusal: Option<&'static str>,
}

impl<T> Pending<T> {
    /// Its job was dropped unqueued, for that reason.
    pub(super) fn refused(self, why: &'static str) -> Self {
        Self { refusal: Some(why), ..self }
    }

    /// What came of it, within the time-out.
    pub(super) async fn outcome(self) -> Result<T, StoreError> {
        match timeout_at(self.deadline.into(), self.answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => {
                let why = self.refusal.unwrap_or("its writer has stopped");
                Err(StoreError::Unavailable(why.into()))
            }
            Err(_) => Err(too_late()),
        }
    }
}

/// Counts saves as waiting for as long as it lives.
struct Depth {
    gauge: Gauge,
    saves: f64,
}

impl Depth {
    fn add(gauge: &Gauge, saves: usize) -> Self {
        let depth = Self { gauge: gauge.clone(), saves: saves as f64 };
        depth.gauge.increment(depth.saves);
        depth
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        self.gauge.decrement(self.saves);
    }
}

/// A write in a queue, whatever its type.
pub(super) trait Job: Send {
    /// See [`Write::player`].
    fn player(&self) -> Option<PlayerId>;
    /// See [`Write::partners`].
    fn partners(&self) -> Vec<PlayerId>;
    /// See [`Write::only_looks`].
    fn only_looks(&self) -> bool;
    /// See [`Write::proves_saving`].
    fn proves_saving(&self) -> bool;
    /// When it was queued.
    fn since(&self) -> Instant;
    /// When its caller gives up.
    fn deadline(&self) -> Instant;
    /// Does the write. The outcome is kept until the commit; `Ok(false)` wants the savepoint undone.
    fn apply<'a>(&'a mut self, db: &'a mut Connection<'_>) -> Applying<'a>;
    /// Gives the caller the outcome.
    fn answer(self: Box<Self>);
    /// Tells the caller that nothing was committed, as far as is known.
    fn refuse(self: Box<Self>, why: StoreError);
}

/// A write under way.
pub(super) type Applying<'a> = Pin<Box<dyn Future<Output = Result<bool, Failure>> + Send + 'a>>;

struct Waiting<W: Write> {
    write: W,
    outcome: Option<Result<W::Answer, StoreError>>,
    reply: oneshot::Sender<Result<W::Answer, StoreError>>,
    since: Instant,
    deadline: Instant,
    depth: Depth,
}

impl<W: Write> Job for Waiting<W> {
    fn player(&self) -> Option<PlayerId> {
        self.write.player()
    }

    fn partners(&self) -> Vec<PlayerId> {
        self.write.partners()
    }

    fn only_looks(&self) -> bool {
        self.write.only_looks()
    }

    fn proves_saving(&self) -> bool {
        self.write.proves_saving()
    }

    fn since(&self) -> Instant {
        self.since
    }

    fn deadline(&self) -> Instant {
        self.deadline
    }

    fn apply<'a>(&'a mut self, db: &'a mut Connection<'_>) -> Applying<'a> {
        Box::pin(async move {
            match self.write.apply(db).await {
                Ok(answer) => self.outcome = Some(Ok(answer)),
                Err(failure) if failure.is_own() => {
                    self.outcome = Some(Err(failure.into_store_error()));
                    return Ok(false);
                }
                Err(failure) => return Err(failure),
            }
            Ok(true)
        })
    }

    fn answer(self: Box<Self>) {
        let Self { outcome, reply, depth, .. } = *self;
        drop(depth);
        let outcome = outcome.unwrap_or_else(|| Err(too_late()));
        // A caller that has gone needs no answer.
        let _ = reply.send(outcome);
    }

    fn refuse(self: Box<Self>, why: StoreError) {
        let _ = self.reply.send(Err(why));
    }
}
