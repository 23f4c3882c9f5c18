//! A shard's side of sessions: taken over with a connection, given back with its loss.
//!
//! All calls come from the shard's own thread. Each opening ends in exactly one report: the
//! connection was lost, or the player has logged out; a session that is over for good has none.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::outlet::ReliableLog;
use super::pace::Budgets;
use super::session::{Playing, State};
use super::shard::{GatewayService, find, flush};
use super::talk::{ConnRef, FromShard, How, Opening};
use crate::geometry::Point;
use crate::ids::{SessionKey, ZoneId};
use crate::limits;
use crate::msg::Outgoing;
use crate::msg::login::GameServer;
use crate::net::{ConnId, Framing, Io};
use crate::proto::DisconnectReason;
use crate::protocol::client::ClientPacket;
use crate::protocol::server;
use crate::tick::TICK_MS;
use crate::world::command::{Action, Holdings, PlayerState};

/// How long after a resumption a heartbeat shows as well that the client has its new token.
const HEARTBEAT_PROVES: Duration = Duration::from_secs(5);

/// What a client is told when its session begins, or goes on, and what its shard keeps of it.
struct Beginning {
    answer: Outgoing,
    /// What comes right behind the answer.
    missed: Vec<Outgoing>,
    /// Whether it has missed more than that.
    lost: bool,
    eye: Point,
    resumed: bool,
    received: u64,
}

impl GatewayService {
    /// A session begins, or goes on, on a connection of this shard.
    pub(super) fn on_opening(&mut self, io: &mut Io<'_>, opening: Opening) {
        let Opening { conn: id, session, player, zone, .. } = opening;
        let conduct = opening.conduct.clone();
        let Beginning { answer, missed, lost, eye, resumed, received } = self.beginning(opening);
        let now = io.now();
        let config = &self.shared.config;
        let Some(conn) = find(&mut self.conns, id) else {
            // The client gave up meanwhile: the session's connection is lost before it began.
            let conn = ConnRef { shard: self.index, conn: id };
            let log = Box::new(ReliableLog::after(missed, lost));
            return self.report(FromShard::Lost { session, conn, log, received });
        };
        if let Some(conduct) = conduct {
            conn.take_on(&conduct, now);
        }
        conn.outlet.emit_packet(&mut conn.pending, &answer);
        conn.outlet.log = Some(Box::new(ReliableLog::after(Vec::new(), lost)));
        for packet in &missed {
            conn.outlet.emit_packet(&mut conn.pending, packet);
        }
        let ticks = 1_000.0 / TICK_MS as f32;
        conn.state = State::InWorld(Box::new(Playing {
            session,
            player,
            zone,
            handle: None,
            eye,
            views: SmallVec::new(),
            budgets: Budgets::new(config.bandwidth, config.bandwidth_peak, ticks),
            told: None,
            reset: true,
            absent: 0,
            unproven: resumed.then_some(now),
            muted: false,
        }));
        flush(io, conn);
        let id = conn.id;
        io.authenticated(id);
        if conn.peer.framing == Framing::Length {
            io.limit_frames(id, limits::CLIENT_FRAME_MAX);
        }
        self.by_session.insert(session, id.place());
        self.fanout.watch(zone, id.place());
        if resumed {
            // What its numbers are now, whatever the old connection still heard. A zone that cannot
            // be asked now tells them when they change.
            let _ = self.act(id, 0, Action::Stats);
        }
    }

    /// What a client is told first.
    fn beginning(&self, opening: Opening) -> Beginning {
        let Opening { session_id, token, player, how, .. } = opening;
        let content = &self.shared.content;
        match how {
            How::Entered { state, guild } => Beginning {
                answer: server::enter_world_response(&state, &guild, content, session_id, &token),
                missed: Vec::new(),
                lost: false,
                eye: state.pose.at,
                resumed: false,
                received: 0,
            },
            How::Resumed { log, last_sequence, received, state } => {
                let (mut missed, lost) = log.missed(last_sequence);
                let count = missed.len() as u32;
                let answer =
                    server::resume_response(player, session_id, &token, count, lost, received);
                let mut eye = Point::default();
                if let Some(state) = state {
                    eye = state.pose.at;
                    let PlayerState { inventory, gold, quests, level, .. } = *state;
                    let holdings = Holdings { stacks: inventory, gold, ..Holdings::default() };
                    missed.push(server::inventory(&holdings, content));
                    missed.push(server::quest_log(&quests, level, content));
                }
                Beginning { answer, missed, lost, eye, resumed: true, received }
            }
        }
    }

    /// A client that has resumed acts in the world: it has read RESUME_RESPONSE, and with it its new
    /// token. A heartbeat may have been sent behind the request, so it proves that only later.
    pub(super) fn prove(&mut self, conn: ConnId, packet: &ClientPacket) {
        let from = ConnRef { shard: self.index, conn };
        let Some(client) = self.conn(conn) else { return };
        let heard = client.heard;
        let Some(playing) = client.playing() else { return };
        let Some(since) = playing.unproven else { return };
        let early = heard.saturating_duration_since(since) < HEARTBEAT_PROVES;
        if matches!(packet, ClientPacket::Heartbeat { .. }) && early {
            return;
        }
        playing.unproven = None;
        let session = playing.session;
        self.report(FromShard::Proven { session, conn: from });
    }

    pub(super) fn on_zone_moved(&mut self, session: SessionKey, zone: ZoneId) {
        let Some(&place) = self.by_session.get(&session) else { return };
        let Some(Some(conn)) = self.conns.get_mut(place) else { return };
        let conn = &mut **conn;
        let State::InWorld(playing) = &mut conn.state else { return };
        playing.absent = 0;
        if playing.zone == zone {
            return;
        }
        playing.zone = zone;
        playing.handle = None;
        if let Some(kind) = self.shared.content.zone(zone) {
            conn.outlet.emit_packet(&mut conn.pending, &server::zone_enter(kind, false));
        }
        self.fanout.watch(zone, place);
    }

    /// Another connection takes a session over.
    pub(super) fn on_detach(&mut self, io: &mut Io<'_>, session: SessionKey, from: ConnId) {
        let Some(conn) = self.session_conn(session).filter(|conn| conn.id == from) else {
            // It was lost, and reported, before.
            return;
        };
        let id = conn.id;
        let reason = DisconnectReason::DisconnectLoggedInElsewhere;
        self.send_away(io, id, reason, "the session goes on over another connection");
        self.lose_session(id, io.now());
    }

    /// A session goes on at another gateway. Whoever speaks lines cannot resume: its session ends
    /// here, and it logs in again there.
    pub(super) fn on_send_off(
        &mut self,
        io: &mut Io<'_>,
        session: SessionKey,
        from: ConnId,
        to: &GameServer,
    ) {
        let Some(conn) = self.session_conn(session).filter(|conn| conn.id == from) else {
            // It was lost, and reported, before.
            return;
        };
        let is_text = conn.outlet.is_text();
        self.redirect_to(io, from, to);
        self.send_away(io, from, DisconnectReason::DisconnectDrain, "go on at another server");
        if is_text {
            self.forget_session(from, session, io.now());
            self.report(FromShard::Logout { session });
        } else {
            self.lose_session(from, io.now());
        }
    }

    /// Names another gateway, by its port of the same kind if it has one.
    pub(super) fn redirect_to(&mut self, io: &mut Io<'_>, conn: ConnId, to: &GameServer) {
        let Some(client) = self.conn(conn) else { return };
        let port = if client.outlet.is_text() { to.text_port } else { to.port };
        if port != 0 {
            self.send_now(io, conn, &server::redirect(&to.host, port));
        }
    }

    /// Gives a connection's session back to the session manager.
    pub(super) fn lose_session(&mut self, conn: ConnId, now: Instant) {
        self.tell_conduct(conn, now);
        let from = ConnRef { shard: self.index, conn };
        let Some(conn) = self.conn(conn) else { return };
        let received = conn.received;
        let log = conn.outlet.log.take().unwrap_or_default();
        if let State::InWorld(playing) = std::mem::replace(&mut conn.state, State::Closing) {
            let session = playing.session;
            self.by_session.remove(&session);
            self.report(FromShard::Lost { session, conn: from, log, received });
        }
    }

    /// A session ends by its own wish: nothing of it is to be resumed.
    pub(super) fn forget_session(&mut self, conn: ConnId, session: SessionKey, now: Instant) {
        self.tell_conduct(conn, now);
        self.by_session.remove(&session);
        if let Some(conn) = self.conn(conn) {
            conn.state = State::Closing;
        }
    }

    /// A session is over for good: nothing of it is reported but what its player has used up.
    pub(super) fn end_session(
        &mut self,
        io: &mut Io<'_>,
        session: SessionKey,
        reason: DisconnectReason,
        message: &str,
    ) {
        let Some(id) = self.session_conn(session).map(|conn| conn.id) else { return };
        self.forget_session(id, session, io.now());
        self.send_away(io, id, reason, message);
    }
}
