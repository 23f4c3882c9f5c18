//! The gateway role: holds the clients' connections, checks what they send, and shows each what it
//! can see.
//!
//! Two halves: this task, the session manager, which owns who is logged in as whom and talks to
//! the other roles; and one service for each I/O shard (`shard.rs`), which owns connections and
//! does everything that happens often. The task never writes to a socket.

mod absence;
mod conduct;
mod config;
mod containment;
mod denial;
mod drain;
mod ending;
mod entry;
mod fanout;
mod feed;
mod holding;
mod inbound;
mod introduce;
mod lines;
mod newest;
mod outlet;
mod pace;
mod post;
mod questions;
mod refusals;
mod resume;
mod session;
mod sessions;
mod set_outs;
mod shard;
mod talk;
#[cfg(test)]
mod tests;
mod traffic;
mod watch;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::ids::{ServerId, SessionKey, ZoneId};
use crate::link::pending::Pending;
use crate::link::{Directory, Inbox, Outbox};
use crate::msg::login::GameServer;
use crate::msg::{ChatMsg, Conducts, GatewayMsg, LoginMsg, MasterMsg, Outgoing, ZoneMsg};
use crate::net::Shards;
use crate::store::Store;
use crate::tick::now;
use crate::token::TicketVerifier;
use crate::world::content::Content;
use drain::Drain;
use entry::Found;
use introduce::Certainty;
use newest::Newest;
use post::Post;
use questions::Question;
use sessions::{Delivery, Session, Sessions};
use talk::ConnRef;
use watch::Watching;

pub use config::GatewayConfig;
pub use shard::GatewayService;
pub use talk::{FromShard, ToShard};

/// Whom a gateway talks to.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Every zone, by number.
    pub zones: Directory<ZoneId, ZoneMsg>,
    /// Accounts.
    pub login: Outbox<LoginMsg>,
    /// Talk.
    pub chat: Outbox<ChatMsg>,
    /// Presence.
    pub master: Outbox<MasterMsg>,
}

/// What both halves of a gateway need to know.
#[derive(Clone)]
pub struct Shared {
    /// This process.
    pub server: ServerId,
    /// `[gateway]`.
    pub config: GatewayConfig,
    /// `[net.rate]`.
    pub rates: crate::net::rate::RateLimits,
    /// `[world]`.
    pub content: Arc<Content>,
    /// Whom it talks to.
    pub peers: Peers,
    /// Checks tickets.
    pub verifier: TicketVerifier,
    /// Oldest client version that is let in.
    pub minimum_version: (u32, u32, u32),
    /// From the shards to the session manager.
    pub reports: mpsc::Sender<FromShard>,
}

/// What shards report and the session manager has not read yet.
pub const REPORTS: usize = 16_384;

/// The receiving end of the shards' reports, for [`run`]; opaque to whoever wires the gateway.
pub struct Reports(mpsc::Receiver<FromShard>);

/// A channel from the shards to the session manager.
pub fn reports() -> (mpsc::Sender<FromShard>, Reports) {
    let (sender, receiver) = mpsc::channel(REPORTS);
    (sender, Reports(receiver))
}

/// Questions that wait at once.
const QUESTIONS: usize = 8_192;
/// How often the session manager looks at what comes by no message.
const BEAT: Duration = Duration::from_millis(100);
/// Beats in a second.
const BEATS: u64 = 10;

/// The session manager.
struct Gateway {
    shared: Shared,
    store: Store,
    post: Post,
    sessions: Sessions,
    questions: Pending<Question>,
    newest: Newest,
    watching: Watching,
    /// Sessions whose players wait for their turn to be brought in.
    absent: VecDeque<SessionKey>,
    certainty: Certainty,
    /// What players have used up who have just changed connections, or may do so soon.
    conducts: Conducts,
    /// Whose resume token before the last is over, and still in the store.
    proven: BTreeSet<SessionKey>,
    found: mpsc::Sender<Found>,
    /// Resume tokens that the store is asked for and has not answered for.
    tokens: usize,
    /// Where newcomers are sent, best first.
    servers: Arc<Vec<GameServer>>,
    /// Set once the process stops.
    drain: Option<Drain>,
    beats: u64,
}

/// Runs the session manager until `stop`; then every client is sent to another gateway, or, if
/// there is none, is told and its player leaves.
pub async fn run(
    shared: Shared,
    mut inbox: Inbox<GatewayMsg>,
    Reports(mut reports): Reports,
    shards: Shards<ToShard>,
    store: Store,
    stop: CancellationToken,
) {
    let (found, mut findings) = mpsc::channel(QUESTIONS);
    let mut gateway = Gateway::new(shared, shards, store, found);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut messages = Vec::with_capacity(256);
    while !gateway.has_drained(now()) {
        tokio::select! {
            biased;
            () = stop.cancelled(), if gateway.drain.is_none() => gateway.begin_to_drain(),
            _ = beat.tick() => gateway.beat().await,
            Some(report) = reports.recv() => gateway.on_report(report),
            Some(found) = findings.recv() => gateway.on_found(found),
            count = inbox.recv_many(&mut messages, 256) => {
                if count == 0 {
                    break;
                }
                for message in messages.drain(..) {
                    gateway.on_message(message);
                }
            }
        }
        gateway.post.send_again();
    }
    if gateway.drain.is_none() {
        gateway.begin_to_drain();
    }
    gateway.finish_draining().await;
}

impl Gateway {
    fn new(
        shared: Shared,
        shards: Shards<ToShard>,
        store: Store,
        found: mpsc::Sender<Found>,
    ) -> Self {
        Self {
            post: Post::new(shared.peers.clone(), shards),
            watching: Watching::new(&shared.content),
            shared,
            store,
            sessions: Sessions::default(),
            questions: Pending::new(QUESTIONS),
            newest: Newest::default(),
            absent: VecDeque::new(),
            certainty: Certainty::new(now()),
            conducts: Conducts::default(),
            proven: BTreeSet::new(),
            found,
            tokens: 0,
            servers: Arc::default(),
            drain: None,
            beats: 0,
        }
    }

    /// Several times a second.
    async fn beat(&mut self) {
        let now = now();
        self.certainty.beat(now);
        self.look_for_moved_zones();
        self.drop_lost_questions();
        self.bring_in_some(now);
        self.send_off_some().await;
        self.beats += 1;
        if self.beats.is_multiple_of(BEATS) {
            self.sweep(now);
        }
    }

    /// Dispatches what other roles send.
    fn on_message(&mut self, message: GatewayMsg) {
        match message {
            GatewayMsg::Frame(frame) => self.on_frame(frame),
            GatewayMsg::FrameDelta(delta) => self.on_frame_delta(*delta),
            GatewayMsg::Deliver { session, packet } => {
                self.deliver(session, packet, Session::deliver);
            }
            GatewayMsg::DeliverMany { sessions, packet } => self.on_deliver_many(sessions, packet),
            GatewayMsg::Broadcast { packet } => {
                self.post.all_shards(|| ToShard::Broadcast(packet.clone()));
            }
            GatewayMsg::Entered { session, state, zone, guild } => {
                self.on_entered(session, state, zone, guild);
            }
            GatewayMsg::EnterRefused { session, reason } => self.on_enter_refused(session, reason),
            GatewayMsg::Moved { session, player, zone } => self.on_moved(session, player, zone),
            GatewayMsg::Kick { session, reason, message } => self.on_kick(session, reason, message),
            GatewayMsg::Introduce { to } => self.on_introduce(to),
            GatewayMsg::Rooms { session, rooms } => self.on_rooms(session, rooms),
            GatewayMsg::Servers(servers) => {
                self.servers = Arc::new(servers);
                let servers = self.servers.clone();
                self.post.all_shards(|| ToShard::Servers(servers.clone()));
            }
            GatewayMsg::LoginDecided { request, decision } => {
                self.on_login_decided(request, decision);
            }
            GatewayMsg::LoginQueued { request, place } => self.on_login_queued(request, place),
            GatewayMsg::RegisterDecided { request, decision } => {
                self.on_register_decided(request, decision);
            }
            GatewayMsg::Conduct { player, conduct } => self.on_conduct(player, conduct),
            GatewayMsg::PresenceGranted { request, zone } => self.on_presence(request, zone),
        }
    }

    /// Dispatches what the shards report.
    fn on_report(&mut self, report: FromShard) {
        match report {
            FromShard::Login { conn, sequence, credentials, device, address } => {
                self.ask_login(conn, sequence, false, |from, request| LoginMsg::Login {
                    from,
                    request,
                    credentials,
                    device,
                    address,
                });
            }
            FromShard::Register { conn, sequence, credentials, address } => {
                self.ask_login(conn, sequence, true, |from, request| LoginMsg::Register {
                    from,
                    request,
                    credentials,
                    address,
                });
            }
            FromShard::Enter { conn, sequence, ticket } => self.on_enter(conn, sequence, ticket),
            FromShard::Resume(asked) => self.on_resume(asked),
            FromShard::Proven { session, conn } => self.on_proven(session, conn),
            FromShard::Lost { session, conn, log, received } => {
                self.on_lost(session, conn, log, received);
            }
            FromShard::Undelivered { session, packet } => {
                self.deliver(session, packet, Session::deliver_late);
            }
            FromShard::Missing { session } => self.on_missing(session),
            FromShard::Conduct { player, conn, conduct } => {
                self.on_conduct_here(player, conn, conduct);
            }
            FromShard::Logout { session } => self.on_logout(session),
        }
    }

    /// Once a second: ends what waited too long, watches what is seen, counts.
    fn sweep(&mut self, now: Instant) {
        self.expire_questions(now);
        self.newest.forget(now);
        self.end_overdue(now);
        self.tend_absent(now);
        self.tend_zones(now);
        self.conducts.sweep(now);
        self.store_proven();
        for (state, count) in self.sessions.by_state() {
            gauge!("throng_sessions", "state" => state).set(count as f64);
        }
    }

    /// A private packet: to the shard, or kept for the resume.
    fn deliver(
        &mut self,
        key: SessionKey,
        packet: Outgoing,
        how: fn(&mut Session, Outgoing, usize) -> Delivery,
    ) {
        let keep = self.shared.config.resume_packets;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Delivery::ToShard(shard, packet) = how(session, packet, keep) {
            self.post.packets(shard, ToShard::Packet { session: key, packet });
        }
    }

    fn on_deliver_many(&mut self, keys: Vec<SessionKey>, packet: Outgoing) {
        let keep = self.shared.config.resume_packets;
        let mut by_shard: Vec<Vec<SessionKey>> = vec![Vec::new(); self.post.shards()];
        for key in keys {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            match session.shard() {
                Some(shard) => by_shard[shard].push(key),
                // Kept for the resume, or dropped.
                None => drop(session.deliver(packet.clone(), keep)),
            }
        }
        for (shard, sessions) in by_shard.into_iter().enumerate() {
            if !sessions.is_empty() {
                self.post.packets(shard, ToShard::Packets { sessions, packet: packet.clone() });
            }
        }
    }

    fn tell_conn(&mut self, conn: ConnRef, message: ToShard) {
        self.post.shard(conn.shard, message);
    }
}
