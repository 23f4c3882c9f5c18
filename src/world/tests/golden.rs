//! A world's seed and commands decide it to the last bit, on any machine.

use rand::seq::IndexedRandom;

use super::*;
use crate::tick::TICK_MS;

/// What [`busy`] comes to. It changes with the rules, with the stage and with the script below, and
/// with nothing else: if none of them was changed, the world has come to depend on its machine.
const BUSY: u64 = 0xab18_bb7b_1e70_e3ad;

/// FNV-1a, 64 bits.
fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What somebody does who does anything.
fn deed(chance: &mut ChaCha8Rng, stage: &Stage, player: PlayerId, sequence: u32) -> Action {
    let at = stage.world.player(player).map(|state| state.pose.at).unwrap_or_default();
    let others: Vec<EntityId> = stage.world.entities.iter().map(|(_, entity)| entity.id).collect();
    let target = others.choose(chance).copied().unwrap_or_default();
    let mut near = |most: f32| chance.random_range(-most..most);
    let (dx, dy, far_x, far_y) = (near(0.4), near(0.4), near(60.0), near(60.0));
    match chance.random_range(0..12) {
        0..=4 => Action::Move {
            x: at.x + dx,
            y: at.y + dy,
            rotation: dx * 400.0,
            sequence,
            client_time: 0,
        },
        5..=6 => Action::MoveTo { x: at.x + far_x, y: at.y + far_y },
        7..=8 => Action::Attack { target, seen: Some((stage.world.tick().0, 20)) },
        9 => Action::Skill {
            skill: ["bolt", "storm", "mend", "dash"]
                .choose(chance)
                .copied()
                .unwrap_or("bolt")
                .into(),
            target: Some(target),
            seen: None,
        },
        10 => Action::PickUp(target),
        _ => Action::UseItem(ItemId(1)),
    }
}

/// Ten thousand ticks in which a dozen players walk, stream, fight, die, loot and come back.
fn busy() -> u64 {
    let mut stage = Stage::new(WEST);
    let mut chance = ChaCha8Rng::seed_from_u64(11);
    let players: Vec<PlayerId> = (1..=12).map(PlayerId).collect();
    let mut hash = 0xcbf2_9ce4_8422_2325;
    for tick in 0..10_000u32 {
        for player in &players {
            if stage.world.player(*player).is_none() {
                let x = -150.0 + player.0 as f32 * 8.0;
                stage.enter(*player, x, 60.0 + (tick % 90) as f32);
            } else if chance.random_range(0..8) == 0 {
                let action = deed(&mut chance, &stage, *player, tick);
                stage.act(*player, action);
            }
        }
        if tick.is_multiple_of(500) {
            stage.world.lose_time(u64::from(tick) / 10);
            stage.world.advance_to(TICK_MS);
        }
        stage.step();
        stage.log.clear();
        let frame = stage.world.frame().frame;
        for (packed, at) in frame.packed.iter().zip(&frame.at) {
            hash = fold(hash, &packed.0.to_le_bytes());
            hash = fold(hash, &at.x.to_bits().to_le_bytes());
            hash = fold(hash, &at.y.to_bits().to_le_bytes());
        }
    }
    for (_, entity) in stage.world.entities.iter() {
        hash = fold(hash, &entity.appearance.health.to_le_bytes());
        hash = fold(hash, &entity.pose.rotation.to_bits().to_le_bytes());
    }
    hash
}

#[test]
fn ten_thousand_busy_ticks_are_the_same_on_any_machine() {
    let came_to = busy();
    assert_eq!(came_to, BUSY, "it comes to {came_to:#018x}");
}
