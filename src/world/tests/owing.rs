//! What is owed to those who leave, what is told of one's own numbers, and that nothing is lost or
//! doubled whatever the store says.

use proptest::prelude::*;

use super::giving::{POTION, on_the_ground, potions, two};
use super::*;
use crate::limits::STACK_MAX;

fn left(stage: &Stage) -> Vec<Operation> {
    let left = |effect: &Effect| match effect {
        Effect::Left { owed, .. } => Some(owed.clone()),
        _ => None,
    };
    stage.log.iter().find_map(left).expect("somebody has left")
}

#[test]
fn gold_goes_along_with_the_last_save_of_who_leaves_in_an_outage() {
    let mut stage = two();
    let credit = |gold| Credit { experience: 0, gold, npc: None };
    stage.bank.mood = Mood::Lost { done: true };
    stage.tell(Command::Credit { player: ANNA, credit: credit(3) });
    stage.tell(Command::Credit { player: ANNA, credit: credit(4) });
    stage.tell(Command::Leave { player: ANNA });
    stage.steps(45);
    let owed = left(&stage);
    assert_eq!(owed.len(), 2, "the one in doubt, under its id, and the rest: {owed:?}");
    stage.bank.mood = Mood::Willing;
    for operation in &owed {
        stage.bank.decide(operation);
    }
    assert_eq!(stage.bank.gold[&ANNA], 17, "each once");
}

#[test]
fn gold_that_is_asked_for_or_waits_goes_along_too() {
    let mut stage = two();
    stage.bank.mood = Mood::Silent;
    stage.act(ANNA, Action::UseItem(POTION));
    let credit = Credit { experience: 0, gold: 5, npc: None };
    stage.tell(Command::Credit { player: ANNA, credit });
    stage.tell(Command::Leave { player: ANNA });
    stage.steps(45);
    let owed = left(&stage);
    let gold = owed.iter().map(|operation| match operation.change {
        Change::Grant { gold, .. } => gold,
        _ => panic!("{operation:?}"),
    });
    assert_eq!(gold.sum::<u64>(), 5);
}

#[test]
fn gold_that_does_not_fit_stays_owed() {
    let mut stage = two();
    stage.bank.mood = Mood::Full;
    let credit = Credit { experience: 0, gold: 5, npc: None };
    stage.tell(Command::Credit { player: ANNA, credit });
    stage.steps(20);
    stage.bank.mood = Mood::Willing;
    stage.until("it is paid", |stage| stage.state(ANNA).gold == 15);
    stage.steps(250);
    assert_eq!(stage.state(ANNA).gold, 15, "once");
}

#[test]
fn a_reward_comes_with_its_experience_in_one_operation() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -50.0, 50.0);
    state.experience = 7;
    state.quests.push(QuestProgress { quest: "hunt".into(), done: vec![1, 1], completed: false });
    stage.tell(Command::Enter { state: Box::new(state) });
    stage.until("it is rewarded", |stage| stage.state(ANNA).quests[0].completed);
    let Change::Grant { quest, .. } = &stage.bank.book[0].change else { panic!("no reward") };
    assert_eq!(*quest, Some(("hunt".into(), 107)), "what the store then has is what she has");
    assert_eq!(stage.state(ANNA).experience, 107);
}

fn stats(stage: &Stage) -> Vec<OwnStats> {
    let stats = |notice| match notice {
        Notice::Stats(stats) => Some(stats),
        _ => None,
    };
    stage.notices(ANNA).into_iter().filter_map(stats).collect()
}

#[test]
fn ones_own_numbers_are_told_as_they_change_and_not_while_they_stay() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.steps(5);
    let first = OwnStats {
        health: 100,
        max_health: 100,
        power: 100,
        max_power: 100,
        next_level_at: Some(100),
        level: 1,
        ..OwnStats::default()
    };
    assert_eq!(stats(&stage), [first]);
    stage.steps(100);
    assert_eq!(stats(&stage).len(), 1, "nothing has changed");
    stage.act(ANNA, Action::Skill { skill: "dash".into(), target: None, seen: None });
    stage.steps(5);
    let now = stats(&stage).pop().unwrap();
    assert_eq!(now.power, 90);
    let (what, left) = &now.cooldowns[0];
    assert_eq!(*what, Cooling::Skill("dash".into()));
    assert!((4_700..5_000).contains(left), "{left}");
    stage.tell(Command::Credit {
        player: ANNA,
        credit: Credit { experience: 150, gold: 3, npc: None },
    });
    stage.steps(5);
    let now = stats(&stage).pop().unwrap();
    assert_eq!((now.level, now.experience, now.gold, now.max_health), (2, 150, 3, 120));
}

#[test]
fn ones_own_numbers_come_at_most_four_times_a_second_and_anew_when_asked() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    for health in 1..=40 {
        stage.set_health(ANNA, health);
        stage.step();
    }
    assert_eq!(stats(&stage).len(), 8);
    stage.set_health(ANNA, 100);
    stage.steps(10);
    let before = stats(&stage).len();
    stage.act(ANNA, Action::Stats);
    stage.steps(5);
    assert_eq!(stats(&stage).len(), before + 1);
    stage.enter(ANNA, -50.0, 50.0);
    stage.steps(5);
    assert_eq!(stats(&stage).len(), before + 2, "another session has been told nothing");
}

/// What one of the two does, or what becomes of the store.
#[derive(Debug, Clone)]
enum Line {
    Act(bool, u8, u32),
    Mood(Mood),
    Steps(u64),
    Leave(bool),
    Enter(bool),
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let mood = prop::sample::select(vec![
        Mood::Willing,
        Mood::Willing,
        Mood::Away,
        Mood::Mumbling,
        Mood::Silent,
        Mood::Full,
        Mood::ReceiverFull,
        Mood::Lost { done: true },
        Mood::Lost { done: false },
    ]);
    let line = prop_oneof![
        6 => (any::<bool>(), 0u8..6, 1u32..3).prop_map(|(who, what, n)| Line::Act(who, what, n)),
        2 => mood.prop_map(Line::Mood),
        3 => (1u64..60).prop_map(Line::Steps),
        1 => any::<bool>().prop_map(Line::Leave),
        1 => any::<bool>().prop_map(Line::Enter),
    ];
    prop::collection::vec(line, 1..60)
}

fn play(script: &[Line]) -> Stage {
    let mut stage = two();
    for line in script {
        match *line {
            Line::Mood(mood) => stage.bank.mood = mood,
            Line::Steps(ticks) => stage.steps(ticks),
            Line::Leave(anna) => {
                stage.tell(Command::Leave { player: if anna { ANNA } else { BERT } });
            }
            Line::Enter(anna) => come_back(&mut stage, if anna { ANNA } else { BERT }),
            Line::Act(anna, what, quantity) => {
                let (me, other) = if anna { (ANNA, BERT) } else { (BERT, ANNA) };
                let Some(state) = stage.world.player(me) else { continue };
                let item = state.inventory.first().map_or(ItemId(0), |stack| stack.id);
                let thing = stage.things("potion").first().copied().unwrap_or(EntityId(1 << 40));
                let gift = Gift::Items { item, quantity };
                stage.act(
                    me,
                    match what {
                        0 => Action::Drop { item, quantity },
                        1 => Action::Give { to: other.into(), gift },
                        2 => Action::PickUp(thing),
                        3 => {
                            Action::Give { to: other.into(), gift: Gift::Gold(u64::from(quantity)) }
                        }
                        4 => Action::Destroy { item, quantity },
                        _ => Action::UseItem(item),
                    },
                );
            }
        }
    }
    stage.bank.mood = Mood::Willing;
    stage.steps(300);
    stage
}

/// As the store has it, once what is owed to it is paid.
fn come_back(stage: &mut Stage, player: PlayerId) {
    if stage.world.player(player).is_some() || stage.bank.mood != Mood::Willing {
        return;
    }
    let mut state = newcomer(player, WEST, -50.0, 50.0);
    state.gold = stage.bank.gold[&player];
    let stacks = stage
        .bank
        .stacks
        .iter()
        .filter(|((owner, _), stack)| *owner == player && stack.quantity > 0);
    state.inventory = stacks.map(|(_, stack)| stack.clone()).collect();
    stage.tell(Command::Enter { state: Box::new(state) });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the store says and whoever leaves: nothing is made of nothing and nothing is lost
    /// but what was used, destroyed or has decayed.
    #[test]
    fn nothing_is_lost_or_doubled(script in lines()) {
        let stage = play(&script);
        let mut owned = 0i64;
        for player in [ANNA, BERT] {
            let held = stage.bank.held(player, "potion");
            prop_assert!(held <= STACK_MAX);
            owned += i64::from(held);
            if stage.world.player(player).is_some() {
                prop_assert!(stage.world.is_certain(player), "{player} is still in doubt");
                prop_assert_eq!(potions(&stage, player), held);
                prop_assert_eq!(stage.state(player).gold, stage.bank.gold[&player]);
            }
        }
        let gone: i64 = stage.bank.book.iter().map(|operation| match &operation.change {
            Change::Consume { quantity, .. } => i64::from(*quantity),
            Change::Grant { items, .. } => -items.iter().map(|item| i64::from(item.1)).sum::<i64>(),
            Change::Give { .. } | Change::Abandon { .. } => 0,
        }).sum();
        prop_assert_eq!(owned + gone, 6);
        let lost = stage.counted(ANNA, "items_used") + stage.counted(BERT, "items_used");
        prop_assert!(i64::from(on_the_ground(&stage)) + lost as i64 <= gone);
        prop_assert!(!stage.world.drops_in_doubt());
        prop_assert_eq!(stage.bank.gold[&ANNA] + stage.bank.gold[&BERT], 20);
    }
}
