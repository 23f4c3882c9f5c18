//! The description of the operators' port at `/openapi.json`.
//!
//! Made from the handlers' own annotations; the body types here exist for it alone. What is really
//! checked stands in `body.rs`, and a test holds the two together.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{cluster_api, pages, registry_api};

/// The body of `/register`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct RegisterBody {
    /// 0 login, 1 world, 2 zone, 3 chat, 4 database, 5 master, 6 gateway; or the name.
    #[schema(value_type = Object, example = 2)]
    r#type: u8,
    /// A host name or an IP address.
    #[schema(example = "10.0.0.7")]
    host: String,
    /// 1 to 65,535.
    #[schema(minimum = 1, maximum = 65_535, example = 9000)]
    port: u16,
    /// Most clients, 1 to 10,000,000; with so many it is full and not named to askers.
    #[schema(minimum = 1, maximum = 10_000_000, example = 1000)]
    capacity: u32,
    /// A region tag for the geographic strategy.
    region: Option<String>,
}

/// The body of `/heartbeat`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct HeartbeatBody {
    /// From `/register`.
    server_id: u64,
    /// How many clients it has, measured against its capacity; 0 to 10,000,000.
    #[schema(minimum = 0, maximum = 10_000_000, example = 250)]
    current_load: u32,
}

/// One server in the answer to `/query`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct FoundBody {
    /// From its `/register`.
    server_id: u64,
    /// Where it is reached.
    host: String,
    /// See `host`.
    port: u16,
    /// Percent of its capacity in use: 100 × current_load ÷ capacity, rounded down.
    #[schema(minimum = 0, maximum = 99)]
    load: u8,
}

/// The body of `/unregister`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct UnregisterBody {
    /// From `/register`.
    server_id: u64,
}

/// The body of `/query`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct QueryBody {
    /// As in `/register`.
    #[schema(value_type = Object, example = "gateway")]
    r#type: u8,
}

/// The body of `/kick`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct KickBody {
    /// The player's name; case does not matter.
    name: String,
    /// What the player is told.
    message: Option<String>,
}

/// The body of `/announce`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct AnnounceBody {
    /// At most 256 characters.
    text: String,
}

/// The body of `/zones/{zone}/move`.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct MoveBody {
    /// Its id, its name, or how one of them begins if no other begins so.
    #[schema(value_type = Object, example = "zone-2")]
    server: String,
}

/// The token's scheme.
struct Operator;

impl Modify for Operator {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The token in throng-data/operator.token"))
            .build();
        let components = openapi.components.get_or_insert_with(Default::default);
        components.add_security_scheme("operator", SecurityScheme::Http(scheme));
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Throng operators' port",
        description = "Health, metrics, the registry of servers, the cluster. Errors are \
            {status, message}. A Host that is neither localhost nor an address nor listed in \
            admin.allowed_hosts is answered with 421, whatever is asked."
    ),
    modifiers(&Operator),
    paths(
        registry_api::on_register,
        registry_api::on_heartbeat,
        registry_api::on_unregister,
        registry_api::on_query,
        registry_api::on_servers,
        cluster_api::on_cluster,
        cluster_api::on_move,
        cluster_api::on_drain,
        registry_api::on_kick,
        registry_api::on_announce,
        pages::on_metrics,
        pages::on_healthz,
        pages::on_readyz,
        pages::on_status,
    )
)]
struct Description;

/// The description as JSON, made once.
pub(super) fn json() -> String {
    // Serialising a description of plain strings cannot fail; an empty object says so if it does.
    Description::openapi().to_json().unwrap_or_else(|_| "{}".to_owned())
}
