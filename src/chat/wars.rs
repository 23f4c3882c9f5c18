//! The wars between guilds: who fights whom, with what score. The store has the truth; this is its
//! copy in memory.

use std::collections::BTreeMap;

use crate::ids::GuildId;
use crate::store::record::WarRecord;

/// Two guilds, the smaller id first.
pub(super) type Pair = (GuildId, GuildId);

/// Both in the order in which pairs are kept.
pub(super) fn pair(one: GuildId, other: GuildId) -> Pair {
    (one.min(other), one.max(other))
}

/// All wars that are fought.
#[derive(Debug, Default)]
pub(super) struct Wars {
    wars: BTreeMap<Pair, WarRecord>,
    version: u64,
}

/// A war as one of its guilds sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub us: GuildId,
    pub enemy: GuildId,
    pub our_kills: u32,
    pub their_kills: u32,
    /// Unix ms.
    pub started_at: u64,
}

/// A war from both sides.
pub(super) fn sides(war: &WarRecord) -> [Side; 2] {
    let WarRecord { first, second, first_kills, second_kills, started_at } = *war;
    let side =
        |us, enemy, our_kills, their_kills| Side { us, enemy, our_kills, their_kills, started_at };
    [side(first, second, first_kills, second_kills), side(second, first, second_kills, first_kills)]
}

impl Wars {
    /// These and no others.
    pub(super) fn replace(&mut self, wars: Vec<WarRecord>) {
        self.wars = wars.into_iter().map(|war| (pair(war.first, war.second), war)).collect();
        self.version += 1;
    }

    pub(super) fn start(&mut self, war: WarRecord) {
        self.wars.insert(pair(war.first, war.second), war);
        self.version += 1;
    }

    /// Takes a score over. False: nothing has grown by it (it was counted before), or the war is
    /// over.
    pub(super) fn score(&mut self, war: &WarRecord) -> bool {
        let Some(known) = self.wars.get_mut(&pair(war.first, war.second)) else { return false };
        let before = (known.first_kills, known.second_kills);
        known.first_kills = known.first_kills.max(war.first_kills);
        known.second_kills = known.second_kills.max(war.second_kills);
        (known.first_kills, known.second_kills) != before
    }

    pub(super) fn end(&mut self, of: Pair) {
        self.wars.remove(&of);
        self.version += 1;
    }

    pub(super) fn get(&self, of: Pair) -> Option<&WarRecord> {
        self.wars.get(&of)
    }

    /// The wars of one guild, as it sees them.
    pub(super) fn of(&self, guild: GuildId) -> impl Iterator<Item = Side> + '_ {
        self.wars.values().flat_map(sides).filter(move |side| side.us == guild)
    }

    /// Who fights whom.
    pub(super) fn pairs(&self) -> Vec<Pair> {
        self.wars.keys().copied().collect()
    }

    /// Rises with every start and end.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.wars.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_counts_once_and_never_falls() {
        let war = |first_kills, second_kills| WarRecord {
            first: GuildId(1),
            second: GuildId(2),
            first_kills,
            second_kills,
            started_at: 5,
        };
        let mut wars = Wars::default();
        wars.start(war(0, 0));
        assert!(wars.score(&war(1, 0)));
        assert!(!wars.score(&war(1, 0)), "the same again");
        assert!(wars.score(&war(0, 1)), "an answer that was overtaken");
        let ours = wars.of(GuildId(2)).next().unwrap();
        assert_eq!((ours.enemy, ours.our_kills, ours.their_kills), (GuildId(1), 1, 1));
        wars.end(pair(GuildId(2), GuildId(1)));
        assert!(!wars.score(&war(9, 9)) && wars.pairs().is_empty());
    }
}
