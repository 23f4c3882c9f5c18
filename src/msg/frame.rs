//! A zone's frame with its wire bytes: made by the zone's sync service once a tick, read by every
//! gateway shard, never changed.

use std::sync::Arc;

use bytes::Bytes;

use crate::geometry::Point;
use crate::proto::PacketType;
use crate::world::entity::Handle;
use crate::world::event::Audience;
use crate::world::frame::{Frame, PackedPosition};

/// One tick of one zone, ready for clients.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// Where everything is.
    pub frame: Frame,
    /// ENTITY_ENTER payloads, without the position, by handle.
    pub descriptors: Descriptors,
    /// Handles that were not in the frame before.
    pub entered: Vec<Handle>,
    /// Handles that are in it no longer.
    pub left: Vec<Handle>,
    /// Handles whose descriptor is another one than before (those that entered among them).
    pub described: Vec<Handle>,
    /// Of `described`, those that everybody who sees them must hear of again.
    pub announced: Vec<Handle>,
    /// What has happened since the last frame, in order.
    pub events: Vec<FrameEvent>,
}

/// One event, encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameEvent {
    /// Where.
    pub at: Point,
    /// Who hears of it.
    pub audience: Audience,
    /// GAME_EVENT or CHAT_MESSAGE.
    pub kind: PacketType,
    /// The protobuf message.
    pub payload: Bytes,
}

const PAGE: usize = 64;

/// Descriptors by handle, in pages that frames share as long as nothing in them changes.
#[derive(Debug, Clone, Default)]
pub struct Descriptors {
    pages: Vec<Arc<[Bytes; PAGE]>>,
}

impl Descriptors {
    /// The ENTITY_ENTER payload of a handle, without its position; empty if it was never set.
    pub fn get(&self, handle: Handle) -> Bytes {
        self.pages
            .get(handle.index() / PAGE)
            .map_or_else(Bytes::new, |page| page[handle.index() % PAGE].clone())
    }

    /// Sets one; copies its page if a frame shares it.
    pub fn set(&mut self, handle: Handle, payload: Bytes) {
        let page = handle.index() / PAGE;
        while self.pages.len() <= page {
            self.pages.push(Arc::new(std::array::from_fn(|_| Bytes::new())));
        }
        Arc::make_mut(&mut self.pages[page])[handle.index() % PAGE] = payload;
    }
}

/// What a link carries of a frame: what has changed since the one before, or all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameDelta {
    /// Which zone.
    pub zone: crate::ids::ZoneId,
    /// Its incarnation.
    pub origin: u64,
    /// Which tick.
    pub tick: crate::tick::Tick,
    /// The zone's bounds.
    pub bounds: crate::geometry::Rect,
    /// The tick of the frame this builds on; none: it holds everything.
    pub base: Option<crate::tick::Tick>,
    /// Positions that changed or entered.
    pub moved: Vec<PackedPosition>,
    /// Handles that entered, and whose they are.
    pub entered: Vec<(Handle, crate::ids::EntityId)>,
    /// Handles that left.
    pub left: Vec<Handle>,
    /// New descriptors; true: announced.
    pub described: Vec<(Handle, bool, Bytes)>,
    /// Events.
    pub events: Vec<FrameEvent>,
}
