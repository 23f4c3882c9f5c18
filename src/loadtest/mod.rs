//! `throng loadtest`: bots that play like people, at a stated rate, and count what they get.
//!
//! Called by the command line. Open-loop: every send has its moment on an absolute schedule, and
//! a late answer never delays the next one. `delivered` is the share of what was due at the
//! watchers that came (see `book.rs`): it falls as soon as the server sheds, stalls or forgets.

pub mod assertion;
mod book;
mod bot;
mod course;
mod entry;
mod fleet;
mod hearing;
mod ledger;
mod options;
mod process;
mod report;
mod scan;
mod storm;
mod tally;

pub use options::{Options, Scenario};
pub use report::Report;

/// Runs the load test: bots come in, walk to their places, and are measured.
///
/// # Errors
/// If the options don't go together, or nobody could enter.
pub fn run(options: Options) -> anyhow::Result<Report> {
    options.check().map_err(anyhow::Error::msg)?;
    fleet::run(options)
}
