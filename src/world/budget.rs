//! How far a player may travel: one allowance for whatever moves it, whether the server walks it or
//! its client streams its place.
//!
//! `movement.rs` asks before anything moves a player and charges what was travelled; being put
//! somewhere (by death, a border that is closed) is no travel. Time that brings no allowance (dead,
//! on the way between two zones, before it came) is never saved up.

use crate::tick::TICK_MS;
use crate::world::World;
use crate::world::entity::Handle;

/// How late an honest client's updates may come, ms; on top of `rules.movement_debt_ms`.
pub const JITTER_MS: u64 = 300;
/// How much a client's clock may run ahead of ours: without it, an honest one would fall behind
/// for ever.
pub(super) const CLOCK_TOLERANCE: f32 = 1.02;
/// Rounding of places far from the origin, m.
pub(super) const ROUNDING: f32 = 0.01;
/// Most real time that streaming clients are given back of what their zone has lost, ms.
const GRACE_MS: u64 = 1_000;
/// What they earn back of it with each tick that came in time, ms: a second in ten.
const GRACE_EARNED_MS: u64 = 5;

/// A leaky bucket: travel fills it, time at the player's speed drains it, and what would make it
/// overflow is not travelled.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Budget {
    /// Metres that the player is ahead of its speed.
    pub ahead: f32,
    /// When that was so, ms of [`World::travel_ms`].
    pub measured_ms: u64,
}

/// What a player's travel is measured by at this moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// m/s.
    pub speed: f32,
    /// Metres that it may be ahead of that: the same with haste as without, which would else be a
    /// leap.
    pub allowance: f32,
    /// [`World::travel_ms`].
    pub now_ms: u64,
    /// [`World::real_ms`].
    pub real_ms: u64,
}

impl Budget {
    /// Lets the time up to `pace.now_ms` count.
    pub fn settle(&mut self, pace: &Pace) {
        let millis = pace.now_ms.saturating_sub(self.measured_ms);
        let drained = pace.speed * CLOCK_TOLERANCE * millis as f32 / 1000.0;
        self.ahead = (self.ahead - drained).max(0.0);
        self.measured_ms = self.measured_ms.max(pace.now_ms);
    }

    /// Metres that may be travelled now; settled first.
    pub fn room(&mut self, pace: &Pace) -> f32 {
        self.settle(pace);
        (pace.allowance - self.ahead).max(0.0)
    }

    /// Charges what was travelled.
    pub fn spend(&mut self, metres: f32) {
        self.ahead += metres;
    }
}

impl Pace {
    /// Of one that walks at `speed`, m/s; `debt_ms`: `rules.movement_debt_ms`.
    pub fn new(speed: f32, debt_ms: u64, now_ms: u64, real_ms: u64) -> Self {
        let allowance = speed * (debt_ms + JITTER_MS) as f32 / 1000.0 + ROUNDING;
        Self { speed, allowance, now_ms, real_ms }
    }

    /// Metres that a player may lag behind where its client says it is: what is over its budget is
    /// travelled a little later, if it is not more than this.
    pub fn lag(&self) -> f32 {
        self.speed * JITTER_MS as f32 / 1000.0
    }
}

/// What a zone has lost of real time, and what of it counts for travel all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct LostTime {
    /// All of it, ms.
    all_ms: u64,
    /// What travel was given back, ms.
    returned_ms: u64,
    /// What it may yet be given back, ms.
    grace_ms: u64,
    /// Whether some was lost since the last step.
    lately: bool,
    /// Real time since the last step, as far as it was told and is not among the lost, ms.
    into_tick_ms: u64,
}

impl LostTime {
    /// Nothing lost yet.
    pub const NONE: Self =
        Self { all_ms: 0, returned_ms: 0, grace_ms: GRACE_MS, lately: false, into_tick_ms: 0 };

    /// Real time has passed for which there is no step.
    pub fn lose(&mut self, millis: u64) {
        let returned = millis.min(self.grace_ms);
        self.all_ms = self.all_ms.saturating_add(millis);
        self.returned_ms += returned;
        self.grace_ms -= returned;
        self.lately |= millis > 0;
        self.into_tick_ms = self.into_tick_ms.saturating_sub(millis);
    }

    /// A tick has gone by.
    pub fn step(&mut self) {
        if !std::mem::take(&mut self.lately) {
            self.grace_ms = GRACE_MS.min(self.grace_ms + GRACE_EARNED_MS);
        }
        self.into_tick_ms = 0;
    }

    /// So much real time has passed since the last step.
    pub fn advance(&mut self, millis: u64) {
        self.into_tick_ms = self.into_tick_ms.max(millis);
    }

    /// What counts for travel besides the steps, ms: of what is over a tick, as much as will be
    /// given back once it is lost.
    fn for_travel(&self) -> u64 {
        let over = self.into_tick_ms.saturating_sub(TICK_MS);
        self.returned_ms + self.into_tick_ms.min(TICK_MS) + over.min(self.grace_ms)
    }

    /// What has passed besides the steps, ms.
    fn for_real(&self) -> u64 {
        self.all_ms + self.into_tick_ms
    }
}

impl World {
    /// The clock of travel: the zone's own time, which may run slower than real time, and what a
    /// short stall was given back.
    pub(super) fn travel_ms(&self) -> u64 {
        self.now_ms() + self.lost_time.for_travel()
    }

    /// Real time, by which it is judged whether a client can be honest.
    pub(super) fn real_ms(&self) -> u64 {
        self.now_ms() + self.lost_time.for_real()
    }

    /// What a player's travel is measured by now. Haste counts a moment longer than it is shown,
    /// for a client that has not heard of its end.
    pub(super) fn pace(&self, handle: Handle) -> Pace {
        let haste = self.entities.get(handle).and_then(|entity| entity.player()?.haste.as_ref());
        let factor = haste.map_or(1.0, |haste| haste.factor);
        let rules = &self.content.rules;
        let (now_ms, real_ms) = (self.travel_ms(), self.real_ms());
        let pace = Pace::new(rules.player_speed, rules.movement_debt_ms, now_ms, real_ms);
        Pace { speed: pace.speed * factor, ..pace }
    }

    /// Settles a living player's budget before its speed changes.
    pub(super) fn settle_budget(&mut self, handle: Handle) {
        let pace = self.pace(handle);
        let entity = self.entities.get_mut(handle).filter(|entity| entity.is_alive());
        if let Some(player) = entity.and_then(|entity| entity.player_mut()) {
            player.budget.settle(&pace);
        }
    }

    /// The budget of one who has just come into the world: no allowance yet, so that coming and
    /// going brings none.
    pub(super) fn fresh_budget(&self) -> Budget {
        let rules = &self.content.rules;
        let pace = Pace::new(rules.player_speed, rules.movement_debt_ms, 0, 0);
        Budget { ahead: pace.allowance, measured_ms: self.travel_ms() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pace(now_ms: u64) -> Pace {
        Pace::new(5.0, 200, now_ms, now_ms)
    }

    /// Every step in the past; one is right if the travel since none of them is more than the time
    /// since then and the allowance.
    #[derive(Default)]
    struct Naive(Vec<(u64, f64)>);

    impl Naive {
        /// Metres that are left for a step at `now`.
        fn room(&self, now: u64) -> f64 {
            let most = f64::from(pace(now).allowance);
            let speed = f64::from(pace(now).speed) * f64::from(CLOCK_TOLERANCE) / 1000.0;
            let since = |index: usize| {
                let travelled: f64 = self.0[index..].iter().map(|(_, distance)| distance).sum();
                most + speed * (now - self.0[index].0) as f64 - travelled
            };
            (0..self.0.len()).map(since).fold(most, f64::min)
        }
    }

    proptest! {
        #[test]
        fn the_room_is_what_the_naive_one_is(
            steps in prop::collection::vec((0u64..8, 0.0f32..3.0), 1..120),
        ) {
            let (mut budget, mut naive, mut now) = (Budget::default(), Naive::default(), 1_000);
            for (ticks, distance) in steps {
                now += ticks * TICK_MS;
                let room = budget.room(&pace(now));
                prop_assert!((f64::from(room) - naive.room(now)).abs() < 1e-3);
                let travelled = distance.min(room);
                budget.spend(travelled);
                naive.0.push((now, f64::from(travelled)));
            }
        }
    }

    #[test]
    fn silence_is_not_saved_up() {
        let mut budget = Budget::default();
        let taken = |budget: &mut Budget, now| {
            let mut taken = 0;
            while budget.room(&pace(now)) >= 0.25 {
                budget.spend(0.25);
                taken += 1;
            }
            taken
        };
        assert_eq!(taken(&mut budget, 350), 10, "half a second of travel");
        assert_eq!(taken(&mut budget, 60_000), 10, "and no more after a minute");
    }

    #[test]
    fn lost_time_is_given_back_up_to_a_second_and_earned_again_slowly() {
        let mut lost = LostTime::NONE;
        lost.lose(400);
        lost.step();
        lost.lose(2_000);
        lost.step();
        assert_eq!((lost.returned_ms, lost.all_ms), (1_000, 2_400));
        for _ in 0..100 {
            lost.lose(150);
            lost.step();
        }
        assert_eq!(lost.returned_ms, 1_000, "nothing is earned while time runs slow");
        (0..20).for_each(|_| lost.step());
        lost.lose(500);
        assert_eq!(lost.returned_ms, 1_100);
    }
}
