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
