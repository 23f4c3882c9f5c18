//! One connection to another process, from the greeting's end to its own: a task that reads, and
//! one that writes.
//!
//! Started by the switchboard, never two for one process at a time. The writer sends whatever waits
//! in one large write; the reader puts what comes into this process's inboxes. Neither ever waits
//! for the other, and a slow inbox is waited for only so long.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::batch::Batch;
use super::frames::{BadLength, Frames};
use super::hosted::Hosted;
use super::peer::Peer;
use super::reader::Reader;
use super::stream::{Stream, Writing};
use crate::link::Address;
use crate::link::codec::DecodeError;
use crate::link::codec::envelope::Own;
use crate::link::conversation::Broken;
use crate::msg::Source;
use crate::net::gate::Admission;
use crate::tick::now;

/// Messages are acknowledged at the latest after this.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(50);
/// A writer that writes more often than this waits a moment for more.
const WRITES_APART: Duration = Duration::from_millis(1);
/// How long the other end may take to close after a goodbye.
const LINGER: Duration = Duration::from_millis(500);
/// How long the composition may take to hear that a link is up before its messages flow.
const HOLD_MAX: Duration = Duration::from_secs(2);

/// What the switchboard wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Go on.
    Go,
    /// End at once.
    Cut,
    /// Say goodbye when everything is acknowledged, or at this time, and end.
    Leave(Instant),
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the other end closed it")]
    Closed,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("nothing was heard for {0:?}")]
    Silent(Duration),
    #[error("the inbox of {0} stayed full")]
    InboxFull(Address),
    #[error("what came is no frame: {0}")]
    BadLength(#[from] BadLength),
    #[error("what came is no envelope: {0}")]
    BadEnvelope(#[from] DecodeError),
    #[error("{0}")]
    Broken(#[from] Broken),
    #[error("the other process has left")]
    Goodbye,
    #[error("it is not wanted any more")]
    Ordered,
}

/// The clock of a connection's heartbeats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pulse {
    /// Between two heartbeats.
    pub every: Duration,
    /// The moment that heartbeats count from.
    pub start: Instant,
}

impl Pulse {
    /// After so much silence a connection is cut.
    pub(super) fn patience(&self) -> Duration {
        self.every * 3
    }

    fn stamp(&self) -> u64 {
        u64::try_from((now() - self.start).as_micros()).unwrap_or(u64::MAX)
    }

    /// How long ago a heartbeat was sent that has come back; none if it never was.
    pub(super) fn since(&self, stamp: u64) -> Option<Duration> {
        self.stamp().checked_sub(stamp).map(Duration::from_micros)
    }
}

/// Everything that a connection works with.
pub(super) struct Connection {
    pub stream: Stream,
    pub frames: Frames,
    pub peer: Arc<Peer>,
    /// Who the other end has proven to be.
    pub source: Source,
    pub hosted: Hosted,
    pub pulse: Pulse,
    pub order: watch::Receiver<Order>,
    /// Ends when the composition has heard of the link.
    pub hold: oneshot::Receiver<()>,
    /// Its place at the listener.
    pub admission: Option<Admission>,
}

impl Connection {
    /// Runs it. Gives why it ended, and when the other end was last heard.
    pub(super) async fn run(self) -> (End, Instant) {
        let Self { stream, frames, peer, source, hosted, pulse, order, hold, admission } = self;
        let (reading, writing) = stream.split();
        let halt = CancellationToken::new();
        let guard = halt.clone().drop_guard();
        let writer = Writer { peer: peer.clone(), pulse, order: order.clone() };
        let mut writing = tokio::spawn(halted(halt.clone(), writer.run(writing)));

        let mut reader = Reader::new(peer.clone(), source, hosted, pulse, frames);
        let mut end = {
            let read = async {
                // Roles hear of the process before they hear from it.
                let _ = timeout(HOLD_MAX, hold).await;
                reader.run(reading).await
            };
            tokio::pin!(read);
            tokio::select! {
                end = &mut read => Some(end),
                () = cut(order) => Some(End::Ordered),
                written = &mut writing => match written {
                    // Goodbye is said: the other end closes when it has read it.
                    Ok(Ok(())) => timeout(LINGER, &mut read).await.ok().map(|_| End::Ordered),
                    // What it said last may still be to be read, a goodbye above all.
                    Ok(Err(error)) => match timeout(LINGER, &mut read).await {
                        Ok(End::Goodbye) => Some(End::Goodbye),
                        Ok(_) | Err(_) => Some(End::Io(error)),
                    },
                    Err(problem) => {
                        error!(%problem, "a link's writer has failed");
                        None
                    }
                },
            }
        };
        drop(guard);
        if !writing.is_finished() {
            // It has nothing to say any more: only its ending is awaited.
            let _ = (&mut writing).await;
        }
        peer.detach();
        drop(admission);
        (end.take().unwrap_or(End::Ordered), reader.heard())
    }
}

/// Runs a writer until it ends or is halted.
async fn halted(
    halt: CancellationToken,
    writer: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::select! {
        biased;
        () = halt.cancelled() => Ok(()),
        written = writer => written,
    }
}

/// Waits for the order to end at once, or for the switchboard's end.
async fn cut(mut order: watch::Receiver<Order>) {
    let _ = order.wait_for(|order| *order == Order::Cut).await;
}

struct Writer {
    peer: Arc<Peer>,
    pulse: Pulse,
    order: watch::Receiver<Order>,
}

impl Writer {
    /// Writes whatever waits, heartbeats and acknowledgements, until it has said goodbye.
    async fn run(mut self, mut stream: Writing) -> io::Result<()> {
        let mut batch = Batch::default();
        let mut next_ping = now();
        let mut acknowledge_at: Option<Instant> = None;
        let mut leave: Option<Instant> = None;
        let mut written = next_ping;
        loop {
            let time = now();
            if let Order::Leave(by) = *self.order.borrow_and_update()
                && leave.is_none()
            {
                self.peer.leave();
                leave = Some(by);
            }
            let due = acknowledge_at.is_some_and(|at| at <= time);
            let taken = self.peer.take(&mut batch, due || leave.is_some());
            acknowledge_at = match (taken.untold, acknowledge_at) {
                (false, _) => None,
                (true, Some(at)) if !due => Some(at),
                (true, _) => Some(time + ACKNOWLEDGE_WITHIN),
            };
            if next_ping <= time {
                batch.push_own(Own::Ping(self.pulse.stamp()));
                next_ping = time + self.pulse.every;
            }
            let last = leave.is_some_and(|by| taken.settled || by <= time);
            if last {
                batch.push_own(Own::Goodbye);
            }
            if batch.is_empty() {
                let mut until = acknowledge_at.map_or(next_ping, |at| at.min(next_ping));
                until = leave.map_or(until, |by| by.min(until));
                tokio::select! {
                    biased;
                    () = self.peer.wake.notified() => {}
                    Ok(()) = self.order.changed() => {}
                    () = sleep_until(until.into()) => {}
                }
                continue;
            }
            write(&mut stream, &batch).await?;
            self.count(&batch);
            batch.clear();
            if last {
                return stream.shutdown().await;
            }
            // Under load a large write a millisecond is cheaper than many small ones.
            if time - written < WRITES_APART {
                sleep(WRITES_APART).await;
            }
            written = time;
        }
    }

    fn count(&self, batch: &Batch) {
        let counts = &self.peer.counts;
        let (reliable, droppable) = batch.messages();
        counts.reliable_out.increment(reliable);
        counts.droppable_out.increment(droppable);
        counts.bytes_out.increment(batch.len() as u64);
    }
}

/// Writes all of a batch.
async fn write<W: AsyncWrite + Unpin>(stream: &mut W, batch: &Batch) -> io::Result<()> {
    let mut slices = batch.slices();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let written = stream.write_vectored(rest).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut rest, written);
    }
    stream.flush().await
}
