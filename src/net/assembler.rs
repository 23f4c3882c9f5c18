//! Bytes to frames, for one connection: length-prefixed frames or text lines.
//!
//! The shard's worker feeds whatever it has read. A frame that lies whole in the input is handed
//! on without a copy; only the start of an unfinished one is kept, and its memory is given back
//! with the frame. Nothing is allocated on the word of a length prefix.

use super::{FrameFault, Framing};

/// Bytes of the length before each frame.
const PREFIX: usize = 4;
/// Least and most bytes of one read.
const READ_MIN: usize = 4_096;
/// See [`READ_MIN`].
pub(super) const READ_MAX: usize = 16_384;

/// Cuts one connection's input into frames.
#[derive(Debug)]
pub(super) struct Assembler {
    framing: Framing,
    limit: usize,
    /// The start of a frame, with its prefix; empty between frames.
    partial: Vec<u8>,
}

/// One frame's body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body<'i> {
    /// It lay whole in the input.
    Whole(&'i [u8]),
    /// It came in pieces; the body begins after `start` bytes.
    Joined {
        /// Prefix and body.
        bytes: Vec<u8>,
        /// Bytes before the body.
        start: usize,
        /// Bytes before the body's end.
        end: usize,
    },
}

impl Body<'_> {
    /// The body's bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Whole(bytes) => bytes,
            Body::Joined { bytes, start, end } => &bytes[*start..*end],
        }
    }
}

impl Assembler {
    /// Frames of at most `limit` bytes: the body's, or a line's with its end.
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, partial: Vec::new() }
    }

    /// The largest frame from now on; a started one is measured again when more of it comes.
    pub fn limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether a frame has started and not ended.
    pub fn is_partial(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The next whole frame, taken off the front of `input`. None: all of `input` is used up and
    /// what is left of it is kept.
    ///
    /// # Errors
    /// A frame that is not allowed; the stream is of no use afterwards.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Body<'i>>, FrameFault> {
        match self.framing {
            Framing::Length => self.next_length(input),
            Framing::Lines => self.next_line(input),
        }
    }

    /// Checks a body that came whole by another way (a WebSocket message).
    ///
    /// # Errors
    /// It is empty or too long.
    pub fn check_body(&self, length: usize) -> Result<(), FrameFault> {
        match length {
            0 => Err(FrameFault::Empty),
            length if length > self.limit => Err(FrameFault::TooLong { length, limit: self.limit }),
            _ => Ok(()),
        }
    }

    fn next_length<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Body<'i>>, FrameFault> {
        if self.partial.is_empty() {
            let Some(prefix) = input.first_chunk::<PREFIX>() else {
                self.keep(input, input.len());
                return Ok(None);
            };
            let length = self.announced(*prefix)?;
            if let Some(body) = input.get(PREFIX..PREFIX + length) {
                *input = &input[PREFIX + length..];
                return Ok(Some(Body::Whole(body)));
            }
            self.keep(input, input.len());
            return Ok(None);
        }
        if self.partial.len() < PREFIX {
            self.keep(input, PREFIX - self.partial.len());
        }
        let Some(prefix) = self.partial.first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = self.announced(*prefix)?;
        let whole = PREFIX + length;
        self.keep(input, whole.saturating_sub(self.partial.len()));
        if self.partial.len() < whole {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.partial);
        Ok(Some(Body::Joined { bytes, start: PREFIX, end: whole }))
    }

    /// The length that a prefix announces, checked before anything is made of it.
    fn announced(&self, prefix: [u8; PREFIX]) -> Result<usize, FrameFault> {
        let length = usize::try_from(u32::from_le_bytes(prefix)).unwrap_or(usize::MAX);
        self.check_body(length).map(|()| length)
    }

    fn next_line<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Body<'i>>, FrameFault> {
        let found = input.iter().position(|byte| *byte == b'\n');
        let length = self.partial.len() + found.map_or(input.len(), |at| at + 1);
        // A line that fills the limit without its end cannot end within it.
        if length > self.limit || (found.is_none() && length == self.limit) {
            return Err(FrameFault::TooLong { length, limit: self.limit });
        }
        let Some(at) = found else {
            self.keep(input, input.len());
            return Ok(None);
        };
        let body = if self.partial.is_empty() {
            let line = trim_return(&input[..at]);
            *input = &input[at + 1..];
            Body::Whole(line)
        } else {
            self.keep(input, at + 1);
            let bytes = std::mem::take(&mut self.partial);
            let end = trim_return(&bytes[..bytes.len() - 1]).len();
            Body::Joined { bytes, start: 0, end }
        };
        std::str::from_utf8(body.bytes()).map_err(|_| FrameFault::NotUtf8)?;
        Ok(Some(body))
    }

    /// How many whole frames lie in input that begins with a frame's start.
    pub fn count(&self, input: &[u8]) -> usize {
        match self.framing {
            Framing::Lines => input.iter().filter(|byte| **byte == b'\n').count(),
            Framing::Length => {
                let (mut count, mut rest) = (0, input);
                while let Some((prefix, body)) = rest.split_first_chunk::<PREFIX>() {
                    let length = u32::from_le_bytes(*prefix) as usize;
                    let Some(next) = body.get(length..) else { break };
                    (count, rest) = (count + 1, next);
                }
                count
            }
        }
    }

    /// Bytes that one read of it may bring: some frames, so that what waits for its turn stays
    /// small.
    pub fn read_size(&self) -> usize {
        (4 * self.limit).clamp(READ_MIN, READ_MAX)
    }

    /// Moves up to `most` bytes from the input to the partial frame.
    fn keep(&mut self, input: &mut &[u8], most: usize) {
        let (kept, rest) = input.split_at(most.min(input.len()));
        self.partial.extend_from_slice(kept);
        *input = rest;
    }
}

/// A line without the `\r` of a `\r\n`.
fn trim_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the chunks and collects the frames, until a fault.
    fn cut(
        framing: Framing,
        limit: usize,
        chunks: &[&[u8]],
    ) -> (Vec<Vec<u8>>, Option<FrameFault>, bool) {
        let mut assembler = Assembler::new(framing, limit);
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match assembler.next(&mut input) {
                    Ok(Some(body)) => frames.push(body.bytes().to_vec()),
                    Ok(None) => break,
                    Err(fault) => return (frames, Some(fault), false),
                }
            }
            assert!(input.is_empty());
        }
        let partial = assembler.is_partial();
        (frames, None, partial)
    }

    fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
            bytes.extend_from_slice(body);
        }
        bytes
    }

    #[test]
    fn whole_frames_are_not_copied() {
        let bytes = framed(&[b"one", b"two"]);
        let mut input = &bytes[..];
        let mut assembler = Assembler::new(Framing::Length, 16);
        assert_eq!(assembler.next(&mut input), Ok(Some(Body::Whole(b"one"))));
        assert_eq!(assembler.next(&mut input), Ok(Some(Body::Whole(b"two"))));
        assert_eq!(assembler.next(&mut input), Ok(None));
        assert_eq!(assembler.partial.capacity(), 0);
    }

    #[test]
    fn a_frame_byte_by_byte_gives_its_memory_back() {
        let bytes = framed(&[b"slow"]);
        let mut assembler = Assembler::new(Framing::Length, 16);
        for byte in &bytes[..bytes.len() - 1] {
            assert_eq!(assembler.next(&mut std::slice::from_ref(byte)), Ok(None));
            assert!(assembler.is_partial());
        }
        let body = assembler.next(&mut &bytes[bytes.len() - 1..]).unwrap().unwrap();
        assert_eq!(body.bytes(), b"slow");
        assert_eq!(assembler.partial.capacity(), 0);
    }

    #[test]
    fn empty_and_oversized_frames_are_faults_before_their_body_comes() {
        let empty = cut(Framing::Length, 16, &[&[0, 0, 0], &[0]]);
        assert_eq!(empty.1, Some(FrameFault::Empty));
        let (frames, fault, _) = cut(Framing::Length, 16, &[&framed(&[b"ok"]), &[17, 0, 0, 0]]);
        assert_eq!(frames, [b"ok"]);
        assert_eq!(fault, Some(FrameFault::TooLong { length: 17, limit: 16 }));
        let huge = cut(Framing::Length, 16, &[&[255; 4]]).1;
        assert_eq!(huge, Some(FrameFault::TooLong { length: u32::MAX as usize, limit: 16 }));
        assert_eq!(cut(Framing::Length, 16, &[&framed(&[&[7; 16]])]).0, [vec![7; 16]]);
    }

    #[test]
    fn lines_end_with_or_without_a_carriage_return() {
        let (lines, fault, partial) = cut(Framing::Lines, 32, &[b"LOGIN\r\n\nPI", b"NG\r", b"\nx"]);
        assert_eq!(lines, [&b"LOGIN"[..], b"", b"PING"]);
        assert_eq!((fault, partial), (None, true));
    }

    #[test]
    fn whole_frames_are_counted_where_they_lie() {
        let count = |framing, bytes: &[u8]| Assembler::new(framing, 16).count(bytes);
        assert_eq!(count(Framing::Lines, b"y\ny\n\nhalf"), 3);
        assert_eq!(count(Framing::Length, &framed(&[b"one", b"two"])), 2);
        assert_eq!(count(Framing::Length, &framed(&[b"one", b"two"])[..13]), 1);
        assert_eq!(count(Framing::Length, &[255; 9]), 0);
        assert_eq!(count(Framing::Length, b""), 0);
    }

    #[test]
    fn a_line_is_measured_with_its_end() {
        assert_eq!(cut(Framing::Lines, 4, &[b"abc\n"]).0, [b"abc"]);
        let fault = Some(FrameFault::TooLong { length: 4, limit: 4 });
        assert_eq!(cut(Framing::Lines, 4, &[b"ab", b"cd"]).1, fault);
        let fault = Some(FrameFault::TooLong { length: 5, limit: 4 });
        assert_eq!(cut(Framing::Lines, 4, &[b"abcd\n"]).1, fault);
        assert_eq!(cut(Framing::Lines, 9, &[b"\xff\n"]).1, Some(FrameFault::NotUtf8));
    }

    /// Cuts `bytes` at the given places, which may repeat or lie outside.
    fn split<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
        let mut places: Vec<usize> = places.iter().map(|at| at % (bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..12),
            places in prop::collection::vec(any::<usize>(), 0..30),
        ) {
            let bodies: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
            let bytes = framed(&bodies);
            let (frames, fault, partial) = cut(Framing::Length, 40, &split(&bytes, &places));
            prop_assert_eq!(frames, bodies);
            prop_assert_eq!((fault, partial), (None, false));
        }

        #[test]
        fn any_split_of_any_bytes_is_judged_alike(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(3), Just(10), Just(13), any::<u8>()], 0..200),
            places in prop::collection::vec(any::<usize>(), 0..30),
            lines in any::<bool>(),
        ) {
            let framing = if lines { Framing::Lines } else { Framing::Length };
            let one = cut(framing, 24, &[&bytes]);
            let many = cut(framing, 24, &split(&bytes, &places));
            prop_assert_eq!(&one.0, &many.0);
            prop_assert_eq!(one.2, many.2);
            // How much of a too long line has been seen depends on the reads.
            prop_assert_eq!(one.1.map(|f| std::mem::discriminant(&f)), many.1.map(|f| std::mem::discriminant(&f)));
        }
    }
}
