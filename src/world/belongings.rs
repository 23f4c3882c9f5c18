//! What a player does with what it owns: use it, drop it, destroy it, give it to somebody near.
//!
//! Called for a player's actions. Nothing changes hands here: what follows comes when the store has
//! done it.

use crate::ids::{EntityId, ItemId, Key, PlayerId};
use crate::world::World;
use crate::world::command::{Change, Gift, Purpose, Refusal};
use crate::world::content::{Content, UseEffect};
use crate::world::entity::{Entity, Handle};
use crate::world::item::GROUND_ITEMS_MAX;
use crate::world::player::Told;
use crate::world::timer::{ready_at, wait_until};

/// Of all that lies on the ground of a zone, so much may have been dropped by players: the rest is
/// for loot and for what the zone lays out itself.
const DROPPED_MAX: usize = GROUND_ITEMS_MAX / 2;

impl Content {
    /// Whether equal things of a kind share a stack. One that is in no table any more does, so
    /// that a stack stays one.
    pub(super) fn shares(&self, kind: &Key) -> bool {
        self.items.get(kind).is_none_or(|kind| kind.stackable)
    }
}

impl World {
    /// The kind of a player's own stack and how much of it is meant; `quantity` 0: all.
    fn meant(&self, handle: Handle, item: ItemId, quantity: u32) -> Result<(Key, u32), Refusal> {
        let player = self.entities.get(handle).and_then(Entity::player);
        let player = player.ok_or(Refusal::NoSuchItem)?;
        let stack = player.inventory.iter().find(|stack| stack.id == item);
        let stack = stack.ok_or(Refusal::NoSuchItem)?;
        if quantity > stack.quantity {
            return Err(Refusal::NoSuchItem);
        }
        Ok((stack.kind.clone(), if quantity == 0 { stack.quantity } else { quantity }))
    }

    fn check_alive(&self, handle: Handle) -> Result<(), Refusal> {
        let alive = self.entities.get(handle).is_some_and(Entity::is_alive);
        if alive { Ok(()) } else { Err(Refusal::Dead) }
    }

    /// A player wants to use an item of its own.
    pub(super) fn on_use_item(
        &mut self,
        handle: Handle,
        request: u64,
        item: ItemId,
    ) -> Result<(), Refusal> {
        self.check_alive(handle)?;
        let (kind, _) = self.meant(handle, item, 1)?;
        let usable = self.content.items.get(&kind).is_some_and(|kind| kind.on_use.is_some());
        if !usable {
            return Err(Refusal::NotUsable);
        }
        let (shared, millis) = self.item_cooldown(&kind);
        let player = self.entities.get(handle).and_then(Entity::player);
        self.check_ready(player.and_then(|player| ready_at(&player.items_ready, &shared)))?;
        let id = self.next_operation();
        let change = Change::Consume { item, quantity: 1 };
        self.ask(handle, id, change, Purpose::Use { item, kind }, request)?;
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
    pub(super) fn used(&mut self, handle: Handle, item: ItemId, kind: &Key, request: u64) {
        let effect = self.content.items.get(kind).and_then(|kind| kind.on_use.clone());
        let rules = &self.content.rules;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let max_power = rules.max_power(entity.appearance.level);
        // Who has died since gets nothing from it.
        let effect = effect.filter(|_| entity.is_alive());
        match effect {
            Some(UseEffect::Heal { amount }) => {
                entity.heal(amount);
            }
            Some(UseEffect::Power { amount }) => {
                if let Some(player) = entity.player_mut() {
                    player.power = player.power.saturating_add(amount).min(max_power);
                    player.unsaved = true;
                }
            }
            None => {}
        }
        if let Some(player) = entity.player_id() {
            self.count(player, "items_used", 1);
        }
        self.show_inventory(handle, Told { used: Some(item), request, ..Told::default() });
    }

    /// A player puts something on the ground, for anybody.
    pub(super) fn on_drop(
        &mut self,
        handle: Handle,
        request: u64,
        item: ItemId,
        quantity: u32,
    ) -> Result<(), Refusal> {
        self.check_alive(handle)?;
        let (kind, quantity) = self.meant(handle, item, quantity)?;
        if self.dropped >= DROPPED_MAX {
            return Err(Refusal::NotAllowed("too much lies about here already"));
        }
        let Some(at) = self.entities.get(handle).map(|entity| entity.pose.at) else {
            return Ok(());
        };
        let id = self.next_operation();
        let change = Change::Consume { item, quantity };
        self.ask(handle, id, change, Purpose::Drop { kind, quantity, at }, request)
    }

    /// A player does away with something.
    pub(super) fn on_destroy(
        &mut self,
        handle: Handle,
        request: u64,
        item: ItemId,
        quantity: u32,
    ) -> Result<(), Refusal> {
        let (_, quantity) = self.meant(handle, item, quantity)?;
        let id = self.next_operation();
        self.ask(handle, id, Change::Consume { item, quantity }, Purpose::Destroy, request)
    }

    /// A player gives something to another.
    pub(super) fn on_give(
        &mut self,
        handle: Handle,
        request: u64,
        to: EntityId,
        gift: Gift,
    ) -> Result<(), Refusal> {
        self.check_alive(handle)?;
        let to = to.player().ok_or(Refusal::NotAllowed("only players can be given something"))?;
        self.check_receiver(handle, to)?;
        let (gift, share) = match gift {
            Gift::Items { item, quantity } => {
                let (kind, quantity) = self.meant(handle, item, quantity)?;
                (Gift::Items { item, quantity }, self.content.shares(&kind))
            }
            Gift::Gold(amount) => {
                let owned =
                    self.entities.get(handle).and_then(Entity::player).map_or(0, |p| p.gold);
                if amount == 0 || amount > owned {
                    return Err(Refusal::NotAllowed("so much gold is not there"));
                }
                (gift, true)
            }
        };
        let id = self.next_operation();
        // Under which ownership the receiver may be given it is known when it is asked.
        let change = Change::Give { to, to_epoch: crate::ids::Epoch(0), gift, share };
        self.ask(handle, id, change, Purpose::Give { to }, request)
    }

    /// Who can be given something now: another player that lives, stands in reach and in this zone,
    /// and waits for nothing from the store.
    pub(super) fn check_receiver(&self, giver: Handle, to: PlayerId) -> Result<Handle, Refusal> {
        let entity = self.entities.get(giver).ok_or(Refusal::NoSuchTarget)?;
        let receiver = self.player_handle(to).ok_or(Refusal::NoSuchTarget)?;
        if receiver == giver {
            return Err(Refusal::NotAllowed("that is yourself"));
        }
        self.check_reach(entity.pose.at, receiver, self.content.rules.pick_up_reach, None)?;
        let there = self.entities.get(receiver).ok_or(Refusal::NoSuchTarget)?;
        let player = there.player().filter(|player| player.leaving.is_none());
        let player = player.ok_or(Refusal::NoSuchTarget)?;
        if !there.is_alive() {
            return Err(Refusal::TargetDead);
        }
        if !player.operations.is_clear() {
            return Err(Refusal::Busy);
        }
        Ok(receiver)
    }
}
