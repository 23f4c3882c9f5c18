//! The login port: clients that log in and register before they choose a gateway.
//!
//! A [`Service`] of the network's shards that speaks LOGIN, REGISTER, HEARTBEAT and LOGOUT and
//! nothing else. It checks form and order, passes requests to the login task and answers to the
//! client; it decides nothing and never waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::LoginConfig;
use super::worker::Gone;
use crate::limits;
use crate::msg::Outgoing;
use crate::msg::login::{Credentials, LoginDecision, QueuePlace, RegisterDecision};
use crate::net::{CloseReason, ConnId, FrameFault, Io, Peer, Service, Written};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::client::{self, ClientPacket, Rejected, version_supported};
use crate::protocol::packet::{self, PacketError};
use crate::protocol::server;
use crate::protocol::table::{self, ClientState};
use crate::tick;

/// Requests of one shard's clients that may wait for the login task.
pub const REQUESTS_WAITING: usize = 1_024;
/// Time to authenticate. It does not run while the server has something to decide.
const AUTHENTICATE_WITHIN: Duration = Duration::from_secs(10);
/// A client that has its ticket has no business here once that is worth nothing.
const STAY_AFTER_LOGIN: Duration = Duration::from_secs(60);
/// Strikes within [`STRIKE_WINDOW`] that end a connection.
const STRIKES: usize = 3;
/// See [`STRIKES`].
const STRIKE_WINDOW: Duration = Duration::from_secs(10);
/// Packets a client may send between two sweeps, which are a second apart.
const PACKETS_PER_SECOND: u32 = 60;

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
    requests: mpsc::Sender<PortRequest>,
    clients: HashMap<ConnId, Client>,
    /// Reused for every frame written.
    frame: Vec<u8>,
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
    /// Packets since the last sweep.
    packets: u32,
    /// When it is sent away, unless the login task has it.
    deadline: Instant,
}

impl LoginPort {
    /// The service of shard number `shard`.
    pub fn new(config: &LoginConfig, shard: usize, requests: mpsc::Sender<PortRequest>) -> Self {
        Self {
            shard,
            minimum_version: config.minimum_version().unwrap_or_default(),
            requests,
            clients: HashMap::new(),
            frame: Vec::new(),
        }
    }

    fn send(&mut self, io: &mut Io<'_>, conn: ConnId, packet: &Outgoing) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.sent += 1;
        self.frame.clear();
        let now = tick::unix_millis();
        packet::append(&mut self.frame, packet.kind, client.sent, now, &[&packet.payload]);
        if io.write(conn, &self.frame) == Written::Refused {
            io.close(conn, CloseReason::TooSlow);
        }
    }

    fn send_error(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        code: ErrorCode,
        (message, retry_after_ms): (&str, u32),
    ) {
        metrics::counter!("throng_errors_total", "code" => code.as_str_name()).increment(1);
        self.send(io, conn, &server::error(code, message, sequence, retry_after_ms));
    }

    /// A packet that is not taken: ERROR. What a person may have typed wrong is no fault of the
    /// program; who sends the third of the others is sent away.
    fn reject(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, rejected: &Rejected) {
        self.send_error(io, conn, sequence, rejected.code, (&rejected.message, 0));
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
        self.send(io, conn, &server::disconnect_notice(reason, words, false));
        io.close(conn, CloseReason::Service);
        self.forget(conn);
    }

    fn forget(&mut self, conn: ConnId) {
        if let Some(gone) = self.clients.remove(&conn).and_then(|client| client.asking) {
            gone.set();
        }
    }

    /// Reads a frame's body as far as a packet of this port that came in its turn.
    fn read(&mut self, conn: ConnId, body: &[u8]) -> Result<(u64, ClientPacket), (u64, Rejected)> {
        let unknown = || (0, Rejected::new(ErrorCode::ErrorInternal, "unknown connection"));
        let client = self.clients.get_mut(&conn).ok_or_else(unknown)?;
        let most = limits::CLIENT_FRAME_MAX_BEFORE_LOGIN;
        let (header, payload) = packet::decode(body, most).map_err(|error| (0, broken(&error)))?;
        let sequence = header.sequence;
        if sequence != client.expected {
            let message = format!("header.sequence is {sequence}, not {}", client.expected);
            return Err((sequence, Rejected::new(ErrorCode::ErrorBadSequence, message)));
        }
        client.expected += 1;
        client.packets += 1;
        if client.packets > PACKETS_PER_SECOND {
            let words = "too many packets within a second";
            return Err((sequence, Rejected::new(ErrorCode::ErrorRateLimited, words)));
        }
        let with_sequence = |rejected| (sequence, rejected);
        let rule = table::admit(header.kind, payload.len(), client.state).map_err(with_sequence)?;
        let packet = client::decode(rule.kind, &payload).map_err(with_sequence)?;
        Ok((sequence, packet))
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
                self.send(io, conn, &answer);
            }
            ClientPacket::Logout => {
                self.send(io, conn, &server::logout_response());
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
            return self.send_error(io, conn, sequence, ErrorCode::ErrorRateLimited, words);
        }
        match version_supported(client_version, self.minimum_version) {
            Ok(true) => {}
            Ok(false) => {
                let (major, minor, patch) = self.minimum_version;
                let message =
                    format!("this server needs client version {major}.{minor}.{patch} or newer");
                let code = ErrorCode::ErrorVersionTooOld;
                return self.send_error(io, conn, sequence, code, (&message, 0));
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
                self.send_error(io, conn, sequence, ErrorCode::ErrorUnavailable, words);
            }
        }
    }

    fn on_login_decided(&mut self, io: &mut Io<'_>, conn: ConnId, decision: &LoginDecision) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.asking = None;
        match decision {
            LoginDecision::Accepted { .. } => {
                client.state = ClientState::Authenticated;
                client.deadline = io.now() + STAY_AFTER_LOGIN;
                io.authenticated(conn);
            }
            LoginDecision::Refused(_) => {
                client.deadline = io.now() + AUTHENTICATE_WITHIN;
            }
        }
        self.send(io, conn, &server::login_response(decision));
    }

    fn on_registered(&mut self, io: &mut Io<'_>, conn: ConnId, decision: &RegisterDecision) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.asking = None;
        client.deadline = io.now() + AUTHENTICATE_WITHIN;
        self.send(io, conn, &server::register_response(decision));
    }
}

fn broken(error: &PacketError) -> Rejected {
    let code = match error {
        PacketError::TooLarge { .. } | PacketError::FrameLength { .. } => ErrorCode::ErrorTooLarge,
        _ => ErrorCode::ErrorMalformed,
    };
    Rejected::new(code, error.to_string())
}

impl Service for LoginPort {
    type Msg = PortMsg;

    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, peer: Peer) {
        let client = Client {
            address: peer.address,
            state: ClientState::Fresh,
            asking: None,
            expected: 1,
            sent: 0,
            strikes: Vec::new(),
            packets: 0,
            deadline: io.now() + AUTHENTICATE_WITHIN,
        };
        self.clients.insert(conn, client);
    }

    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        match self.read(conn, body) {
            Ok((sequence, packet)) => self.on_packet(io, conn, sequence, packet),
            Err((sequence, rejected)) => self.reject(io, conn, sequence, &rejected),
        }
    }

    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault) {
        let code = match fault {
            FrameFault::TooLong { .. } => ErrorCode::ErrorTooLarge,
            FrameFault::Empty | FrameFault::NotUtf8 => ErrorCode::ErrorMalformed,
        };
        self.send_error(io, conn, 0, code, (&fault.to_string(), 0));
    }

    fn on_close(&mut self, _: &mut Io<'_>, conn: ConnId, _: CloseReason) {
        self.forget(conn);
    }

    fn on_drained(&mut self, _: &mut Io<'_>, _: ConnId) {}

    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<PortMsg>) {
        for message in msgs.drain(..) {
            match message {
                PortMsg::LoginDecided { conn, decision } => {
                    self.on_login_decided(io, conn, &decision);
                }
                PortMsg::RegisterDecided { conn, decision } => {
                    self.on_registered(io, conn, &decision);
                }
                PortMsg::Queued { conn, place } => {
                    self.send(io, conn, &server::login_queue(place));
                }
            }
        }
    }

    fn on_sweep(&mut self, io: &mut Io<'_>, now: Instant) {
        let mut late = Vec::new();
        for (conn, client) in &mut self.clients {
            client.packets = 0;
            if client.asking.is_none() && client.deadline <= now {
                late.push(*conn);
            }
        }
        for conn in late {
            let words = "not logged in within 10 s, or done here";
            self.dismiss(io, conn, DisconnectReason::DisconnectTimeout, words);
        }
    }
}
