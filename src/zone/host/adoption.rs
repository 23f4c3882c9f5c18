//! The side of a host that takes a zone over: it gathers the parts, has the store change the owner
//! of the lease and of everybody in it, and starts the zone with all in place.
//!
//! Nobody hears of the zone before the store has said yes. Each hand-over is answered once for
//! good, and alike if it is offered again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::leases::{LASTS, Leased, name};
use super::moves::ASK_AGAIN;
use super::{Host, Report, Stage};
use crate::ids::{Epoch, OperationId, PlayerId, ServerId, ZoneId};
use crate::msg::HostMsg;
use crate::msg::host::ZoneOffer;
use crate::store::StoreError;
use crate::store::handover::ZoneTakeOver;
use crate::tick::now;
use crate::zone::moving::Packed;

/// How long parts wait for the others.
const GATHER_WITHIN: Duration = Duration::from_secs(10);
/// Most parts of one zone.
const PARTS_MAX: u32 = 1_024;
/// Hand-overs whose answer is remembered, the newest.
const REMEMBERED: usize = 64;

/// Zones that come.
#[derive(Default)]
pub(super) struct Adoptions {
    gathering: BTreeMap<OperationId, Gathering>,
    /// What was answered, oldest first.
    answered: Vec<(OperationId, bool)>,
}

/// A zone of which not all parts are there.
struct Gathering {
    parts: BTreeMap<u32, ZoneOffer>,
    since: Instant,
}

/// Where a zone comes from.
#[derive(Debug, Clone, Copy)]
pub(in crate::zone) struct Provenance {
    pub zone: ZoneId,
    pub handover: OperationId,
    pub from: ServerId,
}

/// A zone that the store has decided about.
pub(in crate::zone) struct Adopted {
    of: Provenance,
    packed: Box<Packed>,
    /// The lease, and the players that come along.
    result: Result<(Leased, std::collections::BTreeSet<PlayerId>), StoreError>,
}

impl Host {
    /// A part of a zone comes; with the last one it is taken over.
    pub(super) fn on_offered(&mut self, offer: ZoneOffer) {
        let ZoneOffer { zone, handover, from, part, parts, .. } = offer;
        let of = Provenance { zone, handover, from };
        if let Some((_, taken)) = self.adoptions.answered.iter().find(|(id, _)| *id == handover) {
            let taken = *taken;
            return self.answer_offer(of, taken, "it was not taken before");
        }
        if matches!(self.zones.get(&zone), Some(Stage::Adopting(adopting)) if *adopting == handover)
        {
            return;
        }
        if let Some(reason) = self.unable(zone, parts) {
            self.adoptions.gathering.remove(&handover);
            return self.answer_offer(of, false, reason);
        }
        let gathering = self.adoptions.gathering.entry(handover);
        let gathering =
            gathering.or_insert_with(|| Gathering { parts: BTreeMap::new(), since: now() });
        gathering.parts.insert(part, offer);
        if gathering.parts.len() == parts as usize
            && let Some(Gathering { parts, .. }) = self.adoptions.gathering.remove(&handover)
        {
            self.adopt(of, parts.into_values().collect());
        }
    }

    /// Why a zone is not taken over here.
    fn unable(&self, zone: ZoneId, parts: u32) -> Option<&'static str> {
        if self.parts.stop.is_cancelled() || self.parts.drain.is_cancelled() {
            Some("this host is about to end")
        } else if self.parts.content.zone(zone).is_none() {
            Some("this server's content has no such zone")
        } else if self.zones.contains_key(&zone) {
            Some("it runs here, or is about to")
        } else if parts > PARTS_MAX {
            Some("it is too large")
        } else {
            None
        }
    }

    /// Tells the other host for good.
    fn answer_offer(&mut self, of: Provenance, taken: bool, reason: &str) {
        let Provenance { zone, handover, from } = of;
        let answered = &mut self.adoptions.answered;
        if !answered.iter().any(|(id, _)| *id == handover) {
            if answered.len() == REMEMBERED {
                answered.remove(0);
            }
            answered.push((handover, taken));
        }
        let message = if taken {
            HostMsg::Taken { handover, zone }
        } else {
            warn!(%zone, %from, reason, "a zone is not taken over");
            let reason = reason.to_owned();
            HostMsg::NotTaken { handover, zone, certain: true, reason }
        };
        self.tell_host(from, message);
    }

    fn tell_host(&self, host: ServerId, message: HostMsg) {
        let sent = self.parts.hosts.get(host).is_some_and(|outbox| outbox.send(message).is_ok());
        if !sent {
            // It asks the store when it hears nothing.
            warn!(%host, "a host is not reached");
        }
    }

    /// All of a zone is there: the store decides.
    fn adopt(&mut self, of: Provenance, parts: Vec<ZoneOffer>) {
        let Provenance { zone, handover, from } = of;
        let lease = parts.first().map_or(Epoch(0), |part| part.lease);
        let mut packed = Packed::default();
        for part in parts {
            for traveller in part.players {
                packed.sessions.insert(traveller.transfer.state.id, traveller.session);
                packed.whole.players.push(traveller.transfer);
            }
            packed.whole.npcs.extend(part.npcs);
            packed.whole.things.extend(part.things);
            packed.whole.rest = part.rest.map_or(packed.whole.rest, |rest| *rest);
            packed.watchers.extend(part.watchers);
        }
        info!(%zone, %from, players = packed.whole.players.len(), "a zone is taken over");
        let players = packed.whole.players.iter().map(|transfer| transfer.state.clone());
        let take_over = ZoneTakeOver {
            lease: name(zone),
            from: (from, lease),
            to: self.parts.server,
            lasts: LASTS,
            handover,
            players: players.collect(),
        };
        self.zones.insert(zone, Stage::Adopting(handover));
        let (store, stop) = (self.parts.store.clone(), self.parts.stop.clone());
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let mut unsure = false;
            let result = loop {
                let asked = now();
                match store.take_over_zone(take_over.clone()).await {
                    Err(StoreError::Unavailable(problem)) if !stop.is_cancelled() => {
                        if !std::mem::replace(&mut unsure, true) {
                            let _ = reports.send(Report::Unsure { of, problem }).await;
                        }
                        tokio::time::sleep(ASK_AGAIN).await;
                    }
                    result => {
                        break result.map(|(lease, players)| (Leased { lease, asked }, players));
                    }
                }
            };
            let adopted = Adopted { of, packed: Box::new(packed), result };
            let _ = reports.send(Report::Adopted(Box::new(adopted))).await;
        });
    }

    /// The store does not answer whether a zone is ours; it is asked on.
    pub(super) fn on_unsure(&self, of: Provenance, reason: String) {
        let Provenance { zone, handover, from } = of;
        self.tell_host(from, HostMsg::NotTaken { handover, zone, certain: false, reason });
    }

    /// The store has decided: the zone runs here, or not.
    pub(super) fn on_adopted(&mut self, adopted: Adopted) {
        let Adopted { of, mut packed, result } = adopted;
        let zone = of.zone;
        let (leased, players) = match result {
            Ok(done) => done,
            Err(error) => {
                self.zones.remove(&zone);
                if let StoreError::Unavailable(problem) = error {
                    return self.on_unsure(of, problem);
                }
                return self.answer_offer(of, false, &error.to_string());
            }
        };
        packed.whole.players.retain(|transfer| players.contains(&transfer.state.id));
        packed.sessions.retain(|player, _| players.contains(player));
        for transfer in &mut packed.whole.players {
            transfer.state.epoch = Epoch(transfer.state.epoch.0 + 1);
        }
        self.start(zone, leased, Some(packed));
        self.answer_offer(of, true, "");
        if self.parts.stop.is_cancelled()
            && let Some(Stage::Running(running)) = self.zones.get(&zone)
        {
            running.stop.cancel();
        }
    }

    /// Forgets parts whose others do not come.
    pub(super) fn tend_adoptions(&mut self) {
        let late = |gathering: &Gathering| gathering.since.elapsed() >= GATHER_WITHIN;
        self.adoptions.gathering.retain(|_, gathering| !late(gathering));
    }
}
