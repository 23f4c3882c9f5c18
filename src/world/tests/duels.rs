//! Players against players: where, after which pauses, and over which borders.

use super::*;
use crate::tick::TICK_MS;

const NOT_ALLOWED: fn(&Option<Refusal>) -> bool =
    |refusal| matches!(refusal, Some(Refusal::NotAllowed(_)));

/// Bert has fallen to Anna and lives again at the East's spawn, beside her.
fn returned() -> Stage {
    let mut stage = Stage::new(EAST);
    stage.tell(veteran(ANNA, EAST, 52.0, 50.0));
    stage.tell(veteran(BERT, EAST, 51.0, 50.0));
    stage.set_health(BERT, 1);
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    stage.until("he lives", |stage| stage.state(BERT).health > 0);
    stage
}

#[test]
fn who_lives_again_is_protected_for_a_while() {
    let mut stage = returned();
    assert!(NOT_ALLOWED(&stage.attack(ANNA, BERT.into())));
    assert!(NOT_ALLOWED(&stage.refused(ANNA, skill("bolt", Some(BERT.into())))));
    assert_eq!(stage.refused(ANNA, skill("storm", None)), None);
    assert_eq!(stage.state(BERT).health, 160, "a burst spares it too");
    stage.steps(5_000 / TICK_MS);
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
}

#[test]
fn who_strikes_or_helps_a_fighter_is_protected_no_more() {
    let acts: [(Action, &str); 3] = [
        (Action::Attack { target: ANNA.into(), seen: None }, "a blow"),
        (skill("storm", None), "a burst"),
        (skill("mend", Some(ANNA.into())), "help"),
    ];
    for (act, what) in acts {
        let mut stage = returned();
        assert_eq!(stage.refused(BERT, act), None);
        assert_eq!(stage.attack(ANNA, BERT.into()), None, "{what}");
    }
    let mut stage = returned();
    assert_eq!(stage.refused(BERT, skill("mend", None)), None);
    assert!(NOT_ALLOWED(&stage.attack(ANNA, BERT.into())), "who helps itself still is");
}

#[test]
fn protection_goes_over_a_border_and_is_for_zones_of_players_fights_alone() {
    let stage = returned();
    let protection = |state: PlayerState| state.timers.iter().any(|t| t.what == Timed::Protection);
    assert!(protection(stage.state(BERT)));
    let mut west = Stage::new(WEST);
    west.tell(veteran(ANNA, WEST, 9_000.0, 0.0));
    assert!(!protection(west.state(ANNA)));
    let mut east = Stage::new(EAST);
    east.tell(veteran(ANNA, EAST, 9_000.0, 0.0));
    assert!(protection(east.state(ANNA)), "the world has put her at the spawn");
    east.tell(veteran(BERT, EAST, 20.0, 20.0));
    assert!(!protection(east.state(BERT)), "he is where he left");
}

/// Anna strikes Bert in the East; he walks over into the West, where players are safe.
fn fled() -> (Stage, Stage) {
    let (mut west, mut east) = (Stage::new(WEST), Stage::new(EAST));
    east.tell(veteran(ANNA, EAST, 3.0, 50.0));
    east.tell(veteran(BERT, EAST, 0.5, 50.0));
    assert_eq!(east.attack(ANNA, BERT.into()), None);
    east.act(BERT, Action::MoveTo { x: -4.0, y: 50.0 });
    east.until("he is over the border", |stage| stage.world.player(BERT).is_none());
    let (to, transfer) = east.transfer();
    assert_eq!(to, WEST);
    west.tell(Command::Arrive { transfer: Box::new(transfer), from: EAST });
    (west, east)
}

fn strike_over(east: &mut Stage, west: &mut Stage) -> u32 {
    east.steps(10);
    let before = west.state(BERT).health;
    assert_eq!(east.attack(ANNA, BERT.into()), None);
    west.tell(Command::Strike(Box::new(strike_of(east).1)));
    before - west.state(BERT).health
}

#[test]
fn one_step_over_a_border_is_no_escape() {
    let (mut west, mut east) = fled();
    assert_eq!(strike_over(&mut east, &mut west), 18);
    west.steps(6_000 / TICK_MS);
    assert_eq!(strike_over(&mut east, &mut west), 0, "he has got away");
}

#[test]
fn the_hunter_may_follow_and_nobody_else_is_drawn_in() {
    let (mut west, mut east) = fled();
    west.tell(veteran(PlayerId(3), WEST, -3.0, 50.0));
    east.act(ANNA, Action::MoveTo { x: -2.0, y: 50.0 });
    east.until("she is over the border", |stage| stage.world.player(ANNA).is_none());
    let (_, transfer) = east.transfer();
    west.tell(Command::Arrive { transfer: Box::new(transfer), from: EAST });
    assert!(NOT_ALLOWED(&west.attack(ANNA, PlayerId(3).into())), "who has not fought is safe");
    assert!(NOT_ALLOWED(&west.attack(PlayerId(3), BERT.into())), "and stays out of it");
    west.steps(10);
    assert_eq!(west.attack(ANNA, BERT.into()), None);
    west.steps(10);
    assert_eq!(west.attack(BERT, ANNA.into()), None, "he may strike back");
    west.steps(6_000 / TICK_MS);
    assert!(NOT_ALLOWED(&west.attack(ANNA, BERT.into())));
}

#[test]
fn a_fight_with_animals_makes_nobody_a_target() {
    let mut west = Stage::new(WEST);
    west.tell(veteran(ANNA, WEST, -20.0, 178.0));
    assert_eq!(west.attack(ANNA, west.npc("deer")), None);
    let timers = west.state(ANNA).timers;
    assert!(timers.iter().any(|timer| timer.what == Timed::Fight));
    assert!(!timers.iter().any(|timer| timer.what == Timed::Duel));
}

#[test]
fn the_young_are_left_in_peace_in_a_war_too() {
    let mut stage = Stage::new(WEST);
    stage.tell(veteran(ANNA, WEST, -50.0, 50.0));
    stage.enter(BERT, -51.0, 50.0);
    for (player, id) in [(ANNA, 4), (BERT, 9)] {
        let guild = Some(GuildTag { id: GuildId(id), name: "g".into() });
        stage.tell(Command::SetGuild { player, guild });
    }
    stage.tell(Command::SetWars(vec![(GuildId(4), GuildId(9))]));
    assert!(NOT_ALLOWED(&stage.attack(ANNA, BERT.into())), "he is of level 1");
}
