//! One process of a server of the run's own: started with its flags, heard out for its ports, killed
//! with the run. Knows nothing of the others.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};

use crate::loadtest::process::Process;

/// Lines of a log that are shown.
const LOG_SHOWN: usize = 5;

/// A running process. It is killed when this goes: its world is thrown away anyway.
#[derive(Debug)]
pub(super) struct Member {
    child: Child,
    log: PathBuf,
    /// Its end would break the process's standard output.
    _banner: BufReader<ChildStdout>,
    ports: BTreeMap<String, SocketAddr>,
}

impl Member {
    /// Starts it and waits until it listens, on these ports among others; it logs into `log`.
    ///
    /// # Errors
    /// If it does not come up; with the end of its log.
    pub(super) fn start(
        mut command: Command,
        log: PathBuf,
        wanted: &[&str],
    ) -> anyhow::Result<Self> {
        let file = fs::File::create(&log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .context("the server cannot be started")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut banner = BufReader::new(output);
        let ports = addresses(&mut banner);
        let mut member = Self { child, log, _banner: banner, ports };
        if wanted.iter().any(|port| !member.ports.contains_key(*port)) {
            // It has closed its output: it is ending.
            let _ = member.child.wait();
            bail!("the server did not come up: {}", member.said().join("; "));
        }
        Ok(member)
    }

    /// Where it listens, by the banner's word for it.
    pub(super) fn port(&self, name: &str) -> Option<SocketAddr> {
        self.ports.get(name).copied()
    }

    /// As the operating system sees it.
    pub(super) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// The last lines of its log.
    pub(super) fn said(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(LOG_SHOWN)..].to_vec()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the banner up to where it says what to try.
fn addresses(banner: &mut impl BufRead) -> BTreeMap<String, SocketAddr> {
    let mut found = BTreeMap::new();
    for line in banner.lines().map_while(Result::ok).take_while(|line| line.trim() != "try") {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(address)) = (words.next(), words.next()) {
            let address = address.rsplit('/').next().unwrap_or(address);
            found.extend(address.parse().map(|address| (name.to_owned(), address)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_tells_where_it_listens() {
        let text = "throng 0.1.0 is running\n  login    127.0.0.1:8080 (TLS)\n  gateway  \
                    127.0.0.1:8081\n  admin    http://127.0.0.1:8090\n  zones    1 Plain\ntry\n  x y\n";
        let found = addresses(&mut text.as_bytes());
        assert_eq!(found["login"].port(), 8080);
        assert_eq!(found["admin"].port(), 8090);
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn one_that_does_not_come_up_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no room >&2; exit 1"]);
        let fault = Member::start(command, folder.path().join("log"), &["admin"]).unwrap_err();
        assert!(fault.to_string().contains("no room"), "{fault}");
    }
}
