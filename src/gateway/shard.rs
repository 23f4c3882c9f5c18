//! One I/O shard's half of the gateway: its connections, their sessions, and what the session
//! manager tells it.
//!
//! All calls come from the shard's own thread. What a client sends is in `inbound.rs`, what a
//! zone's tick sends in `fanout.rs`.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use metrics::{Histogram, histogram};
use smallvec::SmallVec;
use tracing::debug;

use super::Shared;
use super::fanout::{Fanout, PENDING_KEPT};
use super::outlet::{Outlet, Shelf};
use super::pace::Strikes;
use super::session::{Conn, State};
use super::talk::{FromShard, ToShard};
use super::traffic::Traffic;
use crate::ids::{SessionKey, ZoneId};
use crate::limits;
use crate::msg::Outgoing;
use crate::msg::frame::{EncodedFrame, FrameEvent};
use crate::msg::login::{GameServer, LoginDecision};
use crate::net::rate::{RateGate, Withheld};
use crate::net::{CloseReason, ConnId, FrameFault, Framing, Io, Peer, Service, Written};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::client::Rejected;
use crate::protocol::text::TextView;
use crate::protocol::{server, table};

/// Packets that wait for the end of a turn or for a tick are written at once beyond so many bytes.
const PENDING_MUCH: usize = limits::COMPRESS_OVER * 16;

/// One shard's connections and sessions.
pub struct GatewayService {
    pub(super) index: usize,
    pub(super) shared: Shared,
    /// Connections with something to be written at the end of this turn; empty between turns.
    answered: Vec<ConnId>,
    /// By [`ConnId::place`].
    pub(super) conns: Vec<Option<Box<Conn>>>,
    pub(super) by_session: HashMap<SessionKey, usize, RandomState>,
    pub(super) fanout: Fanout,
    pub(super) traffic: Traffic,
    /// Reports that the session manager had no room for; sent again every second.
    unreported: VecDeque<FromShard>,
    pub(super) servers: std::sync::Arc<Vec<GameServer>>,
    /// What every outlet of this thread shares.
    shelf: Rc<Shelf>,
    visible: Histogram,
}

impl GatewayService {
    /// The service of the shard at `index`.
    pub fn new(index: usize, shared: Shared) -> Self {
        Self {
            index,
            answered: Vec::new(),
            conns: Vec::new(),
            by_session: HashMap::default(),
            fanout: Fanout::new(shared.content.clone(), &shared.config),
            shared,
            traffic: Traffic::default(),
            unreported: VecDeque::new(),
            servers: std::sync::Arc::default(),
            shelf: Rc::default(),
            visible: histogram!("throng_visible_entities"),
        }
    }

    pub(super) fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        find(&mut self.conns, id)
    }

    pub(super) fn session_conn(&mut self, session: SessionKey) -> Option<&mut Conn> {
        let place = *self.by_session.get(&session)?;
        self.conns.get_mut(place)?.as_deref_mut()
    }

    /// Tells the session manager; what it has no room for now is kept and sent again.
    /// In order, so that a session's end never comes before its beginning.
    pub(super) fn report(&mut self, report: FromShard) {
        self.report_again();
        if !self.unreported.is_empty() {
            self.unreported.push_back(report);
        } else if let Err(error) = self.shared.reports.try_send(report) {
            self.unreported.push_back(error.into_inner());
        }
    }

    /// Reports what found no room before. Requests of clients wait here too, but each client has
    /// one at most, and asks no other before that is answered.
    fn report_again(&mut self) {
        while let Some(report) = self.unreported.pop_front() {
            if let Err(error) = self.shared.reports.try_send(report) {
                return self.unreported.push_front(error.into_inner());
            }
        }
    }

    /// Sends a packet with the end of this turn, behind what waits for the next tick.
    pub(super) fn send_now(&mut self, io: &mut Io<'_>, conn: ConnId, packet: &Outgoing) {
        if let Some(conn) = find(&mut self.conns, conn) {
            conn.outlet.emit_packet(&mut conn.pending, packet);
        }
        self.write_soon(io, conn);
    }

    /// What waits for a connection is written with the end of this turn; much of it at once.
    pub(super) fn write_soon(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let Some(conn) = find(&mut self.conns, conn) else { return };
        if conn.pending.len() > PENDING_MUCH {
            flush(io, conn);
        } else if !std::mem::replace(&mut conn.answered, true) {
            self.answered.push(conn.id);
        }
    }

    /// Writes all that this turn has made.
    fn write_answers(&mut self, io: &mut Io<'_>) {
        for id in self.answered.drain(..) {
            if let Some(conn) = find(&mut self.conns, id) {
                conn.answered = false;
                flush(io, conn);
            }
        }
    }

    /// Ends a connection, after what waits for it.
    pub(super) fn close(&mut self, io: &mut Io<'_>, conn: ConnId) {
        if let Some(conn) = self.conn(conn) {
            flush(io, conn);
        }
        io.close(conn, CloseReason::Service);
    }

    /// Sends a packet with the next tick; at once where no tick will come.
    pub(super) fn send_soon(&mut self, io: &mut Io<'_>, session: SessionKey, packet: &Outgoing) {
        self.traffic.told(packet);
        let Some(conn) = self.session_conn(session) else {
            // Its connection was lost a moment ago: the session manager keeps it for the resume.
            if table::rule(packet.kind).reliable {
                self.report(FromShard::Undelivered { session, packet: packet.clone() });
            }
            return;
        };
        conn.outlet.emit_packet(&mut conn.pending, packet);
        if conn.pending.len() > PENDING_MUCH {
            flush(io, conn);
        }
    }

    /// Tells a client why and closes its connection.
    pub(super) fn send_away(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        reason: DisconnectReason,
        message: &str,
    ) {
        let resumable = matches!(
            reason,
            DisconnectReason::DisconnectTimeout
                | DisconnectReason::DisconnectTooSlow
                | DisconnectReason::DisconnectDrain
                | DisconnectReason::DisconnectProtocol
        );
        let playing = self.conn(conn).is_some_and(|conn| conn.playing().is_some());
        let notice = server::disconnect_notice(reason, message, resumable && playing);
        self.send_now(io, conn, &notice);
        self.close(io, conn);
    }

    /// A client's log-in was decided: a text client, which knows no tickets, enters at once.
    fn on_login_decided(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        decision: &LoginDecision,
    ) {
        let Some(client) = self.conn(conn) else { return };
        if !matches!(client.state, State::Waiting { .. }) {
            return;
        }
        let accepted = matches!(decision, LoginDecision::Accepted { .. });
        client.state = if accepted { State::Authenticated } else { State::Fresh };
        if accepted {
            client.logged_in.get_or_insert(io.now());
        }
        match decision {
            LoginDecision::Accepted { ticket, .. } if client.outlet.is_text() => {
                self.enter(io, conn, sequence, ticket);
            }
            _ => self.send_now(io, conn, &server::login_response(decision)),
        }
    }

    fn on_answer(&mut self, io: &mut Io<'_>, conn: ConnId, packet: &Outgoing) {
        if let Some(client) = self.conn(conn)
            && let State::Waiting { authenticated } = client.state
        {
            client.state = if authenticated { State::Authenticated } else { State::Fresh };
        }
        self.traffic.told(packet);
        self.send_now(io, conn, packet);
    }

    pub(super) fn on_message(&mut self, io: &mut Io<'_>, message: ToShard) {
        match message {
            ToShard::Frame { frame, missed } => self.on_zone_frame(io, &frame, &missed),
            ToShard::Packet { session, packet } => self.send_soon(io, session, &packet),
            ToShard::Packets { sessions, packet } => self.send_all(io, sessions, &packet),
            ToShard::Broadcast(packet) => {
                let sessions = self.by_session.keys().copied().collect();
                self.send_all(io, sessions, &packet);
            }
            ToShard::Open(opening) => self.open(io, *opening),
            ToShard::LoginDecided { conn, sequence, decision } => {
                self.on_login_decided(io, conn, sequence, &decision);
            }
            ToShard::Outnumbered { conn } => self.on_outnumbered(io, conn),
            ToShard::LoginQueued { conn, place } => {
                self.send_now(io, conn, &server::login_queue(place));
            }
            ToShard::RegisterDecided { conn, decision, .. } => {
                self.on_answer(io, conn, &server::register_response(&decision));
            }
            ToShard::NotNow { conn, sequence, message, retry_after_ms } => {
                let code = ErrorCode::ErrorUnavailable;
                let packet = server::error(code, message, sequence, retry_after_ms);
                self.on_answer(io, conn, &packet);
            }
            ToShard::Refused { conn, packet } => self.on_answer(io, conn, &packet),
            ToShard::Moved { session, zone } => self.on_zone_moved(session, zone),
            ToShard::Detach { session, conn } => self.on_detach(io, session, conn),
            ToShard::Conduct { session, conduct } => self.on_conduct(session, &conduct, io.now()),
            ToShard::End { session, reason, message } => {
                self.end_session(io, session, reason, &message);
            }
            ToShard::SendOff { session, conn, to } => self.on_send_off(io, session, conn, &to),
            ToShard::EndAll { reason, message, to } => {
                let ids: Vec<ConnId> = self.conns.iter().flatten().map(|conn| conn.id).collect();
                for id in ids {
                    if let Some(to) = &to {
                        self.redirect_to(io, id, to);
                    }
                    self.send_away(io, id, reason, &message);
                }
            }
            ToShard::Unwatched(zone) => self.fanout.unwatch(zone),
            ToShard::Servers(servers) => self.servers = servers,
        }
    }

    /// A zone's tick.
    fn on_zone_frame(
        &mut self,
        io: &mut Io<'_>,
        frame: &std::sync::Arc<EncodedFrame>,
        missed: &[FrameEvent],
    ) {
        self.fanout.frame(&mut self.conns, io, frame, missed);
        for session in self.fanout.take_missing() {
            self.report(FromShard::Missing { session });
        }
    }

    fn publish_metrics(&mut self) {
        self.fanout.publish();
        let playing = self.conns.iter_mut().flatten().filter_map(|conn| conn.playing());
        // A sample is enough: this is a histogram of sessions, not of deliveries.
        for playing in playing.take(64) {
            let visible: usize = playing.views.iter().map(|view| view.count()).sum();
            self.visible.record(visible as f64);
        }
        self.traffic.publish(self.shelf.publish());
    }
}

/// Looks a connection up; free-standing, so that the service's other fields stay usable.
pub(super) fn find(conns: &mut [Option<Box<Conn>>], id: ConnId) -> Option<&mut Conn> {
    conns.get_mut(id.place())?.as_deref_mut().filter(|conn| conn.id == id)
}

/// Writes what waits for a connection; one that cannot take it is closed.
pub(super) fn flush(io: &mut Io<'_>, conn: &mut Conn) {
    if conn.pending.is_empty() {
        return;
    }
    if io.write(conn.id, &conn.pending) == Written::Refused {
        io.close(conn.id, CloseReason::TooSlow);
    }
    conn.pending.clear();
    if conn.pending.capacity() > PENDING_KEPT {
        conn.pending = Vec::new();
    }
}

impl Service for GatewayService {
    type Msg = ToShard;

    fn on_open(&mut self, io: &mut Io<'_>, id: ConnId, peer: Peer) {
        let config = &self.shared.config;
        let text = match peer.framing {
            Framing::Length => None,
            Framing::Lines => Some(Box::new(TextView::default())),
        };
        let conn = Box::new(Conn {
            id,
            peer,
            opened: io.now(),
            heard: io.now(),
            logged_in: None,
            received: 0,
            strikes: Strikes::default(),
            rates: RateGate::new(io.now()),
            withheld: Withheld::default(),
            state: State::Fresh,
            outlet: Outlet::new(text, config.resume_packets, config.compress, self.shelf.clone()),
            pending: Vec::new(),
            answered: false,
        });
        if self.conns.len() <= id.place() {
            self.conns.resize_with(id.place() + 1, || None);
        }
        self.conns[id.place()] = Some(conn);
    }

    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]) {
        self.shelf.set_clock(io.now());
        self.on_client_frame(io, conn, body);
    }

    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault) {
        let code = match fault {
            FrameFault::TooLong { .. } => ErrorCode::ErrorTooLarge,
            FrameFault::Empty | FrameFault::NotUtf8 => ErrorCode::ErrorMalformed,
        };
        self.send_error(io, conn, &Rejected::new(code, fault.to_string()), (0, 0));
        // The connection closes now.
        self.write_answers(io);
    }

    fn on_turn(&mut self, io: &mut Io<'_>) {
        self.write_answers(io);
    }

    fn on_paused(&mut self, io: &mut Io<'_>, conn: ConnId, waiting: usize) {
        self.on_held_back(io, conn, waiting);
    }

    fn on_stall(&mut self, lost: Duration) {
        self.conns.iter_mut().flatten().for_each(|conn| conn.forgive(lost));
    }

    fn on_close(&mut self, io: &mut Io<'_>, id: ConnId, reason: CloseReason) {
        debug!(conn = id.0, ?reason, "connection closed");
        self.lose_session(id, io.now());
        if self.conn(id).is_none() {
            return;
        }
        self.conns[id.place()] = None;
        self.fanout.forget(id.place());
    }

    fn on_drained(&mut self, _io: &mut Io<'_>, _conn: ConnId) {
        // The next tick sees that nothing waits and goes on with the view.
    }

    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<ToShard>) {
        self.shelf.set_clock(io.now());
        self.report_again();
        let mut frames: SmallVec<[ZoneId; 16]> =
            msgs.iter().filter_map(ToShard::frame_of).collect();
        // The next frame is the last of this list; its zone may have another one behind it.
        frames.reverse();
        for message in msgs.drain(..) {
            match message {
                ToShard::Frame { frame, missed } => {
                    frames.pop();
                    if frames.contains(&frame.frame.zone) {
                        self.fanout.pass_over(&mut self.conns, io, &frame, &missed);
                    } else {
                        self.on_zone_frame(io, &frame, &missed);
                    }
                }
                message => self.take_message(io, message),
            }
        }
        self.write_answers(io);
    }

    fn on_sweep(&mut self, io: &mut Io<'_>, now: Instant) {
        self.shelf.set_clock(io.now());
        self.end_overdue(io, now);
        self.answered.clear();
        // Whoever's zone is silent still gets what waits.
        for conn in self.conns.iter_mut().flatten() {
            conn.answered = false;
            flush(io, conn);
        }
        self.report_again();
        self.publish_metrics();
    }
}
