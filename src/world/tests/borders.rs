//! Crossing borders, and striking over them.

use super::*;
use crate::limits::VIEW_RADIUS;
use crate::world::handover::{BORDER_CLOSED, GHOST_REST, GHOST_TICKS};

fn pair() -> (Stage, Stage) {
    let (mut west, east) = (Stage::new(WEST), Stage::new(EAST));
    west.enter(ANNA, -1.0, 100.0);
    (west, east)
}

/// Walks Anna east until West has sent her on.
fn depart(west: &mut Stage) -> Transfer {
    west.act(ANNA, Action::MoveTo { x: 10.0, y: 100.0 });
    west.until("she is over the border", |stage| stage.world.player(ANNA).is_none());
    let (to, transfer) = west.transfer();
    assert_eq!(to, EAST);
    transfer
}

fn arrive(stage: &mut Stage, transfer: Transfer, from: ZoneId) {
    stage.tell(Command::Arrive { transfer: Box::new(transfer), from });
}

#[test]
fn a_player_walks_over_and_back_and_is_never_out_of_sight() {
    let (mut west, mut east) = pair();
    west.tell(Command::SetGuild {
        player: ANNA,
        guild: Some(GuildTag { id: GuildId(3), name: "owls".into() }),
    });
    let transfer = depart(&mut west);
    assert!(west.is_here(ANNA), "her ghost");
    assert_eq!(west.world.population().players, 0);
    arrive(&mut east, transfer, WEST);
    assert_eq!(east.state(ANNA).zone, EAST);
    assert_eq!(east.entity(ANNA.into()).appearance.guild.as_ref().unwrap().id, GuildId(3));
    west.tell(Command::Arrived { player: ANNA });
    let gone = EventKind::ZoneChange { player: ANNA.into(), from: WEST, to: EAST };
    assert_eq!((west.events(), east.events()), (vec![gone.clone()], vec![gone.clone()]));
    // Whoever sees it hears of it from the own zone, she herself only from the one she is in now.
    assert_eq!(gone.audience(WEST), Audience::Beside(VIEW_RADIUS, ANNA.into()));
    assert_eq!(gone.audience(EAST), Audience::Beside(VIEW_RADIUS, EntityId(0)));
    west.steps(GHOST_REST - 1);
    assert!(west.is_here(ANNA));
    west.step();
    assert!(!west.is_here(ANNA));
    east.steps(10);
    assert!(east.state(ANNA).pose.at.x > 2.0, "she walks on by herself");
    east.act(ANNA, Action::MoveTo { x: -10.0, y: 100.0 });
    east.until("she is back", |stage| stage.world.player(ANNA).is_none());
    let (to, transfer) = east.transfer();
    arrive(&mut west, transfer, to);
    assert_eq!(west.state(ANNA).zone, WEST);
}

#[test]
fn a_ghost_is_described_to_nobody_until_it_is_a_player_again() {
    let (mut west, _) = pair();
    west.world.frame();
    let transfer = depart(&mut west);
    let described = |stage: &mut Stage| {
        let all = stage.world.frame().appearances.into_iter();
        all.map(|(_, change, id, appearance)| (change, id, appearance.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(described(&mut west), [(AppearanceChange::Quiet, ANNA.into(), false)]);
    west.tell(Command::Return { transfer: Box::new(transfer) });
    assert_eq!(described(&mut west), [(AppearanceChange::Announce, ANNA.into(), true)]);
}

#[test]
fn who_turns_round_takes_its_ghosts_place() {
    let (mut west, mut east) = pair();
    let transfer = depart(&mut west);
    let handle = west.world.entities.handle(ANNA.into());
    arrive(&mut east, transfer, WEST);
    east.act(ANNA, Action::MoveTo { x: -10.0, y: 100.0 });
    east.until("she is back", |stage| stage.world.player(ANNA).is_none());
    let (_, transfer) = east.transfer();
    arrive(&mut west, transfer, EAST);
    assert_eq!(west.world.entities.handle(ANNA.into()), handle);
    west.tell(Command::Arrived { player: ANNA });
    west.steps(GHOST_TICKS + 1);
    assert!(west.world.player(ANNA).is_some(), "a late word does not take her away");
}

#[test]
fn cooldowns_and_haste_come_along() {
    let (mut west, mut east) = pair();
    west.act(ANNA, Action::Skill { skill: "dash".into(), target: None, seen: None });
    let transfer = depart(&mut west);
    let timers = &transfer.state.timers;
    let dash = |timer: &&Timer| timer.what == Timed::Skill("dash".into());
    assert!(transfer.haste.is_some() && timers.iter().find(dash).unwrap().left_ms > 4_000);
    arrive(&mut east, transfer, WEST);
    assert_eq!(east.entity(ANNA.into()).appearance.speed, 10.0);
    let dash = Action::Skill { skill: "dash".into(), target: None, seen: None };
    assert!(matches!(east.refused(ANNA, dash), Some(Refusal::Cooldown(_))));
}

#[test]
fn a_transfer_that_comes_twice_counts_once() {
    let (mut west, mut east) = pair();
    let transfer = depart(&mut west);
    arrive(&mut east, transfer.clone(), WEST);
    east.steps(5);
    let place = east.state(ANNA).pose.at;
    arrive(&mut east, transfer, WEST);
    assert_eq!(east.state(ANNA).pose.at, place);
    assert_eq!(east.world.population().players, 1);
}

#[test]
fn who_is_not_taken_stands_inside_and_may_try_again_after_a_second() {
    let (mut west, _) = pair();
    let transfer = depart(&mut west);
    west.tell(Command::Return { transfer: Box::new(transfer) });
    assert_eq!(west.corrections(ANNA), ["the border is closed for a moment"]);
    assert!((west.state(ANNA).pose.at.x + 0.5).abs() < 0.01);
    west.steps(BORDER_CLOSED - 1);
    assert!(west.world.player(ANNA).is_some());
    let stepping = Action::Move { x: 0.1, y: 100.0, rotation: 0.0, sequence: 1, client_time: 0 };
    let mut west_too = Stage::new(WEST);
    west_too.enter(ANNA, -1.0, 100.0);
    let transfer = depart(&mut west_too);
    west_too.tell(Command::Return { transfer: Box::new(transfer) });
    west_too.act(ANNA, stepping);
    west_too.steps(BORDER_CLOSED - 1);
    assert!(west_too.state(ANNA).pose.at.x < 0.0, "whoever streams waits at the edge");
    west_too.steps(2);
    assert!(west_too.world.player(ANNA).is_none(), "and goes on when it opens");
    west.steps(10);
    assert!(west.world.player(ANNA).is_none(), "she has walked on");
}

#[test]
fn a_ghost_fades_even_if_nobody_says_so() {
    let (mut west, _) = pair();
    depart(&mut west);
    west.steps(GHOST_TICKS - 1);
    assert!(west.is_here(ANNA));
    west.step();
    assert!(!west.is_here(ANNA));
}

#[test]
fn who_waits_for_the_store_crosses_when_it_has_answered() {
    let (mut west, _) = pair();
    west.bank.mood = Mood::Silent;
    west.act(ANNA, Action::UseItem(ItemId(1)));
    let Some(Effect::Commit(asked)) = west.log.last().cloned() else { panic!("it is asked") };
    west.act(ANNA, Action::MoveTo { x: 10.0, y: 100.0 });
    west.steps(20);
    assert!(west.world.player(ANNA).is_some());
    let outcome = Ok(Receipt { gold: 5, ..Receipt::default() });
    west.tell(Command::Decided { player: ANNA, operation: asked.id, outcome });
    west.step();
    assert!(west.world.player(ANNA).is_none());
    assert_eq!(west.transfer().1.state.gold, 5);
}

#[test]
fn a_blow_over_the_border_is_decided_there_and_credited_here() {
    let (mut west, mut east) = pair();
    let deer = east.npc("deer");
    east.set_health(deer, 12);
    assert_eq!(west.attack(ANNA, deer), None);
    assert!(matches!(west.attack(ANNA, deer), Some(Refusal::Cooldown(_))), "it is paid for");
    let (zone, strike) = strike_of(&west);
    assert_eq!(zone, EAST);
    east.tell(Command::Strike(Box::new(strike)));
    let credit = east.log.iter().find_map(|effect| match effect {
        Effect::Credit { zone, player, credit } => Some((*zone, *player, credit.clone())),
        _ => None,
    });
    let (zone, player, credit) = credit.expect("the kill is credited");
    assert_eq!((zone, player, credit.npc.as_deref()), (WEST, ANNA, Some("deer")));
    west.tell(Command::Credit { player, credit });
    let state = west.state(ANNA);
    assert_eq!((state.experience, state.gold), (10, 2));
    assert_eq!(west.counted(ANNA, "kills"), 1);
}

#[test]
fn a_duel_over_a_border_needs_both_zones_to_allow_it() {
    let mut east = Stage::new(EAST);
    let mut south = Stage::new(SOUTH);
    east.tell(veteran(ANNA, EAST, 50.0, 1.0));
    south.tell(veteran(BERT, SOUTH, 50.0, -1.0));
    assert_eq!(east.attack(ANNA, BERT.into()), None);
    let (_, mut strike) = strike_of(&east);
    south.tell(Command::Strike(Box::new(strike.clone())));
    assert_eq!(south.state(BERT).health, 160 - 18);
    strike.from_pvp = false;
    south.tell(Command::Strike(Box::new(strike)));
    assert!(south.log.iter().any(|effect| matches!(
        effect,
        Effect::StrikeRefused { refusal: Refusal::NotAllowed(_), .. }
    )));
    assert_eq!(south.state(BERT).health, 160 - 18);
}

#[test]
fn a_spell_heals_over_the_border() {
    let (mut west, mut east) = pair();
    east.enter(BERT, 2.0, 100.0);
    east.set_health(BERT, 20);
    let mend = Action::Skill { skill: "mend".into(), target: Some(BERT.into()), seen: None };
    assert_eq!(west.refused(ANNA, mend), None);
    assert_eq!(west.state(ANNA).power, 90);
    east.tell(Command::Strike(Box::new(strike_of(&west).1)));
    assert_eq!(east.state(BERT).health, 50);
}
