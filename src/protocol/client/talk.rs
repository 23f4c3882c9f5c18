//! A client's chat, room and guild packets.
//!
//! Called by [`super::decode`]. Near and zone chat become actions in the world, which knows who
//! stands where; all else is for the chat role.

use crate::ids::GuildRank;
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::proto::{self, ChatChannel, PacketType};
use crate::protocol::client::fields::{name, text};
use crate::protocol::client::{ClientPacket, Rejected, message, not_a_clients};
use crate::world::command::Action;

pub(super) fn decode_chat(payload: &[u8]) -> Result<ClientPacket, Rejected> {
    let it: proto::ChatSend = message(PacketType::ChatSend, payload)?;
    let text = text(&it.text)?;
    let to = match it.channel() {
        ChatChannel::ChatNear => return Ok(ClientPacket::Act(Action::Say(text.key()))),
        ChatChannel::ChatZone => return Ok(ClientPacket::Act(Action::Shout(text.key()))),
        ChatChannel::ChatWorld => Addressee::World,
        ChatChannel::ChatWhisper => Addressee::Player(name("target", &it.target)?),
        ChatChannel::ChatGuild => Addressee::Guild,
        ChatChannel::ChatRoom => Addressee::Room(name("target", &it.target)?),
        ChatChannel::ChatSystem | ChatChannel::ChatUnspecified => {
            return Err(Rejected::argument("channel is not one that players speak on"));
        }
    };
    Ok(ClientPacket::Say { to, text })
}

pub(super) fn decode_room(kind: PacketType, payload: &[u8]) -> Result<RoomAction, Rejected> {
    Ok(match kind {
        PacketType::RoomCreate => {
            let it: proto::RoomCreate = message(kind, payload)?;
            RoomAction::Create(name("room", &it.room)?)
        }
        PacketType::RoomJoin => {
            let it: proto::RoomJoin = message(kind, payload)?;
            RoomAction::Join(name("room", &it.room)?)
        }
        PacketType::RoomLeave => {
            let it: proto::RoomLeave = message(kind, payload)?;
            RoomAction::Leave(name("room", &it.room)?)
        }
        PacketType::RoomList => {
            message::<proto::RoomList>(kind, payload).map(|_| RoomAction::List)?
        }
        PacketType::RoomMembers => {
            let it: proto::RoomMembers = message(kind, payload)?;
            RoomAction::Members(name("room", &it.room)?)
        }
        other => return Err(not_a_clients(other)),
    })
}

pub(super) fn decode_guild(kind: PacketType, payload: &[u8]) -> Result<GuildAction, Rejected> {
    Ok(match kind {
        PacketType::GuildCreateRequest => {
            let it: proto::GuildCreateRequest = message(kind, payload)?;
            GuildAction::Create(name("name", &it.name)?)
        }
        PacketType::GuildInvite => {
            let it: proto::GuildInvite = message(kind, payload)?;
            GuildAction::Invite(name("player", &it.player)?)
        }
        PacketType::GuildJoin => {
            let it: proto::GuildJoin = message(kind, payload)?;
            GuildAction::Join(name("guild", &it.guild)?)
        }
        PacketType::GuildLeave => {
            message::<proto::GuildLeave>(kind, payload).map(|_| GuildAction::Leave)?
        }
        PacketType::GuildKick => {
            let it: proto::GuildKick = message(kind, payload)?;
            GuildAction::Kick(name("player", &it.player)?)
        }
        PacketType::GuildRank => {
            let it: proto::GuildRankChange = message(kind, payload)?;
            let rank = rank(it.rank())?;
            GuildAction::Rank(name("player", &it.player)?, rank)
        }
        PacketType::GuildInfo => {
            let it: proto::GuildInfo = message(kind, payload)?;
            let own = it.name.is_empty();
            GuildAction::Info(if own { None } else { Some(name("name", &it.name)?) })
        }
        PacketType::GuildDisband => {
            message::<proto::GuildDisband>(kind, payload).map(|_| GuildAction::Disband)?
        }
        PacketType::GuildWarStart => {
            let it: proto::GuildWarStart = message(kind, payload)?;
            GuildAction::DeclareWar(name("enemy", &it.enemy)?)
        }
        PacketType::GuildWarEnd => {
            let it: proto::GuildWarEnd = message(kind, payload)?;
            GuildAction::EndWar(name("enemy", &it.enemy)?)
        }
        other => return Err(not_a_clients(other)),
    })
}

fn rank(rank: proto::GuildRank) -> Result<GuildRank, Rejected> {
    match rank {
        proto::GuildRank::Member => Ok(GuildRank::Member),
        proto::GuildRank::Officer => Ok(GuildRank::Officer),
        proto::GuildRank::Leader => Ok(GuildRank::Leader),
        proto::GuildRank::Unspecified => {
            Err(Rejected::argument("rank is not one that guilds have"))
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::names::Name;
    use crate::proto::{ChatSend, ErrorCode};

    fn chat(channel: ChatChannel, target: &str, text: &str) -> Result<ClientPacket, Rejected> {
        let it = ChatSend { channel: channel.into(), target: target.into(), text: text.into() };
        decode_chat(&it.encode_to_vec())
    }

    #[test]
    fn each_channel_finds_its_way() {
        let near = chat(ChatChannel::ChatNear, "", " hi ").unwrap();
        assert_eq!(near, ClientPacket::Act(Action::Say("hi".into())));
        let whisper = chat(ChatChannel::ChatWhisper, "Bob", "hi").unwrap();
        let to = Addressee::Player(Name::parse("Bob").unwrap());
        assert!(matches!(whisper, ClientPacket::Say { to: found, .. } if found == to));
        let refused = |channel, target, text| chat(channel, target, text).unwrap_err().code;
        assert_eq!(refused(ChatChannel::ChatSystem, "", "hi"), ErrorCode::ErrorInvalidArgument);
        assert_eq!(refused(ChatChannel::ChatWhisper, "", "hi"), ErrorCode::ErrorInvalidName);
        assert_eq!(refused(ChatChannel::ChatNear, "", "a\nb"), ErrorCode::ErrorTextRefused);
    }

    #[test]
    fn one_asks_about_ones_own_guild_without_a_name() {
        assert_eq!(decode_guild(PacketType::GuildInfo, &[]), Ok(GuildAction::Info(None)));
        assert!(decode_guild(PacketType::GuildResponse, &[]).is_err());
    }
}
