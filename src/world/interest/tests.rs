//! Views against plain sets, and what a crowd is promised.

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
    let count = places.keys().last().map_or(100, |last| u64::from(*last) + 1).max(100);
    let ids = (0..count).map(EntityId).collect();
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
        let mut view = View::new(&frame(tick, &BTreeMap::new(), &all), 0);
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
    let mut view = View::new(&frame(1, &places, &moved), 0);
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

/// Two thousand who all move and all see each other, within the bytes of one view.
#[test]
fn in_a_great_crowd_nobody_is_older_than_two_seconds() {
    let places: BTreeMap<u16, (f32, f32)> = (0..2_000)
        .map(|h| (h, (100.0 + f32::from(h % 50) * 0.5, 100.0 + f32::from(h / 50) * 0.5)))
        .collect();
    let eye = Point { x: 110.0, y: 110.0 };
    let moved: BTreeSet<u16> = (0..2_000).collect();
    let mut look = Look::default();
    let mut view = View::new(&frame(1, &places, &moved), 3);
    view.fold(&frame(1, &places, &moved), eye, usize::MAX, &mut look);
    let mut last: BTreeMap<u16, u64> = (0..2_000).map(|handle| (handle, 1)).collect();
    let mut bytes = 0;
    for tick in 2..162 {
        let frame = frame(tick, &places, &moved);
        view.fold(&frame, eye, usize::MAX, &mut look);
        view.tell(&frame, &mut look, 162, |place| {
            bytes += 9;
            last.insert(frame.packed[place].handle().0, tick);
        });
        let oldest = last.values().min().copied().unwrap_or(0);
        assert!(tick - oldest <= 40, "tick {tick}: somebody was last told at {oldest}");
    }
    assert!(bytes / 8 <= 30_000, "{bytes} in eight seconds");
}

#[test]
fn in_a_crowd_who_stops_is_told_and_who_comes_and_goes_is_seen() {
    let mut places: BTreeMap<u16, (f32, f32)> =
        (0..600).map(|h| (h, (100.0 + f32::from(h % 30), 100.0 + f32::from(h / 30)))).collect();
    let eye = Point { x: 110.0, y: 110.0 };
    let (all, none): (BTreeSet<u16>, _) = ((0..600).collect(), BTreeSet::new());
    let mut look = Look::default();
    let mut view = View::new(&frame(1, &places, &all), 1);
    view.fold(&frame(1, &places, &all), eye, usize::MAX, &mut look);
    view.fold(&frame(2, &places, &all), eye, usize::MAX, &mut look);
    let mut told: BTreeMap<u16, u32> = BTreeMap::new();
    for tick in 2..60 {
        let frame = frame(tick, &places, if tick == 2 { &all } else { &none });
        view.fold(&frame, eye, usize::MAX, &mut look);
        view.tell(&frame, &mut look, 162, |place| {
            *told.entry(frame.packed[place].handle().0).or_default() += 1;
        });
    }
    assert!(told.len() == 600 && told.values().all(|times| *times == 1), "{told:?}");
    places.remove(&7);
    places.insert(600, (111.0, 111.0));
    let (mut came, mut went) = (vec![], vec![]);
    for tick in 60..66 {
        let moved = if tick == 60 { BTreeSet::from([600]) } else { BTreeSet::new() };
        view.fold(&frame(tick, &places, &moved), eye, usize::MAX, &mut look);
        came.extend(look.entered.iter().map(|handle| handle.0));
        went.extend(look.left.iter().map(|handle| handle.0));
    }
    assert_eq!((came, went), (vec![600], vec![7]), "within a quarter of a second");
}

#[test]
fn however_little_fits_nobody_is_left_out() {
    for count in [40u16, 100] {
        let places: BTreeMap<u16, (f32, f32)> = (0..count).map(|h| (h, (10.0, 10.0))).collect();
        let eye = Point { x: 10.0, y: 10.0 };
        let moved: BTreeSet<u16> = (0..count).collect();
        let mut look = Look::default();
        let mut view = View::new(&frame(1, &places, &moved), 0);
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
    let mut view = View::new(&frame(1, &places, &all), 0);
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
fn a_frame_that_is_passed_over_owes_only_those_who_moved_in_it() {
    let places: BTreeMap<u16, (f32, f32)> = (0..9).map(|h| (h, (10.0, 10.0))).collect();
    let eye = Point { x: 10.0, y: 10.0 };
    let only = |handle: u16| BTreeSet::from([handle]);
    let mut look = Look::default();
    let told_after = |passes: &[u64], look: &mut Look| {
        let mut view = View::new(&frame(1, &places, &only(0)), 0);
        view.fold(&frame(1, &places, &only(0)), eye, usize::MAX, look);
        passes.iter().for_each(|tick| view.pass_over(&frame(*tick, &places, &only(*tick as u16))));
        let last = frame(4, &places, &only(4));
        view.fold(&last, eye, usize::MAX, look);
        let mut told = BTreeSet::new();
        view.tell(&last, look, 99, |place| {
            told.insert(last.packed[place].handle().0);
        });
        (told, view.folded())
    };
    assert_eq!(told_after(&[2, 3], &mut look), (BTreeSet::from([2, 3, 4]), Tick(4)));
    assert_eq!(told_after(&[3], &mut look).0.len(), 9, "one is missing: all are owed");
}

#[test]
fn who_comes_into_view_in_a_frame_that_is_passed_over_is_seen_with_the_next() {
    let mut places = BTreeMap::from([(0, (10.0, 10.0)), (1, (90.0, 10.0))]);
    let eye = Point { x: 10.0, y: 10.0 };
    let (none, one) = (BTreeSet::new(), BTreeSet::from([1]));
    let mut look = Look::default();
    let mut view = View::new(&frame(1, &places, &none), 0);
    for tick in 1..=3 {
        view.fold(&frame(tick, &places, &none), eye, 8, &mut look);
    }
    places.insert(1, (20.0, 10.0));
    view.pass_over(&frame(4, &places, &one));
    view.fold(&frame(5, &places, &none), eye, 8, &mut look);
    assert_eq!(look.entered, [Handle(1)]);
}

#[test]
fn a_crowd_enters_nearest_first_and_in_parts() {
    let places: BTreeMap<u16, (f32, f32)> =
        (0..30).map(|h| (h, (10.0 + f32::from(h), 10.0))).collect();
    let eye = Point { x: 10.0, y: 10.0 };
    let mut look = Look::default();
    let none = BTreeSet::new();
    let mut view = View::new(&frame(1, &places, &none), 0);
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
    let view = View::new(&frame(1, &empty, &BTreeSet::new()), 0);
    assert!(view.follows(&frame(2, &empty, &BTreeSet::new())));
    assert!(!view.follows(&frame(1 + HANDLE_REST, &empty, &BTreeSet::new())));
    let mut other = frame(2, &empty, &BTreeSet::new());
    other.origin = 8;
    assert!(!view.follows(&other));
}

#[test]
fn where_nothing_happens_nobody_looks_and_whatever_happens_is_seen() {
    let mut places: BTreeMap<u16, (f32, f32)> =
        (0..20).map(|h| (h, (100.0 + f32::from(h), 100.0))).collect();
    let eye = Point { x: 110.0, y: 100.0 };
    let (all, none): (BTreeSet<u16>, BTreeSet<u16>) = ((0..20).collect(), BTreeSet::new());
    let mut look = Look::default();
    let mut view = View::new(&frame(1, &places, &all), 0);
    let mut fold = |tick, places: &BTreeMap<_, _>, moved: &BTreeSet<_>, eye| {
        view.fold(&frame(tick, places, moved), eye, 8, &mut look);
        let handles = |of: &[Handle]| of.iter().map(|handle| handle.0).collect::<Vec<_>>();
        let seen = (handles(&look.entered).len(), handles(&look.left));
        let told = view.tell(&frame(tick, places, moved), &mut look, usize::MAX, |_| {});
        (seen.0, seen.1, told, view.follows(&frame(tick, places, moved)))
    };
    // Eight at a time come into view, though nobody moves.
    for (tick, newcomers) in [(1, 8), (2, 8), (3, 4), (4, 0), (5, 0)] {
        assert_eq!(fold(tick, &places, &none, eye), (newcomers, vec![], 0, true), "in {tick}");
    }
    places.remove(&3);
    assert_eq!(fold(6, &places, &none, eye).1, [3], "who goes");
    places.insert(30, (112.0, 100.0));
    assert_eq!(fold(7, &places, &BTreeSet::from([30]), eye).0, 1, "who comes");
    assert_eq!(fold(8, &places, &none, eye), (0, vec![], 0, true));
    let far = Point { x: 300.0, y: 100.0 };
    assert_eq!(fold(9, &places, &none, far).1.len(), 20, "who is left behind by oneself");
}
