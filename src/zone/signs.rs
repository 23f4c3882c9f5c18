//! What a zone's thread shows without being asked: that it goes on, and how many stand in it.
//!
//! Written by the thread, read by its host, which must never wait for it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// One zone's signs of life.
#[derive(Debug, Default)]
pub(super) struct Signs {
    rounds: AtomicU64,
    players: AtomicU32,
}

impl Signs {
    /// The thread begins a round.
    pub(super) fn begin_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    /// Rounds begun so far.
    pub(super) fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// So many players stand in it.
    pub(super) fn show_players(&self, players: u32) {
        self.players.store(players, Ordering::Relaxed);
    }

    /// How many players stand in it.
    pub(super) fn players(&self) -> u32 {
        self.players.load(Ordering::Relaxed)
    }
}
