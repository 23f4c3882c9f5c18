//! What a gateway's session manager accepts.

use std::sync::Arc;

use crate::ids::{PlayerId, RequestId, SessionKey, ZoneId};
use crate::msg::frame::{EncodedFrame, FrameDelta};
use crate::msg::login::{GameServer, LoginDecision, QueuePlace, RegisterDecision};
use crate::msg::{Conduct, Outgoing};
use crate::names::Name;
use crate::proto::DisconnectReason;
use crate::role::Role;
use crate::world::command::PlayerState;

/// A message to a gateway.
#[derive(Debug, Clone)]
pub enum GatewayMsg {
    /// From a zone of this process: its state after a tick.
    Frame(Arc<EncodedFrame>),
    /// From a zone over a link: what has changed of it. (A `Frame` becomes one on the wire.)
    FrameDelta(Box<FrameDelta>),
    /// From a zone or chat: a private packet. Dropped if the session is over.
    Deliver {
        /// Whose.
        session: SessionKey,
        /// What.
        packet: Outgoing,
    },
    /// From chat: one packet for many.
    DeliverMany {
        /// Whose.
        sessions: Vec<SessionKey>,
        /// What.
        packet: Outgoing,
    },
    /// From chat or the master: one packet for everybody who is in the world.
    Broadcast {
        /// What.
        packet: Outgoing,
    },
    /// From a zone: the player is in; answers `ZoneMsg::Enter`.
    Entered {
        /// Whose.
        session: SessionKey,
        /// As it entered.
        state: Box<PlayerState>,
        /// Where.
        zone: ZoneId,
        /// Its guild's name, empty for none.
        guild: crate::ids::Key,
    },
    /// From a zone: the player is not let in; answers `ZoneMsg::Enter`. From the master: a claim is
    /// not granted.
    EnterRefused {
        /// Whose.
        session: SessionKey,
        /// Why.
        reason: EnterRefusal,
    },
    /// From a zone: the player has come over a border and is here now.
    Moved {
        /// Whose.
        session: SessionKey,
        /// Who.
        player: PlayerId,
        /// Where it is now.
        zone: ZoneId,
    },
    /// From a zone or the master: end this session.
    Kick {
        /// Whose.
        session: SessionKey,
        /// Why, for the client.
        reason: DisconnectReason,
        /// The same in words.
        message: String,
    },
    /// From its own process, or from the master or chat itself: it is new, or has lost sight of this
    /// gateway, and must be told who is here.
    Introduce {
        /// `Role::Master` or `Role::Chat`.
        to: Role,
    },
    /// From chat: the rooms that a session's player is in; told to the next chat role with its
    /// presence, so that rooms outlive the process that kept them.
    Rooms {
        /// Whose.
        session: SessionKey,
        /// All of them.
        rooms: Vec<Name>,
    },
    /// From the master: where to send newcomers, best first (LOAD_BALANCE).
    Servers(Vec<GameServer>),
    /// From login.
    LoginDecided {
        /// The question.
        request: RequestId,
        /// The answer.
        decision: LoginDecision,
    },
    /// From login: the place in the queue; the decision follows.
    LoginQueued {
        /// The question.
        request: RequestId,
        /// Where it stands.
        place: QueuePlace,
    },
    /// From login.
    RegisterDecided {
        /// The question.
        request: RequestId,
        /// The answer.
        decision: RegisterDecision,
    },
    /// From the master: what a player has used up of its limits at another gateway.
    Conduct {
        /// Who.
        player: PlayerId,
        /// What.
        conduct: Conduct,
    },
    /// From the master: this session has the player's presence now. Any session that had it before
    /// has been told to go.
    PresenceGranted {
        /// The question.
        request: RequestId,
        /// Where the player stands already, if it does.
        zone: Option<ZoneId>,
    },
}

/// Why a zone did not let a player in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnterRefusal {
    /// The ticket was used before.
    TicketUsed,
    /// The player's place is in another zone: ask that one.
    Elsewhere(ZoneId),
    /// The zone is full.
    Full,
    /// The store cannot be reached, or another server owns the player.
    Unavailable,
    /// The player has a younger session, with that key. From the master, in answer to a claim: a
    /// clock is behind; with a key above that one the claim is granted.
    Superseded(SessionKey),
}
