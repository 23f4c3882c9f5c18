//! The cluster's secret, and what two processes prove to each other with it.
//!
//! Each proof is an HMAC-SHA256 over everything said so far, under a label of its own, so that none
//! can be replayed later or sent back where it came from. The secret itself is never shown.

use std::fmt;

use ring::hmac;

use crate::link::conversation::SessionId;

/// What a proof is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// The dialer knows the secret.
    Dialer,
    /// The acceptor knows it, and is who it says.
    Acceptor,
    /// The dialer is who it says.
    DialerIdentity,
    /// Not a proof: names the conversation.
    Session,
}

impl Label {
    fn bytes(self) -> &'static [u8] {
        match self {
            Label::Dialer => b"throng link 1: the dialer knows the secret",
            Label::Acceptor => b"throng link 1: the acceptor is",
            Label::DialerIdentity => b"throng link 1: the dialer is",
            Label::Session => b"throng link 1: the conversation",
        }
    }
}

/// What all processes of a cluster know and nobody else. Cheap to clone.
#[derive(Clone)]
pub struct ClusterSecret(hmac::Key);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl ClusterSecret {
    /// From the text in its file.
    pub fn new(text: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes()))
    }

    pub(super) fn prove(&self, label: Label, parts: &[&[u8]]) -> [u8; 32] {
        let tag = hmac::sign(&self.0, &covered(label, parts));
        std::array::from_fn(|i| tag.as_ref().get(i).copied().unwrap_or_default())
    }

    /// Whether a proof is right; takes equally long for every wrong one.
    pub(super) fn is_proven(&self, label: Label, parts: &[&[u8]], mac: &[u8; 32]) -> bool {
        hmac::verify(&self.0, &covered(label, parts), mac).is_ok()
    }

    /// The name of a conversation that begins with these challenges.
    pub(super) fn session(&self, challenges: [&[u8]; 2]) -> SessionId {
        let proof = self.prove(Label::Session, &challenges);
        SessionId(proof.iter().take(16).fold(0, |id, byte| (id << 8) | u128::from(*byte)))
    }
}

/// Label and parts, each with its length, so that no two lists give the same bytes.
fn covered(label: Label, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in std::iter::once(&label.bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_secret_label_and_parts_only() {
        let secret = ClusterSecret::new("a secret of thirty-two letters ..");
        let parts: [&[u8]; 2] = [b"one", b"two"];
        let proof = secret.prove(Label::Dialer, &parts);
        assert!(secret.is_proven(Label::Dialer, &parts, &proof));
        assert!(!secret.is_proven(Label::Acceptor, &parts, &proof));
        assert!(!secret.is_proven(Label::Dialer, &[b"onet", b"wo"], &proof));
        assert!(!ClusterSecret::new("another").is_proven(Label::Dialer, &parts, &proof));
        assert!(!format!("{secret:?}").contains("thirty"));
    }

    #[test]
    fn conversations_are_named_after_both_nonces() {
        let secret = ClusterSecret::new("a secret");
        let name = secret.session([b"one", b"two"]);
        assert_eq!(secret.session([b"one", b"two"]), name);
        assert_ne!(secret.session([b"two", b"one"]), name);
    }
}
