//! Random worlds seen through the link: a mirror's frames are the zone's own.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::geometry::{Point, Pose};
use crate::proto::PacketType;
use crate::world::event::{Audience, Weight};

const BOUNDS: Rect = Rect { min_x: -100.0, min_y: 50.0, max_x: 400.0, max_y: 350.0 };
const HANDLES: u16 = 12;

/// What a zone does to one handle within a tick.
#[derive(Debug, Clone)]
enum Deed {
    Enter(Point),
    Leave,
    Walk(Point, f32),
    Describe(bool),
    Nothing,
}

/// A zone that makes a frame of each tick, as the sync service does.
struct Zone {
    tick: u64,
    next_id: u64,
    here: BTreeMap<u16, (EntityId, Pose)>,
    shown: BTreeMap<u16, PackedPosition>,
    ids: Vec<EntityId>,
    descriptors: Descriptors,
    words: u64,
}

impl Zone {
    fn new() -> Self {
        Self {
            tick: 0,
            next_id: 1,
            here: BTreeMap::new(),
            shown: BTreeMap::new(),
            ids: vec![EntityId(0); usize::from(HANDLES)],
            descriptors: Descriptors::default(),
            words: 0,
        }
    }

    fn describe(&mut self, handle: u16) {
        self.words += 1;
        self.descriptors.set(Handle(handle), Bytes::from(self.words.to_le_bytes().to_vec()));
    }

    fn step(&mut self, deeds: &[Deed]) -> EncodedFrame {
        self.tick += 1;
        let mut news = News::default();
        let mut events = Vec::new();
        for (handle, deed) in (0..HANDLES).zip(deeds) {
            let present = self.here.contains_key(&handle);
            match deed {
                Deed::Enter(at) if !present => {
                    self.here
                        .insert(handle, (EntityId(self.next_id), Pose { at: *at, rotation: 0.0 }));
                    self.ids[usize::from(handle)] = EntityId(self.next_id);
                    self.next_id += 1;
                    self.describe(handle);
                    news.entered.push(Handle(handle));
                    news.described.push(Handle(handle));
                    news.announced.push(Handle(handle));
                }
                Deed::Leave if present => {
                    self.here.remove(&handle);
                    self.shown.remove(&handle);
                    news.left.push(Handle(handle));
                }
                Deed::Walk(at, rotation) if present => {
                    let pose = Pose { at: *at, rotation: *rotation };
                    self.here.insert(handle, (self.ids[usize::from(handle)], pose));
                    events.push(FrameEvent {
                        at: *at,
                        audience: Audience::Within(30.0),
                        weight: Weight::Other,
                        concerns: [EntityId(1); 2],
                        health: None,
                        kind: PacketType::GameEvent,
                        payload: Bytes::from_static(b"walked"),
                    });
                }
                Deed::Describe(announced) if present => {
                    self.describe(handle);
                    news.described.push(Handle(handle));
                    if *announced {
                        news.announced.push(Handle(handle));
                    }
                }
                _ => {}
            }
        }
        let mut entities = Vec::new();
        for (handle, (_, pose)) in &self.here {
            let packed = PackedPosition::pack(Handle(*handle), *pose, &BOUNDS);
            let changed = self.shown.insert(*handle, packed) != Some(packed);
            entities.push((packed, pose.at, changed));
        }
        let News { entered, left, described, announced } = news;
        EncodedFrame {
            frame: Frame::assemble(
                ZoneId(1),
                7,
                Tick(self.tick),
                BOUNDS,
                &entities,
                self.ids.clone(),
            ),
            descriptors: self.descriptors.clone(),
            entered,
            left,
            described,
            announced,
            events,
            wire: WireBytes::default(),
        }
    }
}

/// What two frames must have in common: for each handle in it, whose it is, its packed position,
/// its mark and its descriptor.
fn content(frame: &EncodedFrame) -> BTreeMap<u16, (EntityId, PackedPosition, bool, Bytes)> {
    let columns = frame.frame.packed.iter().zip(&frame.frame.changed);
    columns
        .map(|(packed, changed)| {
            let handle = packed.handle();
            let id = frame.frame.ids[handle.index()];
            (handle.0, (id, *packed, *changed, frame.descriptors.get(handle).clone()))
        })
        .collect()
}

fn deed() -> impl Strategy<Value = Deed> {
    let place = || {
        (BOUNDS.min_x..BOUNDS.max_x, BOUNDS.min_y..BOUNDS.max_y).prop_map(|(x, y)| Point { x, y })
    };
    prop_oneof![
        2 => place().prop_map(Deed::Enter),
        1 => Just(Deed::Leave),
        3 => (place(), 0.0f32..360.0).prop_map(|(at, rotation)| Deed::Walk(at, rotation)),
        1 => any::<bool>().prop_map(Deed::Describe),
        2 => Just(Deed::Nothing),
    ]
}

fn ticks() -> impl Strategy<Value = Vec<(Vec<Deed>, bool)>> {
    vec((vec(deed(), usize::from(HANDLES)), prop::bool::weighted(0.25)), 1..40)
}

fn assert_same_places(ours: &EncodedFrame, theirs: &EncodedFrame) {
    for (packed, at) in ours.frame.packed.iter().zip(&ours.frame.at) {
        let place = theirs.frame.place(packed.handle()).expect("both have it");
        let there = theirs.frame.at[place];
        assert!(there.distance(*at) < 0.011, "{at:?} is {there:?}");
    }
}

proptest! {
    #[test]
    fn a_mirror_shows_what_the_zone_shows(ticks in ticks()) {
        let mut zone = Zone::new();
        let mut mirror = FrameMirror::default();
        for (index, (deeds, _)) in ticks.iter().enumerate() {
            let mut theirs = zone.step(deeds);
            theirs.frame.dilation_percent = 100 - index as u8;
            theirs.frame.set_out = vec![(Handle(index as u16), Point { x: 1.0, y: 2.0 })];
            let ours = mirror.apply(FrameDelta::of(&theirs, index == 0)).unwrap();
            prop_assert_eq!(content(&ours), content(&theirs));
            assert_same_places(&ours, &theirs);
            prop_assert_eq!(&ours.entered, &theirs.entered);
            prop_assert_eq!(&ours.left, &theirs.left);
            prop_assert_eq!(&ours.described, &theirs.described);
            if index > 0 {
                prop_assert_eq!(&ours.announced, &theirs.announced);
            }
            prop_assert_eq!(&ours.events, &theirs.events);
            prop_assert_eq!(ours.frame.tick, theirs.frame.tick);
            prop_assert_eq!(ours.frame.dilation_percent, theirs.frame.dilation_percent);
            prop_assert_eq!(&ours.frame.set_out, &theirs.frame.set_out);
        }
    }

    #[test]
    fn after_a_gap_a_whole_frame_says_what_was_missed(ticks in ticks()) {
        let mut zone = Zone::new();
        let mut mirror = FrameMirror::default();
        let mut whole = true;
        // Somebody who sees only what the mirror says has changed.
        let mut seen: BTreeMap<u16, (EntityId, PackedPosition, Bytes)> = BTreeMap::new();
        for (deeds, lost) in &ticks {
            let theirs = zone.step(deeds);
            if *lost {
                whole = true;
                continue;
            }
            if whole && theirs.frame.tick != Tick(1) {
                let refused = mirror.apply(FrameDelta::of(&theirs, false));
                prop_assert_eq!(refused.err(), Some(NeedsWhole));
            }
            let ours = mirror.apply(FrameDelta::of(&theirs, whole)).unwrap();
            whole = false;
            for handle in &ours.left {
                seen.remove(&handle.0);
            }
            let entered: BTreeSet<Handle> = ours.entered.iter().copied().collect();
            let described: BTreeSet<Handle> = ours.described.iter().copied().collect();
            for (handle, (id, packed, changed, descriptor)) in content(&ours) {
                if entered.contains(&Handle(handle)) {
                    seen.insert(handle, (id, packed, descriptor));
                    continue;
                }
                let known = seen.get_mut(&handle).expect("who was not here has entered");
                if changed {
                    known.1 = packed;
                }
                if described.contains(&Handle(handle)) {
                    known.2 = descriptor;
                }
            }
            let wanted: BTreeMap<_, _> = content(&theirs)
                .into_iter()
                .map(|(handle, (id, packed, _, descriptor))| (handle, (id, packed, descriptor)))
                .collect();
            prop_assert_eq!(&seen, &wanted);
        }
    }
}

#[test]
fn a_zone_that_began_anew_is_another_one() {
    let mut zone = Zone::new();
    let enter = vec![Deed::Enter(Point { x: 0.0, y: 100.0 }); usize::from(HANDLES)];
    let first = zone.step(&enter);
    let mut mirror = FrameMirror::default();
    mirror.apply(FrameDelta::of(&first, true)).unwrap();
    let mut second = zone.step(&[Deed::Nothing]);
    second.frame.origin = 8;
    assert_eq!(mirror.apply(FrameDelta::of(&second, false)).err(), Some(NeedsWhole));
    let anew = mirror.apply(FrameDelta::of(&second, true)).unwrap();
    assert_eq!((anew.entered.len(), anew.left.len()), (usize::from(HANDLES), 0));
}

#[test]
fn a_place_of_somebody_unheard_of_breaks_the_row() {
    let mut zone = Zone::new();
    let mut mirror = FrameMirror::default();
    mirror.apply(FrameDelta::of(&zone.step(&[]), true)).unwrap();
    let mut delta = FrameDelta::of(&zone.step(&[]), false);
    delta.moved.push(PackedPosition(3));
    assert_eq!(mirror.apply(delta).err(), Some(NeedsWhole));
    let next = FrameDelta::of(&zone.step(&[]), false);
    assert_eq!(mirror.apply(next).err(), Some(NeedsWhole), "nothing to build on any more");
    assert!(mirror.apply(FrameDelta::of(&zone.step(&[]), true)).is_ok());
}
