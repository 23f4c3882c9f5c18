//! `MasterMsg` on the wire.

use bytes::Bytes;

use super::reading::{self, At, each, present};
use super::shared::{self, put_conduct, put_key, put_role, put_session};
use super::{DecodeError, body_of, enveloped, not_for};
use crate::ids::{Epoch, RequestId};
use crate::link::{Delivery, Wire};
use crate::msg::MasterMsg;
use crate::msg::master::{PresentSession, ServerStatus, ZoneStatus};
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::node::Node;
use wire::presence::Presence;
use wire::zone_change::Change;

impl Wire for MasterMsg {
    fn encode(&self) -> Bytes {
        let presence = |presence| Body::Presence(wire::Presence { presence: Some(presence) });
        enveloped(match self {
            MasterMsg::Status(status) => Body::ServerStatus(put_status(status)),
            MasterMsg::Claim { request, player, name, session, device } => {
                presence(Presence::Claim(wire::PresenceClaim {
                    request_id: request.0,
                    player_id: player.0,
                    name: put_key(name),
                    session: Some(put_session(session)),
                    device: device.clone(),
                }))
            }
            MasterMsg::Present { sessions } => {
                let sessions = sessions.iter().map(put_present).collect();
                presence(Presence::Present(wire::PresentSessions { sessions }))
            }
            MasterMsg::Located { player, session, zone, epoch } => {
                let located = wire::PlayerLocated {
                    player_id: player.0,
                    session: Some(put_session(session)),
                    zone_id: zone.0.into(),
                    epoch: epoch.0,
                };
                Body::ZoneChange(wire::ZoneChange { change: Some(Change::Located(located)) })
            }
            MasterMsg::Released { player, session } => {
                presence(Presence::Released(wire::PresenceEnded {
                    player_id: player.0,
                    session: Some(put_session(session)),
                }))
            }
            MasterMsg::Lost { server, clean } => {
                let lost = wire::ServerLost { server_id: server.0, clean: *clean };
                Body::Node(wire::Node { node: Some(Node::Lost(lost)) })
            }
            MasterMsg::Conduct { player, gateway, conduct } => {
                presence(Presence::Conduct(put_conduct(*player, gateway.0, conduct)))
            }
            MasterMsg::WhereIs { request, player } => {
                presence(Presence::WhereIs(wire::PresenceQuestion {
                    request_id: request.0,
                    player_id: player.0,
                }))
            }
        })
    }

    fn delivery(&self) -> Delivery {
        match self {
            MasterMsg::Status(_) => Delivery::Droppable,
            _ => Delivery::Reliable,
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match body_of(bytes)? {
            Body::ServerStatus(status) => Ok(MasterMsg::Status(Box::new(read_status(status)?))),
            Body::ZoneChange(wire::ZoneChange { change }) => {
                match present(At("ZoneChange", "change"), change)? {
                    Change::Located(located) => read_located(located),
                    Change::Arrived(_)
                    | Change::NotArrived(_)
                    | Change::Moved(_)
                    | Change::Relocated(_) => Err(not_for("MasterMsg")),
                }
            }
            Body::Presence(wire::Presence { presence }) => {
                read_presence(present(At("Presence", "presence"), presence)?)
            }
            Body::Node(wire::Node { node }) => match present(At("Node", "node"), node)? {
                Node::Lost(wire::ServerLost { server_id, clean }) => Ok(MasterMsg::Lost {
                    server: reading::server(At("ServerLost", "server_id"), server_id)?,
                    clean,
                }),
                Node::Members(_) | Node::Introduced(_) | Node::Drain(_) => {
                    Err(not_for("MasterMsg"))
                }
            },
            Body::Input(_)
            | Body::Delivery(_)
            | Body::Frame(_)
            | Body::Acknowledgement(_)
            | Body::PlayerTransfer(_)
            | Body::ChatBroadcast(_)
            | Body::GuildMessage(_)
            | Body::GlobalEvent(_)
            | Body::LoadBalance(_)
            | Body::SessionControl(_)
            | Body::Watch(_)
            | Body::Combat(_)
            | Body::Talk(_)
            | Body::LoginExchange(_)
            | Body::Hosting(_) => Err(not_for("MasterMsg")),
        }
    }
}

fn read_located(located: wire::PlayerLocated) -> Result<MasterMsg, DecodeError> {
    const NAME: &str = "PlayerLocated";
    let wire::PlayerLocated { player_id, session, zone_id, epoch } = located;
    Ok(MasterMsg::Located {
        player: reading::player(At(NAME, "player_id"), player_id)?,
        session: reading::session(At(NAME, "session"), session)?,
        zone: reading::zone(At(NAME, "zone_id"), zone_id)?,
        epoch: Epoch(epoch),
    })
}

fn read_presence(presence: Presence) -> Result<MasterMsg, DecodeError> {
    match presence {
        Presence::Claim(wire::PresenceClaim { request_id, player_id, name, session, device }) => {
            Ok(MasterMsg::Claim {
                request: RequestId(request_id),
                player: reading::player(At("PresenceClaim", "player_id"), player_id)?,
                name: name.into(),
                session: reading::session(At("PresenceClaim", "session"), session)?,
                device,
            })
        }
        Presence::Released(wire::PresenceEnded { player_id, session }) => Ok(MasterMsg::Released {
            player: reading::player(At("PresenceEnded", "player_id"), player_id)?,
            session: reading::session(At("PresenceEnded", "session"), session)?,
        }),
        Presence::WhereIs(wire::PresenceQuestion { request_id, player_id }) => {
            Ok(MasterMsg::WhereIs {
                request: RequestId(request_id),
                player: reading::player(At("PresenceQuestion", "player_id"), player_id)?,
            })
        }
        Presence::Present(wire::PresentSessions { sessions }) => {
            Ok(MasterMsg::Present { sessions: each(sessions, read_present)? })
        }
        Presence::Conduct(told) => {
            let gateway = reading::server(At("PlayerConduct", "gateway"), told.gateway)?;
            let (player, conduct) = shared::conduct(told)?;
            Ok(MasterMsg::Conduct { player, gateway, conduct })
        }
        Presence::Joined(_) | Presence::Left(_) | Presence::Granted(_) | Presence::Found(_) => {
            Err(not_for("MasterMsg"))
        }
    }
}

fn put_present(present: &PresentSession) -> wire::PresentSession {
    let PresentSession { player, name, session, device, zone, since } = present;
    wire::PresentSession {
        player_id: player.0,
        name: put_key(name),
        session: Some(put_session(session)),
        device: device.clone(),
        zone_id: zone.map(|zone| zone.0.into()),
        since: *since,
    }
}

fn read_present(present: wire::PresentSession) -> Result<PresentSession, DecodeError> {
    const NAME: &str = "PresentSession";
    let wire::PresentSession { player_id, name, session, device, zone_id, since } = present;
    let zone = zone_id.map(|id| reading::zone(At(NAME, "zone_id"), id));
    Ok(PresentSession {
        player: reading::player(At(NAME, "player_id"), player_id)?,
        name: name.into(),
        session: reading::session(At(NAME, "session"), session)?,
        device,
        zone: zone.transpose()?,
        since,
    })
}

fn put_status(status: &ServerStatus) -> wire::ServerStatus {
    let ServerStatus {
        server,
        name,
        roles,
        version,
        region,
        host,
        port,
        text_port,
        players,
        capacity,
        cpu_percent,
        memory,
        zones,
        draining,
        link_host,
        link_port,
        started_at,
        links,
    } = status;
    wire::ServerStatus {
        server_id: server.0,
        name: name.clone(),
        roles: roles.iter().map(|role| put_role(*role).into()).collect(),
        version: version.clone(),
        region: region.clone(),
        host: host.clone(),
        port: (*port).into(),
        text_port: (*text_port).into(),
        players: *players,
        capacity: *capacity,
        cpu_percent: *cpu_percent,
        memory: *memory,
        zones: zones
            .iter()
            .map(|ZoneStatus { zone, players, origin }| wire::ZoneStatus {
                zone_id: zone.0.into(),
                players: *players,
                origin: *origin,
            })
            .collect(),
        draining: *draining,
        link_host: link_host.clone(),
        link_port: (*link_port).into(),
        started_at: *started_at,
        links: *links,
    }
}

fn read_status(status: wire::ServerStatus) -> Result<ServerStatus, DecodeError> {
    const NAME: &str = "ServerStatus";
    let wire::ServerStatus {
        server_id,
        name,
        roles,
        version,
        region,
        host,
        port,
        text_port,
        players,
        capacity,
        cpu_percent,
        memory,
        zones,
        draining,
        link_host,
        link_port,
        started_at,
        links,
    } = status;
    Ok(ServerStatus {
        server: reading::server(At(NAME, "server_id"), server_id)?,
        name,
        roles: each(roles, |role| reading::role(At(NAME, "roles"), role))?,
        version,
        region,
        host,
        port: reading::port(At(NAME, "port"), port)?,
        text_port: reading::port(At(NAME, "text_port"), text_port)?,
        players,
        capacity,
        cpu_percent: reading::finite(At(NAME, "cpu_percent"), cpu_percent)?,
        memory,
        zones: each(zones, |wire::ZoneStatus { zone_id, players, origin }| {
            let zone = reading::zone(At("ZoneStatus", "zone_id"), zone_id)?;
            Ok(ZoneStatus { zone, players, origin })
        })?,
        draining,
        link_host,
        link_port: reading::port(At(NAME, "link_port"), link_port)?,
        started_at,
        links,
    })
}
