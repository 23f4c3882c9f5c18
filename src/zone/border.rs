//! Crossing borders: what the world lets go is sent to the neighbour, what neighbours send is taken
//! in, and the steps of `crossing.rs` are carried out.
//!
//! The zone left keeps a ghost until the new one shows the player, and forwards what still comes
//! for it, so neither the player nor those who watch see a gap.

use std::time::Duration;

use metrics::{counter, histogram};
use tracing::{debug, info_span, warn};

use super::ZoneServer;
use super::crossing::Step;
use crate::geometry::Point;
use crate::ids::{OperationId, PlayerId, ServerId, SessionRef, ZoneId};
use crate::limits;
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::tick::now;
use crate::world::command::{Command, Refusal, Strike, Transfer};

/// A player who comes over a border.
pub(super) struct Arrival {
    pub transfer: Box<Transfer>,
    pub from: ZoneId,
    pub owner: ServerId,
    pub handover: OperationId,
    pub session: SessionRef,
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
        let Some(neighbour) = self.post.neighbour(to) else {
            return self.take_back(transfer, session);
        };
        // A neighbour in another process may yet say no, or nothing.
        let kept = neighbour.server().is_some().then(|| transfer.clone());
        let (from, owner, handover) = (self.zone, self.server, next_handover());
        let arrive = ZoneMsg::Arrive { transfer, from, owner, handover, session };
        if let Err(problem) = neighbour.send(arrive) {
            debug!(%problem, "a neighbour has no ear for a player");
            if let ZoneMsg::Arrive { transfer, .. } = problem.into_inner() {
                self.take_back(transfer, session);
            }
            return;
        }
        self.players.unbind(player);
        match kept {
            Some(transfer) => self.crossings.offered(transfer, to, handover, session, now()),
            None => self.crossings.sent(player, to, handover, false, now()),
        }
    }

    /// A neighbour has not taken a player: it stands here again.
    fn take_back(&mut self, transfer: Box<Transfer>, session: SessionRef) {
        counter!("throng_handovers_total", "result" => "refused").increment(1);
        let player = transfer.state.id;
        self.players.bind(player, session);
        self.world.advance_to(self.clock.since_tick_ms());
        self.world.apply(Command::Return { transfer: transfer.clone() });
        if self.world.player(player).is_none() {
            self.turn_out(*transfer, session);
        }
    }

    /// There is no room for a player anywhere: it is saved, and its session ends.
    fn turn_out(&mut self, transfer: Transfer, session: SessionRef) {
        let Transfer { state, owed, .. } = transfer;
        warn!(player = %state.id, "no zone has room for a player; it leaves");
        let kick = GatewayMsg::Kick {
            session: session.key,
            reason: DisconnectReason::DisconnectKicked,
            message: "no zone has room for you".to_owned(),
        };
        self.post.gateway(session, kick);
        let owed = self.world.operations_for(&owed, state.id, state.epoch);
        self.on_left(state, owed);
    }

    /// A neighbour's player comes in, or one of ours comes back because the neighbour is full.
    pub(super) fn on_arrive(&mut self, arrival: Arrival) {
        if arrival.owner == self.server {
            return self.take_in(arrival);
        }
        let Arrival { transfer, from, handover, session, .. } = arrival;
        let player = transfer.state.id;
        let stays = self.moving.plays() && !self.stop.is_cancelled();
        let room = stays && !self.is_full() && !self.tenure.store_is_away();
        debug!(%player, %from, room, "a player is offered by another server");
        self.crossings.on_offer(transfer, (from, handover), session, room, now());
        self.carry_out_crossings();
    }

    /// A player of this process comes in: it is this zone's as it comes.
    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { transfer, from, handover, session, .. } = arrival;
        let player = transfer.state.id;
        let ours = self.crossings.gone_to(player, now()) == Some(from)
            && !self.owns(transfer.state.pose.at);
        self.crossings.forget(player);
        if ours {
            return self.take_back(transfer, session);
        }
        let transfer = if self.is_full() {
            match self.send_back(transfer, from, session) {
                None => return,
                // It is better here than nowhere.
                Some(transfer) => transfer,
            }
        } else {
            transfer
        };
        if let Some(transfer) = self.show(transfer, from, session) {
            if let Some(transfer) = self.send_back(transfer, from, session) {
                self.turn_out(*transfer, session);
            }
            return;
        }
        self.post.zone(from, ZoneMsg::Arrived { player, handover });
    }

    /// Puts a player in its place and tells who must know; gives it back if the world has no room.
    fn show(
        &mut self,
        transfer: Box<Transfer>,
        from: ZoneId,
        session: SessionRef,
    ) -> Option<Box<Transfer>> {
        let (player, epoch) = (transfer.state.id, transfer.state.epoch);
        self.players.bind(player, session);
        self.world.advance_to(self.clock.since_tick_ms());
        self.world.apply(Command::Arrive { transfer: transfer.clone(), from });
        if self.world.player(player).is_none() {
            self.players.unbind(player);
            return Some(transfer);
        }
        let moved = GatewayMsg::Moved { session: session.key, player, zone: self.zone };
        self.post.gateway(session, moved);
        self.post.master(MasterMsg::Located { player, session, zone: self.zone, epoch });
        None
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
        let (from, owner, handover) = (self.zone, self.server, next_handover());
        match self.post.zone_now(to, ZoneMsg::Arrive { transfer, from, owner, handover, session }) {
            Err(ZoneMsg::Arrive { transfer, .. }) => Some(transfer),
            _ => {
                self.crossings.sent(player, to, handover, true, now());
                None
            }
        }
    }

    /// The store has made a player ours who came from another process.
    fn show_from_afar(&mut self, transfer: Box<Transfer>, from: ZoneId, session: SessionRef) {
        let (player, epoch) = (transfer.state.id, transfer.state.epoch);
        if let Some(here) = self.world.player(player) {
            if here.epoch > epoch {
                // It was claimed here since.
                return;
            }
            warn!(%player, "a player comes who stands here, under an ownership that is over");
            self.world.apply(Command::Forget { player });
        }
        // It may have been on its way out under that one: no last save of it will come.
        let waiting = self.players.stop_leaving(player);
        if let Some(transfer) = self.show(transfer, from, session) {
            self.turn_out(*transfer, session);
        }
        if let Some(entering) = waiting {
            self.on_enter(player, entering.session, entering.ticket);
        }
    }

    /// Does what the crossings want done.
    pub(super) fn carry_out_crossings(&mut self) {
        for step in self.crossings.take_steps() {
            match step {
                // Worth nothing later: dropped, and counted, if the neighbour has no room.
                Step::Send { to, message: message @ ZoneMsg::Act { .. } } => {
                    let _ = self.post.zone_now(to, message);
                }
                Step::Send { to, message } => self.post.zone(to, message),
                Step::TakeOver { state, handover } => {
                    self.saves.take_over(*state, self.server, handover);
                }
                Step::Reclaim { player, epoch, handover } => {
                    self.saves.reclaim(player, epoch, self.server, handover);
                }
                Step::Show { transfer, from, session } => {
                    self.show_from_afar(transfer, from, session);
                }
                Step::Return { transfer, session } => self.take_back(transfer, session),
                Step::Gone { player, took } => self.on_gone(player, took),
                Step::Replay(messages) => {
                    messages.into_iter().for_each(|message| self.on_message(message));
                }
            }
        }
    }

    /// The neighbour shows the player: the ghost may go.
    fn on_gone(&mut self, player: PlayerId, took: Duration) {
        counter!("throng_handovers_total", "result" => "done").increment(1);
        histogram!("throng_handover_seconds").record(took);
        self.world.apply(Command::Arrived { player });
    }

    /// Once a tick: who has waited too long for a neighbour asks the store; its ghost stays.
    pub(super) fn tend_crossings(&mut self) {
        self.crossings.pass(now());
        self.carry_out_crossings();
        for player in self.crossings.unresolved() {
            self.world.apply(Command::Linger { player });
        }
    }

    /// A blow at something that is not here goes to a zone that may have it. It is worth nothing
    /// later: if the neighbour has no room it is dropped, and counted, and the striker hears of it.
    pub(super) fn on_strike_out(&mut self, zone: ZoneId, strike: Box<Strike>) {
        let Err(ZoneMsg::Strike(strike)) = self.post.zone_now(zone, ZoneMsg::Strike(strike)) else {
            return;
        };
        let (player, request) = (strike.attacker, strike.request);
        let refusal = Refusal::NotAllowed("nothing reaches over that border now");
        if strike.from_zone == self.zone {
            self.on_strike_refused(player, request, refusal);
        } else {
            self.post.zone(strike.from_zone, ZoneMsg::StrikeRefused { player, request, refusal });
        }
    }

    /// A neighbour's blow. One at somebody who is about to be shown here is for then.
    pub(super) fn on_strike_in(&mut self, strike: Box<Strike>) {
        let staged = strike.target.player().is_some_and(|id| self.crossings.has_staged(id));
        if staged && self.waiting.len() < limits::ZONE_INBOX {
            self.waiting.push_back(ZoneMsg::Strike(strike));
        } else {
            self.world.apply(Command::Strike(strike));
        }
    }

    pub(super) fn on_strike_refused(&mut self, player: PlayerId, request: u64, refusal: Refusal) {
        if let Some(session) = self.players.session(player) {
            let packet = server::refusal(&refusal, request);
            self.post.packet(session, packet);
        }
    }

    fn owns(&self, at: Point) -> bool {
        self.content.zone_at(at).is_some_and(|zone| zone.id == self.zone)
    }
}

/// A name for one hand-over.
fn next_handover() -> OperationId {
    OperationId(rand::random())
}
