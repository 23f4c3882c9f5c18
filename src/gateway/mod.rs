//! The gateway role: holds the clients' connections, checks what they send, and shows each what it
//! can see.
//!
//! Two halves: this task, the session manager, which owns who is logged in as whom and talks to
//! the other roles; and one service for each I/O shard (`shard.rs`), which owns connections and
//! does everything that happens often. The task never writes to a socket.

mod absence;
mod config;
mod ending;
mod entry;
mod fanout;
mod feed;
mod holding;
mod inbound;
mod lines;
mod outlet;
mod pace;
mod post;
mod resume;
mod session;
mod sessions;
mod shard;
mod talk;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::ids::{ServerId, SessionKey, ZoneId};
use crate::link::pending::Pending;
use crate::link::{Directory, Inbox, Outbox};
use crate::msg::login::GameServer;
use crate::msg::mirror::FrameMirror;
use crate::msg::{ChatMsg, GatewayMsg, LoginMsg, MasterMsg, Outgoing, ZoneMsg};
use crate::net::Shards;
use crate::store::Store;
use crate::tick::now;
use crate::token::TicketVerifier;
use crate::world::content::Content;
use entry::Found;
use post::Post;
use sessions::{Delivery, Sessions};
use talk::ConnRef;

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

/// How long questions to other roles may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Questions that wait at once.
const QUESTIONS: usize = 8_192;

/// A question to login that a client waits for.
enum Question {
    Login { conn: ConnRef, sequence: u64 },
    Register { conn: ConnRef, sequence: u64 },
}

/// A zone's last frame.
struct Heard {
    at: std::time::Instant,
    origin: u64,
}

/// The session manager.
struct Gateway {
    shared: Shared,
    store: Store,
    post: Post,
    sessions: Sessions,
    questions: Pending<Question>,
    mirrors: BTreeMap<ZoneId, FrameMirror>,
    heard: BTreeMap<ZoneId, Heard>,
    found: mpsc::Sender<Found>,
    /// Where newcomers are sent, best first.
    servers: Arc<Vec<GameServer>>,
}

/// Runs the session manager until `stop`; then every client is told and every player leaves.
pub async fn run(
    shared: Shared,
    mut inbox: Inbox<GatewayMsg>,
    Reports(mut reports): Reports,
    shards: Shards<ToShard>,
    store: Store,
    stop: CancellationToken,
) {
    let (found, mut findings) = mpsc::channel(QUESTIONS);
    let mut gateway = Gateway {
        post: Post::new(shared.peers.clone(), shards),
        shared,
        store,
        sessions: Sessions::default(),
        questions: Pending::new(QUESTIONS),
        mirrors: BTreeMap::new(),
        heard: BTreeMap::new(),
        found,
        servers: Arc::default(),
    };
    let mut sweep = tokio::time::interval(Duration::from_secs(1));
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut messages = Vec::with_capacity(256);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = sweep.tick() => gateway.sweep(),
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
    gateway.drain().await;
}

impl Gateway {
    /// Dispatches what other roles send.
    fn on_message(&mut self, message: GatewayMsg) {
        match message {
            GatewayMsg::Frame(frame) => self.on_frame(frame),
            GatewayMsg::FrameDelta(delta) => self.on_frame_delta(*delta),
            GatewayMsg::Deliver { session, packet } => self.deliver(session, packet),
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
                if let Some(Question::Login { conn, sequence }) = self.questions.answered(request) {
                    self.tell_conn(
                        conn,
                        ToShard::LoginDecided { conn: conn.conn, sequence, decision },
                    );
                }
            }
            GatewayMsg::LoginQueued { request, place } => {
                if let Some(Question::Login { conn, .. } | Question::Register { conn, .. }) =
                    self.questions.peek(request)
                {
                    let conn = *conn;
                    self.tell_conn(conn, ToShard::LoginQueued { conn: conn.conn, place });
                }
            }
            GatewayMsg::RegisterDecided { request, decision } => {
                if let Some(Question::Register { conn, sequence }) =
                    self.questions.answered(request)
                {
                    let conn_id = conn.conn;
                    self.tell_conn(
                        conn,
                        ToShard::RegisterDecided { conn: conn_id, sequence, decision },
                    );
                }
            }
            GatewayMsg::PresenceGranted { request, zone } => self.on_presence(request, zone),
        }
    }

    /// Dispatches what the shards report.
    fn on_report(&mut self, report: FromShard) {
        match report {
            FromShard::Login { conn, sequence, credentials, device, address } => {
                self.ask_login(
                    conn,
                    sequence,
                    Question::Login { conn, sequence },
                    |from, request| LoginMsg::Login { from, request, credentials, device, address },
                );
            }
            FromShard::Register { conn, sequence, credentials, address } => {
                let question = Question::Register { conn, sequence };
                self.ask_login(conn, sequence, question, |from, request| LoginMsg::Register {
                    from,
                    request,
                    credentials,
                    address,
                });
            }
            FromShard::Enter { conn, ticket } => self.on_enter(conn, ticket),
            FromShard::Resume { conn, token_hash, last_sequence } => {
                self.on_resume(conn, token_hash, last_sequence);
            }
            FromShard::Lost { session, conn, log, received } => {
                self.on_lost(session, conn, log, received);
            }
            FromShard::Undelivered { session, packet } => self.deliver(session, packet),
            FromShard::Missing { session } => self.on_missing(session),
            FromShard::Logout { session } => self.on_logout(session),
        }
    }

    fn ask_login(
        &mut self,
        conn: ConnRef,
        sequence: u64,
        question: Question,
        message: impl FnOnce(ServerId, crate::ids::RequestId) -> LoginMsg,
    ) {
        let asked = self.questions.ask(now(), ANSWER_WITHIN, question);
        let sent = asked.is_ok_and(|request| {
            let sent = self.shared.peers.login.send(message(self.shared.server, request));
            if let Err(problem) = &sent {
                warn!(%problem, "login cannot be asked");
                self.questions.answered(request);
            }
            sent.is_ok()
        });
        if !sent {
            self.tell_conn(conn, ToShard::Unavailable { conn: conn.conn, sequence });
        }
    }

    fn on_frame(&mut self, frame: Arc<crate::msg::frame::EncodedFrame>) {
        let heard = Heard { at: now(), origin: frame.frame.origin };
        let before = self.heard.insert(frame.frame.zone, heard);
        if before.is_some_and(|before| before.origin != frame.frame.origin) {
            self.on_zone_restarted(frame.frame.zone);
        }
        self.post.frame(|| ToShard::Frame(frame.clone()));
    }

    /// A frame that came over a wire: rebuilt here, or asked for as a whole.
    fn on_frame_delta(&mut self, delta: crate::msg::frame::FrameDelta) {
        let zone = delta.zone;
        match self.mirrors.entry(zone).or_default().apply(delta) {
            Ok(frame) => self.on_frame(frame),
            Err(_) => self.watch(zone),
        }
    }

    fn watch(&self, zone: ZoneId) {
        if let Some(outbox) = self.shared.peers.zones.get(zone)
            && let Err(problem) = outbox.send(ZoneMsg::Watch { gateway: self.shared.server })
        {
            warn!(%zone, %problem, "zone cannot be asked for its frames");
        }
    }

    /// Once a second: watches zones that are silent, ends what waited too long, counts.
    fn sweep(&mut self) {
        let now = now();
        for zone in self.shared.peers.zones.snapshot().keys() {
            let silent = |heard: &Heard| now - heard.at > Duration::from_secs(1);
            if self.heard.get(zone).is_none_or(silent) {
                self.watch(*zone);
            }
        }
        for question in self.questions.expired(now) {
            let (Question::Login { conn, sequence } | Question::Register { conn, sequence }) =
                question;
            self.tell_conn(conn, ToShard::Unavailable { conn: conn.conn, sequence });
        }
        self.end_overdue(now);
        self.tend_absent(now);
        for (state, count) in self.sessions.by_state() {
            gauge!("throng_sessions", "state" => state).set(count as f64);
        }
    }

    /// A private packet: to the shard, or kept for the resume.
    fn deliver(&mut self, key: SessionKey, packet: Outgoing) {
        let keep = self.shared.config.resume_packets;
        let Some(session) = self.sessions.get_mut(key) else { return };
        if let Delivery::ToShard(shard, packet) = session.deliver(packet, keep) {
            self.post.packets(shard, ToShard::Packet { session: key, packet });
        }
    }

    fn on_deliver_many(&mut self, keys: Vec<SessionKey>, packet: Outgoing) {
        let keep = self.shared.config.resume_packets;
        let mut by_shard: Vec<Vec<SessionKey>> = vec![Vec::new(); self.post.shards()];
        for key in keys {
            let Some(session) = self.sessions.get_mut(key) else { continue };
            if let Delivery::ToShard(shard, _) = session.deliver(packet.clone(), keep) {
                by_shard[shard].push(key);
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
