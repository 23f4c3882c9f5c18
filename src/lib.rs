//! Throng, an MMO game server: one binary, five roles.
//!
//! The map of this crate, from the ground up; imports run downhill only (`tests/floors.rs` keeps it
//! so), and roles never import each other. `ARCHITECTURE.md` tells the whole story.
//!
//! - floor 0, vocabulary: [`ids`], [`limits`], [`geometry`], [`tick`], [`role`], [`names`],
//!   [`seldom`]
//! - floor 1: [`world`], the pure rules; [`store`], what outlives the process
//! - floor 2, bytes and talk: [`proto`], [`protocol`], [`msg`], [`token`]
//! - floor 3, how things travel: [`link`] between roles, [`net`] to clients
//! - floor 4, the roles: [`master`], [`login`], [`gateway`], [`zone`], [`chat`]
//! - floor 5, composition: [`config`], [`cli`], [`telemetry`], [`admin`], [`web`], [`run`] and what
//!   they need
//! - beside the house: [`client`] for Rust games, [`loadtest`] with its bots

pub mod geometry;
pub mod ids;
pub mod limits;
pub mod names;
pub mod role;
pub mod seldom;
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
mod descriptors;
pub mod loadtest;
pub mod run;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod telemetry;
pub mod web;
