//! What clients send: from a frame or a line to a checked command, or to an error.
//!
//! Every packet passes the same gate: its header, its place in the sequence, the type table (known,
//! allowed in this state, not too large), the rates, its own form. Only then is it carried out,
//! mostly by one message to the role it concerns.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{counter, histogram};

use super::session::State;
use super::shard::{GatewayService, flush};
use super::talk::{ConnRef, FromShard};
use crate::ids::SessionRef;
use crate::limits;
use crate::link::SendError;
use crate::msg::{ChatMsg, ZoneMsg};
use crate::net::rate::Class;
use crate::net::{CloseReason, ConnId, Framing, Io};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::client::{self, ClientPacket, Rejected};
use crate::protocol::packet;
use crate::protocol::server;
use crate::protocol::table::{self, RateClass};
use crate::protocol::text::{self, RouteKind, TextCommand};
use crate::tick::{now, unix_millis};
use crate::token::ResumeToken;
use crate::world::command::Action;

/// What a shard counts of incoming packets, published once a second.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    packets: BTreeMap<&'static str, u64>,
    errors: BTreeMap<&'static str, u64>,
    handling: Duration,
    handled: u64,
}

impl Traffic {
    fn took(&mut self, kind: &'static str, took: Duration) {
        *self.packets.entry(kind).or_default() += 1;
        self.handled += 1;
        self.handling += took;
    }

    pub(super) fn refused(&mut self, code: ErrorCode) {
        *self.errors.entry(code.as_str_name()).or_default() += 1;
    }

    pub(super) fn publish(&mut self) {
        for (kind, count) in std::mem::take(&mut self.packets) {
            counter!("throng_packets_total", "direction" => "in", "type" => kind).increment(count);
        }
        for (code, count) in std::mem::take(&mut self.errors) {
            counter!("throng_errors_total", "code" => code).increment(count);
        }
        if self.handled > 0 {
            let mean = self.handling.as_secs_f64() / self.handled as f64;
            histogram!("throng_packet_handling_seconds").record(mean);
        }
        (self.handled, self.handling) = (0, Duration::ZERO);
    }
}

/// A packet that was refused, and how much that counts against its sender.
struct Refused {
    rejected: Rejected,
    retry_after_ms: u32,
    strike: bool,
}

impl Refused {
    fn strike(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { rejected: Rejected::new(code, message), retry_after_ms: 0, strike: true }
    }

    fn mild(code: ErrorCode, message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self { rejected: Rejected::new(code, message), retry_after_ms, strike: false }
    }
}

impl From<Rejected> for Refused {
    fn from(rejected: Rejected) -> Self {
        let strike = matches!(
            rejected.code,
            ErrorCode::ErrorMalformed
                | ErrorCode::ErrorUnknownType
                | ErrorCode::ErrorWrongState
                | ErrorCode::ErrorTooLarge
                | ErrorCode::ErrorBadSequence
        );
        Self { rejected, retry_after_ms: 0, strike }
    }
}

impl GatewayService {
    /// One frame's body or one line.
    pub(super) fn on_client_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        let began = now();
        let Some(client) = self.conn(conn) else { return };
        if matches!(client.state, State::Closing) {
            return;
        }
        client.heard = began;
        let framing = client.peer.framing;
        let (kind, sequence, result) = match framing {
            Framing::Length => self.take_packet(io, conn, body),
            Framing::Lines => self.take_line(io, conn, body),
        };
        if let Err(refused) = result {
            self.refuse(io, conn, sequence, &refused);
        }
        self.traffic.took(kind, began.elapsed());
    }

    fn take_packet(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        body: &[u8],
    ) -> (&'static str, u64, Result<(), Refused>) {
        let Some(client) = self.conn(conn) else { return ("NONE", 0, Ok(())) };
        let most = match client.client_state() {
            table::ClientState::Fresh => limits::CLIENT_FRAME_MAX_BEFORE_LOGIN,
            _ => limits::CLIENT_FRAME_MAX,
        };
        let (header, payload) = match packet::decode(body, most) {
            Ok(decoded) => decoded,
            Err(error) => {
                let refused = Refused::strike(ErrorCode::ErrorMalformed, error.to_string());
                return ("MALFORMED", 0, Err(refused));
            }
        };
        let sequence = header.sequence;
        let wanted = client.received + 1;
        if sequence != wanted {
            let message = format!("the header's sequence is {sequence}, not {wanted}");
            let refused = Refused::strike(ErrorCode::ErrorBadSequence, message);
            return ("MALFORMED", sequence, Err(refused));
        }
        client.received = sequence;
        let admitted = table::admit(header.kind, header.size as usize, client.client_state());
        let rule = match admitted {
            Ok(rule) => rule,
            Err(rejected) => return ("REFUSED", sequence, Err(rejected.into())),
        };
        let result = self
            .charge(conn, rule)
            .and_then(|()| client::decode(rule.kind, &payload).map_err(Refused::from))
            .and_then(|packet| self.carry_out(io, conn, sequence, packet));
        (rule.name, sequence, result)
    }

    fn take_line(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        body: &[u8],
    ) -> (&'static str, u64, Result<(), Refused>) {
        let Some(client) = self.conn(conn) else { return ("NONE", 0, Ok(())) };
        client.received += 1;
        let sequence = client.received;
        // Net hands over lines of valid UTF-8 only.
        let line = String::from_utf8_lossy(body);
        let command = match text::parse(&line) {
            Ok(command) => command,
            Err(problem) => {
                let refused = Refused::mild(ErrorCode::ErrorInvalidArgument, problem, 0);
                return ("LINE", sequence, Err(refused));
            }
        };
        let kind = match &command {
            TextCommand::Packet(packet) => table::rule(packet.kind()).name,
            _ => "LINE",
        };
        let result = match command {
            TextCommand::Packet(packet) => {
                let state = client.client_state();
                table::admit(packet.kind() as i32, 0, state)
                    // A person who types is not a faulty program.
                    .map_err(|rejected| Refused::mild(rejected.code, rejected.message, 0))
                    .and_then(|rule| self.charge(conn, rule))
                    .and_then(|()| self.carry_out(io, conn, sequence, packet))
            }
            TextCommand::Route(kind) => self.redirect(io, conn, sequence, kind),
            TextCommand::Ping => self.say(io, conn, text::PONG),
            TextCommand::Help => self.say(io, conn, text::HELP),
            TextCommand::Quit => self.quit(io, conn),
            TextCommand::Who => self.who(conn, sequence),
        };
        (kind, sequence, result)
    }

    /// Counts a packet against the client's rates.
    fn charge(&mut self, conn: ConnId, rule: &table::PacketRule) -> Result<(), Refused> {
        let limits = self.shared.rates.clone();
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let class = match rule.rate {
            RateClass::General => Class::General,
            RateClass::Move => Class::Move,
            RateClass::Ability => Class::Ability,
            RateClass::Chat => Class::Chat,
            RateClass::Login => Class::Login,
        };
        let heard = client.heard;
        client.rates.check(&limits, class, rule.cost, heard).map_err(|wait| {
            let (code, message) = if class == Class::Chat {
                (ErrorCode::ErrorMuted, "you speak too often")
            } else {
                (ErrorCode::ErrorRateLimited, "too many packets")
            };
            Refused::mild(code, message, wait.0)
        })
    }

    fn refuse(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, refused: &Refused) {
        let Refused { rejected, retry_after_ms, strike } = refused;
        self.traffic.refused(rejected.code);
        let packet = server::error(rejected.code, &rejected.message, sequence, *retry_after_ms);
        self.send_now(io, conn, &packet);
        let strikes = self.shared.config.strikes;
        if *strike
            && let Some(client) = self.conn(conn)
            && client.strikes.strike(io.now(), strikes)
        {
            let reason = DisconnectReason::DisconnectProtocol;
            self.send_away(io, conn, reason, "too many packets that are not allowed");
        }
    }

    /// Does what a checked packet says.
    fn carry_out(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        packet: ClientPacket,
    ) -> Result<(), Refused> {
        match packet {
            ClientPacket::Act(action) => self.act(conn, sequence, action),
            ClientPacket::Heartbeat { client_time } => {
                let answer = server::heartbeat_response(client_time, unix_millis());
                self.send_now(io, conn, &answer);
                Ok(())
            }
            ClientPacket::Say { to, text } => {
                self.tell_chat(conn, |player| ChatMsg::Say { player, request: sequence, to, text })
            }
            ClientPacket::Room(action) => {
                self.tell_chat(conn, |player| ChatMsg::Room { player, request: sequence, action })
            }
            ClientPacket::Guild(action) => {
                self.tell_chat(conn, |player| ChatMsg::Guild { player, request: sequence, action })
            }
            ClientPacket::Login { credentials, client_version, device } => {
                self.check_version(&client_version)?;
                let (conn, address) = self.wait(conn)?;
                let login = FromShard::Login { conn, sequence, credentials, device, address };
                self.report(login);
                Ok(())
            }
            ClientPacket::Register { credentials, client_version } => {
                self.check_version(&client_version)?;
                let (conn, address) = self.wait(conn)?;
                self.report(FromShard::Register { conn, sequence, credentials, address });
                Ok(())
            }
            ClientPacket::Resume { token, last_sequence } => {
                let (conn, _) = self.wait(conn)?;
                let token_hash = ResumeToken::hash(&token);
                self.report(FromShard::Resume { conn, token_hash, last_sequence });
                Ok(())
            }
            ClientPacket::EnterWorld { ticket } => {
                self.enter(io, conn, sequence, &ticket);
                Ok(())
            }
            ClientPacket::Logout => self.quit(io, conn),
        }
    }

    /// The hot one: an action goes straight to the zone that has the player.
    fn act(&mut self, conn: ConnId, request: u64, action: Action) -> Result<(), Refused> {
        let gateway = self.shared.server;
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let Some(playing) = client.playing() else { return Ok(()) };
        let session = SessionRef { gateway, key: playing.session };
        let (player, zone) = (playing.player, playing.zone);
        let act = ZoneMsg::Act { player, session, request, action };
        match self.shared.peers.zones.get(zone).map(|outbox| outbox.send(act)) {
            Some(Ok(())) => Ok(()),
            Some(Err(SendError::Full(_))) => {
                counter!("throng_refusals_total", "reason" => "zone_inbox_full").increment(1);
                Err(Refused::mild(ErrorCode::ErrorUnavailable, "the zone is overloaded", 100))
            }
            Some(Err(SendError::Closed(_))) | None => {
                let message = "the zone is not reachable now";
                Err(Refused::mild(ErrorCode::ErrorUnavailable, message, 1_000))
            }
        }
    }

    fn tell_chat(
        &mut self,
        conn: ConnId,
        message: impl FnOnce(crate::ids::PlayerId) -> ChatMsg,
    ) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let Some(playing) = client.playing() else { return Ok(()) };
        let message = message(playing.player);
        self.shared.peers.chat.send(message).map_err(|_| {
            counter!("throng_refusals_total", "reason" => "chat_inbox_full").increment(1);
            Refused::mild(ErrorCode::ErrorUnavailable, "chat is not reachable now", 1_000)
        })
    }

    fn check_version(&self, version: &str) -> Result<(), Refused> {
        let minimum = self.shared.minimum_version;
        if client::version_supported(version, minimum)? {
            return Ok(());
        }
        let (major, minor, patch) = minimum;
        let message = format!("this server needs client version {major}.{minor}.{patch} or newer");
        Err(Refused::mild(ErrorCode::ErrorVersionTooOld, message, 0))
    }

    /// The client waits for an answer now; a second question meanwhile is refused.
    fn wait(&mut self, conn: ConnId) -> Result<(ConnRef, std::net::IpAddr), Refused> {
        let shard = self.index;
        let Some(client) = self.conn(conn) else {
            return Err(Refused::mild(ErrorCode::ErrorInternal, "the connection is gone", 0));
        };
        client.state = match client.state {
            State::Fresh => State::Waiting { authenticated: false },
            State::Authenticated => State::Waiting { authenticated: true },
            _ => {
                let message = "wait for the answer to the request before";
                return Err(Refused::mild(ErrorCode::ErrorWrongState, message, 500));
            }
        };
        Ok((ConnRef { shard, conn }, client.peer.address))
    }

    /// Enters the world with a ticket.
    pub(super) fn enter(&mut self, io: &mut Io<'_>, conn: ConnId, sequence: u64, ticket: &str) {
        let verified = self.shared.verifier.verify(ticket, unix_millis());
        match verified {
            Ok(ticket) => match self.wait(conn) {
                Ok((conn, _)) => self.report(FromShard::Enter { conn, ticket }),
                Err(refused) => self.refuse(io, conn, sequence, &refused),
            },
            Err(error) => {
                let code = match error {
                    crate::token::TicketError::Expired => ErrorCode::ErrorTicketExpired,
                    crate::token::TicketError::Invalid => ErrorCode::ErrorTicketInvalid,
                };
                self.traffic.refused(code);
                self.send_now(io, conn, &server::enter_world_refused(code, &error.to_string()));
            }
        }
    }

    /// Leaves the world, or just goes.
    fn quit(&mut self, io: &mut Io<'_>, conn: ConnId) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let session = client.playing().map(|playing| playing.session);
        self.send_now(io, conn, &server::logout_response());
        if let Some(session) = session {
            self.forget_session(conn, session);
            self.report(FromShard::Logout { session });
        } else if let Some(client) = self.conn(conn) {
            client.state = State::Closing;
        }
        io.close(conn, CloseReason::Service);
        Ok(())
    }

    fn who(&mut self, conn: ConnId, request: u64) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        if client.playing().is_none() {
            return Err(Refused::mild(ErrorCode::ErrorWrongState, "log in first", 0));
        }
        self.tell_chat(conn, |player| ChatMsg::Who { player, request })
    }

    fn say(&mut self, io: &mut Io<'_>, conn: ConnId, lines: &str) -> Result<(), Refused> {
        if let Some(client) = self.conn(conn) {
            client.pending.extend_from_slice(lines.as_bytes());
            flush(io, client);
        }
        Ok(())
    }

    /// A first line that asks where to go.
    fn redirect(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        kind: RouteKind,
    ) -> Result<(), Refused> {
        if sequence != 1 {
            let message = "routing is asked for by the first line alone";
            return Err(Refused::mild(ErrorCode::ErrorWrongState, message, 0));
        }
        // Every role of play is reached through a gateway's text port.
        let (RouteKind::Login | RouteKind::World | RouteKind::Zone | RouteKind::Chat) = kind;
        let server = self.servers.iter().find(|server| server.text_port != 0).cloned();
        match server {
            Some(server) => {
                self.send_now(io, conn, &server::redirect(&server.host, server.text_port));
            }
            None => self.say(io, conn, text::NO_SERVERS)?,
        }
        io.close(conn, CloseReason::Service);
        Ok(())
    }
}
