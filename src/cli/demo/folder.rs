//! The folder of a demonstration: each process's data folder, the cluster's secret, the database.
//!
//! Made new in the system's folder for temporary files, and deleted at the end by `leash.rs`.

use std::fs::{DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Bytes of the cluster's secret, which stands in its file as hex digits.
const SECRET_BYTES: usize = 32;
/// Names that are tried.
const FOLDERS: u32 = 100;

/// Makes a new folder. Others may pass through it, for the database's user must, but not look in.
///
/// # Errors
/// If it cannot be made.
pub(in crate::cli) fn scratch() -> anyhow::Result<PathBuf> {
    let base = std::env::temp_dir();
    for number in 0..FOLDERS {
        let folder = base.join(format!("throng-demo-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o711).create(&folder) {
            // Whatever the umask says.
            Ok(()) => {
                std::fs::set_permissions(&folder, Permissions::from_mode(0o711))?;
                return Ok(folder);
            }
            // Left by a process of the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{} cannot be made", folder.display()));
            }
        }
    }
    anyhow::bail!("{} is full of folders of demonstrations", base.display())
}

/// Makes one folder.
///
/// # Errors
/// If it cannot be made.
pub(in crate::cli) fn make(folder: &Path, mode: u32) -> anyhow::Result<()> {
    DirBuilder::new()
        .mode(mode)
        .create(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))
}

/// Writes a new secret that all servers share; gives its file.
///
/// # Errors
/// If it cannot be written.
pub(in crate::cli) fn new_secret(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("cluster.secret");
    let secret = rand::random::<[u8; SECRET_BYTES]>();
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}
