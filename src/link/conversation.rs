//! What makes a link reliable, as a pure machine: what was sent and is not acknowledged, what was
//! applied, and whether both ends still speak of the same conversation. No socket, no clock and no
//! chance in here; `tcp/` drives one for each other process, and so can a simulation.
//!
//! A conversation outlives its connections. At the beginning of each both ends say which
//! conversation they know and how much of the other's they have applied ([`Said`]). If both name
//! the same one it goes on: what the other has not applied is sent again, in order. Else one of
//! them has forgotten the other, and both begin anew with a conversation named after that very
//! connection: what was logged is gone, and ids start from 1.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Address;

/// What a logged message costs beside its body, bytes.
const OVERHEAD: usize = 64;

/// Names one conversation: made of both ends' nonces at the connection that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionId(pub u128);

/// What one end says of the conversation when a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// The conversation it knows; none: it knows nothing of the other.
    pub session: Option<SessionId>,
    /// The highest id of the other's messages that it has applied.
    pub applied: u64,
}

impl Said {
    /// Whether both ends know the same conversation.
    pub fn agrees(self, other: Said) -> bool {
        self.session.is_some() && self.session == other.session
    }
}

/// How a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The conversation goes on: what is logged is to be sent again.
    Resumed,
    /// A new one: nothing is logged, nothing applied.
    Fresh,
}

/// Why a connection cannot go on with the conversation. It is to be cut; the next one begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Since this end said which conversation it knows it has come to know another one.
    #[error("the conversation has changed while the connection was made")]
    Stale,
    /// The other end acknowledges what was never sent.
    #[error("message {through} is acknowledged, but only {sent} were sent")]
    NeverSent {
        /// Acknowledged.
        through: u64,
        /// The highest id that was sent.
        sent: u64,
    },
    /// The other end has left messages out.
    #[error("message {got} came after {applied}")]
    Gap {
        /// What came.
        got: u64,
        /// The last that was applied.
        applied: u64,
    },
}

/// What one end keeps for the other at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Bytes of all of them, some overhead included; the last one may pass it.
    pub bytes: usize,
}

/// A message that the other end has not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Rising from 1 without gaps.
    pub id: u64,
    /// Which inbox it is for.
    pub to: Address,
    /// An `Envelope` with only its body set.
    pub body: Bytes,
}

#[cfg(test)]
mod tests;

/// One end of a conversation.
#[derive(Debug)]
pub struct Conversation {
    bounds: Bounds,
    session: Option<SessionId>,
    log: VecDeque<Logged>,
    log_bytes: usize,
    /// The highest id given to a message.
    sent: u64,
    /// The highest id of the other's that was applied.
    applied: u64,
    /// The highest of those that the other was told of.
    told: u64,
}

impl Conversation {
    /// With somebody of whom nothing is known.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            session: None,
            log: VecDeque::new(),
            log_bytes: 0,
            sent: 0,
            applied: 0,
            told: 0,
        }
    }

    /// What to say when a connection begins.
    pub fn said(&self) -> Said {
        Said { session: self.session, applied: self.applied }
    }

    /// A connection has begun, on which this end has said `mine` and the other `theirs`. If they
    /// don't know the same conversation, `anew` names the one that begins.
    ///
    /// # Errors
    /// [`Broken::Stale`], if this end has moved on since it said `mine`; [`Broken::NeverSent`].
    pub fn open(&mut self, mine: Said, theirs: Said, anew: SessionId) -> Result<Opened, Broken> {
        if !mine.agrees(theirs) {
            *self = Self { session: Some(anew), ..Self::new(self.bounds) };
            return Ok(Opened::Fresh);
        }
        if mine.session != self.session {
            return Err(Broken::Stale);
        }
        self.acknowledged(theirs.applied)?;
        self.told = mine.applied;
        Ok(Opened::Resumed)
    }

    /// Whether another message can be logged.
    pub fn has_room(&self) -> bool {
        self.log.len() < self.bounds.messages && self.log_bytes < self.bounds.bytes
    }

    /// Logs a message and gives its id; none if there is no room.
    pub fn log(&mut self, to: Address, body: Bytes) -> Option<u64> {
        if !self.has_room() {
            return None;
        }
        self.sent += 1;
        self.log_bytes += body.len() + OVERHEAD;
        self.log.push_back(Logged { id: self.sent, to, body });
        Some(self.sent)
    }

    /// What the other end has not acknowledged, oldest first.
    pub fn unacknowledged(&self) -> impl ExactSizeIterator<Item = &Logged> {
        self.log.iter()
    }

    /// Bytes of that.
    pub fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// The other end has applied everything up to `through`; what it has acknowledged before may
    /// be named again.
    ///
    /// # Errors
    /// [`Broken::NeverSent`].
    pub fn acknowledged(&mut self, through: u64) -> Result<(), Broken> {
        if through > self.sent {
            return Err(Broken::NeverSent { through, sent: self.sent });
        }
        while let Some(message) = self.log.pop_front_if(|message| message.id <= through) {
            self.log_bytes -= message.body.len() + OVERHEAD;
        }
        Ok(())
    }

    /// Whether a message of the other end is to be applied: true for the next one, false for one
    /// that was applied before.
    ///
    /// # Errors
    /// [`Broken::Gap`].
    pub fn is_next(&self, id: u64) -> Result<bool, Broken> {
        if id <= self.applied {
            Ok(false)
        } else if id == self.applied + 1 {
            Ok(true)
        } else {
            Err(Broken::Gap { got: id, applied: self.applied })
        }
    }

    /// The next message of the other end is applied.
    pub fn applied_next(&mut self) {
        self.applied += 1;
    }

    /// How many messages were applied without telling the other end.
    pub fn untold(&self) -> u64 {
        self.applied - self.told
    }

    /// Up to which id to acknowledge; the other end counts as told. None: it knows already.
    pub fn acknowledge(&mut self) -> Option<u64> {
        if self.untold() == 0 {
            return None;
        }
        self.told = self.applied;
        Some(self.applied)
    }
}
