//! What goes wrong with a database, and how far the damage reaches.
//!
//! The writer asks whether a failure is one job's own or the whole transaction's; the callers get a
//! [`StoreError`] whose text never holds an address, a password or a stored value.

use std::borrow::Cow;

use super::StoreError;

/// Why a piece of work on a connection was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// A rule of the store says no; the connection is fine.
    Refused(StoreError),
    /// The database or the way to it.
    Database(sqlx::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl Failure {
    /// Whether only the statement itself is to blame, so that what else is in the transaction may
    /// be committed. When in doubt, no: doing the others again is harmless.
    pub(super) fn is_own(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| is_own_code(&code))
            }
            Self::Database(error) => is_nonsense(error),
        }
    }

    /// What the caller is told; counts the error by its kind.
    pub(super) fn into_store_error(self) -> StoreError {
        let error = match self {
            Self::Refused(error) => return error,
            Self::Database(error) => error,
        };
        metrics::counter!("throng_database_errors_total", "kind" => kind(&error)).increment(1);
        match &error {
            sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => {
                StoreError::NotFound
            }
            sqlx::Error::Database(inner) if inner.is_unique_violation() => {
                StoreError::Conflict("it is there already")
            }
            sqlx::Error::Database(inner) if inner.is_check_violation() => {
                StoreError::Conflict("a value is out of range")
            }
            error if is_nonsense(error) => StoreError::Corrupt(error.to_string()),
            error => StoreError::Unavailable(describe(error).into_owned()),
        }
    }
}

/// The refusal of a call that took too long.
pub(super) fn too_late() -> StoreError {
    metrics::counter!("throng_database_errors_total", "kind" => "timeout").increment(1);
    StoreError::Unavailable("no answer in time".into())
}

/// What was read or bound does not fit its type.
fn is_nonsense(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::Encode(_)
            | sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::RowNotFound
    )
}

/// PostgreSQL's codes are five characters (its manual, appendix A); SQLite's are decimal numbers
/// whose low byte is the primary code (sqlite.org/rescode.html).
fn is_own_code(code: &str) -> bool {
    const STATEMENT_TIMEOUT: &str = "57014";
    const LOCK_TIMEOUT: &str = "55P03";
    if code.len() == 5 {
        let bad_data_constraint_or_syntax = ["22", "23", "42"].contains(&&code[..2]);
        return bad_data_constraint_or_syntax || [STATEMENT_TIMEOUT, LOCK_TIMEOUT].contains(&code);
    }
    const ERROR: u32 = 1;
    const TOO_BIG: u32 = 18;
    const CONSTRAINT: u32 = 19;
    const MISMATCH: u32 = 20;
    let primary = code.parse::<u32>().map(|number| number & 0xff);
    matches!(primary, Ok(ERROR | TOO_BIG | CONSTRAINT | MISMATCH))
}

/// The label of an error in the metrics.
fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Database(inner) if inner.is_unique_violation() => "constraint",
        sqlx::Error::Database(inner) if inner.is_foreign_key_violation() => "constraint",
        sqlx::Error::Database(inner) if inner.is_check_violation() => "constraint",
        sqlx::Error::Database(_) => "database",
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => "connection",
        sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => "connection",
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => "pool",
        error if is_nonsense(error) => "nonsense",
        _ => "other",
    }
}

/// The error in words that may be logged: the driver's text for an unreadable address may quote
/// the address, and with it the password.
fn describe(error: &sqlx::Error) -> Cow<'static, str> {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned().into(),
        sqlx::Error::Io(inner) => inner.to_string().into(),
        sqlx::Error::Protocol(_) => "the connection broke".into(),
        sqlx::Error::Tls(inner) => format!("no TLS connection could be made: {inner}").into(),
        sqlx::Error::PoolTimedOut => "no connection in time".into(),
        sqlx::Error::PoolClosed => "the store is closed".into(),
        sqlx::Error::Configuration(_) => "its address cannot be read".into(),
        _ => "the database driver failed".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connection_is_never_one_jobs_own() {
        let io = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(!Failure::from(sqlx::Error::Io(io)).is_own());
        assert!(!Failure::from(sqlx::Error::WorkerCrashed).is_own());
        assert!(Failure::from(StoreError::NameTaken).is_own());
    }

    #[test]
    fn codes_tell_a_bad_statement_from_a_bad_day() {
        for own in ["23505", "22003", "42P01", "57014", "19", "787", "2067", "1"] {
            assert!(is_own_code(own), "{own}");
        }
        // Deadlock, shutdown, out of connections; busy, full disk, I/O error.
        for shared in ["40P01", "57P01", "53300", "5", "13", "10", "522", "", "x"] {
            assert!(!is_own_code(shared), "{shared}");
        }
    }

    #[test]
    fn an_unreadable_address_is_not_quoted() {
        let error = sqlx::Error::Configuration("bad: postgres://a:secret@b".into());
        let told = Failure::from(error).into_store_error().to_string();
        assert!(!told.contains("secret"), "{told}");
    }
}
