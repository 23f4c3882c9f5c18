//! What a shard's fan-out counts: in plain integers, published once a second.
//!
//! The turns add, the service publishes. Nothing in here is shared between threads.

use metrics::{Counter, counter};

use crate::world::event::Weight;

/// Since the last second.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub updates_sent: u64,
    pub updates_shed: u64,
    pub frames_passed_over: u64,
    /// Events for which there was no room, by [`Weight`].
    events_shed: [u64; 3],
    /// Entities that were described again because what was known of them was out of date.
    pub retold: u64,
}

impl Tally {
    /// An event found no room.
    pub(super) fn shed(&mut self, weight: Weight) {
        self.events_shed[weight as usize] += 1;
    }
}

/// The metrics, looked up once.
pub(super) struct Meters {
    updates_sent: Counter,
    updates_shed: Counter,
    passed_over: Counter,
    events_shed: [Counter; 3],
    retold: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let shed = |reason: &'static str| counter!("throng_events_shed_total", "reason" => reason);
        Self {
            updates_sent: counter!("throng_updates_sent_total"),
            updates_shed: counter!("throng_updates_shed_total"),
            passed_over: counter!("throng_frames_passed_over_total"),
            events_shed: ["talk", "death", "other"].map(shed),
            retold: counter!("throng_entities_retold_total"),
        }
    }

    pub(super) fn add(&self, tally: Tally) {
        self.updates_sent.increment(tally.updates_sent);
        self.updates_shed.increment(tally.updates_shed);
        self.passed_over.increment(tally.frames_passed_over);
        for (counter, shed) in self.events_shed.iter().zip(tally.events_shed) {
            counter.increment(shed);
        }
        self.retold.increment(tally.retold);
    }
}
