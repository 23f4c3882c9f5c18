//! The real binary on free ports with a data folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use throng::client::{Client, Endpoint};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// How messages travel between the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Moved in memory.
    Direct,
    /// Through their wire form.
    Loopback,
}

/// Long enough for anything on a busy machine; only a failing test waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Settings for scenarios about something else than rates and strikes.
pub const UNHURRIED: &[(&str, &str)] = &[
    ("gateway.strikes", "1000"),
    ("net.rate.packets_per_second", "10000"),
    ("net.rate.packet_burst", "10000"),
    ("net.rate.chat_messages", "100"),
    ("net.rate.mute_messages", "100"),
];

/// The small world, see there.
const WORLD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/world.toml");

/// A running server. Killed when dropped; a panic in its log fails the test.
pub struct Server {
    child: Child,
    folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts with the small world and cheap hashing.
    pub fn start(topology: Topology) -> Self {
        Self::start_with(topology, &[])
    }

    /// Starts with settings on top, as `("section.key", "value")`; an empty value stands for the
    /// key's own default.
    pub fn start_with(topology: Topology, settings: &[(&str, &str)]) -> Self {
        let given = [
            ("link.loopback", if topology == Topology::Loopback { "true" } else { "false" }),
            ("login.argon2.memory_kib", "64"),
            ("login.argon2.passes", "1"),
            ("net.io_threads", "2"),
            ("zone.seed", "7"),
            ("world.file", WORLD),
        ];
        let all: BTreeMap<String, String> = given
            .iter()
            .chain(settings)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let all = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        Self::spawn(folder, all).unwrap_or_else(|said| panic!("the server did not come up: {said}"))
    }

    /// What a server says that must not come up, and its exit code.
    pub fn refused(settings: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = command(&folder);
        command.args(["--role", "all"]);
        for (key, value) in settings {
            command.env(variable(key), value);
        }
        let output = command.output().expect("the server starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn spawn(folder: Arc<TempDir>, settings: Vec<(String, String)>) -> Result<Self, String> {
        let mut command = command(&folder);
        command.args(["--role", "all"]);
        for (key, value) in &settings {
            command.env(variable(key), value);
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(folder.path().join("server.log"))
            .expect("a log file");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("it starts");
        let output = child.stdout.take().expect("a piped output");
        let addresses = addresses(BufReader::new(output));
        let server = Self { child, folder, settings, addresses };
        let all_there = server.addresses.len() == 5;
        if all_there { Ok(server) } else { Err(server.log()) }
    }

    /// Where a port of the banner listens: `login`, `gateway`, `text`, `web`, `admin`.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// Where packet clients connect, without TLS.
    pub fn endpoint(&self) -> Endpoint {
        plain(self.address("gateway"))
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// A connected client that is nobody yet.
    pub async fn connect(&self) -> Client {
        Client::connect(self.endpoint()).await.expect("a connection to the gateway")
    }

    /// The operators' command line over the same data, given a line to read: its exit code and
    /// what it said.
    pub async fn command(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::from(command(&self.folder));
        for (key, value) in &self.settings {
            command.env(variable(key), value);
        }
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a piped input");
        // One that reads nothing may have ended already.
        let _ = stdin.write_all(format!("{input}\n").as_bytes()).await;
        drop(stdin);
        let output = within("the command's end", child.wait_with_output()).await.expect("an end");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// Asks it to stop, and goes on.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the server's end", async {
            loop {
                if let Some(status) = self.child.try_wait().expect("a child") {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) {
        self.signal("-KILL");
        self.ended().await;
    }

    fn end_now(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Starts again on the same data, once it has ended; ports are other ones.
    pub fn start_again(&mut self) {
        let again = Self::spawn(self.folder.clone(), self.settings.clone());
        *self = again.unwrap_or_else(|said| panic!("the server did not come up again: {said}"));
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say")]
    fn drop(&mut self) {
        self.end_now();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}

/// The binary with nothing of this machine's environment in its configuration.
fn command(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("THRONG_")) {
        command.env_remove(name);
    }
    for port in ["login", "gateway", "text", "http", "link"] {
        command.env(variable(&format!("ports.{port}")), "0");
    }
    command.env(variable("ports.bind"), "127.0.0.1");
    command.env(variable("ports.admin"), "127.0.0.1:0");
    command.env(variable("data_dir"), folder.path().join("data"));
    command.env("NO_COLOR", "1").current_dir(folder.path()).stdin(Stdio::null());
    command
}

/// The environment variable that sets a key.
fn variable(key: &str) -> String {
    format!("THRONG_{}", key.to_uppercase().replace('.', "__"))
}

/// Reads the banner to its last part, or to the end of a server that gives up.
fn addresses(banner: impl BufRead) -> BTreeMap<String, SocketAddr> {
    let mut addresses = BTreeMap::new();
    for line in banner.lines().map_while(Result::ok) {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(address)) = (words.next(), words.next()) {
            let address = address.trim_start_matches("http://").trim_start_matches("https://");
            addresses.extend(address.parse().map(|address| (name.to_owned(), address)));
        }
        if line.starts_with("try") {
            break;
        }
    }
    addresses
}

/// An endpoint without TLS.
pub fn plain(address: SocketAddr) -> Endpoint {
    Endpoint::plain(address.ip().to_string(), address.port())
}

/// Waits for `work`, or fails saying what did not come.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}
