//! The connections of one shard: which there are, what is written to them, and how they end.
//!
//! The worker and, through `Io`, its service use it, always from the shard's own thread. It calls
//! nobody back: what is to happen next (a flush, an `on_close`) it leaves in
//! [`Table::next_event`].

mod reading;
mod sealed;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::Write as _;
use std::time::{Duration, Instant};

use rustls::ServerConnection;

pub(super) use self::reading::{Next, What};
use super::assembler::Assembler;
use super::connection::{Closing, Connection, Held};
use super::tally::Tally;
use super::transport::Wire;
use super::{CloseReason, ConnId, ConnectionLimits, Written};

/// For the flush of a closing connection; with the sweep that enforces it two seconds at most.
const CLOSE_FLUSH: Duration = Duration::from_secs(1);
/// After the end was sent the client has so long to close its side. Closing first, with its bytes
/// unread, would reset the connection and could take the last packet away from it.
const LINGER: Duration = Duration::from_secs(2);
/// Bytes of a lingering client that are read and thrown away.
const LINGER_BYTES: usize = 256 * 1_024;
/// One write to a connection that has nothing waiting may be so many times the bound on waiting
/// bytes: entering a crowd is told at once, to clients that are not slow.
const IDLE_BURST: usize = 4;

/// A connection whose end was sent.
struct Lingering {
    wire: Wire,
    until: Instant,
    left: usize,
    _held: Held,
}

/// What a place of the table holds.
#[derive(Default)]
enum Entry {
    #[default]
    Vacant,
    Open(Connection),
    Lingering(Lingering),
}

#[derive(Default)]
struct Slot {
    generation: u32,
    /// It has its turn to be read without an event.
    in_line: bool,
    /// The client's end is among what there is to read.
    hung_up: bool,
    entry: Entry,
}

/// What the worker has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Flush a place whose wire must be asked when it takes more.
    Flush(usize),
    /// Call `on_close`; the connection is out of the table.
    Closed(ConnId, CloseReason),
}

/// All connections of one shard.
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<usize>,
    live: usize,
    lingering: usize,
    limits: ConnectionLimits,
    to_flush: Vec<usize>,
    finished: Vec<ConnId>,
    /// Places that are read without an event, in turn; each is in it at most once.
    line: VecDeque<usize>,
    /// When pauses end, the next first; of each connection at most one.
    pauses: BinaryHeap<Reverse<(Instant, ConnId)>>,
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
            lingering: 0,
            limits,
            to_flush: Vec::new(),
            finished: Vec::new(),
            line: VecDeque::new(),
            pauses: BinaryHeap::new(),
            sealed: Vec::new(),
            now: crate::tick::now(),
            tally: Tally::new(),
        }
    }

    /// The place that the next connection gets.
    pub fn next_place(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Takes a connection in, at [`Self::next_place`].
    pub fn insert(
        &mut self,
        wire: Wire,
        tls: Option<Box<ServerConnection>>,
        assembler: Assembler,
        held: Held,
    ) -> ConnId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        let slot = &mut self.slots[place];
        slot.generation += 1;
        slot.hung_up = false;
        slot.entry = Entry::Open(Connection::new(wire, tls, assembler, held));
        self.live += 1;
        conn_id(slot, place)
    }

    /// Connections whose `on_close` has not come.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether nothing is left, neither a lingering socket nor a bridge with last words to send.
    pub fn is_quiet(&self) -> bool {
        self.live == 0 && self.lingering == 0
    }

    /// A connection, closing ones among them.
    pub fn get(&self, conn: ConnId) -> Option<&Connection> {
        match self.slots.get(conn.place())? {
            Slot { generation, entry: Entry::Open(connection), .. }
                if *generation == conn.generation() =>
            {
                Some(connection)
            }
            _ => None,
        }
    }

    /// A connection that is not closing.
    fn open(&mut self, conn: ConnId) -> Option<&mut Connection> {
        find(&mut self.slots, conn).filter(|connection| connection.closing.is_none())
    }

    /// See `Io::write`.
    pub fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        let bound = self.limits.outbound_bytes;
        let Some(connection) = self.open(conn) else {
            return Written::Refused;
        };
        let waiting = connection.outbound.len();
        let bound = if waiting == 0 { bound * IDLE_BURST } else { bound };
        if waiting + connection.size_on_wire(bytes.len()) > bound {
            return Written::Refused;
        }
        let Some(tls) = &mut connection.tls else {
            return self.write_raw(conn, bytes);
        };
        if tls.writer().write_all(bytes).is_err() {
            self.broken(conn);
            return Written::Refused;
        }
        self.write_sealed(conn)
    }

    /// Writes to the socket if nothing waits; keeps the rest, whatever its size.
    fn write_raw(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        let Some(connection) = find(&mut self.slots, conn) else {
            return Written::Refused;
        };
        let Ok(taken) = connection.write_now(bytes) else {
            self.broken(conn);
            return Written::Refused;
        };
        self.tally.bytes_out += taken as u64;
        if taken == bytes.len() {
            return Written::All;
        }
        if connection.outbound.is_empty() && connection.wire.must_be_asked() {
            self.to_flush.push(conn.place());
        }
        connection.outbound.push(&bytes[taken..], self.now);
        Written::Waiting
    }

    /// Writes what a place takes of what waits there. Gives the connection if that was the last of
    /// it and it stays open.
    pub fn flush(&mut self, place: usize) -> Option<ConnId> {
        let slot = self.slots.get_mut(place)?;
        let conn = conn_id(slot, place);
        let Entry::Open(connection) = &mut slot.entry else { return None };
        if connection.outbound.is_empty() {
            return None;
        }
        match connection.flush(&mut self.tally.bytes_out) {
            Ok(false) => None,
            Ok(true) if connection.closing.is_none() => Some(conn),
            Ok(true) => {
                self.finished.push(conn);
                None
            }
            Err(_) => {
                self.broken(conn);
                None
            }
        }
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
    fn broken(&mut self, conn: ConnId) {
        match self.slots.get_mut(conn.place()) {
            Some(Slot { entry: Entry::Open(connection), .. }) => {
                let until = self.now;
                connection.closing.get_or_insert(Closing { reason: CloseReason::Peer, until });
                self.finished.push(conn);
            }
            Some(Slot { entry: Entry::Lingering(_), .. }) => self.vacate(conn.place()),
            _ => {}
        }
    }

    /// The client has sent its end.
    pub fn ended(&mut self, conn: ConnId) {
        match self.slots.get(conn.place()) {
            Some(Slot { entry: Entry::Lingering(_), .. }) => self.vacate(conn.place()),
            _ => self.close(conn, CloseReason::Peer),
        }
    }

    /// A lingering connection's place is free again. Closing the socket takes it out of the event
    /// queue; an event of it that was there already finds the next connection at the place with
    /// nothing to read.
    fn vacate(&mut self, place: usize) {
        self.slots[place].entry = Entry::Vacant;
        self.lingering -= 1;
        self.free.push(place);
    }

    /// What the worker has to do next.
    pub fn next_event(&mut self) -> Option<Event> {
        if let Some(place) = self.to_flush.pop() {
            return Some(Event::Flush(place));
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
        let place = conn.place();
        let slot = &mut self.slots[place];
        let Entry::Open(connection) = std::mem::take(&mut slot.entry) else { return None };
        let Connection { mut wire, closing, held, paused_until, .. } = connection;
        self.live -= 1;
        let reason = closing.map_or(CloseReason::Peer, |closing| closing.reason);
        wire.end(&reason);
        match reason {
            CloseReason::Peer => self.free.push(place),
            CloseReason::TooSlow => {
                self.tally.slow += 1;
                self.free.push(place);
            }
            _ => {
                let until = self.now + LINGER;
                let lingering = Lingering { wire, until, left: LINGER_BYTES, _held: held };
                slot.entry = Entry::Lingering(lingering);
                self.lingering += 1;
                if paused_until.is_some() {
                    // What it has sent is thrown away, and no event tells of it any more.
                    self.stand_in_line(place);
                }
            }
        }
        Some(reason)
    }

    /// The shard has stood still for so long; no time-out counts that.
    pub fn forgive(&mut self, lost: Duration) {
        for slot in &mut self.slots {
            match &mut slot.entry {
                Entry::Vacant => {}
                Entry::Open(connection) => connection.forgive(lost),
                Entry::Lingering(lingering) => lingering.until += lost,
            }
        }
    }

    /// Enforces the time-outs.
    pub fn sweep(&mut self) {
        let mut late = Vec::new();
        let mut waiting = 0;
        for place in 0..self.slots.len() {
            let slot = &self.slots[place];
            match &slot.entry {
                Entry::Vacant => {}
                Entry::Lingering(lingering) if lingering.until <= self.now => self.vacate(place),
                Entry::Lingering(_) => {}
                Entry::Open(connection) => {
                    waiting += connection.outbound.len();
                    let reason = match &connection.closing {
                        Some(closing) if closing.until <= self.now => {
                            self.finished.push(conn_id(slot, place));
                            None
                        }
                        Some(_) => None,
                        None => connection.overdue(self.now, &self.limits),
                    };
                    late.extend(reason.map(|reason| (conn_id(slot, place), reason)));
                }
            }
        }
        for (conn, reason) in late {
            self.close(conn, reason);
        }
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
        let slots = self.slots.iter().enumerate();
        let open = slots.filter(|(_, slot)| matches!(slot.entry, Entry::Open(_)));
        open.map(|(place, slot)| conn_id(slot, place)).collect()
    }
}

/// The id of what is at a place now: the generation makes it another one for each connection.
fn conn_id(slot: &Slot, place: usize) -> ConnId {
    ConnId(u64::from(slot.generation) << 32 | place as u64)
}

/// Looks a connection up; free-standing, so that the table's other fields stay usable.
fn find(slots: &mut [Slot], conn: ConnId) -> Option<&mut Connection> {
    match slots.get_mut(conn.place())? {
        Slot { generation, entry: Entry::Open(connection), .. }
            if *generation == conn.generation() =>
        {
            Some(connection)
        }
        _ => None,
    }
}
