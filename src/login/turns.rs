//! Turns for strangers who all try one name: one after the other, each network in its turn.
//!
//! Kept by `attempts.rs` for a name that is under attack. Pure: told the time, bounded. However much
//! one network tries, another waits for no more than one try of each that came before it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A turn that is not taken within this is over.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Networks that wait at once; more are told to come when these are through.
const WAITING_MAX: usize = 64;

/// Who waits for a turn, in order.
#[derive(Debug, Default)]
pub(super) struct Turns(VecDeque<(IpAddr, Instant)>);

impl Turns {
    /// Whether it is this network's turn, which is over then. `free`: whether one that does not
    /// wait may go at once if nobody does. `pace`: between two turns.
    ///
    /// # Errors
    /// How long to wait: it has a turn then, unless too many wait.
    pub(super) fn take(
        &mut self,
        network: IpAddr,
        free: bool,
        pace: Duration,
        now: Instant,
    ) -> Result<(), Duration> {
        self.0.retain(|(_, at)| now < *at + TAKEN_WITHIN);
        if let Some(mine) = self.0.iter().position(|(waits, _)| *waits == network) {
            let (_, at) = self.0[mine];
            if now < at {
                return Err(at - now);
            }
            self.0.remove(mine);
            return Ok(());
        }
        if free && self.0.is_empty() {
            return Ok(());
        }
        let last = self.0.back().map_or(now, |(_, at)| *at);
        let next = last.max(now) + pace;
        if self.0.len() < WAITING_MAX {
            self.0.push_back((network, next));
        }
        Err(next - now)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_secs(3);

    fn network(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    #[test]
    fn each_network_has_one_turn_and_keeps_it() {
        let (start, mut turns) = (crate::tick::now(), Turns::default());
        let mut take = |number, free, seconds| {
            let now = start + Duration::from_secs(seconds);
            turns.take(network(number), free, PACE, now).map_err(|wait| wait.as_secs())
        };
        assert_eq!(take(1, true, 0), Ok(()), "nobody waits");
        assert_eq!(take(1, false, 0), Err(3));
        assert_eq!(take(2, false, 0), Err(6));
        assert_eq!(take(3, true, 0), Err(9), "others wait");
        for _ in 0..100 {
            assert_eq!(take(1, false, 1), Err(2), "to ask again gains and loses nothing");
        }
        assert_eq!(take(2, false, 6), Ok(()));
        assert_eq!(take(1, false, 6), Ok(()));
        assert_eq!(take(2, false, 6), Err(6));
        assert_eq!(take(3, false, 9), Ok(()));
        assert_eq!(take(2, false, 60), Err(3), "its turn was over");
    }

    #[test]
    fn who_finds_no_room_is_told_when_there_will_be_some() {
        let (now, mut turns) = (crate::tick::now(), Turns::default());
        for number in 0..200 {
            assert!(turns.take(network(number), false, PACE, now).is_err());
        }
        assert_eq!(turns.0.len(), WAITING_MAX);
        assert_eq!(turns.take(network(250), false, PACE, now), Err(PACE * 65));
    }
}
