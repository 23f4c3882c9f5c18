//! A zone that runs in this process, as its host sees it.
//!
//! Made by the host when it has the zone's lease; the thread's end is reported to the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::leases::Leased;
use super::moves::Move;
use super::{Parts, Report};
use crate::ids::{Epoch, ZoneId};
use crate::limits;
use crate::link::{Outbox, inbox};
use crate::msg::ZoneMsg;
use crate::tick::TICK;
use crate::zone::commits::Desk;
use crate::zone::moving::{self, Order, Packed};
use crate::zone::tenure::{self, Grant};
use crate::zone::{Ending, Start, spawn};

/// What the host keeps of a zone that runs.
pub(super) struct Running {
    /// Its lease's epoch now.
    pub lease: Epoch,
    /// Its incarnation.
    pub origin: u64,
    /// What it is told when it moves.
    pub orders: mpsc::Sender<Order>,
    /// Its way to another host, if it is on one.
    pub moving: Option<Move>,
    /// Whether it runs in another process and is reached there.
    pub reached: bool,
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

/// Starts a zone under its lease, empty or as another process has packed it. It can be reached at
/// once, also if its thread could not be made. See [`spawn`] for its end.
pub(super) fn start(
    parts: &Parts,
    zone: ZoneId,
    leased: Leased,
    packed: Option<Box<Packed>>,
    reports: mpsc::Sender<Report>,
) -> (Running, Outbox<ZoneMsg>, std::io::Result<oneshot::Receiver<Ending>>) {
    let (outbox, inbox) = inbox(limits::ZONE_INBOX, parts.loopback);
    let (grant, tenure) = tenure::begin(leased.lease, leased.asked);
    let (orders, orders_in) = mpsc::channel(moving::ORDERS);
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
        desk: Desk::over(parts.store.clone()),
        phase,
        population: population.clone(),
        packed,
        orders: orders_in,
        reports,
        stop: stop.clone(),
    });
    let origin = tenure::origin(zone, leased.lease);
    let lease = leased.lease;
    let running =
        Running { lease, origin, orders, moving: None, reached: false, grant, stop, population };
    (running, outbox, thread)
}
