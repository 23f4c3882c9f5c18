//! Outboxes that follow whoever plays a role now: a [`Switch`] repoints all clones at once.
//!
//! For roles that one process of a cluster plays (the master, chat), or several in turn (login).
//! The composition turns the switch when members come and go; the holder of the outbox only sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;

use super::{Outbox, SendError, Wire};
use crate::ids::ServerId;

/// Where switched outboxes lead now.
#[derive(Debug)]
pub(super) struct Targets<M> {
    outboxes: ArcSwap<Vec<Outbox<M>>>,
    /// Whose turn it is, counted without end.
    turn: AtomicUsize,
}

impl<M> Default for Targets<M> {
    fn default() -> Self {
        Self { outboxes: ArcSwap::from_pointee(Vec::new()), turn: AtomicUsize::new(0) }
    }
}

impl<M> Targets<M> {
    /// All of them.
    pub(super) fn all(&self) -> Arc<Vec<Outbox<M>>> {
        self.outboxes.load_full()
    }

    /// The one there is, if there is just one.
    pub(super) fn only(&self) -> Option<Outbox<M>> {
        match self.outboxes.load().as_slice() {
            [outbox] => Some(outbox.clone()),
            _ => None,
        }
    }
}

impl<M: Wire> Targets<M> {
    /// Sends to the one whose turn it is, or to the next that takes the message; says to which.
    pub(super) fn send(&self, message: M) -> Result<Option<ServerId>, SendError<M>> {
        let outboxes = self.outboxes.load();
        let first = match outboxes.len() {
            0 | 1 => 0,
            count => self.turn.fetch_add(1, Ordering::Relaxed) % count,
        };
        let (before, from) = outboxes.split_at(first);
        let mut full = false;
        let mut message = message;
        for outbox in from.iter().chain(before) {
            message = match outbox.send_to_one(message) {
                Ok(server) => return Ok(server),
                Err(SendError::Full(message)) => {
                    full = true;
                    message
                }
                Err(SendError::Closed(message)) => message,
            };
        }
        Err(if full { SendError::Full(message) } else { SendError::Closed(message) })
    }
}

/// Turns all clones of one switched [`Outbox`].
#[derive(Debug)]
pub struct Switch<M> {
    targets: Arc<Targets<M>>,
}

impl<M> Clone for Switch<M> {
    fn clone(&self) -> Self {
        Self { targets: self.targets.clone() }
    }
}

impl<M> Switch<M> {
    pub(super) fn new(targets: Arc<Targets<M>>) -> Self {
        Self { targets }
    }

    /// Leads to `outbox` from now on, or to nobody: then sending gives
    /// [`Closed`](SendError::Closed). Never to an outbox of this switch itself.
    pub fn set(&self, outbox: Option<Outbox<M>>) {
        self.set_many(outbox.into_iter().collect());
    }

    /// Leads to these in turn. One that is full or has ended is passed over.
    pub fn set_many(&self, outboxes: Vec<Outbox<M>>) {
        self.targets.outboxes.store(Arc::new(outboxes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PlayerId, ZoneId};
    use crate::link::inbox;
    use crate::msg::ChatMsg;

    fn word(player: u64) -> ChatMsg {
        ChatMsg::Moved { player: PlayerId(player), zone: ZoneId(1) }
    }

    #[test]
    fn messages_follow_the_switch() {
        let (outbox, switch) = Outbox::switched();
        let copy = outbox.clone();
        assert_eq!(outbox.send(word(1)), Err(SendError::Closed(word(1))));
        let (first, mut first_inbox) = inbox(4, false);
        let (second, mut second_inbox) = inbox(4, false);
        switch.set(Some(first));
        assert_eq!(copy.send(word(2)), Ok(()));
        switch.set(Some(second));
        assert_eq!(copy.send(word(3)), Ok(()));
        switch.set(None);
        assert_eq!(copy.send(word(4)), Err(SendError::Closed(word(4))));
        assert_eq!(first_inbox.try_recv(), Some(word(2)));
        assert_eq!(second_inbox.try_recv(), Some(word(3)));
    }

    #[test]
    fn several_take_turns_and_who_cannot_is_passed_over() {
        let (outbox, switch) = Outbox::switched();
        let (first, mut first_inbox) = inbox(2, false);
        let (second, mut second_inbox) = inbox(2, false);
        switch.set_many(vec![first, second]);
        for player in 1..=3 {
            assert_eq!(outbox.send(word(player)), Ok(()));
        }
        assert_eq!((first_inbox.len(), second_inbox.len()), (2, 1));
        assert_eq!(outbox.send(word(4)), Ok(()));
        assert_eq!(outbox.send(word(5)), Err(SendError::Full(word(5))));
        first_inbox.close();
        assert_eq!(outbox.send(word(6)), Err(SendError::Full(word(6))));
        assert_eq!(second_inbox.try_recv(), Some(word(2)));
        assert_eq!(outbox.send(word(7)), Ok(()), "the closed one is passed over");
        second_inbox.close();
        assert_eq!(outbox.send(word(8)), Err(SendError::Closed(word(8))));
        assert_eq!(first_inbox.try_recv(), Some(word(1)));
    }
}
