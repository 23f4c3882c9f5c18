//! How messages travel between roles: a bounded [`Outbox`] that some role's [`Inbox`] drains.
//!
//! Whoever holds an outbox cannot tell whether the role is in this process (the value is moved) or,
//! with `link.loopback`, behind the wire codec (the value is encoded and decoded again). Sending
//! never waits: a full inbox is an error with a stated policy at the sender.

pub mod codec;
pub mod directory;
pub mod kept;
pub mod pending;

use std::fmt;

use tokio::sync::mpsc;
use tracing::error;

pub use directory::Directory;

/// A message that has a wire form; see `codec.rs`.
pub trait Wire: Sized + Send + 'static {
    /// Encodes the message.
    fn encode(&self) -> Vec<u8>;
    /// Decodes it again.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    fn decode(bytes: &[u8]) -> Result<Self, codec::DecodeError>;
}

/// Why a message could not be sent; it comes back.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError<M> {
    /// The inbox is full.
    Full(M),
    /// The role has ended.
    Closed(M),
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full(_) => "the inbox is full",
            SendError::Closed(_) => "the role has ended",
        })
    }
}

/// The sending end of a role's inbox. Cheap to clone.
#[derive(Debug)]
pub struct Outbox<M> {
    sender: mpsc::Sender<M>,
    form: Form,
}

#[derive(Debug, Clone, Copy)]
enum Form {
    /// The value is moved.
    Direct,
    /// The value goes through its wire form.
    Loopback,
}

impl<M> Clone for Outbox<M> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), form: self.form }
    }
}

/// The receiving end: one role's, read by one task or thread.
#[derive(Debug)]
pub struct Inbox<M> {
    receiver: mpsc::Receiver<M>,
}

/// A new inbox for `capacity` messages and its sending end.
pub fn inbox<M: Wire>(capacity: usize, loopback: bool) -> (Outbox<M>, Inbox<M>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let form = if loopback { Form::Loopback } else { Form::Direct };
    (Outbox { sender, form }, Inbox { receiver })
}

impl<M: Wire> Outbox<M> {
    /// Sends without waiting.
    ///
    /// # Errors
    /// Gives the message back if the inbox is full or its role has ended.
    pub fn send(&self, message: M) -> Result<(), SendError<M>> {
        let message = match self.form {
            Form::Direct => message,
            Form::Loopback => match M::decode(&message.encode()) {
                Ok(message) => message,
                Err(error) => {
                    error!(%error, "a message did not survive its own wire form; dropped");
                    return Ok(());
                }
            },
        };
        self.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(message) => SendError::Full(message),
            mpsc::error::TrySendError::Closed(message) => SendError::Closed(message),
        })
    }

    /// Messages waiting now.
    pub fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

impl<M> Inbox<M> {
    /// The next message; none once every outbox is gone.
    pub async fn recv(&mut self) -> Option<M> {
        self.receiver.recv().await
    }

    /// Waits for one message and takes up to `most` of those that are there. 0: every outbox is
    /// gone.
    pub async fn recv_many(&mut self, into: &mut Vec<M>, most: usize) -> usize {
        self.receiver.recv_many(into, most).await
    }

    /// Messages waiting now.
    pub fn len(&self) -> usize {
        self.receiver.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// Takes no more messages: senders learn that the role has ended. What is there already can
    /// still be read.
    pub fn close(&mut self) {
        self.receiver.close();
    }

    /// A message that is there now; for threads that must not wait.
    pub fn try_recv(&mut self) -> Option<M> {
        self.receiver.try_recv().ok()
    }
}
