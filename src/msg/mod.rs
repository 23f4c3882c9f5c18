//! What each role's inbox accepts: one enum a role, imperatives for commands, past tense for facts.
//!
//! Roles never call each other; they send these through an `Outbox`. Whatever is in here has a wire
//! form in `link/codec/`, so there are no channels, handles or borrowed data. Who may send which
//! over a link stands in `source.rs`.

pub mod backlog;
pub mod chat;
pub mod conduct;
pub mod frame;
pub mod gateway;
pub mod host;
pub mod login;
pub mod master;
pub mod mirror;
pub mod node;
pub mod source;
pub mod zone;

use bytes::Bytes;

use crate::proto::PacketType;

pub use chat::ChatMsg;
pub use conduct::{Conduct, Conducts};
pub use gateway::GatewayMsg;
pub use host::HostMsg;
pub use login::LoginMsg;
pub use master::MasterMsg;
pub use node::NodeMsg;
pub use source::{Misfit, Source, Sourced};
pub use zone::ZoneMsg;

/// One packet for a client, its payload encoded once for however many get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// What it is.
    pub kind: PacketType,
    /// The protobuf message.
    pub payload: Bytes,
}
