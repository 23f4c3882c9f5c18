//! A small cluster that does what the plan says, with servers that die, drain and come.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn host(server: u64, zones: &[(u16, u32)]) -> Host {
    let zones = zones.iter().map(|(zone, players)| (ZoneId(*zone), *players)).collect();
    Host { server: ServerId(server), capacity: 1_000, takes: true, zones }
}

fn place(placement: &Placement, zone: u16) -> Option<Place> {
    placement.homes().find(|(id, _)| *id == ZoneId(zone)).map(|(_, home)| home.place)
}

#[test]
fn a_single_server_is_left_alone() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let zones = [(1, 900), (2, 0), (3, 10), (4, 1)];
    for second in 0..100 {
        assert_eq!(placement.plan(&[host(1, &zones)], start + SECOND * second), []);
    }
    assert_eq!(placement.homes().count(), 4);
    assert_eq!(place(&placement, 1), Some(Place::Running { server: ServerId(1) }));
    let draining = Host { takes: false, ..host(1, &zones) };
    assert_eq!(placement.plan(&[draining], start + SECOND * 100), [], "there is nowhere to go");
}

#[test]
fn zones_of_a_dead_server_go_where_there_is_room_the_fullest_first() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let (a, b) = (host(1, &[(1, 5), (2, 100), (3, 80)]), host(2, &[(4, 40)]));
    let c = host(3, &[(5, 50)]);
    assert_eq!(placement.plan(&[a, b.clone(), c.clone()], start), []);
    let steps = placement.plan(&[b.clone(), c.clone()], start + SECOND);
    let placed = |zone, on| Step::Place { zone: ZoneId(zone), on: ServerId(on) };
    assert_eq!(steps, [placed(2, 2), placed(3, 3), placed(1, 3)]);
    assert_eq!(placement.plan(&[b, c], start + SECOND * 2), [], "nothing is ordered twice");
}

#[test]
fn an_order_that_is_not_carried_out_is_given_to_another() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    placement.plan(&[host(1, &[(1, 0)]), host(2, &[]), host(3, &[(2, 50)])], start);
    let rest = [host(2, &[]), host(3, &[(2, 50)])];
    let on_two = [Step::Place { zone: ZoneId(1), on: ServerId(2) }];
    assert_eq!(placement.plan(&rest, start + SECOND), on_two);
    assert_eq!(placement.plan(&rest, start + SECOND * 5), []);
    assert_eq!(placement.plan(&rest, start + SECOND * 6), on_two, "still the roomiest");
    let on_three = [Step::Place { zone: ZoneId(1), on: ServerId(3) }];
    assert_eq!(placement.plan(&rest[1..], start + SECOND * 7), on_three, "two has died");
    assert_eq!(placement.plan(&[], start + SECOND * 8), []);
    assert_eq!(place(&placement, 1), Some(Place::Homeless));
}

#[test]
fn a_draining_server_is_emptied_by_moves() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let draining = Host { takes: false, ..host(1, &[(1, 10), (2, 20)]) };
    let steps = placement.plan(&[draining.clone(), host(2, &[])], start);
    let moved = |zone| Step::Move { zone: ZoneId(zone), from: ServerId(1), to: ServerId(2) };
    assert_eq!(steps, [moved(1), moved(2)]);
    let half = [Host { zones: vec![(ZoneId(2), 20)], ..draining }, host(2, &[(1, 10)])];
    assert_eq!(placement.plan(&half, start + SECOND), []);
    assert_eq!(place(&placement, 1), Some(Place::Running { server: ServerId(2) }));
}

#[test]
fn a_zone_that_runs_twice_is_ended_where_it_does_not_belong() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    placement.plan(&[host(1, &[(1, 10)]), host(2, &[])], start);
    let steps = placement.plan(&[host(1, &[(1, 10)]), host(2, &[(1, 4)])], start + SECOND);
    assert_eq!(steps, [Step::Drop { zone: ZoneId(1), on: ServerId(2) }]);
}

#[test]
fn a_new_server_takes_load_off_the_fullest_one_move_at_a_time() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let full = host(1, &[(1, 400), (2, 300), (3, 100)]);
    let steps = placement.plan(&[full.clone(), host(2, &[])], start);
    let moves_one = Step::Move { zone: ZoneId(1), from: ServerId(1), to: ServerId(2) };
    assert_eq!(steps, [moves_one], "the zone that evens it out best");
    let even = [host(1, &[(2, 300), (3, 100)]), host(2, &[(1, 400)])];
    for second in 1..100 {
        assert_eq!(placement.plan(&even, start + SECOND * second), [], "and back it never goes");
    }
}

#[test]
fn one_crowded_zone_is_not_carried_to_and_fro() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    for second in 0..100 {
        let hosts = [host(1, &[(1, 900)]), host(2, &[])];
        assert_eq!(placement.plan(&hosts, start + SECOND * second), []);
    }
}

/// A server of the model cluster.
#[derive(Debug, Clone)]
struct Machine {
    up: bool,
    draining: bool,
    zones: Vec<(ZoneId, u32)>,
}

fn hosts(machines: &[Machine]) -> Vec<Host> {
    let up = machines.iter().zip(1..).filter(|(machine, _)| machine.up);
    up.map(|(machine, id)| Host {
        server: ServerId(id),
        capacity: 500,
        takes: !machine.draining,
        zones: machine.zones.clone(),
    })
    .collect()
}

fn carry_out(machines: &mut [Machine], step: Step, players: u32) {
    let (zone, from, to) = match step {
        Step::Place { zone, on } => (zone, None, Some(on)),
        Step::Move { zone, from, to } => (zone, Some(from), Some(to)),
        Step::Drop { zone, on } => (zone, Some(on), None),
    };
    if let Some(from) = from {
        machines[from.0 as usize - 1].zones.retain(|(known, _)| *known != zone);
    }
    if let Some(to) = to {
        let machine = &mut machines[to.0 as usize - 1];
        if machine.up {
            machine.zones.push((zone, players));
        }
    }
}

proptest! {
    /// Machines go up, down and drain at random while the plan is carried out. Whatever happens,
    /// no order goes to a machine that may not take it, and once it is quiet every zone runs
    /// exactly once, on a machine that is not draining if there is one, and the plan comes to rest.
    #[test]
    fn every_zone_ends_up_running_once(
        players in prop::collection::vec(0u32..300, 1..8),
        changes in prop::collection::vec((0usize..4, 0u8..4), 0..40),
    ) {
        let fresh = Machine { up: true, draining: false, zones: vec![] };
        let mut machines = vec![fresh.clone(); 4];
        let of = |zone: ZoneId| players[usize::from(zone.0) - 1];
        machines[0].zones = (1..).zip(&players).map(|(id, n)| (ZoneId(id), *n)).collect();
        let mut placement = Placement::default();
        let mut now = crate::tick::now();
        placement.plan(&hosts(&machines), now);
        let quiet = std::iter::repeat_n(None, 400);
        for change in changes.into_iter().map(Some).chain(quiet) {
            now += SECOND;
            match change {
                Some((machine, 0)) => machines[machine] = Machine { up: false, ..fresh.clone() },
                Some((machine, 1)) => machines[machine].up = true,
                Some((machine, 2)) => machines[machine].draining = true,
                Some((machine, _)) => machines[machine].draining = false,
                None => {}
            }
            let reported = hosts(&machines);
            for step in placement.plan(&reported, now) {
                if let Step::Place { zone, on: to } | Step::Move { zone, to, .. } = step {
                    let takes = reported.iter().any(|host| host.server == to && host.takes);
                    prop_assert!(takes, "{step:?}");
                    carry_out(&mut machines, step, of(zone));
                } else {
                    carry_out(&mut machines, step, 0);
                }
            }
        }
        let living = hosts(&machines);
        let somebody_takes = living.iter().any(|host| host.takes);
        for (zone, home) in placement.homes() {
            let runs: Vec<&Host> = living.iter()
                .filter(|host| host.zones.iter().any(|(known, _)| *known == zone))
                .collect();
            if somebody_takes {
                prop_assert_eq!(runs.len(), 1, "zone {}", zone);
                prop_assert!(runs[0].takes);
                prop_assert_eq!(home.place, Place::Running { server: runs[0].server });
            } else {
                prop_assert!(runs.len() <= 1);
            }
        }
        now += REBALANCE_EVERY;
        prop_assert_eq!(placement.plan(&living, now), []);
    }
}
