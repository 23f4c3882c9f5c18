//! Who sent what when: the one table that all bots share.
//!
//! A bot that moves (or speaks) notes the key of what it sends (a packed position to the
//! centimetre, or a message's number) with the moment and a rising number; a watcher on any
//! thread looks up what it received and knows how long it took and whether anything is missing.
//! Only the bot itself writes its row; rows are read without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::Instant;

use crate::world::frame::PackedPosition;

/// Sends that are remembered of each bot: at 20 a second, the last three seconds.
const ROW: usize = 64;
/// Of a packed position, the bits that say where.
const PLACE_SHIFT: u32 = 16;
const PLACE_BITS: u64 = (1 << 40) - 1;

/// What was sent, by bot.
#[derive(Debug)]
pub struct Ledger {
    start: Instant,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    entries: [Entry; ROW],
    /// Entries written so far.
    written: AtomicU64,
    /// Number of the last thing that is due.
    due: AtomicU64,
}

#[derive(Debug, Default)]
struct Entry {
    /// The key and one; 0 while the entry is being written.
    key: AtomicU64,
    /// Nanoseconds since the ledger's start.
    at: AtomicU64,
    number: AtomicU64,
}

/// Something that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Nanoseconds since the ledger's start.
    pub at: u64,
    /// Which of the bot's: rises from 1.
    pub number: u64,
}

/// The key of a position: where, without whose and which way.
pub fn place_key(packed: PackedPosition) -> u64 {
    (packed.0 >> PLACE_SHIFT) & PLACE_BITS
}

impl Ledger {
    /// A table for so many bots, with time counted from `start`.
    pub fn new(bots: usize, start: Instant) -> Self {
        let row = |_| Row {
            entries: std::array::from_fn(|_| Entry::default()),
            written: AtomicU64::new(0),
            due: AtomicU64::new(0),
        };
        Self { start, rows: (0..bots).map(row).collect() }
    }

    /// Nanoseconds since the start.
    pub fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.start).as_nanos() as u64
    }

    /// Notes a send. `due`: it counts by itself; otherwise whoever gets this or the one before
    /// has what was due.
    pub fn note(&self, bot: usize, key: u64, at: Instant, due: bool) {
        let Some(row) = self.rows.get(bot) else { return };
        let number = row.due.load(Relaxed) + u64::from(due);
        let written = row.written.load(Relaxed);
        let entry = &row.entries[written as usize % ROW];
        entry.key.store(0, Relaxed);
        // Each store is a release: a reader that sees it also sees the 0 before it.
        entry.at.store(self.nanos(at), Release);
        entry.number.store(number, Release);
        entry.key.store(key + 1, Release);
        row.written.store(written + 1, Release);
        row.due.store(number, Release);
    }

    /// The latest send of `bot` with that key, if it is remembered.
    pub fn find(&self, bot: usize, key: u64) -> Option<Sent> {
        let row = self.rows.get(bot)?;
        row.newest_first().find(|entry| entry.key.load(Acquire) == key + 1).and_then(|entry| {
            let sent = Sent { at: entry.at.load(Acquire), number: entry.number.load(Acquire) };
            (entry.key.load(Acquire) == key + 1).then_some(sent)
        })
    }

    /// The number of the last thing due from `bot`.
    pub fn due(&self, bot: usize) -> u64 {
        self.rows.get(bot).map_or(0, |row| row.due.load(Acquire))
    }

    /// The number of the last thing due that was sent by `at` (nanoseconds).
    pub fn due_by(&self, bot: usize, at: u64) -> u64 {
        let Some(row) = self.rows.get(bot) else { return 0 };
        let mut oldest = row.due.load(Acquire);
        for entry in row.newest_first() {
            let number = entry.number.load(Acquire);
            if entry.at.load(Acquire) <= at {
                return number;
            }
            oldest = oldest.min(number.saturating_sub(1));
        }
        oldest
    }
}

impl Row {
    fn newest_first(&self) -> impl Iterator<Item = &Entry> {
        let written = self.written.load(Acquire);
        let kept = written.min(ROW as u64);
        (1..=kept).map(move |back| &self.entries[(written - back) as usize % ROW])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::geometry::{Point, Pose, Rect};
    use crate::tick;
    use crate::world::entity::Handle;

    #[test]
    fn a_send_is_found_by_its_key_until_the_row_is_full() {
        let start = tick::now();
        let ledger = Ledger::new(2, start);
        for key in 0..100u64 {
            ledger.note(1, key, start + Duration::from_millis(key), true);
        }
        assert_eq!(ledger.find(1, 99), Some(Sent { at: 99_000_000, number: 100 }));
        assert_eq!(ledger.find(1, 36), Some(Sent { at: 36_000_000, number: 37 }));
        assert_eq!(ledger.find(1, 35), None, "forgotten");
        assert_eq!(ledger.find(0, 99), None, "another's");
        assert_eq!(ledger.find(9, 0), None, "nobody's");
        assert_eq!(ledger.due(1), 100);
        assert_eq!(ledger.due_by(1, 50_500_000), 51);
        assert_eq!(ledger.due_by(1, 0), 36, "at least so many were sent before what is kept");
        assert_eq!(ledger.due_by(0, u64::MAX), 0);
    }

    #[test]
    fn what_is_not_due_shares_the_number_before() {
        let start = tick::now();
        let ledger = Ledger::new(1, start);
        ledger.note(0, 5, start, true);
        ledger.note(0, 6, start, false);
        assert_eq!(ledger.find(0, 6).map(|sent| sent.number), Some(1));
        assert_eq!(ledger.due(0), 1);
    }

    #[test]
    fn a_place_is_known_whoever_stands_there_however_turned() {
        let zone = Rect { min_x: 0.0, min_y: 0.0, max_x: 1000.0, max_y: 1000.0 };
        let at = Point { x: 123.45, y: 67.89 };
        let pack = |handle, rotation, at| {
            place_key(PackedPosition::pack(Handle(handle), Pose { at, rotation }, &zone))
        };
        assert_eq!(pack(1, 0.0, at), pack(999, 270.0, at));
        assert_ne!(pack(1, 0.0, at), pack(1, 0.0, Point { x: 123.46, ..at }));
    }

    #[test]
    fn readers_never_see_half_of_an_entry() {
        let start = tick::now();
        let ledger = std::sync::Arc::new(Ledger::new(1, start));
        let writer = std::thread::spawn({
            let ledger = ledger.clone();
            move || {
                for key in 0..200_000u64 {
                    ledger.note(0, key, start + Duration::from_nanos(key), true);
                }
            }
        });
        while !writer.is_finished() {
            let newest = ledger.due(0);
            if let Some(key) = newest.checked_sub(3)
                && let Some(sent) = ledger.find(0, key)
            {
                assert_eq!(sent, Sent { at: key, number: key + 1 });
            }
        }
        writer.join().unwrap();
    }
}
