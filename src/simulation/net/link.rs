//! One link of the simulated network: which connection there is between two processes, what is on
//! its way, and how each end finds out that there is none any more.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::end::{End, Frame, Phase};
use super::{Event, Life};
use crate::ids::ServerId;
use crate::link::Carrier as _;
use crate::link::conversation::{Opened, Said, SessionId};
use crate::simulation::counts::Counts;

/// A process that was not heard of for so long is forgotten, ms: `link.dead_seconds`.
const FORGOTTEN: u64 = 6_000;
/// So long a silent connection is kept, ms: three heartbeats.
const PATIENCE: u64 = 3_000;
/// So many messages are under way on a link even when nothing goes on.
const USUAL: usize = 16;
/// Messages are acknowledged after this, ms.
const ACKNOWLEDGE: u64 = 50;

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

/// See the module.
pub(super) struct Link {
    pub(super) pair: [ServerId; 2],
    ends: [Arc<End>; 2],
    stage: Stage,
    /// The other end has dialed at the same time: when that arrives, and what it said then.
    rival: Option<(u64, usize, Said, SessionId)>,
    /// What is on its way to each end, and when it is there.
    wires: [VecDeque<(u64, Frame)>; 2],
    /// Whether each process knows the other.
    known: [bool; 2],
    /// When each end last heard of the other, and when it last acknowledged.
    heard: [u64; 2],
    told: [u64; 2],
    /// No connection can be made before.
    pub(super) parted: u64,
    /// Everything takes long before.
    pub(super) slow: u64,
}

impl Link {
    pub(super) fn new(pair: [ServerId; 2], now: u64) -> Self {
        Self {
            pair,
            ends: [End::new(pair[1]), End::new(pair[0])],
            stage: Stage::Down { again: now },
            rival: None,
            wires: [VecDeque::new(), VecDeque::new()],
            known: [false; 2],
            heard: [now; 2],
            told: [now; 2],
            parted: 0,
            slow: 0,
        }
    }

    /// Nothing gets through until then.
    pub(super) fn part(&mut self, now: u64, until: u64) {
        self.parted = until;
        if let Stage::Up { ready } = self.stage {
            self.stage = Stage::Silent { since: now, ready };
        } else if matches!(self.stage, Stage::Greeting { .. }) {
            self.cut(now);
        }
    }

    pub(super) fn has(&self, who: ServerId) -> bool {
        self.pair.contains(&who)
    }

    /// One end takes the other for alive.
    pub(super) fn hears(&mut self, who: ServerId, now: u64) {
        self.heard[usize::from(self.pair[1] == who)] = now;
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up { ready: None })
    }

    /// What is not as it should be when all is calm.
    pub(super) fn waits_for(&self) -> Option<String> {
        let waiting: usize = self.ends.iter().map(|end| end.waiting()).sum();
        let [a, b] = self.pair;
        (waiting > USUAL || !self.is_up())
            .then(|| format!("link {a}-{b} is {:?} with {waiting} waiting", self.stage))
    }

    pub(super) fn cut(&mut self, again: u64) {
        self.wires.iter_mut().for_each(VecDeque::clear);
        self.ends.iter().for_each(|end| end.detach());
        self.stage = Stage::Down { again };
        self.rival = None;
    }

    pub(super) fn is_over(&self, life: impl Fn(ServerId) -> Life) -> bool {
        (0..2).any(|place| {
            matches!(life(self.pair[1 - place]), Life::Dead(_))
                && self.ends[place].state.lock().phase == Phase::Gone
        })
    }

    pub(super) fn step(
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
                    if chance.random_bool(0.5) {
                        *connections += 1;
                        let theirs = self.ends[1 - dialer].said();
                        let late = now + chance.random_range(20..500);
                        self.rival = Some((late, 1 - dialer, theirs, SessionId(*connections)));
                    }
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
                self.replace(now, lives, counts, events);
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

    /// A connection that was dialed before this one was there takes its place. What its dialer said
    /// is old by now.
    fn replace(
        &mut self,
        now: u64,
        lives: [Life; 2],
        counts: &mut Counts,
        events: &mut Vec<Event>,
    ) {
        let Stage::Up { ready: None } = self.stage else { return };
        let due = self.rival.take_if(|(at, ..)| *at <= now && lives == [Life::Awake; 2]);
        // The one that the lower id has dialed goes before the other.
        if let Some((_, dialer @ 0, mine, anew)) = due {
            self.cut(now);
            self.accept(dialer, mine, anew, now, counts, events);
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
        let mine = self.ends[place].said();
        if let Some(opened) = self.open(place, mine, theirs, anew, counts, events) {
            self.ends[place].attach(Some(Frame::Ready(mine)), counts);
            self.heard = [now; 2];
            self.stage = Stage::Up { ready: Some((dialer, theirs, anew)) };
            self.up(place, opened, counts, events);
        } else {
            self.cut(now + 100);
        }
    }

    /// Opens the conversation at one end. If that begins anew, whoever was known there is lost, and
    /// with it all that was meant for it.
    fn open(
        &mut self,
        place: usize,
        mine: Said,
        theirs: Said,
        anew: SessionId,
        counts: &mut Counts,
        events: &mut Vec<Event>,
    ) -> Option<Opened> {
        if !mine.agrees(theirs) {
            self.lose(place, false, events);
        }
        let opened = self.ends[place].open(mine, theirs, anew);
        if opened.is_none() {
            counts.stale += 1;
            self.lose(place, false, events);
        }
        opened
    }

    /// One process forgets the other.
    fn lose(&mut self, place: usize, clean: bool, events: &mut Vec<Event>) {
        let (at, peer) = (self.pair[place], self.pair[1 - place]);
        let end = std::mem::replace(&mut self.ends[place], End::new(peer));
        end.forget();
        if std::mem::replace(&mut self.known[place], false) {
            events.push(Event::Lost { at, peer, clean });
        }
    }

    fn up(&mut self, place: usize, opened: Opened, counts: &mut Counts, events: &mut Vec<Event>) {
        let fresh = opened == Opened::Fresh;
        self.known[place] = true;
        *(if fresh { &mut counts.fresh } else { &mut counts.resumed }) += 1;
        let (at, peer) = (self.pair[place], self.pair[1 - place]);
        events.push(Event::Up { at, peer, fresh, end: self.ends[place].clone() });
    }

    fn latency(&self, now: u64, chance: &mut ChaCha8Rng) -> u64 {
        if now < self.slow { chance.random_range(50..1_500) } else { chance.random_range(1..20) }
    }

    /// Puts what the ends want to send on the wires.
    fn carry(&mut self, now: u64, lives: [Life; 2], chance: &mut ChaCha8Rng) {
        for (place, life) in lives.into_iter().enumerate() {
            if life != Life::Awake {
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
        for (place, life) in lives.into_iter().enumerate() {
            if life != Life::Awake {
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
                let opened = self.open(place, mine, theirs, anew, counts, events);
                let Some(opened) = opened else { return false };
                self.ends[place].attach(None, counts);
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
                let (at, peer) = (self.pair[place], self.pair[1 - place]);
                events.push(Event::Message { at, peer, to, body });
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
        for (place, life) in lives.into_iter().enumerate() {
            if life != Life::Awake {
                continue;
            }
            let clean = lives[1 - place] == Life::Dead(true);
            let long = now >= self.heard[place] + FORGOTTEN;
            let down = self.ends[place].state.lock().phase != Phase::Up;
            if !(clean || (long && down)) {
                continue;
            }
            self.heard[place] = now;
            self.lose(place, clean, events);
            if matches!(lives[1 - place], Life::Dead(_)) {
                // It never comes back; the link is over.
                self.ends[place].forget();
            }
        }
    }
}
