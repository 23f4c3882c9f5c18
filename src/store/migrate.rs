//! Brings a schema up to date, from the files in `migrations/`, which are part of the program.
//!
//! Called once, when a server opens the store or an operator asks for it; other commands only
//! check. A schema that is newer than the program is left alone and refused.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};

use super::StoreError;
use super::failure::Failure;

/// Number, name and text of a migration.
type Step = (i64, &'static str, &'static str);

/// A migration's line, from its number and its name.
macro_rules! step {
    ($folder:literal, $number:literal, $name:literal) => {
        (
            $number,
            $name,
            include_str!(concat!(
                "../../migrations/",
                $folder,
                "/000",
                $number,
                "_",
                $name,
                ".sql"
            )),
        )
    };
}

/// Every file in `migrations/sqlite`.
pub(super) const SQLITE: &[Step] = &[
    step!("sqlite", 1, "first"),
    step!("sqlite", 2, "handover"),
    step!("sqlite", 3, "timers"),
    step!("sqlite", 5, "sessions"),
    step!("sqlite", 6, "declarations"),
];
/// Every file in `migrations/postgres`.
pub(super) const POSTGRES: &[Step] = &[
    step!("postgres", 1, "first"),
    step!("postgres", 2, "handover"),
    step!("postgres", 3, "timers"),
    step!("postgres", 5, "sessions"),
    step!("postgres", 6, "declarations"),
];

/// Runs what has not been run.
///
/// # Errors
/// If the schema is newer than the program, or one of its steps was not this program's.
pub(super) async fn run<C: Migrate>(connection: &mut C, steps: &[Step]) -> Result<(), StoreError> {
    let newest = steps.last().map_or(0, |(number, ..)| *number);
    let migrations = steps.iter().map(|(number, name, sql)| {
        let (name, sql) = (Cow::Borrowed(*name), (*sql).into_sql_str());
        Migration::new(*number, name, MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // It would lock the session, which a pooler shares out; the caller holds a lock of its own.
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(|error| explain(error, newest))
}

/// Looks whether the schema is the program's own, and changes nothing.
///
/// # Errors
/// If it is older or newer than the program.
pub(super) async fn check<C: Migrate>(
    connection: &mut C,
    steps: &[Step],
) -> Result<(), StoreError> {
    let newest = steps.last().map_or(0, |(number, ..)| *number);
    let applied = connection.list_applied_migrations("_sqlx_migrations").await;
    let applied = applied.map_err(|error| explain(error, newest))?;
    let unknown = applied.iter().find(|done| steps.iter().all(|step| step.0 != done.version));
    if let Some(unknown) = unknown {
        return Err(explain(MigrateError::VersionMissing(unknown.version), newest));
    }
    match steps.iter().find(|step| applied.iter().all(|done| done.version != step.0)) {
        None => Ok(()),
        Some((number, name, _)) => Err(StoreError::Unavailable(format!(
            "its schema lacks migration {number} ({name}) of this program, and only a server or \
             `throng migrate` brings it up to date"
        ))),
    }
}

fn explain(error: MigrateError, newest: i64) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) if version > newest => {
            StoreError::Unavailable(format!(
                "its schema has version {version} and this program knows only up to {newest}: \
                 run a newer Throng"
            ))
        }
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            StoreError::Corrupt(format!("migration {version} was not this program's"))
        }
        MigrateError::Execute(error) => Failure::from(error).into_store_error(),
        MigrateError::ExecuteMigration(error, version) => {
            let why = Failure::from(error).into_store_error();
            StoreError::Unavailable(format!("migration {version} failed: {why}"))
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_have_the_same_steps_and_no_file_is_forgotten() {
        for (folder, steps) in [("sqlite", SQLITE), ("postgres", POSTGRES)] {
            let names: Vec<String> =
                steps.iter().map(|(number, name, _)| format!("{number:04}_{name}.sql")).collect();
            let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            assert_eq!(names, files);
        }
    }
}
