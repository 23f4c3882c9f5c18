//! The checker: what must hold at every moment of a simulation, and what must hold at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::{Client, DROPPED};
use super::counts::Counts;
use super::store::Model;
use super::{POTIONS, Process};
use crate::ids::{Epoch, Key, PlayerId, ServerId, ZoneId};
use crate::world::command::{Change, Gift, ItemStack, Operation};
use crate::zone::rig::Rig;

/// Gold that no sum of different credits has: one was given twice.
const NEVER_EARNED: u64 = 0xAAAA_AAAA_AAAA_AAAA;

/// What it remembers of the changes of value so far.
#[derive(Debug, Default)]
pub(super) struct Checker {
    seen: usize,
    /// Each thing of an incarnation of a zone, once it was picked up.
    picked: BTreeSet<(u64, Key)>,
    gold: BTreeMap<PlayerId, u64>,
    used: BTreeMap<PlayerId, usize>,
    discarded: BTreeMap<PlayerId, usize>,
    given: BTreeMap<PlayerId, usize>,
    /// What was dropped and not picked up: how often so many potions.
    dropped: BTreeMap<u32, u32>,
    /// More or less than what was earned and what all began with.
    gold_moved: BTreeMap<PlayerId, i128>,
    potions_moved: BTreeMap<PlayerId, i64>,
    looks: u64,
}

/// Every zone that runs, by the process.
fn zones(
    processes: &BTreeMap<ServerId, Process>,
) -> impl Iterator<Item = (ServerId, ZoneId, &Rig)> {
    processes.iter().flat_map(|(id, process)| {
        let host = match process {
            Process::Runs(node) => node.host(),
            Process::Ended(_) => None,
        };
        host.into_iter().flat_map(|host| host.running()).map(|(zone, rig)| (*id, zone, rig))
    })
}

impl Checker {
    /// After every step.
    pub(super) fn check(
        &mut self,
        processes: &BTreeMap<ServerId, Process>,
        model: &Model,
        clients: &[Client],
        counts: &mut Counts,
    ) -> Result<(), String> {
        self.looks += 1;
        let mut owners: BTreeMap<PlayerId, (ServerId, ZoneId)> = BTreeMap::new();
        for (server, zone, rig) in zones(processes) {
            for (player, epoch) in rig.shown() {
                let row = &model.rows[&player];
                let now = row.state.epoch;
                if epoch > now {
                    return Err(format!(
                        "zone {zone} of {server} shows player {player} under {epoch}, but the \
                         store is at {now}"
                    ));
                }
                if epoch < now {
                    counts.zombies += 1;
                    continue;
                }
                if row.owner != Some(server) {
                    return Err(format!(
                        "zone {zone} of {server} shows player {player} under {epoch}, which is \
                         {:?}'s",
                        row.owner
                    ));
                }
                if let Some(other) = owners.insert(player, (server, zone)) {
                    return Err(format!(
                        "player {player} is in zone {zone} of {server} and in {other:?} under {epoch}"
                    ));
                }
                if self.looks.is_multiple_of(10) {
                    shown_as_stored(rig, player, model)?;
                }
            }
        }
        leases_are_held_once(processes, model)?;
        for operation in &model.done[self.seen..] {
            self.take(operation, clients, counts)?;
        }
        self.seen = model.done.len();
        Ok(())
    }

    /// A change of value has taken effect.
    fn take(
        &mut self,
        operation: &Operation,
        clients: &[Client],
        counts: &mut Counts,
    ) -> Result<(), String> {
        let Operation { id, player, change, .. } = operation;
        let client = clients.iter().find(|client| client.player == *player);
        let client = client.ok_or_else(|| format!("nobody is player {player}"))?;
        match change {
            Change::Consume { quantity, .. } => {
                *self.potions_moved.entry(*player).or_default() -= i64::from(*quantity);
                if DROPPED.contains(quantity) {
                    *self.dropped.entry(*quantity).or_default() += 1;
                }
                let (done, asked) = match quantity {
                    1 => (self.used.entry(*player).or_default(), client.uses),
                    _ => (self.discarded.entry(*player).or_default(), client.discards),
                };
                *done += 1;
                if *done > asked {
                    return Err(format!(
                        "{quantity} of player {player}'s things are gone for the {done}. time, but \
                         it asked {asked} times: {id}"
                    ));
                }
            }
            Change::Give { to, gift, .. } => {
                counts.given += 1;
                match gift {
                    Gift::Items { quantity, .. } => {
                        *self.potions_moved.entry(*player).or_default() -= i64::from(*quantity);
                        *self.potions_moved.entry(*to).or_default() += i64::from(*quantity);
                    }
                    Gift::Gold(amount) => {
                        *self.gold_moved.entry(*player).or_default() -= i128::from(*amount);
                        *self.gold_moved.entry(*to).or_default() += i128::from(*amount);
                    }
                }
                let given = self.given.entry(*player).or_default();
                *given += 1;
                if *given > client.gifts {
                    let asked = client.gifts;
                    return Err(format!("player {player} gave {given} times, not {asked}: {id}"));
                }
            }
            Change::Abandon { quest } => return Err(format!("nobody has a quest {quest}: {id}")),
            Change::Grant { items, gold, .. } => {
                let origin = (id.0 >> 64) as u64;
                for (kind, quantity, _) in items {
                    if &**kind == "potion" {
                        counts.found += 1;
                        *self.potions_moved.entry(*player).or_default() += i64::from(*quantity);
                        let left = self.dropped.get(quantity).and_then(|n| n.checked_sub(1));
                        let left = left.ok_or_else(|| {
                            format!("{quantity} potions were found that nobody dropped: {id}")
                        })?;
                        self.dropped.insert(*quantity, left);
                    } else if !self.picked.insert((origin, kind.clone())) {
                        return Err(format!(
                            "{kind} of incarnation {origin:x} was given twice: {id}"
                        ));
                    }
                }
                let before = self.gold.entry(*player).or_default();
                if *before & gold != 0 || gold & NEVER_EARNED != 0 || gold & !client.earned() != 0 {
                    return Err(format!(
                        "player {player} has {before:x} gold and is given {gold:x} of {:x}: {id}",
                        client.earned()
                    ));
                }
                *before |= gold;
            }
        }
        Ok(())
    }

    /// At the end: what is stored is what was done.
    pub(super) fn check_rows(&self, model: &Model, clients: &[Client]) -> Result<(), String> {
        for Client { player, .. } in clients {
            let row = &model.rows[player].state;
            let earned = self.gold.get(player).copied().unwrap_or_default();
            let moved = self.gold_moved.get(player).copied().unwrap_or_default();
            let potions: u32 =
                row.inventory.iter().filter(|s| &*s.kind == "potion").map(|s| s.quantity).sum();
            let more = self.potions_moved.get(player).copied().unwrap_or_default();
            let should = i64::from(POTIONS) + more;
            if i128::from(row.gold) != i128::from(earned) + moved || i64::from(potions) != should {
                return Err(format!(
                    "player {player} has {:x} gold and {potions} potions, but has earned \
                     {earned:x}, got {moved} and should have {should} potions",
                    row.gold
                ));
            }
        }
        Ok(())
    }
}

/// A player of whom nothing is asked and nothing in doubt is shown what the store holds, no more and
/// no less.
pub(super) fn shown_as_stored(rig: &Rig, player: PlayerId, model: &Model) -> Result<(), String> {
    let row = &model.rows[&player].state;
    let Some(state) = rig.state(player).filter(|_| rig.is_certain(player)) else { return Ok(()) };
    let sorted = |stacks: &[ItemStack]| {
        let mut stacks = stacks.to_vec();
        stacks.sort_by_key(|stack| stack.id);
        stacks
    };
    let (shown, stored) = (sorted(&state.inventory), sorted(&row.inventory));
    if (state.gold, &shown) != (row.gold, &stored) {
        return Err(format!(
            "player {player} is shown {:x} gold and {shown:?}, but has {:x} and {stored:?}",
            state.gold, row.gold
        ));
    }
    Ok(())
}

/// A lease's epoch is one incarnation's.
fn leases_are_held_once(
    processes: &BTreeMap<ServerId, Process>,
    model: &Model,
) -> Result<(), String> {
    let mut runs: BTreeSet<(ZoneId, Epoch)> = BTreeSet::new();
    for (server, zone, rig) in zones(processes) {
        let lease = model.leases.get(&format!("zone-{zone}"));
        let Some(lease) = lease.filter(|lease| lease.epoch >= rig.lease) else {
            return Err(format!("zone {zone} of {server} runs under {}, never given", rig.lease));
        };
        if !runs.insert((zone, rig.lease)) || (lease.epoch == rig.lease && lease.owner != server) {
            return Err(format!("zone {zone} runs twice under {}, once at {server}", rig.lease));
        }
    }
    Ok(())
}
