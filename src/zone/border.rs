//! Crossing a border inside one process: the player moves from world to world as a value.
//!
//! The zone left keeps a ghost until the new one shows the player, and forwards what still comes
//! for it, so neither the player nor those who watch see a gap.

use std::time::Instant;

use metrics::{counter, histogram};
use tracing::{info_span, warn};

use super::ZoneServer;
use crate::geometry::Point;
use crate::ids::{PlayerId, SessionRef, ZoneId};
use crate::link::SendError;
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::protocol::server;
use crate::tick::now;
use crate::world::command::{Command, Refusal, Strike, Transfer};

/// A player on its way to a neighbour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure {
    pub to: ZoneId,
    pub at: Instant,
    pub confirmed: bool,
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
        let Some(neighbour) = self.peers.zones.get(to) else {
            counter!("throng_handovers_total", "result" => "no_server").increment(1);
            return self.world.apply(Command::Return { transfer });
        };
        match neighbour.send(ZoneMsg::Arrive { transfer, from: self.zone, session }) {
            Ok(()) => self.players.depart(player, Departure { to, at: now(), confirmed: false }),
            Err(SendError::Full(message) | SendError::Closed(message)) => {
                counter!("throng_handovers_total", "result" => "refused").increment(1);
                if let ZoneMsg::Arrive { transfer, .. } = message {
                    self.world.apply(Command::Return { transfer });
                }
            }
        }
    }

    /// A neighbour's player comes in, or one of ours comes back because the neighbour is full.
    pub(super) fn on_arrive(&mut self, transfer: Box<Transfer>, from: ZoneId, session: SessionRef) {
        let player = transfer.state.id;
        let ours =
            self.players.departed_to(player) == Some(from) && !self.owns(transfer.state.pose.at);
        self.players.forget_departure(player);
        if ours {
            counter!("throng_handovers_total", "result" => "refused").increment(1);
            self.players.bind(player, session);
            return self.world.apply(Command::Return { transfer });
        }
        if self.players.len() >= self.config.max_players {
            self.send_to_zone(from, ZoneMsg::Arrive { transfer, from: self.zone, session });
            return;
        }
        self.players.bind(player, session);
        self.world.apply(Command::Arrive { transfer, from });
        self.tell_gateway(
            session,
            GatewayMsg::Moved { session: session.key, player, zone: self.zone },
        );
        self.tell_master(MasterMsg::Located { player, session, zone: self.zone });
        self.send_to_zone(from, ZoneMsg::Arrived { player });
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
            self.send_to_zone(*zone, ZoneMsg::Strike(strike.clone()));
        }
    }

    pub(super) fn on_strike_refused(&mut self, player: PlayerId, request: u64, refusal: Refusal) {
        if let Some(session) = self.players.session(player) {
            let packet = server::refusal(&refusal, request);
            self.tell_gateway(session, GatewayMsg::Deliver { session: session.key, packet });
        }
    }

    fn owns(&self, at: Point) -> bool {
        self.content.zone_at(at).is_some_and(|zone| zone.id == self.zone)
    }
}
