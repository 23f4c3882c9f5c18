//! A cluster of processes with names, each of which can be killed, stopped and started by itself,
//! seen through the master's operators' port.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use throng::client::{Client, ClientError, Endpoint};

use crate::http;
use crate::player::Player;
use crate::postgres::Cluster;
use crate::process::{Process, variable};
use crate::server::{plain, within};

use super::wires::{self, Wires};

/// The small world, see there.
const CONTENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/cluster/world.toml");

/// What every test starts: names and roles.
const NODES: &[(&str, &str)] = &[
    ("master", "master"),
    ("login", "login"),
    ("chat", "chat"),
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway"),
    ("zone-1", "zone"),
    ("zone-2", "zone"),
];

/// Settings of all processes: cheap hashing, few threads and connections for many processes on a
/// small machine, a database that may be slow there, rates that bots may exceed, and saves that a
/// test need not wait long for. How soon a silent server counts as dead is left as it is by default.
const SETTINGS: &[(&str, &str)] = &[
    ("login.argon2.memory_kib", "64"),
    ("login.argon2.passes", "1"),
    ("login.registrations_per_address", "1000"),
    ("net.io_threads", "1"),
    ("net.per_address", "1000"),
    ("net.rate.packets_per_second", "10000"),
    ("net.rate.packet_burst", "10000"),
    ("net.rate.abilities_per_second", "1000"),
    ("net.rate.chat_messages", "100"),
    ("net.rate.mute_messages", "100"),
    ("gateway.strikes", "1000"),
    ("store.connections", "3"),
    ("store.timeout_ms", "5000"),
    ("zone.save_seconds", "1"),
    ("zone.seed", "7"),
    ("world.file", CONTENT),
];

/// Between two looks at what tells nobody when it changes.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// A running cluster. Its processes are killed when it is dropped; a panic in any log, or an honest
/// word that was refused, fails the test.
pub struct World {
    folder: TempDir,
    settings: BTreeMap<String, String>,
    nodes: BTreeMap<&'static str, Node>,
}

/// A process with its place in the cluster, whether it runs now or not. Its ports that others must
/// know stay the same when it is started again, as they would on a machine of its own.
struct Node {
    roles: &'static str,
    link: u16,
    gateway: u16,
    process: Option<Process>,
}

impl World {
    /// Starts the usual processes on a database of their own, and waits until the zones are spread
    /// over the zone servers.
    pub async fn start() -> Self {
        let address = blocking(|| Cluster::shared().database()).await;
        Self::start_on(&address, &[], &[]).await
    }

    /// The same on that database, with more processes and settings.
    pub async fn start_on(
        database: &str,
        more: &[(&'static str, &'static str)],
        settings: &[(&str, &str)],
    ) -> Self {
        let mut world = Self::plan(database, more, settings);
        world.begin().await;
        world
    }

    /// The usual processes with a wire between each two of them.
    pub async fn start_wired(database: &str) -> (Self, Wires) {
        let mut world = Self::plan(database, &[], &[("link.advertise", &wires::HERE.to_string())]);
        let ports: Vec<_> = world.nodes.iter().map(|(name, node)| (*name, node.link)).collect();
        let wires = Wires::lay(&ports).await;
        world.begin().await;
        (world, wires)
    }

    /// A cluster of which nothing runs yet.
    fn plan(
        database: &str,
        more: &[(&'static str, &'static str)],
        settings: &[(&str, &str)],
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        std::fs::write(folder.path().join("cluster.secret"), "5".repeat(64)).expect("a file");
        let settings = SETTINGS.iter().chain(settings).copied().chain([("store.url", database)]);
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let nodes = NODES.iter().chain(more).map(|(name, roles)| {
            let gateway = if *roles == "gateway" { reserve() } else { 0 };
            (*name, Node { roles, link: reserve(), gateway, process: None })
        });
        Self { folder, settings: settings.collect(), nodes: nodes.collect() }
    }

    async fn begin(&mut self) {
        self.spawn(&self.names());
        self.until_whole().await;
    }

    /// The names of all processes, whether they run now or not.
    pub fn names(&self) -> Vec<&'static str> {
        self.nodes.keys().copied().collect()
    }

    /// Starts processes that do not run, all at once, and waits until they have opened their ports.
    pub fn spawn(&mut self, names: &[&'static str]) {
        let host = self.settings.get("link.advertise").map_or("127.0.0.1", String::as_str);
        let master = &format!("{host}:{}", self.nodes["master"].link);
        let place = (self.folder.path(), &self.settings);
        let started: Vec<(&str, Result<Process, String>)> = std::thread::scope(|scope| {
            let spawned = self.nodes.iter().filter(|(name, _)| names.contains(name));
            let threads = spawned
                .map(|(name, node)| scope.spawn(move || (*name, node.spawn(name, place, master))));
            let threads: Vec<_> = threads.collect();
            threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        for (name, process) in started {
            let process = process.unwrap_or_else(|said| panic!("{name} did not come up: {said}"));
            self.node_mut(name).process = Some(process);
        }
    }

    /// Waits until every process is ready.
    pub async fn until_calm(&self) {
        for name in self.names() {
            self.until_ready(name).await;
        }
    }

    /// The same, and the zones on both sides of the border run on different servers.
    async fn until_whole(&self) {
        self.until_calm().await;
        self.until("zones on different servers", |world, status| {
            let home = |zone| status.home(world, zone);
            (home(1)? != home(2)? && home(3).is_some()).then_some(())
        })
        .await;
    }

    /// Waits until a process is ready and lacks nothing.
    async fn until_ready(&self, name: &str) {
        let ready = async {
            loop {
                let told = self.readiness(name).await;
                if told.status == 200 && told.json()["warnings"].is_null() {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        within(&format!("readiness of {name}"), ready).await;
    }

    /// What a process says of its readiness.
    pub async fn readiness(&self, name: &str) -> http::Response {
        http::get(self.process(name).addresses["admin"], "/readyz").await
    }

    /// Starts a process again after its end, and waits until it is ready.
    pub async fn run(&mut self, name: &'static str) {
        assert!(self.node(name).process.is_none(), "{name} runs");
        self.spawn(&[name]);
        self.until_ready(name).await;
    }

    /// Kills a process with no chance to say a word.
    pub fn kill(&mut self, name: &str) {
        let mut process = self.node_mut(name).process.take();
        process.as_mut().unwrap_or_else(|| panic!("{name} does not run")).end_now();
    }

    /// Stops a process where it stands, as a machine does that hangs.
    pub fn freeze(&self, name: &str) {
        self.process(name).signal("-STOP");
    }

    /// Lets a process that was stopped go on.
    pub fn thaw(&self, name: &str) {
        self.process(name).signal("-CONT");
    }

    /// Asks a process to stop, as an orchestrator does.
    pub fn terminate(&self, name: &str) {
        self.process(name).signal("-TERM");
    }

    /// Waits for the end of a process that was asked to stop.
    pub async fn ended(&mut self, name: &str) -> ExitStatus {
        let mut process = self.node_mut(name).process.take().expect("a running process");
        process.ended().await
    }

    fn node(&self, name: &str) -> &Node {
        self.nodes.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes.get_mut(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn process(&self, name: &str) -> &Process {
        self.node(name).process.as_ref().unwrap_or_else(|| panic!("{name} does not run"))
    }

    /// Where packet clients connect to a gateway.
    pub fn gateway(&self, name: &str) -> Endpoint {
        Endpoint::plain("127.0.0.1", self.node(name).gateway)
    }

    /// Where packet clients connect for the log-in alone.
    pub fn login(&self) -> Endpoint {
        plain(self.process("login").addresses["login"])
    }

    /// The master's operators' port.
    pub fn operators(&self) -> SocketAddr {
        self.process("master").addresses["admin"]
    }

    /// Has the operators send a zone to another server; what they are answered.
    pub async fn send_zone(&self, zone: u64, server: &str) -> http::Response {
        let file = self.folder.path().join("master/operator.token");
        let token = std::fs::read_to_string(file).expect("the operators' token");
        let body = serde_json::json!({ "server": server });
        let path = format!("/zones/{zone}/move");
        http::post(self.operators(), &path, Some(token.trim()), &body).await
    }

    /// How many players all zone servers together have.
    pub async fn bodies(&self) -> u64 {
        let mut sum = 0.0;
        for (name, _) in self.nodes.iter().filter(|(_, node)| node.roles == "zone") {
            let metrics = http::get(self.process(name).addresses["admin"], "/metrics").await.body;
            let lines = metrics.lines().filter(|line| line.starts_with("throng_zone_players{"));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            sum += values.sum::<f64>();
        }
        sum as u64
    }

    /// A new player at one of the gateways.
    pub async fn player(&self, gateway: &str, name: &str) -> Player {
        Player::new_at(self.gateway(gateway), name).await
    }

    /// One who has played before.
    pub async fn again(&self, gateway: &str, name: &str) -> Result<Player, ClientError> {
        Player::enter(Client::connect(self.gateway(gateway)).await?, name).await
    }

    /// How the master sees everything now.
    pub async fn status(&self) -> Status {
        let answer = http::get(self.operators(), "/status.json").await.json();
        Status { master: answer["master"].clone() }
    }

    /// Looks at the master's view until it holds what is wanted.
    pub async fn until<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&Self, &Status) -> Option<T>,
    ) -> T {
        within(what, async {
            loop {
                if let Some(found) = wanted(self, &self.status().await) {
                    return found;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        })
        .await
    }

    /// The name of the zone server that a zone runs on.
    pub async fn home(&self, zone: u64) -> &'static str {
        self.until(&format!("a server for zone {zone}"), |world, status| status.home(world, zone))
            .await
    }

    /// What a process has logged over all its starts.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.log_file(name)).unwrap_or_default()
    }

    fn log_file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }
}

impl Node {
    fn spawn(
        &self,
        name: &str,
        (folder, settings): (&std::path::Path, &BTreeMap<String, String>),
        master: &str,
    ) -> Result<Process, String> {
        let mut command = Process::bare_command();
        command.args(["--role", self.roles]).current_dir(folder);
        command.env(variable("name"), name);
        command.env(variable("data_dir"), folder.join(name));
        command.env(variable("ports.link"), self.link.to_string());
        command.env(variable("ports.gateway"), self.gateway.to_string());
        command.env(variable("link.master"), format!("[\"{master}\"]"));
        command.env(variable("link.secret_file"), folder.join("cluster.secret"));
        for (key, value) in settings {
            command.env(variable(key), value);
        }
        Process::spawn(command, folder.join(format!("{name}.log")))
    }
}

impl Drop for World {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say")]
    fn drop(&mut self) {
        for process in self.nodes.values_mut().filter_map(|node| node.process.as_mut()) {
            process.end_now();
        }
        for name in self.nodes.keys() {
            let log = self.log(name);
            if std::thread::panicking() {
                eprintln!("--- {name} ---\n{log}");
            } else {
                assert!(!log.contains("panicked"), "{name} panicked:\n{log}");
                let refused = log.contains("not its source's to say");
                assert!(!refused, "{name} refused what an honest server said:\n{log}");
            }
        }
    }
}

/// The master's view at one moment.
#[derive(Debug)]
pub struct Status {
    master: Value,
}

impl Status {
    /// Whether a master that has just started still hears what there is.
    pub fn settles(&self) -> bool {
        self.master["settling"] != false
    }

    /// How many players are in the world.
    pub fn players(&self) -> u64 {
        self.master["players"].as_u64().unwrap_or(0)
    }

    /// How a process is, if the master knows its newest start.
    pub fn state(&self, world: &World, name: &str) -> Option<&str> {
        self.server(world, name)?["state"].as_str()
    }

    /// The name of the living server that a zone runs on.
    pub fn home(&self, world: &World, zone: u64) -> Option<&'static str> {
        let mut zones = self.master["zones"].as_array()?.iter();
        let view = zones.find(|view| view["zone"] == zone && view["state"] == "running")?;
        let on = |name: &&str| {
            let server = self.server(world, name);
            server.is_some_and(|s| s["server_id"] == view["server"] && s["state"] != "dead")
        };
        world.nodes.keys().copied().find(on)
    }

    /// The newest of those that are, or were, at a process's place.
    fn server(&self, world: &World, name: &str) -> Option<&Value> {
        let servers = self.master["servers"].as_array()?.iter();
        let here = servers.filter(|server| server["link_port"] == world.node(name).link);
        here.max_by_key(|server| server["started_at"].as_u64())
    }
}

/// Runs what blocks beside the test's own tasks.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ends")
}

/// A free port below those that the system gives out by itself, so that nobody else comes by it
/// while the process it is for is away.
fn reserve() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Each run of the tests begins somewhere else.
        let number = NEXT.fetch_add(1, Ordering::Relaxed) + std::process::id() * 128;
        let port = 12_000 + (number % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Says what was measured.
#[expect(clippy::print_stderr, reason = "measured times are there to be read")]
pub fn tell(what: &str) {
    eprintln!("{what}");
}
