//! The operators' token: a secret in the data folder that guards whatever changes state.
//!
//! Made at first start; it has no default and never reaches a log.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

use super::error::ApiError;

/// Fewest characters of a token that somebody has put into the file.
const TOKEN_MIN: usize = 16;

/// What a bearer must show. Cheap to clone.
#[derive(Clone)]
pub struct OperatorToken(Arc<str>);

impl OperatorToken {
    /// The token itself; anything shorter than 16 characters is refused.
    ///
    /// # Errors
    /// If it is too short, or could not stand in a header.
    pub fn new(token: &str) -> anyhow::Result<Self> {
        let token = token.trim();
        anyhow::ensure!(token.len() >= TOKEN_MIN, "a token has at least {TOKEN_MIN} characters");
        anyhow::ensure!(
            token.bytes().all(|byte| byte.is_ascii_graphic()),
            "a token has only visible ASCII characters"
        );
        Ok(Self(token.into()))
    }

    /// Reads the token in `path`, or makes one there with mode 0600.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no token.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::new(&text).with_context(|| format!("{shown} holds no token")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let bits: [u8; 32] = rand::random();
                let token: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
                write_private(path, &token).with_context(|| format!("cannot write {shown}"))?;
                Self::new(&token)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {shown}")),
        }
    }

    /// Lets a request pass that shows the token as `Authorization: Bearer …`.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let shown = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim());
        let Some(shown) = shown else {
            return Err(unauthorized("the operators' token is missing: Authorization: Bearer …"));
        };
        if bool::from(shown.as_bytes().ct_eq(self.0.as_bytes())) {
            Ok(())
        } else {
            Err(unauthorized("this is not the operators' token"))
        }
    }
}

impl std::fmt::Debug for OperatorToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OperatorToken(…)")
    }
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, message)
}

/// Writes a new file that only its owner may read; an existing one is left alone.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{text}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_bearer_of_the_token_passes() {
        let token = OperatorToken::new("0123456789abcdef\n").unwrap();
        assert_eq!(token.check(&headers("Bearer 0123456789abcdef")), Ok(()));
        assert_eq!(token.check(&headers("bearer 0123456789abcdef")), Ok(()));
        for wrong in ["Bearer 0123456789abcdeF", "Bearer 0123", "Bearer", "Basic 0123456789abcdef"]
        {
            let error = token.check(&headers(wrong)).unwrap_err();
            assert_eq!(error.status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(token.check(&HeaderMap::new()).is_err());
        assert_eq!(format!("{token:?}"), "OperatorToken(…)");
    }

    #[test]
    fn the_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("operator.token");
        let made = OperatorToken::load_or_create(&path).unwrap();
        let read = OperatorToken::load_or_create(&path).unwrap();
        assert_eq!(made.0, read.0);
        assert_eq!(made.0.len(), 64);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::write(&path, "short").unwrap();
        assert!(OperatorToken::load_or_create(&path).is_err());
    }
}
