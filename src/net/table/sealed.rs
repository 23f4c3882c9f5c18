//! The table's half of TLS: plain bytes in, records out, and back.
//!
//! Encrypting happens at once, so that what waits for a socket is always what goes over the wire,
//! and everything else in the table need not know of TLS.

use std::io::{self, Read as _};

use super::{Table, find};
use crate::net::{ConnId, Written};

/// Bytes of TLS records kept for reuse.
const SEALED_KEPT: usize = 64 * 1_024;

impl Table {
    /// Sends the records that rustls has ready.
    pub(super) fn write_sealed(&mut self, conn: ConnId) -> Written {
        let mut sealed = std::mem::take(&mut self.sealed);
        if let Some(tls) = find(&mut self.slots, conn).and_then(|found| found.tls.as_mut()) {
            while tls.wants_write() && tls.write_tls(&mut sealed).is_ok() {}
        }
        let written = if sealed.is_empty() { Written::All } else { self.write_raw(conn, &sealed) };
        sealed.clear();
        sealed.shrink_to(SEALED_KEPT);
        self.sealed = sealed;
        written
    }

    /// Decrypts from `raw` into `plain`; 0: all of `raw` is used up.
    ///
    /// # Errors
    /// The client has ended its side or broken the protocol; the alert is on its way.
    pub fn decrypt(
        &mut self,
        conn: ConnId,
        raw: &mut &[u8],
        plain: &mut [u8],
    ) -> io::Result<usize> {
        loop {
            let Some(tls) = self.open(conn).and_then(|found| found.tls.as_mut()) else {
                return Ok(0);
            };
            match tls.reader().read(plain) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
            let fed = if raw.is_empty() { 0 } else { tls.read_tls(raw)? };
            let processed = tls.process_new_packets().map_err(io::Error::other);
            if tls.wants_write() {
                self.write_sealed(conn);
            }
            let state = processed?;
            if fed == 0 && state.plaintext_bytes_to_read() == 0 {
                return Ok(0);
            }
        }
    }
}
