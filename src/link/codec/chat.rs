//! `ChatMsg` on the wire.

use bytes::Bytes;

use super::reading::{self, At, present};
use super::shared::{NOTHING, put_key, put_names, put_operation, put_rank, put_session};
use super::{DecodeError, body_of, enveloped, not_for};
use crate::ids::{PlayerId, RequestId};
use crate::link::{Delivery, Wire};
use crate::msg::ChatMsg;
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::names::Name;
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::global_event::Event;
use wire::guild_message::Message;
use wire::guild_request::Action as GuildWire;
use wire::presence::Presence;
use wire::room_request::Action as RoomWire;
use wire::speech::To;
use wire::talk;
use wire::zone_change::Change;

impl Wire for ChatMsg {
    fn encode(&self) -> Bytes {
        enveloped(match self {
            ChatMsg::Joined { player, name, session, zone, rooms, since } => {
                let joined = wire::PresenceJoined {
                    player_id: player.0,
                    name: put_key(name),
                    session: Some(put_session(session)),
                    zone_id: zone.0.into(),
                    rooms: put_names(rooms),
                    since: *since,
                };
                Body::Presence(wire::Presence { presence: Some(Presence::Joined(joined)) })
            }
            ChatMsg::Moved { player, zone } => {
                let relocated =
                    wire::PlayerRelocated { player_id: player.0, zone_id: zone.0.into() };
                Body::ZoneChange(wire::ZoneChange { change: Some(Change::Relocated(relocated)) })
            }
            ChatMsg::Left { player, session } => {
                let left = wire::PresenceEnded {
                    player_id: player.0,
                    session: Some(put_session(session)),
                };
                Body::Presence(wire::Presence { presence: Some(Presence::Left(left)) })
            }
            ChatMsg::Say { player, request, to, text } => {
                let speech =
                    wire::Speech { text: text.as_str().to_owned(), to: Some(put_addressee(to)) };
                put_talk(*player, *request, talk::Talk::Say(speech))
            }
            ChatMsg::Room { player, request, action } => {
                let room = wire::RoomRequest { action: Some(put_room(action)) };
                put_talk(*player, *request, talk::Talk::Room(room))
            }
            ChatMsg::Who { player, request } => {
                put_talk(*player, *request, talk::Talk::Who(NOTHING))
            }
            ChatMsg::Guild { player, request, action } => {
                let request = wire::GuildRequest {
                    player_id: player.0,
                    request: *request,
                    action: Some(put_guild_action(action)),
                };
                Body::GuildMessage(wire::GuildMessage { message: Some(Message::Request(request)) })
            }
            ChatMsg::WarKill { id, killer, victim } => {
                let kill = wire::WarKill {
                    id: Some(put_operation(*id)),
                    killer_player_id: killer.0.0,
                    killer_guild_id: killer.1.0,
                    victim_player_id: victim.0.0,
                    victim_guild_id: victim.1.0,
                };
                Body::GuildMessage(wire::GuildMessage { message: Some(Message::WarKill(kill)) })
            }
            ChatMsg::Announce { request, text } => {
                let announcement =
                    wire::Announcement { request_id: request.0, text: text.as_str().to_owned() };
                Body::GlobalEvent(wire::GlobalEvent { event: Some(Event::Announce(announcement)) })
            }
        })
    }

    fn delivery(&self) -> Delivery {
        Delivery::Reliable
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match body_of(bytes)? {
            Body::Talk(talk) => read_talk(talk),
            Body::Presence(wire::Presence { presence }) => {
                read_presence(present(At("Presence", "presence"), presence)?)
            }
            Body::ZoneChange(wire::ZoneChange { change }) => {
                read_change(present(At("ZoneChange", "change"), change)?)
            }
            Body::GuildMessage(wire::GuildMessage { message }) => {
                match present(At("GuildMessage", "message"), message)? {
                    Message::Request(request) => read_guild_request(request),
                    Message::WarKill(kill) => read_kill(kill),
                    Message::SetGuild(_) | Message::SetWars(_) => Err(not_for("ChatMsg")),
                }
            }
            Body::GlobalEvent(wire::GlobalEvent { event }) => {
                match present(At("GlobalEvent", "event"), event)? {
                    Event::Announce(wire::Announcement { request_id, text }) => {
                        Ok(ChatMsg::Announce {
                            request: RequestId(request_id),
                            text: reading::chat_text(At("Announcement", "text"), &text)?,
                        })
                    }
                    Event::Broadcast(_) => Err(not_for("ChatMsg")),
                }
            }
            Body::Input(_)
            | Body::Delivery(_)
            | Body::Frame(_)
            | Body::Acknowledgement(_)
            | Body::PlayerTransfer(_)
            | Body::ChatBroadcast(_)
            | Body::ServerStatus(_)
            | Body::LoadBalance(_)
            | Body::SessionControl(_)
            | Body::Watch(_)
            | Body::Combat(_)
            | Body::LoginExchange(_)
            | Body::Node(_)
            | Body::Hosting(_) => Err(not_for("ChatMsg")),
        }
    }
}

fn put_talk(player: PlayerId, request: u64, talk: talk::Talk) -> Body {
    Body::Talk(wire::Talk { player_id: player.0, request, talk: Some(talk) })
}

fn read_presence(presence: Presence) -> Result<ChatMsg, DecodeError> {
    match presence {
        Presence::Joined(joined) => {
            let wire::PresenceJoined { player_id, name, session, zone_id, rooms, since } = joined;
            const NAME: &str = "PresenceJoined";
            Ok(ChatMsg::Joined {
                player: reading::player(At(NAME, "player_id"), player_id)?,
                name: name.into(),
                session: reading::session(At(NAME, "session"), session)?,
                zone: reading::zone(At(NAME, "zone_id"), zone_id)?,
                rooms: reading::names(At(NAME, "rooms"), rooms)?,
                since,
            })
        }
        Presence::Left(wire::PresenceEnded { player_id, session }) => Ok(ChatMsg::Left {
            player: reading::player(At("PresenceEnded", "player_id"), player_id)?,
            session: reading::session(At("PresenceEnded", "session"), session)?,
        }),
        Presence::Claim(_)
        | Presence::Released(_)
        | Presence::WhereIs(_)
        | Presence::Granted(_)
        | Presence::Found(_)
        | Presence::Conduct(_)
        | Presence::Present(_) => Err(not_for("ChatMsg")),
    }
}

fn read_change(change: Change) -> Result<ChatMsg, DecodeError> {
    match change {
        Change::Relocated(wire::PlayerRelocated { player_id, zone_id }) => Ok(ChatMsg::Moved {
            player: reading::player(At("PlayerRelocated", "player_id"), player_id)?,
            zone: reading::zone(At("PlayerRelocated", "zone_id"), zone_id)?,
        }),
        Change::Arrived(_) | Change::NotArrived(_) | Change::Moved(_) | Change::Located(_) => {
            Err(not_for("ChatMsg"))
        }
    }
}

fn read_talk(talk: wire::Talk) -> Result<ChatMsg, DecodeError> {
    let wire::Talk { player_id, request, talk } = talk;
    let player = reading::player(At("Talk", "player_id"), player_id)?;
    match present(At("Talk", "talk"), talk)? {
        talk::Talk::Say(wire::Speech { text, to }) => Ok(ChatMsg::Say {
            player,
            request,
            to: read_addressee(present(At("Speech", "to"), to)?)?,
            text: reading::chat_text(At("Speech", "text"), &text)?,
        }),
        talk::Talk::Room(wire::RoomRequest { action }) => Ok(ChatMsg::Room {
            player,
            request,
            action: read_room(present(At("RoomRequest", "action"), action)?)?,
        }),
        talk::Talk::Who(wire::Nothing {}) => Ok(ChatMsg::Who { player, request }),
    }
}

fn put_name(name: &Name) -> String {
    name.as_str().to_owned()
}

fn put_addressee(to: &Addressee) -> To {
    match to {
        Addressee::World => To::World(NOTHING),
        Addressee::Player(name) => To::Player(put_name(name)),
        Addressee::Guild => To::Guild(NOTHING),
        Addressee::Room(name) => To::Room(put_name(name)),
    }
}

fn read_addressee(to: To) -> Result<Addressee, DecodeError> {
    Ok(match to {
        To::World(wire::Nothing {}) => Addressee::World,
        To::Player(name) => Addressee::Player(reading::name(At("Speech", "player"), &name)?),
        To::Guild(wire::Nothing {}) => Addressee::Guild,
        To::Room(name) => Addressee::Room(reading::name(At("Speech", "room"), &name)?),
    })
}

fn put_room(action: &RoomAction) -> RoomWire {
    match action {
        RoomAction::Create(name) => RoomWire::Create(put_name(name)),
        RoomAction::Join(name) => RoomWire::Join(put_name(name)),
        RoomAction::Leave(name) => RoomWire::Leave(put_name(name)),
        RoomAction::List => RoomWire::List(NOTHING),
        RoomAction::Members(name) => RoomWire::Members(put_name(name)),
    }
}

fn read_room(action: RoomWire) -> Result<RoomAction, DecodeError> {
    let name = |field, text: &str| reading::name(At("RoomRequest", field), text);
    Ok(match action {
        RoomWire::Create(text) => RoomAction::Create(name("create", &text)?),
        RoomWire::Join(text) => RoomAction::Join(name("join", &text)?),
        RoomWire::Leave(text) => RoomAction::Leave(name("leave", &text)?),
        RoomWire::List(wire::Nothing {}) => RoomAction::List,
        RoomWire::Members(text) => RoomAction::Members(name("members", &text)?),
    })
}

fn put_guild_action(action: &GuildAction) -> GuildWire {
    match action {
        GuildAction::Create(name) => GuildWire::Create(put_name(name)),
        GuildAction::Invite(name) => GuildWire::Invite(put_name(name)),
        GuildAction::Join(name) => GuildWire::Join(put_name(name)),
        GuildAction::Leave => GuildWire::Leave(NOTHING),
        GuildAction::Kick(name) => GuildWire::Kick(put_name(name)),
        GuildAction::Rank(name, rank) => {
            GuildWire::Rank(wire::RankChange { name: put_name(name), rank: put_rank(*rank).into() })
        }
        GuildAction::Disband => GuildWire::Disband(NOTHING),
        GuildAction::Info(name) => {
            GuildWire::Info(name.as_ref().map_or_else(String::new, put_name))
        }
        GuildAction::DeclareWar(name) => GuildWire::DeclareWar(put_name(name)),
        GuildAction::EndWar(name) => GuildWire::EndWar(put_name(name)),
    }
}

fn read_guild_request(request: wire::GuildRequest) -> Result<ChatMsg, DecodeError> {
    const NAME: &str = "GuildRequest";
    let wire::GuildRequest { player_id, request, action } = request;
    Ok(ChatMsg::Guild {
        player: reading::player(At(NAME, "player_id"), player_id)?,
        request,
        action: read_guild_action(present(At(NAME, "action"), action)?)?,
    })
}

fn read_guild_action(action: GuildWire) -> Result<GuildAction, DecodeError> {
    let name = |field, text: &str| reading::name(At("GuildRequest", field), text);
    Ok(match action {
        GuildWire::Create(text) => GuildAction::Create(name("create", &text)?),
        GuildWire::Invite(text) => GuildAction::Invite(name("invite", &text)?),
        GuildWire::Join(text) => GuildAction::Join(name("join", &text)?),
        GuildWire::Leave(wire::Nothing {}) => GuildAction::Leave,
        GuildWire::Kick(text) => GuildAction::Kick(name("kick", &text)?),
        GuildWire::Rank(wire::RankChange { name: text, rank }) => {
            GuildAction::Rank(name("rank", &text)?, reading::rank(At("RankChange", "rank"), rank)?)
        }
        GuildWire::Disband(wire::Nothing {}) => GuildAction::Disband,
        GuildWire::Info(text) if text.is_empty() => GuildAction::Info(None),
        GuildWire::Info(text) => GuildAction::Info(Some(name("info", &text)?)),
        GuildWire::DeclareWar(text) => GuildAction::DeclareWar(name("declare_war", &text)?),
        GuildWire::EndWar(text) => GuildAction::EndWar(name("end_war", &text)?),
    })
}

fn read_kill(kill: wire::WarKill) -> Result<ChatMsg, DecodeError> {
    const NAME: &str = "WarKill";
    let wire::WarKill { id, killer_player_id, killer_guild_id, victim_player_id, victim_guild_id } =
        kill;
    Ok(ChatMsg::WarKill {
        id: reading::operation(At(NAME, "id"), id)?,
        killer: (
            reading::player(At(NAME, "killer_player_id"), killer_player_id)?,
            reading::guild(At(NAME, "killer_guild_id"), killer_guild_id)?,
        ),
        victim: (
            reading::player(At(NAME, "victim_player_id"), victim_player_id)?,
            reading::guild(At(NAME, "victim_guild_id"), victim_guild_id)?,
        ),
    })
}
