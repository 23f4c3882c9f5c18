//! The network of the simulation: between each two processes one connection at a time, ordered like
//! TCP as long as it lasts, with the real conversations at its ends. It is delayed, cut with what
//! is on its way, made again, half made, or leads nowhere for a while.
//!
//! What it does is decided by the seed alone; what has arrived is given to the caller to act on.

mod end;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::counts::Counts;
use end::{Frame, Phase, State};
pub(super) use end::End;
use crate::ids::ServerId;
use crate::link::conversation::{Bounds, Conversation, Opened, Said, SessionId};
use crate::link::{Address, Carrier, Delivery, NotCarried};

/// A process that was not heard of for so long is forgotten, ms: `link.dead_seconds`.
const FORGOTTEN: u64 = 6_000;
/// So long a silent connection is kept, ms: three heartbeats.
const PATIENCE: u64 = 3_000;
/// So many messages are under way on a link even when nothing goes on.
const USUAL: usize = 16;
/// Messages are acknowledged after this, ms.
const ACKNOWLEDGE: u64 = 50;
/// What a process learns from its links.
pub(super) enum Event {
    /// A link is up.
    Up { at: ServerId, peer: ServerId, fresh: bool, end: Arc<End> },
    /// The process at the other end is given up.
    Lost { at: ServerId, peer: ServerId, clean: bool },
    /// Something is for an inbox.
    Message { at: ServerId, to: Address, body: Bytes },
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

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// None; tried again then.
    Down { again: u64 },
    /// The dialer's words arrive at `at`.
    Greeting { dialer: usize, mine: Said, at: u64, anew: SessionId },
    /// The dialer may not have heard the last word yet.
    Up { ready: Option<(usize, Said, SessionId)> },
    /// Nothing gets through, which each end finds out in its time.
    Silent { since: u64, ready: Option<(usize, Said, SessionId)> },
    /// The other end of this one has given the connection up while it stood still.
    Torn { frozen: usize },
}

struct Link {
    pair: [ServerId; 2],
    ends: [Arc<End>; 2],
    stage: Stage,
    /// What is on its way to each end, and when it is there.
    wires: [VecDeque<(u64, Frame)>; 2],
    /// When each end last heard of the other, and when it last acknowledged.
    heard: [u64; 2],
    told: [u64; 2],
    /// No connection can be made before.
    parted: u64,
    /// Everything takes long before.
    slow: u64,
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
        self.links.entry((pair[0], pair[1])).or_insert_with(|| Link {
            pair,
            ends: [End::new(pair[1]), End::new(pair[0])],
            stage: Stage::Down { again: now },
            wires: [VecDeque::new(), VecDeque::new()],
            heard: [now; 2],
            told: [now; 2],
            parted: 0,
            slow: 0,
        });
    }

    fn pick(&mut self, chance: &mut ChaCha8Rng) -> Option<&mut Link> {
        let count = self.links.len();
        (count > 0)
            .then(|| chance.random_range(0..count))
            .and_then(|n| self.links.values_mut().nth(n))
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
            link.parted = now + millis;
            if let Stage::Up { ready } = link.stage {
                link.stage = Stage::Silent { since: now, ready };
            } else if matches!(link.stage, Stage::Greeting { .. }) {
                link.cut(now);
            }
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
            if let Some(place) = link.pair.iter().position(|server| *server == who)
                && chance.random_bool(0.5)
            {
                link.heard[place] = now;
            }
        }
    }

    /// Whether two processes are connected.
    pub(super) fn is_up(&self, a: ServerId, b: ServerId) -> bool {
        let link = self.links.get(&(a.min(b), a.max(b)));
        link.is_some_and(|link| matches!(link.stage, Stage::Up { ready: None }))
    }

    /// Links that have something on the way or not acknowledged, or are not up.
    pub(super) fn waits_for(&self) -> Vec<String> {
        let mut found = Vec::new();
        for link in self.links.values() {
            let waiting: usize = link.ends.iter().map(|end| end.waiting()).sum();
            if waiting > USUAL || !matches!(link.stage, Stage::Up { ready: None }) {
                let [a, b] = link.pair;
                found.push(format!("link {a}-{b} is {:?} with {waiting} waiting", link.stage));
            }
        }
        found
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

impl Link {
    fn cut(&mut self, again: u64) {
        self.wires.iter_mut().for_each(VecDeque::clear);
        self.ends.iter().for_each(|end| end.detach());
        self.stage = Stage::Down { again };
    }

    fn is_over(&self, life: impl Fn(ServerId) -> Life) -> bool {
        (0..2).any(|place| {
            matches!(life(self.pair[1 - place]), Life::Dead(_))
                && self.ends[place].state.lock().phase == Phase::Gone
        })
    }

    fn step(
        &mut self,
        now: u64,
        lives: [Life; 2],
        connections: &mut u128,
        chance: &mut ChaCha8Rng,
        counts: &mut Counts,
        events: &mut Vec<Event>,
    ) {
        self.notice_deaths(now, lives);
        match self.stage {
            Stage::Down { again } => {
                let both = lives == [Life::Awake; 2];
                if both && now >= again && now >= self.parted {
                    *connections += 1;
                    let dialer = chance.random_range(0..2);
                    let mine = self.ends[dialer].said();
                    let at = now + self.latency(now, chance);
                    let anew = SessionId(*connections);
                    self.stage = Stage::Greeting { dialer, mine, at, anew };
                }
            }
            Stage::Greeting { dialer, mine, at, anew } if now >= at => {
                if lives[1 - dialer] == Life::Awake {
                    self.accept(dialer, mine, anew, now, counts, events);
                }
            }
            Stage::Greeting { .. } => {}
            Stage::Up { .. } => {
                self.carry(now, lives, chance);
                self.arrive(now, lives, counts, events);
                self.look_for_silence(now, lives);
            }
            Stage::Silent { since, ready } => {
                if now >= since + PATIENCE {
                    self.cut(now);
                } else if now >= self.parted {
                    // In time: what was lost is sent again by TCP.
                    self.stage = Stage::Up { ready };
                }
            }
            Stage::Torn { frozen } => {
                if lives[frozen] == Life::Awake {
                    // What was in its buffer still counts; then it reads the end.
                    self.arrive(now, lives, counts, events);
                    self.cut(now);
                }
            }
        }
        self.give_up(now, lives, events);
    }

    fn notice_deaths(&mut self, now: u64, lives: [Life; 2]) {
        let dead = lives.iter().any(|life| matches!(life, Life::Dead(_)));
        if dead && !matches!(self.stage, Stage::Down { .. }) {
            // What it had sent to a process that stands still waits there; the rest is gone.
            self.cut(now);
        }
    }

    /// The end that was dialed opens the conversation, answers, and may send at once.
    fn accept(
        &mut self,
        dialer: usize,
        theirs: Said,
        anew: SessionId,
        now: u64,
        counts: &mut Counts,
        events: &mut Vec<Event>,
    ) {
        let place = 1 - dialer;
        let end = self.ends[place].clone();
        let mine = end.said();
        match end.open(mine, theirs, anew) {
            None => self.cut(now + 100),
            Some(opened) => {
                end.attach(Some(Frame::Ready(mine)), counts);
                self.heard = [now; 2];
                self.stage = Stage::Up { ready: Some((dialer, theirs, anew)) };
                self.up(place, opened, counts, events);
            }
        }
    }

    fn up(&self, place: usize, opened: Opened, counts: &mut Counts, events: &mut Vec<Event>) {
        let fresh = opened == Opened::Fresh;
        *(if fresh { &mut counts.fresh } else { &mut counts.resumed }) += 1;
        let (at, peer) = (self.pair[place], self.pair[1 - place]);
        events.push(Event::Up { at, peer, fresh, end: self.ends[place].clone() });
    }

    fn latency(&self, now: u64, chance: &mut ChaCha8Rng) -> u64 {
        if now < self.slow { chance.random_range(50..1_500) } else { chance.random_range(1..20) }
    }

    /// Puts what the ends want to send on the wires.
    fn carry(&mut self, now: u64, lives: [Life; 2], chance: &mut ChaCha8Rng) {
        for place in 0..2 {
            if lives[place] != Life::Awake {
                continue;
            }
            let late = self.latency(now, chance);
            let mut state = self.ends[place].state.lock();
            if state.phase == Phase::Up
                && state.conversation.untold() > 0
                && now >= self.told[place] + ACKNOWLEDGE
            {
                self.told[place] = now;
                let through = state.conversation.acknowledge();
                state.out.extend(through.map(Frame::Acknowledged));
            }
            let wire = &mut self.wires[1 - place];
            let last = wire.back().map_or(0, |(at, _)| *at);
            let at = (now + late).max(last);
            wire.extend(state.out.drain(..).map(|frame| (at, frame)));
        }
    }

    /// What is there is taken, in order, by whoever is awake.
    fn arrive(&mut self, now: u64, lives: [Life; 2], counts: &mut Counts, events: &mut Vec<Event>) {
        for place in 0..2 {
            if lives[place] != Life::Awake {
                continue;
            }
            while let Some((_, frame)) = self.wires[place].pop_front_if(|(at, _)| *at <= now) {
                if !self.take(place, frame, counts, events) {
                    return self.cut(now + 50);
                }
            }
        }
    }

    /// One frame; false: the connection cannot go on.
    fn take(
        &mut self,
        place: usize,
        frame: Frame,
        counts: &mut Counts,
        events: &mut Vec<Event>,
    ) -> bool {
        let end = self.ends[place].clone();
        match frame {
            Frame::Ready(theirs) => {
                let Stage::Up { ready: Some((_, mine, anew)) } = self.stage else { return false };
                let Some(opened) = end.open(mine, theirs, anew) else { return false };
                end.attach(None, counts);
                self.stage = Stage::Up { ready: None };
                self.up(place, opened, counts, events);
            }
            Frame::Message { id, to, body } => {
                let mut state = end.state.lock();
                if id != 0 {
                    match state.conversation.is_next(id) {
                        Ok(true) => state.conversation.applied_next(),
                        Ok(false) => {
                            counts.doubled += 1;
                            return true;
                        }
                        Err(_) => return false,
                    }
                }
                drop(state);
                events.push(Event::Message { at: self.pair[place], to, body });
            }
            Frame::Acknowledged(through) => {
                return end.state.lock().conversation.acknowledged(through).is_ok();
            }
        }
        true
    }

    /// One that hears nothing from a process that stands still gives the connection up.
    fn look_for_silence(&mut self, now: u64, lives: [Life; 2]) {
        for place in 0..2 {
            match (lives[place], lives[1 - place]) {
                (Life::Awake, Life::Frozen(since)) if now >= since + PATIENCE => {
                    self.ends[place].detach();
                    self.wires[place].clear();
                    self.stage = Stage::Torn { frozen: 1 - place };
                }
                (Life::Awake, Life::Awake) => self.heard[place] = now,
                _ => {}
            }
        }
    }

    /// Forgets a process that was not heard of for too long, or said good-bye.
    fn give_up(&mut self, now: u64, lives: [Life; 2], events: &mut Vec<Event>) {
        for place in 0..2 {
            if lives[place] != Life::Awake {
                continue;
            }
            let clean = lives[1 - place] == Life::Dead(true);
            let long = now >= self.heard[place] + FORGOTTEN;
            let down = self.ends[place].state.lock().phase != Phase::Up;
            if !(clean || (long && down)) {
                continue;
            }
            self.heard[place] = now;
            let known = std::mem::replace(&mut self.ends[place], End::new(self.pair[1 - place]));
            known.forget();
            if matches!(lives[1 - place], Life::Dead(_)) {
                // It never comes back; the link is over.
                self.ends[place].forget();
            }
            let (at, peer) = (self.pair[place], self.pair[1 - place]);
            events.push(Event::Lost { at, peer, clean });
        }
    }
}
