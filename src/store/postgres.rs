//! Connecting to PostgreSQL.
//!
//! Settings: a statement takes no longer than the store's time-out, and a transaction left open by
//! a process that hangs is ended by the server, so that its rows do not stay locked.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};

use super::StoreError;
use super::failure::Failure;

/// How long the server leaves a transaction open that does nothing.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take for the first connection: an address where nobody answers is told
/// of, and not waited for.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Whether `url` is an address of PostgreSQL.
pub(super) fn is_address(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

/// How to connect, without limits: for migrations.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    // The driver's error may quote the address, and the address holds the password.
    let options = PgConnectOptions::from_str(url).map_err(|_| {
        StoreError::Unavailable("store.url is not a valid postgres:// address".into())
    })?;
    Ok(options.application_name("throng").disable_statement_logging())
}

/// A connection of one's own.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    let seconds = CONNECT_WITHIN.as_secs();
    let connecting = tokio::time::timeout(CONNECT_WITHIN, options.connect()).await;
    let silent = |_| {
        StoreError::Unavailable(format!("nobody has answered at its address within {seconds} s"))
    };
    connecting.map_err(silent)?.map_err(|error| Failure::from(error).into_store_error())
}

/// Whether the database there holds tables of this program.
pub(super) async fn has_tables(url: &str) -> Result<bool, StoreError> {
    let failed = |error: sqlx::Error| Failure::from(error).into_store_error();
    let mut connection = connect(&options(url)?).await?;
    let made = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let made = made.fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(made)
}

/// The same with the limits of everyday work.
pub(super) fn bounded(options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    let millis = |duration: Duration| format!("{}ms", duration.as_millis());
    options.options([
        ("statement_timeout", millis(timeout)),
        ("idle_in_transaction_session_timeout", millis(IDLE_IN_TRANSACTION)),
    ])
}

/// Connections for reading.
pub(super) fn readers(options: &PgConnectOptions, most: u32, timeout: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(timeout)
        .connect_lazy_with(options.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let error = options("postgres://ann:se cret@host:notaport/db").unwrap_err().to_string();
        assert!(error.contains("store.url"), "{error}");
        assert!(!error.contains("cret"), "{error}");
    }
}
