//! Changes of value on their way to the store: items and gold come in or go out only when the
//! store has said so.
//!
//! A player's operations are asked one after another, so that receipts come in their order. An
//! answer of "unavailable" may still have been done: whatever is tried again then keeps its id, so
//! that the store does it once.

use std::collections::VecDeque;

use crate::ids::{EntityId, ItemId, Key, OperationId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Change, CommitRefusal, Effect, Operation, Owed, Receipt, Refusal};
use crate::world::entity::{Entity, Handle};
use crate::world::player::Player;

/// Operations of one player that may wait; the next is refused as [`Refusal::Busy`].
pub const OPERATIONS_MAX: usize = 8;
/// Ticks between two tries to give what is owed: 5 s.
const OWED_PERIOD: u64 = 100;
/// Ticks after which an answer does not come any more: 10 s, ten times the store's time limit.
const ANSWER_WAIT: u64 = 200;

/// What a player has asked of the store.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// The front one is asked, the others wait for it.
    queue: VecDeque<Pending>,
    /// What goes along when the player does.
    owed: Owed,
    /// Whether the player has heard that a reward does not fit its inventory.
    told_full: bool,
}

#[derive(Debug)]
struct Pending {
    id: OperationId,
    change: Change,
    purpose: Purpose,
    /// When it was asked; none: it waits.
    asked: Option<Tick>,
}

/// What an operation is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Purpose {
    /// Things are taken off the ground.
    PickUp { thing: EntityId, request: u64 },
    /// An item is used up.
    Use { item: ItemId, kind: Key, request: u64 },
    /// Gold was earned.
    Gold,
    /// A quest's reward.
    Quest(Key),
}

impl Operations {
    /// Whether nothing is asked or waits to be.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Of a player who comes from another zone.
    pub fn owing(owed: Owed) -> Self {
        Self { owed, ..Self::default() }
    }

    /// What is to be done for the player wherever it goes.
    pub fn owed(&self) -> Owed {
        self.owed
    }

    /// Whether an operation for `purpose` is asked or waits.
    pub fn has(&self, purpose: &Purpose) -> bool {
        self.queue.iter().any(|pending| pending.purpose == *purpose)
    }

    /// Whether a use of `item` is asked or waits.
    pub fn is_using(&self, item: ItemId) -> bool {
        let uses =
            |purpose: &Purpose| matches!(purpose, Purpose::Use { item: i, .. } if *i == item);
        self.queue.iter().any(|pending| uses(&pending.purpose))
    }

    /// The id with which using `item` was asked without a clear answer.
    pub fn unclear_use(&self, item: ItemId) -> Option<OperationId> {
        self.owed.unclear_use.filter(|(unclear, _)| *unclear == item).map(|(_, id)| id)
    }
}

impl World {
    /// An id that no other operation ever has.
    pub(super) fn next_operation(&mut self) -> OperationId {
        self.operations_made += 1;
        OperationId::new(self.origin, self.operations_made)
    }

    /// Has the store do a change for a player, after those it has asked for already.
    pub(super) fn ask(
        &mut self,
        handle: Handle,
        id: OperationId,
        change: Change,
        purpose: Purpose,
    ) -> Result<(), Refusal> {
        let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) else {
            return Ok(());
        };
        if player.operations.queue.len() >= OPERATIONS_MAX {
            return Err(Refusal::Busy);
        }
        player.operations.queue.push_back(Pending { id, change, purpose, asked: None });
        self.ask_next(handle);
        Ok(())
    }

    fn ask_next(&mut self, handle: Handle) {
        let now = self.tick;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let Some(id) = entity.player_id() else { return };
        let Some(player) = entity.player_mut() else { return };
        let epoch = player.epoch;
        let Some(front) = player.operations.queue.front_mut() else { return };
        if front.asked.is_some() {
            return;
        }
        front.asked = Some(now);
        let operation = Operation { id: front.id, player: id, epoch, change: front.change.clone() };
        self.asked.insert(front.id, id);
        self.effects.push(Effect::Commit(operation));
    }

    /// The store has answered.
    pub(super) fn on_decided(
        &mut self,
        operation: OperationId,
        outcome: Result<Receipt, CommitRefusal>,
    ) {
        let refusal = outcome.as_ref().err().copied();
        let handle = self.asked.remove(&operation).and_then(|id| self.player_handle(id));
        let pending = handle.and_then(|handle| self.take_pending(handle, operation));
        let (Some(handle), Some(pending)) = (handle, pending) else {
            // Whoever asked has left; what was to be picked up still lies here.
            return self.settle_left_behind(operation, refusal);
        };
        if let Ok(receipt) = &outcome
            && let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut)
        {
            player.take(receipt);
        }
        match refusal {
            None => self.settle(handle, pending),
            Some(refusal) => self.settle_refused(handle, pending, refusal),
        }
        self.ask_next(handle);
    }

    /// The operation that a player waits for, if it is that one: a player that left and came back
    /// waits for others.
    fn take_pending(&mut self, handle: Handle, operation: OperationId) -> Option<Pending> {
        let queue = &mut self.entities.get_mut(handle)?.player_mut()?.operations.queue;
        queue.pop_front_if(|front| front.id == operation)
    }

    fn settle(&mut self, handle: Handle, pending: Pending) {
        match pending.purpose {
            Purpose::PickUp { thing, .. } => self.picked_up(handle, thing),
            Purpose::Use { item, kind, .. } => {
                if let Some(operations) = self.operations_mut(handle) {
                    operations.owed.unclear_use = None;
                }
                self.used(handle, item, &kind);
            }
            Purpose::Gold => {
                if let Some(operations) = self.operations_mut(handle) {
                    operations.owed.unclear_gold = None;
                }
                self.show_inventory(handle, None);
                self.owe_gold(handle, 0);
            }
            Purpose::Quest(quest) => self.quest_rewarded(handle, &quest),
        }
    }

    fn settle_refused(&mut self, handle: Handle, pending: Pending, refusal: CommitRefusal) {
        let unclear = refusal == CommitRefusal::Unavailable;
        match (pending.purpose, &pending.change) {
            (Purpose::PickUp { thing, request }, _) => {
                self.put_back(thing, unclear);
                self.refuse_handle(handle, request, reason(refusal));
            }
            (Purpose::Use { item, request, kind }, _) => {
                self.was_not_used(handle, &kind);
                if let Some(operations) = self.operations_mut(handle) {
                    operations.owed.unclear_use = unclear.then_some((item, pending.id));
                }
                self.refuse_handle(handle, request, reason(refusal));
            }
            (Purpose::Gold, Change::Grant { gold, .. }) => {
                if let Some(operations) = self.operations_mut(handle) {
                    operations.owed.unclear_gold = unclear.then_some((pending.id, *gold));
                }
            }
            (Purpose::Quest(_), _) if refusal == CommitRefusal::Full => self.tell_full(handle),
            // Asked again when its turn comes, under the same id.
            (Purpose::Gold | Purpose::Quest(_), _) => {}
        }
        if refusal == CommitRefusal::StaleEpoch {
            self.disown(handle);
        }
    }

    fn tell_full(&mut self, handle: Handle) {
        let Some(operations) = self.operations_mut(handle) else { return };
        if !std::mem::replace(&mut operations.told_full, true) {
            self.refuse_handle(handle, 0, Refusal::InventoryFull);
        }
    }

    /// Earns a player gold, and asks the store for all that is owed unless it is being asked.
    pub(super) fn owe_gold(&mut self, handle: Handle, amount: u64) {
        let Some(operations) = self.operations_mut(handle) else { return };
        operations.owed.gold = operations.owed.gold.saturating_add(amount);
        if operations.has(&Purpose::Gold) {
            return;
        }
        // What was asked without a clear answer is asked again before anything else.
        let unclear = operations.owed.unclear_gold;
        let gold = unclear.map_or(operations.owed.gold, |(_, gold)| gold);
        if gold == 0 {
            return;
        }
        let id = unclear.map_or_else(|| self.next_operation(), |(id, _)| id);
        let change = Change::Grant { items: Vec::new(), gold, quest: None };
        if self.ask(handle, id, change, Purpose::Gold).is_ok()
            && unclear.is_none()
            && let Some(operations) = self.operations_mut(handle)
        {
            operations.owed.gold = 0;
        }
    }

    /// Asks again for what is owed, and sends those away whom the store does not answer: what
    /// they own is not known any more.
    pub(super) fn tend_operations(&mut self) {
        self.each_player(|world, handle| {
            let Some(operations) = world.operations_mut(handle) else { return };
            let asked = operations.queue.front().and_then(|front| front.asked);
            if asked.is_some_and(|asked| asked.0 + ANSWER_WAIT == world.tick.0) {
                world.kick(handle, "the store does not answer");
            }
            if (world.tick.0 + u64::from(handle.0)).is_multiple_of(OWED_PERIOD) {
                world.owe_gold(handle, 0);
                world.claim_rewards(handle);
            }
        });
    }

    /// A player goes with operations undecided: their things stay reserved until that is clear.
    pub(super) fn forget_operations(&mut self, handle: Handle) {
        let Some(operations) = self.operations_mut(handle) else { return };
        for pending in std::mem::take(&mut operations.queue) {
            if let Purpose::PickUp { thing, .. } = pending.purpose {
                self.put_back(thing, pending.asked.is_some());
            }
        }
    }

    fn operations_mut(&mut self, handle: Handle) -> Option<&mut Operations> {
        Some(&mut self.entities.get_mut(handle)?.player_mut()?.operations)
    }

    fn kick(&mut self, handle: Handle, reason: &'static str) {
        if let Some(player) = self.entities.get(handle).and_then(Entity::player_id) {
            self.effects.push(Effect::Kick { player, reason });
        }
    }

    fn disown(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get(handle) else { return };
        if let (Some(player), Some(body)) = (entity.player_id(), entity.player()) {
            self.effects.push(Effect::Disowned { player, epoch: body.epoch });
        }
    }

    fn refuse_handle(&mut self, handle: Handle, request: u64, refusal: Refusal) {
        if let Some(player) = self.entities.get(handle).and_then(Entity::player_id) {
            self.refuse(player, request, refusal);
        }
    }
}

impl Player {
    /// Brings what is owned to what the store says.
    fn take(&mut self, receipt: &Receipt) {
        self.gold = receipt.gold;
        for stack in &receipt.stacks {
            self.inventory.retain(|owned| owned.id != stack.id || stack.quantity > 0);
            match self.inventory.iter_mut().find(|owned| owned.id == stack.id) {
                Some(owned) => owned.clone_from(stack),
                None if stack.quantity > 0 => self.inventory.push(stack.clone()),
                None => {}
            }
        }
        self.operations.told_full = false;
    }
}

fn reason(refusal: CommitRefusal) -> Refusal {
    match refusal {
        CommitRefusal::Unavailable | CommitRefusal::StaleEpoch => Refusal::Unavailable,
        CommitRefusal::NotThere => Refusal::NoSuchItem,
        CommitRefusal::Full => Refusal::InventoryFull,
    }
}
