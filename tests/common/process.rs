//! One process of the real binary, on free ports, with what it says in a file.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use throng::tick;

/// Long enough for anything on a busy machine; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at something that tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A running process. Killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    /// Where the ports of its banner listen.
    pub addresses: BTreeMap<String, SocketAddr>,
}

impl Process {
    /// Starts it and reads its banner; what it logs is appended to `log`.
    ///
    /// # Errors
    /// What it has logged, if it gives up.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self, String> {
        let file = std::fs::File::options().create(true).append(true).open(&log);
        let file = file.expect("a log file");
        let mut child = command.stdout(Stdio::piped()).stderr(file).spawn().expect("it starts");
        let output = child.stdout.take().expect("a piped output");
        let (addresses, complete) = addresses(BufReader::new(output));
        let process = Self { child, log, addresses };
        if complete { Ok(process) } else { Err(process.log()) }
    }

    /// The binary on free ports of this machine, with nothing of this machine's environment in its
    /// configuration.
    pub fn bare_command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THRONG_")) {
            command.env_remove(name);
        }
        for port in ["login", "gateway", "text", "http", "link"] {
            command.env(variable(&format!("ports.{port}")), "0");
        }
        command.env(variable("ports.bind"), "127.0.0.1");
        command.env(variable("ports.admin"), "127.0.0.1:0");
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    /// What it has logged so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `-TERM`.
    pub fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Waits until `/readyz` says that it is ready.
    pub fn wait_until_ready(&self) {
        let since = tick::now();
        loop {
            let answer = self.readiness();
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
            if since.elapsed() > PATIENCE {
                panic!("a process is not ready: {answer}\n{}", self.log());
            }
            pause();
        }
    }

    fn readiness(&self) -> String {
        let mut answer = String::new();
        let asked = TcpStream::connect(self.addresses["admin"]).and_then(|mut stream| {
            stream.write_all(
                b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            )?;
            stream.read_to_string(&mut answer)
        });
        asked.map_or_else(|problem| problem.to_string(), |_| answer)
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let since = tick::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "a process does not end:\n{}", self.log());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Kills it and waits for its end.
    pub fn end_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_now();
    }
}

#[expect(clippy::disallowed_methods, reason = "the process tells nobody when it is ready")]
fn pause() {
    std::thread::sleep(LOOK_AGAIN);
}

/// The environment variable that sets a key.
pub fn variable(key: &str) -> String {
    format!("THRONG_{}", key.to_uppercase().replace('.', "__"))
}

/// Reads the banner to its last part, or to the end of a process that gives up: then not complete.
fn addresses(banner: impl BufRead) -> (BTreeMap<String, SocketAddr>, bool) {
    let mut addresses = BTreeMap::new();
    for line in banner.lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(address)) = (words.next(), words.next()) {
            let address = address.trim_start_matches("http://").trim_start_matches("https://");
            addresses.extend(address.parse().map(|address| (name.to_owned(), address)));
        }
        if line.starts_with("try") {
            return (addresses, true);
        }
    }
    (addresses, false)
}
