//! Chat, rooms and guilds as lines. Each answers to the command that speaks the same way.

use prost::Message;

use crate::proto::{self, ChatChannel, GuildRank, PacketType};
use crate::protocol::text::lines::{Lines, Word};
use crate::protocol::text::render::Rendered;
use crate::protocol::text::view::TextView;

pub(super) fn talk(
    kind: PacketType,
    payload: &[u8],
    view: &TextView,
    lines: &mut Lines,
) -> Rendered {
    match kind {
        PacketType::ChatMessage => {
            let it = proto::ChatMessage::decode(payload)?;
            chat(&it, view, lines);
        }
        PacketType::RoomJoin => {
            let it = proto::RoomJoin::decode(payload)?;
            lines.push(format_args!("ROOM JOIN {} {}", Word(&it.room), Word(&it.player)));
        }
        PacketType::RoomLeave => {
            let it = proto::RoomLeave::decode(payload)?;
            lines.push(format_args!("ROOM LEAVE {} {}", Word(&it.room), Word(&it.player)));
        }
        PacketType::RoomList => {
            let it = proto::RoomList::decode(payload)?;
            let room = |info: &proto::RoomInfo| format!("{} {}", Word(&info.room), info.members);
            lines.push_list("ROOM LIST", true, it.rooms.iter().map(room));
        }
        PacketType::RoomMembers => {
            let it = proto::RoomMembers::decode(payload)?;
            let head = if it.room.is_empty() {
                format!("WHO {}", it.count)
            } else {
                format!("ROOM WHO {} {}", Word(&it.room), it.count)
            };
            lines.push_list(&head, false, it.players.iter().map(|name| Word(name).to_string()));
        }
        _ => {}
    }
    Ok(())
}

fn chat(it: &proto::ChatMessage, view: &TextView, lines: &mut Lines) {
    let (sender, target, text) = (Word(&it.sender), Word(&it.target), &it.text);
    match it.channel() {
        ChatChannel::ChatNear => lines.push(format_args!("CHAT {sender} {text}")),
        ChatChannel::ChatZone => lines.push(format_args!("ZONE {sender} {text}")),
        ChatChannel::ChatWorld => lines.push(format_args!("WORLD {sender} {text}")),
        ChatChannel::ChatWhisper if view.is_self(it.sender_id) => {
            lines.push(format_args!("WHISPER_TO {target} {text}"));
        }
        ChatChannel::ChatWhisper => lines.push(format_args!("WHISPER {sender} {text}")),
        ChatChannel::ChatGuild => lines.push(format_args!("GUILD SAY {sender} {text}")),
        ChatChannel::ChatRoom => lines.push(format_args!("ROOM SAY {target} {sender} {text}")),
        ChatChannel::ChatSystem | ChatChannel::ChatUnspecified => {
            lines.push(format_args!("SYSTEM {text}"));
        }
    }
}

pub(super) fn guild(kind: PacketType, payload: &[u8], lines: &mut Lines) -> Rendered {
    match kind {
        PacketType::GuildResponse => {
            let it = proto::GuildResponse::decode(payload)?;
            let word = if it.success { "GUILD OK" } else { "ERROR" };
            lines.push(format_args!("{word} {} {} {}", it.guild_id, Word(&it.name), it.message));
        }
        PacketType::GuildInvite => {
            let it = proto::GuildInvite::decode(payload)?;
            lines.push(format_args!("GUILD INVITE {} {}", Word(&it.guild), Word(&it.player)));
        }
        PacketType::GuildJoin => {
            let it = proto::GuildJoin::decode(payload)?;
            lines.push(format_args!("GUILD JOIN {} {}", Word(&it.guild), Word(&it.player)));
        }
        PacketType::GuildLeave => {
            let it = proto::GuildLeave::decode(payload)?;
            lines.push(format_args!("GUILD LEAVE {} {}", Word(&it.guild), Word(&it.player)));
        }
        PacketType::GuildKick => {
            let it = proto::GuildKick::decode(payload)?;
            lines.push(format_args!("GUILD KICK {} {}", Word(&it.guild), Word(&it.player)));
        }
        PacketType::GuildRank => {
            let it = proto::GuildRankChange::decode(payload)?;
            let (guild, player) = (Word(&it.guild), Word(&it.player));
            lines.push(format_args!("GUILD RANK {guild} {player} {}", rank_word(it.rank())));
        }
        PacketType::GuildInfo => {
            let it = proto::GuildInfo::decode(payload)?;
            guild_info(&it, lines);
        }
        PacketType::GuildDisband => {
            let it = proto::GuildDisband::decode(payload)?;
            lines.push(format_args!("GUILD DISBAND {}", Word(&it.guild)));
        }
        _ => war(kind, payload, lines)?,
    }
    Ok(())
}

fn war(kind: PacketType, payload: &[u8], lines: &mut Lines) -> Rendered {
    match kind {
        PacketType::GuildWarStart => {
            let it = proto::GuildWarStart::decode(payload)?;
            lines.push(format_args!("GUILD WAR {} {}", Word(&it.guild), Word(&it.enemy)));
        }
        PacketType::GuildWarNotice => {
            let it = proto::GuildWarNotice::decode(payload)?;
            let (guild, enemy) = (Word(&it.guild), Word(&it.enemy));
            let by = Word(if it.by_us { &it.guild } else { &it.enemy });
            let seconds = it.begins_in_ms.div_ceil(1_000);
            lines.push(format_args!("GUILD WAR {guild} {enemy} {seconds} {by}"));
        }
        PacketType::GuildWarEnd => {
            let it = proto::GuildWarEnd::decode(payload)?;
            let (guild, enemy) = (Word(&it.guild), Word(&it.enemy));
            let (ours, theirs) = (it.our_kills, it.their_kills);
            lines.push(format_args!("GUILD PEACE {guild} {enemy} {ours} {theirs}"));
        }
        PacketType::GuildWarScore => {
            let it = proto::GuildWarScore::decode(payload)?;
            let (guild, enemy) = (Word(&it.guild), Word(&it.enemy));
            let (ours, theirs) = (it.our_kills, it.their_kills);
            let (killer, victim) = (Word(&it.killer), Word(&it.victim));
            lines.push(format_args!(
                "GUILD SCORE {guild} {enemy} {ours} {theirs} {killer} {victim}"
            ));
        }
        _ => {}
    }
    Ok(())
}

fn guild_info(it: &proto::GuildInfo, lines: &mut Lines) {
    let (members, wars) = (it.members.len(), it.wars.len());
    lines.push(format_args!("GUILD INFO {} {} {members} {wars}", it.guild_id, Word(&it.name)));
    for member in &it.members {
        let online = if member.online { "online" } else { "offline" };
        let rank = rank_word(member.rank());
        lines.push(format_args!("GUILD MEMBER {} {rank} {online}", Word(&member.name)));
    }
    for war in &it.wars {
        let (ours, theirs) = (war.our_kills, war.their_kills);
        let enemy = Word(&war.enemy);
        if war.begins_in_ms == 0 {
            lines.push(format_args!("GUILD ENEMY {enemy} {ours} {theirs}"));
        } else {
            let seconds = war.begins_in_ms.div_ceil(1_000);
            lines.push(format_args!("GUILD ENEMY {enemy} {ours} {theirs} {seconds}"));
        }
    }
}

fn rank_word(rank: GuildRank) -> &'static str {
    match rank {
        GuildRank::Member => "MEMBER",
        GuildRank::Officer => "OFFICER",
        GuildRank::Leader => "LEADER",
        GuildRank::Unspecified => "-",
    }
}
