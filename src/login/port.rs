//! The login port: clients that log in and register before they choose a gateway.
//!
//! A service of the network's shards that speaks LOGIN, REGISTER, HEARTBEAT and LOGOUT and nothing
//! else; what the shards call is in `port/service.rs`. It checks form and order, passes requests to the login task and answers to the
//! client; it decides nothing and never waits.

mod service;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::sync::mpsc;

use super::LoginConfig;
use super::worker::Gone;
use crate::ids::PlayerId;
use crate::limits::{self, LOGGED_IN_MAX};
use crate::msg::Outgoing;
use crate::msg::login::{Credentials, LoginDecision, QueuePlace, RegisterDecision};
use crate::net::rate::{Class, RateGate, RateLimits, Withheld};
use crate::net::{CloseReason, ConnId, Io, Written};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::client::{self, ClientPacket, Rejected, version_supported};
use crate::protocol::packet;
use crate::protocol::server;
use crate::protocol::table::{self, ClientState};
use crate::tick;

/// Requests of one shard's clients that may wait for the login task.
pub const REQUESTS_WAITING: usize = 1_024;
/// Time to authenticate. It does not run while the server has something to decide.
const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);
/// Strikes within [`STRIKE_WINDOW`] that end a connection.
const STRIKES: usize = 3;
/// See [`STRIKES`].
const STRIKE_WINDOW: Duration = Duration::from_secs(10);

/// What a client of the port wants from the login task.
#[derive(Debug)]
pub struct PortRequest {
    /// The shard it is on.
    pub shard: usize,
    /// Its connection there.
    pub conn: ConnId,
    /// Its address.
    pub address: IpAddr,
    /// What it wants.
    pub ask: Ask,
    /// Set when it has gone.
    pub(super) gone: Gone,
}

/// See [`PortRequest`].
#[derive(Debug)]
pub enum Ask {
    /// To log in.
    LogIn {
        /// Name and secret.
        credentials: Credentials,
        /// Its device, may be empty.
        device: String,
    },
    /// An account.
    Register {
        /// Name and secret.
        credentials: Credentials,
    },
}

/// An answer of the login task for a client of the port.
#[derive(Debug)]
pub enum PortMsg {
    /// Its log-in is decided.
    LoginDecided {
        /// Whose.
        conn: ConnId,
        /// How.
        decision: LoginDecision,
    },
    /// Its registration is decided.
    RegisterDecided {
        /// Whose.
        conn: ConnId,
        /// How.
        decision: RegisterDecision,
    },
    /// It waits in the queue.
    Queued {
        /// Whose.
        conn: ConnId,
        /// Where.
        place: QueuePlace,
    },
}

/// One shard's clients of the login port.
pub struct LoginPort {
    shard: usize,
    minimum_version: (u32, u32, u32),
    rates: RateLimits,
    requests: mpsc::Sender<PortRequest>,
    clients: HashMap<ConnId, Client>,
    /// On which connections each account is logged in, the oldest first.
    accounts: HashMap<PlayerId, SmallVec<[ConnId; LOGGED_IN_MAX]>>,
    /// Connections with something to be written at the end of this turn; empty between turns.
    answered: Vec<ConnId>,
}

/// One connection.
#[derive(Debug)]
struct Client {
    address: IpAddr,
    state: ClientState,
    /// What the login task is deciding for it.
    asking: Option<Gone>,
    /// The sequence its next packet must have.
    expected: u64,
    /// The sequence of the last packet written to it.
    sent: u64,
    /// Its last wrong packets.
    strikes: Vec<Instant>,
    rates: RateGate,
    withheld: Withheld,
    /// Who it is.
    player: Option<PlayerId>,
    /// Answers that are written with the end of the turn.
    pending: Vec<u8>,
    /// When it is sent away, unless the login task has it.
    deadline: Instant,
}

impl LoginPort {
    /// The service of shard number `shard`.
    pub fn new(
        config: &LoginConfig,
        rates: &RateLimits,
        shard: usize,
        requests: mpsc::Sender<PortRequest>,
    ) -> Self {
        Self {
            shard,
            minimum_version: config.minimum_version().unwrap_or_default(),
            rates: rates.clone(),
            requests,
            clients: HashMap::new(),
            accounts: HashMap::new(),
            answered: Vec::new(),
        }
    }

    /// Sends a packet with the end of this turn.
    fn send(&mut self, conn: ConnId, packet: &Outgoing) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.sent += 1;
        if client.pending.is_empty() {
            self.answered.push(conn);
        }
        let now = tick::unix_millis();
        packet::append(&mut client.pending, packet.kind, client.sent, now, &[&packet.payload]);
    }

    /// Writes what waits for a connection.
    fn flush(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let pending = std::mem::take(&mut client.pending);
        if !pending.is_empty() && io.write(conn, &pending) == Written::Refused {
            io.close(conn, CloseReason::TooSlow);
        }
    }

    /// Writes all that this turn has made.
    fn write_answers(&mut self, io: &mut Io<'_>) {
        for conn in std::mem::take(&mut self.answered) {
            self.flush(io, conn);
        }
    }

    fn send_error(
        &mut self,
        conn: ConnId,
        sequence: u64,
        code: ErrorCode,
        (message, retry_after_ms): (&str, u32),
    ) {
        metrics::counter!("throng_errors_total", "code" => code.as_str_name()).increment(1);
        self.send(conn, &server::error(code, message, sequence, retry_after_ms));
    }

    /// Counts a packet that came, as far as its price is known.
    fn charge(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, cost: u32) -> bool {
        let now = io.now();
        let Some(client) = self.clients.get_mut(&conn) else { return false };
        let paid = match cost {
            0 => client.rates.packet(&self.rates, now),
            cost => client.rates.price(&self.rates, cost, now),
        };
        let Err(wait) = paid else { return true };
        io.pause(conn, client.rates.refilled(&self.rates, now));
        if client.withheld.refuse(Class::General, now).is_some() {
            let code = ErrorCode::ErrorRateLimited;
            self.send_error(conn, sequence, code, ("too many packets", wait.0));
        }
        false
    }

    /// A packet that is not taken: ERROR. What a person may have typed wrong is no fault of the
    /// program; who sends the third of the others is sent away.
    fn reject(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, rejected: &Rejected) {
        self.send_error(conn, sequence, rejected.code, (&rejected.message, 0));
        let typed = [ErrorCode::ErrorInvalidArgument, ErrorCode::ErrorInvalidName];
        if typed.contains(&rejected.code) {
            return;
        }
        let now = io.now();
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.strikes.retain(|at| now.saturating_duration_since(*at) < STRIKE_WINDOW);
        client.strikes.push(now);
        if client.strikes.len() >= STRIKES {
            self.dismiss(io, conn, DisconnectReason::DisconnectProtocol, &rejected.message);
        }
    }

    fn dismiss(&mut self, io: &mut Io<'_>, conn: ConnId, reason: DisconnectReason, words: &str) {
        self.send(conn, &server::disconnect_notice(reason, words, false));
        self.flush(io, conn);
        io.close(conn, CloseReason::Service);
        self.forget(conn);
    }

    fn forget(&mut self, conn: ConnId) {
        let Some(client) = self.clients.remove(&conn) else { return };
        if let Some(gone) = client.asking {
            gone.set();
        }
        if let Some(player) = client.player
            && let Some(conns) = self.accounts.get_mut(&player)
        {
            conns.retain(|one| *one != conn);
            if conns.is_empty() {
                self.accounts.remove(&player);
            }
        }
    }

    /// Reads a frame's body as far as a packet of this port that came in its turn.
    fn read(&mut self, conn: ConnId, body: &[u8]) -> Result<(u64, u32, ClientPacket), Unread> {
        let unknown = || (0, Rejected::new(ErrorCode::ErrorInternal, "unknown connection"));
        let client = self.clients.get_mut(&conn).ok_or_else(unknown)?;
        let most = limits::CLIENT_FRAME_MAX_BEFORE_LOGIN;
        let (header, payload) = packet::decode(body, most).map_err(|error| (0, error.into()))?;
        let sequence = header.sequence;
        if sequence != client.expected {
            let message = format!("header.sequence is {sequence}, not {}", client.expected);
            return Err((sequence, Rejected::new(ErrorCode::ErrorBadSequence, message)));
        }
        client.expected += 1;
        let with_sequence = |rejected| (sequence, rejected);
        let rule = table::admit(header.kind, payload.len(), client.state).map_err(with_sequence)?;
        let packet = client::decode(rule.kind, &payload).map_err(with_sequence)?;
        Ok((sequence, rule.cost, packet))
    }

    fn on_packet(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, packet: ClientPacket) {
        match packet {
            ClientPacket::Login { credentials, client_version, device } => {
                let ask = Ask::LogIn { credentials, device };
                self.on_ask(io, conn, sequence, &client_version, ask);
            }
            ClientPacket::Register { credentials, client_version } => {
                let ask = Ask::Register { credentials };
                self.on_ask(io, conn, sequence, &client_version, ask);
            }
            ClientPacket::Heartbeat { client_time } => {
                let answer = server::heartbeat_response(client_time, tick::unix_millis());
                self.send(conn, &answer);
            }
            ClientPacket::Logout => {
                self.send(conn, &server::logout_response());
                self.flush(io, conn);
                io.close(conn, CloseReason::Service);
            }
            _ => {
                let words = "this is the login port: play at one of the game_servers";
                let rejected = Rejected::new(ErrorCode::ErrorWrongState, words);
                self.reject(io, conn, sequence, &rejected);
            }
        }
    }

    /// A log-in or a registration: on to the login task, one at a time.
    fn on_ask(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        client_version: &str,
        ask: Ask,
    ) {
        if self.clients.get(&conn).is_none_or(|client| client.asking.is_some()) {
            let words = ("one request at a time: the last one is not decided yet", 1_000);
            return self.send_error(conn, sequence, ErrorCode::ErrorRateLimited, words);
        }
        match version_supported(client_version, self.minimum_version) {
            Ok(true) => {}
            Ok(false) => {
                let (major, minor, patch) = self.minimum_version;
                let message =
                    format!("this server needs client version {major}.{minor}.{patch} or newer");
                let code = ErrorCode::ErrorVersionTooOld;
                return self.send_error(conn, sequence, code, (&message, 0));
            }
            Err(rejected) => return self.reject(io, conn, sequence, &rejected),
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let (gone, address, shard) = (Gone::default(), client.address, self.shard);
        let request = PortRequest { shard, conn, address, ask, gone: gone.clone() };
        match self.requests.try_send(request) {
            Ok(()) => client.asking = Some(gone),
            Err(_) => {
                let words = ("too many want to log in; try again soon", 1_000);
                self.send_error(conn, sequence, ErrorCode::ErrorUnavailable, words);
            }
        }
    }

    fn on_login_decided(&mut self, io: &mut Io<'_>, conn: ConnId, decision: &LoginDecision) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.asking = None;
        match decision {
            LoginDecision::Accepted { player, .. } => {
                client.state = ClientState::Authenticated;
                // It has no business here once its ticket is worth nothing.
                client.deadline = io.now() + limits::ENTER_WITHIN;
                self.on_logged_in(io, conn, *player);
            }
            LoginDecision::Refused(_) => {
                client.deadline = io.now() + AUTHENTICATE_WITHIN;
            }
        }
        self.send(conn, &server::login_response(decision));
    }

    /// An account has logged in on a connection: of those that it has, the newest stay.
    fn on_logged_in(&mut self, io: &mut Io<'_>, conn: ConnId, player: PlayerId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.player.replace(player) == Some(player) {
            return;
        }
        let conns = self.accounts.entry(player).or_default();
        conns.push(conn);
        if conns.len() > LOGGED_IN_MAX {
            let oldest = conns.remove(0);
            let words = "the account has logged in on newer connections";
            self.dismiss(io, oldest, DisconnectReason::DisconnectLoggedInElsewhere, words);
        }
    }

    fn on_registered(&mut self, io: &mut Io<'_>, conn: ConnId, decision: &RegisterDecision) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.asking = None;
        client.deadline = io.now() + AUTHENTICATE_WITHIN;
        self.send(conn, &server::register_response(decision));
    }
}

/// Why a frame is no packet of this port, with its sequence as far as that is known.
type Unread = (u64, Rejected);
