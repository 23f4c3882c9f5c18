//! The login role: accounts and tickets.
//!
//! One task owns every request and takes it from stage to stage: account look-up (store), hashing
//! (its one thread), and under `duplicate = "reject"` a question to the master. It never waits for
//! any of them inside its loop, holds a bounded number of requests, and never logs a secret.

mod asker;
pub mod attempts;
mod config;
pub mod hashing;
pub mod places;
pub mod port;
mod stages;
mod turns;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info_span, warn};

pub use config::{Duplicate, LoginConfig};
pub use stages::new_character;

use crate::ids::{RequestId, ServerId};
use crate::link::{Directory, Inbox, Outbox};
use crate::msg::login::{
    Credentials, GameServer, LoginDecision, LoginRefusal, QueuePlace, RegisterDecision,
};
use crate::msg::{GatewayMsg, LoginMsg, MasterMsg};
use crate::names::{Name, Reserved};
use crate::store::Store;
use crate::tick;
use crate::token::TicketSigner;
use crate::world::content::Content;
use asker::{Asker, Origin, busy, reason, reserved_name, throttled};
use attempts::{Attempts, Caller};
use hashing::SecretHasher;
use port::Ask;
pub use port::{LoginPort, PortMsg, PortRequest, REQUESTS_WAITING};
use stages::{AtMaster, Hashing, Stored, Want};
use worker::{Gone, Worker};

/// Seconds between two sweeps of what limits remember.
const SWEEP_EVERY: u64 = 10;

/// Whom the login role speaks to.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Gateways, by process.
    pub gateways: Directory<ServerId, GatewayMsg>,
    /// The master.
    pub master: Outbox<MasterMsg>,
}

/// The login port's two ways: its shards' requests in, answers to a shard out.
pub struct PortLink {
    /// What clients of the port ask.
    pub requests: mpsc::Receiver<PortRequest>,
    /// Sends to the service of one shard without waiting; gives the message back if it cannot.
    pub answer: Box<dyn Fn(usize, PortMsg) -> Result<(), PortMsg> + Send + Sync>,
}

/// What the role works with.
pub struct Parts {
    /// Accounts.
    pub store: Store,
    /// Signs tickets.
    pub signer: TicketSigner,
    /// Where a new character begins.
    pub content: Arc<Content>,
    /// What no new account may be called.
    pub reserved: Reserved,
    /// The login port.
    pub port: PortLink,
}

/// Plays the role until `stop` or until every outbox to it is gone.
///
/// # Errors
/// If the hashing thread cannot start (its parameters are not possible, or there is no thread), or
/// has ended.
pub async fn run(
    config: LoginConfig,
    mut inbox: Inbox<LoginMsg>,
    peers: Peers,
    parts: Parts,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let hasher = SecretHasher::new(config.argon2)?;
    let (worker, mut hashed) = Worker::start(hasher, config.queue_length)?;
    let Parts { store, signer, content, reserved, port: PortLink { mut requests, answer } } = parts;
    let mut login = Login {
        attempts: Attempts::new(config.limits()),
        worker,
        stored: JoinSet::new(),
        remembering: JoinSet::new(),
        hashing: BTreeMap::new(),
        at_master: BTreeMap::new(),
        servers: Vec::new(),
        seconds: 0,
        config,
        peers,
        store,
        signer,
        content,
        reserved,
        answer,
    };
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            message = inbox.recv() => match message {
                Some(message) => login.on_message(message),
                None => break,
            },
            Some(request) = requests.recv() => login.on_port_request(request),
            Some(_) = login.remembering.join_next() => {}
            Some(stored) = login.stored.join_next() => match stored {
                Ok(stored) => login.on_stored(stored),
                Err(error) => warn!(%error, "a request broke off in the store"),
            },
            done = hashed.recv() => match done {
                Some((job, result)) => login.on_hashed(job, result),
                // Nobody could log in any more.
                None => anyhow::bail!("the hashing thread has ended"),
            },
            _ = second.tick() => login.on_second(),
        }
    }
    debug!("the login role has ended");
    Ok(())
}

/// All that the role owns.
struct Login {
    config: LoginConfig,
    peers: Peers,
    store: Store,
    signer: TicketSigner,
    content: Arc<Content>,
    reserved: Reserved,
    answer: Box<dyn Fn(usize, PortMsg) -> Result<(), PortMsg> + Send + Sync>,
    attempts: Attempts,
    worker: Worker,
    /// Requests that wait for the store.
    stored: JoinSet<Stored>,
    /// Places on their way into the store.
    remembering: JoinSet<()>,
    /// Requests that wait for the hashing thread.
    hashing: BTreeMap<worker::JobId, Hashing>,
    /// Requests that wait for the master.
    at_master: BTreeMap<RequestId, AtMaster>,
    /// Gateways, best first, as the master last told.
    servers: Vec<GameServer>,
    seconds: u64,
}

impl Login {
    fn on_message(&mut self, message: LoginMsg) {
        match message {
            LoginMsg::Login { from, request, credentials, device, address } => {
                let origin = Origin::Gateway { server: from, request };
                let Credentials { name, secret } = credentials;
                let asker = asker(origin, name, address, Gone::default());
                self.on_want(asker, Want::LogIn { secret, device });
            }
            LoginMsg::Register { from, request, credentials, address } => {
                let origin = Origin::Gateway { server: from, request };
                let Credentials { name, secret } = credentials;
                let asker = asker(origin, name, address, Gone::default());
                self.on_want(asker, Want::Register { secret });
            }
            LoginMsg::Servers(servers) => self.servers = servers,
            LoginMsg::Presence { request, device } => self.on_presence(request, device),
        }
    }

    fn on_port_request(&mut self, request: PortRequest) {
        let PortRequest { shard, conn, address, gone, ask } = request;
        let origin = Origin::Port { shard, conn };
        match ask {
            Ask::LogIn { credentials: Credentials { name, secret }, device } => {
                self.on_want(asker(origin, name, address, gone), Want::LogIn { secret, device });
            }
            Ask::Register { credentials: Credentials { name, secret } } => {
                self.on_want(asker(origin, name, address, gone), Want::Register { secret });
            }
        }
    }

    /// A request begins: the limits first, before anything costs.
    fn on_want(&mut self, mut asker: Asker, want: Want) {
        if matches!(want, Want::Register { .. }) && self.reserved.holds(&asker.name) {
            return self.refuse(&asker, &want, reserved_name());
        }
        if self.in_progress() >= self.config.queue_length {
            return self.refuse(&asker, &want, busy(self.worker.wait()));
        }
        let now = tick::now();
        let allowed = match &want {
            Want::LogIn { device, .. } => {
                let from = Caller { name: &asker.folded, device, address: asker.address };
                self.attempts.begin_login(from, now).map(|begun| asker.begun = Some(begun))
            }
            Want::Register { .. } => {
                let local = asker.address.to_canonical().is_loopback();
                if local && !self.config.limit_local_registrations {
                    Ok(())
                } else {
                    self.attempts.register(asker.address, now)
                }
            }
        };
        match allowed {
            Ok(()) => self.look_up(asker, want),
            Err(wait) => self.refuse(&asker, &want, throttled(wait)),
        }
    }

    /// Requests that are at any stage.
    fn in_progress(&self) -> usize {
        self.stored.len() + self.hashing.len() + self.at_master.len()
    }

    fn on_second(&mut self) {
        let now = tick::now();
        self.tell_places();
        self.give_up_on_master(now);
        if self.seconds.is_multiple_of(SWEEP_EVERY) {
            self.attempts.sweep(now);
        }
        self.seconds += 1;
        metrics::gauge!("throng_login_queue_depth").set(self.in_progress() as f64);
    }

    fn refuse(&self, asker: &Asker, want: &Want, refusal: LoginRefusal) {
        match want {
            Want::LogIn { .. } => self.decide(asker, LoginDecision::Refused(refusal)),
            Want::Register { .. } => {
                self.decide_registration(asker, RegisterDecision::Refused(refusal));
            }
        }
    }

    /// The end of a log-in.
    fn decide(&self, asker: &Asker, decision: LoginDecision) {
        let refusal = match &decision {
            LoginDecision::Accepted { .. } => None,
            LoginDecision::Refused(refusal) => Some(refusal),
        };
        count(asker, "login", refusal);
        match asker.origin {
            Origin::Gateway { server, request } => {
                self.tell_gateway(server, GatewayMsg::LoginDecided { request, decision });
            }
            Origin::Port { shard, conn } => {
                self.tell_port(shard, PortMsg::LoginDecided { conn, decision });
            }
        }
    }

    /// The end of a registration.
    fn decide_registration(&self, asker: &Asker, decision: RegisterDecision) {
        let refusal = match &decision {
            RegisterDecision::Created(_) => None,
            RegisterDecision::Refused(refusal) => Some(refusal),
        };
        count(asker, "register", refusal);
        match asker.origin {
            Origin::Gateway { server, request } => {
                self.tell_gateway(server, GatewayMsg::RegisterDecided { request, decision });
            }
            Origin::Port { shard, conn } => {
                self.tell_port(shard, PortMsg::RegisterDecided { conn, decision });
            }
        }
    }

    fn tell_place(&self, asker: &Asker, place: QueuePlace) {
        match asker.origin {
            Origin::Gateway { server, request } => {
                self.tell_gateway(server, GatewayMsg::LoginQueued { request, place });
            }
            Origin::Port { shard, conn } => {
                self.tell_port(shard, PortMsg::Queued { conn, place });
            }
        }
    }

    /// What does not arrive is not sent again: the gateway's question runs out there.
    fn tell_gateway(&self, server: ServerId, message: GatewayMsg) {
        match self.peers.gateways.get(server) {
            Some(gateway) => {
                if let Err(error) = gateway.send(message) {
                    warn!(%server, %error, "an answer did not reach its gateway");
                }
            }
            None => warn!(%server, "an answer for an unknown gateway"),
        }
    }

    fn tell_port(&self, shard: usize, message: PortMsg) {
        if (self.answer)(shard, message).is_err() {
            warn!(shard, "an answer did not reach the login port");
        }
    }
}

fn asker(origin: Origin, name: Name, address: std::net::IpAddr, gone: Gone) -> Asker {
    let span = info_span!("login", %name, %address);
    let (folded, started) = (name.folded(), tick::now());
    Asker { origin, folded, name, address, gone, begun: None, started, span }
}

/// Counts one ended request. No refusal: it was granted.
fn count(asker: &Asker, what: &'static str, refusal: Option<&LoginRefusal>) {
    let result = if refusal.is_some() { "refused" } else { "granted" };
    metrics::histogram!("throng_login_seconds", "request" => what, "result" => result)
        .record(seconds_since(asker.started));
    let _entered = asker.span.enter();
    match refusal {
        Some(refusal) => {
            let reason = reason(refusal.code);
            metrics::counter!("throng_refusals_total", "reason" => reason).increment(1);
            debug!(what, reason, "refused");
        }
        None => debug!(what, "granted"),
    }
}

fn seconds_since(started: Instant) -> f64 {
    tick::now().saturating_duration_since(started).as_secs_f64()
}

#[cfg(test)]
mod tests;
