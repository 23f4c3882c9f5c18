//! All bots of a run: threads, phases, and who comes in when.
//!
//! The calling thread only waits and prints; each other thread runs its share of the bots on a
//! runtime of its own.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::bot::{Bot, Desk};
use super::course::Posts;
use super::entry::{Door, Inside, pause_after};
use super::ledger::Ledger;
use super::options::{Options, Scenario};
use super::process::Process;
use super::progress::Progress;
use super::report::{Machine, Report};
use super::storm;
use super::tally::{Live, Phase, Tally};
use crate::client::ClientError;
use crate::tick::now;

/// Bots that come in at once: less than half of the strangers that a server lets an address hold.
const AT_THE_DOOR: usize = 40;
/// How long a bot asks a busy server for entry.
const PATIENCE: Duration = Duration::from_secs(120);
/// One bot in so many watches, once there are many.
const WATCH_EVERY: usize = 8;
/// Up to so many bots all watch.
const ALL_WATCH: u32 = 100;
/// Time for what is under way to arrive after the last send.
const DRAIN: Duration = Duration::from_secs(1);
/// Time without anybody coming in after which the others are given up.
const STUCK: Duration = Duration::from_secs(30);
/// Bytes that a bot reads at once.
const READ_BUFFER: usize = 64 * 1024;

/// What all bots of a run share.
pub(super) struct Run {
    pub options: Options,
    pub live: Live,
    pub ledger: Ledger,
    pub posts: OnceLock<Posts>,
    pub watch_every: usize,
    pub door: Door,
    pub gate: Semaphore,
}

/// Runs a load test from beginning to end.
pub(super) fn run(options: Options) -> anyhow::Result<Report> {
    let clients = options.clients;
    let run = Arc::new(Run {
        live: Live::default(),
        ledger: Ledger::new(clients as usize, now()),
        posts: OnceLock::new(),
        watch_every: if clients <= ALL_WATCH { 1 } else { WATCH_EVERY },
        door: Door::new(&options),
        gate: Semaphore::new(AT_THE_DOOR),
        options,
    });
    let threads = run.options.threads.min(clients);
    let fleet = (0..threads).map(|thread| {
        let run = run.clone();
        let name = format!("bots-{thread}");
        std::thread::Builder::new().name(name).spawn(move || crew(&run, thread, threads))
    });
    let fleet = fleet.collect::<Result<Vec<_>, _>>().context("no threads for the bots")?;
    let mut progress = Progress::new(&run);
    settle(&run, &mut progress);
    let (measured, machine) = measure(&run, &mut progress);
    let connected = run.live.inside.load(Relaxed);
    run.live.go_on(Phase::Drain);
    pause(DRAIN);
    run.live.go_on(Phase::End);
    progress.clear();
    let mut tally = Tally::default();
    for thread in fleet {
        match thread.join() {
            Ok(Ok(theirs)) => tally.add(&theirs),
            Ok(Err(problem)) => return Err(problem),
            Err(_) => bail!("a thread of bots has panicked"),
        }
    }
    run.door.remember(run.posts.get().map(|posts| posts.middle));
    if connected == 0 {
        let reasons = tally.errors.keys().chain(tally.disconnects.keys());
        let reasons: Vec<&str> = reasons.map(String::as_str).collect();
        bail!("no bot is in the world: {}", reasons.join("; "));
    }
    Ok(Report::new(&run, tally, measured, connected, machine))
}

/// Lets the bots play for the time that counts; gives how long that was, and what it has cost.
fn measure(run: &Run, progress: &mut Progress<'_>) -> (Duration, Machine) {
    let Options { target, port, duration, .. } = &run.options;
    let server = Process::listening_on(target, *port);
    let used = |process: Option<Process>| process.and_then(Process::cpu_seconds);
    let before = (used(server), used(Some(Process::own())));
    let began = now();
    run.live.go_on(Phase::Measure);
    while began.elapsed() < *duration && run.live.inside.load(Relaxed) > 0 {
        let left = duration.saturating_sub(began.elapsed());
        pause(left.min(Duration::from_millis(250)));
        progress.show("measuring", began.elapsed().as_secs_f64() / duration.as_secs_f64());
    }
    let measured = began.elapsed();
    let share = |before: Option<f64>, after: Option<f64>| {
        before.zip(after).map(|(before, after)| (after - before) / measured.as_secs_f64())
    };
    let machine = Machine {
        server_cpu: share(before.0, used(server)),
        server_memory: server.and_then(Process::memory),
        bots_cpu: share(before.1, used(Some(Process::own()))),
    };
    (measured, machine)
}

/// Waits until all bots are in and in their places, or no more of them will be.
fn settle(run: &Run, progress: &mut Progress<'_>) {
    let clients = u64::from(run.options.clients);
    let storm = run.options.scenario == Scenario::LoginStorm;
    let mut last = (0, now());
    let mut all_in: Option<Instant> = None;
    loop {
        let inside = run.live.inside.load(Relaxed) + run.live.failed.load(Relaxed);
        let arrived = run.live.arrived.load(Relaxed);
        if inside != last.0 {
            last = (inside, now());
        }
        if arrived + run.live.failed.load(Relaxed) >= clients
            || last.1.elapsed() > STUCK && !storm && all_in.is_none()
        {
            return;
        }
        if inside >= clients && all_in.get_or_insert_with(now).elapsed() > run.options.warm_up {
            return;
        }
        pause(Duration::from_millis(250));
        let (what, share) = if inside < clients {
            ("coming in", inside as f64 / clients as f64)
        } else {
            ("walking", arrived as f64 / clients as f64)
        };
        progress.show(what, share);
    }
}

/// The calling thread has nothing else to do.
#[expect(clippy::disallowed_methods, reason = "not an async thread, and it only waits")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// One thread's bots.
fn crew(run: &Arc<Run>, thread: u32, threads: u32) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Rc::new(Desk {
        run: run.clone(),
        tally: RefCell::default(),
        buffer: RefCell::new(vec![0; READ_BUFFER]),
    });
    let bots = LocalSet::new();
    for index in (thread..run.options.clients).step_by(threads as usize) {
        bots.spawn_local(live(index as usize, desk.clone()));
    }
    runtime.block_on(bots);
    let tally = desk.tally.take();
    Ok(tally)
}

/// One bot's life.
async fn live(index: usize, desk: Rc<Desk>) {
    let run = desk.run.clone();
    let share = index as f64 / f64::from(run.options.clients);
    tokio::time::sleep(run.options.ramp.mul_f64(share)).await;
    if run.options.scenario == Scenario::LoginStorm {
        return storm::rage(index, desk).await;
    }
    let inside = match come_in(index, &run).await {
        Ok(inside) => inside,
        Err(error) => {
            run.live.failed.fetch_add(1, Relaxed);
            return desk.fault(&format!("entry: {error}"));
        }
    };
    run.live.inside.fetch_add(1, Relaxed);
    if let Some(bot) = Bot::new(index, desk, inside) {
        bot.play().await;
    }
}

/// Comes in when the door is free; what a busy server refuses is tried again after a while.
async fn come_in(index: usize, run: &Run) -> Result<Inside, ClientError> {
    let name = run.options.name(index);
    let until = now() + PATIENCE;
    loop {
        let place = run.gate.acquire().await;
        let outcome = run.door.enter(&name).await;
        drop(place);
        let again = outcome.as_ref().err().and_then(pause_after);
        match again {
            Some(wait) if now() + wait < until && run.live.phase() == Phase::Settle => {
                tokio::time::sleep(wait).await;
            }
            _ => return outcome,
        }
    }
}
