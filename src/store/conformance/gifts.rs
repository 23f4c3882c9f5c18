//! What one player gives another: it leaves the one and comes to the other, or nothing moves.

use super::operations::{grant, held, items, of};
use super::{Database, claimed, on_both};
use crate::ids::{Epoch, ItemId, PlayerId, ServerId};
use crate::limits::{INVENTORY_MAX, STACK_MAX};
use crate::store::Store;
use crate::world::command::{
    Change, CommitRefusal, Gift, ItemStack, Operation, PlayerState, Receipt,
};

on_both!(
    a_part_of_a_stack_changes_hands,
    a_whole_stack_joins_one_of_its_kind,
    what_does_not_stack_changes_hands_alone,
    gold_changes_hands,
    a_gift_sent_twice_is_given_once,
    a_full_receiver_gets_nothing,
    more_than_one_has_is_not_given,
    a_gift_needs_the_epochs_of_both,
    a_refused_gift_is_judged_anew,
    gifts_crosswise_and_saves_at_once_lose_nothing,
);

/// Two players in the world.
async fn two(store: &Store) -> (PlayerState, PlayerState) {
    (claimed(store, "Ann").await.state, claimed(store, "Bob").await.state)
}

/// A gift from one to the other; equal things share a stack.
fn gift(from: &PlayerState, to: &PlayerState, gift: Gift) -> Operation {
    of(from, Change::Give { to: to.id, to_epoch: to.epoch, gift, share: true })
}

fn things(item: ItemId, quantity: u32) -> Gift {
    Gift::Items { item, quantity }
}

/// The receipt of a grant to a player.
async fn granted(store: &Store, to: &PlayerState, kind: &str, quantity: u32) -> ItemStack {
    let receipt = store.commit(of(to, grant(items(kind, quantity), 0))).await.unwrap();
    receipt.stacks[0].clone()
}

async fn gold(store: &Store, player: PlayerId) -> u64 {
    store.player(player).await.unwrap().unwrap().gold
}

/// The receiver's half of a giver's receipt.
fn received(receipt: &Receipt) -> (PlayerId, Receipt) {
    (**receipt.receiver.as_ref().unwrap()).clone()
}

/// Kind and quantity, as [`held`] gives them.
fn pile(kind: &str, quantity: u32) -> (String, u32) {
    (kind.to_owned(), quantity)
}

async fn a_part_of_a_stack_changes_hands(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    store.commit(of(&ann, grant(vec![], 3))).await.unwrap();
    store.commit(of(&bob, grant(vec![], 4))).await.unwrap();
    let pelts = granted(&store, &ann, "pelt", 5).await;

    let receipt = store.commit(gift(&ann, &bob, things(pelts.id, 2))).await.unwrap();
    let left = ItemStack { quantity: 3, ..pelts.clone() };
    assert_eq!((receipt.stacks.clone(), receipt.gold), (vec![left.clone()], 3));
    let (to, got) = received(&receipt);
    assert_eq!((to, got.gold, got.receiver), (bob.id, 4, None));
    assert_eq!((&*got.stacks[0].kind, got.stacks[0].quantity, got.stacks.len()), ("pelt", 2, 1));
    assert_ne!(got.stacks[0].id, pelts.id, "a stack of its own");
    let inventory = async |id| store.player(id).await.unwrap().unwrap().inventory;
    assert_eq!(inventory(ann.id).await, [left]);
    assert_eq!(inventory(bob.id).await, got.stacks);
}

async fn a_whole_stack_joins_one_of_its_kind(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    let pelts = granted(&store, &ann, "pelt", 5).await;
    let bread = granted(&store, &bob, "bread", 1).await;
    let his = granted(&store, &bob, "pelt", STACK_MAX - 2).await;

    let receipt = store.commit(gift(&ann, &bob, things(pelts.id, 5))).await.unwrap();
    assert_eq!(receipt.stacks, [ItemStack { quantity: 0, ..pelts.clone() }]);
    let (_, got) = received(&receipt);
    assert_eq!(got.stacks[0], ItemStack { quantity: STACK_MAX, ..his }, "filled first");
    assert_eq!((got.stacks.len(), got.stacks[1].quantity), (2, 3), "the rest lies apart");
    assert!(got.stacks[1].id > pelts.id, "an id is never used again");
    assert_eq!(held(&store, ann.id).await, []);
    let all = [pile("bread", 1), pile("pelt", STACK_MAX), pile("pelt", 3)];
    assert_eq!(held(&store, bob.id).await, all);
    let back = store.commit(gift(&bob, &ann, things(bread.id, 1))).await.unwrap();
    assert_eq!(received(&back).0, ann.id);
    assert_eq!(held(&store, ann.id).await, [pile("bread", 1)]);
}

async fn what_does_not_stack_changes_hands_alone(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    let sword = |number| grant(vec![("sword".into(), number, false)], 0);
    let hers = store.commit(of(&ann, sword(2))).await.unwrap().stacks;
    store.commit(of(&bob, sword(1))).await.unwrap();

    let gift = things(hers[0].id, 1);
    let give = Change::Give { to: bob.id, to_epoch: bob.epoch, gift, share: false };
    let receipt = store.commit(of(&ann, give)).await.unwrap();
    assert_eq!(receipt.stacks, [ItemStack { quantity: 0, ..hers[0].clone() }]);
    assert_eq!(held(&store, ann.id).await, [pile("sword", 1)]);
    assert_eq!(held(&store, bob.id).await, [pile("sword", 1), pile("sword", 1)]);
}

async fn gold_changes_hands(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    store.commit(of(&ann, grant(vec![], 10))).await.unwrap();
    store.commit(of(&bob, grant(vec![], 1))).await.unwrap();
    for (amount, left) in [(7, 3), (3, 0)] {
        let receipt = store.commit(gift(&ann, &bob, Gift::Gold(amount))).await.unwrap();
        assert_eq!((receipt.gold, receipt.stacks.len()), (left, 0));
        let got = Receipt { gold: 11 - left, ..Receipt::default() };
        assert_eq!(received(&receipt), (bob.id, got));
        assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (left, 11 - left));
    }
}

async fn a_gift_sent_twice_is_given_once(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    store.commit(of(&ann, grant(vec![], 10))).await.unwrap();
    let pelts = granted(&store, &ann, "pelt", 9).await;
    // Another process has its own writer.
    let other = database.open().await;
    let mut done = Vec::new();
    for what in [things(pelts.id, 4), Gift::Gold(4)] {
        let given = gift(&ann, &bob, what);
        let (one, two) = tokio::join!(store.commit(given.clone()), other.commit(given.clone()));
        let receipt = one.unwrap();
        assert_eq!(two.unwrap(), receipt);
        let look_up = |player, asker| other.look_up(given.id, player, asker);
        assert_eq!(look_up(ann.id, ann.id).await.unwrap(), receipt);
        assert_eq!(look_up(bob.id, ann.id).await.unwrap(), received(&receipt).1);
        // What has happened since changes nothing of what it said.
        store.commit(of(&ann, grant(items("pelt", 1), 0))).await.unwrap();
        store.commit(of(&bob, grant(items("pelt", 1), 0))).await.unwrap();
        assert_eq!(store.commit(given.clone()).await.unwrap(), receipt);
        assert_eq!(store.look_up(given.id, ann.id, ann.id).await.unwrap(), receipt);
        done.push((given, receipt));
    }
    // Nor does it matter who owns them by then.
    for player in [ann.id, bob.id] {
        store.claim(player, ServerId(2), None).await.unwrap();
        for (given, receipt) in &done {
            assert_eq!(store.commit(given.clone()).await.as_ref(), Ok(receipt));
        }
    }
    assert_eq!(held(&store, ann.id).await, [pile("pelt", 7)]);
    assert_eq!(held(&store, bob.id).await, [pile("pelt", 6)]);
    assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (6, 4));
}

async fn a_full_receiver_gets_nothing(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    let pelts = granted(&store, &ann, "pelt", 5).await;
    store.commit(of(&ann, grant(vec![], 5))).await.unwrap();
    let swords = vec![("sword".into(), INVENTORY_MAX as u32 - 1, false)];
    store.commit(of(&bob, grant(swords, i64::MAX as u64 - 4))).await.unwrap();
    granted(&store, &bob, "pelt", STACK_MAX - 4).await;
    let before = [held(&store, ann.id).await, held(&store, bob.id).await];

    for what in [things(pelts.id, 5), Gift::Gold(5)] {
        let refused = store.commit(gift(&ann, &bob, what)).await;
        assert_eq!(refused, Err(CommitRefusal::ReceiverFull));
    }
    assert_eq!([held(&store, ann.id).await, held(&store, bob.id).await], before);
    assert_eq!(gold(&store, ann.id).await, 5);
    // What just fits is taken.
    for what in [things(pelts.id, 4), Gift::Gold(4)] {
        store.commit(gift(&ann, &bob, what)).await.unwrap();
    }
    assert_eq!(held(&store, ann.id).await, [pile("pelt", 1)]);
    assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (1, i64::MAX as u64));
}

async fn more_than_one_has_is_not_given(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    let hers = granted(&store, &ann, "pelt", 2).await.id;
    let his = granted(&store, &bob, "bread", 2).await.id;
    store.commit(of(&ann, grant(vec![], 2))).await.unwrap();
    for what in [
        things(hers, 3),
        things(hers, 0),
        things(hers, u32::MAX),
        things(his, 1),
        things(ItemId(1 << 40), 1),
        Gift::Gold(3),
        Gift::Gold(u64::MAX),
    ] {
        let refused = store.commit(gift(&ann, &bob, what)).await;
        assert_eq!(refused, Err(CommitRefusal::NotThere), "{what:?}");
    }
    assert_eq!(held(&store, ann.id).await, [pile("pelt", 2)]);
    assert_eq!(held(&store, bob.id).await, [pile("bread", 2)]);
    assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (2, 0));
}

async fn a_gift_needs_the_epochs_of_both(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    store.commit(of(&ann, grant(vec![], 5))).await.unwrap();
    let old =
        |state: &PlayerState| PlayerState { epoch: Epoch(state.epoch.0 - 1), ..state.clone() };
    let nobody = PlayerState { id: PlayerId(404), ..bob.clone() };
    for (from, to, expected) in [
        (&old(&ann), &bob, CommitRefusal::StaleEpoch),
        (&nobody, &bob, CommitRefusal::StaleEpoch),
        (&ann, &old(&bob), CommitRefusal::ReceiverGone),
        (&ann, &nobody, CommitRefusal::ReceiverGone),
        (&ann, &ann, CommitRefusal::ReceiverGone),
    ] {
        let refused = store.commit(gift(from, to, Gift::Gold(1))).await;
        assert_eq!(refused, Err(expected), "from {} to {}", from.id, to.id);
    }
    // Bob leaves: his epoch is still the newest, and he has no owner.
    store.release(bob.clone()).await.unwrap();
    let given = gift(&ann, &bob, Gift::Gold(1));
    assert_eq!(store.commit(given.clone()).await, Err(CommitRefusal::ReceiverGone));
    let unknown = store.look_up(given.id, bob.id, ann.id).await;
    assert_eq!(unknown, Err(CommitRefusal::NotDone));
    assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (5, 0));
    let bob = store.claim(bob.id, ServerId(1), None).await.unwrap().state;
    store.commit(gift(&ann, &bob, Gift::Gold(1))).await.unwrap();
}

async fn a_refused_gift_is_judged_anew(database: Database) {
    let store = database.open().await;
    let (ann, bob) = two(&store).await;
    let given = gift(&ann, &bob, Gift::Gold(2));
    assert_eq!(store.commit(given.clone()).await, Err(CommitRefusal::NotThere));
    store.commit(of(&ann, grant(vec![], 2))).await.unwrap();
    let receipt = store.commit(given.clone()).await.unwrap();
    assert_eq!(store.commit(given).await.unwrap(), receipt);
    assert_eq!((gold(&store, ann.id).await, gold(&store, bob.id).await), (0, 2));
}

/// Everybody gives to everybody in both directions, over two writers, while all are saved.
async fn gifts_crosswise_and_saves_at_once_lose_nothing(mut database: Database) {
    const PLAYERS: usize = 24;
    // Few share a transaction, so that each locks some of the rows that others want.
    database.config.group_commit_max = 3;
    if database.is_postgres() {
        // Two transactions that wait for each other do so until the store's time-out.
        database.config.url += "?options[deadlock_timeout]=1h";
    }
    let store = database.open().await;
    let (mut players, mut stacks) = (Vec::new(), Vec::new());
    for number in 0..PLAYERS {
        let state = claimed(&store, &format!("Player_{number}")).await.state;
        store.commit(of(&state, grant(vec![], 1_000))).await.unwrap();
        stacks.push(granted(&store, &state, "pelt", 1_000).await.id);
        players.push(state);
    }
    let stores = [store.clone(), database.open().await];
    let mut gifts = tokio::task::JoinSet::new();
    let mut saves = tokio::task::JoinSet::new();
    for number in 0..PLAYERS * PLAYERS {
        let (from, to) = (number / PLAYERS, number % PLAYERS);
        if number % 4 == 0 || from == to {
            let (store, states) = (stores[number % 2].clone(), players.clone());
            saves.spawn(async move { store.save(states).await });
            continue;
        }
        let what = if number % 3 == 0 { Gift::Gold(3) } else { things(stacks[from], 2) };
        let given = gift(&players[from], &players[to], what);
        // Every fifth is sent twice at once.
        for copy in 0..if number % 5 == 0 { 2 } else { 1 } {
            let (store, given) = (stores[(from + copy) % 2].clone(), given.clone());
            gifts.spawn(async move { store.commit(given).await });
        }
    }
    for outcome in gifts.join_all().await {
        outcome.unwrap();
    }
    for outcome in saves.join_all().await {
        assert_eq!(outcome.unwrap(), []);
    }
    let (mut all_gold, mut all_pelts) = (0, 0);
    for state in &players {
        all_gold += gold(&store, state.id).await;
        all_pelts += held(&store, state.id).await.iter().map(|(_, number)| number).sum::<u32>();
    }
    assert_eq!((all_gold, all_pelts), (1_000 * PLAYERS as u64, 1_000 * PLAYERS as u32));
}
