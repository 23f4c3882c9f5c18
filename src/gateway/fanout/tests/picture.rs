//! Whatever happens and whatever is lost, a client ends up with a true picture.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::world::interest::ROUND;

/// Ticks within which a picture is true once nothing happens any more: what nobody announced is
/// told again in rounds.
const WITHIN: u64 = 2 * ROUND;

#[derive(Debug, Clone)]
enum Deed {
    Strike(u16, u16, u32),
    Heal(u16, u32),
    Rise(u16),
    Walk(u16, f32, f32),
}

/// What becomes of a tick's frame.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Comes,
    IsLost,
    IsPassedOver,
    /// It comes while the client does not read.
    FindsNoReader,
}

/// What a client believes.
#[derive(Default)]
struct Picture(BTreeMap<u64, (u32, u32, u64)>);

impl Picture {
    fn take(&mut self, said: Vec<Said>) {
        for said in said {
            match said {
                Said::Other(PacketType::ZoneEnter) => self.0.clear(),
                Said::Enter(it) => {
                    let place = it.position & 0x00ff_ffff_ffff_ffff;
                    self.0.insert(it.entity_id, (it.health, it.level, place));
                }
                Said::Leave(id) => {
                    self.0.remove(&id);
                }
                Said::Event(it) if it.kind() == proto::EventKind::EventPlayerDamage => {
                    if let Some(known) = self.0.get_mut(&it.target_id) {
                        known.0 = it.remaining;
                    }
                }
                Said::Positions(sync) => {
                    for record in sync.records {
                        let id = 1_000 + (record & 0xffff);
                        if let Some(known) = self.0.get_mut(&id) {
                            known.2 = record & 0x00ff_ffff_ffff_ffff;
                        }
                    }
                }
                Said::Event(_) | Said::Other(_) => {}
            }
        }
    }
}

fn deed() -> impl Strategy<Value = Deed> {
    let who = 0u16..8;
    let place = (130.0f32..270.0, 190.0f32..210.0);
    prop_oneof![
        4 => (who.clone(), who.clone(), 0u32..120).prop_map(|(a, b, n)| Deed::Strike(a, b, n)),
        2 => (who.clone(), 1u32..=100).prop_map(|(who, to)| Deed::Heal(who, to)),
        1 => who.clone().prop_map(Deed::Rise),
        3 => (who, place).prop_map(|(who, (x, y))| Deed::Walk(who, x, y)),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Comes),
        1 => Just(Fate::IsLost),
        1 => Just(Fate::IsPassedOver),
        1 => Just(Fate::FindsNoReader),
    ]
}

proptest! {
    #[test]
    fn after_any_course_of_things_a_picture_is_the_worlds(
        ticks in prop::collection::vec((prop::collection::vec(deed(), 0..5), fate()), 1..60),
        bandwidth in prop_oneof![Just(2_000u32), Just(30_000u32)],
    ) {
        let mut stage = Stage::new((bandwidth, bandwidth * 2));
        for handle in 0..8 {
            stage.put(handle, 170.0 + f32::from(handle) * 9.0, 200.0);
        }
        let conn = stage.look_on(0);
        let mut picture = Picture::default();
        stage.step();
        for (deeds, fate) in ticks {
            for deed in deeds {
                match deed {
                    Deed::Strike(by, of, amount) => stage.strike(by, of, amount),
                    Deed::Heal(who, to) => stage.heal(who, to),
                    Deed::Rise(who) => stage.rise(who),
                    Deed::Walk(who, x, y) => stage.walk(who, x, y),
                }
            }
            match fate {
                Fate::Comes => stage.step(),
                Fate::IsLost => stage.lose(),
                Fate::IsPassedOver => stage.pass_over(),
                Fate::FindsNoReader => {
                    stage.wires.slow.push(conn);
                    stage.step();
                    stage.wires.slow.clear();
                }
            }
        }
        for _ in 0..WITHIN {
            stage.step();
        }
        picture.take(stage.heard(conn));
        let eye = stage.things[&0].at;
        for thing in stage.things.values() {
            let distance = thing.at.distance(eye);
            let known = picture.0.get(&thing.id.0);
            let place = thing.shown_at.0 & 0x00ff_ffff_ffff_ffff;
            let truth = (thing.health, thing.level, place);
            if distance <= crate::limits::VIEW_RADIUS {
                prop_assert_eq!(known, Some(&truth), "{:?}", thing.id);
            } else if distance > crate::limits::LEAVE_RADIUS {
                prop_assert_eq!(known, None);
            } else if let Some(known) = known {
                prop_assert_eq!(known, &truth);
            }
        }
    }
}
