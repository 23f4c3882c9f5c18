//! One connection: its writing half, the start of a frame, what waits for it, and how it ends.
//!
//! Only the shard's table uses it. Idle it is a few hundred bytes; every buffer in it is there
//! only while something is in it.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustls::ServerConnection;

use super::assembler::Assembler;
use super::gate::Admission;
use super::outbound::Outbound;
use super::shard::Seat;
use super::transport::Writer;
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
    /// To the client.
    pub writer: Writer,
    /// The session, where TLS is spoken.
    pub tls: Option<Box<ServerConnection>>,
    /// From the client.
    pub assembler: Assembler,
    /// Since when a frame is unfinished.
    pub frame_since: Option<Instant>,
    /// What waits for the socket; encrypted where TLS is spoken.
    pub outbound: Outbound,
    /// A writer task is at work.
    pub draining: bool,
    /// It takes no more frames and writes.
    pub closing: Option<Closing>,
    /// See [`Held`].
    pub held: Rc<Held>,
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
        writer: Writer,
        tls: Option<Box<ServerConnection>>,
        assembler: Assembler,
        held: Rc<Held>,
    ) -> Self {
        Self {
            writer,
            tls,
            assembler,
            frame_since: None,
            outbound: Outbound::default(),
            draining: false,
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
        match self.writer.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            outcome => outcome,
        }
    }

    /// Ready once nothing waits; adds what the socket took to `taken`.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, taken: &mut u64) -> Poll<io::Result<()>> {
        while !self.outbound.is_empty() {
            ready!(self.writer.poll_ready(cx))?;
            match self.writer.write_ready(&mut self.outbound) {
                Ok(count) => *taken += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
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
