//! One connection: what carries it, the start of a frame, what waits for it, and how it ends.
//!
//! Only the shard's table uses it. Idle it is a few hundred bytes; every buffer in it is there
//! only while something is in it.

use std::io;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustls::ServerConnection;

use super::assembler::Assembler;
use super::gate::Admission;
use super::outbound::Outbound;
use super::shard::Seat;
use super::transport::Wire;
use super::{CloseReason, ConnectionLimits};

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
    /// To the client and from it.
    pub wire: Wire,
    /// The session, where TLS is spoken.
    pub tls: Option<Box<ServerConnection>>,
    /// From the client.
    pub assembler: Assembler,
    /// Plain input that was read and waits for its turn; it begins with a frame's start, and is at
    /// most what one read brings.
    pub rest: BytesMut,
    /// Nothing more of its input is handled until then.
    pub paused_until: Option<Instant>,
    /// Since when a frame is unfinished.
    pub frame_since: Option<Instant>,
    /// What waits for the socket; encrypted where TLS is spoken.
    pub outbound: Outbound,
    /// It takes no more frames and writes.
    pub closing: Option<Closing>,
    /// See [`Held`].
    pub held: Held,
}

/// A connection's last moments.
pub(super) struct Closing {
    /// Why.
    pub reason: CloseReason,
    /// When it ends, flushed or not.
    pub until: Instant,
}

impl Connection {
    /// One that has just been let in.
    pub fn new(
        wire: Wire,
        tls: Option<Box<ServerConnection>>,
        assembler: Assembler,
        held: Held,
    ) -> Self {
        Self {
            wire,
            tls,
            assembler,
            rest: BytesMut::new(),
            paused_until: None,
            frame_since: None,
            outbound: Outbound::default(),
            closing: None,
            held,
        }
    }

    /// Most bytes that so many become on their way.
    pub fn size_on_wire(&self, bytes: usize) -> usize {
        match self.tls {
            Some(_) => bytes + (bytes / TLS_RECORD + 1) * TLS_RECORD_OVERHEAD,
            None => bytes,
        }
    }

    /// Writes what the socket takes now, if nothing waits for it; tells how much that was.
    pub fn write_now(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.outbound.is_empty() {
            return Ok(0);
        }
        match self.wire.write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            outcome => outcome,
        }
    }

    /// Writes what the socket takes of what waits, adds that to `taken`, and tells whether nothing
    /// waits any more.
    pub fn flush(&mut self, taken: &mut u64) -> io::Result<bool> {
        while !self.outbound.is_empty() {
            match self.wire.flush(&mut self.outbound) {
                Ok(count) => *taken += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// The shard has stood still for so long: that was nobody's silence.
    pub fn forgive(&mut self, lost: Duration) {
        self.outbound.forgive(lost);
        if let Some(since) = &mut self.frame_since {
            *since += lost;
        }
        if let Some(closing) = &mut self.closing {
            closing.until += lost;
        }
    }

    /// Which time-out of an open connection has passed.
    pub fn overdue(&self, now: Instant, limits: &ConnectionLimits) -> Option<CloseReason> {
        let passed = |since: Option<Instant>, most: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= most)
        };
        if passed(self.outbound.since(), limits.slow_after) {
            return Some(CloseReason::TooSlow);
        }
        passed(self.frame_since, limits.frame_timeout).then_some(CloseReason::Stalled)
    }
}
