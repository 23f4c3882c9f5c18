//! Bytes that wait for a client's socket, in order, and how long the oldest has waited.
//!
//! Filled by the connection table when a socket takes less than was written, emptied by the
//! shard's worker when the socket has room. Empty, which is nearly always, it owns no memory.

use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};

/// What waits for one socket. The bound is the table's to keep.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    bytes: BytesMut,
    since: Option<Instant>,
    /// So many bytes from the front begin those that came at this moment or later. One mark at a
    /// time: what came after it counts as old as the mark, so the age is never told too small.
    mark: Option<(usize, Instant)>,
}

impl Outbound {
    /// Waiting bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// When the oldest waiting byte came, or earlier.
    pub fn since(&self) -> Option<Instant> {
        self.since
    }

    /// All that waits.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds to the end.
    pub fn push(&mut self, bytes: &[u8], now: Instant) {
        if self.bytes.is_empty() {
            self.since = Some(now);
        } else if self.mark.is_none() {
            self.mark = Some((self.bytes.len(), now));
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The socket has taken `count` bytes from the front.
    pub fn taken(&mut self, count: usize) {
        self.bytes.advance(count);
        if self.bytes.is_empty() {
            *self = Self::default();
            return;
        }
        match self.mark {
            Some((ahead, since)) if ahead <= count => {
                self.since = Some(since);
                self.mark = None;
            }
            Some((ahead, since)) => self.mark = Some((ahead - count, since)),
            None => {}
        }
    }

    /// So much of the time that it has waited does not count.
    pub fn forgive(&mut self, lost: Duration) {
        for at in self.since.iter_mut().chain(self.mark.iter_mut().map(|(_, at)| at)) {
            *at += lost;
        }
    }

    /// Takes all that waits.
    pub fn take(&mut self) -> BytesMut {
        std::mem::take(self).bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_byte() {
        let start = crate::tick::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outbound = Outbound::default();
        outbound.push(b"aaaa", at(0));
        outbound.push(b"bb", at(1));
        outbound.taken(3);
        assert_eq!(outbound.since(), Some(at(0)));
        outbound.taken(1);
        assert_eq!(outbound.since(), Some(at(1)));
        outbound.push(b"cc", at(2));
        assert_eq!(outbound.bytes(), b"bbcc");
        outbound.taken(3);
        assert_eq!((outbound.since(), outbound.len()), (Some(at(2)), 1));
    }

    #[test]
    fn time_that_does_not_count_makes_it_younger() {
        let start = crate::tick::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outbound = Outbound::default();
        outbound.push(b"aa", at(0));
        outbound.push(b"bb", at(1));
        outbound.forgive(Duration::from_secs(30));
        assert_eq!(outbound.since(), Some(at(30)));
        outbound.taken(2);
        assert_eq!(outbound.since(), Some(at(31)));
    }

    #[test]
    fn emptied_it_owns_no_memory() {
        let mut outbound = Outbound::default();
        outbound.push(&[1; 10_000], crate::tick::now());
        outbound.taken(10_000);
        assert_eq!((outbound.bytes.capacity(), outbound.since()), (0, None));
    }
}
