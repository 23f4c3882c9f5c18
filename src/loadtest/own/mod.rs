//! A server of the run's own: a child process with a data folder and ports of its own, which ends
//! with the run. `--start` asks for it; `--processes` for one of three processes that share a
//! database.
//!
//! Without a configuration of the caller's it gets one zone, large enough for everybody and empty
//! but for the bots (`world.rs`), whose accounts are there before it starts (`accounts.rs`).

mod accounts;
mod member;
mod world;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::course::HURRY_FAST;
use super::entry::KEY;
use super::options::Options;
use super::process::{Process, Processes};
use super::scrape;
use crate::tick::now;
use member::Member;

/// How long the processes of a server may take until all are ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The parts of a server of several processes, the one that the others need first; the ports that
/// each opens.
const PARTS: [(&str, &[&str]); 3] = [
    ("master,login,chat", &["login", "link", "admin"]),
    ("zone", &["link", "admin"]),
    ("gateway", &["gateway", "link", "admin"]),
];
/// A server of one process.
const WHOLE: (&str, &[&str]) = ("all", &["login", "gateway", "admin"]);
/// The secret that the processes share, in the first one's data folder.
const SECRET: &str = "cluster.secret";

/// A running server that is this run's.
#[derive(Debug)]
pub(super) struct OwnServer {
    members: Vec<Member>,
    folder: Folder,
    /// From the start of the first process until all were ready.
    pub(super) came_up: Duration,
    /// Their memory before anybody came, bytes.
    pub(super) empty: Option<u64>,
    /// What they were told with `--set`, in its form.
    pub(super) settings: Vec<String>,
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

    /// The data folder of the process that plays these roles; the first one's has the keys.
    fn data(&self, roles: &str) -> PathBuf {
        let first = [WHOLE.0, PARTS[0].0].contains(&roles);
        self.0.join(if first { "data" } else { roles })
    }

    fn key(&self) -> PathBuf {
        self.data(WHOLE.0).join(KEY)
    }
}

impl OwnServer {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// If it does not come up; with the end of its log.
    pub(super) fn start(options: &Options) -> anyhow::Result<Self> {
        let folder = Folder::new()?;
        let store = options.database.as_ref().map_or("sqlite", |database| database.url.as_str());
        if options.server_config.is_none() {
            fs::write(folder.0.join("config.toml"), world::configuration(options))?;
            accounts::prepare(options, &folder.data(WHOLE.0), store)?;
        }
        let (own, given) = (world::settings(options), &options.server_settings);
        let settings = own.iter().chain(given).map(|(key, value)| format!("{key}={value}"));
        let mut server = Self {
            members: Vec::new(),
            folder,
            came_up: Duration::ZERO,
            empty: None,
            settings: settings.collect(),
        };
        let began = now();
        let parts = if options.processes { &PARTS[..] } else { &[WHOLE] };
        for (roles, ports) in parts {
            let log = server.folder.0.join(format!("{roles}.log"));
            let member = Member::start(server.command(options, roles, store)?, log, ports)?;
            server.members.push(member);
        }
        if options.processes {
            server.wait_until_ready(began + READY_WITHIN)?;
        }
        server.came_up = began.elapsed();
        server.empty = server.processes().memory();
        Ok(server)
    }

    fn command(&self, options: &Options, roles: &str, store: &str) -> anyhow::Result<Command> {
        let program = std::env::current_exe().context("this program's file is not known")?;
        let mut command = Command::new(program);
        command.args(["--role", roles, "--log-filter", "warn", "--data-dir"]);
        command.arg(self.folder.data(roles)).arg("--config");
        match &options.server_config {
            Some(config) => command.arg(config),
            None => command.arg(self.folder.0.join("config.toml")),
        };
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        // Not an argument: the address may hold a password, and arguments are for all to read.
        command.env("THRONG_STORE__URL", store);
        if let Some(first) = self.members.first() {
            let link = first.port("link").context("the master has no links")?;
            let secret = self.folder.data(PARTS[0].0).join(SECRET);
            command.env("THRONG_LINK__MASTER", format!("[\"{link}\"]"));
            command.env("THRONG_LINK__SECRET_FILE", secret);
        }
        Ok(command)
    }

    fn wait_until_ready(&self, until: Instant) -> anyhow::Result<()> {
        for member in &self.members {
            let ready = || member.port("admin").is_some_and(scrape::is_ready);
            while !ready() {
                if now() > until {
                    bail!("a part of the server is not ready: {}", self.said().join("; "));
                }
                super::fleet::pause(LOOK_AGAIN);
            }
        }
        Ok(())
    }

    /// The options with this server as their target.
    pub(super) fn aim(&self, mut options: Options) -> Options {
        let port = |name: &str| {
            self.members.iter().find_map(|member| member.port(name)).map_or(0, |at| at.port())
        };
        options.target = Some("127.0.0.1".to_owned());
        (options.port, options.login_port) = (Some(port("gateway")), Some(port("login")));
        options.key = Some(self.folder.key());
        if options.server_config.is_none() {
            options.hurry = Some(HURRY_FAST);
        }
        options
    }

    /// Where its operators ask, of each process.
    pub(super) fn admins(&self) -> Vec<SocketAddr> {
        self.members.iter().filter_map(|member| member.port("admin")).collect()
    }

    /// Where it listens, by the banner's word for it.
    pub(super) fn port(&self, name: &str) -> Option<SocketAddr> {
        self.members.iter().find_map(|member| member.port(name))
    }

    /// As the operating system sees it.
    pub(super) fn processes(&self) -> Processes {
        self.members.iter().map(Member::process).collect::<Vec<Process>>().into()
    }

    /// The last lines of its logs, which have warnings and errors only.
    pub(super) fn said(&self) -> Vec<String> {
        self.members.iter().flat_map(Member::said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_its_owner() {
        let folder = Folder::new().unwrap();
        let path = folder.0.clone();
        assert!(path.exists());
        assert_eq!(folder.data("all"), folder.data("master,login,chat"));
        assert_ne!(folder.data("all"), folder.data("zone"));
        drop(folder);
        assert!(!path.exists());
    }
}
