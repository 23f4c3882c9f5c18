//! The cluster for operators: all of it at one moment, zones moved, servers drained.
//!
//! Servers and zones may be called by id or name; what is meant is looked up in the master's own
//! view, and who asks for something that is not there is told what is.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::AdminState;
use super::body::{self, fields};
use super::error::{ApiError, ErrorBody};
use super::registry_api::{Answer, ask};
use crate::ids::{Key, ServerId, ZoneId};
use crate::master::balance::Strategy;
use crate::master::placement::MoveError;
use crate::master::query::{DrainError, Query, ServerView, Snapshot, ZoneView};
use crate::master::registry;

/// The answer to `/cluster`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cluster {
    /// The master's version.
    version: &'static str,
    /// Seconds since the master started.
    uptime_seconds: u64,
    /// Whether the master has just started and still hears what runs and who plays.
    settling: bool,
    /// How newcomers are spread.
    #[schema(value_type = String)]
    balancing: Strategy,
    /// Players in the world.
    players: usize,
    /// By id, the lately dead included.
    #[schema(value_type = Vec<Object>)]
    servers: Vec<ServerView>,
    /// By number.
    #[schema(value_type = Vec<Object>)]
    zones: Vec<NamedZone>,
}

/// One zone, with its name.
#[derive(Debug, Serialize)]
struct NamedZone {
    /// As configured.
    name: Key,
    #[serde(flatten)]
    view: ZoneView,
}

/// The answer to `/zones/{zone}/move`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Moving {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Which zone.
    #[schema(value_type = u16)]
    zone: ZoneId,
    /// Who hands it over; null: nobody runs it, or there is nothing to be done.
    #[schema(value_type = Option<u64>)]
    from: Option<ServerId>,
    /// Where it will run.
    #[schema(value_type = u64)]
    to: ServerId,
    /// False: it runs there already, or is on its way.
    under_way: bool,
}

/// The answer to `/servers/{server}/drain`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Draining {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// Which server.
    #[schema(value_type = u64)]
    server_id: ServerId,
    /// What people call it.
    name: String,
}

#[utoipa::path(
    get, path = "/cluster", tag = "cluster",
    responses(
        (status = 200, description = "Servers, zones and players at one moment", body = Cluster),
        (status = 404, description = "No master here", body = ErrorBody),
    )
)]
pub(super) async fn on_cluster(State(state): State<Arc<AdminState>>) -> Answer<Cluster> {
    let snapshot = ask(&state, |reply| Query::Snapshot { reply }).await?;
    let Snapshot { uptime_seconds, balancing, settling, players, servers, zones } = *snapshot;
    let name = |zone: ZoneId| state.zone_names.get(&zone).cloned().unwrap_or_else(|| "".into());
    let zones = zones.into_iter().map(|view| NamedZone { name: name(view.zone), view }).collect();
    let version = env!("CARGO_PKG_VERSION");
    Ok(Json(Cluster { version, uptime_seconds, settling, balancing, players, servers, zones }))
}

#[utoipa::path(
    post, path = "/zones/{zone}/move", tag = "cluster", security(("operator" = [])),
    params(("zone" = String, Path, description = "Its number or its name")),
    request_body(content = inline(super::openapi::MoveBody)),
    responses(
        (status = 200, description = "It is on its way, or there already", body = Moving),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 404, description = "No such zone or server; the message lists them", body = ErrorBody),
        (status = 409, description = "Not now, and why", body = ErrorBody),
    )
)]
pub(super) async fn on_move(
    State(state): State<Arc<AdminState>>,
    Path(zone): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Moving> {
    state.token.check(&headers)?;
    let server = body::server(&fields(&headers, body).await?)?;
    let snapshot = ask(&state, |reply| Query::Snapshot { reply }).await?;
    let zone = find_zone(&snapshot.zones, &state.zone_names, &zone)?;
    let to = find_server(&snapshot.servers, &server)?.server_id;
    let moved = ask(&state, |reply| Query::Move { zone, to, reply }).await?;
    let moved = moved.map_err(|error| {
        let status = match error {
            MoveError::NoSuchZone => StatusCode::NOT_FOUND,
            MoveError::TakesNone | MoveError::Settling | MoveError::UnderWay => {
                StatusCode::CONFLICT
            }
        };
        ApiError::new(status, error.to_string())
    })?;
    let (from, to, under_way) = (moved.from, moved.to, moved.under_way);
    Ok(Json(Moving { status: "ok", zone, from, to, under_way }))
}

#[utoipa::path(
    post, path = "/servers/{server}/drain", tag = "cluster", security(("operator" = [])),
    params(("server" = String, Path, description = "Its id, its name, or how one of them begins")),
    responses(
        (status = 200, description = "It hands everything over, then it ends", body = Draining),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 404, description = "No such server; the message lists them", body = ErrorBody),
        (status = 409, description = "Several are called so", body = ErrorBody),
        (status = 503, description = "It cannot be reached now", body = ErrorBody),
    )
)]
pub(super) async fn on_drain(
    State(state): State<Arc<AdminState>>,
    Path(server): Path<String>,
    headers: HeaderMap,
) -> Answer<Draining> {
    state.token.check(&headers)?;
    let snapshot = ask(&state, |reply| Query::Snapshot { reply }).await?;
    let ServerView { server_id, name, .. } = find_server(&snapshot.servers, &server)?;
    let (server_id, name) = (*server_id, name.clone());
    let drained = ask(&state, |reply| Query::Drain { server: server_id, reply }).await?;
    drained.map_err(|error| {
        let status = match error {
            DrainError::Unknown => StatusCode::NOT_FOUND,
            DrainError::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError::new(status, error.to_string())
    })?;
    Ok(Json(Draining { status: "ok", server_id, name }))
}

/// The zone of that number or name, in any case.
fn find_zone(
    zones: &[ZoneView],
    names: &BTreeMap<ZoneId, Key>,
    text: &str,
) -> Result<ZoneId, ApiError> {
    let called = |zone: &ZoneId| names.get(zone).is_some_and(|n| n.eq_ignore_ascii_case(text));
    let mut ids = zones.iter().map(|view| view.zone);
    ids.find(|zone| zone.to_string() == text || called(zone)).ok_or_else(|| {
        let name = |zone| names.get(&zone).map_or("", |name| name);
        let known = zones.iter().map(|view| format!("{} {}", view.zone, name(view.zone)));
        let known: Vec<String> = known.map(|zone| zone.trim_end().to_owned()).collect();
        nothing_like("zone", text, &known)
    })
}

/// The living server of the cluster that has this id or name, or the only one whose id or name
/// begins so.
fn find_server<'a>(servers: &'a [ServerView], text: &str) -> Result<&'a ServerView, ApiError> {
    let living = || {
        let dead = registry::State::Dead;
        servers.iter().filter(move |server| server.source == "link" && server.state != dead)
    };
    let id = |server: &ServerView| server.server_id.to_string();
    let exact = living().filter(|server| id(server) == text || server.name == text);
    let begins = living().filter(|s| id(s).starts_with(text) || s.name.starts_with(text));
    let exact: Vec<&ServerView> = exact.collect();
    let found = if exact.is_empty() { begins.collect() } else { exact };
    let named = |server: &ServerView| format!("{} {}", id(server), server.name);
    match found.as_slice() {
        [server] if !text.is_empty() => Ok(server),
        [] | [_] => {
            let known: Vec<String> = living().map(named).collect();
            Err(nothing_like("server", text, &known))
        }
        several => {
            let several: Vec<String> = several.iter().map(|server| named(server)).collect();
            let message = format!("'{text}' may be any of: {}", several.join(", "));
            Err(ApiError::new(StatusCode::CONFLICT, message))
        }
    }
}

fn nothing_like(what: &str, text: &str, known: &[String]) -> ApiError {
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    // What was asked for may be anything; it is repeated only so far.
    let text: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
    let message = format!("there is no {what} '{text}'; known are: {known}");
    ApiError::new(StatusCode::NOT_FOUND, message)
}
