//! Changes of value on their way to the store: items and gold come in or go out only when the
//! store has said so.
//!
//! A player's operations are asked one after another, so that receipts come in their order. What
//! becomes of one whose answer was lost is in `doubt.rs`; while that is open, nothing else is asked
//! for the player.

use std::collections::VecDeque;

use crate::ids::{Epoch, OperationId, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{
    Change, CommitRefusal, Doubt, Effect, Operation, Owed, Purpose, Receipt, Refusal,
};
use crate::world::entity::{Entity, Handle};
use crate::world::player::{Player, Told};

/// Operations of one player that may wait; the next is refused as [`Refusal::Busy`].
pub const OPERATIONS_MAX: usize = 8;
/// Ticks between two tries to give what is owed: 5 s.
const OWED_PERIOD: u64 = 100;

/// What a player has asked of the store.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// The front one is asked, the others wait for it.
    pub(super) queue: VecDeque<Pending>,
    /// One whose answer was none; nothing else is asked before that is known.
    pub(super) doubt: Option<Pending>,
    /// Gold that was earned and not asked for.
    gold: u64,
    /// Whether the player has heard that a reward does not fit its inventory.
    told_full: bool,
}

/// One that waits for something.
#[derive(Debug)]
pub(super) struct Pending {
    pub id: OperationId,
    pub change: Change,
    pub purpose: Purpose,
    /// The player's packet that it answers; 0: none.
    pub request: u64,
    /// When it was asked, or looked up; none: it waits.
    pub asked: Option<Tick>,
    /// Answers that said nothing.
    pub tries: u32,
    /// In doubt: when it is asked again.
    pub again: Tick,
}

impl Pending {
    fn new(id: OperationId, change: Change, purpose: Purpose, request: u64) -> Self {
        Self { id, change, purpose, request, asked: None, tries: 0, again: Tick(0) }
    }
}

impl Operations {
    /// Whether nothing is asked or waits to be; something may be in doubt.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.doubt.as_ref().is_none_or(|doubt| doubt.asked.is_none())
    }

    /// Whether nothing is asked, waits or is in doubt.
    pub fn is_clear(&self) -> bool {
        self.queue.is_empty() && self.doubt.is_none()
    }

    /// Of a player who comes from another zone.
    pub fn owing(owed: Owed, now: Tick) -> Self {
        let doubt = owed.doubt.map(|Doubt { operation, purpose }| {
            let change = Change::Grant { items: Vec::new(), gold: 0, quest: None };
            let pending = Pending::new(operation, change, purpose, 0);
            Pending { tries: 1, again: now, ..pending }
        });
        Self { gold: owed.gold, doubt, ..Self::default() }
    }

    /// What is to be done for the player wherever it goes.
    pub fn owed(&self) -> Owed {
        let doubt = self.doubt.as_ref();
        let doubt = doubt.map(|p| Doubt { operation: p.id, purpose: p.purpose.clone() });
        Owed { gold: self.gold, doubt }
    }

    /// Whether an operation for `purpose` is asked, waits or is in doubt.
    pub fn has(&self, purpose: impl Fn(&Purpose) -> bool) -> bool {
        self.queue.iter().chain(&self.doubt).any(|pending| purpose(&pending.purpose))
    }

    /// The one of that id, if the store was asked about it.
    fn take(&mut self, id: OperationId) -> Option<Pending> {
        let asked = |pending: &mut Pending| pending.id == id && pending.asked.is_some();
        self.queue.pop_front_if(asked).or_else(|| self.doubt.take_if(|doubt| doubt.id == id))
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
        request: u64,
    ) -> Result<(), Refusal> {
        let Some(operations) = self.operations_mut(handle) else { return Ok(()) };
        if operations.doubt.is_some() {
            return Err(Refusal::Unavailable);
        }
        if operations.queue.len() >= OPERATIONS_MAX {
            return Err(Refusal::Busy);
        }
        operations.queue.push_back(Pending::new(id, change, purpose, request));
        self.ask_next(handle);
        Ok(())
    }

    fn ask_next(&mut self, handle: Handle) {
        while let Some(entity) = self.entities.get(handle)
            && let (Some(id), Some(player)) = (entity.player_id(), entity.player())
            && player.operations.doubt.is_none()
            && let Some(front) = player.operations.queue.front()
            && front.asked.is_none()
        {
            let operation = Operation {
                id: front.id,
                player: id,
                epoch: player.epoch,
                change: front.change.clone(),
            };
            let request = front.request;
            let Change::Give { to, .. } = operation.change else {
                self.mark_asked(handle);
                self.asked.insert((operation.id, id), None);
                return self.effects.push(Effect::Commit(operation));
            };
            match self.hold_receiver(handle, to, operation) {
                Ok(operation) => {
                    self.mark_asked(handle);
                    self.asked.insert((operation.id, id), Some(to));
                    return self.effects.push(Effect::Commit(operation));
                }
                Err(refusal) => {
                    if let Some(operations) = self.operations_mut(handle) {
                        operations.queue.pop_front();
                    }
                    self.refuse(id, request, refusal);
                }
            }
        }
    }

    fn mark_asked(&mut self, handle: Handle) {
        let now = self.tick;
        let front = self.operations_mut(handle).and_then(|operations| operations.queue.front_mut());
        if let Some(front) = front {
            front.asked = Some(now);
        }
    }

    /// Has a receiver wait for a gift as for an operation of its own: nothing else is asked for it
    /// meanwhile, and it goes nowhere.
    fn hold_receiver(
        &mut self,
        giver: Handle,
        to: PlayerId,
        mut gift: Operation,
    ) -> Result<Operation, Refusal> {
        let receiver = self.check_receiver(giver, to)?;
        let now = self.tick;
        let player = self.entities.get_mut(receiver).and_then(Entity::player_mut);
        let player = player.ok_or(Refusal::NoSuchTarget)?;
        if let Change::Give { to_epoch, .. } = &mut gift.change {
            *to_epoch = player.epoch;
        }
        let purpose = Purpose::Receive { from: gift.player };
        let pending = Pending::new(gift.id, gift.change.clone(), purpose, 0);
        player.operations.queue.push_back(Pending { asked: Some(now), ..pending });
        Ok(gift)
    }

    /// The store has answered what it was asked for a player.
    pub(super) fn on_decided(
        &mut self,
        player: PlayerId,
        operation: OperationId,
        outcome: Result<Receipt, CommitRefusal>,
    ) {
        let receiver = self.asked.remove(&(operation, player)).flatten();
        let (own, theirs) = match outcome {
            Ok(mut receipt) => {
                let theirs = receipt.receiver.take().map(|receiver| receiver.1);
                (Ok(receipt), theirs.ok_or(CommitRefusal::Unavailable))
            }
            Err(refusal) => (Err(refusal), Err(refusal)),
        };
        self.decide(player, operation, own);
        if let Some(receiver) = receiver {
            self.decide(receiver, operation, theirs);
        }
    }

    /// What came of an operation for one of those whom it is about.
    pub(super) fn decide(
        &mut self,
        player: PlayerId,
        operation: OperationId,
        outcome: Result<Receipt, CommitRefusal>,
    ) {
        self.settle_left_behind(operation, player, outcome.as_ref().err().copied());
        let Some(handle) = self.player_handle(player) else { return };
        let taken = self.operations_mut(handle).and_then(|operations| operations.take(operation));
        let Some(pending) = taken else { return };
        match outcome {
            Ok(receipt) => {
                if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
                    player.take(receipt);
                }
                self.settle(handle, pending);
            }
            Err(CommitRefusal::Unavailable) => self.doubt(handle, pending),
            Err(refusal) => self.settle_refused(handle, pending, refusal),
        }
        self.ask_next(handle);
    }

    /// It was done: what follows from it.
    fn settle(&mut self, handle: Handle, pending: Pending) {
        let told = Told { request: pending.request, ..Told::default() };
        match pending.purpose {
            Purpose::PickUp { thing, kind, quantity } => {
                self.picked_up(handle, thing, &kind, quantity, pending.request);
            }
            Purpose::Use { item, kind } => self.used(handle, item, &kind, pending.request),
            Purpose::Drop { kind, quantity, at } => {
                self.lay_dropped(kind, quantity, at);
                self.show_inventory(handle, told);
            }
            Purpose::Destroy | Purpose::Give { .. } => self.show_inventory(handle, told),
            Purpose::Receive { from } => {
                self.show_inventory(handle, Told { giver: Some(from), ..told });
            }
            Purpose::Gold(_) => {
                self.show_inventory(handle, told);
                self.owe_gold(handle, 0);
            }
            Purpose::Quest(quest) => self.quest_rewarded(handle, &quest),
            Purpose::Abandon(_) => {}
        }
    }

    /// It was not done, and will not be: whoever asked for it hears why, unless it has heard
    /// already that it is not possible.
    fn settle_refused(&mut self, handle: Handle, pending: Pending, refusal: CommitRefusal) {
        let heard = pending.request == 0 || pending.tries > 0;
        match pending.purpose {
            Purpose::PickUp { thing, .. } => self.put_back(thing),
            Purpose::Gold(amount) => self.owe_again(handle, amount),
            Purpose::Quest(_) if refusal == CommitRefusal::Full => self.tell_full(handle),
            Purpose::Use { kind, .. } => self.was_not_used(handle, &kind),
            // Asked again when its turn comes, under the same id.
            Purpose::Quest(_) => {}
            Purpose::Drop { .. }
            | Purpose::Destroy
            | Purpose::Give { .. }
            | Purpose::Receive { .. }
            | Purpose::Abandon(_) => {}
        }
        if !heard {
            self.refuse_handle(handle, pending.request, reason(refusal));
        }
        if refusal == CommitRefusal::StaleEpoch {
            self.disown(handle);
        }
    }

    /// Gold that was asked for is to be asked for anew.
    pub(super) fn owe_again(&mut self, handle: Handle, amount: u64) {
        if let Some(operations) = self.operations_mut(handle) {
            operations.gold = operations.gold.saturating_add(amount);
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
        self.owe_again(handle, amount);
        let Some(operations) = self.operations_mut(handle) else { return };
        let gold = operations.gold;
        if gold == 0 || operations.has(|purpose| matches!(purpose, Purpose::Gold(_))) {
            return;
        }
        let id = self.next_operation();
        if self.ask(handle, id, grant_gold(gold), Purpose::Gold(gold), 0).is_ok()
            && let Some(operations) = self.operations_mut(handle)
        {
            operations.gold -= gold;
        }
    }

    /// What the store must do for a player before its last save: what it has earned, and what it
    /// has given up.
    pub(super) fn last_operations(&mut self, handle: Handle) -> Vec<Operation> {
        let Some(entity) = self.entities.get(handle) else { return Vec::new() };
        let (Some(player), Some(body)) = (entity.player_id(), entity.player()) else {
            return Vec::new();
        };
        let (epoch, operations) = (body.epoch, &body.operations);
        let doubt = |p: &Pending| Doubt { operation: p.id, purpose: p.purpose.clone() };
        let asked: Vec<Doubt> = operations.queue.iter().map(doubt).collect();
        let owed = operations.owed();
        let mut last = Vec::new();
        for doubt in asked {
            let owed = Owed { gold: 0, doubt: Some(doubt) };
            last.extend(self.operations_for(&owed, player, epoch));
        }
        last.extend(self.operations_for(&owed, player, epoch));
        last
    }

    /// What the store has yet to do for a player that is no more in any zone. A quest's reward is
    /// asked for when the player is back; what it has asked for itself it sees then.
    pub fn operations_for(
        &mut self,
        owed: &Owed,
        player: PlayerId,
        epoch: Epoch,
    ) -> Vec<Operation> {
        let in_doubt = owed.doubt.as_ref().and_then(|doubt| match &doubt.purpose {
            Purpose::Gold(amount) => Some((doubt.operation, grant_gold(*amount))),
            Purpose::Abandon(quest) => {
                Some((doubt.operation, Change::Abandon { quest: quest.clone() }))
            }
            Purpose::Quest(_)
            | Purpose::PickUp { .. }
            | Purpose::Use { .. }
            | Purpose::Drop { .. }
            | Purpose::Destroy
            | Purpose::Give { .. }
            | Purpose::Receive { .. } => None,
        });
        let earned = (owed.gold > 0).then(|| (self.next_operation(), grant_gold(owed.gold)));
        let operation = |(id, change)| Operation { id, player, epoch, change };
        in_doubt.into_iter().chain(earned).map(operation).collect()
    }

    /// Asks again for what is owed or in doubt.
    pub(super) fn tend_operations(&mut self) {
        self.tend_left_behind();
        self.each_player(|world, handle| {
            world.tend_doubt(handle);
            if (world.tick.0 + u64::from(handle.0)).is_multiple_of(OWED_PERIOD) {
                world.owe_gold(handle, 0);
                world.claim_rewards(handle);
            }
        });
    }

    /// Whether the store has said all that it was asked for a player: what the player is shown is
    /// what the store holds.
    pub fn is_certain(&self, player: PlayerId) -> bool {
        let entity = self.player_handle(player).and_then(|handle| self.entities.get(handle));
        entity.and_then(Entity::player).is_some_and(|player| player.operations.is_clear())
    }

    pub(super) fn operations_mut(&mut self, handle: Handle) -> Option<&mut Operations> {
        Some(&mut self.entities.get_mut(handle)?.player_mut()?.operations)
    }

    fn disown(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get(handle) else { return };
        if let (Some(player), Some(body)) = (entity.player_id(), entity.player()) {
            self.effects.push(Effect::Disowned { player, epoch: body.epoch });
        }
    }

    pub(super) fn refuse_handle(&mut self, handle: Handle, request: u64, refusal: Refusal) {
        if let Some(player) = self.entities.get(handle).and_then(Entity::player_id) {
            self.refuse(player, request, refusal);
        }
    }
}

impl Player {
    /// Brings what is owned to what the store says.
    fn take(&mut self, receipt: Receipt) {
        self.gold = receipt.gold;
        for stack in receipt.stacks {
            self.inventory.retain(|owned| owned.id != stack.id || stack.quantity > 0);
            match self.inventory.iter_mut().find(|owned| owned.id == stack.id) {
                Some(owned) => *owned = stack,
                None if stack.quantity > 0 => self.inventory.push(stack),
                None => {}
            }
        }
        self.operations.told_full = false;
    }
}

pub(super) fn grant_gold(gold: u64) -> Change {
    Change::Grant { items: Vec::new(), gold, quest: None }
}

fn reason(refusal: CommitRefusal) -> Refusal {
    match refusal {
        CommitRefusal::Unavailable | CommitRefusal::NotDone | CommitRefusal::StaleEpoch => {
            Refusal::Unavailable
        }
        CommitRefusal::NotThere => Refusal::NoSuchItem,
        CommitRefusal::Full => Refusal::InventoryFull,
        CommitRefusal::ReceiverFull => Refusal::ReceiverFull,
        CommitRefusal::ReceiverGone => Refusal::NoSuchTarget,
    }
}
