//! One suite of scenarios, run on both databases: what the store promises, whichever holds it.
//!
//! Each scenario gets an empty [`Database`] that it can open, close and open again. `on_both!` makes
//! a test of it for SQLite (a file in a temporary folder) and one for PostgreSQL (a database in a
//! throw-away cluster).

mod accounts;
mod away;
mod doubts;
mod gifts;
mod guilds;
mod handover;
mod leases;
mod network;
mod operations;
#[path = "../../../tests/common/pgbouncer.rs"]
mod pgbouncer;
mod players;
#[path = "../../../tests/common/postgres.rs"]
mod postgres;
mod texts;
mod wars;

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Store, StoreConfig, StoreError};
use crate::geometry::{Point, Pose};
use crate::ids::{Key, OperationId, PlayerId, ServerId, ZoneId};
use crate::names::Name;
use crate::store::record::{Claim, NewCharacter};
use postgres::Cluster;

/// An empty database; gone when it is dropped.
struct Database {
    config: StoreConfig,
    folder: tempfile::TempDir,
}

impl Database {
    fn sqlite() -> Self {
        Self::at("sqlite".into())
    }

    fn postgres() -> Self {
        Self::at(Cluster::shared().database())
    }

    fn at(url: String) -> Self {
        // A busy machine must not fail a test that is not about time.
        let config = StoreConfig { url, timeout_ms: 60_000, ..StoreConfig::default() };
        Self { config, folder: tempfile::tempdir().unwrap() }
    }

    fn is_postgres(&self) -> bool {
        crate::store::postgres::is_address(&self.config.url)
    }

    async fn open(&self) -> Store {
        Store::open(&self.config, self.folder.path()).await.unwrap()
    }
}

/// Makes the tests of the named scenarios.
macro_rules! on_both {
    ($($scenario:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Database::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $scenario() {
                super::$scenario(super::Database::postgres()).await;
            })*
        }
    };
}
use on_both;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// An operation id that no other test or call has.
fn operation() -> OperationId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    OperationId::new(7, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn character(items: Vec<(Key, u32, bool)>) -> NewCharacter {
    let pose = Pose { at: Point { x: 1.25, y: -0.1 }, rotation: 90.0 };
    NewCharacter { zone: ZoneId(3), pose, health: 100, power: 50, items }
}

async fn player(store: &Store, text: &str) -> PlayerId {
    store.create_account(&name(text), "$argon2id$…", character(vec![])).await.unwrap()
}

/// A player that is owned by server 1.
async fn claimed(store: &Store, text: &str) -> Claim {
    let player = player(store, text).await;
    store.claim(player, ServerId(1), None).await.unwrap()
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Unavailable(_))), "{outcome:?}");
}
