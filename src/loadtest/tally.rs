//! What bots count: plain numbers and histograms of one thread, added up at the end, and a few
//! shared numbers for the progress line.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Longest time a histogram holds, microseconds: a minute.
const LONGEST: u64 = 60_000_000;

/// Where the whole run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Phase {
    /// Bots come in and walk to their places.
    Settle = 0,
    /// What happens counts.
    Measure = 1,
    /// Nobody sends any more; what is under way may arrive.
    Drain = 2,
    /// Bots leave.
    End = 3,
}

/// Shared by all threads.
#[derive(Debug, Default)]
pub(super) struct Live {
    phase: AtomicU8,
    pub inside: AtomicU64,
    pub failed: AtomicU64,
    pub arrived: AtomicU64,
    pub packets_in: AtomicU64,
    pub bytes_in: AtomicU64,
    pub updates_in: AtomicU64,
    pub packets_out: AtomicU64,
    /// Entities that came into anybody's view.
    pub enters_in: AtomicU64,
    pub errors: AtomicU64,
    /// The longest latency since the progress line was last shown, nanoseconds.
    pub slowest: AtomicU64,
    /// Half of the measured time has passed.
    pub second_half: AtomicBool,
    /// Why a bot was last not let in, and waits to try again.
    pub refused: Mutex<Option<String>>,
}

impl Live {
    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Settle,
            1 => Phase::Measure,
            2 => Phase::Drain,
            _ => Phase::End,
        }
    }

    pub(super) fn go_on(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }
}

/// What one thread's bots have counted while measuring; faults: in the whole run.
#[derive(Debug)]
pub(super) struct Tally {
    pub packets_in: u64,
    pub bytes_in: u64,
    pub updates_in: u64,
    /// Packets with positions among those that came.
    pub syncs_in: u64,
    pub packets_out: u64,
    pub bytes_out: u64,
    /// Own moves among the packets.
    pub updates_out: u64,
    pub late: u64,
    pub corrections: u64,
    pub expected: u64,
    pub delivered: u64,
    /// Events that were due to those whom they concern, that came to them, and all others.
    pub own_due: u64,
    pub own_came: u64,
    pub events_in: u64,
    /// Log-ins beside the others' play.
    pub log_ins: u64,
    /// Entities in view, added up over watchers, and the watchers.
    pub visible: (u64, u64),
    pub errors: BTreeMap<String, u64>,
    pub refusals: BTreeMap<String, u64>,
    pub disconnects: BTreeMap<String, u64>,
    pub latency: Histogram<u64>,
    /// The same of the first half of the time alone.
    pub latency_before: Histogram<u64>,
    /// And of the second.
    pub latency_later: Histogram<u64>,
    pub round_trip: Histogram<u64>,
    /// How old the view of somebody was just before an update of it came.
    pub age: Histogram<u64>,
    /// How far two updates of a watcher were from a whole number of ticks apart.
    pub jitter: Histogram<u64>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            packets_in: 0,
            bytes_in: 0,
            updates_in: 0,
            syncs_in: 0,
            packets_out: 0,
            bytes_out: 0,
            updates_out: 0,
            late: 0,
            corrections: 0,
            expected: 0,
            delivered: 0,
            own_due: 0,
            own_came: 0,
            events_in: 0,
            log_ins: 0,
            visible: (0, 0),
            errors: BTreeMap::new(),
            refusals: BTreeMap::new(),
            disconnects: BTreeMap::new(),
            latency: histogram(),
            latency_before: histogram(),
            latency_later: histogram(),
            round_trip: histogram(),
            age: histogram(),
            jitter: histogram(),
        }
    }
}

#[expect(clippy::expect_used, reason = "the bounds are constants that are in order")]
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("bounds in order")
}

/// Notes a time; longer ones count as the longest.
pub(super) fn note(histogram: &mut Histogram<u64>, time: Duration) {
    histogram.saturating_record((time.as_micros() as u64).max(1));
}

/// One more of a kind.
pub(super) fn count(counts: &mut BTreeMap<String, u64>, what: &str) {
    match counts.get_mut(what) {
        Some(count) => *count += 1,
        None => {
            counts.insert(what.to_owned(), 1);
        }
    }
}

impl Tally {
    /// Notes the scenario's latency, in the whole and in its half of the time.
    pub(super) fn note_latency(&mut self, time: Duration, later: bool) {
        note(&mut self.latency, time);
        note(if later { &mut self.latency_later } else { &mut self.latency_before }, time);
    }

    /// Takes another thread's in.
    pub(super) fn add(&mut self, other: &Tally) {
        self.packets_in += other.packets_in;
        self.bytes_in += other.bytes_in;
        self.updates_in += other.updates_in;
        self.syncs_in += other.syncs_in;
        self.packets_out += other.packets_out;
        self.bytes_out += other.bytes_out;
        self.updates_out += other.updates_out;
        self.late += other.late;
        self.corrections += other.corrections;
        self.expected += other.expected;
        self.delivered += other.delivered;
        self.own_due += other.own_due;
        self.own_came += other.own_came;
        self.events_in += other.events_in;
        self.log_ins += other.log_ins;
        self.visible.0 += other.visible.0;
        self.visible.1 += other.visible.1;
        let maps = [
            (&mut self.errors, &other.errors),
            (&mut self.refusals, &other.refusals),
            (&mut self.disconnects, &other.disconnects),
        ];
        for (mine, theirs) in maps {
            for (what, count) in theirs {
                *mine.entry(what.clone()).or_default() += count;
            }
        }
        // Same bounds: adding cannot fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.latency_before.add(&other.latency_before);
        let _ = self.latency_later.add(&other.latency_later);
        let _ = self.round_trip.add(&other.round_trip);
        let _ = self.age.add(&other.age);
        let _ = self.jitter.add(&other.jitter);
    }
}
