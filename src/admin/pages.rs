//! What can be read without a token: health, metrics, the dashboard and its numbers.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::Report;
use super::registry_api::ask;
use super::{AdminState, openapi};
use crate::ids::{Key, ZoneId};
use crate::master::query::{Query, Snapshot};
use crate::tick;

const HTML: &str = include_str!("../../web/dashboard.html");
const STYLE: &str = include_str!("../../web/dashboard.css");
const SCRIPT: &str = include_str!("../../web/dashboard.js");
static OPENAPI: LazyLock<String> = LazyLock::new(openapi::json);

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

pub(super) async fn on_dashboard() -> Response {
    asset("text/html; charset=utf-8", HTML)
}

pub(super) async fn on_style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn on_script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

pub(super) async fn on_openapi() -> Response {
    asset("application/json", &OPENAPI)
}

#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Prometheus text format", content_type = "text/plain"))
)]
pub(super) async fn on_metrics(State(state): State<Arc<AdminState>>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], state.metrics.render()).into_response()
}

/// How the process is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok` or `unready`.
    status: &'static str,
    /// Why it is not ready.
    problems: Vec<String>,
    /// What is away that play goes on without.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[utoipa::path(
    get, path = "/healthz", tag = "health",
    responses((status = 200, description = "The process is alive", body = Health))
)]
pub(super) async fn on_healthz() -> Json<Health> {
    Json(Health { status: "ok", problems: Vec::new(), warnings: Vec::new() })
}

#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "Every role runs; warnings name what is away", body = Health),
        (status = 503, description = "Not so, and why", body = Health),
    )
)]
pub(super) async fn on_readyz(State(state): State<Arc<AdminState>>) -> (StatusCode, Json<Health>) {
    let Report { problems, warnings } = state.readiness.report(state.store.as_ref()).await;
    if problems.is_empty() {
        (StatusCode::OK, Json(Health { status: "ok", problems, warnings }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: "unready", problems, warnings }))
    }
}

/// What the dashboard shows besides the metrics.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// Throng's version.
    version: &'static str,
    /// What this process plays.
    roles: String,
    /// Seconds since it started.
    uptime_seconds: u64,
    /// Why it is not ready; empty: it is.
    problems: Vec<String>,
    /// What is away that play goes on without.
    warnings: Vec<String>,
    /// The master's view, if one answers in this process.
    #[schema(value_type = Option<Object>)]
    master: Option<Box<Snapshot>>,
    /// What zones are called.
    #[schema(value_type = Object)]
    zone_names: BTreeMap<ZoneId, Key>,
}

#[utoipa::path(
    get, path = "/status.json", tag = "health",
    responses((status = 200, description = "What the dashboard shows", body = Status))
)]
pub(super) async fn on_status(State(state): State<Arc<AdminState>>) -> Json<Status> {
    let running = tick::now().saturating_duration_since(state.started);
    let report = state.readiness.report(state.store.as_ref());
    let snapshot = ask(&state, |reply| Query::Snapshot { reply });
    let (report, snapshot) = tokio::join!(report, snapshot);
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        roles: state.readiness.roles().to_string(),
        uptime_seconds: running.as_secs(),
        problems: report.problems,
        warnings: report.warnings,
        // Without a master the page shows this process alone.
        master: snapshot.ok(),
        zone_names: state.zone_names.clone(),
    })
}
