//! Messages that must not be lost because an inbox is full for a moment: they wait at the sender,
//! in order, and are sent again by its next turns.
//!
//! For what says who is where and whose (entries, leaves, crossings), which nobody would repeat.
//! What is worth nothing later (a position, a blow) is sent without this and may be dropped.

use std::collections::VecDeque;

use metrics::counter;
use tracing::error;

use super::SendError;

/// Most messages that wait for one receiver. As many as a process has players would fit; beyond it
/// the newest are dropped, counted and logged.
pub const KEPT_MAX: usize = 65_536;

/// What waits for one receiver.
#[derive(Debug)]
pub struct Kept<M> {
    waiting: VecDeque<M>,
}

impl<M> Default for Kept<M> {
    fn default() -> Self {
        Self { waiting: VecDeque::new() }
    }
}

impl<M> Kept<M> {
    /// Sends behind what waits, or keeps it.
    ///
    /// # Errors
    /// Gives the message back if the receiver has ended.
    pub fn send(
        &mut self,
        message: M,
        mut send: impl FnMut(M) -> Result<(), SendError<M>>,
    ) -> Result<(), M> {
        self.send_again(&mut send);
        if !self.waiting.is_empty() {
            self.keep(message);
            return Ok(());
        }
        match send(message) {
            Ok(()) => Ok(()),
            Err(SendError::Full(message)) => {
                self.keep(message);
                Ok(())
            }
            Err(SendError::Closed(message)) => Err(message),
        }
    }

    fn keep(&mut self, message: M) {
        if self.waiting.len() < KEPT_MAX {
            self.waiting.push_back(message);
        } else {
            counter!("throng_refusals_total", "reason" => "backlog_full").increment(1);
            error!("a receiver is stuck; a message that should be kept for it is dropped");
        }
    }

    /// Sends what waits, as far as there is room. What waits for a receiver that has ended is
    /// let go of: whoever comes in its place starts anew.
    pub fn send_again(&mut self, mut send: impl FnMut(M) -> Result<(), SendError<M>>) {
        while let Some(message) = self.waiting.pop_front() {
            match send(message) {
                Ok(()) => {}
                Err(SendError::Full(message)) => return self.waiting.push_front(message),
                Err(SendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Messages that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver with room for so many.
    fn into(room: usize, got: &mut Vec<u8>) -> impl FnMut(u8) -> Result<(), SendError<u8>> {
        move |message| {
            if got.len() >= room {
                return Err(SendError::Full(message));
            }
            got.push(message);
            Ok(())
        }
    }

    #[test]
    fn what_found_no_room_comes_later_and_in_order() {
        let (mut kept, mut got) = (Kept::default(), Vec::new());
        for message in 1..=4 {
            assert_eq!(kept.send(message, into(2, &mut got)), Ok(()));
        }
        assert_eq!((got.as_slice(), kept.len()), ([1, 2].as_slice(), 2));
        kept.send_again(into(3, &mut got));
        assert_eq!(kept.send(5, into(9, &mut got)), Ok(()));
        assert_eq!(got, [1, 2, 3, 4, 5]);
        assert!(kept.is_empty());
    }

    #[test]
    fn nothing_waits_for_one_that_has_ended() {
        let mut kept = Kept::default();
        assert_eq!(kept.send(1, |message| Err(SendError::Full(message))), Ok(()));
        kept.send_again(|message| Err(SendError::Closed(message)));
        assert!(kept.is_empty());
        assert_eq!(kept.send(2, |message| Err(SendError::Closed(message))), Err(2));
    }
}
