//! The operators' port: health, metrics, the dashboard and, beside a master, the registry.
//!
//! `run.rs` builds the [`AdminState`] and serves the [`router`] on loopback. Health and metrics
//! answer without a master and without a database. Whatever changes state needs the operators'
//! token; nothing in here owns any of it. Nobody is answered who asks for it under a stranger's name.

mod auth;
mod body;
mod cluster_api;
mod error;
mod health;
mod hosts;
mod openapi;
mod pages;
mod registry_api;
mod routes;

use std::collections::BTreeMap;
use std::time::Instant;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use auth::OperatorToken;
pub use health::Readiness;
pub use hosts::{AdminConfig, Hosts};
pub use routes::router;

use crate::ids::{Key, ZoneId};
use crate::master::query::Query;
use crate::net::http::{self, HttpConfig, Places};
use crate::store::Store;

/// Connections at once: a forgotten tool on this machine shall not use up the game's descriptors.
const CONNECTIONS_MAX: usize = 128;

/// What the operators' port shows and guards.
pub struct AdminState {
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Guards whatever changes state.
    pub token: OperatorToken,
    /// The master of this process, if it has one.
    pub master: Option<mpsc::Sender<Query>>,
    /// Where the master's links are, for those who ask a process that has none; empty: nobody
    /// has said so.
    pub master_links: Vec<String>,
    /// The store of this process, if it has one.
    pub store: Option<Store>,
    /// Which roles have started.
    pub readiness: Readiness,
    /// When the process started.
    pub started: Instant,
    /// Under which names it may be asked for.
    pub hosts: Hosts,
    /// What zones are called, for the dashboard.
    pub zone_names: BTreeMap<ZoneId, Key>,
}

/// Serves the router until `stop`, then lets open requests finish. The port has places of its own: a
/// probe always gets in, whoever else is connected.
pub async fn serve(listener: TcpListener, router: axum::Router, stop: CancellationToken) {
    let places = Places::Own(CONNECTIONS_MAX);
    let config = HttpConfig { label: "admin", places, tls: None, public: false };
    http::serve(listener, router, config, stop).await;
}

#[cfg(test)]
mod tests;
