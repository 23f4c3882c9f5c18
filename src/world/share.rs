//! Who has a share in an NPC's death: damage is remembered for each player while the fight lasts,
//! and what the kill earns is divided by it.
//!
//! Whoever did a real part (`rules.share_min` of what the best one did) has the kill for quests and
//! gets experience and gold by damage; the loot is the best one's for a while. What is remembered
//! is bounded and forgotten with the fight.

use crate::geometry::Point;
use crate::ids::{Key, PlayerId, ZoneId};
use crate::world::World;
use crate::world::combat::Striker;
use crate::world::command::{Credit, Effect};
use crate::world::content::NpcKind;
use crate::world::entity::Body;
use crate::world::rules::Rules;

/// Players whose damage one NPC remembers. In a larger crowd a new one takes the place of whoever
/// has done least, once one blow of it does more than that.
pub const HITS_MAX: usize = 64;

/// What one player has done to an NPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Who.
    pub player: PlayerId,
    /// The zone from which it struck last.
    pub zone: ZoneId,
    /// Its level then.
    pub level: u32,
    /// Health taken.
    pub damage: u64,
}

/// What one player gets for a kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    player: PlayerId,
    zone: ZoneId,
    experience: u64,
    gold: u64,
}

/// Adds a blow to what is remembered.
pub(super) fn remember(hits: &mut Vec<Hit>, striker: &Striker, damage: u32) {
    let Some(player) = striker.id.player() else { return };
    let hit = Hit { player, zone: striker.zone, level: striker.level, damage: damage.into() };
    if let Some(known) = hits.iter_mut().find(|known| known.player == player) {
        *known = Hit { damage: known.damage.saturating_add(hit.damage), ..hit };
    } else if hits.len() < HITS_MAX {
        hits.push(hit);
    } else if let Some(least) = hits.iter_mut().min_by_key(|known| known.damage)
        && least.damage < hit.damage
    {
        *least = hit;
    }
}

/// The one who has done most; of equals the one who came first.
fn best(hits: &[Hit]) -> Option<&Hit> {
    hits.iter().rev().max_by_key(|hit| hit.damage)
}

/// Divides a kill. What cannot be divided is the best one's.
fn divide(hits: &[Hit], kind: &NpcKind, gold: u64, rules: &Rules) -> Vec<Share> {
    let Some(best) = best(hits) else { return Vec::new() };
    let least = (best.damage as f64 * rules.share_min).ceil() as u64;
    let real = |hit: &&Hit| hit.damage >= least.max(1);
    let total: u128 = hits.iter().filter(real).map(|hit| u128::from(hit.damage)).sum();
    let part = |whole: u64, hit: &Hit| {
        u64::try_from(u128::from(whole) * u128::from(hit.damage) / total.max(1)).unwrap_or(0)
    };
    let given = |whole: u64| hits.iter().filter(real).map(|hit| part(whole, hit)).sum::<u64>();
    let (odd_experience, odd_gold) = (kind.experience - given(kind.experience), gold - given(gold));
    let shares = hits.iter().filter(real).map(|hit| {
        let first = hit.player == best.player;
        let odd = |whole: u64| if first { whole } else { 0 };
        let worth = part(kind.experience, hit) + odd(odd_experience);
        Share {
            player: hit.player,
            zone: hit.zone,
            experience: rules.kill_experience(worth, hit.level, kind.level),
            gold: part(gold, hit) + odd(odd_gold),
        }
    });
    shares.collect()
}

impl World {
    /// An NPC has died of `hits`: lets its loot fall and gives everybody what it earned.
    pub(super) fn share_out(&mut self, key: &Key, kind: &NpcKind, hits: &[Hit], at: Point) {
        self.drop_loot(&kind.loot, at, best(hits).map(|hit| hit.player));
        let gold = self.roll_gold(kind.gold);
        for share in divide(hits, kind, gold, &self.content.rules) {
            let Share { player, zone, experience, gold } = share;
            self.credit(player, zone, Credit { experience, gold, npc: Some(key.clone()) });
        }
    }

    /// Gives a player what it earned, wherever it is by now as far as this zone knows: here, where
    /// its ghost says that it went, or in `zone`, from where it struck.
    pub(super) fn credit(&mut self, player: PlayerId, zone: ZoneId, credit: Credit) {
        let entity = self.entities.handle(player.into()).and_then(|handle| {
            let entity = self.entities.get(handle)?;
            Some((handle, entity))
        });
        let zone = match entity.map(|(handle, entity)| (handle, &entity.body)) {
            Some((handle, Body::Player(_))) => return self.earn(handle, &credit),
            Some((_, Body::Ghost(ghost))) => ghost.to,
            _ => zone,
        };
        if zone != self.zone {
            self.effects.push(Effect::Credit { zone, player, credit });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::world::content::Content;

    fn hit(player: u64, damage: u64) -> Hit {
        Hit { player: PlayerId(player), zone: ZoneId(1), level: 1, damage }
    }

    fn kind(experience: u64) -> NpcKind {
        let content = Content::standard();
        let wolf = content.npcs.get("wolf").unwrap().clone();
        NpcKind { experience, ..wolf }
    }

    fn striker(player: u64) -> Striker {
        Striker {
            id: PlayerId(player).into(),
            zone: ZoneId(1),
            level: 1,
            guild: None,
            at: Point::default(),
            open: false,
        }
    }

    #[test]
    fn a_kill_is_divided_by_damage_among_those_who_did_a_real_part() {
        let hits = [hit(1, 30), hit(2, 70), hit(3, 6)];
        let shares = divide(&hits, &kind(101), 11, &Rules::default());
        let told: Vec<_> = shares.iter().map(|s| (s.player.0, s.experience, s.gold)).collect();
        assert_eq!(told, [(1, 30, 3), (2, 71, 8)], "the odd ones are the best one's");
    }

    #[test]
    fn of_equals_the_first_is_the_best() {
        assert_eq!(best(&[hit(1, 5), hit(2, 9), hit(3, 9)]).unwrap().player, PlayerId(2));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn a_crowd_is_remembered_within_bounds_and_its_best_are_in_it() {
        let mut hits = Vec::new();
        for player in 1..=1_000 {
            remember(&mut hits, &striker(player), 1);
        }
        remember(&mut hits, &striker(5_000), 40);
        remember(&mut hits, &striker(5_000), 2);
        assert_eq!(hits.len(), HITS_MAX);
        assert_eq!(best(&hits), Some(&hit(5_000, 42)));
    }

    proptest! {
        #[test]
        fn no_more_and_no_less_is_given_than_there_is(
            damages in prop::collection::vec(0u64..2_000, 1..HITS_MAX),
            experience in 0u64..1_000_000,
            gold in 0u64..1_000_000,
        ) {
            let hits: Vec<Hit> =
                damages.iter().enumerate().map(|(i, damage)| hit(i as u64 + 1, *damage)).collect();
            let shares = divide(&hits, &kind(experience), gold, &Rules::default());
            prop_assume!(damages.iter().any(|damage| *damage > 0));
            prop_assert_eq!(shares.iter().map(|s| s.experience).sum::<u64>(), experience);
            prop_assert_eq!(shares.iter().map(|s| s.gold).sum::<u64>(), gold);
        }
    }
}
