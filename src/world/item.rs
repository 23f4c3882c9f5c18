//! Things: how they come to lie on the ground, are picked up, decay and come again.
//!
//! Nothing changes hands here: the ground gives a thing up when the store has put it into an
//! inventory, and gets one when the store has taken it out of one.

use rand::RngExt;

use crate::geometry::{Point, Pose};
use crate::ids::{EntityId, Key, OperationId, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Change, Purpose, Refusal};
use crate::world::content::LootEntry;
use crate::world::entity::{Appearance, Body, Entity, Handle, Look};
use crate::world::event::EventKind;
use crate::world::player::Told;
use crate::world::whole::Thing;

/// Things on the ground of one zone; beyond that no loot falls and nothing is laid out, so that
/// players always find room.
pub const GROUND_ITEMS_MAX: usize = 10_000;
/// Ticks between two looks at what decays: half a second.
const TEND_PERIOD: u64 = 10;
/// Ticks after which a thing is laid out that found no room: 5 s.
const CROWDED_PAUSE: u64 = 100;
/// How far loot falls from the dead, m.
const LOOT_SPREAD: f32 = 1.0;

/// Things of one kind on the ground.
#[derive(Debug)]
pub(super) struct GroundItem {
    kind: Key,
    quantity: u32,
    /// Whose alone it is, and until when.
    owner: Option<(PlayerId, Tick)>,
    /// When it is gone; none: it waits for ever.
    expires: Option<Tick>,
    reserved: Option<Reservation>,
    /// Its place in the zone's items, if it comes again.
    spawn: Option<usize>,
    /// Whether a player has put it there.
    dropped: bool,
}

/// Somebody is picking it up, or may have: until that is known it is nobody else's.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    player: PlayerId,
    operation: OperationId,
}

/// A thing that found no place in the table of what stands in the zone.
#[derive(Debug)]
pub(super) struct Unlaid {
    id: EntityId,
    item: GroundItem,
    at: Point,
}

impl GroundItem {
    /// Lies there for anybody, for ever.
    pub fn lying(kind: Key, quantity: u32) -> Self {
        let (owner, expires, reserved, spawn) = (None, None, None, None);
        Self { kind, quantity, owner, expires, reserved, spawn, dropped: false }
    }
}

impl World {
    /// A player wants a thing off the ground.
    pub(super) fn on_pick_up(
        &mut self,
        handle: Handle,
        request: u64,
        thing: EntityId,
    ) -> Result<(), Refusal> {
        let Some(entity) = self.entities.get(handle) else { return Ok(()) };
        let Some(player) = entity.player_id() else { return Ok(()) };
        if !entity.is_alive() {
            return Err(Refusal::Dead);
        }
        let at = entity.pose.at;
        let target = self.entities.handle(thing).ok_or(Refusal::NoSuchTarget)?;
        self.check_reach(at, target, self.content.rules.pick_up_reach, None)?;
        let lying = self.entities.get(target).ok_or(Refusal::NoSuchTarget)?;
        let item = lying.item().ok_or(Refusal::NotAllowed("that is no thing to pick up"))?;
        if item.owner.is_some_and(|(owner, until)| owner != player && self.tick < until) {
            return Err(Refusal::NotAllowed("it is its killer's for a while"));
        }
        if item.reserved.is_some_and(|reserved| reserved.player != player) {
            return Err(Refusal::NotAllowed("somebody is taking it"));
        }
        if item.reserved.is_some() {
            // Whether it was the first time is looked up.
            let in_doubt = entity.player().is_some_and(|player| player.operations.is_idle());
            let taking = Refusal::NotAllowed("you are taking it");
            return Err(if in_doubt { Refusal::Unavailable } else { taking });
        }
        let (kind, quantity) = (item.kind.clone(), item.quantity);
        let items = vec![(kind.clone(), quantity, self.content.shares(&kind))];
        let operation = self.next_operation();
        let change = Change::Grant { items, gold: 0, quest: None };
        let purpose = Purpose::PickUp { thing, kind, quantity };
        self.ask(handle, operation, change, purpose, request)?;
        if let Some(item) = self.entities.get_mut(target).and_then(Entity::item_mut) {
            item.reserved = Some(Reservation { player, operation });
        }
        Ok(())
    }

    /// The store has put a thing into a player's inventory.
    pub(super) fn picked_up(
        &mut self,
        handle: Handle,
        thing: EntityId,
        kind: &Key,
        quantity: u32,
        request: u64,
    ) {
        if let Some(lies) = self.entities.handle(thing) {
            self.take_away(lies);
        }
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(player) = entity.player_id() else { return };
        let picked = EventKind::ItemPickup { player: entity.id, item: kind.clone(), quantity };
        self.tell(entity.pose.at, picked);
        self.count(player, "items_picked_up", u64::from(quantity));
        self.show_inventory(handle, Told { request, ..Told::default() });
        self.on_collect(handle, kind, quantity);
    }

    /// A thing was not picked up: it lies there again.
    pub(super) fn put_back(&mut self, thing: EntityId) {
        let Some(handle) = self.entities.handle(thing) else { return };
        if let Some(item) = self.entities.get_mut(handle).and_then(Entity::item_mut) {
            item.reserved = None;
        }
    }

    /// What the store has taken out of an inventory lies on the ground, for anybody.
    pub(super) fn lay_dropped(&mut self, kind: Key, quantity: u32, at: Point) {
        let expires = Some(self.tick.after_millis(self.content.rules.loot_seconds * 1000));
        let item = GroundItem { expires, dropped: true, ..GroundItem::lying(kind, quantity) };
        self.put_item(item, self.place.bounds.clamp(at));
    }

    /// Rolls an NPC's loot and lets it fall around `at`, for `owner` first.
    pub(super) fn drop_loot(&mut self, loot: &[LootEntry], at: Point, owner: Option<PlayerId>) {
        let rules = &self.content.rules;
        let owned_until = self.tick.after_millis(rules.loot_owner_seconds * 1000);
        let expires = self.tick.after_millis(rules.loot_seconds * 1000);
        for entry in loot {
            if self.chance.random::<f64>() >= entry.chance {
                continue;
            }
            let [fewest, most] = entry.quantity;
            let quantity = self.chance.random_range(fewest..=most.max(fewest));
            let place = self.place_around(at, LOOT_SPREAD);
            let item = GroundItem {
                owner: owner.map(|owner| (owner, owned_until)),
                expires: Some(expires),
                ..GroundItem::lying(entry.item.clone(), quantity)
            };
            if self.muster.things.len() < GROUND_ITEMS_MAX {
                self.put_item(item, place);
            }
        }
    }

    /// Lays out the zone's own things.
    pub(super) fn lay_items(&mut self) {
        for index in 0..self.place.items.len() {
            for _ in 0..self.place.items[index].count {
                self.lay_item(index);
            }
        }
    }

    /// Lays out one of the zone's own things; where too much lies already, later.
    fn lay_item(&mut self, index: usize) {
        let Some(spawn) = self.place.items.get(index).cloned() else { return };
        if self.muster.things.len() >= GROUND_ITEMS_MAX {
            return self.item_returns.push((Tick(self.tick.0 + CROWDED_PAUSE), index));
        }
        let at = self.place_around(spawn.at, spawn.radius);
        let item = GroundItem { spawn: Some(index), ..GroundItem::lying(spawn.kind, 1) };
        self.put_item(item, at);
    }

    fn put_item(&mut self, item: GroundItem, at: Point) {
        let id = self.next_entity();
        self.put_item_as(id, item, at);
    }

    fn put_item_as(&mut self, id: EntityId, item: GroundItem, at: Point) {
        if item.quantity == 0 {
            return;
        }
        self.dropped += usize::from(item.dropped);
        self.lay(Unlaid { id, item, at });
    }

    /// Puts a thing where it is to lie, or, in a zone that has no room for anything, by and by.
    fn lay(&mut self, Unlaid { id, item, at }: Unlaid) {
        let kind = self.content.items.get(&item.kind);
        let appearance = Appearance {
            look: Look::Item(item.kind.clone()),
            name: kind.map_or_else(|| item.kind.clone(), |kind| kind.name.clone()),
            level: 0,
            health: 0,
            max_health: 0,
            guild: None,
            quantity: item.quantity,
            speed: 0.0,
        };
        let pose = Pose { at, rotation: 0.0 };
        let body = Body::Item(Box::new(item));
        match self.entities.insert(Entity::new(id, pose, appearance, body), self.tick) {
            Ok(handle) => self.muster.things.push(handle),
            Err(entity) => {
                if let Body::Item(item) = entity.body {
                    self.unlaid.push(Unlaid { id, item: *item, at });
                }
            }
        }
    }

    /// What lies on the ground, for another process.
    pub(super) fn things(&self) -> Vec<Thing> {
        let left = |until: Tick| self.tick.millis_until(until);
        let thing = |id: EntityId, item: &GroundItem, at: Point| Thing {
            id,
            kind: item.kind.clone(),
            quantity: item.quantity,
            at,
            owner: item.owner.map(|(owner, until)| (owner, left(until))),
            expires_ms: item.expires.map(left),
            spawn: item.spawn.map(|index| index as u32),
            unclear: item.reserved.map(|reserved| (reserved.player, reserved.operation)),
            dropped: item.dropped,
        };
        let lying = self.entities.iter();
        let lying = lying.filter_map(|(_, e)| Some(thing(e.id, e.item()?, e.pose.at)));
        let unlaid = self.unlaid.iter().map(|unlaid| thing(unlaid.id, &unlaid.item, unlaid.at));
        lying.chain(unlaid).collect()
    }

    /// Lays a thing where it lay in another process.
    pub(super) fn lay_thing(&mut self, thing: Thing) {
        let Thing { id, kind, quantity, at, owner, expires_ms, spawn, unclear, dropped } = thing;
        let after = |millis| self.tick.after_millis(millis);
        let reserved = unclear.map(|(player, operation)| Reservation { player, operation });
        let item = GroundItem {
            kind,
            quantity,
            owner: owner.map(|(owner, millis)| (owner, after(millis))),
            expires: expires_ms.map(after),
            reserved,
            spawn: spawn.map(|index| index as usize),
            dropped,
        };
        if let Some(Reservation { player, operation }) = reserved {
            self.doubt_thing(operation, player, id);
        }
        self.put_item_as(id, item, self.place.bounds.clamp(at));
    }

    /// Takes a thing off the ground; if it is one that comes again, it will.
    pub(super) fn take_away(&mut self, handle: Handle) {
        let Some(entity) = self.entities.remove(handle, self.tick) else { return };
        let Body::Item(item) = entity.body else { return };
        self.dropped -= usize::from(item.dropped);
        if let Some(index) = item.spawn
            && let Some(spawn) = self.place.items.get(index)
        {
            let back = self.tick.after_millis(spawn.respawn_seconds * 1000);
            self.item_returns.push((back, index));
        }
    }

    /// Clears away what has lain too long, and lays out again what was taken long enough ago.
    pub(super) fn tend_ground(&mut self) {
        if !self.tick.0.is_multiple_of(TEND_PERIOD) {
            return;
        }
        let now = self.tick;
        for index in 0..self.muster.things.len() {
            let handle = self.muster.things[index];
            let item = self.entities.get(handle).and_then(Entity::item);
            let decayed = item.is_some_and(|item| {
                item.expires.is_some_and(|at| now >= at) && item.reserved.is_none()
            });
            if decayed {
                self.take_away(handle);
            }
        }
        let due: Vec<usize> =
            self.item_returns.iter().filter(|r| now >= r.0).map(|r| r.1).collect();
        self.item_returns.retain(|(at, _)| now < *at);
        for index in due {
            self.lay_item(index);
        }
        for unlaid in std::mem::take(&mut self.unlaid) {
            self.lay(unlaid);
        }
    }
}
