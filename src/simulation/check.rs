//! The checker: what must hold at every moment of a simulation, and what must hold at its end.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::Client;
use super::counts::Counts;
use super::store::Model;
use super::{POTIONS, Process};
use crate::ids::{Epoch, Key, PlayerId, ServerId, ZoneId};
use crate::world::command::{Change, Operation};
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
                    no_more_than_the_store_has(rig, player, model)?;
                }
            }
        }
        leases_are_held_once(processes, model)?;
        for operation in &model.done[self.seen..] {
            self.take(operation, clients)?;
        }
        self.seen = model.done.len();
        Ok(())
    }

    /// A change of value has taken effect.
    fn take(&mut self, operation: &Operation, clients: &[Client]) -> Result<(), String> {
        let Operation { id, player, change, .. } = operation;
        let client = clients.iter().find(|client| client.player == *player);
        let client = client.ok_or_else(|| format!("nobody is player {player}"))?;
        match change {
            Change::Consume { .. } => {
                let used = self.used.entry(*player).or_default();
                *used += 1;
                if *used > client.uses {
                    return Err(format!(
                        "player {player} has used {used} things, but asked for {}: {id}",
                        client.uses
                    ));
                }
            }
            Change::Grant { items, gold, .. } => {
                let origin = (id.0 >> 64) as u64;
                for (kind, ..) in items {
                    if !self.picked.insert((origin, kind.clone())) {
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

    /// At the end: what is shown is what is stored.
    pub(super) fn check_values(
        &self,
        processes: &BTreeMap<ServerId, Process>,
        model: &Model,
    ) -> Result<(), String> {
        for (_, zone, rig) in zones(processes) {
            for (player, _) in rig.shown() {
                let row = &model.rows[&player].state;
                let Some(state) = rig.state(player) else { continue };
                if (state.gold, &state.inventory) != (row.gold, &row.inventory) {
                    return Err(format!(
                        "zone {zone} shows player {player} with {:x} gold and {:?}, the store has \
                         {:x} and {:?}",
                        state.gold, state.inventory, row.gold, row.inventory
                    ));
                }
            }
        }
        Ok(())
    }

    /// At the end: what is stored is what was done.
    pub(super) fn check_rows(&self, model: &Model, clients: &[Client]) -> Result<(), String> {
        for Client { player, .. } in clients {
            let row = &model.rows[player].state;
            let gold = self.gold.get(player).copied().unwrap_or_default();
            let used = self.used.get(player).copied().unwrap_or_default() as u32;
            let potions: u32 =
                row.inventory.iter().filter(|s| &*s.kind == "potion").map(|s| s.quantity).sum();
            if row.gold != gold || potions != POTIONS - used {
                return Err(format!(
                    "player {player} has {:x} gold and {potions} potions, but was given {gold:x} \
                     and has used {used}",
                    row.gold
                ));
            }
        }
        Ok(())
    }
}

/// Nobody sees what is not committed.
fn no_more_than_the_store_has(rig: &Rig, player: PlayerId, model: &Model) -> Result<(), String> {
    let row = &model.rows[&player].state;
    let Some(state) = rig.state(player) else { return Ok(()) };
    if state.gold & !row.gold != 0 {
        return Err(format!("player {player} is shown {:x} gold, has {:x}", state.gold, row.gold));
    }
    let stored = |kind: &Key| -> u64 {
        row.inventory
            .iter()
            .filter(|stack| stack.kind == *kind)
            .map(|s| u64::from(s.quantity))
            .sum()
    };
    for stack in state.inventory.iter().filter(|stack| &*stack.kind != "potion") {
        if stored(&stack.kind) == 0 {
            return Err(format!("player {player} is shown {}, which it has not", stack.kind));
        }
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
