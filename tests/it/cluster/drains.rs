//! Processes that are asked to stop while players are in the world: they hand over what they have
//! and end well, and their successors take their place, one after the other.

use throng::geometry::Point;
use throng::tick;

use super::deaths::{plays_on, plays_on_at_the_other_gateway, since, until_saved};
use super::world::{World, blocking, tell};
use crate::postgres::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_server_hands_its_zones_over() {
    let database = blocking(|| Cluster::shared().database()).await;
    let mut world = World::start_on(&database, &[], &[]).await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.accept_quest("trophies").await.unwrap();
    ann.go(-4.0, 30.0).await;
    bob.go(4.0, 30.0).await;
    until_saved(&database, &ann, Point { x: -4.0, y: 30.0 }).await;
    let (session, before) =
        (ann.session().unwrap().session_id.clone(), ann.inventory().await.unwrap().items);
    let leaves = world.home(1).await;

    let asked = tick::now();
    world.terminate(leaves);
    let elsewhere = world.until("its zone elsewhere", |world, status| {
        status.home(world, 1).filter(|home| *home != leaves)
    });
    elsewhere.await;
    plays_on(&mut ann).await;
    tell(&format!("SIGTERM of a zone server: play goes on elsewhere after {}", since(asked)));
    assert!(world.ended(leaves).await.success());
    tell(&format!("  and it has ended after {}", since(asked)));

    assert_eq!(ann.session().unwrap().session_id, session, "no log-in, no new session");
    assert_eq!(ann.inventory().await.unwrap().items, before);
    ann.sees_at(ann.id, -4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    plays_on(&mut bob).await;
    ann.attack(bob.id).await.unwrap();
    ann.say("still here").await.unwrap();
    bob.hears("still here").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_sends_its_clients_to_the_other() {
    let mut world = World::start().await;
    let goes = |world: &mut World| world.terminate("gateway-1");
    plays_on_at_the_other_gateway(&mut world, "SIGTERM", goes).await;
    assert!(world.ended("gateway-1").await.success());
}
