//! What the master accepts.

use crate::ids::{Epoch, PlayerId, RequestId, ServerId, SessionRef, ZoneId};
use crate::msg::Conduct;
use crate::role::Role;

/// A message to the master.
#[derive(Debug, Clone, PartialEq)]
pub enum MasterMsg {
    /// From every server, once a second: it is there, and how it is (SERVER_STATUS).
    Status(Box<ServerStatus>),
    /// From a gateway: this session wants to be the player's only one. Any other is told to go.
    /// Answered by `GatewayMsg::PresenceGranted`.
    Claim {
        /// The question.
        request: RequestId,
        /// Who.
        player: PlayerId,
        /// Its name, for `throng kick` and the dashboard.
        name: crate::ids::Key,
        /// Where it plays.
        session: SessionRef,
        /// From which device.
        device: String,
    },
    /// From a gateway, to a master that is new: sessions that play already. One whose player has
    /// another session by now is told to go.
    Present {
        /// Some of them; large gateways send several.
        sessions: Vec<PresentSession>,
    },
    /// From a zone: the player stands here.
    Located {
        /// Who.
        player: PlayerId,
        /// Its session.
        session: SessionRef,
        /// Where.
        zone: ZoneId,
        /// Under which ownership: of the words of two servers the one with the higher is the later.
        epoch: Epoch,
    },
    /// From a gateway: the session is over.
    Released {
        /// Who.
        player: PlayerId,
        /// Whose; another session's presence stays.
        session: SessionRef,
    },
    /// From its own process: the link to a server is gone. One that speaks again over a new link
    /// within a second has not died.
    Lost {
        /// Which.
        server: ServerId,
        /// Whether it said good-bye; else it may have died, or only its link.
        clean: bool,
    },
    /// From a gateway: what a player has used up of its limits, for whichever gateway has it next.
    Conduct {
        /// Who.
        player: PlayerId,
        /// Which gateway says so.
        gateway: ServerId,
        /// What.
        conduct: Conduct,
    },
    /// From login: is the player in? Answered by `LoginMsg::Presence`.
    WhereIs {
        /// The question.
        request: RequestId,
        /// Who.
        player: PlayerId,
    },
}

/// A session that plays.
#[derive(Debug, Clone, PartialEq)]
pub struct PresentSession {
    /// Who.
    pub player: PlayerId,
    /// Its name, as shown to others.
    pub name: crate::ids::Key,
    /// Where it plays.
    pub session: SessionRef,
    /// From which device.
    pub device: String,
    /// Where it stands, if that is known.
    pub zone: Option<ZoneId>,
    /// When it began, Unix ms: of two that play one player the younger counts.
    pub since: u64,
}

/// How a server is.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerStatus {
    /// Which.
    pub server: ServerId,
    /// For people.
    pub name: String,
    /// What it plays.
    pub roles: Vec<Role>,
    /// Its version.
    pub version: String,
    /// A region tag for the geographic strategy, may be empty.
    pub region: String,
    /// Where clients reach it.
    pub host: String,
    /// Packet port; 0: no gateway.
    pub port: u16,
    /// Text port; 0: none.
    pub text_port: u16,
    /// Players connected (gateway) or simulated (zone).
    pub players: u32,
    /// Most of them.
    pub capacity: u32,
    /// Share of one core used in the last second, percent.
    pub cpu_percent: f32,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Zones it simulates.
    pub zones: Vec<ZoneStatus>,
    /// Whether it takes no newcomers any more.
    pub draining: bool,
    /// Where its links are reached by the others of the cluster.
    pub link_host: String,
    /// The port there; 0: it has none.
    pub link_port: u16,
    /// When it started, Unix ms.
    pub started_at: u64,
    /// Links that are up.
    pub links: u32,
}

/// A zone as the server says that runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneStatus {
    /// Which.
    pub zone: ZoneId,
    /// Its players.
    pub players: u32,
    /// Its incarnation: where two servers report a zone, the higher one counts.
    pub origin: u64,
}
