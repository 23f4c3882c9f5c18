//! The checking half of tickets: public keys of every login process, told by the composition as
//! processes come and go, read by gateway shards without a lock. It cannot sign.

use std::sync::Arc;

use anyhow::bail;
use arc_swap::ArcSwap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::{AUDIENCE, Claims, TICKET_SECONDS, Ticket, TicketError, key_id, provider};
use crate::ids::{PlayerId, ServerId, TicketUse};
use crate::limits;
use crate::names::Name;
use crate::tick::unix_millis;

/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// Most keys trusted at once.
pub const TRUSTED_MAX: usize = 16;
/// How long a key is trusted after its server has left, ms: as long as its last ticket is valid.
const TRUSTED_AFTER_MS: u64 = TICKET_SECONDS * 1_000;

/// Checks tickets: a gateway's. All clones trust the same keys.
#[derive(Clone)]
pub struct TicketVerifier {
    trusted: Arc<ArcSwap<Vec<Trusted>>>,
    validation: Arc<Validation>,
}

/// One login process's key.
#[derive(Clone)]
struct Trusted {
    /// Whose; none: this process's own, for good.
    server: Option<ServerId>,
    /// What tickets name it by.
    id: String,
    key: DecodingKey,
    /// Unix ms; none: its server is there.
    until: Option<u64>,
}

impl Default for TicketVerifier {
    /// Trusts nobody yet.
    fn default() -> Self {
        provider::install();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The library reads the machine's clock; `verify` is told the time and checks it itself.
        validation.validate_exp = false;
        Self { trusted: Arc::default(), validation: Arc::new(validation) }
    }
}

impl TicketVerifier {
    /// Trusts this key alone, for good.
    pub(super) fn of_own(key: &[u8]) -> anyhow::Result<Self> {
        let verifier = Self::default();
        verifier.take_up(None, key, unix_millis())?;
        Ok(verifier)
    }

    /// Takes the tickets that `server` signs from now on. `key` is the public half of its key
    /// (32 bytes); a key that it had before holds for 60 s more.
    ///
    /// # Errors
    /// If the key is not 32 bytes long, or 16 keys are in use already.
    pub fn trust(&self, server: ServerId, key: &[u8]) -> anyhow::Result<()> {
        self.take_up(Some(server), key, unix_millis())
    }

    /// The server has left: its tickets are taken for 60 s more, as long as the last is valid.
    pub fn forget(&self, server: ServerId) {
        self.forget_at(server, unix_millis());
    }

    fn take_up(&self, server: Option<ServerId>, key: &[u8], now: u64) -> anyhow::Result<()> {
        if key.len() != PUBLIC_KEY_BYTES {
            bail!("an Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, not {}", key.len());
        }
        let new =
            Trusted { server, id: key_id(key), key: DecodingKey::from_ed_der(key), until: None };
        let mut full = false;
        self.trusted.rcu(|trusted| {
            let mut trusted = still_trusted(trusted, now);
            for old in trusted.iter_mut().filter(|old| old.server == new.server) {
                old.until.get_or_insert(now + TRUSTED_AFTER_MS);
            }
            trusted.retain(|old| old.server != new.server || old.id != new.id);
            if trusted.len() >= TRUSTED_MAX {
                let leaving = trusted.iter().enumerate().filter(|(_, old)| old.until.is_some());
                if let Some((place, _)) = leaving.min_by_key(|(_, old)| old.until) {
                    trusted.remove(place);
                }
            }
            full = trusted.len() >= TRUSTED_MAX;
            if !full {
                trusted.push(new.clone());
            }
            trusted
        });
        if full {
            bail!("{TRUSTED_MAX} login processes are trusted already; no more keys are taken");
        }
        Ok(())
    }

    pub(super) fn forget_at(&self, server: ServerId, now: u64) {
        self.trusted.rcu(|trusted| {
            let mut trusted = still_trusted(trusted, now);
            for old in trusted.iter_mut().filter(|old| old.server == Some(server)) {
                old.until.get_or_insert(now + TRUSTED_AFTER_MS);
            }
            trusted
        });
    }

    /// Checks a ticket at `now` (Unix ms). Single use is the store's to check.
    ///
    /// # Errors
    /// Says whether it is forged or too old.
    pub fn verify(&self, text: &str, now: u64) -> Result<Ticket, TicketError> {
        if text.len() > limits::TOKEN_TEXT_MAX {
            return Err(TicketError::Invalid);
        }
        // The ticket names its key, so that a forged one costs one check however many there are.
        let header = jsonwebtoken::decode_header(text).map_err(|_| TicketError::Invalid)?;
        let trusted = self.trusted.load();
        let signed = |key: &&Trusted| header.kid.as_ref() == Some(&key.id) && key.holds(now);
        let key = trusted.iter().find(signed).ok_or(TicketError::Invalid)?;
        let claims = jsonwebtoken::decode::<Claims>(text, &key.key, &self.validation)
            .map_err(|_| TicketError::Invalid)?
            .claims;
        let expires_at = claims.exp.saturating_mul(1_000);
        if now >= expires_at {
            return Err(TicketError::Expired);
        }
        let player: PlayerId = claims.sub.parse().map_err(|_| TicketError::Invalid)?;
        let name = Name::made(&claims.name).map_err(|_| TicketError::Invalid)?;
        let usage = TicketUse { id: claims.jti, expires_at };
        Ok(Ticket { player, name, device: claims.device, usage })
    }
}

impl Trusted {
    fn holds(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

fn still_trusted(trusted: &[Trusted], now: u64) -> Vec<Trusted> {
    trusted.iter().filter(|key| key.holds(now)).cloned().collect()
}
