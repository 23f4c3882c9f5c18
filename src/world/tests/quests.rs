//! Quests from their acceptance to their reward.

use super::*;
use crate::world::quest::reward_id;

fn accept(stage: &mut Stage, quest: &str) -> Option<Refusal> {
    stage.refused(ANNA, Action::AcceptQuest(quest.into()))
}

#[test]
fn a_wolf_is_hunted_its_pelt_taken_and_the_reward_comes_once() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -148.0, 150.0);
    assert_eq!(accept(&mut stage, "hunt"), None);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    stage.attack(ANNA, wolf);
    assert_eq!(stage.state(ANNA).quests[0].done, [1, 0]);
    let pelt = stage.things("pelt")[0];
    assert_eq!(stage.refused(ANNA, Action::PickUp(pelt)), None);
    let state = stage.state(ANNA);
    assert!(state.quests[0].completed);
    assert_eq!((state.level, state.experience, state.gold), (2, 140, 13));
    let rewards: Vec<OperationId> = stage
        .bank
        .book
        .iter()
        .filter(|o| matches!(&o.change, Change::Grant { quest: Some(_), .. }))
        .map(|operation| operation.id)
        .collect();
    assert_eq!(rewards, [reward_id(ANNA, "hunt")]);
    let complete = EventKind::QuestComplete { player: ANNA.into(), quest: "hunt".into() };
    assert_eq!(stage.events().iter().filter(|event| **event == complete).count(), 1);
    assert_eq!(stage.counted(ANNA, "quests_completed"), 1);
    assert!(matches!(accept(&mut stage, "hunt"), Some(Refusal::QuestState(_))));
}

#[test]
fn what_was_done_before_accepting_does_not_count() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -148.0, 150.0);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    stage.attack(ANNA, wolf);
    accept(&mut stage, "hunt");
    assert_eq!(stage.state(ANNA).quests[0].done, [0, 0]);
}

#[test]
fn a_place_is_visited() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -120.0, 100.0);
    accept(&mut stage, "walk");
    stage.act(ANNA, Action::MoveTo { x: -100.0, y: 100.0 });
    stage.until("it has been there", |stage| stage.state(ANNA).quests[0].completed);
    assert!(stage.state(ANNA).pose.at.x > -105.1);
}

#[test]
fn a_quest_that_cannot_be_accepted_is_refused() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    assert_eq!(accept(&mut stage, "none"), Some(Refusal::NoSuchQuest));
    assert_eq!(accept(&mut stage, "grown"), Some(Refusal::LevelTooLow(5)));
    assert_eq!(accept(&mut stage, "hunt"), None);
    assert!(matches!(accept(&mut stage, "hunt"), Some(Refusal::QuestState(_))));
    let open = stage.notices(ANNA).iter().filter(|n| matches!(n, Notice::Quests(_))).count();
    assert_eq!(open, 1, "one answer");
}

#[test]
fn a_reward_waits_for_the_store() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -100.0, 100.0);
    stage.bank.mood = Mood::Mumbling;
    accept(&mut stage, "walk");
    stage.steps(30);
    assert!(!stage.state(ANNA).quests[0].completed);
    stage.bank.mood = Mood::Full;
    stage.steps(300);
    let told = stage.refusals(ANNA).into_iter().filter(|(_, r)| *r == Refusal::InventoryFull);
    assert_eq!(told.count(), 1, "told once");
    stage.bank.mood = Mood::Willing;
    stage.until("it is rewarded", |stage| stage.state(ANNA).quests[0].completed);
    assert_eq!(stage.bank.book.len(), 1);
}

#[test]
fn a_reward_that_a_crash_has_cut_off_is_asked_again_under_the_same_id() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -50.0, 50.0);
    state.quests.push(QuestProgress { quest: "hunt".into(), done: vec![1, 1], completed: false });
    stage.tell(Command::Enter { state: Box::new(state) });
    stage.until("it is rewarded", |stage| stage.state(ANNA).quests[0].completed);
    assert_eq!(stage.bank.book[0].id, reward_id(ANNA, "hunt"));
}

#[test]
fn a_quest_that_is_in_no_table_any_more_harms_nobody() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -100.0, 100.0);
    state.quests.push(QuestProgress { quest: "gone".into(), done: vec![], completed: false });
    state.quests.push(QuestProgress { quest: "walk".into(), done: vec![9, 9], completed: false });
    stage.tell(Command::Enter { state: Box::new(state) });
    stage.steps(120);
    let state = stage.state(ANNA);
    assert!(!state.quests[0].completed && state.quests[1].completed);
}

#[test]
fn a_newcomer_to_the_default_world_does_its_first_quest_within_two_minutes() {
    let world = Content::standard();
    let (zone, spawn) = (world.zones[0].id, world.zones[0].spawn);
    let mut stage = Stage::of(world, zone);
    stage.enter(ANNA, spawn.x, spawn.y);
    accept(&mut stage, "wolf_hunt");
    let (wolf, mut blows) = (stage.npc("wolf"), 0);
    for _ in 0..2_400 {
        stage.step();
        let me = stage.state(ANNA);
        assert!(me.health > 0, "nobody dies of the first wolf");
        if me.quests[0].completed {
            break;
        }
        let pelt = stage.things("wolf_pelt").first().copied();
        let at = stage.entity(pelt.unwrap_or(wolf)).pose.at;
        if me.pose.at.distance(at) > 2.0 {
            stage.act(ANNA, Action::MoveTo { x: at.x, y: at.y });
        }
        match pelt {
            Some(pelt) => drop(stage.act(ANNA, Action::PickUp(pelt))),
            None => blows += u32::from(stage.attack(ANNA, wolf).is_none()),
        }
    }
    let me = stage.state(ANNA);
    assert!(me.quests[0].completed && me.level == 2, "{me:?}");
    assert_eq!(blows, 10);
    assert!(stage.world.tick().0 < 1_200, "even within one: {}", stage.world.tick());
}
