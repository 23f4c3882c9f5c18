//! How players get about: walked by the server to where they want, or streaming their own place,
//! which is checked here against what their speed allows.
//!
//! Both are charged to one budget (`budget.rs`), so that no mixture of the two is faster than
//! either. What a client says beyond its budget is travelled a little later if it is not much, and
//! corrected otherwise; `stream.rs` judges whether it can be honest.

use crate::geometry::{Point, normalize_degrees};
use crate::tick::{TICK_MS, TICK_SECONDS};
use crate::world::World;
use crate::world::command::{Effect, Notice, Refusal};
use crate::world::entity::Handle;

/// What a client is told whose player may not cross a border now.
pub(super) const CLOSED: &str = "the border is closed for a moment";
/// What is nearer than this is reached, m.
const ARRIVED: f32 = 0.1;

/// Why a streamed place is not where its player stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No client that works says such a thing.
    Nonsense,
    /// An honest client does not know where the world ends.
    Ground(&'static str),
    /// Nor that it has just died.
    Dead,
    /// Its own, or its line's.
    TooFast,
    /// It may have said so before it could see the last correction.
    Unseen,
}

impl Fault {
    fn reason(self) -> &'static str {
        match self {
            Self::Nonsense => "not a place inside the world",
            Self::Ground(reason) => reason,
            Self::Dead => "the dead do not move",
            Self::TooFast => "too fast",
            Self::Unseen => "the last correction was not followed",
        }
    }
}

impl World {
    /// A client says where its player is.
    pub(super) fn on_move(&mut self, handle: Handle, x: f32, y: f32, rotation: f32, sequence: u32) {
        let taken = |player: &mut crate::world::player::Player| player.stream.takes(sequence);
        let player = self.entities.get_mut(handle).and_then(|entity| entity.player_mut());
        if !player.is_some_and(taken) {
            return;
        }
        let to = Point::checked(x, y).filter(|_| rotation.is_finite());
        let done = to.ok_or(Fault::Nonsense).and_then(|to| self.follow(handle, to));
        match done {
            Ok(()) => {
                let Some(entity) = self.entities.get_mut(handle) else { return };
                entity.pose.rotation = normalize_degrees(rotation);
                if let Some(player) = entity.player_mut() {
                    player.destination = None;
                    player.unsaved = true;
                }
            }
            Err(fault) => self.correct(handle, sequence, fault),
        }
    }

    /// Moves a player to where its client says it is, as far as the budget allows at once; the rest
    /// of a short way in the next ticks.
    fn follow(&mut self, handle: Handle, to: Point) -> Result<(), Fault> {
        let pace = self.pace(handle);
        let Some(entity) = self.entities.get_mut(handle) else { return Ok(()) };
        let (alive, from) = (entity.is_alive(), entity.pose.at);
        let Some(player) = entity.player_mut() else { return Ok(()) };
        // The time of being dead brings nothing.
        let room = if alive { player.budget.room(&pace) } else { 0.0 };
        let gap = from.distance(to);
        // Nobody answers in the tick in which it is told.
        let near = gap <= room + pace.lag() && player.stream.may_tell(pace.real_ms);
        player.stream.says(to, from, near, &pace);
        if !alive {
            return Err(Fault::Dead);
        }
        if !near && player.stream.is_unseen() {
            return Err(Fault::Unseen);
        }
        player.stream.answered();
        let lag = if player.stream.is_suspect(&pace) { 0.0 } else { pace.lag() };
        let stop = self.check_ground(handle, to);
        if let Err(Stop::Ends(reason)) = stop {
            return Err(Fault::Ground(reason));
        }
        if gap > room + lag {
            return Err(Fault::TooFast);
        }
        let edge = if stop.is_err() { self.place.bounds.clamp(to) } else { to };
        let next = from.towards(edge, room);
        // Between two zones that touch at a corner there may be none.
        let next = if self.check_ground(handle, next).is_ok() { next } else { from };
        self.travel(handle, next);
        if let Some(player) = self.entities.get_mut(handle).and_then(|e| e.player_mut()) {
            player.stream.trail = (next != to).then_some(to);
        }
        Ok(())
    }

    /// Puts a player where it has travelled to, and charges it.
    fn travel(&mut self, handle: Handle, to: Point) {
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let distance = entity.pose.at.distance(to);
        entity.pose.at = to;
        if let Some(player) = entity.player_mut() {
            player.budget.spend(distance);
        }
    }

    /// A client wants its player walked somewhere.
    pub(super) fn on_move_to(&mut self, handle: Handle, x: f32, y: f32) -> Result<(), Refusal> {
        let Some(to) = Point::checked(x, y) else {
            return Err(Refusal::BadPosition("outside the world"));
        };
        if self.content.zone_at(to).is_none() {
            return Err(Refusal::BadPosition("no zone is there"));
        }
        let Some(entity) = self.entities.get_mut(handle) else { return Ok(()) };
        if !entity.is_alive() {
            return Err(Refusal::Dead);
        }
        let Some(player) = entity.player_mut() else { return Ok(()) };
        player.stream.trail = None;
        if player.destination.replace(to) != Some(to) {
            self.set_out.push(handle);
        }
        Ok(())
    }

    /// Who was sent on a new way since the last call and is still on it, by rising handle.
    pub(super) fn take_set_out(&mut self) -> Vec<(Handle, Point)> {
        let mut handles = std::mem::take(&mut self.set_out);
        handles.sort_unstable();
        handles.dedup();
        let way = |handle| Some((handle, self.entities.get(handle)?.player()?.destination?));
        handles.into_iter().filter_map(way).collect()
    }

    /// Moves every player that is on a way one tick further.
    pub(super) fn walk(&mut self) {
        self.each_player(|world, handle| {
            let entity = world.entities.get(handle).filter(|entity| entity.is_alive());
            let Some(player) = entity.and_then(|entity| entity.player()) else { return };
            match (player.destination, player.stream.trail) {
                (Some(to), _) => world.walk_on(handle, to),
                (None, Some(to)) => world.catch_up(handle, to),
                (None, None) => {}
            }
        });
    }

    /// Walks one towards its destination.
    fn walk_on(&mut self, handle: Handle, to: Point) {
        let pace = self.pace(handle);
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (from, step) = (entity.pose.at, entity.appearance.speed * TICK_SECONDS);
        let Some(player) = entity.player_mut() else { return };
        let next = from.towards(to, step.min(player.budget.room(&pace)));
        player.unsaved = true;
        let stop = self.check_ground(handle, next).err();
        if stop.is_none() {
            self.travel(handle, next);
        }
        let Some(entity) = self.entities.get_mut(handle) else { return };
        if stop.is_none() {
            entity.pose.rotation = from.heading(to);
        }
        // At a border that opens again one waits; where the world ends one stops.
        let ends = matches!(stop, Some(Stop::Ends(_))) || next.distance(to) <= ARRIVED;
        if let Some(player) = entity.player_mut().filter(|_| ends) {
            player.destination = None;
        }
    }

    /// Brings one nearer to where its client was, as far as the budget allows by now.
    fn catch_up(&mut self, handle: Handle, to: Point) {
        let pace = self.pace(handle);
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let from = entity.pose.at;
        let Some(player) = entity.player_mut() else { return };
        let next = from.towards(to, player.budget.room(&pace));
        player.unsaved = true;
        let stop = self.check_ground(handle, next).err();
        if stop.is_none() {
            self.travel(handle, next);
        }
        let ends = matches!(stop, Some(Stop::Ends(_))) || next == to && stop.is_none();
        if let Some(player) = self.entities.get_mut(handle).and_then(|e| e.player_mut())
            && ends
        {
            player.stream.trail = None;
        }
    }

    /// Puts this tick's place of everything that moves into its history, at 10 Hz: ten samples
    /// are then a second.
    pub(super) fn remember(&mut self) {
        if !self.tick.0.is_multiple_of(2) {
            return;
        }
        let now = self.now_ms();
        for (_, entity) in self.entities.iter_mut() {
            let pose = entity.pose;
            if let Some(history) = entity.history_mut() {
                let next = history.sequence().map_or(0, |last| last.wrapping_add(1));
                history.push(next, now, pose);
            }
        }
    }

    /// Where something stood when somebody saw the view of `seen` (tick and milliseconds past
    /// it), at most `rules.lag_compensation_ms` back; as it was shown, so nothing is guessed.
    pub(super) fn place_seen(&self, handle: Handle, seen: Option<(u64, u32)>) -> Option<Point> {
        let entity = self.entities.get(handle)?;
        let now = self.now_ms();
        let oldest = now.saturating_sub(self.content.rules.lag_compensation_ms);
        let seen = seen.map_or(now, |(tick, ms)| {
            tick.saturating_mul(TICK_MS).saturating_add(u64::from(ms)).clamp(oldest, now)
        });
        let Some(history) = entity.history() else { return Some(entity.pose.at) };
        let place = match history.last() {
            Some((sampled, _)) if seen <= sampled => {
                history.at(seen, 0.0).map_or(entity.pose.at, |pose| pose.at)
            }
            // Between the newest sample and now it went straight.
            Some((sampled, pose)) if seen < now => {
                let part = (seen - sampled) as f32 / (now - sampled) as f32;
                crate::world::history::between(pose, entity.pose, part).at
            }
            _ => entity.pose.at,
        };
        Some(place)
    }

    /// Whether a player may stand at a place: in some zone, and not beyond a border that is closed
    /// to it.
    fn check_ground(&self, handle: Handle, at: Point) -> Result<(), Stop> {
        if self.place.bounds.contains(at) {
            Ok(())
        } else if self.content.zone_at(at).is_none() {
            Err(Stop::Ends("no zone is there"))
        } else if self.border_closed(handle) {
            Err(Stop::Waits)
        } else {
            Ok(())
        }
    }

    /// Tells a client where its player really is, unless it has just been told, and sends it away
    /// if what it says is impossible too often.
    fn correct(&mut self, handle: Handle, sequence: u32, fault: Fault) {
        let pace = self.pace(handle);
        let most = self.content.rules.corrections_before_kick;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (pose, Some(id)) = (entity.pose, entity.player_id()) else { return };
        let Some(player) = entity.player_mut() else { return };
        let (stream, now) = (&mut player.stream, pace.real_ms);
        let (tells, impossible) = match fault {
            Fault::Nonsense => (stream.may_tell(now), true),
            Fault::Ground(_) => (stream.may_tell(now), false),
            Fault::Dead => (stream.may_repeat(now), false),
            Fault::TooFast => (stream.may_tell(now), stream.is_suspect(&pace)),
            Fault::Unseen => (stream.may_repeat(now), stream.ignores(&pace)),
        };
        let kick = impossible && stream.count(most, fault != Fault::Nonsense, now);
        if tells {
            stream.tell(pose.at, now);
            if fault == Fault::TooFast {
                stream.wait(now);
            }
            let reason = fault.reason();
            self.notify(id, Notice::Correction { pose, sequence, reason });
        }
        if kick {
            let reason = "too many impossible moves";
            self.effects.push(Effect::Kick { player: id, reason });
        }
    }

    /// Tells a client that its player was put somewhere by no will of its own.
    pub(super) fn tell_put(&mut self, handle: Handle, reason: &'static str) {
        let now = self.real_ms();
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (pose, Some(id)) = (entity.pose, entity.player_id()) else { return };
        let Some(player) = entity.player_mut() else { return };
        player.stream.put(pose.at, now);
        let sequence = player.stream.sequence.unwrap_or(0);
        self.notify(id, Notice::Correction { pose, sequence, reason });
    }
}

/// Why a player may not stand somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The border is closed to it for a moment.
    Waits,
    /// The world ends before.
    Ends(&'static str),
}
