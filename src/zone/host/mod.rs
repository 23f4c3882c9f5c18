//! The zone host: one task for each process that plays zones. It runs what the master tells it to,
//! holds the leases of what it runs, starts again what has panicked or hangs, and ends what it has
//! lost.
//!
//! It knows no topology: the composition gives it the others' directories and [`Doors`] through
//! which it says where a zone can be reached, and reads from a watch what runs here. It never does
//! a zone's own work; each zone is a thread of its own.

mod adoption;
mod leases;
mod moves;
mod running;
mod stalls;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::moving::Packed;
use super::{Ending, Peers, ZoneConfig};
use crate::ids::{Epoch, OperationId, ServerId, ZoneId};
use crate::link::{Directory, Inbox, Outbox};
use crate::msg::node::HostedZone;
use crate::msg::{HostMsg, ZoneMsg};
use crate::store::{Store, StoreError};
use crate::world::content::Content;
use adoption::{Adopted, Adoptions, Provenance};
use leases::{Leased, Renewed};
use running::Running;

/// A zone that has panicked starts again after this.
const RESTART: Duration = Duration::from_secs(1);
/// Between two renewals of the leases.
const RENEW: Duration = Duration::from_secs(1);
/// What the host's tasks have to say and it has not read yet; they wait for room.
const REPORTS: usize = 1_024;

/// The zones that run in a process, each with its players.
pub type Hosted = Vec<(HostedZone, u32)>;

/// Where the others reach a zone of this process; called by the host alone, in order.
pub struct Doors {
    /// A zone runs from now on: that incarnation of it reads this.
    pub open: Box<dyn Fn(HostedZone, Outbox<ZoneMsg>) + Send + Sync>,
    /// It does not run here any more. Whoever has opened it since, here or elsewhere, stays.
    pub close: Box<dyn Fn(HostedZone) + Send + Sync>,
}

/// Is told which zones' threads do not go on.
pub type Stalled = Box<dyn Fn(&[ZoneId]) + Send + Sync>;

/// What a host is made of.
pub struct Parts {
    /// The process it runs in.
    pub server: ServerId,
    /// `[zone]`.
    pub config: ZoneConfig,
    /// `[world]`.
    pub content: Arc<Content>,
    /// Where leases and players are kept.
    pub store: Store,
    /// Whether no other process can use the store: then a lease is taken whoever held it.
    pub alone: bool,
    /// Whether messages between roles go through their wire form.
    pub loopback: bool,
    /// Whom its zones talk to.
    pub peers: Peers,
    /// The hosts of all processes that play zones.
    pub hosts: Directory<ServerId, HostMsg>,
    /// Where its zones are reached.
    pub doors: Doors,
    /// Where it says, once a second, which of its zones' threads do not go on.
    pub stalled: Stalled,
    /// Where it says what runs here, whenever that changes and once a second.
    pub hosted: watch::Sender<Hosted>,
    /// Its process is to end: its zones are given to the other hosts, as far as they take them.
    /// Nothing new is run. What runs here still when `stop` comes is stopped.
    pub drain: CancellationToken,
    /// Ends it and its zones: every player is saved and released.
    pub stop: CancellationToken,
}

/// Runs the host until `stop` is cancelled and its zones have ended.
pub async fn run(parts: Parts, mut inbox: Inbox<HostMsg>) {
    let (reports, mut reported) = mpsc::channel(REPORTS);
    let (stop, drain) = (parts.stop.clone(), parts.drain.clone());
    let mut host = Host {
        parts,
        zones: BTreeMap::new(),
        adoptions: Adoptions::default(),
        reports,
        renewing: false,
        turn: 0,
    };
    let mut renew = interval(RENEW);
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut stopping, mut draining) = (false, false);
    while !(stopping && host.zones.is_empty()) {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                inbox.close();
                host.stop_all();
            }
            () = drain.cancelled(), if !draining => {
                draining = true;
                host.give_away();
            }
            Some(report) = reported.recv() => host.on_report(report),
            _ = renew.tick() => host.each_second(),
            Some(message) = inbox.recv(), if !stopping => host.on_message(message),
        }
    }
}

/// What becomes of a zone here.
enum Stage {
    /// Its lease is being taken.
    Starting,
    /// It comes from another host, in that hand-over; the store decides.
    Adopting(OperationId),
    /// It runs, or did until it was handed over.
    Running(Running),
    /// Its lease is being given back.
    Ending,
}

struct Host {
    parts: Parts,
    zones: BTreeMap<ZoneId, Stage>,
    adoptions: Adoptions,
    reports: mpsc::Sender<Report>,
    /// Whether a renewal is under way.
    renewing: bool,
    /// Whose turn it is to be given a zone.
    turn: usize,
}

/// What the host's tasks and zones have to say.
pub(super) enum Report {
    /// A lease was taken, or not.
    Leased { zone: ZoneId, result: Result<Leased, StoreError> },
    /// Leases were renewed, or not.
    Renewed(Renewed),
    /// A zone's thread has ended; none: it has panicked, or was never made.
    Ended { hosted: HostedZone, ending: Option<Ending> },
    /// A lease was given back.
    Returned { zone: ZoneId },
    /// A zone is at rest and packed, or goes on for that reason.
    Packed { zone: ZoneId, handover: OperationId, packed: Result<Box<Packed>, &'static str> },
    /// A zone's new host has had its time.
    Overdue { zone: ZoneId, handover: OperationId },
    /// The store was asked for a zone back.
    AskedBack { zone: ZoneId, handover: OperationId, result: Result<Epoch, StoreError> },
    /// A zone that runs elsewhere now is reached there from here.
    Reached { zone: ZoneId },
    /// The store does not say whether a zone that comes is ours.
    Unsure { of: Provenance, problem: String },
    /// It has said.
    Adopted(Box<Adopted>),
}

impl Host {
    fn on_message(&mut self, message: HostMsg) {
        match message {
            HostMsg::Run { zone } => self.on_run(zone),
            HostMsg::Move { zone, to } => self.on_move(zone, to),
            HostMsg::Offered(offer) => self.on_offered(*offer),
            HostMsg::Taken { handover, zone } => self.on_taken(zone, handover),
            HostMsg::NotTaken { handover, zone, certain, reason } => {
                self.on_not_taken(zone, handover, certain, &reason);
            }
        }
    }

    /// Once a second.
    fn each_second(&mut self) {
        self.publish();
        self.look_for_stalls();
        self.renew();
        self.tend_adoptions();
        if self.parts.drain.is_cancelled() && !self.parts.stop.is_cancelled() {
            self.give_away();
        }
    }

    /// A zone is to run here. One that does, or soon will, goes on.
    fn on_run(&mut self, zone: ZoneId) {
        if self.parts.content.zone(zone).is_none() {
            return warn!(%zone, "this server's content has no such zone; it is not run");
        }
        if self.parts.drain.is_cancelled() {
            return debug!(%zone, "this host is about to end and runs nothing new");
        }
        if !self.zones.contains_key(&zone) {
            self.begin(zone, Duration::ZERO);
        }
    }

    /// Takes the zone's lease, after a while.
    fn begin(&mut self, zone: ZoneId, after: Duration) {
        self.zones.insert(zone, Stage::Starting);
        let taking = leases::Taking::of(&self.parts, zone, after);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            // The host outlives what it waits for.
            let _ = reports.send(taking.lease().await).await;
        });
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Leased { zone, result: Ok(leased) } => self.on_leased(zone, leased),
            Report::Leased { zone, result: Err(error) } => self.on_not_leased(zone, &error),
            Report::Renewed(renewed) => self.on_renewed(renewed),
            Report::Ended { hosted, ending } => self.on_ended(hosted, ending),
            Report::Returned { zone } => {
                self.zones.remove(&zone);
            }
            Report::Packed { zone, handover, packed } => self.on_packed(zone, handover, packed),
            Report::Overdue { zone, handover } => self.on_overdue(zone, handover),
            Report::AskedBack { zone, handover, result } => {
                self.on_asked_back(zone, handover, result);
            }
            Report::Reached { zone } => self.on_reached(zone),
            Report::Unsure { of, problem } => self.on_unsure(of, problem),
            Report::Adopted(adopted) => self.on_adopted(*adopted),
        }
        self.publish();
    }

    /// A zone's lease is ours: it runs.
    fn on_leased(&mut self, zone: ZoneId, leased: Leased) {
        if self.parts.stop.is_cancelled() {
            return self.give_back(zone, leased.lease);
        }
        self.start(zone, leased, None);
    }

    /// Starts a zone's thread and opens its door.
    fn start(&mut self, zone: ZoneId, leased: Leased, packed: Option<Box<Packed>>) {
        let reports = self.reports.clone();
        let (running, outbox, ended) = running::start(&self.parts, zone, leased, packed, reports);
        let hosted = HostedZone { zone, origin: running.origin };
        (self.parts.doors.open)(hosted, outbox);
        self.zones.insert(zone, Stage::Running(running));
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let ending = match ended {
                // Nobody waits in a thread of the runtime's for each zone's: there may be hundreds.
                Ok(ended) => ended.await.ok(),
                Err(problem) => {
                    error!(%zone, %problem, "a zone has no thread");
                    None
                }
            };
            // The host outlives its zones.
            let _ = reports.send(Report::Ended { hosted, ending }).await;
        });
    }

    fn on_not_leased(&mut self, zone: ZoneId, error: &StoreError) {
        self.zones.remove(&zone);
        match error {
            StoreError::StaleEpoch => info!(%zone, "another server runs the zone"),
            error => warn!(%zone, %error, "a zone is not run: its lease could not be taken"),
        }
    }

    /// A zone's thread has ended.
    fn on_ended(&mut self, hosted: HostedZone, ending: Option<Ending>) {
        let zone = hosted.zone;
        let Some(Stage::Running(running)) = self.zones.get(&zone) else { return };
        if running.origin != hosted.origin {
            return info!(%zone, ?ending, "a thread that hung has ended; the zone runs anew");
        }
        let lease = running.lease;
        (self.parts.doors.close)(hosted);
        match ending {
            Some(Ending::Stopped) => self.give_back(zone, lease),
            Some(Ending::GaveUp | Ending::Moved) => {
                self.zones.remove(&zone);
            }
            None if self.parts.stop.is_cancelled() => self.give_back(zone, lease),
            None => {
                error!(%zone, "a zone has broken down; it starts again");
                self.begin(zone, RESTART);
            }
        }
    }

    /// Gives a zone's lease back, so that another server need not wait for its end.
    fn give_back(&mut self, zone: ZoneId, lease: Epoch) {
        self.zones.insert(zone, Stage::Ending);
        let (store, server) = (self.parts.store.clone(), self.parts.server);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            if let Err(error) = store.end_lease(&leases::name(zone), server, lease).await {
                debug!(%zone, %error, "a lease stays until it runs out");
            }
            let _ = reports.send(Report::Returned { zone }).await;
        });
    }

    /// Ends every zone; those whose lease is being taken do not begin.
    fn stop_all(&mut self) {
        info!(zones = self.zones.len(), "zones stop");
        for stage in self.zones.values() {
            if let Stage::Running(running) = stage {
                running.stop.cancel();
            }
        }
    }

    /// Says what runs here.
    fn publish(&self) {
        let running = self.zones.iter().filter_map(|(zone, stage)| match stage {
            Stage::Running(running) if !running.is_reached_elsewhere() => {
                let origin = running.origin;
                Some((HostedZone { zone: *zone, origin }, running.players()))
            }
            _ => None,
        });
        let hosted: Hosted = running.collect();
        self.parts.hosted.send_if_modified(|before| {
            let changed = *before != hosted;
            *before = hosted;
            changed
        });
    }
}
