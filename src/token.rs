//! Proofs that clients carry: log-in tickets (Ed25519 JWTs, 60 s, single use) and resume tokens
//! (256 random bits, stored hashed).

use std::path::Path;
use std::sync::Arc;

use crate::ids::{PlayerId, TicketUse};
use crate::names::Name;

/// What a valid ticket says.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Who.
    pub player: PlayerId,
    /// Its name.
    pub name: Name,
    /// The device it logged in from.
    pub device: String,
    /// What makes it single-use.
    pub usage: TicketUse,
}

/// Why a ticket is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Its 60 s are over.
    #[error("the ticket has expired; log in again")]
    Expired,
    /// Not signed by this world's login role, or not a ticket at all.
    #[error("this is no ticket of this world")]
    Invalid,
}

/// Signs tickets: the login role's.
#[derive(Clone)]
pub struct TicketSigner {
    inner: Arc<()>,
}

/// Checks tickets: a gateway's. It cannot sign.
#[derive(Clone)]
pub struct TicketVerifier {
    inner: Arc<()>,
}

impl TicketSigner {
    /// Reads the key in `path`, or makes one there with mode 0600.
    ///
    /// # Errors
    /// If the file cannot be read, written or is no key.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        let _ = path;
        todo!()
    }

    /// The checking half.
    pub fn verifier(&self) -> TicketVerifier {
        TicketVerifier { inner: self.inner.clone() }
    }

    /// A new ticket, valid for 60 s from `now` (Unix ms).
    ///
    /// # Errors
    /// Only if the key is broken.
    pub fn sign(
        &self,
        player: PlayerId,
        name: &Name,
        device: &str,
        now: u64,
    ) -> Result<String, TicketError> {
        let _ = (player, name, device, now);
        todo!()
    }
}

impl TicketVerifier {
    /// Checks a ticket at `now` (Unix ms). Single use is the store's to check.
    ///
    /// # Errors
    /// Says whether it is forged or too old.
    pub fn verify(&self, text: &str, now: u64) -> Result<Ticket, TicketError> {
        let _ = (&self.inner, text, now);
        todo!()
    }
}

/// What goes on with a session on a new connection. Shown to the client once; only its hash is
/// kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeToken(String);

impl ResumeToken {
    /// 256 fresh random bits as 43 characters.
    pub fn random() -> Self {
        todo!()
    }

    /// As the client gets it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of a token's text: what is stored and looked up.
    pub fn hash(text: &str) -> [u8; 32] {
        let _ = text;
        todo!()
    }
}
