//! Who may try again and when: failed log-ins by name and place, by name, and by address;
//! registrations by address.
//!
//! Pure: told the time, bounded in memory, asked by the login task before anything costs. Within
//! the limit nobody waits. Past it a failed log-in costs a minute, the next one two, and so on. What
//! strangers use up is theirs: a device or a network from which the owner has logged in before has a
//! budget of its own, and an owner in a new place waits for its turn, no longer.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::places::{Place, network};
use super::turns::Turns;

/// What limits count over.
const WINDOW: Duration = Duration::from_secs(60);
/// Longest delay of one place at a name.
const NAME_DELAY_MAX: Duration = Duration::from_secs(900);
/// Longest delay of an address: others may live behind it.
const ADDRESS_DELAY_MAX: Duration = Duration::from_secs(120);
/// Records kept of each sort; past it the one silent for longest goes.
const RECORDS_MAX: usize = 100_000;
/// Names of which something is kept; past it the one silent for longest goes.
const NAMES_MAX: usize = 20_000;
/// All strangers together have so many times the budget of one at a name; beyond it they take turns
/// at that pace.
const STRANGERS: u32 = 4;

/// How much is allowed within a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// Failed log-ins to one name from one device or network.
    pub by_name: u32,
    /// Failed log-ins from one address (IPv6: one /64).
    pub by_address: u32,
    /// Registrations from one address.
    pub registrations: u32,
}

/// Where a log-in comes from.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The name that it is to, folded.
    pub name: &'a str,
    /// As the client calls it, may be empty.
    pub device: &'a str,
    /// The client's.
    pub address: IpAddr,
}

/// A log-in that has begun: what it counts on if it fails.
#[derive(Debug, Clone)]
pub struct Begun {
    name: String,
    network: IpAddr,
    /// The budget that it uses.
    place: Place,
    /// Whether nobody has logged in from there before.
    stranger: bool,
    /// Its device, if it has one, and its network.
    from: SmallVec<[Place; 2]>,
}

/// Failures and registrations of the last minutes.
#[derive(Debug)]
pub struct Attempts {
    places: Tally<Place>,
    addresses: Tally<IpAddr>,
    registrations: Tally<IpAddr>,
    names: HashMap<String, Named>,
    /// Log-ins that are under way, by the place that they count on: they count as failed until they
    /// are not, or a thousand could be started before the first has failed.
    busy: HashMap<Place, u32>,
    /// Between two turns of strangers at a name.
    pace: Duration,
}

/// A name that was tried in vain, or logged in to, lately.
#[derive(Debug)]
struct Named {
    /// From where its owner has logged in.
    known: SmallVec<[Place; 4]>,
    /// Tries of strangers that are under way.
    busy: u32,
    /// The moment at which all failures of strangers are forgotten, one in each pace.
    forgotten_at: Instant,
    turns: Turns,
    /// When it was last of use.
    touched: Instant,
}

impl Named {
    fn new(now: Instant) -> Self {
        let (known, turns) = (SmallVec::new(), Turns::default());
        Self { known, busy: 0, forgotten_at: now, turns, touched: now }
    }

    /// Whether one more stranger may try at once.
    fn has_room(&self, pace: Duration, now: Instant) -> bool {
        let owed = self.forgotten_at.saturating_duration_since(now);
        owed + pace * (self.busy + 1) <= WINDOW
    }

    fn is_over(&self, now: Instant) -> bool {
        self.busy == 0
            && self.turns.is_empty()
            && now >= self.forgotten_at
            && now.saturating_duration_since(self.touched) >= NAME_DELAY_MAX
    }
}

impl Attempts {
    /// None yet.
    pub fn new(limits: AttemptLimits) -> Self {
        Self {
            places: Tally::new(limits.by_name, Some(NAME_DELAY_MAX)),
            addresses: Tally::new(limits.by_address, Some(ADDRESS_DELAY_MAX)),
            registrations: Tally::new(limits.registrations, None),
            names: HashMap::new(),
            busy: HashMap::new(),
            pace: WINDOW / limits.by_name.saturating_mul(STRANGERS).max(1),
        }
    }

    /// A log-in begins. [`Self::end_login`] must follow.
    ///
    /// # Errors
    /// How long to wait; then nothing has begun.
    pub fn begin_login(&mut self, from: Caller<'_>, now: Instant) -> Result<Begun, Duration> {
        let Caller { name, device, address } = from;
        let device = Place::device(name, device);
        let (place, network) = (Place::network(name, address), network(address));
        let knows = |place: &Place| self.names.get(name).is_some_and(|n| n.known.contains(place));
        let known_device = device.filter(knows);
        let stranger = known_device.is_none() && !knows(&place);
        let counts_on = known_device.unwrap_or(place);
        let busy = self.busy.get(&counts_on).copied().unwrap_or(0);
        self.places.check(&counts_on, busy, now)?;
        if known_device.is_none() {
            self.addresses.check(&network, 0, now)?;
        }
        if stranger && let Some(named) = self.names.get_mut(name) {
            let free = named.has_room(self.pace, now);
            named.turns.take(network, free, self.pace, now)?;
            named.busy += 1;
            named.touched = now;
        }
        *self.busy.entry(counts_on).or_default() += 1;
        let from = device.into_iter().chain([place]).collect();
        Ok(Begun { name: name.to_owned(), network, place: counts_on, stranger, from })
    }

    /// It has ended: well, with a wrong secret, or (none) without a verdict. `known` are the places
    /// that the store has of the account. Gives those from which its owner has logged in now.
    pub fn end_login(
        &mut self,
        begun: Begun,
        fitted: Option<bool>,
        known: impl Iterator<Item = Place>,
        now: Instant,
    ) -> SmallVec<[Place; 2]> {
        if let Some(busy) = self.busy.get_mut(&begun.place) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(&begun.place);
            }
        }
        if begun.stranger
            && let Some(named) = self.names.get_mut(&begun.name)
        {
            named.busy = named.busy.saturating_sub(1);
        }
        let Some(fitted) = fitted else { return SmallVec::new() };
        let pace = self.pace;
        let named = self.named(&begun.name, now);
        named.known = known.collect();
        named.touched = now;
        if fitted {
            named.known.extend(begun.from.iter().copied());
            // The address keeps its failures: one's own account is no way to wash them off.
            self.places.records.remove(&begun.place);
            return begun.from;
        }
        if begun.stranger {
            named.forgotten_at = named.forgotten_at.max(now) + pace;
        }
        self.places.count(begun.place, now);
        self.addresses.count(begun.network, now);
        SmallVec::new()
    }

    fn named(&mut self, name: &str, now: Instant) -> &mut Named {
        if self.names.len() >= NAMES_MAX && !self.names.contains_key(name) {
            self.names.retain(|_, named| !named.is_over(now));
            let silent = self.names.iter().min_by_key(|(_, named)| named.touched);
            if self.names.len() >= NAMES_MAX
                && let Some(silent) = silent.map(|(name, _)| name.clone())
            {
                self.names.remove(&silent);
            }
        }
        self.names.entry(name.to_owned()).or_insert_with(|| Named::new(now))
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
        self.places.sweep(now);
        self.addresses.sweep(now);
        self.registrations.sweep(now);
        self.names.retain(|_, named| !named.is_over(now));
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
mod tests;
