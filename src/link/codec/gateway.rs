//! `GatewayMsg` on the wire, frames among it: a `Frame` travels as what has changed since the tick
//! before and comes out as a `FrameDelta`.

use bytes::Bytes;

use super::reading::{self, At, present};
use super::shared::{
    self, NOTHING, put_conduct, put_key, put_names, put_packet, put_player, put_role, put_servers,
    servers,
};
use super::{DecodeError, body_of, decisions, enveloped, frame, not_for};
use crate::ids::{RequestId, SessionKey};
use crate::link::{Delivery, Wire};
use crate::msg::GatewayMsg;
use crate::msg::frame::FrameDelta;
use crate::msg::gateway::EnterRefusal;
use crate::proto::link as wire;
use wire::envelope::Body;
use wire::global_event::Event;
use wire::login_exchange::Exchange;
use wire::presence::Presence;
use wire::session_control::Control;
use wire::session_refused::Reason;
use wire::zone_change::Change;

impl Wire for GatewayMsg {
    fn encode(&self) -> Bytes {
        enveloped(match self {
            GatewayMsg::Frame(frame) => {
                let delta = || Body::Frame(frame::put(&FrameDelta::of(frame, false)));
                return frame.wire.get_or_make(|| enveloped(delta()));
            }
            GatewayMsg::FrameDelta(delta) => Body::Frame(frame::put(delta)),
            GatewayMsg::Deliver { session, packet } => Body::Delivery(wire::Delivery {
                session_key: session.0,
                packet: Some(put_packet(packet)),
            }),
            GatewayMsg::DeliverMany { sessions, packet } => {
                Body::ChatBroadcast(wire::ChatBroadcast {
                    session_keys: sessions.iter().map(|key| key.0).collect(),
                    packet: Some(put_packet(packet)),
                })
            }
            GatewayMsg::Broadcast { packet } => {
                let event = Event::Broadcast(put_packet(packet));
                Body::GlobalEvent(wire::GlobalEvent { event: Some(event) })
            }
            GatewayMsg::Entered { session, state, zone, guild } => {
                control(Control::Entered(wire::SessionEntered {
                    session_key: session.0,
                    state: Some(put_player(state)),
                    zone_id: zone.0.into(),
                    guild: put_key(guild),
                }))
            }
            GatewayMsg::EnterRefused { session, reason } => {
                control(Control::Refused(wire::SessionRefused {
                    session_key: session.0,
                    reason: Some(put_reason(reason)),
                }))
            }
            GatewayMsg::Moved { session, player, zone } => {
                let moved = wire::PlayerMoved {
                    session_key: session.0,
                    player_id: player.0,
                    zone_id: zone.0.into(),
                };
                Body::ZoneChange(wire::ZoneChange { change: Some(Change::Moved(moved)) })
            }
            GatewayMsg::Kick { session, reason, message } => {
                control(Control::Kick(wire::SessionKick {
                    session_key: session.0,
                    reason: (*reason).into(),
                    message: message.clone(),
                }))
            }
            GatewayMsg::Rooms { session, rooms } => control(Control::Rooms(wire::SessionRooms {
                session_key: session.0,
                rooms: put_names(rooms),
            })),
            GatewayMsg::Introduce { to } => control(Control::Introduce(put_role(*to).into())),
            GatewayMsg::Servers(servers) => {
                Body::LoadBalance(wire::LoadBalance { servers: put_servers(servers) })
            }
            GatewayMsg::LoginDecided { request, decision } => {
                exchange(*request, Exchange::Decided(decisions::put_decision(decision)))
            }
            GatewayMsg::LoginQueued { request, place } => {
                exchange(*request, Exchange::Queued(decisions::put_place(place)))
            }
            GatewayMsg::RegisterDecided { request, decision } => {
                exchange(*request, Exchange::RegisterDecided(decisions::put_registration(decision)))
            }
            GatewayMsg::Conduct { player, conduct } => {
                let told = Presence::Conduct(put_conduct(*player, 0, conduct));
                Body::Presence(wire::Presence { presence: Some(told) })
            }
            GatewayMsg::PresenceGranted { request, zone } => {
                let granted = wire::PresenceGranted {
                    request_id: request.0,
                    zone_id: zone.map(|zone| zone.0.into()),
                };
                Body::Presence(wire::Presence { presence: Some(Presence::Granted(granted)) })
            }
        })
    }

    fn delivery(&self) -> Delivery {
        match self {
            GatewayMsg::Frame(_)
            | GatewayMsg::FrameDelta(_)
            | GatewayMsg::Servers(_)
            | GatewayMsg::LoginQueued { .. } => Delivery::Droppable,
            _ => Delivery::Reliable,
        }
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        match body_of(bytes)? {
            Body::Frame(frame) => Ok(GatewayMsg::FrameDelta(Box::new(frame::read(frame)?))),
            Body::Delivery(wire::Delivery { session_key, packet }) => Ok(GatewayMsg::Deliver {
                session: SessionKey(session_key),
                packet: shared::packet(At("Delivery", "packet"), packet)?,
            }),
            Body::ChatBroadcast(wire::ChatBroadcast { session_keys, packet }) => {
                Ok(GatewayMsg::DeliverMany {
                    sessions: session_keys.into_iter().map(SessionKey).collect(),
                    packet: shared::packet(At("ChatBroadcast", "packet"), packet)?,
                })
            }
            Body::GlobalEvent(wire::GlobalEvent { event }) => {
                match present(At("GlobalEvent", "event"), event)? {
                    Event::Broadcast(packet) => Ok(GatewayMsg::Broadcast {
                        packet: shared::packet(At("GlobalEvent", "broadcast"), Some(packet))?,
                    }),
                    Event::Announce(_) => Err(not_for("GatewayMsg")),
                }
            }
            Body::SessionControl(wire::SessionControl { control }) => {
                read_control(present(At("SessionControl", "control"), control)?)
            }
            Body::ZoneChange(wire::ZoneChange { change }) => {
                read_change(present(At("ZoneChange", "change"), change)?)
            }
            Body::LoadBalance(wire::LoadBalance { servers: list }) => {
                Ok(GatewayMsg::Servers(servers(list)?))
            }
            Body::LoginExchange(wire::LoginExchange { request_id, exchange }) => {
                let exchange = present(At("LoginExchange", "exchange"), exchange)?;
                decisions::read(RequestId(request_id), exchange)
            }
            Body::Presence(wire::Presence { presence }) => {
                read_presence(present(At("Presence", "presence"), presence)?)
            }
            Body::Input(_)
            | Body::Acknowledgement(_)
            | Body::PlayerTransfer(_)
            | Body::GuildMessage(_)
            | Body::ServerStatus(_)
            | Body::Watch(_)
            | Body::Combat(_)
            | Body::Talk(_)
            | Body::Node(_)
            | Body::Hosting(_) => Err(not_for("GatewayMsg")),
        }
    }
}

fn control(control: Control) -> Body {
    Body::SessionControl(wire::SessionControl { control: Some(control) })
}

fn exchange(request: RequestId, exchange: Exchange) -> Body {
    Body::LoginExchange(wire::LoginExchange { request_id: request.0, exchange: Some(exchange) })
}

fn read_control(control: Control) -> Result<GatewayMsg, DecodeError> {
    match control {
        Control::Entered(wire::SessionEntered { session_key, state, zone_id, guild }) => {
            Ok(GatewayMsg::Entered {
                session: SessionKey(session_key),
                state: Box::new(shared::player(At("SessionEntered", "state"), state)?),
                zone: reading::zone(At("SessionEntered", "zone_id"), zone_id)?,
                guild: guild.into(),
            })
        }
        Control::Refused(wire::SessionRefused { session_key, reason }) => {
            Ok(GatewayMsg::EnterRefused {
                session: SessionKey(session_key),
                reason: read_reason(present(At("SessionRefused", "reason"), reason)?)?,
            })
        }
        Control::Kick(wire::SessionKick { session_key, reason, message }) => Ok(GatewayMsg::Kick {
            session: SessionKey(session_key),
            reason: reading::known(At("SessionKick", "reason"), reason)?,
            message,
        }),
        Control::Rooms(wire::SessionRooms { session_key, rooms }) => Ok(GatewayMsg::Rooms {
            session: SessionKey(session_key),
            rooms: reading::names(At("SessionRooms", "rooms"), rooms)?,
        }),
        Control::Introduce(role) => Ok(GatewayMsg::Introduce {
            to: reading::role(At("SessionControl", "introduce"), role)?,
        }),
        Control::Enter(_) | Control::Leave(_) => Err(not_for("GatewayMsg")),
    }
}

fn put_reason(reason: &EnterRefusal) -> Reason {
    match reason {
        EnterRefusal::TicketUsed => Reason::TicketUsed(NOTHING),
        EnterRefusal::Elsewhere(zone) => Reason::Elsewhere(zone.0.into()),
        EnterRefusal::Full => Reason::Full(NOTHING),
        EnterRefusal::Unavailable => Reason::Unavailable(NOTHING),
        EnterRefusal::Superseded(by) => Reason::Superseded(by.0),
    }
}

fn read_reason(reason: Reason) -> Result<EnterRefusal, DecodeError> {
    Ok(match reason {
        Reason::TicketUsed(wire::Nothing {}) => EnterRefusal::TicketUsed,
        Reason::Elsewhere(zone) => {
            EnterRefusal::Elsewhere(reading::zone(At("SessionRefused", "elsewhere"), zone)?)
        }
        Reason::Full(wire::Nothing {}) => EnterRefusal::Full,
        Reason::Unavailable(wire::Nothing {}) => EnterRefusal::Unavailable,
        Reason::Superseded(by) => EnterRefusal::Superseded(SessionKey(by)),
    })
}

fn read_change(change: Change) -> Result<GatewayMsg, DecodeError> {
    match change {
        Change::Moved(wire::PlayerMoved { session_key, player_id, zone_id }) => {
            Ok(GatewayMsg::Moved {
                session: SessionKey(session_key),
                player: reading::player(At("PlayerMoved", "player_id"), player_id)?,
                zone: reading::zone(At("PlayerMoved", "zone_id"), zone_id)?,
            })
        }
        Change::Arrived(_) | Change::NotArrived(_) | Change::Located(_) | Change::Relocated(_) => {
            Err(not_for("GatewayMsg"))
        }
    }
}

fn read_presence(presence: Presence) -> Result<GatewayMsg, DecodeError> {
    match presence {
        Presence::Granted(wire::PresenceGranted { request_id, zone_id }) => {
            let zone = zone_id.map(|id| reading::zone(At("PresenceGranted", "zone_id"), id));
            Ok(GatewayMsg::PresenceGranted {
                request: RequestId(request_id),
                zone: zone.transpose()?,
            })
        }
        Presence::Conduct(told) if told.gateway == 0 => {
            let (player, conduct) = shared::conduct(told)?;
            Ok(GatewayMsg::Conduct { player, conduct })
        }
        Presence::Conduct(_)
        | Presence::Joined(_)
        | Presence::Left(_)
        | Presence::Claim(_)
        | Presence::Released(_)
        | Presence::WhereIs(_)
        | Presence::Found(_)
        | Presence::Present(_) => Err(not_for("GatewayMsg")),
    }
}
