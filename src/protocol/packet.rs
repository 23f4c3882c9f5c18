//! The packet around a payload: header, length prefix, compression.
