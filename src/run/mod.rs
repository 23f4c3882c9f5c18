//! The composition: which roles run in this process, and who talks to whom. The only room that
//! knows the topology.
//!
//! A role gets its inbox and outboxes here and cannot tell whether the other end is a value moved
//! in memory or a link. Start is bottom up, stop is top down: clients are told, zones and players
//! are handed over or saved, the store closes last.

mod clients;
mod cluster;
mod ports;
mod roles;
mod roster;
mod wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use crate::banner;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::ids::ServerId;
use crate::link::tcp::{Hosted, LinkEvent, Links};
use crate::net::tls::Tls;
use crate::role::{Role, Roles};
use crate::store::Store;
use crate::token::{TicketSigner, TicketVerifier};
use crate::{admin, status};
use cluster::Cluster;
use ports::bind;
use wiring::{Wiring, wire};

/// How long a part of the process may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// When each part of the process is told to stop, in this order.
#[derive(Default)]
struct Stops {
    listeners: CancellationToken,
    gateway: CancellationToken,
    zones: CancellationToken,
    others: CancellationToken,
    links: CancellationToken,
    shards: CancellationToken,
}

/// What the roles of one process share.
struct Process {
    config: Config,
    roles: Roles,
    server: ServerId,
    /// Unix ms.
    started_at: u64,
    data: DataDir,
    store: Store,
    /// The login role's.
    signer: Option<TicketSigner>,
    verifier: TicketVerifier,
    tasks: TaskTracker,
    stops: Stops,
}

/// Runs the process until `stop` is cancelled, then drains it.
///
/// # Errors
/// If something cannot be started: a port is taken, the database cannot be opened, the data folder
/// cannot be written. Nothing is left running then.
pub async fn run(
    config: Config,
    roles: Roles,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let data = data_dir::open(&config.data_dir)?;
    let server = ServerId::random();
    let verifier = TicketVerifier::default();
    let signer = if roles.has(Role::Login) {
        let signer = TicketSigner::load_or_create(&data.file("login.key"))?;
        verifier.trust(server, signer.public_key())?;
        Some(signer)
    } else {
        None
    };
    let operator_token = data.secret("operator.token")?;
    let store =
        Store::open(&config.store, data.path()).await.context("the database cannot be opened")?;
    let process = Process {
        config,
        roles,
        server,
        started_at: crate::tick::unix_millis(),
        data,
        store,
        signer,
        verifier,
        tasks: TaskTracker::new(),
        stops: Stops::default(),
    };
    process.play(metrics, operator_token, stop).await
}

impl Process {
    async fn play(
        self,
        metrics: PrometheusHandle,
        operator_token: String,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let token = admin::OperatorToken::new(&operator_token)?;
        let (wiring, inboxes) = wire(&self.roles, self.config.link.loopback, self.server);
        let operators = bind(self.config.ports.admin, "ports.admin").await?;
        let inner = Hosted::default();
        let (links, events) = self.start_links(&inner).await?;
        let mut clients = self.open_to_clients(&wiring).await?;
        clients.addresses.admin = Some(operators.local_addr()?);
        clients.addresses.link = links.as_ref().map(Links::address);
        wiring.host(&inner);

        let readiness = admin::Readiness::new(self.roles.clone());
        let (hosting, hosted) = watch::channel(Vec::new());
        let running = self.start(&wiring, &inner, inboxes, &mut clients, hosting)?;
        let Running { node, master, host, gateway, shards } = running;
        let cluster = Cluster::new(cluster::Parts {
            server: self.server,
            roles: self.roles.clone(),
            started_at: self.started_at,
            wiring: wiring.clone(),
            links: links.clone(),
            verifier: self.verifier.clone(),
            ticket_key: self.signer.as_ref().map(|s| Bytes::copy_from_slice(s.public_key())),
            hosting: hosted.clone(),
            drain: stop.clone(),
        });
        self.tasks.spawn(cluster.run(node, events, self.stops.others.clone()));
        self.report_status(&wiring, &clients, links.as_ref(), hosted);
        for role in self.roles.iter() {
            readiness.started(role);
        }
        self.serve_operators(operators, metrics, token, master, readiness.clone());
        banner::print(&self.config, &self.roles, &clients.addresses);

        stop.cancelled().await;
        info!("stopping");
        readiness.drain();
        self.stops.draining.cancel();
        self.stops.listeners.cancel();
        self.stops.gateway.cancel();
        if let Some(gateway) = gateway {
            ended("gateway", gateway).await;
        }
        self.stops.zones.cancel();
        if let Some(host) = host {
            ended("zone host", host).await;
        }
        self.stops.others.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            error!("some roles do not end; going on without them");
        }
        if let Some(links) = links {
            links.stop().await;
        }
        self.stops.shards.cancel();
        for shards in shards {
            shards.await;
        }
        self.store.close().await;
        info!("stopped");
        Ok(())
    }
