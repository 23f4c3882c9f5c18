//! Blows and spells over a border: the striker's zone has checked and spent what is the striker's,
//! the zone that owns the target decides.
//!
//! A strike is in one place only. A zone that does not have its target passes it on, to where the
//! target has gone or to the next zone in reach, and the last one refuses it: so it hits once or is
//! refused once, wherever its target walks meanwhile.

use crate::ids::{EntityId, Key, ZoneId};
use crate::world::World;
use crate::world::combat::Striker;
use crate::world::command::{Effect, Refusal, Strike};
use crate::world::content::SkillEffect;
use crate::world::entity::{Body, Handle};
use crate::world::rules::grown;

/// How often a strike is passed on: to each of three neighbours at a corner, and after a target
/// that crosses two borders meanwhile.
const PASSES: u32 = 5;

impl World {
    /// Sends a blow over the border, to the first of `zones`. The striker has paid for it already.
    pub(super) fn strike_beyond(
        &mut self,
        handle: Handle,
        striker: &Striker,
        mut zones: Vec<ZoneId>,
        target: EntityId,
        skill: Option<Key>,
        request: u64,
    ) {
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(attacker) = entity.player_id().filter(|_| !zones.is_empty()) else { return };
        let zone = zones.remove(0);
        let strike = Strike {
            attacker,
            attacker_name: entity.appearance.name.clone(),
            from_zone: self.zone,
            level: striker.level,
            guild: striker.guild.clone(),
            at: striker.at,
            target,
            skill,
            from_pvp: striker.open,
            request,
            ask_next: zones,
            passes: PASSES,
        };
        self.effects.push(Effect::Strike { zone, strike: Box::new(strike) });
    }

    /// A neighbour's player strikes something that may be here.
    pub(super) fn on_strike(&mut self, strike: Strike) {
        let victim = self.entities.handle(strike.target);
        let body = victim.and_then(|handle| self.entities.get(handle)).map(|entity| &entity.body);
        let decided = match (victim, body) {
            (_, Some(Body::Ghost(ghost))) => {
                let to = ghost.to;
                return self.pass_on(strike, Some(to));
            }
            (Some(victim), Some(_)) => self.decide_strike(&strike, victim),
            _ => return self.pass_on(strike, None),
        };
        if let Err(refusal) = decided {
            self.refuse_strike(&strike, refusal);
        }
    }

    /// The target is not here: it went `to`, or is where nobody has looked yet.
    fn pass_on(&mut self, mut strike: Strike, to: Option<ZoneId>) {
        let next = to.or_else(|| strike.ask_next.first().copied());
        let Some(zone) = next.filter(|zone| *zone != self.zone && strike.passes > 0) else {
            return self.refuse_strike(&strike, Refusal::NoSuchTarget);
        };
        strike.ask_next.retain(|other| *other != zone && *other != self.zone);
        strike.passes -= 1;
        self.effects.push(Effect::Strike { zone, strike: Box::new(strike) });
    }

    fn refuse_strike(&mut self, strike: &Strike, refusal: Refusal) {
        let (zone, player, request) = (strike.from_zone, strike.attacker, strike.request);
        if zone == self.zone {
            return self.refuse(player, request, refusal);
        }
        self.effects.push(Effect::StrikeRefused { zone, player, request, refusal });
    }

    fn decide_strike(&mut self, strike: &Strike, victim: Handle) -> Result<(), Refusal> {
        let content = self.content.clone();
        let skill = match &strike.skill {
            Some(key) => Some((key, content.skills.get(key).ok_or(Refusal::NoSuchSkill)?)),
            None => None,
        };
        let striker = Striker {
            id: strike.attacker.into(),
            zone: strike.from_zone,
            level: strike.level,
            guild: strike.guild.clone(),
            at: strike.at,
            open: strike.from_pvp,
        };
        let reach = skill.map_or(content.rules.attack_reach, |(_, skill)| skill.reach);
        // The blow was under way for a moment: what was in reach at either end of it counts.
        self.check_reach(strike.at, victim, reach, Some((0, 0)))
            .or_else(|_| self.check_reach(strike.at, victim, reach, None))?;
        let Some((key, skill)) = skill else {
            self.check_victim(&striker, victim)?;
            self.blow(&striker, victim, content.rules.attack_damage(striker.level));
            return Ok(());
        };
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
}
