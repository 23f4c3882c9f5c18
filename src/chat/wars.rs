//! The wars between guilds: who fights whom with what score, who is about to, and who may not for a
//! while. The store has the truth; this is its copy in memory. Times of the store are of the wall
//! clock; here they become moments of the monotonic one, which nobody can set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::GuildId;
use crate::limits::{GUILD_WARS_AGAINST_MAX, GUILD_WARS_MAX};
use crate::store::record::{DeclarationRecord, TruceRecord, WarRecord};

/// Two guilds, the smaller id first.
pub(super) type Pair = (GuildId, GuildId);

/// Both in the order in which pairs are kept.
pub(super) fn pair(one: GuildId, other: GuildId) -> Pair {
    (one.min(other), one.max(other))
}

/// What the configuration says of wars.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarTerms {
    /// From a declaration to the war.
    pub notice: Duration,
    /// From a war's end, or a declaration's, to the next declaration between the same two.
    pub truce: Duration,
    /// From a kill that has counted to the next of the same victim for the same guild.
    pub victim: Duration,
    /// Members that a guild needs to declare a war.
    pub members_min: usize,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    pub now: Instant,
    /// Unix ms.
    pub unix: u64,
}

impl Clocks {
    /// The moment at a time of the wall clock; now, if that is over.
    fn at(self, unix: u64) -> Instant {
        self.now + Duration::from_millis(unix.saturating_sub(self.unix))
    }
}

/// A war that is declared and not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    pub attacker: GuildId,
    pub defender: GuildId,
    /// Unix ms.
    pub begins_at: u64,
    /// The same moment.
    pub due: Instant,
}

/// All wars that are fought or declared, and the truces.
#[derive(Debug, Default)]
pub(super) struct Wars {
    wars: BTreeMap<Pair, WarRecord>,
    declared: BTreeMap<Pair, Declared>,
    /// Until when each holds.
    truces: BTreeMap<Pair, Instant>,
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
    /// Whether `us` has declared it.
    pub by_us: bool,
}

/// A war from both sides.
pub(super) fn sides(war: &WarRecord) -> [Side; 2] {
    let WarRecord { first, second, attacker, first_kills, second_kills, started_at } = *war;
    let side = |us, enemy, our_kills, their_kills| {
        let by_us = us == attacker;
        Side { us, enemy, our_kills, their_kills, started_at, by_us }
    };
    [side(first, second, first_kills, second_kills), side(second, first, second_kills, first_kills)]
}

impl Wars {
    /// These and no others.
    pub(super) fn replace(
        &mut self,
        wars: Vec<WarRecord>,
        declared: Vec<DeclarationRecord>,
        truces: Vec<TruceRecord>,
        clocks: Clocks,
    ) {
        self.wars = wars.into_iter().map(|war| (pair(war.first, war.second), war)).collect();
        self.declared.clear();
        declared.iter().for_each(|declaration| self.declare(declaration, clocks));
        let truces = truces.iter();
        let truces = truces.map(|truce| (pair(truce.first, truce.second), clocks.at(truce.until)));
        self.truces = truces.collect();
        self.version += 1;
    }

    pub(super) fn declare(&mut self, declaration: &DeclarationRecord, clocks: Clocks) {
        let DeclarationRecord { attacker, defender, declared_at: _, begins_at } = *declaration;
        let declared = Declared { attacker, defender, begins_at, due: clocks.at(begins_at) };
        self.declared.insert(pair(attacker, defender), declared);
    }

    pub(super) fn start(&mut self, war: WarRecord) {
        let of = pair(war.first, war.second);
        self.declared.remove(&of);
        self.wars.insert(of, war);
        self.version += 1;
    }

    /// Takes a score over. False: nothing has grown by it (it was counted before, or does not
    /// count), or the war is over.
    pub(super) fn score(&mut self, war: &WarRecord) -> bool {
        let Some(known) = self.wars.get_mut(&pair(war.first, war.second)) else { return false };
        let before = (known.first_kills, known.second_kills);
        known.first_kills = known.first_kills.max(war.first_kills);
        known.second_kills = known.second_kills.max(war.second_kills);
        (known.first_kills, known.second_kills) != before
    }

    /// Ends a war, or what was declared; a truce holds until then, if there is one.
    pub(super) fn end(&mut self, of: Pair, truce: Option<Instant>) {
        self.declared.remove(&of);
        self.wars.remove(&of);
        if let Some(until) = truce {
            self.truces.insert(of, until);
        }
        self.version += 1;
    }

    /// Forgets the truces that are over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.truces.retain(|_, until| *until > now);
    }

    pub(super) fn get(&self, of: Pair) -> Option<&WarRecord> {
        self.wars.get(&of)
    }

    pub(super) fn declared(&self, of: Pair) -> Option<Declared> {
        self.declared.get(&of).copied()
    }

    /// How long two guilds have a truce yet.
    pub(super) fn truce(&self, of: Pair, now: Instant) -> Option<Duration> {
        self.truces
            .get(&of)
            .map(|until| until.saturating_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// The wars of one guild, as it sees them.
    pub(super) fn of(&self, guild: GuildId) -> impl Iterator<Item = Side> + '_ {
        self.wars.values().flat_map(sides).filter(move |side| side.us == guild)
    }

    /// The wars that are declared by one guild or on it.
    pub(super) fn declared_of(&self, guild: GuildId) -> impl Iterator<Item = Declared> + '_ {
        let all = self.declared.values().copied();
        all.filter(move |it| it.attacker == guild || it.defender == guild)
    }

    /// Every declaration whose notice is over.
    pub(super) fn due(&self, now: Instant) -> Vec<Declared> {
        self.declared.values().copied().filter(|declared| declared.due <= now).collect()
    }

    /// Every declaration.
    pub(super) fn all_declared(&self) -> impl Iterator<Item = Declared> + '_ {
        self.declared.values().copied()
    }

    /// Whether `attacker` may have one more war of its own, and `defender` one more against it.
    /// Only the attacker's count: what others declare takes nothing from a guild.
    pub(super) fn have_room(&self, attacker: GuildId, defender: GuildId) -> bool {
        let attackers = || {
            let fought = self.wars.values().map(|war| (war.attacker, pair(war.first, war.second)));
            fought.chain(self.declared.iter().map(|(of, declared)| (declared.attacker, *of)))
        };
        let own = attackers().filter(|(by, _)| *by == attacker).count();
        let against = attackers()
            .filter(|(by, (one, other))| {
                *by != defender && (*one == defender || *other == defender)
            })
            .count();
        own < GUILD_WARS_MAX && against < GUILD_WARS_AGAINST_MAX
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
    use crate::tick;

    fn war(first_kills: u32, second_kills: u32) -> WarRecord {
        let (first, second) = (GuildId(1), GuildId(2));
        WarRecord { first, second, attacker: second, first_kills, second_kills, started_at: 5 }
    }

    #[test]
    fn a_score_counts_once_and_never_falls() {
        let mut wars = Wars::default();
        wars.start(war(0, 0));
        assert!(wars.score(&war(1, 0)));
        assert!(!wars.score(&war(1, 0)), "the same again");
        assert!(wars.score(&war(0, 1)), "an answer that was overtaken");
        let ours = wars.of(GuildId(2)).next().unwrap();
        assert_eq!((ours.enemy, ours.our_kills, ours.their_kills), (GuildId(1), 1, 1));
        wars.end(pair(GuildId(2), GuildId(1)), None);
        assert!(!wars.score(&war(9, 9)) && wars.pairs().is_empty());
    }

    #[test]
    fn a_truce_and_a_notice_last_as_long_as_the_store_says() {
        let clocks = Clocks { now: tick::now(), unix: 1_000 };
        let later = |millis| clocks.now + Duration::from_millis(millis);
        let (attacker, defender) = (GuildId(2), GuildId(1));
        let declared = DeclarationRecord { attacker, defender, declared_at: 0, begins_at: 3_000 };
        let truce = TruceRecord { first: GuildId(1), second: GuildId(3), until: 5_000 };
        let over = TruceRecord { first: GuildId(1), second: GuildId(4), until: 900 };
        let mut wars = Wars::default();
        wars.replace(vec![], vec![declared], vec![truce, over], clocks);
        assert!(wars.due(later(1_999)).is_empty());
        assert_eq!(wars.due(later(2_000)).len(), 1);
        let left = |other, millis| wars.truce(pair(GuildId(1), other), later(millis));
        assert_eq!(left(GuildId(3), 3_000), Some(Duration::from_secs(1)));
        assert_eq!((left(GuildId(3), 4_000), left(GuildId(4), 0)), (None, None));
    }

    #[test]
    fn wars_count_against_their_attackers_alone() {
        let clocks = Clocks { now: tick::now(), unix: 0 };
        let mut wars = Wars::default();
        let victim = GuildId(1);
        let mut declare = |attacker, defender| {
            let record = DeclarationRecord { attacker, defender, declared_at: 0, begins_at: 9 };
            wars.declare(&record, clocks);
        };
        (2..2 + GUILD_WARS_AGAINST_MAX as u64).for_each(|by| declare(GuildId(by), victim));
        (100..100 + GUILD_WARS_MAX as u64).for_each(|on| declare(GuildId(99), GuildId(on)));
        assert!(wars.have_room(victim, GuildId(100)), "others' declarations take nothing from it");
        assert!(!wars.have_room(GuildId(100), victim), "so many are enough");
        assert!(!wars.have_room(GuildId(99), GuildId(200)), "its own eight");
        assert!(wars.have_room(GuildId(200), GuildId(99)));
    }
}
