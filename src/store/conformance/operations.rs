//! Changes of value and statistics: once each, all or nothing.

use super::{Database, claimed, on_both, operation};
use crate::ids::{Epoch, ItemId, Key, OperationId, PlayerId};
use crate::limits::{INVENTORY_MAX, STACK_MAX};
use crate::store::Store;
use crate::store::connection::{Connection, values};
use crate::store::failure::Failure;
use crate::store::job::Write;
use crate::store::prune::{KEEP_OPERATIONS, Prune};
use crate::tick::unix_millis;
use crate::world::command::{
    Change, CommitRefusal, Operation, PlayerState, QuestProgress, Receipt,
};

on_both!(
    a_repeated_grant_gets_the_first_receipt,
    a_refused_operation_is_judged_anew,
    a_thousand_commits_at_once_are_each_applied_once,
    a_full_inventory_takes_nothing_of_a_grant,
    items_can_only_be_taken_from_their_owner,
    a_quest_is_rewarded_once_whatever_the_operation,
    a_reward_that_does_not_fit_leaves_the_quest_open,
    a_quest_given_up_may_be_begun_anew,
    gold_does_not_overflow,
    an_operation_finds_its_outcome_after_a_change_of_owner,
    old_outcomes_are_forgotten_and_rewards_are_not,
    counters_add_up_once_per_operation,
    counting_at_once_loses_nothing,
);

pub(super) fn items(kind: &str, quantity: u32) -> Vec<(Key, u32, bool)> {
    vec![(kind.into(), quantity, true)]
}

pub(super) fn grant(items: Vec<(Key, u32, bool)>, gold: u64) -> Change {
    Change::Grant { items, gold, quest: None }
}

pub(super) fn of(state: &PlayerState, change: Change) -> Operation {
    Operation { id: operation(), player: state.id, epoch: state.epoch, change }
}

/// Kind and quantity of each stack.
pub(super) async fn held(store: &Store, player: PlayerId) -> Vec<(String, u32)> {
    let state = store.player(player).await.unwrap().unwrap();
    state.inventory.iter().map(|stack| (stack.kind.to_string(), stack.quantity)).collect()
}

async fn a_repeated_grant_gets_the_first_receipt(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let first = of(&ann, grant(items("pelt", 2), 7));
    let receipt = store.commit(first.clone()).await.unwrap();
    assert_eq!((receipt.gold, receipt.stacks[0].quantity), (7, 2));
    let second = store.commit(of(&ann, grant(items("pelt", 1), 1))).await.unwrap();
    assert_eq!((second.gold, second.stacks[0].quantity), (8, 3));
    assert_eq!(second.stacks[0].id, receipt.stacks[0].id, "one stack");
    assert_eq!(store.commit(first).await.unwrap(), receipt);
    assert_eq!(held(&store, ann.id).await, [("pelt".to_owned(), 3)]);
}

async fn a_refused_operation_is_judged_anew(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let eat = of(&ann, Change::Consume { item: ItemId(1), quantity: 1 });
    assert_eq!(store.commit(eat.clone()).await, Err(CommitRefusal::NotThere));
    let receipt = store.commit(of(&ann, grant(items("bread", 1), 0))).await.unwrap();
    let eat =
        Operation { change: Change::Consume { item: receipt.stacks[0].id, quantity: 1 }, ..eat };
    let eaten = store.commit(eat.clone()).await;
    assert!(eaten.is_ok(), "the refusal has changed nothing: {eaten:?}");
    assert_eq!(store.commit(eat).await, eaten, "and from then on it is done");
    assert_eq!(held(&store, ann.id).await, []);
}

async fn a_thousand_commits_at_once_are_each_applied_once(database: Database) {
    let store = database.open().await;
    let mut players = Vec::new();
    for number in 0..10 {
        players.push(claimed(&store, &format!("Player_{number}")).await.state);
    }
    // Two processes, as it were: each has its own writer.
    let stores = [store.clone(), database.open().await];
    let mut commits = tokio::task::JoinSet::new();
    for number in 0..1_000 {
        let operation = of(&players[number % 10], grant(items("pelt", 1), 2));
        // Every third is sent twice at once, as after a lost answer.
        for copy in 0..if number % 3 == 0 { 2 } else { 1 } {
            let store = stores[(number + copy) % 2].clone();
            let operation = operation.clone();
            commits.spawn(async move { store.commit(operation).await });
        }
    }
    for outcome in commits.join_all().await {
        outcome.unwrap();
    }
    for state in players {
        assert_eq!(held(&store, state.id).await, [("pelt".to_owned(), 100)]);
        assert_eq!(store.player(state.id).await.unwrap().unwrap().gold, 200);
    }
}

async fn a_full_inventory_takes_nothing_of_a_grant(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let swords = vec![("sword".into(), INVENTORY_MAX as u32 - 1, false)];
    store.commit(of(&ann, grant(swords, 0))).await.unwrap();
    let two_kinds = vec![("pelt".into(), 1, true), ("bread".into(), 1, true)];
    let refused = store.commit(of(&ann, grant(two_kinds, 50))).await;
    assert_eq!(refused, Err(CommitRefusal::Full));
    let state = store.player(ann.id).await.unwrap().unwrap();
    assert_eq!((state.inventory.len(), state.gold), (INVENTORY_MAX - 1, 0));

    store.commit(of(&ann, grant(items("pelt", STACK_MAX), 0))).await.unwrap();
    let refused = store.commit(of(&ann, grant(items("pelt", 1), 0))).await;
    assert_eq!(refused, Err(CommitRefusal::Full));
    store.commit(of(&ann, grant(vec![], 1))).await.unwrap();
}

async fn items_can_only_be_taken_from_their_owner(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (claimed(&store, "Ann").await.state, claimed(&store, "Bob").await.state);
    let receipt = store.commit(of(&ann, grant(items("bread", 3), 5))).await.unwrap();
    let bread = receipt.stacks[0].clone();
    let eat = |quantity| Change::Consume { item: bread.id, quantity };
    assert_eq!(store.commit(of(&bob, eat(1))).await, Err(CommitRefusal::NotThere));
    assert_eq!(store.commit(of(&ann, eat(4))).await, Err(CommitRefusal::NotThere));

    let receipt = store.commit(of(&ann, eat(1))).await.unwrap();
    assert_eq!((receipt.stacks[0].quantity, receipt.gold), (2, 5));
    let last = of(&ann, eat(2));
    let receipt = store.commit(last.clone()).await.unwrap();
    assert_eq!((receipt.stacks[0].id, receipt.stacks[0].quantity), (bread.id, 0));
    assert_eq!(store.commit(last).await.unwrap(), receipt);
    assert_eq!(held(&store, ann.id).await, []);
}

fn reward(state: &PlayerState, items: Vec<(Key, u32, bool)>) -> Operation {
    of(
        state,
        Change::Grant { items, gold: 10, quest: Some(("wolves".into(), state.experience + 100)) },
    )
}

async fn a_quest_is_rewarded_once_whatever_the_operation(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let first = store.commit(reward(&ann, items("medal", 1))).await.unwrap();
    assert_eq!((first.gold, first.stacks.len()), (10, 1));
    // A zone that crashed before it heard of it asks again, under another id.
    let second = store.commit(reward(&ann, items("medal", 1))).await.unwrap();
    assert_eq!(second, Receipt { gold: 10, ..Receipt::default() });
    let state = store.player(ann.id).await.unwrap().unwrap();
    assert_eq!((state.gold, state.quests.len()), (10, 1));
    assert!(state.quests[0].completed);
    assert_eq!(held(&store, ann.id).await, [("medal".to_owned(), 1)]);
}

async fn a_reward_that_does_not_fit_leaves_the_quest_open(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let swords = vec![("sword".into(), INVENTORY_MAX as u32, false)];
    let swords = store.commit(of(&ann, grant(swords, 0))).await.unwrap();
    // A reward has one id for ever: its refusal must not be.
    let asked = reward(&ann, items("medal", 1));
    assert_eq!(store.commit(asked.clone()).await, Err(CommitRefusal::Full));
    assert_eq!(store.player(ann.id).await.unwrap().unwrap().quests, []);
    let drop = Change::Consume { item: swords.stacks[0].id, quantity: 1 };
    store.commit(of(&ann, drop)).await.unwrap();
    assert_eq!(store.commit(asked).await.unwrap().gold, 10);
}

async fn a_quest_given_up_may_be_begun_anew(database: Database) {
    let store = database.open().await;
    let mut ann = claimed(&store, "Ann").await.state;
    let bob = claimed(&store, "Bob").await.state;
    store.commit(of(&ann, grant(items("pelt", 1), 7))).await.unwrap();
    let active =
        |quest: &str| QuestProgress { quest: quest.into(), done: vec![2], completed: false };
    ann.quests = vec![active("herbs"), active("tour")];
    store.save(vec![ann.clone()]).await.unwrap();
    store.save(vec![PlayerState { quests: ann.quests.clone(), ..bob.clone() }]).await.unwrap();
    store.commit(reward(&ann, vec![])).await.unwrap();
    let quests = async |player| -> Vec<String> {
        let quests = store.player(player).await.unwrap().unwrap().quests;
        quests.iter().map(|progress| progress.quest.to_string()).collect()
    };
    let abandon = |quest: &str| Change::Abandon { quest: quest.into() };
    let receipt = Receipt { gold: 17, ..Receipt::default() };

    let first = of(&ann, abandon("herbs"));
    assert_eq!(store.commit(first.clone()).await.unwrap(), receipt);
    assert_eq!(quests(ann.id).await, ["tour", "wolves"]);
    assert_eq!(quests(bob.id).await, ["herbs", "tour"], "it is each one's own");
    assert_eq!(store.look_up(first.id, ann.id, ann.id).await.unwrap(), receipt);
    // Twice, one that nobody knows, and one that is completed: nothing more goes.
    for quest in ["herbs", "dragons", "wolves"] {
        assert_eq!(store.commit(of(&ann, abandon(quest))).await.unwrap(), receipt, "{quest}");
        assert_eq!(quests(ann.id).await, ["tour", "wolves"]);
    }
    let stale = PlayerState { epoch: Epoch(ann.epoch.0 - 1), ..ann.clone() };
    let refused = store.commit(of(&stale, abandon("tour"))).await;
    assert_eq!(refused, Err(CommitRefusal::StaleEpoch));

    // Begun anew, it is not given up by a repetition of the first.
    store.save(vec![ann.clone()]).await.unwrap();
    assert_eq!(quests(ann.id).await, ["herbs", "tour", "wolves"]);
    assert_eq!(store.commit(first).await.unwrap(), receipt);
    assert_eq!(quests(ann.id).await, ["herbs", "tour", "wolves"]);
    assert_eq!(held(&store, ann.id).await, [("pelt".to_owned(), 1)]);
}

async fn gold_does_not_overflow(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let most = i64::MAX as u64;
    assert_eq!(store.commit(of(&ann, grant(vec![], u64::MAX))).await, Err(CommitRefusal::Full));
    assert_eq!(store.commit(of(&ann, grant(vec![], most))).await.unwrap().gold, most);
    assert_eq!(store.commit(of(&ann, grant(vec![], 1))).await, Err(CommitRefusal::Full));
    assert_eq!(store.player(ann.id).await.unwrap().unwrap().gold, most);
}

async fn an_operation_finds_its_outcome_after_a_change_of_owner(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let operation = of(&ann, grant(items("pelt", 1), 0));
    let receipt = store.commit(operation.clone()).await.unwrap();
    store.claim(ann.id, crate::ids::ServerId(2), None).await.unwrap();
    assert_eq!(store.commit(operation).await.unwrap(), receipt);
    let nobody = PlayerState { id: PlayerId(404), epoch: Epoch(0), ..ann };
    let refused = store.commit(of(&nobody, grant(vec![], 1))).await;
    assert_eq!(refused, Err(CommitRefusal::StaleEpoch));
}

/// Makes every operation so old that it may be forgotten.
struct Age;

impl Write for Age {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let then = unix_millis() - KEEP_OPERATIONS.as_millis() as u64 - 1_000;
        db.execute("UPDATE operations SET made_at = $1", values![then]).await?;
        Ok(())
    }
}

async fn old_outcomes_are_forgotten_and_rewards_are_not(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let pelt = of(&ann, grant(items("pelt", 1), 0));
    let medal = reward(&ann, items("medal", 1));
    for operation in [&pelt, &medal] {
        store.commit(operation.clone()).await.unwrap();
    }
    store.write("test", Prune).await.unwrap();
    assert_eq!(store.commit(pelt.clone()).await.unwrap().stacks[0].quantity, 1, "still known");
    store.write("test", Age).await.unwrap();
    store.write("test", Prune).await.unwrap();
    assert_eq!(store.commit(pelt).await.unwrap().stacks[0].quantity, 2, "forgotten");
    assert_eq!(store.commit(medal).await.unwrap().stacks, [], "not forgotten");
}

async fn counters_add_up_once_per_operation(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (claimed(&store, "Ann").await.state.id, claimed(&store, "Bob").await.state.id);
    let first = operation();
    let counts =
        vec![(ann, "kills", 2), (bob, "deaths", 2), (ann, "kills", 1), (PlayerId(404), "kills", 1)];
    store.count(first, counts.clone()).await.unwrap();
    store.count(first, counts).await.unwrap();
    store.count(operation(), vec![(ann, "kills", 10), (ann, "damage_dealt", 5)]).await.unwrap();
    store.count(operation(), vec![]).await.unwrap();
    let kills = |number| ("kills".to_owned(), number);
    let expected = [("damage_dealt".to_owned(), 5), kills(13)];
    assert_eq!(store.statistics(ann).await.unwrap(), expected);
    assert_eq!(store.statistics(bob).await.unwrap(), [("deaths".to_owned(), 2)]);
}

async fn counting_at_once_loses_nothing(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state.id;
    let stores = [store.clone(), database.open().await];
    let mut counting = tokio::task::JoinSet::new();
    for number in 0..200 {
        let store = stores[number % 2].clone();
        // Each is sent to both.
        let id = OperationId::new(9, number as u64 / 2);
        counting.spawn(async move { store.count(id, vec![(ann, "kills", 1)]).await });
    }
    for outcome in counting.join_all().await {
        outcome.unwrap();
    }
    assert_eq!(store.statistics(ann).await.unwrap(), [("kills".to_owned(), 100)]);
}
