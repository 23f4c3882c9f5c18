//! The composition: which roles run in this process, and who talks to whom. The only room that
//! knows the topology.
//!
//! A role gets its inbox and outboxes here and cannot tell whether the other end is a value moved
//! in memory or a link. Start is bottom up, stop is top down: clients are told, zones and players
//! are handed over or saved, the store closes last.

mod clients;
mod cluster;
mod ports;
mod reload;
mod roles;
pub(crate) mod roster;
mod stopping;
mod supervisor;
mod wiring;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::banner;
use crate::config::{Config, store_address};
use crate::data_dir::{self, DataDir};
use crate::ids::ServerId;
use crate::link::tcp::{self, ClusterSecret, Hosted, LinkEvent, Links};
use crate::link::{Identity, Inbox};
use crate::msg::NodeMsg;
use crate::msg::master::ServerStatus;
use crate::net::Shards;
use crate::net::tls::Tls;
use crate::role::{Role, Roles};
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::token::{TicketSigner, TicketVerifier};
use crate::{admin, descriptors, limits, master, status, zone};
use clients::{Clients, GatewaySide};
use cluster::Cluster;
use ports::bind;
use supervisor::Supervisor;
use wiring::{Inboxes, Wiring, wire};

/// How long a whole world may take before it says that it runs.
const COMPLETE_WITHIN: Duration = Duration::from_secs(10);

/// When each part of the process is told to stop, in this order.
#[derive(Default)]
struct Stops {
    listeners: CancellationToken,
    gateway: CancellationToken,
    drain: CancellationToken,
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
    /// That nobody else serves from the same data; held to the end.
    _claims: Vec<data_dir::Claim>,
    store: Store,
    /// The login role's.
    signer: Option<TicketSigner>,
    verifier: TicketVerifier,
    tasks: TaskTracker,
    link_tasks: TaskTracker,
    stops: Stops,
    readiness: admin::Readiness,
    supervisor: Supervisor,
}

/// Runs the process until `stop` is cancelled, then drains it. A part that fails cancels it too.
/// `reload` has what can be taken anew read again.
///
/// # Errors
/// If something cannot be started: a port is taken, the database cannot be opened, the data folder
/// cannot be written. Or if a part has failed. Nothing is left running then.
pub async fn run(
    config: Config,
    roles: Roles,
    telemetry: &Telemetry,
    stop: CancellationToken,
    reload: Arc<Notify>,
) -> anyhow::Result<()> {
    for doubt in config.doubts(&roles) {
        warn!("{doubt}");
    }
    if let Some(doubt) = descriptors::doubt(config.net.max_connections, descriptors::raise()) {
        warn!("{doubt}");
    }
    let data = data_dir::open(&config.data_dir)?;
    let mut claims = vec![data.claim()?];
    if let Some(file) = crate::store::file(&config.store, data.path()) {
        claims.push(data_dir::claim_database(&file)?);
    }
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
    let store = Store::open(&config.store, data.path()).await.with_context(|| {
        let address = store_address(&config.store.url);
        format!("the database cannot be opened (store.url = {address})")
    })?;
    let readiness = admin::Readiness::new(roles.clone());
    let process = Process {
        supervisor: Supervisor::new(readiness.clone(), stop.clone()),
        readiness,
        config,
        roles,
        server,
        started_at: crate::tick::unix_millis(),
        data,
        _claims: claims,
        store,
        signer,
        verifier,
        tasks: TaskTracker::new(),
        link_tasks: TaskTracker::new(),
        stops: Stops::default(),
    };
    process.play(telemetry, operator_token, stop, reload).await
}

impl Process {
    async fn play(
        self,
        telemetry: &Telemetry,
        operator_token: String,
        stop: CancellationToken,
        reload: Arc<Notify>,
    ) -> anyhow::Result<()> {
        let token = admin::OperatorToken::new(&operator_token)?;
        let (wiring, inboxes) = wire(&self.roles, self.config.link.loopback, self.server);
        let operators = bind(self.config.ports.admin, self.config.net.backlog, "ports.admin")?;
        let inner = Hosted::default();
        let (links, events) = self.start_links(&inner)?;
        let mut clients = self.open_to_clients(&wiring).await?;
        clients.addresses.admin = Some(operators.local_addr()?);
        clients.addresses.link = links.as_ref().map(Links::local_addr);
        wiring.host(&inner);

        let readiness = self.readiness.clone();
        for role in self.roles.iter() {
            readiness.started(role);
        }
        let (hosting, hosted) = watch::channel(Vec::new());
        let hosting = (hosting, readiness.clone());
        let running = self.start(&wiring, &inner, inboxes, &mut clients, hosting)?;
        let Running { node, master, host, gateway, shards } = running;
        let renewing = reload::keep(clients.tls.clone(), reload, self.stops.others.clone());
        self.tasks.spawn(self.supervisor.keep("reload", None, renewing));
        let (mastered, played) = watch::channel(None);
        let cluster = Cluster::new(cluster::Parts {
            server: self.server,
            roles: self.roles.clone(),
            started_at: self.started_at,
            wiring: wiring.clone(),
            links: links.clone(),
            verifier: self.verifier.clone(),
            ticket_key: self.signer.as_ref().map(|s| Bytes::copy_from_slice(s.public_key())),
            hosting: hosted.clone(),
            world: self
                .config
                .world
                .zones
                .iter()
                .map(|zone| (zone.id, zone.name.clone()))
                .collect(),
            readiness: readiness.clone(),
            mastered,
            drain: stop.clone(),
        });
        let member = cluster.run(node, events, self.stops.others.clone());
        self.tasks.spawn(self.supervisor.keep("member of the cluster", None, member));
        let zones_here = hosted.clone();
        let (drains, draining) = watch::channel(false);
        self.report_status(&wiring, &clients, links.as_ref(), (hosted, played, draining));
        self.serve_operators(operators, telemetry.metrics(), token, master, readiness.clone());
        if self.roles.is_all() {
            // A whole world says that it runs when it does.
            let complete = tokio::time::timeout(COMPLETE_WITHIN, readiness.complete());
            tokio::select! {
                _ = complete => {}
                () = stop.cancelled() => {}
            }
        }
        banner::print(&self.config, &self.roles, &clients.addresses);
        telemetry.log().open();

        stop.cancelled().await;
        info!("stopping");
        readiness.drain();
        drains.send_replace(true);
        self.end(gateway, host, shards, (&wiring, zones_here)).await;
        if let Some(part) = self.supervisor.failed() {
            anyhow::bail!("a part of the process has failed: the {part}");
        }
        info!("stopped");
        Ok(())
    }

    /// Links with the other processes; none where the whole world is this one.
    fn start_links(
        &self,
        hosted: &Hosted,
    ) -> anyhow::Result<(Option<Links>, mpsc::Receiver<LinkEvent>)> {
        let (events_out, events) = mpsc::channel(limits::NODE_INBOX);
        if self.roles.is_all() && self.store.is_ours_alone() {
            return Ok((None, events));
        }
        let config = self.config.link.clone();
        let secret = match &config.secret_file {
            Some(path) => data_dir::read_secret(path).context("link.secret_file")?,
            None => self.data.secret("cluster.secret")?,
        };
        let (links, lasting) = tcp::start(tcp::Parts {
            bind: self.address(self.config.ports.link),
            secret: ClusterSecret::new(secret.trim()),
            identity: Identity {
                server: self.server,
                roles: self.roles.clone(),
                host: self.config.link_host().to_owned(),
                port: self.config.ports.link,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            hosted: hosted.clone(),
            events: events_out,
            tasks: self.link_tasks.clone(),
            stop: self.stops.links.clone(),
            config: config.clone(),
        })?;
        for task in lasting {
            self.link_tasks.spawn(self.supervisor.keep("links", None, task));
        }
        for address in &config.master {
            links.dial(address).map_err(|problem| anyhow::anyhow!("link.master: {problem}"))?;
        }
        Ok((Some(links), events))
    }

    /// Tells the master how this process is, once a second and when something changes.
    fn report_status(
        &self,
        wiring: &Wiring,
        clients: &Clients,
        links: Option<&Links>,
        (hosted, master, draining): Watched,
    ) {
        let ports = &self.config.ports;
        let port = |address: Option<SocketAddr>| address.map_or(0, |address| address.port());
        let template = ServerStatus {
            server: self.server,
            name: self.config.name_for(&self.roles),
            roles: self.roles.iter().collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            region: ports.region.clone(),
            host: ports.advertise.clone(),
            port: port(clients.addresses.gateway),
            text_port: port(clients.addresses.text),
            players: 0,
            capacity: u32::try_from(self.config.net.max_connections).unwrap_or(u32::MAX),
            cpu_percent: 0.0,
            memory: 0,
            zones: Vec::new(),
            draining: false,
            link_host: self.config.link_host().to_owned(),
            link_port: port(clients.addresses.link),
            started_at: self.started_at,
            links: 0,
        };
        let (gate, links) = (clients.gate.clone(), links.cloned());
        let clients = move || u32::try_from(gate.connections()).unwrap_or(u32::MAX);
        let up = move || {
            let links = links.iter().flat_map(Links::status).filter(|link| link.up).count();
            u32::try_from(links).unwrap_or(u32::MAX)
        };
        let source = status::StatusSource {
            clients: self.roles.has(Role::Gateway).then(|| Box::new(clients) as _),
            hosted,
            links: Box::new(up),
            master,
            draining,
        };
        let (master, stop) = (wiring.master.clone(), self.stops.others.clone());
        let report = status::report(template, source, master, stop);
        self.tasks.spawn(self.supervisor.keep("status report", None, report));
    }

    /// Starts the roles that this process plays.
    fn start(
        &self,
        wiring: &Wiring,
        inner: &Hosted,
        inboxes: Inboxes,
        clients: &mut Clients,
        hosting: (watch::Sender<zone::host::Hosted>, admin::Readiness),
    ) -> anyhow::Result<Running> {
        let Inboxes { node, host, master, login, chat, gateway } = inboxes;
        let mut running = Running { node, master: None, host: None, gateway: None, shards: vec![] };
        running.master = master.map(|inbox| self.start_master(wiring, inbox));
        if let Some(inbox) = chat {
            self.start_chat(wiring, inbox);
        }
        running.host = host.map(|inbox| self.start_host(wiring, inner, inbox, hosting));
        if let (Some(inbox), Some(side)) = (login, clients.login.take()) {
            let shards = side.shards.clone();
            self.keep_shards("login shards", Role::Login, &shards);
            running.shards.push(Box::pin(async move { shards.join().await }));
            self.start_login(wiring, inbox, side);
        }
        if let (Some(inbox), Some(side)) = (gateway, clients.gateway.take()) {
            let GatewaySide { shared, reports, shards, http } = side;
            self.keep_shards("gateway shards", Role::Gateway, &shards);
            self.serve_http(http, shards.clone(), clients.gate.clone(), clients.tls.clone());
            running.gateway = Some(self.start_gateway(inbox, shared, reports, shards.clone()));
            running.shards.push(Box::pin(async move { shards.join().await }));
        }
        Ok(running)
    }

    /// An I/O shard that ends early is a failure as well.
    fn keep_shards<M: Send + 'static>(&self, part: &'static str, role: Role, shards: &Shards<M>) {
        let (shards, stop) = (shards.clone(), self.stops.shards.clone());
        let first = async move {
            tokio::select! {
                () = shards.first_ended() => {}
                () = stop.cancelled() => {}
            }
        };
        tokio::spawn(self.supervisor.keep(part, Some(role), first));
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
}

/// What is watched of this process for the master: its zones, who that is, whether it drains.
type Watched =
    (watch::Receiver<zone::host::Hosted>, watch::Receiver<Option<ServerId>>, watch::Receiver<bool>);

/// What starting the roles leaves for the others.
struct Running {
    node: Inbox<NodeMsg>,
    /// The way to ask the master of this process.
    master: Option<mpsc::Sender<master::query::Query>>,
    host: Option<JoinHandle<()>>,
    gateway: Option<JoinHandle<()>>,
    /// Each ends with some I/O shards.
    shards: Vec<Ending>,
}

/// Resolves when a part has ended that was told to.
type Ending = Pin<Box<dyn Future<Output = ()> + Send>>;
