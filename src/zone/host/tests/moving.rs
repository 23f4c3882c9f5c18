//! Zones that go from one host to another with everybody in them, and what becomes of them when the
//! other refuses, is silent, or answers into the void.

use bytes::Bytes;

use super::*;
use crate::ids::{PlayerId, SessionKey, SessionRef};
use crate::link::{Address, Carrier, Delivery, NotCarried, SendError, Wire as _};
use crate::names::Name;
use crate::store::record::NewCharacter;
use crate::world::command::Action;

const GATEWAY: ServerId = ServerId(9);
const SESSION: SessionRef = SessionRef { gateway: GATEWAY, key: SessionKey(1) };

/// A way into another process.
#[derive(Debug)]
struct Cable {
    server: ServerId,
    to: Outbox<ZoneMsg>,
}

impl Carrier for Cable {
    fn carry(
        &self,
        _to: Address,
        _delivery: Delivery,
        encode: &dyn Fn() -> Bytes,
    ) -> Result<(), NotCarried> {
        self.to.send(ZoneMsg::decode(encode()).unwrap()).map_err(|problem| match problem {
            SendError::Full(_) => NotCarried::Full,
            SendError::Closed(_) => NotCarried::Closed,
        })
    }

    fn server(&self) -> ServerId {
        self.server
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// Two processes and a gateway.
struct Cluster {
    one: Process,
    other: Process,
    store: Store,
    gateway: Inbox<GatewayMsg>,
    anna: PlayerId,
    told: Vec<GatewayMsg>,
    /// WEST's first incarnation.
    origin: u64,
    /// Who stood in the last frame of WEST, and of which incarnation that was.
    seen: (u64, usize),
    _folder: TempDir,
}

impl Cluster {
    /// Both run, WEST in the first one, and Anna stands in it.
    async fn start() -> Self {
        let (store, folder) = store().await;
        let pose = crate::geometry::Pose {
            at: crate::geometry::Point { x: -30.0, y: 60.0 },
            rotation: 0.0,
        };
        let character = NewCharacter { zone: WEST, pose, health: 100, power: 100, items: vec![] };
        let anna = Name::parse("Anna").unwrap();
        let anna = store.create_account(&anna, "x", character).await.unwrap();
        let (to_gateway, gateway) = inbox(16_384, false);
        let (one, other) = (Process::start(1, &store, false), Process::start(2, &store, false));
        for (process, beyond) in [(&one, &other), (&other, &one)] {
            process.gateways.insert(GATEWAY, to_gateway.clone());
            process.hosts.insert(beyond.server, beyond.orders.clone());
            let (zones, server) = (beyond.zones.clone(), process.server);
            // Whoever opens a door says so to the other process.
            *process.tells.lock().unwrap() = Some(Box::new(move |hosted, to| {
                let cable = Cable { server, to };
                let outbox = Outbox::linked(Arc::new(cable), Address::Zone(hosted.zone));
                zones.insert(hosted.zone, outbox);
            }));
        }
        one.order(WEST);
        let (told, seen) = (Vec::new(), (0, 0));
        let origin = 0;
        let mut cluster =
            Self { one, other, store, gateway, anna, told, origin, seen, _folder: folder };
        cluster.origin = cluster.one.runs(&[WEST]).await[0];
        cluster.say(&cluster.one.zones, ZoneMsg::Watch { gateway: GATEWAY });
        let enter = ZoneMsg::Enter { player: anna, session: SESSION, ticket: None };
        cluster.say(&cluster.one.zones, enter);
        cluster
            .hears("she is in", |c| {
                c.told.iter().any(|told| matches!(told, GatewayMsg::Entered { .. }))
            })
            .await;
        cluster
    }

    fn say(&self, zones: &Directory<ZoneId, ZoneMsg>, message: ZoneMsg) {
        zones.get(WEST).unwrap().send(message).unwrap();
    }

    /// Listens at the gateway until it is so.
    async fn hears(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        let heard = tokio::time::timeout(Duration::from_secs(60), async {
            while !so(self) {
                match self.gateway.recv().await.unwrap() {
                    GatewayMsg::Frame(frame) if frame.frame.zone == WEST => {
                        let anna = crate::ids::EntityId::from(self.anna);
                        let ids = &frame.frame.ids;
                        let here = frame.frame.packed.iter();
                        let here = here.filter(|p| ids[p.handle().index()] == anna).count();
                        self.seen = (frame.frame.origin, here);
                    }
                    GatewayMsg::Frame(_) | GatewayMsg::FrameDelta(_) => {}
                    message => self.told.push(message),
                }
            }
        });
        assert!(heard.await.is_ok(), "it never came that {what}");
    }

    fn move_west(&self) {
        self.one.orders.send(HostMsg::Move { zone: WEST, to: self.other.server }).unwrap();
    }

    async fn leave_and_end(mut self) {
        let leave = ZoneMsg::Leave { player: self.anna, session: SESSION };
        let zones = if self.one.zones.get(WEST).unwrap().server().is_none() {
            &self.one
        } else {
            &self.other
        };
        self.say(&zones.zones.clone(), leave);
        let origin = self.seen.0;
        self.hears("she is gone", |c| c.seen == (origin, 0)).await;
        self.one.end().await;
        self.other.end().await;
        let saved = self.store.player(self.anna).await.unwrap().unwrap();
        assert_eq!(self.store.save(vec![saved]).await.unwrap(), [self.anna], "she was released");
    }
}

#[tokio::test]
async fn a_zone_moves_with_everybody_in_it() {
    let mut cluster = Cluster::start().await;
    let before = cluster.store.player(cluster.anna).await.unwrap().unwrap().epoch;
    let old_way = cluster.one.zones.get(WEST).unwrap();
    cluster.move_west();
    let origin = cluster.other.runs(&[WEST]).await[0];
    cluster.one.runs(&[]).await;
    cluster.hears("she stands there", |c| c.seen == (origin, 1)).await;
    assert!(!cluster.told.iter().any(|told| matches!(told, GatewayMsg::Kick { .. })));
    let saved = cluster.store.player(cluster.anna).await.unwrap().unwrap();
    assert_eq!(saved.epoch, Epoch(before.0 + 1));
    let holder = cluster.store.lease_holder("zone-1").await.unwrap();
    assert_eq!(holder, Some((cluster.other.server, Epoch(2))));
    // What comes by the old way finds her, and who she is bound to.
    let action = Action::Inventory;
    let act = ZoneMsg::Act { player: cluster.anna, session: SESSION, request: 7, action };
    old_way.send(act).unwrap();
    cluster
        .hears("she is answered", |c| {
            c.told.iter().any(|told| matches!(told, GatewayMsg::Deliver { .. }))
        })
        .await;
    cluster.leave_and_end().await;
}

#[tokio::test]
async fn a_zone_that_is_refused_stays() {
    let mut cluster = Cluster::start().await;
    cluster.other.drain.cancel();
    let before = cluster.origin;
    cluster.move_west();
    tokio::task::yield_now().await;
    let (session, action) = (SESSION, Action::Inventory);
    let act = ZoneMsg::Act { player: cluster.anna, session, request: 7, action };
    cluster.say(&cluster.one.zones, act);
    cluster
        .hears("what was said meanwhile is answered", |c| {
            c.told.iter().any(|told| matches!(told, GatewayMsg::Deliver { .. }))
        })
        .await;
    cluster.hears("she stands there", |c| c.seen == (before, 1)).await;
    assert_eq!(cluster.one.runs(&[WEST]).await, [before]);
    let holder = cluster.store.lease_holder("zone-1").await.unwrap();
    assert_eq!(holder, Some((cluster.one.server, Epoch(1))));
    cluster.leave_and_end().await;
}

#[tokio::test]
async fn a_zone_whose_new_host_is_silent_goes_on_and_the_offer_is_void() {
    let mut cluster = Cluster::start().await;
    let (silent, mut unheard) = inbox(64, false);
    cluster.one.hosts.insert(cluster.other.server, silent);
    cluster.move_west();
    let offer = unheard.recv().await.unwrap();
    let store = cluster.store.clone();
    let reclaimed = async {
        while store.lease_holder("zone-1").await.unwrap() != Some((ServerId(1), Epoch(2))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reclaimed).await.unwrap();
    let origin = cluster.origin;
    cluster.seen = (0, 0);
    cluster.hears("the zone goes on", |c| c.seen == (origin, 1)).await;
    // The offer comes in the end.
    cluster.other.orders.send(offer).unwrap();
    cluster.other.order(EAST);
    cluster.other.runs(&[EAST]).await;
    assert_eq!(cluster.one.runs(&[WEST]).await, [origin]);
    let holder = cluster.store.lease_holder("zone-1").await.unwrap();
    assert_eq!(holder, Some((cluster.one.server, Epoch(2))));
    cluster.leave_and_end().await;
}

#[tokio::test]
async fn a_zone_whose_new_host_is_not_heard_has_moved_all_the_same() {
    let mut cluster = Cluster::start().await;
    cluster.other.hosts.remove(cluster.one.server);
    cluster.move_west();
    let origin = cluster.other.runs(&[WEST]).await[0];
    cluster.hears("she stands there", |c| c.seen == (origin, 1)).await;
    cluster.one.runs(&[]).await;
    cluster.leave_and_end().await;
}

#[tokio::test]
async fn a_host_that_is_to_end_gives_its_zones_away() {
    let mut cluster = Cluster::start().await;
    cluster.one.order(EAST);
    cluster.one.runs(&[WEST, EAST]).await;
    cluster.one.drain.cancel();
    cluster.other.runs(&[WEST, EAST]).await;
    cluster.one.runs(&[]).await;
    let origin = cluster.other.runs(&[WEST, EAST]).await[0];
    cluster.hears("she stands there", |c| c.seen == (origin, 1)).await;
    cluster.one.order(WEST);
    cluster.leave_and_end().await;
}
