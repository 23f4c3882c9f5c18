//! Lines and servers that stand still make nobody a cheat, and no line makes a cheat honest.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::tick::TICK_MS;

/// Real time goes on in steps of so much, ms.
const SLOT_MS: u64 = 10;

/// What stands still for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum What {
    Line,
    /// What goes to the server alone.
    Upwards,
    Server,
}

/// One client that streams its place, its line, and the server.
struct Play {
    stage: Stage,
    now: u64,
    delay: u64,
    period: u64,
    /// What stands still, from when to when, ms; in order.
    stalls: Vec<(What, u64, u64)>,
    /// Updates that a burst may bring at once; what is more is dropped.
    most_at_once: usize,
    up: VecDeque<(u64, Point, u32)>,
    down: VecDeque<(u64, Point)>,
    /// m/s.
    speed: f32,
    takes_corrections: bool,
    at: Point,
    heading: f32,
    sequence: u32,
    /// When the server ticks next and has ticked last.
    tick: (u64, u64),
    corrections: usize,
    kicked: bool,
}

impl Play {
    fn new(delay: u64, period: u64, stalls: Vec<(What, u64, u64)>) -> Self {
        let mut stage = Stage::new(WEST);
        stage.enter(ANNA, -100.0, 100.0);
        Self {
            stage,
            now: 0,
            delay,
            period,
            stalls,
            most_at_once: usize::MAX,
            up: VecDeque::new(),
            down: VecDeque::new(),
            speed: 5.0,
            takes_corrections: true,
            at: Point { x: -100.0, y: 100.0 },
            heading: 1.0,
            sequence: 0,
            tick: (TICK_MS, 0),
            corrections: 0,
            kicked: false,
        }
    }

    /// When what is sent now arrives.
    fn arrives(&self, upwards: bool, before: Option<u64>) -> u64 {
        let mut at = (self.now + self.delay).max(before.unwrap_or(0));
        for (what, from, to) in &self.stalls {
            let holds = *what == What::Line || (*what == What::Upwards && upwards);
            if holds && (*from..*to).contains(&at) {
                at = *to;
            }
        }
        at
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + millis;
        while self.now < end && !self.kicked {
            self.now += SLOT_MS;
            self.client();
            let stands = |(what, from, to): &(What, u64, u64)| {
                *what == What::Server && (*from..*to).contains(&self.now)
            };
            if self.now >= self.tick.0 && !self.stalls.iter().any(stands) {
                self.server();
            }
        }
    }

    fn client(&mut self) {
        while self.down.front().is_some_and(|(at, _)| *at <= self.now) {
            if let Some((_, place)) = self.down.pop_front()
                && self.takes_corrections
            {
                self.at = place;
            }
        }
        if !self.now.is_multiple_of(self.period) {
            return;
        }
        self.at.x += self.heading * self.speed * self.period as f32 / 1000.0;
        if (self.at.x + 100.0).abs() > 40.0 {
            self.heading = -(self.at.x + 100.0).signum();
        }
        self.sequence += 1;
        let arrives = self.arrives(true, self.up.back().map(|(at, ..)| *at));
        self.up.push_back((arrives, self.at, self.sequence));
    }

    fn server(&mut self) {
        let lost = (self.now - self.tick.1).saturating_sub(TICK_MS);
        self.tick = (self.now + TICK_MS, self.now);
        self.stage.world.lose_time(lost);
        self.stage.world.advance_to(TICK_MS);
        let mut taken = 0;
        while self.up.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, Point { x, y }, sequence)) = self.up.pop_front() else { return };
            taken += 1;
            if taken <= self.most_at_once {
                let update = Action::Move { x, y, rotation: 0.0, sequence, client_time: 0 };
                self.stage.act(ANNA, update);
            }
        }
        self.stage.step();
        for effect in std::mem::take(&mut self.stage.log) {
            match effect {
                Effect::Notify { notice: Notice::Correction { pose, .. }, .. } => {
                    self.corrections += 1;
                    let arrives = self.arrives(false, self.down.back().map(|(at, _)| *at));
                    self.down.push_back((arrives, pose.at));
                }
                Effect::Kick { .. } => self.kicked = true,
                _ => {}
            }
        }
    }

    /// Metres between where the client is and where the server has it.
    fn apart(&self) -> f32 {
        self.stage.state(ANNA).pose.at.distance(self.at)
    }
}

fn stalls() -> impl Strategy<Value = Vec<(What, u64, u64)>> {
    let what = prop::sample::select(vec![What::Line, What::Upwards, What::Server]);
    let stall = (what, 50u64..200, 100u64..=300);
    prop::collection::vec(stall, 1..8).prop_map(|stalls| {
        let mut now = 1_000;
        let mut placed = Vec::new();
        for (what, pause, length) in stalls {
            let from = now + pause * 10;
            now = from + length * 10;
            placed.push((what, from, now));
        }
        placed
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn an_honest_client_is_corrected_once_a_stall_and_never_sent_away(
        delay in 1u64..30,
        period in prop::sample::select(vec![50u64, 60, 100]),
        stalls in stalls(),
        most_at_once in prop::sample::select(vec![20usize, 40, usize::MAX]),
    ) {
        let end = stalls.last().map_or(0, |(_, _, to)| *to);
        let count = stalls.len();
        let mut play = Play::new(delay * 10, period, stalls);
        play.most_at_once = most_at_once;
        play.pass(end + 1_000);
        prop_assert!(!play.kicked);
        // Where the client turned round meanwhile, what it says may lie near where the server has it
        // by chance, and looks like an answer: that is one more.
        prop_assert!(play.corrections <= 2 * count, "{} corrections", play.corrections);
        // What is under way, and what the server may lag behind.
        let apart = play.apart();
        prop_assert!(apart <= 5.0 * 0.001 * (delay * 10 + 100) as f32 + 1.6, "{apart} m apart");
    }

    /// Timers that come early and late, and a line that shakes, are nothing at all.
    #[test]
    fn jitter_alone_is_never_corrected(jitters in prop::collection::vec(0u64..30, 100..300)) {
        let mut stage = Stage::new(WEST);
        stage.enter(ANNA, -150.0, 100.0);
        stage.steps(20);
        let (mut due, mut tick) = (VecDeque::new(), 0);
        let mut arrived = 0;
        for (index, jitter) in jitters.iter().enumerate() {
            arrived = (index as u64 * 50 + jitter * 10).max(arrived);
            due.push_back((arrived, index as u32));
        }
        while let Some((at, sequence)) = due.pop_front() {
            while tick * TICK_MS < at {
                tick += 1;
                stage.step();
            }
            let x = -150.0 + (sequence % 400) as f32 * 0.25;
            stage.act(ANNA, Action::Move { x, y: 100.0, rotation: 0.0, sequence, client_time: 0 });
        }
        prop_assert!(stage.corrections(ANNA).is_empty());
    }

    #[test]
    fn a_cheat_is_sent_away_whatever_its_line(
        factor in 1.5f32..4.0,
        takes_corrections in any::<bool>(),
        delay in 1u64..30,
        period in prop::sample::select(vec![50u64, 100, 200]),
        honest in 0u64..10_000,
        stands in any::<bool>(),
    ) {
        let mut play = Play::new(delay * 10, period, Vec::new());
        play.speed = if stands { 0.0 } else { 5.0 };
        play.pass(honest / 10 * 10);
        prop_assert!(!play.kicked);
        play.speed = 5.0 * factor;
        play.takes_corrections = takes_corrections;
        let begun = play.now;
        play.pass(25_000);
        prop_assert!(play.kicked);
        prop_assert!(play.now - begun <= 20_000, "after {} ms", play.now - begun);
    }
}

#[test]
fn one_stall_is_one_correction_and_a_second_later_all_agree() {
    for seconds in 1..=3 {
        let stall = (What::Line, 2_000, 2_000 + seconds * 1_000);
        let mut play = Play::new(60, 50, vec![stall]);
        play.pass(stall.2 + 1_000);
        assert_eq!((play.corrections, play.kicked), (1, false), "{seconds} s");
        assert!(play.apart() < 1.0, "{} m apart", play.apart());
    }
}

/// Where the client turns round, what it sent before a correction seems to answer it, and the next
/// one is told while the first is on its way: it is put back by each in turn.
#[test]
fn corrections_that_come_late_are_held_against_nobody() {
    use What::{Line, Server};
    let stalls = vec![
        (Line, 2_850, 5_250),
        (Server, 6_700, 8_560),
        (Line, 9_440, 10_690),
        (Line, 12_040, 14_620),
        (Line, 15_430, 16_520),
        (Line, 17_860, 18_860),
    ];
    let mut play = Play::new(270, 60, stalls);
    play.most_at_once = 40;
    play.pass(20_000);
    assert!(!play.kicked);
    assert!(play.corrections > 6, "a correction was told before the one before had come");
}

#[test]
fn a_client_that_takes_no_correction_is_sent_away() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    let mut ticks = 0;
    while stage.kicks().is_empty() {
        ticks += 1;
        assert!(ticks < 200, "within ten seconds");
        stage.step();
        let far =
            Action::Move { x: -60.0, y: 100.0, rotation: 0.0, sequence: ticks, client_time: 0 };
        stage.act(ANNA, far);
    }
    assert!(ticks > 50, "not before a slow line could have shown it the first one");
    assert!(stage.corrections(ANNA).len() < 10);
}

#[test]
fn a_count_that_begins_oddly_locks_nobody_out() {
    for first in [1u32 << 31, u32::MAX, 900, 0] {
        let mut stage = Stage::new(WEST);
        stage.enter(ANNA, -100.0, 100.0);
        stage.steps(20);
        let mut x = -100.0;
        for sequence in std::iter::once(first).chain(1..40) {
            x += 0.25;
            stage.act(ANNA, Action::Move { x, y: 100.0, rotation: 0.0, sequence, client_time: 0 });
            stage.step();
        }
        assert!(stage.corrections(ANNA).is_empty() && stage.kicks().is_empty(), "{first}");
        assert_eq!(stage.state(ANNA).pose.at.x, x, "{first}");
    }
}
