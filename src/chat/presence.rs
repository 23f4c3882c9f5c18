//! Who is in the world: by id and by folded name, with the session and the zone.

use std::collections::{BTreeMap, HashMap};

use crate::ids::{GuildId, PlayerId, SessionRef, ZoneId};
use crate::names::Name;

/// A player in the world.
#[derive(Debug)]
pub(super) struct Online {
    pub name: Name,
    pub session: SessionRef,
    pub zone: ZoneId,
    /// When the session began, as its gateway says, Unix ms; none: it has come to this chat role.
    since: Option<u64>,
    /// The guild of which its zone was told; none: not told anything yet.
    pub told_guild: Option<Option<GuildId>>,
}

/// A player that comes.
#[derive(Debug)]
pub(super) struct Arrival {
    pub name: Name,
    pub session: SessionRef,
    pub zone: ZoneId,
    /// When the session began, if it has played before this chat role heard of it, Unix ms.
    pub since: Option<u64>,
}

/// Whether a session came after another. What comes now is later than all that played before; of
/// two that did, the younger.
fn came_later(one: Option<u64>, other: Option<u64>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

/// Everybody in the world.
#[derive(Debug, Default)]
pub(super) struct Presence {
    players: BTreeMap<PlayerId, Online>,
    /// Names sort here as they are compared.
    by_name: HashMap<String, PlayerId>,
}

impl Presence {
    /// A player has come, or goes on through another session. False: another session has it that
    /// came later; nothing is changed.
    pub(super) fn join(&mut self, player: PlayerId, arrival: Arrival) -> bool {
        let Arrival { name, session, zone, mut since } = arrival;
        if let Some(before) = self.players.get(&player) {
            if before.session == session {
                since = before.since;
            } else if came_later(before.since, since) {
                return false;
            }
            self.by_name.remove(&before.name.folded());
        }
        self.by_name.insert(name.folded(), player);
        self.players.insert(player, Online { name, session, zone, since, told_guild: None });
        true
    }

    /// It stands in another zone. False: it is not here at all.
    pub(super) fn move_to(&mut self, player: PlayerId, zone: ZoneId) -> bool {
        let Some(online) = self.players.get_mut(&player) else { return false };
        online.zone = zone;
        online.told_guild = None;
        true
    }

    /// Its session is over. None: it is not here, or has another session by now.
    pub(super) fn leave(&mut self, player: PlayerId, session: SessionRef) -> Option<Online> {
        if self.players.get(&player)?.session != session {
            return None;
        }
        let gone = self.players.remove(&player)?;
        self.by_name.remove(&gone.name.folded());
        Some(gone)
    }

    pub(super) fn get(&self, player: PlayerId) -> Option<&Online> {
        self.players.get(&player)
    }

    pub(super) fn get_mut(&mut self, player: PlayerId) -> Option<&mut Online> {
        self.players.get_mut(&player)
    }

    /// Whoever is in the world under that name.
    pub(super) fn named(&self, name: &Name) -> Option<PlayerId> {
        self.by_name.get(&name.folded()).copied()
    }

    /// All, by rising id.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PlayerId, &Online)> {
        self.players.iter().map(|(player, online)| (*player, online))
    }

    pub(super) fn len(&self) -> usize {
        self.players.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ServerId, SessionKey};

    fn session(key: u64) -> SessionRef {
        SessionRef { gateway: ServerId(1), key: SessionKey(key) }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn anna(session: SessionRef, zone: u32, since: Option<u64>) -> Arrival {
        Arrival { name: name("Anna"), session, zone: ZoneId(zone as u16), since }
    }

    #[test]
    fn an_older_sessions_end_does_not_end_the_newer() {
        let mut presence = Presence::default();
        assert!(presence.join(PlayerId(1), anna(session(1), 1, None)));
        assert!(presence.join(PlayerId(1), anna(session(2), 2, None)));
        assert!(presence.leave(PlayerId(1), session(1)).is_none());
        assert_eq!(presence.named(&name("aNNA")), Some(PlayerId(1)));
        assert!(presence.leave(PlayerId(1), session(2)).is_some());
        assert_eq!((presence.named(&name("Anna")), presence.len()), (None, 0));
        assert!(!presence.move_to(PlayerId(1), ZoneId(3)));
    }

    #[test]
    fn a_session_that_a_woken_gateway_tells_of_does_not_displace_a_later_one() {
        let mut presence = Presence::default();
        let (stale, fresh) = (session(1), session(2));
        assert!(presence.join(PlayerId(1), anna(stale, 1, Some(10))));
        assert!(presence.join(PlayerId(1), anna(fresh, 1, Some(20))));
        assert!(!presence.join(PlayerId(1), anna(stale, 1, Some(10))));
        assert!(presence.join(PlayerId(1), anna(stale, 1, None)), "who comes now is the newest");
        assert!(!presence.join(PlayerId(1), anna(fresh, 1, Some(20))));
        assert!(presence.join(PlayerId(1), anna(stale, 2, Some(10))), "it may tell again");
        let online = presence.get(PlayerId(1)).unwrap();
        assert_eq!((online.session, online.zone), (stale, ZoneId(2)));
        assert!(!presence.join(PlayerId(1), anna(fresh, 1, Some(20))), "and stays the newest");
    }
}
