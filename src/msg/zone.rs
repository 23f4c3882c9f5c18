//! What a zone accepts.

use crate::ids::{GuildId, OperationId, PlayerId, ServerId, SessionRef, TicketUse, ZoneId};
use crate::world::command::{Action, Credit, GuildTag, Refusal, Strike, Transfer};

/// A message to one zone.
#[derive(Debug, Clone, PartialEq)]
pub enum ZoneMsg {
    /// From a gateway that wants this zone's frames, a whole one first.
    Watch {
        /// Which gateway.
        gateway: ServerId,
    },
    /// From a gateway that wants this zone's frames no longer.
    Unwatch {
        /// Which gateway.
        gateway: ServerId,
    },
    /// From a gateway: bring this player in, or tie it to this session if it stands here already.
    /// Answered by `GatewayMsg::Entered` or `EnterRefused`.
    Enter {
        /// Who.
        player: PlayerId,
        /// Where its packets go.
        session: SessionRef,
        /// The ticket to use up with the claim; none: a resumed session.
        ticket: Option<TicketUse>,
    },
    /// From a gateway: the session is over; save the player and let it go. Ignored if another
    /// session has the player.
    Leave {
        /// Who.
        player: PlayerId,
        /// Whose.
        session: SessionRef,
    },
    /// From a gateway shard: a player acts. The hot one; nothing in it is on the heap but text.
    Act {
        /// Who.
        player: PlayerId,
        /// The session it acts through.
        session: SessionRef,
        /// The packet's sequence.
        request: u64,
        /// What.
        action: Action,
    },
    /// From a neighbouring zone: a player comes over the border. In the owner's own process it is
    /// taken in at once; elsewhere only once the store has changed its owner. Answered by `Arrived`
    /// or `NotArrived`.
    Arrive {
        /// All of it.
        transfer: Box<Transfer>,
        /// Where it comes from.
        from: ZoneId,
        /// The server that owns it up to the hand-over.
        owner: ServerId,
        /// Which hand-over; each has its own.
        handover: OperationId,
        /// Where its packets go.
        session: SessionRef,
    },
    /// From the neighbour that took a player: it is shown there.
    Arrived {
        /// Who.
        player: PlayerId,
        /// In which hand-over.
        handover: OperationId,
    },
    /// From the neighbour that was to take a player: it does not.
    NotArrived {
        /// Who.
        player: PlayerId,
        /// In which hand-over.
        handover: OperationId,
        /// Whether it is sure that nothing was committed; else the store knows.
        certain: bool,
    },
    /// From chat: a player's guild.
    SetGuild {
        /// Who.
        player: PlayerId,
        /// None: no guild.
        guild: Option<GuildTag>,
    },
    /// From chat: all wars there are.
    SetWars {
        /// Pairs, the smaller id first.
        wars: Vec<(GuildId, GuildId)>,
    },
    /// From a neighbouring zone: its player strikes something here.
    Strike(Box<Strike>),
    /// From the zone that decided a strike: it was refused.
    StrikeRefused {
        /// The striker.
        player: PlayerId,
        /// The packet.
        request: u64,
        /// Why.
        refusal: Refusal,
    },
    /// From the zone in which a player of this one killed something.
    Credit {
        /// Who.
        player: PlayerId,
        /// What for.
        credit: Credit,
    },
}
