//! What stands in a zone, and the table that holds it.
//!
//! An entity has an id for ever and a handle, its place in the table, while it is here. Handles
//! are what frames, views and position records use; one is not used again for
//! [`HANDLE_REST`] ticks, so that whoever looks at every frame within that time never mistakes one
//! entity for another.

use std::collections::{BTreeMap, VecDeque};

use crate::geometry::Pose;
use crate::ids::{EntityId, Key};
use crate::limits::ZONE_ENTITIES_MAX;
use crate::tick::Tick;
use crate::world::command::GuildTag;
use crate::world::frame::PackedPosition;

/// Ticks for which a freed handle rests: 5 s.
pub const HANDLE_REST: u64 = 100;

/// An entity's place in its zone's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u16);

impl Handle {
    /// As an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What others see of an entity besides its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Appearance {
    /// Player, NPC or item, with the configuration's key for the latter two.
    pub look: Look,
    /// For people.
    pub name: Key,
    /// 0 for items.
    pub level: u32,
    /// 0: dead.
    pub health: u32,
    /// 0 for items.
    pub max_health: u32,
    /// A player's guild.
    pub guild: Option<GuildTag>,
    /// Items: how many; else 0.
    pub quantity: u32,
    /// m/s.
    pub speed: f32,
}

/// What kind of thing an entity is to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A player.
    Player,
    /// An NPC of this kind.
    Npc(Key),
    /// Things on the ground of this kind.
    Item(Key),
}

/// How much of an appearance's change others must hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum AppearanceChange {
    /// As before.
    #[default]
    None,
    /// Whoever sees it from now on gets the new one (health, which events tell the others).
    Quiet,
    /// Everybody who sees it gets the new one (new here, level, guild, death, return, speed).
    Announce,
}

/// One thing in the zone.
#[derive(Debug)]
pub struct Entity {
    /// For ever.
    pub id: EntityId,
    /// Where it is.
    pub pose: Pose,
    /// What others see.
    pub appearance: Appearance,
    /// Since the last frame.
    pub appearance_changed: AppearanceChange,
    /// Whether it is shown at all (a dead NPC waiting to come back is not).
    pub visible: bool,
    /// As the last frame had it.
    pub shown_at: PackedPosition,
}

/// The zone's entities by handle and by id.
#[derive(Debug, Default)]
pub struct Entities {
    slots: Vec<Option<Entity>>,
    /// By handle: whose it is, or was last.
    ids: Vec<EntityId>,
    by_id: BTreeMap<EntityId, Handle>,
    resting: VecDeque<(Tick, Handle)>,
}

impl Entities {
    /// Puts an entity in; gives it back if the zone is full or has one of that id.
    pub fn insert(&mut self, entity: Entity, now: Tick) -> Result<Handle, Box<Entity>> {
        if self.by_id.contains_key(&entity.id) {
            return Err(Box::new(entity));
        }
        let rested = self.resting.front().is_some_and(|(since, _)| now.0 >= since.0 + HANDLE_REST);
        let handle = if rested && let Some((_, handle)) = self.resting.pop_front() {
            handle
        } else if self.slots.len() < ZONE_ENTITIES_MAX {
            self.slots.push(None);
            self.ids.push(entity.id);
            Handle((self.slots.len() - 1) as u16)
        } else {
            return Err(Box::new(entity));
        };
        self.by_id.insert(entity.id, handle);
        self.ids[handle.index()] = entity.id;
        self.slots[handle.index()] = Some(entity);
        Ok(handle)
    }

    /// Takes an entity out; its handle rests.
    pub fn remove(&mut self, handle: Handle, now: Tick) -> Option<Entity> {
        let entity = self.slots.get_mut(handle.index())?.take()?;
        self.by_id.remove(&entity.id);
        self.resting.push_back((now, handle));
        Some(entity)
    }

    /// The handle of an entity that is here.
    pub fn handle(&self, id: EntityId) -> Option<Handle> {
        self.by_id.get(&id).copied()
    }

    /// The entity at a handle.
    pub fn get(&self, handle: Handle) -> Option<&Entity> {
        self.slots.get(handle.index())?.as_ref()
    }

    /// The entity at a handle.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Entity> {
        self.slots.get_mut(handle.index())?.as_mut()
    }

    /// All, by rising handle.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &Entity)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, slot)| Some((Handle(index as u16), slot.as_ref()?)))
    }

    /// All, by rising handle.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Handle, &mut Entity)> {
        self.slots
            .iter_mut()
            .enumerate()
            .filter_map(|(index, slot)| Some((Handle(index as u16), slot.as_mut()?)))
    }

    /// By handle: whose it is, or was last.
    pub fn ids(&self) -> &[EntityId] {
        &self.ids
    }

    /// How many are here.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stone(id: u64) -> Entity {
        Entity {
            id: EntityId(id),
            pose: Pose::default(),
            appearance: Appearance {
                look: Look::Item("stone".into()),
                name: "stone".into(),
                level: 0,
                health: 0,
                max_health: 0,
                guild: None,
                quantity: 1,
                speed: 0.0,
            },
            appearance_changed: AppearanceChange::Announce,
            visible: true,
            shown_at: PackedPosition::default(),
        }
    }

    #[test]
    fn a_handle_rests_before_it_is_used_again() {
        let mut entities = Entities::default();
        let first = entities.insert(stone(1), Tick(0)).unwrap();
        assert!(entities.remove(first, Tick(10)).is_some());
        assert_ne!(entities.insert(stone(2), Tick(10 + HANDLE_REST - 1)).unwrap(), first);
        assert_eq!(entities.insert(stone(3), Tick(10 + HANDLE_REST)).unwrap(), first);
        assert!(entities.insert(stone(3), Tick(500)).is_err(), "an id is there once");
    }
}
