//! What NPCs do by themselves and to others.

use super::*;

fn place(stage: &Stage, id: EntityId) -> Point {
    stage.entity(id).pose.at
}

#[test]
fn a_patrol_walks_between_its_points() {
    let mut stage = Stage::new(WEST);
    let id = stage.npc("patroller");
    let (mut least, mut most) = (f32::MAX, f32::MIN);
    for _ in 0..1_200 {
        stage.step();
        let x = place(&stage, id).x;
        (least, most) = (least.min(x), most.max(x));
    }
    assert!((least + 100.0).abs() < 0.1 && (most + 80.0).abs() < 0.1, "{least} to {most}");
}

#[test]
fn a_wolf_notices_chases_fights_and_kills() {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -158.0, 150.0);
    stage.until("the wolf bites", |stage| stage.state(ANNA).health < 100);
    let reach = place(&stage, wolf).distance(stage.state(ANNA).pose.at);
    assert!(reach <= 2.5, "from {reach} m");
    stage.set_health(ANNA, 5);
    stage.until("the wolf kills", |stage| stage.state(ANNA).health == 0);
    assert!(stage.events().contains(&EventKind::PlayerDeath { victim: ANNA.into(), killer: wolf }));
    assert_eq!((stage.counted(ANNA, "deaths"), stage.counted(ANNA, "damage_taken")), (1, 10));
    stage.until("the wolf is home", |stage| {
        place(stage, wolf).distance(Point { x: -150.0, y: 150.0 }) < 0.2
    });
}

#[test]
fn a_wolf_gives_up_at_its_leash_and_heals_at_home() {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -145.0, 150.0);
    assert_eq!(stage.attack(ANNA, wolf), None);
    stage.act(ANNA, Action::MoveTo { x: -50.0, y: 150.0 });
    let home = Point { x: -150.0, y: 150.0 };
    let mut farthest = 0.0f32;
    for _ in 0..600 {
        stage.step();
        farthest = farthest.max(place(&stage, wolf).distance(home));
    }
    assert!(farthest > 5.0 && farthest <= 30.3, "it followed for {farthest} m");
    assert!(place(&stage, wolf).distance(home) < 0.2);
    assert_eq!(stage.entity(wolf).appearance.health, 110);
}

#[test]
fn who_only_strikes_back_leaves_others_in_peace() {
    let mut stage = Stage::new(WEST);
    let deer = stage.npc("deer");
    stage.enter(ANNA, -21.0, 180.0);
    stage.steps(100);
    assert_eq!(stage.state(ANNA).health, 100);
    assert_eq!(stage.attack(ANNA, deer), None);
    stage.until("it strikes back", |stage| stage.state(ANNA).health < 100);
}

#[test]
fn the_dead_lie_there_vanish_and_live_again() {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -145.0, 150.0);
    stage.set_health(wolf, 1);
    assert_eq!(stage.attack(ANNA, wolf), None);
    stage.put(ANNA, -50.0, 50.0);
    assert_eq!(stage.world.population().npcs, 3);
    assert!(stage.entity(wolf).visible);
    stage.steps(41);
    assert!(!stage.entity(wolf).visible);
    let frame = stage.world.frame().frame;
    assert_eq!(frame.place(stage.world.entities.handle(wolf).unwrap()), None);
    stage.steps(160);
    assert!(stage.entity(wolf).visible);
    assert_eq!(stage.entity(wolf).appearance.health, 110);
    let update = stage.world.frame();
    let handle = stage.world.entities.handle(wolf).unwrap();
    assert!(update.frame.moved.has(handle), "who comes back has moved");
    let appearances = update.appearances;
    assert!(
        appearances
            .iter()
            .any(|(_, change, id, _)| { *id == wolf && *change == AppearanceChange::Announce })
    );
}

/// Anna leads the wolf to its leash and stands there.
fn gave_up() -> (Stage, EntityId) {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -145.0, 150.0);
    assert_eq!(stage.attack(ANNA, wolf), None);
    stage.set_health(ANNA, 100);
    stage.put(wolf, -121.0, 150.0);
    stage.put(ANNA, -116.0, 150.0);
    stage.steps(2);
    (stage, wolf)
}

#[test]
fn who_goes_home_cannot_be_hurt_and_is_whole_there() {
    let (mut stage, wolf) = gave_up();
    let hurt = stage.entity(wolf).appearance.health;
    assert!(hurt < 110);
    stage.steps(20);
    for action in [
        Action::Attack { target: wolf, seen: None },
        skill("bolt", Some(wolf)),
        skill("mend", Some(wolf)),
    ] {
        let refusal = stage.refused(ANNA, action);
        assert!(matches!(refusal, Some(Refusal::NotAllowed(_))), "{refusal:?}");
    }
    let at = place(&stage, wolf);
    stage.put(ANNA, at.x, at.y);
    assert_eq!(stage.refused(ANNA, skill("storm", None)), None);
    assert!(stage.entity(wolf).appearance.health >= hurt, "a burst passes it by");
    stage.put(ANNA, -50.0, 50.0);
    stage.until("it is whole at home", |stage| {
        place(stage, wolf).distance(Point { x: -150.0, y: 150.0 }) < 0.2
            && stage.entity(wolf).appearance.health == 110
    });
    stage.put(ANNA, -145.0, 150.0);
    stage.steps(10);
    assert_eq!(stage.attack(ANNA, wolf), None, "at home it fights again");
}

#[test]
fn whoever_else_fights_it_is_next_when_its_prey_is_gone() {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -148.0, 150.0);
    stage.enter(BERT, -148.0, 151.0);
    assert_eq!(stage.attack(ANNA, wolf), None);
    assert_eq!(stage.attack(BERT, wolf), None);
    stage.put(ANNA, -50.0, 50.0);
    stage.until("it bites him", |stage| stage.state(BERT).health < 100);
    assert!(stage.entity(wolf).appearance.health < 110, "it has not been home");
}

/// A player of the West strikes something of the East, over the border.
fn strike_over(west: &mut Stage, east: &mut Stage, target: EntityId) {
    west.steps(10);
    assert_eq!(west.attack(ANNA, target), None);
    east.tell(Command::Strike(Box::new(strike_of(west).1)));
}

#[test]
fn a_stranger_over_the_border_neither_heals_it_nor_ends_its_fight() {
    let (mut west, mut east) = (Stage::new(WEST), Stage::new(EAST));
    west.enter(ANNA, -1.0, 100.0);
    east.enter(BERT, 4.0, 100.0);
    let deer = east.npc("deer");
    assert_eq!(east.attack(BERT, deer), None);
    east.steps(2);
    strike_over(&mut west, &mut east, deer);
    assert_eq!(east.entity(deer).appearance.health, 40 - 24, "it helps, no more");
    east.until("it fights on", |stage| stage.state(BERT).health < 100);
    assert!(east.entity(deer).appearance.health <= 40 - 24);
}

#[test]
fn who_shoots_one_in_peace_from_over_the_border_shoots_for_nothing() {
    let (mut west, mut east) = (Stage::new(WEST), Stage::new(EAST));
    west.enter(ANNA, -1.0, 100.0);
    let deer = east.npc("deer");
    east.put(deer, 8.0, 100.0);
    for _ in 0..20 {
        strike_over(&mut west, &mut east, deer);
        east.steps(10);
        assert!(east.entity(deer).is_alive());
    }
    east.until("it is whole", |stage| stage.entity(deer).appearance.health == 40);
    let refused = |effect: &&Effect| {
        let over = |refusal: &Refusal| matches!(refusal, Refusal::NotAllowed(_));
        matches!(effect, Effect::StrikeRefused { zone: WEST, player: ANNA, refusal, .. } if over(refusal))
    };
    assert!(east.log.iter().filter(refused).count() > 0, "and hears why");
}

#[test]
fn a_fight_goes_on_in_a_zone_that_moves() {
    let mut stage = Stage::new(WEST);
    let wolf = stage.npc("wolf");
    stage.enter(ANNA, -145.0, 150.0);
    stage.enter(BERT, -145.0, 151.0);
    assert_eq!(stage.attack(ANNA, wolf), None);
    assert_eq!(stage.attack(BERT, wolf), None);
    let whole = stage.world.whole();
    stage.world = World::from_whole(WEST, Arc::new(content()), (78, 6), whole);
    stage.set_health(wolf, 1);
    stage.steps(10);
    assert_eq!(stage.attack(ANNA, wolf), None);
    let shared = (stage.state(ANNA).experience, stage.state(BERT).experience);
    assert_eq!(shared, (21, 19), "13 and 12 of 25");
    let (evading, wolf) = gave_up();
    let whole = evading.world.whole();
    let mut there = Stage::new(WEST);
    there.world = World::from_whole(WEST, Arc::new(content()), (78, 6), whole);
    there.steps(10);
    assert!(matches!(there.attack(ANNA, wolf), Some(Refusal::NotAllowed(_))));
}
