//! Between the connection table and the service: what was read becomes calls, and what the calls
//! have left to be done is done.
//!
//! Only the shard's worker uses it. A panic in the service ends the connection it was about and
//! nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use metrics::counter;
use tracing::error;

use super::assembler::READ_MAX;
use super::table::{Event, Next, Table, What};
use super::{CloseReason, ConnId, Io, Peer, Service};

/// Bytes read at once, and decrypted at once; the buffers are the shard's, not a connection's.
const BUFFER: usize = READ_MAX;
/// Reads of one connection before the others get their turn.
const READS_IN_A_ROW: usize = 4;
/// Frames of one connection before the others get their turn.
const FRAMES_IN_A_ROW: usize = 64;

/// What one connection's turn has come to.
#[derive(Default)]
struct Turn {
    /// Whose it is, once a frame of it was handled.
    conn: Option<ConnId>,
    /// Frames handled, and their bytes with what is between them.
    frames: usize,
    bytes: usize,
    /// The service has paused it.
    paused: bool,
    /// Some of what was read waits for the next turn.
    left_over: bool,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.paused || self.left_over || self.frames >= FRAMES_IN_A_ROW
    }
}

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
            let mut turn = Turn::default();
            self.on_sealed(&mut turn, conn, &[]);
            self.settle();
            self.end_turn(conn.place(), &turn, false);
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

    /// The shard has stood still for so long: nobody was silent meanwhile.
    pub fn on_stall(&mut self, lost: Duration) {
        self.table.forgive(lost);
        self.call(None, |service, _| service.on_stall(lost));
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

    /// Something is at a place: reads and handles it, and tells how many frames that were. With more
    /// than its share the place stands in line for the rest; while it is paused nothing is read.
    pub fn on_readable(&mut self, place: usize) -> usize {
        let Ok(rest) = self.table.take_rest(place) else { return 0 };
        let mut turn = Turn::default();
        if let Some((conn, rest)) = rest {
            self.on_rest(&mut turn, conn, rest);
            self.settle();
        }
        let mut raw = std::mem::take(&mut self.raw);
        let mut more = true;
        for _ in 0..READS_IN_A_ROW {
            if turn.is_over() || !more {
                break;
            }
            let arrival = self.table.read(place, &mut raw);
            match arrival.what {
                What::Plain(conn, count) => self.on_input(&mut turn, conn, &raw[..count]),
                What::Sealed(conn, count) => self.on_sealed(&mut turn, conn, &raw[..count]),
                What::Body(conn, body) => self.on_body(&mut turn, conn, &body),
                What::Nothing => {}
            }
            self.settle();
            more = arrival.more;
        }
        self.raw = raw;
        self.end_turn(place, &turn, more);
        turn.frames
    }

    /// A connection's turn is over: the service writes what it has to say, and hears how much more
    /// there is of one that it has paused. `more`: there may be more to read.
    fn end_turn(&mut self, place: usize, turn: &Turn, more: bool) {
        if let Some(conn) = turn.conn {
            self.call(Some(conn), |service, io| service.on_turn(io));
            if turn.paused {
                let waiting = self.table.waiting_frames(conn, turn.frames, turn.bytes);
                self.call(Some(conn), |service, io| service.on_paused(io, conn, waiting));
            }
            self.settle();
        }
        // Whoever is paused has its turn when the pause ends.
        if (more || turn.left_over) && !turn.paused {
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

    /// Handles what an earlier turn has left over.
    fn on_rest(&mut self, turn: &mut Turn, conn: ConnId, mut rest: BytesMut) {
        let left = self.on_plain(turn, conn, &rest);
        if left > 0 {
            rest.advance(rest.len() - left);
            self.table.keep_rest(conn, rest);
        }
    }

    /// Handles plain input, and keeps what the turn is too short for.
    fn on_input(&mut self, turn: &mut Turn, conn: ConnId, input: &[u8]) {
        let left = self.on_plain(turn, conn, input);
        if left > 0 {
            self.table.add_to_rest(conn, &input[input.len() - left..]);
        }
    }

    /// Handles plain input as far as the turn goes; tells how many bytes are left for the next one.
    fn on_plain(&mut self, turn: &mut Turn, conn: ConnId, mut input: &[u8]) -> usize {
        while !input.is_empty() {
            if turn.is_over() {
                turn.left_over = true;
                return input.len();
            }
            let before = input.len();
            let next = self.table.next_frame(conn, &mut input);
            turn.bytes += before - input.len();
            if !self.on_next(turn, conn, &next) {
                return 0;
            }
        }
        0
    }

    fn on_sealed(&mut self, turn: &mut Turn, conn: ConnId, mut bytes: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.resize(BUFFER, 0);
        loop {
            match self.table.decrypt(conn, &mut bytes, &mut plain) {
                Ok(0) => break,
                Ok(count) => self.on_input(turn, conn, &plain[..count]),
                Err(_) => {
                    self.table.ended(conn);
                    break;
                }
            }
        }
        self.plain = plain;
    }

    fn on_body(&mut self, turn: &mut Turn, conn: ConnId, body: &[u8]) {
        turn.bytes += body.len();
        let next = self.table.next_body(conn, body);
        self.on_next(turn, conn, &next);
    }

    /// Hands a frame to the service; false if there is none to follow.
    fn on_next(&mut self, turn: &mut Turn, conn: ConnId, next: &Next<'_>) -> bool {
        match next {
            Next::Frame(body) => {
                turn.conn = Some(conn);
                turn.frames += 1;
                self.call(Some(conn), |service, io| service.on_frame(io, conn, body.bytes()));
                turn.paused = self.table.is_paused(conn);
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
