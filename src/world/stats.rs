//! A player's own numbers, told to its client as they change: at most four times a second, and
//! nothing while they stay.
//!
//! Called once a step. A player is looked at every fifth step, and only those whose numbers differ
//! from what was told last have any made; nobody who changes a number has to think of it.

use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Cooling, Notice, OwnStats};
use crate::world::entity::{Entity, Handle};
use crate::world::player::Player;

/// Steps between two looks at a player: a quarter of a second.
const STATS_PERIOD: u64 = 5;

/// What a client was told last; nothing at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ToldStats(Option<Print>);

/// The numbers themselves, and for times the step at which they end: those pass by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    health: u32,
    power: u32,
    level: u32,
    experience: u64,
    gold: u64,
    combat_until: Tick,
    /// Stands for the list of what is not ready.
    cooldowns: u64,
}

impl Player {
    /// Everything that is not ready at `now`, and when it is.
    fn cooling(&self, now: Tick) -> impl Iterator<Item = (Cooling, Tick)> {
        let attack = (Cooling::Attack, self.attack_ready);
        let skills = self.skills_ready.iter();
        let skills = skills.map(|(skill, ready)| (Cooling::Skill(skill.clone()), *ready));
        let items = self.items_ready.iter();
        let items = items.map(|(item, ready)| (Cooling::Item(item.clone()), *ready));
        std::iter::once(attack).chain(skills).chain(items).filter(move |(_, ready)| now < *ready)
    }

    /// A number that is another one whenever something else is to be ready, or at another time.
    fn cooldown_print(&self) -> u64 {
        let ready = self.skills_ready.iter().chain(&self.items_ready).map(|(_, ready)| ready.0);
        ready.fold(self.attack_ready.0, |print, ready| {
            print.wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(ready)
        })
    }
}

impl World {
    /// Tells those their numbers whose have changed.
    pub(super) fn tell_stats(&mut self) {
        self.each_player(|world, handle| {
            if (world.tick.0 + u64::from(handle.0)).is_multiple_of(STATS_PERIOD) {
                world.tell_own_stats(handle);
            }
        });
    }

    /// Its client knows nothing any more.
    pub(super) fn on_stats(&mut self, handle: Handle) {
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.told = ToldStats::default();
        }
    }

    fn tell_own_stats(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (health, level) = (entity.appearance.health, entity.appearance.level);
        let max_health = entity.appearance.max_health;
        let Some(player) = entity.player_mut() else { return };
        let print = Print {
            health,
            power: player.power,
            level,
            experience: player.experience,
            gold: player.gold,
            combat_until: player.combat_until,
            cooldowns: player.cooldown_print(),
        };
        if player.told == ToldStats(Some(print)) {
            return;
        }
        player.told = ToldStats(Some(print));
        let (now, rules) = (self.tick, &self.content.rules);
        let left = |until| now.millis_until(until);
        let stats = OwnStats {
            health,
            max_health,
            power: player.power,
            max_power: rules.max_power(level),
            experience: player.experience,
            next_level_at: rules.next_level_at(level),
            level,
            gold: player.gold,
            combat_ms: left(player.combat_until),
            cooldowns: player.cooling(now).map(|(what, ready)| (what, left(ready))).collect(),
        };
        if let Some(id) = entity.player_id() {
            self.notify(id, Notice::Stats(stats));
        }
    }
}
