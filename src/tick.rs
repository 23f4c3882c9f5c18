//! Time: the world's in ticks, everybody else's from the only two clocks of the program.
//!
//! Roles and the network read [`now`] and [`unix_millis`]; the world never does, it is told.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds of one world tick: 20 Hz.
pub const TICK_MS: u64 = 50;
/// One world tick.
pub const TICK: Duration = Duration::from_millis(TICK_MS);
/// Seconds of one world tick.
pub const TICK_SECONDS: f32 = TICK_MS as f32 / 1000.0;
/// Milliseconds between two rounds of the event manager: 100 Hz.
pub const EVENT_ROUND_MS: u64 = 10;

/// A moment in a zone: steps since its world was made, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u64);

impl Tick {
    /// The tick `millis` later, rounded up, so that a wait is never shorter than asked.
    pub fn after_millis(self, millis: u64) -> Self {
        Self(self.0 + millis.div_ceil(TICK_MS))
    }

    /// Milliseconds until `later`; 0 if that has passed.
    pub fn millis_until(self, later: Tick) -> u64 {
        later.0.saturating_sub(self.0) * TICK_MS
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "everybody else reads this one")]
pub fn now() -> Instant {
    #[cfg(test)]
    {
        if let Some(now) = simulated::now() {
            return now;
        }
    }
    Instant::now()
}

/// The wall clock: Unix milliseconds. For packets and records, never for measuring.
#[expect(clippy::disallowed_methods, reason = "everybody else reads this one")]
pub fn unix_millis() -> u64 {
    #[cfg(test)]
    {
        if let Some(millis) = simulated::unix_millis() {
            return millis;
        }
    }
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Time as a simulation has it: both clocks of one thread stand still until they are set.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    thread_local! {
        static PASSED: Cell<Option<Duration>> = const { Cell::new(None) };
    }

    /// Every simulation's beginning. Ahead of real time, so that `elapsed` gives 0 everywhere.
    static BEGINNING: LazyLock<Instant> =
        LazyLock::new(|| super::now() + Duration::from_secs(24 * 3_600));

    /// Begins a simulation on this thread, or sets its clocks; none ends it.
    pub(crate) fn set(passed: Option<Duration>) {
        LazyLock::force(&BEGINNING);
        PASSED.set(passed);
    }

    /// The moment at which so much has passed.
    pub(crate) fn at(passed: Duration) -> Instant {
        *BEGINNING + passed
    }

    pub(super) fn now() -> Option<Instant> {
        PASSED.get().map(at)
    }

    pub(super) fn unix_millis() -> Option<u64> {
        PASSED.get().map(|passed| 1_700_000_000_000 + passed.as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_shorter_than_asked() {
        assert_eq!(Tick(10).after_millis(500), Tick(20));
        assert_eq!(Tick(10).after_millis(1), Tick(11));
        assert_eq!(Tick(10).millis_until(Tick(20)), 500);
        assert_eq!(Tick(20).millis_until(Tick(10)), 0);
    }
}
