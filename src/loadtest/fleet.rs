//! All bots of a run: threads, phases, the line that shows how it goes.
//!
//! The calling thread only waits and prints; each other thread runs its share of the bots on a
//! runtime of its own.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::bot::{Bot, Desk, Done};
use super::entry::{Door, Inside};
use super::ledger::Ledger;
use super::options::{Options, Scenario};
use super::process::Process;
use super::report::Report;
use super::storm;
use super::tally::{Live, Phase, Tally, count};
use crate::client::ClientError;
use crate::geometry::Point;
use crate::tick::now;

/// Bots that come in at once: the server lets an address hold so many strangers.
const AT_THE_DOOR: usize = 50;
/// How often a bot tries to come in.
const ENTRY_TRIES: u32 = 3;
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
const BAR: usize = 24;

/// What all bots of a run share.
pub(super) struct Run {
    pub options: Options,
    pub live: Live,
    pub ledger: Ledger,
    pub posts: OnceLock<(Vec<Point>, bool)>,
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
    let server = Process::listening_on(run.options.port);
    let cpu_before = server.and_then(Process::cpu_seconds);
    let began = now();
    run.live.go_on(Phase::Measure);
    while began.elapsed() < run.options.duration {
        let share = began.elapsed().as_secs_f64() / run.options.duration.as_secs_f64();
        let left = run.options.duration.saturating_sub(began.elapsed());
        pause(left.min(Duration::from_millis(250)));
        progress.show("measuring", share);
    }
    let measured = began.elapsed();
    let cpu_after = server.and_then(Process::cpu_seconds);
    run.live.go_on(Phase::Drain);
    let connected = run.live.inside.load(Relaxed);
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
    run.door.remember();
    let failed = run.live.failed.load(Relaxed);
    if connected == 0 && run.options.scenario != Scenario::LoginStorm {
        let reasons: Vec<&str> = tally.errors.keys().map(String::as_str).collect();
        bail!("nobody came in ({failed} tried): {}", reasons.join("; "));
    }
    let cpu =
        cpu_before.zip(cpu_after).map(|(before, after)| (after - before) / measured.as_secs_f64());
    let memory = server.and_then(Process::memory);
    Ok(Report::new(&run, tally, measured, connected, cpu, memory))
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
            return count(&mut desk.tally.borrow_mut().errors, &format!("entry: {error}"));
        }
    };
    run.live.inside.fetch_add(1, Relaxed);
    let Some(bot) = Bot::new(index, desk.clone(), inside) else { return };
    if let Done::Lost(reason) = bot.play().await {
        run.live.inside.fetch_sub(1, Relaxed);
        run.live.failed.fetch_add(1, Relaxed);
        let mut tally = desk.tally.borrow_mut();
        count(&mut tally.errors, "lost connection");
        count(&mut tally.disconnects, &reason);
    }
}

/// Comes in when the door is free; what a busy server refuses is tried again after a while.
async fn come_in(index: usize, run: &Run) -> Result<Inside, ClientError> {
    let name = run.options.name(index);
    let mut tries = 0;
    loop {
        let place = run.gate.acquire().await;
        let outcome = run.door.enter(&name).await;
        drop(place);
        tries += 1;
        match outcome {
            Err(_) if tries < ENTRY_TRIES && run.live.phase() == Phase::Settle => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            outcome => return outcome,
        }
    }
}

/// The line that shows how it goes; nothing where nobody looks.
struct Progress<'a> {
    run: &'a Run,
    last: Instant,
    counted: (u64, u64, u64),
    shown: bool,
}

impl<'a> Progress<'a> {
    fn new(run: &'a Run) -> Self {
        Self { run, last: now(), counted: (0, 0, 0), shown: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, what: &str, share: f64) {
        let seconds = self.last.elapsed().as_secs_f64();
        if !self.shown || seconds < 0.9 {
            return;
        }
        let live = &self.run.live;
        let count = (
            live.packets_in.load(Relaxed),
            live.updates_in.load(Relaxed),
            live.packets_out.load(Relaxed),
        );
        let per_second = |new: u64, old: u64| (new - old) as f64 / seconds;
        let filled = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
        let line = format!(
            "\r\x1b[2K{what:>10} [{}{}] {:>5} in  {:>8.0} packets/s in  {:>9.0} updates/s in  {:>7.0} packets/s out",
            "#".repeat(filled),
            "-".repeat(BAR - filled),
            live.inside.load(Relaxed),
            per_second(count.0, self.counted.0),
            per_second(count.1, self.counted.1),
            per_second(count.2, self.counted.2),
        );
        (self.last, self.counted) = (now(), count);
        // A closed standard error is no fault of the test's.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    fn clear(&self) {
        if self.shown {
            let _ = std::io::stderr().write_all(b"\r\x1b[2K");
        }
    }
}
