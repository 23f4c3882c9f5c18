//! What a zone consists of, as it travels to another process: NPCs, things, and the rest.

use super::DecodeError;
use super::reading::{self, At, each, present};
use super::shared::{NOTHING, put_key, put_operation, put_point, put_pose};
use crate::ids::{EntityId, GuildId};
use crate::proto::link as wire;
use crate::world::share::Hit;
use crate::world::whole::{Doing, NpcState, Thing, ZoneRest};
use wire::npc_state::Doing as WireDoing;

pub(super) fn put_npc(npc: &NpcState) -> wire::NpcState {
    let NpcState { id, kind, pose, health, attack_ready_ms, next_stop, hits, doing } = npc;
    let doing = match *doing {
        Doing::Roams => WireDoing::Roams(NOTHING),
        Doing::Hunts(player) => WireDoing::Hunts(player.0),
        Doing::Returns => WireDoing::Returns(NOTHING),
        Doing::LiesDead { hides_ms, returns_ms } => {
            WireDoing::LiesDead(wire::LiesDead { hides_ms, returns_ms })
        }
    };
    wire::NpcState {
        id: id.0,
        kind: put_key(kind),
        pose: Some(put_pose(pose)),
        health: *health,
        attack_ready_ms: *attack_ready_ms,
        next_stop: *next_stop,
        hits: hits.iter().map(put_hit).collect(),
        doing: Some(doing),
    }
}

pub(super) fn npc(npc: wire::NpcState) -> Result<NpcState, DecodeError> {
    const NAME: &str = "NpcState";
    let wire::NpcState { id, kind, pose, health, attack_ready_ms, next_stop, hits, doing } = npc;
    Ok(NpcState {
        id: EntityId(id),
        kind: kind.into(),
        pose: reading::pose(At(NAME, "pose"), pose)?,
        health,
        attack_ready_ms,
        next_stop,
        hits: each(hits, hit)?,
        doing: match present(At(NAME, "doing"), doing)? {
            WireDoing::Roams(_) => Doing::Roams,
            WireDoing::Hunts(player) => Doing::Hunts(reading::player(At(NAME, "hunts"), player)?),
            WireDoing::Returns(_) => Doing::Returns,
            WireDoing::LiesDead(wire::LiesDead { hides_ms, returns_ms }) => {
                Doing::LiesDead { hides_ms, returns_ms }
            }
        },
    })
}

fn put_hit(Hit { player, zone, level, damage }: &Hit) -> wire::Hit {
    wire::Hit { player_id: player.0, zone_id: zone.0.into(), level: *level, damage: *damage }
}

fn hit(wire::Hit { player_id, zone_id, level, damage }: wire::Hit) -> Result<Hit, DecodeError> {
    Ok(Hit {
        player: reading::player(At("Hit", "player_id"), player_id)?,
        zone: reading::zone(At("Hit", "zone_id"), zone_id)?,
        level,
        damage,
    })
}

pub(super) fn put_thing(thing: &Thing) -> wire::Thing {
    let Thing { id, kind, quantity, at, owner, expires_ms, spawn, unclear, dropped } = thing;
    wire::Thing {
        id: id.0,
        kind: put_key(kind),
        quantity: *quantity,
        at: Some(put_point(*at)),
        owner_player_id: owner.map_or(0, |(player, _)| player.0),
        owned_ms: owner.map_or(0, |(_, millis)| millis),
        expires_ms: *expires_ms,
        spawn: *spawn,
        unclear_player_id: unclear.map_or(0, |(player, _)| player.0),
        unclear: unclear.map(|(_, operation)| put_operation(operation)),
        dropped: *dropped,
    }
}

pub(super) fn thing(thing: wire::Thing) -> Result<Thing, DecodeError> {
    const NAME: &str = "Thing";
    let wire::Thing { id, kind, quantity, at, owner_player_id, owned_ms, .. } = thing;
    let wire::Thing { expires_ms, spawn, unclear_player_id, unclear, dropped, .. } = thing;
    let owner = match owner_player_id {
        0 => None,
        id => Some((reading::player(At(NAME, "owner_player_id"), id)?, owned_ms)),
    };
    let unclear = match unclear_player_id {
        0 => None,
        id => {
            let player = reading::player(At(NAME, "unclear_player_id"), id)?;
            Some((player, reading::operation(At(NAME, "unclear"), unclear)?))
        }
    };
    let at = reading::point(At(NAME, "at"), present(At(NAME, "at"), at)?)?;
    let id = EntityId(id);
    let kind = kind.into();
    Ok(Thing { id, kind, quantity, at, owner, expires_ms, spawn, unclear, dropped })
}

pub(super) fn put_rest(rest: &ZoneRest) -> wire::ZoneRest {
    let ZoneRest { returns, wars, entities_made, events_made } = rest;
    let thing =
        |(spawn, left_ms): &(u32, u64)| wire::ThingReturn { spawn: *spawn, left_ms: *left_ms };
    wire::ZoneRest {
        returns: returns.iter().map(thing).collect(),
        wars: wars.iter().map(put_war).collect(),
        entities_made: *entities_made,
        events_made: *events_made,
    }
}

pub(super) fn rest(rest: wire::ZoneRest) -> Result<ZoneRest, DecodeError> {
    let wire::ZoneRest { returns, wars, entities_made, events_made } = rest;
    let returns = returns.into_iter().map(|thing| (thing.spawn, thing.left_ms)).collect();
    Ok(ZoneRest { returns, wars: each(wars, war)?, entities_made, events_made })
}

pub(super) fn put_war((first, second): &(GuildId, GuildId)) -> wire::War {
    wire::War { first: first.0, second: second.0 }
}

pub(super) fn war(
    wire::War { first, second }: wire::War,
) -> Result<(GuildId, GuildId), DecodeError> {
    let first = reading::guild(At("War", "first"), first)?;
    let second = reading::guild(At("War", "second"), second)?;
    if first < second {
        Ok((first, second))
    } else {
        Err(At("War", "second").wrong("not the larger id"))
    }
}
