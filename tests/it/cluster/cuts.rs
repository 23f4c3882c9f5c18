//! Wires that break while nobody dies: between a gateway and a zone server, a zone server and the
//! master, two zone servers whose players cross. Bots play all the while, and the ledger is read at
//! the end.

use std::time::Duration;

use throng::tick;

use super::conservation::{Crowd, check, nobody_logged_in_again};
use super::deaths::{plays_on, since};
use super::wires::Wires;
use super::world::{World, blocking, tell};
use crate::player::Player;
use crate::postgres::Cluster;
use crate::server::within;

/// A break that heals before anybody is taken for dead.
const BRIEF: Duration = Duration::from_secs(1);
/// One in which a zone that offers a player hears nothing for so long that it asks the store.
const LONG: Duration = Duration::from_secs(3);
/// What a link says that has heard no heartbeat.
const SILENT: &str = "nothing was heard for";
/// How many bots play.
const BOTS: usize = 8;

/// A cluster with its wires, with bots at play in it.
struct Scene {
    world: World,
    wires: Wires,
    database: String,
    crowd: Crowd,
}

impl Scene {
    async fn set() -> Self {
        let database = blocking(|| Cluster::shared().database()).await;
        let (world, wires) = World::start_wired(&database).await;
        let crowd = Crowd::gather(&world, BOTS, 1).await;
        Self { world, wires, database, crowd }
    }

    /// Waits until the zone servers together have each player once: the bots, and those besides.
    async fn each_is_in_one_zone(&self, besides: &[&Player]) {
        let all = (BOTS + besides.len()) as u64;
        within("everybody in one zone", async {
            while self.world.bodies().await != all {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        })
        .await;
    }

    /// The players beside the bots leave, then the bots: nothing is lost or doubled, and nobody had
    /// to log in again.
    async fn end(self, besides: Vec<Player>) {
        for player in besides {
            player.client.logout().await.expect("a connection");
        }
        let records = self.crowd.disperse(&self.world).await;
        check(&self.database, &records).await;
        nobody_logged_in_again(&records);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_and_a_zone_server_lose_each_other_for_a_moment() {
    let scene = Scene::set().await;
    let Scene { world, wires, .. } = &scene;
    let mut ann = world.player("gateway-1", "Ann").await;
    let session = ann.session().unwrap().session_id.clone();
    for zone in ["zone-1", "zone-2"] {
        wires.cut("gateway-1", zone);
        tokio::time::sleep(BRIEF).await;
        wires.mend();
        let mended = tick::now();
        // Either side of the border.
        for x in [-5.0, 5.0] {
            walks(&mut ann, x).await;
            plays_on(&mut ann).await;
        }
        tell(&format!(
            "gateway-1 and {zone} cut for 1 s: played over both after {}",
            since(mended)
        ));
    }
    assert_eq!(ann.session().unwrap().session_id, session);
    scene.each_is_in_one_zone(&[&ann]).await;
    scene.end(vec![ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_one_way_vanishes_until_heartbeats_notice() {
    let scene = Scene::set().await;
    let Scene { world, wires, .. } = &scene;
    let mut ann = world.player("gateway-1", "Ann").await;
    ann.go(-5.0, 30.0).await;
    let zone = world.home(1).await;
    for (from, to) in [("gateway-1", zone), (zone, "gateway-1")] {
        let before = world.log(to).matches(SILENT).count();
        let broken = tick::now();
        wires.swallow(from, to);
        within("that it is noticed", async {
            while world.log(to).matches(SILENT).count() == before {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        })
        .await;
        wires.mend();
        tell(&format!("{from} to {to} swallowed: noticed after {}", since(broken)));
        let mended = tick::now();
        plays_on(&mut ann).await;
        tell(&format!("  played on {} later", since(mended)));
        walks(&mut ann, -8.0).await;
        walks(&mut ann, -5.0).await;
    }
    scene.each_is_in_one_zone(&[&ann]).await;
    scene.end(vec![ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_server_without_the_master_keeps_its_zones_by_their_leases() {
    let scene = Scene::set().await;
    let Scene { world, wires, .. } = &scene;
    let mut ann = world.player("gateway-1", "Ann").await;
    walks(&mut ann, -5.0).await;
    let (away, other) = (world.home(1).await, world.home(2).await);
    let refused = "another server runs the zone";
    let before = world.log(other).matches(refused).count();
    let broken = tick::now();
    wires.cut(away, "master");
    let dead = world.until("that it is taken for dead", |world, status| {
        (status.state(world, away) == Some("dead")).then_some(())
    });
    dead.await;
    tell(&format!("{away} is cut from the master: taken for dead after {}", since(broken)));
    // The other one is to run the zone, and the store does not give it the lease.
    within("that the lease is refused", async {
        while world.log(other).matches(refused).count() == before {
            walks(&mut ann, -8.0).await;
            walks(&mut ann, -5.0).await;
        }
    })
    .await;
    tell(&format!("  the other has tried to take its zone after {}", since(broken)));
    scene.each_is_in_one_zone(&[&ann]).await;
    wires.mend();
    let mended = tick::now();
    let whole = world.until("its return", |world, status| {
        let back = status.state(world, away) == Some("alive");
        let all = status.players() == BOTS as u64 + 1;
        (back && all && status.home(world, 1) == Some(away)).then_some(())
    });
    whole.await;
    tell(&format!("  the master knows it again {} after", since(mended)));
    plays_on(&mut ann).await;
    scene.each_is_in_one_zone(&[&ann]).await;
    scene.end(vec![ann]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_crosses_a_border_when_the_wire_breaks_is_on_one_side_of_it() {
    let scene = Scene::set().await;
    let Scene { world, wires, .. } = &scene;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    bob.go(-8.0, 35.0).await;
    let (west, east) = (world.home(1).await, world.home(2).await);
    for (number, length) in [BRIEF, LONG, BRIEF, LONG].into_iter().enumerate() {
        walks(&mut ann, -2.0).await;
        match number {
            0 | 1 => wires.cut(west, east),
            // What is offered vanishes, and then what is answered.
            2 => wires.swallow(west, east),
            _ => wires.swallow(east, west),
        }
        ann.move_to(5.0, 30.0).await.unwrap();
        tokio::time::sleep(length).await;
        wires.mend();
        let mended = tick::now();
        walks(&mut ann, 5.0).await;
        plays_on(&mut ann).await;
        bob.sees_at(ann.id, 5.0, 30.0).await;
        tell(&format!(
            "zone servers broken ({number}) for {length:?}: across {} later",
            since(mended)
        ));
        scene.each_is_in_one_zone(&[&ann, &bob]).await;
    }
    plays_on(&mut bob).await;
    scene.end(vec![ann, bob]).await;
}

/// Walks to a place, and sets out anew whenever it was stopped on the way.
async fn walks(player: &mut Player, x: f32) {
    let name = player.name.clone();
    within(&format!("{name} at {x}"), async {
        loop {
            player.move_to(x, 30.0).await.unwrap_or_else(|e| panic!("{name}: {e}"));
            let there = player.sees_at(player.id, x, 30.0);
            if tokio::time::timeout(Duration::from_secs(1), there).await.is_ok() {
                return;
            }
        }
    })
    .await;
}
