//! What login answers a gateway, on the wire.

use super::reading::{self, At, present};
use super::shared::{put_servers, servers};
use super::{DecodeError, not_for};
use crate::ids::RequestId;
use crate::msg::GatewayMsg;
use crate::msg::login::{LoginDecision, LoginRefusal, QueuePlace, RegisterDecision};
use crate::proto::link as wire;
use wire::login_decision::Decision;
use wire::login_exchange::Exchange;
use wire::register_decision::Decision as RegisterWire;

pub(super) fn read(request: RequestId, exchange: Exchange) -> Result<GatewayMsg, DecodeError> {
    match exchange {
        Exchange::Decided(wire::LoginDecision { decision }) => {
            let decision = present(At("LoginDecision", "decision"), decision)?;
            Ok(GatewayMsg::LoginDecided { request, decision: read_decision(decision)? })
        }
        Exchange::Queued(wire::LoginPlace { position, length, wait_ms }) => {
            let place = QueuePlace { position, length, wait_ms };
            Ok(GatewayMsg::LoginQueued { request, place })
        }
        Exchange::RegisterDecided(wire::RegisterDecision { decision }) => {
            let decision = present(At("RegisterDecision", "decision"), decision)?;
            Ok(GatewayMsg::RegisterDecided { request, decision: read_registration(decision)? })
        }
        Exchange::Login(_) | Exchange::Register(_) => Err(not_for("GatewayMsg")),
    }
}

pub(super) fn put_place(place: &QueuePlace) -> wire::LoginPlace {
    let QueuePlace { position, length, wait_ms } = *place;
    wire::LoginPlace { position, length, wait_ms }
}

pub(super) fn put_decision(decision: &LoginDecision) -> wire::LoginDecision {
    let decision = match decision {
        LoginDecision::Accepted { player, name, ticket, servers } => {
            Decision::Accepted(wire::LoginAccepted {
                player_id: player.0,
                name: name.as_str().to_owned(),
                ticket: ticket.clone(),
                servers: put_servers(servers),
            })
        }
        LoginDecision::Refused(refusal) => Decision::Refused(put_refusal(refusal)),
    };
    wire::LoginDecision { decision: Some(decision) }
}

fn read_decision(decision: Decision) -> Result<LoginDecision, DecodeError> {
    Ok(match decision {
        Decision::Accepted(wire::LoginAccepted { player_id, name, ticket, servers: list }) => {
            LoginDecision::Accepted {
                player: reading::player(At("LoginAccepted", "player_id"), player_id)?,
                name: reading::name(At("LoginAccepted", "name"), &name)?,
                ticket,
                servers: servers(list)?,
            }
        }
        Decision::Refused(refusal) => LoginDecision::Refused(read_refusal(refusal)?),
    })
}

pub(super) fn put_registration(decision: &RegisterDecision) -> wire::RegisterDecision {
    let decision = match decision {
        RegisterDecision::Created(player) => RegisterWire::Created(player.0),
        RegisterDecision::Refused(refusal) => RegisterWire::Refused(put_refusal(refusal)),
    };
    wire::RegisterDecision { decision: Some(decision) }
}

fn read_registration(decision: RegisterWire) -> Result<RegisterDecision, DecodeError> {
    Ok(match decision {
        RegisterWire::Created(id) => {
            RegisterDecision::Created(reading::player(At("RegisterDecision", "created"), id)?)
        }
        RegisterWire::Refused(refusal) => RegisterDecision::Refused(read_refusal(refusal)?),
    })
}

fn put_refusal(refusal: &LoginRefusal) -> wire::LoginRefusal {
    let LoginRefusal { code, message, retry_after_ms } = refusal;
    wire::LoginRefusal {
        code: (*code).into(),
        message: message.clone(),
        retry_after_ms: *retry_after_ms,
    }
}

fn read_refusal(refusal: wire::LoginRefusal) -> Result<LoginRefusal, DecodeError> {
    let wire::LoginRefusal { code, message, retry_after_ms } = refusal;
    let code = reading::known(At("LoginRefusal", "code"), code)?;
    Ok(LoginRefusal { code, message, retry_after_ms })
}
