//! How much one connection may send.
//!
//! Gateways and the login port keep a [`RateGate`] per connection: [`RateGate::packet`] is asked
//! before anything is made of a packet's bytes, the others once it is known what it is. It is told the time, so that a shard's one clock reading serves a whole round, and never waits or locks.
//! [`Withheld`] keeps refusals from costing more than what they refuse.

use std::time::{Duration, Instant};

use metrics::counter;
use serde::{Deserialize, Serialize};

use crate::msg::Conduct;

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

impl RateLimits {
    /// What is wrong with the values, each with its key and the allowed range.
    pub(super) fn problems(&self) -> Vec<String> {
        [
            ("packets_per_second", self.packets_per_second, 1, 10_000),
            ("packet_burst", self.packet_burst, 1, 10_000),
            ("moves_per_second", self.moves_per_second, 1, 1_000),
            ("abilities_per_second", self.abilities_per_second, 1, 1_000),
            ("chat_messages", self.chat_messages, 1, 100),
            ("chat_seconds", self.chat_seconds, 1, 3_600),
            ("mute_messages", self.mute_messages, 2, 100),
            ("mute_seconds", self.mute_seconds, 1, 3_600),
        ]
        .into_iter()
        .filter(|(_, value, least, most)| !(least..=most).contains(&value))
        .map(|(key, _, least, most)| format!("net.rate.{key} must be {least} to {most}"))
        .collect()
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
    /// A log-in or registration; the login role counts those that fail.
    Login,
}

impl Class {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::General => "general",
            Class::Move => "move",
            Class::Ability => "ability",
            Class::Chat => "chat",
            Class::Login => "login",
        }
    }
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

    /// Counts a packet of which nothing is known yet.
    ///
    /// # Errors
    /// How long to wait.
    pub fn packet(&mut self, limits: &RateLimits, now: Instant) -> Result<(), RetryAfter> {
        self.take(limits, 1, now)
    }

    fn take(&mut self, limits: &RateLimits, cost: u32, now: Instant) -> Result<(), RetryAfter> {
        let &RateLimits { packets_per_second, packet_burst, .. } = limits;
        let at = self.at(now);
        self.packets.take(at, cost, packets_per_second, packet_burst).map_err(retry_after)
    }

    /// The price of a packet that [`Self::packet`] has counted, in packets; one dearer than the
    /// burst costs the burst. What is refused here has still been paid as a packet.
    ///
    /// # Errors
    /// How long to wait.
    pub fn price(
        &mut self,
        limits: &RateLimits,
        cost: u32,
        now: Instant,
    ) -> Result<(), RetryAfter> {
        if cost > 1 { self.take(limits, cost.min(limits.packet_burst) - 1, now) } else { Ok(()) }
    }

    /// Lets a packet of a class through, or tells when to try again.
    ///
    /// # Errors
    /// How long to wait.
    pub fn check(
        &mut self,
        limits: &RateLimits,
        class: Class,
        now: Instant,
    ) -> Result<(), RetryAfter> {
        let at = self.at(now);
        let (moves, abilities) = (limits.moves_per_second, limits.abilities_per_second);
        match class {
            Class::General | Class::Login => Ok(()),
            Class::Move => self.moves.take(at, 1, moves, moves).map_err(retry_after),
            Class::Ability => self.abilities.take(at, 1, abilities, abilities).map_err(retry_after),
            Class::Chat => self.chat.get_or_insert_default().take(limits, at).map_err(retry_after),
        }
    }

    /// When a quarter of the burst may be sent again by whoever has used all of it up: a pause long
    /// enough that waking up for it costs nothing, and short enough that nobody is taken for dead.
    pub fn refilled(&self, limits: &RateLimits, now: Instant) -> Instant {
        let each = MICROS / u64::from(limits.packets_per_second.max(1));
        let packets = u64::from(limits.packet_burst / 4).max(1);
        let depth = each * u64::from(limits.packet_burst.max(1));
        let ready = (self.packets.paid_until + each * packets).saturating_sub(depth);
        let wait = Duration::from_micros(ready.saturating_sub(self.at(now)));
        now + wait.clamp(PAUSE_MIN, PAUSE_MAX)
    }

    /// Microseconds since the gate was made.
    fn at(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_micros() as u64
    }
}

/// Shortest and longest pause in reading from a connection that has used up its rate.
const PAUSE_MIN: Duration = Duration::from_millis(1);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many times its burst a connection may have waiting before it is not borne any more.
const FLOOD_BURSTS: usize = 10;

impl RateLimits {
    /// Whether a connection that has used up its rate, and has so many more packets waiting, sends
    /// ten times what it may: no stall of an honest client's line ends in as many.
    pub fn is_flood(&self, waiting: usize) -> bool {
        waiting >= FLOOD_BURSTS * self.packet_burst as usize
    }
}

/// Between two answers that a packet was one too many of its class.
const ANSWER_EVERY: Duration = Duration::from_secs(1);

/// Which refusals for the rate a connection is told: one a second of each class. The others are
/// counted, and the next answer says how many they were.
#[derive(Debug, Clone, Default)]
pub struct Withheld {
    /// Made with the first refusal, so that an honest connection stays small.
    classes: Option<Box<[Refusals; CLASSES]>>,
}

const CLASSES: usize = 5;

#[derive(Debug, Clone, Copy, Default)]
struct Refusals {
    told: Option<Instant>,
    withheld: u32,
}

impl Withheld {
    /// A packet of a class was refused. Gives how many were withheld since the last answer if this
    /// one is to be answered.
    pub fn refuse(&mut self, class: Class, now: Instant) -> Option<u32> {
        let refusals = &mut self.classes.get_or_insert_default()[class as usize];
        if refusals.told.is_some_and(|told| now.saturating_duration_since(told) < ANSWER_EVERY) {
            refusals.withheld += 1;
            counter!("throng_refusals_withheld_total", "class" => class.as_str()).increment(1);
            return None;
        }
        refusals.told = Some(now);
        Some(std::mem::take(&mut refusals.withheld))
    }
}

impl RateGate {
    /// What was used up, to go on with elsewhere.
    pub fn conduct(&self, now: Instant) -> Conduct {
        let at = self.at(now);
        let millis = |micros: u64| u32::try_from(micros.div_ceil(1_000)).unwrap_or(u32::MAX);
        let left = |bucket: &Bucket| millis(bucket.paid_until.saturating_sub(at));
        let ago = |times: &[u64]| times.iter().map(|time| millis(at - time)).collect();
        let chat = self.chat.as_deref();
        Conduct {
            packets: left(&self.packets),
            moves: left(&self.moves),
            abilities: left(&self.abilities),
            muted: chat.map_or(0, |chat| millis(chat.muted_until.saturating_sub(at))),
            tried: chat.map_or_else(Vec::new, |chat| ago(&chat.tried)),
            spoken: chat.map_or_else(Vec::new, |chat| ago(&chat.passed)),
            strikes: Vec::new(),
        }
    }

    /// Goes on with what was used up on another connection; what was used up here stays so.
    pub fn take_on(&mut self, conduct: &Conduct, now: Instant) {
        let longest = conduct.tried.iter().chain(&conduct.spoken).max().copied().unwrap_or(0);
        self.begin_before(Duration::from_millis(longest.into()), now);
        let at = self.at(now);
        let until = |millis: u32| at + u64::from(millis) * 1_000;
        for (bucket, left) in [
            (&mut self.packets, conduct.packets),
            (&mut self.moves, conduct.moves),
            (&mut self.abilities, conduct.abilities),
        ] {
            bucket.paid_until = bucket.paid_until.max(until(left));
        }
        if conduct.muted == 0 && conduct.tried.is_empty() && conduct.spoken.is_empty() {
            return;
        }
        let chat = self.chat.get_or_insert_default();
        chat.muted_until = chat.muted_until.max(until(conduct.muted));
        for (own, told) in [(&mut chat.tried, &conduct.tried), (&mut chat.passed, &conduct.spoken)]
        {
            // It may be told twice of the same ones.
            if told.len() > own.len() {
                *own = told.iter().map(|ago| at - u64::from(*ago) * 1_000).collect();
                own.sort_unstable();
            }
        }
    }

    /// Whether it is muted now.
    pub fn is_muted(&self, now: Instant) -> bool {
        let at = self.at(now);
        self.chat.as_deref().is_some_and(|chat| at < chat.muted_until)
    }

    /// Counts as if it had begun at least so long ago.
    fn begin_before(&mut self, ago: Duration, now: Instant) {
        let Some(earlier) = now.checked_sub(ago).filter(|earlier| *earlier < self.since) else {
            return;
        };
        let shift = (self.since - earlier).as_micros() as u64;
        self.since = earlier;
        for bucket in [&mut self.packets, &mut self.moves, &mut self.abilities] {
            bucket.paid_until += shift;
        }
        if let Some(chat) = &mut self.chat {
            chat.muted_until += shift;
            chat.tried.iter_mut().chain(&mut chat.passed).for_each(|at| *at += shift);
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

#[cfg(test)]
mod tests;
