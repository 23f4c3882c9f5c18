//! Cuts what comes over a link into frames: `u32` little-endian length, then so many bytes. No
//! frame's bytes are copied, and no announced length is believed before the bytes are there.

use bytes::{Buf, Bytes, BytesMut};

/// Room made for one read, bytes.
const READ_ROOM: usize = 64 * 1_024;
/// With less room than this left, more is made.
const READ_ROOM_MIN: usize = 16 * 1_024;
/// Most room made at once for the rest of a large frame.
const GROWTH_MAX: usize = 1_024 * 1_024;

/// A frame's length that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {length} bytes, where 1 to {limit} are allowed")]
pub struct BadLength {
    length: usize,
    limit: usize,
}

/// Bytes that came and are not yet a whole frame.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
    /// Bytes that the frame at the beginning still lacks.
    lacking: usize,
}

impl Frames {
    /// For frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, lacking: 0 }
    }

    /// Changes the limit for the frames to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Where to read to: has room.
    pub fn buffer(&mut self) -> &mut BytesMut {
        let room = self.buffer.capacity() - self.buffer.len();
        if room < READ_ROOM_MIN.max(self.lacking.min(GROWTH_MAX)) {
            self.buffer.reserve(self.lacking.clamp(READ_ROOM, GROWTH_MAX));
        }
        &mut self.buffer
    }

    /// The next whole frame's body, if it is there.
    ///
    /// # Errors
    /// The next frame is empty or over the limit; nothing more can be read then.
    pub fn cut(&mut self) -> Result<Option<Bytes>, BadLength> {
        let Some(length) = self.buffer.first_chunk() else {
            self.lacking = 0;
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length == 0 || length > self.limit {
            return Err(BadLength { length, limit: self.limit });
        }
        let whole = length + 4;
        if self.buffer.len() < whole {
            self.lacking = whole - self.buffer.len();
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let frame = |body: &&[u8]| [&(body.len() as u32).to_le_bytes(), *body].concat();
        bodies.iter().flat_map(frame).collect()
    }

    #[test]
    fn frames_come_whole_however_the_bytes_are_cut() {
        let bodies: [&[u8]; 4] = [b"one", &[7; 40_000], b"3", b"four"];
        let bytes = framed(&bodies);
        for step in [1, 2, 3, 5, 4_096, bytes.len()] {
            let mut frames = Frames::new(50_000);
            let mut got = Vec::new();
            for part in bytes.chunks(step) {
                frames.buffer().extend_from_slice(part);
                while let Some(frame) = frames.cut().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, bodies, "in steps of {step}");
        }
    }

    #[test]
    fn an_announced_length_is_checked_first_and_makes_no_room_by_itself() {
        let mut frames = Frames::new(10_000_000);
        frames.buffer().extend_from_slice(&9_000_000u32.to_le_bytes());
        assert_eq!(frames.cut(), Ok(None));
        assert!(frames.buffer().capacity() <= 2 * GROWTH_MAX);
        for (length, limit) in [(0, 10), (11, 10)] {
            let mut frames = Frames::new(limit);
            frames.buffer().extend_from_slice(&(length as u32).to_le_bytes());
            assert_eq!(frames.cut(), Err(BadLength { length, limit }));
        }
    }
}
