//! Between the connection table and the service: what was read becomes calls, and what the calls
//! have left to be done is done.
//!
//! Only the shard's worker uses it. A panic in the service ends the connection it was about and
//! nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

use metrics::counter;
use tracing::error;

use super::table::{Event, Next, Table, What};
use super::{CloseReason, ConnId, Io, Peer, Service};

/// Bytes read at once, and decrypted at once; the buffers are the shard's, not a connection's.
const BUFFER: usize = 64 * 1_024;
/// Reads of one connection before the others get their turn.
const READS_IN_A_ROW: usize = 4;

/// A shard's service and its connections.
pub(super) struct Dispatch<S> {
    service: S,
    /// The connections.
    pub table: Table,
    /// Bytes as they are read.
    raw: Vec<u8>,
    /// Decrypted bytes; empty until the first TLS connection.
    plain: Vec<u8>,
}

impl<S: Service> Dispatch<S> {
    /// Nobody yet.
    pub fn new(service: S, table: Table) -> Self {
        Self { service, table, raw: vec![0; BUFFER], plain: Vec::new() }
    }

    /// Calls the service. If it panics, the connection that it was about is closed.
    fn call(&mut self, subject: Option<ConnId>, act: impl FnOnce(&mut S, &mut Io<'_>)) {
        let (service, table) = (&mut self.service, &mut self.table);
        let outcome = catch_unwind(AssertUnwindSafe(|| act(service, &mut Io { table })));
        if outcome.is_err() {
            counter!("throng_service_panics_total").increment(1);
            error!(conn = ?subject, "the service of a connection has panicked; the connection ends");
            if let Some(conn) = subject {
                self.table.close(conn, CloseReason::Service);
            }
        }
    }

    /// Does what the last calls have left to be done.
    pub fn settle(&mut self) {
        while let Some(event) = self.table.next_event() {
            match event {
                Event::Flush(place) => self.flush(place),
                Event::Closed(conn, reason) => {
                    self.call(None, |service, io| service.on_close(io, conn, reason));
                }
            }
        }
    }

    /// Does something to the table, and what follows from it.
    pub fn act(&mut self, act: impl FnOnce(&mut Table)) {
        act(&mut self.table);
        self.settle();
    }

    /// A connection is in the table.
    pub fn on_open(&mut self, conn: ConnId, peer: Peer, sealed: bool) {
        self.call(Some(conn), |service, io| service.on_open(io, conn, peer));
        self.settle();
        if sealed {
            // The last flight of the handshake may have brought the first frames.
            self.on_sealed(conn, &[]);
            self.settle();
        }
    }

    /// Messages for the service; none are left.
    pub fn on_messages(&mut self, batch: &mut Vec<S::Msg>) {
        if batch.is_empty() {
            return;
        }
        self.call(None, |service, io| service.on_msgs(io, batch));
        batch.clear();
        self.settle();
    }

    /// Once a second: time-outs.
    pub fn on_sweep(&mut self) {
        self.act(Table::sweep);
        self.call(None, |service, io| service.on_sweep(io, io.now()));
        self.settle();
    }

    /// An event of a socket.
    pub fn on_event(&mut self, event: &mio::event::Event) {
        let mio::Token(place) = event.token();
        let hung_up = event.is_read_closed() || event.is_error();
        if (event.is_readable() || hung_up) && self.table.on_readable(place, hung_up) {
            self.on_readable(place);
        }
        if event.is_writable() || event.is_error() {
            self.on_writable(place);
        }
    }

    /// Something is at a place: reads and handles it. With more than its share the place stands in
    /// line for the rest.
    pub fn on_readable(&mut self, place: usize) {
        let mut raw = std::mem::take(&mut self.raw);
        let mut more = true;
        for _ in 0..READS_IN_A_ROW {
            let arrival = self.table.read(place, &mut raw);
            match arrival.what {
                What::Plain(conn, count) => self.on_plain(conn, &raw[..count]),
                What::Sealed(conn, count) => self.on_sealed(conn, &raw[..count]),
                What::Body(conn, body) => self.on_body(conn, &body),
                What::Nothing => {}
            }
            self.settle();
            more = arrival.more;
            if !more {
                break;
            }
        }
        self.raw = raw;
        if more {
            self.table.stand_in_line(place);
        }
    }

    /// A place may take some of what waits there.
    pub fn on_writable(&mut self, place: usize) {
        self.flush(place);
        self.settle();
    }

    fn flush(&mut self, place: usize) {
        if let Some(conn) = self.table.flush(place) {
            self.call(Some(conn), |service, io| service.on_drained(io, conn));
        }
    }

    fn on_plain(&mut self, conn: ConnId, mut input: &[u8]) {
        while !input.is_empty() {
            let next = self.table.next_frame(conn, &mut input);
            if !self.on_next(conn, &next) {
                return;
            }
        }
    }

    fn on_sealed(&mut self, conn: ConnId, mut bytes: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.resize(BUFFER, 0);
        loop {
            match self.table.decrypt(conn, &mut bytes, &mut plain) {
                Ok(0) => break,
                Ok(count) => self.on_plain(conn, &plain[..count]),
                Err(_) => {
                    self.table.ended(conn);
                    break;
                }
            }
        }
        self.plain = plain;
    }

    fn on_body(&mut self, conn: ConnId, body: &[u8]) {
        let next = self.table.next_body(conn, body);
        self.on_next(conn, &next);
    }

    /// Hands a frame to the service; false if there is none to follow.
    fn on_next(&mut self, conn: ConnId, next: &Next<'_>) -> bool {
        match next {
            Next::Frame(body) => {
                self.call(Some(conn), |service, io| service.on_frame(io, conn, body.bytes()));
                true
            }
            Next::Fault(fault) => {
                self.call(Some(conn), |service, io| service.on_fault(io, conn, *fault));
                self.table.close(conn, CloseReason::BadFrame(*fault));
                false
            }
            Next::Nothing => false,
        }
    }
}
