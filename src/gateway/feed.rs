//! One zone's frames as a shard keeps them: the last one, and what must be remembered of those
//! before it.
//!
//! Advanced once a tick, read by every session of the shard that sees the zone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::msg::frame::EncodedFrame;
use crate::tick::{TICK_MS, Tick};
use crate::world::entity::{HANDLE_REST, Handle};
use crate::world::interest::View;

/// Frames whose coming is remembered, to measure round trips by: 2 s.
const ROUND_TRIP_FRAMES: usize = 40;

/// One zone as a shard knows it.
pub(super) struct Feed {
    /// Its last frame.
    pub frame: Arc<EncodedFrame>,
    /// The last frame of its incarnation before: whom views of that one still show.
    pub before: Option<Arc<EncodedFrame>>,
    /// What was announced in the frames of the last seconds: sessions that missed some hear of it
    /// later.
    announced: VecDeque<(Tick, Vec<Handle>)>,
    /// When the last frames came, oldest first.
    came: VecDeque<(Tick, Instant)>,
}

impl Feed {
    pub(super) fn new(frame: Arc<EncodedFrame>, now: Instant) -> Self {
        let came = VecDeque::from([(frame.frame.tick, now)]);
        Self { frame, before: None, announced: VecDeque::new(), came }
    }

    pub(super) fn advance(&mut self, frame: Arc<EncodedFrame>, now: Instant) {
        if frame.frame.origin != self.frame.frame.origin {
            self.announced.clear();
            self.came.clear();
            self.before = Some(self.frame.clone());
        }
        if self.came.len() == ROUND_TRIP_FRAMES {
            self.came.pop_front();
        }
        self.came.push_back((frame.frame.tick, now));
        if !frame.announced.is_empty() {
            self.announced.push_back((frame.frame.tick, frame.announced.clone()));
        }
        let old = |(tick, _): &(Tick, Vec<Handle>)| tick.0 + HANDLE_REST < frame.frame.tick.0;
        while self.announced.front().is_some_and(old) {
            self.announced.pop_front();
        }
        self.frame = frame;
    }

    /// How long ago a client that now acts on a view was sent it. `seen` is the view's tick and the
    /// milliseconds shown past it; none: it is older than is remembered, or not of this zone.
    pub(super) fn round_trip(&self, seen: (u64, u32), now: Instant) -> Option<Duration> {
        let (tick, millis) = (Tick(seen.0), u64::from(seen.1).min(TICK_MS));
        let (_, came) = self.came.iter().rev().find(|(known, _)| *known == tick)?;
        now.saturating_duration_since(*came).checked_sub(Duration::from_millis(millis))
    }

    /// What a view shows of the zone's incarnation before, if it is one of that and still knows.
    pub(super) fn shown_before(&self, view: &View) -> Option<&EncodedFrame> {
        let before = self.before.as_deref()?;
        (!view.follows(&self.frame.frame) && view.follows(&before.frame)).then_some(before)
    }

    /// Handles that were announced after a tick.
    pub(super) fn announced_after(&self, since: Tick) -> impl Iterator<Item = &Handle> {
        let newer = self.announced.iter().rev().take_while(move |(tick, _)| *tick > since);
        newer.flat_map(|(_, handles)| handles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Point, Rect};
    use crate::ids::ZoneId;
    use crate::msg::frame::{Descriptors, WireBytes};
    use crate::world::frame::Frame;

    fn frame(tick: u64) -> Arc<EncodedFrame> {
        let (low, high) = (Point { x: 0.0, y: 0.0 }, Point { x: 100.0, y: 100.0 });
        let bounds = Rect { min_x: low.x, min_y: low.y, max_x: high.x, max_y: high.y };
        Arc::new(EncodedFrame {
            frame: Frame::empty(ZoneId(1), 7, Tick(tick), bounds),
            descriptors: Descriptors::default(),
            entered: vec![],
            left: vec![],
            described: vec![],
            announced: vec![Handle(tick as u16)],
            events: vec![],
            wire: WireBytes::default(),
        })
    }

    #[test]
    fn a_round_trip_is_measured_from_the_view_that_was_acted_on() {
        let start = crate::tick::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut feed = Feed::new(frame(1), at(0));
        for tick in 2..=50 {
            feed.advance(frame(tick), at(tick * 50));
        }
        assert_eq!(feed.round_trip((50, 0), at(2_530)), Some(Duration::from_millis(30)));
        assert_eq!(feed.round_trip((49, 20), at(2_530)), Some(Duration::from_millis(60)));
        assert_eq!(feed.round_trip((50, 49), at(2_510)), None, "a view of the future");
        assert_eq!(feed.round_trip((3, 0), at(2_530)), None, "too long ago");
        let news: Vec<u16> = feed.announced_after(Tick(48)).map(|handle| handle.0).collect();
        assert_eq!(news, [50, 49]);
    }
}
