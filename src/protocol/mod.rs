//! Bytes to packets and back: the only room, with `link/codec.rs`, where wire types and domain
//! types meet.

pub mod packet;
pub mod server;
