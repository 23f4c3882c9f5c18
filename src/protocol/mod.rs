//! Bytes to packets and back: the only room, with `link/codec.rs`, where wire types and domain
//! types meet.
//!
//! Gateways read with [`packet`], [`table`] and [`client`] (or [`text`]); whoever has something to
//! tell a client makes it with [`server`]. Nothing in here keeps a connection, waits, or decides
//! what the world decides: it checks form and translates.

pub mod client;
pub mod packet;
pub mod server;
pub mod table;
pub mod text;

#[cfg(test)]
mod hostile;
