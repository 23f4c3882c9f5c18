//! One process of a demonstration: how it is started, ended, and known to be ready.
//!
//! Knows nothing of the others; `charge.rs` keeps it alive.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::cli::health;

/// Time between two looks whether a process is ready.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whose rights a process gets, where not the demonstration's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Account {
    pub(in crate::cli) user: u32,
    pub(in crate::cli) group: u32,
}

/// How to see that a process is ready.
#[derive(Debug, Clone)]
pub(in crate::cli) enum Probe {
    /// An address answers with 200.
    Http(String),
    /// A program, run with these arguments, succeeds.
    Program(PathBuf, Vec<String>),
    /// A process is ready as soon as it runs.
    #[cfg(test)]
    None,
}

/// What is to be kept running.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Member {
    /// What its lines are marked with.
    pub(in crate::cli) name: Arc<str>,
    pub(in crate::cli) program: PathBuf,
    pub(in crate::cli) arguments: Vec<String>,
    /// Set on top of the demonstration's own environment.
    pub(in crate::cli) environment: Vec<(String, String)>,
    pub(in crate::cli) account: Option<Account>,
    /// What asks it to end in order.
    pub(in crate::cli) end: Signal,
    pub(in crate::cli) ready: Probe,
}

impl Member {
    /// Starts it in a process group. Its log is standard error; what a server says on standard
    /// output is its banner, and the demonstration has a page for all of them.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::cli) fn spawn(&self, group: i32) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(key, value)| (key, value)))
            .process_group(group)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(Account { user, group }) = self.account {
            // The folder that the demonstration was started in may be closed to that user.
            command.uid(user).gid(group).current_dir("/");
        }
        command.spawn()
    }

    /// Waits until it is ready, for ever if need be.
    pub(in crate::cli) async fn ready(&self) {
        while !self.is_ready().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn is_ready(&self) -> bool {
        match &self.ready {
            Probe::Http(url) => {
                let url = url.clone();
                let asked = tokio::task::spawn_blocking(move || health::status(&url)).await;
                matches!(asked, Ok(Ok(200)))
            }
            Probe::Program(program, arguments) => {
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.status().await.is_ok_and(|status| status.success())
            }
            #[cfg(test)]
            Probe::None => true,
        }
    }
}
