//! A zone that goes to another process as a whole.

use super::*;
use crate::world::whole::{Doing, Whole};

/// In one order, whatever the handles were.
fn sorted(mut whole: Whole) -> Whole {
    whole.players.sort_by_key(|transfer| transfer.state.id);
    whole.npcs.sort_by_key(|npc| npc.id);
    whole.things.sort_by_key(|thing| thing.id);
    whole
}

/// West after a fight: Anna has killed the wolf, whose pelt lies there, and the flower is taken.
fn lively() -> Stage {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -60.0, 20.0);
    stage.enter(BERT, -20.0, 170.0);
    let flower = stage.things("flower")[0];
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), None);
    let wolf = stage.npc("wolf");
    stage.put(wolf, -60.0, 24.0);
    stage.set_health(wolf, 1);
    assert_eq!(stage.attack(ANNA, wolf), None);
    stage.act(BERT, Action::Skill { skill: "dash".into(), target: None, seen: None });
    stage.act(BERT, Action::MoveTo { x: -100.0, y: 100.0 });
    stage.steps(7);
    stage.tell(Command::SetWars(vec![(GuildId(3), GuildId(9))]));
    assert!(!stage.things("pelt").is_empty());
    stage
}

fn moved(stage: &Stage) -> World {
    let whole = stage.world.whole();
    World::from_whole(WEST, Arc::new(content()), (78, 6), whole)
}

#[test]
fn everything_is_in_its_place_afterwards() {
    let stage = lively();
    assert!(stage.world.is_settled());
    let before = sorted(stage.world.whole());
    assert_eq!(sorted(moved(&stage).whole()), before);
    let wolf = before.npcs.iter().find(|npc| npc.id == stage.npc("wolf")).unwrap();
    assert!(matches!(wolf.doing, Doing::LiesDead { .. }) && wolf.health == 0);
    assert_eq!(before.rest.returns.len(), 1, "the flower comes again");
    assert!(before.players.iter().any(|p| p.destination.is_some() && p.haste.is_some()));
}

#[test]
fn it_goes_on_as_if_nothing_had_happened() {
    let mut stage = lively();
    let (origin, flower) = (stage.world.origin, stage.world.whole().rest.entities_made);
    stage.world = moved(&stage);
    assert_ne!(stage.world.origin, origin);
    let pelt = stage.things("pelt")[0];
    let at = stage.entity(pelt).pose.at;
    stage.put(ANNA, at.x, at.y);
    assert_eq!(stage.refused(ANNA, Action::PickUp(pelt)), None, "what lies there is hers to take");
    stage.until("Bert is where he went", |stage| {
        stage.state(BERT).pose.at.distance(Point { x: -100.0, y: 100.0 }) < 0.2
    });
    stage.until("the flower has come again", |stage| !stage.things("flower").is_empty());
    let new = stage.things("flower")[0];
    assert!(new.0 & 0xffff_ffff > u64::from(flower), "no id comes twice");
    stage.until("the wolf lives", |stage| stage.entity(stage.npc("wolf")).is_alive());
    assert_eq!(stage.things("flower").len(), 1);
}

#[test]
fn what_the_store_has_left_unclear_goes_along() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -60.0, 20.0);
    let flower = stage.things("flower")[0];
    stage.bank.mood = Mood::Mumbling;
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::Unavailable));
    stage.tell(Command::Credit {
        player: ANNA,
        credit: Credit { experience: 1, gold: 5, npc: None },
    });
    stage.bank.mood = Mood::Willing;
    stage.world = moved(&stage);
    stage.until("the flower is hers", |stage| !stage.is_here(flower));
    stage.until("the gold is hers", |stage| stage.state(ANNA).gold > 0);
    let stacks = stage.state(ANNA).inventory;
    let flowers = stacks.iter().filter(|stack| &*stack.kind == "flower");
    let flowers = flowers.map(|stack| stack.quantity).sum::<u32>();
    assert_eq!((stage.state(ANNA).gold, flowers), (5, 1), "once, as the store had it");
    assert_eq!(stage.bank.book.len(), 2, "the same operations, done once");
}

#[test]
fn nobody_leaves_over_a_closed_border() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -1.0, 100.0);
    stage.tell(Command::CloseBorders(true));
    stage.act(ANNA, Action::MoveTo { x: 10.0, y: 100.0 });
    stage.steps(40);
    assert!(stage.world.player(ANNA).is_some());
    stage.tell(Command::CloseBorders(false));
    stage.act(ANNA, Action::MoveTo { x: 10.0, y: 100.0 });
    stage.until("she is over the border", |stage| stage.world.player(ANNA).is_none());
}
