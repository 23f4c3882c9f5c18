//! The handshake of a WebSocket (RFC 6455, 4.2): whether a request is one, and the answer to it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The version of the protocol, the only one there is.
const VERSION: &str = "13";

/// The answer that makes the connection a WebSocket.
///
/// # Errors
/// The status and the words for a request that asks for something else.
pub(super) fn answer(
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, (StatusCode, &'static str)> {
    if method != Method::GET {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "a WebSocket begins with GET"));
    }
    if !lists(headers, header::CONNECTION, "upgrade")
        || !lists(headers, header::UPGRADE, "websocket")
    {
        return Err((StatusCode::UPGRADE_REQUIRED, "this is a WebSocket: ask for the upgrade"));
    }
    if !lists(headers, header::SEC_WEBSOCKET_VERSION, VERSION) {
        return Err((StatusCode::BAD_REQUEST, "sec-websocket-version must be 13"));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return Err((StatusCode::BAD_REQUEST, "sec-websocket-key is missing"));
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let accept = accept.map_err(|_| (StatusCode::BAD_REQUEST, "sec-websocket-key is no key"))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Whether a header's list has a word.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name);
    let mut words =
        values.iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    words.any(|one| one.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    fn example() -> HeaderMap {
        let headers = [
            (header::UPGRADE, "websocket"),
            (header::CONNECTION, "keep-alive, Upgrade"),
            (header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ];
        headers.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect()
    }

    #[test]
    fn the_examples_answer_is_given() {
        let response = answer(&Method::GET, &example()).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let accept = &response.headers()[header::SEC_WEBSOCKET_ACCEPT];
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_refused_with_what_is_missing() {
        let status = |method, headers: &HeaderMap| answer(&method, headers).unwrap_err().0;
        assert_eq!(status(Method::POST, &example()), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(status(Method::GET, &HeaderMap::new()), StatusCode::UPGRADE_REQUIRED);
        for name in [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION] {
            let mut headers = example();
            headers.remove(name);
            assert_eq!(status(Method::GET, &headers), StatusCode::BAD_REQUEST);
        }
    }
}
