//! A zone server that hangs until its zones were given away, and then wakes up.

use throng::client::Event;
use throng::geometry::Point;
use throng::tick;

use super::deaths::{plays_on, since};
use super::world::{World, tell};
use crate::player::Player;
use crate::server::within;

/// What a zone logs that finds its lease lost.
const GIVES_UP: &str = "WARN zone{zone=1}: throng::zone: another server runs the zone";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_wakes_too_late_gives_up_without_a_word() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.go(-10.0, 30.0).await;
    bob.go(10.0, 30.0).await;
    let asleep = world.home(1).await;
    let before = world.log(asleep).matches(GIVES_UP).count();
    let frozen = tick::now();
    world.freeze(asleep);
    world
        .until("its zone elsewhere", |world, status| {
            status.home(world, 1).filter(|home| *home != asleep)
        })
        .await;
    plays_on(&mut ann).await;
    tell(&format!("SIGSTOP of a zone server: play goes on after {}", since(frozen)));
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    ann.go(at.x, at.y).await;
    ann.pick_up(flower).await.unwrap();
    for player in [&mut ann, &mut bob] {
        player.so_far().await;
        // The fresh view that the zone's new home has brought is there to the last.
        player.sees(player.id).await;
    }

    let woken = tick::now();
    world.thaw(asleep);
    within("its giving up", async {
        while world.log(asleep).matches(GIVES_UP).count() == before {
            // Both play on, and see nothing of it.
            for x in [-12.0, 12.0, -8.0, 8.0] {
                walk_undisturbed(if x < 0.0 { &mut ann } else { &mut bob }, x).await;
            }
        }
    })
    .await;
    tell(&format!("SIGCONT: it gave its zone up after {}", since(woken)));
    assert_ne!(world.home(1).await, asleep, "nobody listens to it");
    assert_eq!(ann.carries("flower").await, 1);
    ann.say("did anything happen?").await.unwrap();
    bob.hears("did anything happen?").await;
}

/// Walks to a place; nothing on the way tells that anything has changed.
async fn walk_undisturbed(player: &mut Player, x: f32) {
    player.move_to(x, 30.0).await.unwrap();
    let (me, name) = (player.id.0, player.name.clone());
    within(&format!("{name} at {x}"), async {
        while player.place().distance(Point { x, y: 30.0 }) > 1.0 {
            let event = player.next().await.unwrap_or_else(|e| panic!("{name}: {e}"));
            let disturbs = match &event {
                Event::Correction(_) | Event::Disconnect(_) => true,
                Event::EntityLeave(leave) => leave.entity_id == me,
                Event::ZoneEnter(zone) => zone.reset,
                _ => false,
            };
            assert!(!disturbs, "{name}: {event:?}");
        }
    })
    .await;
}
