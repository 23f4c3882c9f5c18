//! A zone server that hangs until its zones were given away, and then wakes up; a master that hangs
//! while newcomers come.

use std::time::Duration;

use throng::client::{Client, ClientError, Event};
use throng::geometry::Point;
use throng::proto::ErrorCode;
use throng::tick;

use super::deaths::{plays_on, since};
use super::world::{World, blocking, tell};
use crate::player::{PASSWORD, Player};
use crate::postgres::Cluster;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_master_that_hangs_newcomers_are_told_to_come_again() {
    newcomers_of_a_master_that_hangs("kick").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_they_are_where_log_in_asks_the_master() {
    newcomers_of_a_master_that_hangs("reject").await;
}

/// Whoever plays does not notice; who wants in gets a refusal, and is let in once the master wakes.
async fn newcomers_of_a_master_that_hangs(duplicate: &str) {
    let database = blocking(|| Cluster::shared().database()).await;
    let world = World::start_on(&database, &[], &[("login.duplicate", duplicate)]).await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.go(-10.0, 30.0).await;
    bob.go(10.0, 30.0).await;
    for player in [&mut ann, &mut bob] {
        player.so_far().await;
        player.sees(player.id).await;
    }
    let homes = [world.home(1).await, world.home(2).await, world.home(3).await];
    let mut cid = Client::connect(world.gateway("gateway-1")).await.unwrap();
    cid.register("Cid", PASSWORD).await.unwrap();

    world.freeze("master");
    // At first nobody knows that it hangs; later it is taken for dead.
    for when in ["at once", "later"] {
        let asked = tick::now();
        let refused = comes_in(&mut cid);
        let plays = async {
            for x in [-12.0, 12.0, -8.0, 8.0] {
                walk_undisturbed(if x < 0.0 { &mut ann } else { &mut bob }, x).await;
            }
        };
        let (refused, ()) = tokio::join!(refused, plays);
        let Err(ClientError::Refused { code, retry_after, .. }) = refused else {
            panic!("Cid {when}: {refused:?}");
        };
        assert_eq!(code, ErrorCode::ErrorUnavailable);
        assert!(retry_after.is_some(), "it is said when to come again");
        tell(&format!(
            "SIGSTOP of the master ({duplicate}): a newcomer {when} is refused within {}",
            since(asked)
        ));
        until_taken_for_dead(&world).await;
    }

    let woken = tick::now();
    world.thaw("master");
    within("Cid's entry", async {
        while let Err(error) = comes_in(&mut cid).await {
            assert_eq!(error.code(), Some(ErrorCode::ErrorUnavailable), "{error}");
        }
    })
    .await;
    tell(&format!("SIGCONT: it is let in after {}", since(woken)));
    world
        .until("everything known again", |world, status| {
            let all = ["login", "chat", "gateway-1", "gateway-2", "zone-1", "zone-2"];
            let alive = all.iter().all(|name| status.state(world, name) == Some("alive"));
            (alive && status.players() == 3).then_some(())
        })
        .await;
    tell(&format!("  and it knows everything after {}", since(woken)));
    for x in [-12.0, 12.0, -8.0, 8.0] {
        walk_undisturbed(if x < 0.0 { &mut ann } else { &mut bob }, x).await;
    }
    assert_eq!([world.home(1).await, world.home(2).await, world.home(3).await], homes);
}

async fn comes_in(client: &mut Client) -> Result<(), ClientError> {
    let login = client.login("Cid", PASSWORD).await?;
    client.enter(&login.session_token).await.map(drop)
}

/// Waits until every process says that no master is linked.
async fn until_taken_for_dead(world: &World) {
    for name in ["login", "gateway-1", "gateway-2"] {
        within(&format!("{name}: a master that is gone"), async {
            while world.readiness(name).await.json()["warnings"].is_null() {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        })
        .await;
    }
}
