//! The table's reading half: from a ready socket to frames.
//!
//! The worker reads a place until it has nothing more, or its turn is over, and asks for the frames
//! one by one, since the service's answer to one may end the connection before the next. Whoever
//! has more than a turn's frames stands in line; whoever is paused is not read at all until then.

use std::cmp::Reverse;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::{Entry, Lingering, Table, conn_id, find};
use crate::net::assembler::Body;
use crate::net::connection::Connection;
use crate::net::transport::{PART_TELLS, Read};
use crate::net::{ConnId, FrameFault};

/// Most bytes that a TLS record adds to what a client sends in it.
const TLS_RECORD_HEAD: usize = 22;

/// A place of which nothing is to be read now.
#[derive(Debug)]
pub(in crate::net) struct Paused;

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
            self.line.push_back(place);
        }
    }

    /// How many stand in line.
    pub fn line_len(&self) -> usize {
        self.line.len()
    }

    /// The first in line, whose turn it is.
    pub fn step_out(&mut self) -> Option<usize> {
        let place = self.line.pop_front()?;
        if let Some(slot) = self.slots.get_mut(place) {
            slot.in_line = false;
        }
        Some(place)
    }

    /// See `Io::pause`.
    pub fn pause(&mut self, conn: ConnId, until: Instant) {
        if let Some(connection) = self.open(conn)
            && connection.paused_until.is_none()
        {
            connection.paused_until = Some(until);
            self.pauses.push(Reverse((until, conn)));
            self.tally.pauses += 1;
        }
    }

    /// When the next pause ends.
    pub fn next_pause(&self) -> Option<Instant> {
        self.pauses.peek().map(|Reverse((until, _))| *until)
    }

    /// Whoever's pause is over stands in line again: an event that came meanwhile comes no second
    /// time.
    pub fn end_pauses(&mut self) {
        while let Some(Reverse((until, conn))) = self.pauses.peek().copied()
            && until <= self.now
        {
            self.pauses.pop();
            if let Some(connection) = find(&mut self.slots, conn) {
                connection.paused_until = None;
                self.stand_in_line(conn.place());
            }
        }
    }

    /// Whether a connection is paused.
    pub fn is_paused(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|connection| connection.paused_until.is_some())
    }

    /// Takes what an earlier turn has left of a place's input, if it may be handled now.
    ///
    /// # Errors
    /// The place is paused, and nothing of it is to be read.
    pub fn take_rest(&mut self, place: usize) -> Result<Option<(ConnId, BytesMut)>, Paused> {
        let Some(slot) = self.slots.get_mut(place) else { return Ok(None) };
        let conn = conn_id(slot, place);
        match &mut slot.entry {
            Entry::Open(Connection { paused_until: Some(_), closing: None, .. }) => Err(Paused),
            Entry::Open(Connection { rest, closing: None, .. }) if !rest.is_empty() => {
                Ok(Some((conn, std::mem::take(rest))))
            }
            _ => Ok(None),
        }
    }

    /// Keeps what is left of what [`Self::take_rest`] gave.
    pub fn keep_rest(&mut self, conn: ConnId, rest: BytesMut) {
        if let Some(connection) = self.open(conn) {
            connection.rest = rest;
        }
    }

    /// Keeps plain input for the connection's next turn, behind what is kept already.
    pub fn add_to_rest(&mut self, conn: ConnId, input: &[u8]) {
        if let Some(connection) = self.open(conn) {
            connection.rest.extend_from_slice(input);
        }
    }

    /// About how many frames wait of a connection that had `frames` in the last `bytes`: those that
    /// were read, counted, and what the kernel holds, by its size.
    pub fn waiting_frames(&self, conn: ConnId, frames: usize, bytes: usize) -> usize {
        let Some(connection) = self.get(conn) else { return 0 };
        let read = connection.assembler.count(&connection.rest);
        let (frames, bytes) = (frames + read, bytes + connection.rest.len());
        let overhead = if connection.tls.is_some() { TLS_RECORD_HEAD * frames } else { 0 };
        read + connection.wire.unread() * frames / (bytes + overhead).max(1)
    }

    /// Reads what is at a place, raw bytes into `buffer`.
    pub fn read(&mut self, place: usize, buffer: &mut [u8]) -> Arrival {
        const NOTHING: Arrival = Arrival { what: What::Nothing, more: false };
        let Some(slot) = self.slots.get_mut(place) else { return NOTHING };
        let conn = conn_id(slot, place);
        let most = match &slot.entry {
            Entry::Open(connection) => connection.assembler.read_size().min(buffer.len()),
            _ => buffer.len(),
        };
        let buffer = &mut buffer[..most];
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
