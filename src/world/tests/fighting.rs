//! Blows, skills, deaths, and who may strike whom.

use super::*;
use crate::tick::TICK_MS;

fn guild(id: u64) -> Option<GuildTag> {
    Some(GuildTag { id: GuildId(id), name: format!("guild{id}").into() })
}

fn join(stage: &mut Stage, player: PlayerId, id: u64) {
    stage.tell(Command::SetGuild { player, guild: guild(id) });
}

#[test]
fn a_wolf_dies_of_ten_blows_and_leaves_its_pelt_experience_and_gold() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -145.0, 150.0);
    let wolf = stage.npc("wolf");
    stage.step();
    for blow in 1..=10u32 {
        assert_eq!(stage.attack(ANNA, wolf), None, "blow {blow}");
        assert!(
            matches!(
                stage.attack(ANNA, wolf),
                Some(Refusal::Cooldown(500)) | Some(Refusal::TargetDead)
            ) || blow == 10
        );
        stage.steps(10);
    }
    let events = stage.events();
    let struck = EventKind::PlayerAttack { attacker: ANNA.into(), target: wolf, damage: 12 };
    let hurt =
        EventKind::PlayerDamage { victim: wolf, attacker: ANNA.into(), damage: 12, remaining: 98 };
    let first = events.iter().position(|event| *event == struck).unwrap();
    assert_eq!(events[first + 1], hurt);
    assert!(events.contains(&EventKind::PlayerDeath { victim: wolf, killer: ANNA.into() }));
    assert_eq!(stage.things("pelt").len(), 1);
    let state = stage.state(ANNA);
    assert_eq!((state.experience, state.gold), (40, 3));
    assert_eq!(stage.counted(ANNA, "kills"), 1);
    assert_eq!(stage.counted(ANNA, "damage_dealt"), 110, "not more than it had");
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::TargetDead));
}

#[test]
fn what_cannot_be_struck_is_refused() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -185.0, 12.0);
    stage.enter(BERT, -184.0, 12.0);
    let (elder, wolf) = (stage.npc("elder"), stage.npc("wolf"));
    let flower = stage.things("flower")[0];
    assert!(matches!(stage.attack(ANNA, ANNA.into()), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.attack(ANNA, elder), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.attack(ANNA, BERT.into()), Some(Refusal::NotAllowed(_))));
    stage.put(flower, -182.0, 12.0);
    assert!(matches!(stage.attack(ANNA, flower), Some(Refusal::NotAllowed(_))));
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::NoSuchTarget), "it is out of sight");
    stage.put(wolf, -185.0, 62.0);
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::OutOfRange));
    assert_eq!(stage.attack(ANNA, EntityId(9_999)), Some(Refusal::NoSuchTarget));
    assert_eq!(stage.attack(ANNA, EntityId(u64::MAX)), Some(Refusal::NoSuchTarget));
    stage.set_health(ANNA, 0);
    assert_eq!(stage.attack(ANNA, wolf), Some(Refusal::Dead));
}

#[test]
fn players_strike_players_only_where_the_zone_and_their_level_allow_it() {
    let mut stage = Stage::new(EAST);
    stage.tell(veteran(ANNA, EAST, 50.0, 50.0));
    stage.enter(BERT, 51.0, 50.0);
    assert!(matches!(stage.attack(ANNA, BERT.into()), Some(Refusal::NotAllowed(_))), "too young");
    stage.tell(veteran(PlayerId(3), EAST, 52.0, 50.0));
    assert_eq!(stage.attack(ANNA, EntityId(3)), None);
    stage.steps(10);
    join(&mut stage, ANNA, 7);
    join(&mut stage, PlayerId(3), 7);
    assert!(matches!(stage.attack(ANNA, EntityId(3)), Some(Refusal::NotAllowed(_))), "a mate");
}

#[test]
fn a_guild_war_is_fought_anywhere_and_its_kills_count() {
    let mut stage = Stage::new(WEST);
    stage.tell(veteran(ANNA, WEST, -50.0, 50.0));
    stage.tell(veteran(BERT, WEST, -51.0, 50.0));
    join(&mut stage, ANNA, 9);
    join(&mut stage, BERT, 4);
    assert!(stage.attack(ANNA, BERT.into()).is_some());
    stage.tell(Command::SetWars(vec![(GuildId(4), GuildId(9))]));
    stage.set_health(BERT, 18);
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    let kill = stage.log.iter().find_map(|effect| match effect {
        Effect::WarKill { killer, victim, .. } => Some((*killer, *victim)),
        _ => None,
    });
    assert_eq!(kill, Some(((ANNA, GuildId(9)), (BERT, GuildId(4)))));
    assert_eq!((stage.counted(ANNA, "player_kills"), stage.counted(BERT, "deaths")), (1, 1));
}

#[test]
fn a_guild_war_spares_the_young_but_where_players_fight_anyway() {
    for (zone, x, struck) in [(WEST, -50.0, false), (EAST, 50.0, true)] {
        let mut stage = Stage::new(zone);
        stage.tell(veteran(ANNA, zone, x, 50.0));
        stage.enter(BERT, x + 1.0, 50.0);
        join(&mut stage, ANNA, 9);
        join(&mut stage, BERT, 4);
        stage.tell(Command::SetWars(vec![(GuildId(4), GuildId(9))]));
        for (striker, victim) in [(ANNA, BERT), (BERT, ANNA)] {
            let refused = stage.attack(striker, victim.into());
            assert_eq!(refused.is_none(), struck, "{refused:?}");
            assert!(struck || matches!(refused, Some(Refusal::NotAllowed(_))), "{refused:?}");
        }
    }
}

#[test]
fn the_dead_return_at_the_spawn_after_five_seconds() {
    let mut stage = Stage::new(EAST);
    stage.tell(veteran(ANNA, EAST, 150.0, 150.0));
    stage.tell(veteran(BERT, EAST, 151.0, 150.0));
    stage.set_health(BERT, 1);
    assert_eq!(stage.attack(ANNA, BERT.into()), None);
    assert_eq!(stage.state(BERT).health, 0);
    let deaths =
        stage.events().iter().filter(|e| matches!(e, EventKind::PlayerDeath { .. })).count();
    assert_eq!(deaths, 1, "one death");
    stage.steps(10);
    assert_eq!(stage.attack(ANNA, BERT.into()), Some(Refusal::TargetDead));
    stage.steps(89);
    assert_eq!(stage.state(BERT).health, 0);
    stage.step();
    let state = stage.state(BERT);
    assert_eq!((state.health, state.pose.at), (160, Point { x: 50.0, y: 50.0 }));
    assert_eq!(stage.corrections(BERT), ["returned to life"]);
}

#[test]
fn an_attack_finds_its_target_where_the_attacker_saw_it() {
    let mut stage = Stage::new(EAST);
    stage.tell(veteran(ANNA, EAST, 50.0, 50.0));
    stage.tell(veteran(BERT, EAST, 59.5, 50.0));
    stage.steps(20);
    stage.act(BERT, Action::MoveTo { x: 90.0, y: 50.0 });
    stage.steps(3);
    let now = stage.world.tick().0;
    assert_eq!(stage.attack(ANNA, BERT.into()), Some(Refusal::OutOfRange), "it is at 10.25 m");
    let strike = |seen| Action::Attack { target: BERT.into(), seen };
    assert_eq!(stage.refused(ANNA, strike(Some((now + 5, 0)))), Some(Refusal::OutOfRange));
    assert_eq!(stage.refused(ANNA, strike(Some((u64::MAX, 49)))), Some(Refusal::OutOfRange));
    assert_eq!(stage.refused(ANNA, strike(Some((now - 2, 0)))), None, "it was at 9.75 m");
    stage.steps(20);
    assert_eq!(
        stage.refused(ANNA, strike(Some((now - 3, 0)))),
        Some(Refusal::OutOfRange),
        "more than 200 ms back is not believed"
    );
}

#[test]
fn peace_gives_health_and_power_back() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.set_health(ANNA, 50);
    stage.steps(5 * 1000 / TICK_MS);
    assert_eq!(stage.state(ANNA).health, 60);
    stage.put(stage.npc("deer"), -45.0, 50.0);
    assert_eq!(stage.attack(ANNA, stage.npc("deer")), None);
    stage.put(stage.npc("deer"), -20.0, 180.0);
    let health = stage.state(ANNA).health;
    stage.steps(6 * 1000 / TICK_MS - 1);
    assert!(stage.state(ANNA).health <= health, "not in a fight");
}

#[test]
fn each_skill_does_what_it_says() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.enter(BERT, -52.0, 50.0);
    let (wolf, deer) = (stage.npc("wolf"), stage.npc("deer"));
    stage.put(wolf, -48.0, 50.0);
    stage.put(deer, -45.0, 50.0);
    assert_eq!(stage.refused(ANNA, skill("bolt", Some(wolf))), None);
    assert_eq!(stage.entity(wolf).appearance.health, 85);
    assert_eq!(stage.state(ANNA).power, 70);
    let again = stage.refused(ANNA, skill("bolt", Some(wolf)));
    assert_eq!(again, Some(Refusal::Cooldown(1000)));
    assert_eq!(stage.refused(ANNA, skill("storm", None)), None);
    assert_eq!(stage.entity(wolf).appearance.health, 70);
    assert_eq!(stage.entity(deer).appearance.health, 25);
    assert_eq!(stage.state(BERT).health, 100, "no player is hurt here");
    stage.set_health(BERT, 50);
    assert_eq!(stage.refused(ANNA, skill("mend", Some(BERT.into()))), None);
    assert_eq!(stage.state(BERT).health, 80);
    let me: EntityId = ANNA.into();
    let used = |skill: &str, target: EntityId, amount: u32| EventKind::SkillUse {
        caster: me,
        skill: skill.into(),
        target,
        amount,
    };
    let events = stage.events();
    for event in [used("bolt", wolf, 25), used("storm", me, 30), used("mend", BERT.into(), 30)] {
        assert!(events.contains(&event), "{event:?} in {events:?}");
    }
}

#[test]
fn haste_is_faster_for_a_while() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -150.0, 50.0);
    stage.act(ANNA, skill("dash", None));
    assert_eq!(stage.entity(ANNA.into()).appearance.speed, 10.0);
    stage.act(ANNA, Action::MoveTo { x: -50.0, y: 50.0 });
    stage.steps(40);
    let x = stage.state(ANNA).pose.at.x;
    assert!((x + 135.0).abs() < 0.6, "10 m in the first second and 5 in the next, not {x}");
    assert_eq!(stage.entity(ANNA.into()).appearance.speed, 5.0);
}

#[test]
fn a_skill_that_cannot_be_used_is_refused() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -145.0, 150.0);
    let wolf = stage.npc("wolf");
    assert_eq!(stage.refused(ANNA, skill("fly", None)), Some(Refusal::NoSuchSkill));
    assert_eq!(stage.refused(ANNA, skill("comet", Some(wolf))), Some(Refusal::LevelTooLow(5)));
    assert!(matches!(stage.refused(ANNA, skill("bolt", None)), Some(Refusal::NotAllowed(_))));
    assert!(matches!(stage.refused(ANNA, skill("mend", Some(wolf))), Some(Refusal::NotAllowed(_))));
    for _ in 0..3 {
        assert_eq!(stage.refused(ANNA, skill("bolt", Some(wolf))), None);
        stage.steps(20);
    }
    assert_eq!(stage.refused(ANNA, skill("bolt", Some(wolf))), Some(Refusal::NotEnoughPower));
    stage.set_health(ANNA, 0);
    assert_eq!(stage.refused(ANNA, skill("mend", None)), Some(Refusal::Dead));
}

#[test]
fn who_rises_a_level_is_stronger_and_whole() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -50.0, 50.0);
    stage.set_health(ANNA, 10);
    let credit = Credit { experience: 400, gold: 0, npc: None };
    stage.tell(Command::Credit { player: ANNA, credit });
    let state = stage.state(ANNA);
    assert_eq!((state.level, state.health, state.power), (3, 140, 120));
    let update = {
        stage.step();
        stage.world.frame()
    };
    let change = update.appearances.iter().find(|(_, _, id, _)| *id == ANNA.into()).unwrap();
    assert_eq!(change.1, AppearanceChange::Announce);
}
