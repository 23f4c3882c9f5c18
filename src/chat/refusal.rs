//! Why a request about talk, rooms or guilds is not done: a code for the client's program and words
//! for its user.

use std::time::Duration;

use crate::msg::Outgoing;
use crate::proto::ErrorCode;
use crate::protocol::server;
use crate::store::StoreError;

/// Becomes ERROR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: ErrorCode,
    pub message: &'static str,
    /// When to try again, ms; 0: no use in waiting.
    pub retry_after_ms: u32,
}

impl Refusal {
    pub(super) const fn new(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, retry_after_ms: 0 }
    }

    /// The same, with the time to wait.
    pub(super) fn after(self, wait: Duration) -> Self {
        let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        Self { retry_after_ms, ..self }
    }

    /// The database is away, or not read yet.
    pub(super) const UNAVAILABLE: Self = Self {
        code: ErrorCode::ErrorUnavailable,
        message: "guilds cannot be changed now: the database is away",
        retry_after_ms: 2_000,
    };

    /// A name that is not for players.
    pub(super) const RESERVED: Self =
        Self::new(ErrorCode::ErrorInvalidName, "that name is reserved");

    /// Too much waits before it.
    pub(super) const BUSY: Self = Self {
        code: ErrorCode::ErrorUnavailable,
        message: "guilds are busy; try again",
        retry_after_ms: 1_000,
    };

    /// What the store says, for a client.
    pub(super) fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::NameTaken => Self::new(ErrorCode::ErrorNameTaken, "the name is taken"),
            StoreError::Conflict(why) => Self::new(ErrorCode::ErrorNotAllowed, why),
            StoreError::NotFound => {
                Self::new(ErrorCode::ErrorNoSuchGuild, "that is not there any more")
            }
            StoreError::Unavailable(_) => Self::UNAVAILABLE,
            StoreError::StaleEpoch | StoreError::TicketUsed | StoreError::Corrupt(_) => {
                Self::new(ErrorCode::ErrorInternal, "the database has an unexpected state")
            }
        }
    }

    pub(super) fn packet(&self, request: u64) -> Outgoing {
        server::error(self.code, self.message, request, self.retry_after_ms)
    }
}
