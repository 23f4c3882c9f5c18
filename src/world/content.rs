//! What the world is made of: zones, NPC, item, skill and quest kinds, and the rules' numbers.
//!
//! Read from the configuration once, checked by [`Content::problems`], then shared by all zones
//! and never changed. `default_world.toml` beside this file is what a server without a
//! configuration of its own plays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::geometry::{Point, Rect};
use crate::ids::{Key, ZoneId};
pub use crate::world::rules::Rules;

/// All content tables. Keys are what `config.toml` calls each kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Content {
    /// Numbers that all zones share.
    pub rules: Rules,
    /// The zones, in the order of the configuration.
    pub zones: Vec<ZoneKind>,
    /// Item kinds by key.
    pub items: BTreeMap<Key, ItemKind>,
    /// Skill kinds by key.
    pub skills: BTreeMap<Key, SkillKind>,
    /// NPC kinds by key.
    pub npcs: BTreeMap<Key, NpcKind>,
    /// Quest kinds by key.
    pub quests: BTreeMap<Key, QuestKind>,
}

/// One zone of the continuous world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneKind {
    /// Its number, unique, 1 to 65,535.
    pub id: ZoneId,
    /// For people.
    pub name: Key,
    /// Its part of the plane; zones never overlap.
    pub bounds: Rect,
    /// Where players come (back) to life; inside the bounds.
    pub spawn: Point,
    /// Whether players may strike players.
    #[serde(default)]
    pub pvp: bool,
    /// Groups of NPCs that live here.
    #[serde(default)]
    pub npcs: Vec<NpcSpawn>,
    /// Things that lie here and come again.
    #[serde(default)]
    pub items: Vec<ItemSpawn>,
}

/// A group of NPCs of one kind around a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpcSpawn {
    /// Key of `[npcs]`.
    pub kind: Key,
    /// The group's centre.
    pub at: Point,
    /// How far from it they are put, m.
    #[serde(default)]
    pub radius: f32,
    /// How many.
    #[serde(default = "one")]
    pub count: u32,
    /// Points to walk between; empty: they roam within the radius.
    #[serde(default)]
    pub patrol: Vec<Point>,
}

/// Things of one kind that lie around a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemSpawn {
    /// Key of `[items]`.
    pub kind: Key,
    /// The centre.
    pub at: Point,
    /// How far from it they are put, m.
    #[serde(default)]
    pub radius: f32,
    /// How many lie there.
    #[serde(default = "one")]
    pub count: u32,
    /// Time until a taken one lies there again, s.
    #[serde(default = "a_minute")]
    pub respawn_seconds: u64,
}

fn one() -> u32 {
    1
}

fn a_minute() -> u64 {
    60
}

/// A kind of item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemKind {
    /// For people.
    pub name: Key,
    /// Whether equal ones share a stack.
    #[serde(default = "yes")]
    pub stackable: bool,
    /// What using one does, and that it is then gone; none: it cannot be used.
    #[serde(default)]
    pub on_use: Option<UseEffect>,
    /// Time until one of its kind or group can be used again, ms; none: `rules.item_cooldown_ms`.
    #[serde(default)]
    pub cooldown_ms: Option<u64>,
    /// What it shares its cooldown with: all items that name the same group; none: its own kind.
    #[serde(default)]
    pub cooldown_group: Option<Key>,
}

fn yes() -> bool {
    true
}

/// What using an item does to its user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "effect", rename_all = "snake_case")]
pub enum UseEffect {
    /// Gives health.
    Heal {
        /// How much.
        amount: u32,
    },
    /// Gives power.
    Power {
        /// How much.
        amount: u32,
    },
}

/// A kind of skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkillKind {
    /// For people.
    pub name: Key,
    /// Power it costs.
    #[serde(default)]
    pub cost: u32,
    /// How far its target may be, m; 0: oneself only.
    #[serde(default)]
    pub reach: f32,
    /// Time until it can be used again, ms.
    pub cooldown_ms: u64,
    /// Level needed.
    #[serde(default = "one")]
    pub level: u32,
    /// What it does.
    pub effect: SkillEffect,
}

/// What a skill does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum SkillEffect {
    /// Hurts the target.
    Damage {
        /// At level 0.
        amount: u32,
        /// Added per level.
        #[serde(default)]
        per_level: u32,
    },
    /// Hurts everything hostile around the caster.
    Burst {
        /// At level 0.
        amount: u32,
        /// Added per level.
        #[serde(default)]
        per_level: u32,
        /// How far, m.
        radius: f32,
    },
    /// Gives the target (oneself or another player) health.
    Heal {
        /// At level 0.
        amount: u32,
        /// Added per level.
        #[serde(default)]
        per_level: u32,
    },
    /// Makes the caster faster for a while.
    Haste {
        /// Speed is multiplied by this, 1 to 3.
        factor: f32,
        /// How long, ms.
        millis: u64,
    },
}

impl SkillEffect {
    /// Whether using it is fighting.
    pub fn hurts(&self) -> bool {
        match self {
            SkillEffect::Damage { .. } | SkillEffect::Burst { .. } => true,
            SkillEffect::Heal { .. } | SkillEffect::Haste { .. } => false,
        }
    }

    /// Whether it is used on somebody, who must be in reach; else its user is its centre.
    pub fn is_aimed(&self) -> bool {
        match self {
            SkillEffect::Damage { .. } | SkillEffect::Heal { .. } => true,
            SkillEffect::Burst { .. } | SkillEffect::Haste { .. } => false,
        }
    }
}

/// A kind of NPC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpcKind {
    /// For people.
    pub name: Key,
    /// Its level.
    pub level: u32,
    /// Its full health.
    pub health: u32,
    /// Damage of one blow; 0: it never fights.
    #[serde(default)]
    pub damage: u32,
    /// Time between its blows, ms.
    #[serde(default = "npc_cooldown")]
    pub attack_cooldown_ms: u64,
    /// How far its blows reach, m.
    #[serde(default = "npc_reach")]
    pub reach: f32,
    /// Speed on patrol, m/s.
    #[serde(default = "npc_walk")]
    pub walk_speed: f32,
    /// Speed in a chase, m/s.
    #[serde(default = "npc_run")]
    pub run_speed: f32,
    /// How near a player must come to be attacked, m; 0: it only strikes back.
    #[serde(default)]
    pub notice_radius: f32,
    /// How far from home it follows, m.
    #[serde(default = "npc_leash")]
    pub leash: f32,
    /// Experience for its killers, divided by what each did.
    #[serde(default)]
    pub experience: u64,
    /// Gold for its killers: least and most.
    #[serde(default)]
    pub gold: [u64; 2],
    /// What it may drop.
    #[serde(default)]
    pub loot: Vec<LootEntry>,
    /// Time until it lives again, s.
    #[serde(default = "npc_respawn")]
    pub respawn_seconds: u64,
}

fn npc_cooldown() -> u64 {
    1_500
}
fn npc_reach() -> f32 {
    2.5
}
fn npc_walk() -> f32 {
    2.0
}
fn npc_run() -> f32 {
    4.0
}
fn npc_leash() -> f32 {
    40.0
}
fn npc_respawn() -> u64 {
    30
}

/// One line of an NPC's loot table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LootEntry {
    /// Key of `[items]`.
    pub item: Key,
    /// Probability, 0 to 1.
    pub chance: f64,
    /// Fewest and most.
    #[serde(default = "one_each")]
    pub quantity: [u32; 2],
}

fn one_each() -> [u32; 2] {
    [1, 1]
}

/// A kind of quest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestKind {
    /// For people.
    pub name: Key,
    /// Level needed to accept it.
    #[serde(default = "one")]
    pub level: u32,
    /// What must be done, in any order.
    pub goals: Vec<Goal>,
    /// What the doer gets.
    #[serde(default)]
    pub reward: Reward,
}

/// One thing to do for a quest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum Goal {
    /// Kill NPCs of a kind.
    Kill {
        /// Key of `[npcs]`.
        npc: Key,
        /// How many.
        count: u32,
    },
    /// Pick up items of a kind while the quest is active (they stay one's own).
    Collect {
        /// Key of `[items]`.
        item: Key,
        /// How many.
        count: u32,
    },
    /// Go to a place.
    Visit {
        /// The zone it is in.
        zone: ZoneId,
        /// The place.
        at: Point,
        /// How near, m.
        radius: f32,
    },
}

/// What a quest gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Reward {
    /// Experience.
    pub experience: u64,
    /// Gold.
    pub gold: u64,
    /// Items: kind → quantity.
    pub items: BTreeMap<Key, u32>,
}

impl Content {
    /// The default world as its file says it, comments included.
    pub const STANDARD: &str = include_str!("default_world.toml");

    /// The default world.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    #[expect(clippy::expect_used, reason = "the text is part of the program and tested")]
    pub fn standard() -> Self {
        toml::from_str(Self::STANDARD).expect("the default world is well-formed")
    }

    /// The zone that owns the point.
    pub fn zone_at(&self, point: Point) -> Option<&ZoneKind> {
        self.zones.iter().find(|zone| zone.bounds.contains(point))
    }

    /// The zone with that number.
    pub fn zone(&self, id: ZoneId) -> Option<&ZoneKind> {
        self.zones.iter().find(|zone| zone.id == id)
    }

    /// The zones whose bounds come within `reach` metres of `point`, itself included.
    pub fn zones_near(&self, point: Point, reach: f32) -> impl Iterator<Item = &ZoneKind> {
        self.zones.iter().filter(move |zone| zone.bounds.distance(point) <= reach)
    }
}
