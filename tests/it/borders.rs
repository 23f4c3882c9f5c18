//! Walking from zone to zone: nobody loses sight of anybody, and nothing is left behind.

use std::time::Duration;

use throng::client::Event;
use throng::geometry::Point;
use throng::ids::EntityId;
use throng::proto::{ErrorCode, EventKind};
use throng::world::frame::PackedPosition;

use crate::player::{Player, count, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, within};

scenarios![
    nobody_loses_sight_of_who_crosses,
    a_traveller_keeps_what_is_his,
    blows_and_words_pass_over_a_border,
    a_client_that_walks_itself_crosses_without_a_correction,
];

/// Ticks without a new place of somebody who walks; each is 50 ms. A busy machine skips many; a
/// player that is lost at a border does not come back by itself.
const GAP_MAX: u64 = 60;

/// What an observer sees of one who walks.
#[derive(Default)]
struct Sighting {
    last: Option<(u64, Point)>,
    updates: usize,
    /// Zones in which it was seen, each change once.
    zones: Vec<u32>,
    arrived: bool,
}

impl Sighting {
    /// Takes one event in, after the client has.
    fn note(&mut self, observer: &Player, event: &Event, them: EntityId, goal: Point) {
        let seen = observer.view().get(them);
        let seen = seen.unwrap_or_else(|| panic!("{} lost sight at {event:?}", observer.name));
        let Event::SyncPositions(sync) = event else { return };
        let handle = seen.about.handle as u16;
        let of_them = |record: &&u64| PackedPosition(**record).handle().0 == handle;
        if sync.zone_id != seen.about.zone_id || !sync.records.iter().any(|r| of_them(&r)) {
            return;
        }
        let at = seen.newest.at;
        if self.zones.last() != Some(&sync.zone_id) {
            self.zones.push(sync.zone_id);
        }
        if let Some((tick, before)) = self.last {
            let gap = sync.tick.abs_diff(tick);
            assert!(gap <= GAP_MAX, "{}: nothing for {gap} ticks", observer.name);
            let most = (gap + 2) as f32 * 2.0 + 1.0;
            let step = at.distance(before);
            assert!(step <= most, "{}: a jump of {step} m", observer.name);
        }
        self.last = Some((sync.tick, at));
        self.updates += 1;
        self.arrived |= at.distance(goal) < 0.5;
    }
}

/// Watches somebody walk until the goal is reached.
async fn watch(observer: &mut Player, them: EntityId, goal: Point) -> Sighting {
    let mut sighting = Sighting::default();
    within(&format!("{}: the arrival", observer.name.clone()), async {
        while !sighting.arrived {
            let event = observer.next().await.expect("a connection");
            sighting.note(observer, &event, them, goal);
        }
    })
    .await;
    sighting
}

async fn nobody_loses_sight_of_who_crosses(topology: Topology) {
    let server = Server::start(topology);
    let mut west = Player::new(&server, "West").await;
    let mut east = Player::new(&server, "East").await;
    let mut ann = Player::new(&server, "Ann").await;
    let them = ann.id;
    west.go(92.0, 5.0).await;
    east.go(108.0, 5.0).await;
    ann.go(80.0, 0.0).await;
    for watcher in [&mut west, &mut east] {
        watcher.sees_at(them, 80.0, 0.0).await;
    }
    for (x, zones) in [(120.0, [1, 2]), (80.0, [2, 1]), (120.0, [1, 2])] {
        let goal = Point { x, y: 0.0 };
        for player in [&mut west, &mut east, &mut ann] {
            player.so_far().await;
        }
        ann.move_to(goal.x, goal.y).await.unwrap();
        let all = tokio::join!(
            watch(&mut ann, them, goal),
            watch(&mut west, them, goal),
            watch(&mut east, them, goal)
        );
        for sighting in [all.0, all.1, all.2] {
            assert!(sighting.updates >= 5, "{} updates over 40 m", sighting.updates);
            assert_eq!(sighting.zones, zones, "it was followed from zone to zone, once");
        }
    }
}

async fn a_traveller_keeps_what_is_his(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    ann.accept_quest("tour").await.unwrap();
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    ann.use_skill("sprint", None).await.unwrap();
    let gold = ann.inventory().await.unwrap().gold;
    ann.move_to(110.0, 0.0).await.unwrap();
    let zone = ann
        .until("the new zone", |event| match event {
            Event::ZoneEnter(zone) => Some(zone.clone()),
            _ => None,
        })
        .await;
    assert_eq!((zone.zone_id, zone.name.as_str(), zone.pvp), (2, "Arena", true));
    assert!(!zone.reset, "what was in view stays");
    let change = ann.game(EventKind::EventZoneChange, |e| e.to_zone_id == 2).await;
    assert_eq!(change.actor_id, ann.id.0);
    ann.game(EventKind::EventQuestComplete, |e| e.subject == "tour").await;

    let inventory = ann.inventory().await.unwrap();
    assert_eq!(count(&inventory.items, "healing_potion"), 3);
    assert_eq!(inventory.gold, gold);
    let again = refusal(ann.use_skill("sprint", None).await);
    assert_eq!(again, ErrorCode::ErrorCooldown, "pauses go along");
    ann.go(60.0, 0.0).await;
    ann.client.logout().await.unwrap();
    let ann = Player::again(&server, "Ann").await;
    let player = ann.entered.player.clone().unwrap();
    assert_eq!((player.zone_id, player.gold, player.experience), (1, gold, 65));
}

async fn blows_and_words_pass_over_a_border(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    ann.go(97.0, 28.0).await;
    bob.go(105.0, 28.0).await;
    ann.sees_at(bob.id, 105.0, 28.0).await;
    bob.sees(ann.id).await;
    let dummy = ann.nearest("dummy").await;
    assert_eq!(ann.view().get(dummy).unwrap().about.zone_id, 2);
    let blow = ann.attack(dummy).await.unwrap();
    assert_eq!((blow.amount, blow.zone_id), (12, 2));
    bob.game(EventKind::EventPlayerDamage, |e| e.target_id == dummy.0).await;
    ann.go(92.0, 60.0).await;
    assert_eq!(refusal(ann.attack(dummy).await), ErrorCode::ErrorOutOfRange);
    ann.go(97.0, 28.0).await;
    assert_eq!(refusal(bob.attack(ann.id).await), ErrorCode::ErrorNotAllowed, "Ann is in peace");
    ann.say("can you hear me?").await.unwrap();
    bob.hears("can you hear me?").await;
    bob.say("well enough").await.unwrap();
    ann.hears("well enough").await;
}

async fn a_client_that_walks_itself_crosses_without_a_correction(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let me = ann.id;
    ann.go(92.0, 0.0).await;
    for step in 1..=16 {
        // A client moves at its own pace: 0.9 m in 60 ms is 15 m/s of the 40 it may.
        ann.walk(92.0 + step as f32 * 0.9, 0.0, 0.0).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let arrived = |ann: &Player| ann.place().distance(Point { x: 106.4, y: 0.0 }) < 0.1;
    within("the arrival", async {
        while !arrived(&ann) {
            let event = ann.next().await.expect("a connection");
            assert!(!matches!(event, Event::Correction(_)), "{event:?}");
        }
    })
    .await;
    assert_eq!(ann.view().zone().unwrap().zone_id, 2);
    bob.sees_at(me, 106.4, 0.0).await;
    ann.walk(400.0, 0.0, 0.0).await.unwrap();
    let back = ann
        .until("a correction", |event| match event {
            Event::Correction(correction) => Some(correction.clone()),
            _ => None,
        })
        .await;
    assert!((back.x - 106.4).abs() < 0.1, "{back:?}");
}
