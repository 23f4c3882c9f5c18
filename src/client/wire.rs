//! One connection's packets: length-prefixed frames in both directions, sequences counted,
//! compression undone, everything buffered.
//!
//! `Client` drives it; the load test takes the socket over from here once a bot is in the world.
//! Every wait in here may be cancelled at any point without losing a byte.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ClientError;
use super::packets::ClientMessage;
use super::tls::{Stream, Tls};
use crate::limits;
use crate::protocol::packet::{self, Header, LENGTH_BYTES};
use crate::protocol::table::SERVER_PAYLOAD_MAX;
use crate::tick;

/// Longest wait for a connection to open, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server is, and how to talk to it.
#[derive(Clone)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whom to trust; none: no TLS.
    pub tls: Option<Tls>,
}

impl Endpoint {
    /// A server without TLS.
    pub fn plain(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, tls: None }
    }

    /// Host and port in one, for messages.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A packet as it came, its payload inflated.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// `PacketHeader.type`.
    pub kind: i32,
    /// `PacketHeader.sequence`.
    pub sequence: u64,
    /// `PacketHeader.timestamp`, the server's Unix milliseconds.
    pub timestamp: u64,
    /// The message in protobuf.
    pub payload: Bytes,
}

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    incoming: BytesMut,
    /// Frames to be written, and how much of them has been.
    outgoing: Vec<u8>,
    written: usize,
    /// A message on its way into `outgoing`, kept for its memory.
    payload: Vec<u8>,
    sent: u64,
    received: u64,
    last_send: Instant,
    last_receive: Instant,
}

/// What is left of a plain connection when somebody else goes on with it.
#[derive(Debug)]
pub struct ConnectionParts {
    /// The socket.
    pub stream: TcpStream,
    /// Bytes read from it that belong to frames not yet taken.
    pub unread: BytesMut,
    /// The sequence of the last packet sent.
    pub sent: u64,
    /// The sequence of the last packet received.
    pub received: u64,
}

impl Connection {
    /// Opens a connection within ten seconds.
    ///
    /// # Errors
    /// Nobody answers there, or TLS fails.
    pub async fn open(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        let failed = |source| ClientError::Connect { address: endpoint.address(), source };
        let opening = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, opening)
            .await
            .map_err(|e| failed(late(e)))?
            .map_err(failed)?;
        // A game's packets are small and late ones are worthless: never wait to fill a segment.
        stream.set_nodelay(true)?;
        let stream = match &endpoint.tls {
            None => Stream::Plain(stream),
            Some(tls) => tokio::time::timeout(CONNECT_TIMEOUT, tls.handshake(stream))
                .await
                .map_err(|e| failed(late(e)))??,
        };
        Ok(Self {
            stream,
            incoming: BytesMut::with_capacity(8 * 1024),
            outgoing: Vec::new(),
            written: 0,
            payload: Vec::new(),
            sent: 0,
            received: 0,
            last_send: tick::now(),
            last_receive: tick::now(),
        })
    }

    /// Puts a message into the outgoing buffer and gives its header sequence. [`Self::flush`]
    /// sends it.
    ///
    /// # Errors
    /// The message is larger than a server takes.
    pub fn queue<M: ClientMessage>(&mut self, message: &M) -> Result<u64, ClientError> {
        let sequence = self.sent + 1;
        self.payload.clear();
        message.encode_raw(&mut self.payload);
        let before = self.outgoing.len();
        let now = tick::unix_millis();
        packet::append(&mut self.outgoing, M::KIND, sequence, now, &[&self.payload]);
        let size = self.outgoing.len() - before - LENGTH_BYTES;
        if size > limits::CLIENT_FRAME_MAX {
            self.outgoing.truncate(before);
            return Err(ClientError::TooLarge { size, limit: limits::CLIENT_FRAME_MAX });
        }
        self.sent = sequence;
        self.last_send = tick::now();
        Ok(sequence)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        while self.written < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.written..]).await? {
                0 => return Err(ClientError::Closed),
                count => self.written += count,
            }
        }
        self.outgoing.clear();
        self.written = 0;
        Ok(self.stream.flush().await?)
    }

    /// The next packet, as soon as it is complete.
    ///
    /// # Errors
    /// The connection broke or was closed, or the bytes are no packet or not the next one.
    pub async fn receive(&mut self) -> Result<Incoming, ClientError> {
        loop {
            if let Some(packet) = self.take_buffered()? {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(ClientError::Closed);
            }
            self.last_receive = tick::now();
        }
    }

    /// A packet that has been read already, if there is a whole one.
    fn take_buffered(&mut self) -> Result<Option<Incoming>, ClientError> {
        let Some(body) = take_frame(&mut self.incoming)? else { return Ok(None) };
        let packet = decode_packet(&body)?;
        if packet.sequence != self.received + 1 {
            return Err(ClientError::Protocol(format!(
                "packet {} came where {} was due",
                packet.sequence,
                self.received + 1
            )));
        }
        self.received = packet.sequence;
        Ok(Some(packet))
    }

    /// The sequence of the last packet sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// The sequence of the last packet received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// When the last packet was queued.
    pub fn last_send(&self) -> Instant {
        self.last_send
    }

    /// When bytes last came.
    pub fn last_receive(&self) -> Instant {
        self.last_receive
    }

    /// Says goodbye to the other side; what was queued and not flushed is lost.
    pub async fn close(&mut self) {
        // The other side may be gone already, and then there is nobody left to tell.
        let _ = self.stream.shutdown().await;
    }

    /// Gives up the connection to somebody who reads and writes the socket itself; none if it is
    /// encrypted.
    pub fn into_parts(self) -> Option<ConnectionParts> {
        match self.stream {
            Stream::Plain(stream) => Some(ConnectionParts {
                stream,
                unread: self.incoming,
                sent: self.sent,
                received: self.received,
            }),
            Stream::Tls(_) => None,
        }
    }
}

/// Takes one frame's body from the front of `bytes` if it is complete.
fn take_frame(bytes: &mut BytesMut) -> Result<Option<Bytes>, ClientError> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > limits::SERVER_FRAME_MAX {
        return Err(ClientError::Protocol(format!("a frame of {length} bytes")));
    }
    if bytes.len() < LENGTH_BYTES + length {
        bytes.reserve(LENGTH_BYTES + length - bytes.len());
        return Ok(None);
    }
    bytes.advance(LENGTH_BYTES);
    Ok(Some(bytes.split_to(length).freeze()))
}

/// Reads a frame's body, and inflates its payload if it is compressed.
fn decode_packet(body: &Bytes) -> Result<Incoming, ClientError> {
    let (header, payload) = packet::decode(body, SERVER_PAYLOAD_MAX)
        .map_err(|error| ClientError::Protocol(error.to_string()))?;
    let payload = match payload {
        // An empty slice may lie anywhere, and `slice_ref` would not find it in the body.
        Cow::Borrowed([]) => Bytes::new(),
        Cow::Borrowed(part) => body.slice_ref(part),
        Cow::Owned(inflated) => Bytes::from(inflated),
    };
    let Header { kind, sequence, timestamp, .. } = header;
    Ok(Incoming { kind, sequence, timestamp, payload })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto::{self, PacketType};

    fn framed(text: &str, sequence: u64, compressed: bool) -> (Vec<u8>, Vec<u8>) {
        let message = proto::ChatMessage { text: text.into(), ..Default::default() };
        let payload = message.encode_to_vec();
        let mut frame = Vec::new();
        if compressed {
            packet::append_compressed(
                &mut frame,
                PacketType::ChatMessage,
                sequence,
                7,
                &[&payload],
            );
        } else {
            packet::append(&mut frame, PacketType::ChatMessage, sequence, 7, &[&payload]);
        }
        (frame, payload)
    }

    proptest! {
        #[test]
        fn what_was_framed_comes_out_again_however_it_is_cut(
            text in "\\PC{0,900}", sequence: u64, compressed: bool, cut in 0usize..1_000,
        ) {
            let (frame, payload) = framed(&text, sequence, compressed);
            let cut = cut % frame.len();
            let mut bytes = BytesMut::from(&frame[..cut]);
            prop_assert_eq!(take_frame(&mut bytes).unwrap(), None);
            bytes.extend_from_slice(&frame[cut..]);
            let body = take_frame(&mut bytes).unwrap().unwrap();
            prop_assert!(bytes.is_empty());
            let kind = PacketType::ChatMessage as i32;
            let wanted = Incoming { kind, sequence, timestamp: 7, payload: payload.into() };
            prop_assert_eq!(decode_packet(&body).unwrap(), wanted);
        }

        #[test]
        fn random_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = decode_packet(&Bytes::from(bytes.clone()));
            let _ = take_frame(&mut BytesMut::from(&bytes[..]));
        }
    }

    #[test]
    fn an_impossible_length_is_refused_at_once() {
        for length in [0u32, limits::SERVER_FRAME_MAX as u32 + 1, u32::MAX] {
            let mut bytes = BytesMut::from(&length.to_le_bytes()[..]);
            assert!(take_frame(&mut bytes).is_err(), "{length}");
        }
    }
}
