//! Unanswered guild invitations. They live in memory only: bounded for each player, gone after a
//! while or with the player.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::{GuildId, PlayerId};
use crate::limits::GUILD_INVITES_MAX;

#[derive(Debug)]
pub(super) struct Invitations {
    valid_for: Duration,
    /// Oldest first.
    waiting: BTreeMap<PlayerId, VecDeque<(GuildId, Instant)>>,
}

impl Invitations {
    pub(super) fn new(valid_for: Duration) -> Self {
        Self { valid_for, waiting: BTreeMap::new() }
    }

    /// Invites a player, anew if it was already; the oldest invitation makes room.
    pub(super) fn add(&mut self, player: PlayerId, guild: GuildId, now: Instant) {
        let waiting = self.waiting.entry(player).or_default();
        waiting.retain(|(other, _)| *other != guild);
        if waiting.len() >= GUILD_INVITES_MAX {
            waiting.pop_front();
        }
        waiting.push_back((guild, now));
    }

    /// Whether a player may join a guild now.
    pub(super) fn has(&self, player: PlayerId, guild: GuildId, now: Instant) -> bool {
        self.waiting.get(&player).is_some_and(|waiting| {
            let valid = |since: &Instant| now.duration_since(*since) < self.valid_for;
            waiting.iter().any(|(other, since)| *other == guild && valid(since))
        })
    }

    /// The player has left the world, or is in a guild now.
    pub(super) fn forget_player(&mut self, player: PlayerId) {
        self.waiting.remove(&player);
    }

    /// The guild is no more.
    pub(super) fn forget_guild(&mut self, guild: GuildId) {
        for waiting in self.waiting.values_mut() {
            waiting.retain(|(other, _)| *other != guild);
        }
    }

    /// Forgets those that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        let valid_for = self.valid_for;
        self.waiting.retain(|_, waiting| {
            waiting.retain(|(_, since)| now.duration_since(*since) < valid_for);
            !waiting.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_ends_by_itself() {
        let start = crate::tick::now();
        let mut invitations = Invitations::new(Duration::from_secs(300));
        invitations.add(PlayerId(1), GuildId(1), start);
        let late = start + Duration::from_secs(300);
        assert!(invitations.has(PlayerId(1), GuildId(1), late - Duration::from_millis(1)));
        assert!(!invitations.has(PlayerId(1), GuildId(1), late));
        invitations.expire(late);
        assert!(invitations.waiting.is_empty());
    }

    #[test]
    fn the_oldest_invitation_makes_room() {
        let now = crate::tick::now();
        let mut invitations = Invitations::new(Duration::from_secs(300));
        for guild in 1..=GUILD_INVITES_MAX as u64 + 1 {
            invitations.add(PlayerId(1), GuildId(guild), now);
        }
        assert!(!invitations.has(PlayerId(1), GuildId(1), now));
        assert!(invitations.has(PlayerId(1), GuildId(2), now));
        invitations.forget_guild(GuildId(2));
        assert!(!invitations.has(PlayerId(1), GuildId(2), now));
    }
}
