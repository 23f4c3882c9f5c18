//! The same seed and commands give the same world, whatever happens in it.

use proptest::prelude::*;

use super::*;

/// One thing that a script does.
#[derive(Debug, Clone)]
enum Line {
    Step(u64),
    Enter(u64, f32, f32),
    Leave(u64),
    Act(u64, Action),
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let player = 1u64..5;
    // Things of the zone, players, and what is not there.
    let entity = prop_oneof![
        (1u32..12).prop_map(|serial| EntityId::of_zone(WEST, serial)),
        (1u64..6).prop_map(EntityId),
    ];
    let place = (-210.0f32..20.0, -20.0f32..210.0);
    let action = prop_oneof![
        place.clone().prop_map(|(x, y)| Action::MoveTo { x, y }),
        (place.clone(), 0u32..40).prop_map(|((x, y), sequence)| Action::Move {
            x,
            y,
            rotation: x,
            sequence,
            client_time: 0
        }),
        (entity.clone(), prop::option::of((0u64..300, 0u32..50)))
            .prop_map(|(target, seen)| Action::Attack { target, seen }),
        (
            prop::sample::select(vec!["bolt", "storm", "mend", "dash"]),
            prop::option::of(entity.clone())
        )
            .prop_map(|(skill, target)| Action::Skill {
                skill: skill.into(),
                target,
                seen: None
            }),
        entity.prop_map(Action::PickUp),
        (1u64..3).prop_map(|item| Action::UseItem(ItemId(item))),
        Just(Action::AcceptQuest("hunt".into())),
        Just(Action::Say("hm".into())),
    ];
    let line = prop_oneof![
        3 => (1u64..30).prop_map(Line::Step),
        1 => (player.clone(), place).prop_map(|(id, (x, y))| Line::Enter(id, x, y)),
        1 => player.clone().prop_map(Line::Leave),
        6 => (player, action).prop_map(|(id, action)| Line::Act(id, action)),
    ];
    prop::collection::vec(line, 1..60)
}

fn play(script: &[Line]) -> (Vec<String>, Vec<frame::FrameUpdate>, Stage) {
    let mut stage = Stage::new(WEST);
    let mut frames = Vec::new();
    for line in script {
        match line.clone() {
            Line::Step(ticks) => {
                for _ in 0..ticks {
                    stage.step();
                    frames.push(stage.world.frame());
                }
            }
            Line::Enter(id, x, y) => stage.enter(PlayerId(id), x, y),
            Line::Leave(id) => stage.tell(Command::Leave { player: PlayerId(id) }),
            Line::Act(id, action) => drop(stage.act(PlayerId(id), action)),
        }
    }
    let effects = stage.log.iter().map(|effect| format!("{effect:?}")).collect();
    (effects, frames, stage)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_same_script_gives_the_same_world(script in lines()) {
        let (effects, frames, stage) = play(&script);
        let (again, frames_again, _) = play(&script);
        prop_assert_eq!(effects, again);
        for (one, other) in frames.iter().zip(&frames_again) {
            prop_assert_eq!(&one.frame, &other.frame);
            prop_assert_eq!(&one.appearances, &other.appearances);
        }
        // Whatever was done, these hold.
        for (_, entity) in stage.world.entities.iter() {
            prop_assert!(entity.appearance.health <= entity.appearance.max_health);
            prop_assert!(Point::checked(entity.pose.at.x, entity.pose.at.y).is_some());
            prop_assert!((0.0..360.0).contains(&entity.pose.rotation));
        }
        let events = stage.log.iter().filter_map(|effect| match effect {
            Effect::Event(event) => Some(event.id.0),
            _ => None,
        });
        for (index, id) in events.enumerate() {
            prop_assert_eq!(id, index as u64 + 1);
        }
    }
}

#[test]
fn another_seed_is_another_world() {
    let places = |seed| {
        let mut world = World::new(ZoneId(2), Arc::new(Content::standard()), 1, seed);
        world.step();
        world.frame().frame.packed
    };
    assert_eq!(places(1), places(1));
    assert_ne!(places(1), places(2));
}
