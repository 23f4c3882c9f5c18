//! Picking up and using, with a store that is there, away, or unclear.

use super::*;

fn flower_stage() -> (Stage, EntityId) {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -60.0, 20.0);
    let flower = stage.things("flower")[0];
    (stage, flower)
}

fn owned(stage: &Stage, kind: &str) -> u32 {
    let stacks = stage.state(ANNA).inventory;
    stacks.iter().filter(|stack| &*stack.kind == kind).map(|stack| stack.quantity).sum()
}

#[test]
fn a_thing_is_picked_up_once_and_comes_again() {
    let (mut stage, flower) = flower_stage();
    stage.enter(BERT, -60.0, 21.0);
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), None);
    assert_eq!(owned(&stage, "flower"), 1);
    assert_eq!(stage.refused(BERT, Action::PickUp(flower)), Some(Refusal::NoSuchTarget));
    let picked = EventKind::ItemPickup { player: ANNA.into(), item: "flower".into(), quantity: 1 };
    assert_eq!(stage.events(), [picked]);
    assert_eq!(stage.counted(ANNA, "items_picked_up"), 1);
    assert!(stage.things("flower").is_empty());
    stage.steps(210);
    assert_eq!(stage.things("flower").len(), 1);
}

#[test]
fn while_it_is_decided_nobody_else_takes_it() {
    let (mut stage, flower) = flower_stage();
    stage.enter(BERT, -60.0, 21.0);
    stage.bank.mood = Mood::Silent;
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), None);
    assert!(matches!(stage.refused(BERT, Action::PickUp(flower)), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::NotAllowed(_))));
    assert!(stage.is_here(flower) && stage.events().is_empty(), "nobody hears of it yet");
}

#[test]
fn a_full_inventory_leaves_it_for_others() {
    let (mut stage, flower) = flower_stage();
    stage.enter(BERT, -60.0, 21.0);
    stage.bank.mood = Mood::Full;
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::InventoryFull));
    stage.bank.mood = Mood::Willing;
    assert_eq!(stage.refused(BERT, Action::PickUp(flower)), None);
}

#[test]
fn an_unclear_answer_never_doubles_a_thing() {
    let (mut stage, flower) = flower_stage();
    stage.enter(BERT, -60.0, 21.0);
    stage.bank.mood = Mood::Mumbling;
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::Unavailable));
    assert!(stage.refused(BERT, Action::PickUp(flower)).is_some(), "it may be hers");
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::Unavailable));
    stage.bank.mood = Mood::Willing;
    stage.steps(40);
    assert_eq!((owned(&stage, "flower"), stage.bank.book.len()), (1, 1));
    assert!(!stage.is_here(flower), "nobody had to ask again");
    assert_eq!(stage.counted(ANNA, "items_picked_up"), 1);
}

#[test]
fn reach_and_owner_are_checked() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -145.0, 150.0);
    stage.enter(BERT, -149.0, 150.0);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    stage.attack(ANNA, wolf);
    let pelt = stage.things("pelt")[0];
    assert_eq!(stage.refused(ANNA, Action::PickUp(pelt)), Some(Refusal::OutOfRange));
    assert!(matches!(stage.refused(BERT, Action::PickUp(pelt)), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.refused(BERT, Action::PickUp(wolf)), Some(Refusal::NotAllowed(_))));
    stage.steps(400);
    assert_eq!(stage.refused(BERT, Action::PickUp(pelt)), None, "20 s later it is anybody's");
}

#[test]
fn loot_that_nobody_takes_decays() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -145.0, 150.0);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    stage.attack(ANNA, wolf);
    stage.put(ANNA, -50.0, 50.0);
    stage.steps(120 * 20 + 10);
    assert!(stage.things("pelt").is_empty());
}

#[test]
fn a_potion_heals_and_is_gone() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    let stack = stage.state(ANNA).inventory[0].clone();
    stage.bank.stacks.insert((ANNA, stack.kind.clone()), stack);
    stage.set_health(ANNA, 30);
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), None);
    assert_eq!((stage.state(ANNA).health, owned(&stage, "potion")), (70, 2));
    let shown = stage.notices(ANNA).pop().unwrap();
    assert!(matches!(shown, Notice::Inventory(Holdings { used: Some(ItemId(1)), .. })));
    for _ in 0..2 {
        stage.act(ANNA, Action::UseItem(ItemId(1)));
    }
    assert_eq!(stage.state(ANNA).health, 100, "never above the maximum");
    assert!(stage.state(ANNA).inventory.is_empty());
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), Some(Refusal::NoSuchItem));
}

#[test]
fn an_item_that_is_not_ones_own_or_does_nothing_is_refused() {
    let (mut stage, flower) = flower_stage();
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(999))), Some(Refusal::NoSuchItem));
    stage.act(ANNA, Action::PickUp(flower));
    let inventory = stage.state(ANNA).inventory;
    let flower = inventory.iter().find(|stack| &*stack.kind == "flower").unwrap().id;
    assert_eq!(stage.refused(ANNA, Action::UseItem(flower)), Some(Refusal::NotUsable));
    stage.set_health(ANNA, 0);
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), Some(Refusal::Dead));
}

#[test]
fn a_use_with_an_unclear_answer_works_once_when_it_is_known() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    let stack = stage.state(ANNA).inventory[0].clone();
    stage.bank.stacks.insert((ANNA, stack.kind.clone()), stack);
    stage.set_health(ANNA, 30);
    stage.bank.mood = Mood::Mumbling;
    let refusal = stage.refused(ANNA, Action::UseItem(ItemId(1)));
    assert_eq!((refusal, stage.state(ANNA).health), (Some(Refusal::Unavailable), 30));
    stage.bank.mood = Mood::Willing;
    stage.steps(40);
    let state = stage.state(ANNA);
    assert!((70..75).contains(&state.health), "it has healed once: {}", state.health);
    assert_eq!(owned(&stage, "potion"), 2, "one potion");
    let shown = stage.notices(ANNA).into_iter().rev().find_map(|notice| match notice {
        Notice::Inventory(holdings) => holdings.used,
        _ => None,
    });
    assert_eq!(shown, Some(ItemId(1)), "and she was told");
}

#[test]
fn what_was_not_done_does_not_come_to_pass_later() {
    let (mut stage, flower) = flower_stage();
    stage.enter(BERT, -60.0, 21.0);
    stage.bank.mood = Mood::Lost { done: false };
    assert_eq!(stage.refused(ANNA, Action::PickUp(flower)), Some(Refusal::Unavailable));
    stage.set_health(ANNA, 30);
    stage.steps(100);
    let waits = stage.refused(ANNA, Action::UseItem(ItemId(1)));
    assert_eq!(waits, Some(Refusal::Unavailable), "nothing else is asked meanwhile");
    stage.bank.mood = Mood::Willing;
    stage.steps(40);
    assert_eq!((owned(&stage, "flower"), stage.bank.book.len()), (0, 0));
    assert_eq!(stage.refused(BERT, Action::PickUp(flower)), None, "it is anybody's again");
}

#[test]
fn what_is_in_doubt_does_not_decay_and_is_found_out_without_its_player() {
    for done in [true, false] {
        let (mut stage, flower) = flower_stage();
        stage.bank.mood = Mood::Lost { done };
        stage.act(ANNA, Action::PickUp(flower));
        stage.tell(Command::Leave { player: ANNA });
        stage.steps(50);
        assert!(stage.world.player(ANNA).is_none(), "she has left in doubt");
        assert!(stage.is_here(flower));
        stage.steps(3_000);
        assert!(stage.is_here(flower), "nobody knows yet whose it is");
        stage.bank.mood = Mood::Willing;
        stage.steps(20);
        assert_eq!(stage.is_here(flower), !done);
    }
}

#[test]
fn what_waits_behind_a_doubt_is_refused_and_not_done() {
    let (mut stage, flower) = flower_stage();
    stage.bank.mood = Mood::Silent;
    stage.act(ANNA, Action::UseItem(ItemId(1)));
    let Some(Effect::Commit(asked)) = stage.log.last().cloned() else { panic!("it is asked") };
    let behind = stage.act(ANNA, Action::PickUp(flower));
    let outcome = Err(CommitRefusal::Unavailable);
    stage.tell(Command::Decided { player: ANNA, operation: asked.id, outcome });
    assert!(stage.refusals(ANNA).contains(&(behind, Refusal::Unavailable)));
    stage.bank.mood = Mood::Willing;
    stage.steps(40);
    assert!(stage.is_here(flower) && stage.bank.book.is_empty());
}

#[test]
fn a_player_with_too_much_under_way_is_busy() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.bank.mood = Mood::Silent;
    for _ in 0..operation::OPERATIONS_MAX {
        assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), None);
    }
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), Some(Refusal::Busy));
    stage.steps(201);
    let refused = stage.refusals(ANNA).into_iter().filter(|(_, r)| *r == Refusal::Unavailable);
    assert_eq!(refused.count(), operation::OPERATIONS_MAX, "an answer that never comes is none");
    stage.bank.mood = Mood::Willing;
    stage.steps(201);
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(1))), None, "and she plays on");
}

#[test]
fn gold_earned_while_the_store_is_away_comes_later_and_once() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    let credit = |gold| Credit { experience: 0, gold, npc: Some("wolf".into()) };
    stage.bank.mood = Mood::Mumbling;
    stage.tell(Command::Credit { player: ANNA, credit: credit(3) });
    stage.bank.mood = Mood::Away;
    stage.tell(Command::Credit { player: ANNA, credit: credit(4) });
    assert_eq!(stage.state(ANNA).gold, 0);
    stage.bank.mood = Mood::Willing;
    stage.until("all is paid", |stage| stage.state(ANNA).gold == 7);
    stage.steps(250);
    assert_eq!(stage.state(ANNA).gold, 7);
}

/// Anna with as many draughts as she can drink, and 10 of her health.
fn thirsty() -> Stage {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -50.0, 50.0);
    let kinds = ["potion", "elixir", "philter", "tonic"];
    state.inventory = kinds
        .iter()
        .zip(1..)
        .map(|(kind, id)| ItemStack { id: ItemId(id), kind: (*kind).into(), quantity: 9 })
        .collect();
    for stack in &state.inventory {
        stage.bank.stacks.insert((ANNA, stack.kind.clone()), stack.clone());
    }
    stage.tell(Command::Enter { state: Box::new(state) });
    stage.set_health(ANNA, 10);
    stage
}

#[test]
fn a_draught_has_a_cooldown_that_its_group_shares() {
    let mut stage = thirsty();
    let mut drink = |item| stage.refused(ANNA, Action::UseItem(ItemId(item)));
    assert_eq!((drink(2), drink(2)), (None, Some(Refusal::Cooldown(2_000))));
    assert_eq!(drink(3), Some(Refusal::Cooldown(2_000)), "of the same group");
    assert_eq!((drink(4), drink(4)), (None, Some(Refusal::Cooldown(5_000))), "as the rules say");
    assert_eq!((drink(1), drink(1)), (None, None), "one that says 0 has none");
    stage.steps(40);
    let mut drink = |item| stage.refused(ANNA, Action::UseItem(ItemId(item)));
    assert_eq!((drink(3), drink(2)), (None, Some(Refusal::Cooldown(1_000))));
    assert!(stage.state(ANNA).timers.iter().any(|t| t.what == Timed::Item("draught".into())));
}

#[test]
fn what_is_asked_of_the_store_counts_at_once_and_what_was_not_used_does_not() {
    let mut stage = thirsty();
    stage.bank.mood = Mood::Silent;
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(2))), None);
    let again = stage.refused(ANNA, Action::UseItem(ItemId(2)));
    assert_eq!(again, Some(Refusal::Cooldown(2_000)), "no eight at a time");
    let mut stage = thirsty();
    stage.bank.mood = Mood::Away;
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(2))), Some(Refusal::Unavailable));
    stage.bank.mood = Mood::Willing;
    stage.steps(20);
    let before = stage.state(ANNA).health;
    assert!(before < 50, "it was looked up, and not done");
    assert_eq!(stage.refused(ANNA, Action::UseItem(ItemId(2))), None);
    assert_eq!(stage.state(ANNA).health, before + 40);
}
