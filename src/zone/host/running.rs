//! A zone that runs in this process, as its host sees it.
//!
//! Made by the host when it has the zone's lease; the thread's end is reported to the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::Parts;
use super::leases::Leased;
use crate::ids::{Epoch, ZoneId};
use crate::limits;
use crate::link::{Outbox, inbox};
use crate::msg::ZoneMsg;
use crate::tick::TICK;
use crate::zone::tenure::{self, Grant};
use crate::zone::{Ending, Start, spawn};

/// What the host keeps of a zone that runs.
pub(super) struct Running {
    /// The lease under which it does.
    pub lease: Epoch,
    /// Where it hears how its lease stands.
    pub grant: Grant,
    /// Ends it.
    pub stop: CancellationToken,
    population: Arc<AtomicU32>,
}

impl Running {
    /// How many players stand in it.
    pub(super) fn players(&self) -> u32 {
        self.population.load(Ordering::Relaxed)
    }
}

/// Starts a zone under its lease. It can be reached at once, also if its thread could not be made.
pub(super) fn start(
    parts: &Parts,
    zone: ZoneId,
    leased: Leased,
) -> (Running, Outbox<ZoneMsg>, std::io::Result<JoinHandle<Ending>>) {
    let (outbox, inbox) = inbox(limits::ZONE_INBOX, parts.loopback);
    let (grant, tenure) = tenure::begin(leased.lease, leased.asked);
    let (stop, population) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
    // Each zone's ticks begin a part of a tick after those of the one before.
    let zones = &parts.content.zones;
    let place = zones.iter().position(|kind| kind.id == zone).unwrap_or(0);
    let phase = TICK * place as u32 / zones.len().max(1) as u32;
    let thread = spawn(Start {
        zone,
        server: parts.server,
        tenure,
        config: parts.config.clone(),
        content: parts.content.clone(),
        inbox,
        peers: parts.peers.clone(),
        store: parts.store.clone(),
        phase,
        population: population.clone(),
        stop: stop.clone(),
    });
    (Running { lease: leased.lease, grant, stop, population }, outbox, thread)
}
