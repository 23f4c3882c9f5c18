//! `throng demo`: a whole cluster on one machine with one command, to look at, to play in, and to
//! kill parts of.
//!
//! Starts every role as a process of its own on a throw-away PostgreSQL, keeps each alive as an
//! orchestrator would, lets bots play, and says what they notice. It is a parent of processes and
//! a client of theirs, and plays no role itself. When it ends, however it ends, nothing of it is
//! left: `leash.rs`.

mod charge;
mod console;
mod crowd;
pub(super) mod folder;
pub(super) mod leash;
mod member;
mod news;
mod page;
mod plan;
pub(super) mod postgres;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use self::charge::{Around, Charge};
use self::console::Console;
use self::crowd::Crowd;
use self::leash::Leash;
use self::news::{News, Seen};
use self::page::Page;
use self::plan::{Common, Server};
use self::postgres::Postgres;
use crate::role::Role;
use crate::tick::now;

/// How long the cluster may take until all of it is ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks at the bots' counters.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The order of the end: players are told, worlds are saved, then what they were saved with.
const END_ORDER: [Role; 5] = [Role::Gateway, Role::Zone, Role::Chat, Role::Login, Role::Master];

/// Options of `throng demo`.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// How many bots play; 0 for none
    #[arg(long, default_value_t = 100, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(0..=2_000))]
    bots: u32,
    /// How many zone servers; they share the world's zones
    #[arg(long, default_value_t = 3, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=16))]
    zones: u32,
    /// How many gateways
    #[arg(long, default_value_t = 2, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=8))]
    gateways: u32,
    /// A PostgreSQL that is there already, instead of a throw-away one; its password is better
    /// put into PGPASSWORD, for others can read arguments
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Keep the folder with the servers' data and the database, and say where it is
    #[arg(long)]
    keep: bool,
    /// Show what the servers log here too, instead of in a file alone
    #[arg(long)]
    logs: bool,
    /// Take free ports from this one on, instead of the default ones
    #[arg(long, value_name = "PORT",
          value_parser = clap::value_parser!(u16).range(1_024..=60_000))]
    base_port: Option<u16>,
}

/// Runs a demonstration until a signal ends it. `flags` are passed on to every server.
///
/// # Errors
/// If something is not there that is needed, or a process cannot be kept alive. Nothing is left
/// running then.
pub(super) fn run(options: &Options, flags: Vec<String>) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("no threads can be started")?;
    let (console, writer) = Console::start(options.logs)?;
    let done = runtime.block_on(demonstrate(options, program, flags, console));
    // Its copies are gone with the runtime's tasks; then the writer writes what waits, and ends.
    drop(runtime);
    let _ = writer.join();
    done
}

async fn demonstrate(
    options: &Options,
    program: PathBuf,
    flags: Vec<String>,
    console: Console,
) -> anyhow::Result<()> {
    // Before anything is made: what is missing is said at once.
    let postgres = options.postgres.is_none().then(Postgres::find).transpose()?;
    let mut signals = Signals::new()?;
    let folder = folder::scratch()?;
    let leash = match Leash::new((!options.keep).then_some(folder.as_path())) {
        Ok(leash) => leash,
        Err(problem) => {
            let _ = std::fs::remove_dir_all(&folder);
            return Err(problem);
        }
    };
    let log = folder.join(page::LOG);
    match std::fs::File::create(&log) {
        Ok(file) => console.keep_in(file),
        Err(problem) => console.say(format!("{} cannot be written: {problem}", log.display())),
    }
    let (hopeless, mut given_up) = mpsc::channel(1);
    let around = Around { group: leash.group(), console: console.clone(), hopeless };
    let mut cast = Cast::new(around);
    let done = tokio::select! {
        done = cast.play(options, postgres, &folder, program, flags) => done,
        Some(who) = given_up.recv() => Err(anyhow::anyhow!(who)),
        () = signals.next() => Ok(()),
    };
    console.say("stopping everything, in order (another signal: at once)");
    tokio::select! {
        () = cast.stop() => {}
        () = signals.next() => leash.kill(),
    }
    leash.end().await;
    if options.keep {
        console.say(format!("what was written is kept in {}", folder.display()));
    } else {
        console.say("everything has ended, and its files are gone");
    }
    done
}

/// All that asks for the end.
struct Signals([Signal; 3]);

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals cannot be taken");
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(take);
        Ok(Self([interrupt?, terminate?, hangup?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Everything that runs.
struct Cast {
    around: Around,
    database: Option<Charge>,
    servers: Vec<(Server, Charge)>,
    crowd: Option<Crowd>,
}

impl Cast {
    fn new(around: Around) -> Self {
        Self { around, database: None, servers: Vec::new(), crowd: None }
    }

    /// Starts everything, and follows it; ends only when something cannot be started.
    async fn play(
        &mut self,
        options: &Options,
        postgres: Option<Postgres>,
        folder: &Path,
        program: PathBuf,
        flags: Vec<String>,
    ) -> anyhow::Result<()> {
        let began = now();
        let servers = plan::servers(options.zones, options.gateways, options.base_port)?;
        let store = match (&options.postgres, postgres) {
            (Some(url), _) => url.clone(),
            (None, Some(postgres)) => self.start_database(postgres, folder).await?,
            (None, None) => bail!("there is no database"),
        };
        let secret = folder::new_secret(folder)?;
        let master = servers.iter().find(|server| server.role == Role::Master);
        let master = master.map_or(0, |server| server.ports.link);
        let folder = folder.to_owned();
        let common = Common { program, flags, folder, secret, store, master };
        self.start_servers(servers, &common).await?;
        self.around.console.say(self.page(options, &common, began.elapsed().as_secs_f64()));
        self.follow(options.bots).await
    }

    async fn start_database(
        &mut self,
        postgres: Postgres,
        folder: &Path,
    ) -> anyhow::Result<String> {
        self.around.console.say("making a throw-away database");
        let database = postgres.make(folder, self.around.group).await?;
        let charge = Charge::start(database.member(), 0, &self.around);
        let charge = self.database.insert(charge);
        ready(charge).await?;
        Ok(database.url())
    }

    /// The master first, the others together.
    async fn start_servers(&mut self, servers: Vec<Server>, common: &Common) -> anyhow::Result<()> {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        self.around.console.say(format!("starting {}", names.join(", ")));
        for server in servers {
            let first = server.role == Role::Master;
            let place = self.servers.len() + 1;
            let charge = Charge::start(server.member(common), place, &self.around);
            self.servers.push((server, charge));
            if let Some((_, charge)) = self.servers.last().filter(|_| first) {
                ready(charge).await?;
            }
        }
        for (_, charge) in &self.servers {
            ready(charge).await?;
        }
        Ok(())
    }

    fn page(&self, options: &Options, common: &Common, took: f64) -> String {
        let called = std::env::args().next();
        let servers: Vec<_> =
            self.servers.iter().map(|(server, charge)| (server, charge.pid())).collect();
        let page = Page {
            program: called.as_deref().unwrap_or("throng"),
            servers: &servers,
            database: self.database.as_ref().and_then(Charge::pid),
            folder: &common.folder,
            bots: options.bots,
            took,
        };
        page.text()
    }

    /// Lets the bots in and tells what they notice, for ever.
    async fn follow(&mut self, bots: u32) -> anyhow::Result<()> {
        let login = self.servers.iter().find(|(server, _)| server.role == Role::Login);
        let port = login.map_or(0, |(server, _)| server.ports.login);
        if bots == 0 {
            return std::future::pending().await;
        }
        let counts = self.crowd.insert(Crowd::start(bots, port)?).counts.clone();
        let mut news = News::new(bots, now());
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let silence = counts.longest_silence.swap(0, Relaxed);
            if let Some(line) = news.hear(Seen::of(&counts), silence, now()) {
                self.around.console.say(line);
            }
        }
    }

    /// Ends everything, in order; those of one role together.
    async fn stop(self) {
        if let Some(crowd) = self.crowd {
            crowd.stop().await;
        }
        let mut left = self.servers;
        for role in END_ORDER {
            let (these, others) = left.into_iter().partition(|(server, _)| server.role == role);
            left = others;
            let these: Vec<(Server, Charge)> = these;
            let ends = these.into_iter().map(|(_, charge)| tokio::spawn(charge.stop()));
            for end in ends.collect::<Vec<_>>() {
                // It does not panic.
                let _ = end.await;
            }
        }
        if let Some(database) = self.database {
            database.stop().await;
        }
    }
}

/// Waits until a process is ready.
async fn ready(charge: &Charge) -> anyhow::Result<()> {
    let waited = tokio::time::timeout(READY_WITHIN, charge.ready()).await;
    waited.with_context(|| {
        format!("{} is not ready after {} s", charge.name(), READY_WITHIN.as_secs())
    })
}
