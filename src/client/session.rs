//! Coming into the world, going on after a lost connection, and leaving.

use std::time::Duration;

use super::{Client, ClientError, Connection, Event};
use crate::ids::PlayerId;
use crate::proto;
use crate::tick;

/// How long a server keeps the session of a lost connection.
const RESUME_WINDOW: Duration = Duration::from_secs(60);
/// First pause between two tries to come back; it doubles.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// A session in the world.
#[derive(Clone)]
pub struct Session {
    /// Its UUID as text.
    pub session_id: String,
    /// Who one is.
    pub player: PlayerId,
    /// What the next resumption needs; changes with each one.
    resume_token: String,
}

/// How a resumption went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resumed {
    /// Missed packets that the server sends again.
    pub replayed: u32,
    /// Whether there were more, which it no longer had.
    pub lost: bool,
    /// The last packet of the old connection that the server had read: what was sent after it
    /// never arrived.
    pub last_client_sequence: u64,
}

/// SHA-256 of a password as 64 lower-case hex digits: what travels instead of it.
pub(crate) fn password_hash(password: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, password.as_bytes());
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
            return Err(ClientError::refused(
                answer.error_code,
                answer.error_message,
                answer.retry_after_ms,
            ));
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
            return Err(ClientError::refused(
                answer.error_code,
                answer.error_message,
                answer.retry_after_ms,
            ));
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

    /// Goes on with the session after the connection was lost: at the address of the last
    /// REDIRECT or the same one, trying again for as long as the server keeps the session
    /// (60 s). Then the missed packets and a fresh view follow as events.
    ///
    /// # Errors
    /// [`ClientError::NoSession`] if the world was never entered; else the server's refusal, or
    /// the last reason why nobody answered.
    pub async fn reconnect(&mut self) -> Result<Resumed, ClientError> {
        if self.notice.as_ref().is_some_and(|notice| !notice.may_resume) {
            return Err(self.parting(ClientError::Closed));
        }
        let token = self.session.as_ref().ok_or(ClientError::NoSession)?.resume_token.clone();
        let last_sequence = self.connection.received();
        if let Some((host, port)) = self.redirect.take() {
            (self.endpoint.host, self.endpoint.port) = (host, port);
        }
        let until = tick::now() + RESUME_WINDOW;
        let mut pause = RETRY_FIRST;
        loop {
            let error = match self.resume_once(&token, last_sequence).await {
                Ok(resumed) => return Ok(resumed),
                Err(error) => error,
            };
            let again = match &error {
                ClientError::Refused { retry_after, .. } => *retry_after,
                ClientError::Connect { .. } | ClientError::Io(_) | ClientError::Closed => {
                    Some(pause)
                }
                _ => None,
            };
            match again {
                Some(wait) if tick::now() + wait < until => tokio::time::sleep(wait).await,
                _ => return Err(error),
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }

    /// One try to resume. Only a new connection that has resumed replaces the old one, whose
    /// sequence the next try needs.
    async fn resume_once(
        &mut self,
        token: &str,
        last_sequence: u64,
    ) -> Result<Resumed, ClientError> {
        let mut connection = Connection::open(&self.endpoint).await?;
        let resume_token = token.to_owned();
        connection.queue(&proto::ResumeRequest { resume_token, last_sequence })?;
        connection.flush().await?;
        let first = tokio::time::timeout(super::ANSWER_TIMEOUT, connection.receive()).await;
        let packet = first.map_err(|_| ClientError::Timeout {
            asked: "a resumption",
            after: super::ANSWER_TIMEOUT,
        })??;
        let answer = match Event::decode(packet.kind, packet.payload) {
            Ok(Event::Resume(answer)) if answer.success => answer,
            Ok(Event::Resume(answer)) => {
                return Err(ClientError::refused(answer.error_code, answer.error_message, 0));
            }
            Ok(Event::Error(error)) => {
                let proto::Error { code, message, retry_after_ms, .. } = error;
                return Err(ClientError::refused(code, message, retry_after_ms));
            }
            Ok(other) => {
                return Err(ClientError::Protocol(format!("a resumption answered by {other:?}")));
            }
            Err(error) => return Err(ClientError::Protocol(error.to_string())),
        };
        self.connection = connection;
        self.notice = None;
        self.session = Some(Session {
            session_id: answer.session_id,
            player: PlayerId(answer.player_id),
            resume_token: answer.resume_token,
        });
        Ok(Resumed {
            replayed: answer.replayed,
            lost: answer.lost,
            last_client_sequence: answer.last_client_sequence,
        })
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
