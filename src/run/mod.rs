//! The composition: which roles run in this process, and who talks to whom. The only file that
//! knows the topology.
//!
//! A role gets its inbox and outboxes here and cannot tell whether the other end is a value moved
//! in memory or a link. Start is bottom up, stop is top down: clients are told, players leave and
//! are saved, the store closes last.

mod ports;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::banner::{self, Addresses};
use crate::config::Config;
use crate::data_dir;
use crate::ids::{ServerId, ZoneId};
use crate::link::{Directory, Inbox, Outbox, inbox};
use crate::msg::master::ServerStatus;
use crate::msg::{ChatMsg, GatewayMsg, HostMsg, LoginMsg, MasterMsg, ZoneMsg};
use crate::net::tls::Tls;
use crate::net::{Gate, Shards, spawn_shards};
use crate::role::Roles;
use crate::store::Store;
use crate::token::TicketSigner;
use crate::{admin, chat, gateway, limits, login, master, status, zone};
use ports::{Ports, bind};

/// How long a part of the process may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How long a start waits for its zones: longer than the lease of a process that was killed lasts.
const ZONES_WITHIN: Duration = Duration::from_secs(10);

/// When each part of the process is told to stop, in this order.
#[derive(Default)]
struct Stops {
    listeners: CancellationToken,
    gateway: CancellationToken,
    zones: CancellationToken,
    others: CancellationToken,
    shards: CancellationToken,
}

/// The sending ends of every inbox in this process.
#[derive(Clone)]
struct Wiring {
    loopback: bool,
    master: Outbox<MasterMsg>,
    login: Outbox<LoginMsg>,
    chat: Outbox<ChatMsg>,
    zones: Directory<ZoneId, ZoneMsg>,
    hosts: Directory<ServerId, HostMsg>,
    gateways: Directory<ServerId, GatewayMsg>,
    logins: Directory<ServerId, LoginMsg>,
}

/// The receiving ends.
struct Inboxes {
    master: Inbox<MasterMsg>,
    login: Inbox<LoginMsg>,
    chat: Inbox<ChatMsg>,
    gateway: Inbox<GatewayMsg>,
}

/// Every role in this process, wired directly.
fn wire(loopback: bool, server: ServerId) -> (Wiring, Inboxes, Inbox<HostMsg>) {
    // All roles are in this process.
    metrics::gauge!("throng_links_up").set(0.0);
    let (master, master_inbox) = inbox(limits::MASTER_INBOX, loopback);
    let (login, login_inbox) = inbox(limits::LOGIN_INBOX, loopback);
    let (chat, chat_inbox) = inbox(limits::CHAT_INBOX, loopback);
    let (gateway, gateway_inbox) = inbox(limits::GATEWAY_INBOX, loopback);
    let (host, host_inbox) = inbox(limits::HOST_INBOX, loopback);
    let wiring = Wiring {
        loopback,
        master,
        login: login.clone(),
        chat,
        zones: Directory::default(),
        hosts: Directory::default(),
        gateways: Directory::default(),
        logins: Directory::default(),
    };
    wiring.gateways.insert(server, gateway);
    wiring.logins.insert(server, login);
    wiring.hosts.insert(server, host);
    let inboxes = Inboxes {
        master: master_inbox,
        login: login_inbox,
        chat: chat_inbox,
        gateway: gateway_inbox,
    };
    (wiring, inboxes, host_inbox)
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
    if !roles.is_all() {
        bail!("this version runs all roles in one process: use --role all, not --role {roles}");
    }
    let data = data_dir::open(&config.data_dir)?;
    let signer = TicketSigner::load_or_create(&data.file("login.key"))?;
    let operator_token = data.secret("operator.token")?;
    data.secret("cluster.secret")?;
    let store =
        Store::open(&config.store, data.path()).await.context("the database cannot be opened")?;
    let process = Process {
        config,
        server: ServerId::random(),
        store,
        signer,
        tasks: TaskTracker::new(),
        stops: Stops::default(),
    };
    process.play(metrics, operator_token, stop).await
}

/// What the roles of one process share.
struct Process {
    config: Config,
    server: ServerId,
    store: Store,
    signer: TicketSigner,
    tasks: TaskTracker,
    stops: Stops,
}

impl Process {
    async fn play(
        self,
        metrics: PrometheusHandle,
        operator_token: String,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (wiring, inboxes, host_inbox) = wire(self.config.link.loopback, self.server);
        let tls = self.tls()?;
        let gate = Gate::new(self.config.net.max_connections, self.config.net.per_address);
        let admin = bind(self.config.ports.admin, "ports.admin").await?;
        let http = bind(self.address(self.config.ports.http), "ports.http").await?;

        let (reports, reports_in) = gateway::reports();
        let shared = self.gateway_shared(&wiring, reports);
        let limits = self.config.net.connection_limits();
        let gateway_shards = spawn_shards(
            self.config.net.shard_count(),
            limits::SHARD_INBOX,
            limits,
            self.stops.shards.clone(),
            {
                let shared = shared.clone();
                move |index| gateway::GatewayService::new(index, shared.clone())
            },
        );
        let (login_requests, requests) = mpsc::channel(login::REQUESTS_WAITING);
        let login_shards =
            spawn_shards(1, limits::SHARD_INBOX, limits, self.stops.shards.clone(), {
                let config = self.config.login.clone();
                move |index| login::LoginPort::new(&config, index, login_requests.clone())
            });

        let ports = Ports { process: &self, gate: &gate, tls: &tls };
        let addresses = Addresses {
            login: ports.packets(self.config.ports.login, "login", &login_shards)?,
            gateway: ports.packets(self.config.ports.gateway, "gateway", &gateway_shards)?,
            text: ports.lines(self.config.ports.text, &gateway_shards)?,
            http: http.local_addr()?,
            admin: admin.local_addr()?,
            secure: tls.is_some(),
        };

        let (hosted, zones_run) = watch::channel(Vec::new());
        let host = tokio::spawn(zone::host::run(self.host_parts(&wiring, hosted), host_inbox));
        self.run_zones(&wiring);
        let queries =
            self.start_roles(&wiring, inboxes, requests, login_shards.clone(), shared.clone());
        let gateway = tokio::spawn(gateway::run(
            shared,
            queries.gateway_inbox,
            reports_in,
            gateway_shards.clone(),
            self.store.clone(),
            self.stops.gateway.clone(),
        ));
        self.report_status(&wiring, &gate, &addresses, zones_run.clone());
        self.serve_http(http, tls, gateway_shards.clone(), gate.clone())?;
        self.await_zones(zones_run, &stop).await;
        let readiness = admin::Readiness::new(Roles::all());
        for role in Roles::all().iter() {
            readiness.started(role);
        }
        let token = admin::OperatorToken::new(&operator_token)?;
        self.serve_operators(admin, metrics, token, queries.master_queries, readiness.clone());
        banner::print(&self.config, &addresses);

        stop.cancelled().await;
        info!("stopping");
        readiness.drain();
        self.stops.listeners.cancel();
        self.stops.gateway.cancel();
        ended("gateway", gateway).await;
        self.stops.zones.cancel();
        ended("zone host", host).await;
        self.stops.others.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            error!("some roles do not end; going on without them");
        }
        self.stops.shards.cancel();
        gateway_shards.join().await;
        login_shards.join().await;
        self.store.close().await;
        info!("stopped");
        Ok(())
    }

    fn tls(&self) -> anyhow::Result<Option<Tls>> {
        let net = &self.config.net;
        let (Some(certificate), Some(key)) = (&net.tls.certificate, &net.tls.key) else {
            return Ok(None);
        };
        let limit = Duration::from_millis(net.tls_handshake_ms);
        let tls = Tls::load(certificate, key, net.tls_handshakes, limit).context("net.tls")?;
        Ok(Some(tls))
    }

    fn address(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.config.ports.bind, port)
    }

    fn gateway_shared(
        &self,
        wiring: &Wiring,
        reports: mpsc::Sender<gateway::FromShard>,
    ) -> gateway::Shared {
        gateway::Shared {
            server: self.server,
            config: self.config.gateway.clone(),
            rates: self.config.net.rate.clone(),
            content: self.config.world.clone(),
            peers: gateway::Peers {
                zones: wiring.zones.clone(),
                login: wiring.login.clone(),
                chat: wiring.chat.clone(),
                master: wiring.master.clone(),
            },
            verifier: self.signer.verifier(),
            minimum_version: self.config.login.minimum_version().unwrap_or_default(),
            reports,
        }
    }

    fn host_parts(
        &self,
        wiring: &Wiring,
        hosted: watch::Sender<zone::host::Hosted>,
    ) -> zone::host::Parts {
        let (opens, closes) = (wiring.zones.clone(), wiring.zones.clone());
        zone::host::Parts {
            server: self.server,
            config: self.config.zone.clone(),
            content: self.config.world.clone(),
            store: self.store.clone(),
            alone: self.store.is_ours_alone(),
            loopback: wiring.loopback,
            peers: zone::Peers {
                gateways: wiring.gateways.clone(),
                zones: wiring.zones.clone(),
                chat: wiring.chat.clone(),
                master: wiring.master.clone(),
            },
            hosts: wiring.hosts.clone(),
            doors: zone::host::Doors {
                open: Box::new(move |hosted, outbox| opens.insert(hosted.zone, outbox)),
                close: Box::new(move |hosted| closes.remove(hosted.zone)),
            },
            hosted,
            drain: CancellationToken::new(),
            stop: self.stops.zones.clone(),
        }
    }

    /// Has this process's host run every zone of the world.
    fn run_zones(&self, wiring: &Wiring) {
        for zone in &self.config.world.zones {
            let told = wiring.hosts.get(self.server).map(|host| {
                let run = HostMsg::Run { zone: zone.id };
                host.send(run)
            });
            if !matches!(told, Some(Ok(()))) {
                error!(zone = %zone.id, "the zone host was not told to run a zone");
            }
        }
    }

    /// Waits until every zone runs: who is told that the server is ready may come in anywhere. One
    /// that another process holds is not waited for for ever.
    async fn await_zones(
        &self,
        mut hosted: watch::Receiver<zone::host::Hosted>,
        stop: &CancellationToken,
    ) {
        let count = self.config.world.zones.len();
        let all_run = hosted.wait_for(|hosted| hosted.len() >= count);
        tokio::select! {
            _ = all_run => {}
            () = stop.cancelled() => {}
            () = tokio::time::sleep(ZONES_WITHIN) => warn!("not all zones run here"),
        }
    }

    /// Starts the roles that are tasks.
    fn start_roles(
        &self,
        wiring: &Wiring,
        inboxes: Inboxes,
        requests: mpsc::Receiver<login::PortRequest>,
        login_shards: Shards<login::PortMsg>,
        shared: gateway::Shared,
    ) -> Started {
        let (master_queries, queries) = mpsc::channel(limits::MASTER_INBOX);
        let stop = &self.stops.others;
        let parts = master::Parts {
            config: self.config.master.clone(),
            zones: self.config.world.zones.iter().map(|zone| zone.id).collect(),
            alone: true,
            peers: master::Peers {
                gateways: wiring.gateways.clone(),
                login: wiring.logins.clone(),
                nodes: Directory::default(),
                hosts: wiring.hosts.clone(),
            },
            store: self.store.clone(),
        };
        self.tasks.spawn(master::run(parts, inboxes.master, queries, stop.clone()));
        let peers = chat::Peers { gateways: wiring.gateways.clone(), zones: wiring.zones.clone() };
        let (config, store) = (self.config.chat.clone(), self.store.clone());
        self.tasks.spawn(chat::run(config, inboxes.chat, peers, store, stop.clone()));
        let peers =
            login::Peers { gateways: wiring.gateways.clone(), master: wiring.master.clone() };
        let parts = login::Parts {
            store: self.store.clone(),
            signer: self.signer.clone(),
            content: shared.content,
            port: login::PortLink {
                requests,
                answer: Box::new(move |shard, message| login_shards.send(shard, message)),
            },
        };
        let (config, stop) = (self.config.login.clone(), stop.clone());
        self.tasks.spawn(async move {
            if let Err(problem) = login::run(config, inboxes.login, peers, parts, stop).await {
                error!(%problem, "the login role has ended");
            }
        });
        Started { gateway_inbox: inboxes.gateway, master_queries }
    }

    fn report_status(
        &self,
        wiring: &Wiring,
        gate: &Arc<Gate>,
        addresses: &Addresses,
        hosted: watch::Receiver<zone::host::Hosted>,
    ) {
        let template = ServerStatus {
            server: self.server,
            name: self.config.ports.advertise.clone(),
            roles: Roles::all().iter().collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            region: self.config.ports.region.clone(),
            host: self.config.ports.advertise.clone(),
            port: addresses.gateway.port(),
            text_port: addresses.text.port(),
            players: 0,
            capacity: u32::try_from(self.config.net.max_connections).unwrap_or(u32::MAX),
            cpu_percent: 0.0,
            memory: 0,
            zones: Vec::new(),
            draining: false,
            link_port: 0,
            started_at: crate::tick::unix_millis(),
            links: 0,
        };
        let gate = gate.clone();
        let connections = move || u32::try_from(gate.connections()).unwrap_or(u32::MAX);
        let source = status::StatusSource {
            clients: Some(Box::new(connections)),
            hosted,
            links: Box::new(|| 0),
            draining: watch::channel(false).1,
        };
        let (master, stop) = (wiring.master.clone(), self.stops.others.clone());
        self.tasks.spawn(status::report(template, source, master, stop));
    }
}

/// What starting the roles leaves for the others.
struct Started {
    gateway_inbox: Inbox<GatewayMsg>,
    master_queries: mpsc::Sender<master::query::Query>,
}

/// Waits for a part to end, but not for ever.
async fn ended(what: &str, task: tokio::task::JoinHandle<()>) {
    match tokio::time::timeout(STOP_WITHIN, task).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => error!(%problem, "the {what} has ended badly"),
        Err(_) => error!("the {what} does not end; going on without it"),
    }
}
