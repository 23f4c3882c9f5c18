//! The registry over HTTP, and what operators do to players: each handler turns a body into a
//! question to the master and its answer into JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::AdminState;
use super::body::{self, fields};
use super::error::{ApiError, ErrorBody};
use super::openapi::FoundBody;
use crate::ids::ServerId;
use crate::master::query::{Found, KickOutcome, Query, Reply, ServerView, Snapshot};
use crate::master::registry::UnknownServer;

/// How long the master may take to answer.
const MASTER_WITHIN: Duration = Duration::from_secs(2);

/// The master's answer to a question.
pub(super) async fn ask<T>(
    state: &AdminState,
    question: impl FnOnce(Reply<T>) -> Query,
) -> Result<T, ApiError> {
    let Some(master) = &state.master else {
        return Err(not_here(&state.master_links));
    };
    let (reply, answer) = oneshot::channel();
    let away = |_| ApiError::unavailable("the master does not answer; try again");
    master
        .try_send(question(reply))
        .map_err(|_| ApiError::unavailable("the master is busy or has ended; try again"))?;
    let answer = tokio::time::timeout(MASTER_WITHIN, answer).await;
    answer.map_err(|_| away(()))?.map_err(|_| away(()))
}

/// The master is elsewhere.
fn not_here(links: &[String]) -> ApiError {
    let place = match links {
        [] => String::new(),
        links => format!(" (it is where the links of link.master go: {})", links.join(", ")),
    };
    let message = format!(
        "this process has no master role: ask the operators' port (ports.admin) of the one that \
         has it{place}"
    );
    ApiError::new(StatusCode::NOT_FOUND, message)
}

/// The answer to `/register`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Registered {
    /// To be shown in each heartbeat.
    #[schema(value_type = u64)]
    server_id: ServerId,
    /// Always `success`.
    #[schema(example = "success")]
    status: &'static str,
}

/// Something was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

pub(super) const DONE: Json<Done> = Json(Done { status: "ok" });

/// The answer to `/query`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FoundServers {
    /// Least loaded first; none that is full.
    #[schema(value_type = Vec<FoundBody>)]
    servers: Vec<Found>,
}

/// The answer to `/servers`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AllServers {
    /// By id.
    #[schema(value_type = Vec<Object>)]
    servers: Vec<ServerView>,
}

/// The answer to `/announce`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Announced {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
    /// How many gateways pass it on.
    gateways: usize,
}

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

#[utoipa::path(
    post, path = "/register", tag = "registry", security(("operator" = [])),
    request_body(content = inline(super::openapi::RegisterBody)),
    responses(
        (status = 200, description = "Registered", body = Registered),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
    )
)]
pub(super) async fn on_register(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Registered> {
    state.token.check(&headers)?;
    let registration = body::registration(&fields(&headers, body).await?)?;
    let answer = ask(&state, |reply| Query::Register { registration, reply }).await?;
    let server_id = answer.map_err(|error| ApiError::unavailable(error.to_string()))?;
    Ok(Json(Registered { server_id, status: "success" }))
}

#[utoipa::path(
    post, path = "/heartbeat", tag = "registry", security(("operator" = [])),
    request_body(content = inline(super::openapi::HeartbeatBody)),
    responses(
        (status = 200, description = "Noted", body = Done),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 410, description = "Unknown server: register again", body = ErrorBody),
    )
)]
pub(super) async fn on_heartbeat(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Done> {
    state.token.check(&headers)?;
    let fields = fields(&headers, body).await?;
    let (server, clients) = (body::server_id(&fields)?, body::clients(&fields)?);
    ask(&state, |reply| Query::Heartbeat { server, clients, reply }).await?.map_err(gone)?;
    Ok(DONE)
}

#[utoipa::path(
    post, path = "/unregister", tag = "registry", security(("operator" = [])),
    request_body(content = inline(super::openapi::UnregisterBody)),
    responses(
        (status = 200, description = "Forgotten", body = Done),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 410, description = "Unknown server", body = ErrorBody),
    )
)]
pub(super) async fn on_unregister(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Done> {
    state.token.check(&headers)?;
    let server = body::server_id(&fields(&headers, body).await?)?;
    ask(&state, |reply| Query::Unregister { server, reply }).await?.map_err(gone)?;
    Ok(DONE)
}

#[utoipa::path(
    post, path = "/query", tag = "registry",
    request_body(content = inline(super::openapi::QueryBody)),
    responses(
        (status = 200, description = "The living servers with room", body = FoundServers),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 404, description = "No master here", body = ErrorBody),
        (status = 413, description = "Too large", body = ErrorBody),
    )
)]
pub(super) async fn on_query(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<FoundServers> {
    let kind = body::kind(&fields(&headers, body).await?)?;
    let servers = ask(&state, |reply| Query::Find { kind, reply }).await?;
    Ok(Json(FoundServers { servers }))
}

#[utoipa::path(
    get, path = "/servers", tag = "registry",
    responses(
        (status = 200, description = "All known servers", body = AllServers),
        (status = 404, description = "No master here", body = ErrorBody),
    )
)]
pub(super) async fn on_servers(State(state): State<Arc<AdminState>>) -> Answer<AllServers> {
    let snapshot: Box<Snapshot> = ask(&state, |reply| Query::Snapshot { reply }).await?;
    Ok(Json(AllServers { servers: snapshot.servers }))
}

#[utoipa::path(
    post, path = "/kick", tag = "players", security(("operator" = [])),
    request_body(content = inline(super::openapi::KickBody)),
    responses(
        (status = 200, description = "Sent away", body = Done),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 404, description = "Not in the world", body = ErrorBody),
    )
)]
pub(super) async fn on_kick(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Done> {
    state.token.check(&headers)?;
    let fields = fields(&headers, body).await?;
    let name = body::player_name(&fields)?;
    let mut message = body::optional_text(&fields, "message")?;
    if message.is_empty() {
        "an operator has sent you away".clone_into(&mut message);
    }
    let called = name.as_str().to_owned();
    match ask(&state, |reply| Query::Kick { name, message, reply }).await? {
        KickOutcome::Told => Ok(DONE),
        KickOutcome::NotThere => {
            let message = format!("no player called {called} is in the world");
            Err(ApiError::new(StatusCode::NOT_FOUND, message))
        }
        KickOutcome::Unreachable => {
            Err(ApiError::unavailable("the player's gateway cannot be reached; try again"))
        }
    }
}

#[utoipa::path(
    post, path = "/announce", tag = "players", security(("operator" = [])),
    request_body(content = inline(super::openapi::AnnounceBody)),
    responses(
        (status = 200, description = "Told", body = Announced),
        (status = 400, description = "A field is wrong", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
    )
)]
pub(super) async fn on_announce(
    State(state): State<Arc<AdminState>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Announced> {
    state.token.check(&headers)?;
    let text = body::announcement(&fields(&headers, body).await?)?;
    let gateways = ask(&state, |reply| Query::Announce { text, reply }).await?;
    Ok(Json(Announced { status: "ok", gateways }))
}

fn gone(error: UnknownServer) -> ApiError {
    ApiError::new(StatusCode::GONE, error.to_string())
}
