//! The operators' token: a secret in the data folder that guards whatever changes state.
//!
//! Who starts the port reads it from there; it has no default and never reaches a log.

use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use subtle::ConstantTimeEq;

use super::error::ApiError;
use crate::limits::SECRET_CHARS_MIN;

/// What a bearer must show. Cheap to clone.
#[derive(Clone)]
pub struct OperatorToken(Arc<str>);

impl OperatorToken {
    /// The token itself, of at least [`SECRET_CHARS_MIN`] characters.
    ///
    /// # Errors
    /// If it is too short, or could not stand in a header.
    pub fn new(token: &str) -> anyhow::Result<Self> {
        let token = token.trim();
        anyhow::ensure!(
            token.len() >= SECRET_CHARS_MIN,
            "a token has at least {SECRET_CHARS_MIN} characters"
        );
        anyhow::ensure!(
            token.bytes().all(|byte| byte.is_ascii_graphic()),
            "a token has only visible ASCII characters"
        );
        Ok(Self(token.into()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_bearer_of_the_token_passes() {
        let text = "0123456789abcdef".repeat(2);
        let token = OperatorToken::new(&format!("{text}\n")).unwrap();
        assert_eq!(token.check(&headers(&format!("Bearer {text}"))), Ok(()));
        assert_eq!(token.check(&headers(&format!("bearer {text}"))), Ok(()));
        let (other, basic) = (format!("Bearer {}", text.to_uppercase()), format!("Basic {text}"));
        for wrong in [&*other, "Bearer 0123", "Bearer", &*basic] {
            let error = token.check(&headers(wrong)).unwrap_err();
            assert_eq!(error.status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(token.check(&HeaderMap::new()).is_err());
        assert_eq!(format!("{token:?}"), "OperatorToken(…)");
    }

    #[test]
    fn what_is_too_weak_or_cannot_be_sent_is_no_token() {
        let long = "0".repeat(SECRET_CHARS_MIN);
        assert!(OperatorToken::new(&long).is_ok());
        for weak in ["", "short", &*format!("{} ", &long[1..])] {
            assert!(OperatorToken::new(weak).is_err(), "{weak}");
        }
        for unsendable in [format!("{long} {long}"), format!("{long}é")] {
            assert!(OperatorToken::new(&unsendable).is_err(), "{unsendable}");
        }
    }
}
