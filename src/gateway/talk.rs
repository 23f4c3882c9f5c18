//! What the two halves of a gateway say to each other: the session manager and its shards.
//!
//! Never leaves the process, so it may carry what has no wire form.

use std::net::IpAddr;
use std::sync::Arc;

use super::outlet::ReliableLog;
use crate::ids::{Key, PlayerId, SessionKey, ZoneId};
use crate::msg::frame::{EncodedFrame, FrameEvent};
use crate::msg::login::{Credentials, GameServer, LoginDecision, QueuePlace, RegisterDecision};
use crate::msg::{Conduct, Outgoing};
use crate::net::ConnId;
use crate::proto::DisconnectReason;
use crate::token::{ResumeToken, Ticket};
use crate::world::command::PlayerState;

/// One connection of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnRef {
    pub(super) shard: usize,
    pub(super) conn: ConnId,
}

/// From the session manager to a shard.
pub enum ToShard {
    /// A zone's tick.
    Frame {
        /// Where everybody is.
        frame: Arc<EncodedFrame>,
        /// What has happened in frames that the shard had no room for; oldest first.
        missed: Vec<FrameEvent>,
    },
    /// A private packet.
    Packet {
        /// Whose.
        session: SessionKey,
        /// What.
        packet: Outgoing,
    },
    /// One packet for many.
    Packets {
        /// Whose.
        sessions: Vec<SessionKey>,
        /// What.
        packet: Outgoing,
    },
    /// One packet for everybody in the world.
    Broadcast(Outgoing),
    /// A log-in's end.
    LoginDecided {
        /// Who asked.
        conn: ConnId,
        /// In which packet.
        sequence: u64,
        /// The end.
        decision: LoginDecision,
    },
    /// The account has logged in on newer connections, and has not entered on this one.
    Outnumbered {
        /// Which.
        conn: ConnId,
    },
    /// A log-in's place in the queue.
    LoginQueued {
        /// Who asked.
        conn: ConnId,
        /// Where.
        place: QueuePlace,
    },
    /// A registration's end.
    RegisterDecided {
        /// Who asked.
        conn: ConnId,
        /// In which packet.
        sequence: u64,
        /// The end.
        decision: RegisterDecision,
    },
    /// What was asked cannot be done now.
    NotNow {
        /// Who asked.
        conn: ConnId,
        /// In which packet.
        sequence: u64,
        /// Why, in words.
        message: &'static str,
        /// When to try again, ms.
        retry_after_ms: u32,
    },
    /// A session begins on a connection, or goes on.
    Open(Box<Opening>),
    /// Entering or resuming was refused.
    Refused {
        /// Who asked.
        conn: ConnId,
        /// The answer.
        packet: Outgoing,
    },
    /// The player stands in another zone now.
    Moved {
        /// Whose.
        session: SessionKey,
        /// Where.
        zone: ZoneId,
    },
    /// Another connection takes the session over: give it back.
    Detach {
        /// Which.
        session: SessionKey,
        /// From which connection.
        conn: ConnId,
    },
    /// What its player has used up of its limits over another connection.
    Conduct {
        /// Whose.
        session: SessionKey,
        /// What.
        conduct: Conduct,
    },
    /// The session is over.
    End {
        /// Which.
        session: SessionKey,
        /// Why.
        reason: DisconnectReason,
        /// In words.
        message: String,
    },
    /// A session goes on at another gateway: its client is told and its connection closed. Answered
    /// by `Lost`, or by `Logout` for a client that cannot resume.
    SendOff {
        /// Which.
        session: SessionKey,
        /// Over which connection.
        conn: ConnId,
        /// Where to.
        to: Arc<GameServer>,
    },
    /// All connections are over.
    EndAll {
        /// Why.
        reason: DisconnectReason,
        /// In words.
        message: String,
        /// Where to go on, if anywhere.
        to: Option<Arc<GameServer>>,
    },
    /// A zone's frames come no longer: nobody sees it.
    Unwatched(ZoneId),
    /// Where newcomers are sent.
    Servers(Arc<Vec<GameServer>>),
}

impl ToShard {
    /// Whose tick it is, if it is one.
    pub(super) fn frame_of(&self) -> Option<ZoneId> {
        match self {
            ToShard::Frame { frame, .. } => Some(frame.frame.zone),
            _ => None,
        }
    }

    /// Whom it is about.
    pub(super) fn subject(&self) -> Subject {
        match self {
            ToShard::LoginDecided { conn, .. }
            | ToShard::Outnumbered { conn }
            | ToShard::LoginQueued { conn, .. }
            | ToShard::RegisterDecided { conn, .. }
            | ToShard::NotNow { conn, .. }
            | ToShard::Refused { conn, .. }
            | ToShard::Detach { conn, .. }
            | ToShard::SendOff { conn, .. } => Subject::Conn(*conn),
            ToShard::Open(opening) => Subject::Conn(opening.conn),
            ToShard::Packet { session, .. }
            | ToShard::Moved { session, .. }
            | ToShard::Conduct { session, .. }
            | ToShard::End { session, .. } => Subject::Session(*session),
            ToShard::Frame { .. }
            | ToShard::Packets { .. }
            | ToShard::Broadcast(_)
            | ToShard::EndAll { .. }
            | ToShard::Unwatched(_)
            | ToShard::Servers(_) => Subject::All,
        }
    }
}

/// Whom a message to a shard is about.
pub(super) enum Subject {
    /// One connection.
    Conn(ConnId),
    /// The connection of a session, if it has one.
    Session(SessionKey),
    /// Nobody, or more than one.
    All,
}

/// A client's wish to go on with a session.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    pub(super) conn: ConnRef,
    /// In which packet.
    pub(super) sequence: u64,
    /// What proves it.
    pub(super) token_hash: [u8; 32],
    /// What it had read.
    pub(super) last_sequence: u64,
}

/// A session as a shard gets it.
pub struct Opening {
    pub(super) conn: ConnId,
    pub(super) session: SessionKey,
    pub(super) session_id: uuid::Uuid,
    pub(super) token: ResumeToken,
    pub(super) player: PlayerId,
    pub(super) zone: ZoneId,
    /// What it has used up of its limits over other connections.
    pub(super) conduct: Option<Conduct>,
    pub(super) how: How,
}

/// Whether a session begins or goes on.
pub(super) enum How {
    /// A player has entered.
    Entered { state: Box<PlayerState>, guild: Key },
    /// A connection was lost; these packets may have been with it.
    Resumed {
        log: Box<ReliableLog>,
        /// What the client has read of the old connection; none: it never knew of that one.
        last_sequence: Option<u64>,
        /// Highest client sequence read on the connection that it knows; 0: not known.
        received: u64,
        /// The player, if it comes from another gateway: what it may have missed nobody knows, so
        /// it is told all that it has.
        state: Option<Box<PlayerState>>,
    },
}

/// From a shard to the session manager.
pub enum FromShard {
    /// A client logs in.
    Login {
        /// Who.
        conn: ConnRef,
        /// In which packet.
        sequence: u64,
        /// As whom.
        credentials: Credentials,
        /// From what.
        device: String,
        /// From where.
        address: IpAddr,
    },
    /// A client wants an account.
    Register {
        /// Who.
        conn: ConnRef,
        /// In which packet.
        sequence: u64,
        /// As whom.
        credentials: Credentials,
        /// From where.
        address: IpAddr,
    },
    /// A client enters with a ticket that is signed right.
    Enter {
        /// Who.
        conn: ConnRef,
        /// In which packet.
        sequence: u64,
        /// The ticket.
        ticket: Ticket,
    },
    /// A client goes on with a session.
    Resume(Asked),
    /// A client acts in the world after it has resumed: it has its new token.
    Proven {
        /// Which session.
        session: SessionKey,
        /// Through which connection.
        conn: ConnRef,
    },
    /// A session's connection is gone.
    Lost {
        /// Which.
        session: SessionKey,
        /// The connection; another one may have the session by now.
        conn: ConnRef,
        /// What it may have missed.
        log: Box<ReliableLog>,
        /// Highest client sequence read.
        received: u64,
    },
    /// A reliable packet came for a session that the shard does not have any more.
    Undelivered {
        /// Whose.
        session: SessionKey,
        /// What.
        packet: Outgoing,
    },
    /// A session's player has not been in its zone's frames for a while.
    Missing {
        /// Which.
        session: SessionKey,
    },
    /// What a player has used up of its limits: its connection ends, or it is muted from now on.
    Conduct {
        /// Who.
        player: PlayerId,
        /// Over which connection.
        conn: ConnRef,
        /// What.
        conduct: Conduct,
    },
    /// A player has logged out.
    Logout {
        /// Which.
        session: SessionKey,
    },
}
