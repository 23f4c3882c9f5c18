//! What outlives the process: accounts, players, items, guilds, statistics, leases, resume tokens.
//!
//! One `Store` over SQLite (one machine) or PostgreSQL (many), called by the roles, never by the
//! world. Every change of value is an operation with an id that is applied once; every save carries
//! the epoch under which the player is owned. What the store offers stands in one file per subject,
//! each with its SQL; here are only opening, closing, and the two ways in: reads, which go to a
//! pool of connections, and writes, which go to the [`writer`].

mod accounts;
mod caught;
#[cfg(test)]
mod conformance;
mod connection;
mod declarations;
mod failure;
mod gift;
mod guilds;
pub mod handover;
mod inventory;
mod job;
pub mod leases;
mod migrate;
mod operations;
mod outcome;
mod places;
mod players;
mod postgres;
mod progress;
mod prune;
pub mod record;
mod resume;
mod save;
mod sqlite;
mod statistics;
mod wars;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{ConnectOptions, Connection as _, Postgres, Sqlite, Transaction};

use crate::tick;
use caught::{broken_off, caught};
use connection::{Connection, Session, values};
use failure::{Failure, too_late};
use job::Write;
use postgres::Access;
use writer::Writer;

/// `[store]` of the configuration.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite` (a file in the data folder), `sqlite:PATH` or a `postgres://…` address.
    pub url: String,
    /// Whether a connection to PostgreSQL on another machine may be without TLS.
    pub allow_plain: bool,
    /// Most connections to PostgreSQL, at least 2: half of them write (4 at most), the others read.
    pub connections: u32,
    /// How long one operation may take before it is refused as unavailable, ms.
    pub timeout_ms: u64,
    /// How long the writer waits for company before it commits a group, ms.
    pub group_commit_ms: u64,
    /// Most value changes in one commit.
    pub group_commit_max: usize,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: "sqlite".into(),
            allow_plain: false,
            connections: 8,
            timeout_ms: 1_000,
            group_commit_ms: 0,
            group_commit_max: 256,
        }
    }
}

impl fmt::Debug for StoreConfig {
    /// The address of PostgreSQL may hold a password, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = postgres::is_address(&self.url);
        f.debug_struct("StoreConfig")
            .field("url", if is_secret { &"postgres://…" } else { &self.url })
            .field("allow_plain", &self.allow_plain)
            .field("connections", &self.connections)
            .field("timeout_ms", &self.timeout_ms)
            .field("group_commit_ms", &self.group_commit_ms)
            .field("group_commit_max", &self.group_commit_max)
            .finish()
    }
}

/// Why the store did not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The name is another's (after folding).
    #[error("the name is taken")]
    NameTaken,
    /// There is no such row.
    #[error("not found")]
    NotFound,
    /// Another server owns the player.
    #[error("another server owns the player")]
    StaleEpoch,
    /// The ticket was used before.
    #[error("the ticket was used before")]
    TicketUsed,
    /// The change is against a rule (a guild is full, a player is in one already).
    #[error("not possible: {0}")]
    Conflict(&'static str),
    /// The database did not answer in time, or said that it cannot.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// What the database holds makes no sense.
    #[error("the database holds nonsense: {0}")]
    Corrupt(String),
}

/// The store of a process. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    readers: Readers,
    writer: Writer,
    timeout: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.inner.readers {
            Readers::Sqlite(_) => "sqlite",
            Readers::Postgres(..) => "postgres",
        };
        f.debug_struct("Store").field("engine", &engine).finish_non_exhaustive()
    }
}

/// How the writer gets its connections.
#[derive(Clone)]
enum Opener {
    Sqlite(Box<SqliteConnectOptions>),
    Postgres(Arc<Access>),
}

/// A connection of the writer's own.
enum OwnConnection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection, Arc<Access>),
}

/// The connections that only read.
enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool, Arc<Access>),
}

/// A reading transaction: all its statements see the same moment.
enum Snapshot {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>, Arc<Access>),
}

impl Opener {
    async fn open(&self) -> Result<OwnConnection, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(options) => OwnConnection::Sqlite(options.connect().await?),
            Self::Postgres(access) => {
                OwnConnection::Postgres(access.connect().await?, Arc::clone(access))
            }
        })
    }
}

impl OwnConnection {
    fn borrow(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(connection) => Connection::Sqlite(connection),
            Self::Postgres(connection, access) => {
                Connection::Postgres(Session { connection, access })
            }
        }
    }

    async fn close(self) {
        let closed = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection, _) => connection.close().await,
        };
        if let Err(error) = closed {
            let error = Failure::from(error).into_store_error();
            tracing::debug!(%error, "connection did not close");
        }
    }
}

impl Readers {
    async fn snapshot(&self) -> Result<Snapshot, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Snapshot::Sqlite(pool.begin_with("BEGIN").await?),
            Self::Postgres(pool, access) => {
                let transaction = pool.begin_with(access.snapshot()).await?;
                Snapshot::Postgres(transaction, Arc::clone(access))
            }
        })
    }
}

impl Snapshot {
    fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(transaction) => Connection::Sqlite(transaction),
            Self::Postgres(transaction, access) => {
                Connection::Postgres(Session { connection: transaction, access })
            }
        }
    }
}

/// Where the database is, for people: SQLite's file, or that it is a server's.
pub fn place(config: &StoreConfig, data_dir: &Path) -> String {
    match sqlite::path(&config.url, data_dir) {
        Some(path) => std::path::absolute(&path).unwrap_or(path).display().to_string(),
        None => "that address".to_owned(),
    }
}

/// SQLite's file; none: the database is a server's.
pub fn file(config: &StoreConfig, data_dir: &Path) -> Option<PathBuf> {
    sqlite::path(&config.url, data_dir)
}

impl Store {
    /// Opens the database (making SQLite's file in `data_dir` if there is none), brings its schema
    /// up to date and starts the writer.
    ///
    /// # Errors
    /// If it cannot be opened, or its schema is a newer version's.
    pub async fn open(config: &StoreConfig, data_dir: &Path) -> Result<Self, StoreError> {
        if let Some(path) = sqlite::path(&config.url, data_dir) {
            sqlite::create(&path).await?;
        }
        Self::open_made(config, data_dir, true).await
    }

    /// Opens a database that a server has made before; none: there is none, and none is made. Its
    /// schema is left as it is.
    ///
    /// # Errors
    /// If it cannot be opened, or its schema is an older or a newer version's.
    pub async fn open_existing(
        config: &StoreConfig,
        data_dir: &Path,
    ) -> Result<Option<Self>, StoreError> {
        let there = match sqlite::path(&config.url, data_dir) {
            Some(path) => path.is_file() && sqlite::has_tables(&path).await?,
            None => postgres::has_tables(config).await?,
        };
        if there { Self::open_made(config, data_dir, false).await.map(Some) } else { Ok(None) }
    }

    async fn open_made(
        config: &StoreConfig,
        data_dir: &Path,
        migrates: bool,
    ) -> Result<Self, StoreError> {
        describe_metrics();
        let timeout = Duration::from_millis(config.timeout_ms);
        let unavailable = |error: sqlx::Error| Failure::from(error).into_store_error();
        let (opener, readers, lanes) = if let Some(path) = sqlite::path(&config.url, data_dir) {
            let options = sqlite::options(&path);
            let mut connection = options.connect().await.map_err(unavailable)?;
            if migrates {
                migrate::run(&mut connection, migrate::SQLITE).await?;
            } else {
                migrate::check(&mut connection, migrate::SQLITE).await?;
            }
            connection.close().await.map_err(unavailable)?;
            let readers = Readers::Sqlite(sqlite::readers(&options, timeout));
            (Opener::Sqlite(Box::new(options)), readers, 1)
        } else if postgres::is_address(&config.url) {
            let access = Arc::new(Access::open(config, migrates).await?);
            let lanes = (config.connections / 2).clamp(1, 4);
            let reading = config.connections.saturating_sub(lanes).max(1);
            let readers = access.readers(reading, timeout);
            let readers = Readers::Postgres(readers, Arc::clone(&access));
            (Opener::Postgres(access), readers, lanes as usize)
        } else {
            return Err(StoreError::Unavailable(
                "store.url must be sqlite, sqlite:PATH or postgres://…".into(),
            ));
        };
        let writer = Writer::start(&opener, lanes, config);
        Ok(Self { inner: Arc::new(Inner { readers, writer, timeout }) })
    }

    /// Lets the writer finish what waits, then closes. Later calls are refused as unavailable.
    pub async fn close(&self) {
        self.inner.writer.close().await;
        match &self.inner.readers {
            Readers::Sqlite(pool) => pool.close().await,
            Readers::Postgres(pool, _) => pool.close().await,
        }
    }

    /// Whether no other server can use the database, so that nobody else can hold a lease.
    pub fn is_ours_alone(&self) -> bool {
        matches!(self.inner.readers, Readers::Sqlite(_))
    }

    /// Whether the database answers now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping", async {
            let mut snapshot = self.snapshot().await?;
            snapshot.connection().row("SELECT 1", values![]).await?;
            Ok(())
        })
        .await
    }

    /// For how long nothing has been committed although it was asked for; the longest of all lanes.
    /// None: what was asked for last was committed, or it is half a minute ago.
    pub fn stuck_for(&self) -> Option<Duration> {
        self.inner.writer.stuck_for()
    }

    async fn snapshot(&self) -> Result<Snapshot, Failure> {
        Ok(self.inner.readers.snapshot().await?)
    }

    /// Runs `work`, which reads, within the time-out, and measures it as `operation`.
    async fn read<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, StoreError> {
        let since = tick::now();
        let outcome = match tokio::time::timeout(self.inner.timeout, caught(Box::pin(work))).await {
            Ok(Some(outcome)) => outcome.map_err(Failure::into_store_error),
            Ok(None) => Err(broken_off()),
            Err(_) => Err(too_late()),
        };
        measure(operation, since);
        outcome
    }

    /// Queues `write` and waits, within the time-out, for its commit; measured as `operation`.
    async fn write<W: Write>(
        &self,
        operation: &'static str,
        write: W,
    ) -> Result<W::Answer, StoreError> {
        let since = tick::now();
        let outcome = self.inner.writer.enqueue(write).outcome().await;
        measure(operation, since);
        outcome
    }
}

fn measure(operation: &'static str, since: std::time::Instant) {
    let seconds = metrics::histogram!("throng_database_seconds", "operation" => operation);
    seconds.record(since.elapsed());
}

fn describe_metrics() {
    use metrics::Unit::{Count, Seconds};
    metrics::describe_histogram!(
        "throng_database_seconds",
        Seconds,
        "Time from a call of the store to its answer, waiting included"
    );
    metrics::describe_gauge!(
        "throng_database_queue_depth",
        Count,
        "Players whose save waits for the database"
    );
    metrics::describe_histogram!(
        "throng_database_queue_seconds",
        Seconds,
        "How long a write waited for its transaction to begin"
    );
    metrics::describe_counter!("throng_commits_total", Count, "Transactions committed");
    metrics::describe_histogram!("throng_commit_group_size", Count, "Writes that shared a commit");
    metrics::describe_counter!(
        "throng_database_errors_total",
        Count,
        "Errors of the database by kind"
    );
}
