//! What each strategy promises, over lists that change.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::*;
use crate::master::balance::Strategy;

fn server(id: u64, connections: u32, capacity: u32) -> Candidate<'static> {
    Candidate { id: ServerId(id), connections, capacity, region: "", state: State::Alive }
}

fn first(balancer: &mut Balancer, list: &[Candidate<'_>]) -> u64 {
    balancer.order(list, "").first().expect("somebody takes newcomers").0
}

fn tally(balancer: &mut Balancer, list: &[Candidate<'_>], turns: usize) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..turns {
        *counts.entry(first(balancer, list)).or_default() += 1;
    }
    counts
}

const STRATEGIES: [Strategy; 5] = [
    Strategy::RoundRobin,
    Strategy::LeastConnections,
    Strategy::WeightedRoundRobin,
    Strategy::Random,
    Strategy::Geographic,
];

fn any_strategy() -> impl Generator<Value = Strategy> {
    prop::sample::select(STRATEGIES.to_vec())
}

fn any_state() -> impl Generator<Value = State> {
    prop::sample::select(vec![State::Alive, State::Suspect, State::Draining, State::Dead])
}

prop_compose! {
    fn any_candidate()(
        id in 1u64..12, connections in 0u32..20, capacity in 0u32..20, state in any_state(),
        region in prop::sample::select(vec!["", "eu", "us"]),
    ) -> Candidate<'static> {
        Candidate { id: ServerId(id), connections, capacity, region, state }
    }
}

/// A list as the registry makes it: by id, each once.
fn any_list() -> impl Generator<Value = Vec<Candidate<'static>>> {
    prop::collection::vec(any_candidate(), 0..10).prop_map(|mut list| {
        list.sort_by_key(|candidate| candidate.id);
        list.dedup_by_key(|candidate| candidate.id);
        list
    })
}

proptest! {
    /// Whatever came before: exactly the living with room, each once.
    #[test]
    fn no_strategy_ever_names_a_suspect_dead_full_or_draining_server(
        strategy in any_strategy(), seed: u64, lists in prop::collection::vec(any_list(), 1..12),
    ) {
        let mut balancer = Balancer::new(strategy, seed);
        for list in lists {
            let order = balancer.order(&list, "eu");
            let mut named = order.clone();
            named.sort_unstable();
            let fit: Vec<ServerId> = list.iter()
                .filter(|c| c.state == State::Alive)
                .filter(|c| c.connections < c.capacity)
                .map(|c| c.id)
                .collect();
            prop_assert_eq!(named, fit);
            prop_assert!(balancer.chosen.len() <= list.len());
            prop_assert!(balancer.credit.len() <= list.len());
        }
    }

    #[test]
    fn round_robin_visits_all_evenly(count in 1u64..20, rounds in 1usize..10) {
        let list: Vec<_> = (1..=count).map(|id| server(id, 0, 10)).collect();
        let mut balancer = Balancer::new(Strategy::RoundRobin, 0);
        for _ in 0..rounds {
            let visited = tally(&mut balancer, &list, count as usize);
            prop_assert!(visited.len() == count as usize, "each round visits everybody");
        }
    }

    /// Servers come and go; who stays all the time is never visited more than once apart from
    /// another who stays all the time.
    #[test]
    fn round_robin_stays_even_while_others_come_and_go(
        guests in prop::collection::vec(prop::collection::btree_set(10u64..16, 0..4), 1..60),
    ) {
        let mut balancer = Balancer::new(Strategy::RoundRobin, 0);
        let mut counts = BTreeMap::from([(1, 0i64), (2, 0), (3, 0)]);
        for present in guests {
            let ids = [1, 2, 3].into_iter().chain(present);
            let list: Vec<_> = ids.map(|id| server(id, 0, 10)).collect();
            if let Some(count) = counts.get_mut(&first(&mut balancer, &list)) {
                *count += 1;
            }
            let most = counts.values().max().unwrap();
            let fewest = counts.values().min().unwrap();
            prop_assert!(most - fewest <= 1, "{:?}", counts);
        }
    }

    #[test]
    fn the_least_loaded_is_really_the_least(list in any_list()) {
        let mut balancer = Balancer::new(Strategy::LeastConnections, 0);
        let order = balancer.order(&list, "");
        let load = |id: &ServerId| {
            let found = list.iter().find(|c| c.id == *id).unwrap();
            (found.state, f64::from(found.connections) / f64::from(found.capacity))
        };
        for pair in order.windows(2) {
            prop_assert!(load(&pair[0]).partial_cmp(&load(&pair[1])) != Some(Ordering::Greater));
        }
    }

    /// After `sum of weights` turns each was chosen exactly as often as it has free places.
    #[test]
    fn weighted_round_robin_is_exact_over_a_cycle(
        free in prop::collection::vec(1u32..9, 1..8),
    ) {
        let list: Vec<_> = free.iter().zip(1..).map(|(free, id)| server(id, 3, 3 + free)).collect();
        let mut balancer = Balancer::new(Strategy::WeightedRoundRobin, 0);
        let cycle: u32 = free.iter().sum();
        for _ in 0..3 {
            let counts = tally(&mut balancer, &list, cycle as usize);
            for (free, id) in free.iter().zip(1u64..) {
                prop_assert_eq!(counts.get(&id).copied(), Some(*free as usize));
            }
        }
    }

    #[test]
    fn geographic_names_its_own_region_first_then_the_least_loaded(list in any_list()) {
        let mut balancer = Balancer::new(Strategy::Geographic, 0);
        let order = balancer.order(&list, "eu");
        let rank = |id: &ServerId| {
            let found = list.iter().find(|c| c.id == *id).unwrap();
            let load = f64::from(found.connections) / f64::from(found.capacity);
            (found.state, found.region != "eu", load)
        };
        for pair in order.windows(2) {
            prop_assert!(rank(&pair[0]).partial_cmp(&rank(&pair[1])) != Some(Ordering::Greater));
        }
    }

    #[test]
    fn random_is_even_in_the_long_run(seed: u64, count in 2u64..8) {
        let list: Vec<_> = (1..=count).map(|id| server(id, 0, 10)).collect();
        let mut balancer = Balancer::new(Strategy::Random, seed);
        let turns = 400 * count as usize;
        let counts = tally(&mut balancer, &list, turns);
        for id in 1..=count {
            // 400 expected, standard deviation below 20: 140 off is seven of them.
            let seen = counts.get(&id).copied().unwrap_or(0);
            prop_assert!((260..=540).contains(&seen), "{} of {}", seen, turns);
        }
    }
}

#[test]
fn nobody_there_is_nobody_chosen() {
    for strategy in STRATEGIES {
        let mut balancer = Balancer::new(strategy, 1);
        assert_eq!(balancer.order(&[], "eu"), []);
        assert_eq!(balancer.order(&[server(1, 5, 5)], "eu"), []);
        assert_eq!(balancer.order(&[server(1, 4, 5)], "eu"), [ServerId(1)], "and then somebody");
    }
}

#[test]
fn ties_are_broken_fairly() {
    for strategy in [Strategy::LeastConnections, Strategy::Geographic] {
        let list = [server(1, 2, 10), server(2, 2, 10), server(3, 4, 20), server(4, 9, 10)];
        let counts = tally(&mut Balancer::new(strategy, 1), &list, 30);
        assert_eq!(counts, BTreeMap::from([(1, 10), (2, 10), (3, 10)]), "{strategy:?}");
    }
}

#[test]
fn weighted_round_robin_interleaves() {
    let list = [server(1, 0, 5), server(2, 0, 1), server(3, 0, 1)];
    let mut balancer = Balancer::new(Strategy::WeightedRoundRobin, 0);
    let chosen: Vec<u64> = (0..7).map(|_| first(&mut balancer, &list)).collect();
    assert_eq!(chosen, [1, 1, 2, 1, 3, 1, 1]);
}

#[test]
fn weighted_round_robin_does_not_make_up_for_an_absence() {
    let mut balancer = Balancer::new(Strategy::WeightedRoundRobin, 0);
    let (a, b) = (server(1, 0, 5), server(2, 0, 5));
    for _ in 0..50 {
        assert_eq!(first(&mut balancer, &[a, server(2, 5, 5)]), 1);
    }
    assert_eq!(tally(&mut balancer, &[a, b], 10), BTreeMap::from([(1, 5), (2, 5)]));
}

#[test]
fn least_connections_follows_the_load_as_it_changes() {
    let mut balancer = Balancer::new(Strategy::LeastConnections, 0);
    let mut connections = [0u32, 7, 3];
    for _ in 0..50 {
        let list: Vec<_> =
            connections.iter().zip(1..).map(|(now, id)| server(id, *now, 100)).collect();
        connections[first(&mut balancer, &list) as usize - 1] += 1;
    }
    assert_eq!(connections, [20, 20, 20]);
}
