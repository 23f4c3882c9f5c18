//! Skills: what they cost, whom they reach and what they do.
//!
//! A skill is paid for when every check that its user's zone can make has passed.

use crate::ids::{EntityId, Key};
use crate::tick::Tick;
use crate::world::World;
use crate::world::combat::Striker;
use crate::world::command::Refusal;
use crate::world::content::{SkillEffect, SkillKind};
use crate::world::entity::{Entity, Handle};
use crate::world::event::EventKind;
use crate::world::rules::grown;
use crate::world::target::Target;
use crate::world::timer::{ready_at, wait_until};

/// How far something may have gone since the index of a tick was built, m.
const DRIFT: f32 = 8.0;

impl World {
    /// A player uses a skill.
    pub(super) fn on_skill(
        &mut self,
        handle: Handle,
        request: u64,
        key: &Key,
        target: Option<EntityId>,
        seen: Option<(u64, u32)>,
    ) -> Result<(), Refusal> {
        let content = self.content.clone();
        let skill = content.skills.get(key).ok_or(Refusal::NoSuchSkill)?;
        let caster = self.striker(handle)?;
        self.check_payment(handle, key, skill)?;
        let target = target.unwrap_or(caster.id);
        match skill.effect {
            SkillEffect::Burst { amount, per_level, radius } => {
                self.pay(handle, key, skill);
                self.takes_sides(handle, &caster, skill, caster.id);
                self.burst(&caster, handle, key, grown(amount, per_level, caster.level), radius);
            }
            SkillEffect::Haste { factor, millis } => {
                self.pay(handle, key, skill);
                let until = self.tick.after_millis(millis);
                self.begin_haste(handle, until, factor);
                self.tell_skill(&caster, key, caster.id, 0);
            }
            SkillEffect::Damage { .. } if target == caster.id => {
                return Err(Refusal::NotAllowed("that is yourself"));
            }
            SkillEffect::Damage { .. } | SkillEffect::Heal { .. } => {
                if target != caster.id && skill.reach <= 0.0 {
                    return Err(Refusal::NotAllowed("that works on yourself only"));
                }
                if target == caster.id {
                    return self.cast(&caster, handle, key, skill, handle);
                }
                match self.find_target(&caster, target, skill.reach, seen)? {
                    Target::Here(there) => self.cast(&caster, handle, key, skill, there)?,
                    Target::Beyond(zones) => {
                        self.pay(handle, key, skill);
                        self.takes_sides(handle, &caster, skill, target);
                        let key = Some(key.clone());
                        self.strike_beyond(handle, &caster, zones, target, key, request);
                    }
                }
            }
        }
        Ok(())
    }

    /// Uses a skill on something that is here and in reach.
    fn cast(
        &mut self,
        caster: &Striker,
        handle: Handle,
        key: &Key,
        skill: &SkillKind,
        target: Handle,
    ) -> Result<(), Refusal> {
        let Some(id) = self.entities.get(target).map(|entity| entity.id) else { return Ok(()) };
        match skill.effect {
            SkillEffect::Damage { amount, per_level } => {
                self.check_victim(caster, target)?;
                self.pay(handle, key, skill);
                self.takes_sides(handle, caster, skill, id);
                self.spell(caster, key, target, grown(amount, per_level, caster.level));
            }
            SkillEffect::Heal { amount, per_level } => {
                self.check_patient(target)?;
                self.pay(handle, key, skill);
                self.takes_sides(handle, caster, skill, id);
                self.mend(caster, key, target, grown(amount, per_level, caster.level));
            }
            SkillEffect::Burst { .. } | SkillEffect::Haste { .. } => {
                return Err(Refusal::NotAllowed("that is not used on others"));
            }
        }
        Ok(())
    }

    /// Whoever hurts fights; whoever helps another is protected no more, as it could help a fighter
    /// from safety.
    fn takes_sides(&mut self, handle: Handle, caster: &Striker, skill: &SkillKind, on: EntityId) {
        match skill.effect {
            SkillEffect::Damage { .. } | SkillEffect::Burst { .. } => {
                self.strikes(handle, caster.open && on != caster.id && on.player().is_some());
            }
            SkillEffect::Heal { .. } if on != caster.id => {
                if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
                    player.protected_until = Tick(0);
                }
            }
            SkillEffect::Heal { .. } | SkillEffect::Haste { .. } => {}
        }
    }

    fn check_payment(&self, handle: Handle, key: &Key, skill: &SkillKind) -> Result<(), Refusal> {
        let Some(entity) = self.entities.get(handle) else { return Ok(()) };
        let Some(player) = entity.player() else { return Ok(()) };
        if entity.appearance.level < skill.level {
            return Err(Refusal::LevelTooLow(skill.level));
        }
        self.check_ready(ready_at(&player.skills_ready, key))?;
        if player.power < skill.cost {
            return Err(Refusal::NotEnoughPower);
        }
        Ok(())
    }

    fn pay(&mut self, handle: Handle, key: &Key, skill: &SkillKind) {
        let now = self.tick;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let id = entity.player_id();
        let Some(player) = entity.player_mut() else { return };
        player.power = player.power.saturating_sub(skill.cost);
        player.unsaved = true;
        wait_until(&mut player.skills_ready, key, now.after_millis(skill.cooldown_ms), now);
        if let Some(id) = id {
            self.count(id, "skills_used", 1);
        }
    }

    /// Hurts one with a skill that has been allowed.
    pub(super) fn spell(&mut self, caster: &Striker, key: &Key, victim: Handle, amount: u32) {
        let Some(entity) = self.entities.get(victim) else { return };
        let (target, damage) = (entity.id, amount.min(entity.appearance.health));
        self.tell_skill(caster, key, target, damage);
        self.hurt(caster, victim, amount);
    }

    /// Gives one health with a skill that has been allowed.
    pub(super) fn mend(&mut self, caster: &Striker, key: &Key, patient: Handle, amount: u32) {
        let Some(entity) = self.entities.get_mut(patient) else { return };
        let (target, given) = (entity.id, entity.heal(amount));
        self.tell_skill(caster, key, target, given);
        if let Some(player) = caster.id.player() {
            self.count(player, "health_given", u64::from(given));
        }
    }

    /// Whether one can be given health: players that live.
    pub(super) fn check_patient(&self, patient: Handle) -> Result<(), Refusal> {
        let entity = self.entities.get(patient).ok_or(Refusal::NoSuchTarget)?;
        if entity.player().is_none() {
            return Err(Refusal::NotAllowed("only players can be healed"));
        }
        if entity.is_alive() { Ok(()) } else { Err(Refusal::TargetDead) }
    }

    /// Hurts everything around the caster that it may hurt; what is over a border is spared.
    fn burst(&mut self, caster: &Striker, handle: Handle, key: &Key, amount: u32, radius: f32) {
        self.muster_creatures();
        let mut near: Vec<Handle> = self
            .creatures_near
            .within(caster.at, radius + DRIFT)
            .map(|(there, _)| there)
            .filter(|there| *there != handle)
            .filter(|there| self.check_reach(caster.at, *there, radius, None).is_ok())
            .filter(|there| self.check_victim(caster, *there).is_ok())
            .collect();
        near.sort_unstable();
        let health = |there: &Handle| self.entities.get(*there).map_or(0, |e| e.appearance.health);
        let total: u32 =
            near.iter().map(health).map(|health| health.min(amount)).fold(0, u32::saturating_add);
        self.tell_skill(caster, key, caster.id, total);
        let player =
            |there: &Handle| self.entities.get(*there).is_some_and(|e| e.player().is_some());
        if caster.open && near.iter().any(player) {
            self.strikes(handle, true);
        }
        for victim in near {
            self.hurt(caster, victim, amount);
        }
    }

    /// Sorts everything that can be hurt into the grid, once a tick.
    fn muster_creatures(&mut self) {
        if self.creatures_at == Some(self.tick) {
            return;
        }
        self.creatures_at = Some(self.tick);
        let creatures = self.entities.iter().filter(|(_, e)| Entity::is_alive(e));
        self.creatures_near.rebuild(creatures.map(|(handle, entity)| (handle, entity.pose.at)));
    }

    fn tell_skill(&mut self, caster: &Striker, key: &Key, target: EntityId, amount: u32) {
        let (caster, at, skill) = (caster.id, caster.at, key.clone());
        self.tell(at, EventKind::SkillUse { caster, skill, target, amount });
    }
}
