//! Players that change their owner while they are in the world.

use std::time::Duration;

use super::{Database, claimed, on_both, operation};
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, ServerId, ZoneId};
use crate::store::handover::ZoneTakeOver;
use crate::store::leases::Free;
use crate::store::{Store, StoreError};
use crate::world::command::{PlayerState, QuestProgress, Timed, Timer};

on_both!(
    a_player_is_taken_over_with_its_state,
    a_repeated_take_over_is_done_already,
    a_player_is_reclaimed_or_taken_over_but_never_both,
    who_has_left_is_not_taken_over,
    a_claim_ends_what_a_hand_over_knew,
    racing_hand_overs_leave_one_owner,
    a_zone_is_taken_over_with_its_lease_and_everybody_in_it,
    a_zone_is_reclaimed_or_taken_over_but_never_both,
);

const STALE: Result<Epoch, StoreError> = Err(StoreError::StaleEpoch);

/// What a player waits for, long enough for any test.
fn waits() -> Vec<Timer> {
    vec![Timer { what: Timed::Skill("dash".into()), left_ms: 3_600_000 }]
}

/// With all the time left again, if it waits for as much as [`waits`] says.
fn timeless(mut state: PlayerState) -> PlayerState {
    let what = |timers: &[Timer]| timers.iter().map(|t| t.what.clone()).collect::<Vec<_>>();
    if what(&state.timers) == what(&waits()) {
        state.timers = waits();
    }
    state
}

fn next(state: &PlayerState) -> Epoch {
    Epoch(state.epoch.0 + 1)
}

async fn a_player_is_taken_over_with_its_state(database: Database) {
    let store = database.open().await;
    let before = claimed(&store, "Ann").await.state;
    let mut state = PlayerState { zone: ZoneId(2), level: 7, health: 3, ..before.clone() };
    state.pose = Pose { at: Point { x: 9.5, y: -1.5 }, rotation: 45.0 };
    state.gold = 1_000;
    state.timers = waits();
    state.quests = vec![QuestProgress { quest: "wolves".into(), done: vec![2], completed: false }];
    assert_eq!(store.take_over(state.clone(), ServerId(2), operation()).await, Ok(next(&before)));
    let saved = timeless(store.player(state.id).await.unwrap().unwrap());
    let expected = PlayerState { epoch: next(&before), gold: 0, ..state };
    assert_eq!(saved, expected, "all but what operations alone change");
    assert_eq!(store.save(vec![before.clone()]).await.unwrap(), [before.id], "too late");
    assert_eq!(store.save(vec![saved]).await.unwrap(), []);
}

async fn a_repeated_take_over_is_done_already(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let handover = operation();
    let taken = Ok(next(&state));
    assert_eq!(store.take_over(state.clone(), ServerId(2), handover).await, taken);
    let later = PlayerState { epoch: next(&state), level: 9, ..state.clone() };
    store.save(vec![later.clone()]).await.unwrap();
    assert_eq!(store.take_over(state.clone(), ServerId(2), handover).await, taken);
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), later, "nothing is set back");
    // Neither another hand-over nor another server is taken for it.
    assert_eq!(store.take_over(state.clone(), ServerId(2), operation()).await, STALE);
    assert_eq!(store.take_over(state, ServerId(3), handover).await, STALE);
}

async fn a_player_is_reclaimed_or_taken_over_but_never_both(database: Database) {
    let store = database.open().await;
    let (source, target) = (ServerId(1), ServerId(2));
    let state = claimed(&store, "Ann").await.state;
    let handover = operation();
    let back = Ok(next(&state));
    assert_eq!(store.reclaim(state.id, state.epoch, source, handover).await, back);
    assert_eq!(store.take_over(state.clone(), target, handover).await, STALE);
    assert_eq!(store.reclaim(state.id, state.epoch, source, handover).await, back, "again");

    let state = store.player(state.id).await.unwrap().unwrap();
    let handover = operation();
    assert_eq!(store.take_over(state.clone(), target, handover).await, Ok(next(&state)));
    assert_eq!(store.reclaim(state.id, state.epoch, source, handover).await, STALE);
}

async fn who_has_left_is_not_taken_over(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    store.release(state.clone()).await.unwrap();
    assert_eq!(store.take_over(state.clone(), ServerId(2), operation()).await, STALE);
    assert_eq!(store.reclaim(state.id, state.epoch, ServerId(1), operation()).await, STALE);
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), state);
    // Who was taken over and has left does not come back by a late repetition.
    let state = store.claim(state.id, ServerId(1), None).await.unwrap().state;
    let handover = operation();
    store.take_over(state.clone(), ServerId(2), handover).await.unwrap();
    store.release(PlayerState { epoch: next(&state), ..state.clone() }).await.unwrap();
    assert_eq!(store.take_over(state, ServerId(2), handover).await, STALE);
}

async fn a_claim_ends_what_a_hand_over_knew(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let handover = operation();
    // The same server gets the player in another way: that is no hand-over.
    store.claim(state.id, ServerId(2), None).await.unwrap();
    assert_eq!(store.take_over(state.clone(), ServerId(2), handover).await, STALE);
    let mut unsound = store.player(state.id).await.unwrap().unwrap();
    unsound.pose.at.y = f32::INFINITY;
    let refused = store.take_over(unsound, ServerId(3), operation()).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
}

async fn racing_hand_overs_leave_one_owner(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    // Two processes, as it were: each has its own writer.
    let stores = [store.clone(), database.open().await];
    let mut racers = tokio::task::JoinSet::new();
    for server in 1..=10 {
        let (store, state) = (stores[server as usize % 2].clone(), state.clone());
        racers.spawn(async move {
            if server % 3 == 0 {
                store.reclaim(state.id, state.epoch, ServerId(server), operation()).await
            } else {
                store.take_over(state, ServerId(server), operation()).await
            }
        });
    }
    let outcomes = racers.join_all().await;
    let won = outcomes.iter().filter(|outcome| **outcome == Ok(next(&state))).count();
    let lost = outcomes.iter().filter(|outcome| **outcome == STALE).count();
    assert_eq!((won, lost), (1, 9));
}

/// Server 1 gives its zone, held since `epoch`, to server 2.
fn zone(epoch: Epoch, players: &[&PlayerState]) -> ZoneTakeOver {
    ZoneTakeOver {
        lease: "zone-1".into(),
        from: (ServerId(1), epoch),
        to: ServerId(2),
        lasts: Duration::from_secs(900),
        handover: operation(),
        players: players.iter().map(|state| (*state).clone()).collect(),
    }
}

async fn may_save(store: &Store, state: &PlayerState, epoch: Epoch) -> bool {
    let saved = store.save(vec![PlayerState { epoch, ..state.clone() }]).await.unwrap();
    saved.is_empty()
}

async fn a_zone_is_taken_over_with_its_lease_and_everybody_in_it(database: Database) {
    let store = database.open().await;
    let lease =
        store.start_lease("zone-1", ServerId(1), Free::AtOnce, Duration::ZERO).await.unwrap();
    let mut ann = claimed(&store, "Ann").await.state;
    let bob = claimed(&store, "Bob").await.state;
    let (gone, left) = (claimed(&store, "Gone").await.state, claimed(&store, "Left").await.state);
    store.claim(gone.id, ServerId(3), None).await.unwrap();
    store.release(left.clone()).await.unwrap();
    ann.level = 7;
    ann.timers = waits();
    ann.quests = vec![QuestProgress { quest: "wolves".into(), done: vec![2], completed: false }];
    let offer = zone(lease, &[&ann, &bob, &gone, &left]);
    let taken = Ok((Epoch(lease.0 + 1), [ann.id, bob.id].into()));
    assert_eq!(store.take_over_zone(offer.clone()).await, taken);
    assert_eq!(store.lease_holder("zone-1").await.unwrap(), Some((ServerId(2), Epoch(2))));
    let saved = timeless(store.player(ann.id).await.unwrap().unwrap());
    assert_eq!(saved, PlayerState { epoch: next(&ann), ..ann.clone() });
    assert!(!may_save(&store, &bob, bob.epoch).await && may_save(&store, &bob, next(&bob)).await);
    assert!(may_save(&store, &gone, next(&gone)).await, "another's stays another's");
    assert!(!may_save(&store, &left, left.epoch).await, "who has left stays away");

    // Its answer was lost: it is done again, and nothing is set back.
    let grown = PlayerState { epoch: next(&ann), level: 8, ..ann.clone() };
    store.save(vec![grown.clone()]).await.unwrap();
    assert_eq!(store.take_over_zone(offer.clone()).await, taken);
    assert_eq!(timeless(store.player(ann.id).await.unwrap().unwrap()), grown);
    let stale = Err(StoreError::StaleEpoch);
    assert_eq!(store.take_over_zone(ZoneTakeOver { to: ServerId(4), ..offer }).await, stale);
    assert_eq!(store.take_over_zone(zone(Epoch(9), &[&grown])).await, stale);
    assert!(may_save(&store, &ann, next(&ann)).await);
    assert_eq!(store.take_over_zone(zone(Epoch(1), &[])).await, Ok((Epoch(2), [].into())));
}

async fn a_zone_is_reclaimed_or_taken_over_but_never_both(database: Database) {
    let store = database.open().await;
    let one = ServerId(1);
    let lease = store.start_lease("zone-1", one, Free::AtOnce, Duration::ZERO).await.unwrap();
    let ann = claimed(&store, "Ann").await.state;
    let back = Ok(Epoch(lease.0 + 1));
    assert_eq!(store.reclaim_lease("zone-1", one, lease, Duration::ZERO).await, back);
    assert_eq!(store.reclaim_lease("zone-1", one, lease, Duration::ZERO).await, back, "again");
    let late = store.take_over_zone(zone(lease, &[&ann])).await;
    assert_eq!(late, Err(StoreError::StaleEpoch));
    assert!(may_save(&store, &ann, ann.epoch).await, "nothing was taken");
    let lost =
        store.renew_leases(one, vec![("zone-1".into(), Epoch(lease.0 + 1))], Duration::ZERO).await;
    assert_eq!(lost.unwrap(), Vec::<String>::new());

    let lease = Epoch(lease.0 + 1);
    let taken = Ok((Epoch(lease.0 + 1), [ann.id].into()));
    assert_eq!(store.take_over_zone(zone(lease, &[&ann])).await, taken);
    assert_eq!(store.reclaim_lease("zone-1", one, lease, Duration::ZERO).await, STALE);
}
