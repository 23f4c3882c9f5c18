//! How players get about: walked by the server to where they want, or streaming their own place,
//! which is checked here against what their speed allows.
//!
//! An honest client is never punished for its network: updates that come up to [`JITTER_MS`] late
//! and then all at once are within the allowance. A client that is silent gains nothing beyond it.

use crate::geometry::{Point, Pose, normalize_degrees};
use crate::tick::{TICK_MS, TICK_SECONDS};
use crate::world::World;
use crate::world::command::{Effect, Notice, Refusal};
use crate::world::entity::Handle;
use crate::world::history::{Succession, succession};

/// How late an honest client's updates may come, ms; on top of `rules.movement_debt_ms`.
pub const JITTER_MS: u64 = 300;
/// How much a client's clock may run ahead of ours: without it, an honest one's debt would grow
/// for ever.
const CLOCK_TOLERANCE: f32 = 1.02;
/// After so long without an update a client may count from anywhere again, ms.
const SILENCE_MS: u64 = 2_000;
/// The window of `rules.corrections_before_kick`, ms.
const CORRECTIONS_MS: u64 = 10_000;
/// Rounding of places far from the origin, m.
const ROUNDING: f32 = 0.01;
/// What is nearer than this is reached, m.
const ARRIVED: f32 = 0.1;

/// What is remembered of a client that streams its place. A leaky bucket: travel fills it, time
/// at the player's speed drains it, and what would overflow is refused.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stream {
    /// The last number that was taken.
    pub sequence: Option<u32>,
    /// Metres the client is ahead of its speed.
    pub debt: f32,
    /// When `debt` was that, ms.
    pub measured_ms: u64,
    /// When the last number was taken, ms.
    pub heard_ms: u64,
    /// Corrections since `corrections_since_ms`.
    pub corrections: u32,
    /// When the window began, ms.
    pub corrections_since_ms: u64,
}

impl Stream {
    /// Takes an update's number, unless it is an old one or too far ahead.
    fn take_number(&mut self, sequence: u32, now_ms: u64) -> Succession {
        let silent = now_ms.saturating_sub(self.heard_ms) > SILENCE_MS;
        let result = match self.sequence {
            Some(last) if !silent => succession(last, sequence),
            Some(last) if last == sequence => Succession::Stale,
            _ => Succession::Newer,
        };
        if result == Succession::Newer {
            self.sequence = Some(sequence);
            self.heard_ms = now_ms;
        }
        result
    }

    /// Travels `distance` metres at `now_ms`, if `speed` (m/s) and the debt of `debt_ms` allow it.
    fn travel(&mut self, distance: f32, speed: f32, debt_ms: u64, now_ms: u64) -> bool {
        let millis = now_ms.saturating_sub(self.measured_ms);
        let drained = speed * CLOCK_TOLERANCE * millis as f32 / 1000.0;
        self.debt = (self.debt - drained).max(0.0);
        self.measured_ms = now_ms;
        let most = speed * (debt_ms + JITTER_MS) as f32 / 1000.0 + ROUNDING;
        let fits = self.debt + distance <= most;
        if fits {
            self.debt += distance;
        }
        fits
    }

    /// Counts a correction; true: it is one too many.
    fn corrected(&mut self, most: u32, now_ms: u64) -> bool {
        if now_ms.saturating_sub(self.corrections_since_ms) >= CORRECTIONS_MS {
            self.corrections = 0;
        }
        if self.corrections == 0 {
            self.corrections_since_ms = now_ms;
        }
        self.corrections += 1;
        let too_many = self.corrections >= most;
        if too_many {
            self.corrections = 0;
        }
        too_many
    }
}

/// Whose fault a correction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The client's: it counts towards being sent away.
    Client,
    /// Nobody's: an honest client does not know where the world ends, or that it has just died.
    Nobody,
}

impl World {
    /// Milliseconds by which streaming clients are measured.
    pub(super) fn stream_ms(&self) -> u64 {
        self.tick.0 * TICK_MS + self.lost_ms
    }

    /// A client says where its player is.
    pub(super) fn on_move(&mut self, handle: Handle, x: f32, y: f32, rotation: f32, sequence: u32) {
        let now = self.stream_ms();
        let speed = self.stream_speed(handle);
        let debt_ms = self.content.rules.movement_debt_ms;
        let Some(player) = self.entities.get_mut(handle).and_then(|e| e.player_mut()) else {
            return;
        };
        match player.stream.take_number(sequence, now) {
            Succession::Stale => return,
            Succession::Jump => {
                return self.correct(handle, sequence, "the sequence has jumped", Fault::Client);
            }
            Succession::Newer => {}
        }
        let at = match self.checked_step(handle, x, y, rotation) {
            Ok(at) => at,
            Err((reason, fault)) => return self.correct(handle, sequence, reason, fault),
        };
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let distance = entity.pose.at.distance(at);
        let Some(player) = entity.player_mut() else { return };
        if !player.stream.travel(distance, speed, debt_ms, now) {
            return self.correct(handle, sequence, "too fast", Fault::Client);
        }
        player.destination = None;
        player.unsaved = true;
        entity.pose = Pose { at, rotation: normalize_degrees(rotation) };
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
        if let Some(player) = entity.player_mut()
            && player.destination.replace(to) != Some(to)
        {
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

    /// Walks every player that has a destination one tick further.
    pub(super) fn walk(&mut self) {
        self.each_player(|world, handle| {
            let Some(entity) = world.entities.get(handle) else { return };
            let Some(to) = entity.player().and_then(|player| player.destination) else { return };
            let from = entity.pose.at;
            let next = from.towards(to, entity.appearance.speed * TICK_SECONDS);
            let blocked = world.check_ground(handle, next).err();
            let closed = world.border_closed(handle);
            let Some(entity) = world.entities.get_mut(handle) else { return };
            if blocked.is_none() {
                entity.pose = Pose { at: next, rotation: from.heading(to) };
            }
            let Some(player) = entity.player_mut() else { return };
            player.unsaved = true;
            // At a border that opens again one waits; where the world ends one stops.
            if next.distance(to) <= ARRIVED || (blocked.is_some() && !closed) {
                player.destination = None;
            }
        });
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

    /// The speed that a streaming client is held to, m/s.
    fn stream_speed(&self, handle: Handle) -> f32 {
        let haste = self.entities.get(handle).and_then(|entity| entity.player()?.haste.as_ref());
        self.content.rules.player_speed * haste.map_or(1.0, |haste| haste.factor)
    }

    fn checked_step(
        &self,
        handle: Handle,
        x: f32,
        y: f32,
        rotation: f32,
    ) -> Result<Point, (&'static str, Fault)> {
        if !self.entities.get(handle).is_some_and(|entity| entity.is_alive()) {
            return Err(("the dead do not move", Fault::Nobody));
        }
        let at = Point::checked(x, y).filter(|_| rotation.is_finite());
        let at = at.ok_or(("not a place inside the world", Fault::Client))?;
        self.check_ground(handle, at).map_err(|reason| (reason, Fault::Nobody))?;
        Ok(at)
    }

    /// Whether a player may stand at a place: in some zone, and not beyond a border that is closed
    /// to it.
    fn check_ground(&self, handle: Handle, at: Point) -> Result<(), &'static str> {
        if self.place.bounds.contains(at) {
            Ok(())
        } else if self.border_closed(handle) {
            Err("the border is closed for a moment")
        } else if self.content.zone_at(at).is_none() {
            Err("no zone is there")
        } else {
            Ok(())
        }
    }

    /// Tells a client where its player really is, and sends it away if that happens too often.
    fn correct(&mut self, handle: Handle, sequence: u32, reason: &'static str, fault: Fault) {
        let now = self.stream_ms();
        let most = self.content.rules.corrections_before_kick;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let pose = entity.pose;
        let Some(id) = entity.player_id() else { return };
        let kick = fault == Fault::Client
            && entity.player_mut().is_some_and(|player| player.stream.corrected(most, now));
        self.notify(id, Notice::Correction { pose, sequence, reason });
        if kick {
            let reason = "too many impossible moves";
            self.effects.push(Effect::Kick { player: id, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPEED: f32 = 5.0;
    const DEBT_MS: u64 = 200;

    /// Every accepted step in the past; a step is right if the travel since none of them is more
    /// than the time since then and the debt allow.
    #[derive(Default)]
    struct Naive(Vec<(u64, f64)>);

    impl Naive {
        /// Metres that are left for a step at `now`.
        fn room(&self, now: u64) -> f64 {
            let most = f64::from(SPEED) * 0.5 + f64::from(ROUNDING);
            let pace = f64::from(SPEED) * f64::from(CLOCK_TOLERANCE) / 1000.0;
            let since = |index: usize| {
                let travelled: f64 = self.0[index..].iter().map(|(_, distance)| distance).sum();
                most + pace * (now - self.0[index].0) as f64 - travelled
            };
            (0..self.0.len()).map(since).fold(most, f64::min)
        }
    }

    proptest! {
        #[test]
        fn the_allowance_is_what_the_naive_one_is(
            steps in prop::collection::vec((0u64..8, 0.0f32..3.0), 1..120),
        ) {
            let (mut stream, mut naive, mut now) = (Stream::default(), Naive::default(), 1_000);
            for (ticks, distance) in steps {
                now += ticks * TICK_MS;
                let room = naive.room(now);
                // Two ways to add floats may differ at the very edge.
                prop_assume!((room - f64::from(distance)).abs() > 1e-3);
                let accepted = stream.travel(distance, SPEED, DEBT_MS, now);
                prop_assert_eq!(accepted, f64::from(distance) <= room);
                if accepted {
                    naive.0.push((now, f64::from(distance)));
                }
            }
        }

        /// Updates 50 ms apart, each up to 300 ms late, never overtaking one another, read at the
        /// next tick: whatever the network does, none is refused.
        #[test]
        fn an_honest_client_with_jitter_is_never_corrected(
            jitters in prop::collection::vec(0u64..=300, 1..300),
            phase in 0u64..50,
            drift in 0.999f32..1.001,
        ) {
            let mut stream = Stream::default();
            let mut arrived = 0;
            for (index, jitter) in jitters.into_iter().enumerate() {
                let sent = phase + index as u64 * 50;
                arrived = (sent + jitter).max(arrived);
                let read = arrived.div_ceil(TICK_MS) * TICK_MS;
                prop_assert_eq!(stream.take_number(index as u32, read), Succession::Newer);
                prop_assert!(stream.travel(SPEED * 0.05 * drift, SPEED, DEBT_MS, read));
            }
        }
    }

    #[test]
    fn silence_then_a_burst_is_accepted_but_a_long_silence_is_not_saved_up() {
        let mut stream = Stream::default();
        for _ in 0..7 {
            assert!(stream.travel(0.25, SPEED, DEBT_MS, 350));
        }
        let mut stream = Stream::default();
        let taken = (0..100).filter(|_| stream.travel(0.25, SPEED, DEBT_MS, 60_000)).count();
        assert_eq!(taken, 10, "half a second of travel, not a minute");
    }

    #[test]
    fn numbers_wrap_around_and_begin_anew_after_a_silence() {
        let mut stream = Stream::default();
        assert_eq!(stream.take_number(u32::MAX, 0), Succession::Newer);
        assert_eq!(stream.take_number(0, 50), Succession::Newer);
        assert_eq!(stream.take_number(u32::MAX, 100), Succession::Stale);
        assert_eq!(stream.take_number(0, 100), Succession::Stale);
        assert_eq!(stream.take_number(1_025, 100), Succession::Jump);
        assert_eq!(stream.take_number(1, 3_000), Succession::Newer);
        assert_eq!(stream.take_number(900_000, 6_000), Succession::Newer);
    }

    #[test]
    fn corrections_are_counted_by_windows_of_ten_seconds() {
        let mut stream = Stream::default();
        assert!(!stream.corrected(3, 0) && !stream.corrected(3, 5_000));
        assert!(!stream.corrected(3, 10_000), "a new window");
        assert!(!stream.corrected(3, 11_000) && stream.corrected(3, 12_000));
    }
}
