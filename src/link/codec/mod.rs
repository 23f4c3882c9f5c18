//! The wire form of every message between roles: [`Wire`](crate::link::Wire) for each inbox's enum.
//!
//! A message is the body of one `Envelope` of `link.proto`. Encoding takes each message apart and
//! decoding puts it together without a wildcard or `..`, so that the compiler finds what was
//! forgotten. Decoding checks ids, numbers, names and enums: what comes out is as good as what the
//! domain makes itself. Links fill in the envelope's ids; here they stay 0.

mod action;
mod chat;
mod combat;
mod decisions;
pub mod envelope;
mod frame;
mod gateway;
pub mod greeting;
mod host;
mod login;
mod master;
mod node;
mod reading;
mod shared;
mod transfer;
mod whole;
mod zone;

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod samples_actions;
#[cfg(test)]
mod samples_nodes;

use bytes::Bytes;
use prost::Message;

use crate::proto::link as wire;
use wire::envelope::Body;

/// Why bytes are no message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or not this message.
    #[error("malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A field is missing or out of its range.
    #[error("{message}.{field} is {problem}")]
    Field {
        /// The message.
        message: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// An envelope of its own around `body`.
fn enveloped(body: Body) -> Bytes {
    let envelope = wire::Envelope {
        message_id: 0,
        source_server_id: 0,
        target_server_id: 0,
        timestamp: 0,
        target: None,
        control: None,
        body: Some(body),
    };
    envelope.encode_to_vec().into()
}

/// The body of an envelope.
fn body_of(bytes: Bytes) -> Result<Body, DecodeError> {
    let wire::Envelope {
        message_id: _,
        source_server_id: _,
        target_server_id: _,
        timestamp: _,
        target: _,
        control: _,
        body,
    } = wire::Envelope::decode(bytes)?;
    reading::present(reading::At("Envelope", "body"), body)
}

/// A body that this inbox does not take.
fn not_for(inbox: &'static str) -> DecodeError {
    DecodeError::Field { message: inbox, field: "body", problem: "not a message for this role" }
}
