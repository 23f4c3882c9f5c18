//! What is remembered of a client that streams its place: its count, where it says it is, and what
//! speaks against its honesty.
//!
//! Pure; `movement.rs` asks it. How far the player may go is the budget's matter alone. Here it is
//! judged whether a client is to be told anew and whether it is to be sent away, and for that only
//! what no delay can cause counts: a line that stands still for seconds and then brings everything
//! at once makes nobody a cheat.

use crate::geometry::Point;
use crate::tick::TICK_MS;
use crate::world::budget::Pace;
use crate::world::history::{Succession, succession};

/// A correction that no update answers is told again after so long, ms.
const AGAIN_MS: u64 = 1_000;
/// For so long updates may come that were sent before a correction was seen, ms.
const UNSEEN_MS: u64 = 5_000;
/// The same for a client that is suspected.
const UNSEEN_SUSPECT_MS: u64 = 2_500;
/// Of a silence between two updates so much counts into that, ms: what a line that stands still
/// takes away, it takes from the correction as well.
const SILENCE_COUNTS_MS: u64 = 1_000;
/// The window of `rules.corrections_before_kick`, ms.
const WINDOW_MS: u64 = 10_000;
/// One impossible move stands for so many ticks at most.
const TICKS_MAX: u64 = 8;
/// How much faster than it may a client can say that it goes without being suspected: its timers
/// need not be exact.
const TIMER_TOLERANCE: f32 = 1.05;
/// Silence of a line that explains as much travel afterwards, s.
const SILENCE_SECONDS: f32 = 3.0;
/// Travel beyond what time explains, s of it, from which on a client is suspected.
const SUSPECT_SECONDS: f32 = 2.0;
/// Suspicion at most, s of travel.
const SUSPICION_SECONDS: f32 = 6.0;

/// One client's stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stream {
    /// The last number that was taken.
    pub sequence: Option<u32>,
    /// The last number that was refused as an old one.
    old: Option<u32>,
    /// Where the client says it is, if the player has not got there yet: it follows.
    pub trail: Option<Point>,
    /// Where the client last said it was.
    said: Option<Point>,
    /// When that was, or the stream began, real ms.
    said_ms: u64,
    /// Metres that it says it has travelled beyond what real time explains. Less than 0: it may
    /// have been held up by its line and will catch up.
    pub suspicion: f32,
    /// When the correction was told that no update has answered yet, real ms.
    unseen_since: Option<u64>,
    /// When a correction was told last, real ms.
    told_ms: Option<u64>,
    /// Ticks of impossible moves since `window_ms`.
    pub impossible: u32,
    /// When the window began, real ms.
    window_ms: u64,
    /// When the last impossible move was counted, real ms.
    counted_ms: u64,
}

/// What is told of a stream to the zone a player goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamState {
    /// The last accepted number.
    pub sequence: Option<u32>,
    /// Metres said beyond what time explains.
    pub suspicion: f32,
    /// Ticks of impossible moves in the current window.
    pub impossible: u32,
    /// Milliseconds since a correction was told that no update has answered.
    pub unseen_ms: Option<u64>,
}

impl Stream {
    /// One that begins at `real_ms`.
    pub fn begin(real_ms: u64) -> Self {
        Self { said_ms: real_ms, window_ms: real_ms, ..Self::default() }
    }

    /// A new session speaks for the player: its client counts anew and knows where it is.
    pub fn renew(&mut self) {
        self.sequence = None;
        self.old = None;
        self.trail = None;
        self.unseen_since = None;
    }

    /// For another zone.
    pub fn state(&self, real_ms: u64) -> StreamState {
        let unseen_ms = self.unseen_since.map(|since| real_ms.saturating_sub(since));
        let Self { sequence, suspicion, impossible, .. } = *self;
        StreamState { sequence, suspicion, impossible, unseen_ms }
    }

    /// Goes on from what another zone knew.
    pub fn resumed(state: StreamState, real_ms: u64) -> Self {
        let StreamState { sequence, suspicion, impossible, unseen_ms } = state;
        Self {
            sequence,
            suspicion,
            impossible,
            unseen_since: unseen_ms.map(|millis| real_ms.saturating_sub(millis)),
            told_ms: unseen_ms.map(|_| real_ms),
            ..Self::begin(real_ms)
        }
    }

    /// Takes an update's number, unless it is an old one. A count may begin anywhere and begin
    /// anew: a number far from the last is its new beginning, and so are two old ones in a row of
    /// which the second follows the first.
    pub fn takes(&mut self, sequence: u32) -> bool {
        let old =
            |last: u32| succession(last, sequence) == Succession::Stale && !is_far(sequence, last);
        if self.sequence.is_some_and(old) {
            let before = self.old.replace(sequence);
            let follows = |before| succession(before, sequence) == Succession::Newer;
            if !before.is_some_and(follows) {
                return false;
            }
        }
        self.sequence = Some(sequence);
        self.old = None;
        true
    }

    /// Learns where a client says it is, while the player stands at `stands`. What it has travelled
    /// is counted from where it last said it was or from where the server has it, whichever is
    /// nearer; from the latter alone if this answers a correction (`near`: it may).
    pub fn says(&mut self, to: Point, stands: Point, near: bool, pace: &Pace) {
        let silence = pace.real_ms.saturating_sub(self.said_ms);
        if let Some(since) = &mut self.unseen_since {
            *since +=
                silence.saturating_sub(SILENCE_COUNTS_MS).min(pace.real_ms.saturating_sub(*since));
        }
        let seconds = silence as f32 / 1000.0;
        let explained = pace.speed * TIMER_TOLERANCE * seconds;
        let least = -pace.speed * SILENCE_SECONDS;
        let from_there = stands.distance(to);
        let said = self.said.filter(|_| !(near && self.is_unseen()));
        let travelled = said.map_or(from_there, |said| said.distance(to).min(from_there));
        self.suspicion = (self.suspicion - explained).max(least) + travelled;
        self.suspicion = self.suspicion.min(pace.speed * SUSPICION_SECONDS);
        self.said = Some(to);
        self.said_ms = self.said_ms.max(pace.real_ms);
    }

    /// Whether the client says that it goes faster than any delay explains.
    pub fn is_suspect(&self, pace: &Pace) -> bool {
        self.suspicion > pace.speed * SUSPECT_SECONDS
    }

    /// Whether a correction was told that no update has answered.
    pub fn is_unseen(&self) -> bool {
        self.unseen_since.is_some()
    }

    /// An update comes from where the last correction has put the player.
    pub fn answered(&mut self) {
        self.unseen_since = None;
    }

    /// Whether updates that do not answer a correction come for longer than a line could hold it
    /// up.
    pub fn ignores(&self, pace: &Pace) -> bool {
        let most = if self.is_suspect(pace) { UNSEEN_SUSPECT_MS } else { UNSEEN_MS };
        self.unseen_since.is_some_and(|since| pace.real_ms.saturating_sub(since) > most)
    }

    /// Whether no correction was told in this tick.
    pub fn may_tell(&self, real_ms: u64) -> bool {
        self.told_ms != Some(real_ms)
    }

    /// Whether none was told for so long that it may be told again.
    pub fn may_repeat(&self, real_ms: u64) -> bool {
        self.told_ms.is_none_or(|told| real_ms.saturating_sub(told) >= AGAIN_MS)
    }

    /// A correction goes out.
    pub fn tell(&mut self, real_ms: u64) {
        self.trail = None;
        self.told_ms = Some(real_ms);
    }

    /// What the correction says is to be answered: until then the client may not have seen it.
    pub fn wait(&mut self, real_ms: u64) {
        self.unseen_since.get_or_insert(real_ms);
    }

    /// The player was put elsewhere, and the client is told.
    pub fn put(&mut self, real_ms: u64) {
        self.tell(real_ms);
        self.unseen_since = Some(real_ms);
    }

    /// Counts an impossible move: once a tick, so that a burst is one; if it is part of something
    /// that `lasts`, for the ticks since the one before, so that it does not matter how many updates
    /// a client sends. True: it is one too many.
    pub fn count(&mut self, most: u32, lasts: bool, real_ms: u64) -> bool {
        if real_ms.saturating_sub(self.window_ms) >= WINDOW_MS {
            self.impossible = 0;
            self.window_ms = real_ms;
        }
        let ticks = real_ms.saturating_sub(self.counted_ms) / TICK_MS;
        if ticks == 0 && self.impossible > 0 {
            return false;
        }
        self.counted_ms = real_ms;
        let ticks = if lasts { ticks.clamp(1, TICKS_MAX) as u32 } else { 1 };
        self.impossible = self.impossible.saturating_add(ticks);
        let too_many = self.impossible >= most;
        if too_many {
            self.impossible = 0;
        }
        too_many
    }
}

/// Whether two numbers are so far apart, either way, that they are not of one count.
fn is_far(one: u32, other: u32) -> bool {
    let apart = |ahead: u32| ahead > crate::world::history::JUMP_MAX;
    apart(one.wrapping_sub(other)) && apart(other.wrapping_sub(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(numbers: &[u32]) -> Vec<bool> {
        let mut stream = Stream::default();
        numbers.iter().map(|number| stream.takes(*number)).collect()
    }

    #[test]
    fn old_numbers_are_dropped_and_numbers_wrap_around() {
        let all = taken(&[u32::MAX, 0, u32::MAX, 1, 1, 3, 2, 4]);
        assert_eq!(all, [true, true, false, true, false, true, false, true]);
    }

    #[test]
    fn a_count_begins_anywhere_and_begins_anew() {
        assert_eq!(taken(&[1 << 31, 1, 2, 3]), [true; 4]);
        assert_eq!(taken(&[1, 900_000, 900_001, 5]), [true; 4]);
        assert_eq!(taken(&[(1 << 31) + 1, 0, 1 << 31]), [true; 3]);
        assert_eq!(taken(&[1_000, 1, 2, 3]), [true, false, true, true]);
        // Two that have changed places are no new beginning.
        assert_eq!(taken(&[1, 3, 2, 5, 4, 6, 7]), [true, true, false, true, false, true, true]);
    }

    #[test]
    fn impossible_moves_are_counted_by_windows_and_once_a_tick() {
        let mut stream = Stream::begin(0);
        assert!(!(0..50).any(|_| stream.count(3, true, 50)), "a burst is one");
        assert!(!stream.count(3, true, 100) && stream.count(3, true, 150));
        assert!(!stream.count(20, true, 5_000) && !stream.count(20, true, 7_000));
        assert_eq!(stream.impossible, 16, "for the time since the one before, within bounds");
        assert!(!stream.count(20, true, 12_000), "a new window");
        stream.impossible = 0;
        assert!(!stream.count(3, false, 13_000) && !stream.count(3, false, 14_000), "one each");
    }

    #[test]
    fn an_unanswered_correction_is_told_again_after_a_second() {
        let mut stream = Stream::begin(0);
        assert!(stream.may_tell(0) && stream.may_repeat(0));
        stream.tell(0);
        stream.wait(0);
        assert!(!stream.may_tell(0) && !stream.may_repeat(950) && stream.may_repeat(1_000));
        stream.tell(1_000);
        stream.wait(1_000);
        let at = |real_ms| Pace::new(5.0, 200, real_ms, real_ms);
        assert!(!stream.may_repeat(1_950));
        assert!(!stream.ignores(&at(5_000)) && stream.ignores(&at(5_050)));
        stream.answered();
        assert!(!stream.is_unseen() && !stream.ignores(&at(60_000)));
    }
}
