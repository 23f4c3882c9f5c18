//! Proofs that clients carry: log-in tickets (Ed25519 JWTs, 60 s, single use) and resume tokens
//! (256 random bits, stored hashed).
//!
//! Login signs tickets, gateways check them with the public keys alone (`verifier.rs`), the store
//! sees to it that each is used once. No key and no token is ever shown in a log.

mod provider;
mod verifier;

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{PlayerId, TicketUse};
use crate::names::Name;
pub use verifier::{TRUSTED_MAX, TicketVerifier};

/// How long a ticket is valid, seconds.
pub const TICKET_SECONDS: u64 = 60;
/// Whom tickets are for.
const AUDIENCE: &str = "throng-gateway";

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

impl Ticket {
    /// When it was signed, Unix ms; up to a second earlier than that.
    pub fn given_at(&self) -> u64 {
        self.usage.expires_at.saturating_sub((TICKET_SECONDS + 1) * 1_000)
    }
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

/// The claims of the JWT, by the names of RFC 7519 and two of our own.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    jti: Uuid,
    aud: String,
    /// Unix seconds.
    exp: u64,
    name: String,
    device: String,
}

/// Signs tickets: the login role's.
#[derive(Clone)]
pub struct TicketSigner {
    key: Arc<EncodingKey>,
    public_key: Arc<[u8]>,
    key_id: String,
    verifier: TicketVerifier,
}

impl TicketSigner {
    /// Reads the key in `path` (PKCS#8 PEM, Ed25519), or makes one there with mode 0600. Two
    /// processes that start at once end with the same key.
    ///
    /// # Errors
    /// If the file cannot be read, written or is no key.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        if !path.exists() {
            create_key_file(path).with_context(|| format!("cannot make {}", path.display()))?;
        }
        let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_pem(&pem).with_context(|| format!("{} is no Ed25519 key", path.display()))
    }

    fn from_pem(pem: &[u8]) -> anyhow::Result<Self> {
        provider::install();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|error| anyhow!("not a PKCS#8 PEM file: {error}"))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|rejected| anyhow!("{rejected}"))?;
        let public_key: Arc<[u8]> = pair.public_key().as_ref().into();
        Ok(Self {
            key: Arc::new(EncodingKey::from_ed_der(der.secret_pkcs8_der())),
            key_id: key_id(&public_key),
            verifier: TicketVerifier::of_own(&public_key)?,
            public_key,
        })
    }

    /// The public half of the key, 32 bytes, for the gateways of other processes.
    pub fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    /// The checking half; it trusts this signer for good, and others by
    /// [`TicketVerifier::trust`].
    pub fn verifier(&self) -> TicketVerifier {
        self.verifier.clone()
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
        let claims = Claims {
            sub: player.to_string(),
            jti: Uuid::new_v4(),
            aud: AUDIENCE.to_owned(),
            exp: now.div_ceil(1_000) + TICKET_SECONDS,
            name: name.to_string(),
            device: device.to_owned(),
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| TicketError::Invalid)
    }
}

/// What goes on with a session on a new connection. Shown to the client once; only its hash is
/// kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ResumeToken(String);

impl ResumeToken {
    /// 256 fresh random bits as 43 characters.
    pub fn random() -> Self {
        const CHARACTERS: usize = 43;
        let mut bits = [0u8; CHARACTERS];
        rand::fill(&mut bits[..]);
        // Six bits of each byte choose a character: 258 bits in all.
        Self(url_safe(&bits))
    }

    /// As the client gets it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// SHA-256 of a token's text: what is stored and looked up.
    pub fn hash(text: &str) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref());
        hash
    }
}

/// The 64 characters that stand in an address or a file name as they are (RFC 4648, section 5).
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// One character for six bits of each byte.
fn url_safe(bits: &[u8]) -> String {
    bits.iter().map(|byte| char::from(URL_SAFE[usize::from(byte & 0x3f)])).collect()
}

/// The name under which tickets mention a public key: 48 bits of its SHA-256. No secret, and no
/// proof of anything: the signature is.
fn key_id(public_key: &[u8]) -> String {
    const CHARACTERS: usize = 8;
    url_safe(&ring::digest::digest(&ring::digest::SHA256, public_key).as_ref()[..CHARACTERS])
}

/// Writes a fresh key beside `path` and links it there, so that nobody ever reads half a key and
/// a key that came in between stays.
fn create_key_file(path: &Path) -> anyhow::Result<()> {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519)?.serialize_pem();
    let beside = path.with_extension(format!("new-{}", Uuid::new_v4().simple()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let linked = file
        .write_all(pem.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::hard_link(&beside, path));
    std::fs::remove_file(&beside)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests;
