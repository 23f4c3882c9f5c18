//! What has happened, to one session: which events it hears of, and in what order.
//!
//! What concerns the session's own player is always told. Of the rest as much as the session's
//! budget for events holds: what is said first, then deaths, then what is nearest. Whatever is
//! chosen goes out in the order in which it happened.

use super::{News, Turn};
use crate::gateway::fanout::tally::Tally;
use crate::gateway::outlet::Outlet;
use crate::gateway::session::Playing;
use crate::ids::{EntityId, ZoneId};
use crate::msg::frame::FrameEvent;
use crate::world::event::{Audience, Weight};

/// Bytes that the frame around a payload takes.
const FRAME_COST: usize = 26;
/// The least that an event is reckoned to cost.
const LEAST_COST: usize = 48;

/// Which of a frame's events a session hears; reused from session to session.
#[derive(Debug, Default)]
pub(super) struct Choice {
    /// Places of those that are told.
    told: Vec<usize>,
    /// Those of others, for which there may not be room.
    others: Vec<Rank>,
}

/// An event of others in one number that sorts by weight, then distance, then place: what is told
/// first is least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(u64);

impl Rank {
    const PLACE_BITS: u32 = 29;

    fn new(weight: Weight, distance_squared: f32, place: usize) -> Self {
        // Of floats that are not negative the bits sort as the numbers do; the first bit is unused.
        let distance = u64::from(distance_squared.to_bits()) << Self::PLACE_BITS;
        Self((weight as u64) << 61 | distance | place as u64)
    }

    fn place(self) -> usize {
        (self.0 & ((1 << Self::PLACE_BITS) - 1)) as usize
    }

    fn is_other(self) -> bool {
        self.0 >> 61 == Weight::Other as u64
    }
}

/// How far off an event is that a session hears of; 0 for one that concerns it.
enum Heard {
    Own,
    At(f32),
    No,
}

fn hears(event: &FrameEvent, zone: ZoneId, playing: &Playing) -> Heard {
    let own = EntityId::from(playing.player);
    if event.concerns.contains(&own) {
        return match event.audience {
            Audience::Beside(_, except) if except == own => Heard::No,
            _ => Heard::Own,
        };
    }
    let distance = event.at.distance_squared(playing.eye);
    let hears = match event.audience {
        Audience::Within(range) => distance <= range * range,
        Audience::Zone => playing.zone == zone,
        Audience::Beside(range, except) => {
            playing.zone == zone && distance <= range * range && except != own
        }
    };
    if hears { Heard::At(distance) } else { Heard::No }
}

impl Choice {
    /// Chooses for one session, and takes what that costs from its budget.
    fn choose(&mut self, news: News<'_>, playing: &mut Playing, tally: &mut Tally) {
        let Self { told, others } = self;
        told.clear();
        others.clear();
        let (mut own, mut cost, mut urgent) = (0, 0, 0);
        for (place, event) in news.iter().enumerate() {
            match hears(event, news.frame.frame.zone, playing) {
                Heard::Own => {
                    own += cost_of(event);
                    told.push(place);
                }
                Heard::At(distance) => {
                    cost += cost_of(event);
                    urgent += usize::from(event.weight != Weight::Other);
                    others.push(Rank::new(event.weight, distance, place));
                }
                Heard::No => {}
            }
        }
        let budget = &mut playing.budgets.events;
        budget.spend(own);
        if others.is_empty() {
            return;
        }
        if cost <= budget.allowed() {
            budget.spend(cost);
            told.extend(others.iter().map(|rank| rank.place()));
        } else {
            // What is said and deaths may use what the next second brings, the rest may not.
            let (mut left, mut borrowed) = (budget.allowed(), budget.borrowed());
            let most = urgent.min(borrowed / LEAST_COST + 1) + left / LEAST_COST + 1;
            if most < others.len() {
                others.select_nth_unstable(most);
                others[..most].sort_unstable();
            } else {
                others.sort_unstable();
            }
            let mut spent = 0;
            for rank in others.iter() {
                let Some(event) = news.get(rank.place()) else { continue };
                let room = if rank.is_other() { left } else { borrowed };
                if room == 0 {
                    tally.shed(event.weight);
                    continue;
                }
                let cost = cost_of(event);
                spent += cost;
                left = left.saturating_sub(cost);
                borrowed = borrowed.saturating_sub(cost);
                told.push(rank.place());
            }
            budget.spend(spent);
        }
        told.sort_unstable();
    }
}

fn cost_of(event: &FrameEvent) -> usize {
    (FRAME_COST + event.payload.len()).max(LEAST_COST)
}

impl Turn<'_> {
    /// Tells a session of what has happened. `place`: the session's view of that zone, if it was
    /// brought up to the frame before.
    pub(super) fn tell_events(
        &mut self,
        news: News<'_>,
        place: Option<usize>,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        if news.is_empty() {
            return;
        }
        self.scratch.choice.choose(news, playing, self.tally);
        let own = EntityId::from(playing.player);
        let frame = &news.frame.frame;
        let mut view = playing.views.iter_mut().find(|view| view.zone == frame.zone);
        for event in self.scratch.choice.told.iter().filter_map(|place| news.get(*place)) {
            if event.weight == Weight::Talk || event.concerns.contains(&own) {
                outlet.emit_shared(out, event.kind, &event.payload);
            } else {
                // Not remembered for a resume: a fresh view says more.
                outlet.emit(out, event.kind, &[&event.payload]);
            }
            let (Some(health), Some(view)) = (event.health, view.as_deref_mut()) else { continue };
            if health.settled {
                view.doubts.settle(health.handle);
            } else if view.sees(health.handle) {
                match place {
                    Some(place) => self.scratch.glances[place].again.push(health.handle),
                    None => view.doubts.add(health.handle, frame.ids.len()),
                }
            }
        }
    }
}
