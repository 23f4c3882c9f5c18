//! Opening the SQLite file and its connections.
//!
//! Settings: WAL, so that readers never wait for the writer; `synchronous = FULL`, so that what was
//! acknowledged survives a power cut; one writing connection, four reading ones.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection as _};

use super::StoreError;
use super::failure::Failure;

/// The file's name in the data folder.
const FILE: &str = "throng.db";
/// Connections that read.
const READERS: u32 = 4;
const HAS_TABLES: &str = "SELECT EXISTS \
    (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations')";
/// How long a connection waits for another process's lock (a `throng account` command).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where `url` says the file is; none: not an address of SQLite.
pub(super) fn path(url: &str, data_dir: &Path) -> Option<PathBuf> {
    if url == "sqlite" {
        return Some(data_dir.join(FILE));
    }
    let rest = url.strip_prefix("sqlite:")?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    // Each connection would see its own empty memory.
    (!path.is_empty() && !path.starts_with(':')).then(|| PathBuf::from(path))
}

/// Makes the file, readable for its owner only, if it is not there.
pub(super) async fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| {
        StoreError::Unavailable(format!("cannot make {}: {error}", path.display()))
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = tokio::fs::DirBuilder::new();
        #[cfg(unix)]
        builder.mode(0o700);
        builder.recursive(true).create(folder).await.map_err(failed)?;
    }
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    match options.open(path).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// How to connect for writing.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .disable_statement_logging()
}

/// Whether the file there holds tables of this program: a server that ended between making the file
/// and its tables has left none.
pub(super) async fn has_tables(path: &Path) -> Result<bool, StoreError> {
    let failed = |error: sqlx::Error| Failure::from(error).into_store_error();
    let mut connection = options(path).connect().await.map_err(failed)?;
    let made = sqlx::query_scalar(HAS_TABLES).fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(made)
}

/// Connections that cannot write.
pub(super) fn readers(options: &SqliteConnectOptions, timeout: Duration) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(timeout)
        .connect_lazy_with(options.clone().pragma("query_only", "ON"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, StoreConfig};

    #[test]
    fn the_address_names_a_file() {
        let at = |url| path(url, Path::new("/data"));
        assert_eq!(at("sqlite"), Some("/data/throng.db".into()));
        assert_eq!(at("sqlite:here.db"), Some("here.db".into()));
        assert_eq!(at("sqlite:/abs/here.db"), Some("/abs/here.db".into()));
        assert_eq!(at("sqlite:///abs/here.db"), Some("/abs/here.db".into()));
        for wrong in ["sqlite:", "sqlite::memory:", "mysql://x", "postgres://x", ""] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_file_without_tables_is_no_database_for_who_only_looks() {
        let (folder, config) = (tempfile::tempdir().unwrap(), StoreConfig::default());
        create(&folder.path().join(FILE)).await.unwrap();
        assert!(Store::open_existing(&config, folder.path()).await.unwrap().is_none());
        Store::open(&config, folder.path()).await.unwrap().close().await;
        let opened = Store::open_existing(&config, folder.path()).await.unwrap();
        opened.expect("its tables are there now").close().await;
    }
}
