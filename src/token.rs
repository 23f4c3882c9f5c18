//! Proofs that clients carry: log-in tickets (Ed25519 JWTs, 60 s, single use) and resume tokens
//! (256 random bits, stored hashed).
//!
//! Login signs tickets, gateways check them with the public key alone, the store sees to it that
//! each is used once. No key and no token is ever shown in a log.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult, new_error};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{PlayerId, TicketUse};
use crate::limits;
use crate::names::Name;

/// How long a ticket is valid, seconds.
pub const TICKET_SECONDS: u64 = 60;
/// Whom tickets are for.
const AUDIENCE: &str = "throng-gateway";
/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

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
    verifier: TicketVerifier,
}

/// Checks tickets: a gateway's. It cannot sign.
#[derive(Clone)]
pub struct TicketVerifier {
    key: Arc<DecodingKey>,
    validation: Arc<Validation>,
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
        install_provider();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem)
            .map_err(|error| anyhow!("not a PKCS#8 PEM file: {error}"))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|rejected| anyhow!("{rejected}"))?;
        let verifier = TicketVerifier::from_public(pair.public_key().as_ref())?;
        Ok(Self { key: Arc::new(EncodingKey::from_ed_der(der.secret_pkcs8_der())), verifier })
    }

    /// The checking half.
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
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims, &self.key)
            .map_err(|_| TicketError::Invalid)
    }
}

impl TicketVerifier {
    /// A verifier for the tickets of whoever has the private half of this key (32 bytes).
    ///
    /// # Errors
    /// If it is not 32 bytes long.
    pub fn from_public(key: &[u8]) -> anyhow::Result<Self> {
        install_provider();
        if key.len() != PUBLIC_KEY_BYTES {
            return Err(anyhow!("an Ed25519 public key has 32 bytes, not {}", key.len()));
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The library reads the machine's clock; `verify` is told the time and checks it itself.
        validation.validate_exp = false;
        Ok(Self { key: Arc::new(DecodingKey::from_ed_der(key)), validation: Arc::new(validation) })
    }

    /// The key it checks with, for handing it to another process.
    pub fn public_key(&self) -> &[u8] {
        self.key.try_get_as_bytes().unwrap_or_default()
    }

    /// Checks a ticket at `now` (Unix ms). Single use is the store's to check.
    ///
    /// # Errors
    /// Says whether it is forged or too old.
    pub fn verify(&self, text: &str, now: u64) -> Result<Ticket, TicketError> {
        if text.len() > limits::TOKEN_TEXT_MAX {
            return Err(TicketError::Invalid);
        }
        let claims = jsonwebtoken::decode::<Claims>(text, &self.key, &self.validation)
            .map_err(|_| TicketError::Invalid)?
            .claims;
        let expires_at = claims.exp.saturating_mul(1_000);
        if now >= expires_at {
            return Err(TicketError::Expired);
        }
        let player: PlayerId = claims.sub.parse().map_err(|_| TicketError::Invalid)?;
        let name = Name::parse(&claims.name).map_err(|_| TicketError::Invalid)?;
        let usage = TicketUse { id: claims.jti, expires_at };
        Ok(Ticket { player, name, device: claims.device, usage })
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
        Self(bits.iter().map(|byte| char::from(URL_SAFE[usize::from(byte & 0x3f)])).collect())
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

/// Tells the JWT library, which is built without any cryptography, to use ring. A second call does
/// nothing.
fn install_provider() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => Ok(Box::new(Signer::new(key)?)),
            _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
        },
        verifier_factory: |algorithm, key| match algorithm {
            Algorithm::EdDSA => Ok(Box::new(Verifier(key.try_get_as_bytes()?.to_vec()))),
            _ => Err(new_error(ErrorKind::UnsupportedAlgorithm)),
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error only says that it is installed already.
    let _ = PROVIDER.install_default();
}

/// Ed25519 signatures by ring, as the JWT library wants them.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new(key: &EncodingKey) -> JwtResult<Self> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.as_bytes())
            .map(Self)
            .map_err(|_| new_error(ErrorKind::InvalidEddsaKey))
    }
}

impl signature::Signer<Vec<u8>> for Signer {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }
}

impl JwtSigner for Signer {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

/// The check of one.
struct Verifier(Vec<u8>);

impl signature::Verifier<Vec<u8>> for Verifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Verifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOW: u64 = 1_800_000_000_500;

    fn signer() -> (tempfile::TempDir, TicketSigner) {
        let dir = tempfile::tempdir().unwrap();
        let signer = TicketSigner::load_or_create(&dir.path().join("login.key")).unwrap();
        (dir, signer)
    }

    fn ticket(signer: &TicketSigner) -> String {
        signer.sign(PlayerId(7), &Name::parse("Ann").unwrap(), "laptop", NOW).unwrap()
    }

    fn base64url(bytes: &[u8]) -> String {
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for place in 0..=chunk.len() {
                text.push(char::from(URL_SAFE[(bits >> (18 - 6 * place)) as usize & 0x3f]));
            }
        }
        text
    }

    #[test]
    fn a_ticket_says_who_for_sixty_seconds() {
        let (_dir, signer) = signer();
        let text = ticket(&signer);
        let read = signer.verifier().verify(&text, NOW).unwrap();
        assert_eq!(
            (read.player, read.name.as_str(), &*read.device),
            (PlayerId(7), "Ann", "laptop")
        );
        assert!(signer.verifier().verify(&text, NOW + 60_000).is_ok());
        assert_eq!(signer.verifier().verify(&text, NOW + 61_000), Err(TicketError::Expired));
        assert_eq!(
            signer.verifier().verify(&text, read.usage.expires_at),
            Err(TicketError::Expired),
            "nobody takes it after its use may be forgotten"
        );
        let other = signer.verifier().verify(&ticket(&signer), NOW).unwrap();
        assert_ne!(other.usage.id, read.usage.id);
    }

    #[test]
    fn the_key_file_is_private_and_read_again() {
        let (dir, first) = signer();
        let path = dir.path().join("login.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = TicketSigner::load_or_create(&path).unwrap();
        assert!(second.verifier().verify(&ticket(&first), NOW).is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        std::fs::write(&path, "no key").unwrap();
        assert!(TicketSigner::load_or_create(&path).is_err());
    }

    #[test]
    fn the_public_key_alone_checks_tickets() {
        let (_dir, signer) = signer();
        let verifier = TicketVerifier::from_public(signer.verifier().public_key()).unwrap();
        assert!(verifier.verify(&ticket(&signer), NOW).is_ok());
        assert!(TicketVerifier::from_public(&[1; 31]).is_err());
    }

    #[test]
    fn another_worlds_ticket_is_refused() {
        let ((_a, ours), (_b, theirs)) = (signer(), signer());
        assert_eq!(ours.verifier().verify(&ticket(&theirs), NOW), Err(TicketError::Invalid));
    }

    #[test]
    fn a_tampered_ticket_is_refused() {
        let (_dir, signer) = signer();
        let text = ticket(&signer);
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'Q' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(
                signer.verifier().verify(&changed, NOW),
                Err(TicketError::Invalid),
                "{place}"
            );
        }
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let (_dir, signer) = signer();
        let body = ticket(&signer);
        let claims = body.split('.').nth(1).unwrap();
        for header in [r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"alg":"none","typ":"JWT"}"#] {
            let message = format!("{}.{claims}", base64url(header.as_bytes()));
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.verifier().public_key());
            let tag = ring::hmac::sign(&key, message.as_bytes());
            let forged = format!("{message}.{}", base64url(tag.as_ref()));
            assert_eq!(signer.verifier().verify(&forged, NOW), Err(TicketError::Invalid));
            assert_eq!(
                signer.verifier().verify(&format!("{message}."), NOW),
                Err(TicketError::Invalid)
            );
        }
    }

    #[test]
    fn a_ticket_for_somebody_else_is_refused() {
        let (_dir, signer) = signer();
        for aud in ["throng-login", ""] {
            let claims = Claims {
                sub: "7".into(),
                jti: Uuid::new_v4(),
                aud: aud.into(),
                exp: NOW / 1_000 + 60,
                name: "Ann".into(),
                device: String::new(),
            };
            let header = Header::new(Algorithm::EdDSA);
            let text = jsonwebtoken::encode(&header, &claims, &signer.key).unwrap();
            assert_eq!(signer.verifier().verify(&text, NOW), Err(TicketError::Invalid));
        }
    }

    #[test]
    fn the_longest_ticket_fits_its_field() {
        let (_dir, signer) = signer();
        let name = Name::parse(&"𐐀".repeat(16)).unwrap();
        let device = "ü".repeat(limits::DEVICE_ID_MAX / 2);
        let text = signer.sign(PlayerId(u64::from(u32::MAX)), &name, &device, NOW).unwrap();
        assert!(text.len() <= limits::TOKEN_TEXT_MAX, "{}", text.len());
        assert!(signer.verifier().verify(&text, NOW).is_ok());
    }

    #[test]
    fn resume_tokens_are_long_and_never_the_same() {
        let (a, b) = (ResumeToken::random(), ResumeToken::random());
        assert_eq!(a.as_str().len(), 43);
        assert!(a.as_str().bytes().all(|c| URL_SAFE.contains(&c)));
        assert!(a != b);
        assert_ne!(ResumeToken::hash(a.as_str()), ResumeToken::hash(b.as_str()));
    }
}
