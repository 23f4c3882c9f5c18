//! What can go wrong for a client, in words that a player or a log can be shown.
//!
//! Every call of this library returns one of these; none panics on what a server sends.

use std::time::Duration;

use crate::proto;

/// Why a call of the client library did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at that address.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port as given.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The certificate, the server's name or the handshake.
    #[error("TLS: {0}")]
    Tls(String),
    /// Reading or writing failed on an open connection.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// The server closed the connection without a word.
    #[error("the server closed the connection")]
    Closed,
    /// The server closed the connection and said why.
    #[error("the server ended the connection: {}", words(.reason.as_str_name(), .message))]
    Disconnected {
        /// Its reason.
        reason: proto::DisconnectReason,
        /// The same for people.
        message: String,
        /// Whether `Client::reconnect` will work.
        may_resume: bool,
    },
    /// The server's bytes are not what the protocol says.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The server refused a request.
    #[error("refused: {}", words(.code.as_str_name(), .message))]
    Refused {
        /// Why.
        code: proto::ErrorCode,
        /// The same for people.
        message: String,
        /// When to try again, if that makes sense.
        retry_after: Option<Duration>,
    },
    /// No answer came in time.
    #[error("no answer to {asked} within {} s", .after.as_secs())]
    Timeout {
        /// What was asked.
        asked: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The connection was lost before the answer came. The client is about to go on with the
    /// session; whether what was asked was done is not known.
    #[error("the connection was lost before the answer to {asked} came")]
    Interrupted {
        /// What was asked.
        asked: &'static str,
    },
    /// Nothing came for so long that the connection must be dead.
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// A message is larger than the server takes.
    #[error("a message of {size} bytes is more than the {limit} that a client may send")]
    TooLarge {
        /// Its frame, bytes.
        size: usize,
        /// The limit, bytes.
        limit: usize,
    },
    /// Events pile up because nobody calls `Client::next`.
    #[error("{0} events wait to be taken")]
    Backlog(usize),
    /// There is no session to go on with: enter the world first.
    #[error("there is no session to resume")]
    NoSession,
}

impl ClientError {
    /// The server's error code, if it was the server that refused.
    pub fn code(&self) -> Option<proto::ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the connection is gone, so that only `Client::reconnect` or a new one helps.
    pub fn is_disconnect(&self) -> bool {
        matches!(
            self,
            Self::Io(_)
                | Self::Closed
                | Self::Silent(_)
                | Self::Disconnected { .. }
                | Self::Protocol(_)
        )
    }

    /// A refusal from a response's or ERROR's fields; an unknown code counts as unspecified.
    pub(super) fn refused(code: i32, message: String, retry_after_ms: u32) -> Self {
        Self::Refused {
            code: proto::ErrorCode::try_from(code).unwrap_or_default(),
            message,
            retry_after: (retry_after_ms > 0)
                .then(|| Duration::from_millis(u64::from(retry_after_ms))),
        }
    }
}

/// The message if there is one, else the name of the code; both if they differ.
fn words(name: &str, message: &str) -> String {
    if message.is_empty() { name.to_owned() } else { format!("{message} ({name})") }
}
