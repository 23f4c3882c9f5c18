//! A throw-away PostgreSQL for tests: made in a temporary folder, gone with the process.
//!
//! Needs the server's programs (`initdb`, `pg_ctl`, `createdb`) and nothing else; if they are
//! missing it panics and names the package. Uses the standard library only, so that unit tests and
//! integration tests can both include this file.
//!
//! A test asks [`Cluster::shared`] for a database of its own in the one cluster of its process; a
//! test that stops the server starts its own cluster.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running (or stopped) server with its data.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    account: Option<Account>,
    port: u16,
    on_tcp: bool,
    keeper: Child,
    databases: AtomicU32,
}

/// The system's user who runs the server, since the server refuses to run as root.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

/// Socket files carry the port in their name; each cluster has its own folder, so one will do.
const SOCKET_PORT: u16 = 5432;
const MISSING: &str = "PostgreSQL's server programs are not installed: apt-get install postgresql \
    (initdb, pg_ctl and createdb must be in PATH or in /usr/lib/postgresql/*/bin)";

impl Cluster {
    /// The cluster that all tests of this process share, started by the first who asks.
    pub fn shared() -> &'static Cluster {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Cluster::start)
    }

    /// A new one, reached through a Unix socket in its own folder.
    pub fn start() -> Self {
        Self::new(None, None)
    }

    /// A new one that listens on a free port of 127.0.0.1 too.
    pub fn start_on_tcp() -> Self {
        Self::new(Some(free_port()), None)
    }

    /// The same, but over TCP it takes TLS alone, with this certificate and its key, in PEM.
    pub fn start_with_tls(certificate: &str, key: &str) -> Self {
        Self::new(Some(free_port()), Some((certificate, key)))
    }

    fn new(tcp_port: Option<u16>, tls: Option<(&str, &str)>) -> Self {
        let programs = programs();
        let account = account();
        let folder = new_folder(account);
        let keeper = keeper(&programs, &folder, account);
        let cluster = Self {
            programs,
            folder,
            account,
            port: tcp_port.unwrap_or(SOCKET_PORT),
            on_tcp: tcp_port.is_some(),
            keeper,
            databases: AtomicU32::new(0),
        };
        let data = cluster.data();
        cluster.run(
            "initdb",
            &[
                "--no-sync",
                "-A",
                "trust",
                "-U",
                "postgres",
                "-E",
                "UTF8",
                "--locale=C",
                "-D",
                &data,
            ],
        );
        if let Some((certificate, key)) = tls {
            cluster.file("data/server.crt", certificate);
            cluster.file("data/server.key", key);
            cluster.file("data/postgresql.auto.conf", "ssl = on\n");
            let hba = "local all all trust\nhostssl all all all trust\n";
            cluster.file("data/pg_hba.conf", hba);
        }
        cluster.resume();
        cluster
    }

    /// Writes a file into its folder, which only its user may read.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).expect("a file in the cluster's folder");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))
            .expect("one's own file");
        if let Some(Account { user, group }) = self.account {
            std::os::unix::fs::chown(&path, Some(user), Some(group)).expect("root may do it");
        }
        path
    }

    /// Its folder, where its socket is too.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The port of its socket, and of 127.0.0.1 if it listens there.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes `command` run as the user that the server runs as, in its folder.
    pub fn as_its_user<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        lower(command, self.account);
        command.current_dir(&self.folder)
    }

    /// Starts the server again after [`Cluster::stop`].
    pub fn resume(&self) {
        let listen = if self.on_tcp { "127.0.0.1" } else { "" };
        let options = format!(
            "-c unix_socket_directories={} -c listen_addresses='{listen}' -p {} -c fsync=off \
             -c max_connections=200 -c shared_buffers=16MB",
            self.folder.display(),
            self.port
        );
        let log = self.folder.join("log").display().to_string();
        self.run("pg_ctl", &["start", "-w", "-D", &self.data(), "-l", &log, "-o", &options]);
    }

    /// Stops the server as if it had crashed: connections break, nothing is tidied up.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "-w", "-m", "immediate", "-D", &self.data()]);
    }

    /// Makes an empty database and gives its address.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let (folder, port) = (self.folder.display().to_string(), self.port.to_string());
        self.run("createdb", &["-h", &folder, "-p", &port, "-U", "postgres", &name]);
        if self.on_tcp {
            return format!("postgres://postgres@127.0.0.1:{port}/{name}");
        }
        format!("postgres://postgres@{}:{port}/{name}", folder.replace('/', "%2F"))
    }

    fn data(&self) -> String {
        self.folder.join("data").display().to_string()
    }

    /// Runs one of PostgreSQL's programs to its end; panics with what it said if it fails.
    fn run(&self, program: &str, arguments: &[&str]) {
        let said = self.folder.join(format!("{program}.out"));
        // Into a file, not a pipe: the server inherits it, and a pipe would stay open.
        let file = std::fs::File::create(&said).expect("a file in the cluster's folder");
        let mut command = Command::new(self.programs.join(program));
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_remove("PGOPTIONS")
            .stdin(Stdio::null())
            .stderr(file.try_clone().expect("a second handle"))
            .stdout(file);
        lower(&mut command, self.account);
        let status = command.status().unwrap_or_else(|error| panic!("{program}: {error}"));
        if !status.success() {
            let said = std::fs::read_to_string(&said).unwrap_or_default();
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            panic!("{program} failed ({status}): {said}\n{log}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The keeper tidies up when its input ends.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("its number").port()
}

/// Starts a shell that waits for the end of its input, then stops the server and deletes the
/// folder. Its input ends when the cluster is dropped, or when this process ends, however it ends:
/// so nothing stays behind after a panic, an abort or a kill, and a static cluster is cleaned up
/// too.
fn keeper(programs: &Path, folder: &Path, account: Option<Account>) -> Child {
    let script = "read -r _; \
        if [ -f \"$2/data/postmaster.pid\" ]; then \
        \"$1/pg_ctl\" stop -w -m immediate -D \"$2/data\"; fi; cd /; rm -rf \"$2\"";
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script, "keeper"])
        .args([programs, folder])
        .current_dir(folder)
        // Ctrl-C in the terminal must not reach it before its work is done.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    lower(&mut command, account);
    command.spawn().expect("a shell at /bin/sh")
}

fn lower(command: &mut Command, account: Option<Account>) {
    if let Some(Account { user, group }) = account {
        command.gid(group).uid(user);
    }
}

/// The folder of the server's programs; the newest version's.
fn programs() -> PathBuf {
    let has_all = |folder: &PathBuf| {
        ["initdb", "pg_ctl", "createdb"].iter().all(|program| folder.join(program).is_file())
    };
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        version.and_then(|name| name.parse::<u32>().ok())
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // The versions' own folders first: what stands in PATH may be a wrapper or a client alone.
    folders.splice(0..0, versions.into_iter().rev());
    folders.into_iter().find(has_all).unwrap_or_else(|| panic!("{MISSING}"))
}

/// Whose rights the server gets: none but this process's own, unless that is root.
fn account() -> Option<Account> {
    let own = std::fs::metadata("/proc/self").expect("/proc is mounted").uid();
    if own != 0 {
        return None;
    }
    let mut users = String::new();
    std::fs::File::open("/etc/passwd")
        .and_then(|mut file| file.read_to_string(&mut users))
        .expect("/etc/passwd can be read");
    // name:password:user:group:…
    let fields: Vec<&str> = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .unwrap_or_else(|| {
            panic!("there is no user 'postgres', and root may not run it: {MISSING}")
        })
        .split(':')
        .collect();
    let number = |at: usize| fields[at].parse().expect("a number in /etc/passwd");
    Some(Account { user: number(2), group: number(3) })
}

/// A folder that only the server's user can enter. Its path is short, as a socket's must be.
fn new_folder(account: Option<Account>) -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("throng-pg-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {
                if let Some(Account { user, group }) = account {
                    std::os::unix::fs::chown(&folder, Some(user), Some(group))
                        .expect("root may give a folder away");
                }
                return folder;
            }
            // Left by a process of the same number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => panic!("cannot make {}: {error}", folder.display()),
        }
    }
}
