//! The table's reading half: from a ready socket to frames.
//!
//! The worker reads a place until it has nothing more, and asks for the frames one by one, since
//! the service's answer to one may end the connection before the next.

use bytes::Bytes;

use super::{Entry, Lingering, Table, conn_id};
use crate::net::assembler::Body;
use crate::net::connection::Connection;
use crate::net::transport::{PART_TELLS, Read};
use crate::net::{ConnId, FrameFault};

/// What reading a place has come to.
#[derive(Debug)]
pub(in crate::net) struct Arrival {
    /// What came.
    pub what: What,
    /// Whether there may be more now.
    pub more: bool,
}

/// What came.
#[derive(Debug)]
pub(in crate::net) enum What {
    /// So many bytes of frames; they are in the buffer.
    Plain(ConnId, usize),
    /// So many bytes to be decrypted; they are in the buffer.
    Sealed(ConnId, usize),
    /// A frame's body.
    Body(ConnId, Bytes),
    /// Nothing that anybody wants.
    Nothing,
}

/// What a connection's input has come to.
pub(in crate::net) enum Next<'i> {
    /// A frame.
    Frame(Body<'i>),
    /// A frame that is not allowed.
    Fault(FrameFault),
    /// More is needed, or the connection takes nothing any more.
    Nothing,
}

impl Table {
    /// There is something to read at a place; `hung_up`: the client's end among it. Tells whether
    /// to read now: else it has its turn anyway.
    pub fn on_readable(&mut self, place: usize, hung_up: bool) -> bool {
        let Some(slot) = self.slots.get_mut(place) else { return false };
        slot.hung_up |= hung_up;
        !slot.in_line
    }

    /// Puts a place to the end of the line of those that are read without an event.
    pub fn stand_in_line(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place)
            && !std::mem::replace(&mut slot.in_line, true)
        {
            self.line.push(place);
        }
    }

    /// Whether nobody stands in line.
    pub fn is_line_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Swaps the line for `empty`; see [`Self::step_out`].
    pub fn take_line(&mut self, empty: &mut Vec<usize>) {
        std::mem::swap(&mut self.line, empty);
    }

    /// It is the turn of one who stood in line.
    pub fn step_out(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.in_line = false;
        }
    }

    /// Reads what is at a place, raw bytes into `buffer`.
    pub fn read(&mut self, place: usize, buffer: &mut [u8]) -> Arrival {
        const NOTHING: Arrival = Arrival { what: What::Nothing, more: false };
        let Some(slot) = self.slots.get_mut(place) else { return NOTHING };
        let conn = conn_id(slot, place);
        let wire = match &mut slot.entry {
            Entry::Open(connection) => &mut connection.wire,
            Entry::Lingering(lingering) => &mut lingering.wire,
            Entry::Vacant => return NOTHING,
        };
        let (count, body) = match wire.read(buffer) {
            Ok(Read::Nothing) => return NOTHING,
            Ok(Read::Bytes(count)) => (count, None),
            Ok(Read::Body(body)) => (body.len(), Some(body)),
            Ok(Read::End) => {
                self.ended(conn);
                return NOTHING;
            }
            Err(_) => {
                self.broken(conn);
                return NOTHING;
            }
        };
        self.tally.bytes_in += count as u64;
        // A part-filled read has emptied the socket, except of the client's end.
        let more = body.is_some() || count == buffer.len() || slot.hung_up || !PART_TELLS;
        let what = match (&mut slot.entry, body) {
            (Entry::Open(Connection { closing: None, .. }), Some(body)) => What::Body(conn, body),
            (Entry::Open(Connection { closing: None, tls: Some(_), .. }), None) => {
                What::Sealed(conn, count)
            }
            (Entry::Open(Connection { closing: None, .. }), None) => What::Plain(conn, count),
            (Entry::Lingering(Lingering { left, .. }), _) => {
                *left = left.saturating_sub(count);
                if *left == 0 {
                    self.vacate(place);
                }
                What::Nothing
            }
            _ => What::Nothing,
        };
        Arrival { what, more }
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
}
