//! Evening out: which zone is worth a hand-over from a full server to an emptier one.
//!
//! A crowded zone moves seldom, and only if that gains much; an empty one costs nobody anything, so
//! that a new server gets its share at once. Part of [`Placement::plan`].

use std::time::{Duration, Instant};

use super::{Host, Place, Placement, Step};
use crate::ids::ZoneId;

/// Least time between two moves of zones with players that only even out the load.
const REBALANCE_EVERY: Duration = Duration::from_secs(30);
/// A zone that has come from another server, or should have gone to one and stayed, is left alone
/// for so long: well over the time for which its old home sends after it what still comes.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// Least time between two such moves of zones without players.
const SPREAD_EVERY: Duration = Duration::from_secs(1);
/// Difference of load between two servers, share of capacity, that is worth a move.
const REBALANCE_GAP: f64 = 0.25;
/// Loads that differ by less are the same.
const NOTHING: f64 = 1e-9;

impl Placement {
    /// Moves one zone to an emptier server if that is worth it and nothing else is under way.
    pub(super) fn even_out(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        let busy = |place: Place| matches!(place, Place::Ordered { .. } | Place::Homeless);
        if self.homes.values().any(|home| busy(home.place)) {
            return;
        }
        let mut loads: Vec<(f64, &Host)> = hosts
            .iter()
            .filter(|host| host.takes && host.capacity > 0)
            .map(|host| (self.load(host), host))
            .collect();
        loads.sort_by(|a, b| a.0.total_cmp(&b.0));
        let Some((coldest, others)) = loads.split_first() else { return };
        let due = |last: Option<Instant>, every| {
            last.is_none_or(|at| now.saturating_duration_since(at) >= every)
        };
        if due(self.balanced_at, REBALANCE_EVERY)
            && let Some(hottest) = others.last()
            && let Some(step) = self.relieve(*hottest, *coldest, now)
        {
            self.balanced_at = Some(now);
            steps.push(self.order(step, now));
        } else if due(self.spread_at, SPREAD_EVERY)
            && let Some(step) =
                others.iter().rev().find_map(|host| self.spread(*host, *coldest, now))
        {
            self.spread_at = Some(now);
            steps.push(self.order(step, now));
        }
    }

    /// The zone whose move evens two servers out best, if that is worth sending everybody in it
    /// over. A gain that is sure to be one keeps zones from going to and fro.
    fn relieve(
        &self,
        (hot, from): (f64, &Host),
        (cold, to): (f64, &Host),
        now: Instant,
    ) -> Option<Step> {
        if hot - cold < REBALANCE_GAP {
            return None;
        }
        let after = |cost: u32| {
            let leaves = hot - f64::from(cost) / f64::from(from.capacity);
            leaves.max(cold + f64::from(cost) / f64::from(to.capacity))
        };
        let zones = self.movable(from, to, now).map(|(zone, cost, _)| (after(cost), zone));
        let (load, zone) = zones.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let worth = load < hot - REBALANCE_GAP / 4.0;
        worth.then_some(Step::Move { zone, from: from.server, to: to.server })
    }

    /// A zone without players whose move leaves its server no emptier than the other then is.
    fn spread(
        &self,
        (hot, from): (f64, &Host),
        (cold, to): (f64, &Host),
        now: Instant,
    ) -> Option<Step> {
        let evens = |cost: u32| {
            let leaves = hot - f64::from(cost) / f64::from(from.capacity);
            leaves + NOTHING >= cold + f64::from(cost) / f64::from(to.capacity)
        };
        let mut zones =
            self.movable(from, to, now).filter(|(_, cost, players)| *players == 0 && evens(*cost));
        zones.next().map(|(zone, ..)| Step::Move { zone, from: from.server, to: to.server })
    }

    /// The zones of a server that nobody has chosen it for and that may be shaken again: each with
    /// its cost and its players. One that the other server has not yet found out to have lost is
    /// left where it is.
    fn movable(
        &self,
        from: &Host,
        to: &Host,
        now: Instant,
    ) -> impl Iterator<Item = (ZoneId, u32, u32)> {
        let running = Place::Running { server: from.server };
        let rests = move |at: Instant| now.saturating_duration_since(at) < LEFT_ALONE;
        self.homes()
            .filter(move |(_, home)| home.place == running && home.chosen != running.server())
            .filter(move |(_, home)| !home.shaken_at.is_some_and(rests))
            .filter(|(zone, _)| !to.zones.iter().any(|known| known.zone == *zone))
            .map(|(zone, home)| (zone, home.cost(), home.players))
    }
}
