//! `throng loadtest`: bots that play like people, at a stated rate, and count what they get.
//!
//! Called by the command line. Open-loop: every send has its moment on an absolute schedule, and
//! a late answer never delays the next one; moments that the bots themselves miss are counted.
//!
//! `delivered` is the share of what was due that came. With bots that walk: of the inputs that
//! bots in a watcher's view sent while they were in it, those whose place reached the watcher
//! (precisely: `book.rs`). With `chat`: of the messages said in a watcher's room, those it got.
//! In a fight also `own`: of the blows that bots have dealt and got, those they were told of. With
//! `echo` and `idle`: requests answered. With `login-storm`: log-ins that ended in the world.
//! It falls as soon as the server sheds, stalls or forgets. Latency is of those that came: from
//! the moment an input was sent to the moment a watcher had read it, and so on alike.

//!
//! With `--start` the server is a child of the run (`own.rs`), and what it costs is its own alone;
//! with `--baseline` a bare loop (`bare/`) shows what the kernel takes of that.

pub mod assertion;
mod bare;
mod book;
mod bot;
mod cores;
mod course;
mod crew;
mod entry;
mod fleet;
mod hostile;
mod ledger;
mod options;
mod own;
mod process;
mod progress;
mod report;
mod scan;
mod scrape;
mod storm;
mod tally;
mod threads;

#[cfg(test)]
mod tests;

use cores::Cores;
use own::OwnServer;
use process::Process;

pub use bare::{Bare, BareLoop};
pub use entry::KEY;
pub use hostile::{Row, Table};
pub use options::{Database, Options, Scenario, Usual};
pub use report::{Cost, Fight, Flow, Machine, Quantiles, Report};
pub use scrape::{Shed, Ticks};

/// Runs the load test: bots come in, walk to their places, and are measured; then, if asked for,
/// the bare loop is.
///
/// # Errors
/// If the options don't go together, the server of the run's own does not come up, or nobody could
/// enter.
pub fn run(options: Options) -> anyhow::Result<Report> {
    options.check().map_err(anyhow::Error::msg)?;
    let cores = options.pin.then(Cores::of_process).transpose()?;
    // If the system refuses, a run of many bots says that there are no sockets left.
    let _ = crate::descriptors::raise();
    let (assertions, baseline) = (options.assert.clone(), options.baseline);
    let plan = bare::Plan::of(&options);
    let mut report = if options.start {
        let own = start(&options, cores.as_ref())?;
        let mut report = fleet::run(own.aim(options), Some(&own))?;
        report.server_said = own.said();
        report.settings = own.settings.clone();
        report
    } else {
        fleet::run(options, None)?
    };
    if baseline {
        let bare = bare::run(&plan, &report, cores.as_ref())?;
        report.compare(bare, &assertions);
    }
    Ok(report)
}

/// Runs the load test of `--scenario hostile`: bots that walk, and flooders beside them.
///
/// # Errors
/// As [`run`].
pub fn hostile(options: &Options) -> anyhow::Result<Table> {
    options.check().map_err(anyhow::Error::msg)?;
    let cores = options.pin.then(Cores::of_process).transpose()?;
    // If the system refuses, a run of many bots says that there are no sockets left.
    let _ = crate::descriptors::raise();
    hostile::run(options, &start(options, cores.as_ref())?)
}

/// Starts the run's own server, on a core of its own if there are `cores` to share out.
fn start(options: &Options, cores: Option<&Cores>) -> anyhow::Result<OwnServer> {
    if let (Some(cores), Some(pid)) = (cores, options.database.as_ref().and_then(|it| it.pid)) {
        for process in Process::of(pid).family().iter() {
            cores.move_to_bots(process.pid())?;
        }
    }
    cores.map_or(Ok(()), Cores::become_server)?;
    let own = OwnServer::start(options)?;
    cores.map_or(Ok(()), Cores::become_bots)?;
    Ok(own)
}
