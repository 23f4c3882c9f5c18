//! The line on standard error that shows how a run goes; nothing where nobody looks.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::fleet::Run;
use crate::tick::now;

/// Signs of the bar.
const BAR: usize = 20;
/// Seconds between two pictures, about.
const REFRESH: f64 = 0.9;

/// Shows once a second where a run stands and what flows.
pub(super) struct Progress<'a> {
    run: &'a Run,
    last: Instant,
    counted: [u64; 4],
    shown: bool,
}

impl<'a> Progress<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { run, last: now(), counted: [0; 4], shown: std::io::stderr().is_terminal() }
    }

    /// What is being done, and how much of it is.
    pub(super) fn show(&mut self, what: &str, share: f64) {
        let seconds = self.last.elapsed().as_secs_f64();
        if !self.shown || seconds < REFRESH {
            return;
        }
        let live = &self.run.live;
        let counts = [&live.packets_out, &live.packets_in, &live.updates_in, &live.bytes_in]
            .map(|count| count.load(Relaxed));
        let per_second = |i: usize| thousands((counts[i] - self.counted[i]) as f64 / seconds);
        let filled = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
        let slowest = live.slowest.swap(0, Relaxed) as f64 / 1e6;
        let latency =
            if slowest > 0.0 { format!("  worst {slowest:.0} ms") } else { String::new() };
        let line = format!(
            "\r\x1b[2K{what} [{}{}] {} bots  per second: {} out, {} in, {} updates, {}B{latency}  {} errors",
            "#".repeat(filled),
            "-".repeat(BAR - filled),
            live.inside.load(Relaxed),
            per_second(0),
            per_second(1),
            per_second(2),
            per_second(3),
            live.errors.load(Relaxed),
        );
        (self.last, self.counted) = (now(), counts);
        // A closed standard error is no fault of the test's.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// Makes room for the report.
    pub(super) fn clear(&self) {
        if self.shown {
            let _ = std::io::stderr().write_all(b"\r\x1b[2K");
        }
    }
}

/// A number in three or four signs: 950, 12.3k, 4.5M.
fn thousands(number: f64) -> String {
    match number {
        n if n < 1e3 => format!("{n:.0}"),
        n if n < 1e6 => format!("{:.1}k", n / 1e3),
        n => format!("{:.1}M", n / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn large_numbers_are_short() {
        let shown = [0.0, 999.0, 12_345.0, 4_500_000.0].map(thousands);
        assert_eq!(shown, ["0", "999", "12.3k", "4.5M"]);
    }
}
