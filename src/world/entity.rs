//! What stands in a zone, and the table that holds it.
//!
//! An entity has an id for ever and a handle, its place in the table, while it is here. Handles
//! are what frames, views and position records use; one is not used again for
//! [`HANDLE_REST`] ticks, so that whoever looks at every frame within that time never mistakes one
//! entity for another.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::geometry::Pose;
use crate::ids::{EntityId, Key, PlayerId};
use crate::limits::ZONE_ENTITIES_MAX;
use crate::tick::Tick;
use crate::world::command::GuildTag;
use crate::world::frame::PackedPosition;
use crate::world::handover::Ghost;
use crate::world::history::History;
use crate::world::item::GroundItem;
use crate::world::npc::Npc;
use crate::world::player::Player;

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
    /// Whoever sees it from now on gets the new one (health that is lost, which events tell the
    /// others; a player that has crossed a border, who is new to nobody here any more).
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
    /// As the last frame had it, if it did.
    pub shown_at: PackedPosition,
    /// What it is to the rules.
    pub(super) body: Body,
}

/// What an entity is to the rules; what each holds is known to its own module.
#[derive(Debug)]
pub(super) enum Body {
    /// A player that this zone owns.
    Player(Box<Player>),
    /// An NPC.
    Npc(Box<Npc>),
    /// Things on the ground.
    Item(Box<GroundItem>),
    /// A player that another zone owns by now, kept in sight until it is shown there.
    Ghost(Ghost),
}

impl Entity {
    /// Something new that nobody has seen yet.
    pub(super) fn new(id: EntityId, pose: Pose, appearance: Appearance, body: Body) -> Self {
        Self {
            id,
            pose,
            appearance,
            appearance_changed: AppearanceChange::Announce,
            visible: true,
            shown_at: PackedPosition::NOWHERE,
            body,
        }
    }

    /// Remembers for the next frame that others must hear of a change.
    pub(super) fn mark(&mut self, change: AppearanceChange) {
        self.appearance_changed = self.appearance_changed.max(change);
    }

    /// Whether it is a player or an NPC that lives.
    pub(super) fn is_alive(&self) -> bool {
        self.appearance.health > 0 && matches!(self.body, Body::Player(_) | Body::Npc(_))
    }

    /// Whether it is what is left of a player that another zone owns.
    pub(super) fn is_ghost(&self) -> bool {
        matches!(self.body, Body::Ghost(_))
    }

    /// Gives health back, never above the maximum; gives what was really given.
    pub(super) fn heal(&mut self, amount: u32) -> u32 {
        let given = amount.min(self.appearance.max_health.saturating_sub(self.appearance.health));
        if given > 0 {
            self.appearance.health += given;
            // No event tells of it: whoever sees the entity, itself among them, is told this way.
            self.mark(AppearanceChange::Announce);
            if let Some(player) = self.player_mut() {
                player.unsaved = true;
            }
        }
        given
    }

    /// Its player's id, if it is one that this zone owns.
    pub(super) fn player_id(&self) -> Option<PlayerId> {
        self.player().and(self.id.player())
    }

    pub(super) fn player(&self) -> Option<&Player> {
        if let Body::Player(player) = &self.body { Some(player) } else { None }
    }

    pub(super) fn player_mut(&mut self) -> Option<&mut Player> {
        if let Body::Player(player) = &mut self.body { Some(player) } else { None }
    }

    pub(super) fn npc(&self) -> Option<&Npc> {
        if let Body::Npc(npc) = &self.body { Some(npc) } else { None }
    }

    pub(super) fn npc_mut(&mut self) -> Option<&mut Npc> {
        if let Body::Npc(npc) = &mut self.body { Some(npc) } else { None }
    }

    pub(super) fn item(&self) -> Option<&GroundItem> {
        if let Body::Item(item) = &self.body { Some(item) } else { None }
    }

    pub(super) fn item_mut(&mut self) -> Option<&mut GroundItem> {
        if let Body::Item(item) = &mut self.body { Some(item) } else { None }
    }

    /// Where it has been, for what moves.
    pub(super) fn history(&self) -> Option<&History> {
        match &self.body {
            Body::Player(player) => Some(&player.history),
            Body::Npc(npc) => Some(&npc.history),
            Body::Item(_) | Body::Ghost(_) => None,
        }
    }

    /// See [`Self::history`].
    pub(super) fn history_mut(&mut self) -> Option<&mut History> {
        match &mut self.body {
            Body::Player(player) => Some(&mut player.history),
            Body::Npc(npc) => Some(&mut npc.history),
            Body::Item(_) | Body::Ghost(_) => None,
        }
    }
}

/// The zone's entities by handle and by id.
#[derive(Debug, Default)]
pub struct Entities {
    slots: Vec<Option<Entity>>,
    /// By handle: whose it is, or was last.
    ids: Vec<EntityId>,
    /// Asked by key alone: its order is nobody's.
    by_id: HashMap<EntityId, Handle, FixedState>,
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
        let appearance = Appearance {
            look: Look::Item("stone".into()),
            name: "stone".into(),
            level: 0,
            health: 0,
            max_health: 0,
            guild: None,
            quantity: 1,
            speed: 0.0,
        };
        let body = Body::Item(Box::new(GroundItem::lying("stone".into(), 1)));
        Entity::new(EntityId(id), Pose::default(), appearance, body)
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
