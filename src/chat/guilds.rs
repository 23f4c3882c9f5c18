//! Guilds and the rules of what their members may do. Pure: what is decided here is done in the
//! store first and only then in this copy.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::guild_store::Change;
use super::invitations::Invitations;
use super::presence::Presence;
use super::refusal::Refusal;
use super::wars::{WarTerms, Wars, pair};
use crate::ids::{GuildId, GuildRank, PlayerId};
use crate::limits::GUILD_MEMBERS_MAX;
use crate::msg::chat::GuildAction;
use crate::names::{Name, Reserved};
use crate::proto::ErrorCode;
use crate::store::record::GuildRecord;

/// One guild.
#[derive(Debug, Clone)]
pub(super) struct Guild {
    pub id: GuildId,
    pub name: Name,
    pub members: BTreeMap<PlayerId, Member>,
}

/// One of a guild's members.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: Name,
    pub rank: GuildRank,
}

/// All guilds, by id, by folded name and by member.
#[derive(Debug, Default)]
pub(super) struct Guilds {
    guilds: BTreeMap<GuildId, Guild>,
    by_name: HashMap<String, GuildId>,
    of_player: HashMap<PlayerId, GuildId>,
}

/// All that a decision looks at.
pub(super) struct Books<'a> {
    pub guilds: &'a Guilds,
    pub wars: &'a Wars,
    pub invitations: &'a Invitations,
    pub presence: &'a Presence,
    pub reserved: &'a Reserved,
    pub terms: WarTerms,
    pub now: Instant,
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To be put into the store first.
    Persist(Change),
    /// An invitation.
    Invite { guild: GuildId, invited: PlayerId },
    /// An answer alone.
    Info(GuildId),
}

const NOT_IN_GUILD: Refusal = Refusal::new(ErrorCode::ErrorNotInGuild, "you are in no guild");
const IN_ONE: Refusal = Refusal::new(ErrorCode::ErrorAlreadyInGuild, "you are in a guild already");
const OTHER_IN_ONE: Refusal =
    Refusal::new(ErrorCode::ErrorAlreadyInGuild, "that player is in a guild already");
const NAME_TAKEN: Refusal =
    Refusal::new(ErrorCode::ErrorNameTaken, "there is a guild of that name already");
const NO_SUCH_GUILD: Refusal =
    Refusal::new(ErrorCode::ErrorNoSuchGuild, "there is no guild of that name");
const FULL: Refusal = Refusal::new(ErrorCode::ErrorGuildFull, "the guild is full");
const NOT_INVITED: Refusal =
    Refusal::new(ErrorCode::ErrorNotInvited, "that guild has not invited you, or too long ago");
const NOT_ONLINE: Refusal =
    Refusal::new(ErrorCode::ErrorNoSuchPlayer, "nobody of that name is in the world");
const NO_MEMBER: Refusal =
    Refusal::new(ErrorCode::ErrorNoSuchPlayer, "nobody of that name is in your guild");
const LEADER_ONLY: Refusal =
    Refusal::new(ErrorCode::ErrorNoPermission, "only the guild's leader may do that");
const OFFICERS_ONLY: Refusal =
    Refusal::new(ErrorCode::ErrorNoPermission, "only officers and the leader may do that");
const NOT_OVER_EQUALS: Refusal =
    Refusal::new(ErrorCode::ErrorNoPermission, "only the leader may cast out officers");
const HAND_OVER: Refusal = Refusal::new(
    ErrorCode::ErrorNoPermission,
    "a leader must make another one leader first, or disband the guild",
);
const ONESELF: Refusal =
    Refusal::new(ErrorCode::ErrorInvalidArgument, "you cannot do that to yourself");
const OWN_GUILD: Refusal =
    Refusal::new(ErrorCode::ErrorInvalidArgument, "a guild has no war with itself");
const AT_WAR: Refusal = Refusal::new(ErrorCode::ErrorAtWar, "you are at war with that guild");
const NOT_AT_WAR: Refusal =
    Refusal::new(ErrorCode::ErrorNotAtWar, "you are not at war with that guild");
const DECLARED: Refusal =
    Refusal::new(ErrorCode::ErrorAtWar, "you have declared war on that guild; it begins later");
const TRUCE: Refusal =
    Refusal::new(ErrorCode::ErrorCooldown, "you have a truce with that guild for a while");
const TOO_MANY_WARS: Refusal = Refusal::new(
    ErrorCode::ErrorNotAllowed,
    "your guild has declared 8 wars already, or 64 others have declared one on that guild",
);
const TOO_SMALL: Refusal =
    Refusal::new(ErrorCode::ErrorNotAllowed, "your guild has too few members to declare a war");

/// Who may do what. Nothing is changed here.
pub(super) fn decide(
    books: &Books<'_>,
    actor: PlayerId,
    action: &GuildAction,
) -> Result<Step, Refusal> {
    let guilds = books.guilds;
    match action {
        GuildAction::Create(name) => books.create(actor, name).map(Step::Persist),
        GuildAction::Invite(name) => books.invite(actor, name),
        GuildAction::Join(name) => books.join(actor, name).map(Step::Persist),
        GuildAction::Leave => leave(guilds.of(actor)?, actor).map(Step::Persist),
        GuildAction::Kick(name) => kick(guilds.of(actor)?, actor, name).map(Step::Persist),
        GuildAction::Rank(name, rank) => {
            set_rank(guilds.led_by(actor)?, actor, name, *rank).map(Step::Persist)
        }
        GuildAction::Disband => {
            let guild = guilds.led_by(actor)?.id;
            Ok(Step::Persist(Change::Disband { guild }))
        }
        GuildAction::Info(None) => Ok(Step::Info(guilds.of(actor)?.id)),
        GuildAction::Info(Some(name)) => Ok(Step::Info(guilds.named(name)?.id)),
        GuildAction::DeclareWar(name) => books.declare_war(actor, name).map(Step::Persist),
        GuildAction::EndWar(name) => books.end_war(actor, name).map(Step::Persist),
    }
}

impl Books<'_> {
    fn create(&self, actor: PlayerId, name: &Name) -> Result<Change, Refusal> {
        let online = self.presence.get(actor).ok_or(NOT_ONLINE)?;
        if self.guilds.of_player.contains_key(&actor) {
            return Err(IN_ONE);
        }
        if self.reserved.holds(name) {
            return Err(Refusal::RESERVED);
        }
        if self.guilds.named(name).is_ok() {
            return Err(NAME_TAKEN);
        }
        let leader_name = online.name.clone();
        Ok(Change::Create { name: name.clone(), leader: actor, leader_name })
    }

    fn invite(&self, actor: PlayerId, name: &Name) -> Result<Step, Refusal> {
        let guild = self.guilds.of(actor)?;
        if guild.rank(actor) < Some(GuildRank::Officer) {
            return Err(OFFICERS_ONLY);
        }
        let invited = self.presence.named(name).ok_or(NOT_ONLINE)?;
        if self.guilds.of_player.contains_key(&invited) {
            return Err(OTHER_IN_ONE);
        }
        guild.has_room()?;
        Ok(Step::Invite { guild: guild.id, invited })
    }

    fn join(&self, actor: PlayerId, name: &Name) -> Result<Change, Refusal> {
        let online = self.presence.get(actor).ok_or(NOT_ONLINE)?;
        if self.guilds.of_player.contains_key(&actor) {
            return Err(IN_ONE);
        }
        let guild = self.guilds.named(name)?;
        if !self.invitations.has(actor, guild.id, self.now) {
            return Err(NOT_INVITED);
        }
        guild.has_room()?;
        let player_name = online.name.clone();
        Ok(Change::Join { guild: guild.id, player: actor, player_name })
    }

    /// Declares a war, or agrees to the one that the other side has declared.
    fn declare_war(&self, actor: PlayerId, name: &Name) -> Result<Change, Refusal> {
        let guild = self.guilds.led_by(actor)?;
        let (ours, theirs) = (guild.id, self.guilds.named(name)?.id);
        if ours == theirs {
            return Err(OWN_GUILD);
        }
        let both = pair(ours, theirs);
        if self.wars.get(both).is_some() {
            return Err(AT_WAR);
        }
        match self.wars.declared(both) {
            Some(declared) if declared.attacker == ours => {
                let left = declared.due.saturating_duration_since(self.now);
                return Err(DECLARED.after(left));
            }
            Some(_) => return Ok(Change::BeginWar { ours, theirs }),
            None => {}
        }
        if let Some(left) = self.wars.truce(both, self.now) {
            return Err(TRUCE.after(left));
        }
        if guild.members.len() < self.terms.members_min {
            return Err(TOO_SMALL);
        }
        if !self.wars.have_room(ours, theirs) {
            return Err(TOO_MANY_WARS);
        }
        let (attacker, defender) = (ours, theirs);
        if self.terms.notice.is_zero() {
            return Ok(Change::StartWar { attacker, defender });
        }
        Ok(Change::DeclareWar { attacker, defender })
    }

    /// Ends whatever there is between the two: each side may, at any time.
    fn end_war(&self, actor: PlayerId, name: &Name) -> Result<Change, Refusal> {
        let ours = self.guilds.led_by(actor)?.id;
        let theirs = self.guilds.named(name)?.id;
        let both = pair(ours, theirs);
        if self.wars.get(both).is_some() {
            return Ok(Change::EndWar { ours, theirs });
        }
        self.wars.declared(both).ok_or(NOT_AT_WAR)?;
        Ok(Change::WithdrawWar { ours, theirs })
    }
}

fn leave(guild: &Guild, actor: PlayerId) -> Result<Change, Refusal> {
    if guild.members.len() == 1 {
        return Ok(Change::Disband { guild: guild.id });
    }
    if guild.rank(actor) == Some(GuildRank::Leader) {
        return Err(HAND_OVER);
    }
    Ok(Change::Leave { guild: guild.id, player: actor })
}

fn kick(guild: &Guild, actor: PlayerId, name: &Name) -> Result<Change, Refusal> {
    let ours = guild.rank(actor);
    if ours < Some(GuildRank::Officer) {
        return Err(OFFICERS_ONLY);
    }
    let (player, member) = guild.member_named(name)?;
    if player == actor {
        return Err(ONESELF);
    }
    if ours != Some(GuildRank::Leader) && member.rank != GuildRank::Member {
        return Err(NOT_OVER_EQUALS);
    }
    Ok(Change::Kick { guild: guild.id, player })
}

fn set_rank(
    guild: &Guild,
    actor: PlayerId,
    name: &Name,
    rank: GuildRank,
) -> Result<Change, Refusal> {
    let (player, _) = guild.member_named(name)?;
    if player == actor {
        return Err(ONESELF);
    }
    Ok(Change::Rank { guild: guild.id, player, rank })
}

impl Guild {
    /// Its members.
    pub(super) fn players(&self) -> impl Iterator<Item = PlayerId> + '_ {
        self.members.keys().copied()
    }

    fn rank(&self, player: PlayerId) -> Option<GuildRank> {
        self.members.get(&player).map(|member| member.rank)
    }

    fn member_named(&self, name: &Name) -> Result<(PlayerId, &Member), Refusal> {
        let folded = name.folded();
        let found = self.members.iter().find(|(_, member)| member.name.folded() == folded);
        found.map(|(player, member)| (*player, member)).ok_or(NO_MEMBER)
    }

    fn has_room(&self) -> Result<(), Refusal> {
        if self.members.len() < GUILD_MEMBERS_MAX { Ok(()) } else { Err(FULL) }
    }
}

impl Guilds {
    /// These and no others.
    pub(super) fn replace(&mut self, records: Vec<GuildRecord>) {
        *self = Self::default();
        for GuildRecord { id, name, members } in records {
            self.create(id, name);
            for (player, name, rank) in members {
                self.join(id, player, Member { name, rank });
            }
        }
    }

    /// A guild without members yet.
    pub(super) fn create(&mut self, id: GuildId, name: Name) {
        self.by_name.insert(name.folded(), id);
        self.guilds.insert(id, Guild { id, name, members: BTreeMap::new() });
    }

    pub(super) fn join(&mut self, id: GuildId, player: PlayerId, member: Member) {
        if let Some(guild) = self.guilds.get_mut(&id) {
            guild.members.insert(player, member);
            self.of_player.insert(player, id);
        }
    }

    /// Takes a member out.
    pub(super) fn leave(&mut self, id: GuildId, player: PlayerId) -> Option<Member> {
        let member = self.guilds.get_mut(&id)?.members.remove(&player)?;
        self.of_player.remove(&player);
        Some(member)
    }

    /// Gives a rank; a new leader makes the old one an officer. Whose rank is another now.
    pub(super) fn set_rank(
        &mut self,
        id: GuildId,
        player: PlayerId,
        rank: GuildRank,
    ) -> Vec<(Name, GuildRank)> {
        let Some(guild) = self.guilds.get_mut(&id) else { return Vec::new() };
        let mut changed = Vec::new();
        for (other, member) in &mut guild.members {
            let new = match member.rank {
                _ if *other == player => rank,
                GuildRank::Leader if rank == GuildRank::Leader => GuildRank::Officer,
                same => same,
            };
            if new != member.rank || *other == player {
                member.rank = new;
                changed.push((member.name.clone(), new));
            }
        }
        changed
    }

    /// Ends a guild.
    pub(super) fn disband(&mut self, id: GuildId) -> Option<Guild> {
        let guild = self.guilds.remove(&id)?;
        self.by_name.remove(&guild.name.folded());
        for player in guild.members.keys() {
            self.of_player.remove(player);
        }
        Some(guild)
    }

    pub(super) fn get(&self, id: GuildId) -> Option<&Guild> {
        self.guilds.get(&id)
    }

    /// The guild that a player is in.
    pub(super) fn of(&self, player: PlayerId) -> Result<&Guild, Refusal> {
        self.id_of(player).and_then(|id| self.guilds.get(&id)).ok_or(NOT_IN_GUILD)
    }

    /// The id of the guild that a player is in.
    pub(super) fn id_of(&self, player: PlayerId) -> Option<GuildId> {
        self.of_player.get(&player).copied()
    }

    pub(super) fn named(&self, name: &Name) -> Result<&Guild, Refusal> {
        let id = self.by_name.get(&name.folded());
        id.and_then(|id| self.guilds.get(id)).ok_or(NO_SUCH_GUILD)
    }

    pub(super) fn len(&self) -> usize {
        self.guilds.len()
    }

    fn led_by(&self, player: PlayerId) -> Result<&Guild, Refusal> {
        let guild = self.of(player)?;
        if guild.rank(player) == Some(GuildRank::Leader) { Ok(guild) } else { Err(LEADER_ONLY) }
    }
}
