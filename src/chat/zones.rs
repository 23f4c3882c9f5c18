//! What zones are told: players' guilds and all wars. A zone that appears, or whose inbox was full,
//! is told again at the next sweep.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{PlayerId, ZoneId};
use crate::link::Directory;
use crate::msg::ZoneMsg;
use crate::world::command::GuildTag;

use super::wars::Wars;

/// The least time between two lists of wars that nothing but arrivals asks for.
const AGAIN: Duration = Duration::from_secs(1);

/// Which zone knows what.
pub(super) struct ZoneNews {
    zones: Directory<ZoneId, ZoneMsg>,
    /// The version of the wars that each zone has, and since when.
    told: BTreeMap<ZoneId, (u64, Instant)>,
}

impl ZoneNews {
    pub(super) fn new(zones: Directory<ZoneId, ZoneMsg>) -> Self {
        Self { zones, told: BTreeMap::new() }
    }

    /// Tells a zone of a player's guild. False: it could not be told now.
    pub(super) fn set_guild(
        &self,
        zone: ZoneId,
        player: PlayerId,
        guild: Option<GuildTag>,
    ) -> bool {
        let outbox = self.zones.get(zone);
        outbox.is_some_and(|outbox| outbox.send(ZoneMsg::SetGuild { player, guild }).is_ok())
    }

    /// A player has come into a zone, which may have begun anew and know nothing: it is told the
    /// wars again, though not for each of many arrivals at once.
    pub(super) fn on_player_came(&mut self, zone: ZoneId, wars: &Wars, now: Instant) {
        let fresh = self.told.get(&zone).is_some_and(|(version, since)| {
            *version == wars.version() && now.duration_since(*since) < AGAIN
        });
        if !fresh {
            self.tell_wars(zone, wars, now);
        }
    }

    /// Tells the wars to every zone that does not have their newest version.
    pub(super) fn sweep(&mut self, wars: &Wars, now: Instant) {
        let zones = self.zones.snapshot();
        self.told.retain(|zone, _| zones.contains_key(zone));
        for zone in zones.keys() {
            if self.told.get(zone).map(|(version, _)| *version) != Some(wars.version()) {
                self.tell_wars(*zone, wars, now);
            }
        }
    }

    fn tell_wars(&mut self, zone: ZoneId, wars: &Wars, now: Instant) {
        let outbox = self.zones.get(zone);
        let message = ZoneMsg::SetWars { wars: wars.pairs() };
        if outbox.is_some_and(|outbox| outbox.send(message).is_ok()) {
            self.told.insert(zone, (wars.version(), now));
        } else {
            self.told.remove(&zone);
        }
    }
}
