//! Quests: accepted, advanced by kills, finds and visits, and rewarded once.
//!
//! A reward is one operation whose id is made of the player and the quest, so that neither a crash
//! nor a retry, nor another zone, ever gives it twice.

use ring::digest;

use crate::geometry::Point;
use crate::ids::{Key, OperationId, PlayerId};
use crate::limits::ACTIVE_QUESTS_MAX;
use crate::world::World;
use crate::world::command::{Change, Notice, Purpose, QuestProgress, Refusal};
use crate::world::content::{Content, Goal, QuestKind};
use crate::world::entity::{Entity, Handle};
use crate::world::event::EventKind;
use crate::world::player::Told;

/// Ticks between two looks at where the travellers are: half a second.
const VISIT_PERIOD: u64 = 10;

impl Goal {
    /// How much of it is to be done.
    pub fn wanted(&self) -> u32 {
        match self {
            Goal::Kill { count, .. } | Goal::Collect { count, .. } => *count,
            Goal::Visit { .. } => 1,
        }
    }
}

/// The operation that rewards a player for a quest: the first 128 bits of the SHA-256 of
/// `throng quest reward`, the player's number (8 bytes, big-endian) and the quest's key. Other
/// operations begin with their maker's random origin; that the two meet is as likely as any
/// collision of 128 random bits.
pub fn reward_id(player: PlayerId, quest: &str) -> OperationId {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(b"throng quest reward");
    hash.update(&player.0.to_be_bytes());
    hash.update(quest.as_bytes());
    let mut id = [0; 16];
    for (byte, hashed) in id.iter_mut().zip(hash.finish().as_ref()) {
        *byte = *hashed;
    }
    OperationId(u128::from_be_bytes(id))
}

fn is_done(kind: &QuestKind, progress: &QuestProgress) -> bool {
    let done = |(index, goal): (usize, &Goal)| {
        progress.done.get(index).copied().unwrap_or(0) >= goal.wanted()
    };
    kind.goals.iter().enumerate().all(done)
}

/// Adds what `step` says to each goal of a quest; true: something has changed.
fn advance(kind: &QuestKind, progress: &mut QuestProgress, step: &dyn Fn(&Goal) -> u32) -> bool {
    progress.done.resize(kind.goals.len(), 0);
    let mut changed = false;
    for (done, goal) in progress.done.iter_mut().zip(&kind.goals) {
        let now = done.saturating_add(step(goal)).min(goal.wanted());
        changed |= now > *done;
        *done = now.max(*done);
    }
    changed
}

impl World {
    /// A player accepts a quest.
    pub(super) fn on_accept_quest(&mut self, handle: Handle, key: &Key) -> Result<(), Refusal> {
        let kind = self.content.quests.get(key).ok_or(Refusal::NoSuchQuest)?;
        let Some(entity) = self.entities.get_mut(handle) else { return Ok(()) };
        if entity.appearance.level < kind.level {
            return Err(Refusal::LevelTooLow(kind.level));
        }
        let Some(player) = entity.player_mut() else { return Ok(()) };
        match player.quests.iter().find(|progress| progress.quest == *key) {
            Some(progress) if progress.completed => {
                return Err(Refusal::QuestState("that quest is done already"));
            }
            Some(_) => return Err(Refusal::QuestState("that quest is accepted already")),
            None => {}
        }
        if player.operations.has(|purpose| *purpose == Purpose::Abandon(key.clone())) {
            return Err(Refusal::QuestState("that quest is being given up"));
        }
        if player.quests.iter().filter(|q| !q.completed).count() >= ACTIVE_QUESTS_MAX {
            return Err(Refusal::QuestState("too many quests are open"));
        }
        let done = vec![0; kind.goals.len()];
        player.quests.push(QuestProgress { quest: key.clone(), done, completed: false });
        player.unsaved = true;
        self.show_quests(handle);
        Ok(())
    }

    /// A player gives an active quest up, also one that is in no table any more. It is gone at once;
    /// that the store forgets it is owed.
    pub(super) fn on_abandon_quest(&mut self, handle: Handle, key: &Key) -> Result<(), Refusal> {
        let Some(player) = self.entities.get(handle).and_then(Entity::player) else {
            return Ok(());
        };
        match player.quests.iter().find(|progress| progress.quest == *key) {
            None if !self.content.quests.contains_key(key) => return Err(Refusal::NoSuchQuest),
            None => return Err(Refusal::QuestState("that quest is not accepted")),
            Some(progress) if progress.completed => {
                return Err(Refusal::QuestState("that quest is done already"));
            }
            Some(_) => {}
        }
        if player.operations.has(|purpose| *purpose == Purpose::Quest(key.clone())) {
            return Err(Refusal::QuestState("that quest is being rewarded"));
        }
        let id = self.next_operation();
        let change = Change::Abandon { quest: key.clone() };
        self.ask(handle, id, change, Purpose::Abandon(key.clone()), 0)?;
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.quests.retain(|progress| progress.quest != *key);
            player.unsaved = true;
        }
        self.show_quests(handle);
        Ok(())
    }

    /// A player has killed an NPC of that kind.
    pub(super) fn on_kill(&mut self, handle: Handle, killed: &Key) {
        self.advance_quests(handle, &|goal| match goal {
            Goal::Kill { npc, .. } => u32::from(npc == killed),
            Goal::Collect { .. } | Goal::Visit { .. } => 0,
        });
    }

    /// A player has picked up things of that kind.
    pub(super) fn on_collect(&mut self, handle: Handle, found: &Key, quantity: u32) {
        self.advance_quests(handle, &|goal| match goal {
            Goal::Collect { item, .. } if item == found => quantity,
            Goal::Collect { .. } | Goal::Kill { .. } | Goal::Visit { .. } => 0,
        });
    }

    /// Looks who is where a quest wants them.
    pub(super) fn visit(&mut self) {
        if !self.tick.0.is_multiple_of(VISIT_PERIOD) {
            return;
        }
        self.each_player(|world, handle| {
            let Some(entity) = world.entities.get(handle).filter(|e| e.is_alive()) else { return };
            let (here, place) = (world.zone, entity.pose.at);
            let open = |player: &crate::world::player::Player| {
                player.quests.iter().any(|progress| !progress.completed)
            };
            if !entity.player().is_some_and(open) {
                return;
            }
            world.advance_quests(handle, &|goal| match goal {
                Goal::Visit { zone, at, radius } => {
                    u32::from(*zone == here && is_near(place, *at, *radius))
                }
                Goal::Kill { .. } | Goal::Collect { .. } => 0,
            });
        });
    }

    fn advance_quests(&mut self, handle: Handle, step: &dyn Fn(&Goal) -> u32) {
        let content = self.content.clone();
        let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) else {
            return;
        };
        let mut changed = false;
        for progress in player.quests.iter_mut().filter(|progress| !progress.completed) {
            if let Some(kind) = content.quests.get(&progress.quest) {
                changed |= advance(kind, progress, step);
            }
        }
        if changed {
            player.unsaved = true;
            self.show_quests(handle);
            self.claim_rewards(handle);
        }
    }

    /// Asks the store for the rewards of all quests that are done and not yet rewarded.
    pub(super) fn claim_rewards(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get(handle) else { return };
        let (Some(id), Some(player)) = (entity.player_id(), entity.player()) else { return };
        let due: Vec<Key> = player
            .quests
            .iter()
            .filter(|progress| !progress.completed)
            .filter(|progress| {
                let kind = self.content.quests.get(&progress.quest);
                kind.is_some_and(|kind| is_done(kind, progress))
            })
            .map(|progress| progress.quest.clone())
            .filter(|quest| {
                !player.operations.has(|purpose| *purpose == Purpose::Quest(quest.clone()))
            })
            .collect();
        let experience = player.experience;
        for quest in due {
            let change = self.content.reward(&quest, experience);
            let purpose = Purpose::Quest(quest.clone());
            // Who has too much under way is asked about it again later.
            let _ = self.ask(handle, reward_id(id, &quest), change, purpose, 0);
        }
    }

    /// The store has rewarded a player for a quest.
    pub(super) fn quest_rewarded(&mut self, handle: Handle, quest: &Key) {
        let experience = self.content.quests.get(quest).map_or(0, |kind| kind.reward.experience);
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (id, at) = (entity.id, entity.pose.at);
        let Some(player) = entity.player_mut() else { return };
        let Some(progress) = player.quests.iter_mut().find(|progress| progress.quest == *quest)
        else {
            return;
        };
        if std::mem::replace(&mut progress.completed, true) {
            return;
        }
        player.unsaved = true;
        self.tell(at, EventKind::QuestComplete { player: id, quest: quest.clone() });
        if let Some(player) = id.player() {
            self.count(player, "quests_completed", 1);
        }
        self.gain_experience(handle, experience);
        self.show_quests(handle);
        self.show_inventory(handle, Told::default());
    }

    /// Sends a player its quests.
    pub(super) fn show_quests(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get(handle) else { return };
        let (Some(id), Some(player)) = (entity.player_id(), entity.player()) else { return };
        let quests = player.quests.clone();
        self.notify(id, Notice::Quests(quests));
    }
}

fn is_near(place: Point, at: Point, radius: f32) -> bool {
    place.distance_squared(at) <= radius * radius
}

impl Content {
    /// What rewards a quest of a player who has so much experience.
    pub(super) fn reward(&self, quest: &Key, experience: u64) -> Change {
        let reward = self.quests.get(quest).map(|kind| kind.reward.clone()).unwrap_or_default();
        let items = reward.items.iter();
        let items = items.map(|(key, count)| (key.clone(), *count, self.shares(key)));
        let experience = experience.saturating_add(reward.experience);
        let quest = Some((quest.clone(), experience));
        Change::Grant { items: items.collect(), gold: reward.gold, quest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reward_has_one_id_for_ever_and_no_other_has_it() {
        let id = reward_id(PlayerId(7), "wolves");
        assert_eq!(id, reward_id(PlayerId(7), "wolves"));
        assert_ne!(id, reward_id(PlayerId(8), "wolves"));
        assert_ne!(id, reward_id(PlayerId(7), "boars"));
    }
}
