//! The generated protobuf types, nothing else. Only `protocol/` and `link/codec`, and clients,
//! name them.

#![allow(missing_docs, clippy::pedantic, clippy::all)]

/// The packages, nested as the generated code expects them.
mod throng {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/throng.v1.rs"));
    }
    pub mod link {
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/throng.link.v1.rs"));
        }
    }
}

/// What travels between Throng's own processes.
pub use throng::link::v1 as link;
pub use throng::v1::*;
