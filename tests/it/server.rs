//! The real binary on free ports with a data folder of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use throng::client::{Client, Endpoint};
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

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    folder: Arc<TempDir>,
    settings: Vec<(String, String)>,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts with the default world and cheap hashing.
    pub fn start(topology: Topology) -> Self {
        Self::start_with(topology, &[])
    }

    /// Starts with settings on top, as `("section.key", "value")`.
    pub fn start_with(topology: Topology, settings: &[(&str, &str)]) -> Self {
        let mut all = vec![
            ("link.loopback".to_owned(), (topology == Topology::Loopback).to_string()),
            ("login.argon2.memory_kib".to_owned(), "64".to_owned()),
            ("login.argon2.iterations".to_owned(), "1".to_owned()),
            ("zone.seed".to_owned(), "7".to_owned()),
        ];
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let folder = Arc::new(TempDir::new().expect("a temporary folder"));
        Self::spawn(folder, all)
    }

    fn spawn(folder: Arc<TempDir>, settings: Vec<(String, String)>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_throng"));
        command.args(["--role", "all", "--data-dir"]).arg(folder.path().join("data"));
        command.current_dir(folder.path());
        for port in ["login", "gateway", "text", "http"] {
            command.env(format!("THRONG_PORTS__{}", port.to_uppercase()), "0");
        }
        command.env("THRONG_PORTS__BIND", "127.0.0.1");
        command.env("THRONG_PORTS__ADMIN", "127.0.0.1:0");
        command.env("THRONG_NET__IO_THREADS", "2");
        for (key, value) in &settings {
            command.env(format!("THRONG_{}", key.to_uppercase().replace('.', "__")), value);
        }
        let log = std::fs::File::create(folder.path().join("server.log")).expect("a log file");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        let mut addresses = BTreeMap::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
        for line in lines.by_ref() {
            let line = line.expect("a readable output");
            let mut words = line.split_whitespace();
            let (Some(name), Some(address)) = (words.next(), words.next()) else { continue };
            let address = address.trim_start_matches("http://").trim_start_matches("https://");
            if let Ok(address) = address.parse() {
                addresses.insert(name.to_owned(), address);
            }
            if name == "try" {
                break;
            }
        }
        if addresses.len() < 5 {
            let log = std::fs::read_to_string(folder.path().join("server.log"));
            let _ = child.kill();
            panic!("the server did not come up: {}", log.unwrap_or_default());
        }
        Self { child, folder, settings, addresses }
    }

    /// Where a port of the banner listens: `login`, `gateway`, `text`, `web`, `admin`.
    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// A connected client that is nobody yet.
    pub async fn connect(&self) -> Client {
        let address = self.address("gateway");
        let endpoint = Endpoint::plain(address.ip().to_string(), address.port());
        Client::connect(endpoint).await.expect("a connection to the gateway")
    }

    /// A player in the world, registered first if need be.
    pub async fn player(&self, name: &str) -> Client {
        let mut client = self.connect().await;
        // A name that is taken is one that has played before.
        let _ = client.register(name, "secret").await;
        let login = client.login(name, "secret", "test").await.expect("a log-in");
        client.enter(&login.session_token).await.expect("an entry");
        client
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().expect("an end")
    }

    /// Kills it without warning.
    pub fn kill(&mut self) {
        self.signal("-KILL");
        self.child.wait().expect("an end");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Starts again on the same data; ports are other ones.
    pub fn start_again(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        *self = Self::spawn(self.folder.clone(), self.settings.clone());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- server log ---\n{}", self.log());
        }
    }
}

/// A name that no other test of this run uses.
pub fn name(stem: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{stem}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits for `work`, or fails saying what did not come.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}
