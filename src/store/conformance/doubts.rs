//! What came of an operation whose answer was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::operations::{grant, items, of};
use super::{Database, claimed, on_both, operation};
use crate::ids::{OperationId, PlayerId};
use crate::store::Store;
use crate::store::connection::{Connection, values};
use crate::store::failure::Failure;
use crate::store::job::Write;
use crate::store::outcome::{self, Outcome};
use crate::tick::now;
use crate::world::command::{Change, CommitRefusal, Gift, Receipt};

on_both!(
    what_was_done_is_found_and_what_was_not_is_not,
    a_gift_is_found_by_both_sides_and_nobody_else,
    what_waits_in_the_queue_is_waited_for,
    what_another_process_is_committing_is_waited_for,
    what_was_given_up_never_comes_to_be,
);

async fn what_was_done_is_found_and_what_was_not_is_not(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    let given = of(&ann, grant(items("pelt", 2), 7));
    let look_up = |id| store.look_up(id, ann.id, ann.id);
    assert_eq!(look_up(given.id).await, Err(CommitRefusal::NotDone), "it was never sent");
    let receipt = store.commit(given.clone()).await.unwrap();
    let eaten = of(&ann, Change::Consume { item: receipt.stacks[0].id, quantity: 3 });
    assert_eq!(store.commit(eaten.clone()).await, Err(CommitRefusal::NotThere));
    assert_eq!(look_up(eaten.id).await, Err(CommitRefusal::NotDone), "it was refused");
    store.commit(of(&ann, grant(items("pelt", 1), 1))).await.unwrap();
    assert_eq!(look_up(given.id).await.unwrap(), receipt, "as it was then");
    store.release(ann.clone()).await.unwrap();
    store.close().await;

    let store = database.open().await;
    assert_eq!(store.look_up(given.id, ann.id, ann.id).await.unwrap(), receipt);
    let nobody = PlayerId(404);
    let unknown = store.look_up(operation(), nobody, nobody).await;
    assert_eq!(unknown, Err(CommitRefusal::NotDone));
}

async fn a_gift_is_found_by_both_sides_and_nobody_else(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (claimed(&store, "Ann").await.state, claimed(&store, "Bob").await.state);
    let cid = claimed(&store, "Cid").await.state.id;
    store.commit(of(&ann, grant(vec![], 9))).await.unwrap();
    let give = |gift| Change::Give { to: bob.id, to_epoch: bob.epoch, gift, share: true };
    let done = of(&ann, give(Gift::Gold(4)));
    let refused = of(&ann, give(Gift::Gold(400)));
    store.commit(done.clone()).await.unwrap();
    store.commit(refused.clone()).await.unwrap_err();

    let gave = store.look_up(done.id, ann.id, ann.id).await.unwrap();
    assert_eq!((gave.gold, gave.receiver.unwrap().0), (5, bob.id));
    let got = store.look_up(done.id, bob.id, ann.id).await.unwrap();
    assert_eq!(got, Receipt { gold: 4, ..Receipt::default() });
    for player in [ann.id, bob.id] {
        for id in [refused.id, operation()] {
            let nothing = store.look_up(id, player, ann.id).await;
            assert_eq!(nothing, Err(CommitRefusal::NotDone));
        }
    }
    // Of what is another's nothing is told, and what is one's own is not another's.
    assert_eq!(store.look_up(done.id, cid, ann.id).await, Err(CommitRefusal::Unavailable));
    let own = of(&ann, grant(vec![], 1));
    store.commit(own.clone()).await.unwrap();
    assert_eq!(store.look_up(own.id, bob.id, ann.id).await, Err(CommitRefusal::Unavailable));
}

async fn what_waits_in_the_queue_is_waited_for(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    for number in 1..=50 {
        let given = of(&ann, grant(vec![], 1));
        // Both are queued before the first is begun.
        let (committed, found) =
            tokio::join!(store.commit(given.clone()), store.look_up(given.id, ann.id, ann.id));
        assert_eq!(found.as_ref().map(|receipt| receipt.gold), Ok(number));
        assert_eq!(committed, found);
    }
}

/// A transaction that has done an operation and does not end before it is let go.
struct Held {
    player: PlayerId,
    done: Option<OperationId>,
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Held {
    fn new(player: PlayerId, done: Option<OperationId>) -> (Self, Arc<Notify>, Arc<Notify>) {
        let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        (Self { player, done, begun: begun.clone(), go: go.clone() }, begun, go)
    }
}

impl Write for Held {
    type Answer = ();

    fn player(&self) -> Option<PlayerId> {
        Some(self.player)
    }

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        db.execute("UPDATE players SET level = 2 WHERE id = $1", values![self.player]).await?;
        if let Some(id) = self.done {
            let receipt = Receipt { gold: 77, ..Receipt::default() };
            let outcome = Outcome::of(self.player, &receipt);
            outcome::keep(db, id, Some(self.player), &outcome).await?;
        }
        self.begun.notify_one();
        self.go.notified().await;
        Ok(())
    }
}

/// Waits until a transaction waits for another. SQLite does not say so, and has one writer anyway.
async fn until_one_waits(database: &Database, store: &Store) {
    while database.is_postgres() {
        let waiting = store.read("test", async {
            let sql = "SELECT 1 FROM pg_stat_activity \
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            Ok(store.snapshot().await?.connection().row(sql, values![]).await?.is_some())
        });
        if waiting.await.unwrap() {
            return;
        }
    }
}

async fn what_another_process_is_committing_is_waited_for(database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state.id;
    let other = database.open().await;
    let id = operation();
    let (held, begun, go) = Held::new(ann, Some(id));
    let committing = tokio::spawn({
        let store = store.clone();
        async move { store.write("test", held).await }
    });
    begun.notified().await;
    let look_up = tokio::spawn(async move { other.look_up(id, ann, ann).await });
    until_one_waits(&database, &store).await;
    assert!(!look_up.is_finished());
    go.notify_one();
    committing.await.unwrap().unwrap();
    assert_eq!(look_up.await.unwrap().map(|receipt| receipt.gold), Ok(77));
}

async fn what_was_given_up_never_comes_to_be(mut database: Database) {
    let store = database.open().await;
    let ann = claimed(&store, "Ann").await.state;
    database.config.timeout_ms = 200;
    let hasty = database.open().await;
    let (held, begun, go) = Held::new(ann.id, None);
    let holding = tokio::spawn({
        let store = store.clone();
        async move { store.write("test", held).await }
    });
    begun.notified().await;
    // Nobody knows what came of it as long as it may still be under way.
    let given = of(&ann, grant(vec![], 5));
    assert_eq!(hasty.commit(given.clone()).await, Err(CommitRefusal::Unavailable));
    let unknown = hasty.look_up(given.id, ann.id, ann.id).await;
    assert_eq!(unknown, Err(CommitRefusal::Unavailable));
    go.notify_one();
    holding.await.unwrap().unwrap();
    let patience = now() + Duration::from_secs(20);
    while let Err(refusal) = hasty.look_up(given.id, ann.id, ann.id).await {
        if refusal == CommitRefusal::NotDone {
            break;
        }
        assert_eq!(refusal, CommitRefusal::Unavailable);
        assert!(now() < patience, "it is never known");
    }
    // What it was is not done by anything that may be left of it.
    hasty.close().await;
    let found = store.look_up(given.id, ann.id, ann.id).await;
    assert_eq!(found, Err(CommitRefusal::NotDone));
    assert_eq!(store.player(ann.id).await.unwrap().unwrap().gold, 0);
    // Only asking again does it.
    assert_eq!(store.commit(given).await.unwrap().gold, 5);
}
