//! The real binary on free ports with a data folder of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use tempfile::TempDir;
use throng::client::{Client, Endpoint};
use throng::store::{Store, StoreConfig};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::postgres::Cluster;
use crate::process::{Process, variable};

/// How messages travel between the roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Moved in memory.
    Direct,
    /// Through their wire form.
    Loopback,
    /// Over links between processes, on PostgreSQL.
    Spread,
}

pub use crate::process::PATIENCE;

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

/// A running server: one process, or a cluster of them. Killed when dropped; a panic in a log fails
/// the test.
pub struct Server {
    topology: Topology,
    processes: Vec<Process>,
    folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
}

/// The processes of a server that is spread: what each plays, and what its files are called. The
/// first one has the data folder that tests look into.
const SPREAD: &[(&str, &str)] = &[
    ("data", "master,login"),
    ("chat", "chat"),
    ("zone-1", "zone"),
    ("zone-2", "zone"),
    ("gateway", "gateway"),
];

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
        let database = match topology {
            Topology::Direct | Topology::Loopback => None,
            Topology::Spread => Some(Cluster::shared().database()),
        };
        let database = database.iter().map(|address| ("store.url", address.as_str()));
        let all: BTreeMap<String, String> = given
            .into_iter()
            .chain(database)
            .chain(settings.iter().copied())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let settings = all.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        Self::spawn(topology, folder, settings)
            .unwrap_or_else(|said| panic!("the server did not come up: {said}"))
    }

    /// What a server says that must not come up, and its exit code.
    pub fn refused(settings: &[(&str, &str)]) -> (Option<i32>, String) {
        let folder = TempDir::new().expect("a temporary folder");
        let mut command = command(&folder, "data");
        command.args(["--role", "all"]);
        for (key, value) in settings {
            command.env(variable(key), value);
        }
        let output = command.output().expect("the server starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn spawn(
        topology: Topology,
        folder: Arc<TempDir>,
        settings: Vec<(String, String)>,
    ) -> Result<Self, String> {
        let mut server = Self { topology, processes: Vec::new(), folder, settings };
        let secret = server.folder.path().join("cluster.secret");
        if topology != Topology::Spread {
            server.add("data", "all", &[])?;
            return Ok(server);
        }
        std::fs::write(&secret, "5".repeat(64)).expect("a file for the secret");
        let secret = secret.display().to_string();
        for (name, roles) in SPREAD {
            let master = server.processes.first().map(|master| master.addresses["link"]);
            let master = master.map(|address| format!("[\"{address}\"]"));
            let mut more = vec![("link.secret_file", secret.as_str())];
            more.extend(master.as_deref().map(|master| ("link.master", master)));
            server.add(name, roles, &more)?;
        }
        server.processes.iter().for_each(Process::wait_until_ready);
        Ok(server)
    }

    fn add(&mut self, name: &str, roles: &str, more: &[(&str, &str)]) -> Result<(), String> {
        let mut command = command(&self.folder, name);
        command.args(["--role", roles]);
        let settings = self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in settings.chain(more.iter().copied()) {
            command.env(variable(key), value);
        }
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::spawn(command, log)?;
        self.processes.push(process);
        Ok(())
    }

    /// Where a port of the banners listens: `login`, `gateway`, `text`, `web`, `admin` (of a spread
    /// server the master's).
    pub fn address(&self, name: &str) -> SocketAddr {
        let has = |process: &Process| process.addresses.get(name).copied();
        self.processes.iter().find_map(has).unwrap_or_else(|| panic!("there is no port '{name}'"))
    }

    /// What `/metrics` says, of all its processes one after the other.
    pub async fn metrics(&self) -> String {
        let mut all = String::new();
        for process in &self.processes {
            all += &crate::http::get(process.addresses["admin"], "/metrics").await.body;
        }
        all
    }

    /// Where packet clients connect, without TLS.
    pub fn endpoint(&self) -> Endpoint {
        plain(self.address("gateway"))
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The number of its first process.
    pub fn pid(&self) -> u32 {
        self.processes[0].pid()
    }

    /// What all its processes have logged so far, over all their starts.
    pub fn log(&self) -> String {
        self.processes.iter().map(Process::log).collect::<Vec<_>>().join("\n")
    }

    /// A connected client that is nobody yet.
    pub async fn connect(&self) -> Client {
        Client::connect(self.endpoint()).await.expect("a connection to the gateway")
    }

    /// The database, as another process opens it.
    pub async fn store(&self) -> Store {
        let url = self.settings.iter().find(|(key, _)| key == "store.url");
        let url = url.map_or_else(|| StoreConfig::default().url, |(_, address)| address.clone());
        let config = StoreConfig { url, ..StoreConfig::default() };
        Store::open(&config, &self.data()).await.expect("the server's database")
    }

    /// The operators' command line over the same data, given a line to read: its exit code and
    /// what it said.
    pub async fn command(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let mut command = tokio::process::Command::from(command(&self.folder, "data"));
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
        // Clients are told and players saved before those go whom that takes.
        self.processes.iter().rev().for_each(|process| process.signal("-TERM"));
    }

    /// Waits for its end: the first bad one if there are several processes.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut end = None;
        for process in &mut self.processes {
            let status = process.ended().await;
            if end.is_none_or(|end: ExitStatus| end.success()) {
                end = Some(status);
            }
        }
        end.expect("a process")
    }

    /// Sends all its processes a signal, such as `-STOP`.
    pub fn signal(&self, signal: &str) {
        self.processes.iter().for_each(|process| process.signal(signal));
    }

    /// Kills it without warning.
    pub async fn kill(&mut self) {
        self.processes.iter().for_each(|process| process.signal("-KILL"));
        self.ended().await;
    }

    /// Starts again on the same data, once it has ended; ports are other ones.
    pub fn start_again(&mut self) {
        let again = Self::spawn(self.topology, self.folder.clone(), self.settings.clone());
        *self = again.unwrap_or_else(|said| panic!("the server did not come up again: {said}"));
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say")]
    fn drop(&mut self) {
        self.processes.iter_mut().for_each(Process::end_now);
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{log}");
        } else {
            assert!(!log.contains("panicked"), "the server panicked:\n{log}");
        }
    }
}

/// The binary with nothing of this machine's environment in its configuration; `name` is its data
/// folder's.
fn command(folder: &TempDir, name: &str) -> Command {
    let mut command = Process::bare_command();
    command.env(variable("data_dir"), folder.path().join(name)).current_dir(folder.path());
    command
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
