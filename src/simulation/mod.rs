//! stub for now, checked first
mod store;
