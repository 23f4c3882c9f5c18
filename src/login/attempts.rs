//! Who may try again and when: failed log-ins by name and by address, registrations by address.
//!
//! Pure: told the time, bounded in memory, asked by the login task before anything costs. Within
//! the limit nobody waits. Past it a failed log-in costs a minute, the next one two, and so on.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

/// What limits count over.
const WINDOW: Duration = Duration::from_secs(60);
/// Longest delay of a name.
const NAME_DELAY_MAX: Duration = Duration::from_secs(900);
/// Longest delay of an address: others may live behind it.
const ADDRESS_DELAY_MAX: Duration = Duration::from_secs(120);
/// Records kept of each sort; past it the one silent for longest goes.
const RECORDS_MAX: usize = 100_000;

/// How much is allowed within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Failed log-ins to one name.
    pub by_name: u32,
    /// Failed log-ins from one address (IPv6: one /64).
    pub by_address: u32,
    /// Registrations from one address.
    pub registrations: u32,
}

/// Failures and registrations of the last minutes.
#[derive(Debug)]
pub struct Attempts {
    names: Tally<String>,
    addresses: Tally<IpAddr>,
    registrations: Tally<IpAddr>,
    /// Log-ins to a name that are under way: they count as failed until they are not, or a
    /// thousand could be started before the first has failed.
    busy: HashMap<String, u32>,
}

impl Attempts {
    /// None yet.
    pub fn new(limits: AttemptLimits) -> Self {
        Self {
            names: Tally::new(limits.by_name, Some(NAME_DELAY_MAX)),
            addresses: Tally::new(limits.by_address, Some(ADDRESS_DELAY_MAX)),
            registrations: Tally::new(limits.registrations, None),
            busy: HashMap::new(),
        }
    }

    /// A log-in to `name` (folded) begins. [`Self::end_login`] must follow.
    ///
    /// # Errors
    /// How long to wait; then nothing has begun.
    pub fn begin_login(
        &mut self,
        name: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<(), Duration> {
        let busy = self.busy.get(name).copied().unwrap_or(0);
        self.names.check(name, busy, now)?;
        self.addresses.check(&network(address), 0, now)?;
        *self.busy.entry(name.to_owned()).or_default() += 1;
        Ok(())
    }

    /// It has ended: well, with a wrong secret, or (none) without a verdict.
    pub fn end_login(&mut self, name: &str, address: IpAddr, fitted: Option<bool>, now: Instant) {
        if let Some(busy) = self.busy.get_mut(name) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(name);
            }
        }
        match fitted {
            // The address keeps its failures: one's own account is no way to wash them off.
            Some(true) => drop(self.names.records.remove(name)),
            Some(false) => {
                self.names.count(name.to_owned(), now);
                self.addresses.count(network(address), now);
            }
            None => {}
        }
    }

    /// A registration comes from `address`, and counts if it is allowed.
    ///
    /// # Errors
    /// How long to wait.
    pub fn register(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let network = network(address);
        self.registrations.check(&network, 0, now)?;
        self.registrations.count(network, now);
        Ok(())
    }

    /// Forgets what no longer matters; to be called every few seconds.
    pub fn sweep(&mut self, now: Instant) {
        self.names.sweep(now);
        self.addresses.sweep(now);
        self.registrations.sweep(now);
    }
}

/// What limits by address count as one: an IPv4 address, or the /64 that one IPv6 customer has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

/// One key's record.
#[derive(Debug)]
struct Record {
    /// The counted ones within the last minute, at most the limit.
    recent: SmallVec<[Instant; 5]>,
    /// Failures at and past the limit.
    strikes: u32,
    /// Nothing before this.
    until: Instant,
}

/// Records by key under one limit.
#[derive(Debug)]
struct Tally<K> {
    records: HashMap<K, Record>,
    limit: usize,
    /// The longest delay, if it grows.
    longest: Option<Duration>,
}

impl<K: Hash + Eq + Clone> Tally<K> {
    fn new(limit: u32, longest: Option<Duration>) -> Self {
        Self { records: HashMap::new(), limit: limit as usize, longest }
    }

    /// Whether one more may be tried while `busy` others are under way.
    fn check<Q>(&self, key: &Q, busy: u32, now: Instant) -> Result<(), Duration>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut recent = 0;
        if let Some(record) = self.records.get(key) {
            if now < record.until {
                return Err(record.until - now);
            }
            let within = |at: &&Instant| now.saturating_duration_since(**at) < WINDOW;
            recent = record.recent.iter().filter(within).count();
            if recent >= self.limit
                && let Some(oldest) = record.recent.iter().find(within)
            {
                return Err(*oldest + WINDOW - now);
            }
        }
        // Those under way will be decided soon.
        if recent + busy as usize >= self.limit { Err(Duration::from_secs(1)) } else { Ok(()) }
    }

    /// Counts one; at the limit the delay begins.
    fn count(&mut self, key: K, now: Instant) {
        if self.records.len() >= RECORDS_MAX && !self.records.contains_key(&key) {
            self.make_room(now);
        }
        let fresh = || Record { recent: SmallVec::new(), strikes: 0, until: now };
        let record = self.records.entry(key).or_insert_with(fresh);
        record.recent.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        if record.recent.len() >= self.limit {
            record.recent.remove(0);
        }
        record.recent.push(now);
        if let Some(longest) = self.longest
            && (record.recent.len() >= self.limit || record.strikes > 0)
        {
            record.until = now + (WINDOW * (1 << record.strikes.min(10))).min(longest);
            record.strikes += 1;
        }
    }

    fn sweep(&mut self, now: Instant) {
        let longest = self.longest.unwrap_or(WINDOW);
        self.records.retain(|_, record| !record.is_over(now, longest));
    }

    fn make_room(&mut self, now: Instant) {
        self.sweep(now);
        if self.records.len() >= RECORDS_MAX {
            let last = |record: &Record| record.recent.last().copied();
            let silent = self.records.iter().min_by_key(|(_, record)| last(record));
            if let Some(key) = silent.map(|(key, _)| key.clone()) {
                self.records.remove(&key);
            }
        }
    }
}

impl Record {
    /// Whether nothing of it matters any more: the window is over and, if it ever came to a delay,
    /// that ended as long ago as the longest lasts.
    fn is_over(&self, now: Instant, longest: Duration) -> bool {
        let calm = if self.strikes == 0 { Duration::ZERO } else { longest };
        let last = self.recent.last().map_or(self.until, |last| *last + WINDOW);
        now >= last.max(self.until + calm)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: AttemptLimits = AttemptLimits { by_name: 5, by_address: 20, registrations: 3 };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn fail(attempts: &mut Attempts, name: &str, from: u8, now: Instant) -> Result<(), Duration> {
        attempts.begin_login(name, address(from), now)?;
        attempts.end_login(name, address(from), Some(false), now);
        Ok(())
    }

    #[test]
    fn a_name_has_five_failures_a_minute_from_anywhere() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        for n in 0..5 {
            assert_eq!(fail(&mut attempts, "anna", n, at(start, u64::from(n))), Ok(()));
        }
        let wait = fail(&mut attempts, "anna", 9, at(start, 5)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(59));
        assert_eq!(fail(&mut attempts, "bert", 9, at(start, 5)), Ok(()), "others do not suffer");
        assert_eq!(fail(&mut attempts, "anna", 9, at(start, 64)), Ok(()));
    }

    #[test]
    fn each_failure_past_the_limit_doubles_the_delay() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..60 {
            match fail(&mut attempts, "anna", 1, now) {
                Ok(()) => {}
                Err(wait) => {
                    waits.push(wait.as_secs());
                    now += wait;
                }
            }
        }
        assert_eq!(waits[..6], [60, 120, 240, 480, 900, 900]);
        attempts.sweep(now + NAME_DELAY_MAX * 2);
        assert!(attempts.names.records.is_empty(), "in the end it is forgotten");
    }

    #[test]
    fn the_right_secret_wipes_the_name_but_not_the_address() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(AttemptLimits { by_address: 6, ..LIMITS });
        for _ in 0..4 {
            fail(&mut attempts, "anna", 1, start).unwrap();
        }
        attempts.begin_login("anna", address(1), start).unwrap();
        attempts.end_login("anna", address(1), Some(true), start);
        for _ in 0..2 {
            fail(&mut attempts, "anna", 1, start).unwrap();
        }
        assert!(fail(&mut attempts, "anna", 1, start).is_err(), "six from here");
        assert_eq!(fail(&mut attempts, "anna", 2, start), Ok(()));
    }

    #[test]
    fn log_ins_under_way_count_until_they_are_decided() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        for _ in 0..5 {
            attempts.begin_login("anna", address(1), start).unwrap();
        }
        let wait = attempts.begin_login("anna", address(2), start).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        attempts.end_login("anna", address(1), None, start);
        assert_eq!(attempts.begin_login("anna", address(2), start), Ok(()));
        for _ in 0..5 {
            attempts.end_login("anna", address(1), Some(true), start);
        }
        assert!(attempts.busy.is_empty());
    }

    #[test]
    fn an_ipv6_customer_is_one_address() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        for n in 0..20 {
            let from: IpAddr = format!("2001:db8:1:2::{n:x}").parse().unwrap();
            attempts.begin_login(&format!("name{n}"), from, start).unwrap();
            attempts.end_login(&format!("name{n}"), from, Some(false), start);
        }
        let same: IpAddr = "2001:db8:1:2:ffff::1".parse().unwrap();
        let other: IpAddr = "2001:db8:1:3::1".parse().unwrap();
        assert!(attempts.begin_login("anna", same, start).is_err());
        assert!(attempts.begin_login("anna", other, start).is_ok());
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(network(mapped), address(1));
    }

    #[test]
    fn registrations_are_counted_whether_or_not_they_succeed() {
        let start = crate::tick::now();
        let mut attempts = Attempts::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(attempts.register(address(1), start), Ok(()));
        }
        assert_eq!(attempts.register(address(1), start), Err(WINDOW));
        assert_eq!(attempts.register(address(2), start), Ok(()));
        assert_eq!(attempts.register(address(1), start + WINDOW), Ok(()));
    }

    proptest! {
        /// However the tries are spaced, no minute ever sees more than the limit.
        #[test]
        fn no_minute_has_more_failures_than_allowed(
            gaps in prop::collection::vec(0u64..40_000, 1..80),
        ) {
            let mut now = crate::tick::now();
            let mut attempts = Attempts::new(LIMITS);
            let mut failed: Vec<Instant> = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if fail(&mut attempts, "anna", 1, now).is_ok() {
                    failed.push(now);
                }
                attempts.sweep(now);
            }
            for six in failed.windows(6) {
                prop_assert!(six[5] - six[0] >= WINDOW);
            }
        }
    }
}
