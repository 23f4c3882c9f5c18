//! The network of the simulation: between each two processes one connection at a time, ordered like
//! TCP as long as it lasts, with the real conversations at its ends. It is delayed, cut with what
//! is on its way, made again, half made, or leads nowhere for a while.
//!
//! What it does is decided by the seed alone; what has arrived is given to the caller to act on.

mod end;
mod link;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::counts::Counts;
use crate::ids::ServerId;
use crate::link::Address;
pub(super) use end::End;
use link::Link;

/// What a process learns from its links.
pub(super) enum Event {
    /// A link is up.
    Up { at: ServerId, peer: ServerId, fresh: bool, end: Arc<End> },
    /// The process at the other end is given up.
    Lost { at: ServerId, peer: ServerId, clean: bool },
    /// Something is for an inbox.
    Message { at: ServerId, peer: ServerId, to: Address, body: Bytes },
}

/// How a process is, for its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    Awake,
    /// It stands still since then.
    Frozen(u64),
    /// It has ended; true: it said good-bye.
    Dead(bool),
}

/// All links.
pub(super) struct Net {
    links: BTreeMap<(ServerId, ServerId), Link>,
    connections: u128,
}

impl Net {
    pub(super) fn new() -> Self {
        Self { links: BTreeMap::new(), connections: 0 }
    }

    /// Two processes that have something to say to each other.
    pub(super) fn join(&mut self, a: ServerId, b: ServerId, now: u64) {
        let pair = [a.min(b), a.max(b)];
        self.links.entry((pair[0], pair[1])).or_insert_with(|| Link::new(pair, now));
    }

    fn pick(&mut self, chance: &mut ChaCha8Rng) -> Option<&mut Link> {
        let count = self.links.len();
        let place = (count > 0).then(|| chance.random_range(0..count))?;
        self.links.values_mut().nth(place)
    }

    /// Some connection breaks, with all that is on its way.
    pub(super) fn cut_one(&mut self, now: u64, chance: &mut ChaCha8Rng) {
        let again = now + chance.random_range(10..1_500);
        if let Some(link) = self.pick(chance) {
            link.cut(again);
        }
    }

    /// Some two processes do not reach each other for a while.
    pub(super) fn part_one(&mut self, now: u64, chance: &mut ChaCha8Rng) {
        let millis = chance.random_range(300..9_000);
        if let Some(link) = self.pick(chance) {
            link.part(now, now + millis);
        }
    }

    /// Some connection is slow for a while.
    pub(super) fn slow_one(&mut self, now: u64, chance: &mut ChaCha8Rng) {
        let millis = chance.random_range(300..4_000);
        if let Some(link) = self.pick(chance) {
            link.slow = now + millis;
        }
    }

    /// Everything gets through again.
    pub(super) fn heal(&mut self, now: u64) {
        for link in self.links.values_mut() {
            (link.parted, link.slow) = (now, now);
        }
    }

    /// A process was woken: what it has missed may count before it notices, or not.
    pub(super) fn woken(&mut self, who: ServerId, now: u64, chance: &mut ChaCha8Rng) {
        for link in self.links.values_mut() {
            if link.has(who) && chance.random_bool(0.5) {
                link.hears(who, now);
            }
        }
    }

    /// Whether two processes are connected.
    pub(super) fn is_up(&self, a: ServerId, b: ServerId) -> bool {
        let link = self.links.get(&(a.min(b), a.max(b)));
        link.is_some_and(Link::is_up)
    }

    /// Links that have something on the way or not acknowledged, or are not up.
    pub(super) fn waits_for(&self) -> Vec<String> {
        self.links.values().filter_map(Link::waits_for).collect()
    }

    /// Time passes on every link.
    pub(super) fn step(
        &mut self,
        now: u64,
        life: impl Fn(ServerId) -> Life,
        chance: &mut ChaCha8Rng,
        counts: &mut Counts,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for link in self.links.values_mut() {
            let lives = link.pair.map(&life);
            link.step(now, lives, &mut self.connections, chance, counts, &mut events);
        }
        let dead = |server: &ServerId| matches!(life(*server), Life::Dead(_));
        self.links.retain(|_, link| !link.pair.iter().all(dead));
        // A link to a dead process ends with the last who knows of it.
        self.links.retain(|_, link| !link.is_over(&life));
        events
    }
}
