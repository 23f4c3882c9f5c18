//! Walking, streaming, being corrected.

use super::*;

fn stream(stage: &mut Stage, x: f32, y: f32, sequence: u32) {
    stage.act(ANNA, Action::Move { x, y, rotation: 90.0, sequence, client_time: 0 });
}

#[test]
fn a_player_is_walked_at_its_speed_and_arrives() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.act(ANNA, Action::MoveTo { x: -90.0, y: 100.0 });
    stage.steps(20);
    let state = stage.state(ANNA);
    assert!((state.pose.at.x + 95.0).abs() < 0.01, "5 m in a second, not {:?}", state.pose.at);
    assert_eq!(state.pose.rotation, 0.0);
    stage.steps(30);
    assert_eq!(stage.state(ANNA).pose.at, Point { x: -90.0, y: 100.0 });
}

#[test]
fn a_place_that_is_none_is_refused() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    for (x, y) in [(f32::NAN, 0.0), (0.0, f32::INFINITY), (70_000.0, 0.0), (-100.0, 500.0)] {
        let refusal = stage.refused(ANNA, Action::MoveTo { x, y });
        assert!(matches!(refusal, Some(Refusal::BadPosition(_))), "({x}, {y}): {refusal:?}");
    }
    stage.steps(3);
    assert_eq!(stage.state(ANNA).pose.at, Point { x: -100.0, y: 100.0 });
}

#[test]
fn a_streamed_move_ends_the_walk() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.steps(20);
    stage.act(ANNA, Action::MoveTo { x: -50.0, y: 100.0 });
    stage.step();
    stream(&mut stage, -99.7, 100.1, 1);
    stage.steps(5);
    let state = stage.state(ANNA);
    assert_eq!((state.pose.at, state.pose.rotation), (Point { x: -99.7, y: 100.1 }, 90.0));
    assert!(stage.corrections(ANNA).is_empty());
}

#[test]
fn a_client_that_is_silent_and_then_bursts_is_not_corrected() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -150.0, 100.0);
    stage.steps(20);
    let (mut sent, mut x) = (0, -150.0);
    for round in 0..20 {
        stage.steps(if round % 2 == 0 { 6 } else { 1 });
        let updates = if round % 2 == 0 { 6 } else { 1 };
        for _ in 0..updates {
            (sent, x) = (sent + 1, x + 0.25);
            stream(&mut stage, x, 100.0, sent);
        }
    }
    assert!(stage.corrections(ANNA).is_empty());
    assert_eq!(stage.state(ANNA).pose.at.x, x);
}

#[test]
fn a_jump_is_corrected_and_repeated_jumps_end_the_session() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.steps(20);
    for sequence in 1..=60 {
        stage.step();
        // Each time from where the last correction has put it.
        let x = if sequence % 2 == 0 { -60.0 } else { -100.0 };
        stream(&mut stage, x, 100.0, sequence);
        if !stage.kicks().is_empty() {
            break;
        }
    }
    let corrections = stage.corrections(ANNA);
    assert!(corrections.iter().all(|reason| *reason == "too fast") && corrections.len() < 20);
    assert_eq!(stage.kicks(), [(ANNA, "too many impossible moves")]);
    assert_eq!(stage.state(ANNA).pose.at.x, -100.0);
}

#[test]
fn one_jump_sends_nobody_away_however_often_it_is_said_at_once() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    for sequence in 1..=100 {
        stream(&mut stage, -60.0, 100.0, sequence);
    }
    assert_eq!(stage.corrections(ANNA), ["too fast"]);
    assert!(stage.kicks().is_empty());
}

#[test]
fn what_is_a_little_too_far_is_travelled_a_little_later() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.steps(20);
    stream(&mut stage, -96.5, 100.0, 1);
    let at = |stage: &Stage| stage.state(ANNA).pose.at.x;
    assert!((at(&stage) + 97.49).abs() < 0.01, "half a second at once, not {}", at(&stage));
    stage.steps(2);
    assert!(at(&stage) > -97.0 && at(&stage) < -96.9);
    stage.steps(3);
    assert_eq!(at(&stage), -96.5);
    assert!(stage.corrections(ANNA).is_empty());
}

#[test]
fn nonsense_is_corrected_and_an_old_number_is_ignored() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 199.9);
    stage.steps(20);
    stream(&mut stage, f32::NAN, 0.0, 1);
    stage.step();
    stage.act(
        ANNA,
        Action::Move { x: -100.0, y: 199.9, rotation: f32::NAN, sequence: 2, client_time: 0 },
    );
    stage.step();
    stream(&mut stage, -100.0, 200.1, 3);
    stage.step();
    stream(&mut stage, -100.0, 199.8, 3);
    let reasons = stage.corrections(ANNA);
    assert_eq!(reasons[..2], ["not a place inside the world"; 2]);
    assert_eq!(reasons[2..], ["no zone is there"]);
    assert_eq!(stage.state(ANNA).pose.at.y, 199.9, "none of it moved anybody");
    stream(&mut stage, -100.0, 199.8, 2_000_000);
    assert_eq!(stage.state(ANNA).pose.at.y, 199.8, "a count that begins anew");
}

#[test]
fn the_end_of_the_world_sends_nobody_away() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 199.9);
    for sequence in 1..100 {
        stream(&mut stage, -100.0, 200.1, sequence);
    }
    assert!(stage.kicks().is_empty());
}

#[test]
fn the_dead_do_not_move() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.set_health(ANNA, 0);
    stream(&mut stage, -99.9, 100.0, 1);
    assert_eq!(stage.corrections(ANNA), ["the dead do not move"]);
    let walk = Action::MoveTo { x: -90.0, y: 100.0 };
    assert_eq!(stage.refused(ANNA, walk), Some(Refusal::Dead));
}

#[test]
fn a_second_without_steps_is_not_held_against_a_client() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.steps(20);
    stream(&mut stage, -98.0, 100.0, 1);
    stage.world.lose_time(1_000);
    stream(&mut stage, -96.0, 100.0, 2);
    assert!(stage.corrections(ANNA).is_empty());
    assert_eq!(stage.state(ANNA).pose.at.x, -96.0);
}

#[test]
fn a_frame_marks_who_has_moved() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.enter(BERT, -90.0, 100.0);
    stage.step();
    stage.world.frame();
    stage.act(ANNA, Action::MoveTo { x: -95.0, y: 100.0 });
    stage.step();
    let update = stage.world.frame();
    let frame = &update.frame;
    let changed = |id: PlayerId| {
        let handle = stage.world.entities.handle(id.into()).unwrap();
        frame.changed[frame.place(handle).unwrap()]
    };
    assert!(changed(ANNA) && !changed(BERT));
    assert!(update.appearances.is_empty(), "nobody looks different");
}
