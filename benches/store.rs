//! What saving and committing cost on SQLite: `cargo bench --bench store`.
//!
//! The file lies in the temporary folder; its disk decides what a commit costs.

#![allow(clippy::expect_used, reason = "a bench has nobody to report to")]

use throng::geometry::{Point, Pose};
use throng::ids::{OperationId, ServerId, ZoneId};
use throng::names::Name;
use throng::store::record::NewCharacter;
use throng::store::{Store, StoreConfig};
use throng::world::command::{Change, Operation, PlayerState, QuestProgress};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

fn main() {
    divan::main();
}

/// An open store with claimed players in it.
struct World {
    runtime: Runtime,
    store: Store,
    states: Vec<PlayerState>,
    _folder: tempfile::TempDir,
}

impl World {
    fn of(players: usize) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = StoreConfig { timeout_ms: 60_000, ..StoreConfig::default() };
        let store = runtime.block_on(Store::open(&config, folder.path())).expect("a store");
        let mut states = Vec::new();
        while states.len() < players {
            // Not more at once than the writer's queue holds.
            let wave = states.len()..players.min(states.len() + 1_000);
            let mut making = JoinSet::new();
            for number in wave {
                making.spawn_on(newcomer(store.clone(), number), runtime.handle());
            }
            states.extend(runtime.block_on(making.join_all()));
        }
        Self { runtime, store, states, _folder: folder }
    }
}

async fn newcomer(store: Store, number: usize) -> PlayerState {
    let name = Name::parse(&format!("Player_{number}")).expect("a name");
    let pose = Pose { at: Point { x: 1.0, y: 2.0 }, rotation: 0.0 };
    let character = NewCharacter { zone: ZoneId(1), pose, health: 100, power: 50, items: vec![] };
    let player = store.create_account(&name, "hash", character).await.expect("an account");
    let claim = store.claim(player, ServerId(1), None).await.expect("a claim");
    let mut state = claim.state;
    for quest in ["herbs", "wolves"] {
        state.quests.push(QuestProgress {
            quest: quest.into(),
            done: vec![0, 1],
            completed: false,
        });
    }
    state
}

/// Everybody has moved and got on with a quest since the last save.
#[divan::bench(args = [500, 5_000], sample_count = 10)]
fn save(bencher: divan::Bencher, players: usize) {
    let World { runtime, store, mut states, _folder } = World::of(players);
    bencher.counter(divan::counter::ItemsCount::new(players)).bench_local(|| {
        for state in &mut states {
            state.pose.at.x += 1.0;
            state.quests[0].done[0] += 1;
        }
        let stale = runtime.block_on(store.save(states.clone())).expect("a save");
        assert!(stale.is_empty());
    });
}

/// Each of many players picks something up at the same moment.
#[divan::bench(args = [1, 16, 256, 1_000], sample_count = 10)]
fn commit(bencher: divan::Bencher, at_once: usize) {
    let World { runtime, store, states, _folder } = World::of(at_once);
    let mut sequence = 0;
    bencher.counter(divan::counter::ItemsCount::new(at_once)).bench_local(|| {
        let mut commits = JoinSet::new();
        for state in &states {
            sequence += 1;
            let items = vec![("pelt".into(), 1, true)];
            let operation = Operation {
                id: OperationId::new(1, sequence),
                player: state.id,
                epoch: state.epoch,
                change: Change::Grant { items, gold: 1, quest: None },
            };
            let store = store.clone();
            commits.spawn_on(async move { store.commit(operation).await }, runtime.handle());
        }
        for outcome in runtime.block_on(commits.join_all()) {
            outcome.expect("a commit");
        }
    });
}
