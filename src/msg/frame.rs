//! A zone's frame with its wire bytes: made by the zone's sync service once a tick, read by every
//! gateway shard, never changed. Over a link goes a [`FrameDelta`] of it, from which the gateway
//! makes a frame again (`mirror.rs`).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::geometry::{Point, Rect};
use crate::ids::{EntityId, ZoneId};
use crate::proto::PacketType;
use crate::tick::Tick;
use crate::world::entity::Handle;
use crate::world::event::{Audience, Weight};
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
    /// What links carry of it, once one has asked.
    pub wire: WireBytes,
}

/// The bytes that links carry of a frame: made at most once, however many of them it crosses.
#[derive(Debug, Default)]
pub struct WireBytes(OnceLock<Bytes>);

impl WireBytes {
    /// The bytes; made now if nobody has asked before.
    pub fn get_or_make(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        self.0.get_or_init(make).clone()
    }
}

impl Clone for WireBytes {
    /// A copy of a frame may be changed, so its bytes are not those of the first.
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// One event, encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameEvent {
    /// Where.
    pub at: Point,
    /// Who hears of it, besides those whom it concerns.
    pub audience: Audience,
    /// What it is to those whom it does not concern.
    pub weight: Weight,
    /// Whom it concerns.
    pub concerns: [EntityId; 2],
    /// Whose health it tells; none: nobody's.
    pub health: Option<HealthTold>,
    /// GAME_EVENT or CHAT_MESSAGE.
    pub kind: PacketType,
    /// The protobuf message.
    pub payload: Bytes,
}

/// What an event tells of somebody's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthTold {
    /// Whose, in the frame that has the event.
    pub handle: Handle,
    /// Whether it is as the frame's descriptor has it: whoever hears the event knows all.
    pub settled: bool,
}

const PAGE: usize = 64;

/// Descriptors by handle, in pages that frames share as long as nothing in them changes.
#[derive(Debug, Clone, Default)]
pub struct Descriptors {
    pages: Vec<Arc<[Bytes; PAGE]>>,
}

impl Descriptors {
    /// The ENTITY_ENTER payload of a handle, without its position. Empty: it was never set, or the
    /// entity is another zone's by now and only those who see it already go on seeing it here.
    pub fn get(&self, handle: Handle) -> &Bytes {
        static NONE: Bytes = Bytes::new();
        self.pages.get(handle.index() / PAGE).map_or(&NONE, |page| &page[handle.index() % PAGE])
    }

    /// Handles whose payloads are not what they were in `before`, rising. Costs no more than a look
    /// at each page where both share theirs.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Handle> + 'a {
        let pages = self.pages.iter().enumerate();
        let other = pages.filter(|(index, page)| {
            before.pages.get(*index).is_none_or(|old| !Arc::ptr_eq(page, old))
        });
        other.flat_map(move |(index, page)| {
            let handles = (0..page.len()).map(move |place| Handle((index * PAGE + place) as u16));
            handles.filter(|handle| self.get(*handle) != before.get(*handle))
        })
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
    pub zone: ZoneId,
    /// Its incarnation.
    pub origin: u64,
    /// Which tick.
    pub tick: Tick,
    /// The zone's bounds.
    pub bounds: Rect,
    /// How fast the zone's time runs, percent of real time: 1 to 100.
    pub dilation_percent: u8,
    /// The tick of the frame this builds on; none: it holds everything.
    pub base: Option<Tick>,
    /// Positions that changed or entered.
    pub moved: Vec<PackedPosition>,
    /// Handles that entered, and whose they are.
    pub entered: Vec<(Handle, EntityId)>,
    /// Handles that left.
    pub left: Vec<Handle>,
    /// New descriptors; true: announced.
    pub described: Vec<(Handle, bool, Bytes)>,
    /// Events.
    pub events: Vec<FrameEvent>,
    /// Players that were sent on a new way, and where to.
    pub set_out: Vec<(Handle, Point)>,
}

impl FrameDelta {
    /// What has changed in `frame` since the tick before, or (`whole`) all of it, for a gateway
    /// that has nothing yet.
    pub fn of(frame: &EncodedFrame, whole: bool) -> Self {
        if whole { Self::whole(frame) } else { Self::since_last(frame) }
    }

    fn whole(frame: &EncodedFrame) -> Self {
        let handles = || frame.frame.packed.iter().map(|position| position.handle());
        let mut delta = Self::bare(frame, None);
        delta.moved = frame.frame.packed.clone();
        delta.entered = handles().map(|handle| frame.named(handle)).collect();
        delta.described = handles()
            .map(|handle| (handle, false, frame.descriptors.get(handle).clone()))
            .collect();
        delta
    }

    fn since_last(frame: &EncodedFrame) -> Self {
        let columns = &frame.frame;
        let mut delta = Self::bare(frame, columns.tick.0.checked_sub(1).map(Tick));
        let marked = columns.packed.iter().zip(&columns.changed);
        delta.moved = marked.filter(|(_, changed)| **changed).map(|(moved, _)| *moved).collect();
        // What has just come may have no mark, if it stands where it was last shown.
        let unmarked =
            |handle: &Handle| columns.place(*handle).filter(|place| !columns.changed[*place]);
        delta.moved.extend(frame.entered.iter().filter_map(unmarked).map(|p| columns.packed[p]));
        delta.entered = frame.entered.iter().map(|handle| frame.named(*handle)).collect();
        delta.left = frame.left.clone();
        let mut announced = frame.announced.clone();
        announced.sort_unstable();
        let announced = |handle: &Handle| announced.binary_search(handle).is_ok();
        delta.described = frame
            .described
            .iter()
            .map(|handle| (*handle, announced(handle), frame.descriptors.get(*handle).clone()))
            .collect();
        delta
    }

    fn bare(frame: &EncodedFrame, base: Option<Tick>) -> Self {
        Self {
            zone: frame.frame.zone,
            origin: frame.frame.origin,
            tick: frame.frame.tick,
            bounds: frame.frame.bounds,
            dilation_percent: frame.frame.dilation_percent,
            base,
            moved: Vec::new(),
            entered: Vec::new(),
            left: Vec::new(),
            described: Vec::new(),
            events: frame.events.clone(),
            set_out: frame.frame.set_out.clone(),
        }
    }
}

impl EncodedFrame {
    /// A handle and whose it is.
    fn named(&self, handle: Handle) -> (Handle, EntityId) {
        (handle, self.frame.ids.get(handle.index()).copied().unwrap_or_default())
    }
}
