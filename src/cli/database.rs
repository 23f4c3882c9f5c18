//! A throw-away PostgreSQL for a command that runs servers of its own for a while, without the rest
//! of a demonstration: made in a folder of its own, gone with the command however that ends.

use std::time::Duration;

use anyhow::Context;
use tokio::process::Child;
use tokio::runtime::Runtime;

use super::demo::folder;
use super::demo::leash::Leash;
use super::demo::postgres::Postgres;

/// How long it may take until it is ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running database. It ends, and its files go, when this does.
pub(super) struct Scratch {
    /// Its address, for `store.url`.
    pub(super) url: String,
    /// Its first process.
    pub(super) pid: Option<u32>,
    runtime: Runtime,
    child: Option<Child>,
    leash: Option<Leash>,
}

impl Scratch {
    /// Makes an empty one and starts it.
    ///
    /// # Errors
    /// If its programs are not there, or it does not come up.
    pub(super) fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let postgres = Postgres::find()?;
        let folder = folder::scratch()?;
        let (leash, child, url) = runtime.block_on(async {
            let leash = match Leash::new(Some(folder.as_path())) {
                Ok(leash) => leash,
                Err(problem) => {
                    let _ = std::fs::remove_dir_all(&folder);
                    return Err(problem);
                }
            };
            let database = postgres.make(&folder, leash.group()).await?;
            let member = database.member();
            let child = member.spawn(leash.group()).context("postgres cannot be started")?;
            tokio::time::timeout(READY_WITHIN, member.ready())
                .await
                .context("the throw-away database is not ready in time")?;
            anyhow::Ok((leash, child, database.url()))
        })?;
        Ok(Self { url, pid: child.id(), runtime, child: Some(child), leash: Some(leash) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (child, leash) = (self.child.take(), self.leash.take());
        self.runtime.block_on(async {
            if let Some(mut child) = child {
                // What it holds is thrown away: nothing is lost by its sudden end.
                let _ = child.kill().await;
            }
            if let Some(leash) = leash {
                leash.end().await;
            }
        });
    }
}
