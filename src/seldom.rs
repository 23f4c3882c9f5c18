//! Complaints about strangers, who decide how often there is a reason: said seldom, counted always.
//!
//! Kept by whoever writes a log line that somebody else can provoke; it never logs anything itself.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::tick::now;

/// Between two complaints.
const APART: Duration = Duration::from_secs(1);

/// Lets one complaint a second through.
#[derive(Debug, Default)]
pub struct Seldom {
    state: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// How many were not let through since the last one, if this one is.
    pub fn allow(&self) -> Option<u64> {
        self.allow_at(now())
    }

    fn allow_at(&self, time: Instant) -> Option<u64> {
        let mut state = self.state.lock();
        let (last, unsaid) = &mut *state;
        if last.is_some_and(|last| time - last < APART) {
            *unsaid += 1;
            return None;
        }
        *last = Some(time);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_said_and_tells_of_the_others() {
        let (seldom, start) = (Seldom::default(), now());
        assert_eq!(seldom.allow_at(start), Some(0));
        assert_eq!(seldom.allow_at(start), None);
        assert_eq!(seldom.allow_at(start + APART / 2), None);
        assert_eq!(seldom.allow_at(start + APART), Some(2));
        assert_eq!(seldom.allow_at(start + 3 * APART), Some(0));
    }
}
