//! The fields of a client's packets that have a form of their own: names, secrets, keys, tokens.
//!
//! Both codecs use these, so that a packet and a line are held to the same rules. An error names
//! the field and never repeats a secret.

use ring::digest::{SHA256, digest};

use crate::ids::Key;
use crate::limits;
use crate::msg::login::Credentials;
use crate::names::{ChatText, Name, normal_password};
use crate::proto::ErrorCode;
use crate::protocol::client::Rejected;
use crate::tick::TICK_MS;

/// Hex digits of a secret.
const HASH_DIGITS: usize = 64;

/// What travels in place of a password: the SHA-256 of its NFC's UTF-8 bytes, 64 lower-case hex
/// digits.
pub fn password_hash(password: &str) -> String {
    let hash = digest(&SHA256, normal_password(password).as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a client's version, "major.minor.patch", is at least `minimum`.
///
/// # Errors
/// If it is no version.
pub fn version_supported(text: &str, minimum: (u32, u32, u32)) -> Result<bool, Rejected> {
    let mut parts = text.splitn(3, '.').map(|part| {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten()
    });
    let mut part = || parts.next().flatten();
    match (part(), part(), part()) {
        (Some(major), Some(minor), Some(patch)) => Ok((major, minor, patch) >= minimum),
        _ => Err(Rejected::argument("client_version is not major.minor.patch")),
    }
}

pub(super) fn credentials(name: &str, secret: String) -> Result<Credentials, Rejected> {
    let name = super::fields::name("username", name)?;
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if secret.len() != HASH_DIGITS || !secret.bytes().all(hex) {
        return Err(Rejected::argument(
            "password_hash is not a SHA-256 as 64 lower-case hex digits",
        ));
    }
    Ok(Credentials { name, secret })
}

pub(in crate::protocol) fn name(field: &str, text: &str) -> Result<Name, Rejected> {
    Name::parse(text)
        .map_err(|why| Rejected::new(ErrorCode::ErrorInvalidName, format!("{field}: {why}")))
}

pub(in crate::protocol) fn text(text: &str) -> Result<ChatText, Rejected> {
    ChatText::parse(text)
        .map_err(|why| Rejected::new(ErrorCode::ErrorTextRefused, format!("text: {why}")))
}

/// A key of a content table: whether there is one of that name is for the world to say.
pub(in crate::protocol) fn key(field: &str, text: &str) -> Result<Key, Rejected> {
    const KEY_MAX: usize = 64;
    if text.is_empty() || text.len() > KEY_MAX {
        return Err(Rejected::argument(format!("{field} has 1 to {KEY_MAX} bytes")));
    }
    Ok(text.into())
}

/// A device id: it stands in the ticket, so it may hold nothing that JSON writes longer.
pub(super) fn device(text: String) -> Result<String, Rejected> {
    let text = bounded("device_id", text)?;
    if text.contains(['"', '\\']) {
        return Err(Rejected::argument("device_id has no quotation marks and backslashes"));
    }
    Ok(text)
}

pub(super) fn bounded(field: &str, text: String) -> Result<String, Rejected> {
    if text.len() > limits::DEVICE_ID_MAX {
        let most = limits::DEVICE_ID_MAX;
        return Err(Rejected::argument(format!("{field} has at most {most} bytes")));
    }
    if text.contains(char::is_control) {
        return Err(Rejected::argument(format!("{field} has no control characters")));
    }
    Ok(text)
}

pub(super) fn token(field: &str, text: String) -> Result<String, Rejected> {
    if text.is_empty() || text.len() > limits::TOKEN_TEXT_MAX {
        let most = limits::TOKEN_TEXT_MAX;
        return Err(Rejected::argument(format!("{field} has 1 to {most} bytes")));
    }
    Ok(text)
}

/// The view a player acted on: a tick and milliseconds past it; tick 0: none.
pub(super) fn seen(tick: u64, millis: u32) -> Result<Option<(u64, u32)>, Rejected> {
    if u64::from(millis) >= TICK_MS {
        return Err(Rejected::argument(format!("view_ms is 0 to {}", TICK_MS - 1)));
    }
    Ok((tick != 0).then_some((tick, millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (text, supported) in
            [("1.2.3", true), ("1.10.0", true), ("1.2.2", false), ("0.9.9", false)]
        {
            assert_eq!(version_supported(text, (1, 2, 3)).unwrap(), supported, "{text}");
        }
        for bad in ["", "1", "1.2", "1.2.3.4", "1.2.x", "+1.2.3", "1..3", "1.2.99999999999"] {
            let refused = version_supported(bad, (0, 0, 0)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::ErrorInvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_secret_is_a_hash_in_lower_case() {
        let hash = password_hash("correct horse");
        assert!(credentials("Ann", hash.clone()).is_ok());
        for bad in [hash.to_uppercase(), hash[1..].to_owned(), "correct horse".into()] {
            let refused = credentials("Ann", bad.clone()).unwrap_err();
            assert!(!refused.message.contains(&bad), "a secret is not repeated");
        }
        assert_eq!(
            password_hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "FIPS 180-2, appendix B.1"
        );
    }

    #[test]
    fn a_device_fits_into_a_ticket() {
        assert!(device("any text, even ünïcode".into()).is_ok());
        for bad in ["a\"b", "a\\b", "a\nb"] {
            assert!(device(bad.into()).is_err(), "{bad:?}");
        }
        assert!(device("x".repeat(65)).is_err());
    }
}
