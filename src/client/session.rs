//! Coming into the world and leaving it. Going on after a lost connection is in `recovery.rs`.

use super::{Client, ClientError, Event};
use crate::ids::PlayerId;
use crate::proto;

/// A session in the world.
#[derive(Clone)]
pub struct Session {
    /// Its UUID as text.
    pub session_id: String,
    /// Who one is.
    pub player: PlayerId,
    /// What the next resumption needs; changes with each one.
    pub(super) resume_token: String,
}

/// How a resumption went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Missed packets that the server sends again.
    pub replayed: u32,
    /// Whether there were more, which it no longer had.
    pub lost: bool,
    /// The last packet of the old connection that the server had read: what was sent after it
    /// never arrived. 0: not known, for the session goes on at another gateway.
    pub last_client_sequence: u64,
    /// Whether it is a new session after a new log-in; all of the old one's answers are lost.
    pub anew: bool,
}

/// SHA-256 of a password, in NFC, as 64 lower-case hex digits: what travels instead of it.
pub(crate) fn password_hash(password: &str) -> String {
    let normal = crate::names::normal_password(password);
    let digest = ring::digest::digest(&ring::digest::SHA256, normal.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Client {
    /// Makes an account and its character.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the name is taken or not allowed, or the server is busy.
    pub async fn register(&mut self, name: &str, password: &str) -> Result<PlayerId, ClientError> {
        let message = proto::RegisterRequest {
            username: name.to_owned(),
            password_hash: password_hash(password),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let answer = self.request("a registration", &message, |event| match event {
            Event::Register(answer) => Some(answer.clone()),
            _ => None,
        });
        let answer = answer.await?;
        if !answer.success {
            let wait = answer.retry_after_ms;
            return Err(ClientError::refused(answer.error_code, answer.error_message, wait));
        }
        Ok(PlayerId(answer.player_id))
    }

    /// Proves who one is. The answer holds a ticket for [`Self::enter`], valid for 60 s and once,
    /// and the gateways to use it at, best first.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the reason.
    pub async fn login(
        &mut self,
        name: &str,
        password: &str,
    ) -> Result<proto::LoginResponse, ClientError> {
        let message = proto::LoginRequest {
            username: name.to_owned(),
            password_hash: password_hash(password),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
            device_id: "throng-client".to_owned(),
        };
        let answer = self.request("a log-in", &message, |event| match event {
            Event::Login(answer) => Some(answer.clone()),
            _ => None,
        });
        let answer = answer.await?;
        if !answer.success {
            let wait = answer.retry_after_ms;
            return Err(ClientError::refused(answer.error_code, answer.error_message, wait));
        }
        Ok(answer)
    }

    /// Comes into the world with a ticket. What is in view follows as events.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the ticket is not taken or the world is full.
    pub async fn enter(&mut self, ticket: &str) -> Result<proto::EnterWorldResponse, ClientError> {
        let message = proto::EnterWorldRequest { session_token: ticket.to_owned() };
        let answer = self.request("entering", &message, |event| match event {
            Event::EnterWorld(answer) => Some(answer.clone()),
            _ => None,
        });
        let answer = answer.await?;
        if !answer.success {
            return Err(ClientError::refused(answer.error_code, answer.error_message, 0));
        }
        self.session = Some(Session {
            session_id: answer.session_id.clone(),
            player: PlayerId(answer.player.as_ref().map_or(0, |player| player.player_id)),
            resume_token: answer.resume_token.clone(),
        });
        Ok(answer)
    }

    /// Leaves the world and ends the session and the connection.
    ///
    /// # Errors
    /// The server didn't answer; the connection is over all the same.
    pub async fn logout(mut self) -> Result<(), ClientError> {
        let answer = self.request("a log-out", &proto::LogoutRequest {}, |event| {
            matches!(event, Event::Logout(_)).then_some(())
        });
        answer.await?;
        self.connection.close().await;
        Ok(())
    }
}
