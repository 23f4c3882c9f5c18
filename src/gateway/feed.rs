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

/// Whose descriptors changed with one frame, rising.
#[derive(Debug)]
struct News {
    tick: Tick,
    /// Whoever sees them is to be told.
    announced: Vec<Handle>,
    /// Whoever sees them may have heard of it by an event.
    quiet: Vec<Handle>,
}

impl News {
    /// Those of a frame.
    fn of(frame: &EncodedFrame) -> Self {
        let mut announced = frame.announced.clone();
        announced.sort_unstable();
        let quiet = |handle: &&Handle| announced.binary_search(handle).is_err();
        let quiet = frame.described.iter().filter(quiet).copied().collect();
        Self { tick: frame.frame.tick, announced, quiet }
    }

    /// Those of all frames between two that followed upon each other here: some were lost on their
    /// way, and what they announced with them.
    fn between(before: &EncodedFrame, frame: &EncodedFrame) -> Self {
        let announced = frame.descriptors.changed_since(&before.descriptors).collect();
        Self { tick: frame.frame.tick, announced, quiet: Vec::new() }
    }
}

/// One zone as a shard knows it.
pub(super) struct Feed {
    /// Its last frame.
    pub frame: Arc<EncodedFrame>,
    /// The last frame of its incarnation before: whom views of that one still show.
    before: Option<Arc<EncodedFrame>>,
    /// The first tick of this incarnation that came.
    anew: Tick,
    /// Whose descriptors changed in the frames of the last seconds: sessions that missed some hear
    /// of it later.
    news: VecDeque<News>,
    /// When the last frames came, oldest first.
    came: VecDeque<(Tick, Instant)>,
}

impl Feed {
    pub(super) fn new(frame: Arc<EncodedFrame>, now: Instant) -> Self {
        let came = VecDeque::from([(frame.frame.tick, now)]);
        Self { anew: frame.frame.tick, frame, before: None, news: VecDeque::new(), came }
    }

    pub(super) fn advance(&mut self, frame: Arc<EncodedFrame>, now: Instant) {
        if frame.frame.origin != self.frame.frame.origin {
            self.news.clear();
            self.came.clear();
            self.before = Some(self.frame.clone());
            self.anew = frame.frame.tick;
        }
        let unbroken = frame.frame.tick.0 == self.frame.frame.tick.0 + 1;
        if frame.frame.origin == self.frame.frame.origin && !unbroken {
            self.news.push_back(News::between(&self.frame, &frame));
        } else if !frame.described.is_empty() {
            self.news.push_back(News::of(&frame));
        }
        if self.came.len() == ROUND_TRIP_FRAMES {
            self.came.pop_front();
        }
        self.came.push_back((frame.frame.tick, now));
        let old = |news: &News| news.tick.0 + HANDLE_REST < frame.frame.tick.0;
        while self.news.front().is_some_and(old) {
            self.news.pop_front();
        }
        if frame.frame.tick.0 > self.anew.0 + HANDLE_REST {
            // Whoever still shows it was away for so long that it starts all anew.
            self.before = None;
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

    /// Handles whose descriptors changed after a tick, those of a frame rising: of whom whoever sees
    /// them is to be told, and of whom they may have heard.
    pub(super) fn changed_after(
        &self,
        since: Tick,
    ) -> impl Iterator<Item = (&[Handle], &[Handle])> {
        let newer = self.news.iter().rev().take_while(move |news| news.tick > since);
        newer.map(|news| (news.announced.as_slice(), news.quiet.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::geometry::Rect;
    use crate::ids::ZoneId;
    use crate::msg::frame::{Descriptors, WireBytes};
    use crate::world::frame::Frame;

    /// A frame in which those were described; those before stay as they were in `last`.
    fn described(tick: u64, of: &[u16], last: Option<&EncodedFrame>) -> Arc<EncodedFrame> {
        let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
        let handles: Vec<Handle> = of.iter().map(|handle| Handle(*handle)).collect();
        let mut descriptors =
            last.map_or_else(Descriptors::default, |last| last.descriptors.clone());
        for handle in &handles {
            descriptors.set(*handle, Bytes::from(format!("as of {tick}")));
        }
        Arc::new(EncodedFrame {
            frame: Frame::empty(ZoneId(1), 7, Tick(tick), bounds),
            descriptors,
            entered: vec![],
            left: vec![],
            announced: handles.iter().copied().filter(|handle| handle.0 % 2 == 0).collect(),
            described: handles,
            events: vec![],
            wire: WireBytes::default(),
        })
    }

    fn frame(tick: u64) -> Arc<EncodedFrame> {
        described(tick, &[], None)
    }

    fn changed(feed: &Feed, since: u64) -> (Vec<u16>, Vec<u16>) {
        let (mut announced, mut quiet) = (Vec::new(), Vec::new());
        for (loud, silent) in feed.changed_after(Tick(since)) {
            announced.extend(loud.iter().map(|handle| handle.0));
            quiet.extend(silent.iter().map(|handle| handle.0));
        }
        (announced, quiet)
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
    }

    #[test]
    fn what_changed_is_known_for_a_while() {
        let now = crate::tick::now();
        let mut feed = Feed::new(frame(1), now);
        for (tick, of) in [(2, vec![4, 5]), (3, vec![]), (4, vec![6, 7, 8])] {
            feed.advance(described(tick, &of, None), now);
        }
        assert_eq!(changed(&feed, 2), (vec![6, 8], vec![7]));
        assert_eq!(changed(&feed, 1), (vec![6, 8, 4], vec![7, 5]));
        for tick in 5..=5 + HANDLE_REST {
            feed.advance(frame(tick), now);
        }
        assert_eq!(changed(&feed, 1), (vec![], vec![]));
    }

    #[test]
    fn what_a_lost_frame_announced_counts_as_announced() {
        let now = crate::tick::now();
        let first = described(10, &[1, 2, 70, 200], None);
        let lost = described(11, &[2, 71], Some(&first));
        let next = described(12, &[1], Some(&lost));
        let mut feed = Feed::new(first, now);
        feed.advance(next, now);
        assert_eq!(changed(&feed, 10), (vec![1, 2, 71], vec![]));
    }
}
