//! What a shard counts of its clients' packets, in plain integers, published once a second.
//!
//! Nothing in here is shared between threads; gauges that are sums over shards are changed by each
//! shard's own difference.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics::{Gauge, Histogram, counter, gauge, histogram};
use prost::Message;

use crate::msg::Outgoing;
use crate::proto::{Error, ErrorCode, PacketType};

/// One shard's counts since the last second.
pub(super) struct Traffic {
    packets: BTreeMap<&'static str, u64>,
    errors: BTreeMap<&'static str, u64>,
    handling: Duration,
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
            packets: BTreeMap::new(),
            errors: BTreeMap::new(),
            handling: Duration::ZERO,
            handled: 0,
            handling_seconds: histogram!("throng_packet_handling_seconds"),
            round_trip_seconds: histogram!("throng_round_trip_seconds"),
            pace_in: Pace::new("in"),
            pace_out: Pace::new("out"),
        }
    }
}

impl Traffic {
    /// A client's packet or line was handled.
    pub(super) fn took(&mut self, kind: &'static str, took: Duration) {
        *self.packets.entry(kind).or_default() += 1;
        self.handled += 1;
        self.handling += took;
    }

    /// A packet goes out: an ERROR is counted, whichever role it comes from. They are rare enough
    /// to look into.
    pub(super) fn told(&mut self, packet: &Outgoing) {
        if packet.kind == PacketType::Error
            && let Ok(error) = Error::decode(packet.payload.clone())
        {
            self.refused(error.code());
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
        for (kind, count) in std::mem::take(&mut self.packets) {
            counter!("throng_packets_total", "direction" => "in", "type" => kind).increment(count);
        }
        for (code, count) in std::mem::take(&mut self.errors) {
            counter!("throng_errors_total", "code" => code).increment(count);
        }
        if self.handled > 0 {
            self.handling_seconds.record(self.handling.as_secs_f64() / self.handled as f64);
        }
        self.pace_in.tell(self.handled);
        self.pace_out.tell(sent);
        (self.handled, self.handling) = (0, Duration::ZERO);
    }
}
