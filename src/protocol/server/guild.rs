//! Packets about guilds and their wars.

use std::time::Duration;

use crate::ids::{GuildId, GuildRank};
use crate::msg::Outgoing;
use crate::proto::{self, PacketType};
use crate::protocol::server::outgoing;

fn wire_rank(rank: GuildRank) -> i32 {
    match rank {
        GuildRank::Member => proto::GuildRank::Member,
        GuildRank::Officer => proto::GuildRank::Officer,
        GuildRank::Leader => proto::GuildRank::Leader,
    }
    .into()
}

/// GUILD_RESPONSE: it was done.
pub fn guild_response(guild: GuildId, name: &str, message: &str) -> Outgoing {
    let it = proto::GuildResponse {
        success: true,
        guild_id: guild.0,
        name: name.to_owned(),
        message: message.to_owned(),
    };
    outgoing(PacketType::GuildResponse, &it)
}

/// GUILD_INVITE, as the invited sees it: `inviter` asks it into `guild`.
pub fn guild_invite(guild: &str, inviter: &str) -> Outgoing {
    let it = proto::GuildInvite { player: inviter.to_owned(), guild: guild.to_owned() };
    outgoing(PacketType::GuildInvite, &it)
}

/// GUILD_JOIN: a player has joined.
pub fn guild_joined(guild: &str, player: &str) -> Outgoing {
    let it = proto::GuildJoin { guild: guild.to_owned(), player: player.to_owned() };
    outgoing(PacketType::GuildJoin, &it)
}

/// GUILD_LEAVE: a player has left.
pub fn guild_left(guild: &str, player: &str) -> Outgoing {
    let it = proto::GuildLeave { guild: guild.to_owned(), player: player.to_owned() };
    outgoing(PacketType::GuildLeave, &it)
}

/// GUILD_KICK: a player was cast out.
pub fn guild_kicked(guild: &str, player: &str) -> Outgoing {
    let it = proto::GuildKick { player: player.to_owned(), guild: guild.to_owned() };
    outgoing(PacketType::GuildKick, &it)
}

/// GUILD_RANK: a member's new rank.
pub fn guild_rank(guild: &str, player: &str, rank: GuildRank) -> Outgoing {
    let it = proto::GuildRankChange {
        player: player.to_owned(),
        rank: wire_rank(rank),
        guild: guild.to_owned(),
    };
    outgoing(PacketType::GuildRank, &it)
}

/// A war in GUILD_INFO.
#[derive(Debug, Clone, Copy)]
pub struct WarTold<'a> {
    /// The enemy's name.
    pub enemy: &'a str,
    /// Ours and theirs.
    pub kills: (u32, u32),
    /// When it began or begins, Unix ms.
    pub started_at: u64,
    /// How long until it begins; none: it is fought.
    pub begins_in: Option<Duration>,
    /// Whether the guild has declared it.
    pub by_us: bool,
}

/// What is left of a notice, ms: at least 1, since 0 stands for a war that is fought.
fn until(begins: Duration) -> u64 {
    u64::try_from(begins.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// GUILD_INFO: members as (name, rank, online).
pub fn guild_info<'a>(
    guild: GuildId,
    name: &str,
    members: impl IntoIterator<Item = (&'a str, GuildRank, bool)>,
    wars: impl IntoIterator<Item = WarTold<'a>>,
) -> Outgoing {
    let member = |(name, rank, online): (&str, GuildRank, bool)| proto::GuildMember {
        name: name.to_owned(),
        rank: wire_rank(rank),
        online,
    };
    let war =
        |WarTold { enemy, kills, started_at, begins_in, by_us }: WarTold<'_>| proto::GuildWar {
            enemy: enemy.to_owned(),
            our_kills: kills.0,
            their_kills: kills.1,
            started_at,
            begins_in_ms: begins_in.map_or(0, until),
            by_us,
        };
    let it = proto::GuildInfo {
        name: name.to_owned(),
        guild_id: guild.0,
        members: members.into_iter().map(member).collect(),
        wars: wars.into_iter().map(war).collect(),
    };
    outgoing(PacketType::GuildInfo, &it)
}

/// GUILD_DISBAND: the guild is no more.
pub fn guild_disbanded(guild: &str) -> Outgoing {
    outgoing(PacketType::GuildDisband, &proto::GuildDisband { guild: guild.to_owned() })
}

/// GUILD_WAR_NOTICE: a war of `guild`, the receiver's, begins in that time.
pub fn war_notice(guild: &str, enemy: &str, by_us: bool, begins_in: Duration) -> Outgoing {
    let it = proto::GuildWarNotice {
        guild: guild.to_owned(),
        enemy: enemy.to_owned(),
        by_us,
        begins_in_ms: until(begins_in),
    };
    outgoing(PacketType::GuildWarNotice, &it)
}

/// GUILD_WAR_START: a war of `guild`, the receiver's, has begun.
pub fn war_started(guild: &str, enemy: &str) -> Outgoing {
    let it = proto::GuildWarStart { enemy: enemy.to_owned(), guild: guild.to_owned() };
    outgoing(PacketType::GuildWarStart, &it)
}

/// GUILD_WAR_END with the score, `guild` being the receiver's.
pub fn war_ended(guild: &str, enemy: &str, our_kills: u32, their_kills: u32) -> Outgoing {
    let it = proto::GuildWarEnd {
        enemy: enemy.to_owned(),
        guild: guild.to_owned(),
        our_kills,
        their_kills,
    };
    outgoing(PacketType::GuildWarEnd, &it)
}

/// GUILD_WAR_SCORE: a kill has counted; kills as (ours, theirs), `guild` being the receiver's.
pub fn war_score(
    guild: &str,
    enemy: &str,
    kills: (u32, u32),
    killer: &str,
    victim: &str,
) -> Outgoing {
    let it = proto::GuildWarScore {
        guild: guild.to_owned(),
        enemy: enemy.to_owned(),
        our_kills: kills.0,
        their_kills: kills.1,
        killer: killer.to_owned(),
        victim: victim.to_owned(),
    };
    outgoing(PacketType::GuildWarScore, &it)
}
