//! Blows: who may strike whom, from how far, for how much, and what a death brings.
//!
//! Everything is computed here and nothing is believed. What a player strikes beyond the border is
//! decided by the zone that owns it; the striker's zone has checked and spent what is the
//! striker's.

use crate::geometry::Point;
use crate::ids::{EntityId, GuildId, PlayerId, ZoneId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Credit, Effect, GuildTag, Refusal, Strike};
use crate::world::content::SkillEffect;
use crate::world::entity::{AppearanceChange, Body, Entity, Handle};
use crate::world::event::EventKind;
use crate::world::rules::grown;

/// Whoever strikes, from here or over the border, as far as the victim's side must know.
#[derive(Debug, Clone)]
pub(super) struct Striker {
    pub id: EntityId,
    /// The zone that owns it.
    pub zone: ZoneId,
    pub level: u32,
    pub guild: Option<GuildTag>,
    pub at: Point,
    /// Whether it stands in a PvP zone.
    pub pvp: bool,
}

/// Where a target is.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    Here(Handle),
    /// In one of these zones, if anywhere.
    Beyond(Vec<ZoneId>),
}

impl World {
    /// A player strikes.
    pub(super) fn on_attack(
        &mut self,
        handle: Handle,
        request: u64,
        target: EntityId,
        seen: Option<(u64, u32)>,
    ) -> Result<(), Refusal> {
        let striker = self.striker(handle)?;
        let content = self.content.clone();
        let ready = self.entities.get(handle).and_then(Entity::player).map(|p| p.attack_ready);
        self.check_ready(ready)?;
        if target == striker.id {
            return Err(Refusal::NotAllowed("that is yourself"));
        }
        let reach = content.rules.attack_reach;
        match self.find_target(&striker, target, reach)? {
            Target::Here(victim) => {
                self.check_victim(&striker, victim)?;
                self.check_reach(striker.at, victim, reach, seen)?;
                self.spend_attack(handle);
                self.blow(&striker, victim, content.rules.attack_damage(striker.level));
            }
            Target::Beyond(zones) => {
                self.spend_attack(handle);
                self.strike_beyond(handle, &striker, zones, target, None, request);
            }
        }
        Ok(())
    }

    /// A neighbour's player strikes something here.
    pub(super) fn on_strike(&mut self, strike: &Strike) {
        if let Err(refusal) = self.decide_strike(strike) {
            let reach = self.strike_reach(strike);
            // Where several zones were asked, those that don't have the target keep silent: one
            // of the others may.
            let player = strike.target.player().is_some();
            let asked = self.content.zones_near(strike.at, reach);
            let several = player && asked.filter(|zone| zone.id != strike.from_zone).count() > 1;
            if refusal == Refusal::NoSuchTarget && several {
                return;
            }
            let (zone, player, request) = (strike.from_zone, strike.attacker, strike.request);
            self.effects.push(Effect::StrikeRefused { zone, player, request, refusal });
        }
    }

    fn strike_reach(&self, strike: &Strike) -> f32 {
        let skill = strike.skill.as_ref().and_then(|key| self.content.skills.get(key));
        skill.map_or(self.content.rules.attack_reach, |skill| skill.reach)
    }

    fn decide_strike(&mut self, strike: &Strike) -> Result<(), Refusal> {
        let content = self.content.clone();
        let striker = Striker {
            id: strike.attacker.into(),
            zone: strike.from_zone,
            level: strike.level,
            guild: strike.guild.clone(),
            at: strike.at,
            pvp: strike.from_pvp,
        };
        let victim = self.entities.handle(strike.target).ok_or(Refusal::NoSuchTarget)?;
        let entity = self.entities.get(victim).ok_or(Refusal::NoSuchTarget)?;
        if matches!(entity.body, Body::Ghost(_)) {
            return Err(Refusal::NoSuchTarget);
        }
        // The blow was under way for a moment: what was in reach at either end of it counts.
        let reach = self.strike_reach(strike);
        self.check_reach(strike.at, victim, reach, None)
            .or_else(|_| self.check_reach(strike.at, victim, reach, Some((0, 0))))?;
        let Some(key) = &strike.skill else {
            self.check_victim(&striker, victim)?;
            self.blow(&striker, victim, content.rules.attack_damage(striker.level));
            return Ok(());
        };
        let skill = content.skills.get(key).ok_or(Refusal::NoSuchSkill)?;
        match skill.effect {
            SkillEffect::Damage { amount, per_level } => {
                self.check_victim(&striker, victim)?;
                self.spell(&striker, key, victim, grown(amount, per_level, striker.level));
                Ok(())
            }
            SkillEffect::Heal { amount, per_level } => {
                self.check_patient(victim)?;
                self.mend(&striker, key, victim, grown(amount, per_level, striker.level));
                Ok(())
            }
            SkillEffect::Burst { .. } | SkillEffect::Haste { .. } => {
                Err(Refusal::NotAllowed("that skill has no target"))
            }
        }
    }

    /// Sends a blow over the border. The striker has paid for it already.
    pub(super) fn strike_beyond(
        &mut self,
        handle: Handle,
        striker: &Striker,
        zones: Vec<ZoneId>,
        target: EntityId,
        skill: Option<crate::ids::Key>,
        request: u64,
    ) {
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(attacker) = entity.player_id() else { return };
        let strike = Strike {
            attacker,
            attacker_name: entity.appearance.name.clone(),
            from_zone: self.zone,
            level: striker.level,
            guild: striker.guild.clone(),
            at: striker.at,
            target,
            skill,
            from_pvp: striker.pvp,
            request,
        };
        self.effects.push(Effect::Strike { zones, strike: Box::new(strike) });
    }

    /// A player that may act as a striker.
    pub(super) fn striker(&self, handle: Handle) -> Result<Striker, Refusal> {
        let entity = self.entities.get(handle).filter(|entity| entity.is_alive());
        let entity = entity.ok_or(Refusal::Dead)?;
        Ok(Striker {
            id: entity.id,
            zone: self.zone,
            level: entity.appearance.level,
            guild: entity.appearance.guild.clone(),
            at: entity.pose.at,
            pvp: self.place.pvp,
        })
    }

    /// Whether the moment has come; `ready` none: it always has.
    pub(super) fn check_ready(&self, ready: Option<Tick>) -> Result<(), Refusal> {
        let left = self.tick.millis_until(ready.unwrap_or_default());
        if left > 0 {
            Err(Refusal::Cooldown(u32::try_from(left).unwrap_or(u32::MAX)))
        } else {
            Ok(())
        }
    }

    /// Looks for a target here and, if it can be no one's here, in the zones in reach.
    pub(super) fn find_target(
        &self,
        striker: &Striker,
        target: EntityId,
        reach: f32,
    ) -> Result<Target, Refusal> {
        if let Some(handle) = self.entities.handle(target)
            && let Some(entity) = self.entities.get(handle)
        {
            return match &entity.body {
                Body::Ghost(ghost) => Ok(Target::Beyond(vec![ghost.to])),
                _ if !entity.visible => Err(Refusal::TargetDead),
                _ => Ok(Target::Here(handle)),
            };
        }
        let player = target.player().is_some();
        let zones: Vec<ZoneId> = self
            .content
            .zones_near(striker.at, reach)
            .map(|zone| zone.id)
            .filter(|id| *id != self.zone)
            // What a zone has made says which one that was.
            .filter(|id| player || EntityId::of_zone(*id, target.0 as u32) == target)
            .collect();
        if zones.is_empty() { Err(Refusal::NoSuchTarget) } else { Ok(Target::Beyond(zones)) }
    }

    /// Whether a target is within `reach` of a striker at `from`, as the striker saw it.
    pub(super) fn check_reach(
        &self,
        from: Point,
        victim: Handle,
        reach: f32,
        seen: Option<(u64, u32)>,
    ) -> Result<(), Refusal> {
        let at = self.place_seen(victim, seen).ok_or(Refusal::NoSuchTarget)?;
        if at.distance(from) <= reach { Ok(()) } else { Err(Refusal::OutOfRange) }
    }

    /// Whether a target may be hurt by that striker at all.
    pub(super) fn check_victim(&self, striker: &Striker, victim: Handle) -> Result<(), Refusal> {
        let entity = self.entities.get(victim).ok_or(Refusal::NoSuchTarget)?;
        match &entity.body {
            Body::Item(_) => Err(Refusal::NotAllowed("that is a thing")),
            Body::Ghost(_) => Err(Refusal::NoSuchTarget),
            _ if entity.appearance.health == 0 => Err(Refusal::TargetDead),
            Body::Npc(npc) if npc.kind.damage == 0 => {
                Err(Refusal::NotAllowed("that one is peaceful"))
            }
            Body::Npc(_) => Ok(()),
            Body::Player(_) => self.check_duel(striker, entity),
        }
    }

    /// Players strike players in a guild war anywhere, else where both stand in PvP zones; and
    /// nobody below some level, but for a war in PvP zones. Never their own guild.
    fn check_duel(&self, striker: &Striker, victim: &Entity) -> Result<(), Refusal> {
        let (ours, theirs) = (&striker.guild, &victim.appearance.guild);
        let mut war = false;
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            if ours.id == theirs.id {
                return Err(Refusal::NotAllowed("that is a guild mate"));
            }
            war = self.at_war(ours.id, theirs.id);
        }
        let arena = striker.pvp && self.place.pvp;
        if !(war || arena) {
            return Err(Refusal::NotAllowed("players are safe from each other here"));
        }
        let young = striker.level.min(victim.appearance.level) < self.content.rules.pvp_level_min;
        if young && !(war && arena) {
            return Err(Refusal::NotAllowed("one of you is too young to duel"));
        }
        Ok(())
    }

    fn at_war(&self, one: GuildId, other: GuildId) -> bool {
        self.wars.contains(&(one.min(other), one.max(other)))
    }

    fn spend_attack(&mut self, handle: Handle) {
        let ready = self.tick.after_millis(self.content.rules.attack_cooldown_ms);
        let fighting = self.combat_end();
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.attack_ready = ready;
            player.combat_until = fighting;
        }
    }

    /// When somebody who fights now is at peace again.
    pub(super) fn combat_end(&self) -> Tick {
        self.tick.after_millis(self.content.rules.combat_seconds * 1000)
    }

    /// A plain blow that has been allowed.
    pub(super) fn blow(&mut self, striker: &Striker, victim: Handle, amount: u32) {
        let Some(entity) = self.entities.get(victim) else { return };
        let (target, damage) = (entity.id, amount.min(entity.appearance.health));
        self.tell(striker.at, EventKind::PlayerAttack { attacker: striker.id, target, damage });
        self.hurt(striker, victim, amount);
    }

    /// Takes health, and life if none is left. Gives what was taken.
    pub(super) fn hurt(&mut self, striker: &Striker, victim: Handle, amount: u32) -> u32 {
        let fighting = self.combat_end();
        let Some(entity) = self.entities.get_mut(victim) else { return 0 };
        let damage = amount.min(entity.appearance.health);
        let remaining = entity.appearance.health - damage;
        entity.appearance.health = remaining;
        entity.mark(AppearanceChange::Quiet);
        let (id, at, player) = (entity.id, entity.pose.at, entity.player_id());
        if let Some(player) = entity.player_mut() {
            player.combat_until = fighting;
            player.unsaved = true;
        }
        let attacker = striker.id;
        self.tell(at, EventKind::PlayerDamage { victim: id, attacker, damage, remaining });
        if let Some(player) = player {
            self.count(player, "damage_taken", u64::from(damage));
        }
        if let Some(player) = attacker.player() {
            self.count(player, "damage_dealt", u64::from(damage));
        }
        if remaining == 0 {
            self.die(striker, victim);
        } else {
            self.provoke(victim, attacker);
        }
        damage
    }

    fn die(&mut self, striker: &Striker, victim: Handle) {
        let Some(entity) = self.entities.get_mut(victim) else { return };
        entity.mark(AppearanceChange::Announce);
        let death = EventKind::PlayerDeath { victim: entity.id, killer: striker.id };
        let at = entity.pose.at;
        let npc = entity.npc().map(|npc| (npc.key.clone(), npc.kind.clone()));
        self.tell(at, death);
        let credit = match npc {
            Some((key, kind)) => {
                self.lay_down(victim);
                self.drop_loot(&kind.loot, at, striker.id.player());
                let gold = self.roll_gold(kind.gold);
                Credit { experience: kind.experience, gold, npc: Some(key) }
            }
            None => {
                self.fall(striker, victim);
                Credit { experience: 0, gold: 0, npc: None }
            }
        };
        let Some(killer) = striker.id.player() else { return };
        match self.player_handle(killer) {
            Some(handle) => self.earn(handle, &credit),
            None if striker.zone != self.zone => {
                let zone = striker.zone;
                self.effects.push(Effect::Credit { zone, player: killer, credit });
            }
            None => {}
        }
    }

    /// A player dies.
    fn fall(&mut self, striker: &Striker, victim: Handle) {
        let returns = self.tick.after_millis(self.content.rules.respawn_ms);
        let Some(entity) = self.entities.get_mut(victim) else { return };
        let guild = entity.appearance.guild.as_ref().map(|guild| guild.id);
        let Some(id) = entity.player_id() else { return };
        if let Some(player) = entity.player_mut() {
            player.respawn_at = Some(returns);
            player.destination = None;
            player.unsaved = true;
        }
        self.count(id, "deaths", 1);
        let killer_guild = striker.guild.as_ref().map(|guild| guild.id);
        if let (Some(ours), Some(theirs), Some(killer)) = (killer_guild, guild, striker.id.player())
            && self.at_war(ours, theirs)
        {
            self.war_kill((killer, ours), (id, theirs));
        }
    }

    fn war_kill(&mut self, killer: (PlayerId, GuildId), victim: (PlayerId, GuildId)) {
        let id = self.next_operation();
        self.effects.push(Effect::WarKill { id, killer, victim });
    }
}
