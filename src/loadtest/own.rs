//! A server of the run's own: a child process with a data folder and ports of its own, which ends
//! with the run. `--start` asks for it.
//!
//! Without a configuration of the caller's it gets one zone, large enough for everybody and empty
//! but for the bots, so that what is measured is the players; hashing is cheap unless logging in is
//! what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::course::HURRY_FAST;
use super::options::{Options, Scenario};
use super::process::Process;
use crate::tick::now;

/// How long a server may take to stop; then it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Area that a group needs to be out of the others' sight, m².
const GROUP_AREA: f64 = 4_200.0;
/// Smallest side of the zone, m.
const SIDE_MIN: f64 = 500.0;
/// Ports that the banner tells of.
const PORTS: [&str; 3] = ["login", "gateway", "admin"];
/// Lines of a failed server's log that are shown.
const LOG_SHOWN: usize = 5;

/// A running server that is this run's.
#[derive(Debug)]
pub(super) struct OwnServer {
    child: Child,
    folder: Folder,
    /// Its end would break the server's standard output.
    _banner: BufReader<ChildStdout>,
    ports: BTreeMap<String, SocketAddr>,
    /// From the start of the process until it listened.
    pub(super) came_up: Duration,
    /// Its memory before anybody came, bytes.
    pub(super) empty: Option<u64>,
}

/// A folder that goes when the run does.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let name = format!("throng-loadtest-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("no folder for the server at {}", path.display()))?;
        Ok(Self(path))
    }

    fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    fn log(&self) -> PathBuf {
        self.0.join("server.log")
    }
}

impl OwnServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// If it does not come up; with the end of its log.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let program = std::env::current_exe().context("this program's file is not known")?;
        let log = fs::File::create(folder.log())?;
        let mut command = Command::new(program);
        command.args(["--role", "all", "--log-filter", "warn", "--data-dir"]).arg(folder.data());
        if let Some(config) = &options.server_config {
            command.arg("--config").arg(config);
        } else {
            let file = folder.0.join("config.toml");
            fs::write(&file, configuration(options))?;
            command.arg("--config").arg(file);
        }
        for (key, value) in own_settings(options).iter().chain(&options.server_settings) {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        let began = now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the server cannot be started")?;
        let output = child.stdout.take().context("the server has no output")?;
        let mut banner = BufReader::new(output);
        let ports = addresses(&mut banner);
        let came_up = began.elapsed();
        let mut server = Self { child, folder, _banner: banner, ports, came_up, empty: None };
        if PORTS.iter().any(|port| !server.ports.contains_key(*port)) {
            bail!("the server did not come up: {}", server.last_words());
        }
        server.empty = server.process().memory();
        Ok(server)
    }

    /// The options with this server as their target.
    pub(super) fn aim(&self, mut options: Options) -> Options {
        let port = |name: &str| self.ports.get(name).map_or(0, SocketAddr::port);
        options.target = "127.0.0.1".to_owned();
        (options.port, options.login_port) = (port("gateway"), port("login"));
        options.key = self.folder.data().join("login.key");
        if options.server_config.is_none() {
            options.hurry = Some(HURRY_FAST);
        }
        options
    }

    /// Where its operators ask.
    pub(super) fn admin(&self) -> Option<SocketAddr> {
        self.ports.get("admin").copied()
    }

    /// As the operating system sees it.
    pub(super) fn process(&self) -> Process {
        Process::of(self.child.id())
    }

    /// The last lines of its log, which has warnings and errors only.
    pub(super) fn said(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.log()).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(LOG_SHOWN)..].to_vec()
    }

    fn last_words(&mut self) -> String {
        // It has closed its output: it is ending.
        let _ = self.child.wait();
        self.said().join("; ")
    }

    fn ended_by(&mut self, until: Instant) -> bool {
        while now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            super::fleet::pause(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        if !asked || !self.ended_by(now() + STOP_WITHIN) {
            // Fails only if it has ended after all.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
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

/// What holds whatever the configuration says: ports that nobody uses, room for everybody.
fn own_settings(options: &Options) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = ["login", "gateway", "text", "http", "link"]
        .map(|port| (format!("ports.{port}"), "0".to_owned()))
        .into();
    settings.push(("ports.bind".into(), "127.0.0.1".into()));
    settings.push(("ports.admin".into(), "127.0.0.1:0".into()));
    settings.push(("net.max_connections".into(), (options.clients + 500).to_string()));
    if options.scenario != Scenario::LoginStorm {
        settings.push(("login.argon2.memory_kib".into(), "8".into()));
        settings.push(("login.argon2.passes".into(), "1".into()));
    }
    if options.scenario == Scenario::Echo {
        settings.push(("net.rate.packets_per_second".into(), "10000".into()));
        settings.push(("net.rate.packet_burst".into(), "10000".into()));
    }
    if options.scenario == Scenario::Chat {
        settings.push(("net.rate.chat_messages".into(), "100".into()));
    }
    settings
}

/// One empty zone in which all groups have room.
fn configuration(options: &Options) -> String {
    let groups = options.clients.div_ceil(options.group);
    let half = ((f64::from(groups) * GROUP_AREA).sqrt() * 1.15).max(SIDE_MIN) / 2.0;
    format!(
        "[zone]\nmax_players = {players}\n\
         [world]\nquests = {{}}\n\
         [world.rules]\nplayer_speed = {speed:?}\n\
         [[world.zones]]\nid = 1\nname = \"Plain\"\n\
         bounds = {{ min_x = {low:.0}, min_y = {low:.0}, max_x = {high:.0}, max_y = {high:.0} }}\n\
         spawn = {{ x = 0, y = 0 }}\n",
        players = options.clients + 500,
        speed = HURRY_FAST + 5.0,
        low = -half,
        high = half,
    )
}

#[cfg(test)]
mod tests {
    use super::super::options::for_test;
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
    fn everybody_has_room() {
        for clients in ["1", "5000", "20000"] {
            let options = for_test(&["--clients", clients]);
            let text = configuration(&options);
            let table: toml::Table = toml::from_str(&text).unwrap();
            let zone = &table["world"]["zones"][0]["bounds"];
            let side = zone["max_x"].as_integer().unwrap() - zone["min_x"].as_integer().unwrap();
            assert!((500..10_000).contains(&side), "{text}");
        }
    }

    #[test]
    fn the_folder_goes_with_its_owner() {
        let folder = Folder::new().unwrap();
        let path = folder.0.clone();
        assert!(path.exists());
        drop(folder);
        assert!(!path.exists());
    }
}
