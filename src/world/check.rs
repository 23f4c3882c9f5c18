//! What can be wrong with content, all of it found at once.
//!
//! Called when the configuration is read. Each problem names its key as a path into the content
//! and says what is allowed, for whoever wrote the file.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::geometry::{Point, Rect};
use crate::ids::Key;
use crate::limits::{
    COORDINATE_MAX, INVENTORY_MAX, STACK_MAX, VIEW_RADIUS, ZONE_ENTITIES_MAX, ZONE_SIDE_MAX,
};
use crate::world::content::{
    Content, Goal, ItemKind, LootEntry, NpcKind, QuestKind, Rules, SkillEffect, SkillKind,
    UseEffect, ZoneKind,
};

const AMOUNT_MAX: u32 = 1_000_000;
const MILLIS_MAX: u64 = 3_600_000;
const SECONDS_MAX: u64 = 86_400;
const SPEED: (f32, f32) = (0.1, 50.0);
/// Half of a zone's room is kept for players and loot.
const RESIDENTS_MAX: u64 = ZONE_ENTITIES_MAX as u64 / 2;
const GOALS_MAX: usize = 16;
const NAME_MAX: usize = 64;
const KEY_MAX: usize = 32;

impl Content {
    /// Every fault, each with its key and what is allowed; empty: the content can be played.
    pub fn problems(&self) -> Vec<String> {
        let mut check = Check { content: self, problems: Vec::new() };
        check.rules(&self.rules);
        check.zones();
        for (key, item) in &self.items {
            check.item(key, item);
        }
        for (key, skill) in &self.skills {
            check.skill(key, skill);
        }
        for (key, npc) in &self.npcs {
            check.npc(key, npc);
        }
        for (key, quest) in &self.quests {
            check.quest(key, quest);
        }
        check.problems
    }
}

struct Check<'a> {
    content: &'a Content,
    problems: Vec<String>,
}

impl Check<'_> {
    fn fault(&mut self, path: impl Display, wrong: impl Display) {
        self.problems.push(format!("{path}: {wrong}"));
    }

    /// NaN is in no range.
    fn range<T: PartialOrd + Display>(&mut self, path: impl Display, value: T, least: T, most: T) {
        if !(value >= least && value <= most) {
            self.fault(path, format_args!("{value} is not within {least} to {most}"));
        }
    }

    fn name(&mut self, path: impl Display, name: &str) {
        let length = name.chars().count();
        if length == 0 || length > NAME_MAX || name.chars().any(char::is_control) {
            self.fault(path, format_args!("a name has 1 to {NAME_MAX} printable characters"));
        }
    }

    /// Keys are typed as one word on the text port.
    fn key(&mut self, table: &str, key: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if key.is_empty() || key.len() > KEY_MAX || !key.chars().all(plain) {
            let wrong = format!("a key has 1 to {KEY_MAX} lower-case letters, digits or _");
            self.fault(format_args!("{table}.{key:?}"), wrong);
        }
    }

    fn known<T>(&mut self, path: impl Display, key: &Key, table: &str, kinds: &BTreeMap<Key, T>) {
        if !kinds.contains_key(key) {
            self.fault(path, format_args!("there is no [{table}.{key}]"));
        }
    }

    fn stacks(&mut self, path: &str, items: &BTreeMap<Key, u32>) {
        let mut stacks = 0;
        for (key, quantity) in items {
            self.known(format_args!("{path}.{key}"), key, "items", &self.content.items);
            self.range(format_args!("{path}.{key}"), *quantity, 1, STACK_MAX);
            let shared = self.content.items.get(key).is_none_or(|item| item.stackable);
            stacks += if shared { 1 } else { *quantity as usize };
        }
        if stacks > INVENTORY_MAX {
            self.fault(path, format_args!("{stacks} stacks; an inventory holds {INVENTORY_MAX}"));
        }
    }

    fn rules(&mut self, rules: &Rules) {
        self.range("rules.player_speed", rules.player_speed, SPEED.0, SPEED.1);
        self.range("rules.movement_debt_ms", rules.movement_debt_ms, 0, 5_000);
        self.range("rules.corrections_before_kick", rules.corrections_before_kick, 1, 1_000);
        self.range("rules.attack_reach", rules.attack_reach, 0.1, VIEW_RADIUS);
        self.range("rules.attack_cooldown_ms", rules.attack_cooldown_ms, 0, MILLIS_MAX);
        self.range("rules.attack_damage", rules.attack_damage, 0, AMOUNT_MAX);
        self.range("rules.attack_damage_per_level", rules.attack_damage_per_level, 0, AMOUNT_MAX);
        self.range("rules.lag_compensation_ms", rules.lag_compensation_ms, 0, 1_000);
        self.range("rules.base_health", rules.base_health, 1, AMOUNT_MAX);
        self.range("rules.health_per_level", rules.health_per_level, 0, AMOUNT_MAX);
        self.range("rules.base_power", rules.base_power, 0, AMOUNT_MAX);
        self.range("rules.power_per_level", rules.power_per_level, 0, AMOUNT_MAX);
        self.range("rules.regeneration", rules.regeneration, 0.0, 1.0);
        self.range("rules.combat_seconds", rules.combat_seconds, 0, SECONDS_MAX);
        self.range("rules.experience_base", rules.experience_base, 1, 1_000_000_000);
        self.range("rules.experience_gap", rules.experience_gap, 0, 1_000);
        self.range("rules.share_min", rules.share_min, 0.0, 1.0);
        self.range("rules.level_max", rules.level_max, 1, 1_000);
        self.range("rules.respawn_ms", rules.respawn_ms, 0, MILLIS_MAX);
        let protection = rules.spawn_protection_ms;
        self.range("rules.spawn_protection_ms", protection, 0, MILLIS_MAX);
        self.range("rules.item_cooldown_ms", rules.item_cooldown_ms, 0, MILLIS_MAX);
        self.range("rules.loot_seconds", rules.loot_seconds, 1, SECONDS_MAX);
        self.range("rules.loot_owner_seconds", rules.loot_owner_seconds, 0, SECONDS_MAX);
        self.range("rules.pick_up_reach", rules.pick_up_reach, 0.1, VIEW_RADIUS);
        self.range("rules.pvp_level_min", rules.pvp_level_min, 0, 1_000);
        self.stacks("rules.starting_items", &rules.starting_items);
    }

    fn zones(&mut self) {
        let zones = &self.content.zones;
        if zones.is_empty() {
            self.fault("zones", "a world has at least one");
        }
        for (index, zone) in zones.iter().enumerate() {
            for (other, before) in zones[..index].iter().enumerate() {
                if before.id == zone.id {
                    let wrong = format!("{} is the id of zones[{other}] too", zone.id);
                    self.fault(format_args!("zones[{index}].id"), wrong);
                }
                if before.bounds.overlaps(&zone.bounds) {
                    let wrong = format!("overlap those of zones[{other}] ({})", before.name);
                    self.fault(format_args!("zones[{index}].bounds"), wrong);
                }
            }
            self.zone(&format!("zones[{index}]"), zone);
        }
    }

    fn zone(&mut self, path: &str, zone: &ZoneKind) {
        self.range(format_args!("{path}.id"), zone.id.0, 1, u16::MAX);
        self.name(format_args!("{path}.name"), &zone.name);
        let Rect { min_x, min_y, max_x, max_y } = zone.bounds;
        for (edge, value) in
            [("min_x", min_x), ("min_y", min_y), ("max_x", max_x), ("max_y", max_y)]
        {
            let path = format_args!("{path}.bounds.{edge}").to_string();
            self.range(path, value, -COORDINATE_MAX, COORDINATE_MAX);
        }
        self.range(format_args!("{path}.bounds (width)"), max_x - min_x, 1.0, ZONE_SIDE_MAX);
        self.range(format_args!("{path}.bounds (height)"), max_y - min_y, 1.0, ZONE_SIDE_MAX);
        self.inside(format_args!("{path}.spawn"), zone.spawn, zone);
        let mut residents = 0;
        for (index, spawn) in zone.npcs.iter().enumerate() {
            let path = format!("{path}.npcs[{index}]");
            self.known(format_args!("{path}.kind"), &spawn.kind, "npcs", &self.content.npcs);
            self.group(&path, spawn.at, spawn.radius, spawn.count, zone);
            for (stop, at) in spawn.patrol.iter().enumerate() {
                self.inside(format_args!("{path}.patrol[{stop}]"), *at, zone);
            }
            residents += u64::from(spawn.count);
        }
        for (index, spawn) in zone.items.iter().enumerate() {
            let path = format!("{path}.items[{index}]");
            self.known(format_args!("{path}.kind"), &spawn.kind, "items", &self.content.items);
            self.group(&path, spawn.at, spawn.radius, spawn.count, zone);
            let seconds = spawn.respawn_seconds;
            self.range(format_args!("{path}.respawn_seconds"), seconds, 1, SECONDS_MAX);
            residents += u64::from(spawn.count);
        }
        if residents > RESIDENTS_MAX {
            let wrong = format!("{residents} NPCs and items; a zone takes {RESIDENTS_MAX}");
            self.fault(path, wrong);
        }
    }

    fn group(&mut self, path: &str, at: Point, radius: f32, count: u32, zone: &ZoneKind) {
        self.inside(format_args!("{path}.at"), at, zone);
        self.range(format_args!("{path}.radius"), radius, 0.0, ZONE_SIDE_MAX);
        self.range(format_args!("{path}.count"), count, 1, RESIDENTS_MAX as u32);
    }

    fn inside(&mut self, path: impl Display, at: Point, zone: &ZoneKind) {
        if !zone.bounds.contains(at) {
            let wrong = format!("({}, {}) is outside the bounds of {}", at.x, at.y, zone.name);
            self.fault(path, wrong);
        }
    }

    fn item(&mut self, key: &Key, item: &ItemKind) {
        self.key("items", key);
        self.name(format_args!("items.{key}.name"), &item.name);
        match item.on_use {
            None => {}
            Some(UseEffect::Heal { amount } | UseEffect::Power { amount }) => {
                self.range(format_args!("items.{key}.on_use.amount"), amount, 1, AMOUNT_MAX);
            }
        }
        if let Some(millis) = item.cooldown_ms {
            self.range(format_args!("items.{key}.cooldown_ms"), millis, 0, MILLIS_MAX);
        }
        if let Some(group) = &item.cooldown_group {
            self.key(&format!("items.{key}.cooldown_group"), group);
        }
    }

    fn skill(&mut self, key: &Key, skill: &SkillKind) {
        self.key("skills", key);
        let path = format!("skills.{key}");
        self.name(format_args!("{path}.name"), &skill.name);
        self.range(format_args!("{path}.cost"), skill.cost, 0, AMOUNT_MAX);
        self.range(format_args!("{path}.cooldown_ms"), skill.cooldown_ms, 0, MILLIS_MAX);
        self.range(format_args!("{path}.level"), skill.level, 1, self.content.rules.level_max);
        if skill.effect.is_aimed() {
            let least = if skill.effect.hurts() { 0.1 } else { 0.0 };
            self.range(format_args!("{path}.reach"), skill.reach, least, VIEW_RADIUS);
        } else if skill.reach != 0.0 {
            let wrong = "a burst or haste is used where one stands: it has no reach";
            self.fault(format_args!("{path}.reach"), wrong);
        }
        match skill.effect {
            SkillEffect::Damage { amount, per_level } | SkillEffect::Heal { amount, per_level } => {
                self.strength(&path, amount, per_level);
            }
            SkillEffect::Burst { amount, per_level, radius } => {
                self.strength(&path, amount, per_level);
                self.range(format_args!("{path}.effect.radius"), radius, 0.1, VIEW_RADIUS);
            }
            SkillEffect::Haste { factor, millis } => {
                self.range(format_args!("{path}.effect.factor"), factor, 1.0, 3.0);
                self.range(format_args!("{path}.effect.millis"), millis, 1, MILLIS_MAX);
            }
        }
    }

    fn strength(&mut self, path: &str, amount: u32, per_level: u32) {
        self.range(format_args!("{path}.effect.amount"), amount, 0, AMOUNT_MAX);
        self.range(format_args!("{path}.effect.per_level"), per_level, 0, AMOUNT_MAX);
    }

    fn npc(&mut self, key: &Key, npc: &NpcKind) {
        self.key("npcs", key);
        let path = format!("npcs.{key}");
        self.name(format_args!("{path}.name"), &npc.name);
        self.range(format_args!("{path}.level"), npc.level, 1, 1_000);
        self.range(format_args!("{path}.health"), npc.health, 1, AMOUNT_MAX);
        self.range(format_args!("{path}.damage"), npc.damage, 0, AMOUNT_MAX);
        let cooldown = npc.attack_cooldown_ms;
        self.range(format_args!("{path}.attack_cooldown_ms"), cooldown, 50, MILLIS_MAX);
        self.range(format_args!("{path}.reach"), npc.reach, 0.1, VIEW_RADIUS);
        self.range(format_args!("{path}.walk_speed"), npc.walk_speed, SPEED.0, SPEED.1);
        self.range(format_args!("{path}.run_speed"), npc.run_speed, SPEED.0, SPEED.1);
        self.range(format_args!("{path}.notice_radius"), npc.notice_radius, 0.0, 200.0);
        self.range(format_args!("{path}.leash"), npc.leash, 1.0, 1_000.0);
        let most = u64::from(AMOUNT_MAX);
        self.range(format_args!("{path}.experience"), npc.experience, 0, most);
        self.range(format_args!("{path}.gold[1]"), npc.gold[1], 0, most);
        self.range(format_args!("{path}.gold[0]"), npc.gold[0], 0, npc.gold[1]);
        let seconds = npc.respawn_seconds;
        self.range(format_args!("{path}.respawn_seconds"), seconds, 1, SECONDS_MAX);
        for (index, entry) in npc.loot.iter().enumerate() {
            self.loot(&format!("{path}.loot[{index}]"), entry);
        }
    }

    fn loot(&mut self, path: &str, entry: &LootEntry) {
        let [fewest, most] = entry.quantity;
        self.known(format_args!("{path}.item"), &entry.item, "items", &self.content.items);
        self.range(format_args!("{path}.chance"), entry.chance, 0.0, 1.0);
        self.range(format_args!("{path}.quantity[1]"), most, 1, STACK_MAX);
        self.range(format_args!("{path}.quantity[0]"), fewest, 1, most);
    }

    fn quest(&mut self, key: &Key, quest: &QuestKind) {
        self.key("quests", key);
        let path = format!("quests.{key}");
        self.name(format_args!("{path}.name"), &quest.name);
        self.range(format_args!("{path}.level"), quest.level, 1, self.content.rules.level_max);
        self.range(format_args!("{path}.goals (number)"), quest.goals.len(), 1, GOALS_MAX);
        let most = u64::from(AMOUNT_MAX);
        self.range(format_args!("{path}.reward.experience"), quest.reward.experience, 0, most);
        self.range(format_args!("{path}.reward.gold"), quest.reward.gold, 0, most);
        self.stacks(&format!("{path}.reward.items"), &quest.reward.items);
        for (index, goal) in quest.goals.iter().enumerate() {
            self.goal(&format!("{path}.goals[{index}]"), goal);
        }
    }

    fn goal(&mut self, path: &str, goal: &Goal) {
        let content = self.content;
        match goal {
            Goal::Kill { npc, count } => {
                self.known(format_args!("{path}.npc"), npc, "npcs", &content.npcs);
                self.range(format_args!("{path}.count"), *count, 1, AMOUNT_MAX);
                if content.npcs.get(npc).is_some_and(|kind| kind.damage == 0) {
                    let wrong = format!("{npc} has no damage, so nobody can strike it");
                    self.fault(format_args!("{path}.npc"), wrong);
                }
            }
            Goal::Collect { item, count } => {
                self.known(format_args!("{path}.item"), item, "items", &content.items);
                self.range(format_args!("{path}.count"), *count, 1, AMOUNT_MAX);
            }
            Goal::Visit { zone, at, radius } => {
                self.range(format_args!("{path}.radius"), *radius, 0.1, ZONE_SIDE_MAX);
                match content.zone(*zone) {
                    Some(zone) => self.inside(format_args!("{path}.at"), *at, zone),
                    None => {
                        let wrong = format!("there is no zone {zone}");
                        self.fault(format_args!("{path}.zone"), wrong);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ZoneId;

    #[test]
    fn the_default_world_has_no_problem() {
        assert_eq!(Content::standard().problems(), Vec::<String>::new());
    }

    #[test]
    fn the_default_world_says_every_rule() {
        let said: toml::Table = toml::from_str(Content::STANDARD).unwrap();
        let known = toml::Table::try_from(Content::standard()).unwrap();
        let keys = |table: &toml::Table| -> Vec<String> {
            table["rules"].as_table().unwrap().keys().cloned().collect()
        };
        assert_eq!(keys(&said), keys(&known));
        let standard = Content::standard().rules;
        let starting_items = standard.starting_items.clone();
        assert_eq!(standard, Rules { starting_items, ..Rules::default() });
    }

    #[test]
    fn the_default_world_holds_every_kind_of_thing() {
        let world = Content::standard();
        let skill = |test: fn(&SkillEffect) -> bool| world.skills.values().any(|s| test(&s.effect));
        assert!(skill(|e| matches!(e, SkillEffect::Damage { .. })));
        assert!(skill(|e| matches!(e, SkillEffect::Burst { .. })));
        assert!(skill(|e| matches!(e, SkillEffect::Heal { .. })));
        assert!(skill(|e| matches!(e, SkillEffect::Haste { .. })));
        let goal = |test: fn(&Goal) -> bool| world.quests.values().flat_map(|q| &q.goals).any(test);
        assert!(goal(|g| matches!(g, Goal::Kill { .. })));
        assert!(goal(|g| matches!(g, Goal::Collect { .. })));
        assert!(goal(|g| matches!(g, Goal::Visit { .. })));
        assert!(world.zones.len() >= 4 && world.zones.iter().any(|zone| zone.pvp));
        for (index, zone) in world.zones.iter().enumerate() {
            let Rect { min_x, min_y, max_x, max_y } = zone.bounds;
            let wider = Rect {
                min_x: min_x - 1.0,
                min_y: min_y - 1.0,
                max_x: max_x + 1.0,
                max_y: max_y + 1.0,
            };
            let touches = |other: &ZoneKind| wider.overlaps(&other.bounds);
            let others = world.zones.iter().enumerate().filter(|(other, _)| *other != index);
            assert!(others.map(|(_, zone)| zone).any(touches), "{} has neighbours", zone.name);
        }
    }

    #[test]
    fn every_fault_is_found_at_once_with_its_key() {
        let mut world = Content::standard();
        world.rules.player_speed = f32::NAN;
        world.rules.starting_items.insert("gun".into(), 1);
        world.zones[1].id = ZoneId(1);
        world.zones[1].bounds.min_x -= 50.0;
        world.zones[2].spawn.y = f32::INFINITY;
        world.zones[3].bounds.max_x = 20_000.0;
        world.zones[0].npcs[0].kind = "dragon".into();
        world.zones[0].npcs[1].count = 0;
        world.npcs.get_mut("wolf").unwrap().loot[0].chance = 1.5;
        world.npcs.get_mut("boar").unwrap().run_speed = 0.0;
        world.npcs.get_mut("ogre").unwrap().gold = [5, 4];
        world.skills.get_mut("sprint").unwrap().reach = 3.0;
        world.skills.get_mut("sprint").unwrap().effect =
            SkillEffect::Haste { factor: 9.0, millis: 1 };
        world.quests.get_mut("wolf_hunt").unwrap().goals[0] =
            Goal::Kill { npc: "villager".into(), count: 0 };
        let mut key_with_space = world.items["wolf_pelt"].clone();
        key_with_space.name = "".into();
        world.items.insert("a b".into(), key_with_space);
        let problems = world.problems();
        for path in [
            "rules.player_speed: NaN is not within 0.1 to 50",
            "rules.starting_items.gun: there is no [items.gun]",
            "zones[1].id: 1 is the id of zones[0] too",
            "zones[1].bounds: overlap those of zones[0] (Meadow)",
            "zones[2].spawn: (0, inf) is outside the bounds of Highlands",
            "zones[3].bounds (width): 20200 is not within 1 to 10485",
            "zones[0].npcs[0].kind: there is no [npcs.dragon]",
            "zones[0].npcs[1].count: 0 is not within",
            "npcs.wolf.loot[0].chance: 1.5 is not within 0 to 1",
            "npcs.boar.run_speed: 0 is not within",
            "npcs.ogre.gold[0]: 5 is not within 0 to 4",
            "skills.sprint.reach: a burst or haste",
            "skills.sprint.effect.factor: 9 is not within 1 to 3",
            "quests.wolf_hunt.goals[0].count: 0 is not within",
            "quests.wolf_hunt.goals[0].npc: villager has no damage",
            "items.\"a b\": a key has",
            "items.a b.name: a name has",
        ] {
            assert!(problems.iter().any(|p| p.starts_with(path)), "{path} in {problems:#?}");
        }
    }

    #[test]
    fn an_empty_world_is_no_world() {
        assert_eq!(Content::default().problems(), ["zones: a world has at least one"]);
    }
}
