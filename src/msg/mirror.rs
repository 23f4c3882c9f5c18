//! A zone's frames as a gateway of another process sees them: made again from what the link
//! carries. One mirror follows one zone; the gateway feeds it every [`FrameDelta`] in order and
//! asks for a whole one (`ZoneMsg::Watch`) when told so. It never guesses: after a gap it gives
//! nothing until a whole frame comes.

use std::sync::Arc;

use bytes::Bytes;

use crate::geometry::Rect;
use crate::ids::{EntityId, ZoneId};
use crate::msg::frame::{Descriptors, EncodedFrame, FrameDelta, FrameEvent};
use crate::tick::Tick;
use crate::world::entity::Handle;
use crate::world::frame::{Frame, PackedPosition};

/// What a link brought does not fit what was there: ask the zone for a whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame was missed: a whole one is needed")]
pub struct NeedsWhole;

/// The last state of one zone.
#[derive(Debug, Default)]
pub struct FrameMirror {
    last: Option<Last>,
    entities: Places,
    descriptors: Descriptors,
}

/// Which frame the mirror holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Last {
    zone: ZoneId,
    origin: u64,
    bounds: Rect,
    tick: Tick,
}

/// Who is where, by handle.
#[derive(Debug, Default)]
struct Places {
    ids: Vec<EntityId>,
    packed: Vec<Option<PackedPosition>>,
    /// In the frame that is being made.
    changed: Vec<bool>,
}

/// What is new in the frame that is being made.
#[derive(Debug, Default)]
struct News {
    entered: Vec<Handle>,
    left: Vec<Handle>,
    described: Vec<Handle>,
    announced: Vec<Handle>,
}

impl FrameMirror {
    /// The frame that a delta makes of the last one. Places are right to a centimetre; an entity
    /// that has entered counts as changed. A whole frame after a gap is compared with what was
    /// there, so that whoever follows the frames sees one unbroken row; a handle that became
    /// another entity's meanwhile is both in `left` and in `entered`.
    ///
    /// # Errors
    /// [`NeedsWhole`] if the delta builds on a frame that is not here, or contradicts it.
    pub fn apply(&mut self, delta: FrameDelta) -> Result<Arc<EncodedFrame>, NeedsWhole> {
        let FrameDelta {
            zone,
            origin,
            tick,
            bounds,
            base,
            moved,
            entered,
            left,
            described,
            events,
        } = delta;
        let now = Last { zone, origin, bounds, tick };
        // Whatever fails below leaves nothing to build on.
        let last = self.last.take();
        let news = match base {
            None => {
                if last.is_none_or(|last| Last { tick, ..last } != now) {
                    *self = Self::default();
                }
                self.replace(&moved, &entered, described)?
            }
            Some(base) => {
                if last != Some(Last { tick: base, ..now }) {
                    return Err(NeedsWhole);
                }
                self.advance(&moved, entered, left, described)?
            }
        };
        self.last = Some(now);
        Ok(Arc::new(self.frame(now, news, events)))
    }

    /// Takes a whole frame over and finds what it changes.
    fn replace(
        &mut self,
        moved: &[PackedPosition],
        all: &[(Handle, EntityId)],
        descriptors: Vec<(Handle, bool, Bytes)>,
    ) -> Result<News, NeedsWhole> {
        let mut news = News::default();
        let old = std::mem::take(&mut self.entities);
        self.entities.ids = old.ids.clone();
        for position in moved {
            let handle = position.handle();
            self.entities.put(*position, old.at(handle) != Some(*position));
        }
        for (handle, id) in all {
            self.entities.at(*handle).ok_or(NeedsWhole)?;
            let same = old.at(*handle).is_some() && old.ids.get(handle.index()) == Some(id);
            self.entities.name(*handle, *id);
            if !same {
                self.entities.mark(*handle);
                news.entered.push(*handle);
            }
        }
        if self.entities.count() != all.len() {
            return Err(NeedsWhole);
        }
        news.entered.sort_unstable();
        let gone = |handle: &Handle| {
            self.entities.at(*handle).is_none() || news.entered.binary_search(handle).is_ok()
        };
        news.left = old.handles().filter(gone).collect();
        for (handle, _, descriptor) in descriptors {
            let entered = news.entered.binary_search(&handle).is_ok();
            if entered || self.descriptors.get(handle) != descriptor {
                self.descriptors.set(handle, descriptor);
                news.described.push(handle);
                if !entered || news.left.binary_search(&handle).is_ok() {
                    news.announced.push(handle);
                }
            }
        }
        Ok(news)
    }

    /// Applies what has changed.
    fn advance(
        &mut self,
        moved: &[PackedPosition],
        entered: Vec<(Handle, EntityId)>,
        left: Vec<Handle>,
        described: Vec<(Handle, bool, Bytes)>,
    ) -> Result<News, NeedsWhole> {
        self.entities.changed.fill(false);
        for handle in &left {
            self.entities.remove(*handle).ok_or(NeedsWhole)?;
        }
        let before = self.entities.count();
        for position in moved {
            self.entities.put(*position, true);
        }
        for (handle, id) in &entered {
            self.entities.at(*handle).ok_or(NeedsWhole)?;
            self.entities.name(*handle, *id);
        }
        // A place for somebody unheard of, or somebody new who was here already.
        if self.entities.count() != before + entered.len() {
            return Err(NeedsWhole);
        }
        let mut news = News {
            entered: entered.into_iter().map(|(handle, _)| handle).collect(),
            left,
            ..News::default()
        };
        for (handle, announced, descriptor) in described {
            self.descriptors.set(handle, descriptor);
            news.described.push(handle);
            if announced {
                news.announced.push(handle);
            }
        }
        Ok(news)
    }

    fn frame(&self, now: Last, news: News, events: Vec<FrameEvent>) -> EncodedFrame {
        let Last { zone, origin, bounds, tick } = now;
        let entity = |handle: Handle| {
            let packed = self.entities.at(handle)?;
            Some((packed, packed.pose(&bounds).at, self.entities.changed[handle.index()]))
        };
        let entities: Vec<_> = self.entities.handles().filter_map(entity).collect();
        let ids = self.entities.ids.clone();
        let News { entered, left, described, announced } = news;
        EncodedFrame {
            frame: Frame::assemble(zone, origin, tick, bounds, &entities, ids),
            descriptors: self.descriptors.clone(),
            entered,
            left,
            described,
            announced,
            events,
        }
    }
}

impl Places {
    fn at(&self, handle: Handle) -> Option<PackedPosition> {
        self.packed.get(handle.index()).copied().flatten()
    }

    /// By rising handle.
    fn handles(&self) -> impl Iterator<Item = Handle> + '_ {
        self.packed.iter().flatten().map(|position| position.handle())
    }

    fn count(&self) -> usize {
        self.packed.iter().flatten().count()
    }

    fn put(&mut self, position: PackedPosition, changed: bool) {
        let index = position.handle().index();
        if self.packed.len() <= index {
            self.packed.resize(index + 1, None);
        }
        let most = self.packed.len();
        self.changed.resize(most, false);
        self.ids.resize(most.max(self.ids.len()), EntityId::default());
        self.packed[index] = Some(position);
        self.changed[index] = changed;
    }

    fn name(&mut self, handle: Handle, id: EntityId) {
        if let Some(named) = self.ids.get_mut(handle.index()) {
            *named = id;
        }
    }

    fn mark(&mut self, handle: Handle) {
        if let Some(changed) = self.changed.get_mut(handle.index()) {
            *changed = true;
        }
    }

    fn remove(&mut self, handle: Handle) -> Option<PackedPosition> {
        self.packed.get_mut(handle.index())?.take()
    }
}
