//! Frames that wait to be written to a link, ready for one large write: small messages copied
//! together, large ones by reference.
//!
//! Filled by whoever sends, under the peer's lock; emptied by the connection's writer. A frame is
//! its length as `u32`, little-endian, then so many bytes.

use std::io::IoSlice;

use bytes::Bytes;

use crate::link::codec::envelope::{self, Head, Own};

/// Bodies up to this are copied; larger ones are written from where they are.
const COPIED_MAX: usize = 16 * 1_024;
/// Room that an emptied batch keeps for the next, bytes.
const KEPT_ROOM: usize = 256 * 1_024;

/// What a single write is to send.
#[derive(Debug, Default)]
pub struct Batch {
    copied: Vec<u8>,
    /// Large bodies, each with where in `copied` it belongs.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
    reliable: u64,
    droppable: u64,
}

impl Batch {
    /// Adds a message for a role.
    pub fn push(&mut self, head: &Head, body: &Bytes) {
        let start = self.begin();
        envelope::put_head(&mut self.copied, head);
        let copied = body.len() <= COPIED_MAX;
        if copied {
            self.copied.extend_from_slice(body);
        }
        let referred = if copied { 0 } else { body.len() };
        self.end(start, referred);
        if !copied {
            self.large.push((self.copied.len(), body.clone()));
            self.large_bytes += body.len();
        }
        *if head.message_id == 0 { &mut self.droppable } else { &mut self.reliable } += 1;
    }

    /// Adds one of the link's own messages.
    pub fn push_own(&mut self, message: Own) {
        self.push_frame(&envelope::own(message));
    }

    /// Adds a frame with this body.
    pub fn push_frame(&mut self, body: &[u8]) {
        let start = self.begin();
        self.copied.extend_from_slice(body);
        self.end(start, 0);
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.copied.len() + self.large_bytes
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.copied.is_empty()
    }

    /// Reliable messages in it, and droppable ones.
    pub fn messages(&self) -> (u64, u64) {
        (self.reliable, self.droppable)
    }

    /// Forgets everything but some of the room.
    pub fn clear(&mut self) {
        self.copied.clear();
        self.copied.shrink_to(KEPT_ROOM);
        self.large.clear();
        self.large_bytes = 0;
        (self.reliable, self.droppable) = (0, 0);
    }

    /// All of it, in order.
    pub fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity(2 * self.large.len() + 1);
        let mut done = 0;
        for (at, body) in &self.large {
            slices.push(IoSlice::new(&self.copied[done..*at]));
            slices.push(IoSlice::new(body));
            done = *at;
        }
        if done < self.copied.len() {
            slices.push(IoSlice::new(&self.copied[done..]));
        }
        slices
    }

    fn begin(&mut self) -> usize {
        let start = self.copied.len();
        self.copied.extend_from_slice(&[0; 4]);
        start
    }

    fn end(&mut self, start: usize, referred: usize) {
        let length = self.copied.len() - start - 4 + referred;
        // Bodies are far below 4 GiB: `Peer::carry` refuses what is over the frame's bound.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.copied[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ServerId, ZoneId};
    use crate::link::Address;
    use crate::link::codec::envelope::Arrived;
    use crate::link::tcp::frames::Frames;

    #[test]
    fn what_is_pushed_comes_out_in_order_small_and_large() {
        let head = |message_id| Head {
            message_id,
            source: ServerId(1),
            target_server: ServerId(2),
            timestamp: 3,
            target: Address::Zone(ZoneId(4)),
        };
        let bodies = [10, COPIED_MAX + 1, 1, 2 * COPIED_MAX, COPIED_MAX].map(|length| {
            // A field that no reader of heads knows, so it counts as a body.
            Bytes::from(vec![0x32; length])
        });
        let mut batch = Batch::default();
        for (id, body) in (1..).zip(&bodies) {
            batch.push(&head(id), body);
        }
        batch.push(&head(0), &bodies[0]);
        batch.push_own(Own::Ping(9));
        assert_eq!(batch.messages(), (5, 1));
        let bytes: Vec<u8> = batch.slices().iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(bytes.len(), batch.len());

        let mut frames = Frames::new(1 << 20);
        frames.buffer().extend_from_slice(&bytes);
        for (wanted, whole) in [1, 2, 3, 4, 5, 0].into_iter().zip(bodies.iter().chain(&bodies[..1]))
        {
            let frame = frames.cut().unwrap().unwrap();
            let Arrived::Message { id, body, .. } = envelope::read(frame).unwrap() else {
                panic!("not a message");
            };
            assert_eq!((id, &body), (wanted, whole));
        }
        let last = envelope::read(frames.cut().unwrap().unwrap()).unwrap();
        assert_eq!(last, Arrived::Own(Own::Ping(9)));
        assert_eq!(frames.cut().unwrap(), None);

        batch.clear();
        assert!(batch.is_empty() && batch.slices().is_empty());
        assert_eq!(batch.len(), 0);
    }
}
