//! How often one name or address may fail to log in.
//!
//! The login role keeps one [`AttemptLimiter`] and asks it before it looks at a password. What is
//! remembered is bounded, whatever strangers send.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::gate::counted_address;
use super::rate::RetryAfter;

/// How often logging in may fail: `[login.attempts]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttemptLimits {
    /// Failures of one name within `window_seconds` before it has to wait. 1 to 1,000.
    pub per_name: u32,
    /// The same of one address (IPv6: one /64). 1 to 100,000.
    pub per_address: u32,
    /// See `per_name`. 1 to 3,600.
    pub window_seconds: u32,
    /// The first delay after that, seconds; it doubles with each failure. 1 to 3,600.
    pub delay_seconds: u32,
    /// The longest delay, seconds. 1 to 86,400.
    pub delay_max_seconds: u32,
    /// Names, and addresses, remembered; beyond that the one with the least to wait is forgotten
    /// out of a few. 100 to 10,000,000.
    pub remembered: usize,
}

impl Default for AttemptLimits {
    fn default() -> Self {
        Self {
            per_name: 5,
            per_address: 20,
            window_seconds: 60,
            delay_seconds: 2,
            delay_max_seconds: 900,
            remembered: 100_000,
        }
    }
}

/// Counts failed log-ins by name and by address.
#[derive(Debug)]
pub struct AttemptLimiter {
    limits: AttemptLimits,
    names: Ledger<String>,
    addresses: Ledger<IpAddr>,
}

impl AttemptLimiter {
    /// No failures yet.
    pub fn new(limits: AttemptLimits) -> Self {
        Self { limits, names: Ledger::default(), addresses: Ledger::default() }
    }

    /// Whether `name` may try now from `address`; asked before the password is looked at. `name`
    /// in its compared form, so that no spelling has a count of its own.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(&self, name: &str, address: IpAddr, now: Instant) -> Result<(), RetryAfter> {
        let name = self.names.records.get(name);
        let address = self.addresses.records.get(&counted_address(address));
        let until = name.into_iter().chain(address).map(|record| record.blocked_until).max();
        match until {
            Some(until) if until > now => {
                let millis = (until - now).as_micros().div_ceil(1_000);
                Err(RetryAfter(u32::try_from(millis).unwrap_or(u32::MAX)))
            }
            _ => Ok(()),
        }
    }

    /// A log-in has failed.
    pub fn failed(&mut self, name: &str, address: IpAddr, now: Instant) {
        let AttemptLimits { per_name, per_address, .. } = self.limits;
        self.names.failed(name.to_owned(), per_name, &self.limits, now);
        self.addresses.failed(counted_address(address), per_address, &self.limits, now);
    }

    /// A log-in has succeeded: the name starts anew. The address doesn't, or one valid account
    /// would open the way for guessing at others.
    pub fn succeeded(&mut self, name: &str) {
        self.names.records.remove(name);
    }

    /// Forgets what has no effect any more; called every minute or so.
    pub fn prune(&mut self, now: Instant) {
        let window = self.limits.window();
        self.names.prune(window, now);
        self.addresses.prune(window, now);
    }

    /// Names and addresses remembered.
    pub fn remembered(&self) -> usize {
        self.names.records.len() + self.addresses.records.len()
    }
}

impl AttemptLimits {
    fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.window_seconds))
    }

    /// The delay after so many failures beyond what is allowed, from 1.
    fn delay(&self, over: u32) -> Duration {
        let doubled = u64::from(self.delay_seconds) << (over - 1).min(31);
        Duration::from_secs(doubled.min(u64::from(self.delay_max_seconds)))
    }
}

/// Keys that are looked at to find one to forget.
const FORGET_OUT_OF: usize = 8;

#[derive(Debug)]
struct Ledger<K> {
    /// With the standard, keyed hash: strangers choose the keys.
    records: HashMap<K, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    recent: u32,
    window_start: Instant,
    /// Failures since it has to wait.
    over: u32,
    blocked_until: Instant,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self { records: HashMap::new() }
    }
}

impl<K: Hash + Eq + Clone> Ledger<K> {
    fn failed(&mut self, key: K, allowed: u32, limits: &AttemptLimits, now: Instant) {
        if self.records.len() >= limits.remembered && !self.records.contains_key(&key) {
            self.forget_one();
        }
        let fresh = Failures { recent: 0, window_start: now, over: 0, blocked_until: now };
        let record = self.records.entry(key).or_insert(fresh);
        if record.is_over(limits.window(), now) {
            *record = fresh;
        } else if now.saturating_duration_since(record.window_start) >= limits.window() {
            (record.recent, record.window_start) = (0, now);
        }
        record.recent += 1;
        if record.recent >= allowed || record.over > 0 {
            record.over += 1;
            record.blocked_until = now + limits.delay(record.over);
        }
    }

    /// Makes room: of a few, the one with the least to wait.
    fn forget_one(&mut self) {
        let few = self.records.iter().take(FORGET_OUT_OF);
        let key = few.min_by_key(|(_, record)| record.blocked_until).map(|(key, _)| key.clone());
        if let Some(key) = key {
            self.records.remove(&key);
        }
    }

    fn prune(&mut self, window: Duration, now: Instant) {
        self.records.retain(|_, record| !record.is_over(window, now));
        self.records.shrink_to_fit();
    }
}

impl Failures {
    /// Whether a whole window has passed without a failure or a delay.
    fn is_over(&self, window: Duration, now: Instant) -> bool {
        let last = self.window_start.max(self.blocked_until);
        now.saturating_duration_since(last) >= window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Door {
        limiter: AttemptLimiter,
        start: Instant,
    }

    impl Door {
        fn new(limits: AttemptLimits) -> Self {
            Self { limiter: AttemptLimiter::new(limits), start: crate::tick::now() }
        }

        fn fail(&mut self, name: &str, host: u8, second: u64) {
            let now = self.start + Duration::from_secs(second);
            self.limiter.failed(name, IpAddr::from([10, 0, 0, host]), now);
        }

        /// Seconds to wait.
        fn wait(&self, name: &str, host: u8, second: u64) -> u32 {
            let now = self.start + Duration::from_secs(second);
            let checked = self.limiter.check(name, IpAddr::from([10, 0, 0, host]), now);
            checked.map_or_else(|RetryAfter(millis)| millis.div_ceil(1_000), |()| 0)
        }
    }

    #[test]
    fn a_name_waits_longer_with_each_failure_from_the_fifth() {
        let mut door = Door::new(AttemptLimits::default());
        (0..4).for_each(|second| door.fail("anna", 1, second));
        assert_eq!(door.wait("anna", 1, 4), 0);
        door.fail("anna", 2, 4);
        assert_eq!((door.wait("anna", 3, 4), door.wait("ben", 1, 4)), (2, 0));
        door.fail("anna", 1, 6);
        assert_eq!(door.wait("anna", 1, 6), 4);
        door.fail("anna", 1, 10);
        assert_eq!(door.wait("anna", 1, 10), 8);
        door.limiter.succeeded("anna");
        assert_eq!(door.wait("anna", 1, 10), 0);
    }

    #[test]
    fn an_address_is_counted_over_all_names_and_recovers() {
        let mut door = Door::new(AttemptLimits::default());
        (0..20).for_each(|i| door.fail(&format!("name{i}"), 1, 0));
        assert!(door.wait("fresh", 1, 0) > 0);
        assert_eq!(door.wait("fresh", 2, 0), 0);
        door.limiter.prune(door.start + Duration::from_secs(62));
        assert_eq!((door.wait("fresh", 1, 62), door.limiter.remembered()), (0, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_blocked_go_last() {
        let mut door = Door::new(AttemptLimits { remembered: 100, ..AttemptLimits::default() });
        (0..9).for_each(|_| door.fail("victim", 1, 0));
        (0..500).for_each(|i| door.fail(&format!("name{i}"), 2, 1));
        assert!(door.limiter.remembered() <= 102);
        assert!(door.wait("victim", 1, 1) > 0);
    }

    #[test]
    fn delays_stop_growing_at_the_longest() {
        let mut door = Door::new(AttemptLimits::default());
        (0..200).for_each(|_| door.fail("anna", 1, 0));
        assert_eq!(door.wait("anna", 9, 0), 900);
    }
}
