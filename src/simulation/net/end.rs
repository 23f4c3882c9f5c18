//! The end of a link that the senders of one process hold: a real conversation, and what goes out
//! over the connection of the moment.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::ids::ServerId;
use crate::link::conversation::{Bounds, Conversation, Opened, Said, SessionId};
use crate::link::{Address, Carrier, Delivery, NotCarried};
use crate::simulation::counts::Counts;

const BOUNDS: Bounds = Bounds { messages: 4_096, bytes: 4 << 20 };

/// What goes over a connection.
#[derive(Debug)]
pub(super) enum Frame {
    /// The last word of a greeting.
    Ready(Said),
    /// Id 0: worth nothing later.
    Message {
        id: u64,
        to: Address,
        body: Bytes,
    },
    Acknowledged(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Down,
    Up,
    Gone,
}

#[derive(Debug)]
pub(super) struct State {
    pub phase: Phase,
    pub conversation: Conversation,
    pub out: Vec<Frame>,
}

/// One end of a link, as the senders of its process see it.
#[derive(Debug)]
pub(crate) struct End {
    to: ServerId,
    pub(super) state: Mutex<State>,
}

impl End {
    pub(super) fn new(to: ServerId) -> Arc<Self> {
        let conversation = Conversation::new(BOUNDS);
        let state = State { phase: Phase::Down, conversation, out: Vec::new() };
        Arc::new(Self { to, state: Mutex::new(state) })
    }

    /// A connection is there: `first` goes first, then what is not acknowledged.
    pub(super) fn attach(&self, first: Option<Frame>, counts: &mut Counts) {
        let mut state = self.state.lock();
        let State { phase, conversation, out } = &mut *state;
        *phase = Phase::Up;
        out.clear();
        out.extend(first);
        counts.resent += conversation.unacknowledged().len();
        out.extend(conversation.unacknowledged().map(|logged| Frame::Message {
            id: logged.id,
            to: logged.to,
            body: logged.body.clone(),
        }));
    }

    pub(super) fn detach(&self) {
        let mut state = self.state.lock();
        state.out.clear();
        if state.phase == Phase::Up {
            state.phase = Phase::Down;
        }
    }

    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        state.out.clear();
        state.phase = Phase::Gone;
    }

    pub(super) fn said(&self) -> Said {
        self.state.lock().conversation.said()
    }

    pub(super) fn open(&self, mine: Said, theirs: Said, anew: SessionId) -> Option<Opened> {
        self.state.lock().conversation.open(mine, theirs, anew).ok()
    }
}

impl Carrier for End {
    fn carry(
        &self,
        to: Address,
        delivery: Delivery,
        encode: &dyn Fn() -> Bytes,
    ) -> Result<(), NotCarried> {
        let mut state = self.state.lock();
        let State { phase, conversation, out } = &mut *state;
        let (id, body) = match (*phase, delivery) {
            (Phase::Gone, _) => return Err(NotCarried::Closed),
            (Phase::Down, Delivery::Droppable) => return Err(NotCarried::Full),
            (Phase::Up, Delivery::Droppable) => (0, encode()),
            (_, Delivery::Reliable) => {
                let body = encode();
                (conversation.log(to, body.clone()).ok_or(NotCarried::Full)?, body)
            }
        };
        if *phase == Phase::Up {
            out.push(Frame::Message { id, to, body });
        }
        Ok(())
    }

    fn server(&self) -> ServerId {
        self.to
    }

    fn waiting(&self) -> usize {
        self.state.lock().conversation.unacknowledged().len()
    }
}
