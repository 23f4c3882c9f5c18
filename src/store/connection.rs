//! A connection to either database, and the few types of values that travel over it.
//!
//! Every statement of the store is written once, against [`Connection`]. The two databases take the
//! same text (`$1`, `ON CONFLICT`, `RETURNING`), so the only thing that differs is the driver's
//! type, and one `match` per call hides it. A function that is generic over `sqlx::Database` would
//! need a dozen bounds on each signature, and a macro that expands each body twice would hide the
//! body from the reader and from the tools; here both stay plain code, for the price of boxing
//! nothing and copying the arguments, which the drivers do anyway. Where the texts must differ,
//! [`Connection::pick`] shows both side by side. Only `store/` may use this module.

use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, Row as _};
use uuid::Uuid;

use super::StoreError;
use super::failure::Failure;
use super::postgres::Access;
use crate::ids::{Epoch, GuildId, ItemId, OperationId, PlayerId, ServerId, SessionKey, ZoneId};

/// A borrowed connection; the writer's own or one of the readers' pool.
pub(super) enum Connection<'c> {
    /// To the file.
    Sqlite(&'c mut SqliteConnection),
    /// To the server.
    Postgres(Session<'c>),
}

/// A connection to the server, and what the way there allows.
pub(super) struct Session<'c> {
    /// The driver's.
    pub(super) connection: &'c mut PgConnection,
    /// How it was opened.
    pub(super) access: &'c Access,
}

/// One row of an answer; columns are read by their place, from 0.
pub(super) enum Row {
    /// From the file.
    Sqlite(SqliteRow),
    /// From the server.
    Postgres(PgRow),
}

/// What can be bound to a placeholder.
#[derive(Debug, Clone)]
pub(super) enum Value<'v> {
    /// A whole number, time or flag.
    Int(i64),
    /// One that may be NULL.
    MaybeInt(Option<i64>),
    /// A number with a fraction.
    Real(f64),
    /// A text.
    Text(&'v str),
    /// One that may be NULL.
    MaybeText(Option<&'v str>),
    /// A hash.
    Bytes(&'v [u8]),
    /// One that may be NULL.
    MaybeBytes(Option<&'v [u8]>),
    /// A UUID: 16 bytes in SQLite.
    Uuid(Uuid),
    /// A column of a batch; PostgreSQL only, as are the next two.
    Ints(Vec<i64>),
    /// See [`Value::Ints`].
    Reals(Vec<f64>),
    /// See [`Value::Ints`].
    Texts(Vec<String>),
}

/// Makes the slice of [`Value`]s for a statement's placeholders.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::connection::Value::from($value)),*]
    };
}
pub(super) use values;

/// A statement's texts for SQLite and PostgreSQL, with the database's own clock (Unix ms) between
/// the parts: what processes compare with each other goes by one clock, not by that of each. It is
/// a subquery, which is asked once a statement and leaves indexes of use.
macro_rules! by_its_clock {
    ($first:literal $(, $then:literal)+) => {
        [
            concat!($first $(, "(SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER))", $then)+),
            concat!(
                $first
                $(, "(SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT))", $then)+
            ),
        ]
    };
}
pub(super) use by_its_clock;

impl Connection<'_> {
    /// Runs a statement and gives the number of rows it changed.
    pub(super) async fn execute(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Failure> {
        check(values)?;
        Ok(match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite_arguments(values)?);
                query.execute(&mut **connection).await?.rows_affected()
            }
            Self::Postgres(session) => {
                let query = session.query(sql, values)?;
                query.execute(&mut *session.connection).await?.rows_affected()
            }
        })
    }

    /// All rows of an answer.
    pub(super) async fn rows(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Failure> {
        check(values)?;
        Ok(match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query_with(sql, sqlite_arguments(values)?);
                let rows = query.fetch_all(&mut **connection).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Self::Postgres(session) => {
                let query = session.query(sql, values)?;
                let rows = query.fetch_all(&mut *session.connection).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    /// The first row of an answer that has at most one.
    pub(super) async fn row(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Row>, Failure> {
        // Not the drivers' fetch_optional: that stops reading after the row, and SQLite ends a
        // statement with RETURNING only when it has been read to its end.
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs a statement that steers a transaction, in one round trip.
    pub(super) async fn steer(&mut self, sql: &'static str) -> Result<(), Failure> {
        match self {
            Self::Sqlite(connection) => {
                sqlx::raw_sql(sql).execute(&mut **connection).await?;
            }
            Self::Postgres(session) => {
                sqlx::raw_sql(sql).execute(&mut *session.connection).await?;
            }
        }
        Ok(())
    }

    /// Begins a writing transaction within the store's limits, in one round trip.
    pub(super) async fn begin(&mut self) -> Result<(), Failure> {
        let Self::Postgres(session) = self else { return self.steer("BEGIN IMMEDIATE").await };
        sqlx::raw_sql(session.access.begin()).execute(&mut *session.connection).await?;
        Ok(())
    }

    /// The statement for the database at hand, where the two cannot share one.
    pub(super) fn pick(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite(_) => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

impl Session<'_> {
    /// A statement with its values. What is prepared is kept for the next time only where the next
    /// transaction finds the same session.
    fn query<'q>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Query<'q, Postgres, PgArguments>, Failure> {
        let query = sqlx::query_with(sql, postgres_arguments(values)?);
        Ok(query.persistent(self.access.keeps_statements()))
    }
}

/// PostgreSQL cannot hold a NUL in a text, so neither database is given one.
fn check(values: &[Value<'_>]) -> Result<(), Failure> {
    let holds_nul = values.iter().any(|value| match value {
        Value::Text(text) | Value::MaybeText(Some(text)) => text.contains('\0'),
        Value::Texts(texts) => texts.iter().any(|text| text.contains('\0')),
        _ => false,
    });
    if holds_nul {
        return Err(StoreError::Conflict("a text holds a NUL character").into());
    }
    Ok(())
}

fn sqlite_arguments(values: &[Value<'_>]) -> Result<SqliteArguments, Failure> {
    let mut arguments = SqliteArguments::default();
    for value in values.iter().cloned() {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::MaybeInt(v) => arguments.add(v),
            Value::Real(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::MaybeText(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::MaybeBytes(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Ints(_) | Value::Reals(_) | Value::Texts(_) => {
                Err("SQLite has no arrays".into())
            }
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres_arguments(values: &[Value<'_>]) -> Result<PgArguments, Failure> {
    let mut arguments = PgArguments::default();
    for value in values.iter().cloned() {
        match value {
            Value::Int(v) => arguments.add(v),
            Value::MaybeInt(v) => arguments.add(v),
            Value::Real(v) => arguments.add(v),
            Value::Text(v) => arguments.add(v),
            Value::MaybeText(v) => arguments.add(v),
            Value::Bytes(v) => arguments.add(v),
            Value::MaybeBytes(v) => arguments.add(v),
            Value::Uuid(v) => arguments.add(v),
            Value::Ints(v) => arguments.add(v),
            Value::Reals(v) => arguments.add(v),
            Value::Texts(v) => arguments.add(v),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Reads column `$at` of `$row` as whatever type is wanted.
macro_rules! column {
    ($row:expr, $at:expr) => {
        match $row {
            Row::Sqlite(row) => row.try_get($at)?,
            Row::Postgres(row) => row.try_get($at)?,
        }
    };
}

impl Row {
    /// A whole number, if it fits the wanted type.
    pub(super) fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T, Failure> {
        let number: i64 = column!(self, at);
        T::try_from(number).map_err(|_| out_of_range(at, number))
    }

    /// A whole number that may be NULL.
    pub(super) fn maybe_number<T: TryFrom<i64>>(&self, at: usize) -> Result<Option<T>, Failure> {
        let number: Option<i64> = column!(self, at);
        number.map(|n| T::try_from(n).map_err(|_| out_of_range(at, n))).transpose()
    }

    /// A whole number that was stored bit by bit (see [`bits`]).
    pub(super) fn bits(&self, at: usize) -> Result<u64, Failure> {
        let number: i64 = column!(self, at);
        Ok(number.cast_unsigned())
    }

    /// Yes or no.
    pub(super) fn flag(&self, at: usize) -> Result<bool, Failure> {
        Ok(self.number::<i64>(at)? != 0)
    }

    /// A number with a fraction, which was an `f32` when it was stored.
    pub(super) fn real(&self, at: usize) -> Result<f32, Failure> {
        let number: f64 = column!(self, at);
        Ok(number as f32)
    }

    /// A text.
    pub(super) fn text(&self, at: usize) -> Result<String, Failure> {
        Ok(column!(self, at))
    }

    /// A text that may be NULL.
    pub(super) fn maybe_text(&self, at: usize) -> Result<Option<String>, Failure> {
        Ok(column!(self, at))
    }

    /// A SHA-256.
    pub(super) fn hash(&self, at: usize) -> Result<[u8; 32], Failure> {
        let bytes: Vec<u8> = column!(self, at);
        let length = bytes.len();
        bytes.try_into().map_err(|_| {
            StoreError::Corrupt(format!("a hash of {length} bytes in column {at}")).into()
        })
    }

    /// A UUID.
    pub(super) fn uuid(&self, at: usize) -> Result<Uuid, Failure> {
        Ok(column!(self, at))
    }
}

fn out_of_range(at: usize, number: i64) -> Failure {
    StoreError::Corrupt(format!("{number} in column {at} is out of range")).into()
}

/// The databases' integers have a sign; a number that only names something keeps its bits.
fn bits(number: u64) -> Value<'static> {
    Value::Int(number.cast_signed())
}

/// Amounts saturate at 2⁶³ − 1 instead of turning negative.
pub(super) fn amount(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

macro_rules! value_from {
    ($($type:ty: $name:ident => $value:expr;)*) => {$(
        impl<'v> From<$type> for Value<'v> {
            fn from($name: $type) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    i64: number => Value::Int(number);
    u64: number => Value::Int(amount(number));
    u32: number => Value::Int(number.into());
    bool: flag => Value::Int(flag.into());
    Option<i64>: number => Value::MaybeInt(number);
    f32: number => Value::Real(number.into());
    &'v str: text => Value::Text(text);
    Option<&'v str>: text => Value::MaybeText(text);
    &'v [u8; 32]: hash => Value::Bytes(hash);
    Option<&'v [u8; 32]>: hash => Value::MaybeBytes(hash.map(|hash| &hash[..]));
    Uuid: id => Value::Uuid(id);
    PlayerId: id => Value::from(id.0);
    ItemId: id => Value::from(id.0);
    GuildId: id => Value::from(id.0);
    Epoch: epoch => Value::from(epoch.0);
    ZoneId: id => Value::Int(id.0.into());
    ServerId: id => bits(id.0);
    SessionKey: key => bits(key.0);
    OperationId: id => Value::Uuid(id.uuid());
    Vec<i64>: column => Value::Ints(column);
    Vec<f64>: column => Value::Reals(column);
    Vec<String>: column => Value::Texts(column);
}
