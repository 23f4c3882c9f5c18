//! Players whose gateway has vanished: nobody will say that their sessions are over.
//!
//! Looked at once a second. Such a player stands for a while, so that its client can go on over
//! another gateway; then it leaves like any other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::warn;

use super::ZoneServer;
use crate::ids::{PlayerId, ServerId};
use crate::tick::now;

/// Ticks between two looks: a second.
const PERIOD: u64 = 20;

/// Gateways that are missed, and since when.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    missed: BTreeMap<ServerId, Instant>,
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
}

impl ZoneServer {
    /// Lets the players leave whose gateway has been gone for too long.
    pub(super) fn tend_orphans(&mut self) {
        if !self.world.tick().0.is_multiple_of(PERIOD) {
            return;
        }
        let gateways = self.post.gateways();
        let absent = self.players.sessions().map(|(_, session)| session.gateway);
        let absent = absent.filter(|gateway| !gateways.contains_key(gateway));
        let patience = Duration::from_secs(self.config.orphan_seconds);
        let gone = self.orphans.look(absent, patience, now());
        if gone.is_empty() {
            return;
        }
        let orphaned =
            self.players.sessions().filter(|(_, session)| gone.contains(&session.gateway));
        let orphaned: Vec<PlayerId> = orphaned.map(|(player, _)| player).collect();
        warn!(players = orphaned.len(), "their gateway is gone; they leave");
        orphaned.into_iter().for_each(|player| self.let_leave(player));
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
}
