//! The recent places of one entity: where it was a moment ago, and where it probably is now.
//!
//! The world looks up where a target stood when its attacker saw it; the client library and the
//! text port show others with the same code. It knows no clock: whoever calls says which
//! millisecond is meant.

use crate::geometry::{Point, Pose, normalize_degrees};

/// Samples that are kept.
pub const CAPACITY: usize = 10;
/// Samples older than this beside the newest are forgotten, ms.
pub const SPAN_MS: u64 = 1_000;
/// How far past the newest sample a place is guessed, ms.
pub const EXTRAPOLATION_MS: u64 = 200;
/// Sequences further ahead than this are refused.
pub const JUMP_MAX: u32 = 1_024;

/// How one sequence number stands to the one before, by serial-number arithmetic: numbers wrap
/// around, and what is less than half the circle ahead is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// At most [`JUMP_MAX`] ahead.
    Newer,
    /// The same one again, or an older one.
    Stale,
    /// Newer, but too far ahead.
    Jump,
}

/// Compares `next` with the `last` sequence number that was taken.
pub fn succession(last: u32, next: u32) -> Succession {
    match next.wrapping_sub(last) {
        0 => Succession::Stale,
        1..=JUMP_MAX => Succession::Newer,
        ahead if ahead < 1 << 31 => Succession::Jump,
        _ => Succession::Stale,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sample {
    sequence: u32,
    at_ms: u64,
    pose: Pose,
}

/// The last places of one entity, at most [`CAPACITY`] of the last [`SPAN_MS`].
///
/// Between two samples an entity is taken to move evenly, so whoever knows that it stood still
/// must push that too.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// A ring, rising by sequence and time from `first` on: taking a place touches the newest and
    /// the oldest sample and moves none.
    samples: [Sample; CAPACITY],
    first: usize,
    len: usize,
}

impl History {
    /// Takes a place. `at_ms` is the sender's clock in milliseconds, and rises with `sequence`.
    /// What is no [`Succession::Newer`] is dropped, as is a newer sequence with an older time.
    pub fn push(&mut self, sequence: u32, at_ms: u64, pose: Pose) -> Succession {
        if let Some(newest) = self.newest() {
            let succession = succession(newest.sequence, sequence);
            if succession != Succession::Newer {
                return succession;
            }
            if at_ms <= newest.at_ms {
                return Succession::Stale;
            }
        }
        let since = at_ms.saturating_sub(SPAN_MS);
        while self.len == CAPACITY || self.len > 0 && self.get(0).at_ms < since {
            self.first = place(self.first + 1);
            self.len -= 1;
        }
        self.samples[place(self.first + self.len)] = Sample { sequence, at_ms, pose };
        self.len += 1;
        Succession::Newer
    }

    /// Where it was at `ms`: between two samples on the straight line between them, before the
    /// oldest at the oldest, after the newest on its way on for at most [`EXTRAPOLATION_MS`] and
    /// at no more than `speed` (m/s). None: nothing is known.
    pub fn at(&self, ms: u64, speed: f32) -> Option<Pose> {
        let newest = self.newest()?;
        let after = (0..self.len).rev().take_while(|index| self.get(*index).at_ms > ms).count();
        if after == 0 {
            return Some(self.beyond(newest, ms - newest.at_ms, speed));
        }
        let later = self.len - after;
        let Some(earlier) = later.checked_sub(1) else { return Some(self.get(0).pose) };
        let (from, to) = (self.get(earlier), self.get(later));
        let part = (ms - from.at_ms) as f32 / (to.at_ms - from.at_ms) as f32;
        Some(between(from.pose, to.pose, part))
    }

    /// Time and place of the newest sample.
    pub fn last(&self) -> Option<(u64, Pose)> {
        self.newest().map(|sample| (sample.at_ms, sample.pose))
    }

    /// The sequence of the newest sample.
    pub fn sequence(&self) -> Option<u32> {
        self.newest().map(|sample| sample.sequence)
    }

    /// Forgets everything: the entity has been put elsewhere, or its sender counts anew.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The sample at `index` of those that are kept, from the oldest.
    fn get(&self, index: usize) -> &Sample {
        &self.samples[place(self.first + index)]
    }

    fn newest(&self) -> Option<&Sample> {
        self.len.checked_sub(1).map(|index| self.get(index))
    }

    /// `past` milliseconds after the newest sample, at the velocity between the last two.
    fn beyond(&self, newest: &Sample, past: u64, speed: f32) -> Pose {
        let Some(before) = self.len.checked_sub(2).map(|index| self.get(index)) else {
            return newest.pose;
        };
        let (from, to) = (before.pose.at, newest.pose.at);
        let distance = from.distance(to);
        let seconds = (newest.at_ms - before.at_ms) as f32 / 1000.0;
        let pace = (distance / seconds).min(speed.max(0.0));
        if distance == 0.0 || !pace.is_finite() {
            return newest.pose;
        }
        let way = pace * past.min(EXTRAPOLATION_MS) as f32 / 1000.0 / distance;
        let at = Point { x: to.x + (to.x - from.x) * way, y: to.y + (to.y - from.y) * way };
        Pose { at, rotation: newest.pose.rotation }
    }
}

/// Where in the ring an index below twice its size is.
fn place(index: usize) -> usize {
    if index < CAPACITY { index } else { index - CAPACITY }
}

/// `part` (0 to 1) of the way from one pose to another; angles turn the shorter way round.
pub fn between(from: Pose, to: Pose, part: f32) -> Pose {
    let turn = normalize_degrees(to.rotation - from.rotation + 180.0) - 180.0;
    Pose {
        at: Point {
            x: from.at.x + (to.at.x - from.at.x) * part,
            y: from.at.y + (to.at.y - from.at.y) * part,
        },
        rotation: normalize_degrees(from.rotation + turn * part),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pose(x: f32, rotation: f32) -> Pose {
        Pose { at: Point { x, y: 0.0 }, rotation }
    }

    #[test]
    fn a_place_between_two_samples_is_on_the_line() {
        let mut history = History::default();
        assert_eq!(history.at(0, 5.0), None);
        history.push(1, 1_000, pose(0.0, 350.0));
        history.push(2, 1_100, pose(1.0, 20.0));
        let half = history.at(1_050, 5.0).unwrap();
        assert!((half.at.x - 0.5).abs() < 1e-5);
        assert!((half.rotation - 5.0).abs() < 1e-3, "over north, not all the way round");
        assert_eq!(history.at(10, 5.0).unwrap().at.x, 0.0);
    }

    #[test]
    fn a_silent_mover_goes_on_for_a_fifth_of_a_second_at_its_speed() {
        let mut history = History::default();
        history.push(1, 1_000, pose(0.0, 0.0));
        history.push(2, 1_100, pose(1.0, 0.0));
        assert!((history.at(1_200, 50.0).unwrap().at.x - 2.0).abs() < 1e-4, "its own 10 m/s");
        assert!((history.at(1_200, 5.0).unwrap().at.x - 1.5).abs() < 1e-4, "at most its speed");
        assert!((history.at(9_999, 5.0).unwrap().at.x - 2.0).abs() < 1e-4, "at most 200 ms");
        assert_eq!(history.at(1_200, f32::NAN).unwrap().at.x, 1.0);
    }

    #[test]
    fn sequences_wrap_around_and_jumps_are_refused() {
        let mut history = History::default();
        assert_eq!(history.push(u32::MAX - 1, 0, pose(0.0, 0.0)), Succession::Newer);
        assert_eq!(history.push(1, 50, pose(1.0, 0.0)), Succession::Newer);
        assert_eq!(history.push(1, 60, pose(9.0, 0.0)), Succession::Stale);
        assert_eq!(history.push(u32::MAX, 60, pose(9.0, 0.0)), Succession::Stale);
        assert_eq!(history.push(1 + JUMP_MAX + 1, 60, pose(9.0, 0.0)), Succession::Jump);
        assert_eq!(history.push(1 + JUMP_MAX, 60, pose(2.0, 0.0)), Succession::Newer);
        assert_eq!(history.last(), Some((60, pose(2.0, 0.0))));
    }

    /// The rules said again, as slowly and plainly as possible.
    #[derive(Default)]
    struct Naive(Vec<(u64, u64, Pose)>);

    impl Naive {
        /// `sequence` here never wraps around.
        fn push(&mut self, sequence: u64, at_ms: u64, pose: Pose) -> bool {
            if let Some((last, time, _)) = self.0.last()
                && (sequence <= *last || sequence > last + 1_024 || at_ms <= *time)
            {
                return false;
            }
            self.0.push((sequence, at_ms, pose));
            self.0.retain(|(_, time, _)| time + 1_000 >= at_ms);
            while self.0.len() > 10 {
                self.0.remove(0);
            }
            true
        }

        fn at(&self, ms: u64, speed: f32) -> Option<Point> {
            let (_, newest, last) = self.0.last()?;
            for pair in self.0.windows(2) {
                let ((_, t0, a), (_, t1, b)) = (pair[0], pair[1]);
                if t0 <= ms && ms < t1 {
                    let part = (ms - t0) as f64 / (t1 - t0) as f64;
                    return Some(mix(a.at, b.at, part));
                }
            }
            if ms < self.0[0].1 {
                return Some(self.0[0].2.at);
            }
            if self.0.len() < 2 {
                return Some(last.at);
            }
            let (_, t0, a) = self.0[self.0.len() - 2];
            let distance = f64::from(a.at.distance(last.at));
            let pace = distance / (newest - t0) as f64 * 1000.0;
            let way = pace.min(f64::from(speed)) * (ms - newest).min(200) as f64 / 1000.0;
            let part = if distance > 0.0 { 1.0 + way / distance } else { 1.0 };
            Some(mix(a.at, last.at, part))
        }
    }

    fn mix(a: Point, b: Point, part: f64) -> Point {
        let line = |a: f32, b: f32| (f64::from(a) + (f64::from(b) - f64::from(a)) * part) as f32;
        Point { x: line(a.x, b.x), y: line(a.y, b.y) }
    }

    proptest! {
        #[test]
        fn a_history_is_what_the_naive_one_is(
            start in prop_oneof![Just(0u32), Just(u32::MAX - 20), any::<u32>()],
            pushes in prop::collection::vec(
                (
                    prop_oneof![4 => 1i64..4, 1 => -30i64..1, 1 => 1_000i64..1_050],
                    prop_oneof![6 => 1u64..250, 1 => 0u64..1, 1 => 900u64..1_500],
                    (-50.0f32..50.0, -50.0f32..50.0),
                ),
                1..40,
            ),
            asked in prop::collection::vec(0u64..6_000, 1..20),
            speed in 0.0f32..30.0,
        ) {
            let (mut history, mut naive) = (History::default(), Naive::default());
            // Far from zero, so that going back never goes below.
            let (mut sequence, mut time) = (10_000i64, 5_000u64);
            for (step, millis, (x, y)) in pushes {
                let next = sequence + step;
                time += millis;
                let pose = Pose { at: Point { x, y }, rotation: 0.0 };
                let wire = start.wrapping_add((next - 10_000) as u32);
                let taken = history.push(wire, time, pose) == Succession::Newer;
                prop_assert_eq!(taken, naive.push(next as u64, time, pose));
                if taken {
                    sequence = next;
                }
                prop_assert_eq!(history.len, naive.0.len());
            }
            for ms in asked {
                let ms = (time + 1_000).saturating_sub(ms);
                let found = history.at(ms, speed).unwrap().at;
                let wanted = naive.at(ms, speed).unwrap();
                prop_assert!(found.distance(wanted) < 0.01, "{:?} for {:?} at {}", found, wanted, ms);
            }
        }

        #[test]
        fn angles_take_the_shorter_way(from in 0.0f32..360.0, to in 0.0f32..360.0, part in 0.0f32..1.0) {
            let way = |a: f32, b: f32| { let d = (a - b).abs() % 360.0; d.min(360.0 - d) };
            let rotation = between(pose(0.0, from), pose(0.0, to), part).rotation;
            prop_assert!((0.0..360.0).contains(&rotation));
            prop_assert!(way(from, rotation) <= way(from, to) + 0.01);
            prop_assert!((way(from, rotation) - way(from, to) * part).abs() < 0.05 || way(from, to) > 179.9);
        }
    }
}
