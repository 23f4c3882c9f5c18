//! Which packet type says what a [`ClientPacket`] says: for the line protocol, whose commands are
//! checked by the same table.

use super::ClientPacket;
use crate::msg::chat::{GuildAction, RoomAction};
use crate::proto::PacketType;
use crate::world::command::Action;

impl ClientPacket {
    /// The type of packet that a packet client would have sent.
    pub fn kind(&self) -> PacketType {
        match self {
            ClientPacket::Login { .. } => PacketType::LoginRequest,
            ClientPacket::Register { .. } => PacketType::RegisterRequest,
            ClientPacket::Resume { .. } => PacketType::ResumeRequest,
            ClientPacket::EnterWorld { .. } => PacketType::EnterWorldRequest,
            ClientPacket::Logout => PacketType::LogoutRequest,
            ClientPacket::Heartbeat { .. } => PacketType::HeartbeatRequest,
            ClientPacket::Act(action) => action_kind(action),
            ClientPacket::Say { .. } => PacketType::ChatSend,
            ClientPacket::Room(action) => room_kind(action),
            ClientPacket::Guild(action) => guild_kind(action),
        }
    }
}

fn action_kind(action: &Action) -> PacketType {
    match action {
        Action::Move { .. } => PacketType::MovementUpdate,
        Action::MoveTo { .. } => PacketType::MoveTo,
        Action::Attack { .. } => PacketType::CombatAction,
        Action::Skill { .. } => PacketType::UseSkill,
        Action::UseItem(_) => PacketType::UseItem,
        Action::PickUp(_) => PacketType::PickUp,
        Action::Drop { .. } => PacketType::ItemDrop,
        Action::Destroy { .. } => PacketType::ItemDestroy,
        Action::Give { .. } => PacketType::ItemGive,
        Action::AcceptQuest(_) => PacketType::QuestAccept,
        Action::AbandonQuest(_) => PacketType::QuestAbandon,
        Action::Stats => PacketType::PlayerStats,
        Action::Inventory => PacketType::Inventory,
        Action::QuestLog => PacketType::QuestLog,
        Action::Say(_) | Action::Shout(_) => PacketType::ChatSend,
    }
}

fn room_kind(action: &RoomAction) -> PacketType {
    match action {
        RoomAction::Create(_) => PacketType::RoomCreate,
        RoomAction::Join(_) => PacketType::RoomJoin,
        RoomAction::Leave(_) => PacketType::RoomLeave,
        RoomAction::List => PacketType::RoomList,
        RoomAction::Members(_) => PacketType::RoomMembers,
    }
}

fn guild_kind(action: &GuildAction) -> PacketType {
    match action {
        GuildAction::Create(_) => PacketType::GuildCreateRequest,
        GuildAction::Invite(_) => PacketType::GuildInvite,
        GuildAction::Join(_) => PacketType::GuildJoin,
        GuildAction::Leave => PacketType::GuildLeave,
        GuildAction::Kick(_) => PacketType::GuildKick,
        GuildAction::Rank(..) => PacketType::GuildRank,
        GuildAction::Disband => PacketType::GuildDisband,
        GuildAction::Info(_) => PacketType::GuildInfo,
        GuildAction::DeclareWar(_) => PacketType::GuildWarStart,
        GuildAction::EndWar(_) => PacketType::GuildWarEnd,
    }
}
