//! Who sees what: the set of entities in view of one pair of eyes, and which of them to tell about
//! this tick.
//!
//! The gateway keeps one [`View`] for each session and each zone in sight of it, and runs
//! [`View::fold`] once for every frame. Nothing here allocates once its buffers have grown.

use crate::geometry::Point;
use crate::ids::ZoneId;
use crate::limits::{LEAVE_RADIUS, VIEW_RADIUS};
use crate::tick::Tick;
use crate::world::entity::{HANDLE_REST, Handle};
use crate::world::frame::Frame;

/// The nearest so many are told at every tick.
pub const NEAR_COUNT: usize = 50;
/// So many after them every [`MIDDLE_PERIOD`] ticks.
pub const MIDDLE_COUNT: usize = 200;
/// 4 Hz.
pub const MIDDLE_PERIOD: u64 = 5;
/// All others in turn, as often as the budget allows but at least every 2 s.
const FAR_PERIODS: std::ops::RangeInclusive<u64> = 20..=40;
/// Records a tick that the farthest may take: what 30 KB/s leaves after the two nearer tiers.
const FAR_RECORDS: usize = 70;

/// How far the first of a tier moves on from tick to tick; a prime, to reach them all.
const STRIDE: usize = 7_919;

/// A set of handles.
#[derive(Debug, Clone, Default, PartialEq)]
struct Bits(Vec<u64>);

impl Bits {
    fn get(&self, handle: Handle) -> bool {
        let word = self.0.get(handle.index() / 64).copied().unwrap_or(0);
        word >> (handle.index() % 64) & 1 == 1
    }

    /// Within the length set by [`Self::clear`] only.
    fn set(&mut self, handle: Handle) {
        self.0[handle.index() / 64] |= 1 << (handle.index() % 64);
    }

    fn unset(&mut self, handle: Handle) {
        if let Some(word) = self.0.get_mut(handle.index() / 64) {
            *word &= !(1 << (handle.index() % 64));
        }
    }

    /// Empties the set and makes room for `handles`.
    fn clear(&mut self, handles: usize) {
        self.0.clear();
        self.0.resize(handles.div_ceil(64), 0);
    }

    fn grow(&mut self, handles: usize) {
        let words = handles.div_ceil(64).max(self.0.len());
        self.0.resize(words, 0);
    }

    /// Handles in `self` that are not in `other`, rising.
    fn without<'a>(&'a self, other: &'a Bits) -> impl Iterator<Item = Handle> + 'a {
        self.0.iter().enumerate().flat_map(move |(index, word)| {
            let mut left = word & !other.0.get(index).copied().unwrap_or(0);
            std::iter::from_fn(move || {
                if left == 0 {
                    return None;
                }
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                Some(Handle((index * 64 + bit) as u16))
            })
        })
    }
}

/// What one session sees of one zone.
#[derive(Debug, Clone)]
pub struct View {
    /// Which zone.
    pub zone: ZoneId,
    origin: u64,
    folded: Tick,
    seen: Bits,
    /// Seen, and moved since last told.
    owed: Bits,
    count: usize,
}

/// What [`View::fold`] found; reused from session to session.
#[derive(Debug, Default)]
pub struct Look {
    /// Came into view.
    pub entered: Vec<Handle>,
    /// Went out of view.
    pub left: Vec<Handle>,
    /// In view: square of the distance and place in the frame.
    near: Vec<(f32, u32)>,
    next: Bits,
}

impl View {
    /// Sees nothing yet.
    pub fn new(frame: &Frame) -> Self {
        Self {
            zone: frame.zone,
            origin: frame.origin,
            folded: Tick(frame.tick.0.saturating_sub(1)),
            seen: Bits::default(),
            owed: Bits::default(),
            count: 0,
        }
    }

    /// Whether the view's handles still mean what they meant: the zone is the same incarnation and
    /// not so many frames were missed that a handle may be another's by now.
    pub fn follows(&self, frame: &Frame) -> bool {
        self.origin == frame.origin && frame.tick.0.saturating_sub(self.folded.0) < HANDLE_REST
    }

    /// The tick of the last frame that was folded.
    pub fn folded(&self) -> Tick {
        self.folded
    }

    /// How many entities are in view.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the entity at `handle` is in view.
    pub fn sees(&self, handle: Handle) -> bool {
        self.seen.get(handle)
    }

    /// Brings the view to `frame` as seen from `eye`: within [`VIEW_RADIUS`] everything is seen,
    /// up to [`LEAVE_RADIUS`] what was seen before. At most `newcomers` enter at once, the nearest
    /// first; the others enter with later frames. Frames missed since the last call make everything
    /// in view owed.
    /// Folding the same frame again only looks anew.
    pub fn fold(&mut self, frame: &Frame, eye: Point, newcomers: usize, look: &mut Look) {
        let fresh = frame.tick != self.folded;
        let missed = frame.tick.0 > self.folded.0 + 1;
        self.folded = frame.tick;
        look.entered.clear();
        look.left.clear();
        look.near.clear();
        look.next.clear(frame.ids.len());
        self.owed.grow(frame.ids.len());
        let enter = VIEW_RADIUS * VIEW_RADIUS;
        let leave = LEAVE_RADIUS * LEAVE_RADIUS;
        for run in frame.grid.runs(eye, LEAVE_RADIUS) {
            for place in run {
                let distance = frame.at[place].distance_squared(eye);
                if distance > leave {
                    continue;
                }
                let handle = frame.packed[place].handle();
                if distance <= enter || self.seen.get(handle) {
                    look.next.set(handle);
                    look.near.push((distance, place as u32));
                    if fresh && (frame.changed[place] || missed) {
                        self.owed.set(handle);
                    }
                }
            }
        }
        look.entered.extend(look.next.without(&self.seen));
        if look.entered.len() > newcomers {
            self.put_off(frame, newcomers, look);
        }
        look.left.extend(self.seen.without(&look.next));
        // Who has just entered was told with its place; who left is nobody's business any more.
        for handle in look.entered.iter().chain(&look.left) {
            self.owed.unset(*handle);
        }
        self.count = look.near.len();
        std::mem::swap(&mut self.seen, &mut look.next);
    }

    /// Keeps the nearest `newcomers` of those that entered, and takes the others out again.
    fn put_off(&mut self, frame: &Frame, newcomers: usize, look: &mut Look) {
        let handle = |place: u32| frame.packed[place as usize].handle();
        let is_new = |entry: &(f32, u32)| !self.seen.get(handle(entry.1));
        let mut new: Vec<(f32, u32)> = look.near.iter().copied().filter(is_new).collect();
        new.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (_, place) in &new[newcomers..] {
            look.next.unset(handle(*place));
        }
        look.near.retain(|(_, place)| look.next.get(handle(*place)));
        look.entered.clear();
        look.entered.extend(look.next.without(&self.seen));
    }

    /// Everything that is in view, as handles to be told as gone.
    pub fn drain(&mut self) -> Vec<Handle> {
        let none = Bits::default();
        let all = self.seen.without(&none).collect();
        self.seen.0.clear();
        self.owed.0.clear();
        self.count = 0;
        all
    }

    /// Chooses which owed positions to tell now, nearest tier first, at most `most`; the others
    /// stay owed. `tell` gets places in the frame. Must follow a [`Self::fold`] of the same frame
    /// and look. Gives the number that were due but did not fit.
    pub fn tell(
        &mut self,
        frame: &Frame,
        look: &mut Look,
        most: usize,
        mut tell: impl FnMut(usize),
    ) -> usize {
        let far_from = NEAR_COUNT + MIDDLE_COUNT;
        let total = look.near.len();
        let by_distance = |a: &(f32, u32), b: &(f32, u32)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if total > far_from {
            look.near.select_nth_unstable_by(far_from, by_distance);
        }
        if total > NEAR_COUNT {
            let nearer = total.min(far_from);
            look.near[..nearer].select_nth_unstable_by(NEAR_COUNT, by_distance);
        }
        let far_period = (total.saturating_sub(far_from).div_ceil(FAR_RECORDS) as u64)
            .clamp(*FAR_PERIODS.start(), *FAR_PERIODS.end());
        let (near, middle) = (total.min(NEAR_COUNT), total.min(far_from));
        let tiers = [(0..near, 1), (near..middle, MIDDLE_PERIOD), (middle..total, far_period)];
        let (mut told, mut shed) = (0, 0);
        for (ranks, period) in tiers {
            // Each time another is the first, so that none is shed for ever.
            let first = (frame.tick.0 as usize).wrapping_mul(STRIDE) % ranks.len().max(1);
            let (later, sooner) = look.near[ranks].split_at(first);
            for &(_, place) in sooner.iter().chain(later) {
                let handle = frame.packed[place as usize].handle();
                let turn = (frame.tick.0 + u64::from(handle.0)).is_multiple_of(period);
                if !turn || !self.owed.get(handle) {
                    continue;
                }
                if told == most {
                    shed += 1;
                    continue;
                }
                self.owed.unset(handle);
                told += 1;
                tell(place as usize);
            }
        }
        shed
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Pose, Rect};
    use crate::ids::EntityId;
    use crate::world::frame::PackedPosition;

    const BOUNDS: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 400.0, max_y: 400.0 };

    fn frame(tick: u64, places: &BTreeMap<u16, (f32, f32)>, moved: &BTreeSet<u16>) -> Frame {
        let entities: Vec<_> = places
            .iter()
            .map(|(handle, (x, y))| {
                let at = Point { x: *x, y: *y };
                let pose = Pose { at, rotation: 0.0 };
                (PackedPosition::pack(Handle(*handle), pose, &BOUNDS), at, moved.contains(handle))
            })
            .collect();
        let ids = (0..100).map(EntityId).collect();
        Frame::assemble(ZoneId(1), 7, Tick(tick), BOUNDS, &entities, ids)
    }

    proptest! {
        /// Against a model that keeps plain sets and looks at everything.
        #[test]
        fn the_view_agrees_with_a_naive_model(
            steps in prop::collection::vec(
                (prop::collection::btree_map(0u16..100, (0.0f32..400.0, 0.0f32..400.0), 0..100),
                 (0.0f32..400.0, 0.0f32..400.0),
                 1u64..4),
                1..12),
        ) {
            let (mut tick, mut look) = (1, Look::default());
            let all: BTreeSet<u16> = (0..100).collect();
            let mut view = View::new(&frame(tick, &BTreeMap::new(), &all));
            let mut seen: BTreeSet<u16> = BTreeSet::new();
            for (places, eye, step) in steps {
                let eye = Point { x: eye.0, y: eye.1 };
                let frame = frame(tick, &places, &all);
                view.fold(&frame, eye, usize::MAX, &mut look);
                let now: BTreeSet<u16> = places.iter().filter(|(handle, (x, y))| {
                    let d = Point { x: *x, y: *y }.distance_squared(eye);
                    d <= VIEW_RADIUS * VIEW_RADIUS
                        || (d <= LEAVE_RADIUS * LEAVE_RADIUS && seen.contains(handle))
                }).map(|(handle, _)| *handle).collect();
                let entered: Vec<u16> = now.difference(&seen).copied().collect();
                let left: Vec<u16> = seen.difference(&now).copied().collect();
                prop_assert_eq!(look.entered.iter().map(|h| h.0).collect::<Vec<_>>(), entered.clone());
                prop_assert_eq!(look.left.iter().map(|h| h.0).collect::<Vec<_>>(), left);
                prop_assert_eq!(view.count(), now.len());
                let mut told = BTreeSet::new();
                view.tell(&frame, &mut look, usize::MAX, |place| {
                    told.insert(frame.packed[place].handle().0);
                });
                let stayed: BTreeSet<u16> = now.intersection(&seen).copied().collect();
                if now.len() <= NEAR_COUNT {
                    prop_assert_eq!(told, stayed);
                }
                seen = now;
                tick += step;
            }
        }
    }

    #[test]
    fn in_a_crowd_everybody_is_told_within_two_seconds() {
        let places: BTreeMap<u16, (f32, f32)> =
            (0..100).map(|h| (h, (100.0 + f32::from(h) * 0.1, 100.0))).collect();
        let eye = Point { x: 100.0, y: 100.0 };
        let moved: BTreeSet<u16> = (0..100).collect();
        let mut look = Look::default();
        let mut view = View::new(&frame(1, &places, &moved));
        view.fold(&frame(1, &places, &moved), eye, usize::MAX, &mut look);
        let mut told: BTreeMap<u16, u32> = BTreeMap::new();
        for tick in 2..42 {
            let frame = frame(tick, &places, &moved);
            view.fold(&frame, eye, usize::MAX, &mut look);
            view.tell(&frame, &mut look, 60, |place| {
                *told.entry(frame.packed[place].handle().0).or_default() += 1;
            });
        }
        assert_eq!(told.len(), 100);
        assert!(told[&0] == 40 && told[&99] >= 7, "near every tick, middle at 4 Hz: {told:?}");
    }

    #[test]
    fn however_little_fits_nobody_is_left_out() {
        for count in [40u16, 100] {
            let places: BTreeMap<u16, (f32, f32)> = (0..count).map(|h| (h, (10.0, 10.0))).collect();
            let eye = Point { x: 10.0, y: 10.0 };
            let moved: BTreeSet<u16> = (0..count).collect();
            let mut look = Look::default();
            let mut view = View::new(&frame(1, &places, &moved));
            let mut told = BTreeSet::new();
            for tick in 1..600 {
                let frame = frame(tick, &places, &moved);
                view.fold(&frame, eye, usize::MAX, &mut look);
                let most = if count > 50 { 52 } else { 5 };
                view.tell(&frame, &mut look, most, |place| {
                    told.insert(frame.packed[place].handle().0);
                });
            }
            assert_eq!(told.len(), usize::from(count));
        }
    }

    #[test]
    fn what_did_not_fit_stays_owed() {
        let places: BTreeMap<u16, (f32, f32)> = (0..9).map(|h| (h, (10.0, 10.0))).collect();
        let eye = Point { x: 10.0, y: 10.0 };
        let (all, none) = ((0..9).collect(), BTreeSet::new());
        let mut look = Look::default();
        let mut view = View::new(&frame(1, &places, &all));
        view.fold(&frame(1, &places, &all), eye, usize::MAX, &mut look);
        view.fold(&frame(2, &places, &all), eye, usize::MAX, &mut look);
        let moved = frame(2, &places, &all);
        assert_eq!(view.tell(&moved, &mut look, 4, |_| ()), 5);
        let quiet = frame(3, &places, &none);
        view.fold(&quiet, eye, usize::MAX, &mut look);
        let mut told = 0;
        assert_eq!(view.tell(&quiet, &mut look, 99, |_| told += 1), 0);
        assert_eq!(told, 5);
    }

    #[test]
    fn a_crowd_enters_nearest_first_and_in_parts() {
        let places: BTreeMap<u16, (f32, f32)> =
            (0..30).map(|h| (h, (10.0 + f32::from(h), 10.0))).collect();
        let eye = Point { x: 10.0, y: 10.0 };
        let mut look = Look::default();
        let none = BTreeSet::new();
        let mut view = View::new(&frame(1, &places, &none));
        for (tick, wanted) in [(1, 0..20), (2, 20..30), (3, 30..30)] {
            view.fold(&frame(tick, &places, &none), eye, 20, &mut look);
            assert_eq!(
                look.entered.iter().map(|h| h.0).collect::<Vec<_>>(),
                wanted.collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_view_of_another_incarnation_or_of_long_ago_is_void() {
        let empty = BTreeMap::new();
        let view = View::new(&frame(1, &empty, &BTreeSet::new()));
        assert!(view.follows(&frame(2, &empty, &BTreeSet::new())));
        assert!(!view.follows(&frame(1 + HANDLE_REST, &empty, &BTreeSet::new())));
        let mut other = frame(2, &empty, &BTreeSet::new());
        other.origin = 8;
        assert!(!view.follows(&other));
    }
}
