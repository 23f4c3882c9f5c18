//! The one hashing thread and the queue before it, first come, first served.
//!
//! Hashing does not get faster with more threads, so one works and the others play; where cores are
//! short, they go before it. The login task puts jobs in and gets answers through a channel; it can
//! tell each asker its place meanwhile. A job whose asker has gone is skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc;

use super::hashing::{HashError, SecretHasher};
use crate::msg::login::QueuePlace;
use crate::tick;

/// What one job is taken to cost before the first was measured.
const FIRST_GUESS: Duration = Duration::from_millis(20);

/// A job: the how-manieth since the start, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JobId(u64);

/// What is to be computed. No `Debug`: it holds secrets.
pub(super) enum Work {
    /// Is this the secret that was hashed? None: there is no such account.
    Verify {
        /// What the client sent.
        secret: String,
        /// What the store has.
        stored: Option<String>,
    },
    /// Hash a new secret.
    Hash {
        /// What the client sent.
        secret: String,
    },
}

/// What came out.
#[derive(Debug)]
pub(super) enum Hashed {
    /// Of [`Work::Verify`].
    Verified(Result<bool, HashError>),
    /// Of [`Work::Hash`].
    Made(Result<String, HashError>),
    /// The asker had gone.
    Skipped,
}

/// Set when nobody waits for a job any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Gone(Arc<AtomicBool>);

impl Gone {
    /// Nobody waits any more.
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody does.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct Job {
    id: JobId,
    work: Work,
    gone: Gone,
}

/// What the thread tells of its pace.
#[derive(Debug)]
struct Pace {
    done: AtomicU64,
    /// Microseconds of one job, averaged over the last ones.
    mean: AtomicU64,
}

/// The sending end of the queue. The thread ends when it is dropped.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: SyncSender<Job>,
    submitted: u64,
    pace: Arc<Pace>,
}

/// Lets the threads of the game go before this one, where they share a core: about a tenth of it is
/// left then. Only Linux counts niceness by thread; what it refuses costs nobody a log-in.
fn yield_to_play() {
    #[cfg(target_os = "linux")]
    {
        const NICENESS: i32 = 10;
        if let Err(problem) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::debug!(%problem, "the hashing thread does not step back");
        }
    }
}

impl Worker {
    /// Starts the thread behind a queue of `length` jobs. Answers come out of the receiver.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(super) fn start(
        hasher: SecretHasher,
        length: usize,
    ) -> std::io::Result<(Self, mpsc::Receiver<(JobId, Hashed)>)> {
        let (jobs, queue) = sync_channel(length);
        // As many answers as jobs: the thread never waits for the login task.
        let (answers, answered) = mpsc::channel(length + 2);
        let mean = u64::try_from(FIRST_GUESS.as_micros()).unwrap_or(u64::MAX);
        let pace = Arc::new(Pace { done: AtomicU64::new(0), mean: AtomicU64::new(mean) });
        let told = pace.clone();
        std::thread::Builder::new().name("hashing".into()).spawn(move || {
            yield_to_play();
            work(&hasher, &queue, &answers, &told);
        })?;
        Ok((Self { jobs, submitted: 0, pace }, answered))
    }

    /// Puts a job at the end of the queue. None: the queue is full.
    pub(super) fn submit(&mut self, work: Work, gone: Gone) -> Option<JobId> {
        let id = JobId(self.submitted + 1);
        self.jobs.try_send(Job { id, work, gone }).ok()?;
        self.submitted += 1;
        Some(id)
    }

    /// Where a job stands: 1 is in work.
    pub(super) fn place(&self, job: JobId) -> QueuePlace {
        let done = self.pace.done.load(Ordering::Relaxed);
        let position = job.0.saturating_sub(done).max(1);
        let length = self.submitted.saturating_sub(done).max(position);
        let wait = position.saturating_mul(self.pace.mean.load(Ordering::Relaxed)) / 1_000;
        QueuePlace { position: clamp(position), length: clamp(length), wait_ms: clamp(wait) }
    }

    /// Jobs submitted and not done.
    pub(super) fn length(&self) -> u64 {
        self.submitted.saturating_sub(self.pace.done.load(Ordering::Relaxed))
    }

    /// How long a job would wait that came now.
    pub(super) fn wait(&self) -> Duration {
        let mean = self.pace.mean.load(Ordering::Relaxed);
        Duration::from_micros(mean.saturating_mul(self.length() + 1))
    }
}

fn clamp(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The thread: one job after the other until either end of it is gone.
fn work(
    hasher: &SecretHasher,
    queue: &Receiver<Job>,
    answers: &mpsc::Sender<(JobId, Hashed)>,
    pace: &Pace,
) {
    while let Ok(Job { id, work, gone }) = queue.recv() {
        let hashed = if gone.is_set() {
            Hashed::Skipped
        } else {
            let started = tick::now();
            let hashed = match work {
                Work::Verify { secret, stored } => {
                    Hashed::Verified(hasher.verify(&secret, stored.as_deref()))
                }
                Work::Hash { secret } => Hashed::Made(hasher.hash(&secret)),
            };
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let mean = pace.mean.load(Ordering::Relaxed);
            pace.mean.store(mean - mean / 8 + took / 8, Ordering::Relaxed);
            hashed
        };
        pace.done.store(id.0, Ordering::Relaxed);
        if answers.blocking_send((id, hashed)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hashing::tests::TINY;
    use super::*;

    fn verify() -> Work {
        Work::Verify { secret: "secret".into(), stored: None }
    }

    #[tokio::test]
    async fn jobs_are_answered_in_the_order_they_came() {
        let hasher = SecretHasher::new(TINY).unwrap();
        let (mut worker, mut answers) = Worker::start(hasher, 10).unwrap();
        let first = worker.submit(Work::Hash { secret: "secret".into() }, Gone::default());
        let second = worker.submit(verify(), Gone::default());
        let (id, hashed) = answers.recv().await.unwrap();
        assert_eq!(Some(id), first);
        let Hashed::Made(Ok(stored)) = hashed else { panic!("{hashed:?}") };
        let (id, hashed) = answers.recv().await.unwrap();
        assert_eq!(Some(id), second);
        assert!(matches!(hashed, Hashed::Verified(Ok(false))));
        let right = Work::Verify { secret: "secret".into(), stored: Some(stored) };
        worker.submit(right, Gone::default()).unwrap();
        assert!(matches!(answers.recv().await, Some((_, Hashed::Verified(Ok(true))))));
        assert_eq!(worker.length(), 0);
    }

    #[tokio::test]
    async fn a_job_whose_asker_has_gone_is_skipped() {
        let hasher = SecretHasher::new(TINY).unwrap();
        let (mut worker, mut answers) = Worker::start(hasher, 10).unwrap();
        let gone = Gone::default();
        gone.set();
        worker.submit(verify(), gone).unwrap();
        assert!(matches!(answers.recv().await, Some((_, Hashed::Skipped))));
    }

    #[tokio::test]
    async fn a_full_queue_takes_nothing_and_places_are_told() {
        // Heavy enough that none of it is done while this test counts.
        let heavy = super::super::hashing::Argon2Config { memory_kib: 65_536, passes: 8, lanes: 1 };
        let hasher = SecretHasher::new(TINY).unwrap();
        let stored = SecretHasher::new(heavy).unwrap().hash("x").unwrap();
        let (mut worker, mut answers) = Worker::start(hasher, 2).unwrap();
        let slow = || Work::Verify { secret: "secret".into(), stored: Some(stored.clone()) };
        let gone = Gone::default();
        let mut jobs = Vec::new();
        for _ in 0..4 {
            jobs.extend(worker.submit(slow(), gone.clone()));
        }
        // One may be in work already, two fit into the queue.
        assert!((2..=3).contains(&jobs.len()), "{}", jobs.len());
        gone.set();
        let last = worker.place(*jobs.last().unwrap());
        assert_eq!(last.position, jobs.len() as u32);
        assert_eq!(last.length, last.position);
        assert!(last.wait_ms > worker.place(jobs[0]).wait_ms);
        for _ in &jobs {
            answers.recv().await.unwrap();
        }
        assert_eq!(worker.length(), 0);
        assert!(worker.submit(verify(), Gone::default()).is_some(), "there is room again");
    }
}
