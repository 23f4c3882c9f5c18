//! Plays the real binary through real sockets: every scenario runs once with messages moved
//! directly between roles, once with `link.loopback`, where each goes through its wire form, and
//! once spread over several processes with links between them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod accounts;
mod belongings;
mod borders;
mod browser;
mod cheats;
mod cluster;
mod databases;
mod demo;
mod floods;
mod front;
mod guilds;
#[path = "../common/http.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod http;
mod leaving;
mod loadtest;
mod lost_answers;
mod malformed;
mod operators;
mod packets;
mod page;
#[path = "../common/pgbouncer.rs"]
mod pgbouncer;
mod play;
mod player;
#[path = "../common/postgres.rs"]
mod postgres;
#[path = "../common/process.rs"]
mod process;
mod resume;
mod server;
mod sessions;
mod storm;
mod strangers;
mod text;
mod text_commands;
mod tls;
mod upkeep;
mod websocket;
mod wire;

/// Runs each scenario in all topologies, as a test of its own.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        crate::scenarios_of_one_process![$($name),+];
        mod spread {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::server::Topology::Spread).await;
            })+
        }
    };
}
pub(crate) use scenarios;

/// Runs each scenario that is about a process by itself in both its topologies.
macro_rules! scenarios_of_one_process {
    ($($name:ident),+ $(,)?) => {
        mod direct {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::server::Topology::Direct).await;
            })+
        }
        mod loopback {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::server::Topology::Loopback).await;
            })+
        }
    };
}
pub(crate) use scenarios_of_one_process;
