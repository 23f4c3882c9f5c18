//! The store as the simulation has it: rows in memory that obey the same rules as `crate::store`,
//! each call one transaction. `tests.rs` holds it against the real one, so that it cannot drift.
//!
//! Left out are quests and counters: the simulated content has none, and no rule of ownership
//! depends on the latter.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Epoch, ItemId, Key, OperationId, PlayerId, ServerId, TicketUse};
use crate::limits::{INVENTORY_MAX, STACK_MAX};
use crate::store::StoreError;
use crate::store::record::Claim;
use crate::world::command::{
    Change, CommitRefusal, Gift, ItemStack, Operation, PlayerState, Receipt,
};

/// What is kept of a player; its epoch is the state's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub state: PlayerState,
    pub owner: Option<ServerId>,
    pub handover: Option<OperationId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub owner: ServerId,
    pub epoch: Epoch,
    pub until: u64,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub rows: BTreeMap<PlayerId, Row>,
    pub leases: BTreeMap<String, Lease>,
    /// Whose it was, and what came of it.
    operations: BTreeMap<OperationId, (PlayerId, Receipt)>,
    tickets: BTreeSet<uuid::Uuid>,
    items: u64,
    /// Operations that took effect, in order; for the checker.
    pub done: Vec<Operation>,
}

impl Row {
    fn save(&mut self, state: &PlayerState) {
        let PlayerState { zone, pose, level, experience, health, power, timers, .. } = state;
        self.state.zone = *zone;
        self.state.pose = *pose;
        self.state.level = *level;
        self.state.experience = self.state.experience.max(*experience);
        self.state.health = *health;
        self.state.power = *power;
        self.state.timers.clone_from(timers);
    }

    /// Changes the owner from one who has the player under `epoch`.
    fn hand(
        &mut self,
        epoch: Epoch,
        owner: ServerId,
        handover: OperationId,
        state: Option<&PlayerState>,
    ) -> Result<Epoch, StoreError> {
        let after = Epoch(epoch.0 + 1);
        if self.state.epoch == epoch && self.owner.is_some() {
            self.state.epoch = after;
            (self.owner, self.handover) = (Some(owner), Some(handover));
            if let Some(state) = state {
                self.save(state);
            }
            return Ok(after);
        }
        let done = self.state.epoch == after
            && self.owner == Some(owner)
            && self.handover == Some(handover);
        if done { Ok(after) } else { Err(StoreError::StaleEpoch) }
    }
}

impl Model {
    /// A new player with a first inventory.
    pub(super) fn create(&mut self, mut state: PlayerState, items: &[(Key, u32, bool)]) {
        state.epoch = Epoch(0);
        let player = state.id;
        self.rows.insert(player, Row { state, owner: None, handover: None });
        self.place(player, items);
    }

    pub(super) fn player(&self, player: PlayerId) -> Option<PlayerState> {
        self.rows.get(&player).map(|row| row.state.clone())
    }

    pub(super) fn use_ticket(&mut self, ticket: TicketUse) -> Result<(), StoreError> {
        if self.tickets.insert(ticket.id) { Ok(()) } else { Err(StoreError::TicketUsed) }
    }

    pub(super) fn claim(
        &mut self,
        player: PlayerId,
        owner: ServerId,
        ticket: Option<TicketUse>,
    ) -> Result<Claim, StoreError> {
        if let Some(ticket) = ticket {
            if self.tickets.contains(&ticket.id) {
                return Err(StoreError::TicketUsed);
            }
            if !self.rows.contains_key(&player) {
                return Err(StoreError::NotFound);
            }
            self.use_ticket(ticket)?;
        }
        let row = self.rows.get_mut(&player).ok_or(StoreError::NotFound)?;
        row.state.epoch.0 += 1;
        (row.owner, row.handover) = (Some(owner), None);
        Ok(Claim { state: row.state.clone() })
    }

    /// Gives those who were not saved.
    pub(super) fn save(&mut self, states: &[PlayerState]) -> Vec<PlayerId> {
        let mut refused = Vec::new();
        for state in states {
            match self.rows.get_mut(&state.id) {
                Some(row) if row.state.epoch == state.epoch && row.owner.is_some() => {
                    row.save(state);
                }
                _ => refused.push(state.id),
            }
        }
        refused
    }

    pub(super) fn release(&mut self, state: &PlayerState) -> Result<(), StoreError> {
        let row = self.rows.get_mut(&state.id).filter(|row| row.state.epoch == state.epoch);
        let row = row.ok_or(StoreError::StaleEpoch)?;
        row.save(state);
        row.owner = None;
        Ok(())
    }

    pub(super) fn take_over(
        &mut self,
        state: &PlayerState,
        owner: ServerId,
        handover: OperationId,
    ) -> Result<Epoch, StoreError> {
        let row = self.rows.get_mut(&state.id).ok_or(StoreError::StaleEpoch)?;
        row.hand(state.epoch, owner, handover, Some(state))
    }

    pub(super) fn reclaim(
        &mut self,
        player: PlayerId,
        epoch: Epoch,
        owner: ServerId,
        handover: OperationId,
    ) -> Result<Epoch, StoreError> {
        let row = self.rows.get_mut(&player).ok_or(StoreError::StaleEpoch)?;
        row.hand(epoch, owner, handover, None)
    }

    pub(super) fn commit(&mut self, operation: &Operation) -> Result<Receipt, CommitRefusal> {
        if let Some((_, receipt)) = self.operations.get(&operation.id) {
            return match receipt.receiver {
                Some(_) => self.look_up(operation.id, operation.player),
                None => Ok(receipt.clone()),
            };
        }
        let row = self.rows.get(&operation.player).ok_or(CommitRefusal::StaleEpoch)?;
        if row.state.epoch != operation.epoch {
            return Err(CommitRefusal::StaleEpoch);
        }
        let receipt = match &operation.change {
            Change::Grant { items, gold, quest: _ } => {
                self.grant(operation.player, items, *gold).ok_or(CommitRefusal::Full)?
            }
            Change::Consume { item, quantity } => {
                self.consume(operation.player, *item, *quantity).ok_or(CommitRefusal::NotThere)?
            }
            Change::Give { to, to_epoch, gift, share } => {
                self.give(operation.player, (*to, *to_epoch), *gift, *share)?
            }
            Change::Abandon { quest: _ } => Receipt { gold: row.state.gold, ..Receipt::default() },
        };
        self.operations.insert(operation.id, (operation.player, receipt.clone()));
        self.done.push(operation.clone());
        Ok(receipt)
    }

    /// What came of an operation for one whom it is about.
    pub(super) fn look_up(
        &self,
        operation: OperationId,
        player: PlayerId,
    ) -> Result<Receipt, CommitRefusal> {
        let (asker, receipt) = self.operations.get(&operation).ok_or(CommitRefusal::NotDone)?;
        match receipt.receiver.as_deref() {
            Some((to, got)) if *to == player => Ok(got.clone()),
            _ if *asker == player => Ok(receipt.clone()),
            _ => Err(CommitRefusal::Unavailable),
        }
    }

    fn give(
        &mut self,
        from: PlayerId,
        (to, to_epoch): (PlayerId, Epoch),
        gift: Gift,
        share: bool,
    ) -> Result<Receipt, CommitRefusal> {
        let receiver = self.rows.get(&to).ok_or(CommitRefusal::ReceiverGone)?;
        if receiver.state.epoch != to_epoch || receiver.owner.is_none() || to == from {
            return Err(CommitRefusal::ReceiverGone);
        }
        let has = receiver.state.gold;
        let giver = &self.rows[&from].state;
        let (gave, got) = match gift {
            Gift::Gold(amount) => {
                let left = giver.gold.checked_sub(amount).ok_or(CommitRefusal::NotThere)?;
                let total = has.checked_add(amount).filter(|total| i64::try_from(*total).is_ok());
                let total = total.ok_or(CommitRefusal::ReceiverFull)?;
                for (player, gold) in [(from, left), (to, total)] {
                    self.rows.entry(player).and_modify(|row| row.state.gold = gold);
                }
                let with = |gold| Receipt { gold, ..Receipt::default() };
                (with(left), with(total))
            }
            Gift::Items { item, quantity } => {
                let stack = giver.inventory.iter().find(|stack| stack.id == item);
                let stack = stack.filter(|stack| quantity > 0 && stack.quantity >= quantity);
                let kind = stack.ok_or(CommitRefusal::NotThere)?.kind.clone();
                let got = self.place(to, &[(kind, quantity, share)]);
                let stacks = got.ok_or(CommitRefusal::ReceiverFull)?;
                let gave = self.consume(from, item, quantity).ok_or(CommitRefusal::NotThere)?;
                (gave, Receipt { stacks, gold: has, receiver: None })
            }
        };
        Ok(Receipt { receiver: Some(Box::new((to, got))), ..gave })
    }

    fn grant(
        &mut self,
        player: PlayerId,
        items: &[(Key, u32, bool)],
        more: u64,
    ) -> Option<Receipt> {
        let gold = self.rows.get(&player)?.state.gold.checked_add(more)?;
        i64::try_from(gold).ok()?;
        let stacks = self.place(player, items)?;
        self.rows.get_mut(&player)?.state.gold = gold;
        Some(Receipt { stacks, gold, receiver: None })
    }

    /// All of the items or none: what shares a stack fills the oldest first, the rest lies apart.
    fn place(&mut self, player: PlayerId, items: &[(Key, u32, bool)]) -> Option<Vec<ItemStack>> {
        let held = &mut self.rows.get_mut(&player)?.state.inventory;
        let (mut apart, mut shared) = (Vec::new(), BTreeMap::<&Key, u64>::new());
        for (kind, quantity, share) in items {
            if *share {
                *shared.entry(kind).or_default() += u64::from(*quantity);
            } else {
                apart.extend((0..*quantity).map(|_| (kind.clone(), 1)));
            }
        }
        let mut grown = Vec::new();
        for (kind, mut left) in shared {
            for stack in held.iter().filter(|stack| stack.kind == *kind) {
                let taken = left.min(u64::from(STACK_MAX.saturating_sub(stack.quantity)));
                if taken > 0 {
                    let quantity = stack.quantity + taken as u32;
                    grown.push(ItemStack { quantity, ..stack.clone() });
                    left -= taken;
                }
            }
            while left > 0 {
                let quantity = left.min(STACK_MAX.into());
                apart.push((kind.clone(), quantity as u32));
                left -= quantity;
            }
        }
        if held.len() + apart.len() > INVENTORY_MAX {
            return None;
        }
        for stack in &grown {
            held.iter_mut().filter(|held| held.id == stack.id).for_each(|h| h.clone_from(stack));
        }
        let mut changed = grown;
        for (kind, quantity) in apart {
            self.items += 1;
            let stack = ItemStack { id: ItemId(self.items), kind, quantity };
            held.push(stack.clone());
            changed.push(stack);
        }
        Some(changed)
    }

    fn consume(&mut self, player: PlayerId, item: ItemId, quantity: u32) -> Option<Receipt> {
        let state = &mut self.rows.get_mut(&player)?.state;
        let stack = state.inventory.iter_mut().find(|stack| stack.id == item)?;
        stack.quantity = stack.quantity.checked_sub(quantity)?;
        let left = stack.clone();
        state.inventory.retain(|stack| stack.quantity > 0);
        Some(Receipt { stacks: vec![left], gold: state.gold, receiver: None })
    }

    /// See `Store::start_lease`.
    pub(super) fn start_lease(
        &mut self,
        name: &str,
        owner: ServerId,
        free: u64,
        until: u64,
    ) -> Result<Epoch, StoreError> {
        let epoch = match self.leases.get(name) {
            None => Epoch(1),
            Some(lease) if lease.owner == owner || lease.until <= free => Epoch(lease.epoch.0 + 1),
            Some(_) => return Err(StoreError::StaleEpoch),
        };
        self.leases.insert(name.to_owned(), Lease { owner, epoch, until });
        Ok(epoch)
    }

    /// Gives the names of those that are lost.
    pub(super) fn renew_leases(
        &mut self,
        owner: ServerId,
        leases: &[(String, Epoch)],
        until: u64,
    ) -> Vec<String> {
        let mut lost = Vec::new();
        for (name, epoch) in leases {
            match self.leases.get_mut(name) {
                Some(lease) if lease.owner == owner && lease.epoch == *epoch => lease.until = until,
                _ => lost.push(name.clone()),
            }
        }
        lost
    }

    pub(super) fn end_lease(&mut self, name: &str, owner: ServerId, epoch: Epoch) {
        if let Some(lease) = self.leases.get_mut(name)
            && lease.owner == owner
            && lease.epoch == epoch
        {
            lease.until = 0;
        }
    }
}
