//! Packets about accounts, sessions and refusals.

use uuid::Uuid;

use crate::ids::PlayerId;
use crate::msg::Outgoing;
use crate::msg::login::{GameServer, LoginDecision, LoginRefusal, QueuePlace, RegisterDecision};
use crate::proto::{self, DisconnectReason, ErrorCode, PacketType};
use crate::protocol::server::{outgoing, world};
use crate::token::ResumeToken;
use crate::world::command::{PlayerState, Refusal};
use crate::world::content::Content;

/// ERROR: `in_reply_to` is the sequence of the packet it answers, 0 for none; `retry_after_ms` is
/// 0 if there is no use in waiting.
pub fn error(code: ErrorCode, message: &str, in_reply_to: u64, retry_after_ms: u32) -> Outgoing {
    let message = message.to_owned();
    let it = proto::Error { code: code.into(), message, in_reply_to, retry_after_ms };
    outgoing(PacketType::Error, &it)
}

/// The code of an ERROR's payload, without looking at the rest: it is the first field there.
pub fn code_of(payload: &[u8]) -> ErrorCode {
    const CODE_TAG: u8 = 1 << 3;
    let code = match payload {
        [CODE_TAG, rest @ ..] => prost::decode_length_delimiter(rest).unwrap_or(0),
        _ => 0,
    };
    i32::try_from(code).ok().and_then(|code| ErrorCode::try_from(code).ok()).unwrap_or_default()
}

/// ERROR for an action that the world refused.
pub fn refusal(refusal: &Refusal, request: u64) -> Outgoing {
    let wait = if let Refusal::Cooldown(millis) = refusal { *millis } else { 0 };
    let (code, words) = refusal_words(refusal);
    error(code, &words, request, wait)
}

fn refusal_words(refusal: &Refusal) -> (ErrorCode, String) {
    use ErrorCode as E;
    let (code, words) = match refusal {
        Refusal::NoSuchTarget => (E::ErrorNoSuchTarget, "no such target in reach"),
        Refusal::OutOfRange => (E::ErrorOutOfRange, "too far away"),
        Refusal::Cooldown(millis) => {
            let left = f64::from(*millis) / 1000.0;
            return (E::ErrorCooldown, format!("not ready yet: {left:.1} s left"));
        }
        Refusal::Dead => (E::ErrorDead, "the dead do not act"),
        Refusal::TargetDead => (E::ErrorTargetDead, "the target is dead"),
        Refusal::NotAllowed(why) => (E::ErrorNotAllowed, *why),
        Refusal::NoSuchItem => (E::ErrorNoSuchItem, "no such item in the inventory"),
        Refusal::NotUsable => (E::ErrorNotUsable, "the item cannot be used"),
        Refusal::InventoryFull => (E::ErrorInventoryFull, "the inventory is full"),
        Refusal::NoSuchSkill => (E::ErrorNoSuchSkill, "there is no such skill"),
        Refusal::NotEnoughPower => (E::ErrorNotEnoughPower, "not enough power"),
        Refusal::LevelTooLow(level) => {
            return (E::ErrorLevelTooLow, format!("level {level} is needed"));
        }
        Refusal::NoSuchQuest => (E::ErrorNoSuchQuest, "there is no such quest"),
        Refusal::QuestState(why) => (E::ErrorQuestState, *why),
        Refusal::BadPosition(why) => (E::ErrorBadPosition, *why),
        Refusal::Unavailable => (E::ErrorUnavailable, "not possible now: the database is away"),
        Refusal::ReceiverFull => (E::ErrorReceiverFull, "they have no room for it"),
        Refusal::Busy => (E::ErrorRateLimited, "too much at once; wait for the answers"),
    };
    (code, words.to_owned())
}

/// LOGIN_RESPONSE.
pub fn login_response(decision: &LoginDecision) -> Outgoing {
    match decision {
        LoginDecision::Accepted { player, ticket, servers, .. } => {
            let it = proto::LoginResponse {
                success: true,
                session_token: ticket.clone(),
                player_id: player.0,
                game_servers: servers.iter().map(server_info).collect(),
                ..Default::default()
            };
            outgoing(PacketType::LoginResponse, &it)
        }
        LoginDecision::Refused(refusal) => login_refused(refusal),
    }
}

/// LOGIN_RESPONSE that says no.
pub fn login_refused(refusal: &LoginRefusal) -> Outgoing {
    let it = proto::LoginResponse {
        error_code: refusal.code.into(),
        error_message: refusal.message.clone(),
        retry_after_ms: refusal.retry_after_ms,
        ..Default::default()
    };
    outgoing(PacketType::LoginResponse, &it)
}

fn server_info(server: &GameServer) -> proto::ServerInfo {
    let load = if server.capacity == 0 {
        1.0
    } else {
        (server.players as f32 / server.capacity as f32).min(1.0)
    };
    proto::ServerInfo {
        server_id: server.id.0,
        server_name: server.name.clone(),
        ip_address: server.host.clone(),
        port: u32::from(server.port),
        current_players: server.players,
        max_players: server.capacity,
        load_factor: load,
    }
}

/// LOGIN_QUEUE.
pub fn login_queue(place: QueuePlace) -> Outgoing {
    let it = proto::LoginQueue {
        position: place.position,
        length: place.length,
        estimated_wait_ms: place.wait_ms,
    };
    outgoing(PacketType::LoginQueue, &it)
}

/// REGISTER_RESPONSE.
pub fn register_response(decision: &RegisterDecision) -> Outgoing {
    match decision {
        RegisterDecision::Created(player) => {
            let it = proto::RegisterResponse {
                success: true,
                player_id: player.0,
                ..Default::default()
            };
            outgoing(PacketType::RegisterResponse, &it)
        }
        RegisterDecision::Refused(refusal) => register_refused(refusal),
    }
}

/// REGISTER_RESPONSE that says no.
pub fn register_refused(refusal: &LoginRefusal) -> Outgoing {
    let it = proto::RegisterResponse {
        error_code: refusal.code.into(),
        error_message: refusal.message.clone(),
        retry_after_ms: refusal.retry_after_ms,
        ..Default::default()
    };
    outgoing(PacketType::RegisterResponse, &it)
}

/// HEARTBEAT_RESPONSE; `server_time` in Unix milliseconds.
pub fn heartbeat_response(client_time: u64, server_time: u64) -> Outgoing {
    let it = proto::HeartbeatResponse { client_time, server_time };
    outgoing(PacketType::HeartbeatResponse, &it)
}

/// LOGOUT_RESPONSE.
pub fn logout_response() -> Outgoing {
    outgoing(PacketType::LogoutResponse, &proto::LogoutResponse { success: true })
}

/// RESUME_RESPONSE: the session goes on. `lost`: older missed packets were no longer kept.
pub fn resume_response(
    player: PlayerId,
    session: Uuid,
    token: &ResumeToken,
    replayed: u32,
    lost: bool,
    last_client_sequence: u64,
) -> Outgoing {
    let it = proto::ResumeResponse {
        success: true,
        resume_token: token.as_str().to_owned(),
        session_id: session.to_string(),
        player_id: player.0,
        replayed,
        lost,
        last_client_sequence,
        ..Default::default()
    };
    outgoing(PacketType::ResumeResponse, &it)
}

/// RESUME_RESPONSE that says no.
pub fn resume_refused(code: ErrorCode, message: &str) -> Outgoing {
    let it = proto::ResumeResponse {
        error_code: code.into(),
        error_message: message.to_owned(),
        ..Default::default()
    };
    outgoing(PacketType::ResumeResponse, &it)
}

/// DISCONNECT_NOTICE.
pub fn disconnect_notice(reason: DisconnectReason, message: &str, may_resume: bool) -> Outgoing {
    let message = message.to_owned();
    let it = proto::DisconnectNotice { reason: reason.into(), message, may_resume };
    outgoing(PacketType::DisconnectNotice, &it)
}

/// REDIRECT.
pub fn redirect(host: &str, port: u16) -> Outgoing {
    let it = proto::Redirect { host: host.to_owned(), port: u32::from(port) };
    outgoing(PacketType::Redirect, &it)
}

/// ENTER_WORLD_RESPONSE: the player as it enters; `guild` is its guild's name or empty.
pub fn enter_world_response(
    state: &PlayerState,
    guild: &str,
    content: &Content,
    session: Uuid,
    token: &ResumeToken,
) -> Outgoing {
    let it = proto::EnterWorldResponse {
        success: true,
        player: Some(world::player_info(state, guild, &content.rules)),
        inventory: world::items(&state.inventory, content),
        session_id: session.to_string(),
        resume_token: token.as_str().to_owned(),
        ..Default::default()
    };
    outgoing(PacketType::EnterWorldResponse, &it)
}

/// ENTER_WORLD_RESPONSE that says no.
pub fn enter_world_refused(code: ErrorCode, message: &str) -> Outgoing {
    let it = proto::EnterWorldResponse {
        error_code: code.into(),
        error_message: message.to_owned(),
        ..Default::default()
    };
    outgoing(PacketType::EnterWorldResponse, &it)
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::ids::ServerId;
    use crate::names::Name;

    #[test]
    fn a_refusal_has_its_code_words_and_wait() {
        let read = |why| {
            let packet = refusal(&why, 9);
            assert_eq!(packet.kind, PacketType::Error);
            proto::Error::decode(packet.payload).unwrap()
        };
        let soon = read(Refusal::Cooldown(350));
        assert_eq!(soon.code(), ErrorCode::ErrorCooldown);
        assert_eq!((soon.in_reply_to, soon.retry_after_ms), (9, 350));
        assert_eq!(read(Refusal::Cooldown(3_200)).message, "not ready yet: 3.2 s left");
        assert_eq!(read(Refusal::NotAllowed("no PvP here")).message, "no PvP here");
        assert_eq!(read(Refusal::LevelTooLow(5)).message, "level 5 is needed");
        assert_eq!(read(Refusal::Dead).retry_after_ms, 0);
    }

    #[test]
    fn servers_are_told_with_their_load() {
        let server = |id, players, capacity| GameServer {
            id: ServerId(id),
            name: "one".into(),
            host: "127.0.0.1".into(),
            port: 8081,
            text_port: 8082,
            players,
            capacity,
        };
        let decision = LoginDecision::Accepted {
            player: PlayerId(7),
            name: Name::parse("Ann").unwrap(),
            ticket: "t".into(),
            servers: vec![server(1, 25, 100), server(2, 0, 0), server(3, 9, 3)],
        };
        let it = proto::LoginResponse::decode(login_response(&decision).payload).unwrap();
        assert!(it.success && it.session_token == "t" && it.player_id == 7);
        let loads: Vec<f32> = it.game_servers.iter().map(|server| server.load_factor).collect();
        assert_eq!(loads, [0.25, 1.0, 1.0]);
    }
}
