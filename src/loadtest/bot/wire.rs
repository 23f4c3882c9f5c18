//! A bot's socket: frames out of reused buffers, bytes in through a buffer that all bots of the
//! thread share. Nothing is allocated for a packet, and no task is woken.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use socket2::SockRef;

use crate::proto::PacketType;
use crate::protocol::packet;
use crate::tick::unix_millis;

/// Bytes that wait for a server that does not read, at most; then a bot sends no more.
const WAITING_MAX: usize = 64 * 1024;
/// The field, unknown to the server, that pads a request, and the bytes of its key and length.
const PADDING_FIELD: u32 = 15;
const PADDING_HEAD: usize = 2;
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
        self.append_sized(kind, message, 0)
    }

    /// The same, padded so that the whole frame has so many bytes, 127 at most; one that has more
    /// by itself stays as it is.
    pub(super) fn append_sized(
        &mut self,
        kind: PacketType,
        message: &impl Message,
        bytes: usize,
    ) -> Option<usize> {
        if self.out.len() > WAITING_MAX {
            return None;
        }
        self.payload.clear();
        // Encoding into a vector cannot fail.
        let _ = message.encode(&mut self.payload);
        self.sent += 1;
        let (before, at) = (self.out.len(), unix_millis());
        packet::append(&mut self.out, kind, self.sent, at, &[&self.payload]);
        let short = (before + bytes).saturating_sub(self.out.len() + PADDING_HEAD);
        if short > 0 {
            self.out.truncate(before);
            encode_key(PADDING_FIELD, WireType::LengthDelimited, &mut self.payload);
            encode_varint(short as u64, &mut self.payload);
            self.payload.resize(self.payload.len() + short, 0);
            packet::append(&mut self.out, kind, self.sent, at, &[&self.payload]);
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::{HeartbeatRequest, MovementUpdate};

    #[test]
    fn a_request_has_as_many_bytes_as_it_should() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut wire = Wire::new(stream, Vec::new(), 0);
        for (sent, client_time) in [(1, 1), (200, 1 << 30), (20_000, 1 << 50)] {
            wire.sent = sent;
            let request = HeartbeatRequest { client_time };
            for bytes in [64, 100, 127] {
                let kind = PacketType::HeartbeatRequest;
                assert_eq!(wire.append_sized(kind, &request, bytes), Some(bytes));
            }
        }
        let alone = wire.append(PacketType::MovementUpdate, &MovementUpdate::default()).unwrap();
        assert!((20..40).contains(&alone), "{alone}");
    }
}
