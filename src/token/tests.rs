//! Tickets and tokens that are good, old, forged, tampered with, or another world's.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::ids::ServerId;
use crate::limits;

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
    assert_eq!((read.player, read.name.as_str(), &*read.device), (PlayerId(7), "Ann", "laptop"));
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
    let verifier = TicketVerifier::default();
    assert_eq!(verifier.verify(&ticket(&signer), NOW), Err(TicketError::Invalid), "nobody's yet");
    verifier.trust(ServerId(1), signer.public_key()).unwrap();
    assert!(verifier.verify(&ticket(&signer), NOW).is_ok());
    assert!(verifier.trust(ServerId(1), &[1; 31]).is_err());
}

#[test]
fn each_login_process_signs_with_its_own_key() {
    let ((_a, first), (_b, second)) = (signer(), signer());
    let verifier = first.verifier();
    assert_eq!(verifier.verify(&ticket(&second), NOW), Err(TicketError::Invalid));
    let shard = verifier.clone();
    verifier.trust(ServerId(2), second.public_key()).unwrap();
    assert!(shard.verify(&ticket(&first), NOW).is_ok());
    assert!(shard.verify(&ticket(&second), NOW).is_ok(), "clones learn of it");

    verifier.forget_at(ServerId(2), NOW);
    assert!(shard.verify(&ticket(&second), NOW + 59_999).is_ok(), "its last tickets hold");
    assert_eq!(shard.verify(&ticket(&second), NOW + 60_000), Err(TicketError::Invalid));
    assert!(shard.verify(&ticket(&first), NOW + 60_000).is_ok(), "one's own is never forgotten");
}

#[test]
fn a_server_that_comes_back_is_trusted_again_under_its_new_key_too() {
    let ((_a, old), (_b, new)) = (signer(), signer());
    let verifier = TicketVerifier::default();
    verifier.trust(ServerId(2), old.public_key()).unwrap();
    verifier.forget(ServerId(2));
    verifier.trust(ServerId(2), old.public_key()).unwrap();
    let far = crate::tick::unix_millis() + 3_600_000;
    let late = |signer: &TicketSigner| {
        signer.sign(PlayerId(7), &Name::parse("Ann").unwrap(), "", far).unwrap()
    };
    assert!(verifier.verify(&late(&old), far).is_ok(), "it is not on its way out any more");
    verifier.trust(ServerId(2), new.public_key()).unwrap();
    assert!(verifier.verify(&late(&new), far).is_ok());
    assert_eq!(verifier.verify(&late(&old), far), Err(TicketError::Invalid));
    assert!(verifier.verify(&ticket(&old), crate::tick::unix_millis()).is_ok(), "for a minute");
}

#[test]
fn a_stolen_key_name_does_not_make_a_ticket() {
    let ((_a, ours), (_b, theirs)) = (signer(), signer());
    let forger = TicketSigner { key_id: ours.key_id.clone(), ..theirs };
    assert_eq!(ours.verifier().verify(&ticket(&forger), NOW), Err(TicketError::Invalid));
}

#[test]
fn the_number_of_keys_is_bounded_and_those_that_leave_give_way() {
    let verifier = TicketVerifier::default();
    let key = |number: u8| [number; 32];
    for number in 0..TRUSTED_MAX as u8 {
        verifier.trust(ServerId(u64::from(number)), &key(number)).unwrap();
    }
    assert!(verifier.trust(ServerId(99), &key(99)).is_err());
    verifier.trust(ServerId(3), &key(3)).unwrap();
    verifier.forget(ServerId(5));
    verifier.trust(ServerId(99), &key(99)).unwrap();
    assert!(verifier.trust(ServerId(98), &key(98)).is_err());
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
        assert_eq!(signer.verifier().verify(&changed, NOW), Err(TicketError::Invalid), "{place}");
    }
}

#[test]
fn the_public_key_is_no_shared_secret() {
    let (_dir, signer) = signer();
    let body = ticket(&signer);
    let claims = body.split('.').nth(1).unwrap();
    for algorithm in ["HS256", "none"] {
        let kid = &signer.key_id;
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{kid}"}}"#);
        let message = format!("{}.{claims}", base64url(header.as_bytes()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.public_key());
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
        let kid = Some(signer.key_id.clone());
        let header = Header { kid, ..Header::new(Algorithm::EdDSA) };
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
