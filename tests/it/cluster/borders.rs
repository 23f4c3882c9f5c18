//! The border between two zones on different servers, with players who come in by different
//! gateways: they see, hear, hit and heal each other over it.

use throng::client::Event;
use throng::geometry::Point;
use throng::ids::EntityId;
use throng::proto::{ErrorCode, EventKind};

use super::world::World;
use crate::player::{Player, refusal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_meet_over_a_border_between_servers() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.go(-4.0, 30.0).await;
    bob.go(4.0, 30.0).await;
    ann.sees_at(bob.id, 4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    assert_eq!(zone_of(&ann, bob.id), 2);
    assert_eq!(zone_of(&bob, ann.id), 1);

    ann.say("can you hear me?").await.unwrap();
    bob.hears("can you hear me?").await;
    bob.say("well enough").await.unwrap();
    ann.hears("well enough").await;

    let blow = ann.attack(bob.id).await.unwrap();
    assert!(blow.amount > 0 && blow.zone_id == 2, "the target's owner decides: {blow:?}");
    let them = bob.id.0;
    let damage = bob.game(EventKind::EventPlayerDamage, |event| event.target_id == them).await;
    let left = damage.remaining;
    let max = bob.view().me().expect("Bob").max_health;
    assert_eq!(left, max - blow.amount);
    let answer = bob.attack(ann.id).await.unwrap();
    assert!(answer.amount > 0 && answer.zone_id == 1, "{answer:?}");

    let healing = ann.use_skill("mend", Some(bob.id)).await.unwrap();
    assert!(healing.amount > 0, "what Bob has lost comes back: {healing:?}");
    bob.until_view("health again", |client| client.view().me().is_some_and(|me| me.health > left))
        .await;
    ann.go(-30.0, 30.0).await;
    bob.sees_at(ann.id, -30.0, 30.0).await;
    assert_eq!(refusal(bob.attack(ann.id).await), ErrorCode::ErrorOutOfRange);

    ann.go(-4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    ann.kill(bob.id).await;
    let (me, home) = (bob.id, Point { x: 20.0, y: 0.0 });
    bob.until_view("life again at the spawn", |client| {
        let alive = client.view().me().is_some_and(|me| me.health > 0);
        alive && client.view().get(me).is_some_and(|seen| seen.newest.at.distance(home) < 5.0)
    })
    .await;
}

/// The zone in which somebody is seen.
fn zone_of(observer: &Player, them: EntityId) -> u32 {
    observer.view().get(them).expect("in view").about.zone_id
}

/// How often somebody walks over the border.
const CROSSINGS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_traveller_is_told_of_each_crossing_once() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    ann.go(-1.0, 30.0).await;
    for number in 0..CROSSINGS {
        let (x, to) = if number % 2 == 0 { (1.0, 2) } else { (-1.0, 1) };
        ann.move_to(x, 30.0).await.unwrap();
        let me = ann.id.0;
        ann.game(EventKind::EventZoneChange, |event| event.to_zone_id == to).await;
        ann.sees_at(ann.id, x, 30.0).await;
        let again = ann.so_far().await.into_iter().any(|event| {
            matches!(&event, Event::Game(event)
                if event.kind() == EventKind::EventZoneChange && event.actor_id == me)
        });
        assert!(!again, "crossing {number} is told twice");
    }
}
