//! The side of a host that gives a zone away, by an order or because its process is to end.
//!
//! The zone comes to rest and is packed, the other host is offered all of it, and the store decides:
//! the other takes the lease over with everybody in it, or this host takes it back. Only when that
//! is clear the zone goes on here, or sends after itself what still comes.

use std::time::Duration;

use metrics::counter;
use tracing::{info, warn};

use super::leases::{LASTS, name};
use super::running::Running;
use super::{Host, Report, Stage};
use crate::ids::{Epoch, OperationId, ServerId, ZoneId};
use crate::msg::HostMsg;
use crate::msg::host::{PLAYERS_IN_PART, THINGS_IN_PART, Traveller, ZoneOffer};
use crate::store::StoreError;
use crate::world::whole::Whole;
use crate::zone::moving::{Order, Packed};

/// How long the other host may take, and for a zone with many players.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const ANSWER_WITHIN_LARGE: Duration = Duration::from_secs(5);
/// How many players are many.
const LARGE: usize = 1_000;
/// Between two questions to a store that does not answer.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(250);
/// Zones that a host which is to end gives away at once.
const AT_ONCE: usize = 4;

/// A zone on its way to another host.
pub(super) struct Move {
    handover: OperationId,
    to: ServerId,
    step: Step,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The zone comes to rest.
    Packs,
    /// The other host has it all, or will have.
    Offered,
    /// The store is asked whose it is.
    Asks,
    /// It runs there.
    Gone,
}

impl Running {
    /// Whether it runs in another process by now.
    pub(super) fn is_gone(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| moving.step == Step::Gone)
    }

    /// Whether the others reach it there, or soon will: nothing is said of it here any more.
    pub(super) fn is_reached_elsewhere(&self) -> bool {
        self.is_gone() && self.reached
    }

    /// Whether a renewal that is refused says that the zone's new host has it: this one has offered
    /// it and not asked for it back. None: it does not move.
    pub(super) fn is_taken_when_lost(&self) -> Option<bool> {
        let step = self.moving.as_ref()?.step;
        (step != Step::Packs).then_some(step == Step::Offered)
    }
}

impl Host {
    /// Hands a zone over to another server. One that is not here, or moves already, does not.
    pub(super) fn on_move(&mut self, zone: ZoneId, to: ServerId) {
        let known = to != self.parts.server && self.parts.hosts.get(to).is_some();
        let running = match self.zones.get_mut(&zone) {
            Some(Stage::Running(running)) if running.moving.is_none() && known => running,
            _ => return warn!(%zone, %to, known, "the zone cannot be moved there now"),
        };
        let handover = OperationId(rand::random());
        if running.orders.try_send(Order::Pack(handover)).is_ok() {
            info!(%zone, %to, %handover, "zone moves");
            running.moving = Some(Move { handover, to, step: Step::Packs });
        }
    }

    /// The move of a zone, if it is that one and has come that far.
    fn moving(&mut self, zone: ZoneId, handover: OperationId, steps: &[Step]) -> Option<&mut Move> {
        let Some(Stage::Running(running)) = self.zones.get_mut(&zone) else { return None };
        running.moving.as_mut().filter(|m| m.handover == handover && steps.contains(&m.step))
    }

    /// A zone is packed, or goes on.
    pub(super) fn on_packed(
        &mut self,
        zone: ZoneId,
        handover: OperationId,
        packed: Result<Box<Packed>, &'static str>,
    ) {
        let Some(moving) = self.moving(zone, handover, &[Step::Packs]) else { return };
        let to = moving.to;
        let packed = match packed {
            Ok(packed) => packed,
            Err(reason) => {
                warn!(%zone, reason, "the zone stays");
                counter!("throng_zone_moves_total", "result" => "refused").increment(1);
                return self.forget_move(zone);
            }
        };
        moving.step = Step::Offered;
        let large = packed.whole.players.len() > LARGE;
        if !self.offer(zone, handover, to, *packed) {
            // Without all parts nobody can take it.
            return self.on_not_taken(zone, handover, true, "its host is not reached");
        }
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let wait = if large { ANSWER_WITHIN_LARGE } else { ANSWER_WITHIN };
            tokio::time::sleep(wait).await;
            let _ = reports.send(Report::Overdue { zone, handover }).await;
        });
    }

    /// Sends all parts of a zone to another host.
    fn offer(&self, zone: ZoneId, handover: OperationId, to: ServerId, packed: Packed) -> bool {
        let Some(Stage::Running(running)) = self.zones.get(&zone) else { return false };
        let Some(host) = self.parts.hosts.get(to) else { return false };
        let parts = in_parts(handover, zone, self.parts.server, running.lease, packed);
        parts.into_iter().all(|part| host.send(HostMsg::Offered(Box::new(part))).is_ok())
    }

    /// The other host runs the zone.
    pub(super) fn on_taken(&mut self, zone: ZoneId, handover: OperationId) {
        if self.moving(zone, handover, &[Step::Offered, Step::Asks]).is_some() {
            self.let_go(zone);
        }
    }

    /// The other host does not run the zone, or does not know.
    pub(super) fn on_not_taken(
        &mut self,
        zone: ZoneId,
        handover: OperationId,
        certain: bool,
        reason: &str,
    ) {
        if self.moving(zone, handover, &[Step::Offered]).is_none() {
            return;
        }
        warn!(%zone, reason, certain, "the zone was not taken");
        if certain {
            counter!("throng_zone_moves_total", "result" => "refused").increment(1);
            self.resume(zone);
        } else {
            self.ask_back(zone, handover);
        }
    }

    /// The other host has had its time.
    pub(super) fn on_overdue(&mut self, zone: ZoneId, handover: OperationId) {
        if self.moving(zone, handover, &[Step::Offered]).is_some() {
            warn!(%zone, "the zone's new host does not answer; the store is asked");
            self.ask_back(zone, handover);
        }
    }

    /// Has the store give the lease back: from then on the offer is void, unless it was taken.
    fn ask_back(&mut self, zone: ZoneId, handover: OperationId) {
        let Some(Stage::Running(running)) = self.zones.get_mut(&zone) else { return };
        if let Some(moving) = &mut running.moving {
            moving.step = Step::Asks;
        }
        let (store, server, lease) = (self.parts.store.clone(), self.parts.server, running.lease);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let result = loop {
                match store.reclaim_lease(&name(zone), server, lease, LASTS).await {
                    Err(StoreError::Unavailable(_)) => tokio::time::sleep(ASK_AGAIN).await,
                    result => break result,
                }
            };
            let _ = reports.send(Report::AskedBack { zone, handover, result }).await;
        });
    }

    /// The store has said whose the zone is.
    pub(super) fn on_asked_back(
        &mut self,
        zone: ZoneId,
        handover: OperationId,
        result: Result<Epoch, StoreError>,
    ) {
        if self.moving(zone, handover, &[Step::Asks]).is_none() {
            return;
        }
        match result {
            Ok(lease) => {
                if let Some(Stage::Running(running)) = self.zones.get_mut(&zone) {
                    running.lease = lease;
                }
                counter!("throng_zone_moves_total", "result" => "reclaimed").increment(1);
                self.resume(zone);
            }
            Err(_) => self.let_go(zone),
        }
    }

    fn forget_move(&mut self, zone: ZoneId) {
        if let Some(Stage::Running(running)) = self.zones.get_mut(&zone) {
            running.moving = None;
        }
    }

    /// The zone goes on here.
    fn resume(&mut self, zone: ZoneId) {
        self.forget_move(zone);
        self.order(zone, Order::Resume);
    }

    fn order(&self, zone: ZoneId, order: Order) {
        if let Some(Stage::Running(running)) = self.zones.get(&zone)
            && running.orders.try_send(order).is_err()
        {
            // Its thread has ended, which is reported.
            warn!(%zone, ?order, "a zone does not hear");
        }
    }

    /// The zone runs elsewhere. Its door stays open while its thread sends after it what comes, and
    /// it is named as this server's until the others' directory leads there: so nobody finds none.
    pub(super) fn let_go(&mut self, zone: ZoneId) {
        let Some(Stage::Running(running)) = self.zones.get_mut(&zone) else { return };
        let Some(moving) = &mut running.moving else { return };
        moving.step = Step::Gone;
        info!(%zone, to = %moving.to, "zone has moved");
        counter!("throng_zone_moves_total", "result" => "done").increment(1);
        self.order(zone, Order::Follow);
    }

    /// A zone that runs elsewhere is reached there from this process too.
    pub(super) fn on_reached(&mut self, zone: ZoneId) {
        if let Some(Stage::Running(running)) = self.zones.get_mut(&zone) {
            running.reached = true;
        }
    }

    /// The process is to end: zones are given to other hosts, a few at a time, as long as there are
    /// any. Those that nobody takes are tried again.
    pub(super) fn give_away(&mut self) {
        let hosts = self.parts.hosts.snapshot();
        let others: Vec<ServerId> =
            hosts.keys().copied().filter(|host| *host != self.parts.server).collect();
        if others.is_empty() {
            return;
        }
        let moves = |stage: &Stage| matches!(stage, Stage::Running(r) if r.moving.is_some());
        let under_way = self.zones.values().filter(|stage| moves(stage)).count();
        let stays = |stage: &Stage| matches!(stage, Stage::Running(r) if r.moving.is_none());
        let staying = self.zones.iter().filter(|(_, stage)| stays(stage)).map(|(zone, _)| *zone);
        let next: Vec<ZoneId> = staying.take(AT_ONCE.saturating_sub(under_way)).collect();
        for zone in next {
            let to = others[self.turn % others.len()];
            self.turn = self.turn.wrapping_add(1);
            self.on_move(zone, to);
        }
    }
}

/// A zone in as many parts as its size asks for.
fn in_parts(
    handover: OperationId,
    zone: ZoneId,
    from: ServerId,
    lease: Epoch,
    packed: Packed,
) -> Vec<ZoneOffer> {
    let Packed { whole, sessions, watchers } = packed;
    let Whole { players, npcs, things, rest } = whole;
    let parts = players
        .len()
        .div_ceil(PLAYERS_IN_PART)
        .max(npcs.len().div_ceil(THINGS_IN_PART))
        .max(things.len().div_ceil(THINGS_IN_PART))
        .max(1);
    let mut players = players.into_iter().filter_map(|transfer| {
        let session = *sessions.get(&transfer.state.id)?;
        Some(Traveller { transfer, session })
    });
    let (mut npcs, mut things) = (npcs.into_iter(), things.into_iter());
    let (mut rest, mut watchers) = (Some(Box::new(rest)), watchers);
    let part = |part: usize| ZoneOffer {
        handover,
        zone,
        from,
        lease,
        part: part as u32,
        parts: parts as u32,
        players: players.by_ref().take(PLAYERS_IN_PART).collect(),
        npcs: npcs.by_ref().take(THINGS_IN_PART).collect(),
        things: things.by_ref().take(THINGS_IN_PART).collect(),
        rest: rest.take(),
        watchers: std::mem::take(&mut watchers),
    };
    (0..parts).map(part).collect()
}
