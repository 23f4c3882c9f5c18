//! The links between processes: one TCP connection for each pair, over which both send whatever
//! their roles have for each other.
//!
//! The composition starts them, tells them whom to dial, hears what becomes of each process
//! ([`LinkEvent`]), and makes [`Outbox`]es that lead to inboxes elsewhere. Roles know nothing of it.
//!
//! ```text
//! let hosted = Hosted::default();                       // what others may send to
//! hosted.insert(Address::Chat, chat_outbox);            // zones too, as they come and go
//! let (events, mut happens) = mpsc::channel(64);
//! let (links, lasting) = tcp::start(Parts { config, bind, secret, identity, hosted, events, tasks, stop })?;
//! for address in &config.master { links.dial(address)?; }
//! while let Some(event) = happens.recv().await {
//!     match event {
//!         // Messages of that process flow when `hold` is dropped: enter its outboxes first.
//!         LinkEvent::Up { identity, fresh, hold } => {
//!             if let Some(outbox) = links.outbox(identity.server, Address::Gateway) { … }
//!             drop(hold);
//!         }
//!         LinkEvent::Down { server } => {}              // nothing is lost yet
//!         LinkEvent::Lost { server, clean } => { … }    // take its outboxes out again
//!     }
//! }
//! ```
//! As the master tells of members: `links.connect(member)`; of one that is no more:
//! `links.forget(server)`. On `stop` all is sent and acknowledged, goodbyes are said.
//!
//! How it is done: `greeting` (who is that?), `conversation` one floor up (what must be sent again?),
//! `peer` (where senders push), `connection` and `reader` (a connection's tasks), `switchboard` with
//! `dialing` and `losses` (who is linked, to be dialed, gone), `listener`.

pub mod batch;
mod connection;
mod counts;
mod dial;
mod dialing;
pub mod frames;
mod greeting;
mod hosted;
mod listener;
mod losses;
mod peer;
mod proof;
mod reader;
mod stream;
mod switchboard;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ids::ServerId;
use crate::link::config::{LinkConfig, host_and_port};
use crate::link::conversation::{Bounds, Said};
use crate::link::{Address, Identity, Outbox, Wire};
use crate::msg::node::Member;
use crate::net::listener::bind;
use crate::net::tls::TlsError;
use crate::tick::now;
use connection::Pulse;
use counts::Counts;
use dial::Target;
use greeting::Greeter;
use peer::{Peer, Phase};
use stream::Security;
use switchboard::Switchboard;

pub use hosted::Hosted;
pub use proof::ClusterSecret;

/// Connections that the kernel keeps ready for accepting.
const BACKLOG: u32 = 256;

/// What links are made of.
#[derive(Debug)]
pub struct Parts {
    /// `[link]`.
    pub config: LinkConfig,
    /// Where to listen; port 0: any that is free.
    pub bind: SocketAddr,
    /// What all processes of the cluster know.
    pub secret: ClusterSecret,
    /// Who this process is. Port 0: the one that is listened on.
    pub identity: Identity,
    /// The inboxes that others may send to.
    pub hosted: Hosted,
    /// Where it is told what becomes of other processes. Links wait for room in it.
    pub events: mpsc::Sender<LinkEvent>,
    /// All tasks are spawned here.
    pub tasks: TaskTracker,
    /// Ends them.
    pub stop: CancellationToken,
}

/// Why links cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port cannot be had.
    #[error("{0} (ports.link)")]
    Port(#[from] io::Error),
    /// The certificates cannot be used.
    #[error("link.tls: {0}")]
    Tls(#[from] TlsError),
}

/// What has become of another process.
#[derive(Debug)]
pub enum LinkEvent {
    /// There is a connection to it.
    Up {
        /// Which it is.
        identity: Identity,
        /// Nothing is left of what was sent before: roles announce themselves to it, again.
        fresh: bool,
        /// Its messages are put into the inboxes here as soon as this is dropped.
        hold: Hold,
    },
    /// There is none any more, but perhaps soon again: reliable messages wait.
    Down {
        /// Which process.
        server: ServerId,
    },
    /// It is dead, gone, or has forgotten this one. All outboxes to it have ended.
    Lost {
        /// Which process.
        server: ServerId,
        /// It has said goodbye, or was to be forgotten.
        clean: bool,
    },
}

/// Holds a new link's incoming messages back, for two seconds at most.
#[derive(Debug)]
pub struct Hold {
    _held: oneshot::Sender<()>,
}

impl Hold {
    fn new(held: oneshot::Sender<()>) -> Self {
        Self { _held: held }
    }
}

/// How a link is, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkStatus {
    /// The process at the other end.
    pub identity: Identity,
    /// Whether there is a connection now.
    pub up: bool,
    /// Bytes that wait for the socket.
    pub queued_bytes: usize,
    /// Messages that the other process has not acknowledged.
    pub unacknowledged: usize,
    /// Their bytes.
    pub unacknowledged_bytes: usize,
    /// The last heartbeat's round trip.
    pub round_trip: Option<Duration>,
}

/// This process's links. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What the tasks of all links share.
struct Shared {
    greeter: Greeter,
    security: Security,
    bounds: Bounds,
    pulse: Pulse,
    dead: Duration,
    hosted: Hosted,
    counts: Counts,
    /// The processes there are; changed by the switchboard alone.
    known: Mutex<BTreeMap<ServerId, Known>>,
    /// What the composition wants that the switchboard has not seen.
    wishes: Mutex<Wishes>,
    wished: Notify,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("me", &self.greeter.me).finish_non_exhaustive()
    }
}

struct Known {
    identity: Identity,
    peer: Arc<Peer>,
}

#[derive(Default)]
struct Wishes {
    dial: BTreeMap<Target, (String, u16)>,
    forget: BTreeSet<ServerId>,
}

impl Shared {
    /// What to say of the conversation with a process.
    fn said(&self, server: ServerId) -> Said {
        self.known.lock().get(&server).map_or_else(Said::default, |known| known.peer.said())
    }
}

/// Listens, on the current runtime, and links whoever comes or is to be dialed. The two tasks that
/// all links depend on come along: they end after `stop`, and not before.
///
/// # Errors
/// See [`StartError`].
pub fn start(parts: Parts) -> Result<(Links, [JoinHandle<()>; 2]), StartError> {
    let Parts { config, bind: address, secret, mut identity, hosted, events, tasks, stop } = parts;
    let security = Security::load(&config.tls)?;
    let listener = bind(address, BACKLOG)?;
    let address = listener.local_addr()?;
    if identity.port == 0 {
        identity.port = address.port();
    }
    let shared = Arc::new(Shared {
        greeter: Greeter { me: identity, secret },
        security,
        bounds: Bounds { messages: config.queue_messages, bytes: config.queue_bytes },
        pulse: Pulse { every: Duration::from_millis(config.heartbeat_ms), start: now() },
        dead: Duration::from_secs(config.dead_seconds),
        hosted,
        counts: Counts::new(),
        known: Mutex::default(),
        wishes: Mutex::default(),
        wished: Notify::new(),
        tasks: tasks.clone(),
        stop,
    });
    let offers = mpsc::channel(switchboard::OFFERS_WAITING);
    let port = listener::Port::new(shared.clone(), offers.0.clone());
    let listening = tasks.spawn(port.run(listener));
    let switching = tasks.spawn(Switchboard::new(shared.clone(), offers, events).run());
    Ok((Links { shared, address }, [listening, switching]))
}

impl Links {
    /// Where this process listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Who this process is to others, with the port that is listened on.
    pub fn identity(&self) -> &Identity {
        &self.shared.greeter.me
    }

    /// Keeps a link to whoever is at this address (`host:port`), for ever: the way into a cluster.
    /// An address of this process itself does no harm.
    ///
    /// # Errors
    /// It is no such address.
    pub fn dial(&self, address: &str) -> Result<(), String> {
        let (host, port) = host_and_port(address)
            .ok_or_else(|| format!("'{address}' is not like master.example:8091"))?;
        self.wish(|wishes| {
            let target = Target::Bootstrap(host.to_owned(), port);
            wishes.dial.insert(target, (host.to_owned(), port));
        });
        Ok(())
    }

    /// Keeps a link to a member of the cluster, until it has said goodbye or is to be forgotten; one
    /// that cannot be reached is given up after a minute, unless it is named again. Of a pair the
    /// one with the lower id dials; the other does only if that takes long.
    pub fn connect(&self, member: Member) {
        let Member { server, roles: _, host, port } = member;
        if server != self.identity().server {
            self.wish(|wishes| {
                wishes.forget.remove(&server);
                wishes.dial.insert(Target::Member(server), (host, port));
            });
        }
    }

    /// A process is known to be gone: its link ends, and `Lost` is told, if there was one.
    pub fn forget(&self, server: ServerId) {
        self.wish(|wishes| {
            wishes.dial.remove(&Target::Member(server));
            wishes.forget.insert(server);
        });
    }

    fn wish(&self, wish: impl FnOnce(&mut Wishes)) {
        wish(&mut self.shared.wishes.lock());
        self.shared.wished.notify_one();
    }

    /// The way to an inbox of a process, from `Up` on; it has ended when the process is lost.
    pub fn outbox<M: Wire>(&self, server: ServerId, to: Address) -> Option<Outbox<M>> {
        let peer = self.shared.known.lock().get(&server)?.peer.clone();
        Some(Outbox::linked(peer, to))
    }

    /// How all links are, for operators.
    pub fn status(&self) -> Vec<LinkStatus> {
        let known = self.shared.known.lock();
        known
            .values()
            .map(|Known { identity, peer }| {
                let (queued_bytes, unacknowledged, unacknowledged_bytes) = peer.queues();
                LinkStatus {
                    identity: identity.clone(),
                    up: peer.phase() == Phase::Up,
                    queued_bytes,
                    unacknowledged,
                    unacknowledged_bytes,
                    round_trip: peer.round_trip(),
                }
            })
            .collect()
    }
}
