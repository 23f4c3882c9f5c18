//! Processes that hang and wake up again: a zone server, until its zones were given away; a gateway,
//! until its clients went on elsewhere; a master while newcomers come; chat and login.

use std::time::Duration;

use throng::client::{Client, ClientError, Event};
use throng::geometry::Point;
use throng::proto::{ChatChannel, ErrorCode};
use throng::tick;

use super::deaths::{
    OF_FRIENDS, arrives, befriend, plays_on, plays_on_at_the_other_gateway, since,
};
use super::world::{World, blocking, tell};
use crate::player::{PASSWORD, Player, refusal};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_gateway_that_hangs_go_on_at_the_other_and_its_waking_troubles_nobody() {
    let mut world = World::start().await;
    let (mut ann, mut bob) =
        plays_on_at_the_other_gateway(&mut world, "SIGSTOP", |world| world.freeze("gateway-1"))
            .await;
    // Whoever is disturbed from here on fails the test.
    ann.set_recovery(None);
    let woken = tick::now();
    world.thaw("gateway-1");
    within("that it knows how long it was away", async {
        while !world.log("gateway-1").contains("the gateway stood still") {
            plays_on(&mut ann).await;
        }
    })
    .await;
    world
        .until("both of them, once, and the gateway", |world, status| {
            let back = status.state(world, "gateway-1") == Some("alive");
            (back && status.players() == 2).then_some(())
        })
        .await;
    tell(&format!("SIGCONT of a gateway: it is one of the cluster again after {}", since(woken)));
    let mut cid = world.player("gateway-1", "Cid").await;
    for player in [&mut ann, &mut bob, &mut cid] {
        plays_on(player).await;
    }
    ann.say("did anything happen?").await.unwrap();
    bob.hears("did anything happen?").await;
    within("each in one zone", async {
        while world.bodies().await != 3 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_and_login_that_hang_are_missed_and_go_on_when_they_wake() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    befriend(&mut ann, &mut bob).await;
    for name in ["chat", "login"] {
        world.freeze(name);
    }
    for gateway in ["gateway-1", "gateway-2"] {
        within(&format!("{gateway}: a word on both"), async {
            loop {
                let told = world.readiness(gateway).await;
                // A warning: all else goes on, and players must be able to come in.
                assert_eq!(told.status, 200, "{gateway}: {}", told.body);
                let is_missed = |role| told.body.contains(&format!("no {role} server is linked"));
                if ["chat", "login"].into_iter().all(is_missed) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        })
        .await;
    }
    ann.say("near words need no chat role").await.unwrap();
    bob.hears("near words need no chat role").await;
    let refused = refusal(ann.chat(ChatChannel::ChatGuild, "", "is anybody there?").await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    let mut stranger = Client::connect(world.gateway("gateway-2")).await.unwrap();
    assert_eq!(refusal(stranger.login("Ann", PASSWORD).await), ErrorCode::ErrorUnavailable);

    let woken = tick::now();
    for name in ["chat", "login"] {
        world.thaw(name);
    }
    for (channel, target) in OF_FRIENDS {
        arrives(&mut ann, &mut bob, channel, target).await;
        arrives(&mut bob, &mut ann, channel, target).await;
    }
    tell(&format!("SIGCONT of chat: guild and room are as before after {}", since(woken)));
    within("a log-in", async {
        let mut cid = Client::connect(world.gateway("gateway-2")).await.unwrap();
        while let Err(error) = cid.register("Cid", PASSWORD).await {
            assert_eq!(error.code(), Some(ErrorCode::ErrorUnavailable), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    tell(&format!("SIGCONT of login: a registration works after {}", since(woken)));
}
