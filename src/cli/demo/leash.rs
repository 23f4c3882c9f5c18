//! What makes sure that no process of a demonstration outlives it, however it ends.
//!
//! All of them are in one process group. An *anchor* keeps the group's number taken while they come
//! and go; a *keeper*, outside the group, waits for the end of its input, which ends with the
//! demonstration even if that was killed, and then ends the group and deletes the files. Two shells
//! do that, so it needs no signal that only some systems have, and holds for PostgreSQL too.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdin, Command};

/// Keeps the group's number. A group is asked to end by SIGINT; this one must stay to the last.
const ANCHOR: &str = "trap '' INT TERM; read -r _";

/// $1 the group, $2 the folder, empty if it is to be kept. Five seconds for the group to end: its
/// servers save, its database stops; who is not gone then is killed.
const KEEPER: &str = "trap '' INT TERM HUP; read -r _; \
    kill -s INT -- \"-$1\"; tries=50; \
    while kill -s 0 -- \"-$1\" && [ $tries -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done; \
    kill -s KILL -- \"-$1\"; \
    [ -z \"$2\" ] || rm -rf -- \"$2\" || { sleep 1; rm -rf -- \"$2\"; }";

/// The hold on a group of processes.
pub(in crate::cli) struct Leash {
    group: Pid,
    anchor: (Child, ChildStdin),
    keeper: (Child, ChildStdin),
}

impl Leash {
    /// An empty group. `folder`, if one is given, is deleted when the group has ended.
    ///
    /// # Errors
    /// If there is no shell at /bin/sh.
    pub(in crate::cli) fn new(folder: Option<&Path>) -> anyhow::Result<Self> {
        let anchor = shell(ANCHOR, &[])?;
        let id = anchor.0.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(Pid::from_raw).context("the shell has ended at once")?;
        let folder = folder.map_or(String::new(), |folder| folder.display().to_string());
        let keeper = shell(KEEPER, &[&group.as_raw_nonzero().to_string(), &folder])?;
        Ok(Self { group, anchor, keeper })
    }

    /// The group's number, for `process_group` of a new process.
    pub(in crate::cli) fn group(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Kills all that is in the group, at once.
    pub(in crate::cli) fn kill(&self) {
        // That nobody is left is as good.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Ends what is left of the group, within some five seconds, and deletes the folder.
    pub(in crate::cli) async fn end(self) {
        let (mut anchor, input) = self.anchor;
        drop(input);
        let _ = anchor.wait().await;
        let (mut keeper, input) = self.keeper;
        drop(input);
        let _ = keeper.wait().await;
    }
}

/// A shell in a group of its own, which a Ctrl-C in the terminal does not reach.
fn shell(script: &str, arguments: &[&str]) -> anyhow::Result<(Child, ChildStdin)> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", script, "throng-demo"])
        .args(arguments)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("no shell at /bin/sh")?;
    let input = child.stdin.take().context("the shell has no input")?;
    Ok((child, input))
}
