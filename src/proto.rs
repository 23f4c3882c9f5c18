//! The generated protobuf types, nothing else. Only `protocol/` and `link/codec.rs`, and clients,
//! name them.

#![allow(missing_docs, clippy::pedantic, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/throng.v1.rs"));

/// What travels between Throng's own processes.
pub mod link {
    include!(concat!(env!("OUT_DIR"), "/throng.link.v1.rs"));
}
