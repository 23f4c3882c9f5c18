//! Later.

/// The routes of the public web port but the WebSocket.
pub fn router() -> axum::Router {
    axum::Router::new()
}
