//! A small cluster that does what the plan says, with servers that die, drain and come.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn host(server: u64, zones: &[(u16, u32)]) -> Host {
    let zones = zones.iter().map(|(zone, players)| run(*zone, *players, 1)).collect();
    Host { server: ServerId(server), capacity: 1_000, takes: true, draining: false, zones }
}

fn run(zone: u16, players: u32, origin: u64) -> ZoneStatus {
    ZoneStatus { zone: ZoneId(zone), players, origin }
}

fn drains(host: Host) -> Host {
    Host { takes: false, draining: true, ..host }
}

fn placed(zone: u16, on: u64) -> Step {
    Step::Place { zone: ZoneId(zone), on: ServerId(on) }
}

fn moved(zone: u16, from: u64, to: u64) -> Step {
    Step::Move { zone: ZoneId(zone), from: ServerId(from), to: ServerId(to) }
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
    assert_eq!(
        placement.plan(&[drains(host(1, &zones))], start + SECOND * 100),
        [],
        "there is nowhere to go"
    );
}

#[test]
fn zones_of_a_dead_server_go_where_there_is_room_the_fullest_first() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let (a, b) = (host(1, &[(1, 5), (2, 100), (3, 80)]), host(2, &[(4, 40)]));
    let c = host(3, &[(5, 50)]);
    assert_eq!(placement.plan(&[a, b.clone(), c.clone()], start), []);
    let steps = placement.plan(&[b.clone(), c.clone()], start + SECOND);
    assert_eq!(steps, [placed(2, 2), placed(3, 3), placed(1, 3)]);
    assert_eq!(placement.plan(&[b, c], start + SECOND), [], "nothing is ordered twice");
}

#[test]
fn an_order_that_is_not_carried_out_is_told_again_and_then_planned_anew() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    placement.plan(&[host(1, &[(1, 0)]), host(2, &[]), host(3, &[(2, 50)])], start);
    let rest = [host(2, &[]), host(3, &[(2, 50)])];
    for second in 1..=6 {
        let steps = placement.plan(&rest, start + SECOND * second);
        assert_eq!(steps, [placed(1, 2)], "the lease may still be the dead server's");
    }
    let steps = placement.plan(&rest[1..], start + SECOND * 7);
    assert_eq!(steps, [placed(1, 3)], "two has died");
    assert_eq!(placement.plan(&[], start + SECOND * 8), []);
    assert_eq!(place(&placement, 1), Some(Place::Homeless));
}

#[test]
fn the_zones_of_the_configuration_are_placed_though_nobody_ever_ran_them() {
    let start = crate::tick::now();
    let mut placement = Placement::new([1, 2, 3].map(ZoneId));
    placement.hear(&[host(1, &[(2, 5)])], start);
    assert_eq!(place(&placement, 1), Some(Place::Homeless), "hearing orders nothing");
    let steps = placement.plan(&[host(1, &[(2, 5)]), host(2, &[])], start);
    assert_eq!(steps, [placed(1, 2), placed(3, 2)]);
}

#[test]
fn a_draining_server_is_emptied_by_moves() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let draining = drains(host(1, &[(1, 10), (2, 20)]));
    let steps = placement.plan(&[draining.clone(), host(2, &[])], start);
    assert_eq!(steps, [moved(1, 1, 2), moved(2, 1, 2)]);
    let half = [drains(host(1, &[(2, 20)])), host(2, &[(1, 10)])];
    assert_eq!(placement.plan(&half, start + SECOND), []);
    assert_eq!(place(&placement, 1), Some(Place::Running { server: ServerId(2) }));
}

#[test]
fn a_silent_server_keeps_its_zones_until_it_is_dead() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let suspect = Host { takes: false, ..host(1, &[(1, 10)]) };
    assert_eq!(placement.plan(&[suspect, host(2, &[])], start), []);
}

#[test]
fn of_two_that_report_a_zone_the_higher_origin_counts() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let old = Host { zones: vec![run(1, 10, 5)], ..host(1, &[]) };
    let new = Host { zones: vec![run(1, 4, 6)], ..host(2, &[]) };
    placement.plan(std::slice::from_ref(&old), start);
    assert_eq!(placement.plan(&[old.clone(), new.clone()], start), [], "nobody is told to stop");
    let (_, home) = placement.homes().next().unwrap();
    assert_eq!((home.place, home.players), (Place::Running { server: ServerId(2) }, 4));
    assert_eq!(placement.plan(&[old], start + SECOND), [], "a report that goes is not the zone's");
}

#[test]
fn a_zone_that_leaves_a_living_server_has_time_to_arrive() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    placement.plan(&[host(1, &[(1, 10)]), host(2, &[])], start);
    let nobody = [host(1, &[]), host(2, &[])];
    assert_eq!(placement.plan(&nobody, start + SECOND), []);
    assert_eq!(placement.plan(&nobody, start + SECOND * 2), []);
    let arrived = [host(1, &[]), host(2, &[(1, 10)])];
    assert_eq!(placement.plan(&arrived, start + SECOND * 2), []);
    assert_eq!(placement.plan(&nobody, start + SECOND * 3), []);
    assert_eq!(placement.plan(&nobody, start + SECOND * 5), [placed(1, 1)], "it was lost");
}

#[test]
fn a_zone_whose_server_dies_on_the_way_is_placed_at_once() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let hosts = [drains(host(1, &[(1, 10)])), host(2, &[])];
    assert_eq!(placement.plan(&hosts, start), [moved(1, 1, 2)]);
    assert_eq!(placement.plan(&hosts[1..], start + SECOND), [placed(1, 2)]);
}

#[test]
fn operators_put_zones_where_they_like_and_there_they_stay() {
    let start = crate::tick::now();
    let mut placement = Placement::new([ZoneId(1)]);
    let hosts = [host(1, &[(1, 0), (2, 0)]), host(2, &[])];
    let mut wish = |zone, to, hosts: &[Host]| {
        placement.hear(hosts, start);
        placement.move_to(ZoneId(zone), ServerId(to), hosts, start)
    };
    assert_eq!(wish(9, 2, &hosts), Err(MoveError::NoSuchZone));
    assert_eq!(wish(1, 3, &hosts), Err(MoveError::TakesNone));
    assert_eq!(wish(1, 1, &hosts), Ok(None), "there it is");
    assert_eq!(wish(2, 1, &hosts), Ok(None));
    let drained = [hosts[0].clone(), drains(hosts[1].clone())];
    assert_eq!(wish(1, 2, &drained), Err(MoveError::TakesNone));
    assert_eq!(placement.plan(&hosts, start), [], "both were chosen for server 1");
    let mut wish = |zone, to| placement.move_to(ZoneId(zone), ServerId(to), &hosts, start);
    assert_eq!(wish(2, 2), Ok(Some(moved(2, 1, 2))));
    assert_eq!(wish(2, 2), Ok(None), "it is on its way");
    assert_eq!(wish(2, 1), Err(MoveError::UnderWay));
}

#[test]
fn empty_zones_are_spread_over_servers_that_come() {
    let mut now = crate::tick::now();
    let mut placement = Placement::default();
    let mut machines = vec![Machine::new(&(1..=6).map(|zone| (zone, 0)).collect::<Vec<_>>())];
    placement.plan(&hosts(&machines), now);
    machines.extend([Machine::new(&[]), Machine::new(&[])]);
    for _ in 0..10 {
        now += SECOND;
        for step in placement.plan(&hosts(&machines), now) {
            carry_out(&mut machines, step, 0);
        }
    }
    let counts: Vec<usize> = machines.iter().map(|machine| machine.zones.len()).collect();
    assert_eq!(counts, [2, 2, 2]);
    assert_eq!(placement.plan(&hosts(&machines), now + SECOND), [], "and there they stay");
}

#[test]
fn a_new_server_takes_load_off_the_fullest_one_move_at_a_time() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let full = host(1, &[(1, 400), (2, 300), (3, 100)]);
    let steps = placement.plan(&[full.clone(), host(2, &[])], start);
    assert_eq!(steps, [moved(1, 1, 2)], "the zone that evens it out best");
    let even = [host(1, &[(2, 300), (3, 100)]), host(2, &[(1, 400)])];
    for second in 1..100 {
        assert_eq!(placement.plan(&even, start + SECOND * second), [], "and back it never goes");
    }
}

#[test]
fn a_zone_that_does_not_go_is_left_alone_for_a_while() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let hosts = [host(1, &[(1, 0), (2, 0)]), host(2, &[])];
    let moves: Vec<(u32, Step)> = (0..50)
        .flat_map(|second| {
            let steps = placement.plan(&hosts, start + SECOND * second);
            steps.into_iter().map(move |step| (second, step))
        })
        .collect();
    let wanted = [(0, 1), (5, 2), (35, 1), (40, 2)];
    assert_eq!(moves, wanted.map(|(second, zone)| (second, moved(zone, 1, 2))));
}

#[test]
fn a_zone_that_has_come_from_another_server_is_left_alone_for_a_while() {
    let start = crate::tick::now();
    let mut placement = Placement::default();
    let before = [host(1, &[(1, 0)]), host(2, &[(2, 60)])];
    assert_eq!(placement.plan(&before, start), []);
    let moves: Vec<(u32, Step)> = (1..50)
        .flat_map(|second| {
            // Its server dies at once and wakes up empty; the other one is too full with both.
            let other = host(2, &[(1, 0), (2, 60)]);
            let hosts = if second < 5 { vec![other] } else { vec![host(1, &[]), other] };
            let steps = placement.plan(&hosts, start + SECOND * second);
            steps.into_iter().map(move |step| (second, step))
        })
        .collect();
    assert_eq!(moves.first(), Some(&(31, moved(1, 2, 1))), "30 s after it came");
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
    zones: Vec<ZoneStatus>,
}

impl Machine {
    fn new(zones: &[(u16, u32)]) -> Self {
        let zones = zones.iter().map(|(zone, players)| run(*zone, *players, 1)).collect();
        Self { up: true, draining: false, zones }
    }
}

fn hosts(machines: &[Machine]) -> Vec<Host> {
    let up = machines.iter().zip(1..).filter(|(machine, _)| machine.up);
    up.map(|(machine, id)| Host {
        server: ServerId(id),
        capacity: 500,
        takes: !machine.draining,
        draining: machine.draining,
        zones: machine.zones.clone(),
    })
    .collect()
}

fn carry_out(machines: &mut [Machine], step: Step, players: u32) {
    let (zone, from, to) = match step {
        Step::Place { zone, on } => (zone, None, Some(on)),
        Step::Move { zone, from, to } => (zone, Some(from), Some(to)),
    };
    if let Some(from) = from {
        machines[from.0 as usize - 1].zones.retain(|known| known.zone != zone);
    }
    if let Some(to) = to {
        let machine = &mut machines[to.0 as usize - 1];
        if machine.up {
            machine.zones.retain(|known| known.zone != zone);
            machine.zones.push(run(zone.0, players, 1));
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
        machines[0].zones = (1..).zip(&players).map(|(id, n)| run(id, *n, 1)).collect();
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
                let (Step::Place { zone, on: to } | Step::Move { zone, to, .. }) = step;
                let takes = reported.iter().any(|host| host.server == to && host.takes);
                prop_assert!(takes, "{step:?}");
                carry_out(&mut machines, step, of(zone));
            }
        }
        let living = hosts(&machines);
        let somebody_takes = living.iter().any(|host| host.takes);
        for (zone, home) in placement.homes() {
            let runs: Vec<&Host> = living.iter()
                .filter(|host| host.zones.iter().any(|known| known.zone == zone))
                .collect();
            if somebody_takes {
                prop_assert_eq!(runs.len(), 1, "zone {}", zone);
                prop_assert!(runs[0].takes);
                prop_assert_eq!(home.place, Place::Running { server: runs[0].server });
            } else {
                prop_assert!(runs.len() <= 1);
            }
        }
        now += SECOND * 30;
        prop_assert_eq!(placement.plan(&living, now), []);
    }
}
