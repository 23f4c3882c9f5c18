//! What a change of guilds needs for itself while it is on its way.

use std::collections::BTreeSet;

use super::wars::pair;
use crate::ids::{GuildId, PlayerId};

/// One thing that two changes must not touch at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touched {
    Player(PlayerId),
    Guild(GuildId),
    /// The score of a war between two guilds, the smaller id first.
    Score(GuildId, GuildId),
}

/// All that one change touches.
pub(super) type TouchedSet = BTreeSet<Touched>;

/// What counting a kill touches: nothing but the war's score.
pub(super) fn by_kill(killer: GuildId, victim: GuildId) -> TouchedSet {
    let (first, second) = pair(killer, victim);
    TouchedSet::from([Touched::Score(first, second)])
}
