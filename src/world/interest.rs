//! Who sees what: the set of entities in view of one pair of eyes, and which of them to tell about
//! this tick.
//!
//! The gateway keeps one [`View`] for each session and each zone in sight of it, and runs
//! [`View::fold`] once for every frame. In a crowd, where a look around costs as much as telling what
//! is seen, it looks several times a second only; what has moved is known in between all the same.
//! Nothing here allocates once its buffers have grown.

mod doubts;

use crate::geometry::Point;
use crate::ids::ZoneId;
use crate::limits::{LEAVE_RADIUS, VIEW_RADIUS};
use crate::tick::Tick;
use crate::world::entity::{HANDLE_REST, Handle};
use crate::world::frame::Frame;
use crate::world::handles::Handles;

pub use doubts::{Doubts, ROUND};

/// The nearest so many are told at every tick.
pub const NEAR_COUNT: usize = 50;
/// So many after them every [`MIDDLE_PERIOD`] ticks.
pub const MIDDLE_COUNT: usize = 200;
/// 4 Hz.
pub const MIDDLE_PERIOD: u64 = 5;
/// With more than this in view it is a crowd: those beyond are told in turn, as often as the budget
/// allows but at least every 2 s.
const CROWD: usize = NEAR_COUNT + MIDDLE_COUNT;
/// A round of those beyond takes so many ticks, at least and at most.
const FAR_PERIODS: std::ops::RangeInclusive<usize> = 20..=40;
/// Records a tick that they may take: what 30 KB/s leaves after the two nearer tiers.
const FAR_RECORDS: usize = 70;
/// Ticks from look to look in a crowd: 4 Hz.
const LOOK_PERIOD: u64 = 5;
/// The same while some have yet to come into view.
const LOOK_PERIOD_BEHIND: u64 = 2;

/// How far the first of a tier moves on from tick to tick; a prime, to reach them all.
const STRIDE: usize = 7_919;

/// What one session sees of one zone.
#[derive(Debug, Clone)]
pub struct View {
    /// Which zone.
    pub zone: ZoneId,
    origin: u64,
    folded: Tick,
    /// The tick up to which `owed` knows who has moved.
    moved_to: Tick,
    seen: Handles,
    /// Seen, and moved since last told.
    owed: Handles,
    count: usize,
    /// In a crowd, as of the last look: the nearest, then those after them. Empty otherwise.
    close: Vec<Handle>,
    /// In a crowd: when to look again.
    next_look: Tick,
    /// Where in the row of handles those beyond are told from.
    turn: usize,
    /// Spreads the looks of a crowd's views over the ticks.
    salt: u64,
    /// From where the last look was, and how many the zone had then; none: something has happened
    /// since, or some have yet to come into view.
    looked: Option<(Point, usize)>,
    /// Of whom the viewer may know something that is not so any more.
    pub doubts: Doubts,
}

/// What [`View::fold`] found; reused from session to session.
#[derive(Debug, Default)]
pub struct Look {
    /// Came into view.
    pub entered: Vec<Handle>,
    /// Went out of view.
    pub left: Vec<Handle>,
    /// In view, if it was looked for: see [`Near`].
    near: Vec<Near>,
    new: Vec<Near>,
    next: Handles,
    close: Handles,
}

/// An entity in view: its distance and its place in the frame in one number that sorts by distance,
/// then place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Near(u64);

impl Near {
    fn new(distance_squared: f32, place: usize) -> Self {
        // Of floats that are not negative the bits sort as the numbers do.
        Self(u64::from(distance_squared.to_bits()) << 32 | place as u64)
    }

    fn place(self) -> usize {
        self.0 as u32 as usize
    }

    fn handle(self, frame: &Frame) -> Handle {
        frame.packed[self.place()].handle()
    }
}

/// How many were told, and how many found no room.
struct Told {
    most: usize,
    told: usize,
    shed: usize,
}

impl Told {
    /// Whether one more fits; counts it either way.
    fn fits(&mut self) -> bool {
        let fits = self.told < self.most;
        if fits {
            self.told += 1;
        } else {
            self.shed += 1;
        }
        fits
    }
}

impl View {
    /// Sees nothing yet. Views with different `salt` look around at different ticks in a crowd.
    pub fn new(frame: &Frame, salt: usize) -> Self {
        Self {
            zone: frame.zone,
            origin: frame.origin,
            folded: Tick(frame.tick.0.saturating_sub(1)),
            moved_to: Tick(frame.tick.0.saturating_sub(1)),
            seen: Handles::default(),
            owed: Handles::default(),
            count: 0,
            close: Vec::new(),
            next_look: frame.tick,
            turn: 0,
            salt: salt as u64,
            looked: None,
            doubts: Doubts::default(),
        }
    }

    /// Whether the view's handles still mean what they meant: the zone is the same incarnation and
    /// not so many frames were missed that a handle may be another's by now.
    pub fn follows(&self, frame: &Frame) -> bool {
        self.origin == frame.origin && frame.tick.0.saturating_sub(self.folded.0) < HANDLE_REST
    }

    /// The tick of the last frame that was folded.
    pub fn folded(&self) -> Tick {
        self.folded
    }

    /// How many entities are in view.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the entity at `handle` is in view.
    pub fn sees(&self, handle: Handle) -> bool {
        self.seen.has(handle)
    }

    /// Brings the view to `frame` as seen from `eye`: within [`VIEW_RADIUS`] everything is seen,
    /// up to [`LEAVE_RADIUS`] what was seen before. At most `newcomers` enter at once, the nearest
    /// first; the others enter with later frames. In a crowd all this is found a quarter of a second
    /// late at most. Frames missed since the last call make everything in view owed.
    /// Folding the same frame again only looks anew.
    pub fn fold(&mut self, frame: &Frame, eye: Point, newcomers: usize, look: &mut Look) {
        look.entered.clear();
        look.left.clear();
        look.near.clear();
        if self.is_still(frame, eye) {
            (self.folded, self.moved_to) = (frame.tick, frame.tick);
            return;
        }
        if frame.tick != self.moved_to {
            self.owed.grow(frame.ids.len());
            if frame.tick.0 > self.moved_to.0 + 1 {
                self.owed.add_all(&self.seen);
            } else {
                self.owed.add_common(&self.seen, &frame.moved);
            }
        }
        (self.folded, self.moved_to) = (frame.tick, frame.tick);
        if self.close.is_empty() || frame.tick >= self.next_look {
            self.look_around(frame, eye, newcomers, look);
        } else {
            self.looked = None;
        }
    }

    /// Whether a look around would find what the last one has found, and nothing is owed: nobody has
    /// moved, come (which counts as moving) or gone in the whole zone, and no frame was missed.
    fn is_still(&self, frame: &Frame, eye: Point) -> bool {
        self.looked == Some((eye, frame.len()))
            && frame.tick.0 == self.moved_to.0 + 1
            && frame.moved.is_empty()
            && self.owed.is_empty()
    }

    /// Begins a round of doubts where it is time for one.
    pub fn tick_doubts(&mut self, tick: Tick) {
        self.doubts.tick(tick, self.salt);
    }

    /// Notes who has moved in a frame that is not shown, because a later one is there already: with
    /// that one only they are owed, not everybody.
    pub fn pass_over(&mut self, frame: &Frame) {
        if frame.origin == self.origin && frame.tick.0 == self.moved_to.0 + 1 {
            self.owed.grow(frame.ids.len());
            self.owed.add_common(&self.seen, &frame.moved);
            self.moved_to = frame.tick;
        }
        // Whoever has come into view with it is not owed: it must be looked for.
        self.looked = None;
    }

    fn look_around(&mut self, frame: &Frame, eye: Point, newcomers: usize, look: &mut Look) {
        look.next.clear(frame.ids.len());
        let enter = VIEW_RADIUS * VIEW_RADIUS;
        let leave = LEAVE_RADIUS * LEAVE_RADIUS;
        for run in frame.grid.runs(eye, LEAVE_RADIUS) {
            let entities = frame.at[run.clone()].iter().zip(&frame.packed[run.clone()]);
            for (place, (at, packed)) in run.zip(entities) {
                let distance = at.distance_squared(eye);
                if distance <= enter || (distance <= leave && self.seen.has(packed.handle())) {
                    look.next.add(packed.handle());
                    look.near.push(Near::new(distance, place));
                }
            }
        }
        let mut period = LOOK_PERIOD;
        self.looked = Some((eye, frame.len()));
        if look.next != self.seen {
            look.entered.extend(look.next.without(&self.seen));
            if look.entered.len() > newcomers {
                self.put_off(frame, newcomers, look);
                period = LOOK_PERIOD_BEHIND;
                self.looked = None;
            }
            look.left.extend(self.seen.without(&look.next));
            // Who has just entered was told with its place; who left is nobody's business any more.
            self.owed.keep(&look.next);
            self.doubts.keep(&look.next);
        }
        self.count = look.near.len();
        std::mem::swap(&mut self.seen, &mut look.next);
        self.note_crowd(frame, period, look);
    }

    /// Keeps the nearest `newcomers` of those that entered, and takes the others out again.
    fn put_off(&mut self, frame: &Frame, newcomers: usize, look: &mut Look) {
        let Look { entered, near, new, next, .. } = look;
        new.clear();
        new.extend(near.iter().filter(|near| !self.seen.has(near.handle(frame))));
        new.select_nth_unstable(newcomers);
        for near in &new[newcomers..] {
            next.remove(near.handle(frame));
        }
        near.retain(|near| next.has(near.handle(frame)));
        entered.clear();
        entered.extend(next.without(&self.seen));
    }

    /// In a crowd: remembers who is close, and when to look again.
    fn note_crowd(&mut self, frame: &Frame, period: u64, look: &mut Look) {
        if look.near.len() <= CROWD {
            if !self.close.is_empty() {
                self.close = Vec::new();
            }
            return;
        }
        let first = self.close.is_empty();
        look.near.select_nth_unstable(CROWD);
        look.near[..CROWD].select_nth_unstable(NEAR_COUNT);
        self.close.clear();
        self.close.extend(look.near[..CROWD].iter().map(|near| near.handle(frame)));
        let wait = if first { 1 + self.salt % period } else { period };
        self.next_look = Tick(frame.tick.0 + wait);
    }

    /// Everything that is in view, as handles to be told as gone.
    pub fn drain(&mut self) -> Vec<Handle> {
        let all = self.seen.without(&Handles::default()).collect();
        self.seen.clear(0);
        self.owed.clear(0);
        self.close = Vec::new();
        self.count = 0;
        self.looked = None;
        self.doubts.clear();
        all
    }

    /// Chooses which owed positions to tell now, nearest tier first, at most `most`; the others
    /// stay owed. `tell` gets places in the frame. Must follow a [`Self::fold`] of the same frame
    /// and look. Gives the number that were due but did not fit.
    pub fn tell(
        &mut self,
        frame: &Frame,
        look: &mut Look,
        most: usize,
        mut tell: impl FnMut(usize),
    ) -> usize {
        if self.owed.is_empty() {
            return 0;
        }
        let mut count = Told { most, told: 0, shed: 0 };
        if self.close.is_empty() {
            let total = look.near.len();
            if total > NEAR_COUNT {
                look.near.select_nth_unstable(NEAR_COUNT);
            }
            let (near, middle) = look.near.split_at(total.min(NEAR_COUNT));
            let place = |near: &Near| Some((near.handle(frame), near.place()));
            self.tell_tier(frame, near, 1, place, &mut count, &mut tell);
            self.tell_tier(frame, middle, MIDDLE_PERIOD, place, &mut count, &mut tell);
            return count.shed;
        }
        let close = std::mem::take(&mut self.close);
        let (near, middle) = close.split_at(NEAR_COUNT.min(close.len()));
        let place = |handle: &Handle| Some((*handle, frame.place(*handle)?));
        self.tell_tier(frame, near, 1, place, &mut count, &mut tell);
        self.tell_tier(frame, middle, MIDDLE_PERIOD, place, &mut count, &mut tell);
        self.close = close;
        self.tell_far(frame, look, &mut count, &mut tell);
        count.shed
    }

    /// Those of a tier whose turn it is: each once in `period` ticks.
    fn tell_tier<R>(
        &mut self,
        frame: &Frame,
        ranks: &[R],
        period: u64,
        place: impl Fn(&R) -> Option<(Handle, usize)>,
        count: &mut Told,
        tell: &mut impl FnMut(usize),
    ) {
        let tick = frame.tick.0;
        // Each time another is the first, so that none is shed for ever.
        let first = (tick as usize).wrapping_mul(STRIDE) % ranks.len().max(1);
        let (later, sooner) = ranks.split_at(first);
        for rank in sooner.iter().chain(later) {
            let Some((handle, place)) = place(rank) else { continue };
            let turn = period == 1 || (tick + u64::from(handle.0)).is_multiple_of(period);
            if turn && self.owed.has(handle) && count.fits() {
                self.owed.remove(handle);
                tell(place);
            }
        }
    }

    /// A part of those beyond, by rising handle from where the last tick ended.
    fn tell_far(
        &mut self,
        frame: &Frame,
        look: &mut Look,
        count: &mut Told,
        tell: &mut impl FnMut(usize),
    ) {
        let far = self.count.saturating_sub(self.close.len());
        let least = far.div_ceil(*FAR_PERIODS.end());
        let quota = far.div_ceil(*FAR_PERIODS.start()).min(FAR_RECORDS.max(least));
        look.close.clear(frame.ids.len());
        self.close.iter().for_each(|handle| look.close.add(*handle));
        let (mut from, mut begun_anew, start) = (self.turn, false, self.turn);
        for _ in 0..quota {
            let next = self.owed.next_without(&look.close, from);
            let handle = match next {
                Some(handle) if begun_anew && handle.index() >= start => return,
                Some(handle) => handle,
                None if begun_anew => return,
                None => {
                    begun_anew = true;
                    match self.owed.next_without(&look.close, 0) {
                        Some(handle) if handle.index() < start => handle,
                        _ => return,
                    }
                }
            };
            from = handle.index() + 1;
            let Some(place) = frame.place(handle) else {
                self.owed.remove(handle);
                continue;
            };
            if count.fits() {
                self.owed.remove(handle);
                self.turn = from;
                tell(place);
            }
        }
    }
}

#[cfg(test)]
mod tests;
