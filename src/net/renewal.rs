//! Notices that the files of a certificate have changed, and has them read again.
//!
//! The composition looks every few seconds, off the async threads: everything in here reads files.
//! It never takes what does not load; the certificate before stays then.

use std::path::Path;
use std::time::SystemTime;

use super::tls::{Tls, TlsError};

/// How two files look from outside: when they were written, and their lengths. None: not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([Option<(SystemTime, u64)>; 2]);

impl Stamp {
    /// Of these files now.
    pub(super) fn of(files: [&Path; 2]) -> Self {
        Self(files.map(|file| {
            let file = std::fs::metadata(file).ok()?;
            Some((file.modified().ok()?, file.len()))
        }))
    }
}

/// Keeps the certificate of a [`Tls`] as its files are.
#[derive(Debug)]
pub struct Renewal {
    tls: Tls,
    /// What was read last, whether it was taken or not.
    read: Stamp,
    /// At the last look.
    seen: Stamp,
}

impl Renewal {
    /// Of what `tls` was loaded from.
    pub fn new(tls: Tls) -> Self {
        let read = tls.loaded();
        Self { tls, read, seen: read }
    }

    /// Reads the files again if they are others than those read last and were the same at the last
    /// look: they are two, and not written at once. None: nothing to do.
    pub fn look(&mut self) -> Option<Result<(), TlsError>> {
        let now = self.tls.stamp();
        let settled = now == self.seen;
        self.seen = now;
        (settled && now != self.read).then(|| self.reread())
    }

    /// Reads the files again. New connections get what they hold, open ones stay.
    ///
    /// # Errors
    /// Names the file and what is wrong with it. The certificate before is served on then.
    pub fn reread(&mut self) -> Result<(), TlsError> {
        self.read = self.tls.stamp();
        self.tls.reload()
    }
}
