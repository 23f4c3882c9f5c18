//! What is done once the store has made a change of a guild: the copy in memory follows, the one who
//! asked is answered, members and zones are told. What concerns wars is in `war_tell.rs`.

use std::time::Instant;

use tracing::info;

use super::Chat;
use super::guild_store::{Change, Outcome};
use super::guilds::{Guild, Member};
use crate::ids::{GuildId, GuildRank, PlayerId, ZoneId};
use crate::names::Name;
use crate::protocol::server;
use crate::tick;
use crate::world::command::GuildTag;

impl Chat {
    /// The store has made a change.
    pub(super) fn on_changed(
        &mut self,
        change: Change,
        outcome: Outcome,
        asked: Option<(PlayerId, u64)>,
    ) {
        info!(?change, "a guild has changed");
        let asker = asked.map(|(player, _)| player);
        match (change, outcome) {
            (Change::Create { name, leader, leader_name }, Outcome::Made(guild)) => {
                self.on_created(guild, &name, leader, leader_name);
            }
            (Change::Join { guild, player, player_name }, _) => {
                self.on_member_joined(guild, player, player_name);
            }
            (Change::Leave { guild, player }, _) => self.on_member_left(guild, player),
            (Change::Kick { guild, player }, _) => self.on_member_kicked(guild, player, asker),
            (Change::Rank { guild, player, rank }, _) => self.on_ranked(guild, player, rank, asker),
            (Change::Disband { guild }, _) => self.on_disbanded(guild, asker),
            (Change::DeclareWar { .. }, Outcome::Declared(declaration)) => {
                self.on_war_declared(&declaration, asker);
            }
            (Change::WithdrawWar { ours, theirs }, _) => {
                self.on_war_withdrawn(ours, theirs, asker);
            }
            (Change::StartWar { attacker: ours, .. }, Outcome::War(war))
            | (Change::BeginWar { ours, .. }, Outcome::War(war)) => {
                self.on_war_started(ours, war, asker);
            }
            (Change::EndWar { ours, .. }, Outcome::War(war)) => {
                self.on_war_ended(ours, &war, asker);
            }
            (Change::Score { killer, victim }, Outcome::War(war)) => {
                self.on_scored(killer, victim, &war);
            }
            // The store answers each kind of change with its own outcome; see `guild_store`.
            (
                Change::Create { .. }
                | Change::DeclareWar { .. }
                | Change::StartWar { .. }
                | Change::BeginWar { .. }
                | Change::EndWar { .. }
                | Change::Score { .. },
                Outcome::Done | Outcome::Made(_) | Outcome::War(_) | Outcome::Declared(_),
            ) => {}
        }
    }

    fn on_created(&mut self, guild: GuildId, name: &Name, leader: PlayerId, leader_name: Name) {
        self.guilds.create(guild, name.clone());
        let member = Member { name: leader_name, rank: GuildRank::Leader };
        self.guilds.join(guild, leader, member);
        self.invitations.forget_player(leader);
        self.settle_guild(leader);
        self.tell(leader, server::guild_response(guild, name.as_str(), "the guild is founded"));
    }

    /// An officer has invited a player.
    pub(super) fn invite(&mut self, by: PlayerId, guild: GuildId, invited: PlayerId, now: Instant) {
        self.invitations.add(invited, guild, now);
        let (Some(guild), Some(inviter)) = (self.guilds.get(guild), self.presence.get(by)) else {
            return;
        };
        let name = guild.name.as_str();
        self.tell(invited, server::guild_invite(name, inviter.name.as_str()));
        self.tell(by, server::guild_response(guild.id, name, "the invitation is sent"));
    }

    fn on_member_joined(&mut self, guild: GuildId, player: PlayerId, name: Name) {
        let shown = name.clone();
        self.guilds.join(guild, player, Member { name, rank: GuildRank::Member });
        self.invitations.forget_player(player);
        self.settle_guild(player);
        let Some(guild) = self.guilds.get(guild) else { return };
        self.answer(Some(player), guild, "you have joined");
        self.tell_all(guild.players(), server::guild_joined(guild.name.as_str(), shown.as_str()));
    }

    fn on_member_left(&mut self, guild: GuildId, player: PlayerId) {
        let Some(member) = self.guilds.leave(guild, player) else { return };
        self.settle_guild(player);
        let Some(guild) = self.guilds.get(guild) else { return };
        self.answer(Some(player), guild, "you have left");
        let packet = server::guild_left(guild.name.as_str(), member.name.as_str());
        self.tell_all(guild.players(), packet);
    }

    fn on_member_kicked(&mut self, guild: GuildId, player: PlayerId, by: Option<PlayerId>) {
        let Some(member) = self.guilds.leave(guild, player) else { return };
        self.settle_guild(player);
        let Some(guild) = self.guilds.get(guild) else { return };
        self.answer(by, guild, "the member is cast out");
        let packet = server::guild_kicked(guild.name.as_str(), member.name.as_str());
        self.tell_all(guild.players().chain([player]), packet);
    }

    fn on_ranked(
        &mut self,
        guild: GuildId,
        player: PlayerId,
        rank: GuildRank,
        by: Option<PlayerId>,
    ) {
        let changed = self.guilds.set_rank(guild, player, rank);
        let Some(guild) = self.guilds.get(guild) else { return };
        self.answer(by, guild, "the rank is given");
        for (name, rank) in changed {
            let packet = server::guild_rank(guild.name.as_str(), name.as_str(), rank);
            self.tell_all(guild.players(), packet);
        }
    }

    fn on_disbanded(&mut self, id: GuildId, by: Option<PlayerId>) {
        let had_wars = self.end_wars_of(id);
        let Some(guild) = self.guilds.disband(id) else { return };
        self.invitations.forget_guild(id);
        guild.players().for_each(|player| self.settle_guild(player));
        self.answer(by, &guild, "the guild is no more");
        self.tell_all(guild.players(), server::guild_disbanded(guild.name.as_str()));
        if had_wars {
            self.tell_wars(tick::now());
        }
    }

    /// GUILD_RESPONSE for the one who asked.
    pub(super) fn answer(&self, asker: Option<PlayerId>, guild: &Guild, words: &str) {
        if let Some(player) = asker {
            self.tell(player, server::guild_response(guild.id, guild.name.as_str(), words));
        }
    }

    /// GUILD_INFO: members by rank and name, wars by the enemy's id.
    pub(super) fn tell_info(&self, player: PlayerId, guild: GuildId) {
        let Some(guild) = self.guilds.get(guild) else { return };
        let mut members: Vec<(&str, GuildRank, bool)> = guild
            .members
            .iter()
            .map(|(id, member)| {
                (member.name.as_str(), member.rank, self.presence.get(*id).is_some())
            })
            .collect();
        members.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let packet =
            server::guild_info(guild.id, guild.name.as_str(), members, self.wars_told(guild.id));
        self.tell(player, packet);
    }

    /// A player stands in a zone that may know nothing of its guild and the wars.
    pub(super) fn on_player_came(&mut self, player: PlayerId, zone: ZoneId) {
        if self.queue.has_loaded() {
            self.zones.on_player_came(zone, &self.wars, tick::now());
            self.settle_guild(player);
        }
    }

    /// Tells every zone the wars, if they are known and the zone does not have them.
    pub(super) fn tell_wars(&mut self, now: Instant) {
        if self.queue.has_loaded() {
            self.zones.sweep(&self.wars, now);
        }
    }

    /// Tells a player's zone its guild, unless it was told already.
    fn settle_guild(&mut self, player: PlayerId) {
        let Some(online) = self.presence.get_mut(player) else { return };
        let id = self.guilds.id_of(player);
        if online.told_guild == Some(id) {
            return;
        }
        let guild = id.and_then(|id| self.guilds.get(id));
        let tag = guild.map(|guild| GuildTag { id: guild.id, name: guild.name.key() });
        if self.zones.set_guild(online.zone, player, tag) {
            online.told_guild = Some(id);
        }
    }

    /// The same for everybody: after the guilds were read, and for zones that could not be told.
    pub(super) fn settle_guilds(&mut self) {
        if !self.queue.has_loaded() {
            return;
        }
        let guilds = &self.guilds;
        let unsettled = self
            .presence
            .iter()
            .filter(|(player, online)| online.told_guild != Some(guilds.id_of(*player)));
        let players: Vec<PlayerId> = unsettled.map(|(player, _)| player).collect();
        players.into_iter().for_each(|player| self.settle_guild(player));
    }
}
