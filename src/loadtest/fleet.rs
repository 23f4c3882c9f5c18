//! All bots of a run: threads, phases, and who comes in when.
//!
//! The calling thread only waits and prints. One thread lets the bots in; each of the others plays
//! its share of them (`crew.rs`).

use std::rc::Rc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::{Poll, Waker};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

use super::bot::Desk;
use super::course::Posts;
use super::crew::{Crew, DOORBELL};
use super::entry::{Arrived, Door, Inside, pause_after};
use super::hostile;
use super::ledger::Ledger;
use super::options::Options;
use super::own::OwnServer;
use super::process::{Process, Processes, Spent};
use super::progress::Progress;
use super::report::{Machine, Report};
use super::scrape::Look;
use super::storm;
use super::tally::{Live, Phase, Tally};
use super::threads;
use crate::client::ClientError;
use crate::tick::now;

/// Bots that come in at once: less than half of the strangers that a server lets an address hold ...
const AT_THE_DOOR: usize = 40;
/// ... and into a server of the run's own, which is told to let more: they share its commits.
const AT_OWN_DOOR: usize = 200;
/// How long a bot asks a busy server for entry.
const PATIENCE: Duration = Duration::from_secs(120);
/// One bot in so many watches at most, once there are many ...
const WATCH_EVERY: u32 = 8;
/// ... and about so many in all, for a watcher costs many times as much as another bot.
const WATCHERS: u32 = 128;
/// Up to so many bots all watch.
const ALL_WATCH: u32 = 100;
/// Between two looks whether the second half has begun.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Time for what is under way to arrive after the last send.
const DRAIN: Duration = Duration::from_secs(1);
/// When nobody has come into any view for so long, views are full.
const VIEWS_FULL: Duration = Duration::from_millis(750);
/// Time without anybody coming in after which the run is given up.
const STUCK: Duration = Duration::from_secs(30);
/// The longest that all may take to come into a server of the run's own, on top of `--ramp`.
const SETUP: Duration = Duration::from_secs(120);

/// What all bots of a run share.
pub(super) struct Run {
    pub options: Options,
    pub live: Live,
    pub ledger: Ledger,
    pub posts: OnceLock<Posts>,
    /// By bot: its player, once it is in.
    pub players: Vec<AtomicU64>,
    pub watch_every: usize,
    pub door: Door,
    pub gate: Semaphore,
}

/// A thread of bots.
type Thread = JoinHandle<anyhow::Result<Tally>>;

/// Runs a load test from beginning to end, against a server of the run's own if there is one.
pub(super) fn run(options: Options, own: Option<&OwnServer>) -> anyhow::Result<Report> {
    let clients = options.clients;
    let run = Arc::new(Run {
        live: Live::default(),
        ledger: Ledger::new(clients as usize, now()),
        posts: OnceLock::new(),
        players: (0..clients).map(|_| AtomicU64::new(0)).collect(),
        watch_every: watch_every(clients),
        door: Door::new(&options),
        gate: Semaphore::new(if options.start { AT_OWN_DOOR } else { AT_THE_DOOR }),
        options,
    });
    let mut fleet = if run.options.storms() { storms(&run)? } else { crews(&run)? };
    fleet.extend(storm_beside(&run)?);
    fleet.extend(flood_beside(&run)?);
    let mut progress = Progress::new(&run);
    settle(&run, &mut progress).inspect_err(|_| run.live.go_on(Phase::End))?;
    let (measured, machine) = measure(&run, own, &mut progress);
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

/// One bot in so many is a watcher.
fn watch_every(clients: u32) -> usize {
    if clients <= ALL_WATCH { 1 } else { (clients / WATCHERS).max(WATCH_EVERY) as usize }
}

/// Threads of bots that stay, and the one at the door.
fn crews(run: &Arc<Run>) -> anyhow::Result<Vec<Thread>> {
    let threads = run.options.threads.min(run.options.clients);
    let (mut fleet, mut entrances) = (Vec::new(), Vec::new());
    for thread in 0..threads {
        let poll = Poll::new().context("no event queue for the bots")?;
        let bell = Waker::new(poll.registry(), DOORBELL)?;
        let (sender, newcomers) = sync_channel(run.options.clients as usize);
        entrances.push(Entrance { sender, bell });
        let crew = run.clone();
        let play = move || Ok(Crew::new(crew, poll, newcomers).play()?);
        fleet.push(spawn(format!("bots-{thread}"), play)?);
    }
    let there = run.clone();
    fleet.push(spawn("door".to_owned(), move || at_the_door(&there, entrances))?);
    Ok(fleet)
}

/// Threads of bots that come and go.
fn storms(run: &Arc<Run>) -> anyhow::Result<Vec<Thread>> {
    let threads = run.options.threads.min(run.options.clients);
    let storm = |thread: u32| {
        let run = run.clone();
        spawn(format!("bots-{thread}"), move || {
            let desk = Rc::new(Desk::new(run.clone()));
            let bots = LocalSet::new();
            for index in (thread..run.options.clients).step_by(threads as usize) {
                bots.spawn_local(storm::rage(index as usize, desk.clone()));
            }
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(bots);
            Ok(desk.tally.take())
        })
    };
    (0..threads).map(storm).collect()
}

/// The thread of those who log in beside the bots, if there are any.
fn storm_beside(run: &Arc<Run>) -> anyhow::Result<Option<Thread>> {
    let Options { clients, storm, .. } = run.options;
    let there = run.clone();
    let rage = move || {
        let desk = Rc::new(Desk::new(there));
        let all = LocalSet::new();
        for index in clients..clients + storm {
            all.spawn_local(storm::log_in_beside(index as usize, desk.clone()));
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(all);
        Ok(desk.tally.take())
    };
    (storm > 0).then(|| spawn("storm".to_owned(), rage)).transpose()
}

/// The thread of those who flood in the second half, if there are any.
fn flood_beside(run: &Arc<Run>) -> anyhow::Result<Option<Thread>> {
    let Some(assault) = run.options.flood.clone() else { return Ok(None) };
    let run = run.clone();
    let flood = move || {
        while !run.live.second_half.load(Relaxed) && run.live.phase() < Phase::Drain {
            pause(LOOK_AGAIN);
        }
        let options = &run.options;
        let first = options.clients + options.storm;
        let account = |at: usize| (options.name(first as usize + at), options.password.clone());
        hostile::pour(&assault, &account, &|| run.live.phase() >= Phase::Drain)?;
        Ok(Tally::default())
    };
    spawn("flood".to_owned(), flood).map(Some)
}

fn spawn(
    name: String,
    work: impl FnOnce() -> anyhow::Result<Tally> + Send + 'static,
) -> anyhow::Result<Thread> {
    std::thread::Builder::new().name(name).spawn(work).context("no threads for the bots")
}

/// Where a crew's newcomers come in.
struct Entrance {
    sender: SyncSender<Arrived>,
    bell: Waker,
}

impl Entrance {
    /// False: the crew takes nobody; it has failed, and its thread says why.
    fn admit(&self, arrived: Arrived) -> bool {
        self.sender.try_send(arrived).is_ok() && self.bell.wake().is_ok()
    }
}

/// Lets every bot in, and hands it to its crew.
fn at_the_door(run: &Arc<Run>, entrances: Vec<Entrance>) -> anyhow::Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Rc::new(Desk::new(run.clone()));
    let entrances = Rc::new(entrances);
    let bots = LocalSet::new();
    for index in 0..run.options.clients as usize {
        bots.spawn_local(arrive(index, desk.clone(), entrances.clone()));
    }
    runtime.block_on(bots);
    let tally = desk.tally.take();
    Ok(tally)
}

/// One bot comes in.
async fn arrive(index: usize, desk: Rc<Desk>, entrances: Rc<Vec<Entrance>>) {
    let run = &desk.run;
    let share = index as f64 / f64::from(run.options.clients);
    tokio::time::sleep(run.options.ramp.mul_f64(share)).await;
    let came = come_in(index, run).await;
    let arrived = came
        .map_err(|error| error.to_string())
        .and_then(|inside| inside.leave_door(index).map_err(|error| error.to_string()));
    let arrived = match arrived {
        Ok(arrived) => arrived,
        Err(error) => {
            run.live.failed.fetch_add(1, Relaxed);
            return desk.fault(&format!("entry: {error}"));
        }
    };
    if entrances[index % entrances.len()].admit(arrived) {
        run.live.inside.fetch_add(1, Relaxed);
    }
}

/// Lets the bots play for the time that counts; gives how long that was, and what it has cost.
fn measure(run: &Run, own: Option<&OwnServer>, progress: &mut Progress<'_>) -> (Duration, Machine) {
    let Options { duration, .. } = &run.options;
    let server: Option<Processes> = match own {
        Some(own) => Some(own.processes()),
        None => Process::listening_on(run.options.target(), run.options.port())
            .map(|process| vec![process].into()),
    };
    let database = run.options.database.as_ref().and_then(|database| database.pid);
    let used = || {
        let database = database.and_then(|pid| Process::of(pid).family().spent());
        let server = server.as_ref().and_then(Processes::spent);
        [server, Process::own().spent(), database]
    };
    let look = || own.map(OwnServer::admins).and_then(|admins| Look::at(&admins));
    let threads = || server.as_ref().map(threads::spent).unwrap_or_default();
    let (looked, before, threads_before) = (look(), used(), threads());
    let began = now();
    run.live.go_on(Phase::Measure);
    let mut halfway = None;
    while began.elapsed() < *duration && run.live.inside.load(Relaxed) > 0 {
        if halfway.is_none() && began.elapsed() > *duration / 2 {
            halfway = Some((began.elapsed(), used()[0]));
            run.live.second_half.store(true, Relaxed);
        }
        let left = duration.saturating_sub(began.elapsed());
        pause(left.min(Duration::from_millis(250)));
        progress.show("measuring", began.elapsed().as_secs_f64() / duration.as_secs_f64());
    }
    let measured = began.elapsed();
    let seconds = measured.as_secs_f64();
    let after = used();
    let share = |whose: usize| {
        let spent = before[whose].zip(after[whose]);
        spent.map(|(before, after): (Spent, Spent)| after.since(before, seconds))
    };
    let (server_spent, bots_spent, database_spent) = (share(0), share(1), share(2));
    let halves_cpu = halfway.filter(|_| run.options.has_halves()).and_then(|(at, spent)| {
        let (first, later) = (at.as_secs_f64(), (measured - at).as_secs_f64());
        let (before, half, after) = (before[0]?, spent?, after[0]?);
        Some((half.since(before, first).all, after.since(half, later).all))
    });
    let looks = looked.zip(look());
    let machine = Machine {
        halves_cpu,
        server_cpu: server_spent.map(|spent| spent.all),
        server_kernel: server_spent.map(|spent| spent.kernel),
        server_memory: server.as_ref().and_then(Processes::memory),
        bots_cpu: bots_spent.map(|spent| spent.all),
        database_cpu: database_spent.map(|spent| spent.all),
        threads: threads::shares(&threads_before, &threads(), seconds),
        came_up_ms: own.map(|own| own.came_up.as_secs_f64() * 1e3),
        empty_memory: own.and_then(|own| own.empty),
        ticks: looks.as_ref().and_then(|(before, after)| before.ticks_until(after)),
        shed: looks.map(|(before, after)| before.shed_until(&after)),
    };
    (measured, machine)
}

/// Waits until all bots are in and in their places, or no more of them will be.
///
/// # Errors
/// If they come in too slowly, or nobody comes any more; says how many are in.
fn settle(run: &Run, progress: &mut Progress<'_>) -> anyhow::Result<()> {
    let clients = u64::from(run.options.clients);
    let (mut last, began) = ((0, now()), now());
    let mut all_in: Option<Instant> = None;
    loop {
        let inside = run.live.inside.load(Relaxed) + run.live.failed.load(Relaxed);
        let arrived = run.live.arrived.load(Relaxed);
        if inside != last.0 {
            last = (inside, now());
        }
        if arrived + run.live.failed.load(Relaxed) >= clients {
            fill_views(run, progress);
            return Ok(());
        }
        if inside >= clients && all_in.get_or_insert_with(now).elapsed() > run.options.warm_up {
            return Ok(());
        }
        let (stuck, took) = (last.1.elapsed() > STUCK, began.elapsed());
        if all_in.is_none() && (stuck || run.options.start && took > run.options.ramp + SETUP) {
            let why =
                run.live.refused.lock().take().map(|why| format!("; the last was told: {why}"));
            bail!(
                "only {} of {clients} bots are in after {:.0} s{}: a run of fewer would measure \
                 something else{}",
                run.live.inside.load(Relaxed),
                took.as_secs_f64(),
                if stuck { ", and no more come" } else { "" },
                why.unwrap_or_default()
            );
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

/// Waits until everybody's view is full: a crowd's takes seconds within the bandwidth that each has,
/// and would be measured in place of its movement. Where somebody always comes, it is not waited for.
fn fill_views(run: &Run, progress: &mut Progress<'_>) {
    let options = &run.options;
    if !options.start || options.storms() || options.npcs > 0 || options.server_config.is_some() {
        return;
    }
    let (began, mut last) = (now(), run.live.enters_in.load(Relaxed));
    while began.elapsed() < options.warm_up {
        pause(VIEWS_FULL);
        let entered = run.live.enters_in.load(Relaxed);
        if entered == last {
            return;
        }
        last = entered;
        progress.show("filling views", began.elapsed().div_duration_f64(options.warm_up));
    }
}

/// The calling thread has nothing else to do.
#[expect(clippy::disallowed_methods, reason = "not an async thread, and it only waits")]
pub(super) fn pause(time: Duration) {
    std::thread::sleep(time);
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
        if let Err(error) = &outcome {
            *run.live.refused.lock() = Some(error.to_string());
        }
        match again {
            Some(wait) if now() + wait < until && run.live.phase() == Phase::Settle => {
                tokio::time::sleep(wait).await;
            }
            _ => return outcome,
        }
    }
}
