//! Connecting to PostgreSQL, directly or by way of a pooler, under TLS wherever strangers may listen.
//!
//! Called by the store at opening and by the writer for its connections. Nothing here may live in
//! the server's session: a pooler gives the next transaction another one. So the limits (a
//! statement takes no longer than the store's time-out, a transaction left open by a process that
//! hangs is ended by the server) are set anew by each BEGIN, in its own round trip.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Row as _, SqlSafeStr, SqlStr};

use super::failure::Failure;
use super::{StoreConfig, StoreError, migrate};

/// How long the server leaves a transaction open that does nothing.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);

/// How long PostgreSQL may take for the first connection: an address where nobody answers is told
/// of, and not waited for.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// A parameter that only a session of one's own knows: poolers drop or refuse it.
const MARK: &str = "throng.direct";
const SEES_MARK: &str = "SELECT coalesce(current_setting('throng.direct', true), '') = 'yes'";

/// Only one process at a time migrates. The lock is the transaction's, since a session's would stay
/// with whoever gets the pooler's connection next. For the same reason the statements that the
/// migrator names are forgotten, before (some other's) and after.
const ALONE: &str = "DEALLOCATE ALL; SELECT pg_advisory_xact_lock(7594132801556)";
const FORGET: &str = "DEALLOCATE ALL";

/// How to get to the database, and what the way there allows; found out once, at opening.
pub(super) struct Access {
    options: PgConnectOptions,
    pooled: bool,
    begin: Arc<str>,
    snapshot: Arc<str>,
}

/// Whether `url` is an address of PostgreSQL.
pub(super) fn is_address(url: &str) -> bool {
    url.starts_with("postgres://") || url.starts_with("postgresql://")
}

impl Access {
    /// Connects for the first time and brings the schema up to date, or only looks whether it is.
    pub(super) async fn open(config: &StoreConfig, migrates: bool) -> Result<Self, StoreError> {
        let options = options(config)?;
        let (mut connection, pooled) = first(config, &options).await?;
        migrate(&mut connection, migrates).await?;
        connection.close().await.map_err(failed)?;
        if pooled {
            tracing::info!("a pooler stands before the database: no statement is kept prepared");
        }
        Ok(Self::new(options, pooled, Duration::from_millis(config.timeout_ms)))
    }

    fn new(options: PgConnectOptions, pooled: bool, timeout: Duration) -> Self {
        // Two numbers, and nobody's text.
        let limits = format!(
            "SET LOCAL statement_timeout = {}; SET LOCAL idle_in_transaction_session_timeout = {}",
            timeout.as_millis(),
            IDLE_IN_TRANSACTION.as_millis()
        );
        let begin = format!("BEGIN; {limits}").into();
        let snapshot = format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {limits}").into();
        Self { options, pooled, begin, snapshot }
    }

    /// A new connection.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    /// Connections for reading.
    pub(super) fn readers(&self, most: u32, timeout: Duration) -> PgPool {
        PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(timeout)
            .connect_lazy_with(self.options.clone())
    }

    /// Whether the server still knows in the next transaction what was prepared in this one.
    pub(super) fn keeps_statements(&self) -> bool {
        !self.pooled
    }

    /// Begins a writing transaction, within the limits.
    pub(super) fn begin(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.begin)).into_sql_str()
    }

    /// Begins a reading transaction whose statements all see the same moment, within the limits.
    pub(super) fn snapshot(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.snapshot)).into_sql_str()
    }
}

/// Whether the database there holds tables of this program.
pub(super) async fn has_tables(config: &StoreConfig) -> Result<bool, StoreError> {
    let connecting = connect(&options(config)?).await?;
    let mut connection = connecting.map_err(|error| explain(config, error))?;
    let made = says_yes(&mut connection, "SELECT to_regclass('_sqlx_migrations') IS NOT NULL");
    let made = made.await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(made)
}

/// How to connect. Nothing goes in plain over a network, unless the configuration allows it.
fn options(config: &StoreConfig) -> Result<PgConnectOptions, StoreError> {
    // The driver's error may quote the address, and the address holds the password.
    let options = PgConnectOptions::from_str(&config.url).map_err(|_| {
        StoreError::Unavailable("store.url is not a valid postgres:// address".into())
    })?;
    // What is sent at the start of a session and is not the protocol's own is refused by poolers.
    let options = options.application_name("throng").extra_float_digits(None);
    let options = options.disable_statement_logging();
    if config.allow_plain || is_here(&options) {
        return Ok(options);
    }
    match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => Err(StoreError::Unavailable(format!(
            "store.url asks for a plain connection to {}, where others may listen: set sslmode to \
             verify-full, or store.allow_plain = true if the way there is private",
            options.get_host()
        ))),
        // The default takes what it gets, which may be nothing.
        PgSslMode::Prefer => Ok(options.ssl_mode(PgSslMode::Require)),
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => Ok(options),
    }
}

/// Whether the way to the database never leaves this machine.
fn is_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    options.get_socket().is_some() || host.starts_with('/') || host == "localhost" || is_loopback
}

/// A connection of one's own, and whether a pooler has given it. That is found out by a parameter
/// of the session: a pooler that shares sessions cannot pass it on.
async fn first(
    config: &StoreConfig,
    options: &PgConnectOptions,
) -> Result<(PgConnection, bool), StoreError> {
    match connect(&options.clone().options([(MARK, "yes")])).await? {
        Ok(mut connection) => {
            let is_direct = says_yes(&mut connection, SEES_MARK).await.map_err(failed)?;
            Ok((connection, !is_direct))
        }
        Err(error) if refuses_parameter(&error) => {
            let connection = connect(options).await?.map_err(|error| explain(config, error))?;
            Ok((connection, true))
        }
        Err(error) => Err(explain(config, error)),
    }
}

/// Whether a pooler has said that it does not take the session's parameter.
fn refuses_parameter(error: &sqlx::Error) -> bool {
    const PROTOCOL_VIOLATION: &str = "08P01";
    const NOT_SUPPORTED: &str = "0A000";
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| [PROTOCOL_VIOLATION, NOT_SUPPORTED].contains(&&*code))
}

async fn connect(
    options: &PgConnectOptions,
) -> Result<Result<PgConnection, sqlx::Error>, StoreError> {
    let seconds = CONNECT_WITHIN.as_secs();
    tokio::time::timeout(CONNECT_WITHIN, options.connect()).await.map_err(|_| {
        StoreError::Unavailable(format!("nobody has answered at its address within {seconds} s"))
    })
}

/// The answer of a question that is asked outside of transactions, and so in one message.
async fn says_yes(
    connection: &mut PgConnection,
    question: &'static str,
) -> Result<bool, sqlx::Error> {
    sqlx::raw_sql(question).fetch_one(connection).await?.try_get(0)
}

/// Brings the schema up to date, all of it or nothing.
async fn migrate(connection: &mut PgConnection, migrates: bool) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::raw_sql(ALONE).execute(&mut *transaction).await.map_err(failed)?;
    if migrates {
        migrate::run(&mut *transaction, migrate::POSTGRES).await?;
    } else {
        migrate::check(&mut *transaction, migrate::POSTGRES).await?;
    }
    sqlx::raw_sql(FORGET).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

fn failed(error: sqlx::Error) -> StoreError {
    Failure::from(error).into_store_error()
}

/// Why there is no first connection, with what the operator can turn.
fn explain(config: &StoreConfig, error: sqlx::Error) -> StoreError {
    let advice = match &error {
        sqlx::Error::Tls(_) if !config.allow_plain => {
            "; turn on ssl in PostgreSQL, or set store.allow_plain = true if the way there is \
             private"
        }
        sqlx::Error::Io(inner) if inner.kind() == std::io::ErrorKind::NotFound => {
            "; look at the files and sockets that store.url names (sslrootcert, sslcert, sslkey)"
        }
        _ => "",
    };
    match failed(error) {
        StoreError::Unavailable(why) => StoreError::Unavailable(format!("{why}{advice}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str, allow_plain: bool) -> Result<PgSslMode, String> {
        let config = StoreConfig { url: url.into(), allow_plain, ..StoreConfig::default() };
        let options = options(&config).map_err(|error| error.to_string())?;
        Ok(options.get_ssl_mode())
    }

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        let error = at("postgres://ann:se cret@host:notaport/db", false).unwrap_err();
        assert!(error.contains("store.url"), "{error}");
        assert!(!error.contains("cret"), "{error}");
    }

    #[test]
    fn what_leaves_the_machine_is_never_plain_unless_that_is_allowed() {
        for (host, parameters) in [
            ("db.example", ""),
            ("db.example", "?sslmode=prefer"),
            ("10.0.0.7", ""),
            ("[fd00::1]", "?sslmode=require"),
            ("localhost.example", ""),
        ] {
            let mode = at(&format!("postgres://ann@{host}/db{parameters}"), false);
            assert!(matches!(mode, Ok(PgSslMode::Require)), "{host}{parameters}: {mode:?}");
        }
        for parameters in ["?sslmode=disable", "?sslmode=allow", "?sslmode=disable&host=10.0.0.7"] {
            let url = format!("postgres://ann:secret@db.example/db{parameters}");
            let error = at(&url, false).unwrap_err();
            assert!(error.contains("store.allow_plain"), "{error}");
            assert!(!error.contains("secret"), "{error}");
            at(&url, true).unwrap();
        }
        let mode = at("postgres://ann@db.example/db?sslmode=verify-full", false);
        assert!(matches!(mode, Ok(PgSslMode::VerifyFull)), "{mode:?}");
    }

    #[test]
    fn what_stays_on_the_machine_may_be_plain() {
        for host in ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "%2Frun%2Fpostgresql"] {
            let mode = at(&format!("postgres://ann@{host}/db?sslmode=disable"), false);
            assert!(matches!(mode, Ok(PgSslMode::Disable)), "{host}: {mode:?}");
        }
    }
}
