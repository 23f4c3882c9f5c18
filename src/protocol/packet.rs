//! The packet around a payload: header, length prefix, compression.
//!
//! Gateways and the client library read frame bodies with [`decode`] and write frames with
//! [`append`]. Nothing is allocated for a packet that is not compressed, and nothing before an
//! announced size was checked.

use std::borrow::Cow;

use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::encoding::{encode_varint, encoded_len_varint};

use crate::limits;
use crate::proto::{ErrorCode, PacketHeader, PacketType};
use crate::protocol::client::Rejected;

/// Bytes before each body on a TCP port: its length.
pub const LENGTH_BYTES: usize = 4;
/// Most bytes that a body has beside its payload: the header (1 + 1 + 29) and the payload's key
/// and length (1 + 3), with some room for fields of a later version.
pub const OVERHEAD_MAX: usize = 64;

const HEADER_TAG: u32 = 1;
const PAYLOAD_TAG: u32 = 2;
/// Keys on the wire, `tag << 3 | wire type`, all of one byte.
const HEADER_KEY: u8 = 0x0a;
const PAYLOAD_KEY: u8 = 0x12;
const TYPE_KEY: u8 = 0x08;
const SIZE_KEY: u8 = 0x10;
const SEQUENCE_KEY: u8 = 0x18;
const TIMESTAMP_KEY: u8 = 0x20;
const COMPRESSED_KEY: u8 = 0x28;

/// A packet's header as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// A [`PacketType`]'s number, known or not.
    pub kind: i32,
    /// Payload bytes before compression.
    pub size: u32,
    /// The packet's number in its direction, from 1.
    pub sequence: u64,
    /// The sender's clock, Unix milliseconds.
    pub timestamp: u64,
    /// Whether the payload was compressed.
    pub is_compressed: bool,
}

/// Why a frame's body is no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Not protobuf, or not a `Packet`.
    #[error("not a packet: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// A length that points past the end.
    #[error("not a packet: a field is cut off")]
    Truncated,
    /// A packet without a header.
    #[error("not a packet: it has no header")]
    NoHeader,
    /// The header's size is not the payload's.
    #[error("header.size is {announced}, the payload has {actual} bytes")]
    Size {
        /// By the header.
        announced: u32,
        /// Counted.
        actual: usize,
    },
    /// The payload is, or inflates to, more than is allowed.
    #[error("a payload of {announced} bytes is more than the {limit} allowed here")]
    TooLarge {
        /// By the header.
        announced: u32,
        /// Allowed.
        limit: usize,
    },
    /// The payload is no LZ4 block of the announced size.
    #[error("the payload is no LZ4 block of {0} bytes")]
    Compression(u32),
    /// A frame's length that is 0 or over the limit.
    #[error("a frame of {length} bytes; 1 to {limit} are allowed")]
    FrameLength {
        /// Announced.
        length: usize,
        /// Allowed.
        limit: usize,
    },
}

impl PacketError {
    /// What ERROR tells the client.
    pub fn code(&self) -> ErrorCode {
        match self {
            PacketError::TooLarge { .. } | PacketError::FrameLength { .. } => {
                ErrorCode::ErrorTooLarge
            }
            _ => ErrorCode::ErrorMalformed,
        }
    }
}

impl From<PacketError> for Rejected {
    fn from(error: PacketError) -> Self {
        Rejected::new(error.code(), error.to_string())
    }
}

/// Reads one frame's body (or one WebSocket message). The payload is borrowed unless it was
/// compressed. An announced size over `payload_max` is refused before anything is inflated.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn decode(body: &[u8], payload_max: usize) -> Result<(Header, Cow<'_, [u8]>), PacketError> {
    let (header, payload) = split_body(body)?;
    let header = header.ok_or(PacketError::NoHeader)?;
    let header = Header {
        kind: header.r#type,
        size: header.size,
        sequence: header.sequence,
        timestamp: header.timestamp,
        is_compressed: header.is_compressed,
    };
    if header.size as usize > payload_max {
        return Err(PacketError::TooLarge { announced: header.size, limit: payload_max });
    }
    if header.is_compressed {
        return Ok((header, Cow::Owned(inflate(payload, header.size)?)));
    }
    if header.size as usize != payload.len() {
        return Err(PacketError::Size { announced: header.size, actual: payload.len() });
    }
    Ok((header, Cow::Borrowed(payload)))
}

/// The two fields of a `Packet`. Written out because the generated type would copy the payload;
/// like it, it merges repeated headers, takes the last payload and skips unknown fields.
fn split_body(mut rest: &[u8]) -> Result<(Option<PacketHeader>, &[u8]), PacketError> {
    let mut header: Option<PacketHeader> = None;
    let mut payload: &[u8] = &[];
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest)?;
        match (tag, wire_type) {
            (HEADER_TAG, WireType::LengthDelimited) => {
                header.get_or_insert_default().merge(take_bytes(&mut rest)?)?;
            }
            (PAYLOAD_TAG, WireType::LengthDelimited) => payload = take_bytes(&mut rest)?,
            _ => skip_field(wire_type, tag, &mut rest, DecodeContext::default())?,
        }
    }
    Ok((header, payload))
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], PacketError> {
    let length = usize::try_from(decode_varint(rest)?).map_err(|_| PacketError::Truncated)?;
    let (field, after) = rest.split_at_checked(length).ok_or(PacketError::Truncated)?;
    *rest = after;
    Ok(field)
}

fn inflate(block: &[u8], size: u32) -> Result<Vec<u8>, PacketError> {
    let mut payload = vec![0; size as usize];
    match lz4_flex::block::decompress_into(block, &mut payload) {
        Ok(length) if length == payload.len() => Ok(payload),
        _ => Err(PacketError::Compression(size)),
    }
}

/// Appends a whole frame to `out`: length, header, and the parts one after another as the payload.
/// Byte for byte what the generated types would make of it.
pub fn append(out: &mut Vec<u8>, kind: PacketType, sequence: u64, timestamp: u64, parts: &[&[u8]]) {
    let size = parts.iter().map(|part| part.len()).sum::<usize>();
    let header =
        Header { kind: kind.into(), size: size as u32, sequence, timestamp, is_compressed: false };
    append_frame(out, &header, size, parts);
}

/// Like [`append`], but compresses payloads over [`limits::COMPRESS_OVER`] when that makes them
/// smaller. Tells whether it did.
pub fn append_compressed(
    out: &mut Vec<u8>,
    kind: PacketType,
    sequence: u64,
    timestamp: u64,
    parts: &[&[u8]],
) -> bool {
    let size = parts.iter().map(|part| part.len()).sum::<usize>();
    if size > limits::COMPRESS_OVER {
        let block = lz4_flex::block::compress(&parts.concat());
        if block.len() < size {
            let size = size as u32;
            let header =
                Header { kind: kind.into(), size, sequence, timestamp, is_compressed: true };
            append_frame(out, &header, block.len(), &[&block]);
            return true;
        }
    }
    append(out, kind, sequence, timestamp, parts);
    false
}

fn append_frame(out: &mut Vec<u8>, header: &Header, payload: usize, parts: &[&[u8]]) {
    let inner = header_len(header);
    // Both keys and the header's own length take one byte each.
    let wrapped = if payload == 0 { 0 } else { 1 + encoded_len_varint(payload as u64) + payload };
    let body = 2 + inner + wrapped;
    out.reserve(LENGTH_BYTES + body);
    out.extend_from_slice(&(body as u32).to_le_bytes());
    out.extend_from_slice(&[HEADER_KEY, inner as u8]);
    // A negative enumeration number would be sign-extended; there is none.
    put_number(out, TYPE_KEY, header.kind as u64);
    put_number(out, SIZE_KEY, u64::from(header.size));
    put_number(out, SEQUENCE_KEY, header.sequence);
    put_number(out, TIMESTAMP_KEY, header.timestamp);
    put_number(out, COMPRESSED_KEY, u64::from(header.is_compressed));
    if payload > 0 {
        put_number(out, PAYLOAD_KEY, payload as u64);
        for part in parts {
            out.extend_from_slice(part);
        }
    }
}

/// A key and a number, or nothing for 0, as proto3 has it.
fn put_number(out: &mut Vec<u8>, key: u8, value: u64) {
    if value != 0 {
        out.push(key);
        encode_varint(value, out);
    }
}

fn header_len(header: &Header) -> usize {
    let number = |value: u64| if value == 0 { 0 } else { 1 + encoded_len_varint(value) };
    number(header.kind as u64)
        + number(u64::from(header.size))
        + number(header.sequence)
        + number(header.timestamp)
        + number(u64::from(header.is_compressed))
}

/// The first whole frame's body at the start of what a client has read so far; none: read more.
/// The frame takes [`LENGTH_BYTES`] more than its body.
///
/// # Errors
/// [`PacketError::FrameLength`] if the length is 0 or over `frame_max`.
pub fn first_frame(read: &[u8], frame_max: usize) -> Result<Option<&[u8]>, PacketError> {
    let Some((length, rest)) = read.split_first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 || length > frame_max {
        return Err(PacketError::FrameLength { length, limit: frame_max });
    }
    Ok(rest.get(..length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::Packet;

    const LIMIT: usize = limits::SERVER_FRAME_MAX;

    fn any_kind() -> impl Strategy<Value = PacketType> {
        prop::sample::select(vec![
            PacketType::Unspecified,
            PacketType::LoginRequest,
            PacketType::SyncPositions,
            PacketType::RoomMembers,
        ])
    }

    proptest! {
        #[test]
        fn frames_are_those_of_the_generated_types(
            kind in any_kind(), sequence: u64, timestamp: u64,
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5),
        ) {
            let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let payload = parts.concat();
            let mut out = vec![0xee];
            append(&mut out, kind, sequence, timestamp, &slices);
            let packet = Packet {
                header: Some(PacketHeader {
                    r#type: kind.into(),
                    size: payload.len() as u32,
                    sequence,
                    timestamp,
                    is_compressed: false,
                }),
                payload: payload.clone().into(),
            };
            let body = packet.encode_to_vec();
            prop_assert_eq!(&out[1..5], &(body.len() as u32).to_le_bytes());
            prop_assert_eq!(&out[5..], &body);
            prop_assert!(body.len() <= payload.len() + OVERHEAD_MAX);

            let body = first_frame(&out[1..], LIMIT).unwrap().unwrap();
            let (header, read) = decode(body, LIMIT).unwrap();
            prop_assert_eq!((header.kind, header.sequence), (i32::from(kind), sequence));
            prop_assert!(matches!(read, Cow::Borrowed(_)));
            prop_assert_eq!(read.as_ref(), &payload);
        }

        #[test]
        fn compression_is_undone(
            payload in prop::collection::vec(0u8..4, 0..3_000), sequence: u64,
        ) {
            let mut out = Vec::new();
            let helped =
                append_compressed(&mut out, PacketType::Inventory, sequence, 1, &[&payload]);
            prop_assert!(helped || payload.len() <= 600, "two bits a byte can be compressed");
            let body = first_frame(&out, LIMIT).unwrap().unwrap();
            let (header, read) = decode(body, LIMIT).unwrap();
            prop_assert_eq!(header.is_compressed, helped);
            prop_assert_eq!(read.as_ref(), &payload);
        }

        #[test]
        fn any_bytes_are_a_packet_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let ours = decode(&body, 1 << 20);
            if let Ok((header, payload)) = ours {
                prop_assert_eq!(header.size as usize, payload.len());
                prop_assert!(Packet::decode(body.as_slice()).is_ok());
            }
        }

        #[test]
        fn a_broken_packet_is_a_packet_or_refused(
            payload in prop::collection::vec(0u8..4, 0..1_500), place: usize, bit in 0u8..8,
            cut: usize,
        ) {
            let mut out = Vec::new();
            append_compressed(&mut out, PacketType::ChatSend, 9, 1, &[&payload]);
            let mut body = out.split_off(LENGTH_BYTES);
            let length = body.len();
            let _ = decode(&body[..cut % length], LIMIT);
            body[place % length] ^= 1 << bit;
            let _ = decode(&body, LIMIT);
        }
    }

    #[test]
    fn what_cannot_be_compressed_is_sent_as_it_is() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        let noise: Vec<u8> = (0..2_000).map(|_| next()).collect();
        let mut out = Vec::new();
        assert!(!append_compressed(&mut out, PacketType::Inventory, 1, 1, &[&noise]));
        let body = first_frame(&out, LIMIT).unwrap().unwrap();
        assert_eq!(decode(body, LIMIT).unwrap().1.as_ref(), noise);
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_inflated() {
        let mut out = Vec::new();
        assert!(append_compressed(&mut out, PacketType::ChatSend, 1, 1, &[&[0; 60_000]]));
        let body = &out[LENGTH_BYTES..];
        assert!(body.len() < 500);
        let refused = decode(body, 16_384);
        assert_eq!(refused, Err(PacketError::TooLarge { announced: 60_000, limit: 16_384 }));
    }

    #[test]
    fn a_size_that_lies_is_refused() {
        let packet = |size, is_compressed, payload: &'static [u8]| {
            let header = PacketHeader { r#type: 1000, size, is_compressed, ..Default::default() };
            Packet { header: Some(header), payload: payload.into() }.encode_to_vec()
        };
        let refused = decode(&packet(4, false, b"abc"), 100).unwrap_err();
        assert_eq!(refused, PacketError::Size { announced: 4, actual: 3 });
        let block: &[u8] = &lz4_flex::block::compress(&[7; 90]).leak()[..];
        assert!(decode(&packet(90, true, block), 100).is_ok());
        for lie in [89, 91, 0] {
            let refused = decode(&packet(lie, true, block), 100).unwrap_err();
            assert_eq!(refused, PacketError::Compression(lie));
        }
    }

    #[test]
    fn a_packet_needs_a_header() {
        assert_eq!(decode(&[], 100), Err(PacketError::NoHeader));
        assert_eq!(decode(&[PAYLOAD_KEY, 1, 9], 100), Err(PacketError::NoHeader));
        assert_eq!(decode(&[PAYLOAD_KEY, 9, 9], 100), Err(PacketError::Truncated));
    }

    #[test]
    fn frames_are_found_one_after_another() {
        let mut read = Vec::new();
        append(&mut read, PacketType::HeartbeatRequest, 1, 0, &[]);
        let whole = read.len();
        append(&mut read, PacketType::Inventory, 2, 0, &[&[1, 2, 3]]);
        for short in 0..whole {
            assert_eq!(first_frame(&read[..short], 100), Ok(None));
        }
        let first = first_frame(&read, 100).unwrap().unwrap();
        assert_eq!(first.len() + LENGTH_BYTES, whole);
        assert!(first_frame(&read[whole..], 100).unwrap().is_some());
        for bad in [0u32, 101] {
            assert!(first_frame(&bad.to_le_bytes(), 100).is_err());
        }
    }
}
