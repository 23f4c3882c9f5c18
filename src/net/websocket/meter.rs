//! Counts the frames of a WebSocket before anything is made of them: of messages, their parts, pings
//! and all else alike. Whoever has used up the rate is not read from for a while.
//!
//! Lies between a connection and the library that speaks the protocol, which would answer every ping
//! and swallow every empty part of a message. The rate is twice that of packets, so that it is the
//! shard that counts and answers a client whose frames are packets.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::net::http::Connection;
use crate::net::rate::{RateGate, RateLimits};
use crate::tick::now;

/// Bytes read at once.
const READ: usize = 4_096;
/// Bytes of a client that pours that are read and thrown away: closing with its bytes unread would
/// reset the connection and could take the last word away from it.
const LINGER_BYTES: usize = 256 * 1_024;
/// How many times the packets' rate a socket's frames have.
const FACTOR: u32 = 2;

/// A connection whose frames are counted.
#[derive(Debug)]
pub(super) struct Meter {
    connection: Connection,
    /// Read and not handed on.
    input: BytesMut,
    walk: Walk,
    limits: RateLimits,
    gate: RateGate,
    pause: Option<Pin<Box<Sleep>>>,
    /// It has poured: so many more bytes are read, and thrown away.
    given_up: Option<usize>,
    /// What was handed on so far.
    frames: usize,
    bytes: usize,
}

/// Where in a frame the input is.
#[derive(Debug, Clone, Copy)]
enum Walk {
    /// In a frame's head, of which so many bytes have come.
    Head([u8; Self::LONGEST], usize),
    /// So many bytes before the next frame's head.
    Body(u64),
}

impl Walk {
    /// Two bytes, a length of eight, a mask of four.
    const LONGEST: usize = 14;
    /// Between two frames.
    const START: Self = Self::Head([0; Self::LONGEST], 0);

    /// Goes through input as far as `begin` lets frames begin; gives how many bytes that is.
    fn through(&mut self, input: &[u8], mut begin: impl FnMut() -> bool) -> usize {
        let mut at = 0;
        while at < input.len() {
            match self {
                Walk::Body(left) => {
                    let step = (*left).min((input.len() - at) as u64);
                    *left -= step;
                    at += step as usize;
                    if *left == 0 {
                        *self = Self::START;
                    }
                }
                Walk::Head(_, 0) if !begin() => return at,
                Walk::Head(head, count) => {
                    head[*count] = input[at];
                    (*count, at) = (*count + 1, at + 1);
                    if let Some(length) = body_length(&head[..*count]) {
                        *self = if length == 0 { Self::START } else { Walk::Body(length) };
                    }
                }
            }
        }
        at
    }
}

/// The length of a frame's body, once its head is whole (RFC 6455, 5.2).
fn body_length(head: &[u8]) -> Option<u64> {
    let short = head.get(1)? & 0x7f;
    let mask = if head[1] & 0x80 != 0 { 4 } else { 0 };
    let (length, more) = match short {
        126 => (u64::from(u16::from_be_bytes(*head[2..].first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*head[2..].first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    (head.len() == 2 + more + mask).then_some(length)
}

impl Meter {
    /// Of a connection of which `read` was read already.
    pub fn new(connection: Connection, read: Bytes, limits: &RateLimits) -> Self {
        let limits = RateLimits {
            packets_per_second: limits.packets_per_second.saturating_mul(FACTOR),
            packet_burst: limits.packet_burst.saturating_mul(FACTOR),
            ..limits.clone()
        };
        Self {
            connection,
            input: BytesMut::from(read),
            walk: Walk::START,
            gate: RateGate::new(now()),
            limits,
            pause: None,
            given_up: None,
            frames: 0,
            bytes: 0,
        }
    }

    /// Whether the client pours. Then nothing is handed on any more.
    pub fn is_flooded(&mut self) -> bool {
        if self.given_up.is_none() && self.has_ten_bursts() {
            self.given_up = Some(LINGER_BYTES);
            self.input = BytesMut::new();
        }
        self.given_up.is_some()
    }

    /// Whether ten times as many frames wait as are allowed at once, by their size so far.
    fn has_ten_bursts(&self) -> bool {
        let mut read = 0;
        let mut walk = self.walk;
        walk.through(&self.input, || {
            read += 1;
            true
        });
        let (frames, bytes) = (self.frames + read, self.bytes + self.input.len());
        let waiting = read + self.connection.unread() * frames / bytes.max(1);
        self.limits.is_flood(waiting * FACTOR as usize)
    }

    /// How many of the bytes that were read may be handed on.
    fn pass(&mut self, most: usize, at: Instant) -> usize {
        let most = most.min(self.input.len());
        let (gate, limits, frames) = (&mut self.gate, &self.limits, &mut self.frames);
        let passed = self.walk.through(&self.input[..most], || {
            let paid = gate.packet(limits, at).is_ok();
            *frames += usize::from(paid);
            paid
        });
        self.bytes += passed;
        passed
    }
}

impl AsyncRead for Meter {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some(left) = &mut this.given_up {
                let mut bytes = [0; READ];
                let mut read = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut this.connection).poll_read(cx, &mut read))?;
                let count = read.filled().len();
                *left = left.saturating_sub(count);
                if count == 0 || *left == 0 {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            if this.input.is_empty() {
                let mut bytes = [0; READ];
                let mut read = ReadBuf::new(&mut bytes);
                ready!(Pin::new(&mut this.connection).poll_read(cx, &mut read))?;
                if read.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.input.extend_from_slice(read.filled());
            }
            let at = now();
            let passed = this.pass(buf.remaining(), at);
            if passed > 0 {
                buf.put_slice(&this.input[..passed]);
                this.input.advance(passed);
                return Poll::Ready(Ok(()));
            }
            if this.is_flooded() {
                return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
            }
            let until = this.gate.refilled(&this.limits, at);
            this.pause = Some(Box::pin(tokio::time::sleep_until(until.into())));
        }
    }
}

impl AsyncWrite for Meter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with a body of so many bytes.
    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x82];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65_536 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.resize(bytes.len() + 4 + length, 7);
        bytes
    }

    #[test]
    fn every_frame_is_counted_once_however_it_comes() {
        let lengths = [0, 1, 125, 126, 1_000, 0, 65_535, 65_536, 0, 0, 5];
        let stream: Vec<u8> = lengths.iter().flat_map(|length| frame(*length)).collect();
        for piece in [1, 2, 3, 7, 1_000, stream.len()] {
            let (mut walk, mut count) = (Walk::START, 0);
            for bytes in stream.chunks(piece) {
                let passed = walk.through(bytes, || {
                    count += 1;
                    true
                });
                assert_eq!(passed, bytes.len());
            }
            assert_eq!(count, lengths.len(), "in pieces of {piece}");
            assert!(matches!(walk, Walk::Head(_, 0)));
        }
    }

    #[test]
    fn what_is_not_paid_for_stays_where_it_is() {
        let stream = [frame(3), frame(0), frame(9)].concat();
        let mut walk = Walk::START;
        let mut left = 2;
        let mut pay = || {
            left -= 1;
            left >= 0
        };
        let passed = walk.through(&stream, &mut pay);
        assert_eq!(passed, frame(3).len() + frame(0).len());
        assert_eq!(walk.through(&stream[passed..], || false), 0);
        assert_eq!(walk.through(&stream[passed..], || true), frame(9).len());
    }
}
