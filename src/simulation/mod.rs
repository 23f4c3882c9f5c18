//! A deterministic simulation of a cluster: real zones, crossings, links' conversations, messages'
//! bytes, master and roster, over a network, a store and a clock that a seed commands.
//!
//! Processes are killed, stopped and made to stand still at any step, connections break and come
//! back, the store refuses, is slow, or does not say what it did. After every step the [`check`]er
//! looks whether each player has one owner and each change of value counts once; at the end all is
//! healed, and everybody must be somewhere and nothing left waiting. Only tests are made of this;
//! what is played by hand here (`host`, `gateway`, `node`) does what the roles' tasks do.

mod chaos;
mod check;
mod clients;
mod counts;
mod desk;
mod gateway;
mod host;
mod net;
mod node;
mod store;
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::geometry::{Point, Pose};
use crate::ids::{Epoch, PlayerId, ServerId, ZoneId};
use crate::role::Role;
use crate::tick::simulated;
use crate::world::command::PlayerState;
use chaos::Chaos;
use check::Checker;
use clients::Client;
use counts::Counts;
use desk::{Answer, Calls};
use net::{Life, Net};
use node::{Ground, Node, Part};
use store::Model;

/// Between two steps, ms: a round of a zone.
const STEP: u64 = 10;
/// When it begins, ms.
const BEGINNING: u64 = 100_000;
/// How long things go wrong, ms.
const CHAOS: u64 = 20_000;
/// How long everything may take until it is calm again once nothing goes wrong, ms: leases run out,
/// players are looked for, saves are refused.
const HEALS_WITHIN: u64 = 60_000;
/// How long everybody may take to leave, ms.
const LEAVES_WITHIN: u64 = 15_000;

const PLAYERS: u64 = 6;
const POTIONS: u32 = 1_000;

/// How a process is.
enum Process {
    Runs(Box<Node>),
    /// Whether it said good-bye.
    Ended(bool),
}

/// All of it.
struct Simulation {
    chance: ChaCha8Rng,
    now: u64,
    ground: Ground,
    processes: BTreeMap<ServerId, Process>,
    roles: BTreeMap<ServerId, Role>,
    net: Net,
    calls: Calls,
    model: Model,
    clients: Vec<Client>,
    chaos: Chaos,
    checker: Checker,
    counts: Counts,
    /// Processes that start then.
    starts: Vec<(u64, Role)>,
    /// Answers for processes that stand still.
    held: Vec<(ServerId, Answer)>,
    /// Whether the clients do anything but stand there.
    playing: bool,
    /// Whether it says what happens.
    talks: bool,
}

/// What is left of a simulation.
#[derive(Debug, PartialEq)]
struct Outcome {
    counts: Counts,
    /// Virtual time that healing took, ms.
    healed_in: u64,
    players: Vec<PlayerState>,
    operations: Vec<crate::ids::OperationId>,
}

/// Plays one seed through.
fn play(seed: u64, ground: Ground, talks: bool) -> Result<Outcome, String> {
    simulated::set(Some(Duration::from_millis(BEGINNING)));
    let mut simulation = Simulation::new(seed, ground, talks);
    let outcome = simulation.play();
    let now = simulation.now;
    drop(simulation);
    simulated::set(None);
    outcome.map_err(|problem| format!("{} ms after its beginning: {problem}", now - BEGINNING))
}

impl Simulation {
    fn new(seed: u64, ground: Ground, talks: bool) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut model = Model::default();
        for number in 1..=PLAYERS {
            model.create(newcomer(number), &[("potion".into(), POTIONS, true)]);
        }
        let mut calls = Calls::new();
        calls.requests = ground.requests.clone();
        let mut simulation = Self {
            now: BEGINNING,
            ground,
            processes: BTreeMap::new(),
            roles: BTreeMap::new(),
            net: Net::new(),
            calls,
            model,
            clients: (1..=PLAYERS).map(|number| Client::new(PlayerId(number))).collect(),
            chaos: Chaos::new(&mut chance),
            checker: Checker::default(),
            counts: Counts::default(),
            starts: Vec::new(),
            held: Vec::new(),
            playing: false,
            talks,
            chance,
        };
        let roles =
            [Role::Master, Role::Gateway, Role::Gateway, Role::Zone, Role::Zone, Role::Zone];
        roles.into_iter().for_each(|role| simulation.start(role));
        simulation
    }

    /// All of a life: everything comes up, goes wrong, is healed, and ends.
    fn play(&mut self) -> Result<Outcome, String> {
        self.clients.iter_mut().for_each(|client| client.wants_in = true);
        self.until_calm("beginning", HEALS_WITHIN)?;
        let end = self.now + CHAOS;
        (self.calls.faults, self.playing) = (self.chaos.store_faults, true);
        while self.now < end {
            self.go_wrong();
            self.step()?;
        }
        self.heal();
        let healed = self.now;
        self.until_calm("healing", HEALS_WITHIN)?;
        let healed_in = self.now - healed;
        self.clients.iter_mut().for_each(|client| client.wants_in = false);
        let end = self.now + LEAVES_WITHIN;
        while let Some(left) = self.left_behind() {
            if self.now > end {
                return Err(format!("not everybody could leave: {left}"));
            }
            self.step()?;
        }
        self.checker.check_rows(&self.model, &self.clients)?;
        Ok(Outcome {
            counts: self.counts,
            healed_in,
            players: self.model.rows.values().map(|row| row.state.clone()).collect(),
            operations: self.model.done.iter().map(|operation| operation.id).collect(),
        })
    }

    fn until_calm(&mut self, when: &str, within: u64) -> Result<(), String> {
        let end = self.now + within;
        while self.now <= end {
            // What is looked for costs more than a step.
            for _ in 0..10 {
                self.step()?;
            }
            if self.unrest().is_empty() {
                return Ok(());
            }
        }
        Err(format!("it does not become calm in {when}: {:#?}", self.unrest()))
    }

    fn note(&self, what: impl FnOnce() -> String) {
        if self.talks {
            eprintln!("{:>6} {}", self.now - BEGINNING, what());
        }
    }

    fn node(&self, id: ServerId) -> Option<&Node> {
        match self.processes.get(&id) {
            Some(Process::Runs(node)) => Some(node),
            _ => None,
        }
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.processes.values().filter_map(|process| match process {
            Process::Runs(node) => Some(&**node),
            Process::Ended(_) => None,
        })
    }

    fn start(&mut self, role: Role) {
        let id = ServerId(self.processes.len() as u64 + 1);
        self.note(|| format!("server {id} starts as {role}"));
        let node = Box::new(Node::start(id, role, self.now, &self.ground));
        for other in
            self.nodes().filter(|other| other.talks_with(&node)).map(|o| o.id).collect::<Vec<_>>()
        {
            self.net.join(id, other, self.now);
        }
        self.roles.insert(id, role);
        self.processes.insert(id, Process::Runs(node));
    }

    /// One step of everything.
    fn step(&mut self) -> Result<(), String> {
        self.now += STEP;
        simulated::set(Some(Duration::from_millis(self.now)));
        self.wake();
        let due: Vec<Role> =
            self.starts.extract_if(.., |(at, _)| *at <= self.now).map(|s| s.1).collect();
        due.into_iter().for_each(|role| self.start(role));
        self.run_net();
        self.run_store();
        self.run_nodes();
        self.end_stopped();
        self.run_clients();
        self.checker.check(&self.processes, &self.model, &self.clients, &mut self.counts)
    }

    fn wake(&mut self) {
        for process in self.processes.values_mut() {
            if let Process::Runs(node) = process
                && node.frozen.is_some_and(|(_, until)| until <= self.now)
            {
                node.frozen = None;
                self.net.woken(node.id, self.now, &mut self.chance);
            }
        }
    }

    fn run_net(&mut self) {
        let processes = &self.processes;
        let life = |id: ServerId| match processes.get(&id) {
            Some(Process::Runs(node)) => match node.frozen {
                Some((since, _)) => Life::Frozen(since),
                None => Life::Awake,
            },
            Some(Process::Ended(clean)) => Life::Dead(*clean),
            None => Life::Dead(false),
        };
        let events = self.net.step(self.now, life, &mut self.chance, &mut self.counts);
        for event in events {
            let (net::Event::Up { at, peer, .. }
            | net::Event::Lost { at, peer, .. }
            | net::Event::Message { at, peer, .. }) = &event;
            let (at, role) = (*at, self.roles[peer]);
            if let Some(Process::Runs(node)) = self.processes.get_mut(&at) {
                node.on_event(event, role, self.now, &mut self.counts);
            }
        }
    }

    fn run_store(&mut self) {
        let done = self.model.done.len();
        self.calls.take_requests(self.now, &mut self.chance, &mut self.counts);
        let before = self.talks.then(|| self.model.rows.clone());
        let heard = self.calls.step(self.now, &mut self.model, &mut self.chance, &mut self.counts);
        for (player, row) in before.iter().flatten() {
            let after = &self.model.rows[player];
            if (after.state.epoch, after.owner) != (row.state.epoch, row.owner) {
                let (epoch, at) = (after.state.epoch, after.state.pose.at);
                self.note(|| {
                    format!("player {player} is {:?}'s under {epoch}, at {at:?}", after.owner)
                });
            }
        }
        for operation in &self.model.done[done..] {
            self.note(|| format!("player {}: {:?}", operation.player, operation.change));
        }
        let held = std::mem::take(&mut self.held);
        for (to, answer) in held.into_iter().chain(heard) {
            let Some(Process::Runs(node)) = self.processes.get_mut(&to) else { continue };
            if node.frozen.is_some() {
                self.held.push((to, answer));
            } else {
                node.on_answer(answer, self.now, &self.ground, &mut self.counts);
            }
        }
    }

    fn run_nodes(&mut self) {
        let mut order: Vec<ServerId> = self.nodes().map(|node| node.id).collect();
        order.shuffle(&mut self.chance);
        for id in order {
            let Some(Process::Runs(mut node)) = self.processes.remove(&id) else { continue };
            if node.frozen.is_none() {
                let directory: BTreeMap<ZoneId, ServerId> = if node.role == Role::Gateway {
                    let zones = self.ground.content.zones.iter().map(|zone| zone.id);
                    zones.filter_map(|zone| Some((zone, node.zone_at(zone)?))).collect()
                } else {
                    BTreeMap::new()
                };
                let sees = |zone: ZoneId, player: PlayerId| {
                    let server = *directory.get(&zone)?;
                    let other = self.node(server).filter(|other| other.frozen.is_none())?;
                    let rig = other.host()?.rig(zone)?;
                    self.net.is_up(id, server).then(|| rig.shows(player))
                };
                let mut counts = self.counts;
                node.turn(self.now, sees, &mut counts);
                self.counts = counts;
            }
            self.processes.insert(id, Process::Runs(node));
        }
    }

    /// Zone servers that were stopped end when their zones have.
    fn end_stopped(&mut self) {
        let over =
            |node: &&Node| node.host().is_some_and(|host| host.stopping && host.zones.is_empty());
        let over: Vec<ServerId> = self.nodes().filter(over).map(|node| node.id).collect();
        for id in over {
            self.end(id, true);
        }
    }

    /// A process ends; another of its kind starts later.
    fn end(&mut self, id: ServerId, clean: bool) {
        self.note(|| format!("server {id} ends, clean: {clean}"));
        self.processes.insert(id, Process::Ended(clean));
        self.held.retain(|(to, _)| *to != id);
        self.calls.on_killed(id, &mut self.chance);
        let later = self.now + chaos::restarts_after(&mut self.chance);
        let role = self.roles[&id];
        self.starts.push((later, role));
    }

    /// Nothing goes wrong any more.
    fn heal(&mut self) {
        self.note(|| "everything is healed".to_owned());
        self.net.heal(self.now);
        (self.calls.faults, self.calls.away_until) = (0, self.now);
        self.playing = false;
        let now = self.now;
        for process in self.processes.values_mut() {
            if let Process::Runs(node) = process
                && let Some((_, until)) = &mut node.frozen
            {
                *until = (*until).min(now);
            }
        }
    }

    /// What is not as it should be once nothing goes wrong.
    fn unrest(&self) -> Vec<String> {
        let mut found = self.net.waits_for();
        if !self.starts.is_empty() {
            found.push("processes are to start".to_owned());
        }
        for zone in &self.ground.content.zones {
            let runs =
                self.nodes().filter(|node| node.host().is_some_and(|h| h.rig(zone.id).is_some()));
            if runs.count() != 1 {
                found.push(format!("zone {} does not run once", zone.id));
            }
        }
        for node in self.nodes() {
            if let Some(host) = node.host() {
                found.extend(host.running().flat_map(|(_, rig)| rig.waits_for()));
            }
            if node.gateway().is_some_and(|gateway| gateway.waiting() > 0) {
                found.push(format!("gateway {} has messages that nobody takes", node.id));
            }
        }
        found.extend(self.clients.iter().filter_map(|client| self.unrest_of(client)));
        found
    }

    /// Who is still somewhere after everybody has left.
    fn left_behind(&self) -> Option<String> {
        let owned = self.model.rows.values().find(|row| row.owner.is_some());
        if let Some(row) = owned {
            return Some(format!("{:?} has player {}", row.owner, row.state.id));
        }
        for node in self.nodes() {
            for (zone, rig) in node.host().into_iter().flat_map(|host| host.running()) {
                if !rig.shown().is_empty() || !rig.waits_for().is_empty() || !rig.saves_are_idle() {
                    return Some(format!("zone {zone}: {:?} {:?}", rig.shown(), rig.waits_for()));
                }
            }
            if let Part::Master(master, _) = &node.part
                && master.population() > 0
            {
                return Some(format!("the master knows {}", master.population()));
            }
        }
        (!self.calls.is_idle() && self.model.done.is_empty()).then(|| "calls".to_owned())
    }
}

fn newcomer(number: u64) -> PlayerState {
    let at = Point { x: -18.0 + 5.0 * number as f32, y: 5.0 - number as f32 };
    PlayerState {
        id: PlayerId(number),
        name: format!("player_{number}").into(),
        epoch: Epoch(0),
        zone: ZoneId(1),
        pose: Pose { at, rotation: 0.0 },
        level: 1,
        experience: 0,
        health: 100,
        power: 100,
        gold: 0,
        inventory: Vec::new(),
        quests: Vec::new(),
        timers: Vec::new(),
    }
}
