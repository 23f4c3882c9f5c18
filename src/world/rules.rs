//! The numbers that all zones share, and the formulas made of them.
//!
//! Whoever must know a level's health or a blow's damage asks here; nobody computes it a second
//! time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Key;

/// Numbers of movement, combat and growth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// A player's walking speed, m/s.
    pub player_speed: f32,
    /// How much travel a client may be ahead of its speed, ms (jitter allowance).
    pub movement_debt_ms: u64,
    /// Ticks of impossible moves within ten seconds after which a player is sent away.
    pub corrections_before_kick: u32,
    /// Reach of a plain attack, m.
    pub attack_reach: f32,
    /// Time between two attacks of one attacker, ms.
    pub attack_cooldown_ms: u64,
    /// Damage of a plain attack at level 0.
    pub attack_damage: u32,
    /// Damage added per level.
    pub attack_damage_per_level: u32,
    /// How far back a target's place is looked up for an attacker's delay, ms.
    pub lag_compensation_ms: u64,
    /// Health at level 1.
    pub base_health: u32,
    /// Health added per further level.
    pub health_per_level: u32,
    /// Power (what skills cost) at level 1.
    pub base_power: u32,
    /// Power added per further level.
    pub power_per_level: u32,
    /// Health and power that come back each second out of combat, share of the maximum.
    pub regeneration: f32,
    /// Seconds without a blow after which one is out of combat: whoever leaves stands there for so
    /// long, and whoever has fought with players can be struck for so long outside PvP zones too.
    pub combat_seconds: u64,
    /// Level n + 1 begins at `experience_base` × n² experience.
    pub experience_base: u64,
    /// An NPC so many levels below its killer, and one more for each ten of the killer's own, gives
    /// no experience; 0: levels do not matter.
    pub experience_gap: u32,
    /// Share of the best one's damage from which a helper has a part in a kill.
    pub share_min: f64,
    /// Highest level.
    pub level_max: u32,
    /// Time between a player's death and its return at the zone's spawn, ms.
    pub respawn_ms: u64,
    /// How long one is safe from players whom the world has put at the spawn of a PvP zone (returned
    /// to life, or come from nowhere), unless it strikes first, ms.
    pub spawn_protection_ms: u64,
    /// Time until an item of the same kind or group can be used again, unless the item says
    /// otherwise, ms.
    pub item_cooldown_ms: u64,
    /// How long a thing lies on the ground, s.
    pub loot_seconds: u64,
    /// How long loot is the one's alone who did most of the damage, s.
    pub loot_owner_seconds: u64,
    /// Reach for picking up, m.
    pub pick_up_reach: f32,
    /// Level below which a player can neither strike nor be struck by players, but in a guild war
    /// in PvP zones.
    pub pvp_level_min: u32,
    /// What a new character carries: item kind → quantity.
    pub starting_items: BTreeMap<Key, u32>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            player_speed: 5.0,
            movement_debt_ms: 200,
            corrections_before_kick: 20,
            attack_reach: 10.0,
            attack_cooldown_ms: 500,
            attack_damage: 10,
            attack_damage_per_level: 2,
            lag_compensation_ms: 200,
            base_health: 100,
            health_per_level: 20,
            base_power: 100,
            power_per_level: 10,
            regeneration: 0.02,
            combat_seconds: 6,
            experience_base: 100,
            experience_gap: 5,
            share_min: 0.1,
            level_max: 60,
            respawn_ms: 5_000,
            spawn_protection_ms: 5_000,
            item_cooldown_ms: 5_000,
            loot_seconds: 120,
            loot_owner_seconds: 20,
            pick_up_reach: 3.0,
            pvp_level_min: 1,
            starting_items: BTreeMap::new(),
        }
    }
}

impl Rules {
    /// Full health at `level`.
    pub fn max_health(&self, level: u32) -> u32 {
        grown(self.base_health, self.health_per_level, level.saturating_sub(1))
    }

    /// Full power at `level`.
    pub fn max_power(&self, level: u32) -> u32 {
        grown(self.base_power, self.power_per_level, level.saturating_sub(1))
    }

    /// Damage of a plain attack at `level`.
    pub fn attack_damage(&self, level: u32) -> u32 {
        grown(self.attack_damage, self.attack_damage_per_level, level)
    }

    /// Experience at which the level after `level` begins: `experience_base` × `level`²; none at
    /// the highest level.
    pub fn next_level_at(&self, level: u32) -> Option<u64> {
        let level_squared = u64::from(level) * u64::from(level);
        (level < self.level_max).then(|| self.experience_base.saturating_mul(level_squared))
    }

    /// The level that `experience` makes: the turned [`Self::next_level_at`].
    pub fn level_at(&self, experience: u64) -> u32 {
        let level = (experience / self.experience_base.max(1)).isqrt().saturating_add(1);
        u32::try_from(level).unwrap_or(u32::MAX).min(self.level_max.max(1))
    }

    /// What of `worth` experience a killer of `level` gets from an NPC of `npc_level`: all of it from
    /// one of its own level or above, less the further that is below, evenly, and nothing from a
    /// gap of `experience_gap` and a tenth of the killer's level on. So games of this kind
    /// commonly do it: nobody grows on what cannot hurt it, and the higher one is the closer two
    /// levels are.
    pub fn kill_experience(&self, worth: u64, level: u32, npc_level: u32) -> u64 {
        if self.experience_gap == 0 {
            return worth;
        }
        let gap = self.experience_gap.saturating_add(level / 10);
        let near = gap.saturating_sub(level.saturating_sub(npc_level));
        let part = u128::from(worth) * u128::from(near) / u128::from(gap);
        u64::try_from(part).unwrap_or(worth)
    }

    /// What comes back in a second of peace, of `most`: at least 1, so that nobody heals never.
    pub fn regenerated(&self, most: u32) -> u32 {
        if self.regeneration > 0.0 { (most as f32 * self.regeneration).ceil() as u32 } else { 0 }
    }
}

/// `base` and `per_level` for each of `levels`, never more than fits.
pub(super) fn grown(base: u32, per_level: u32, levels: u32) -> u32 {
    base.saturating_add(per_level.saturating_mul(levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_where_their_experience_says() {
        let rules = Rules::default();
        assert_eq!(rules.next_level_at(1), Some(100));
        assert_eq!((rules.level_at(99), rules.level_at(100)), (1, 2));
        for level in 1..rules.level_max {
            let begins = rules.next_level_at(level).unwrap();
            assert_eq!((rules.level_at(begins - 1), rules.level_at(begins)), (level, level + 1));
        }
        assert_eq!(rules.next_level_at(rules.level_max), None);
        assert_eq!(rules.level_at(u64::MAX), rules.level_max);
    }

    #[test]
    fn what_is_far_below_gives_nothing() {
        let rules = Rules::default();
        let worth = |level, npc| rules.kill_experience(100, level, npc);
        assert_eq!((worth(1, 1), worth(1, 10), worth(3, 4)), (100, 100, 100), "never more");
        assert_eq!((worth(2, 1), worth(5, 1), worth(6, 1), worth(60, 1)), (80, 20, 0, 0));
        assert_eq!((worth(30, 25), worth(30, 23), worth(30, 22)), (37, 12, 0), "a gap of 8");
        let any = Rules { experience_gap: 0, ..rules };
        assert_eq!(any.kill_experience(u64::MAX, 60, 1), u64::MAX);
    }

    #[test]
    fn formulas_never_overflow() {
        let rules = Rules { attack_damage_per_level: u32::MAX, ..Rules::default() };
        assert_eq!(rules.attack_damage(1), u32::MAX);
        assert_eq!(Rules::default().attack_damage(1), 12);
        assert_eq!(Rules::default().max_health(3), 140);
    }
}
