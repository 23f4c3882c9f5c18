//! When a zone's thread wakes: ticks at 20 Hz and event rounds at 100 Hz on one absolute schedule.
//!
//! Missed rounds are skipped, never made up in a burst. A zone that overruns some ticks in a row
//! runs its time slower, all timers alike (the world counts in ticks), and recovers by itself.

use std::time::{Duration, Instant};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::ZoneConfig;
use crate::ids::ZoneId;
use crate::tick::{EVENT_ROUND_MS, TICK, TICK_MS, now};
use crate::world::World;

/// Event rounds in one tick; the first of them is the tick itself.
const ROUNDS: u32 = (TICK_MS / EVENT_ROUND_MS) as u32;

/// A thread that was away for longer than this (a stopped process, a machine asleep) cannot know
/// whether its zone is still its own.
pub(super) const GAP: Duration = Duration::from_secs(2);

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Round {
    /// A whole tick.
    Tick,
    /// Events alone.
    Events,
}

/// One zone's schedule.
pub(super) struct Clock {
    /// When the current tick was due.
    tick_due: Instant,
    round: u32,
    /// When the last round began.
    beat: Instant,
    gap: bool,
    pace: Pace,
    /// Real time that no tick stood for and nobody has been told of.
    lost: Duration,
    lag: Histogram,
    overruns: Counter,
    dilation: Gauge,
}

/// How fast a zone's time runs; pure, so that it can be tested without a clock.
#[derive(Debug, Clone, PartialEq)]
struct Pace {
    /// Zone time per real time, `floor` to 1.
    speed: f64,
    floor: f64,
    patience: u32,
    overrun_in_a_row: u32,
}

impl Pace {
    /// A tick's real length at this pace.
    fn tick(&self) -> Duration {
        TICK.div_f64(self.speed)
    }

    /// Learns how long a tick took. True if it was an overrun.
    fn spent(&mut self, took: Duration) -> bool {
        let overrun = took > self.tick();
        if overrun {
            self.overrun_in_a_row += 1;
            if self.overrun_in_a_row >= self.patience {
                let bearable = TICK.as_secs_f64() / took.as_secs_f64() * 0.95;
                self.speed = bearable.clamp(self.floor, 1.0);
            }
        } else {
            self.overrun_in_a_row = 0;
            // Back by 5 % a tick once there is room for it: half a second from 0.6 to 1.
            let faster = (self.speed * 1.05).min(1.0);
            if took < TICK.div_f64(faster).mul_f64(0.9) {
                self.speed = faster;
            }
        }
        overrun
    }
}

impl Clock {
    /// Starts the schedule `phase` from now.
    pub(super) fn start(zone: ZoneId, phase: Duration, config: &ZoneConfig) -> Self {
        let zone = zone.to_string();
        let dilation = gauge!("throng_zone_dilation", "zone" => zone.clone());
        dilation.set(1.0);
        let tick_due = now() + phase;
        Self {
            tick_due,
            round: 0,
            beat: tick_due,
            gap: false,
            lost: Duration::ZERO,
            pace: Pace {
                speed: 1.0,
                floor: config.dilation_floor,
                patience: config.overruns_before_dilation,
                overrun_in_a_row: 0,
            },
            lag: histogram!("throng_zone_tick_lag_seconds", "zone" => zone.clone()),
            overruns: counter!("throng_zone_overruns_total", "zone" => zone),
            dilation,
        }
    }

    /// Waits for the next round that is not past.
    pub(super) fn wait(&mut self) -> Round {
        let length = self.pace.tick();
        let now = now();
        let mut due = self.tick_due + length / ROUNDS * self.round;
        // Rounds between ticks that are past have nothing of their own; a tick is never dropped
        // for them.
        while self.round != 0 && due < now {
            self.advance(length);
            due = self.tick_due + length / ROUNDS * self.round;
        }
        if self.round == 0 && now > due + length {
            // Whole ticks were missed: go on from the schedule's next point.
            let missed = ((now - due).as_secs_f64() / length.as_secs_f64()) as u32;
            self.tick_due += length * missed;
            self.lost += length * missed;
            due = self.tick_due;
        }
        self.pause(due.saturating_duration_since(now));
        let round = if self.round == 0 { Round::Tick } else { Round::Events };
        if round == Round::Tick {
            self.lost += length.saturating_sub(TICK);
            self.lag.record(crate::tick::now().saturating_duration_since(due));
        }
        self.advance(length);
        self.beat();
        round
    }

    fn beat(&mut self) {
        let now = now();
        self.gap |= now.saturating_duration_since(self.beat) > GAP;
        self.beat = now;
    }

    /// Whether the thread has stood still for so long since the last call that another may run
    /// its zone by now.
    pub(super) fn take_gap(&mut self) -> bool {
        self.beat();
        std::mem::take(&mut self.gap)
    }

    /// At the beginning of a tick: tells the world how time has passed since the last one.
    pub(super) fn tell(&mut self, world: &mut World) {
        world.lose_time(self.take_lost_ms());
        world.run_at(self.dilation_percent());
        world.advance_to(TICK_MS);
    }

    /// Milliseconds of real time that no tick stood for since the last call: missed ticks, and
    /// what slowed ticks took longer.
    fn take_lost_ms(&mut self) -> u64 {
        let millis = self.lost.as_millis() as u64;
        self.lost -= Duration::from_millis(millis);
        millis
    }

    /// How far the current tick is over, ms.
    pub(super) fn since_tick_ms(&self) -> u64 {
        let length = self.pace.tick();
        // Once its last round has begun, the next tick's due time stands there.
        let began =
            if self.round == 0 { self.tick_due.checked_sub(length) } else { Some(self.tick_due) };
        began.map_or(0, |began| now().saturating_duration_since(began).as_millis() as u64)
    }

    /// How fast the zone's time runs, percent of real time: 1 to 100.
    fn dilation_percent(&self) -> u8 {
        (self.pace.speed * 100.0).round() as u8
    }

    fn advance(&mut self, length: Duration) {
        self.round += 1;
        if self.round == ROUNDS {
            self.round = 0;
            self.tick_due += length;
        }
    }

    /// Learns how long the tick that has just ended took.
    pub(super) fn spent(&mut self, took: Duration) {
        let before = self.pace.speed;
        if self.pace.spent(took) {
            self.overruns.increment(1);
        }
        if self.pace.speed != before {
            self.dilation.set(self.pace.speed);
        }
    }

    /// Sleeps. A zone's thread is its own, so nobody else is held up.
    #[expect(clippy::disallowed_methods, reason = "the one thread that may sleep")]
    pub(super) fn pause(&self, length: Duration) {
        if !length.is_zero() {
            std::thread::sleep(length);
        }
    }
}

#[cfg(test)]
impl Clock {
    /// As if the thread had stood still until now.
    pub(super) fn stand_still(&mut self) {
        self.beat = now().checked_sub(GAP * 2).unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace { speed: 1.0, floor: 0.25, patience: 3, overrun_in_a_row: 0 }
    }

    #[test]
    fn time_slows_after_three_overruns_and_recovers() {
        let mut pace = pace();
        assert!(pace.spent(Duration::from_millis(80)) && pace.spent(Duration::from_millis(80)));
        assert_eq!(pace.speed, 1.0, "two in a row are borne");
        assert!(pace.spent(Duration::from_millis(80)));
        assert!(pace.speed < 0.65 && pace.speed > 0.5);
        assert!(!pace.spent(Duration::from_millis(80)), "the slower tick bears it");
        for _ in 0..20 {
            pace.spent(Duration::from_millis(5));
        }
        assert_eq!(pace.speed, 1.0);
    }

    #[test]
    fn a_thread_that_stood_still_is_noticed_once() {
        let mut clock = Clock::start(ZoneId(1), Duration::ZERO, &ZoneConfig::default());
        assert!(!clock.take_gap());
        clock.stand_still();
        clock.wait();
        assert!(clock.take_gap());
        assert!(!clock.take_gap());
        clock.stand_still();
        assert!(clock.take_gap(), "it may come after the wait");
    }

    #[test]
    fn time_never_runs_slower_than_the_floor() {
        let mut pace = pace();
        for _ in 0..10 {
            pace.spent(Duration::from_secs(3));
        }
        assert_eq!(pace.speed, 0.25);
    }
}
