//! What has happened in frames that could not be handed over, kept for the next one that can: who
//! was struck, what was said.
//!
//! A zone keeps one for each gateway that watches it, a gateway one for each shard and zone. Frames
//! themselves are never kept: what is seen comes again with the next one.

use metrics::counter;

use crate::msg::frame::FrameEvent;

/// Events that are kept at most: a second of a great battle. Beyond it the oldest are let go of.
pub const BACKLOG_MAX: usize = 4_096;

/// Events of frames that were not taken, oldest first.
#[derive(Debug, Default)]
pub struct Backlog(Vec<FrameEvent>);

impl Backlog {
    /// Keeps what has happened in a frame that was not taken. What its events tell of anybody's
    /// health is out of date by the time it is heard.
    pub fn keep(&mut self, events: &[FrameEvent]) {
        self.append(events.iter().cloned());
    }

    fn append(&mut self, events: impl Iterator<Item = FrameEvent>) {
        self.0.extend(events.map(|mut event| {
            if let Some(health) = &mut event.health {
                health.settled = false;
            }
            event
        }));
        let over = self.0.len().saturating_sub(BACKLOG_MAX);
        if over > 0 {
            self.0.drain(..over);
            counter!("throng_events_shed_total", "reason" => "backlog").increment(over as u64);
        }
    }

    /// Keeps again what was taken and could not be handed over; it is older than all else.
    pub fn put_back(&mut self, events: Vec<FrameEvent>) {
        let newer = std::mem::take(&mut self.0);
        self.append(events.into_iter().chain(newer));
    }

    /// All that is kept, which is kept no longer. Does not allocate.
    pub fn take(&mut self) -> Vec<FrameEvent> {
        std::mem::take(&mut self.0)
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Point;
    use crate::ids::EntityId;
    use crate::msg::frame::HealthTold;
    use crate::proto::PacketType;
    use crate::world::entity::Handle;
    use crate::world::event::{Audience, Weight};

    fn event(number: u64) -> FrameEvent {
        FrameEvent {
            at: Point::default(),
            audience: Audience::Zone,
            weight: Weight::Other,
            concerns: [EntityId(number); 2],
            health: Some(HealthTold { handle: Handle(1), settled: true }),
            kind: PacketType::GameEvent,
            payload: number.to_string().into(),
        }
    }

    fn numbers(events: &[FrameEvent]) -> Vec<u64> {
        events.iter().map(|event| event.concerns[0].0).collect()
    }

    #[test]
    fn all_is_kept_in_order_and_no_health_is_believed() {
        let mut backlog = Backlog::default();
        backlog.keep(&[event(1)]);
        backlog.keep(&[event(2), event(3)]);
        let taken = backlog.take();
        assert!(backlog.is_empty());
        assert_eq!(numbers(&taken), [1, 2, 3]);
        assert!(taken.iter().all(|event| event.health.is_some_and(|health| !health.settled)));
        backlog.keep(&[event(4)]);
        backlog.put_back(vec![event(1), event(2), event(3)]);
        let taken = backlog.take();
        assert_eq!(numbers(&taken), [1, 2, 3, 4]);
        assert!(taken.iter().all(|event| event.health.is_some_and(|health| !health.settled)));
    }

    #[test]
    fn it_is_bounded_and_the_oldest_go_first() {
        let mut backlog = Backlog::default();
        for number in 0..BACKLOG_MAX as u64 + 10 {
            backlog.keep(&[event(number)]);
        }
        let taken = numbers(&backlog.take());
        assert_eq!((taken.len(), taken.first()), (BACKLOG_MAX, Some(&10)));
    }
}
