//! The sync service: publishes the zone's frame every tick, each record and descriptor encoded
//! once, to every gateway that watches.
//!
//! It does not know who sees what; that is the gateways' work.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Counter, counter};
use tracing::debug;

use crate::ids::{EntityId, ServerId, ZoneId};
use crate::link::{Directory, SendError};
use crate::msg::backlog::Backlog;
use crate::msg::frame::{Descriptors, EncodedFrame, FrameDelta, FrameEvent, HealthTold, WireBytes};
use crate::msg::{GatewayMsg, Outgoing};
use crate::protocol::server;
use crate::world::content::{Content, ZoneKind};
use crate::world::entity::{AppearanceChange, Handle};
use crate::world::event::Event;
use crate::world::frame::{Frame, FrameUpdate};
use crate::world::handles::Handles;

/// Something that has happened, with the packet that tells of it.
pub(super) struct Happened {
    pub event: Event,
    pub packet: Outgoing,
}

/// One gateway that gets the frames.
#[derive(Default)]
struct Watcher {
    /// It needs a whole one first.
    wants_whole: bool,
    /// What has happened in frames that it had no room for.
    missed: Backlog,
}

/// One zone's publisher.
pub(super) struct SyncService {
    zone: ZoneKind,
    gateways: Directory<ServerId, GatewayMsg>,
    /// Who gets the frames.
    watchers: BTreeMap<ServerId, Watcher>,
    descriptors: Descriptors,
    /// Who was in the last frame, and room for who is in the next.
    present: Handles,
    next: Handles,
    events: Vec<Happened>,
    /// Whose descriptors are new in the frame that is being made, with their health; by rising id.
    healths: Vec<(EntityId, Handle, u32)>,
    dropped: Counter,
}

impl SyncService {
    pub(super) fn new(
        zone: ZoneId,
        content: &Content,
        gateways: Directory<ServerId, GatewayMsg>,
    ) -> Self {
        #[expect(clippy::expect_used, reason = "run.rs starts zones of the content only")]
        let zone = content.zone(zone).expect("a started zone is in the content").clone();
        Self {
            zone,
            gateways,
            watchers: BTreeMap::new(),
            descriptors: Descriptors::default(),
            present: Handles::default(),
            next: Handles::default(),
            events: Vec::new(),
            healths: Vec::new(),
            dropped: counter!("throng_refusals_total", "reason" => "gateway_inbox_full"),
        }
    }

    /// A gateway wants the frames, a whole one first.
    pub(super) fn watch(&mut self, gateway: ServerId) {
        debug!(%gateway, "gateway watches");
        self.watchers.entry(gateway).or_default().wants_whole = true;
    }

    /// A gateway wants no more frames.
    pub(super) fn unwatch(&mut self, gateway: ServerId) {
        debug!(%gateway, "gateway watches no longer");
        self.watchers.remove(&gateway);
    }

    /// The gateways that watch.
    pub(super) fn watchers(&self) -> impl Iterator<Item = ServerId> {
        self.watchers.keys().copied()
    }

    /// To be sent with the next frame.
    pub(super) fn add_event(&mut self, happened: Happened) {
        self.events.push(happened);
    }

    /// Encodes what is new and sends the frame to all who watch.
    pub(super) fn publish(&mut self, update: FrameUpdate) {
        let frame = Arc::new(self.encode(update));
        let gateways = self.gateways.snapshot();
        self.watchers.retain(|gateway, watcher| {
            let Some(outbox) = gateways.get(gateway) else { return false };
            let message = if watcher.wants_whole {
                let mut delta = FrameDelta::of(&frame, true);
                if !watcher.missed.is_empty() {
                    delta.events = watcher.missed.take();
                    delta.events.extend_from_slice(&frame.events);
                }
                GatewayMsg::FrameDelta(Box::new(delta))
            } else {
                GatewayMsg::Frame(frame.clone())
            };
            match outbox.send(message) {
                Ok(()) => {
                    watcher.wants_whole = false;
                    true
                }
                Err(SendError::Full(message)) => {
                    // It has missed this one; the next must not build on it.
                    self.dropped.increment(1);
                    watcher.wants_whole = true;
                    match message {
                        GatewayMsg::FrameDelta(delta) => watcher.missed.put_back(delta.events),
                        _ => watcher.missed.keep(&frame.events),
                    }
                    true
                }
                Err(SendError::Closed(_)) => {
                    debug!(%gateway, "gateway is gone");
                    false
                }
            }
        });
    }

    fn encode(&mut self, update: FrameUpdate) -> EncodedFrame {
        let FrameUpdate { frame, appearances } = update;
        let mut described = Vec::with_capacity(appearances.len());
        let mut announced = Vec::new();
        self.healths.clear();
        for (handle, change, id, appearance) in appearances {
            if let Some(appearance) = &appearance {
                self.healths.push((id, handle, appearance.health));
            }
            let payload = appearance
                .map(|appearance| server::entity_descriptor(id, &self.zone, handle, &appearance));
            self.descriptors.set(handle, payload.unwrap_or_default());
            described.push(handle);
            if change == AppearanceChange::Announce {
                announced.push(handle);
            }
        }
        self.next.clear(frame.ids.len());
        frame.packed.iter().for_each(|packed| self.next.add(packed.handle()));
        let entered = self.next.without(&self.present).collect();
        let left = self.present.without(&self.next).collect();
        std::mem::swap(&mut self.present, &mut self.next);
        self.healths.sort_unstable();
        let events = std::mem::take(&mut self.events);
        let events = events.into_iter().map(|happened| self.encode_event(happened, &frame));
        let events = events.collect();
        EncodedFrame {
            frame,
            descriptors: self.descriptors.clone(),
            entered,
            left,
            described,
            announced,
            events,
            wire: WireBytes::default(),
        }
    }

    fn encode_event(&self, Happened { event, packet }: Happened, frame: &Frame) -> FrameEvent {
        let health = event.kind.health().and_then(|(id, left)| {
            let known = self.healths.binary_search_by_key(&id, |(id, ..)| *id);
            if let Ok(place) = known {
                let (_, handle, health) = self.healths[place];
                return Some(HealthTold { handle, settled: health == left });
            }
            // It comes later than the frame of its tick, or is about one who has gone.
            let index = frame.ids.iter().position(|known| *known == id)?;
            Some(HealthTold { handle: Handle(index as u16), settled: false })
        });
        FrameEvent {
            at: event.at,
            audience: event.kind.audience(self.zone.id),
            weight: event.kind.weight(),
            concerns: event.kind.concerns(),
            health,
            kind: packet.kind,
            payload: packet.payload,
        }
    }
}

#[cfg(test)]
mod tests;
