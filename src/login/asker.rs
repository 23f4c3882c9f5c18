//! Who asks the login role for something, over which way the answer goes, and what "no" looks
//! like.
//!
//! An [`Asker`] travels with its request through every stage, so that no stage looks anything up.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use tracing::Span;

use super::attempts::Begun;
use super::worker::Gone;
use crate::ids::{RequestId, ServerId};
use crate::msg::login::LoginRefusal;
use crate::names::Name;
use crate::net::ConnId;
use crate::proto::ErrorCode;
use crate::store::StoreError;

/// Where an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// To a gateway that asked on behalf of its client.
    Gateway {
        /// Which.
        server: ServerId,
        /// Its question.
        request: RequestId,
    },
    /// To a client of the login port.
    Port {
        /// The port's shard.
        shard: usize,
        /// The connection there.
        conn: ConnId,
    },
}

/// One request on its way.
#[derive(Debug)]
pub(super) struct Asker {
    /// Where the answer goes.
    pub origin: Origin,
    /// The name it is about.
    pub name: Name,
    /// The name as compared.
    pub folded: String,
    /// The client's address.
    pub address: IpAddr,
    /// Set when the client has gone.
    pub gone: Gone,
    /// What it counts on if it fails; none: a registration.
    pub begun: Option<Begun>,
    /// When it came.
    pub started: Instant,
    /// The span of the whole request.
    pub span: Span,
}

/// A refusal with no better moment to try again.
pub(super) fn refused(code: ErrorCode, message: impl Into<String>) -> LoginRefusal {
    LoginRefusal { code, message: message.into(), retry_after_ms: 0 }
}

/// A refusal that ends by itself after `wait`.
pub(super) fn refused_for(
    wait: Duration,
    code: ErrorCode,
    message: impl Into<String>,
) -> LoginRefusal {
    let retry_after_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
    LoginRefusal { code, message: message.into(), retry_after_ms }
}

/// Too many log-ins at once.
pub(super) fn busy(wait: Duration) -> LoginRefusal {
    let wait = wait.max(Duration::from_secs(1));
    refused_for(wait, ErrorCode::ErrorUnavailable, "too many want to log in; try again soon")
}

/// Too many failures.
pub(super) fn throttled(wait: Duration) -> LoginRefusal {
    let seconds = wait.as_secs_f64().ceil();
    let message = format!("too many attempts; try again in {seconds} s");
    refused_for(wait, ErrorCode::ErrorLoginThrottled, message)
}

/// A name that is not for players.
pub(super) fn reserved_name() -> LoginRefusal {
    refused(ErrorCode::ErrorInvalidName, "this name is reserved")
}

/// The store could not do it. What went wrong there is for the log, not for strangers.
pub(super) fn store_failed(error: &StoreError) -> LoginRefusal {
    match error {
        StoreError::NameTaken => refused(ErrorCode::ErrorNameTaken, "this name is taken"),
        StoreError::Unavailable(_) => refused_for(
            Duration::from_secs(2),
            ErrorCode::ErrorUnavailable,
            "not possible now: the database is away",
        ),
        _ => refused(ErrorCode::ErrorInternal, "a fault of the server's own"),
    }
}

/// The word that counts a refusal in the metrics.
pub(super) fn reason(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::ErrorBadCredentials => "bad_credentials",
        ErrorCode::ErrorAlreadyLoggedIn => "already_logged_in",
        ErrorCode::ErrorBanned => "banned",
        ErrorCode::ErrorNameTaken => "name_taken",
        ErrorCode::ErrorLoginThrottled => "login_throttled",
        ErrorCode::ErrorNoServers => "no_servers",
        ErrorCode::ErrorUnavailable => "login_unavailable",
        _ => "login_failed",
    }
}
