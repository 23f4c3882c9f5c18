//! A bot's socket: frames out of reused buffers, bytes in through a buffer that all bots of the
//! thread share. Nothing is allocated for a packet, and no task is woken.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use prost::Message;
use socket2::SockRef;

use crate::proto::PacketType;
use crate::protocol::packet;
use crate::tick::unix_millis;

/// Bytes that wait for a server that does not read, at most; then a bot sends no more.
const WAITING_MAX: usize = 64 * 1024;
/// What the kernel keeps for a bot that does not read, bytes: little, so that the server feels it.
const DEAF_BUFFER: usize = 4_096;

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
    /// Goes on with a socket, in non-blocking mode, on which so many packets were sent.
    pub(super) fn new(stream: std::net::TcpStream, unread: Vec<u8>, sent: u64) -> Self {
        Self {
            stream: TcpStream::from_std(stream),
            partial: unread,
            out: Vec::new(),
            payload: Vec::new(),
            sent,
        }
    }

    /// Has events of the socket told under `token`.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Makes the kernel keep little for this socket.
    pub(super) fn narrow(&self) {
        // A larger one only takes longer to fill.
        let _ = SockRef::from(&self.stream).set_recv_buffer_size(DEAF_BUFFER);
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

    /// Writes what the socket takes now; an event tells when it takes more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) if written == self.out.len() => self.out.clear(),
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads into `buffer` what is there; none: nothing.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the server closed the connection",
                )),
                Ok(read) => Ok(Some(read)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}
