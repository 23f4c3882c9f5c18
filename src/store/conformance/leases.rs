//! Leases: held by one, started by one, renewed by nobody else.

use std::time::Duration;

use uuid::Uuid;

use super::{Database, on_both};
use crate::ids::{Epoch, ServerId, TicketUse};
use crate::store::leases::Free;
use crate::store::prune::Prune;
use crate::store::{Store, StoreError};
use crate::tick::{simulated, unix_millis};

on_both!(
    a_lease_has_one_holder_and_a_rising_epoch,
    racing_for_a_lease_has_one_winner,
    each_start_of_a_lease_raises_its_epoch,
    a_lease_is_renewed_by_its_own_time_alone,
    a_lease_that_was_ended_is_free,
    racing_to_start_a_lease_gives_each_epoch_once,
    a_clock_that_is_an_hour_wrong_takes_nothing_and_locks_nothing,
    what_is_in_use_is_not_pruned_by_a_clock_that_is_wrong,
);

/// Longer than any test.
const LONG: Duration = Duration::from_hours(1);
/// Over as soon as it has begun.
const OVER: Duration = Duration::ZERO;
const WHEN_OVER: Free = Free::After(Duration::ZERO);
const STALE: Result<Epoch, StoreError> = Err(StoreError::StaleEpoch);

async fn a_lease_has_one_holder_and_a_rising_epoch(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId((1 << 53) - 1));
    assert_eq!(store.lease("master", one, LONG).await, Ok(Epoch(1)));
    assert_eq!(store.lease("master", other, LONG).await, STALE);
    assert_eq!(store.lease("master", one, OVER).await, Ok(Epoch(1)), "renewed, and over");
    assert_eq!(store.lease("master", other, LONG).await, Ok(Epoch(2)));
    assert_eq!(store.lease("master", one, LONG).await, STALE, "too late");
    assert_eq!(store.lease("another", one, LONG).await, Ok(Epoch(1)));
}

async fn racing_for_a_lease_has_one_winner(database: Database) {
    let store = database.open().await;
    let mut racers = tokio::task::JoinSet::new();
    for server in 1..=20 {
        let store = store.clone();
        racers.spawn(async move { store.lease("master", ServerId(server), LONG).await });
    }
    let outcomes = racers.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(Epoch(1))).count(), 1);
    let lost = outcomes.iter().filter(|outcome| **outcome == STALE).count();
    assert_eq!(lost, 19);
}

async fn each_start_of_a_lease_raises_its_epoch(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), None);
    assert_eq!(store.start_lease("zone-1", one, WHEN_OVER, LONG).await, Ok(Epoch(1)));
    let anew = store.start_lease("zone-1", one, WHEN_OVER, LONG).await;
    assert_eq!(anew, Ok(Epoch(2)), "its own");
    assert_eq!(store.start_lease("zone-1", other, WHEN_OVER, LONG).await, STALE);
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((one, Epoch(2))));
    // It is over, but not for so long.
    let over = vec![("zone-1".to_owned(), Epoch(2))];
    assert_eq!(store.renew_leases(one, over, OVER).await.unwrap(), Vec::<String>::new());
    assert_eq!(store.start_lease("zone-1", other, Free::After(LONG), LONG).await, STALE);
    assert_eq!(store.start_lease("zone-1", other, WHEN_OVER, LONG).await, Ok(Epoch(3)));
    // Whoever is alone with the store takes it though it lasts.
    assert_eq!(store.start_lease("zone-1", one, Free::AtOnce, LONG).await, Ok(Epoch(4)));
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((one, Epoch(4))));
    assert_eq!(
        store.start_lease("zone-2", other, WHEN_OVER, LONG).await,
        Ok(Epoch(1)),
        "each its own"
    );
}

async fn a_lease_is_renewed_by_its_own_time_alone(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    for zone in ["zone-1", "zone-2", "zone-3"] {
        store.start_lease(zone, one, WHEN_OVER, OVER).await.unwrap();
    }
    let mine = |epoch| vec![("zone-1".to_owned(), Epoch(epoch))];
    // One that ran out is renewed as long as nobody else has it.
    assert_eq!(store.renew_leases(one, mine(1), LONG).await.unwrap(), Vec::<String>::new());
    let stolen = store.start_lease("zone-1", other, WHEN_OVER, LONG).await;
    assert_eq!(stolen, STALE, "it was renewed");
    assert_eq!(store.renew_leases(other, mine(1), LONG).await.unwrap(), ["zone-1"]);
    assert_eq!(store.start_lease("zone-1", one, WHEN_OVER, LONG).await, Ok(Epoch(2)));
    assert_eq!(
        store.renew_leases(one, mine(1), LONG).await.unwrap(),
        ["zone-1"],
        "an older time's"
    );
    store.start_lease("zone-2", other, WHEN_OVER, LONG).await.unwrap();
    let all = ["zone-1", "zone-2", "zone-3", "zone-4"].map(|zone| (zone.to_owned(), Epoch(1)));
    let lost = store.renew_leases(one, all.into(), LONG).await.unwrap();
    assert_eq!(lost, ["zone-1", "zone-2", "zone-4"], "one is renewed although others are lost");
    let free = store.start_lease("zone-3", other, WHEN_OVER, LONG).await;
    assert_eq!(free, STALE);
}

async fn a_lease_that_was_ended_is_free(database: Database) {
    let store = database.open().await;
    let (one, other) = (ServerId(1), ServerId(2));
    store.start_lease("zone-1", one, WHEN_OVER, Duration::MAX).await.unwrap();
    store.end_lease("zone-1", other, Epoch(1)).await.unwrap();
    store.end_lease("zone-1", one, Epoch(9)).await.unwrap();
    let held = store.start_lease("zone-1", other, WHEN_OVER, LONG).await;
    assert_eq!(held, STALE, "nobody ends another's");
    store.end_lease("zone-1", one, Epoch(1)).await.unwrap();
    assert_eq!(store.start_lease("zone-1", other, WHEN_OVER, LONG).await, Ok(Epoch(2)));
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
            store.start_lease("zone-1", ServerId(server), Free::AtOnce, LONG).await.unwrap().0
        });
    }
    let mut epochs = racers.join_all().await;
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=10).collect::<Vec<_>>());
}

/// Sets the clock of this thread, which is all of the process but the database, so much off.
fn set_wrong(by_ms: i64) {
    simulated::set(None);
    if by_ms != 0 {
        // A simulation begins at that moment.
        let now = unix_millis().saturating_add_signed(by_ms) - 1_700_000_000_000;
        simulated::set(Some(Duration::from_millis(now)));
    }
}

/// An hour behind, right, an hour ahead; in ms.
const CLOCKS: [i64; 3] = [-3_600_000, 0, 3_600_000];

async fn a_clock_that_is_an_hour_wrong_takes_nothing_and_locks_nothing(database: Database) {
    let store = database.open().await;
    let (half, short) = (Duration::from_mins(30), Duration::from_millis(20));
    let (mut number, one, other) = (0, ServerId(1), ServerId(2));
    for holders in CLOCKS {
        for takers in CLOCKS {
            number += 1;
            let [lives, dies] = ["lives", "dies"].map(|what| format!("{what}-{number}"));
            set_wrong(holders);
            store.start_lease(&lives, one, WHEN_OVER, half).await.unwrap();
            store.start_lease(&dies, one, WHEN_OVER, short).await.unwrap();
            set_wrong(takers);
            let place = format!("held at {holders} ms, taken at {takers} ms");
            assert_eq!(store.start_lease(&lives, other, WHEN_OVER, half).await, STALE, "{place}");
            assert_eq!(store.lease(&lives, other, half).await, STALE, "{place}");
            until_taken(&store, &dies, &place).await;
        }
    }
    set_wrong(0);
}

/// Waits until server 2 has got a lease that nobody renews.
async fn until_taken(store: &Store, name: &str, place: &str) {
    for _ in 0..1_000 {
        if store.start_lease(name, ServerId(2), WHEN_OVER, LONG).await == Ok(Epoch(2)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never free: {place}");
}

async fn what_is_in_use_is_not_pruned_by_a_clock_that_is_wrong(database: Database) {
    let store = database.open().await;
    let ticket = |id, expires_at| TicketUse { id: Uuid::from_u128(id), expires_at };
    let now = unix_millis();
    let (minute, day) = (60_000, 24 * 3_600_000);
    // Given by servers whose clocks are right, an hour behind, and long ago.
    let kept = [ticket(1, now + minute), ticket(2, now - 60 * minute)];
    let old = ticket(3, now - day);
    for ticket in kept.into_iter().chain([old]) {
        store.use_ticket(ticket).await.unwrap();
    }
    set_wrong(30 * day as i64);
    store.write("test", Prune).await.unwrap();
    for ticket in kept {
        assert_eq!(store.use_ticket(ticket).await, Err(StoreError::TicketUsed));
    }
    set_wrong(-30 * day as i64);
    store.write("test", Prune).await.unwrap();
    assert_eq!(store.use_ticket(old).await, Ok(()), "it was forgotten");
    set_wrong(0);
}
