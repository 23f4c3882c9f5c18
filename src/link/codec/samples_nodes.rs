//! Strategies that make messages about processes and what they host, for the round-trip tests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::samples::*;
use crate::ids::{Epoch, GuildId};
use crate::msg::host::{Traveller, ZoneOffer};
use crate::msg::master::{PresentSession, ZoneStatus};
use crate::msg::node::{HostedZone, Introduction, Member};
use crate::msg::{HostMsg, NodeMsg};
use crate::world::share::Hit;
use crate::world::whole::{Doing, NpcState, Thing, ZoneRest};

fn member() -> impl Strategy<Value = Member> {
    (server_id(), roles(), ".{0,9}", any::<u16>()).prop_map(|(server, roles, host, port)| Member {
        server,
        roles,
        host,
        port,
    })
}

fn introduction() -> impl Strategy<Value = Introduction> {
    let hosted = (zone_id(), any::<u64>()).prop_map(|(zone, origin)| HostedZone { zone, origin });
    let key = option::of(any::<[u8; 32]>().prop_map(|key| Bytes::copy_from_slice(&key)));
    (server_id(), roles(), any::<u64>(), key, vec(hosted, 0..4)).prop_map(
        |(server, roles, started_at, ticket_key, zones)| Introduction {
            server,
            roles,
            started_at,
            ticket_key,
            zones,
        },
    )
}

pub(super) fn node_msg() -> impl Strategy<Value = NodeMsg> {
    prop_oneof![
        vec(member(), 0..4).prop_map(NodeMsg::Members),
        introduction().prop_map(|introduction| NodeMsg::Introduced(Box::new(introduction))),
        Just(NodeMsg::Drain),
    ]
}

fn npc() -> impl Strategy<Value = NpcState> {
    let doing = prop_oneof![
        Just(Doing::Roams),
        player_id().prop_map(Doing::Hunts),
        Just(Doing::Returns),
        (any::<u64>(), any::<u64>())
            .prop_map(|(hides_ms, returns_ms)| Doing::LiesDead { hides_ms, returns_ms }),
    ];
    let numbers = (any::<u32>(), any::<u64>(), any::<u32>());
    let hit = (player_id(), zone_id(), any::<u32>(), any::<u64>())
        .prop_map(|(player, zone, level, damage)| Hit { player, zone, level, damage });
    (entity_id(), key(), pose(), numbers, vec(hit, 0..3), doing).prop_map(
        |(id, kind, pose, (health, attack_ready_ms, next_stop), hits, doing)| NpcState {
            id,
            kind,
            pose,
            health,
            attack_ready_ms,
            next_stop,
            hits,
            doing,
        },
    )
}

fn thing() -> impl Strategy<Value = Thing> {
    let what = (entity_id(), key(), any::<u32>(), point());
    let owner = option::of((player_id(), any::<u64>()));
    let unclear = option::of((player_id(), operation_id()));
    let numbers = (option::of(any::<u64>()), option::of(any::<u32>()), any::<bool>());
    (what, owner, numbers, unclear).prop_map(
        |((id, kind, quantity, at), owner, (expires_ms, spawn, dropped), unclear)| Thing {
            id,
            kind,
            quantity,
            at,
            owner,
            expires_ms,
            spawn,
            unclear,
            dropped,
        },
    )
}

fn zone_rest() -> impl Strategy<Value = ZoneRest> {
    let war = (1u64..1 << 62, 1u64..1 << 62)
        .prop_map(|(first, more)| (GuildId(first), GuildId(first + more)));
    let returns = vec((any::<u32>(), any::<u64>()), 0..3);
    (returns, vec(war, 0..3), any::<u32>(), any::<u64>()).prop_map(
        |(returns, wars, entities_made, events_made)| ZoneRest {
            returns,
            wars,
            entities_made,
            events_made,
        },
    )
}

fn offer() -> impl Strategy<Value = ZoneOffer> {
    let player =
        (transfer(), session()).prop_map(|(transfer, session)| Traveller { transfer, session });
    let head = (operation_id(), zone_id(), server_id(), any::<u64>());
    let inside = (vec(player, 0..3), vec(npc(), 0..3), vec(thing(), 0..3));
    let besides = (option::of(zone_rest().prop_map(Box::new)), vec(server_id(), 0..3));
    (head, 0u32..4, 0u32..4, inside, besides).prop_map(|(head, part, more, inside, besides)| {
        let (handover, zone, from, lease) = head;
        let ((players, npcs, things), (rest, watchers)) = (inside, besides);
        ZoneOffer {
            handover,
            zone,
            from,
            lease: Epoch(lease),
            part,
            parts: part + 1 + more,
            players,
            npcs,
            things,
            rest,
            watchers,
        }
    })
}

pub(super) fn host_msg() -> impl Strategy<Value = HostMsg> {
    prop_oneof![
        zone_id().prop_map(|zone| HostMsg::Run { zone }),
        (zone_id(), server_id()).prop_map(|(zone, to)| HostMsg::Move { zone, to }),
        offer().prop_map(|offer| HostMsg::Offered(Box::new(offer))),
        (operation_id(), zone_id()).prop_map(|(handover, zone)| HostMsg::Taken { handover, zone }),
        (operation_id(), zone_id(), any::<bool>(), ".{0,20}").prop_map(
            |(handover, zone, certain, reason)| HostMsg::NotTaken {
                handover,
                zone,
                certain,
                reason
            }
        ),
    ]
}

pub(super) fn present_session() -> impl Strategy<Value = PresentSession> {
    (player_id(), key(), session(), ".{0,9}", option::of(zone_id()), any::<u64>()).prop_map(
        |(player, name, session, device, zone, since)| PresentSession {
            player,
            name,
            session,
            device,
            zone,
            since,
        },
    )
}

pub(super) fn zone_status() -> impl Strategy<Value = ZoneStatus> {
    (zone_id(), any::<u32>(), any::<u64>()).prop_map(|(zone, players, origin)| ZoneStatus {
        zone,
        players,
        origin,
    })
}
