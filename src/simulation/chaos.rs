//! What goes wrong in a simulation: which kinds of faults a seed has, and when they come.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{Process, Simulation};
use crate::ids::ServerId;
use crate::role::Role;

/// Steps between two faults of each kind, on average; none: this seed has no such faults.
#[derive(Debug)]
pub(super) struct Chaos {
    cuts: Option<u32>,
    partings: Option<u32>,
    slow: Option<u32>,
    kills: Option<u32>,
    stops: Option<u32>,
    freezes: Option<u32>,
    outages: Option<u32>,
    /// Calls of the store that go wrong, percent.
    pub store_faults: u32,
}

impl Chaos {
    /// Each kind is left out by some seeds, so that what it hides comes to light.
    pub(super) fn new(chance: &mut ChaCha8Rng) -> Self {
        let mut every = |steps: u32| chance.random_bool(0.7).then_some(steps);
        let (cuts, partings, slow) = (every(120), every(400), every(300));
        let (kills, stops, freezes) = (every(600), every(1_200), every(400));
        let outages = every(900);
        let store_faults = *[0, 3, 10, 25].choose(chance).unwrap();
        Self { cuts, partings, slow, kills, stops, freezes, outages, store_faults }
    }
}

/// How much later a process that has ended starts again, ms.
pub(super) fn restarts_after(chance: &mut ChaCha8Rng) -> u64 {
    chance.random_range(100..5_000)
}

impl Simulation {
    /// Perhaps something goes wrong now.
    pub(super) fn go_wrong(&mut self) {
        let now = self.now;
        if self.strikes(self.chaos.cuts) {
            self.counts.cuts += 1;
            self.net.cut_one(now, &mut self.chance);
        }
        if self.strikes(self.chaos.partings) {
            self.counts.partings += 1;
            self.net.part_one(now, &mut self.chance);
        }
        if self.strikes(self.chaos.slow) {
            self.counts.slow += 1;
            self.net.slow_one(now, &mut self.chance);
        }
        if self.strikes(self.chaos.outages) {
            self.counts.outages += 1;
            let millis = self.chance.random_range(200..4_000);
            self.note(|| format!("the store is away for {millis} ms"));
            self.calls.away_until = now + millis;
        }
        if self.strikes(self.chaos.freezes)
            && let Some(id) = self.victim(|_| true)
        {
            self.freeze(id);
        }
        if self.strikes(self.chaos.kills)
            && let Some(id) = self.victim(|_| true)
        {
            match self.roles[&id] {
                Role::Zone => self.counts.zone_servers_killed += 1,
                Role::Master => self.counts.masters_killed += 1,
                _ => self.counts.gateways_killed += 1,
            }
            self.end(id, false);
        }
        if self.strikes(self.chaos.stops)
            && let Some(id) = self.victim(|role| role == Role::Zone)
            && let Some(Process::Runs(node)) = self.processes.get_mut(&id)
            && let super::Part::Zones(host) = &mut node.part
        {
            self.counts.zone_servers_stopped += 1;
            host.stop();
        }
    }

    fn strikes(&mut self, every: Option<u32>) -> bool {
        every.is_some_and(|steps| self.chance.random_ratio(1, steps))
    }

    /// Some process that runs.
    fn victim(&mut self, of: impl Fn(Role) -> bool) -> Option<ServerId> {
        let all: Vec<ServerId> =
            self.nodes().filter(|node| of(node.role)).map(|node| node.id).collect();
        all.choose(&mut self.chance).copied()
    }

    /// A process stands still, sometimes so long that others take it for dead.
    fn freeze(&mut self, id: ServerId) {
        let millis = if self.chance.random_bool(0.5) {
            self.chance.random_range(100..3_000)
        } else {
            self.chance.random_range(3_000..12_000)
        };
        let Some(Process::Runs(node)) = self.processes.get_mut(&id) else { return };
        if node.frozen.is_some() {
            return;
        }
        node.frozen = Some((self.now, self.now + millis));
        self.counts.frozen += 1;
        self.calls.on_frozen(id, millis, &mut self.chance);
        self.note(|| format!("server {id} stands still for {millis} ms"));
    }
}
