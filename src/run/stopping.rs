//! The end of a process, top down: clients are told, zones are handed over or saved, links and shards
//! end, the store closes last. Called once by the composition when the process is to stop, or when
//! a part of it has failed; no part may hold it for ever.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, warn};

use super::wiring::Wiring;
use super::{Ending, Process};
use crate::tick::now;
use crate::zone;

/// How long a part of the process may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How long none of a draining process's zones may be taken before the rest are stopped: as long as
/// the largest take.
const ZONE_GOES_WITHIN: Duration = Duration::from_secs(6);

/// How long all of them together may take: whoever has asked for the end does not wait for ever.
const ALL_GO_WITHIN: Duration = Duration::from_secs(20);

impl Process {
    /// Ends every part in its turn.
    pub(super) async fn end(
        &self,
        gateway: Option<JoinHandle<()>>,
        host: Option<JoinHandle<()>>,
        shards: Vec<Ending>,
        (wiring, zones_here): (&Wiring, watch::Receiver<zone::host::Hosted>),
    ) {
        self.stops.listeners.cancel();
        self.stops.gateway.cancel();
        if let Some(gateway) = gateway {
            ended("gateway", gateway).await;
        }
        if let Some(host) = host {
            self.give_zones_away(wiring, zones_here).await;
            self.stops.zones.cancel();
            ended("zone host", host).await;
        }
        self.stops.others.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.tasks.wait()).await.is_err() {
            error!("some roles do not end; going on without them");
        }
        self.stops.links.cancel();
        self.link_tasks.close();
        if tokio::time::timeout(STOP_WITHIN, self.link_tasks.wait()).await.is_err() {
            error!("some links do not end; going on without them");
        }
        self.stops.shards.cancel();
        for shards in shards {
            shards.await;
        }
        self.store.close().await;
    }

    /// Hands the zones of this process over to other hosts, as long as some are taken.
    async fn give_zones_away(
        &self,
        wiring: &Wiring,
        mut here: watch::Receiver<zone::host::Hosted>,
    ) {
        self.stops.drain.cancel();
        let mut left = here.borrow_and_update().len();
        let until = now() + ALL_GO_WITHIN;
        while left > 0 && wiring.hosts.snapshot().keys().any(|host| *host != self.server) {
            let fewer = here.wait_for(|hosted| hosted.len() < left);
            let within = ZONE_GOES_WITHIN.min(until.saturating_duration_since(now()));
            match tokio::time::timeout(within, fewer).await {
                Ok(Ok(hosted)) => left = hosted.len(),
                Ok(Err(_)) => return,
                Err(_) => {
                    return warn!(
                        left,
                        "no other server has taken the zones in time; they stop here"
                    );
                }
            }
        }
    }
}

/// Waits for a part to end, but not for ever.
async fn ended(what: &str, task: JoinHandle<()>) {
    match tokio::time::timeout(STOP_WITHIN, task).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => error!(%problem, "the {what} has ended badly"),
        Err(_) => error!("the {what} does not end; going on without it"),
    }
}
