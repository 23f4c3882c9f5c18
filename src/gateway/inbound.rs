//! What clients send: from a frame or a line to a checked command, or to an error.
//!
//! Every packet passes the same gate: its header, its place in the sequence, the type table (known,
//! allowed in this state, not too large), the rates, its own form. Only then is it carried out,
//! mostly by one message to the role it concerns.

use metrics::counter;

use super::session::State;
use super::shard::{GatewayService, find};
use super::talk::{Asked, ConnRef, FromShard};
use crate::ids::SessionRef;
use crate::limits;
use crate::link::SendError;
use crate::msg::{ChatMsg, ZoneMsg};
use crate::net::rate::{Class, RetryAfter};
use crate::net::{ConnId, Framing, Io};
use crate::proto::ErrorCode;
use crate::protocol::client::{self, ClientPacket, Rejected};
use crate::protocol::packet;
use crate::protocol::server;
use crate::protocol::table::{self, RateClass};
use crate::tick::unix_millis;
use crate::token::ResumeToken;
use crate::world::command::Action;

/// A packet that was refused, and how much that counts against its sender.
pub(super) struct Refused {
    pub(super) rejected: Rejected,
    pub(super) retry_after_ms: u32,
    pub(super) strike: bool,
    /// The rate that it was too much for, if that is why.
    pub(super) over: Option<Class>,
}

impl Refused {
    fn wrong(code: ErrorCode, message: impl Into<String>) -> Self {
        Rejected::new(code, message).into()
    }

    pub(super) fn mild(code: ErrorCode, message: impl Into<String>, retry_after_ms: u32) -> Self {
        Self { rejected: Rejected::new(code, message), retry_after_ms, strike: false, over: None }
    }

    /// Too much for a rate.
    pub(super) fn over(class: Class, RetryAfter(retry_after_ms): RetryAfter) -> Self {
        let (code, message) = if class == Class::Chat {
            (ErrorCode::ErrorMuted, "you speak too often")
        } else {
            (ErrorCode::ErrorRateLimited, "too many packets")
        };
        Self { over: Some(class), ..Self::mild(code, message, retry_after_ms) }
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
        Self { rejected, retry_after_ms: 0, strike, over: None }
    }
}

/// Counts a packet in its place. After a gap it goes on from there, so that one fault does not
/// make all that follows wrong; a repeat changes nothing.
fn count_on(received: &mut u64, sequence: u64) -> Result<(), String> {
    let wanted = received.saturating_add(1);
    if sequence == u64::MAX || sequence <= *received {
        return Err(format!("the header's sequence is {sequence}, not {wanted}"));
    }
    *received = sequence;
    if sequence == wanted {
        return Ok(());
    }
    Err(format!("the header's sequence is {sequence}, not {wanted}; going on from there"))
}

impl GatewayService {
    /// One frame's body or one line.
    pub(super) fn on_client_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        let began = self.traffic.begin();
        let Some(client) = find(&mut self.conns, conn) else { return };
        if matches!(client.state, State::Closing) {
            return;
        }
        client.heard = io.now();
        if let Err(wait) = client.rates.packet(&self.shared.rates, client.heard) {
            // It was a packet to its sender, which counts on.
            client.received = client.received.saturating_add(1);
            let sequence = client.received;
            self.refuse(io, conn, sequence, &Refused::over(Class::General, wait));
            return self.traffic.took("REFUSED", began);
        }
        let framing = client.peer.framing;
        let (kind, sequence, result) = match framing {
            Framing::Length => self.take_packet(io, conn, body),
            Framing::Lines => self.take_line(io, conn, body),
        };
        if let Err(refused) = result {
            self.refuse(io, conn, sequence, &refused);
        }
        self.traffic.took(kind, began);
    }

    pub(super) fn take_packet(
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
                // It was a packet to its sender, which counts on.
                client.received = client.received.saturating_add(1);
                return ("MALFORMED", 0, Err(Rejected::from(error).into()));
            }
        };
        let sequence = header.sequence;
        if let Err(message) = count_on(&mut client.received, sequence) {
            let refused = Refused::wrong(ErrorCode::ErrorBadSequence, message);
            return ("MALFORMED", sequence, Err(refused));
        }
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

    /// Counts a packet against the client's rates, beyond the one that every packet costs.
    pub(super) fn charge(&mut self, conn: ConnId, rule: &table::PacketRule) -> Result<(), Refused> {
        let class = match rule.rate {
            RateClass::General => Class::General,
            RateClass::Move => Class::Move,
            RateClass::Ability => Class::Ability,
            RateClass::Chat => Class::Chat,
            RateClass::Login => Class::Login,
        };
        self.charge_class(conn, class, rule.cost)
    }

    pub(super) fn charge_class(
        &mut self,
        conn: ConnId,
        class: Class,
        cost: u32,
    ) -> Result<(), Refused> {
        let Some(client) = find(&mut self.conns, conn) else { return Ok(()) };
        let (limits, now) = (&self.shared.rates, client.heard);
        let paid = client.rates.price(limits, cost, now);
        paid.map_err(|wait| Refused::over(Class::General, wait))?;
        let checked = client.rates.check(limits, class, now);
        if class != Class::Chat {
            return checked.map_err(|wait| Refused::over(class, wait));
        }
        match checked {
            Ok(()) => {
                client.playing().into_iter().for_each(|playing| playing.muted = false);
                Ok(())
            }
            // That a mute begins is told, whatever was told a moment ago.
            Err(wait) if self.look_for_mute(conn) => {
                Err(Refused { over: None, ..Refused::over(class, wait) })
            }
            Err(wait) => Err(Refused::over(class, wait)),
        }
    }

    /// Does what a checked packet says.
    pub(super) fn carry_out(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        packet: ClientPacket,
    ) -> Result<(), Refused> {
        self.prove(conn, &packet);
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
                self.report(FromShard::Resume(Asked { conn, sequence, token_hash, last_sequence }));
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
    pub(super) fn act(
        &mut self,
        conn: ConnId,
        request: u64,
        action: Action,
    ) -> Result<(), Refused> {
        let gateway = self.shared.server;
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let Some(playing) = client.playing() else { return Ok(()) };
        let session = SessionRef { gateway, key: playing.session };
        let (player, zone) = (playing.player, playing.zone);
        let heard = client.heard;
        if let Action::Attack { seen: Some(seen), .. } | Action::Skill { seen: Some(seen), .. } =
            &action
        {
            self.traffic.round_trip(self.fanout.round_trip(zone, *seen, heard));
        }
        let act = ZoneMsg::Act { player, session, request, action };
        let moves =
            matches!(act, ZoneMsg::Act { action: Action::Move { .. } | Action::MoveTo { .. }, .. });
        let (reason, message, retry_after_ms) =
            match self.shared.peers.zones.with(zone, |outbox| outbox.send(act)) {
                Some(Ok(())) => return Ok(()),
                Some(Err(SendError::Full(_))) => {
                    ("zone_inbox_full", "the zone is overloaded; try again", 100)
                }
                Some(Err(SendError::Closed(_))) | None => {
                    ("zone_away", "the zone is not reachable now; try again", 1_000)
                }
            };
        counter!("throng_refusals_total", "reason" => reason).increment(1);
        if moves {
            // The next one says more than an error could.
            return Ok(());
        }
        Err(Refused::mild(ErrorCode::ErrorUnavailable, message, retry_after_ms))
    }

    pub(super) fn tell_chat(
        &mut self,
        conn: ConnId,
        message: impl FnOnce(crate::ids::PlayerId) -> ChatMsg,
    ) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let Some(playing) = client.playing() else { return Ok(()) };
        let message = message(playing.player);
        self.shared.peers.chat.send(message).map_err(|problem| {
            let (reason, message) = match problem {
                SendError::Full(_) => ("chat_inbox_full", "chat is overloaded; try again"),
                SendError::Closed(_) => ("chat_away", "chat is not reachable now; try again"),
            };
            counter!("throng_refusals_total", "reason" => reason).increment(1);
            Refused::mild(ErrorCode::ErrorUnavailable, message, 1_000)
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
                Ok((conn, _)) => self.report(FromShard::Enter { conn, sequence, ticket }),
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
    pub(super) fn quit(&mut self, io: &mut Io<'_>, conn: ConnId) -> Result<(), Refused> {
        let Some(client) = self.conn(conn) else { return Ok(()) };
        let session = client.playing().map(|playing| playing.session);
        self.send_now(io, conn, &server::logout_response());
        if let Some(session) = session {
            self.forget_session(conn, session, io.now());
            self.report(FromShard::Logout { session });
        } else if let Some(client) = self.conn(conn) {
            client.state = State::Closing;
        }
        self.close(io, conn);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_in_the_count_does_not_make_all_that_follows_wrong() {
        let mut received = 4;
        assert!(count_on(&mut received, 5).is_ok());
        assert!(count_on(&mut received, 5).is_err(), "a repeat");
        assert!(count_on(&mut received, 8).is_err(), "a gap");
        assert!(count_on(&mut received, 9).is_ok(), "and on from there");
        assert!(count_on(&mut received, u64::MAX).is_err(), "the count never runs out");
        assert!(count_on(&mut received, 0).is_err());
        assert!(count_on(&mut received, 10).is_ok());
    }
}
