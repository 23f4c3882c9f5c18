//! Whether a lane of the writer still gets anything committed.
//!
//! The writer notes here what is asked of a lane and what it commits; readiness reads it. Nothing
//! here decides what is done about it, and nothing waits.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long after the last write that was asked for a lane counts as stuck. Then it is given another
/// chance: a process that is sent nobody asks for nothing, and would never be well again.
const ASKED_WITHIN: Duration = Duration::from_secs(30);

/// Of one lane.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The first and the last write that was asked for since something was committed.
    asked: Option<(Instant, Instant)>,
}

impl Progress {
    /// A write was asked for.
    pub(super) fn asked(&self, now: Instant) {
        let mut state = self.0.lock();
        let recent = state.asked.filter(|(_, last)| now.duration_since(*last) < ASKED_WITHIN);
        state.asked = Some((recent.map_or(now, |(first, _)| first), now));
    }

    /// Something was committed.
    pub(super) fn committed(&self) {
        self.0.lock().asked = None;
    }

    /// For how long nothing has been committed although it was asked for.
    pub(super) fn stuck_for(&self, now: Instant) -> Option<Duration> {
        let (first, last) = self.0.lock().asked?;
        (now.saturating_duration_since(last) < ASKED_WITHIN)
            .then(|| now.saturating_duration_since(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_stuck_from_the_first_write_until_a_commit_or_until_nobody_asks() {
        let (progress, begin) = (Progress::default(), crate::tick::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let stuck = |seconds| progress.stuck_for(at(seconds)).map(|time| time.as_secs());
        assert_eq!(stuck(0), None);
        progress.asked(at(1));
        progress.asked(at(4));
        assert_eq!(stuck(7), Some(6));
        progress.committed();
        assert_eq!(stuck(8), None);
        progress.asked(at(10));
        assert_eq!((stuck(39), stuck(40)), (Some(29), None), "it may be tried again");
        progress.asked(at(50));
        assert_eq!(stuck(52), Some(2), "what was long ago does not count");
    }
}
