//! A bot's socket: frames out of reused buffers, bytes in through a buffer that all bots of the
//! thread share. Nothing is allocated for a packet.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::client::ConnectionParts;
use crate::proto::PacketType;
use crate::protocol::packet;
use crate::tick::unix_millis;

/// Bytes that wait for a server that does not read, at most; then a bot sends no more.
const WAITING_MAX: usize = 64 * 1024;

/// One bot's connection.
pub(super) struct Wire {
    stream: TcpStream,
    /// The beginning of a frame that has not come whole yet.
    pub(super) partial: Vec<u8>,
    out: Vec<u8>,
    payload: Vec<u8>,
    sent: u64,
}

impl Wire {
    pub(super) fn new(parts: ConnectionParts) -> Self {
        Self {
            stream: parts.stream,
            partial: parts.unread.to_vec(),
            out: Vec::new(),
            payload: Vec::new(),
            sent: parts.sent,
        }
    }

    /// Puts a message behind what waits to go out; its bytes, or none if too much waits already.
    pub(super) fn append(&mut self, kind: PacketType, message: &impl Message) -> Option<usize> {
        self.append_padded(kind, message, |_| {})
    }

    /// The same, with something put behind the message.
    pub(super) fn append_padded(
        &mut self,
        kind: PacketType,
        message: &impl Message,
        pad: impl FnOnce(&mut Vec<u8>),
    ) -> Option<usize> {
        if self.out.len() > WAITING_MAX {
            return None;
        }
        self.payload.clear();
        // Encoding into a vector cannot fail.
        let _ = message.encode(&mut self.payload);
        pad(&mut self.payload);
        self.sent += 1;
        let before = self.out.len();
        packet::append(&mut self.out, kind, self.sent, unix_millis(), &[&self.payload]);
        Some(self.out.len() - before)
    }

    /// Writes what the socket takes now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads into `buffer`, and gives how much; writes meanwhile what has waited. (This way,
    /// unlike `readable` and `try_read`, costs one system call for a packet, not two.)
    pub(super) fn poll_read(
        &mut self,
        buffer: &RefCell<Vec<u8>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(written) => drop(self.out.drain(..written?)),
                Poll::Pending => break,
            }
        }
        let mut buffer = buffer.borrow_mut();
        let mut free = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut free))?;
        match free.filled().len() {
            0 => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            ))),
            read => Poll::Ready(Ok(read)),
        }
    }
}
