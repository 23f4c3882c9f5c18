//! Two neighbouring zones ticked by hand over a real SQLite store, with a gateway and a master that
//! only listen: who comes, goes and crosses at an awkward moment is always in exactly one place.

mod afar;
mod coming;
mod faults;
mod fights;

use std::time::Duration;

use super::*;
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, PlayerId, SessionKey, SessionRef, TicketUse};
use crate::link::inbox;
use crate::msg::gateway::EnterRefusal;
use crate::names::Name;
use crate::store::record::{NewCharacter, TicketStanding};
use crate::store::{Store, StoreConfig};
use crate::world::command::Action;

const STAGE: &str = include_str!("../world/tests/stage.toml");
const GATEWAY: ServerId = ServerId(9);
const WEST: ZoneId = ZoneId(1);
const EAST: ZoneId = ZoneId(2);

/// Both zones and everybody around them.
struct Land {
    west: ZoneServer,
    east: ZoneServer,
    gateway: Inbox<GatewayMsg>,
    store: Store,
    peers: Peers,
    stop: CancellationToken,
    /// What the gateway was told, without the frames.
    told: Vec<GatewayMsg>,
    anna: PlayerId,
    tickets: u128,
    /// Between the two, if they are in different processes.
    wires: Vec<afar::Wire>,
    _inboxes: (Inbox<ChatMsg>, Inbox<MasterMsg>),
    _folder: tempfile::TempDir,
}

fn session(key: u64) -> SessionRef {
    SessionRef { gateway: GATEWAY, key: SessionKey(key) }
}

impl Land {
    async fn open() -> Self {
        Self::with(ZoneConfig { seed: 5, ..ZoneConfig::default() }, 1_024).await
    }

    /// `room`: messages that a zone's inbox takes.
    async fn with(east: ZoneConfig, room: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { timeout_ms: 60_000, ..StoreConfig::default() };
        let store = Store::open(&config, folder.path()).await.unwrap();
        let pose = Pose { at: Point { x: -3.0, y: 60.0 }, rotation: 0.0 };
        let character = NewCharacter { zone: WEST, pose, health: 100, power: 100, items: vec![] };
        let name = Name::parse("Anna").unwrap();
        let anna = store.create_account(&name, "x", character).await.unwrap();
        let (to_gateway, gateway) = inbox(4_096, false);
        let (chat, chat_inbox) = inbox(1_024, false);
        let (master, master_inbox) = inbox(1_024, false);
        let peers =
            Peers { gateways: Directory::default(), zones: Directory::default(), chat, master };
        peers.gateways.insert(GATEWAY, to_gateway);
        let stop = CancellationToken::new();
        let west = ZoneConfig { seed: 5, save_seconds: 1, ..ZoneConfig::default() };
        Self {
            west: zone(WEST, ServerId(1), west, room, &peers, &store, &stop),
            east: zone(EAST, ServerId(1), east, room, &peers, &store, &stop),
            gateway,
            store,
            peers,
            stop,
            told: Vec::new(),
            anna,
            tickets: 0,
            wires: Vec::new(),
            _inboxes: (chat_inbox, master_inbox),
            _folder: folder,
        }
    }

    fn ticket(&mut self) -> Option<TicketUse> {
        self.tickets += 1;
        Some(TicketUse { id: uuid::Uuid::from_u128(self.tickets), expires_at: u64::MAX >> 1 })
    }

    fn send(&self, zone: ZoneId, message: ZoneMsg) {
        self.peers.zones.get(zone).unwrap().send(message).unwrap();
    }

    fn enter(&mut self, zone: ZoneId, session: SessionRef, ticket: Option<TicketUse>) {
        self.send(zone, ZoneMsg::Enter { player: self.anna, session, ticket });
    }

    fn leave(&mut self, zone: ZoneId, session: SessionRef) {
        self.send(zone, ZoneMsg::Leave { player: self.anna, session });
    }

    fn walk(&mut self, zone: ZoneId, session: SessionRef, x: f32) {
        let action = Action::MoveTo { x, y: 60.0 };
        self.send(zone, ZoneMsg::Act { player: self.anna, session, request: 1, action });
    }

    fn tick(&mut self) {
        self.west.tick();
        self.east.tick();
        self.carry();
        self.listen();
    }

    fn listen(&mut self) {
        while let Some(message) = self.gateway.try_recv() {
            if !matches!(message, GatewayMsg::Frame(_) | GatewayMsg::FrameDelta(_)) {
                self.told.push(message);
            }
        }
    }

    /// Ticks until it is so; the store gets its time between the ticks.
    async fn until(&mut self, what: &str, so: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            if so(self) {
                return;
            }
            self.tick();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it never came that {what}");
    }

    fn entered(&self, session: SessionRef) -> bool {
        self.told.iter().any(
            |told| matches!(told, GatewayMsg::Entered { session: key, .. } if *key == session.key),
        )
    }

    /// Whether a session was told that another one has its player.
    fn sent_off(&self, session: SessionRef) -> bool {
        self.told.iter().any(|message| match message {
            GatewayMsg::Kick { session: told, reason, .. } => {
                *told == session.key
                    && *reason == crate::proto::DisconnectReason::DisconnectLoggedInElsewhere
            }
            _ => false,
        })
    }

    fn refused(&self, session: SessionRef) -> Option<EnterRefusal> {
        self.told.iter().find_map(|told| match told {
            GatewayMsg::EnterRefused { session: key, reason } if *key == session.key => {
                Some(reason.clone())
            }
            _ => None,
        })
    }

    fn stands_in(&self, zone: &ZoneServer) -> bool {
        zone.world.player(self.anna).is_some()
    }

    /// Nobody stands anywhere, nobody is on the way, and the store has no work left.
    fn is_deserted(&self) -> bool {
        [&self.west, &self.east]
            .iter()
            .all(|zone| zone.players.is_empty() && zone.saves.is_idle() && !self.stands_in(zone))
    }
}

fn zone(
    zone: ZoneId,
    server: ServerId,
    config: ZoneConfig,
    room: usize,
    peers: &Peers,
    store: &Store,
    stop: &CancellationToken,
) -> ZoneServer {
    let (outbox, inbox) = inbox(room, false);
    peers.zones.insert(zone, outbox);
    let (_grant, tenure) = tenure::begin(Epoch(1), tick::now());
    let start = Start {
        zone,
        server,
        tenure,
        config,
        content: Arc::new(toml::from_str(STAGE).unwrap()),
        inbox,
        peers: peers.clone(),
        desk: Desk::over(store.clone()),
        phase: Duration::ZERO,
        signs: Arc::default(),
        packed: None,
        orders: mpsc::channel(1).1,
        reports: mpsc::channel(1).0,
        stop: stop.clone(),
    };
    ZoneServer::new(start)
}

#[tokio::test]
async fn a_player_enters_crosses_over_and_leaves() {
    let mut land = Land::open().await;
    let ticket = land.ticket();
    land.enter(WEST, session(1), ticket);
    land.until("she is in", |land| land.entered(session(1))).await;
    land.walk(WEST, session(1), 20.0);
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    assert!(!land.stands_in(&land.west));
    land.tick();
    assert!(land.told.iter().any(|told| matches!(told, GatewayMsg::Moved { zone: EAST, .. })));
    land.leave(EAST, session(1));
    land.until("she is gone", Land::is_deserted).await;
    assert_eq!(land.store.player(land.anna).await.unwrap().unwrap().zone, EAST);
}

#[tokio::test]
async fn a_session_that_ends_before_its_player_is_in_leaves_nobody_behind() {
    let mut land = Land::open().await;
    let ticket = land.ticket();
    land.enter(WEST, session(1), ticket);
    land.leave(WEST, session(1));
    land.tick();
    land.until("she is gone", Land::is_deserted).await;
    assert!(!land.entered(session(1)));
}

#[tokio::test]
async fn a_newer_session_claims_with_its_own_ticket() {
    let mut land = Land::open().await;
    let (used, fresh) = (land.ticket(), land.ticket());
    land.store.use_ticket(used.unwrap()).await.unwrap();
    land.enter(WEST, session(1), used);
    land.enter(WEST, session(2), fresh);
    land.until("the second is in", |land| land.entered(session(2))).await;
    assert!(land.refused(session(1)).is_some() && !land.entered(session(1)));
    let standing = land.store.ticket_standing(land.anna, fresh.unwrap(), 0).await.unwrap();
    assert_eq!(standing, TicketStanding::Used, "a ticket is used once");
}

#[tokio::test]
async fn who_comes_back_in_the_tick_of_leaving_waits_and_comes_in() {
    for ticketed in [true, false] {
        let mut land = Land::open().await;
        let (first, second) = (land.ticket(), land.ticket());
        land.enter(WEST, session(1), first);
        land.until("she is in", |land| land.entered(session(1))).await;
        land.leave(WEST, session(1));
        land.enter(WEST, session(2), second.filter(|_| ticketed));
        land.until("she is in again", |land| land.entered(session(2))).await;
        assert_eq!(land.refused(session(2)), None);
        assert_eq!(land.west.players.session(land.anna), Some(session(2)));
        assert!(land.stands_in(&land.west));
    }
}

#[tokio::test]
async fn a_new_session_finds_a_player_who_has_just_crossed() {
    let mut land = Land::open().await;
    let (first, second) = (land.ticket(), land.ticket());
    land.enter(WEST, session(1), first);
    land.until("she is in", |land| land.entered(session(1))).await;
    land.walk(WEST, session(1), 20.0);
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    land.enter(WEST, session(2), second);
    land.until("the second is in", |land| land.entered(session(2))).await;
    assert_eq!(land.east.players.session(land.anna), Some(session(2)));
    land.leave(WEST, session(2));
    land.until("she is gone", Land::is_deserted).await;
}

#[tokio::test]
async fn a_full_zone_gives_a_player_back_and_a_leave_still_finds_it() {
    let east = ZoneConfig { seed: 5, max_players: 0, ..ZoneConfig::default() };
    let mut land = Land::with(east, 1_024).await;
    let ticket = land.ticket();
    land.enter(WEST, session(1), ticket);
    land.until("she is in", |land| land.entered(session(1))).await;
    land.walk(WEST, session(1), 20.0);
    land.until("she was sent on", |land| {
        land.west.crossings.gone_to(land.anna, tick::now()).is_some()
    })
    .await;
    // Her session ends while she is on her way there and back.
    land.leave(WEST, session(1));
    land.until("she is gone", Land::is_deserted).await;
}

#[tokio::test]
async fn what_a_full_inbox_did_not_take_comes_later() {
    let mut land = Land::open().await;
    let (to_gateway, mut narrow) = inbox(1, false);
    land.peers.gateways.insert(GATEWAY, to_gateway);
    let gateway = land.peers.gateways.get(GATEWAY).unwrap();
    let packet = crate::protocol::server::logout_response();
    gateway.send(GatewayMsg::Broadcast { packet }).unwrap();
    land.enter(WEST, session(1), None);
    land.until("she stands there", |land| land.stands_in(&land.west)).await;
    land.tick();
    assert!(matches!(narrow.try_recv(), Some(GatewayMsg::Broadcast { .. })));
    land.tick();
    assert!(matches!(narrow.try_recv(), Some(GatewayMsg::Entered { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_zone_saves_those_who_were_still_on_their_way_in() {
    let mut land = Land::open().await;
    land.enter(WEST, session(1), None);
    land.until("she is in", |land| land.entered(session(1))).await;
    land.walk(WEST, session(1), 20.0);
    while land.west.crossings.gone_to(land.anna, tick::now()).is_none() {
        land.west.tick();
    }
    // The neighbour stops before it has looked into its inbox.
    land.stop.cancel();
    let Land { mut west, mut east, store, anna, .. } = land;
    let begin = tick::now();
    tokio::task::spawn_blocking(move || east.empty_out()).await.unwrap();
    tokio::task::spawn_blocking(move || west.empty_out()).await.unwrap();
    assert!(begin.elapsed() < LAST_SAVES, "nobody was waited for in vain");
    let saved = store.player(anna).await.unwrap().unwrap();
    assert!(saved.zone == EAST && saved.pose.at.x >= 0.0, "{saved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_under_way_does_not_hold_up_the_stop() {
    let mut land = Land::open().await;
    land.enter(WEST, session(1), None);
    land.west.tick();
    land.stop.cancel();
    let (mut west, begin) = (land.west, tick::now());
    tokio::task::spawn_blocking(move || west.empty_out()).await.unwrap();
    assert!(begin.elapsed() < LAST_SAVES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_stood_still_does_nothing_until_its_lease_is_confirmed() {
    let mut land = Land::open().await;
    let (grant, tenure) = tenure::begin(Epoch(1), tick::now());
    land.west.tenure = tenure;
    land.send(WEST, ZoneMsg::Watch { gateway: GATEWAY });
    land.west.clock.stand_still();
    let Land { mut west, mut gateway, stop, .. } = land;
    let thread = tokio::task::spawn_blocking(move || west.play());
    // What was asked before it stood still proves nothing.
    grant.confirm(tick::now().checked_sub(Duration::from_secs(60)).unwrap());
    let silent = tokio::time::timeout(Duration::from_millis(300), gateway.recv()).await;
    assert!(silent.is_err(), "a frame of a zone that may be another's: {silent:?}");
    grant.confirm(tick::now());
    assert!(gateway.recv().await.is_some());
    stop.cancel();
    assert_eq!(thread.await.unwrap(), Ending::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_lost_its_lease_neither_saves_nor_tells_anybody() {
    let mut land = Land::open().await;
    let (grant, tenure) = tenure::begin(Epoch(1), tick::now());
    land.west.tenure = tenure;
    land.enter(WEST, session(1), None);
    land.until("she is in", |land| land.entered(session(1))).await;
    let saved = land.store.player(land.anna).await.unwrap().unwrap();
    land.walk(WEST, session(1), -20.0);
    for _ in 0..10 {
        land.west.tick();
    }
    land.listen();
    land.told.clear();
    grant.lose();
    let ending = {
        let west = land.west;
        tokio::task::spawn_blocking(move || west.run()).await.unwrap()
    };
    assert_eq!(ending, Ending::GaveUp);
    assert!(land.gateway.try_recv().is_none(), "its players are another's");
    assert_eq!(land.store.player(land.anna).await.unwrap().unwrap(), saved);
}

#[tokio::test]
async fn a_player_that_another_server_has_is_let_go_in_silence() {
    let mut land = Land::open().await;
    land.enter(WEST, session(1), None);
    land.until("she is in", |land| land.entered(session(1))).await;
    // The last that she hears of an entry: her numbers.
    let stats = |message: &GatewayMsg| matches!(message, GatewayMsg::Deliver { .. });
    land.until("she was told all", |land| land.told.iter().any(stats)).await;
    land.told.clear();
    let taken = land.store.claim(land.anna, ServerId(7), None).await.unwrap().state;
    land.until("the save was refused", |land| !land.stands_in(&land.west)).await;
    assert!(land.told.is_empty(), "{:?}", land.told);
    land.until("she is nowhere here", Land::is_deserted).await;
    assert_eq!(land.store.player(land.anna).await.unwrap().unwrap(), taken);
    // Whoever comes back from there is taken in as always.
    land.enter(WEST, session(2), None);
    land.until("she is in again", |land| land.entered(session(2))).await;
}
