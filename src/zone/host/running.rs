//! A zone that runs in this process, as its host sees it.
//!
//! Made by the host when it has the zone's lease; the thread's end is reported to the host.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::leases::Leased;
use super::moves::Move;
use super::stalls::Pulse;
use super::{Parts, Report};
use crate::ids::{Epoch, ZoneId};
use crate::limits;
use crate::link::{Outbox, inbox};
use crate::msg::ZoneMsg;
use crate::tick::{TICK, now};
use crate::zone::desk::Desk;
use crate::zone::moving::{self, Order, Packed};
use crate::zone::signs::Signs;
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
    /// Whether its thread goes on.
    pub pulse: Pulse,
    signs: Arc<Signs>,
}

impl Running {
    /// How many players stand in it.
    pub(super) fn players(&self) -> u32 {
        self.signs.players()
    }

    /// Rounds that its thread has begun.
    pub(super) fn rounds(&self) -> u64 {
        self.signs.rounds()
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
    let (stop, signs) = (CancellationToken::new(), Arc::<Signs>::default());
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
        signs: signs.clone(),
        packed,
        orders: orders_in,
        reports,
        stop: stop.clone(),
    });
    let origin = tenure::origin(zone, leased.lease);
    let lease = leased.lease;
    let pulse = Pulse::new(now());
    let (moving, reached) = (None, false);
    let running = Running { lease, origin, orders, moving, reached, grant, stop, pulse, signs };
    (running, outbox, thread)
}
