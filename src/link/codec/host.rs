//! `HostMsg` on the wire; what a zone consists of is in `whole.rs`.

use bytes::Bytes;

use super::reading::{self, At, each, present};
use super::shared::put_operation;
use super::{DecodeError, body_of, enveloped, not_for, transfer, whole};
use crate::ids::Epoch;
use crate::link::{Delivery, Wire};
use crate::msg::HostMsg;
use crate::msg::host::{Traveller, ZoneOffer};
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::hosting::Hosting;

impl Wire for HostMsg {
    fn encode(&self) -> Bytes {
        let hosting = match self {
            HostMsg::Run { zone } => Hosting::Run(zone.0.into()),
            HostMsg::Move { zone, to } => {
                Hosting::Move(wire::ZoneMove { zone_id: zone.0.into(), to: to.0 })
            }
            HostMsg::Offered(offer) => Hosting::Offered(put_offer(offer)),
            HostMsg::Taken { handover, zone } => Hosting::Taken(wire::ZoneTaken {
                handover: Some(put_operation(*handover)),
                zone_id: zone.0.into(),
            }),
            HostMsg::NotTaken { handover, zone, certain, reason } => {
                Hosting::NotTaken(wire::ZoneNotTaken {
                    handover: Some(put_operation(*handover)),
                    zone_id: zone.0.into(),
                    certain: *certain,
                    reason: reason.clone(),
                })
            }
        };
        enveloped(Body::Hosting(wire::Hosting { hosting: Some(hosting) }))
    }

    fn delivery(&self) -> Delivery {
        Delivery::Reliable
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let Body::Hosting(wire::Hosting { hosting }) = body_of(bytes)? else {
            return Err(not_for("HostMsg"));
        };
        Ok(match present(At("Hosting", "hosting"), hosting)? {
            Hosting::Run(zone) => HostMsg::Run { zone: reading::zone(At("Hosting", "run"), zone)? },
            Hosting::Move(wire::ZoneMove { zone_id, to }) => HostMsg::Move {
                zone: reading::zone(At("ZoneMove", "zone_id"), zone_id)?,
                to: reading::server(At("ZoneMove", "to"), to)?,
            },
            Hosting::Offered(offer) => HostMsg::Offered(Box::new(read_offer(offer)?)),
            Hosting::Taken(wire::ZoneTaken { handover, zone_id }) => HostMsg::Taken {
                handover: reading::operation(At("ZoneTaken", "handover"), handover)?,
                zone: reading::zone(At("ZoneTaken", "zone_id"), zone_id)?,
            },
            Hosting::NotTaken(wire::ZoneNotTaken { handover, zone_id, certain, reason }) => {
                HostMsg::NotTaken {
                    handover: reading::operation(At("ZoneNotTaken", "handover"), handover)?,
                    zone: reading::zone(At("ZoneNotTaken", "zone_id"), zone_id)?,
                    certain,
                    reason,
                }
            }
        })
    }
}

fn put_offer(offer: &ZoneOffer) -> wire::ZoneOffer {
    let ZoneOffer { handover, zone, from, lease, part, parts, players, .. } = offer;
    let ZoneOffer { npcs, things, rest, watchers, .. } = offer;
    let traveller = |Traveller { transfer, session }: &Traveller| transfer::put(transfer, session);
    wire::ZoneOffer {
        handover: Some(put_operation(*handover)),
        zone_id: zone.0.into(),
        from: from.0,
        lease: lease.0,
        part: *part,
        parts: *parts,
        players: players.iter().map(traveller).collect(),
        npcs: npcs.iter().map(whole::put_npc).collect(),
        things: things.iter().map(whole::put_thing).collect(),
        rest: rest.as_deref().map(whole::put_rest),
        watchers: watchers.iter().map(|server| server.0).collect(),
    }
}

fn read_offer(offer: wire::ZoneOffer) -> Result<ZoneOffer, DecodeError> {
    const NAME: &str = "ZoneOffer";
    let wire::ZoneOffer { handover, zone_id, from, lease, part, parts, players, .. } = offer;
    let wire::ZoneOffer { npcs, things, rest, watchers, .. } = offer;
    if part >= parts {
        return Err(At(NAME, "part").wrong("not below parts"));
    }
    Ok(ZoneOffer {
        handover: reading::operation(At(NAME, "handover"), handover)?,
        zone: reading::zone(At(NAME, "zone_id"), zone_id)?,
        from: reading::server(At(NAME, "from"), from)?,
        lease: Epoch(lease),
        part,
        parts,
        players: each(players, |player| {
            let (transfer, session) = transfer::read(player)?;
            Ok(Traveller { transfer, session })
        })?,
        npcs: each(npcs, whole::npc)?,
        things: each(things, whole::thing)?,
        rest: rest.map(whole::rest).transpose()?.map(Box::new),
        watchers: each(watchers, |id| reading::server(At(NAME, "watchers"), id))?,
    })
}
