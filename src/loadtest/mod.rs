//! `throng loadtest`: bots that play like people, at a stated rate, and count what they get.
//!
//! Called by the command line. Open-loop: every send has its moment on an absolute schedule, and
//! a late answer never delays the next one; moments that the bots themselves miss are counted.
//!
//! `delivered` is the share of what was due that came. With bots that walk: of the inputs that
//! bots in a watcher's view sent while they were in it, those whose place reached the watcher
//! (precisely: `book.rs`). With `chat`: of the messages said in a watcher's room, those it got.
//! With `echo` and `idle`: requests answered. With `login-storm`: log-ins that ended in the world.
//! It falls as soon as the server sheds, stalls or forgets. Latency is of those that came: from
//! the moment an input was sent to the moment a watcher had read it, and so on alike.

pub mod assertion;
mod book;
mod bot;
mod course;
mod entry;
mod fleet;
mod ledger;
mod options;
mod process;
mod progress;
mod report;
mod scan;
mod storm;
mod tally;

#[cfg(test)]
mod tests;

pub use options::{Options, Scenario};
pub use report::{Flow, Machine, Quantiles, Report};

/// Runs the load test: bots come in, walk to their places, and are measured.
///
/// # Errors
/// If the options don't go together, or nobody could enter.
pub fn run(options: Options) -> anyhow::Result<Report> {
    options.check().map_err(anyhow::Error::msg)?;
    fleet::run(options)
}
