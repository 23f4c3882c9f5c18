//! Players whose gateway has vanished, or has forgotten this server meanwhile: nobody will say that
//! their sessions are over.
//!
//! Looked at once a second. A player of a gateway that is gone stands for a while, so that its
//! client can go on over another one; then it leaves like any other. A gateway to which the link was
//! made anew is told of all its players here: what it had said before may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::ZoneServer;
use crate::ids::{PlayerId, ServerId, SessionRef};
use crate::link::Outbox;
use crate::msg::GatewayMsg;
use crate::tick::now;

/// Ticks between two looks: a second.
const PERIOD: u64 = 20;

/// Gateways that are missed, and since when.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    missed: BTreeMap<ServerId, Instant>,
    /// The ways to those that have players here.
    ways: BTreeMap<ServerId, Outbox<GatewayMsg>>,
}

impl Orphans {
    /// Learns which of the gateways that have players here are not there; gives those that have
    /// been missed for `patience`.
    fn look(
        &mut self,
        absent: impl Iterator<Item = ServerId>,
        patience: Duration,
        now: Instant,
    ) -> Vec<ServerId> {
        let before = std::mem::take(&mut self.missed);
        for gateway in absent {
            let since = before.get(&gateway).copied().unwrap_or(now);
            self.missed.insert(gateway, since);
        }
        let given_up = |(gateway, since): (&ServerId, &Instant)| {
            (now.saturating_duration_since(*since) >= patience).then_some(*gateway)
        };
        self.missed.iter().filter_map(given_up).collect()
    }

    /// Learns the ways to the gateways that have players here; gives those to which another way
    /// leads than before.
    fn renewed(
        &mut self,
        with_players: &BTreeSet<ServerId>,
        gateways: &BTreeMap<ServerId, Outbox<GatewayMsg>>,
    ) -> Vec<ServerId> {
        self.ways.retain(|gateway, _| with_players.contains(gateway));
        let here = with_players.iter().filter_map(|id| gateways.get_key_value(id));
        let mut renewed = Vec::new();
        for (gateway, way) in here {
            let before = self.ways.insert(*gateway, way.clone());
            if before.is_some_and(|before| !before.leads_where(way)) {
                renewed.push(*gateway);
            }
        }
        renewed
    }
}

impl ZoneServer {
    /// Lets the players leave whose gateway has been gone for too long.
    pub(super) fn tend_orphans(&mut self) {
        if !self.world.tick().0.is_multiple_of(PERIOD) {
            return;
        }
        let gateways = self.post.gateways();
        let with_players: BTreeSet<ServerId> =
            self.players.sessions().map(|(_, session)| session.gateway).collect();
        for gateway in self.orphans.renewed(&with_players, &gateways) {
            self.tell_of_players(gateway);
        }
        let absent = with_players.into_iter().filter(|gateway| !gateways.contains_key(gateway));
        let patience = Duration::from_secs(self.config.orphan_seconds);
        let gone = self.orphans.look(absent, patience, now());
        if gone.is_empty() {
            return;
        }
        let orphaned: Vec<PlayerId> =
            gone.iter().flat_map(|gateway| self.players_of(*gateway)).map(|(id, _)| id).collect();
        warn!(players = orphaned.len(), "their gateway is gone; they leave");
        orphaned.into_iter().for_each(|player| self.let_leave(player));
    }

    fn players_of(&self, gateway: ServerId) -> Vec<(PlayerId, SessionRef)> {
        self.players.sessions().filter(|(_, session)| session.gateway == gateway).collect()
    }

    /// Tells a gateway who of its sessions stands here; it has those leave whose session is over.
    fn tell_of_players(&mut self, gateway: ServerId) {
        let players = self.players_of(gateway);
        info!(%gateway, players = players.len(), "a gateway is linked anew; it hears who is here");
        for (player, session) in players {
            let moved = GatewayMsg::Moved { session: session.key, player, zone: self.zone };
            self.post.gateway(session, moved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_given_up_only_if_it_stays_away() {
        let start = now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let (one, other, patience) = (ServerId(1), ServerId(2), Duration::from_secs(60));
        let mut orphans = Orphans::default();
        let mut look =
            |absent: &[ServerId], at| orphans.look(absent.iter().copied(), patience, later(at));
        assert_eq!(look(&[one, one], 0), []);
        assert_eq!(look(&[one, other], 30), []);
        assert_eq!(look(&[other], 59), [], "one is back");
        assert_eq!(look(&[one, other], 61), [], "and gone again");
        assert_eq!(look(&[one, other], 90), [other]);
        assert_eq!(look(&[one], 121), [one]);
    }

    #[test]
    fn a_gateway_to_which_the_way_is_new_is_noticed_once() {
        let way = || crate::link::inbox(1, false).0;
        let (one, other) = (ServerId(1), ServerId(2));
        let (first, second) = (BTreeMap::from([(one, way())]), BTreeMap::from([(one, way())]));
        let none = BTreeMap::new();
        let mut orphans = Orphans::default();
        let mut renewed =
            |players: &[ServerId], ways| orphans.renewed(&players.iter().copied().collect(), ways);
        assert_eq!(renewed(&[one, other], &first), []);
        assert_eq!(renewed(&[one, other], &none), [], "it is gone");
        assert_eq!(renewed(&[one, other], &second), [one], "it is back");
        assert_eq!(renewed(&[one], &second), []);
        assert_eq!(renewed(&[], &second), [], "it has nobody here any more");
        assert_eq!(renewed(&[one], &first), []);
    }
}
