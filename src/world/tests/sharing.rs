//! What a kill earns: by damage, for everybody who did a real part, wherever it struck from.

use super::*;

const CARA: PlayerId = PlayerId(3);

/// Somebody does damage to an NPC with plain blows of 12.
fn strike(stage: &mut Stage, player: PlayerId, target: EntityId, blows: u32) {
    for _ in 0..blows {
        assert_eq!(stage.attack(player, target), None);
        stage.set_health(player, 100);
        stage.steps(10);
    }
}

#[test]
fn the_last_blow_does_not_take_all() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -146.0, 150.0);
    stage.enter(BERT, -146.0, 151.0);
    for player in [ANNA, BERT] {
        assert_eq!(stage.refused(player, Action::AcceptQuest("hunt".into())), None);
    }
    let wolf = stage.npc("wolf");
    strike(&mut stage, ANNA, wolf, 6);
    strike(&mut stage, BERT, wolf, 4);
    assert!(!stage.entity(wolf).is_alive());
    // 72 and 38 of 110: 26 and 13 of 40, and the odd one.
    assert_eq!((stage.state(ANNA).experience, stage.state(BERT).experience), (27, 13));
    assert_eq!(stage.state(ANNA).gold + stage.state(BERT).gold, 3);
    for player in [ANNA, BERT] {
        assert_eq!(stage.state(player).quests[0].done, [1, 0], "both have killed it");
        assert_eq!(stage.counted(player, "kills"), 1);
    }
    let pelt = stage.things("pelt")[0];
    let at = stage.entity(pelt).pose.at;
    stage.put(ANNA, at.x, at.y);
    stage.put(BERT, at.x, at.y);
    let refusal = stage.refused(BERT, Action::PickUp(pelt));
    assert!(matches!(refusal, Some(Refusal::NotAllowed(_))), "it is hers who did most");
    assert_eq!(stage.refused(ANNA, Action::PickUp(pelt)), None);
}

#[test]
fn who_only_touched_it_has_no_part() {
    let mut stage = Stage::new(WEST);
    stage.tell(veteran(ANNA, WEST, -146.0, 150.0));
    stage.enter(BERT, -146.0, 151.0);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 5);
    assert_eq!(stage.attack(BERT, wolf), None, "it dies of 5");
    assert_eq!(stage.state(BERT).experience, 40);
    stage.until("it lives again", |stage| stage.entity(wolf).is_alive());
    stage.put(BERT, -146.0, 151.0);
    stage.set_health(wolf, 1_000);
    strike(&mut stage, BERT, wolf, 1);
    strike(&mut stage, ANNA, wolf, 8);
    stage.set_health(wolf, 1);
    strike(&mut stage, ANNA, wolf, 1);
    assert_eq!(
        stage.counted(BERT, "kills"),
        1,
        "12 of 157 is no real part, and old blows are gone"
    );
    assert_eq!(stage.state(BERT).experience, 40);
}

#[test]
fn a_part_is_given_over_the_border_and_to_who_has_just_crossed_it() {
    let (mut west, mut east) = (Stage::new(WEST), Stage::new(EAST));
    west.enter(ANNA, -1.0, 100.0);
    east.enter(BERT, 1.0, 100.0);
    east.enter(CARA, 2.0, 101.0);
    let deer = east.npc("deer");
    strike(&mut east, BERT, deer, 1);
    assert_eq!(west.attack(ANNA, deer), None);
    east.tell(Command::Strike(Box::new(strike_of(&west).1)));
    // Bert walks over into the West, where the deer does not follow.
    east.act(BERT, Action::MoveTo { x: -3.0, y: 100.0 });
    east.until("he is gone", |stage| stage.world.player(BERT).is_none());
    east.set_health(deer, 12);
    strike(&mut east, CARA, deer, 1);
    let credited: Vec<_> = east
        .log
        .iter()
        .filter_map(|effect| match effect {
            Effect::Credit { zone, player, credit } => Some((*zone, *player, credit.experience)),
            _ => None,
        })
        .collect();
    assert!(east.things("pelt").is_empty() && !east.entity(deer).is_alive());
    assert_eq!(credited, [(WEST, BERT, 4), (WEST, ANNA, 3)], "the odd one is the first one's");
    assert_eq!(east.state(CARA).experience, 3);
}

#[test]
fn far_lower_animals_teach_nothing() {
    let mut stage = Stage::new(WEST);
    let mut state = newcomer(ANNA, WEST, -146.0, 150.0);
    state.experience = 100 * 9 * 9;
    stage.tell(Command::Enter { state: Box::new(state) });
    assert_eq!(stage.state(ANNA).level, 10);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    assert_eq!(stage.attack(ANNA, wolf), None);
    assert_eq!(stage.state(ANNA).experience, 100 * 9 * 9);
    assert_eq!(stage.counted(ANNA, "kills"), 1, "it is killed all the same");
    assert_eq!(stage.state(ANNA).gold, 3);
}
