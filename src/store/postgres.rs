//! Connecting to PostgreSQL.
//!
//! Settings: a statement takes no longer than the store's time-out, and a transaction left open by
//! a process that hangs is ended by the server, so that its rows do not stay locked.

use std::str::FromStr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::StoreError;

/// How long the server leaves a transaction open that does nothing.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

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
