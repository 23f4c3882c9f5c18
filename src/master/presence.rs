//! Who is in the world, through which session, and where: one session per player.
//!
//! The master's task owns the one [`Presence`]; gateways claim and release, zones locate. Pure and
//! bounded; it never sends anything itself.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::{Epoch, Key, PlayerId, ServerId, SessionRef, ZoneId};
use crate::msg::master::PresentSession;

/// How long a player whose gateway has died is kept for its next log-in: longer than a character
/// stands in its zone without a connection.
const ORPHAN_KEPT: Duration = Duration::from_secs(90);

/// One player in the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// As shown to others.
    pub name: Key,
    /// The one session that plays it.
    pub session: SessionRef,
    /// The device it plays from, may be empty.
    pub device: String,
    /// Where it stands, once a zone has said so.
    pub zone: Option<ZoneId>,
    /// The ownership under which it does; 0: only a gateway has said where.
    epoch: Epoch,
    /// The name as compared, for [`Presence::named`].
    folded: String,
    /// Since when its gateway is dead, or has not said that the session still plays.
    orphaned: Option<Instant>,
    /// How it came to be the player's.
    since: Since,
}

/// How a session came to be its player's. The greater one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Since {
    /// A gateway has told of it; it began then, Unix ms.
    Told(u64),
    /// It was claimed here: everybody else who plays the player began before.
    Claimed,
}

/// As many players as may be are in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the world is full")]
pub struct WorldFull;

/// All players in the world.
#[derive(Debug)]
pub struct Presence {
    players: HashMap<PlayerId, Present>,
    names: HashMap<String, PlayerId>,
    most: usize,
}

impl Presence {
    /// Nobody, and room for `most`.
    pub fn new(most: usize) -> Self {
        Self { players: HashMap::new(), names: HashMap::new(), most }
    }

    /// The other session that plays `player` now: it must be told to go before
    /// [`Self::claim`].
    pub fn rival(&self, player: PlayerId, session: SessionRef) -> Option<SessionRef> {
        self.players.get(&player).map(|present| present.session).filter(|known| *known != session)
    }

    /// Makes `session` the only one that plays `player`. Tells where the player stands already.
    /// `folded` is the name as compared.
    ///
    /// # Errors
    /// If the player is new and the world is full.
    pub fn claim(
        &mut self,
        player: PlayerId,
        (name, folded): (Key, String),
        session: SessionRef,
        device: String,
    ) -> Result<Option<ZoneId>, WorldFull> {
        if !self.players.contains_key(&player) && self.players.len() >= self.most {
            return Err(WorldFull);
        }
        let before = self.remove(player);
        let (zone, epoch) = before.map_or((None, Epoch(0)), |before| (before.zone, before.epoch));
        self.names.insert(folded.clone(), player);
        let (orphaned, since) = (None, Since::Claimed);
        let present = Present { name, session, device, zone, epoch, folded, orphaned, since };
        self.players.insert(player, present);
        Ok(zone)
    }

    /// A gateway tells of a session that plays already. Of two that play one player the one that
    /// was claimed here stays, else the younger; the other is given back: it must be told to go.
    ///
    /// # Errors
    /// If the player is new and the world is full.
    pub fn told(
        &mut self,
        told: PresentSession,
        folded: String,
    ) -> Result<Option<SessionRef>, WorldFull> {
        let PresentSession { player, name, session, device, zone, since } = told;
        let since = Since::Told(since);
        let mut loser = None;
        let full = self.players.len() >= self.most;
        match self.players.get_mut(&player) {
            Some(known) if known.session == session => {
                known.orphaned = None;
                known.zone = zone.or(known.zone);
                return Ok(None);
            }
            Some(known) if known.since >= since => return Ok(Some(session)),
            Some(known) => loser = Some(known.session),
            None if full => return Err(WorldFull),
            None => {}
        }
        self.remove(player);
        self.names.insert(folded.clone(), player);
        let (epoch, orphaned) = (Epoch(0), None);
        let present = Present { name, session, device, zone, epoch, folded, orphaned, since };
        self.players.insert(player, present);
        Ok(loser)
    }

    /// A zone says where the player stands, and under which ownership. Words about another session
    /// or of an older ownership are late and ignored.
    pub fn located(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        (zone, epoch): (ZoneId, Epoch),
    ) {
        if let Some(present) = self.players.get_mut(&player)
            && present.session == session
            && present.epoch <= epoch
        {
            (present.zone, present.epoch) = (Some(zone), epoch);
            present.orphaned = None;
        }
    }

    /// A session is over. The presence of another one stays.
    pub fn released(&mut self, player: PlayerId, session: SessionRef) {
        if self.players.get(&player).is_some_and(|present| present.session == session) {
            self.remove(player);
        }
    }

    fn remove(&mut self, player: PlayerId) -> Option<Present> {
        let present = self.players.remove(&player)?;
        if self.names.get(&present.folded) == Some(&player) {
            self.names.remove(&present.folded);
        }
        Some(present)
    }

    /// A gateway has died. Its players still stand in their zones and may come back through
    /// another one, so they are kept for a while. If it was not dead after all, it tells of those
    /// that still play ([`Self::told`]).
    pub fn orphan(&mut self, gateway: ServerId, now: Instant) {
        for present in self.players.values_mut().filter(|p| p.session.gateway == gateway) {
            present.orphaned.get_or_insert(now);
        }
    }

    /// Forgets the players of gateways that are long dead.
    pub fn sweep(&mut self, now: Instant) {
        let lost = |present: &Present| {
            present.orphaned.is_some_and(|at| now.saturating_duration_since(at) >= ORPHAN_KEPT)
        };
        let lost: Vec<PlayerId> =
            self.players.iter().filter(|(_, p)| lost(p)).map(|(player, _)| *player).collect();
        for player in lost {
            self.remove(player);
        }
    }

    /// The player, if it is in the world.
    pub fn get(&self, player: PlayerId) -> Option<&Present> {
        self.players.get(&player)
    }

    /// The player of that folded name, if it is in the world.
    pub fn named(&self, folded: &str) -> Option<&Present> {
        self.names.get(folded).and_then(|player| self.players.get(player))
    }

    /// How many are in the world.
    pub fn len(&self) -> usize {
        self.players.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::SessionKey;

    fn session(gateway: u64, key: u64) -> SessionRef {
        SessionRef { gateway: ServerId(gateway), key: SessionKey(key) }
    }

    fn claim(
        presence: &mut Presence,
        player: u64,
        by: SessionRef,
    ) -> Result<Option<ZoneId>, WorldFull> {
        let name = format!("Player{player}");
        let folded = name.to_lowercase();
        presence.claim(PlayerId(player), (name.into(), folded), by, "phone".into())
    }

    fn told(player: u64, session: SessionRef, since: u64) -> PresentSession {
        PresentSession {
            player: PlayerId(player),
            name: format!("Player{player}").into(),
            session,
            device: String::new(),
            zone: Some(ZoneId(2)),
            since,
        }
    }

    #[test]
    fn of_two_that_gateways_tell_of_the_younger_stays_in_whatever_order() {
        let (old, new) = ((session(1, 1), 10), (session(2, 1), 20));
        for (first, second) in [(old, new), (new, old)] {
            let mut presence = Presence::new(10);
            let mut tell = |(by, since)| presence.told(told(7, by, since), "player7".into());
            assert_eq!(tell(first), Ok(None));
            assert_eq!(tell(second), Ok(Some(old.0)));
            assert_eq!(tell(new), Ok(None), "it may tell again");
            assert_eq!(presence.get(PlayerId(7)).map(|p| p.session), Some(new.0));
        }
    }

    #[test]
    fn a_session_of_a_gateway_that_wakes_loses_against_one_that_was_claimed_since() {
        let (start, mut presence) = (crate::tick::now(), Presence::new(1));
        let (old, new) = (session(1, 1), session(2, 1));
        presence.told(told(7, old, u64::MAX), "player7".into()).unwrap();
        presence.orphan(ServerId(1), start);
        assert_eq!(claim(&mut presence, 7, new), Ok(Some(ZoneId(2))));
        assert_eq!(presence.told(told(7, old, u64::MAX), "player7".into()), Ok(Some(old)));
        assert_eq!(presence.get(PlayerId(7)).map(|p| p.session), Some(new));
        assert_eq!(presence.told(told(8, old, 1), "player8".into()), Err(WorldFull));
        presence.released(PlayerId(7), new);
        assert_eq!(presence.told(told(8, old, 1), "player8".into()), Ok(None));
        assert!(presence.named("player8").is_some() && presence.named("player7").is_none());
    }

    #[test]
    fn the_newest_session_takes_over_where_the_player_stands() {
        let mut presence = Presence::new(10);
        let (old, new) = (session(1, 1), session(2, 1));
        assert_eq!(presence.rival(PlayerId(7), old), None);
        assert_eq!(claim(&mut presence, 7, old), Ok(None));
        presence.located(PlayerId(7), old, (ZoneId(3), Epoch(1)));
        assert_eq!(presence.rival(PlayerId(7), new), Some(old));
        assert_eq!(claim(&mut presence, 7, new), Ok(Some(ZoneId(3))));
        assert_eq!(presence.rival(PlayerId(7), new), None);
        presence.released(PlayerId(7), old);
        assert_eq!(presence.get(PlayerId(7)).map(|p| p.session), Some(new), "a late word is moot");
        presence.released(PlayerId(7), new);
        assert!(presence.is_empty() && presence.named("player7").is_none());
    }

    #[test]
    fn a_claim_by_the_same_session_has_no_rival() {
        let mut presence = Presence::new(10);
        claim(&mut presence, 7, session(1, 1)).unwrap();
        assert_eq!(presence.rival(PlayerId(7), session(1, 1)), None);
        assert_eq!(claim(&mut presence, 7, session(1, 1)), Ok(None));
        assert_eq!(presence.len(), 1);
    }

    #[test]
    fn a_late_word_about_the_place_is_ignored() {
        let mut presence = Presence::new(10);
        claim(&mut presence, 7, session(1, 1)).unwrap();
        claim(&mut presence, 7, session(1, 2)).unwrap();
        presence.located(PlayerId(7), session(1, 1), (ZoneId(9), Epoch(1)));
        assert_eq!(presence.get(PlayerId(7)).unwrap().zone, None);
        presence.located(PlayerId(8), session(1, 1), (ZoneId(9), Epoch(1)));
        assert_eq!(presence.len(), 1);
    }

    #[test]
    fn of_the_words_of_two_zones_that_of_the_later_ownership_counts() {
        let mut presence = Presence::new(10);
        let (by, next) = (session(1, 1), session(2, 1));
        claim(&mut presence, 7, by).unwrap();
        let mut after = |by, zone, epoch| {
            presence.located(PlayerId(7), by, (ZoneId(zone), Epoch(epoch)));
            presence.get(PlayerId(7)).and_then(|present| present.zone)
        };
        assert_eq!(after(by, 1, 4), Some(ZoneId(1)));
        assert_eq!(after(by, 3, 6), Some(ZoneId(3)));
        assert_eq!(after(by, 2, 5), Some(ZoneId(3)), "it was there before");
        assert_eq!(after(by, 1, 6), Some(ZoneId(1)), "its server has both zones");
        assert_eq!(claim(&mut presence, 7, next), Ok(Some(ZoneId(1))));
        presence.located(PlayerId(7), next, (ZoneId(2), Epoch(5)));
        assert_eq!(presence.get(PlayerId(7)).unwrap().zone, Some(ZoneId(1)));
    }

    #[test]
    fn a_full_world_takes_nobody_new_but_lets_players_change_sessions() {
        let mut presence = Presence::new(1);
        claim(&mut presence, 7, session(1, 1)).unwrap();
        assert_eq!(claim(&mut presence, 8, session(1, 2)), Err(WorldFull));
        assert_eq!(claim(&mut presence, 7, session(1, 3)), Ok(None));
    }

    #[test]
    fn players_of_a_dead_gateway_are_kept_for_their_return() {
        let start = crate::tick::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut presence = Presence::new(10);
        for player in 1..=3 {
            claim(&mut presence, player, session(player, 1)).unwrap();
            presence.located(PlayerId(player), session(player, 1), (ZoneId(4), Epoch(1)));
        }
        presence.orphan(ServerId(1), start);
        presence.orphan(ServerId(2), start);
        assert_eq!(presence.told(told(2, session(2, 1), 5), "player2".into()), Ok(None));
        assert_eq!(claim(&mut presence, 1, session(3, 9)), Ok(Some(ZoneId(4))));
        presence.orphan(ServerId(3), later(10));
        presence.orphan(ServerId(3), later(50));
        presence.sweep(later(99));
        assert_eq!(presence.len(), 3);
        presence.sweep(later(100));
        assert_eq!(presence.len(), 1);
        assert!(presence.get(PlayerId(2)).is_some());
    }

    proptest! {
        /// Against a naive list: names and players always agree, and the bound holds.
        #[test]
        fn names_and_players_agree(
            steps in prop::collection::vec((0u8..3, 1u64..6, 1u64..4), 0..60),
        ) {
            let mut presence = Presence::new(4);
            let mut naive: Vec<(u64, SessionRef)> = Vec::new();
            for (what, player, key) in steps {
                let by = session(1, key);
                let at = naive.iter().position(|(known, _)| *known == player);
                if what < 2 {
                    let granted = claim(&mut presence, player, by).is_ok();
                    prop_assert_eq!(granted, at.is_some() || naive.len() < 4);
                    if granted {
                        naive.retain(|(known, _)| *known != player);
                        naive.push((player, by));
                    }
                } else {
                    presence.released(PlayerId(player), by);
                    naive.retain(|entry| *entry != (player, by));
                }
                prop_assert_eq!(presence.len(), naive.len());
                for player in 1..6 {
                    let known = naive.iter().find(|(known, _)| *known == player).map(|e| e.1);
                    prop_assert_eq!(presence.get(PlayerId(player)).map(|p| p.session), known);
                    let named = presence.named(&format!("player{player}")).map(|p| p.session);
                    prop_assert_eq!(named, known);
                }
            }
        }
    }
}
