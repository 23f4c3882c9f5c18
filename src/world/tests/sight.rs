//! Nothing can be learned of what one cannot see: every action that names an entity answers alike.

use super::*;

/// Every action that names something.
fn asking(target: EntityId) -> [Action; 4] {
    [
        Action::Attack { target, seen: None },
        skill("bolt", Some(target)),
        skill("mend", Some(target)),
        Action::PickUp(target),
    ]
}

/// What Anna hears of `target`, who has all her power and no cooldowns.
fn heard(stage: &mut Stage, target: EntityId) -> Vec<Option<Refusal>> {
    let mut heard = Vec::new();
    for action in asking(target) {
        stage.steps(20);
        stage.set_health(ANNA, 100);
        heard.push(stage.refused(ANNA, action));
    }
    heard
}

#[test]
fn what_is_out_of_sight_is_spoken_of_as_what_is_nowhere() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -112.0, 50.0);
    let mate = |player| Command::SetGuild {
        player,
        guild: Some(GuildTag { id: GuildId(3), name: "owls".into() }),
    };
    stage.tell(mate(ANNA));
    let nowhere = heard(&mut stage, PlayerId(77).into());
    assert_eq!(nowhere, vec![Some(Refusal::NoSuchTarget); 4]);
    assert_eq!(heard(&mut stage, EntityId::of_zone(WEST, 9_999)), nowhere);
    // A stranger, a guild mate, a dead one; an animal, a dead one, a peaceful one; a thing.
    for (id, dead) in [(2, false), (3, false), (4, true)] {
        stage.enter(PlayerId(id), -40.0, 50.0);
        if dead {
            stage.set_health(PlayerId(id), 0);
        }
    }
    stage.tell(mate(PlayerId(3)));
    let (wolf, deer, elder) = (stage.npc("wolf"), stage.npc("deer"), stage.npc("elder"));
    stage.set_health(deer, 0);
    let flower = stage.things("flower")[0];
    let players = [2, 3, 4].map(EntityId);
    for far in players.into_iter().chain([wolf, deer, elder, flower]) {
        assert_eq!(heard(&mut stage, far), nowhere, "{far:?}");
    }
    assert_eq!(stage.state(ANNA).power, 100, "and nothing was spent on it");
    stage.put(PlayerId(3), -80.0, 50.0);
    let seen = heard(&mut stage, EntityId(3));
    assert_eq!(seen, vec![Some(Refusal::OutOfRange); 4], "who is in sight is too far away");
}

#[test]
fn what_is_not_shown_is_not_there() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -146.0, 150.0);
    let wolf = stage.npc("wolf");
    stage.set_health(wolf, 1);
    assert_eq!(stage.attack(ANNA, wolf), None);
    stage.steps(20);
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::TargetDead), "it lies there");
    stage.until("it is gone", |stage| !stage.entity(wolf).visible);
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::NoSuchTarget));
}
