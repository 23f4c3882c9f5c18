//! Scenarios of servers that come, are silent, come again and are too many.

use super::*;
use crate::msg::master::ZoneStatus;
use crate::role::Role;

const PATIENCE: Patience = Patience {
    suspect: Duration::from_secs(3),
    dead: Duration::from_secs(6),
    http_dead: Duration::from_secs(30),
};

fn after(start: Instant, millis: u64) -> Instant {
    start + Duration::from_millis(millis)
}

fn registration(port: u16) -> Registration {
    Registration {
        kind: Kind::Zone,
        host: "10.0.0.7".into(),
        port,
        capacity: 200,
        region: String::new(),
    }
}

pub(in crate::master) fn status(server: u64, players: u32) -> ServerStatus {
    ServerStatus {
        server: ServerId(server),
        name: format!("server-{server}"),
        roles: vec![Role::Gateway, Role::Zone],
        version: "0.1.0".into(),
        region: String::new(),
        host: "10.0.0.1".into(),
        port: 8081,
        text_port: 8082,
        players,
        capacity: 1_000,
        cpu_percent: 10.0,
        memory: 1 << 20,
        zones: vec![],
        draining: false,
        link_host: "10.1.0.1".into(),
        link_port: 8091,
        started_at: 1,
        links: 0,
    }
}

fn state(registry: &Registry, id: u64, now: Instant) -> Option<State> {
    registry.servers(now).find(|(server, _)| server.id == ServerId(id)).map(|(_, state)| state)
}

#[test]
fn kinds_are_numbers_or_names() {
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        assert_eq!(Kind::from_number(number as u64), Some(kind));
        assert_eq!(kind.as_str().to_uppercase().parse(), Ok(kind));
    }
    assert_eq!(Kind::from_number(6), Some(Kind::Gateway));
    assert_eq!(Kind::from_number(7), None);
    assert_eq!(Kind::from_number(u64::MAX), None);
    assert!("queen".parse::<Kind>().is_err());
}

#[test]
fn a_silent_linked_server_becomes_suspect_then_dead_once_then_forgotten() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    assert_eq!(registry.on_status(status(1, 0), start), Ok(Heard::Came));
    assert_eq!(registry.on_status(status(1, 5), after(start, 1_000)), Ok(Heard::Same));
    assert_eq!(state(&registry, 1, after(start, 3_999)), Some(State::Alive));
    assert_eq!(state(&registry, 1, after(start, 4_000)), Some(State::Suspect));
    assert_eq!(registry.sweep(after(start, 3_999)), []);
    assert_eq!(registry.sweep(after(start, 4_000)), [(ServerId(1), State::Suspect)]);
    assert_eq!(registry.sweep(after(start, 6_999)), []);
    assert_eq!(registry.sweep(after(start, 7_000)), [(ServerId(1), State::Dead)]);
    assert_eq!(registry.sweep(after(start, 8_000)), [], "a death is told once");
    assert_eq!(state(&registry, 1, after(start, 8_000)), Some(State::Dead));
    registry.sweep(after(start, 61_000));
    assert_eq!(state(&registry, 1, after(start, 61_000)), None);
}

#[test]
fn a_dead_linked_server_that_speaks_again_is_new_again() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(status(1, 0), start).unwrap();
    assert_eq!(registry.sweep(after(start, 6_000)), [(ServerId(1), State::Dead)]);
    assert_eq!(registry.on_status(status(1, 0), after(start, 7_000)), Ok(Heard::Came));
    assert_eq!(state(&registry, 1, after(start, 7_000)), Some(State::Alive));
    let dead = [(ServerId(1), State::Dead)];
    assert_eq!(registry.sweep(after(start, 13_000)), dead, "it can die again");
}

#[test]
fn an_http_server_lives_thirty_seconds_from_heartbeat_to_heartbeat() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.register(ServerId(5), registration(9_000), start).unwrap();
    assert_eq!(registry.heartbeat(ServerId(5), 40, after(start, 29_000)), Ok(()));
    assert_eq!(state(&registry, 5, after(start, 58_999)), Some(State::Alive));
    let server = registry.get(ServerId(5)).unwrap();
    assert_eq!((server.load(), server.connections(), server.capacity()), (20, 40, 200));
    let late = after(start, 59_000);
    assert_eq!(state(&registry, 5, late), Some(State::Dead));
    assert_eq!(registry.heartbeat(ServerId(5), 40, late), Err(UnknownServer));
    assert_eq!(registry.heartbeat(ServerId(6), 40, start), Err(UnknownServer));
}

#[test]
fn a_heartbeat_counts_clients_and_the_load_is_their_share_of_the_capacity() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.register(ServerId(5), registration(9_000), start).unwrap();
    for (clients, load, room) in
        [(0, 0, true), (50, 25, true), (199, 99, true), (200, 100, false), (u32::MAX, 100, false)]
    {
        registry.heartbeat(ServerId(5), clients, start).unwrap();
        let server = registry.get(ServerId(5)).unwrap();
        assert_eq!((server.connections(), server.load()), (clients, load));
        let candidates = registry.candidates(Kind::Zone, start);
        assert_eq!(candidates[0].takes_newcomers(), room, "{clients} of 200");
    }
}

#[test]
fn who_registers_again_takes_its_own_place() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 2);
    assert_eq!(registry.register(ServerId(1), registration(9_000), start), Ok(None));
    assert_eq!(registry.register(ServerId(2), registration(9_001), start), Ok(None));
    let again = registry.register(ServerId(3), registration(9_000), start);
    assert_eq!(again, Ok(Some(ServerId(1))), "even in a full registry");
    assert_eq!(registry.heartbeat(ServerId(1), 0, start), Err(UnknownServer));
    assert_eq!(registry.heartbeat(ServerId(3), 0, start), Ok(()));
    let other_kind = Registration { kind: Kind::Chat, ..registration(9_000) };
    assert_eq!(registry.register(ServerId(4), other_kind, start), Err(RegisterError::Full));
}

#[test]
fn a_full_registry_makes_room_by_its_dead() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 1);
    registry.register(ServerId(1), registration(1), start).unwrap();
    let next = registry.register(ServerId(2), registration(2), after(start, 29_000));
    assert_eq!(next, Err(RegisterError::Full));
    assert_eq!(registry.on_status(status(9, 0), start), Err(RegisterError::Full));
    assert_eq!(registry.register(ServerId(2), registration(2), after(start, 30_000)), Ok(None));
    assert!(!registry.contains(ServerId(1)));
}

#[test]
fn http_cannot_touch_a_linked_server() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(status(1, 0), start).unwrap();
    assert_eq!(registry.heartbeat(ServerId(1), 99, start), Err(UnknownServer));
    assert_eq!(registry.unregister(ServerId(1), start), Err(UnknownServer));
    assert!(registry.contains(ServerId(1)));
}

#[test]
fn candidates_are_those_of_the_kind_that_can_be_reached() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(status(1, 250), start).unwrap();
    registry.on_status(ServerStatus { port: 0, ..status(2, 0) }, start).unwrap();
    registry.register(ServerId(3), registration(9_000), start).unwrap();
    let ids = |kind| -> Vec<u64> {
        registry.candidates(kind, start).iter().map(|candidate| candidate.id.0).collect()
    };
    assert_eq!(ids(Kind::Gateway), [1]);
    assert_eq!(ids(Kind::Zone), [1, 3]);
    assert_eq!(ids(Kind::World), [1]);
    assert!(ids(Kind::Database).is_empty());
    assert_eq!(registry.get(ServerId(1)).unwrap().load(), 25);
}

#[test]
fn a_server_without_capacity_is_full() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(ServerStatus { capacity: 0, ..status(1, 0) }, start).unwrap();
    registry.on_status(status(2, u32::MAX), start).unwrap();
    assert_eq!(registry.get(ServerId(1)).unwrap().load(), 100);
    assert_eq!(registry.get(ServerId(2)).unwrap().load(), 100);
}

#[test]
fn a_draining_server_says_so() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(ServerStatus { draining: true, ..status(1, 0) }, start).unwrap();
    assert_eq!(state(&registry, 1, start), Some(State::Draining));
    assert_eq!(state(&registry, 1, after(start, 6_000)), Some(State::Dead));
}

#[test]
fn a_broken_link_is_a_death_unless_the_server_speaks_again_within_a_second() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    for server in [1, 2, 3] {
        registry.on_status(status(server, 0), start).unwrap();
    }
    registry.lost(ServerId(1), false, start);
    registry.lost(ServerId(2), false, start);
    registry.lost(ServerId(3), true, start);
    registry.lost(ServerId(9), true, start);
    let said = [(1, State::Suspect), (2, State::Suspect), (3, State::Dead)];
    assert_eq!(registry.sweep(start), said.map(|(id, state)| (ServerId(id), state)));
    let later = after(start, 999);
    assert_eq!(registry.on_status(status(2, 0), later), Ok(Heard::Changed), "a new link");
    assert_eq!(registry.sweep(later), []);
    assert_eq!(registry.sweep(after(start, 1_000)), [(ServerId(1), State::Dead)]);
    assert_eq!(state(&registry, 2, after(start, 1_000)), Some(State::Alive));
}

#[test]
fn what_a_status_changes_is_told() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    let zone = |zone, origin| ZoneStatus { zone: ZoneId(zone), players: 3, origin };
    let with = |zones| ServerStatus { zones, ..status(1, 0) };
    let mut hear = |status| registry.on_status(status, start).unwrap();
    assert_eq!(hear(with(vec![])), Heard::Came);
    assert_eq!(hear(with(vec![zone(1, 7)])), Heard::Rehoused);
    let more_players = ZoneStatus { players: 4, ..zone(1, 7) };
    assert_eq!(hear(with(vec![more_players])), Heard::Same);
    assert_eq!(hear(with(vec![zone(1, 8)])), Heard::Rehoused, "it runs anew");
    assert_eq!(hear(ServerStatus { draining: true, ..with(vec![]) }), Heard::Changed);
    assert_eq!(hear(with(vec![])), Heard::Changed);
}

#[test]
fn operators_have_linked_servers_drain() {
    let start = crate::tick::now();
    let mut registry = Registry::new(PATIENCE, 10);
    registry.on_status(status(1, 0), start).unwrap();
    registry.register(ServerId(2), registration(1), start).unwrap();
    assert_eq!(registry.drain(ServerId(1), start), Ok(()));
    assert_eq!(registry.drain(ServerId(2), start), Err(UnknownServer), "not of the cluster");
    assert_eq!(registry.drain(ServerId(3), start), Err(UnknownServer));
    assert_eq!(registry.sweep(start), [(ServerId(1), State::Draining)]);
    assert_eq!(registry.on_status(status(1, 0), start), Ok(Heard::Same), "it has not heard yet");
    assert_eq!(registry.drain(ServerId(1), after(start, 6_000)), Err(UnknownServer), "dead");
}
