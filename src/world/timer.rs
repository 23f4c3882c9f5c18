//! What a player has to wait for and what wears off: cooldowns, the fight, protection, haste.
//!
//! Inside a world they are ticks, where the rules read them; outside they are one list of what is
//! left, which is part of the player's state: it goes over borders, with whole zones and into the
//! store, so that leaving and coming back makes nobody ready sooner. The store keeps the moment at
//! which each ends, so that time away counts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ids::Key;
use crate::tick::Tick;
use crate::world::command::PlayerState;
use crate::world::player::{Haste, Player};

/// A haste's factor is kept in thousandths.
const HASTE_UNIT: f32 = 1000.0;

/// What ends at some moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timed {
    /// Until the next plain blow.
    Attack,
    /// Until this skill can be used again; key of `[skills]`.
    Skill(Key),
    /// Until items of this kind or group can be used again.
    Item(Key),
    /// Until it counts as fighting no more.
    Fight,
    /// Until it can be struck by players outside PvP zones no more.
    Duel,
    /// Until players can strike it again.
    Protection,
    /// Until it lives again.
    Death,
    /// Until it is no faster any more; the factor in thousandths.
    Haste(u32),
}

/// Something of a player's that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// What.
    pub what: Timed,
    /// Milliseconds left, at least 1.
    pub left_ms: u64,
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timed::Attack => f.write_str("attack"),
            Timed::Skill(skill) => write!(f, "skill/{skill}"),
            Timed::Item(item) => write!(f, "item/{item}"),
            Timed::Fight => f.write_str("fight"),
            Timed::Duel => f.write_str("duel"),
            Timed::Protection => f.write_str("protection"),
            Timed::Death => f.write_str("death"),
            Timed::Haste(factor) => write!(f, "haste/{factor}"),
        }
    }
}

impl FromStr for Timed {
    type Err = UnknownTimed;

    fn from_str(text: &str) -> Result<Self, UnknownTimed> {
        Ok(match text.split_once('/') {
            None => match text {
                "attack" => Timed::Attack,
                "fight" => Timed::Fight,
                "duel" => Timed::Duel,
                "protection" => Timed::Protection,
                "death" => Timed::Death,
                _ => return Err(UnknownTimed),
            },
            Some(("skill", skill)) => Timed::Skill(skill.into()),
            Some(("item", item)) => Timed::Item(item.into()),
            Some(("haste", factor)) => Timed::Haste(factor.parse().map_err(|_| UnknownTimed)?),
            Some(_) => return Err(UnknownTimed),
        })
    }
}

/// Not a name of a [`Timed`]; a newer program may have written it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownTimed;

impl Player {
    /// Everything that has not ended by `now`.
    pub(super) fn timers(&self, now: Tick) -> Vec<Timer> {
        let skills = self.skills_ready.iter().map(|(key, at)| (Timed::Skill(key.clone()), *at));
        let items = self.items_ready.iter().map(|(key, at)| (Timed::Item(key.clone()), *at));
        let haste = self.haste.map(|haste| {
            let factor = (haste.factor * HASTE_UNIT).round() as u32;
            (Timed::Haste(factor), haste.over)
        });
        let single = [
            (Timed::Attack, self.attack_ready),
            (Timed::Fight, self.combat_until),
            (Timed::Duel, self.duel_until),
            (Timed::Protection, self.protected_until),
        ];
        let death = self.respawn_at.map(|at| (Timed::Death, at));
        let all = single.into_iter().chain(death).chain(haste).chain(skills).chain(items);
        all.map(|(what, at)| Timer { what, left_ms: now.millis_until(at) })
            .filter(|timer| timer.left_ms > 0)
            .collect()
    }

    /// Makes the player wait for what it had to wait for, and last what lasted.
    pub(super) fn set_timers(&mut self, timers: Vec<Timer>, now: Tick) {
        for Timer { what, left_ms } in timers {
            let at = now.after_millis(left_ms);
            match what {
                Timed::Attack => self.attack_ready = at,
                Timed::Skill(key) => self.skills_ready.push((key, at)),
                Timed::Item(key) => self.items_ready.push((key, at)),
                Timed::Fight => self.combat_until = at,
                Timed::Duel => self.duel_until = at,
                Timed::Protection => self.protected_until = at,
                Timed::Death => self.respawn_at = Some(at),
                Timed::Haste(factor) => {
                    self.haste = Some(Haste { over: at, factor: factor as f32 / HASTE_UNIT });
                }
            }
        }
    }
}

impl PlayerState {
    /// The same player so much later, with less to wait for.
    #[must_use]
    pub fn after(mut self, passed: Duration) -> Self {
        let passed = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        for timer in &mut self.timers {
            timer.left_ms = timer.left_ms.saturating_sub(passed);
        }
        self.timers.retain(|timer| timer.left_ms > 0);
        self
    }
}

/// When `key` can be used again, if it was used; that may have passed.
pub(super) fn ready_at(list: &[(Key, Tick)], key: &str) -> Option<Tick> {
    list.iter().find(|(used, _)| **used == *key).map(|(_, at)| *at)
}

/// Has `key` wait until `at`; what has ended is forgotten.
pub(super) fn wait_until(list: &mut Vec<(Key, Tick)>, key: &Key, at: Tick, now: Tick) {
    list.retain(|(used, ready)| used != key && now < *ready);
    list.push((key.clone(), at));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PlayerId, ZoneId};

    #[test]
    fn each_has_a_name_that_is_read_back() {
        let all = [
            Timed::Attack,
            Timed::Skill("sprint".into()),
            Timed::Item("a/b".into()),
            Timed::Fight,
            Timed::Duel,
            Timed::Protection,
            Timed::Death,
            Timed::Haste(1600),
        ];
        for what in all {
            assert_eq!(what.to_string().parse(), Ok(what));
        }
        for unknown in ["", "sleep", "haste/fast", "pet/7"] {
            assert_eq!(unknown.parse::<Timed>(), Err(UnknownTimed), "{unknown}");
        }
    }

    #[test]
    fn what_is_left_is_the_same_on_another_clock_and_what_has_ended_is_gone() {
        let mut player = Player {
            attack_ready: Tick(30),
            combat_until: Tick(5),
            duel_until: Tick(31),
            protected_until: Tick(32),
            respawn_at: Some(Tick(33)),
            haste: Some(Haste { over: Tick(34), factor: 1.6 }),
            ..Player::default()
        };
        wait_until(&mut player.skills_ready, &"old".into(), Tick(8), Tick(1));
        wait_until(&mut player.skills_ready, &"dash".into(), Tick(40), Tick(9));
        wait_until(&mut player.items_ready, &"potion".into(), Tick(41), Tick(9));
        assert_eq!(player.skills_ready.len(), 1);
        let timers = player.timers(Tick(10));
        assert_eq!(timers.len(), 7, "{timers:?}");
        let mut other = Player::default();
        other.set_timers(timers.clone(), Tick(1_000));
        assert_eq!(other.timers(Tick(1_000)), timers);
        assert_eq!(other.combat_until, Tick(0));
        let state = crate::world::tests::newcomer(PlayerId(1), ZoneId(1), 0.0, 0.0);
        let later = PlayerState { timers, ..state }.after(Duration::from_millis(1_150));
        let left: Vec<u64> = later.timers.iter().map(|timer| timer.left_ms).collect();
        assert_eq!(left, [50, 350, 400], "haste, the dash and the potion");
        assert_eq!(ready_at(&other.items_ready, "potion"), Some(Tick(1_031)));
    }
}
