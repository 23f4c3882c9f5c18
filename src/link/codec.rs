//! The wire form of every message between roles.

use crate::link::Wire;
use crate::msg;

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

macro_rules! unfinished {
    ($($message:ty),*) => {$(
        impl Wire for $message {
            fn encode(&self) -> Vec<u8> { Vec::new() }
            fn decode(_: &[u8]) -> Result<Self, DecodeError> { todo!() }
        }
    )*};
}
unfinished!(msg::ZoneMsg, msg::GatewayMsg, msg::ChatMsg, msg::LoginMsg, msg::MasterMsg);
