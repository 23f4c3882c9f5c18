//! Who may say what: for every message, whether the process at a link's other end is one that sends
//! it, and whom it names as its sender.
//!
//! The links' readers ask before a message reaches an inbox, so that roles may believe the servers
//! that messages name; within a process nobody asks. It is pure and knows no state: whether a
//! player or a zone is the sender's is for the receiver and the store to say.

use crate::ids::ServerId;
use crate::msg::{ChatMsg, GatewayMsg, HostMsg, LoginMsg, MasterMsg, NodeMsg, ZoneMsg};
use crate::role::{Role, Roles};

/// The process at a link's other end, as it introduced itself under the cluster's secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Which.
    pub server: ServerId,
    /// What it plays.
    pub roles: Roles,
}

/// Why a message cannot come from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It speaks for another server.
    #[error("it speaks for server {0}")]
    OtherServer(ServerId),
    /// Its source plays none of these roles.
    #[error("only a server that plays {} says that", words(.0))]
    NotItsRole(&'static [Role]),
    /// It says that its source plays this role, which it has not proven.
    #[error("it names a role that its server does not play: {0}")]
    UnprovenRole(Role),
    /// It is never sent over a link.
    #[error("it is said within a process only")]
    Internal,
}

fn words(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" or ")
}

impl Source {
    fn plays(&self, any: &'static [Role]) -> Result<(), Misfit> {
        let plays = any.iter().any(|role| self.roles.has(*role));
        if plays { Ok(()) } else { Err(Misfit::NotItsRole(any)) }
    }

    fn is(&self, server: ServerId) -> Result<(), Misfit> {
        if server == self.server { Ok(()) } else { Err(Misfit::OtherServer(server)) }
    }

    fn is_gateway(&self, server: ServerId) -> Result<(), Misfit> {
        self.plays(&[Role::Gateway])?;
        self.is(server)
    }

    /// What it says of itself is what it has proven.
    fn describes_itself(&self, server: ServerId, roles: &[Role]) -> Result<(), Misfit> {
        self.is(server)?;
        let unproven = roles.iter().find(|role| !self.roles.has(**role));
        unproven.map_or(Ok(()), |role| Err(Misfit::UnprovenRole(*role)))
    }
}

/// A message of which it is known who sends it.
pub trait Sourced {
    /// Whether `source` may send it over a link.
    ///
    /// # Errors
    /// Why not.
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit>;
}

impl Sourced for NodeMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            // Also the older of two masters: which of them is heard is not decided here.
            NodeMsg::Members(_) | NodeMsg::Drain => source.plays(&[Role::Master]),
            NodeMsg::Introduced(of) => source.describes_itself(of.server, &of.roles),
        }
    }
}

impl Sourced for HostMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            HostMsg::Run { .. } | HostMsg::Move { .. } => source.plays(&[Role::Master]),
            HostMsg::Offered(offer) => {
                source.plays(&[Role::Zone])?;
                source.is(offer.from)
            }
            HostMsg::Taken { .. } | HostMsg::NotTaken { .. } => source.plays(&[Role::Zone]),
        }
    }
}

impl Sourced for MasterMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            MasterMsg::Status(status) => source.describes_itself(status.server, &status.roles),
            MasterMsg::Claim { session, .. } | MasterMsg::Released { session, .. } => {
                source.is_gateway(session.gateway)
            }
            MasterMsg::Conduct { gateway, .. } => source.is_gateway(*gateway),
            MasterMsg::Present { sessions } => {
                source.plays(&[Role::Gateway])?;
                sessions.iter().try_for_each(|present| source.is(present.session.gateway))
            }
            // Of a session at whatever gateway.
            MasterMsg::Located { .. } => source.plays(&[Role::Zone]),
            MasterMsg::Lost { .. } => Err(Misfit::Internal),
            MasterMsg::WhereIs { .. } => source.plays(&[Role::Login]),
        }
    }
}

impl Sourced for LoginMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            LoginMsg::Login { from, .. } | LoginMsg::Register { from, .. } => {
                source.is_gateway(*from)
            }
            LoginMsg::Servers(_) | LoginMsg::Presence { .. } => source.plays(&[Role::Master]),
        }
    }
}

impl Sourced for ChatMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            ChatMsg::Joined { session, .. } | ChatMsg::Left { session, .. } => {
                source.is_gateway(session.gateway)
            }
            ChatMsg::Moved { .. }
            | ChatMsg::Say { .. }
            | ChatMsg::Room { .. }
            | ChatMsg::Guild { .. }
            | ChatMsg::Who { .. } => source.plays(&[Role::Gateway]),
            ChatMsg::WarKill { .. } => source.plays(&[Role::Zone]),
            ChatMsg::Announce { .. } => source.plays(&[Role::Master]),
        }
    }
}

impl Sourced for ZoneMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        // What still comes for a zone that has moved, or for a player who has crossed a border, is
        // sent on as it came, whoever said it first.
        if source.roles.has(Role::Zone) {
            return Ok(());
        }
        match self {
            ZoneMsg::Watch { gateway } | ZoneMsg::Unwatch { gateway } => {
                source.is_gateway(*gateway)
            }
            ZoneMsg::Enter { session, .. }
            | ZoneMsg::Leave { session, .. }
            | ZoneMsg::Act { session, .. } => source.is_gateway(session.gateway),
            ZoneMsg::SetGuild { .. } | ZoneMsg::SetWars { .. } => source.plays(&[Role::Chat]),
            ZoneMsg::Arrive { .. }
            | ZoneMsg::Arrived { .. }
            | ZoneMsg::NotArrived { .. }
            | ZoneMsg::Strike(_)
            | ZoneMsg::StrikeRefused { .. }
            | ZoneMsg::Credit { .. } => source.plays(&[Role::Zone]),
        }
    }
}

impl Sourced for GatewayMsg {
    fn may_come_from(&self, source: &Source) -> Result<(), Misfit> {
        match self {
            GatewayMsg::Frame(_)
            | GatewayMsg::FrameDelta(_)
            | GatewayMsg::Entered { .. }
            | GatewayMsg::Moved { .. } => source.plays(&[Role::Zone]),
            GatewayMsg::EnterRefused { .. } => source.plays(&[Role::Zone, Role::Master]),
            GatewayMsg::Deliver { .. } => source.plays(&[Role::Zone, Role::Chat]),
            GatewayMsg::DeliverMany { .. } | GatewayMsg::Rooms { .. } => {
                source.plays(&[Role::Chat])
            }
            GatewayMsg::Broadcast { .. } => source.plays(&[Role::Chat, Role::Master]),
            GatewayMsg::Kick { .. } => source.plays(&[Role::Zone, Role::Master]),
            // Who is to be told asks for itself.
            GatewayMsg::Introduce { to: Role::Chat } => source.plays(&[Role::Chat]),
            GatewayMsg::Introduce { .. }
            | GatewayMsg::Servers(_)
            | GatewayMsg::Conduct { .. }
            | GatewayMsg::PresenceGranted { .. } => source.plays(&[Role::Master]),
            GatewayMsg::LoginDecided { .. }
            | GatewayMsg::LoginQueued { .. }
            | GatewayMsg::RegisterDecided { .. } => source.plays(&[Role::Login]),
        }
    }
}

#[cfg(test)]
mod tests;
