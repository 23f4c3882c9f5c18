//! A throw-away PostgreSQL for a demonstration: made in its folder, reached through a Unix socket
//! there and by nobody else, without any care for a power cut.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::process::Command;

use super::member::{Account, Member, Probe};

/// What of PostgreSQL is run here.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_isready"];
/// The port in the name of the socket's file; the folder is the demonstration's own.
const PORT: &str = "5432";
/// Longest path of a Unix socket, bytes, its ending zero included.
const SOCKET_PATH_MAX: usize = 108;
/// Who owns the database, and its name; both are made by `initdb`.
const OWNER: &str = "postgres";
const MISSING: &str = "a cluster needs PostgreSQL, and its programs (initdb, postgres, pg_isready) \
    are neither in PATH nor in /usr/lib/postgresql/*/bin. Install them, on Debian or Ubuntu with \
    `apt-get install postgresql`, or name a database that is there: --postgres \
    postgres://user@host/database";

/// The programs and whose rights they are run with.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Postgres {
    programs: PathBuf,
    account: Option<Account>,
}

/// A database that has been made.
pub(in crate::cli) struct Database {
    postgres: Postgres,
    folder: PathBuf,
}

impl Postgres {
    /// Looks for the programs.
    ///
    /// # Errors
    /// If they are not there, or root has nobody to run them as; says what to install.
    pub(in crate::cli) fn find() -> anyhow::Result<Self> {
        let programs = candidates()
            .into_iter()
            .find(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()))
            .context(MISSING)?;
        Ok(Self { programs, account: account()? })
    }

    /// Makes an empty database in `folder/postgres`.
    ///
    /// # Errors
    /// What `initdb` says, or that the folder cannot be made.
    pub(in crate::cli) async fn make(self, folder: &Path, group: i32) -> anyhow::Result<Database> {
        let folder = folder.join("postgres");
        let socket = folder.join(format!(".s.PGSQL.{PORT}"));
        if socket.as_os_str().len() >= SOCKET_PATH_MAX {
            bail!(
                "{} is too long a path for a socket; set TMPDIR to a shorter one",
                socket.display()
            );
        }
        super::folder::make(&folder, 0o700)?;
        if let Some(Account { user, group }) = self.account {
            std::os::unix::fs::chown(&folder, Some(user), Some(group))
                .with_context(|| format!("{} cannot be given away", folder.display()))?;
        }
        let mut command = Command::new(self.programs.join("initdb"));
        command
            .args(["--no-sync", "-A", "trust", "-U", OWNER, "-E", "UTF8", "--locale=C", "-D"])
            .arg(folder.join("data"))
            .current_dir("/")
            .process_group(group)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(Account { user, group }) = self.account {
            command.uid(user).gid(group);
        }
        let done = command.output().await.context("initdb cannot be started")?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!("initdb has failed: {}", said.trim().escape_debug());
        }
        Ok(Database { postgres: self, folder })
    }
}

impl Database {
    /// The server, to be kept running.
    pub(in crate::cli) fn member(&self) -> Member {
        let folder = self.folder.display().to_string();
        let program = |name: &str| self.postgres.programs.join(name);
        let mut arguments = vec!["-D".to_owned(), self.folder.join("data").display().to_string()];
        for setting in [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories={folder}"),
            format!("port={PORT}"),
            "max_connections=300".to_owned(),
            "shared_buffers=64MB".to_owned(),
            "fsync=off".to_owned(),
            // A refused name or an old epoch is an answer to a server, not news for people.
            "log_min_messages=fatal".to_owned(),
        ] {
            arguments.extend(["-c".to_owned(), setting]);
        }
        let probe = ["-q", "-h", &folder, "-p", PORT, "-U", OWNER].map(str::to_owned).into();
        Member {
            name: "postgres".into(),
            program: program("postgres"),
            arguments,
            environment: Vec::new(),
            account: self.postgres.account,
            // A fast shutdown: it does not wait for its clients to leave.
            end: Signal::INT,
            ready: Probe::Program(program("pg_isready"), probe),
        }
    }

    /// Its address, for `store.url`.
    pub(in crate::cli) fn url(&self) -> String {
        let host: String = self.folder.display().to_string().bytes().map(in_url).collect();
        format!("postgres://{OWNER}@{host}:{PORT}/{OWNER}")
    }
}

/// A byte of a path as it stands in the place of a host's name.
fn in_url(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    }
}

/// Where the programs may be: the newest version's own folder first, since what stands in PATH may
/// be a wrapper or a client alone.
fn candidates() -> Vec<PathBuf> {
    let version =
        |folder: &PathBuf| -> Option<u32> { folder.parent()?.file_name()?.to_str()?.parse().ok() };
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders
}

/// Whose rights the server gets: the demonstration's own, unless that is root, which PostgreSQL
/// refuses to run as.
fn account() -> anyhow::Result<Option<Account>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
    let found = users.lines().find_map(postgres_account);
    let account = found.context(
        "root may not run PostgreSQL, and there is no user 'postgres' to run it as: start the \
         demonstration as another user, or name a database: --postgres URL",
    )?;
    Ok(Some(account))
}

/// The account of a line of /etc/passwd (`name:password:user:group:…`) if it is PostgreSQL's.
fn postgres_account(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    fields.next().filter(|name| *name == OWNER)?;
    let user = fields.nth(1)?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Account { user, group })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_read_from_its_line() {
        let line = "postgres:x:105:113:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash";
        assert_eq!(postgres_account(line), Some(Account { user: 105, group: 113 }));
        assert_eq!(postgres_account("postgresx:x:1:2::/:/bin/sh"), None);
        assert_eq!(postgres_account("postgres:x:none:2::/:/bin/sh"), None);
    }

    #[test]
    fn a_path_is_a_host_of_an_address() {
        let path: String = "/tmp/a b-1.x_".bytes().map(in_url).collect();
        assert_eq!(path, "%2Ftmp%2Fa%20b-1.x_");
    }
}
