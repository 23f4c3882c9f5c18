//! What carries a connection's bytes: a plain socket, a socket under TLS, or a bridge to a
//! WebSocket task.
//!
//! Listeners make a [`Transport`] and send it to a shard, whose thread opens it into the half that
//! its reader task keeps and the half that the connection table writes to.

use std::io;
use std::net::{Shutdown, TcpStream as StdStream};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustls::ServerConnection;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::PollSender;

use super::CloseReason;

/// Chunks that wait between a shard and a WebSocket task, each way.
pub(super) const BRIDGE_CHUNKS: usize = 8;

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

/// The half that the reader task keeps.
#[derive(Debug)]
pub(super) enum Reader {
    /// Raw bytes, under TLS or not.
    Socket(OwnedReadHalf),
    /// Whole bodies.
    Bridge(mpsc::Receiver<Bytes>),
}

/// The half that the connection table keeps.
#[derive(Debug)]
pub(super) enum Writer {
    /// Raw bytes, under TLS or not.
    Socket(OwnedWriteHalf),
    /// Chunks.
    Bridge(Box<BridgeWriter>),
}

/// Writes chunks to a bridge.
#[derive(Debug)]
pub(super) struct BridgeWriter {
    chunks: PollSender<Bytes>,
    closed: Option<oneshot::Sender<CloseReason>>,
}

impl Transport {
    /// Opens it on the current thread's runtime.
    pub(super) fn open(self) -> io::Result<(Reader, Writer, Option<Box<ServerConnection>>)> {
        let (stream, tls) = match self {
            Transport::Tcp(stream) => (stream, None),
            Transport::Tls(stream, tls) => (stream, Some(tls)),
            Transport::Bridge(Bridge { bodies, chunks, closed }) => {
                let chunks = PollSender::new(chunks);
                let writer = BridgeWriter { chunks, closed: Some(closed) };
                return Ok((Reader::Bridge(bodies), Writer::Bridge(Box::new(writer)), None));
            }
        };
        let (reader, writer) = TcpStream::from_std(stream)?.into_split();
        Ok((Reader::Socket(reader), Writer::Socket(writer), tls))
    }
}

impl Writer {
    /// Writes what fits now.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Writer::Socket(socket) => socket.try_write(bytes),
            Writer::Bridge(bridge) => bridge.try_write(bytes),
        }
    }

    /// Ready when the next write may take something. One task at a time may wait.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Writer::Socket(socket) => socket.as_ref().poll_write_ready(cx),
            Writer::Bridge(bridge) => bridge.chunks.poll_reserve(cx).map_err(|_| broken()),
        }
    }

    /// After [`Writer::poll_ready`]: writes what fits of what waits.
    pub fn write_ready(&mut self, outbound: &mut super::outbound::Outbound) -> io::Result<usize> {
        match self {
            Writer::Socket(socket) => {
                let count = socket.try_write(outbound.bytes())?;
                outbound.taken(count);
                Ok(count)
            }
            Writer::Bridge(bridge) => {
                let chunk = outbound.take().freeze();
                let count = chunk.len();
                bridge.chunks.send_item(chunk).map_err(|_| broken())?;
                Ok(count)
            }
        }
    }

    /// Tells the client that nothing follows. What a socket still has to say is sent.
    pub fn end(&mut self, reason: &CloseReason) {
        match self {
            Writer::Socket(socket) => {
                // Fails only if the client has gone already.
                let _ = SockRef::from(socket.as_ref()).shutdown(Shutdown::Write);
            }
            Writer::Bridge(bridge) => {
                if let Some(closed) = bridge.closed.take() {
                    // Fails only if the bridge's task has ended already.
                    let _ = closed.send(reason.clone());
                }
            }
        }
    }

    /// Ends a socket both ways, so that its reader comes to an end too.
    pub fn cut(&self) {
        if let Writer::Socket(socket) = self {
            // Fails only if the client has gone already.
            let _ = SockRef::from(socket.as_ref()).shutdown(Shutdown::Both);
        }
    }
}

impl BridgeWriter {
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sender = self.chunks.get_ref().ok_or_else(broken)?;
        match sender.try_send(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(bytes.len()),
            Err(mpsc::error::TrySendError::Full(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(broken()),
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

/// Waits until a new socket may be written to: before its first readiness event every write
/// would be refused.
pub(super) async fn writable(writer: &mut Writer) -> io::Result<()> {
    match writer {
        Writer::Socket(socket) => socket.writable().await,
        Writer::Bridge(_) => Ok(()),
    }
}

/// What a reader has got.
pub(super) enum Read<'b> {
    /// Raw bytes.
    Bytes(&'b [u8]),
    /// One body.
    Body(Bytes),
    /// The client has closed.
    End,
}

impl Reader {
    /// Reads what is there, a socket's bytes into `buffer`.
    pub fn poll_read<'b>(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &'b mut [u8],
    ) -> Poll<io::Result<Read<'b>>> {
        match self {
            Reader::Socket(socket) => {
                let mut target = tokio::io::ReadBuf::new(buffer);
                let socket = std::pin::Pin::new(socket);
                // Unlike `try_read` this knows that a part-filled buffer means an empty socket,
                // which saves a system call for each message.
                ready!(tokio::io::AsyncRead::poll_read(socket, cx, &mut target))?;
                let count = target.filled().len();
                Poll::Ready(Ok(match count {
                    0 => Read::End,
                    _ => Read::Bytes(&buffer[..count]),
                }))
            }
            Reader::Bridge(bodies) => {
                Poll::Ready(Ok(ready!(bodies.poll_recv(cx)).map_or(Read::End, Read::Body)))
            }
        }
    }
}
