//! The data folder: what the server makes at its first start and needs at every later one.
//!
//! Keys and tokens lie here with mode 0600; no secret has a default. Used by `run.rs` and the
//! command line only.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::limits::SECRET_CHARS_MIN;

/// An open data folder.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

/// Bytes of a new secret.
const SECRET_BYTES: usize = 32;

/// Opens the folder, making it (mode 0700) if it is not there.
///
/// # Errors
/// If it cannot be made, or is no folder.
pub fn open(path: &Path) -> anyhow::Result<DataDir> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .with_context(|| format!("the data folder {} cannot be made", path.display()))?;
    Ok(DataDir { path: path.to_owned() })
}

impl DataDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The secret kept in `name` as hex, made at random (mode 0600) if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no secret.
    pub fn secret(&self, name: &str) -> anyhow::Result<String> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => checked(&path, &text, "delete it to get a new one"),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let secret: String = rand::random::<[u8; SECRET_BYTES]>()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                write_private(&path, secret.as_bytes())?;
                Ok(secret)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }
}

/// That this process alone serves from a place. Given back when it is dropped; the system gives it
/// back for a process that dies.
#[derive(Debug)]
#[must_use = "it is given back when it is dropped"]
pub struct Claim {
    _held: File,
}

/// The name of the claim's file in a data folder.
const CLAIM: &str = "throng.lock";

impl DataDir {
    /// Claims the folder for this process.
    ///
    /// # Errors
    /// If another process has it, with its number; if the claim's file cannot be made or locked.
    pub fn claim(&self) -> anyhow::Result<Claim> {
        let taken = format!("the data folder {}", self.path.display());
        claim(&self.file(CLAIM), &taken)
    }
}

/// Claims a database's file, which need not be there yet, for this process, by a file beside it:
/// by whatever path or link it is named, it is the same claim.
///
/// # Errors
/// As [`DataDir::claim`].
pub fn claim_database(file: &Path) -> anyhow::Result<Claim> {
    let named = || format!("the database {}", file.display());
    let real = match fs::canonicalize(file) {
        Ok(real) => real,
        Err(_) => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = open(folder.unwrap_or(Path::new(".")))?;
            let folder = fs::canonicalize(folder.path()).with_context(named)?;
            folder.join(file.file_name().with_context(|| format!("{} is no file", named()))?)
        }
    };
    let mut beside = real.into_os_string();
    beside.push(".lock");
    claim(Path::new(&beside), &named())
}

/// Locks the file at `path`, which stays there when the lock is gone: deleting it would let two
/// processes lock two files of one name.
fn claim(path: &Path, what: &str) -> anyhow::Result<Claim> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let cannot = |how| format!("{} cannot be {how}", path.display());
    let mut file = options.open(path).with_context(|| cannot("opened"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(path).unwrap_or_default();
            let holder = match holder.trim() {
                "" => "another process".to_owned(),
                pid => format!("the process with the pid {pid}"),
            };
            bail!("{what} is in use by {holder}: stop that one first, or use another place");
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(|| cannot("locked")),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| cannot("written"))?;
    Ok(Claim { _held: file })
}

/// The secret kept in a file that somebody else has made.
///
/// # Errors
/// If the file cannot be read, or holds no secret.
pub fn read_secret(path: &Path) -> anyhow::Result<String> {
    let text = fs::read_to_string(path);
    let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
    checked(path, &text, "put 64 random hex digits into it, the same for all processes")
}

/// The secret in a file's text; if it is none, says what to do.
fn checked(path: &Path, text: &str, what_to_do: &str) -> anyhow::Result<String> {
    let text = text.trim();
    if text.len() < SECRET_CHARS_MIN {
        bail!(
            "{} holds no secret of at least {SECRET_CHARS_MIN} characters; {what_to_do}",
            path.display()
        );
    }
    Ok(text.to_owned())
}

fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file =
        options.open(path).with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(bytes).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = open(&folder.path().join("deep/data")).unwrap();
        let secret = data.secret("operator.token").unwrap();
        assert_eq!(secret.len(), 2 * SECRET_BYTES);
        assert_eq!(data.secret("operator.token").unwrap(), secret);
        assert_ne!(data.secret("cluster.secret").unwrap(), secret);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(data.file("operator.token")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_database_is_claimed_once_by_whatever_path() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("new/world.db"), folder.path().join("link.db"));
        let first = claim_database(&file).unwrap();
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        for path in [&file, &link, &folder.path().join("new/../new/world.db")] {
            let told = claim_database(path).unwrap_err().to_string();
            assert!(told.contains(&format!("pid {}:", std::process::id())), "{told}");
        }
        let _other = claim_database(&folder.path().join("new/other.db")).unwrap();
        drop(first);
        let _again = claim_database(&link).unwrap();
    }

    #[test]
    fn an_empty_secret_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("operator.token"), "\n").unwrap();
        let error = open(folder.path()).unwrap().secret("operator.token").unwrap_err();
        assert!(error.to_string().contains("delete it"), "{error}");
        let shared = folder.path().join("cluster.secret");
        fs::write(&shared, "short").unwrap();
        let error = read_secret(&shared).unwrap_err().to_string();
        assert!(
            error.contains("the same for all processes") && !error.contains("delete"),
            "{error}"
        );
    }
}
