//! `ZoneMsg` on the wire.

use bytes::Bytes;

use super::reading::{self, At, each, present};
use super::shared::{self, put_guild, put_operation, put_session, put_ticket};
use super::{DecodeError, action, body_of, combat, enveloped, not_for, transfer, whole};
use crate::ids::{SessionKey, SessionRef};
use crate::link::{Delivery, Wire};
use crate::msg::ZoneMsg;
use crate::proto::link as wire;
use crate::world::command::Action;
use wire::envelope::Body;
use wire::guild_message::Message;
use wire::session_control::Control;
use wire::zone_change::Change;

impl Wire for ZoneMsg {
    fn encode(&self) -> Bytes {
        enveloped(match self {
            ZoneMsg::Watch { gateway } => {
                Body::Watch(wire::Watch { gateway: gateway.0, ends: false })
            }
            ZoneMsg::Unwatch { gateway } => {
                Body::Watch(wire::Watch { gateway: gateway.0, ends: true })
            }
            ZoneMsg::Enter { player, session, ticket } => {
                control(Control::Enter(wire::SessionEnter {
                    player_id: player.0,
                    session: Some(put_session(session)),
                    ticket: ticket.as_ref().map(put_ticket),
                }))
            }
            ZoneMsg::Leave { player, session } => control(Control::Leave(wire::SessionLeave {
                player_id: player.0,
                session: Some(put_session(session)),
            })),
            ZoneMsg::Act { player, session, request, action } => Body::Input(wire::Input {
                player_id: player.0,
                session_gateway: session.gateway.0,
                session_key: session.key.0,
                request: *request,
                action: Some(action::put(action)),
            }),
            ZoneMsg::Arrive { transfer, from, owner, handover, session } => {
                Body::PlayerTransfer(wire::PlayerTransfer {
                    from_zone_id: from.0.into(),
                    owner: owner.0,
                    handover: Some(put_operation(*handover)),
                    ..transfer::put(transfer, session)
                })
            }
            ZoneMsg::Arrived { player, handover } => change(Change::Arrived(wire::PlayerArrived {
                player_id: player.0,
                handover: Some(put_operation(*handover)),
            })),
            ZoneMsg::NotArrived { player, handover, certain } => {
                change(Change::NotArrived(wire::PlayerNotArrived {
                    player_id: player.0,
                    handover: Some(put_operation(*handover)),
                    certain: *certain,
                }))
            }
            ZoneMsg::SetGuild { player, guild } => {
                guild_message(Message::SetGuild(wire::SetGuild {
                    player_id: player.0,
                    guild: guild.as_ref().map(put_guild),
                }))
            }
            ZoneMsg::SetWars { wars } => {
                let wars = wars.iter().map(whole::put_war).collect();
                guild_message(Message::SetWars(wire::SetWars { wars }))
            }
            ZoneMsg::Strike(strike) => combat::put_strike(strike),
            ZoneMsg::StrikeRefused { player, request, refusal } => {
                combat::put_refused(*player, *request, refusal)
            }
            ZoneMsg::Credit { player, credit } => combat::put_credit(*player, credit),
        })
    }

    fn delivery(&self) -> Delivery {
        match self {
            ZoneMsg::Act { action: Action::Move { .. } | Action::MoveTo { .. }, .. } => {
                Delivery::Droppable
            }
            _ => Delivery::Reliable,
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match body_of(bytes)? {
            Body::Input(input) => read_input(input),
            Body::PlayerTransfer(transfer) => read_arrive(transfer),
            Body::Watch(wire::Watch { gateway, ends }) => {
                let gateway = reading::server(At("Watch", "gateway"), gateway)?;
                Ok(if ends { ZoneMsg::Unwatch { gateway } } else { ZoneMsg::Watch { gateway } })
            }
            Body::SessionControl(wire::SessionControl { control }) => {
                read_control(present(At("SessionControl", "control"), control)?)
            }
            Body::ZoneChange(wire::ZoneChange { change }) => {
                read_change(present(At("ZoneChange", "change"), change)?)
            }
            Body::GuildMessage(wire::GuildMessage { message }) => {
                read_guild_message(present(At("GuildMessage", "message"), message)?)
            }
            Body::Combat(wire::Combat { combat }) => {
                combat::read(present(At("Combat", "combat"), combat)?)
            }
            Body::Delivery(_)
            | Body::Frame(_)
            | Body::Acknowledgement(_)
            | Body::ChatBroadcast(_)
            | Body::GlobalEvent(_)
            | Body::ServerStatus(_)
            | Body::LoadBalance(_)
            | Body::Presence(_)
            | Body::Talk(_)
            | Body::LoginExchange(_)
            | Body::Node(_)
            | Body::Hosting(_) => Err(not_for("ZoneMsg")),
        }
    }
}

fn control(control: Control) -> Body {
    Body::SessionControl(wire::SessionControl { control: Some(control) })
}

fn guild_message(message: Message) -> Body {
    Body::GuildMessage(wire::GuildMessage { message: Some(message) })
}

fn read_input(input: wire::Input) -> Result<ZoneMsg, DecodeError> {
    const NAME: &str = "Input";
    let wire::Input { player_id, session_gateway, session_key, request, action } = input;
    Ok(ZoneMsg::Act {
        player: reading::player(At(NAME, "player_id"), player_id)?,
        session: SessionRef {
            gateway: reading::server(At(NAME, "session_gateway"), session_gateway)?,
            key: SessionKey(session_key),
        },
        request,
        action: action::read(present(At(NAME, "action"), action)?)?,
    })
}

fn read_control(control: Control) -> Result<ZoneMsg, DecodeError> {
    match control {
        Control::Enter(wire::SessionEnter { player_id, session, ticket }) => Ok(ZoneMsg::Enter {
            player: reading::player(At("SessionEnter", "player_id"), player_id)?,
            session: reading::session(At("SessionEnter", "session"), session)?,
            ticket: ticket.map(shared::ticket).transpose()?,
        }),
        Control::Leave(wire::SessionLeave { player_id, session }) => Ok(ZoneMsg::Leave {
            player: reading::player(At("SessionLeave", "player_id"), player_id)?,
            session: reading::session(At("SessionLeave", "session"), session)?,
        }),
        Control::Entered(_)
        | Control::Refused(_)
        | Control::Kick(_)
        | Control::Rooms(_)
        | Control::Introduce(_) => Err(not_for("ZoneMsg")),
    }
}

fn read_guild_message(message: Message) -> Result<ZoneMsg, DecodeError> {
    match message {
        Message::SetGuild(wire::SetGuild { player_id, guild }) => Ok(ZoneMsg::SetGuild {
            player: reading::player(At("SetGuild", "player_id"), player_id)?,
            guild: guild.map(shared::guild).transpose()?,
        }),
        Message::SetWars(wire::SetWars { wars }) => {
            Ok(ZoneMsg::SetWars { wars: each(wars, whole::war)? })
        }
        Message::WarKill(_) | Message::Request(_) => Err(not_for("ZoneMsg")),
    }
}

fn change(change: Change) -> Body {
    Body::ZoneChange(wire::ZoneChange { change: Some(change) })
}

fn read_change(change: Change) -> Result<ZoneMsg, DecodeError> {
    match change {
        Change::Arrived(wire::PlayerArrived { player_id, handover }) => Ok(ZoneMsg::Arrived {
            player: reading::player(At("PlayerArrived", "player_id"), player_id)?,
            handover: reading::operation(At("PlayerArrived", "handover"), handover)?,
        }),
        Change::NotArrived(wire::PlayerNotArrived { player_id, handover, certain }) => {
            Ok(ZoneMsg::NotArrived {
                player: reading::player(At("PlayerNotArrived", "player_id"), player_id)?,
                handover: reading::operation(At("PlayerNotArrived", "handover"), handover)?,
                certain,
            })
        }
        Change::Moved(_) | Change::Located(_) | Change::Relocated(_) => Err(not_for("ZoneMsg")),
    }
}

fn read_arrive(transfer: wire::PlayerTransfer) -> Result<ZoneMsg, DecodeError> {
    const NAME: &str = "PlayerTransfer";
    let from = reading::zone(At(NAME, "from_zone_id"), transfer.from_zone_id)?;
    let owner = reading::server(At(NAME, "owner"), transfer.owner)?;
    let handover = reading::operation(At(NAME, "handover"), transfer.handover)?;
    let (transfer, session) = transfer::read(transfer)?;
    Ok(ZoneMsg::Arrive { transfer: Box::new(transfer), from, owner, handover, session })
}
