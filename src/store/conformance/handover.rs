//! Players that change their owner while they are in the world.

use super::{Database, claimed, on_both, operation};
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, ServerId, ZoneId};
use crate::store::StoreError;
use crate::world::command::{PlayerState, QuestProgress};

on_both!(
    a_player_is_taken_over_with_its_state,
    a_repeated_take_over_is_done_already,
    a_player_is_reclaimed_or_taken_over_but_never_both,
    who_has_left_is_not_taken_over,
    a_claim_ends_what_a_hand_over_knew,
    racing_hand_overs_leave_one_owner,
);

const STALE: Result<Epoch, StoreError> = Err(StoreError::StaleEpoch);

fn next(state: &PlayerState) -> Epoch {
    Epoch(state.epoch.0 + 1)
}

async fn a_player_is_taken_over_with_its_state(database: Database) {
    let store = database.open().await;
    let before = claimed(&store, "Ann").await.state;
    let mut state = PlayerState { zone: ZoneId(2), level: 7, health: 3, ..before.clone() };
    state.pose = Pose { at: Point { x: 9.5, y: -1.5 }, rotation: 45.0 };
    state.gold = 1_000;
    state.quests = vec![QuestProgress { quest: "wolves".into(), done: vec![2], completed: false }];
    assert_eq!(store.take_over(state.clone(), ServerId(2), operation()).await, Ok(next(&before)));
    let saved = store.player(state.id).await.unwrap().unwrap();
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
