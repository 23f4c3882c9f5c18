//! Blows: who may strike whom, from how far, for how much, and what a death brings.
//!
//! Everything is computed here and nothing is believed. Finding the target is in `target.rs`, what
//! is struck over a border in `strike.rs`, what a kill earns in `share.rs`.

use crate::geometry::Point;
use crate::ids::{EntityId, GuildId, PlayerId, ZoneId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Credit, Effect, GuildTag, Refusal};
use crate::world::entity::{AppearanceChange, Body, Entity, Handle};
use crate::world::event::EventKind;
use crate::world::share;
use crate::world::target::Target;

/// Whoever strikes, from here or over the border, as far as the victim's side must know.
#[derive(Debug, Clone)]
pub(super) struct Striker {
    pub id: EntityId,
    /// The zone that owns it.
    pub zone: ZoneId,
    pub level: u32,
    pub guild: Option<GuildTag>,
    pub at: Point,
    /// Whether it may fight with players: it stands in a PvP zone, or did when it fought last.
    pub open: bool,
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
        match self.find_target(&striker, target, reach, seen)? {
            Target::Here(victim) => {
                self.check_victim(&striker, victim)?;
                self.spend_attack(handle, &striker, target);
                self.blow(&striker, victim, content.rules.attack_damage(striker.level));
            }
            Target::Beyond(zones) => {
                self.spend_attack(handle, &striker, target);
                self.strike_beyond(handle, &striker, zones, target, None, request);
            }
        }
        Ok(())
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
            open: self.is_open(entity),
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
            Body::Npc(npc) if npc.evades() => {
                Err(Refusal::NotAllowed("it evades: it goes home and cannot be hurt"))
            }
            Body::Npc(_) => Ok(()),
            Body::Player(_) => self.check_duel(striker, entity),
        }
    }

    /// Players strike players in a guild war anywhere, else where both stand in PvP zones or have
    /// just fought there; and nobody below some level, but for a war in PvP zones. Never their own
    /// guild, nor whom the world has just put there.
    fn check_duel(&self, striker: &Striker, victim: &Entity) -> Result<(), Refusal> {
        let (ours, theirs) = (&striker.guild, &victim.appearance.guild);
        let ours = ours.as_ref().map(|guild| guild.id);
        let theirs = theirs.as_ref().map(|guild| guild.id);
        if ours.is_some() && ours == theirs {
            return Err(Refusal::NotAllowed("that is a guild mate"));
        }
        let war = ours.zip(theirs).is_some_and(|(ours, theirs)| self.at_war(ours, theirs));
        let arena = striker.open && self.is_open(victim);
        if !(war || arena) {
            return Err(Refusal::NotAllowed("players are safe from each other here"));
        }
        let young = striker.level.min(victim.appearance.level) < self.content.rules.pvp_level_min;
        if young && !(war && arena) {
            return Err(Refusal::NotAllowed("one of you is too young to duel"));
        }
        if victim.player().is_some_and(|player| self.tick < player.protected_until) {
            return Err(Refusal::NotAllowed(
                "that one has just come and is protected for a moment",
            ));
        }
        Ok(())
    }

    /// Whether one may fight with players: here, or still from where it fought last.
    fn is_open(&self, entity: &Entity) -> bool {
        let fought = entity.player().is_some_and(|player| self.tick < player.duel_until);
        self.place.pvp || fought
    }

    fn at_war(&self, one: GuildId, other: GuildId) -> bool {
        self.wars.contains(&(one.min(other), one.max(other)))
    }

    fn spend_attack(&mut self, handle: Handle, striker: &Striker, target: EntityId) {
        let ready = self.tick.after_millis(self.content.rules.attack_cooldown_ms);
        self.strikes(handle, striker.open && target.player().is_some());
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.attack_ready = ready;
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
            let duellist = striker.id.player().is_some();
            // An animal alone does not hold a body for ever whose player has left.
            if duellist || player.leaving.is_none() {
                player.combat_until = fighting;
            }
            if striker.open && duellist {
                player.duel_until = fighting;
            }
            player.unsaved = true;
        }
        if let Some(npc) = entity.npc_mut() {
            share::remember(&mut npc.hits, striker, damage);
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
        let npc = entity
            .npc_mut()
            .map(|npc| (npc.key.clone(), npc.kind.clone(), std::mem::take(&mut npc.hits)));
        self.tell(at, death);
        if let Some((key, kind, hits)) = npc {
            self.lay_down(victim);
            return self.share_out(&key, &kind, &hits, at);
        }
        self.fall(striker, victim);
        if let Some(killer) = striker.id.player() {
            let credit = Credit { experience: 0, gold: 0, npc: None };
            self.credit(killer, striker.zone, credit);
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
            // The dead have nothing more to lose: whoever has left goes now.
            player.combat_until = Tick(0);
            player.duel_until = Tick(0);
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
