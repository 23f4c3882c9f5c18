//! Ownership and saves.

use uuid::Uuid;

use super::{Database, claimed, on_both, operation, player};
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, ServerId, TicketUse, ZoneId};
use crate::store::StoreError;
use crate::world::command::{
    Change, CommitRefusal, Operation, PlayerState, QuestProgress, Timed, Timer,
};

on_both!(
    a_save_comes_back_as_it_was,
    what_one_waits_for_comes_back_with_the_time_away_taken_off,
    each_claim_has_a_newer_epoch_and_ends_the_last_one,
    racing_claims_leave_one_owner,
    a_ticket_works_once,
    a_failed_claim_does_not_use_the_ticket_up,
    a_released_player_is_not_saved_any_more,
    a_save_never_takes_a_quest_back,
    a_save_changes_neither_items_nor_gold,
    many_players_are_saved_at_once,
    numbers_as_large_as_they_get_come_back,
);

fn quest(name: &str, done: &[u32], completed: bool) -> QuestProgress {
    QuestProgress { quest: name.into(), done: done.to_vec(), completed }
}

async fn a_save_comes_back_as_it_was(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    state.zone = ZoneId(65_535);
    state.pose = Pose { at: Point { x: -65_536.0, y: 0.1 }, rotation: 359.99 };
    (state.level, state.experience, state.health, state.power) = (7, 12_345, 0, 9);
    state.quests = vec![quest("herbs", &[1, 0, 3], false), quest("wolves", &[], true)];
    assert_eq!(store.save(vec![state.clone()]).await.unwrap(), []);
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), state);

    state.quests[0].done = vec![2, 2, 3];
    store.release(state.clone()).await.unwrap();
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), state);
}

/// What has not ended, with how much less is left than there was.
fn passed(state: &PlayerState, of_ms: u64) -> Vec<(Timed, u64)> {
    state.timers.iter().map(|timer| (timer.what.clone(), of_ms - timer.left_ms)).collect()
}

async fn what_one_waits_for_comes_back_with_the_time_away_taken_off(database: Database) {
    const HOUR: u64 = 3_600_000;
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    assert_eq!(state.timers, [], "a new character waits for nothing");
    let waits = [Timed::Skill("sprint".into()), Timed::Fight, Timed::Haste(1_600)];
    let waiting = |left_ms: u64| waits.clone().map(|what| Timer { what, left_ms }).to_vec();
    let began = crate::tick::now();
    state.timers = waiting(HOUR);
    state.timers.push(Timer { what: Timed::Attack, left_ms: 0 });
    assert_eq!(store.save(vec![state.clone()]).await.unwrap(), []);
    let saved = store.player(state.id).await.unwrap().unwrap();
    let most = began.elapsed().as_millis() as u64 + 1_000;
    let kept = passed(&saved, HOUR);
    assert_eq!(kept.iter().map(|(what, _)| what.clone()).collect::<Vec<_>>(), waits);
    assert!(kept.iter().all(|(_, gone)| *gone <= most), "{kept:?} within {most} ms");

    state.timers = waiting(2 * HOUR);
    store.release(state.clone()).await.unwrap();
    let claim = store.claim(state.id, ServerId(2), None).await.unwrap().state;
    assert_eq!(passed(&claim, 2 * HOUR).len(), waits.len(), "a claim has them too");
    store.release(PlayerState { timers: vec![], ..claim.clone() }).await.unwrap();
    assert_eq!(store.player(claim.id).await.unwrap().unwrap().timers, []);
}

async fn each_claim_has_a_newer_epoch_and_ends_the_last_one(database: Database) {
    let store = database.open().await;
    let old = claimed(&store, "Ann").await.state;
    let new = store.claim(old.id, ServerId(2), None).await.unwrap().state;
    assert_eq!(new.epoch, Epoch(old.epoch.0 + 1));

    let late = PlayerState { level: 99, ..old.clone() };
    assert_eq!(store.save(vec![late.clone()]).await.unwrap(), [old.id]);
    assert_eq!(store.release(late).await, Err(StoreError::StaleEpoch));
    let grant = Change::Grant { items: vec![], gold: 5, quest: None };
    let late = Operation { id: operation(), player: old.id, epoch: old.epoch, change: grant };
    assert_eq!(store.commit(late).await, Err(CommitRefusal::StaleEpoch));
    assert_eq!(store.player(old.id).await.unwrap().unwrap(), new);
    assert_eq!(store.save(vec![new]).await.unwrap(), []);
}

async fn racing_claims_leave_one_owner(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann").await;
    // Two processes, as it were: each has its own writer.
    let stores = [store.clone(), database.open().await];
    let mut racers = tokio::task::JoinSet::new();
    for server in 1..=10 {
        let store = stores[server as usize % 2].clone();
        racers.spawn(async move { store.claim(ann, ServerId(server), None).await });
    }
    let claims: Vec<_> = racers.join_all().await.into_iter().map(Result::unwrap).collect();
    let mut epochs: Vec<u64> = claims.iter().map(|claim| claim.state.epoch.0).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=10).collect::<Vec<_>>(), "each its own");
    for claim in claims {
        let stale = store.save(vec![claim.state.clone()]).await.unwrap();
        assert_eq!(stale.is_empty(), claim.state.epoch == Epoch(10), "only the newest may save");
    }
}

async fn a_ticket_works_once(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann").await;
    let ticket = Some(TicketUse { id: Uuid::from_u128(9), expires_at: 60_000 });
    let first = store.claim(ann, ServerId(1), ticket).await.unwrap();
    assert_eq!(store.claim(ann, ServerId(2), ticket).await, Err(StoreError::TicketUsed));
    assert_eq!(store.player(ann).await.unwrap().unwrap().epoch, first.state.epoch);
    assert_eq!(store.save(vec![first.state]).await.unwrap(), []);
    let other = TicketUse { id: Uuid::from_u128(10), expires_at: 60_000 };
    assert!(store.claim(ann, ServerId(2), Some(other)).await.is_ok());
    assert_eq!(store.use_ticket(other).await, Err(StoreError::TicketUsed));
    let unclaimed = TicketUse { id: Uuid::from_u128(11), expires_at: 60_000 };
    store.use_ticket(unclaimed).await.unwrap();
    let late = store.claim(ann, ServerId(3), Some(unclaimed)).await;
    assert_eq!(late, Err(StoreError::TicketUsed));
}

async fn a_failed_claim_does_not_use_the_ticket_up(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann").await;
    let ticket = Some(TicketUse { id: Uuid::from_u128(9), expires_at: 60_000 });
    let nobody = crate::ids::PlayerId(404);
    assert_eq!(store.claim(nobody, ServerId(1), ticket).await, Err(StoreError::NotFound));
    assert!(store.claim(ann, ServerId(1), ticket).await.is_ok());
}

async fn a_released_player_is_not_saved_any_more(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let last = PlayerState { level: 5, ..state.clone() };
    store.release(last.clone()).await.unwrap();
    // A periodic save that was overtaken by the release holds an older state.
    assert_eq!(store.save(vec![state.clone()]).await.unwrap(), [state.id]);
    assert_eq!(store.player(state.id).await.unwrap().unwrap().level, 5);
    // A release whose answer was lost is sent again.
    store.release(last).await.unwrap();
}

async fn a_save_never_takes_a_quest_back(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    let change = Change::Grant { items: vec![], gold: 10, quest: Some(("wolves".into(), 0)) };
    let reward = Operation { id: operation(), player: state.id, epoch: state.epoch, change };
    store.commit(reward).await.unwrap();
    state.quests = vec![quest("wolves", &[2], false)];
    assert_eq!(store.save(vec![state.clone()]).await.unwrap(), []);
    let saved = store.player(state.id).await.unwrap().unwrap();
    assert_eq!(saved.quests.len(), 1);
    assert!(saved.quests[0].completed);
    store.release(state.clone()).await.unwrap();
    assert!(store.player(state.id).await.unwrap().unwrap().quests[0].completed);
}

async fn a_save_changes_neither_items_nor_gold(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    let items = vec![("potion".into(), 3, true)];
    let change = Change::Grant { items, gold: 10, quest: None };
    let grant = Operation { id: operation(), player: state.id, epoch: state.epoch, change };
    let receipt = store.commit(grant).await.unwrap();
    state.gold = 1_000_000;
    state.inventory.clear();
    store.save(vec![state.clone()]).await.unwrap();
    store.release(state.clone()).await.unwrap();
    let saved = store.player(state.id).await.unwrap().unwrap();
    assert_eq!((saved.gold, saved.inventory), (10, receipt.stacks));
}

async fn many_players_are_saved_at_once(database: Database) {
    let store = database.open().await;
    let mut making = tokio::task::JoinSet::new();
    for number in 0..1_100 {
        let store = store.clone();
        making.spawn(async move { claimed(&store, &format!("Player_{number}")).await.state });
    }
    let mut states = making.join_all().await;
    for state in &mut states {
        state.level = state.id.0 as u32;
        state.quests = vec![quest("wolves", &[state.level], false)];
    }
    let stolen = states[550].id;
    store.claim(stolen, ServerId(2), None).await.unwrap();
    // Named twice: the last one counts.
    states.push(PlayerState { level: 77, ..states[0].clone() });

    assert_eq!(store.save(states.clone()).await.unwrap(), [stolen]);
    states[0].level = 77;
    for state in &states[..1_100] {
        let saved = store.player(state.id).await.unwrap().unwrap();
        if state.id == stolen {
            assert_eq!((saved.level, saved.quests.len()), (1, 0));
        } else {
            assert_eq!((saved.level, &saved.quests), (state.level, &state.quests));
        }
    }
}

async fn numbers_as_large_as_they_get_come_back(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    (state.level, state.health, state.power) = (u32::MAX, u32::MAX, u32::MAX);
    state.experience = u64::MAX;
    assert_eq!(store.save(vec![state.clone()]).await.unwrap(), []);
    state.experience = i64::MAX as u64;
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), state);

    // What is no number stands nowhere, and does not spoil the others' saves.
    let mut lost = claimed(&store, "Bob").await.state;
    lost.pose.at.x = f32::NAN;
    assert_eq!(store.save(vec![lost.clone(), state]).await.unwrap(), []);
    store.release(lost.clone()).await.unwrap();
    assert_eq!(store.player(lost.id).await.unwrap().unwrap().pose.at.x, 1.25);
}
