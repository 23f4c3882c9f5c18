//! A zone's frames as a gateway of another process sees them: made again from what the link
//! carries. One mirror follows one zone; the gateway feeds it every [`FrameDelta`] in order and
//! asks for a whole one (`ZoneMsg::Watch`) when told so. It never guesses: after a gap it gives
//! nothing until a whole frame comes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::geometry::Rect;
use crate::ids::{EntityId, ZoneId};
use crate::msg::frame::{Descriptors, EncodedFrame, FrameDelta, FrameEvent, WireBytes};
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
    /// A delta did not fit: only a whole frame goes on from here.
    broken: bool,
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
            dilation_percent,
            base,
            moved,
            entered,
            left,
            described,
            events,
            set_out,
        } = delta;
        let now = Last { zone, origin, bounds, tick };
        let follows = |at: Tick| self.last == Some(Last { tick: at, ..now });
        let same_zone = self.last.is_some_and(|last| Last { tick, ..last } == now);
        let fits = match base {
            None => are_complete(&moved, &entered),
            Some(base) => !self.broken && follows(base) && self.agrees(&moved, &entered, &left),
        };
        self.broken = !fits;
        if !fits {
            return Err(NeedsWhole);
        }
        let news = if base.is_some() {
            self.advance(&moved, entered, left, described)
        } else {
            if !same_zone {
                self.entities = Places::default();
                self.descriptors = Descriptors::default();
            }
            self.replace(&moved, &entered, described)
        };
        self.last = Some(now);
        let mut frame = self.frame(now, news, events);
        frame.frame.dilation_percent = dilation_percent;
        frame.frame.set_out = set_out;
        Ok(Arc::new(frame))
    }

    /// Whether a delta speaks of those who are here, and of nobody else.
    fn agrees(
        &self,
        moved: &[PackedPosition],
        entered: &[(Handle, EntityId)],
        left: &[Handle],
    ) -> bool {
        let newcomers: BTreeSet<Handle> = entered.iter().map(|(handle, _)| *handle).collect();
        let here = |handle: &Handle| self.entities.at(*handle).is_some();
        let placed = moved.iter().filter(|p| newcomers.contains(&p.handle())).count();
        left.iter().all(here)
            && newcomers.iter().all(|handle| !here(handle) || left.contains(handle))
            && placed == newcomers.len()
            && moved.iter().all(|p| here(&p.handle()) || newcomers.contains(&p.handle()))
    }

    /// Takes a whole frame over and finds what it changes.
    fn replace(
        &mut self,
        moved: &[PackedPosition],
        all: &[(Handle, EntityId)],
        descriptors: Vec<(Handle, bool, Bytes)>,
    ) -> News {
        let mut news = News::default();
        let old = std::mem::take(&mut self.entities);
        self.entities.ids.clone_from(&old.ids);
        for position in moved {
            self.entities.put(*position, old.at(position.handle()) != Some(*position));
        }
        for (handle, id) in all {
            let same = old.at(*handle).is_some() && old.ids.get(handle.index()) == Some(id);
            self.entities.name(*handle, *id);
            if !same {
                self.entities.mark(*handle);
                news.entered.push(*handle);
            }
        }
        news.entered.sort_unstable();
        let entered = |handle: &Handle| news.entered.binary_search(handle).is_ok();
        let gone = |handle: &Handle| self.entities.at(*handle).is_none() || entered(handle);
        news.left = old.handles().filter(gone).collect();
        for (handle, _, descriptor) in descriptors {
            let entered = entered(&handle);
            if entered || *self.descriptors.get(handle) != descriptor {
                self.descriptors.set(handle, descriptor);
                news.described.push(handle);
                if !entered || news.left.binary_search(&handle).is_ok() {
                    news.announced.push(handle);
                }
            }
        }
        news.described.sort_unstable();
        news.announced.sort_unstable();
        news
    }

    /// Applies what has changed.
    fn advance(
        &mut self,
        moved: &[PackedPosition],
        entered: Vec<(Handle, EntityId)>,
        left: Vec<Handle>,
        described: Vec<(Handle, bool, Bytes)>,
    ) -> News {
        self.entities.changed.fill(false);
        for handle in &left {
            self.entities.remove(*handle);
        }
        for position in moved {
            self.entities.put(*position, true);
        }
        let mut news = News { left, ..News::default() };
        for (handle, id) in entered {
            self.entities.name(handle, id);
            news.entered.push(handle);
        }
        for (handle, announced, descriptor) in described {
            self.descriptors.set(handle, descriptor);
            news.described.push(handle);
            if announced {
                news.announced.push(handle);
            }
        }
        news
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
            wire: WireBytes::default(),
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

    fn remove(&mut self, handle: Handle) {
        if let Some(position) = self.packed.get_mut(handle.index()) {
            *position = None;
        }
    }
}

/// Whether a whole frame names everybody it places.
fn are_complete(moved: &[PackedPosition], named: &[(Handle, EntityId)]) -> bool {
    let placed: BTreeSet<Handle> = moved.iter().map(|position| position.handle()).collect();
    placed == named.iter().map(|(handle, _)| *handle).collect()
}

#[cfg(test)]
mod tests;
