//! A shard's event loop, on its own thread: sockets, inbox, newcomers, sweep.
//!
//! The thread sleeps in the event queue and nowhere else. No connection has a task, a timer or a
//! waker of its own, except that a bridge, which is no socket, has a bell. `shard` starts it; it
//! never waits for one connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mio::{Events, Token};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tracing::{debug, error, warn};

use super::assembler::Assembler;
use super::connection::Held;
use super::dispatch::Dispatch;
use super::doorbell::{BridgeBell, Doorbell};
use super::shard::{Newcomer, Seat};
use super::table::Table;
use super::{CloseReason, ConnectionLimits, Service};

/// Messages handed to the service at once, and how often that is done in one round.
const INBOX_BATCH: usize = 256;
const INBOX_BATCHES: usize = 2;
/// Connections taken in in one round.
const NEWCOMERS_BATCH: usize = 64;
/// Frames of those who stand in line, handled between two looks at the sockets: who pours waits
/// behind who says a word.
const LINE_FRAMES: usize = 256;
/// Time that the shard wakes late, or works in one go, before that counts as standing still.
const STALL: Duration = Duration::from_millis(500);
/// Events taken at once.
const EVENTS: usize = 1_024;
/// The doorbell's token: no place in a table is as large.
const DOORBELL: Token = Token(usize::MAX);
/// For flushing at the end; and, of that, for clients to close their side.
const STOP_FLUSH: Duration = Duration::from_millis(1_500);
const STOP_LINGER: Duration = Duration::from_millis(500);

/// What others send to a shard.
pub(super) struct Queues<M> {
    /// For the service.
    pub inbox: mpsc::Receiver<M>,
    /// Connections.
    pub newcomers: mpsc::Receiver<(Newcomer, Seat)>,
    /// The end.
    pub stop: CancellationToken,
}

/// What a shard waits for besides its queues.
pub(super) struct Watch {
    poll: mio::Poll,
    events: Events,
    doorbell: Arc<Doorbell>,
}

impl Watch {
    /// Made where the shard is started, so that it can be told that the system has none left.
    ///
    /// # Errors
    /// The system gives no event queue.
    pub fn new() -> io::Result<Self> {
        let poll = mio::Poll::new()?;
        let doorbell = Doorbell::new(poll.registry(), DOORBELL)?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS), doorbell })
    }

    /// Waits for events, for at most so long. Tells whether somebody has rung.
    fn wait(&mut self, most: Duration) -> io::Result<bool> {
        let most =
            if most.is_zero() || self.doorbell.fall_asleep() { most } else { Duration::ZERO };
        let polled = self.poll.poll(&mut self.events, Some(most));
        let rung = self.doorbell.wake_up();
        match polled {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            polled => polled?,
        }
        Ok(rung)
    }
}

/// Runs a shard on this thread until it is stopped.
pub(super) fn run<S: Service>(
    service: S,
    limits: ConnectionLimits,
    watch: Watch,
    queues: Queues<S::Msg>,
) {
    let Queues { inbox, newcomers, stop } = queues;
    let mut worker = Worker {
        dispatch: Dispatch::new(service, Table::new(limits)),
        bell: Waker::from(watch.doorbell.clone()),
        watch,
        rung: Vec::new(),
        inbox,
        inbox_open: true,
        batch: Vec::with_capacity(INBOX_BATCH),
        newcomers,
        stop: Box::pin(stop.cancelled_owned()),
    };
    let outcome = worker.serve(limits.sweep).and_then(|()| worker.finish());
    if let Err(error) = outcome {
        error!(%error, "the event queue of an I/O shard has failed; its connections end");
    }
}

struct Worker<S: Service> {
    dispatch: Dispatch<S>,
    watch: Watch,
    /// Wakes the shard.
    bell: Waker,
    /// Bridges that have rung; empty between rounds.
    rung: Vec<Arc<BridgeBell>>,
    inbox: mpsc::Receiver<S::Msg>,
    inbox_open: bool,
    batch: Vec<S::Msg>,
    newcomers: mpsc::Receiver<(Newcomer, Seat)>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S: Service> Worker<S> {
    /// Serves until the stop.
    fn serve(&mut self, sweep: Duration) -> io::Result<()> {
        let mut next_sweep = self.dispatch.table.now;
        // Whether the queues may have something.
        let mut queued = true;
        loop {
            queued |= self.turn(if queued { None } else { Some(next_sweep) })?;
            if queued {
                if self.stop.as_mut().poll(&mut Context::from_waker(&self.bell)).is_ready() {
                    return Ok(());
                }
                // Both are looked at, whatever the other has.
                queued = self.let_in() | self.take_messages();
            }
            let now = self.dispatch.table.now;
            if now >= next_sweep {
                self.dispatch.on_sweep();
                next_sweep = now + sweep;
            }
        }
    }

    /// Tells the service the rest, then flushes and closes every connection.
    fn finish(&mut self) -> io::Result<()> {
        while let Ok(message) = self.inbox.try_recv() {
            self.batch.push(message);
        }
        self.dispatch.on_messages(&mut self.batch);
        self.dispatch.act(|table| table.close_all(&CloseReason::Shutdown));
        self.turn_until(STOP_FLUSH, |table| table.len() == 0)?;
        self.dispatch.act(Table::finish_all);
        self.turn_until(STOP_LINGER, Table::is_quiet)?;
        self.dispatch.act(Table::sweep);
        Ok(())
    }

    /// Serves the connections until the table is as wished, or so much time has passed.
    fn turn_until(&mut self, most: Duration, wished: impl Fn(&Table) -> bool) -> io::Result<()> {
        let until = self.dispatch.table.now + most;
        while !wished(&self.dispatch.table) && self.dispatch.table.now < until {
            self.turn(Some(until))?;
        }
        Ok(())
    }

    /// Waits for events until a moment, or takes those that are there, and serves whom they are
    /// about and who stands in line. Tells whether somebody has rung.
    fn turn(&mut self, until: Option<Instant>) -> io::Result<bool> {
        let table = &mut self.dispatch.table;
        let pause = table.next_pause();
        let until = until.filter(|_| table.line_len() == 0);
        let until = until.map(|at| pause.map_or(at, |pause| pause.min(at)));
        let most = until.map_or(Duration::ZERO, |at| at.saturating_duration_since(table.now));
        let rung = self.watch.wait(most)?;
        let now = crate::tick::now();
        let late = now.saturating_duration_since(table.now + most);
        table.now = now;
        if late > STALL {
            warn!(late_ms = late.as_millis() as u64, "an I/O shard has stood still");
            self.dispatch.on_stall(late);
        }
        self.dispatch.table.end_pauses();
        // Counted before the events, so that who has too much to read now stands in the next
        // round's line.
        let in_line = self.dispatch.table.line_len();
        for event in &self.watch.events {
            self.dispatch.on_event(event);
        }
        self.serve_line(in_line);
        if rung {
            self.watch.doorbell.take_bridges(&mut self.rung);
            for bell in self.rung.drain(..) {
                let place = bell.answer();
                self.dispatch.on_readable(place);
                self.dispatch.on_writable(place);
            }
        }
        Ok(rung)
    }

    /// Gives those their turn who stand in line, as many as were there, until the round has enough.
    fn serve_line(&mut self, mut count: usize) {
        let mut frames = 0;
        while count > 0 && frames < LINE_FRAMES {
            let Some(place) = self.dispatch.table.step_out() else { return };
            // A turn without a frame costs a read.
            frames += self.dispatch.on_readable(place).max(1);
            count -= 1;
        }
    }

    /// Takes newcomers in; true: there may be more now.
    fn let_in(&mut self) -> bool {
        for _ in 0..NEWCOMERS_BATCH {
            match self.newcomers.poll_recv(&mut Context::from_waker(&self.bell)) {
                Poll::Ready(Some((newcomer, seat))) => self.take_in(newcomer, seat),
                Poll::Ready(None) | Poll::Pending => return false,
            }
        }
        true
    }

    fn take_in(&mut self, newcomer: Newcomer, seat: Seat) {
        let Newcomer { transport, peer, first_frame_limit, admission } = newcomer;
        let table = &mut self.dispatch.table;
        let place = table.next_place();
        let bell = || Waker::from(BridgeBell::new(self.watch.doorbell.clone(), place));
        let (wire, tls) = match transport.open(self.watch.poll.registry(), Token(place), bell) {
            Ok(opened) => opened,
            Err(error) => return debug!(%error, "a new connection could not be watched; dropped"),
        };
        let asked = wire.must_be_asked();
        let assembler = Assembler::new(peer.framing, first_frame_limit);
        let sealed = tls.is_some();
        let conn = table.insert(wire, tls, assembler, Held { admission, _seat: seat });
        if asked {
            table.stand_in_line(place);
        }
        self.dispatch.on_open(conn, peer, sealed);
    }

    /// Hands messages to the service; true: there may be more now.
    fn take_messages(&mut self) -> bool {
        if !self.inbox_open {
            return false;
        }
        for _ in 0..INBOX_BATCHES {
            let mut cx = Context::from_waker(&self.bell);
            match self.inbox.poll_recv_many(&mut cx, &mut self.batch, INBOX_BATCH) {
                Poll::Pending => return false,
                Poll::Ready(0) => {
                    self.inbox_open = false;
                    return false;
                }
                Poll::Ready(_) => self.dispatch.on_messages(&mut self.batch),
            }
        }
        true
    }
}
