//! One connection's packets: length-prefixed frames in both directions, sequences counted,
//! compression undone, everything buffered.
//!
//! `Client` drives it; the load test takes the socket over from here once a bot is in the world.
//! Every wait in here may be cancelled at any point without losing a byte.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ClientError;
use super::packets::ClientMessage;
use super::tls::{Stream, Tls};
use crate::limits;
use crate::proto::{Packet, PacketHeader, PacketType};
use crate::tick;

/// Largest payload after inflating, bytes. A server's frames are at most 64 KiB; one that says
/// it inflates to more than four times that is not believed.
pub const INFLATED_MAX: usize = 4 * limits::SERVER_FRAME_MAX;

/// Longest wait for a connection to open, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a frame's length.
const LENGTH: usize = 4;

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
    outgoing: BytesMut,
    sent: u64,
    received: u64,
    last_send: Instant,
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
            outgoing: BytesMut::new(),
            sent: 0,
            received: 0,
            last_send: tick::now(),
        })
    }

    /// Puts a message into the outgoing buffer and gives its header sequence. [`Self::flush`]
    /// sends it.
    ///
    /// # Errors
    /// The message is larger than a server takes.
    pub fn queue<M: ClientMessage>(&mut self, message: &M) -> Result<u64, ClientError> {
        let sequence = self.sent + 1;
        let before = self.outgoing.len();
        append_frame(&mut self.outgoing, M::KIND, sequence, tick::unix_millis(), message);
        let size = self.outgoing.len() - before - LENGTH;
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
        while !self.outgoing.is_empty() {
            if self.stream.write_buf(&mut self.outgoing).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
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
        }
    }

    /// A packet that has been read already, if there is a whole one.
    fn take_buffered(&mut self) -> Result<Option<Incoming>, ClientError> {
        let Some(body) = take_frame(&mut self.incoming)? else { return Ok(None) };
        let packet = decode_packet(body)?;
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
    let Some(length) = bytes.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > limits::SERVER_FRAME_MAX {
        return Err(ClientError::Protocol(format!("a frame of {length} bytes")));
    }
    if bytes.len() < LENGTH + length {
        bytes.reserve(LENGTH + length - bytes.len());
        return Ok(None);
    }
    bytes.advance(LENGTH);
    Ok(Some(bytes.split_to(length).freeze()))
}

/// Reads a frame's body, and inflates its payload if it is compressed.
fn decode_packet(body: Bytes) -> Result<Incoming, ClientError> {
    let wrong = |what: String| ClientError::Protocol(what);
    let packet = Packet::decode(body).map_err(|e| wrong(format!("not a packet: {e}")))?;
    let header = packet.header.ok_or_else(|| wrong("a packet without a header".into()))?;
    let size = header.size as usize;
    let payload = if header.is_compressed {
        if size > INFLATED_MAX {
            return Err(wrong(format!("a payload that inflates to {size} bytes")));
        }
        let mut inflated = vec![0; size];
        let length = lz4_flex::block::decompress_into(&packet.payload, &mut inflated)
            .map_err(|e| wrong(format!("a payload that does not inflate: {e}")))?;
        inflated.truncate(length);
        Bytes::from(inflated)
    } else {
        packet.payload
    };
    if payload.len() != size {
        return Err(wrong(format!("a payload of {} bytes that says {size}", payload.len())));
    }
    let PacketHeader { r#type: kind, sequence, timestamp, .. } = header;
    Ok(Incoming { kind, sequence, timestamp, payload })
}

/// Appends a whole uncompressed frame, length first, without building the payload in between.
pub fn append_frame(
    out: &mut impl bytes::BufMut,
    kind: PacketType,
    sequence: u64,
    timestamp: u64,
    message: &impl Message,
) {
    let size = message.encoded_len();
    let header = PacketHeader {
        r#type: kind as i32,
        size: size as u32,
        sequence,
        timestamp,
        is_compressed: false,
    };
    let header_size = header.encoded_len();
    let field = |n: usize| key_len(1) + encoded_len_varint(n as u64) + n;
    // An empty `bytes` field is not written at all, as proto3 has it.
    let body = field(header_size) + if size == 0 { 0 } else { field(size) };
    out.put_u32_le(body as u32);
    encode_key(1, WireType::LengthDelimited, out);
    encode_varint(header_size as u64, out);
    header.encode_raw(out);
    if size > 0 {
        encode_key(2, WireType::LengthDelimited, out);
        encode_varint(size as u64, out);
        message.encode_raw(out);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto;

    fn body_of(frame: &[u8]) -> Bytes {
        let mut bytes = BytesMut::from(frame);
        let body = take_frame(&mut bytes).unwrap().unwrap();
        assert!(bytes.is_empty());
        body
    }

    proptest! {
        #[test]
        fn a_frame_is_what_prost_would_write(
            text in "\\PC{0,300}", sequence: u64, timestamp: u64,
        ) {
            let message = proto::ChatSend { channel: 1, target: String::new(), text };
            let mut frame = Vec::new();
            append_frame(&mut frame, PacketType::ChatSend, sequence, timestamp, &message);
            let payload = Bytes::from(message.encode_to_vec());
            let whole = Packet {
                header: Some(PacketHeader {
                    r#type: PacketType::ChatSend as i32,
                    size: payload.len() as u32,
                    sequence,
                    timestamp,
                    is_compressed: false,
                }),
                payload: payload.clone(),
            };
            prop_assert_eq!(&frame[LENGTH..], whole.encode_to_vec());
            let kind = PacketType::ChatSend as i32;
            let wanted = Incoming { kind, sequence, timestamp, payload };
            prop_assert_eq!(decode_packet(body_of(&frame)).unwrap(), wanted);
        }

        #[test]
        fn random_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
            let _ = decode_packet(Bytes::from(bytes.clone()));
            let _ = take_frame(&mut BytesMut::from(&bytes[..]));
        }
    }

    #[test]
    fn an_empty_message_leaves_the_payload_out() {
        let mut frame = Vec::new();
        append_frame(&mut frame, PacketType::LogoutRequest, 1, 2, &proto::LogoutRequest {});
        let packet = Packet::decode(body_of(&frame)).unwrap();
        assert_eq!(packet.header.unwrap().sequence, 1);
        assert_eq!(frame.len() - LENGTH, usize::try_from(u32::from_le_bytes(
            *frame.first_chunk().unwrap(),
        )).unwrap());
    }

    #[test]
    fn a_compressed_payload_is_inflated_and_a_boastful_one_refused() {
        let message = proto::ChatMessage { text: "a".repeat(600), ..Default::default() };
        let plain = message.encode_to_vec();
        let mut packet = Packet {
            header: Some(PacketHeader {
                r#type: PacketType::ChatMessage as i32,
                size: plain.len() as u32,
                sequence: 1,
                timestamp: 1,
                is_compressed: true,
            }),
            payload: Bytes::from(lz4_flex::block::compress(&plain)),
        };
        let incoming = decode_packet(Bytes::from(packet.encode_to_vec())).unwrap();
        assert_eq!(incoming.payload, plain);
        for size in [plain.len() as u32 - 1, plain.len() as u32 + 1, u32::MAX] {
            packet.header.as_mut().unwrap().size = size;
            let refused = decode_packet(Bytes::from(packet.encode_to_vec()));
            assert!(matches!(refused, Err(ClientError::Protocol(_))), "{size}");
        }
    }

    #[test]
    fn an_impossible_length_is_refused_at_once() {
        for length in [0u32, limits::SERVER_FRAME_MAX as u32 + 1, u32::MAX] {
            let mut bytes = BytesMut::from(&length.to_le_bytes()[..]);
            assert!(take_frame(&mut bytes).is_err(), "{length}");
        }
        let mut half = BytesMut::from(&[5, 0, 0, 0, 1][..]);
        assert_eq!(take_frame(&mut half).unwrap(), None);
    }
}
