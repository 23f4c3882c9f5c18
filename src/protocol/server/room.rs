//! Packets about talk and rooms.

use crate::ids::PlayerId;
use crate::msg::Outgoing;
use crate::names::ChatText;
use crate::proto::{self, ChatChannel, PacketType};
use crate::protocol::server::outgoing;

/// Rooms named in one ROOM_LIST.
pub const ROOM_LIST_MAX: usize = 500;
/// Players named in one ROOM_MEMBERS.
pub const ROOM_MEMBERS_SHOWN: usize = 100;

/// CHAT_MESSAGE: `target` is the whisper's recipient, the room or the guild, else empty; `sent_at`
/// in Unix milliseconds.
pub fn chat_message(
    channel: ChatChannel,
    sender: PlayerId,
    name: &str,
    target: &str,
    text: &ChatText,
    sent_at: u64,
) -> Outgoing {
    let it = proto::ChatMessage {
        channel: channel.into(),
        sender: name.to_owned(),
        sender_id: sender.0,
        target: target.to_owned(),
        text: text.to_string(),
        sent_at,
        event_id: 0,
    };
    outgoing(PacketType::ChatMessage, &it)
}

/// CHAT_MESSAGE from the operators.
pub fn system_message(text: &ChatText, sent_at: u64) -> Outgoing {
    chat_message(ChatChannel::ChatSystem, PlayerId(0), "", "", text, sent_at)
}

/// ROOM_JOIN: a player has come.
pub fn room_joined(room: &str, player: &str) -> Outgoing {
    let it = proto::RoomJoin { room: room.to_owned(), player: player.to_owned() };
    outgoing(PacketType::RoomJoin, &it)
}

/// ROOM_LEAVE: a player has gone.
pub fn room_left(room: &str, player: &str) -> Outgoing {
    let it = proto::RoomLeave { room: room.to_owned(), player: player.to_owned() };
    outgoing(PacketType::RoomLeave, &it)
}

/// ROOM_LIST: the first [`ROOM_LIST_MAX`] of the given rooms, each with its number of members.
pub fn room_list<'a>(rooms: impl IntoIterator<Item = (&'a str, usize)>) -> Outgoing {
    let info = |(room, members): (&str, usize)| proto::RoomInfo {
        room: room.to_owned(),
        members: u32::try_from(members).unwrap_or(u32::MAX),
    };
    let rooms = rooms.into_iter().take(ROOM_LIST_MAX).map(info).collect();
    outgoing(PacketType::RoomList, &proto::RoomList { rooms })
}

/// ROOM_MEMBERS: the first [`ROOM_MEMBERS_SHOWN`] of the given players, of `count` in all.
pub fn room_members<'a>(
    room: &str,
    players: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Outgoing {
    let players = players.into_iter().take(ROOM_MEMBERS_SHOWN).map(str::to_owned).collect();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let it = proto::RoomMembers { room: room.to_owned(), players, count };
    outgoing(PacketType::RoomMembers, &it)
}

/// The answer to WHO: ROOM_MEMBERS without a room, the first of all `count` players in the world.
pub fn who<'a>(players: impl IntoIterator<Item = &'a str>, count: usize) -> Outgoing {
    room_members("", players, count)
}
