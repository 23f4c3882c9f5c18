//! Dropping, destroying, giving, giving up.

use super::*;

pub(super) const POTION: ItemId = ItemId(1);
const BERTS: ItemId = ItemId(2);

/// Anna and Bert side by side, with three potions each, which the bank knows.
pub(super) fn two() -> Stage {
    let mut stage = Stage::new(WEST);
    for (player, id) in [(ANNA, POTION), (BERT, BERTS)] {
        let mut state = newcomer(player, WEST, -50.0, 50.0);
        state.inventory[0].id = id;
        state.gold = 10;
        stage.bank.gold.insert(player, 10);
        stage.bank.stacks.insert((player, "potion".into()), state.inventory[0].clone());
        stage.tell(Command::Enter { state: Box::new(state) });
    }
    stage.step();
    stage
}

pub(super) fn potions(stage: &Stage, player: PlayerId) -> u32 {
    let stacks = stage.state(player).inventory;
    stacks.iter().filter(|stack| &*stack.kind == "potion").map(|stack| stack.quantity).sum()
}

pub(super) fn on_the_ground(stage: &Stage) -> u32 {
    let lying = stage.things("potion").into_iter();
    lying.map(|id| stage.entity(id).appearance.quantity).sum()
}

fn give(to: PlayerId, quantity: u32) -> Action {
    Action::Give { to: to.into(), gift: Gift::Items { item: POTION, quantity } }
}

fn last_holdings(stage: &Stage, player: PlayerId) -> Holdings {
    let holdings = |notice| match notice {
        Notice::Inventory(holdings) => Some(holdings),
        _ => None,
    };
    stage.notices(player).into_iter().rev().find_map(holdings).expect("an inventory")
}

#[test]
fn what_is_dropped_lies_there_for_anybody_and_decays() {
    let mut stage = two();
    let request = stage.act(ANNA, Action::Drop { item: POTION, quantity: 2 });
    assert_eq!(last_holdings(&stage, ANNA).request, request, "it is answered");
    assert_eq!((potions(&stage, ANNA), on_the_ground(&stage)), (1, 2));
    let thing = stage.things("potion")[0];
    assert_eq!(stage.refused(BERT, Action::PickUp(thing)), None);
    assert_eq!((potions(&stage, BERT), on_the_ground(&stage)), (5, 0));
    stage.act(ANNA, Action::Drop { item: POTION, quantity: 0 });
    assert!(stage.state(ANNA).inventory.is_empty(), "0 is all of it");
    stage.steps(120 * 20 + 10);
    assert_eq!((on_the_ground(&stage), stage.world.dropped), (0, 0), "nobody wanted it");
}

#[test]
fn one_drops_and_destroys_only_what_one_has() {
    let mut stage = two();
    for action in [
        Action::Drop { item: POTION, quantity: 4 },
        Action::Drop { item: BERTS, quantity: 1 },
        Action::Destroy { item: POTION, quantity: 4 },
        Action::Destroy { item: ItemId(77), quantity: 0 },
    ] {
        assert_eq!(stage.refused(ANNA, action), Some(Refusal::NoSuchItem));
    }
    assert_eq!(stage.refused(ANNA, Action::Destroy { item: POTION, quantity: 1 }), None);
    assert_eq!((potions(&stage, ANNA), on_the_ground(&stage)), (2, 0));
    stage.set_health(ANNA, 0);
    let drop = Action::Drop { item: POTION, quantity: 1 };
    assert_eq!(stage.refused(ANNA, drop), Some(Refusal::Dead));
}

#[test]
fn what_is_in_no_table_any_more_can_be_dropped_taken_and_destroyed() {
    let mut stage = two();
    let relic = ItemStack { id: ItemId(9), kind: "relic".into(), quantity: 500 };
    let mut state = newcomer(PlayerId(3), WEST, -50.0, 50.0);
    state.inventory = vec![relic.clone()];
    stage.bank.stacks.insert((PlayerId(3), relic.kind.clone()), relic);
    stage.tell(Command::Enter { state: Box::new(state) });
    let drop = Action::Drop { item: ItemId(9), quantity: 499 };
    assert_eq!(stage.refused(PlayerId(3), drop), None);
    let thing = stage.things("relic")[0];
    assert_eq!(stage.refused(BERT, Action::PickUp(thing)), None);
    let asked = stage.bank.book.last().unwrap().change.clone();
    let Change::Grant { items, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(items, [("relic".into(), 499, true)], "one stack, as it was");
    let destroy = Action::Destroy { item: ItemId(9), quantity: 0 };
    assert_eq!(stage.refused(PlayerId(3), destroy), None);
}

#[test]
fn the_ground_is_not_littered_without_end() {
    let mut stage = two();
    stage.world.dropped = item::GROUND_ITEMS_MAX / 2;
    let drop = Action::Drop { item: POTION, quantity: 1 };
    assert!(matches!(stage.refused(ANNA, drop), Some(Refusal::NotAllowed(_))));
}

#[test]
fn a_drop_in_doubt_lies_there_once_it_is_known_also_when_its_player_has_gone() {
    for (done, leaves) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut stage = two();
        stage.bank.mood = Mood::Lost { done };
        stage.act(ANNA, Action::Drop { item: POTION, quantity: 2 });
        if leaves {
            stage.tell(Command::Leave { player: ANNA });
            stage.steps(45);
        }
        assert_eq!(on_the_ground(&stage), 0);
        assert!(!stage.world.is_settled(), "the zone does not move meanwhile");
        stage.bank.mood = Mood::Willing;
        stage.steps(20);
        assert_eq!(on_the_ground(&stage), if done { 2 } else { 0 }, "{done} {leaves}");
        assert!(stage.world.is_settled());
    }
}

#[test]
fn a_zones_own_thing_waits_where_too_much_lies() {
    let mut stage = two();
    let flower = stage.things("flower")[0];
    stage.put(ANNA, -60.0, 20.0);
    stage.act(ANNA, Action::PickUp(flower));
    for _ in 0..item::GROUND_ITEMS_MAX {
        stage.world.lay_dropped("pelt".into(), 1, Point { x: -100.0, y: 100.0 });
    }
    stage.steps(300);
    assert!(stage.things("flower").is_empty(), "there is no room for it");
    stage.steps(120 * 20);
    assert!(stage.things("pelt").is_empty(), "what was dropped has decayed");
    assert_eq!(stage.things("flower").len(), 1, "and it has come again");
}

#[test]
fn a_gift_goes_from_one_to_the_other_in_one_operation() {
    let mut stage = two();
    assert_eq!(stage.refused(ANNA, give(BERT, 2)), None);
    assert_eq!((potions(&stage, ANNA), potions(&stage, BERT)), (1, 5));
    assert_eq!(last_holdings(&stage, BERT).giver, Some(ANNA));
    let gold = Action::Give { to: BERT.into(), gift: Gift::Gold(4) };
    assert_eq!(stage.refused(ANNA, gold), None);
    assert_eq!((stage.state(ANNA).gold, stage.state(BERT).gold), (6, 14));
    assert_eq!(stage.bank.book.len(), 2);
    let book = &stage.bank.book[0];
    assert_eq!((book.player, book.epoch), (ANNA, Epoch(1)));
    assert!(matches!(book.change, Change::Give { to: BERT, to_epoch: Epoch(1), .. }));
}

#[test]
fn gifts_are_for_living_players_near() {
    let mut stage = two();
    let deer = stage.npc("deer");
    let to = |to| Action::Give { to, gift: Gift::Items { item: POTION, quantity: 1 } };
    assert!(matches!(stage.refused(ANNA, to(ANNA.into())), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.refused(ANNA, to(deer)), Some(Refusal::NotAllowed(_))));
    assert_eq!(stage.refused(ANNA, give(PlayerId(9), 1)), Some(Refusal::NoSuchTarget));
    assert_eq!(stage.refused(ANNA, give(BERT, 4)), Some(Refusal::NoSuchItem));
    let gold = |amount| Action::Give { to: BERT.into(), gift: Gift::Gold(amount) };
    assert!(matches!(stage.refused(ANNA, gold(11)), Some(Refusal::NotAllowed(_))));
    stage.put(BERT, -53.1, 50.0);
    assert_eq!(stage.refused(ANNA, give(BERT, 1)), Some(Refusal::OutOfRange));
    stage.put(BERT, -53.0, 50.0);
    assert_eq!(stage.refused(ANNA, give(BERT, 1)), None);
    stage.set_health(BERT, 0);
    assert_eq!(stage.refused(ANNA, give(BERT, 1)), Some(Refusal::TargetDead));
    assert_eq!(
        stage.refused(BERT, Action::Give { to: ANNA.into(), gift: Gift::Gold(1) }),
        Some(Refusal::Dead)
    );
}

#[test]
fn a_receiver_without_room_is_told_to_the_giver() {
    let mut stage = two();
    stage.bank.mood = Mood::ReceiverFull;
    assert_eq!(stage.refused(ANNA, give(BERT, 1)), Some(Refusal::ReceiverFull));
    assert_eq!(stage.refusals(BERT), []);
    stage.bank.mood = Mood::Willing;
    assert_eq!(stage.refused(BERT, Action::UseItem(BERTS)), None, "and Bert is not held up");
}

#[test]
fn a_receiver_stays_until_its_gift_is_decided_and_waits_for_no_second_one() {
    let mut stage = two();
    stage.bank.mood = Mood::Silent;
    stage.act(ANNA, give(BERT, 1));
    let Some(Effect::Commit(asked)) = stage.log.last().cloned() else { panic!("it is asked") };
    assert_eq!(stage.refused(ANNA, give(BERT, 1)), Some(Refusal::Busy));
    let back = Action::Give { to: ANNA.into(), gift: Gift::Gold(1) };
    assert_eq!(stage.refused(BERT, back), Some(Refusal::Busy), "nobody waits in a circle");
    stage.tell(Command::Leave { player: BERT });
    stage.steps(10);
    assert!(stage.world.player(BERT).is_some());
    stage.bank.mood = Mood::Willing;
    let outcome = stage.bank.decide(&asked).unwrap();
    stage.tell(Command::Decided { player: ANNA, operation: asked.id, outcome });
    assert_eq!((potions(&stage, ANNA), potions(&stage, BERT)), (2, 4));
    stage.step();
    assert!(stage.world.player(BERT).is_none());
}

#[test]
fn a_gift_in_doubt_is_found_out_for_both() {
    for (done, parted) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut stage = two();
        stage.bank.mood = Mood::Lost { done };
        assert_eq!(stage.refused(ANNA, give(BERT, 2)), Some(Refusal::Unavailable));
        assert_eq!((potions(&stage, ANNA), potions(&stage, BERT)), (3, 3));
        stage.steps(30);
        let mut other = Stage::new(EAST);
        if parted {
            // Bert walks over the border with his doubt.
            stage.put(BERT, 0.5, 50.0);
            stage.until("Bert has crossed", |stage| stage.world.player(BERT).is_none());
            let (_, transfer) = stage.transfer();
            std::mem::swap(&mut stage.bank, &mut other.bank);
            other.tell(Command::Arrive { transfer: Box::new(transfer), from: WEST });
            other.bank.mood = Mood::Willing;
            other.steps(30);
            std::mem::swap(&mut stage.bank, &mut other.bank);
        }
        stage.bank.mood = Mood::Willing;
        stage.steps(30);
        let bert = if parted { &other } else { &stage };
        let expected = if done { (1, 5) } else { (3, 3) };
        assert_eq!((potions(&stage, ANNA), potions(bert, BERT)), expected, "{done} {parted}");
        assert!(stage.world.is_certain(ANNA) && bert.world.is_certain(BERT));
    }
}

#[test]
fn a_quest_is_given_up_and_can_be_taken_anew() {
    let mut stage = two();
    let abandon = |quest: &str| Action::AbandonQuest(quest.into());
    assert_eq!(stage.refused(ANNA, abandon("none")), Some(Refusal::NoSuchQuest));
    assert!(matches!(stage.refused(ANNA, abandon("hunt")), Some(Refusal::QuestState(_))));
    stage.act(ANNA, Action::AcceptQuest("hunt".into()));
    assert_eq!(stage.refused(ANNA, abandon("hunt")), None);
    assert!(stage.state(ANNA).quests.is_empty());
    let asked = &stage.bank.book.last().unwrap().change;
    assert_eq!(*asked, Change::Abandon { quest: "hunt".into() });
    assert_eq!(stage.refused(ANNA, Action::AcceptQuest("hunt".into())), None);
}

#[test]
fn a_quest_that_is_in_no_table_any_more_can_be_given_up_and_a_done_one_not() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -50.0, 50.0);
    let quest = |key: &str, completed| QuestProgress { quest: key.into(), done: vec![], completed };
    state.quests = vec![quest("gone", false), quest("walk", true)];
    stage.tell(Command::Enter { state: Box::new(state) });
    assert_eq!(stage.refused(ANNA, Action::AbandonQuest("gone".into())), None);
    let refused = stage.refused(ANNA, Action::AbandonQuest("walk".into()));
    assert!(matches!(refused, Some(Refusal::QuestState(_))));
    assert_eq!(stage.state(ANNA).quests, [quest("walk", true)]);
}

#[test]
fn a_quest_that_was_given_up_in_an_outage_is_forgotten_once_the_store_is_back() {
    let mut stage = two();
    stage.act(ANNA, Action::AcceptQuest("hunt".into()));
    stage.bank.mood = Mood::Lost { done: false };
    assert_eq!(stage.refused(ANNA, Action::AbandonQuest("hunt".into())), None);
    let again = stage.refused(ANNA, Action::AcceptQuest("hunt".into()));
    assert!(matches!(again, Some(Refusal::QuestState(_))));
    stage.bank.mood = Mood::Willing;
    stage.steps(30);
    assert_eq!(stage.bank.book.len(), 1);
    assert_eq!(stage.refused(ANNA, Action::AcceptQuest("hunt".into())), None);
}
