//! The two zones in different processes: what goes between them is bytes, which a test may lose,
//! repeat and hold up.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;

use super::*;
use crate::link::{Address, Carrier, Delivery, NotCarried, Outbox, Wire as _};

/// One way between the two zones.
#[derive(Debug)]
pub(super) struct Wire {
    from: ZoneId,
    to: ZoneId,
    cable: Arc<Cable>,
    fate: Fate,
}

/// What becomes of what is on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Comes,
    ComesTwice,
    Waits,
    IsLost,
}

/// The sending end.
#[derive(Debug)]
struct Cable {
    server: ServerId,
    queue: Mutex<VecDeque<Bytes>>,
}

impl Carrier for Cable {
    fn carry(
        &self,
        _to: Address,
        _delivery: Delivery,
        encode: &dyn Fn() -> Bytes,
    ) -> Result<(), NotCarried> {
        self.queue.lock().unwrap().push_back(encode());
        Ok(())
    }

    fn server(&self) -> ServerId {
        self.server
    }

    fn waiting(&self) -> usize {
        self.queue.lock().unwrap().len()
    }
}

impl Land {
    /// West runs on server 1, east on server 2.
    pub(super) async fn apart(east: ZoneConfig) -> Self {
        let mut land = Self::with(east.clone(), 1_024).await;
        land.peers.zones = Directory::default();
        for (zone_id, other, server) in [(WEST, EAST, ServerId(1)), (EAST, WEST, ServerId(2))] {
            let beyond = ServerId(3 - server.0);
            let cable = Arc::new(Cable { server: beyond, queue: Mutex::default() });
            let neighbours = Directory::default();
            neighbours.insert(other, Outbox::linked(cable.clone(), Address::Zone(other)));
            land.wires.push(Wire { from: zone_id, to: other, cable, fate: Fate::Comes });
            let peers = Peers { zones: neighbours.clone(), ..land.peers.clone() };
            let config = ZoneConfig { seed: 5, save_seconds: 1, ..ZoneConfig::default() };
            let config = if zone_id == EAST { east.clone() } else { config };
            let zone = zone(zone_id, server, config, 1_024, &peers, &land.store, &land.stop);
            // The test itself talks to both of them directly.
            land.peers.zones.insert(zone_id, neighbours.get(zone_id).unwrap());
            neighbours.remove(zone_id);
            *(if zone_id == WEST { &mut land.west } else { &mut land.east }) = zone;
        }
        land
    }

    /// What is on the wires goes on.
    pub(super) fn carry(&mut self) {
        for wire in &self.wires {
            if wire.fate == Fate::Waits {
                continue;
            }
            let sent = std::mem::take(&mut *wire.cable.queue.lock().unwrap());
            for bytes in sent.iter().filter(|_| wire.fate != Fate::IsLost) {
                for _ in 0..if wire.fate == Fate::ComesTwice { 2 } else { 1 } {
                    let message = ZoneMsg::decode(bytes.clone()).unwrap();
                    self.peers.zones.get(wire.to).unwrap().send(message).unwrap();
                }
            }
        }
    }

    fn fate(&mut self, from: ZoneId, fate: Fate) {
        self.wires.iter_mut().filter(|wire| wire.from == from).for_each(|wire| wire.fate = fate);
    }

    /// Anna comes in and is sent over the border.
    pub(super) async fn send_over(&mut self) {
        let ticket = self.ticket();
        self.enter(WEST, session(1), ticket);
        self.until("she is in", |land| land.entered(session(1))).await;
        self.walk(WEST, session(1), 20.0);
        self.until("she is offered", |land| !land.west.crossings.is_idle()).await;
    }

    async fn epoch(&self) -> Epoch {
        self.store.player(self.anna).await.unwrap().unwrap().epoch
    }

    /// Where the gateway was told that she is.
    fn moves(&self) -> Vec<ZoneId> {
        let moved = |told: &GatewayMsg| match told {
            GatewayMsg::Moved { zone, .. } => Some(*zone),
            _ => None,
        };
        self.told.iter().filter_map(moved).collect()
    }

    fn stands_once(&self) -> bool {
        self.stands_in(&self.west) != self.stands_in(&self.east)
            && self.west.crossings.is_idle()
            && self.east.crossings.is_idle()
    }
}

fn roomy() -> ZoneConfig {
    ZoneConfig { seed: 5, save_seconds: 1, ..ZoneConfig::default() }
}

#[tokio::test]
async fn a_player_crosses_to_another_server_with_all_that_is_said_meanwhile() {
    let mut land = Land::apart(roomy()).await;
    land.fate(WEST, Fate::Waits);
    land.send_over().await;
    let before = land.epoch().await;
    assert!(!land.stands_in(&land.west) && !land.stands_in(&land.east));
    // She wants to go elsewhere while she stands nowhere.
    let action = Action::MoveTo { x: 30.0, y: 60.0 };
    land.send(WEST, ZoneMsg::Act { player: land.anna, session: session(1), request: 2, action });
    land.tick();
    land.fate(WEST, Fate::Comes);
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    let saved = land.store.player(land.anna).await.unwrap().unwrap();
    assert_eq!((saved.epoch, saved.zone), (Epoch(before.0 + 1), EAST));
    assert_eq!(land.east.world.player(land.anna).unwrap().epoch, saved.epoch);
    land.until("she goes on", |land| {
        land.east.world.player(land.anna).is_some_and(|state| state.pose.at.x > 25.0)
    })
    .await;
    assert_eq!(land.moves(), [EAST]);
    assert!(land.stands_once());
    land.leave(WEST, session(1));
    land.until("she is gone", Land::is_deserted).await;
}

#[tokio::test]
async fn a_full_server_refuses_and_nothing_has_happened() {
    let mut land = Land::apart(ZoneConfig { max_players: 0, ..roomy() }).await;
    land.send_over().await;
    let before = land.epoch().await;
    land.until("she is back", |land| land.stands_in(&land.west)).await;
    assert!(land.stands_once() && land.moves().is_empty());
    assert_eq!(land.epoch().await, before);
    assert_eq!(land.west.players.session(land.anna), Some(session(1)));
}

#[tokio::test]
async fn a_server_that_knows_its_store_to_be_away_takes_nobody() {
    let mut land = Land::apart(roomy()).await;
    let (grant, tenure) = tenure::begin(Epoch(1), tick::now());
    land.east.tenure = tenure;
    grant.leave_open();
    land.send_over().await;
    land.until("she is back", |land| land.stands_in(&land.west)).await;
    assert!(land.stands_once());
    grant.confirm(tick::now());
    land.walk(WEST, session(1), 20.0);
    land.until("she is east", |land| land.stands_in(&land.east)).await;
}

#[tokio::test]
async fn an_offer_that_got_lost_is_taken_back_and_comes_too_late() {
    let mut land = Land::apart(roomy()).await;
    land.fate(WEST, Fate::Waits);
    land.send_over().await;
    let before = land.epoch().await;
    land.until("she is back", |land| land.stands_in(&land.west)).await;
    assert_eq!(land.epoch().await, Epoch(before.0 + 1), "nobody can take the old offer");
    assert_eq!(land.west.world.player(land.anna).unwrap().epoch, Epoch(before.0 + 1));
    land.walk(WEST, session(1), -10.0);
    land.fate(WEST, Fate::Comes);
    land.until("the offer has come", |land| land.wires[0].cable.waiting() == 0).await;
    land.until("it was refused", |land| land.east.crossings.is_idle()).await;
    assert!(land.stands_in(&land.west) && land.stands_once() && land.moves().is_empty());
}

#[tokio::test]
async fn an_answer_that_got_lost_is_found_in_the_store() {
    let mut land = Land::apart(roomy()).await;
    land.fate(EAST, Fate::IsLost);
    land.send_over().await;
    land.leave(WEST, session(9));
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    assert!(!land.west.crossings.is_idle(), "west does not know");
    land.until("west has asked", |land| land.west.crossings.is_idle()).await;
    assert!(land.stands_once() && land.moves() == [EAST]);
    // What comes for her still finds her.
    land.leave(WEST, session(1));
    land.until("she is gone", Land::is_deserted).await;
}

#[tokio::test]
async fn whatever_comes_twice_counts_once() {
    let mut land = Land::apart(roomy()).await;
    land.fate(WEST, Fate::ComesTwice);
    land.fate(EAST, Fate::ComesTwice);
    land.send_over().await;
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    for _ in 0..20 {
        land.tick();
    }
    assert!(land.stands_once() && land.moves() == [EAST]);
    land.walk(EAST, session(1), -20.0);
    land.until("she is west", |land| land.stands_in(&land.west)).await;
    for _ in 0..20 {
        land.tick();
    }
    assert!(land.stands_once() && land.moves() == [EAST, WEST]);
}

#[tokio::test]
async fn a_session_that_ends_between_two_servers_ends_once() {
    for comes in [true, false] {
        let mut land = Land::apart(roomy()).await;
        land.fate(WEST, Fate::Waits);
        land.send_over().await;
        land.leave(WEST, session(1));
        land.tick();
        if comes {
            land.fate(WEST, Fate::Comes);
        } else {
            land.fate(WEST, Fate::IsLost);
        }
        land.until("she is gone", |land| land.is_deserted() && land.west.crossings.is_idle()).await;
        assert!(!land.stands_in(&land.west) && !land.stands_in(&land.east));
        let saved = land.store.player(land.anna).await.unwrap().unwrap();
        assert_eq!(saved.zone, if comes { EAST } else { WEST });
        let state = land.store.save(vec![saved.clone()]).await.unwrap();
        assert_eq!(state, [land.anna], "she was released");
    }
}

#[tokio::test]
async fn a_new_session_finds_a_player_between_two_servers() {
    let mut land = Land::apart(roomy()).await;
    land.fate(WEST, Fate::Waits);
    land.send_over().await;
    let ticket = land.ticket();
    land.enter(WEST, session(2), ticket);
    land.tick();
    land.fate(WEST, Fate::Comes);
    land.until("the second is in", |land| land.entered(session(2))).await;
    assert!(land.stands_in(&land.east));
    assert_eq!(land.east.players.session(land.anna), Some(session(2)));
    land.leave(WEST, session(1));
    land.tick();
    assert!(land.stands_in(&land.east), "the first one has her no more");
}

#[tokio::test]
async fn a_player_whose_gateway_is_gone_leaves_after_a_while() {
    let mut land = Land::apart(ZoneConfig { orphan_seconds: 1, ..roomy() }).await;
    land.send_over().await;
    land.until("she is east", |land| land.stands_in(&land.east)).await;
    land.peers.gateways.remove(GATEWAY);
    land.until("she is gone", Land::is_deserted).await;
}
