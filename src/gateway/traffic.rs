//! What a shard counts of its clients' packets, in plain integers, published once a second.
//!
//! Nothing in here is shared between threads; gauges that are sums over shards are changed by each
//! shard's own difference.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics::{Gauge, Histogram, counter, gauge, histogram};

use crate::msg::Outgoing;
use crate::proto::{ErrorCode, PacketType};
use crate::protocol::server;
use crate::tick::now;

/// One packet of so many is timed: reading the clock twice costs as much as the rest of a move.
const TIMED_EVERY: u64 = 16;

/// One shard's counts since the last second.
pub(super) struct Traffic {
    /// By name; few, and those that come often come first.
    packets: Vec<(&'static str, u64)>,
    errors: BTreeMap<&'static str, u64>,
    handling: Duration,
    timed: u32,
    handled: u64,
    handling_seconds: Histogram,
    round_trip_seconds: Histogram,
    pace_in: Pace,
    pace_out: Pace,
}

/// One shard's part of the packets of the last second.
struct Pace {
    gauge: Gauge,
    told: f64,
}

impl Pace {
    fn new(direction: &'static str) -> Self {
        let gauge = gauge!("throng_packets_per_second", "direction" => direction);
        Self { gauge, told: 0.0 }
    }

    fn tell(&mut self, packets: u64) {
        let packets = packets as f64;
        self.gauge.increment(packets - self.told);
        self.told = packets;
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            packets: Vec::new(),
            errors: BTreeMap::new(),
            handling: Duration::ZERO,
            timed: 0,
            handled: 0,
            handling_seconds: histogram!("throng_packet_handling_seconds"),
            round_trip_seconds: histogram!("throng_round_trip_seconds"),
            pace_in: Pace::new("in"),
            pace_out: Pace::new("out"),
        }
    }
}

impl Traffic {
    /// When the handling of a client's packet or line begins, if this one is timed.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.handled.is_multiple_of(TIMED_EVERY).then(now)
    }

    /// It was handled.
    pub(super) fn took(&mut self, kind: &'static str, began: Option<Instant>) {
        match self.packets.iter_mut().find(|(known, _)| std::ptr::eq(*known, kind)) {
            Some((_, count)) => *count += 1,
            None => self.packets.push((kind, 1)),
        }
        self.handled += 1;
        if let Some(began) = began {
            self.timed += 1;
            self.handling += began.elapsed();
        }
    }

    /// A packet that another role has made goes out: an ERROR is counted by its code.
    pub(super) fn told(&mut self, packet: &Outgoing) {
        if packet.kind == PacketType::Error {
            self.refused(server::code_of(&packet.payload));
        }
    }

    /// Something was refused.
    pub(super) fn refused(&mut self, code: ErrorCode) {
        *self.errors.entry(code.as_str_name()).or_default() += 1;
    }

    /// A client has acted on what it was shown so long ago.
    pub(super) fn round_trip(&self, took: Option<Duration>) {
        if let Some(took) = took {
            self.round_trip_seconds.record(took);
        }
    }

    /// Adds all that to the metrics; `sent` packets went out meanwhile.
    pub(super) fn publish(&mut self, sent: u64) {
        for (kind, count) in self.packets.drain(..) {
            counter!("throng_packets_total", "direction" => "in", "type" => kind).increment(count);
        }
        for (code, count) in std::mem::take(&mut self.errors) {
            counter!("throng_errors_total", "code" => code).increment(count);
        }
        if self.timed > 0 {
            self.handling_seconds.record(self.handling.as_secs_f64() / f64::from(self.timed));
        }
        self.pace_in.tell(self.handled);
        self.pace_out.tell(sent);
        (self.handled, self.timed, self.handling) = (0, 0, Duration::ZERO);
    }
}
