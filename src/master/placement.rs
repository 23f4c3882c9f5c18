//! Which zone runs on which zone server: planned from what the servers report, once a second.
//!
//! The master's task owns the one [`Placement`] and acts on its steps. Pure: it is told the time
//! and the servers, and answers with steps. It never has a zone in two places on purpose, and
//! orders nothing from a server that is dead or draining.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::ids::{ServerId, ZoneId};

/// How long a server may take to run a zone it was told to run.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);
/// Least time between two moves that only even out the load.
const REBALANCE_EVERY: Duration = Duration::from_secs(30);
/// Difference of load between two servers, share of capacity, that is worth a move.
const REBALANCE_GAP: f64 = 0.25;
/// What a zone costs without players, in players: its NPCs think and its ticks pass all the same.
const ZONE_COST: u32 = 10;

/// A zone server as the planner sees it. The dead are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Which.
    pub server: ServerId,
    /// Most players.
    pub capacity: u32,
    /// Whether it may get zones: it is alive, and does not drain.
    pub takes: bool,
    /// The zones it says it runs, with their players.
    pub zones: Vec<(ZoneId, u32)>,
}

/// Something to be told to a zone server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Run a zone that runs nowhere, from what the store has.
    Place {
        /// Which.
        zone: ZoneId,
        /// Where.
        on: ServerId,
    },
    /// Take a zone over from a server that still runs it.
    Move {
        /// Which.
        zone: ZoneId,
        /// From where.
        from: ServerId,
        /// Where to.
        to: ServerId,
    },
    /// End a zone that runs elsewhere too.
    Drop {
        /// Which.
        zone: ZoneId,
        /// Where it must not run.
        on: ServerId,
    },
}

/// Where a zone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Place {
    /// It runs there.
    Running {
        /// Where.
        server: ServerId,
    },
    /// It was ordered there and is not reported yet.
    Ordered {
        /// Where to.
        server: ServerId,
        /// Where it still runs.
        from: Option<ServerId>,
        /// When it is planned anew.
        #[serde(skip)]
        until: Instant,
    },
    /// It runs nowhere, and nobody can take it.
    Homeless,
}

impl Place {
    /// The server that counts for it.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Place::Running { server } | Place::Ordered { server, .. } => Some(*server),
            Place::Homeless => None,
        }
    }
}

/// A zone in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Where it is.
    pub place: Place,
    /// Its players, when it was last heard of.
    pub players: u32,
}

/// Where every zone is that was ever heard of.
#[derive(Debug, Default)]
pub struct Placement {
    homes: BTreeMap<ZoneId, Home>,
    balanced_at: Option<Instant>,
}

impl Placement {
    /// The zones and where they are, by number.
    pub fn homes(&self) -> impl Iterator<Item = (ZoneId, &Home)> {
        self.homes.iter().map(|(zone, home)| (*zone, home))
    }

    /// Takes the reports of all living servers and tells what is to be done now. What was ordered
    /// before and is under way is not ordered again.
    pub fn plan(&mut self, hosts: &[Host], now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        self.hear(hosts, now, &mut steps);
        self.place_homeless(hosts, now, &mut steps);
        self.empty_draining(hosts, now, &mut steps);
        self.even_out(hosts, now, &mut steps);
        steps
    }

    /// Brings the plan up to date with the reports.
    fn hear(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        let mut runs: BTreeMap<ZoneId, Vec<ServerId>> = BTreeMap::new();
        for host in hosts {
            for (zone, players) in &host.zones {
                runs.entry(*zone).or_default().push(host.server);
                let new = Home { place: Place::Running { server: host.server }, players: 0 };
                let home = self.homes.entry(*zone).or_insert(new);
                if home.place.server() == Some(host.server) {
                    home.players = *players;
                }
            }
        }
        for (zone, home) in &mut self.homes {
            let on = runs.get(zone).map_or(&[][..], Vec::as_slice);
            let alive = |server: ServerId| hosts.iter().any(|host| host.server == server);
            home.place = settle(home.place, on, alive, now);
            let Place::Running { server: right } = home.place else { continue };
            let wrong = on.iter().filter(|server| **server != right);
            steps.extend(wrong.map(|on| Step::Drop { zone: *zone, on: *on }));
        }
    }

    /// Gives zones that run nowhere to the servers with most room, the fullest zones first.
    fn place_homeless(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        let mut homeless: Vec<(u32, ZoneId)> = self
            .homes
            .iter()
            .filter(|(_, home)| home.place == Place::Homeless)
            .map(|(zone, home)| (home.players, *zone))
            .collect();
        homeless.sort_unstable_by_key(|(players, zone)| (std::cmp::Reverse(*players), *zone));
        for (_, zone) in homeless {
            if let Some(on) = self.roomiest(hosts, None) {
                self.order(zone, on, None, now);
                steps.push(Step::Place { zone, on });
            }
        }
    }

    /// Moves zones away from servers that drain.
    fn empty_draining(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        for host in hosts.iter().filter(|host| !host.takes) {
            let running = Place::Running { server: host.server };
            let zones: Vec<ZoneId> =
                self.homes().filter(|(_, h)| h.place == running).map(|(zone, _)| zone).collect();
            for zone in zones {
                if let Some(to) = self.roomiest(hosts, Some(host.server)) {
                    self.order(zone, to, Some(host.server), now);
                    steps.push(Step::Move { zone, from: host.server, to });
                }
            }
        }
    }

    /// Moves one zone from the fullest to the emptiest server if that is worth it and nothing else
    /// is under way.
    fn even_out(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        let waits = |at: Instant| now.saturating_duration_since(at) < REBALANCE_EVERY;
        let busy = self.homes.values().any(|home| matches!(home.place, Place::Ordered { .. }));
        if busy || self.balanced_at.is_some_and(waits) {
            return;
        }
        let loads = hosts.iter().filter(|h| h.takes && h.capacity > 0).map(|h| (self.load(h), h));
        let order = |a: &(f64, &Host), b: &(f64, &Host)| a.0.total_cmp(&b.0);
        let Some((hot, from)) = loads.clone().max_by(order) else { return };
        let Some((cold, to)) = loads.min_by(order) else { return };
        if hot - cold < REBALANCE_GAP {
            return;
        }
        let after = |cost: u32| {
            let leaves = hot - f64::from(cost) / f64::from(from.capacity);
            leaves.max(cold + f64::from(cost) / f64::from(to.capacity))
        };
        let running = Place::Running { server: from.server };
        let best = self
            .homes()
            .filter(|(_, home)| home.place == running)
            .map(|(zone, home)| (after(cost(home)), zone))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        // A small gain is not worth a hand-over of everybody in the zone, and a gain that is sure
        // to be one keeps zones from going to and fro.
        if let Some((load, zone)) = best
            && load < hot - REBALANCE_GAP / 4.0
        {
            self.order(zone, to.server, Some(from.server), now);
            self.balanced_at = Some(now);
            steps.push(Step::Move { zone, from: from.server, to: to.server });
        }
    }

    fn order(&mut self, zone: ZoneId, to: ServerId, from: Option<ServerId>, now: Instant) {
        if let Some(home) = self.homes.get_mut(&zone) {
            home.place = Place::Ordered { server: to, from, until: now + ORDER_PATIENCE };
        }
    }

    /// The server, other than `not`, that has the least load for its capacity.
    fn roomiest(&self, hosts: &[Host], not: Option<ServerId>) -> Option<ServerId> {
        hosts
            .iter()
            .filter(|host| host.takes && host.capacity > 0 && Some(host.server) != not)
            .min_by(|a, b| self.load(a).total_cmp(&self.load(b)))
            .map(|host| host.server)
    }

    /// What a server has and is to get, as a share of its capacity.
    fn load(&self, host: &Host) -> f64 {
        let of_host = |home: &&Home| home.place.server() == Some(host.server);
        let total: u64 =
            self.homes.values().filter(of_host).map(|home| u64::from(cost(home))).sum();
        total as f64 / f64::from(host.capacity)
    }
}

fn cost(home: &Home) -> u32 {
    home.players.saturating_add(ZONE_COST)
}

/// Where a zone is, after the reports said that it runs on the servers in `on`.
fn settle(known: Place, on: &[ServerId], alive: impl Fn(ServerId) -> bool, now: Instant) -> Place {
    let runs_on = |server: ServerId| on.contains(&server);
    let anywhere = || match on.first() {
        Some(server) => Place::Running { server: *server },
        None => Place::Homeless,
    };
    match known {
        Place::Running { server } if runs_on(server) => known,
        Place::Ordered { server, .. } if runs_on(server) => Place::Running { server },
        Place::Ordered { server, until, .. } if alive(server) && now < until => known,
        Place::Running { .. } | Place::Ordered { .. } | Place::Homeless => anywhere(),
    }
}

#[cfg(test)]
mod tests;
