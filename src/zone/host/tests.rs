//! Hosts over one store, as it were in several processes: each zone runs once at a time, and each
//! time under a higher origin.

mod moving;

use std::sync::Mutex;

use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::*;
use crate::ids::Epoch;
use crate::link::{Address, Delivery, NotCarried, inbox};
use crate::msg::{ChatMsg, GatewayMsg, MasterMsg};
use crate::store::StoreConfig;
use crate::store::leases::Free;

const STAGE: &str = include_str!("../../world/tests/stage.toml");
const FOR_EVER: Duration = Duration::MAX;
const WEST: ZoneId = ZoneId(1);
const EAST: ZoneId = ZoneId(2);

/// Tells another process of a door.
type Tells = Box<dyn Fn(HostedZone, Outbox<ZoneMsg>) + Send>;

/// A host and those around it.
struct Process {
    server: ServerId,
    orders: Outbox<HostMsg>,
    hosted: watch::Receiver<Hosted>,
    gateway: Inbox<GatewayMsg>,
    zones: Directory<ZoneId, ZoneMsg>,
    gateways: Directory<ServerId, GatewayMsg>,
    hosts: Directory<ServerId, HostMsg>,
    tells: Arc<Mutex<Option<Tells>>>,
    drain: CancellationToken,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _inboxes: (Inbox<ChatMsg>, Inbox<MasterMsg>),
}

async fn store() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { timeout_ms: 60_000, ..StoreConfig::default() };
    (Store::open(&config, folder.path()).await.unwrap(), folder)
}

impl Process {
    fn start(server: u64, store: &Store, alone: bool) -> Self {
        let server = ServerId(server);
        let (orders, orders_inbox) = inbox(64, false);
        let (to_gateway, gateway) = inbox(4_096, false);
        let (chat, chat_inbox) = inbox(64, false);
        let (master, master_inbox) = inbox(64, false);
        let zones = Directory::default();
        let (gateways, hosts) = (Directory::default(), Directory::default());
        let peers = Peers { gateways: gateways.clone(), zones: zones.clone(), chat, master };
        gateways.insert(server, to_gateway);
        let (opens, closes) = (zones.clone(), zones.clone());
        let tells: Arc<Mutex<Option<Tells>>> = Arc::default();
        let told = tells.clone();
        let drain = CancellationToken::new();
        let (publish, hosted) = watch::channel(Vec::new());
        let stop = CancellationToken::new();
        let parts = Parts {
            server,
            config: ZoneConfig { seed: 5, ..ZoneConfig::default() },
            content: Arc::new(toml::from_str(STAGE).unwrap()),
            store: store.clone(),
            alone,
            loopback: false,
            peers,
            hosts: hosts.clone(),
            doors: Doors {
                open: Box::new(move |hosted, outbox| {
                    opens.insert(hosted.zone, outbox.clone());
                    if let Some(tell) = told.lock().unwrap().as_ref() {
                        tell(hosted, outbox);
                    }
                }),
                close: Box::new(move |hosted| {
                    // Whoever has opened it elsewhere since stays.
                    if closes.get(hosted.zone).is_some_and(|outbox| outbox.server().is_none()) {
                        closes.remove(hosted.zone);
                    }
                }),
            },
            stalled: Box::new(|_| {}),
            hosted: publish,
            drain: drain.clone(),
            stop: stop.clone(),
        };
        let task = tokio::spawn(run(parts, orders_inbox));
        let inboxes = (chat_inbox, master_inbox);
        Self {
            server,
            orders,
            hosted,
            gateway,
            zones,
            gateways,
            hosts,
            tells,
            drain,
            stop,
            task,
            _inboxes: inboxes,
        }
    }

    fn order(&self, zone: ZoneId) {
        self.orders.send(HostMsg::Run { zone }).unwrap();
    }

    /// Waits until just these zones run; gives their origins.
    async fn runs(&mut self, zones: &[ZoneId]) -> Vec<u64> {
        let just = |hosted: &Hosted| hosted.iter().map(|(h, _)| h.zone).eq(zones.iter().copied());
        let hosted = tokio::time::timeout(Duration::from_secs(60), self.hosted.wait_for(just));
        hosted.await.expect("in time").unwrap().iter().map(|(hosted, _)| hosted.origin).collect()
    }

    /// Stops the host with all that runs in it.
    async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn a_zone_runs_where_it_is_told_to_and_elsewhere_as_soon_as_it_has_ended() {
    let (store, _folder) = store().await;
    let mut one = Process::start(1, &store, false);
    let mut other = Process::start(2, &store, false);
    for zone in [WEST, EAST, WEST, ZoneId(404)] {
        one.order(zone);
    }
    let before = one.runs(&[WEST, EAST]).await;
    assert!(one.zones.get(WEST).is_some() && one.zones.get(ZoneId(404)).is_none());
    let holder = store.lease_holder("zone-1").await.unwrap();
    assert_eq!(holder, Some((one.server, Epoch(1))));
    let zones = one.zones.clone();
    one.end().await;
    assert!(zones.get(WEST).is_none(), "its door is closed");
    // The lease was given back, so nobody waits for its end.
    other.order(WEST);
    let after = other.runs(&[WEST]).await;
    assert!(after[0] > before[0], "a later incarnation has the higher origin");
    other.end().await;
}

#[tokio::test]
async fn a_zone_that_another_has_taken_gives_up_and_tells_nobody() {
    let (store, _folder) = store().await;
    let mut one = Process::start(1, &store, false);
    one.order(WEST);
    one.runs(&[WEST]).await;
    let taken = store.start_lease("zone-1", ServerId(2), Free::AtOnce, FOR_EVER).await;
    assert_eq!(taken, Ok(Epoch(2)));
    one.runs(&[]).await;
    assert!(one.zones.get(WEST).is_none());
    while let Some(message) = one.gateway.try_recv() {
        assert!(matches!(message, GatewayMsg::Frame(_) | GatewayMsg::FrameDelta(_)), "{message:?}");
    }
    // Its host may not take it back before that lease has run out.
    one.order(WEST);
    one.end().await;
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((ServerId(2), Epoch(2))));
}

#[tokio::test]
async fn who_is_alone_with_the_store_waits_for_nobody() {
    let (store, _folder) = store().await;
    // The process before was killed: its lease lasts.
    store.start_lease("zone-1", ServerId(9), Free::AtOnce, FOR_EVER).await.unwrap();
    let mut alone = Process::start(1, &store, true);
    alone.order(WEST);
    alone.runs(&[WEST]).await;
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((ServerId(1), Epoch(2))));
    alone.end().await;
}

#[tokio::test]
async fn a_held_zone_is_not_run_and_the_next_order_tries_again() {
    let (store, _folder) = store().await;
    store.start_lease("zone-1", ServerId(9), Free::AtOnce, FOR_EVER).await.unwrap();
    let mut one = Process::start(1, &store, false);
    one.order(WEST);
    // A second zone's start shows that the first one's holds nobody up.
    one.order(EAST);
    one.runs(&[EAST]).await;
    store.end_lease("zone-1", ServerId(9), Epoch(1)).await.unwrap();
    one.order(WEST);
    one.runs(&[WEST, EAST]).await;
    one.end().await;
}

/// A way to another process on which whoever sends hangs until it is let go.
#[derive(Debug, Default)]
struct Snare {
    closed: Mutex<bool>,
    opened: std::sync::Condvar,
}

impl crate::link::Carrier for Snare {
    fn carry(
        &self,
        _to: Address,
        _delivery: Delivery,
        _encode: &dyn Fn() -> bytes::Bytes,
    ) -> Result<(), NotCarried> {
        let closed = self.closed.lock().unwrap();
        drop(self.opened.wait_while(closed, |closed| *closed).unwrap());
        Ok(())
    }

    fn server(&self) -> ServerId {
        ServerId(77)
    }

    fn waiting(&self) -> usize {
        0
    }
}

#[tokio::test]
async fn a_zone_whose_thread_hangs_starts_anew_and_the_thread_gives_up_when_it_wakes() {
    let (store, _folder) = store().await;
    for alone in [true, false] {
        let mut one = Process::start(1, &store, alone);
        one.order(WEST);
        one.order(EAST);
        let before = one.runs(&[WEST, EAST]).await;
        let snare = Arc::new(Snare { closed: Mutex::new(true), ..Snare::default() });
        let way = Outbox::linked(snare.clone(), Address::Gateway);
        one.gateways.insert(ServerId(77), way);
        let watch = ZoneMsg::Watch { gateway: ServerId(77) };
        one.zones.get(WEST).unwrap().send(watch).unwrap();
        let anew = |hosted: &Hosted| {
            let west = hosted.iter().find(|(hosted, _)| hosted.zone == WEST);
            west.is_some_and(|(hosted, _)| hosted.origin > before[0])
        };
        let wait = tokio::time::timeout(Duration::from_secs(60), one.hosted.wait_for(anew));
        wait.await.expect("in time").unwrap();
        *snare.closed.lock().unwrap() = false;
        snare.opened.notify_all();
        // Nothing more is held up by it: both zones end, and with them the host.
        let after = one.runs(&[WEST, EAST]).await;
        assert!(after[0] > before[0] && after[1] == before[1], "{before:?}, {after:?}");
        one.end().await;
    }
}
