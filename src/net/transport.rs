//! What carries a connection's bytes: a plain socket, a socket under TLS, or a bridge to a
//! WebSocket task.
//!
//! Listeners make a [`Transport`] and send it to a shard, which opens it into a [`Wire`]: what its
//! connection table reads from and writes to. Nothing in here ever waits.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream as StdStream};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ServerConnection;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::CloseReason;
use super::outbound::Outbound;

/// Chunks that wait between a shard and a WebSocket task, each way.
pub(super) const BRIDGE_CHUNKS: usize = 8;

/// Whether a part-filled read or write shows that a socket has no more now, and its next event will
/// come; else only one that gets nothing shows it.
pub(super) const PART_TELLS: bool = cfg!(not(windows));

/// A connection on its way to a shard.
#[derive(Debug)]
pub enum Transport {
    /// A plain socket, in non-blocking mode.
    Tcp(StdStream),
    /// A socket, in non-blocking mode, whose TLS handshake is done.
    Tls(StdStream, Box<ServerConnection>),
    /// The shard's end of a bridge.
    Bridge(Bridge),
}

/// The shard's end of a bridge; see [`bridge`].
#[derive(Debug)]
pub struct Bridge {
    bodies: mpsc::Receiver<Bytes>,
    chunks: mpsc::Sender<Bytes>,
    closed: oneshot::Sender<CloseReason>,
}

/// The other end of a bridge.
#[derive(Debug)]
pub struct BridgeEnd {
    /// Takes one frame's body at a time from the client.
    pub bodies: mpsc::Sender<Bytes>,
    /// Gives what the service has written, in chunks of any length.
    pub chunks: mpsc::Receiver<Bytes>,
    /// Why the shard has closed the connection; what is still in `chunks` was written before.
    pub closed: oneshot::Receiver<CloseReason>,
}

/// A bridge between a shard and a task that speaks for a client in another way than by a socket.
/// Both directions are bounded.
pub fn bridge() -> (Bridge, BridgeEnd) {
    let (to_shard, bodies) = mpsc::channel(BRIDGE_CHUNKS);
    let (chunks, from_shard) = mpsc::channel(BRIDGE_CHUNKS);
    let (closed, told) = oneshot::channel();
    let end = BridgeEnd { bodies: to_shard, chunks: from_shard, closed: told };
    (Bridge { bodies, chunks, closed }, end)
}

/// An opened transport.
#[derive(Debug)]
pub(super) enum Wire {
    /// Raw bytes, under TLS or not.
    Socket(TcpStream),
    /// Whole bodies one way, chunks the other.
    Bridge(Box<BridgeWire>),
}

/// A bridge in use.
#[derive(Debug)]
pub(super) struct BridgeWire {
    bodies: mpsc::Receiver<Bytes>,
    chunks: PollSender<Bytes>,
    closed: Option<oneshot::Sender<CloseReason>>,
    /// Told when there is something to read again, or room to write.
    bell: Waker,
}

/// What a wire had.
#[derive(Debug)]
pub(super) enum Read {
    /// So many raw bytes; they are in the buffer.
    Bytes(usize),
    /// One body.
    Body(Bytes),
    /// The client has closed.
    End,
    /// Nothing now; an event will tell when there is more.
    Nothing,
}

impl Transport {
    /// Opens it: a socket's events will come to `registry` under `token`, a bridge rings `bell`.
    ///
    /// # Errors
    /// The event queue does not take the socket.
    pub(super) fn open(
        self,
        registry: &Registry,
        token: Token,
        bell: impl FnOnce() -> Waker,
    ) -> io::Result<(Wire, Option<Box<ServerConnection>>)> {
        let (stream, tls) = match self {
            Transport::Tcp(stream) => (stream, None),
            Transport::Tls(stream, tls) => (stream, Some(tls)),
            Transport::Bridge(Bridge { bodies, chunks, closed }) => {
                let chunks = PollSender::new(chunks);
                let wire = BridgeWire { bodies, chunks, closed: Some(closed), bell: bell() };
                return Ok((Wire::Bridge(Box::new(wire)), None));
            }
        };
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok((Wire::Socket(stream), tls))
    }
}

impl Wire {
    /// Reads what is there, a socket's bytes into `buffer`.
    ///
    /// # Errors
    /// It is of no use any more.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        match self {
            Wire::Socket(socket) => match until_not_interrupted(|| socket.read(buffer)) {
                Ok(0) => Ok(Read::End),
                Ok(count) => Ok(Read::Bytes(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
                Err(error) => Err(error),
            },
            Wire::Bridge(bridge) => {
                let mut cx = Context::from_waker(&bridge.bell);
                Ok(match bridge.bodies.poll_recv(&mut cx) {
                    Poll::Ready(body) => body.map_or(Read::End, Read::Body),
                    Poll::Pending => Read::Nothing,
                })
            }
        }
    }

    /// Writes what fits now.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing; else it is of no use any more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Socket(socket) => until_not_interrupted(|| socket.write(bytes)),
            Wire::Bridge(bridge) => bridge.write(bytes),
        }
    }

    /// Writes what fits of what waits, and tells how much that was.
    ///
    /// # Errors
    /// `WouldBlock` if that is nothing, and an event will tell when to try again; else it is of no
    /// use any more.
    pub fn flush(&mut self, outbound: &mut Outbound) -> io::Result<usize> {
        match self {
            Wire::Socket(socket) => {
                let count = until_not_interrupted(|| socket.write(outbound.bytes()))?;
                outbound.taken(count);
                Ok(count)
            }
            Wire::Bridge(bridge) => bridge.flush(outbound),
        }
    }

    /// Tells the client that nothing follows. What a socket still has to say is sent.
    pub fn end(&mut self, reason: &CloseReason) {
        match self {
            Wire::Socket(socket) => {
                // Fails only if the client has gone already.
                let _ = socket.shutdown(Shutdown::Write);
            }
            Wire::Bridge(bridge) => {
                if let Some(closed) = bridge.closed.take() {
                    // Fails only if the bridge's task has ended already.
                    let _ = closed.send(reason.clone());
                }
            }
        }
    }

    /// About how many bytes the client has sent that nobody has read.
    pub fn unread(&self) -> usize {
        match self {
            Wire::Socket(socket) => unread(socket),
            // What a bridge's client sends is counted at its other end.
            Wire::Bridge(_) => 0,
        }
    }

    /// Whether it must be asked until it has nothing, or takes nothing, before it tells when that
    /// has changed. A socket's event queue mostly knows.
    pub fn must_be_asked(&self) -> bool {
        matches!(self, Wire::Bridge(_)) || !PART_TELLS
    }
}

impl BridgeWire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sender = self.chunks.get_ref().ok_or_else(broken)?;
        match sender.try_send(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(bytes.len()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(broken()),
        }
    }

    fn flush(&mut self, outbound: &mut Outbound) -> io::Result<usize> {
        match self.chunks.poll_reserve(&mut Context::from_waker(&self.bell)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(broken()),
            Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
        }
        let chunk = outbound.take().freeze();
        let count = chunk.len();
        self.chunks.send_item(chunk).map_err(|_| broken())?;
        Ok(count)
    }
}

/// About how many bytes wait in a socket to be read; where the system does not tell: none.
#[cfg(unix)]
pub(super) fn unread(socket: &impl std::os::fd::AsFd) -> usize {
    rustix::io::ioctl_fionread(socket).unwrap_or(0) as usize
}

/// See the other one.
#[cfg(not(unix))]
pub(super) fn unread<S>(_: &S) -> usize {
    0
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// Tries again what a signal has interrupted.
fn until_not_interrupted<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match attempt() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
