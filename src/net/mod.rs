//! Client connections: listening, I/O shards, framing on the read side, bounded writing, TLS,
//! WebSocket, rate limits.
//!
//! Nothing in here knows what a packet means. A role plugs in a [`Service`]; each shard runs its
//! own one, on its own thread, so a service needs no lock.
//!
//! The way of a byte: [`listener`] accepts (asks [`gate`], and [`proxy`] whom a trusted proxy speaks for), [`shard`] gives the connection to the
//! shard with the fewest, `worker` waits for its events, `table` reads, `assembler` cuts frames,
//! `dispatch` calls the service, which answers through [`Io`], `table` writes, `outbound` keeps what
//! the socket did not take. `doorbell` wakes a shard for what is not a socket. HTTP has ports of its
//! own (`http`), which ask the same gate; a WebSocket (`websocket`) goes on as a shard's connection.

mod assembler;
pub mod config;
mod connection;
mod dispatch;
mod doorbell;
pub mod gate;
pub mod http;
pub mod listener;
pub mod origin;
mod outbound;
pub mod proxy;
pub mod rate;
pub mod renewal;
pub mod shard;
mod shares;
mod table;
mod tally;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod transport;
pub mod websocket;
mod worker;

use std::net::IpAddr;
use std::time::{Duration, Instant};

pub use config::{ConnectionLimits, NetConfig};
pub use gate::Gate;
pub use listener::{ListenConfig, listen};
pub use shard::{Shards, spawn_shards};
pub use tally::describe_metrics;

use table::Table;

/// A connection within its shard; never used again there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl ConnId {
    /// Its place among the shard's connections: small, and another's after its end. A service may
    /// keep what it knows of a connection in a list by this.
    pub fn place(self) -> usize {
        self.0 as u32 as usize
    }

    /// How many connections have had the place, this one included.
    fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// How bytes become frames on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// `u32` little-endian length, then so many bytes.
    Length,
    /// UTF-8 lines ended by `\n`.
    Lines,
}

/// What is known of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The client's address.
    pub address: IpAddr,
    /// How it speaks.
    pub framing: Framing,
}

/// Why a connection ended or is to be ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed or reset it.
    Peer,
    /// A frame's length or a line was not allowed.
    BadFrame(FrameFault),
    /// Too many bytes wait for a client that does not read.
    TooSlow,
    /// A started frame was not finished in time.
    Stalled,
    /// The service asked for it.
    Service,
    /// The process stops.
    Shutdown,
}

/// What is wrong with incoming bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    /// A frame without a body.
    #[error("a frame's length is 0")]
    Empty,
    /// A frame or line over the limit.
    #[error("{length} bytes are more than the {limit} allowed here")]
    TooLong {
        /// Announced or seen.
        length: usize,
        /// Allowed.
        limit: usize,
    },
    /// A line that is not UTF-8.
    #[error("a line is not UTF-8")]
    NotUtf8,
}

/// What a role does with the connections of one shard. All calls come from the shard's thread.
pub trait Service: 'static {
    /// What others send to this shard's service.
    type Msg: Send + 'static;

    /// A client has connected. Its first frame limit is the listener's; see [`Io::limit_frames`].
    fn on_open(&mut self, io: &mut Io<'_>, conn: ConnId, peer: Peer);

    /// One whole frame's body, or one line without its end.
    fn on_frame(&mut self, io: &mut Io<'_>, conn: ConnId, body: &[u8]);

    /// A connection's turn is over, of at most 64 frames: write what it is to be answered.
    fn on_turn(&mut self, io: &mut Io<'_>);

    /// After the turn in which [`Io::pause`] was called: about so many more frames of the
    /// connection wait already.
    fn on_paused(&mut self, io: &mut Io<'_>, conn: ConnId, waiting: usize);

    /// The shard has stood still for so long: what counts clients' silence does not count that.
    fn on_stall(&mut self, lost: Duration);

    /// A frame that is not allowed; the connection closes after what is written here.
    fn on_fault(&mut self, io: &mut Io<'_>, conn: ConnId, fault: FrameFault);

    /// The connection is gone; the last call for it.
    fn on_close(&mut self, io: &mut Io<'_>, conn: ConnId, reason: CloseReason);

    /// A connection that had unsent bytes has none any more.
    fn on_drained(&mut self, io: &mut Io<'_>, conn: ConnId);

    /// Messages for this shard, in order, as many as were there.
    fn on_msgs(&mut self, io: &mut Io<'_>, msgs: &mut Vec<Self::Msg>);

    /// Once a second.
    fn on_sweep(&mut self, io: &mut Io<'_>, now: Instant);
}

/// A shard's connections, as its service may use them. Never waits.
pub struct Io<'a> {
    table: &'a mut Table,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The kernel has all of it.
    All,
    /// Some of it waits, in order, for the socket; `Service::on_drained` will tell.
    Waiting,
    /// Nothing was taken: the bound on waiting bytes would be passed, or the connection is gone.
    Refused,
}

impl Io<'_> {
    /// Writes bytes: straight to the socket if nothing waits, else behind what waits, up to
    /// `net.outbound_bytes` in all. A connection with nothing waiting takes four times that at once.
    pub fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        self.table.write(conn, bytes)
    }

    /// Bytes that wait for the socket.
    pub fn waiting(&self, conn: ConnId) -> usize {
        self.table.get(conn).map_or(0, |connection| connection.outbound.len())
    }

    /// Since when the oldest of them has waited.
    pub fn waiting_since(&self, conn: ConnId) -> Option<Instant> {
        self.table.get(conn).and_then(|connection| connection.outbound.since())
    }

    /// The largest frame from now on, bytes.
    pub fn limit_frames(&mut self, conn: ConnId, most: usize) {
        self.table.limit_frames(conn, most);
    }

    /// Handles nothing more of a connection until then, and reads nothing, so that the client's own
    /// system holds it back. Frames that were read already wait. A pause under way stays as it is.
    pub fn pause(&mut self, conn: ConnId, until: Instant) {
        self.table.pause(conn, until);
    }

    /// The client plays, or has the same right to stay: it no longer counts against the connections that its
    /// address may hold before that.
    pub fn authenticated(&mut self, conn: ConnId) {
        if let Some(connection) = self.table.get(conn) {
            connection.held.admission.authenticated();
        }
    }

    /// Ends a connection once what waits is written, within two seconds at most (at once for
    /// [`CloseReason::TooSlow`]). No frame of it is delivered any more; `on_close` follows.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.table.close(conn, reason);
    }

    /// The moment this round of the shard began; cheaper than the clock.
    pub fn now(&self) -> Instant {
        self.table.now
    }
}
