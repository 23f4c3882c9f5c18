//! What a player has used up of its limits, to go on with over another connection or gateway.
//!
//! Made by a gateway's shard when a connection ends or a mute begins, kept by gateways and the
//! master in [`Conducts`]. Limits are the player's, not the connection's: who is muted stays so,
//! however it comes back. Times are milliseconds from now, or before it, so that no two clocks have
//! to agree. Pure.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;

use crate::ids::PlayerId;

/// Times remembered of each sort, as many as any limit counts.
pub const TIMES_MAX: usize = 100;
/// Players of whom something is kept; past it the one that matters for the shortest goes.
const PLAYERS_MAX: usize = 10_000;

/// What one player has used up, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Until all packets let through are paid for.
    pub packets: u32,
    /// The same for movements.
    pub moves: u32,
    /// The same for attacks, skills and items.
    pub abilities: u32,
    /// Until it may speak again.
    pub muted: u32,
    /// How long ago it tried to speak.
    pub tried: Vec<u32>,
    /// How long ago it spoke.
    pub spoken: Vec<u32>,
    /// How long ago it sent what is not allowed.
    pub strikes: Vec<u32>,
}

impl Conduct {
    /// Whether a connection that begins afresh would get something by it.
    pub fn matters(&self) -> bool {
        self.muted > 0
            || self.abilities > 0
            || !(self.tried.is_empty() && self.spoken.is_empty() && self.strikes.is_empty())
    }

    /// As it is so much later; `keep`: for how long times matter, ms.
    fn after(&self, passed: Duration, keep: u32) -> Self {
        let passed = u32::try_from(passed.as_millis()).unwrap_or(u32::MAX);
        let left = |time: u32| time.saturating_sub(passed);
        let ago = |times: &[u32]| {
            let older = times.iter().map(|ago| ago.saturating_add(passed));
            older.filter(|ago| *ago < keep).take(TIMES_MAX).collect()
        };
        Self {
            packets: left(self.packets),
            moves: left(self.moves),
            abilities: left(self.abilities),
            muted: left(self.muted),
            tried: ago(&self.tried),
            spoken: ago(&self.spoken),
            strikes: ago(&self.strikes),
        }
    }
}

/// The conduct of players who have just changed connections, or may do so soon.
#[derive(Debug)]
pub struct Conducts {
    players: HashMap<PlayerId, (Conduct, Instant), RandomState>,
    /// For how long times matter, ms.
    keep: u32,
}

impl Default for Conducts {
    /// An hour: longer than any limit counts.
    fn default() -> Self {
        Self { players: HashMap::default(), keep: 3_600_000 }
    }
}

impl Conducts {
    /// A player is told of, in place of what was known.
    pub fn keep(&mut self, player: PlayerId, conduct: Conduct, now: Instant) {
        if self.players.len() >= PLAYERS_MAX && !self.players.contains_key(&player) {
            self.sweep(now);
            let first = self
                .players
                .iter()
                .min_by_key(|(_, (conduct, at))| *at + Duration::from_millis(conduct.muted.into()));
            if self.players.len() >= PLAYERS_MAX
                && let Some(first) = first.map(|(player, _)| *player)
            {
                self.players.remove(&first);
            }
        }
        self.players.insert(player, (conduct, now));
    }

    /// What a player has used up now, if that matters.
    pub fn of(&self, player: PlayerId, now: Instant) -> Option<Conduct> {
        let (conduct, at) = self.players.get(&player)?;
        let conduct = conduct.after(now.saturating_duration_since(*at), self.keep);
        conduct.matters().then_some(conduct)
    }

    /// Forgets what no longer matters; to be called every few seconds.
    pub fn sweep(&mut self, now: Instant) {
        let keep = self.keep;
        self.players.retain(|_, (conduct, at)| {
            conduct.after(now.saturating_duration_since(*at), keep).matters()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_grows_old_and_is_forgotten() {
        let start = crate::tick::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut conducts = Conducts::default();
        let conduct = Conduct { muted: 10_000, tried: vec![500], ..Conduct::default() };
        conducts.keep(PlayerId(7), conduct, start);
        let after = conducts.of(PlayerId(7), later(4)).unwrap();
        assert_eq!((after.muted, &after.tried[..]), (6_000, &[4_500][..]));
        assert_eq!(conducts.of(PlayerId(8), start), None);
        assert_eq!(conducts.of(PlayerId(7), later(4_000)), None);
        conducts.sweep(later(4_000));
        assert!(conducts.players.is_empty());
    }

    #[test]
    fn there_is_a_bound_and_who_is_muted_longest_stays() {
        let start = crate::tick::now();
        let mut conducts = Conducts::default();
        for number in 0..=PLAYERS_MAX as u64 {
            let muted = if number == 0 { 60_000 } else { 1_000 };
            let conduct = Conduct { muted, ..Conduct::default() };
            conducts.keep(PlayerId(number), conduct, start);
        }
        assert_eq!(conducts.players.len(), PLAYERS_MAX);
        assert!(conducts.of(PlayerId(0), start).is_some());
    }
}
