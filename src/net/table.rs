//! The connections of one shard: what is written to them, what waits, and how they end.
//!
//! The worker and, through `Io`, its service use it, always from the shard's own thread and never
//! across an await. It calls nobody back: what is to happen next (a writer task, an `on_close`)
//! it leaves in [`Table::next_event`].

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use super::connection::{Assembler, Body};
use super::gate::Admission;
use super::outbound::Outbound;
use super::shard::Seat;
use super::tally::Tally;
use super::transport::Writer;
use super::{CloseReason, ConnId, ConnectionLimits, FrameFault, Written};

/// For the flush of a closing connection; with the sweep that enforces it two seconds at most.
const CLOSE_FLUSH: Duration = Duration::from_secs(1);
/// After the end was sent the client has so long to close its side. Closing first, with its bytes
/// unread, would reset the connection and could take the last packet away from it.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of a lingering client that are read and thrown away.
const LINGER_BYTES: usize = 256 * 1_024;
/// Bytes of TLS records kept for reuse.
const SEALED_KEPT: usize = 64 * 1_024;
/// Most bytes of plain text in a TLS record, and most that a record adds.
const TLS_RECORD: usize = 16_384;
const TLS_RECORD_OVERHEAD: usize = 64;

/// What a connection holds as long as its socket is open.
#[derive(Debug)]
pub(super) struct Held {
    /// Its place in the process.
    pub admission: Admission,
    /// Its place in the shard.
    pub _seat: Seat,
}

/// One connection.
pub(super) struct Connection {
    writer: Writer,
    tls: Option<Box<ServerConnection>>,
    assembler: Assembler,
    frame_since: Option<Instant>,
    /// What waits for the socket.
    pub outbound: Outbound,
    /// A writer task is at work.
    draining: bool,
    closing: Option<Closing>,
    /// See [`Held`].
    pub held: Rc<Held>,
}

struct Closing {
    reason: CloseReason,
    until: Instant,
}

/// The writing half of a connection whose end was sent.
struct Lingering {
    writer: Writer,
    until: Instant,
    left: usize,
}

#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// What the worker has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Start a writer task.
    Drain(ConnId),
    /// Call `on_close`; the connection is out of the table.
    Closed(ConnId, CloseReason),
}

/// What a connection's input has come to.
pub(super) enum Next<'i> {
    /// A frame.
    Frame(Body<'i>),
    /// A frame that is not allowed.
    Fault(FrameFault),
    /// More is needed, or the connection takes nothing any more.
    Nothing,
}

/// What to do with bytes that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Cut them into frames.
    Plain,
    /// Decrypt them first.
    Sealed,
    /// Throw them away.
    Ignored,
    /// Nobody cares; stop reading.
    Over,
}

/// The outcome of a writer task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drained {
    /// Nothing waits any more.
    All,
    /// The connection is gone.
    Gone,
}

/// All connections of one shard.
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    live: usize,
    limits: ConnectionLimits,
    to_drain: Vec<ConnId>,
    finished: Vec<ConnId>,
    lingering: BTreeMap<ConnId, Lingering>,
    /// TLS records on their way from rustls to a socket; empty between calls.
    sealed: Vec<u8>,
    /// When the current round began.
    pub now: Instant,
    /// Counts for the metrics.
    pub tally: Tally,
}

impl Table {
    /// No connections.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
            limits,
            to_drain: Vec::new(),
            finished: Vec::new(),
            lingering: BTreeMap::new(),
            sealed: Vec::new(),
            now: crate::tick::now(),
            tally: Tally::new(),
        }
    }

    /// Takes a connection in.
    pub fn insert(
        &mut self,
        writer: Writer,
        tls: Option<Box<ServerConnection>>,
        assembler: Assembler,
        held: Rc<Held>,
    ) -> ConnId {
        let connection = Connection {
            writer,
            tls,
            assembler,
            frame_since: None,
            outbound: Outbound::default(),
            draining: false,
            closing: None,
            held,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.generation += 1;
        slot.connection = Some(connection);
        self.live += 1;
        conn_id(slot, index as usize)
    }

    /// Connections whose `on_close` has not come.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no socket is left, not even a lingering one.
    pub fn is_quiet(&self) -> bool {
        self.live == 0 && self.lingering.is_empty()
    }

    /// A connection, closing ones among them.
    pub fn get(&self, conn: ConnId) -> Option<&Connection> {
        let slot = self.slots.get(conn.0 as u32 as usize)?;
        if slot.generation == (conn.0 >> 32) as u32 { slot.connection.as_ref() } else { None }
    }

    /// A connection that is not closing.
    fn open(&mut self, conn: ConnId) -> Option<&mut Connection> {
        find(&mut self.slots, conn).filter(|connection| connection.closing.is_none())
    }

    /// See `Io::write`.
    pub fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        let Some(connection) =
            find(&mut self.slots, conn).filter(|connection| connection.closing.is_none())
        else {
            return Written::Refused;
        };
        let size = if connection.tls.is_some() { sealed_size(bytes.len()) } else { bytes.len() };
        if connection.outbound.len() + size > self.limits.outbound_bytes {
            return Written::Refused;
        }
        if let Some(tls) = &mut connection.tls {
            if tls.writer().write_all(bytes).is_err() {
                self.broken(conn);
                return Written::Refused;
            }
            return self.write_sealed(conn);
        }
        self.write_raw(conn, bytes)
    }

    /// Sends the records that rustls has ready.
    fn write_sealed(&mut self, conn: ConnId) -> Written {
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

    /// Writes to the socket if nothing waits; keeps the rest, whatever its size.
    fn write_raw(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        let Some(connection) = find(&mut self.slots, conn) else {
            return Written::Refused;
        };
        let mut rest = bytes;
        if connection.outbound.is_empty() {
            match connection.writer.try_write(bytes) {
                Ok(count) => {
                    self.tally.bytes_out += count as u64;
                    rest = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.broken(conn);
                    return Written::Refused;
                }
            }
        }
        if rest.is_empty() {
            return Written::All;
        }
        connection.outbound.push(rest, self.now);
        if !connection.draining {
            connection.draining = true;
            self.to_drain.push(conn);
        }
        Written::Waiting
    }

    /// For the writer task: ready once nothing waits.
    pub fn poll_drain(&mut self, conn: ConnId, cx: &mut Context<'_>) -> Poll<Drained> {
        let Some(connection) = find(&mut self.slots, conn) else {
            return Poll::Ready(Drained::Gone);
        };
        while !connection.outbound.is_empty() {
            let written = match ready!(connection.writer.poll_ready(cx)) {
                Ok(()) => connection.writer.write_ready(&mut connection.outbound),
                Err(error) => Err(error),
            };
            match written {
                Ok(count) => self.tally.bytes_out += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.broken(conn);
                    return Poll::Ready(Drained::Gone);
                }
            }
        }
        connection.draining = false;
        if connection.closing.is_some() {
            self.finished.push(conn);
            return Poll::Ready(Drained::Gone);
        }
        Poll::Ready(Drained::All)
    }

    /// See `Io::limit_frames`.
    pub fn limit_frames(&mut self, conn: ConnId, most: usize) {
        if let Some(connection) = self.open(conn) {
            connection.assembler.limit(most);
        }
    }

    /// See `Io::close`.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        let until = self.now + CLOSE_FLUSH;
        let Some(connection) = self.open(conn) else {
            return;
        };
        if let Some(tls) = &mut connection.tls {
            tls.send_close_notify();
            self.write_sealed(conn);
        }
        let Some(connection) = self.open(conn) else {
            return;
        };
        let at_once = connection.outbound.is_empty() || reason == CloseReason::TooSlow;
        connection.closing = Some(Closing { reason, until });
        if at_once {
            self.finished.push(conn);
        }
    }

    /// The socket is of no use any more.
    pub fn broken(&mut self, conn: ConnId) {
        self.lingering.remove(&conn);
        if let Some(connection) = find(&mut self.slots, conn) {
            let until = self.now;
            connection.closing.get_or_insert(Closing { reason: CloseReason::Peer, until });
            self.finished.push(conn);
        }
    }

    /// The client has sent its end.
    pub fn ended(&mut self, conn: ConnId) {
        self.lingering.remove(&conn);
        self.close(conn, CloseReason::Peer);
    }

    /// Bytes were read: what is to be done with them?
    pub fn received(&mut self, conn: ConnId, count: usize) -> Input {
        self.tally.bytes_in += count as u64;
        if let Some(connection) = find(&mut self.slots, conn) {
            return match connection {
                Connection { closing: Some(_), .. } => Input::Ignored,
                Connection { tls: Some(_), .. } => Input::Sealed,
                _ => Input::Plain,
            };
        }
        let Some(lingering) = self.lingering.get_mut(&conn) else {
            return Input::Over;
        };
        lingering.left = lingering.left.saturating_sub(count);
        if lingering.left == 0 {
            self.lingering.remove(&conn);
            return Input::Over;
        }
        Input::Ignored
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

    /// The next frame of plain input.
    pub fn next_frame<'i>(&mut self, conn: ConnId, input: &mut &'i [u8]) -> Next<'i> {
        let now = self.now;
        let Some(connection) = self.open(conn) else {
            return Next::Nothing;
        };
        match connection.assembler.next(input) {
            Ok(Some(body)) => {
                connection.frame_since = None;
                Next::Frame(body)
            }
            Ok(None) => {
                if connection.assembler.is_partial() {
                    connection.frame_since.get_or_insert(now);
                }
                Next::Nothing
            }
            Err(fault) => Next::Fault(fault),
        }
    }

    /// Checks a body that came whole.
    pub fn next_body<'i>(&mut self, conn: ConnId, body: &'i [u8]) -> Next<'i> {
        let Some(connection) = self.open(conn) else {
            return Next::Nothing;
        };
        match connection.assembler.check_body(body.len()) {
            Ok(()) => Next::Frame(Body::Whole(body)),
            Err(fault) => Next::Fault(fault),
        }
    }

    /// What the worker has to do next.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(conn) = self.to_drain.pop() {
            return Some(Event::Drain(conn));
        }
        while let Some(conn) = self.finished.pop() {
            if let Some(reason) = self.remove(conn) {
                return Some(Event::Closed(conn, reason));
            }
        }
        None
    }

    fn remove(&mut self, conn: ConnId) -> Option<CloseReason> {
        find(&mut self.slots, conn)?;
        let index = conn.0 as u32;
        let mut connection = self.slots[index as usize].connection.take()?;
        self.free.push(index);
        self.live -= 1;
        let reason = connection.closing.map_or(CloseReason::Peer, |closing| closing.reason);
        connection.writer.end(&reason);
        match reason {
            CloseReason::Peer => {}
            CloseReason::TooSlow => {
                self.tally.slow += 1;
                connection.writer.cut();
            }
            _ => {
                if let Writer::Socket(_) = connection.writer {
                    let until = self.now + LINGER;
                    let lingering =
                        Lingering { writer: connection.writer, until, left: LINGER_BYTES };
                    self.lingering.insert(conn, lingering);
                }
            }
        }
        Some(reason)
    }

    /// Enforces the time-outs.
    pub fn sweep(&mut self) {
        let mut late = Vec::new();
        let mut waiting = 0;
        for (index, slot) in self.slots.iter().enumerate() {
            let Some(connection) = &slot.connection else { continue };
            waiting += connection.outbound.len();
            match &connection.closing {
                Some(closing) if closing.until <= self.now => {
                    self.finished.push(conn_id(slot, index));
                }
                Some(_) => {}
                None => {
                    if let Some(reason) = connection.overdue(self.now, &self.limits) {
                        late.push((conn_id(slot, index), reason));
                    }
                }
            }
        }
        for (conn, reason) in late {
            self.close(conn, reason);
        }
        let now = self.now;
        self.lingering.retain(|_, lingering| {
            let waits = lingering.until > now;
            if !waits {
                lingering.writer.cut();
            }
            waits
        });
        self.tally.publish(waiting);
    }

    /// Starts the end of every connection.
    pub fn close_all(&mut self, reason: &CloseReason) {
        for conn in self.ids() {
            self.close(conn, reason.clone());
        }
    }

    /// Ends every connection now, whatever still waits.
    pub fn finish_all(&mut self) {
        self.finished = self.ids();
    }

    fn ids(&self) -> Vec<ConnId> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.connection.is_some());
        live.map(|(index, slot)| conn_id(slot, index)).collect()
    }
}

impl Connection {
    /// Which time-out of an open connection has passed.
    fn overdue(&self, now: Instant, limits: &ConnectionLimits) -> Option<CloseReason> {
        let passed = |since: Option<Instant>, most: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= most)
        };
        if passed(self.outbound.since(), limits.slow_after) {
            return Some(CloseReason::TooSlow);
        }
        passed(self.frame_since, limits.frame_timeout).then_some(CloseReason::Stalled)
    }
}

/// The id of what is in a slot now: the generation makes it another one for each connection.
fn conn_id(slot: &Slot, index: usize) -> ConnId {
    ConnId(u64::from(slot.generation) << 32 | index as u64)
}

/// Looks a connection up; free-standing, so that the table's other fields stay usable.
fn find(slots: &mut [Slot], conn: ConnId) -> Option<&mut Connection> {
    let slot = slots.get_mut(conn.0 as u32 as usize)?;
    if slot.generation == (conn.0 >> 32) as u32 { slot.connection.as_mut() } else { None }
}

/// Most bytes that so many bytes become under TLS.
fn sealed_size(bytes: usize) -> usize {
    bytes + (bytes / TLS_RECORD + 1) * TLS_RECORD_OVERHEAD
}
