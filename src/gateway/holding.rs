//! A shard's side of sessions: taken over with a connection, given back with its loss.
//!
//! All calls come from the shard's own thread. Each opening ends in exactly one report: the
//! connection was lost, or the player has logged out; a session that is over for good has none.

use smallvec::SmallVec;

use super::outlet::ReliableLog;
use super::pace::Budgets;
use super::session::{Playing, State};
use super::shard::{GatewayService, find, flush};
use super::talk::{ConnRef, FromShard, How, Opening};
use crate::ids::{SessionKey, ZoneId};
use crate::limits;
use crate::msg::login::GameServer;
use crate::net::{ConnId, Framing, Io};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::tick::TICK_MS;
use crate::world::command::{Action, Holdings, PlayerState};

impl GatewayService {
    /// A session begins, or goes on, on a connection of this shard.
    pub(super) fn on_opening(&mut self, io: &mut Io<'_>, opening: Opening) {
        let Some(conn) = find(&mut self.conns, opening.conn) else {
            // The client gave up meanwhile: the session's connection is lost before it began.
            let (log, received) = match opening.how {
                How::Entered { .. } => (Box::default(), 0),
                How::Resumed { log, received, .. } => (log, received),
            };
            let conn = ConnRef { shard: self.index, conn: opening.conn };
            return self.report(FromShard::Lost { session: opening.session, conn, log, received });
        };
        let Opening { session, session_id, token, player, zone, how, .. } = opening;
        let config = &self.shared.config;
        let ticks = 1_000.0 / TICK_MS as f32;
        let mut eye = crate::geometry::Point::default();
        let mut log = Box::new(ReliableLog::default());
        let mut missed = Vec::new();
        let resumed = matches!(how, How::Resumed { .. });
        match how {
            How::Entered { state, guild } => {
                eye = state.pose.at;
                let content = &self.shared.content;
                let answer =
                    server::enter_world_response(&state, &guild, content, session_id, &token);
                conn.outlet.emit_packet(&mut conn.pending, &answer);
            }
            How::Resumed { log: old, last_sequence, received, state } => {
                let lost;
                (missed, lost) = old.missed(last_sequence);
                let count = missed.len() as u32;
                let answer =
                    server::resume_response(player, session_id, &token, count, lost, received);
                conn.outlet.emit_packet(&mut conn.pending, &answer);
                log = Box::default();
                if let Some(state) = state {
                    eye = state.pose.at;
                    let PlayerState { inventory, gold, quests, level, .. } = *state;
                    let content = &self.shared.content;
                    let holdings = Holdings { stacks: inventory, gold, ..Holdings::default() };
                    missed.push(server::inventory(&holdings, content));
                    missed.push(server::quest_log(&quests, level, content));
                }
            }
        }
        conn.outlet.log = Some(log);
        for packet in &missed {
            conn.outlet.emit_packet(&mut conn.pending, packet);
        }
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
        self.lose_session(id);
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
            self.forget_session(from, session);
            self.report(FromShard::Logout { session });
        } else {
            self.lose_session(from);
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
    pub(super) fn lose_session(&mut self, conn: ConnId) {
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
    pub(super) fn forget_session(&mut self, conn: ConnId, session: SessionKey) {
        self.by_session.remove(&session);
        if let Some(conn) = self.conn(conn) {
            conn.state = State::Closing;
        }
    }

    /// A session is over for good: nothing of it is reported.
    pub(super) fn end_session(
        &mut self,
        io: &mut Io<'_>,
        session: SessionKey,
        reason: DisconnectReason,
        message: &str,
    ) {
        let Some(conn) = self.session_conn(session) else { return };
        let id = conn.id;
        conn.state = State::Closing;
        self.by_session.remove(&session);
        self.send_away(io, id, reason, message);
    }
}
