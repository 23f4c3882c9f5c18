//! The sync service: publishes the zone's frame every tick, each record and descriptor encoded
//! once, to every gateway that watches.
//!
//! It does not know who sees what; that is the gateways' work.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{Counter, counter};
use tracing::debug;

use crate::ids::{ServerId, ZoneId};
use crate::link::{Directory, SendError};
use crate::msg::GatewayMsg;
use crate::msg::frame::{Descriptors, EncodedFrame, FrameDelta, FrameEvent, WireBytes};
use crate::protocol::server;
use crate::world::content::{Content, ZoneKind};
use crate::world::entity::AppearanceChange;
use crate::world::frame::FrameUpdate;
use crate::world::handles::Handles;

/// One zone's publisher.
pub(super) struct SyncService {
    zone: ZoneKind,
    gateways: Directory<ServerId, GatewayMsg>,
    /// Who gets the frames; true: a whole one first.
    watchers: BTreeMap<ServerId, bool>,
    descriptors: Descriptors,
    /// Who was in the last frame, and room for who is in the next.
    present: Handles,
    next: Handles,
    events: Vec<FrameEvent>,
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
            dropped: counter!("throng_refusals_total", "reason" => "gateway_inbox_full"),
        }
    }

    /// A gateway wants the frames, a whole one first.
    pub(super) fn watch(&mut self, gateway: ServerId) {
        debug!(%gateway, "gateway watches");
        self.watchers.insert(gateway, true);
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
    pub(super) fn add_event(&mut self, event: FrameEvent) {
        self.events.push(event);
    }

    /// Encodes what is new and sends the frame to all who watch.
    pub(super) fn publish(&mut self, update: FrameUpdate) {
        let frame = Arc::new(self.encode(update));
        let gateways = self.gateways.snapshot();
        self.watchers.retain(|gateway, wants_whole| {
            let Some(outbox) = gateways.get(gateway) else { return false };
            let message = if std::mem::take(wants_whole) {
                GatewayMsg::FrameDelta(Box::new(FrameDelta::of(&frame, true)))
            } else {
                GatewayMsg::Frame(frame.clone())
            };
            match outbox.send(message) {
                Ok(()) => true,
                Err(SendError::Full(_)) => {
                    // It has missed this one; the next must not build on it.
                    self.dropped.increment(1);
                    *wants_whole = true;
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
        for (handle, change, id, appearance) in appearances {
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
        EncodedFrame {
            frame,
            descriptors: self.descriptors.clone(),
            entered,
            left,
            described,
            announced,
            events: std::mem::take(&mut self.events),
            wire: WireBytes::default(),
        }
    }
}
