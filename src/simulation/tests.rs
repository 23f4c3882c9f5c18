//! Hundreds of simulations, each decided by its seed; and the simulated store against the real one.
//!
//! `THRONG_SIM_SEED=n` plays that seed alone and says what happens; `THRONG_SIM_SEEDS=n` plays so
//! many.

mod drift;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::counts::Counts;
use super::desk::Requests;
use super::node::Ground;
use super::{Outcome, play};
use crate::store::{Store, StoreConfig};
use crate::world::content::Content;

/// So many are played by default.
const SEEDS: u64 = 200;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}")))
}

/// What simulations stand on. The masters look for bans in a store that never answers them.
struct Stand {
    runtime: tokio::runtime::Runtime,
    store: Store,
    content: Arc<Content>,
    _folder: tempfile::TempDir,
}

impl Stand {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig::default();
        let store = runtime.block_on(Store::open(&config, folder.path())).unwrap();
        let content: Content = toml::from_str(include_str!("stage.toml")).unwrap();
        assert_eq!(content.problems(), Vec::<String>::new());
        Self { runtime, store, content: Arc::new(content), _folder: folder }
    }

    fn play(&self, seed: u64, talks: bool) -> Result<Outcome, String> {
        let _entered = self.runtime.enter();
        let requests = Requests::default();
        let (content, store) = (self.content.clone(), self.store.clone());
        let ground = Ground { content, requests, store, seed: seed | 1 };
        let played = catch_unwind(AssertUnwindSafe(|| play(seed, ground, talks)));
        played.unwrap_or_else(|_| Err("it panicked".to_owned()))
    }
}

#[test]
fn whatever_goes_wrong_each_player_has_one_owner_and_each_operation_counts_once() {
    if let Some(seed) = number("THRONG_SIM_SEED") {
        let outcome = Stand::new().play(seed, true);
        panic_if_wrong(seed, outcome.map(drop));
        return;
    }
    let seeds = number("THRONG_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let total = Mutex::new((Counts::default(), 0, 0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |threads| threads.get()) {
            scope.spawn(|| {
                let stand = Stand::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || !failed.lock().is_empty() {
                        return;
                    }
                    match stand.play(seed, false) {
                        Ok(outcome) => {
                            let (counts, longest, sum) = &mut *total.lock();
                            counts.add(&outcome.counts);
                            *longest = outcome.healed_in.max(*longest);
                            *sum += outcome.healed_in;
                        }
                        Err(problem) => failed.lock().push((seed, problem)),
                    }
                }
            });
        }
    });
    if let Some((seed, problem)) = failed.into_inner().into_iter().min() {
        panic_if_wrong(seed, Err(problem));
    }
    let (counts, longest, sum) = total.into_inner();
    println!("{seeds} seeds; healed in {} ms on average, {longest} ms at most", sum / seeds.max(1));
    for (what, count) in counts.all() {
        println!("{count:>9} {what}");
    }
    let never: Vec<&str> =
        counts.all().into_iter().filter(|(_, n)| *n == 0).map(|(w, _)| w).collect();
    assert!(seeds < SEEDS || never.is_empty(), "these never happened: {never:?}");
}

fn panic_if_wrong(seed: u64, outcome: Result<(), String>) {
    if let Err(problem) = outcome {
        panic!("seed {seed} (THRONG_SIM_SEED={seed} repeats it), {problem}");
    }
}

#[test]
fn a_seed_decides_all() {
    let stand = Stand::new();
    for seed in [7, 8] {
        let (once, again) = (stand.play(seed, false), stand.play(seed, false));
        assert!(once.is_ok() && once == again, "seed {seed}: {once:#?} {again:#?}");
    }
}
