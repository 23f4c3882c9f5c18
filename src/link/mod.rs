//! How messages travel between roles: a bounded [`Outbox`] that some role's [`Inbox`] drains.
//!
//! Whoever holds an outbox cannot tell whether the role is in this process (the value is moved, or,
//! with `link.loopback`, encoded and decoded again), in another one (its bytes go over that
//! process's link), or wherever a [`Switch`] points now. Sending never waits: a full inbox is an
//! error with a stated policy at the sender.

mod address;
pub mod codec;
pub mod config;
pub mod conversation;
pub mod directory;
mod identity;
pub mod kept;
mod outbox;
pub mod pending;
mod switch;
pub mod tcp;

use bytes::Bytes;

use crate::msg::Sourced;

pub use address::Address;
pub use config::LinkConfig;
pub use directory::Directory;
pub use identity::Identity;
pub use outbox::{Carrier, Inbox, NotCarried, Outbox, SendError, inbox};
pub use switch::Switch;

/// A message that has a wire form; see `codec/`.
pub trait Wire: Sourced + Sized + Send + 'static {
    /// Encodes the message: an `Envelope` of link.proto with nothing but its body set.
    fn encode(&self) -> Bytes;

    /// Decodes it again. Payloads share the memory of `bytes`: what keeps one for long copies it.
    ///
    /// # Errors
    /// Names the field that is missing or wrong.
    fn decode(bytes: Bytes) -> Result<Self, codec::DecodeError>;

    /// Whether the message may get lost between processes.
    fn delivery(&self) -> Delivery;
}

/// What a link promises for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is kept until the other process has it, sent again over a new connection, and applied
    /// once.
    Reliable,
    /// It is worth nothing later: it is dropped, and counted, when the link is down or its queue
    /// full.
    Droppable,
}
