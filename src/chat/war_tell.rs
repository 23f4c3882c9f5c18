//! What is done once the store has made a change of a war: the copy in memory follows, the leader who
//! asked is answered, both sides and the zones are told. Called as `guild_tell.rs` is; nothing is
//! told here before it is in the store.

use std::time::Instant;

use super::Chat;
use super::wars::{Clocks, Declared, Side, pair, sides};
use crate::ids::{GuildId, PlayerId};
use crate::msg::Outgoing;
use crate::names::Name;
use crate::protocol::server::{self, WarTold};
use crate::store::record::{DeclarationRecord, WarRecord};
use crate::tick;

impl Chat {
    pub(super) fn on_war_declared(&mut self, record: &DeclarationRecord, by: Option<PlayerId>) {
        let now = tick::now();
        self.wars.declare(record, Clocks { now, unix: tick::unix_millis() });
        if let Some(guild) = self.guilds.get(record.attacker) {
            self.answer(by, guild, "war is declared; it begins when the notice is over");
        }
        if let Some(declared) = self.wars.declared(pair(record.attacker, record.defender)) {
            self.tell_declared(declared, now);
        }
    }

    pub(super) fn on_war_withdrawn(
        &mut self,
        ours: GuildId,
        theirs: GuildId,
        by: Option<PlayerId>,
    ) {
        self.wars.end(pair(ours, theirs), self.truce_from_now());
        if let Some(guild) = self.guilds.get(ours) {
            self.answer(by, guild, "there will be no war");
        }
        for (us, enemy) in [(ours, theirs), (theirs, ours)] {
            self.tell_side(us, enemy, |us, enemy| server::war_ended(us, enemy, 0, 0));
        }
    }

    pub(super) fn on_war_started(&mut self, ours: GuildId, war: WarRecord, by: Option<PlayerId>) {
        let sides = sides(&war);
        self.wars.start(war);
        self.tell_wars(tick::now());
        if let Some(guild) = self.guilds.get(ours) {
            self.answer(by, guild, "the war has begun");
        }
        for Side { us, enemy, .. } in sides {
            self.tell_side(us, enemy, server::war_started);
        }
    }

    pub(super) fn on_war_ended(&mut self, ours: GuildId, war: &WarRecord, by: Option<PlayerId>) {
        self.wars.end(pair(war.first, war.second), self.truce_from_now());
        self.tell_wars(tick::now());
        if let Some(guild) = self.guilds.get(ours) {
            self.answer(by, guild, "the war is over");
        }
        for Side { us, enemy, our_kills, their_kills, .. } in sides(war) {
            self.tell_side(us, enemy, |us, enemy| {
                server::war_ended(us, enemy, our_kills, their_kills)
            });
        }
    }

    pub(super) fn on_scored(
        &mut self,
        killer: (PlayerId, GuildId),
        victim: (PlayerId, GuildId),
        war: &WarRecord,
    ) {
        if !self.wars.score(war) {
            return;
        }
        let Some(war) = self.wars.get(pair(war.first, war.second)).cloned() else { return };
        let (killer, victim) = (self.member_name(killer), self.member_name(victim));
        for Side { us, enemy, our_kills, their_kills, .. } in sides(&war) {
            self.tell_side(us, enemy, |us, enemy| {
                server::war_score(us, enemy, (our_kills, their_kills), &killer, &victim)
            });
        }
    }

    /// The end of all wars of a guild that is no more, and of what it or others had declared: the
    /// enemies hear of it. Whether it fought any.
    pub(super) fn end_wars_of(&mut self, id: GuildId) -> bool {
        let wars: Vec<Side> = self.wars.of(id).collect();
        for war in &wars {
            // The enemy's side of it; the guild itself hears that it is no more.
            self.wars.end(pair(war.us, war.enemy), None);
            let (ours, theirs) = (war.their_kills, war.our_kills);
            self.tell_side(war.enemy, id, |us, enemy| server::war_ended(us, enemy, ours, theirs));
        }
        let declared: Vec<Declared> = self.wars.declared_of(id).collect();
        for Declared { attacker, defender, .. } in declared {
            self.wars.end(pair(attacker, defender), None);
            let enemy = if attacker == id { defender } else { attacker };
            self.tell_side(enemy, id, |us, gone| server::war_ended(us, gone, 0, 0));
        }
        !wars.is_empty()
    }

    /// Tells everybody whom it concerns of all wars that are about to begin.
    pub(super) fn tell_declarations(&self, now: Instant) {
        self.wars.all_declared().for_each(|declared| self.tell_declared(declared, now));
    }

    /// Tells one player who has come into the world of the wars that its guild is about to have.
    pub(super) fn tell_declarations_to(&self, player: PlayerId, now: Instant) {
        let Some(guild) = self.guilds.id_of(player) else { return };
        for declared in self.wars.declared_of(guild) {
            if let Some(packet) = self.notice(guild, declared, now) {
                self.tell(player, packet);
            }
        }
    }

    fn tell_declared(&self, declared: Declared, now: Instant) {
        for side in [declared.attacker, declared.defender] {
            if let (Some(guild), Some(packet)) =
                (self.guilds.get(side), self.notice(side, declared, now))
            {
                self.tell_all(guild.players(), packet);
            }
        }
    }

    /// GUILD_WAR_NOTICE for one side.
    fn notice(&self, us: GuildId, declared: Declared, now: Instant) -> Option<Outgoing> {
        let by_us = declared.attacker == us;
        let enemy = if by_us { declared.defender } else { declared.attacker };
        let (us, enemy) = (self.guilds.get(us)?, self.guilds.get(enemy)?);
        let left = declared.due.saturating_duration_since(now);
        Some(server::war_notice(us.name.as_str(), enemy.name.as_str(), by_us, left))
    }

    /// What GUILD_INFO says of a guild's wars: first those that are fought, by the enemy's id.
    pub(super) fn wars_told(&self, guild: GuildId) -> Vec<WarTold<'_>> {
        let now = tick::now();
        let name = |id| self.guilds.get(id).map(|guild| guild.name.as_str());
        let fought = self.wars.of(guild).filter_map(|war| {
            Some(WarTold {
                enemy: name(war.enemy)?,
                kills: (war.our_kills, war.their_kills),
                started_at: war.started_at,
                begins_in: None,
                by_us: war.by_us,
            })
        });
        let declared = self.wars.declared_of(guild).filter_map(|declared| {
            let by_us = declared.attacker == guild;
            Some(WarTold {
                enemy: name(if by_us { declared.defender } else { declared.attacker })?,
                kills: (0, 0),
                started_at: declared.begins_at,
                begins_in: Some(declared.due.saturating_duration_since(now)),
                by_us,
            })
        });
        fought.chain(declared).collect()
    }

    fn truce_from_now(&self) -> Option<Instant> {
        Some(tick::now() + self.config.war_terms().truce)
    }

    /// The name of somebody who may have left its guild meanwhile.
    fn member_name(&self, (player, guild): (PlayerId, GuildId)) -> String {
        let member = self.guilds.get(guild).and_then(|guild| guild.members.get(&player));
        let online = || self.presence.get(player).map(|online| &online.name);
        member.map(|member| &member.name).or_else(online).map_or_else(String::new, Name::to_string)
    }

    /// A packet for one side of a war, made from its own and the enemy's name.
    fn tell_side(&self, us: GuildId, enemy: GuildId, packet: impl FnOnce(&str, &str) -> Outgoing) {
        if let (Some(us), Some(enemy)) = (self.guilds.get(us), self.guilds.get(enemy)) {
            self.tell_all(us.players(), packet(us.name.as_str(), enemy.name.as_str()));
        }
    }
}
