//! What rendering must remember of a text session: whose handles those in positions are.
//!
//! One a session, kept by the gateway beside it, fed by [`super::render`] alone. It is bounded
//! whatever comes.

use std::collections::HashMap;

use crate::geometry::{Point, Rect};
use crate::proto::PlayerInfo;
use crate::world::frame::PackedPosition;

/// Entities remembered; more than come into any view.
const ENTITIES_MAX: usize = 4_096;

/// What a text session has been told.
#[derive(Debug, Clone, Default)]
pub struct TextView {
    /// The session's own player, from ENTER_WORLD_RESPONSE on.
    pub(super) player: Option<u64>,
    /// Its PLAYER_INFO, until the first ZONE_ENTER has gone out.
    pub(super) introduction: Option<Box<PlayerInfo>>,
    /// By zone and handle.
    known: HashMap<(u32, u32), Known>,
    /// By id: the zone and handle it was last entered with.
    places: HashMap<u64, (u32, u32)>,
}

/// One entity in view.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) id: u64,
    /// The origin of its zone's packed positions.
    origin: Point,
}

impl TextView {
    /// Of a session that has not entered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `id` is the session's own player.
    pub(super) fn is_self(&self, id: u64) -> bool {
        self.player == Some(id)
    }

    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.places.clear();
    }

    pub(super) fn enter(&mut self, id: u64, zone: u32, handle: u32, origin: Point) {
        if let Some(before) = self.places.remove(&id) {
            self.known.remove(&before);
        }
        if self.known.len() >= ENTITIES_MAX {
            return;
        }
        if let Some(other) = self.known.insert((zone, handle), Known { id, origin }) {
            self.places.remove(&other.id);
        }
        self.places.insert(id, (zone, handle));
    }

    /// Forgets an entity; no, if it was entered again by another zone since or is not known.
    pub(super) fn leave(&mut self, id: u64, zone: u32) -> bool {
        match self.places.get(&id) {
            Some(place) if place.0 == zone => {
                self.known.remove(place);
                self.places.remove(&id);
                true
            }
            _ => false,
        }
    }

    /// Who a position of `zone` is about, and where it is.
    pub(super) fn locate(&self, zone: u32, packed: u64) -> Option<(Known, crate::geometry::Pose)> {
        let packed = PackedPosition(packed);
        let known = *self.known.get(&(zone, u32::from(packed.handle().0)))?;
        Some((known, pose(packed, known.origin)))
    }
}

/// Unpacks a position against its origin alone, which is all that unpacking reads of the bounds.
pub(super) fn pose(packed: PackedPosition, origin: Point) -> crate::geometry::Pose {
    let Point { x, y } = origin;
    packed.pose(&Rect { min_x: x, min_y: y, max_x: x, max_y: y })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Point = Point { x: 0.0, y: 0.0 };

    #[test]
    fn a_late_leave_of_the_old_zone_changes_nothing() {
        let mut view = TextView::new();
        view.enter(7, 1, 5, ORIGIN);
        view.enter(7, 2, 9, ORIGIN);
        assert!(!view.leave(7, 1));
        assert!(view.locate(2, 9).is_some() && view.locate(1, 5).is_none());
        assert!(view.leave(7, 2) && !view.leave(7, 2));
    }

    #[test]
    fn a_handle_used_again_is_the_newer_entitys() {
        let mut view = TextView::new();
        view.enter(7, 1, 5, ORIGIN);
        view.enter(8, 1, 5, ORIGIN);
        assert_eq!(view.locate(1, 5).map(|(known, _)| known.id), Some(8));
        assert!(!view.leave(7, 1));
    }

    #[test]
    fn it_is_bounded() {
        let mut view = TextView::new();
        for id in 0..100_000 {
            view.enter(id, (id >> 16) as u32, id as u32, ORIGIN);
        }
        assert_eq!(view.known.len(), ENTITIES_MAX);
        assert_eq!(view.places.len(), ENTITIES_MAX);
    }
}
