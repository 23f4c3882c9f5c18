//! Finding what somebody aims at. Whoever asks about something that it cannot see learns nothing:
//! the answer is the same whether that is dead, a friend, elsewhere or not there at all.
//!
//! Called by whatever takes an entity's id from a player: blows, skills, picking up.

use crate::geometry::Point;
use crate::ids::{EntityId, ZoneId};
use crate::limits::VIEW_RADIUS;
use crate::world::World;
use crate::world::combat::Striker;
use crate::world::command::Refusal;
use crate::world::entity::{Body, Handle};

/// How far a player may have gone since its ghost was left, m.
const GHOST_DRIFT: f32 = 8.0;

/// Where a target is.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Here(Handle),
    /// In one of these zones, if anywhere; the likeliest first, never none.
    Beyond(Vec<ZoneId>),
}

impl World {
    /// Looks for a target within `reach`, here and, if it can be no one's here, in the zones in
    /// reach.
    pub(super) fn find_target(
        &self,
        striker: &Striker,
        target: EntityId,
        reach: f32,
        seen: Option<(u64, u32)>,
    ) -> Result<Target, Refusal> {
        let mut zones = Vec::new();
        if let Some(handle) = self.entities.handle(target)
            && let Some(entity) = self.entities.get(handle)
        {
            let Body::Ghost(ghost) = &entity.body else {
                self.check_reach(striker.at, handle, reach, seen)?;
                return Ok(Target::Here(handle));
            };
            check_distance(striker.at, entity.pose.at, reach + GHOST_DRIFT)?;
            zones.push(ghost.to);
        }
        let player = target.player().is_some();
        // What a zone has made says which one that was.
        let made = |id: ZoneId| player || EntityId::of_zone(id, target.0 as u32) == target;
        let mut near: Vec<(f32, ZoneId)> = self
            .content
            .zones_near(striker.at, reach)
            .map(|zone| (zone.bounds.distance(striker.at), zone.id))
            .filter(|(_, id)| *id != self.zone && !zones.contains(id) && made(*id))
            .collect();
        near.sort_by(|(far, id), (further, other)| far.total_cmp(further).then(id.cmp(other)));
        zones.extend(near.into_iter().map(|(_, id)| id));
        if zones.is_empty() { Err(Refusal::NoSuchTarget) } else { Ok(Target::Beyond(zones)) }
    }

    /// Whether a target is within `reach` of somebody at `from`, who sees the view of `seen`.
    pub(super) fn check_reach(
        &self,
        from: Point,
        target: Handle,
        reach: f32,
        seen: Option<(u64, u32)>,
    ) -> Result<(), Refusal> {
        let entity = self.entities.get(target).filter(|entity| entity.visible);
        let entity = entity.ok_or(Refusal::NoSuchTarget)?;
        match self.place_seen(target, seen) {
            Some(at) if at.distance(from) <= reach => Ok(()),
            _ => check_distance(from, entity.pose.at, reach).and(Err(Refusal::OutOfRange)),
        }
    }
}

/// Whether a place is within `reach`; of what is out of sight nothing is said.
fn check_distance(from: Point, at: Point, reach: f32) -> Result<(), Refusal> {
    let distance = from.distance(at);
    if distance <= reach {
        Ok(())
    } else if distance <= VIEW_RADIUS {
        Err(Refusal::OutOfRange)
    } else {
        Err(Refusal::NoSuchTarget)
    }
}
