//! Leaving in the middle of a fight, and what one waits for after coming back.

use super::*;
use crate::tick::TICK_MS;

/// Ticks of `rules.combat_seconds`.
const COMBAT: u64 = 6_000 / TICK_MS;

/// Anna has struck Bert, whose session then ends.
fn struck() -> Stage {
    let mut stage = Stage::new(EAST);
    stage.tell(veteran(ANNA, EAST, 150.0, 150.0));
    stage.tell(veteran(BERT, EAST, 151.0, 150.0));
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    stage.act(BERT, Action::MoveTo { x: 190.0, y: 150.0 });
    stage.tell(Command::Leave { player: BERT });
    stage
}

fn left(stage: &Stage, player: PlayerId) -> Option<PlayerState> {
    stage.log.iter().find_map(|effect| match effect {
        Effect::Left { state, .. } if state.id == player => Some((**state).clone()),
        _ => None,
    })
}

#[test]
fn who_fights_stands_there_until_the_fight_is_over() {
    let mut stage = struck();
    stage.steps(COMBAT - 1);
    assert!(stage.is_here(BERT) && stage.world.lingers(BERT), "to be struck");
    assert_eq!(stage.state(BERT).pose.at.x, 151.0, "and does not walk away");
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    stage.steps(COMBAT - 1);
    assert!(stage.is_here(BERT), "each blow holds it anew");
    stage.step();
    assert!(!stage.is_here(BERT) && left(&stage, BERT).is_some());
}

#[test]
fn an_animal_bites_who_stands_there_but_does_not_hold_it_for_ever() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -148.0, 150.0);
    assert_eq!(stage.attack(ANNA, stage.npc("wolf")), None);
    stage.tell(Command::Leave { player: ANNA });
    stage.steps(COMBAT - 1);
    assert!(stage.is_here(ANNA) && stage.state(ANNA).health < 80, "bitten all the while");
    stage.step();
    assert!(!stage.is_here(ANNA));
}

#[test]
fn the_striker_does_not_escape_either_and_who_is_at_peace_goes_at_once() {
    let mut stage = struck();
    stage.tell(veteran(PlayerId(3), EAST, 10.0, 150.0));
    stage.tell(Command::Leave { player: ANNA });
    stage.tell(Command::Leave { player: PlayerId(3) });
    assert!(stage.is_here(ANNA) && !stage.is_here(PlayerId(3)));
}

#[test]
fn a_new_session_takes_the_standing_body_over() {
    let mut stage = struck();
    stage.steps(10);
    stage.tell(veteran(BERT, EAST, 20.0, 20.0));
    assert_eq!(stage.state(BERT).pose.at.x, 151.0);
    assert_eq!(stage.state(BERT).health, 160 - 18, "not what the store held");
    assert!(!stage.world.lingers(BERT));
    assert_eq!(stage.attack(BERT, ANNA.into()), None);
    stage.steps(COMBAT + 10);
    assert!(stage.is_here(BERT) && left(&stage, BERT).is_none());
}

#[test]
fn a_body_that_is_killed_counts_and_its_player_comes_back_dead() {
    let mut stage = struck();
    let guild = |id| Some(GuildTag { id: GuildId(id), name: "g".into() });
    stage.tell(Command::SetGuild { player: ANNA, guild: guild(4) });
    stage.tell(Command::SetGuild { player: BERT, guild: guild(9) });
    stage.tell(Command::SetWars(vec![(GuildId(4), GuildId(9))]));
    stage.set_health(BERT, 1);
    stage.steps(10);
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    assert!(stage.log.iter().any(|effect| matches!(effect, Effect::WarKill { .. })));
    assert_eq!((stage.counted(ANNA, "player_kills"), stage.counted(BERT, "deaths")), (1, 1));
    stage.step();
    let state = left(&stage, BERT).expect("the dead have nothing more to lose");
    assert_eq!(state.health, 0);
    stage.tell(Command::Enter { state: Box::new(state) });
    stage.steps(5_000 / TICK_MS - 2);
    assert_eq!(stage.state(BERT).health, 0, "coming back makes nobody live sooner");
    stage.steps(2);
    assert_eq!(stage.state(BERT).health, 160);
}

#[test]
fn a_zone_that_ends_waits_for_nobodys_fight() {
    let mut stage = struck();
    stage.tell(Command::Dismiss { player: BERT });
    assert!(!stage.is_here(BERT) && left(&stage, BERT).is_some());
    stage.tell(Command::Dismiss { player: ANNA });
    assert!(!stage.is_here(ANNA));
}

#[test]
fn who_stands_there_does_so_in_a_zone_that_moves_and_then_goes() {
    let mut stage = struck();
    stage.steps(20);
    let whole = stage.world.whole();
    stage.world = World::from_whole(EAST, Arc::new(content()), (78, 6), whole);
    stage.steps(COMBAT - 21);
    assert!(stage.world.lingers(BERT) && !stage.world.lingers(ANNA));
    stage.steps(2);
    assert!(!stage.is_here(BERT) && stage.is_here(ANNA));
}

#[test]
fn nobody_is_ready_sooner_by_leaving() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -150.0, 50.0);
    assert_eq!(stage.refused(ANNA, skill("dash", None)), None);
    stage.tell(Command::Leave { player: ANNA });
    let state = left(&stage, ANNA).expect("a dash is no fight");
    assert_eq!(state.power, 90);
    let mut later = Stage::new(WEST);
    later.tell(Command::Enter { state: Box::new(state) });
    assert_eq!(later.refused(ANNA, skill("dash", None)), Some(Refusal::Cooldown(5_000)));
    assert_eq!(later.entity(ANNA.into()).appearance.speed, 10.0, "its second of haste goes on");
    later.steps(20);
    assert_eq!(later.entity(ANNA.into()).appearance.speed, 5.0);
    later.steps(80);
    assert_eq!(later.refused(ANNA, skill("dash", None)), None);
}

#[test]
fn every_timer_is_part_of_what_is_saved() {
    let mut stage = struck();
    stage.act(ANNA, skill("dash", None));
    let mut what: Vec<Timed> =
        stage.state(ANNA).timers.into_iter().map(|timer| timer.what).collect();
    what.sort();
    let dash = Timed::Skill("dash".into());
    assert_eq!(what, [Timed::Attack, dash, Timed::Fight, Timed::Duel, Timed::Haste(2_000)]);
    assert!(stage.world.take_unsaved(false).iter().any(|state| state.id == ANNA));
    stage.steps(200);
    assert_eq!(stage.state(ANNA).timers, [], "what has ended is forgotten");
}
