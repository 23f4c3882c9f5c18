//! Entering, leaving, being saved, speaking.

use super::*;

fn left(stage: &Stage) -> Option<PlayerState> {
    stage.log.iter().find_map(|effect| match effect {
        Effect::Left { state, .. } => Some((**state).clone()),
        _ => None,
    })
}

#[test]
fn a_player_leaves_as_it_came() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 60.0);
    assert_eq!(stage.world.population().players, 1);
    assert_eq!(stage.state(ANNA), newcomer(ANNA, WEST, -50.0, 60.0));
    stage.tell(Command::Leave { player: ANNA });
    assert_eq!(left(&stage), Some(newcomer(ANNA, WEST, -50.0, 60.0)));
    assert!(stage.world.player(ANNA).is_none() && !stage.is_here(ANNA));
}

#[test]
fn who_comes_from_nowhere_stands_at_the_spawn() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, 5_000.0, f32::NAN);
    assert_eq!(stage.state(ANNA).pose.at, Point { x: -50.0, y: 50.0 });
}

#[test]
fn who_left_dead_comes_back_dead_and_returns() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -150.0, 20.0);
    state.health = 0;
    stage.tell(Command::Enter { state: Box::new(state) });
    assert_eq!(stage.state(ANNA).health, 0);
    stage.until("it lives", |stage| stage.state(ANNA).health == 100);
}

#[test]
fn a_new_session_of_a_standing_player_counts_its_moves_anew() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.steps(20);
    let step = |x, sequence| Action::Move { x, y: 50.0, rotation: 0.0, sequence, client_time: 0 };
    stage.act(ANNA, step(-49.8, 5_000));
    stage.enter(ANNA, -180.0, 180.0);
    stage.act(ANNA, step(-49.6, 1));
    assert_eq!(stage.state(ANNA).pose.at, Point { x: -49.6, y: 50.0 });
}

#[test]
fn only_those_who_changed_are_to_be_saved() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.enter(BERT, -60.0, 50.0);
    stage.act(BERT, Action::MoveTo { x: -70.0, y: 50.0 });
    stage.step();
    let saved: Vec<PlayerId> =
        stage.world.take_unsaved(false).iter().map(|state| state.id).collect();
    assert_eq!(saved, [BERT]);
    assert!(stage.world.take_unsaved(false).iter().all(|state| state.id != ANNA));
}

#[test]
fn words_are_heard_and_events_are_numbered() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.act(ANNA, Action::Say("hello".into()));
    stage.act(ANNA, Action::Shout("HELLO".into()));
    let spoken: Vec<(u64, bool)> = stage
        .log
        .iter()
        .filter_map(|effect| match effect {
            Effect::Event(Event { id, kind: EventKind::ChatMessage { shout, .. }, .. }) => {
                Some((id.0, *shout))
            }
            _ => None,
        })
        .collect();
    assert_eq!(spoken, [(1, false), (2, true)]);
}

#[test]
fn who_waits_for_the_store_leaves_when_it_has_answered() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -60.0, 20.0);
    stage.bank.mood = Mood::Silent;
    let flower = stage.things("flower")[0];
    stage.act(ANNA, Action::PickUp(flower));
    let Some(Effect::Commit(asked)) = stage.log.last().cloned() else { panic!("it is asked") };
    stage.tell(Command::Leave { player: ANNA });
    stage.steps(10);
    assert_eq!(left(&stage), None);
    stage.bank.mood = Mood::Willing;
    let outcome = stage.bank.decide(&asked).unwrap();
    stage.tell(Command::Decided { player: ANNA, operation: asked.id, outcome });
    stage.step();
    assert!(left(&stage).unwrap().inventory.iter().any(|stack| &*stack.kind == "flower"));
}

#[test]
fn nobody_waits_for_ever_and_a_late_answer_still_counts_once() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -60.0, 20.0);
    stage.enter(BERT, -60.0, 20.0);
    stage.bank.mood = Mood::Silent;
    let flower = stage.things("flower")[0];
    stage.act(ANNA, Action::PickUp(flower));
    let Some(Effect::Commit(asked)) = stage.log.last().cloned() else { panic!("it is asked") };
    stage.tell(Command::Leave { player: ANNA });
    stage.steps(41);
    assert!(left(&stage).is_some());
    let refusal = stage.refused(BERT, Action::PickUp(flower));
    assert!(matches!(refusal, Some(Refusal::NotAllowed(_))), "it may be hers already");
    stage.bank.mood = Mood::Willing;
    let outcome = stage.bank.decide(&asked).unwrap();
    stage.tell(Command::Decided { player: ANNA, operation: asked.id, outcome });
    assert!(!stage.is_here(flower));
}
