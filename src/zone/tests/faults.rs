//! Calls of the store that break off: for each comes an answer, and the zone goes on.

use std::collections::HashMap;
use std::sync::Mutex;

use super::*;

/// A zone's desk at which the first calls of each kind break off.
fn brittle(store: &Store, faults: usize) -> Desk {
    let (store, broken) = (store.clone(), Mutex::new(HashMap::new()));
    Desk::asking(move |call| {
        let store = store.clone();
        let times = {
            let mut broken = broken.lock().unwrap();
            let times = broken.entry(std::mem::discriminant(&call)).or_insert(0);
            *times += 1;
            *times
        };
        async move {
            assert!(times > faults, "a fault in a call");
            call.make(&store).await
        }
    })
}

#[tokio::test]
async fn a_zone_goes_on_after_calls_of_the_store_that_break_off() {
    let mut land = Land::open().await;
    land.west.saves.sit_at(brittle(&land.store, 1));
    let (first, second) = (land.ticket(), land.ticket());
    land.enter(WEST, session(1), first);
    land.until("the claim is refused", |land| land.refused(session(1)).is_some()).await;
    land.enter(WEST, session(2), second);
    land.until("the next one is not", |land| land.entered(session(2))).await;
    land.walk(WEST, session(2), -9.0);
    let x = |land: &Land| land.west.world.player(land.anna).map_or(0.0, |anna| anna.pose.at.x);
    land.until("she has walked", |land| x(land) < -4.0).await;
    land.west.saves.count(land.anna, "steps", 1);
    land.leave(WEST, session(2));
    land.until("she leaves", |land| land.is_deserted() && land.west.saves.is_idle()).await;
    let saved = land.store.player(land.anna).await.unwrap().unwrap();
    assert!(saved.pose.at.x < -4.0, "a last save that broke off is made again");
}
