//! Which zone runs on which zone server: planned from what the servers report, whenever that
//! changes.
//!
//! The master's task owns the one [`Placement`] and acts on its steps. Pure: it is told the time
//! and the servers, and answers with steps. It never has a zone in two places on purpose, and
//! orders nothing from a server that is dead or draining. That a zone never runs twice is not up
//! to it: each run needs the zone's lease.

mod even;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::ids::{ServerId, ZoneId};
use crate::msg::master::ZoneStatus;

/// How long a server may take to run a zone it was told to run.
const ORDER_PATIENCE: Duration = Duration::from_secs(5);
/// How often a server is told to run a zone that it does not report yet: its lease may still be
/// that of a server that has died.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a zone that a living server reports no longer may be on its way to another one.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
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
    /// Whether its zones should leave it.
    pub draining: bool,
    /// The zones it says it runs.
    pub zones: Vec<ZoneStatus>,
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
    /// Hand a zone over to another server.
    Move {
        /// Which.
        zone: ZoneId,
        /// Who runs it.
        from: ServerId,
        /// Where to.
        to: ServerId,
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
        /// When the server was last told.
        #[serde(skip)]
        told: Instant,
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
    /// Not to be placed before: it is on its way from one server to another.
    free_at: Option<Instant>,
    /// The server that ran it last.
    lived_on: Option<ServerId>,
    /// When it last came from one server to another, or a hand-over of it came to nothing: evening
    /// out leaves it alone for a while.
    shaken_at: Option<Instant>,
    /// The server that the operators have chosen for it; it stays there as long as that takes
    /// zones.
    chosen: Option<ServerId>,
}

impl Home {
    fn new() -> Self {
        Self {
            place: Place::Homeless,
            players: 0,
            free_at: None,
            lived_on: None,
            shaken_at: None,
            chosen: None,
        }
    }

    /// What it costs, in players.
    fn cost(&self) -> u32 {
        self.players.saturating_add(ZONE_COST)
    }
}

/// Why a zone is not moved as the operators wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// No server runs it and none of the configuration's zones is called so.
    #[error("there is no such zone")]
    NoSuchZone,
    /// It is no zone server that lives and takes zones.
    #[error("the server takes no zones: it plays no zone role, drains, or is not heard of")]
    TakesNone,
    /// The master is new and still hears what runs.
    #[error("the master has just started and hears which zones run; try again in 3 seconds")]
    Settling,
    /// It is handed over already, to another server.
    #[error("the zone is being handed over already; try again when that is done")]
    UnderWay,
}

/// Where every zone is: those of the configuration, and those that were ever heard of.
#[derive(Debug, Default)]
pub struct Placement {
    homes: BTreeMap<ZoneId, Home>,
    balanced_at: Option<Instant>,
    spread_at: Option<Instant>,
}

impl Placement {
    /// These zones, and nobody runs them yet.
    pub fn new(zones: impl IntoIterator<Item = ZoneId>) -> Self {
        let homes = zones.into_iter().map(|zone| (zone, Home::new())).collect();
        Self { homes, ..Self::default() }
    }

    /// The zones and where they are, by number.
    pub fn homes(&self) -> impl Iterator<Item = (ZoneId, &Home)> {
        self.homes.iter().map(|(zone, home)| (*zone, home))
    }

    /// Takes the reports of all living servers without ordering anything.
    pub fn hear(&mut self, hosts: &[Host], now: Instant) {
        let mut reports: BTreeMap<ZoneId, (u64, ServerId, u32)> = BTreeMap::new();
        for host in hosts {
            for ZoneStatus { zone, players, origin } in &host.zones {
                let report = (*origin, host.server, *players);
                let known = reports.entry(*zone).or_insert(report);
                *known = report.max(*known);
                self.homes.entry(*zone).or_insert_with(Home::new);
            }
        }
        let alive = |server: ServerId| hosts.iter().any(|host| host.server == server);
        for (zone, home) in &mut self.homes {
            let report = reports.get(zone);
            if let Some((_, _, players)) = report {
                home.players = *players;
            }
            settle(home, report.map(|(_, server, _)| *server), alive, now);
        }
    }

    /// Takes the reports of all living servers and tells what is to be done now. What was ordered
    /// before and is under way is not ordered again, but that a server which was told to run a zone
    /// is told so again from time to time.
    pub fn plan(&mut self, hosts: &[Host], now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        self.hear(hosts, now);
        self.ask_again(hosts, now, &mut steps);
        self.place_homeless(hosts, now, &mut steps);
        self.empty_draining(hosts, now, &mut steps);
        self.even_out(hosts, now, &mut steps);
        steps
    }

    /// A zone should run on `to`, say the operators. None: it does already, or is on its way there.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub fn move_to(
        &mut self,
        zone: ZoneId,
        to: ServerId,
        hosts: &[Host],
        now: Instant,
    ) -> Result<Option<Step>, MoveError> {
        let home = self.homes.get_mut(&zone).ok_or(MoveError::NoSuchZone)?;
        if !hosts.iter().any(|host| host.server == to && host.takes) {
            return Err(MoveError::TakesNone);
        }
        let step = match home.place {
            Place::Running { server } | Place::Ordered { server, .. } if server == to => None,
            Place::Ordered { from: Some(_), .. } => return Err(MoveError::UnderWay),
            Place::Running { server: from } => Some(Step::Move { zone, from, to }),
            Place::Ordered { from: None, .. } | Place::Homeless => {
                Some(Step::Place { zone, on: to })
            }
        };
        home.chosen = Some(to);
        if let Some(step) = step {
            self.order(step, now);
        }
        Ok(step)
    }

    /// Tells servers again to run what they do not report yet. One that takes no zones any more
    /// is let off.
    fn ask_again(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        for (zone, home) in &mut self.homes {
            let Place::Ordered { server, from: None, told, .. } = &mut home.place else { continue };
            let server = *server;
            if !hosts.iter().any(|host| host.server == server && host.takes) {
                home.place = Place::Homeless;
            } else if now.saturating_duration_since(*told) >= ASK_AGAIN {
                *told = now;
                steps.push(Step::Place { zone: *zone, on: server });
            }
        }
    }

    /// Gives zones that run nowhere to the servers with most room, the fullest zones first.
    fn place_homeless(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        let mut homeless: Vec<(u32, ZoneId)> = self
            .homes
            .iter()
            .filter(|(_, home)| home.place == Place::Homeless)
            .filter(|(_, home)| home.free_at.is_none_or(|at| at <= now))
            .map(|(zone, home)| (home.players, *zone))
            .collect();
        homeless.sort_unstable_by_key(|(players, zone)| (std::cmp::Reverse(*players), *zone));
        for (_, zone) in homeless {
            if let Some(on) = self.best(zone, hosts, None) {
                steps.push(self.order(Step::Place { zone, on }, now));
            }
        }
    }

    /// Moves zones away from servers that drain.
    fn empty_draining(&mut self, hosts: &[Host], now: Instant, steps: &mut Vec<Step>) {
        for host in hosts.iter().filter(|host| host.draining) {
            for zone in self.running_on(host.server) {
                if let Some(to) = self.best(zone, hosts, Some(host.server)) {
                    let from = host.server;
                    steps.push(self.order(Step::Move { zone, from, to }, now));
                }
            }
        }
    }

    fn running_on(&self, server: ServerId) -> Vec<ZoneId> {
        let running = Place::Running { server };
        self.homes().filter(|(_, home)| home.place == running).map(|(zone, _)| zone).collect()
    }

    /// Notes that a step was taken.
    fn order(&mut self, step: Step, now: Instant) -> Step {
        let (zone, server, from) = match step {
            Step::Place { zone, on } => (zone, on, None),
            Step::Move { zone, from, to } => (zone, to, Some(from)),
        };
        if let Some(home) = self.homes.get_mut(&zone) {
            home.place = Place::Ordered { server, from, until: now + ORDER_PATIENCE, told: now };
        }
        step
    }

    /// The server, other than `not`, that is to have a zone: the operators' choice, else the one
    /// with the least load for its capacity.
    fn best(&self, zone: ZoneId, hosts: &[Host], not: Option<ServerId>) -> Option<ServerId> {
        let chosen = self.homes.get(&zone).and_then(|home| home.chosen);
        let fit = || {
            let fits = |host: &&Host| host.takes && host.capacity > 0 && Some(host.server) != not;
            hosts.iter().filter(fits)
        };
        let first = fit().find(|host| Some(host.server) == chosen);
        first
            .or_else(|| fit().min_by(|a, b| self.load(a).total_cmp(&self.load(b))))
            .map(|host| host.server)
    }

    /// What a server has and is to get, as a share of its capacity.
    fn load(&self, host: &Host) -> f64 {
        let of_host = |home: &&Home| home.place.server() == Some(host.server);
        let total: u64 = self.homes.values().filter(of_host).map(|h| u64::from(h.cost())).sum();
        total as f64 / f64::from(host.capacity)
    }
}

/// Where a zone is, after the reports said that it runs on `on`.
fn settle(home: &mut Home, on: Option<ServerId>, alive: impl Fn(ServerId) -> bool, now: Instant) {
    let waits = match home.place {
        // As long as it is still where it was. If that server has died on the way, it comes with a
        // report from its new one, or not.
        Place::Ordered { server, from, until, .. } => {
            let on_its_way = match on {
                Some(on) => from == Some(on),
                None => from.is_none_or(&alive),
            };
            on_its_way && alive(server) && now < until
        }
        Place::Running { .. } | Place::Homeless => false,
    };
    if waits {
        return;
    }
    let was = home.place;
    if let Place::Ordered { from: Some(from), .. } = was
        && on == Some(from)
    {
        home.shaken_at = Some(now);
    }
    if let Some(server) = on
        && home.lived_on.replace(server).is_some_and(|before| before != server)
    {
        home.shaken_at = Some(now);
    }
    home.place = match on {
        Some(server) => Place::Running { server },
        None => Place::Homeless,
    };
    home.free_at = match was {
        _ if on.is_some() => None,
        Place::Running { server } if alive(server) => Some(now + ON_ITS_WAY),
        Place::Running { .. } | Place::Ordered { .. } => None,
        Place::Homeless => home.free_at,
    };
}

#[cfg(test)]
mod tests;
