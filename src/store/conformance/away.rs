//! What happens when the store is closed, or its database is away, and after that.

use std::time::Duration;

use sqlx::{ConnectOptions, Connection as _};

use super::postgres::Cluster;
use super::{Database, assert_unavailable, character, claimed, name, on_both, operation, player};
use crate::ids::ServerId;
use crate::store::connection::{Connection, values};
use crate::store::failure::Failure;
use crate::store::job::Write;
use crate::store::sqlite::{options, path};
use crate::store::{Store, StoreError};
use crate::world::command::{Change, CommitRefusal, Operation, PlayerState};

on_both!(
    everything_is_there_after_a_restart,
    closing_finishes_what_waits_and_refuses_the_rest,
    a_newer_schema_is_refused,
    an_older_schema_is_changed_by_nobody_who_only_looks,
    one_failing_write_does_not_spoil_its_company,
);

fn grant(state: &PlayerState) -> Operation {
    let change = Change::Grant { items: vec![("pelt".into(), 1, true)], gold: 1, quest: None };
    Operation { id: operation(), player: state.id, epoch: state.epoch, change }
}

async fn everything_is_there_after_a_restart(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    let operation_before = grant(&state);
    let receipt = store.commit(operation_before.clone()).await.unwrap();
    state.level = 4;
    store.save(vec![state.clone()]).await.unwrap();
    let guild = store.create_guild(operation(), &name("Wolves"), state.id).await.unwrap();
    store.close().await;

    let store = database.open().await;
    let saved = store.player(state.id).await.unwrap().unwrap();
    assert_eq!((saved.level, saved.gold, saved.epoch), (4, 1, state.epoch));
    assert_eq!(saved.inventory, receipt.stacks);
    assert_eq!(store.commit(operation_before).await.unwrap(), receipt, "the retry is known");
    assert_eq!(store.guilds().await.unwrap().guilds[0].id, guild);
    // The old process's ownership is still the newest until somebody claims.
    assert_eq!(store.save(vec![saved]).await.unwrap(), []);
    assert!(player(&store, "Bob").await > state.id);
}

async fn closing_finishes_what_waits_and_refuses_the_rest(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let pending: Vec<_> = (0..50)
        .map(|_| {
            let (store, operation) = (store.clone(), grant(&state));
            tokio::spawn(async move { store.commit(operation).await })
        })
        .collect();
    // All of them are in the queue after each has run once.
    tokio::task::yield_now().await;
    store.close().await;
    for commit in pending {
        commit.await.unwrap().unwrap();
    }
    assert_eq!(store.commit(grant(&state)).await, Err(CommitRefusal::Unavailable));
    assert_unavailable(store.player(state.id).await);
    assert_unavailable(store.ping().await);
    assert_unavailable(store.save(vec![state.clone()]).await);
    store.close().await;

    let state = database.open().await.player(state.id).await.unwrap().unwrap();
    assert_eq!(state.gold, 50);
}

/// Does as a newer program's migration would.
struct Upgrade;

impl Write for Upgrade {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        let sql = "INSERT INTO _sqlx_migrations \
            (version, description, installed_on, success, checksum, execution_time) \
            SELECT 9999, 'future', installed_on, success, checksum, 0 FROM _sqlx_migrations \
            WHERE version = 1";
        db.execute(sql, values![]).await?;
        Ok(())
    }
}

/// Makes the schema look like the one before the newest migration.
struct Forget;

impl Write for Forget {
    type Answer = ();

    async fn apply(&self, db: &mut Connection<'_>) -> Result<(), Failure> {
        db.execute("DROP TABLE war_victims", values![]).await?;
        db.execute("DROP TABLE truces", values![]).await?;
        db.execute("DROP TABLE war_declarations", values![]).await?;
        db.execute("DELETE FROM _sqlx_migrations WHERE version = 6", values![]).await?;
        Ok(())
    }
}

async fn an_older_schema_is_changed_by_nobody_who_only_looks(database: Database) {
    let store = database.open().await;
    store.write("test", Forget).await.unwrap();
    store.close().await;
    for _ in 0..2 {
        let opened = Store::open_existing(&database.config, database.folder.path()).await;
        let told = opened.unwrap_err().to_string();
        assert!(told.contains("migration 6") && told.contains("throng migrate"), "{told}");
    }
    database.open().await.close().await;
    let opened = Store::open_existing(&database.config, database.folder.path()).await;
    opened.unwrap().expect("the database").close().await;
}

async fn a_newer_schema_is_refused(database: Database) {
    let store = database.open().await;
    store.write("test", Upgrade).await.unwrap();
    store.close().await;
    let error = Store::open(&database.config, database.folder.path()).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("9999") && told.contains("newer"), "{told}");
}

async fn one_failing_write_does_not_spoil_its_company(mut database: Database) {
    // Everything that is sent within a moment shares a transaction.
    database.config.group_commit_ms = 50;
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let (ann, bob) = (name("ANN"), name("Bob"));
    let (good, taken, bad, other) = tokio::join!(
        store.commit(grant(&state)),
        store.create_account(&ann, "s", character(vec![])),
        store.set_ban(state.id, Some("\0")),
        store.create_account(&bob, "s", character(vec![])),
    );
    assert_eq!(good.unwrap().gold, 1);
    assert_eq!(taken, Err(StoreError::NameTaken));
    assert!(matches!(bad, Err(StoreError::Conflict(_))));
    assert!(other.is_ok());
    assert_eq!(store.player(state.id).await.unwrap().unwrap().gold, 1);
}

/// Generous: only a call that hangs misses it.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.expect("an answer")
}

#[tokio::test]
async fn a_locked_file_refuses_in_time_and_heals() {
    let mut database = Database::sqlite();
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    store.close().await;
    database.config.timeout_ms = 200;
    let store = database.open().await;

    let file = path("sqlite", database.folder.path()).unwrap();
    let mut other_process = options(&file).connect().await.unwrap();
    let lock = other_process.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let lost = grant(&state);
    assert_eq!(soon(store.commit(lost.clone())).await, Err(CommitRefusal::Unavailable));
    assert_unavailable(soon(store.save(vec![state.clone()])).await);
    assert_unavailable(soon(store.claim(state.id, ServerId(2), None)).await);
    // More than the queue holds: what has no place in it is refused at once.
    let flood = (0..crate::limits::STORE_QUEUE + 100).map(|_| grant(&state));
    let mut commits = tokio::task::JoinSet::new();
    for operation in flood {
        let store = store.clone();
        commits.spawn(async move { store.commit(operation).await });
    }
    for outcome in soon(commits.join_all()).await {
        assert_eq!(outcome, Err(CommitRefusal::Unavailable));
    }
    // Reading goes on, and nothing of what was refused is there.
    assert_eq!(soon(store.player(state.id)).await.unwrap().unwrap(), state);

    lock.rollback().await.unwrap();
    soon(until_done(&store, &lost)).await;
    assert_eq!(store.player(state.id).await.unwrap().unwrap().gold, 1);
    assert_eq!(store.save(vec![state]).await.unwrap(), []);
}

/// Sends an operation again and again, under its one id, as a zone does.
async fn until_done(store: &Store, operation: &Operation) {
    loop {
        match store.commit(operation.clone()).await {
            Ok(_) => return,
            Err(refusal) => assert_eq!(refusal, CommitRefusal::Unavailable),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_dies_refuses_in_time_and_loses_nothing() {
    let cluster = Cluster::start_on_tcp();
    let database = Database::at(cluster.database());
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    store.close().await;
    let mut database = database;
    database.config.timeout_ms = 1_000;
    let store = database.open().await;

    // The server dies while commits run; whoever gets no answer sends the same again.
    let operations: Vec<_> = (0..200).map(|_| grant(&state)).collect();
    let mut commits = tokio::task::JoinSet::new();
    for operation in operations.clone() {
        let store = store.clone();
        commits.spawn(async move { store.commit(operation).await });
    }
    soon(commits.join_next()).await;
    cluster.stop();
    soon(commits.join_all()).await;

    assert_eq!(soon(store.commit(grant(&state))).await, Err(CommitRefusal::Unavailable));
    assert_unavailable(soon(store.player(state.id)).await);
    assert_unavailable(soon(store.save(vec![state.clone()])).await);
    assert_unavailable(soon(store.ping()).await);

    cluster.resume();
    for operation in &operations {
        soon(until_done(&store, operation)).await;
    }
    assert_eq!(store.player(state.id).await.unwrap().unwrap().gold, 200);
    assert_eq!(store.save(vec![state]).await.unwrap(), []);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn an_address_is_refused_without_being_quoted() {
    let folder = tempfile::tempdir().unwrap();
    for url in ["postgres://ann:sesame@127.0.0.1:1/db", "mysql://ann:sesame@host", ""] {
        let mut config = Database::at(url.into()).config;
        config.timeout_ms = 500;
        assert!(!format!("{config:?}").contains("sesame") || url.starts_with("mysql"));
        let error = soon(Store::open(&config, folder.path())).await.unwrap_err();
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
}

#[tokio::test]
async fn the_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let mut database = Database::sqlite();
    let file = database.folder.path().join("a/b/world.db");
    database.config.url = format!("sqlite:{}", file.display());
    let store = database.open().await;
    player(&store, "Ann").await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", file.display());
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}
