//! The table of routes of the operators' port, and what holds for all of them: under which names they
//! are asked for, a time limit, JSON errors, headers for browsers, and that a panic in one is an answer
//! like any other.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::error;

use super::error::ApiError;
use super::{AdminState, cluster_api, pages, registry_api};

/// How long one request may take, its body included.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// What a browser may load for the dashboard: from this port, and nothing inline.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// The whole port.
pub fn router(state: AdminState) -> Router {
    let fixed = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    let state = Arc::new(state);
    Router::new()
        .route("/", get(pages::on_dashboard))
        .route("/dashboard.css", get(pages::on_style))
        .route("/dashboard.js", get(pages::on_script))
        .route("/status.json", get(pages::on_status))
        .route("/metrics", get(pages::on_metrics))
        .route("/healthz", get(pages::on_healthz))
        .route("/readyz", get(pages::on_readyz))
        .route("/openapi.json", get(pages::on_openapi))
        .route("/cluster", get(cluster_api::on_cluster))
        .route("/zones/{zone}/move", post(cluster_api::on_move))
        .route("/servers/{server}/drain", post(cluster_api::on_drain))
        .route("/servers", get(registry_api::on_servers))
        .route("/register", post(registry_api::on_register))
        .route("/heartbeat", post(registry_api::on_heartbeat))
        .route("/unregister", post(registry_api::on_unregister))
        .route("/query", post(registry_api::on_query))
        .route("/kick", post(registry_api::on_kick))
        .route("/announce", post(registry_api::on_announce))
        .method_not_allowed_fallback(on_wrong_method)
        .fallback(on_unknown_route)
        .with_state(state.clone())
        .layer(from_fn_with_state(state, under_a_known_name))
        .layer(from_fn(within_time))
        .layer(CatchPanicLayer::custom(on_panic))
        .layer(fixed(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY))
        .layer(fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(fixed(header::REFERRER_POLICY, "no-referrer"))
}

async fn on_unknown_route(request: Request) -> ApiError {
    // Only the path: a query string may hold what should not be repeated.
    let message = format!("there is nothing at {}", request.uri().path());
    ApiError::new(StatusCode::NOT_FOUND, message)
}

async fn on_wrong_method(request: Request) -> ApiError {
    let message = format!("{} is not for {}", request.uri().path(), request.method());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

async fn under_a_known_name(
    State(state): State<Arc<AdminState>>,
    request: Request,
    next: Next,
) -> Response {
    match state.hosts.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn within_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response()
        }
    }
}

fn on_panic(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<&str>().copied();
    let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    error!(panic = words.unwrap_or("unknown"), "a handler of the operators' port panicked");
    let message = "a fault of the server's own";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message).into_response()
}
