//! Ed25519 by ring for the JWT library, which is built without any cryptography of its own.
//!
//! Installed once by whoever makes a key; knows no algorithm but this one.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult, new_error};
use jsonwebtoken::{Algorithm, EncodingKey};
use ring::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey};

/// Tells the library to use this. A second call does nothing.
pub(super) fn install() {
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
