//! A throw-away PgBouncer in transaction mode before a throw-away PostgreSQL: two transactions of one
//! client may run in two sessions of the server, and clients share the few sessions there are.
//!
//! Needs the program and nothing else; if it is missing it panics and names the package. A file
//! that includes this one includes `postgres.rs` as well.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::postgres::{Cluster, free_port};

/// Debian's is in a folder that is not everybody's PATH.
const DEBIANS: &str = "/usr/sbin";
const MISSING: &str = "PgBouncer is not installed: apt-get install pgbouncer";
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// What a pooler says to what it does not know in a session's first message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It refuses the session, as it does without being told otherwise.
    Refused,
    /// It drops it silently.
    Ignored,
}

/// A running one; ends when it is dropped.
pub struct Pooler {
    child: Child,
    port: u16,
}

impl Pooler {
    /// Starts one on a free port of 127.0.0.1, with at most `sessions` at the server for each
    /// database.
    pub fn start(cluster: &Cluster, sessions: u32, unknown: Unknown) -> Self {
        let port = free_port();
        let ignored = match unknown {
            Unknown::Refused => "",
            Unknown::Ignored => "ignore_startup_parameters = extra_float_digits,options\n",
        };
        // With "any" it is the database's line that says who comes.
        let settings = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {sessions}\nmax_client_conn = 500\n\
             server_round_robin = 1\n{ignored}",
            cluster.folder().display(),
            cluster.port(),
        );
        let file = cluster.file(&format!("pgbouncer-{port}.ini"), &settings);
        let mut command = Command::new(program());
        command.arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = cluster.as_its_user(&mut command).spawn();
        let mut pooler = Self { child: child.expect("it can be started"), port };
        pooler.await_start();
        pooler
    }

    /// The way through it to a database that [`Cluster::database`] has made.
    pub fn address(&self, database: &str) -> String {
        let name = database.rsplit('/').next().unwrap_or_default();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    #[allow(clippy::disallowed_methods, reason = "the process tells nobody when it listens")]
    fn await_start(&mut self) {
        let until = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.child.try_wait().expect("a child of this process");
            assert!(ended.is_none(), "pgbouncer has ended: {ended:?}");
            assert!(Instant::now() < until, "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from(DEBIANS)]);
    let mut programs = folders.map(|folder| folder.join("pgbouncer"));
    programs.find(|program| program.is_file()).unwrap_or_else(|| panic!("{MISSING}"))
}
