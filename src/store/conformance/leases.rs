//! Leases: held by one, started by one, renewed by nobody else.

use super::{Database, on_both};
use crate::ids::{Epoch, ServerId};
use crate::store::StoreError;

on_both!(
    a_lease_has_one_holder_and_a_rising_epoch,
    racing_for_a_lease_has_one_winner,
    each_start_of_a_lease_raises_its_epoch,
    a_lease_is_renewed_by_its_own_time_alone,
    a_lease_that_was_ended_is_free,
    racing_to_start_a_lease_gives_each_epoch_once,
);

async fn a_lease_has_one_holder_and_a_rising_epoch(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId((1 << 53) - 1));
    let stale = Err(StoreError::StaleEpoch);
    assert_eq!(store.lease("master", one, 100, 200).await, Ok(Epoch(1)));
    assert_eq!(store.lease("master", other, 150, 250).await, stale);
    assert_eq!(store.lease("master", one, 150, 250).await, Ok(Epoch(1)), "renewed");
    assert_eq!(store.lease("master", other, 200, 300).await, stale, "renewed until 250");
    assert_eq!(store.lease("master", other, 250, 350).await, Ok(Epoch(2)));
    assert_eq!(store.lease("master", one, 300, 400).await, stale, "too late");
    assert_eq!(store.lease("another", one, 300, 400).await, Ok(Epoch(1)));
}

async fn racing_for_a_lease_has_one_winner(database: Database) {
    let store = database.open().await;
    let mut racers = tokio::task::JoinSet::new();
    for server in 1..=20 {
        let store = store.clone();
        racers.spawn(async move { store.lease("master", ServerId(server), 0, 100).await });
    }
    let outcomes = racers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(Epoch(1))).count(), 1);
    let lost = outcomes.iter().filter(|outcome| **outcome == Err(StoreError::StaleEpoch)).count();
    assert_eq!(lost, 19);
}

async fn each_start_of_a_lease_raises_its_epoch(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), None);
    assert_eq!(store.start_lease("zone-1", one, 100, 200).await, Ok(Epoch(1)));
    assert_eq!(store.start_lease("zone-1", one, 100, 200).await, Ok(Epoch(2)), "its own, anew");
    assert_eq!(store.start_lease("zone-1", other, 199, 300).await, Err(StoreError::StaleEpoch));
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((one, Epoch(2))));
    assert_eq!(store.start_lease("zone-1", other, 200, 300).await, Ok(Epoch(3)));
    // Whoever is alone with the store takes it though it lasts.
    assert_eq!(store.start_lease("zone-1", one, u64::MAX, 400).await, Ok(Epoch(4)));
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((one, Epoch(4))));
    assert_eq!(store.start_lease("zone-2", other, 0, 400).await, Ok(Epoch(1)), "each its own");
}

async fn a_lease_is_renewed_by_its_own_time_alone(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    for zone in ["zone-1", "zone-2", "zone-3"] {
        store.start_lease(zone, one, 0, 100).await.unwrap();
    }
    let mine = |epoch| vec![("zone-1".to_owned(), Epoch(epoch))];
    // One that ran out is renewed as long as nobody else has it.
    assert_eq!(store.renew_leases(one, mine(1), 500).await.unwrap(), Vec::<String>::new());
    let stolen = store.start_lease("zone-1", other, 499, 900).await;
    assert_eq!(stolen, Err(StoreError::StaleEpoch), "it was renewed");
    assert_eq!(store.renew_leases(other, mine(1), 900).await.unwrap(), ["zone-1"]);
    assert_eq!(store.start_lease("zone-1", one, 0, 500).await, Ok(Epoch(2)));
    assert_eq!(store.renew_leases(one, mine(1), 900).await.unwrap(), ["zone-1"], "an older time's");
    store.start_lease("zone-2", other, 100, 500).await.unwrap();
    let all = ["zone-1", "zone-2", "zone-3", "zone-4"].map(|zone| (zone.to_owned(), Epoch(1)));
    let lost = store.renew_leases(one, all.into(), 600).await.unwrap();
    assert_eq!(lost, ["zone-1", "zone-2", "zone-4"], "one is renewed although others are lost");
    let free = store.start_lease("zone-3", other, 599, 700).await;
    assert_eq!(free, Err(StoreError::StaleEpoch));
}

async fn a_lease_that_was_ended_is_free(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    store.start_lease("zone-1", one, 0, u64::MAX).await.unwrap();
    store.end_lease("zone-1", other, Epoch(1)).await.unwrap();
    store.end_lease("zone-1", one, Epoch(9)).await.unwrap();
    let held = store.start_lease("zone-1", other, 1_000, 2_000).await;
    assert_eq!(held, Err(StoreError::StaleEpoch), "nobody ends another's");
    store.end_lease("zone-1", one, Epoch(1)).await.unwrap();
    assert_eq!(store.start_lease("zone-1", other, 1_000, 2_000).await, Ok(Epoch(2)));
    store.end_lease("zone-1", one, Epoch(1)).await.unwrap();
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((other, Epoch(2))));
}

async fn racing_to_start_a_lease_gives_each_epoch_once(database: Database) {
    let store = database.open().await;
    // Two processes, as it were: each has its own writer.
    let stores = [store.clone(), database.open().await];
    let mut racers = tokio::task::JoinSet::new();
    for server in 1..=10 {
        let store = stores[server as usize % 2].clone();
        racers.spawn(async move {
            store.start_lease("zone-1", ServerId(server), u64::MAX, 100).await.unwrap().0
        });
    }
    let mut epochs = racers.join_all().await;
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=10).collect::<Vec<_>>());
}
