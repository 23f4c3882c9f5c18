//! The public state of a zone after a tick: where everything is, sorted by grid cell, with a mark
//! on what has moved.
//!
//! A zone makes one frame a tick and does not know who reads it. The columns are parallel: place
//! `i` of each belongs to the same entity.

use crate::geometry::{Point, Pose, Rect};
use crate::ids::{EntityId, ZoneId};
use crate::tick::Tick;
use crate::world::content::ZoneKind;
use crate::world::entity::{Appearance, AppearanceChange, Entities, Handle};
use crate::world::grid::Grid;
use crate::world::handles::Handles;

/// The place of a handle that is not in the frame.
pub const ABSENT: u32 = u32::MAX;
/// [`Frame::dilation_percent`] of a zone that keeps up.
pub const FULL_SPEED: u8 = 100;

/// An entity's handle and pose in 64 bits, as the wire has them: 16 bits of handle, 20 + 20 bits
/// of centimetres from the zone's lower corner, 8 bits of a 256th of a turn (1.4°).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackedPosition(pub u64);

impl PackedPosition {
    const AXIS_MAX: u64 = (1 << 20) - 1;
    /// What no pose packs to: no zone has so many handles.
    pub const NOWHERE: Self = Self(u64::MAX);

    /// Packs a pose; what lies outside the zone is put on its edge.
    pub fn pack(handle: Handle, pose: Pose, bounds: &Rect) -> Self {
        let axis = |v: f32, min: f32| (((v - min) * 100.0).round() as u64).min(Self::AXIS_MAX);
        let turn = ((pose.rotation * (256.0 / 360.0)).round() as u64) & 0xff;
        Self(
            u64::from(handle.0)
                | axis(pose.at.x, bounds.min_x) << 16
                | axis(pose.at.y, bounds.min_y) << 36
                | turn << 56,
        )
    }

    /// Whose.
    pub fn handle(self) -> Handle {
        Handle(self.0 as u16)
    }

    /// The pose, to a centimetre and 1.4°.
    pub fn pose(self, bounds: &Rect) -> Pose {
        let axis = |shift: u32, min: f32| min + ((self.0 >> shift) & Self::AXIS_MAX) as f32 / 100.0;
        Pose {
            at: Point { x: axis(16, bounds.min_x), y: axis(36, bounds.min_y) },
            rotation: (self.0 >> 56) as f32 * (360.0 / 256.0),
        }
    }
}

/// One tick's public state of one zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Which zone.
    pub zone: ZoneId,
    /// Its incarnation: handles of another one mean nothing here.
    pub origin: u64,
    /// Which tick.
    pub tick: Tick,
    /// The zone's part of the plane.
    pub bounds: Rect,
    /// How fast the zone's time runs, percent of real time: 1 to 100.
    pub dilation_percent: u8,
    /// The cells over the columns below.
    pub grid: Grid,
    /// Packed positions, in grid order.
    pub packed: Vec<PackedPosition>,
    /// Exact places, in the same order.
    pub at: Vec<Point>,
    /// Whether the packed position differs from the last frame's.
    pub changed: Vec<bool>,
    /// The handles of those.
    pub moved: Handles,
    /// By handle: its place in the columns, or [`ABSENT`].
    pub places: Vec<u32>,
    /// By handle: whose it is, or was last.
    pub ids: Vec<EntityId>,
    /// Players that were sent on a new way since the last frame, by rising handle, and where to.
    pub set_out: Vec<(Handle, Point)>,
}

/// A frame and what zones tell besides.
#[derive(Debug)]
pub struct FrameUpdate {
    /// Where everything is.
    pub frame: Frame,
    /// New and changed appearances by rising handle. None: it is another zone's by now, and whoever
    /// does not see it yet learns of it from there.
    pub appearances: Vec<(Handle, AppearanceChange, EntityId, Option<Appearance>)>,
}

impl Frame {
    /// A zone with nobody in it.
    pub fn empty(zone: ZoneId, origin: u64, tick: Tick, bounds: Rect) -> Self {
        Self::assemble(zone, origin, tick, bounds, &[], Vec::new())
    }

    /// Sorts entities into a frame of a zone that runs at full speed and where nobody sets out.
    /// `ids` are by handle, with those of the past kept.
    pub fn assemble(
        zone: ZoneId,
        origin: u64,
        tick: Tick,
        bounds: Rect,
        entities: &[(PackedPosition, Point, bool)],
        ids: Vec<EntityId>,
    ) -> Self {
        let mut grid = Grid::over(bounds);
        let points: Vec<Point> = entities.iter().map(|(_, at, _)| *at).collect();
        let order = grid.sort(&points);
        let count = entities.len();
        let mut frame = Self {
            zone,
            origin,
            tick,
            bounds,
            dilation_percent: FULL_SPEED,
            grid,
            packed: vec![PackedPosition::default(); count],
            at: vec![Point::default(); count],
            changed: vec![false; count],
            moved: Handles::default(),
            places: vec![ABSENT; ids.len()],
            ids,
            set_out: Vec::new(),
        };
        frame.moved.clear(frame.ids.len());
        for ((packed, at, changed), place) in entities.iter().zip(order) {
            let index = place as usize;
            frame.packed[index] = *packed;
            frame.at[index] = *at;
            frame.changed[index] = *changed;
            if *changed {
                frame.moved.add(packed.handle());
            }
            frame.places[packed.handle().index()] = place;
        }
        frame
    }

    /// The place of a handle in the columns, if it is in the frame.
    pub fn place(&self, handle: Handle) -> Option<usize> {
        match self.places.get(handle.index()) {
            Some(&ABSENT) | None => None,
            Some(&place) => Some(place as usize),
        }
    }

    /// How many entities are in it.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }
}

/// Builds the frame of a zone's entities and clears their marks of change.
pub(super) fn build(
    entities: &mut Entities,
    zone: &ZoneKind,
    origin: u64,
    tick: Tick,
) -> FrameUpdate {
    let mut sorted = Vec::with_capacity(entities.len());
    let mut appearances = Vec::new();
    for (handle, entity) in entities.iter_mut() {
        if !entity.visible {
            // Whoever comes back counts as moved, even to where it stood.
            entity.shown_at = PackedPosition::NOWHERE;
            continue;
        }
        let packed = PackedPosition::pack(handle, entity.pose, &zone.bounds);
        sorted.push((packed, entity.pose.at, packed != entity.shown_at));
        entity.shown_at = packed;
        let change = std::mem::take(&mut entity.appearance_changed);
        if change != AppearanceChange::None {
            let appearance = (!entity.is_ghost()).then(|| entity.appearance.clone());
            appearances.push((handle, change, entity.id, appearance));
        }
    }
    let ids = entities.ids().to_vec();
    let frame = Frame::assemble(zone.id, origin, tick, zone.bounds, &sorted, ids);
    FrameUpdate { frame, appearances }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Rect = Rect { min_x: -1000.0, min_y: -1000.0, max_x: 9_000.0, max_y: 9_000.0 };

    proptest! {
        #[test]
        fn a_packed_position_is_right_to_a_centimetre(
            handle in 0u16..65_000, x in -1000.0f32..9_000.0, y in -1000.0f32..9_000.0,
            rotation in 0.0f32..360.0,
        ) {
            let pose = Pose { at: Point { x, y }, rotation };
            let packed = PackedPosition::pack(Handle(handle), pose, &BOUNDS);
            let back = packed.pose(&BOUNDS);
            prop_assert_eq!(packed.handle(), Handle(handle));
            prop_assert!((back.at.x - x).abs() < 0.011 && (back.at.y - y).abs() < 0.011);
            let turn = (back.rotation - rotation).abs();
            prop_assert!(turn.min(360.0 - turn) <= 0.71);
        }
    }
}
