//! What the chat role accepts: presence, talk, rooms and guilds.

use crate::ids::{GuildId, GuildRank, Key, OperationId, PlayerId, RequestId, SessionRef, ZoneId};
use crate::names::{ChatText, Name};

/// A message to the chat role. `request` is the sequence of the client's packet, for answers.
#[derive(Debug, Clone, PartialEq)]
pub enum ChatMsg {
    /// From a gateway: a player is in the world.
    Joined {
        /// Who.
        player: PlayerId,
        /// Shown to others.
        name: Key,
        /// Where its packets go.
        session: SessionRef,
        /// Where it stands.
        zone: ZoneId,
        /// The rooms it was in with the last chat role.
        rooms: Vec<Name>,
        /// When the session began, Unix ms, if it is told of anew; none: it has just come, and
        /// takes the place of any other.
        since: Option<u64>,
    },
    /// From a gateway: it stands in another zone.
    Moved {
        /// Who.
        player: PlayerId,
        /// Where.
        zone: ZoneId,
    },
    /// From a gateway: its session is over.
    Left {
        /// Who.
        player: PlayerId,
        /// Whose; another session's presence stays.
        session: SessionRef,
    },
    /// From a gateway shard: a player speaks.
    Say {
        /// Who.
        player: PlayerId,
        /// The packet.
        request: u64,
        /// To whom.
        to: Addressee,
        /// What.
        text: ChatText,
    },
    /// From a gateway shard: something about rooms.
    Room {
        /// Who.
        player: PlayerId,
        /// The packet.
        request: u64,
        /// What.
        action: RoomAction,
    },
    /// From a gateway shard: something about guilds.
    Guild {
        /// Who.
        player: PlayerId,
        /// The packet.
        request: u64,
        /// What.
        action: GuildAction,
    },
    /// From a gateway shard: who is in the world?
    Who {
        /// Who asks.
        player: PlayerId,
        /// The packet.
        request: u64,
    },
    /// From a zone: a kill between guilds at war.
    WarKill {
        /// Makes counting it twice harmless.
        id: OperationId,
        /// The killer and its guild.
        killer: (PlayerId, GuildId),
        /// The victim and its guild.
        victim: (PlayerId, GuildId),
    },
    /// From the operators: words for everybody.
    Announce {
        /// The question.
        request: RequestId,
        /// What.
        text: ChatText,
    },
}

/// Whom a text is for. Near and zone chat never come here: zones speak those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// Everybody.
    World,
    /// One player.
    Player(Name),
    /// One's guild.
    Guild,
    /// A room one is in.
    Room(Name),
}

/// What a player does with rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomAction {
    /// Makes one and is in it.
    Create(Name),
    /// Goes in.
    Join(Name),
    /// Goes out.
    Leave(Name),
    /// Which are there?
    List,
    /// Who is in it?
    Members(Name),
}

/// What a player does with guilds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuildAction {
    /// Founds one and leads it.
    Create(Name),
    /// Invites a player.
    Invite(Name),
    /// Takes an invitation up.
    Join(Name),
    /// Leaves.
    Leave,
    /// Casts a member out.
    Kick(Name),
    /// Gives a member a rank.
    Rank(Name, GuildRank),
    /// Ends the guild.
    Disband,
    /// Asks about one; none: one's own.
    Info(Option<Name>),
    /// Declares war.
    DeclareWar(Name),
    /// Ends one's war.
    EndWar(Name),
}
