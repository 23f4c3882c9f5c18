//! One other process as senders see it: the conversation with it, and what waits for the connection
//! to it.
//!
//! Roles send from any thread and never wait; a connection's writer and reader, one at a time, take
//! and acknowledge. The lock is held for a push or a swap, never across an await.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::error;

use super::batch::Batch;
use super::counts::{Counts, Dropped};
use crate::ids::ServerId;
use crate::limits;
use crate::link::codec::envelope::{Head, Own};
use crate::link::conversation::{Bounds, Broken, Conversation, Opened, Said, SessionId};
use crate::link::{Address, Carrier, Delivery, NotCarried};
use crate::tick::unix_millis;

/// So many messages are acknowledged at once, without waiting longer.
const ACKNOWLEDGE_AFTER: u64 = 64;
/// Most that a head adds to a body, bytes.
const HEAD_MAX: usize = 64;

/// Whether there is a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// None now.
    Down,
    /// One.
    Up,
    /// None any more: the process is forgotten.
    Gone,
}

/// Another process.
#[derive(Debug)]
pub(super) struct Peer {
    me: ServerId,
    server: ServerId,
    /// The state's phase, to look at without the lock.
    phase: AtomicU8,
    state: Mutex<State>,
    /// Tells the connection's writer that there is something to do.
    pub(super) wake: Notify,
    /// Microseconds; 0: not measured yet.
    round_trip: AtomicU64,
    pub(super) counts: Counts,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    conversation: Conversation,
    /// What the writer takes next; empty without a connection.
    batch: Batch,
    /// Bytes that the writer has in hand.
    writing: usize,
    /// Whether the writer will acknowledge soon by itself.
    acknowledging: bool,
    /// Whether the connection ends when all is acknowledged.
    leaving: bool,
    /// The last heartbeat that is not answered.
    heartbeat: Option<u64>,
}

/// What the writer must know when it has taken a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    /// Something is left to be acknowledged soon.
    pub untold: bool,
    /// Nothing is left that the other process has not acknowledged.
    pub settled: bool,
}

impl Peer {
    pub(super) fn new(me: ServerId, server: ServerId, bounds: Bounds, counts: Counts) -> Self {
        Self {
            me,
            server,
            phase: AtomicU8::new(Phase::Down as u8),
            state: Mutex::new(State {
                phase: Phase::Down,
                conversation: Conversation::new(bounds),
                batch: Batch::default(),
                writing: 0,
                acknowledging: false,
                leaving: false,
                heartbeat: None,
            }),
            wake: Notify::new(),
            round_trip: AtomicU64::new(0),
            counts,
        }
    }

    /// What to say of the conversation when a connection begins.
    pub(super) fn said(&self) -> Said {
        self.state.lock().conversation.said()
    }

    /// Opens the conversation on a new connection; see [`Conversation::open`].
    pub(super) fn open(&self, mine: Said, theirs: Said, anew: SessionId) -> Result<Opened, Broken> {
        self.state.lock().conversation.open(mine, theirs, anew)
    }

    /// A connection is there: `greeting` goes first, then what is not acknowledged.
    pub(super) fn attach(&self, greeting: Option<&[u8]>) {
        let mut state = self.state.lock();
        self.enter(&mut state, Phase::Up);
        state.batch.clear();
        if let Some(greeting) = greeting {
            state.batch.push_frame(greeting);
        }
        let State { conversation, batch, .. } = &mut *state;
        let log = conversation.unacknowledged();
        self.counts.resent.increment(log.len() as u64);
        let timestamp = unix_millis();
        for message in log {
            batch.push(&self.head(message.id, message.to, timestamp), &message.body);
        }
        (state.writing, state.acknowledging, state.leaving) = (0, false, false);
        state.heartbeat = None;
    }

    /// The connection is gone; droppable messages that it has not sent are too.
    pub(super) fn detach(&self) {
        let mut state = self.state.lock();
        if state.phase == Phase::Up {
            self.enter(&mut state, Phase::Down);
        }
        let (_, droppable) = state.batch.messages();
        for _ in 0..droppable {
            self.counts.dropped(Dropped::Down);
        }
        state.batch.clear();
        state.writing = 0;
    }

    /// The process is forgotten: sending to it fails from now on.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        self.enter(&mut state, Phase::Gone);
        state.batch.clear();
        state.conversation = Conversation::new(Bounds { messages: 0, bytes: 0 });
    }

    fn enter(&self, state: &mut State, phase: Phase) {
        state.phase = phase;
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        self.state.lock().phase
    }

    /// From now on the writer is woken when all is acknowledged.
    pub(super) fn leave(&self) {
        self.state.lock().leaving = true;
    }

    /// Swaps what waits with the writer's empty batch, answers a heartbeat, and acknowledges if it is
    /// time to (`acknowledge`) or much has come.
    pub(super) fn take(&self, batch: &mut Batch, acknowledge: bool) -> Taken {
        let mut state = self.state.lock();
        std::mem::swap(&mut state.batch, batch);
        let much = state.conversation.untold() >= ACKNOWLEDGE_AFTER;
        if (acknowledge || much)
            && let Some(through) = state.conversation.acknowledge()
        {
            batch.push_own(Own::Acknowledgement(through));
        }
        if let Some(stamp) = state.heartbeat.take() {
            batch.push_own(Own::Pong(stamp));
        }
        let untold = state.conversation.untold() > 0;
        state.writing = batch.len();
        state.acknowledging = untold;
        let settled = state.conversation.unacknowledged().len() == 0;
        Taken { untold, settled }
    }

    /// The other process wants to hear its heartbeat again. Of several that come before the writer
    /// does, the last one is answered: however many they are, they fill no queue.
    pub(super) fn answer(&self, heartbeat: u64) {
        let mut state = self.state.lock();
        if state.phase == Phase::Up && state.heartbeat.replace(heartbeat).is_none() {
            drop(state);
            self.wake.notify_one();
        }
    }

    /// See [`Conversation::is_next`].
    pub(super) fn is_next(&self, id: u64) -> Result<bool, Broken> {
        self.state.lock().conversation.is_next(id)
    }

    /// The next message of the other process is in its inbox.
    pub(super) fn applied_next(&self) {
        let mut state = self.state.lock();
        state.conversation.applied_next();
        if !state.acknowledging || state.conversation.untold() == ACKNOWLEDGE_AFTER {
            state.acknowledging = true;
            drop(state);
            self.wake.notify_one();
        }
    }

    /// The other process has applied everything up to `through`.
    pub(super) fn acknowledged(&self, through: u64) -> Result<(), Broken> {
        let mut state = self.state.lock();
        state.conversation.acknowledged(through)?;
        if state.leaving && state.conversation.unacknowledged().len() == 0 {
            drop(state);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// A heartbeat came back.
    pub(super) fn measured(&self, round_trip: Duration) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX).max(1);
        self.round_trip.store(micros, Ordering::Relaxed);
        self.counts.round_trip.record(round_trip);
    }

    /// The last heartbeat's round trip.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        let micros = self.round_trip.load(Ordering::Relaxed);
        (micros > 0).then(|| Duration::from_micros(micros))
    }

    /// Bytes not yet given to the kernel, messages not acknowledged, and the bytes of those.
    pub(super) fn queues(&self) -> (usize, usize, usize) {
        let state = self.state.lock();
        let log = &state.conversation;
        (state.batch.len() + state.writing, log.unacknowledged().len(), log.log_bytes())
    }

    fn head(&self, message_id: u64, target: Address, timestamp: u64) -> Head {
        Head { message_id, source: self.me, target_server: self.server, timestamp, target }
    }

    fn push(
        &self,
        to: Address,
        delivery: Delivery,
        body: Bytes,
        timestamp: u64,
    ) -> Result<bool, Refused> {
        let mut state = self.state.lock();
        if state.phase == Phase::Gone {
            return Err(Refused::Gone);
        }
        let id = match delivery {
            Delivery::Droppable if state.phase == Phase::Down => {
                return Err(Refused::Dropped(Dropped::Down));
            }
            Delivery::Droppable => {
                if state.batch.len() + state.writing >= limits::LINK_UNSENT_MAX {
                    return Err(Refused::Dropped(Dropped::Congested));
                }
                0
            }
            Delivery::Reliable => state
                .conversation
                .log(to, body.clone())
                .ok_or(Refused::Dropped(Dropped::LogFull))?,
        };
        if state.phase == Phase::Down {
            return Ok(false);
        }
        let idle = state.batch.is_empty();
        state.batch.push(&self.head(id, to, timestamp), &body);
        Ok(idle)
    }
}

/// Why a message was not pushed.
enum Refused {
    Gone,
    Dropped(Dropped),
}

impl Carrier for Peer {
    fn carry(
        &self,
        to: Address,
        delivery: Delivery,
        encode: &dyn Fn() -> Bytes,
    ) -> Result<(), NotCarried> {
        let phase = self.phase.load(Ordering::Relaxed);
        if phase == Phase::Gone as u8 {
            return Err(NotCarried::Closed);
        }
        // Not encoded for nothing: a zone goes on making frames for a gateway that is not there.
        if phase == Phase::Down as u8 && delivery == Delivery::Droppable {
            self.counts.dropped(Dropped::Down);
            return Err(NotCarried::Full);
        }
        let body = encode();
        if body.len() + HEAD_MAX > limits::LINK_FRAME_MAX {
            self.counts.dropped(Dropped::TooLarge);
            error!(%to, bytes = body.len(), "a message is too large for any link; dropped");
            return Ok(());
        }
        match self.push(to, delivery, body, unix_millis()) {
            Ok(idle) => {
                if idle {
                    self.wake.notify_one();
                }
                Ok(())
            }
            Err(Refused::Gone) => Err(NotCarried::Closed),
            Err(Refused::Dropped(why)) => {
                self.counts.dropped(why);
                Err(NotCarried::Full)
            }
        }
    }

    fn server(&self) -> ServerId {
        self.server
    }

    fn waiting(&self) -> usize {
        self.state.lock().conversation.unacknowledged().len()
    }
}
