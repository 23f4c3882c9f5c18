//! The sending side of one client: counts its packets, speaks its codec, and remembers reliable
//! packets for a resume.
//!
//! Both codecs meet here: what a packet client gets framed, a text client gets rendered.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use metrics::counter;

use crate::geometry::Point;
use crate::ids::EntityId;
use crate::msg::Outgoing;
use crate::proto::PacketType;
use crate::protocol::text::TextView;
use crate::protocol::{packet, table, text};
use crate::tick::unix_millis;

/// Reliable packets a client may have missed, oldest first; bounded.
#[derive(Debug, Default)]
pub struct ReliableLog {
    /// The header sequence it was sent with; none: never sent.
    packets: VecDeque<(Option<u64>, Outgoing)>,
    /// The highest sequence that was let go of; what is older cannot be replayed.
    dropped_to: u64,
    /// Whether one that was never sent was let go of.
    dropped_unsent: bool,
    /// Whether something was lost before the connection began: whoever has read nothing of it has
    /// not been told.
    lost_before: bool,
    /// How many at the end came after the connection was lost.
    later: usize,
}

impl ReliableLog {
    /// In place of one that was lost with its process.
    pub(super) fn unknown() -> Self {
        Self { dropped_unsent: true, ..Self::default() }
    }

    /// Of a connection that begins with packets which its client missed on the one before.
    pub(super) fn after(missed: Vec<Outgoing>, lost: bool) -> Self {
        let packets = missed.into_iter().map(|packet| (None, packet)).collect();
        Self { packets, lost_before: lost, ..Self::default() }
    }

    /// Remembers a packet, letting the oldest go beyond `most`.
    pub(super) fn push(&mut self, sequence: Option<u64>, packet: Outgoing, most: usize) {
        self.packets.push_back((sequence, packet));
        while self.packets.len() > most {
            match self.packets.pop_front() {
                Some((Some(sequence), _)) => self.dropped_to = sequence,
                Some((None, _)) => self.dropped_unsent = true,
                None => return,
            }
        }
    }

    /// Remembers a packet that came after the connection was lost.
    pub(super) fn push_later(&mut self, packet: Outgoing, most: usize) {
        self.push(None, packet, most);
        self.later = (self.later + 1).min(self.packets.len());
    }

    /// Remembers one that was on its way to the connection when it was lost: it is older than
    /// whatever has come since.
    pub(super) fn push_undelivered(&mut self, packet: Outgoing, most: usize) {
        self.push(None, packet, most);
        self.later = self.later.min(self.packets.len().saturating_sub(1));
        if let Some(packet) = self.packets.pop_back() {
            self.packets.insert(self.packets.len() - self.later, packet);
        }
    }

    /// What a client that has read up to `last_sequence`, or none: nothing at all, has missed, and
    /// whether some of it is gone for good.
    pub(super) fn missed(self, last_sequence: Option<u64>) -> (Vec<Outgoing>, bool) {
        let unread = last_sequence.is_none() && self.lost_before;
        let last_sequence = last_sequence.unwrap_or(0);
        let lost = unread || self.dropped_unsent || self.dropped_to > last_sequence;
        let missed = self.packets.into_iter();
        let missed = missed.filter(|(sequence, _)| sequence.is_none_or(|s| s > last_sequence));
        (missed.map(|(_, packet)| packet).collect(), lost)
    }
}

/// What the outlets of one shard share: how many packets of each type have gone out, and the wall
/// clock, read once for all that a round sends.
#[derive(Debug)]
pub(super) struct Shelf {
    counts: [Cell<u64>; table::TABLE.len()],
    unix_millis: Cell<u64>,
    /// When the round of that reading began.
    round: Cell<Option<Instant>>,
}

impl Default for Shelf {
    fn default() -> Self {
        let counts = std::array::from_fn(|_| Cell::new(0));
        Self { counts, unix_millis: Cell::new(unix_millis()), round: Cell::new(None) }
    }
}

impl Shelf {
    /// The shard's round is the one that began at `now`; read the clock if it is a new one.
    pub(super) fn set_clock(&self, now: Instant) {
        if self.round.replace(Some(now)) != Some(now) {
            self.unix_millis.set(unix_millis());
        }
    }

    fn count(&self, kind: PacketType) {
        let count = &self.counts[table::place(kind)];
        count.set(count.get() + 1);
    }

    /// Adds what was counted since the last call to the metrics; gives the sum.
    pub(super) fn publish(&self) -> u64 {
        let mut sum = 0;
        for (rule, count) in table::TABLE.iter().zip(&self.counts) {
            let count = count.take();
            sum += count;
            if count > 0 {
                counter!("throng_packets_total", "direction" => "out", "type" => rule.name)
                    .increment(count);
            }
        }
        sum
    }
}

/// What makes a test's packet break the outlet.
#[cfg(test)]
pub(super) const BREAKS: &str = "as the test wants";

#[cfg(test)]
fn breaks(part: &[u8]) -> bool {
    part.windows(BREAKS.len()).any(|window| window == BREAKS.as_bytes())
}

/// One client's way out. Bytes it makes are appended to a buffer of the caller's.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Packets sent so far on this connection.
    pub sent: u64,
    /// What rendering lines needs; none: a packet client.
    pub text: Option<Box<TextView>>,
    /// Kept while a session can be resumed; none: nothing is remembered.
    pub log: Option<Box<ReliableLog>>,
    keep: usize,
    compress: bool,
    shelf: Rc<Shelf>,
    /// Panics with the next packet, as a fault in the code would; so does one that holds
    /// [`BREAKS`].
    #[cfg(test)]
    pub breaks: bool,
}

impl Outlet {
    pub(super) fn new(
        text: Option<Box<TextView>>,
        keep: usize,
        compress: bool,
        shelf: Rc<Shelf>,
    ) -> Self {
        Self {
            sent: 0,
            text,
            log: None,
            keep,
            compress,
            shelf,
            #[cfg(test)]
            breaks: false,
        }
    }

    /// Appends one packet whose payload is the parts one after the other.
    pub(super) fn emit(&mut self, out: &mut Vec<u8>, kind: PacketType, parts: &[&[u8]]) {
        #[cfg(test)]
        assert!(!self.breaks && !parts.iter().any(|part| breaks(part)), "as the test wants");
        self.sent += 1;
        self.shelf.count(kind);
        match &mut self.text {
            None => {
                let (sequence, time) = (self.sent, self.shelf.unix_millis.get());
                if self.compress {
                    packet::append_compressed(out, kind, sequence, time, parts);
                } else {
                    packet::append(out, kind, sequence, time, parts);
                }
            }
            Some(view) => {
                out.extend_from_slice(text::render(kind, &parts.concat(), view).as_bytes())
            }
        }
    }

    /// Appends a packet that was made elsewhere, and remembers it if it is a reliable one.
    pub(super) fn emit_packet(&mut self, out: &mut Vec<u8>, packet: &Outgoing) {
        self.emit_shared(out, packet.kind, &packet.payload);
    }

    /// The same for one whose bytes many share: they are counted again only where they are kept.
    pub(super) fn emit_shared(&mut self, out: &mut Vec<u8>, kind: PacketType, payload: &Bytes) {
        self.emit(out, kind, &[payload]);
        if let Some(log) = &mut self.log
            && table::rule(kind).reliable
        {
            let packet = Outgoing { kind, payload: payload.clone() };
            log.push(Some(self.sent), packet, self.keep);
        }
    }

    /// Appends the line of somebody who sets out; packet clients have none.
    pub(super) fn emit_set_out(&self, out: &mut Vec<u8>, who: EntityId, to: Point) {
        if self.is_text() {
            out.extend_from_slice(text::set_out(who.0, to).as_bytes());
        }
    }

    /// Whether the client speaks lines.
    pub(super) fn is_text(&self) -> bool {
        self.text.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(number: u8) -> Outgoing {
        Outgoing { kind: PacketType::ChatMessage, payload: Bytes::from(vec![number]) }
    }

    #[test]
    fn only_what_was_missed_comes_again() {
        let mut log = ReliableLog::default();
        for sequence in 1..=5u8 {
            log.push(Some(u64::from(sequence)), packet(sequence), 10);
        }
        log.push(None, packet(6), 10);
        let (missed, lost) = log.missed(Some(3));
        assert_eq!(missed, [packet(4), packet(5), packet(6)]);
        assert!(!lost);
    }

    #[test]
    fn who_never_knew_of_a_connection_has_missed_all_of_it() {
        let log = || {
            let mut log = ReliableLog::after(vec![packet(1)], true);
            log.push(Some(2), packet(2), 10);
            log
        };
        assert_eq!(log().missed(None), (vec![packet(1), packet(2)], true));
        assert_eq!(log().missed(Some(2)), (vec![packet(1)], false), "it was told at the beginning");
    }

    #[test]
    fn a_full_log_says_what_it_has_lost() {
        let mut log = ReliableLog::default();
        for sequence in 1..=5u8 {
            log.push(Some(u64::from(sequence)), packet(sequence), 2);
        }
        let (missed, lost) = log.missed(Some(2));
        assert_eq!(missed, [packet(4), packet(5)]);
        assert!(lost, "number 3 is gone");
        let mut log = ReliableLog::default();
        for sequence in 1..=5u8 {
            log.push(Some(u64::from(sequence)), packet(sequence), 2);
        }
        assert!(!log.missed(Some(3)).1);
    }
}
