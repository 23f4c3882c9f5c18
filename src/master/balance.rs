//! Which server gets the next newcomer: five strategies over one list of candidates.
//!
//! The master asks once a second for each login role and for every query. Pure but for what a
//! strategy remembers between calls; a suspect, dead, full or draining server is never named.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use crate::ids::ServerId;
use crate::master::registry::State;

/// How newcomers are spread over the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Each in turn.
    RoundRobin,
    /// Whoever has the fewest clients for its capacity.
    #[default]
    LeastConnections,
    /// Each in turn, as often as it has free places (smooth weighted round robin).
    WeightedRoundRobin,
    /// By lot.
    Random,
    /// Those of the asker's region first, the least loaded of them before the others.
    Geographic,
}

/// A server as the strategies see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Which.
    pub id: ServerId,
    /// Clients now.
    pub connections: u32,
    /// Most clients.
    pub capacity: u32,
    /// Its region tag, may be empty.
    pub region: &'a str,
    /// How it is.
    pub state: State,
}

impl Candidate<'_> {
    fn free(&self) -> u32 {
        self.capacity.saturating_sub(self.connections)
    }

    /// Whether it is alive beyond doubt, has room and does not drain.
    pub fn takes_newcomers(&self) -> bool {
        self.state == State::Alive && self.free() > 0
    }

    /// Orders by `connections / capacity`, exactly.
    pub(super) fn compare_load(&self, other: &Self) -> Ordering {
        let this = u64::from(self.connections) * u64::from(other.capacity);
        let that = u64::from(other.connections) * u64::from(self.capacity);
        this.cmp(&that)
    }
}

/// A strategy and what it remembers.
#[derive(Debug)]
pub struct Balancer {
    strategy: Strategy,
    random: ChaCha8Rng,
    /// Choices made so far; the turn of the next one.
    turn: u64,
    /// By server: the turn in which it was chosen last.
    chosen: BTreeMap<ServerId, u64>,
    /// By server: what smooth weighted round robin owes it.
    credit: BTreeMap<ServerId, i64>,
}

impl Balancer {
    /// `seed` decides the lots of [`Strategy::Random`].
    pub fn new(strategy: Strategy, seed: u64) -> Self {
        Self {
            strategy,
            random: ChaCha8Rng::seed_from_u64(seed),
            turn: 0,
            chosen: BTreeMap::new(),
            credit: BTreeMap::new(),
        }
    }

    /// All servers that may get a newcomer, best first; the first counts as chosen. `region` is the
    /// asker's.
    pub fn order(&mut self, candidates: &[Candidate<'_>], region: &str) -> Vec<ServerId> {
        self.forget_all_but(candidates);
        let mut fit: Vec<Candidate<'_>> =
            candidates.iter().filter(|candidate| candidate.takes_newcomers()).copied().collect();
        match self.strategy {
            Strategy::RoundRobin => self.by_turn(&mut fit),
            Strategy::LeastConnections => {
                self.by_turn(&mut fit);
                fit.sort_by(Candidate::compare_load);
            }
            Strategy::WeightedRoundRobin => self.by_credit(&mut fit),
            Strategy::Random => fit.shuffle(&mut self.random),
            Strategy::Geographic => {
                self.by_turn(&mut fit);
                fit.sort_by(|a, b| {
                    let far = |candidate: &Candidate<'_>| candidate.region != region;
                    far(a).cmp(&far(b)).then_with(|| a.compare_load(b))
                });
            }
        }
        if let Some(first) = fit.first() {
            self.choose(first.id, &fit);
        }
        fit.iter().map(|candidate| candidate.id).collect()
    }

    /// Who was chosen longest ago comes first, before them those that never were, by id. This is
    /// round robin itself, and what makes ties fair in the others.
    fn by_turn(&self, fit: &mut [Candidate<'_>]) {
        fit.sort_by_key(|candidate| (self.chosen.get(&candidate.id).copied(), candidate.id));
    }

    /// Smooth weighted round robin: each turn everybody earns its free places, the richest is
    /// chosen and pays what all have earned (see [`Self::choose`]). So the chosen are interleaved,
    /// not bunched.
    fn by_credit(&mut self, fit: &mut [Candidate<'_>]) {
        for candidate in fit.iter() {
            *self.credit.entry(candidate.id).or_default() += i64::from(candidate.free());
        }
        fit.sort_by_key(|candidate| (Reverse(self.credit.get(&candidate.id)), candidate.id));
    }

    fn choose(&mut self, id: ServerId, fit: &[Candidate<'_>]) {
        self.turn += 1;
        self.chosen.insert(id, self.turn);
        if self.strategy == Strategy::WeightedRoundRobin {
            let earned: i64 = fit.iter().map(|candidate| i64::from(candidate.free())).sum();
            *self.credit.entry(id).or_default() -= earned;
        }
    }

    /// Keeps the memory as small as the list. Who does not take part in a turn loses its credit:
    /// else it would come back with a claim to all the turns it could not take.
    fn forget_all_but(&mut self, candidates: &[Candidate<'_>]) {
        let known: std::collections::BTreeSet<ServerId> =
            candidates.iter().map(|candidate| candidate.id).collect();
        let fit: std::collections::BTreeSet<ServerId> = candidates
            .iter()
            .filter(|candidate| candidate.takes_newcomers())
            .map(|candidate| candidate.id)
            .collect();
        self.chosen.retain(|id, _| known.contains(id));
        self.credit.retain(|id, _| fit.contains(id));
    }
}

#[cfg(test)]
mod tests;
