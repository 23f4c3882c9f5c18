//! A zone host as the simulation has it: takes leases, runs zones under them, renews them every
//! second, gives up what it has lost. What `zone/host/` does with tasks and threads is done here
//! by hand; the zones are the real ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::desk::{self, Answer, Request, Requests};
use crate::ids::{ServerId, ZoneId};
use crate::link::Outbox;
use crate::msg::node::HostedZone;
use crate::msg::{HostMsg, ZoneMsg};
use crate::store::StoreError;
use crate::tick::simulated;
use crate::world::content::Content;
use crate::zone::Peers;
use crate::zone::rig::{Ended, Rig, Setting};

/// Between two renewals, ms.
const RENEW: u64 = 1_000;
/// As in `zone/host/leases.rs`.
const TRIES: u32 = 8;
const TRY_AGAIN: u64 = 500;

pub(super) enum Stage {
    /// Its lease is asked for at `at`, or being asked for.
    Starting {
        tries: u32,
        at: Option<u64>,
    },
    Running(Box<Rig>),
    Ending,
}

/// A moment of the simulation as the real clock has it.
fn moment(millis: u64) -> Instant {
    simulated::at(Duration::from_millis(millis))
}

/// All zones of a process.
pub(super) struct Host {
    server: ServerId,
    content: Arc<Content>,
    peers: Peers,
    requests: Requests,
    pub zones: BTreeMap<ZoneId, Stage>,
    /// Where the zones that run here are reached.
    pub doors: BTreeMap<ZoneId, Outbox<ZoneMsg>>,
    renew_at: u64,
    renewing: bool,
    pub stopping: bool,
    seed: u64,
}

impl Host {
    pub(super) fn new(
        server: ServerId,
        content: Arc<Content>,
        peers: Peers,
        requests: Requests,
        seed: u64,
    ) -> Self {
        Self {
            server,
            content,
            peers,
            requests,
            zones: BTreeMap::new(),
            doors: BTreeMap::new(),
            renew_at: 0,
            renewing: false,
            stopping: false,
            seed,
        }
    }

    pub(super) fn on_message(&mut self, message: HostMsg, now: u64) {
        // Moves of whole zones are not simulated: the planner takes note in time.
        if let HostMsg::Run { zone } = message
            && !self.stopping
        {
            let start = Stage::Starting { tries: 0, at: Some(now) };
            self.zones.entry(zone).or_insert(start);
        }
    }

    /// Every zone is told to end.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
        self.zones.retain(|_, stage| !matches!(stage, Stage::Starting { .. }));
        self.running().for_each(|(_, rig)| rig.stop());
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (ZoneId, &Rig)> {
        self.zones.iter().filter_map(|(zone, stage)| match stage {
            Stage::Running(rig) => Some((*zone, &**rig)),
            Stage::Starting { .. } | Stage::Ending => None,
        })
    }

    pub(super) fn rig(&self, zone: ZoneId) -> Option<&Rig> {
        match self.zones.get(&zone) {
            Some(Stage::Running(rig)) => Some(rig),
            _ => None,
        }
    }

    /// What runs here.
    pub(super) fn hosted(&self) -> Vec<HostedZone> {
        self.running().map(|(_, rig)| rig.hosted).collect()
    }

    fn ask(&mut self, request: Request) {
        self.requests.lock().push((self.server, request));
    }

    pub(super) fn on_answer(&mut self, answer: Answer, now: u64, counts: &mut Counts) {
        match answer {
            Answer::Leased { zone, asked, result } => {
                let Some(Stage::Starting { tries, at }) = self.zones.get_mut(&zone) else {
                    if let Ok(lease) = result {
                        self.ask(Request::EndLease { zone, lease });
                    }
                    return;
                };
                match result {
                    Ok(lease) => {
                        counts.zones_started += 1;
                        let setting = Setting {
                            zone,
                            server: self.server,
                            lease: (lease, moment(asked)),
                            content: self.content.clone(),
                            peers: self.peers.clone(),
                            desk: desk::of_zone(self.requests.clone(), self.server),
                            seed: self.seed,
                        };
                        let (rig, door) = Rig::start(setting);
                        self.doors.insert(zone, door);
                        self.zones.insert(zone, Stage::Running(Box::new(rig)));
                    }
                    Err(StoreError::StaleEpoch) if *tries < TRIES => {
                        *tries += 1;
                        *at = Some(now + TRY_AGAIN);
                    }
                    Err(StoreError::Unavailable(_)) => *at = Some(now + TRY_AGAIN),
                    Err(_) => drop(self.zones.remove(&zone)),
                }
            }
            Answer::Renewed { leases, asked, lost } => {
                self.renewing = false;
                let asked = moment(asked);
                for (zone, lease) in leases {
                    let Some(rig) = self.rig(zone).filter(|rig| rig.lease == lease) else {
                        continue;
                    };
                    match &lost {
                        Some(lost) => rig.renewed(asked, Ok(!lost.contains(&zone))),
                        None => rig.renewed(asked, Err(())),
                    }
                }
            }
            Answer::Returned { zone } => {
                if matches!(self.zones.get(&zone), Some(Stage::Ending)) {
                    self.zones.remove(&zone);
                }
            }
            Answer::Found { .. } => {}
        }
    }

    /// A round of every zone, and what is due.
    pub(super) fn turn(&mut self, now: u64, counts: &mut Counts) {
        let mut starting = Vec::new();
        let mut ended = Vec::new();
        for (zone, stage) in &mut self.zones {
            match stage {
                Stage::Starting { at, .. } if at.is_some_and(|at| at <= now) => {
                    *at = None;
                    starting.push(*zone);
                }
                Stage::Running(rig) => {
                    if let Some(why) = rig.turn() {
                        ended.push((*zone, rig.lease, why));
                    }
                }
                Stage::Starting { .. } | Stage::Ending => {}
            }
        }
        for zone in starting {
            self.ask(Request::StartLease { zone, asked: now });
        }
        for (zone, lease, why) in ended {
            self.doors.remove(&zone);
            match why {
                Ended::GaveUp => {
                    counts.gave_up += 1;
                    self.zones.remove(&zone);
                }
                Ended::Stopped => {
                    self.zones.insert(zone, Stage::Ending);
                    self.ask(Request::EndLease { zone, lease });
                }
            }
        }
        if now >= self.renew_at && !self.renewing {
            self.renew_at = now + RENEW;
            let leases: Vec<_> = self.running().map(|(zone, rig)| (zone, rig.lease)).collect();
            if !leases.is_empty() {
                self.renewing = true;
                self.ask(Request::RenewLeases { leases, asked: now });
            }
        }
    }
}
