//! The event manager: takes what has happened in a zone in order, a hundred times a second, and
//! makes it ready for those in range.
//!
//! Events are encoded once here; the sync service sends them with the next frame. Nothing is
//! handled out of order, and a flood is spread over rounds instead of stretching one.

use std::collections::VecDeque;
use std::time::Instant;

use metrics::{Counter, Histogram, counter, histogram};
use tracing::debug;

use super::sync::{Happened, SyncService};
use crate::ids::ZoneId;
use crate::protocol::server;
use crate::tick::now;
use crate::world::event::{Event, EventKind};

/// Events handled in one round: 100,000 a second.
const PER_ROUND: usize = 1_000;
/// Events that wait at most; beyond it the oldest are let go and counted.
const WAITING_MAX: usize = 50_000;

/// One zone's events between the world and the frame.
pub(super) struct EventManager {
    zone: ZoneId,
    waiting: VecDeque<(Instant, Event)>,
    handled: [Counter; EventKind::NAMES.len()],
    dropped: Counter,
    queueing: Histogram,
}

impl EventManager {
    pub(super) fn new(zone: ZoneId) -> Self {
        Self {
            zone,
            waiting: VecDeque::new(),
            handled: EventKind::NAMES.map(|kind| counter!("throng_events_total", "kind" => kind)),
            dropped: counter!("throng_refusals_total", "reason" => "event_queue_full"),
            queueing: histogram!("throng_event_queueing_seconds"),
        }
    }

    /// Puts an event behind the others.
    pub(super) fn push(&mut self, event: Event) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.dropped.increment(1);
        }
        self.waiting.push_back((now(), event));
    }

    /// One round: the oldest waiting events, in order.
    pub(super) fn round(&mut self, sync: &mut SyncService) {
        for _ in 0..PER_ROUND {
            let Some((since, event)) = self.waiting.pop_front() else { return };
            self.queueing.record(since.elapsed());
            self.handled[event.kind.index()].increment(1);
            if let EventKind::ChatMessage { speaker, .. } = &event.kind {
                debug!(%speaker, event = %event.id, "chat in the zone");
            }
            let packet = server::event(&event, self.zone);
            sync.add_event(Happened { event, packet });
        }
    }
}
