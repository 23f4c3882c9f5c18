//! How many requests each address gets answered a second. More wait, so that a connection which pours
//! requests is held back by its own answers.
//!
//! Asked before a request is looked at. It remembers an address only while it has something to pay.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::net::gate::counted_address;

/// Requests a second of one address, and at once: a page is a dozen.
const PER_SECOND: u32 = 50;
/// See [`PER_SECOND`].
const BURST: u32 = 200;
/// The longest wait; a request that would wait longer is refused.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Addresses that are remembered; all others share one rate.
const ADDRESSES: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// When all that an address was let through will be paid for.
    paid: Mutex<HashMap<IpAddr, Instant>>,
}

impl Requests {
    /// An address asks for something: how long that has to wait. None: it has too much waiting.
    pub fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let each = Duration::from_secs(1) / PER_SECOND;
        let mut paid = self.paid.lock();
        let mut address = counted_address(address);
        if paid.len() >= ADDRESSES && !paid.contains_key(&address) {
            paid.retain(|_, until| *until > now);
            if paid.len() >= ADDRESSES {
                address = Ipv4Addr::UNSPECIFIED.into();
            }
        }
        let until = paid.get(&address).map_or(now, |until| (*until).max(now)) + each;
        let wait = until.saturating_duration_since(now + each * BURST);
        if wait > WAIT_MAX {
            return None;
        }
        paid.insert(address, until);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_answered_at_once_and_more_waits_its_turn() {
        let (requests, start) = (Requests::default(), crate::tick::now());
        let home = IpAddr::from([10, 0, 0, 1]);
        for _ in 0..BURST {
            assert_eq!(requests.wait(home, start), Some(Duration::ZERO));
        }
        assert_eq!(requests.wait(home, start), Some(Duration::from_millis(20)));
        assert_eq!(requests.wait(home, start), Some(Duration::from_millis(40)));
        let other = IpAddr::from([10, 0, 0, 2]);
        assert_eq!(requests.wait(other, start), Some(Duration::ZERO), "each has its own");
        let refused = (0..1_000).position(|_| requests.wait(home, start).is_none());
        assert_eq!(refused, Some(248), "five seconds' worth wait");
        let later = start + Duration::from_secs(20);
        assert_eq!(requests.wait(home, later), Some(Duration::ZERO));
    }

    #[test]
    fn many_addresses_cannot_make_it_grow() {
        let (requests, now) = (Requests::default(), crate::tick::now());
        for number in 0..ADDRESSES as u32 + 500 {
            requests.wait(Ipv4Addr::from(number + 1).into(), now);
        }
        assert!(requests.paid.lock().len() <= ADDRESSES + 1);
    }
}
