//! Things: how they come to lie on the ground, are picked up, used, decay and come again.
//!
//! Nothing changes hands here: the ground gives a thing up when the store has put it into an
//! inventory, and an item works when the store has taken it out of one.

use rand::RngExt;

use crate::geometry::{Point, Pose};
use crate::ids::{EntityId, ItemId, Key, OperationId, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Change, CommitRefusal, Refusal};
use crate::world::content::{LootEntry, UseEffect};
use crate::world::entity::{Appearance, Body, Entity, Handle, Look};
use crate::world::event::EventKind;
use crate::world::operation::Purpose;
use crate::world::timer::{ready_at, wait_until};
use crate::world::whole::Thing;

/// Things on the ground of one zone; more loot than that is not dropped, so that players always
/// find room.
pub const GROUND_ITEMS_MAX: usize = 10_000;
/// Ticks between two looks at what decays: half a second.
const TEND_PERIOD: u64 = 10;
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
}

/// Somebody is picking it up.
#[derive(Debug, Clone, Copy)]
struct Reservation {
    player: PlayerId,
    operation: OperationId,
    /// Whether the store may have done it without saying so: only the same operation may try
    /// again.
    unclear: bool,
}

impl GroundItem {
    /// Lies there for anybody, for ever.
    pub fn lying(kind: Key, quantity: u32) -> Self {
        Self { kind, quantity, owner: None, expires: None, reserved: None, spawn: None }
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
        let operation = match item.reserved {
            None => None,
            Some(reserved) if reserved.player == player && reserved.unclear => {
                Some(reserved.operation)
            }
            Some(_) => return Err(Refusal::NotAllowed("somebody is taking it")),
        };
        let stackable = self.content.items.get(&item.kind).is_some_and(|kind| kind.stackable);
        let items = vec![(item.kind.clone(), item.quantity, stackable)];
        let operation = operation.unwrap_or_else(|| self.next_operation());
        let change = Change::Grant { items, gold: 0, quest: None };
        self.ask(handle, operation, change, Purpose::PickUp { thing, request })?;
        if let Some(item) = self.entities.get_mut(target).and_then(Entity::item_mut) {
            item.reserved = Some(Reservation { player, operation, unclear: false });
        }
        Ok(())
    }

    /// The store has put a thing into a player's inventory.
    pub(super) fn picked_up(&mut self, handle: Handle, thing: EntityId) {
        let taken = self.entities.handle(thing).and_then(|handle| self.take_away(handle));
        let Some(item) = taken else { return self.show_inventory(handle, None) };
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(player) = entity.player_id() else { return };
        let (kind, quantity) = (item.kind, item.quantity);
        let picked = EventKind::ItemPickup { player: entity.id, item: kind.clone(), quantity };
        self.tell(entity.pose.at, picked);
        self.count(player, "items_picked_up", u64::from(quantity));
        self.show_inventory(handle, None);
        self.on_collect(handle, &kind, quantity);
    }

    /// A thing was not picked up: it lies there again, if that is sure.
    pub(super) fn put_back(&mut self, thing: EntityId, unclear: bool) {
        let decays = self.tick.after_millis(self.content.rules.loot_seconds * 1000);
        let Some(handle) = self.entities.handle(thing) else { return };
        let Some(item) = self.entities.get_mut(handle).and_then(Entity::item_mut) else { return };
        if unclear {
            if let Some(reserved) = &mut item.reserved {
                reserved.unclear = true;
            }
            item.expires.get_or_insert(decays);
        } else {
            item.reserved = None;
        }
    }

    /// The store has decided a pick-up of somebody who has left.
    pub(super) fn settle_left_behind(
        &mut self,
        operation: OperationId,
        refusal: Option<CommitRefusal>,
    ) {
        let reserved = |entity: &Entity| {
            let item = entity.item();
            item.and_then(|item| item.reserved).is_some_and(|r| r.operation == operation)
        };
        let found = self.entities.iter().find(|(_, entity)| reserved(entity));
        let Some((handle, id)) = found.map(|(handle, entity)| (handle, entity.id)) else { return };
        match refusal {
            None => drop(self.take_away(handle)),
            Some(refusal) => self.put_back(id, refusal == CommitRefusal::Unavailable),
        }
    }

    /// A player wants to use an item of its own.
    pub(super) fn on_use_item(
        &mut self,
        handle: Handle,
        request: u64,
        item: ItemId,
    ) -> Result<(), Refusal> {
        let Some(entity) = self.entities.get(handle) else { return Ok(()) };
        let Some(player) = entity.player() else { return Ok(()) };
        if !entity.is_alive() {
            return Err(Refusal::Dead);
        }
        let stack = player.inventory.iter().find(|stack| stack.id == item);
        let kind = stack.ok_or(Refusal::NoSuchItem)?.kind.clone();
        let usable = self.content.items.get(&kind).is_some_and(|kind| kind.on_use.is_some());
        if !usable {
            return Err(Refusal::NotUsable);
        }
        let (shared, millis) = self.item_cooldown(&kind);
        self.check_ready(ready_at(&player.items_ready, &shared))?;
        let unclear = player.operations.unclear_use(item);
        // What is asked a second time is asked alone, or it would count for two.
        if unclear.is_some() && player.operations.is_using(item) {
            return Err(Refusal::Busy);
        }
        let id = unclear.unwrap_or_else(|| self.next_operation());
        let change = Change::Consume { item, quantity: 1 };
        self.ask(handle, id, change, Purpose::Use { item, kind, request })?;
        let now = self.tick;
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            wait_until(&mut player.items_ready, &shared, now.after_millis(millis), now);
            player.unsaved = true;
        }
        Ok(())
    }

    /// An item was not used after all: the next try need not wait.
    pub(super) fn was_not_used(&mut self, handle: Handle, kind: &Key) {
        let (shared, _) = self.item_cooldown(kind);
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.items_ready.retain(|(used, _)| *used != shared);
        }
    }

    /// What an item of a kind shares its cooldown with, and how long that is, ms.
    fn item_cooldown(&self, kind: &Key) -> (Key, u64) {
        let item = self.content.items.get(kind);
        let group = item.and_then(|item| item.cooldown_group.as_ref()).unwrap_or(kind);
        let millis = item.and_then(|item| item.cooldown_ms);
        (group.clone(), millis.unwrap_or(self.content.rules.item_cooldown_ms))
    }

    /// The store has taken an item out: it works.
    pub(super) fn used(&mut self, handle: Handle, item: ItemId, kind: &Key) {
        let effect = self.content.items.get(kind).and_then(|kind| kind.on_use.clone());
        let rules = &self.content.rules;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let max_power = rules.max_power(entity.appearance.level);
        // Who has died since gets nothing from it.
        match effect {
            Some(UseEffect::Heal { amount }) if entity.is_alive() => {
                entity.heal(amount);
            }
            Some(UseEffect::Power { amount }) if entity.is_alive() => {
                if let Some(player) = entity.player_mut() {
                    player.power = player.power.saturating_add(amount).min(max_power);
                    player.unsaved = true;
                }
            }
            _ => {}
        }
        if let Some(player) = entity.player_id() {
            self.count(player, "items_used", 1);
        }
        self.show_inventory(handle, Some(item));
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
            self.put_item(item, place);
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

    fn lay_item(&mut self, index: usize) {
        let Some(spawn) = self.place.items.get(index).cloned() else { return };
        let at = self.place_around(spawn.at, spawn.radius);
        let item = GroundItem { spawn: Some(index), ..GroundItem::lying(spawn.kind, 1) };
        self.put_item(item, at);
    }

    fn put_item(&mut self, item: GroundItem, at: Point) {
        let id = self.next_entity();
        self.put_item_as(id, item, at);
    }

    fn put_item_as(&mut self, id: EntityId, item: GroundItem, at: Point) {
        if item.quantity == 0 || self.muster.things.len() >= GROUND_ITEMS_MAX {
            return;
        }
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
        if let Ok(handle) = self.entities.insert(Entity::new(id, pose, appearance, body), self.tick)
        {
            self.muster.things.push(handle);
        }
    }

    /// What lies on the ground, for another process.
    pub(super) fn things(&self) -> Vec<Thing> {
        let left = |until: Tick| self.tick.millis_until(until);
        let things = self.entities.iter().filter_map(|(_, entity)| {
            let item = entity.item()?;
            Some(Thing {
                id: entity.id,
                kind: item.kind.clone(),
                quantity: item.quantity,
                at: entity.pose.at,
                owner: item.owner.map(|(owner, until)| (owner, left(until))),
                expires_ms: item.expires.map(left),
                spawn: item.spawn.map(|index| index as u32),
                unclear: item.reserved.map(|reserved| (reserved.player, reserved.operation)),
            })
        });
        things.collect()
    }

    /// Lays a thing where it lay in another process.
    pub(super) fn lay_thing(&mut self, thing: Thing) {
        let Thing { id, kind, quantity, at, owner, expires_ms, spawn, unclear } = thing;
        let after = |millis| self.tick.after_millis(millis);
        let reserved =
            unclear.map(|(player, operation)| Reservation { player, operation, unclear: true });
        let item = GroundItem {
            kind,
            quantity,
            owner: owner.map(|(owner, millis)| (owner, after(millis))),
            expires: expires_ms.map(after),
            reserved,
            spawn: spawn.map(|index| index as usize),
        };
        self.put_item_as(id, item, self.place.bounds.clamp(at));
    }

    /// Takes a thing off the ground; if it is one that comes again, it will.
    fn take_away(&mut self, handle: Handle) -> Option<GroundItem> {
        let Body::Item(item) = self.entities.remove(handle, self.tick)?.body else { return None };
        if let Some(index) = item.spawn
            && let Some(spawn) = self.place.items.get(index)
        {
            let back = self.tick.after_millis(spawn.respawn_seconds * 1000);
            self.item_returns.push((back, index));
        }
        Some(*item)
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
                let asked = item.reserved.is_some_and(|reserved| !reserved.unclear);
                item.expires.is_some_and(|at| now >= at) && !asked
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
    }
}
