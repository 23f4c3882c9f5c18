//! The leases of a host's zones: taken at each start, renewed every second all at once, given back
//! at the end.
//!
//! The calls run as tasks and report to the host; nothing here waits inside its loop.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Host, Parts, Report, Stage};
use crate::ids::{Epoch, ServerId, ZoneId};
use crate::store::leases::Free;
use crate::store::{Store, StoreError};
use crate::tick::now;

/// How long a lease lasts that is not renewed.
pub(super) const LASTS: Duration = Duration::from_secs(5);
/// How much later than its end it is taken from another: the database's clock may be set, or be
/// another machine's after a failover.
const MARGIN: Duration = Duration::from_secs(1);
/// How often a lease that another holds is tried to be taken, and how long after each other. Then
/// the master may try again, here or elsewhere.
const TRIES: u32 = 8;
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// What a zone's lease is called in the store.
pub(super) fn name(zone: ZoneId) -> String {
    format!("zone-{zone}")
}

/// A lease that was taken.
#[derive(Debug, Clone, Copy)]
pub(in crate::zone) struct Leased {
    /// Its epoch.
    pub lease: Epoch,
    /// When it was asked for.
    pub asked: Instant,
}

/// What came of a renewal.
pub(in crate::zone) struct Renewed {
    leases: Vec<(ZoneId, Epoch)>,
    asked: Instant,
    /// The names of those that are lost.
    result: Result<Vec<String>, StoreError>,
}

/// A lease that is being taken.
pub(super) struct Taking {
    store: Store,
    zone: ZoneId,
    server: ServerId,
    alone: bool,
    after: Duration,
    stop: CancellationToken,
}

impl Taking {
    /// Of that zone's, after a while.
    pub(super) fn of(parts: &Parts, zone: ZoneId, after: Duration) -> Self {
        let Parts { store, server, alone, stop, .. } = parts;
        Self {
            store: store.clone(),
            zone,
            server: *server,
            alone: *alone,
            after,
            stop: stop.clone(),
        }
    }

    /// Takes it, or gives up: soon when another has it, at the host's end when the store is away.
    pub(super) async fn lease(self) -> Report {
        let zone = self.zone;
        let result = tokio::select! {
            result = self.take() => result,
            () = self.stop.cancelled() => Err(StoreError::Unavailable("the host stops".into())),
        };
        Report::Leased { zone, result }
    }

    async fn take(&self) -> Result<Leased, StoreError> {
        tokio::time::sleep(self.after).await;
        let (name, mut tries) = (name(self.zone), 0);
        loop {
            let asked = now();
            let free = if self.alone { Free::AtOnce } else { Free::After(MARGIN) };
            match self.store.start_lease(&name, self.server, free, LASTS).await {
                Err(StoreError::StaleEpoch) if tries < TRIES => tries += 1,
                Err(StoreError::Unavailable(problem)) => {
                    warn!(zone = %self.zone, problem, "a zone's start waits for the database");
                }
                Ok(lease) => return Ok(Leased { lease, asked }),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }
}

impl Host {
    /// Once a second: renews the leases of all that runs and goes on, unless that is under way.
    pub(super) fn renew(&mut self) {
        let running = self.zones.iter().filter_map(|(zone, stage)| match stage {
            Stage::Running(running) if !running.is_gone() && running.pulse.goes() => {
                Some((*zone, running.lease))
            }
            _ => None,
        });
        let leases: Vec<(ZoneId, Epoch)> = running.collect();
        if leases.is_empty() || self.renewing {
            return;
        }
        self.renewing = true;
        let (store, server) = (self.parts.store.clone(), self.parts.server);
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let asked = now();
            let named = leases.iter().map(|(zone, lease)| (name(*zone), *lease)).collect();
            let result = store.renew_leases(server, named, LASTS).await;
            let _ = reports.send(Report::Renewed(Renewed { leases, asked, result })).await;
        });
    }

    /// The store has answered a renewal, or has not: each zone hears how its lease stands.
    pub(super) fn on_renewed(&mut self, renewed: Renewed) {
        self.renewing = false;
        let Renewed { leases, asked, result } = renewed;
        if let Err(error) = &result {
            warn!(%error, zones = leases.len(), "leases were not renewed; the zones play on");
        }
        for (zone, lease) in leases {
            let Some(Stage::Running(running)) = self.zones.get(&zone) else { continue };
            if running.lease != lease {
                continue;
            }
            match &result {
                Ok(lost) if lost.contains(&name(zone)) => match running.is_taken_when_lost() {
                    None => running.grant.lose(),
                    Some(true) => self.let_go(zone),
                    // The store is being asked already.
                    Some(false) => {}
                },
                Ok(_) => running.grant.confirm(asked),
                Err(_) => running.grant.leave_open(),
            }
        }
    }
}
