//! Parts that several messages carry: sessions, packets, players, guilds, servers; each with its
//! two directions side by side.

use super::DecodeError;
use super::reading::{self, At, each, present};
use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, GuildRank, ItemId, Key, OperationId, PlayerId, SessionRef, TicketUse};
use crate::msg::Outgoing;
use crate::msg::conduct::{Conduct, TIMES_MAX};
use crate::msg::login::GameServer;
use crate::names::Name;
use crate::proto;
use crate::proto::link as wire;
use crate::role::Role;
use crate::world::command::{GuildTag, ItemStack, PlayerState, QuestProgress, Timer};

/// What says nothing but that it is there.
pub(super) const NOTHING: wire::Nothing = wire::Nothing {};

pub(super) fn put_key(key: &Key) -> String {
    key.as_ref().to_owned()
}

pub(super) fn put_names(names: &[Name]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

pub(super) fn put_session(session: &SessionRef) -> wire::Session {
    let SessionRef { gateway, key } = session;
    wire::Session { gateway: gateway.0, key: key.0 }
}

pub(super) fn put_operation(id: OperationId) -> wire::OperationId {
    wire::OperationId { high: (id.0 >> 64) as u64, low: id.0 as u64 }
}

pub(super) fn put_point(point: Point) -> wire::Point {
    let Point { x, y } = point;
    wire::Point { x, y }
}

pub(super) fn put_pose(pose: &Pose) -> wire::Pose {
    let Pose { at, rotation } = pose;
    wire::Pose { at: Some(put_point(*at)), rotation: *rotation }
}

pub(super) fn put_rank(rank: GuildRank) -> proto::GuildRank {
    match rank {
        GuildRank::Member => proto::GuildRank::Member,
        GuildRank::Officer => proto::GuildRank::Officer,
        GuildRank::Leader => proto::GuildRank::Leader,
    }
}

pub(super) fn put_role(role: Role) -> wire::Role {
    match role {
        Role::Master => wire::Role::Master,
        Role::Login => wire::Role::Login,
        Role::Gateway => wire::Role::Gateway,
        Role::Zone => wire::Role::Zone,
        Role::Chat => wire::Role::Chat,
    }
}

pub(super) fn put_packet(packet: &Outgoing) -> wire::OutgoingPacket {
    let Outgoing { kind, payload } = packet;
    wire::OutgoingPacket { kind: (*kind).into(), payload: payload.clone() }
}

pub(super) fn packet(
    at: At,
    packet: Option<wire::OutgoingPacket>,
) -> Result<Outgoing, DecodeError> {
    let wire::OutgoingPacket { kind, payload } = present(at, packet)?;
    Ok(Outgoing { kind: reading::known(At("OutgoingPacket", "kind"), kind)?, payload })
}

pub(super) fn put_guild(guild: &GuildTag) -> wire::GuildTag {
    let GuildTag { id, name } = guild;
    wire::GuildTag { id: id.0, name: put_key(name) }
}

pub(super) fn guild(guild: wire::GuildTag) -> Result<GuildTag, DecodeError> {
    let wire::GuildTag { id, name } = guild;
    Ok(GuildTag { id: reading::guild(At("GuildTag", "id"), id)?, name: name.into() })
}

pub(super) fn put_ticket(ticket: &TicketUse) -> wire::Ticket {
    let TicketUse { id, expires_at } = ticket;
    wire::Ticket { id: id.as_bytes().to_vec().into(), expires_at: *expires_at }
}

pub(super) fn ticket(ticket: wire::Ticket) -> Result<TicketUse, DecodeError> {
    let wire::Ticket { id, expires_at } = ticket;
    Ok(TicketUse { id: reading::uuid(At("Ticket", "id"), &id)?, expires_at })
}

fn put_stack(stack: &ItemStack) -> wire::ItemStack {
    let ItemStack { id, kind, quantity } = stack;
    wire::ItemStack { id: id.0, kind: put_key(kind), quantity: *quantity }
}

fn stack(stack: wire::ItemStack) -> ItemStack {
    let wire::ItemStack { id, kind, quantity } = stack;
    ItemStack { id: ItemId(id), kind: kind.into(), quantity }
}

fn put_quest(progress: &QuestProgress) -> wire::QuestProgress {
    let QuestProgress { quest, done, completed } = progress;
    wire::QuestProgress { quest: put_key(quest), done: done.clone(), completed: *completed }
}

fn quest(progress: wire::QuestProgress) -> QuestProgress {
    let wire::QuestProgress { quest, done, completed } = progress;
    QuestProgress { quest: quest.into(), done, completed }
}

fn put_timer(Timer { what, left_ms }: &Timer) -> wire::Timer {
    wire::Timer { what: what.to_string(), left_ms: *left_ms }
}

/// One that only a newer process knows means nothing here.
fn timer(wire::Timer { what, left_ms }: wire::Timer) -> Option<Timer> {
    Some(Timer { what: what.parse().ok()?, left_ms })
}

pub(super) fn put_player(state: &PlayerState) -> wire::PlayerState {
    let PlayerState {
        id,
        name,
        epoch,
        zone,
        pose,
        level,
        experience,
        health,
        power,
        gold,
        inventory,
        quests,
        timers,
    } = state;
    wire::PlayerState {
        player_id: id.0,
        name: put_key(name),
        epoch: epoch.0,
        zone_id: zone.0.into(),
        pose: Some(put_pose(pose)),
        level: *level,
        experience: *experience,
        health: *health,
        power: *power,
        gold: *gold,
        inventory: inventory.iter().map(put_stack).collect(),
        quests: quests.iter().map(put_quest).collect(),
        timers: timers.iter().map(put_timer).collect(),
    }
}

pub(super) fn player(at: At, state: Option<wire::PlayerState>) -> Result<PlayerState, DecodeError> {
    let wire::PlayerState {
        player_id,
        name,
        epoch,
        zone_id,
        pose,
        level,
        experience,
        health,
        power,
        gold,
        inventory,
        quests,
        timers,
    } = present(at, state)?;
    Ok(PlayerState {
        id: reading::player(At("PlayerState", "player_id"), player_id)?,
        name: name.into(),
        epoch: Epoch(epoch),
        zone: reading::zone(At("PlayerState", "zone_id"), zone_id)?,
        pose: reading::pose(At("PlayerState", "pose"), pose)?,
        level,
        experience,
        health,
        power,
        gold,
        inventory: inventory.into_iter().map(stack).collect(),
        quests: quests.into_iter().map(quest).collect(),
        timers: timers.into_iter().filter_map(timer).collect(),
    })
}

fn put_server(server: &GameServer) -> wire::GameServer {
    let GameServer { id, name, host, port, text_port, players, capacity } = server;
    wire::GameServer {
        server_id: id.0,
        name: name.clone(),
        host: host.clone(),
        port: (*port).into(),
        text_port: (*text_port).into(),
        players: *players,
        capacity: *capacity,
    }
}

fn server(server: wire::GameServer) -> Result<GameServer, DecodeError> {
    let wire::GameServer { server_id, name, host, port, text_port, players, capacity } = server;
    Ok(GameServer {
        id: reading::server(At("GameServer", "server_id"), server_id)?,
        name,
        host,
        port: reading::port(At("GameServer", "port"), port)?,
        text_port: reading::port(At("GameServer", "text_port"), text_port)?,
        players,
        capacity,
    })
}

pub(super) fn put_servers(servers: &[GameServer]) -> Vec<wire::GameServer> {
    servers.iter().map(put_server).collect()
}

pub(super) fn servers(list: Vec<wire::GameServer>) -> Result<Vec<GameServer>, DecodeError> {
    each(list, server)
}

/// What a player has used up of its limits.
pub(super) fn put_conduct(
    player: PlayerId,
    gateway: u64,
    conduct: &Conduct,
) -> wire::PlayerConduct {
    let Conduct { packets, moves, abilities, muted, tried, spoken, strikes } = conduct;
    wire::PlayerConduct {
        player_id: player.0,
        gateway,
        packets: *packets,
        moves: *moves,
        abilities: *abilities,
        muted: *muted,
        tried: tried.clone(),
        spoken: spoken.clone(),
        strikes: strikes.clone(),
    }
}

/// See [`put_conduct`]; without who says so.
pub(super) fn conduct(told: wire::PlayerConduct) -> Result<(PlayerId, Conduct), DecodeError> {
    let wire::PlayerConduct { player_id, packets, moves, abilities, muted, .. } = told;
    let wire::PlayerConduct { mut tried, mut spoken, mut strikes, .. } = told;
    for times in [&mut tried, &mut spoken, &mut strikes] {
        times.truncate(TIMES_MAX);
    }
    let player = reading::player(At("PlayerConduct", "player_id"), player_id)?;
    Ok((player, Conduct { packets, moves, abilities, muted, tried, spoken, strikes }))
}
