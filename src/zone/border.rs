//! Crossing a border inside one process: the player moves from world to world as a value.
//!
//! The zone left keeps a ghost until the new one shows the player, and forwards what still comes
//! for it, so neither the player nor those who watch see a gap.

use std::time::Instant;

use metrics::{counter, histogram};
use tracing::{info_span, warn};

use super::ZoneServer;
use crate::geometry::Point;
use crate::ids::{OperationId, PlayerId, SessionRef, ZoneId};
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::tick::now;
use crate::world::command::{Command, PlayerState, Refusal, Strike, Transfer};

/// A player on its way to a neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub to: ZoneId,
    pub at: Instant,
    pub confirmed: bool,
}

impl Departure {
    /// It goes now, and nobody has said yet that it is there.
    fn now(to: ZoneId) -> Self {
        Self { to, at: now(), confirmed: false }
    }
}

impl ZoneServer {
    /// The world has let a player go: hand it over, or take it back.
    pub(super) fn on_departed(&mut self, to: ZoneId, transfer: Box<Transfer>) {
        let player = transfer.state.id;
        let span = info_span!("crossing", %player, %to);
        let _entered = span.enter();
        let Some(session) = self.players.session(player) else {
            warn!("a player without a session departs; it stays");
            return self.world.apply(Command::Return { transfer });
        };
        let (from, owner, handover) = (self.zone, self.server, self.next_handover());
        match self.post.zone_now(to, ZoneMsg::Arrive { transfer, from, owner, handover, session }) {
            Ok(()) => self.players.depart(player, Departure::now(to)),
            Err(ZoneMsg::Arrive { transfer, .. }) => self.take_back(transfer, session),
            Err(_) => {}
        }
    }

    /// A neighbour has not taken a player: it stands here again.
    fn take_back(&mut self, transfer: Box<Transfer>, session: SessionRef) {
        counter!("throng_handovers_total", "result" => "refused").increment(1);
        let state = transfer.state.clone();
        self.players.bind(state.id, session);
        self.world.apply(Command::Return { transfer });
        if self.world.player(state.id).is_none() {
            self.turn_out(state, session);
        }
    }

    /// There is no room for a player anywhere: it is saved, and its session ends.
    fn turn_out(&mut self, state: PlayerState, session: SessionRef) {
        warn!(player = %state.id, "no zone has room for a player; it leaves");
        let kick = GatewayMsg::Kick {
            session: session.key,
            reason: DisconnectReason::DisconnectKicked,
            message: "no zone has room for you".to_owned(),
        };
        self.post.gateway(session, kick);
        self.on_left(state);
    }

    /// A neighbour's player comes in, or one of ours comes back because the neighbour is full.
    pub(super) fn on_arrive(
        &mut self,
        transfer: Box<Transfer>,
        from: ZoneId,
        handover: OperationId,
        session: SessionRef,
    ) {
        let player = transfer.state.id;
        let ours =
            self.players.departed_to(player) == Some(from) && !self.owns(transfer.state.pose.at);
        self.players.forget_departure(player);
        if ours {
            return self.take_back(transfer, session);
        }
        let transfer = if self.players.len() >= self.config.max_players {
            match self.send_back(transfer, from, session) {
                None => return,
                // It is better here than nowhere.
                Some(transfer) => transfer,
            }
        } else {
            transfer
        };
        self.players.bind(player, session);
        self.world.apply(Command::Arrive { transfer: transfer.clone(), from });
        if self.world.player(player).is_none() {
            self.players.unbind(player);
            if let Some(transfer) = self.send_back(transfer, from, session) {
                self.turn_out(transfer.state, session);
            }
            return;
        }
        let moved = GatewayMsg::Moved { session: session.key, player, zone: self.zone };
        self.post.gateway(session, moved);
        self.post.master(MasterMsg::Located { player, session, zone: self.zone });
        self.post.zone(from, ZoneMsg::Arrived { player, handover });
    }

    /// Gives a player back to the zone it came from, which hears of all that still comes for it.
    /// If that zone has no ear for it either, the player stays.
    fn send_back(
        &mut self,
        transfer: Box<Transfer>,
        to: ZoneId,
        session: SessionRef,
    ) -> Option<Box<Transfer>> {
        let player = transfer.state.id;
        let (from, owner, handover) = (self.zone, self.server, self.next_handover());
        match self.post.zone_now(to, ZoneMsg::Arrive { transfer, from, owner, handover, session }) {
            Err(ZoneMsg::Arrive { transfer, .. }) => Some(transfer),
            _ => {
                self.players.depart(player, Departure { confirmed: true, ..Departure::now(to) });
                None
            }
        }
    }

    /// The neighbour shows the player: the ghost may go.
    pub(super) fn on_arrived(&mut self, player: PlayerId) {
        if let Some(departure) = self.players.confirm_departure(player) {
            counter!("throng_handovers_total", "result" => "done").increment(1);
            histogram!("throng_handover_seconds").record(departure.at.elapsed());
        }
        self.world.apply(Command::Arrived { player });
    }

    /// A blow at something that is not here: one of the zones in reach must know it.
    pub(super) fn on_strike_out(&mut self, zones: &[ZoneId], strike: Box<Strike>) {
        for zone in zones {
            // A blow is worth nothing later: dropped, and counted, if the neighbour has no room.
            let _ = self.post.zone_now(*zone, ZoneMsg::Strike(strike.clone()));
        }
    }

    pub(super) fn on_strike_refused(&mut self, player: PlayerId, request: u64, refusal: Refusal) {
        if let Some(session) = self.players.session(player) {
            let packet = server::refusal(&refusal, request);
            self.post.packet(session, packet);
        }
    }

    /// A name for one hand-over.
    fn next_handover(&mut self) -> OperationId {
        OperationId(rand::random())
    }

    fn owns(&self, at: Point) -> bool {
        self.content.zone_at(at).is_some_and(|zone| zone.id == self.zone)
    }
}
