//! `NodeMsg` on the wire.

use bytes::Bytes;

use super::reading::{self, At, each, present};
use super::shared::{NOTHING, put_role};
use super::{DecodeError, body_of, enveloped, not_for};
use crate::link::{Delivery, Wire};
use crate::msg::NodeMsg;
use crate::msg::node::{HostedZone, Introduction, Member};
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::node::Node;

/// Bytes of an Ed25519 public key.
const TICKET_KEY: usize = 32;

impl Wire for NodeMsg {
    fn encode(&self) -> Bytes {
        let node = match self {
            NodeMsg::Members(members) => {
                Node::Members(wire::Members { members: members.iter().map(put_member).collect() })
            }
            NodeMsg::Introduced(introduction) => Node::Introduced(put_introduction(introduction)),
            NodeMsg::Drain => Node::Drain(NOTHING),
        };
        enveloped(Body::Node(wire::Node { node: Some(node) }))
    }

    fn delivery(&self) -> Delivery {
        Delivery::Reliable
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let Body::Node(wire::Node { node }) = body_of(bytes)? else {
            return Err(not_for("NodeMsg"));
        };
        Ok(match present(At("Node", "node"), node)? {
            Node::Members(wire::Members { members }) => {
                NodeMsg::Members(each(members, read_member)?)
            }
            Node::Introduced(introduction) => {
                NodeMsg::Introduced(Box::new(read_introduction(introduction)?))
            }
            Node::Drain(wire::Nothing {}) => NodeMsg::Drain,
            Node::Lost(_) => return Err(not_for("NodeMsg")),
        })
    }
}

fn put_member(member: &Member) -> wire::Member {
    let Member { server, roles, host, port } = member;
    wire::Member {
        server_id: server.0,
        roles: roles.iter().map(|role| put_role(*role).into()).collect(),
        host: host.clone(),
        port: (*port).into(),
    }
}

fn read_member(member: wire::Member) -> Result<Member, DecodeError> {
    const NAME: &str = "Member";
    let wire::Member { server_id, roles, host, port } = member;
    Ok(Member {
        server: reading::server(At(NAME, "server_id"), server_id)?,
        roles: each(roles, |role| reading::role(At(NAME, "roles"), role))?,
        host,
        port: reading::port(At(NAME, "port"), port)?,
    })
}

fn put_introduction(introduction: &Introduction) -> wire::Introduction {
    let Introduction { server, roles, started_at, ticket_key, zones } = introduction;
    let hosted = |HostedZone { zone, origin }: &HostedZone| wire::HostedZone {
        zone_id: zone.0.into(),
        origin: *origin,
    };
    wire::Introduction {
        server_id: server.0,
        roles: roles.iter().map(|role| put_role(*role).into()).collect(),
        started_at: *started_at,
        ticket_key: ticket_key.clone(),
        zones: zones.iter().map(hosted).collect(),
    }
}

fn read_introduction(introduction: wire::Introduction) -> Result<Introduction, DecodeError> {
    const NAME: &str = "Introduction";
    let wire::Introduction { server_id, roles, started_at, ticket_key, zones } = introduction;
    if ticket_key.as_ref().is_some_and(|key| key.len() != TICKET_KEY) {
        return Err(At(NAME, "ticket_key").wrong("not 32 bytes of key"));
    }
    Ok(Introduction {
        server: reading::server(At(NAME, "server_id"), server_id)?,
        roles: each(roles, |role| reading::role(At(NAME, "roles"), role))?,
        started_at,
        ticket_key,
        zones: each(zones, |wire::HostedZone { zone_id, origin }| {
            Ok(HostedZone { zone: reading::zone(At("HostedZone", "zone_id"), zone_id)?, origin })
        })?,
    })
}
