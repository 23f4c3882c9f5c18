//! In which order a tick is told, who hears of what, and what a panic costs.

use super::*;
use crate::gateway::session::State;
use crate::msg::Outgoing;

const PLENTY: (u32, u32) = (1_000_000, 2_000_000);

/// What kinds of packets those are, one letter each.
fn letters(said: &[Said]) -> String {
    let letter = |said: &Said| match said {
        Said::Enter(_) => 'E',
        Said::Leave(_) => 'L',
        Said::Event(_) => 'x',
        Said::Positions(_) => 'p',
        Said::Other(_) => 'o',
    };
    said.iter().map(letter).collect()
}

/// What a client ends up to believe of somebody's health.
fn health(said: &[Said], of: EntityId) -> Option<u32> {
    said.iter().fold(None, |known, said| match said {
        Said::Enter(entity) if entity.entity_id == of.0 => Some(entity.health),
        Said::Event(event)
            if event.target_id == of.0 && event.kind() == proto::EventKind::EventPlayerDamage =>
        {
            Some(event.remaining)
        }
        _ => known,
    })
}

#[test]
fn a_tick_is_told_in_the_order_that_is_promised() {
    let mut stage = Stage::new(PLENTY);
    for (handle, x) in [(1, 200.0), (2, 205.0), (3, 254.0), (4, 270.0)] {
        stage.put(handle, x, 200.0);
    }
    let conn = stage.look_on(1);
    stage.walk(3, 249.0, 200.0);
    stage.step();
    stage.heard(conn);
    // One goes, one comes, one is struck and then healed, and walks.
    stage.walk(3, 280.0, 200.0);
    stage.walk(4, 249.0, 200.0);
    stage.strike(1, 2, 30);
    stage.heal(2, 95);
    stage.walk(2, 206.0, 200.0);
    stage.step();
    let said = stage.heard(conn);
    assert_eq!(letters(&said), "LExxEp");
    assert_eq!(health(&said, stage.id(2)), Some(95), "blow, then healing");
}

#[test]
fn who_is_struck_and_healed_while_coming_into_view_is_known_as_it_is() {
    let mut stage = Stage::new(PLENTY);
    for (handle, x) in [(1, 200.0), (2, 270.0)] {
        stage.put(handle, x, 200.0);
    }
    let conn = stage.look_on(1);
    stage.step();
    stage.heard(conn);
    stage.walk(2, 220.0, 200.0);
    stage.strike(1, 2, 30);
    stage.heal(2, 95);
    stage.step();
    let said = stage.heard(conn);
    assert_eq!(letters(&said), "ExxE");
    assert_eq!(health(&said, stage.id(2)), Some(95));
}

#[test]
fn only_what_concerns_oneself_and_talk_is_kept_for_a_resume() {
    let mut stage = Stage::new(PLENTY);
    for handle in 1..=4 {
        stage.put(handle, 200.0 + f32::from(handle), 200.0);
    }
    let conn = stage.look_on(1);
    stage.step();
    stage.heard(conn);
    stage.say(2, "hello");
    for _ in 0..200 {
        stage.strike(3, 4, 0);
        stage.strike(4, 3, 0);
    }
    stage.strike(2, 1, 5);
    stage.step();
    let log = stage.conn(conn).outlet.log.take().unwrap();
    let (kept, lost) = log.missed(Some(0));
    let kinds: Vec<PacketType> = kept.iter().map(|Outgoing { kind, .. }| *kind).collect();
    assert!(!lost);
    let events = kinds.iter().filter(|kind| **kind == PacketType::GameEvent).count();
    let talk = kinds.iter().filter(|kind| **kind == PacketType::ChatMessage).count();
    assert_eq!((events, talk), (2, 1), "{kinds:?}");
}

#[test]
fn whom_an_event_concerns_hears_it_from_afar_and_nobody_else_does() {
    let mut stage = Stage::new(PLENTY);
    for (handle, x) in [(1, 100.0), (2, 145.0), (3, 190.0)] {
        stage.put(handle, x, 200.0);
    }
    let conns = [1, 2, 3].map(|handle| stage.look_on(handle));
    stage.step();
    stage.wires.written.clear();
    let player = stage.id(2);
    let quest = EventKind::QuestComplete { player: stage.id(1), quest: "far".into() };
    let change = EventKind::ZoneChange { player, from: ZoneId(9), to: ZONE };
    let gone = EventKind::ZoneChange { player, from: ZONE, to: ZoneId(9) };
    // A blow that reaches farther than it is told.
    stage.strike(1, 3, 1);
    stage.events.extend([quest, change, gone]);
    stage.step();
    let heard = conns.map(|conn| {
        let said = stage.heard(conn);
        let events = said.iter().filter_map(|said| match said {
            Said::Event(event) => Some(event.kind() as i32),
            _ => None,
        });
        events.collect::<Vec<_>>()
    });
    let (attack, damage, change, quest) = (1, 2, 7, 8);
    assert_eq!(heard[0], [attack, damage, quest, change, change], "45 m from who has crossed");
    assert_eq!(heard[1], [attack, quest, change], "who has left is told of it elsewhere");
    assert_eq!(heard[2], [attack, damage, change, change], "90 m from who has done a quest");
}

#[test]
fn a_panic_in_one_turn_ends_one_connection() {
    let mut stage = Stage::new(PLENTY);
    for handle in 1..=3 {
        stage.put(handle, 200.0 + f32::from(handle), 200.0);
    }
    let conns = [1, 2, 3].map(|handle| stage.look_on(handle));
    stage.step();
    stage.wires.written.clear();
    stage.conn(conns[1]).outlet.breaks = true;
    for round in 0..3 {
        stage.walk(1, 210.0 + round as f32, 200.0);
        if round == 1 {
            stage.strike(2, 3, 1);
            stage.pass_over();
        } else {
            stage.step();
        }
    }
    assert_eq!(stage.wires.closed[0], (conns[1], CloseReason::Service));
    assert!(stage.wires.closed.iter().all(|(conn, _)| *conn == conns[1]));
    let places =
        |said: Vec<Said>| said.iter().filter(|said| matches!(said, Said::Positions(_))).count();
    assert_eq!(places(stage.heard(conns[0])), 2);
    assert_eq!(places(stage.heard(conns[2])), 2, "whose turn comes after the broken one's");
    assert!(matches!(stage.conn(conns[1]).state, State::InWorld(_)), "its service closes it");
}

#[test]
fn nothing_is_lost_with_a_frame_that_was_not_taken() {
    let mut stage = Stage::new(PLENTY);
    for (handle, x) in [(1, 200.0), (2, 205.0), (3, 210.0)] {
        stage.put(handle, x, 200.0);
    }
    let conn = stage.look_on(1);
    stage.step();
    stage.heard(conn);
    stage.say(2, "hello");
    stage.strike(2, 1, 7);
    stage.strike(2, 3, 100);
    stage.lose();
    stage.rise(2);
    stage.lose();
    stage.step();
    let said = stage.heard(conn);
    assert_eq!(letters(&said).replace('p', ""), "oxxxxxEEE");
    assert_eq!(said[0], Said::Other(PacketType::ChatMessage));
    assert_eq!(health(&said, stage.id(1)), Some(93));
    assert_eq!(health(&said, stage.id(3)), Some(0));
    let level = said.iter().rev().find_map(|said| match said {
        Said::Enter(entity) if entity.entity_id == 1_002 => Some(entity.level),
        _ => None,
    });
    assert_eq!(level, Some(2));
}
