//! How much one connection may send, and how often one name or address may fail to log in.
//!
//! Gateways keep a [`RateGate`] per connection; the login role keeps one [`AttemptLimiter`]. Both
//! are told the time, so that a shard's one clock reading serves a whole round, and neither waits
//! or locks.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::gate::counted_address;

/// What one connection may send: `[net.rate]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Packets a second, each priced by its cost. 1 to 10,000.
    pub packets_per_second: u32,
    /// Packets at once. 1 to 10,000.
    pub packet_burst: u32,
    /// Movements a second, and at once. 1 to 1,000.
    pub moves_per_second: u32,
    /// Attacks, skills and items used a second, and at once. 1 to 1,000.
    pub abilities_per_second: u32,
    /// Chat messages within `chat_seconds`. 1 to 100.
    pub chat_messages: u32,
    /// See `chat_messages`. 1 to 3,600.
    pub chat_seconds: u32,
    /// Going on until so many chat messages within `mute_seconds` mutes. 2 to 100.
    pub mute_messages: u32,
    /// See `mute_messages`; also how long the mute lasts. 1 to 3,600.
    pub mute_seconds: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            packets_per_second: 60,
            packet_burst: 120,
            moves_per_second: 20,
            abilities_per_second: 10,
            chat_messages: 5,
            chat_seconds: 5,
            mute_messages: 10,
            mute_seconds: 10,
        }
    }
}

/// What a packet counts as, besides a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing else.
    General,
    /// A movement.
    Move,
    /// An attack, a skill, an item.
    Ability,
    /// Something that others will read.
    Chat,
    /// A log-in or registration; [`AttemptLimiter`] counts those that fail.
    Login,
}

/// Not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much at once; try again in {0} ms")]
pub struct RetryAfter(
    /// Milliseconds until it would be let through.
    pub u32,
);

/// A rate and a burst, as the "generic cell rate algorithm" (ITU-T I.371) keeps them: in one
/// number, the moment at which all that was let through would be paid for.
///
/// Not a limiter from a crate, because those read a clock of their own at each check and carry
/// their limits with them; a shard has both already, for thousands of connections.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Microseconds since the gate was made.
    paid_until: u64,
}

const MICROS: u64 = 1_000_000;

impl Bucket {
    /// Takes `cost` of `burst` at `rate` a second; else how many microseconds are missing.
    fn take(&mut self, now: u64, cost: u32, rate: u32, burst: u32) -> Result<(), u64> {
        let each = MICROS / u64::from(rate.max(1));
        let depth = each * u64::from(burst.max(1));
        let paid_until = self.paid_until.max(now) + each * u64::from(cost.min(burst));
        match paid_until.checked_sub(now + depth) {
            None | Some(0) => {
                self.paid_until = paid_until;
                Ok(())
            }
            Some(missing) => Err(missing),
        }
    }
}

/// One connection's limits.
#[derive(Debug, Clone)]
pub struct RateGate {
    since: Instant,
    packets: Bucket,
    moves: Bucket,
    abilities: Bucket,
    /// Made with the first chat message, so that a silent connection stays small.
    chat: Option<Box<ChatGate>>,
}

impl RateGate {
    /// Nothing sent yet.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            packets: Bucket::default(),
            moves: Bucket::default(),
            abilities: Bucket::default(),
            chat: None,
        }
    }

    /// Lets a packet through, or tells when to try again. `cost` is its price in packets; one
    /// dearer than the burst costs the burst. What is refused for its class has still been paid
    /// as a packet.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(
        &mut self,
        limits: &RateLimits,
        class: Class,
        cost: u32,
        now: Instant,
    ) -> Result<(), RetryAfter> {
        let at = now.saturating_duration_since(self.since).as_micros() as u64;
        let &RateLimits { packets_per_second, packet_burst, .. } = limits;
        self.packets.take(at, cost, packets_per_second, packet_burst).map_err(retry_after)?;
        let (moves, abilities) = (limits.moves_per_second, limits.abilities_per_second);
        match class {
            Class::General | Class::Login => Ok(()),
            Class::Move => self.moves.take(at, 1, moves, moves).map_err(retry_after),
            Class::Ability => self.abilities.take(at, 1, abilities, abilities).map_err(retry_after),
            Class::Chat => self.chat.get_or_insert_default().take(limits, at).map_err(retry_after),
        }
    }
}

fn retry_after(micros: u64) -> RetryAfter {
    RetryAfter(u32::try_from(micros.div_ceil(1_000)).unwrap_or(u32::MAX))
}

/// Chat counts exactly, over a sliding time, because people see its limit.
#[derive(Debug, Clone, Default)]
struct ChatGate {
    /// When messages came, those refused too, oldest first.
    tried: Vec<u64>,
    /// When messages were let through, oldest first.
    passed: Vec<u64>,
    muted_until: u64,
}

impl ChatGate {
    fn take(&mut self, limits: &RateLimits, now: u64) -> Result<(), u64> {
        if now < self.muted_until {
            return Err(self.muted_until - now);
        }
        let window = u64::from(limits.chat_seconds) * MICROS;
        let mute = u64::from(limits.mute_seconds) * MICROS;
        self.tried.retain(|at| at + mute > now);
        self.passed.retain(|at| at + window > now);
        self.tried.push(now);
        if self.passed.len() < limits.chat_messages as usize {
            self.passed.push(now);
            return Ok(());
        }
        // Only who goes on against refusals is muted, never who keeps to the rate.
        if self.tried.len() >= limits.mute_messages as usize {
            self.tried.clear();
            self.muted_until = now + mute;
            return Err(mute);
        }
        Err(self.passed.first().map_or(window, |first| first + window - now))
    }
}

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

    struct Sender {
        gate: RateGate,
        start: Instant,
        limits: RateLimits,
    }

    impl Sender {
        fn new() -> Self {
            let start = crate::tick::now();
            Self { gate: RateGate::new(start), start, limits: RateLimits::default() }
        }

        fn send(&mut self, class: Class, cost: u32, millis: u64) -> Result<(), RetryAfter> {
            let now = self.start + Duration::from_millis(millis);
            self.gate.check(&self.limits, class, cost, now)
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut sender = Sender::new();
        let passed = (0..500).filter(|_| sender.send(Class::General, 1, 0).is_ok()).count();
        assert_eq!(passed, 120);
        let RetryAfter(wait) = sender.send(Class::General, 1, 0).unwrap_err();
        assert_eq!(wait, 17);
        assert!(sender.send(Class::General, 1, u64::from(wait)).is_ok());
        let later = (0..500).filter(|_| sender.send(Class::General, 1, 1_017).is_ok()).count();
        assert!((59..=61).contains(&later), "{later}");
    }

    #[test]
    fn dear_packets_use_up_the_rate_and_the_dearest_still_pass_alone() {
        let mut sender = Sender::new();
        let passed = (0..50).filter(|_| sender.send(Class::General, 10, 0).is_ok()).count();
        assert_eq!(passed, 12);
        assert!(Sender::new().send(Class::General, 1_000, 0).is_ok());
    }

    #[test]
    fn classes_have_their_own_rate() {
        let mut sender = Sender::new();
        let moves = (0..40).filter(|_| sender.send(Class::Move, 1, 0).is_ok()).count();
        let abilities = (0..40).filter(|_| sender.send(Class::Ability, 1, 0).is_ok()).count();
        assert_eq!((moves, abilities), (20, 10));
        assert!(sender.send(Class::General, 1, 0).is_ok());
    }

    #[test]
    fn chat_is_counted_over_a_sliding_time_and_flooding_mutes() {
        let mut sender = Sender::new();
        for i in 0..5 {
            assert!(sender.send(Class::Chat, 1, i * 10).is_ok());
        }
        assert_eq!(sender.send(Class::Chat, 1, 50), Err(RetryAfter(4_950)));
        for i in 0..3 {
            assert!(sender.send(Class::Chat, 1, 60 + i).is_err());
        }
        assert_eq!(sender.send(Class::Chat, 1, 100), Err(RetryAfter(10_000)));
        assert_eq!(sender.send(Class::Chat, 1, 6_000), Err(RetryAfter(4_100)));
        assert!(sender.send(Class::Chat, 1, 10_100).is_ok());
    }

    #[test]
    fn who_keeps_to_the_chat_rate_is_never_muted() {
        let mut sender = Sender::new();
        for second in 0..100 {
            assert!(sender.send(Class::Chat, 1, second * 1_000).is_ok(), "{second}");
        }
    }

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
