//! Throng, an MMO game server: one binary, five roles.
//!
//! The map of this crate, from the ground up; imports run downhill only.

pub mod geometry;
pub mod ids;
pub mod limits;
pub mod names;
pub mod role;
pub mod tick;

pub mod store;
pub mod world;

pub mod msg;
pub mod proto;
pub mod protocol;
pub mod token;

pub mod link;
pub mod net;

pub mod chat;
pub mod gateway;
pub mod login;
pub mod master;
pub mod zone;

pub mod admin;
pub mod banner;
pub mod cli;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod loadtest;
pub mod run;
pub mod status;
pub mod telemetry;
pub mod web;
