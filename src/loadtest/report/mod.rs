//! What a load test has found, as text for people and as JSON for programs.

mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::assertion::{Assertions, Metric, Verdict};
use super::bare::Bare;
use super::fleet::Run;
use super::options::Scenario;
use super::scrape::{Shed, Ticks};
use super::tally::Tally;
use crate::tick::TICK_MS;

/// Times at four quantiles, milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half are no longer than this.
    pub p50_ms: f64,
    /// 95 %.
    pub p95_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// What goes one way.
#[derive(Debug, Clone, Serialize)]
pub struct Flow {
    /// Packets a second, all bots together.
    pub packets_per_second: f64,
    /// Bytes a second and bot.
    pub bytes_per_second_per_client: f64,
}

/// What the machine spent on it; none: it was not to be seen.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Machine {
    /// The server's processor time, share of one core.
    pub server_cpu: Option<f64>,
    /// The same in each half, where something changes halfway.
    pub halves_cpu: Option<(f64, f64)>,
    /// What of that the kernel had.
    pub server_kernel: Option<f64>,
    /// The server's resident memory, bytes.
    pub server_memory: Option<u64>,
    /// The bots' own processor time, share of one core. Near the number of threads the bots
    /// are the bottleneck, and the latencies theirs.
    pub bots_cpu: Option<f64>,
    /// From the start of a server of the run's own until it listened, milliseconds.
    pub came_up_ms: Option<f64>,
    /// That server's resident memory before anybody came, bytes.
    pub empty_memory: Option<u64>,
    /// The processor time of the run's own database, share of one core.
    pub database_cpu: Option<f64>,
    /// The server's processor time by kind of thread, shares of one core.
    pub threads: BTreeMap<String, f64>,
    /// That server's ticks.
    pub ticks: Option<Ticks>,
    /// What found no room in its clients' bytes.
    pub shed: Option<Shed>,
}

/// What one thing cost the server; none: its processor time was not to be seen.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    /// Microseconds of processor time for each packet that a bot got.
    pub packet_us: Option<f64>,
    /// Microseconds of processor time for each entity update that a bot got.
    pub update_us: Option<f64>,
    /// Bots that one core would hold at this cost and rate.
    pub players_per_core: Option<f64>,
    /// Bytes to the bots for each entity update that came: whole frames, all packets, without what
    /// TCP and IP add.
    pub update_bytes: Option<f64>,
    /// Memory for each session, bytes: what came with the bots, shared out among them.
    pub session_bytes: Option<f64>,
}

/// What bots heard of a fight.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fight {
    /// Blows that bots have dealt and got: each is due to both.
    pub own_due: u64,
    /// Those of them that they were told of.
    pub own_came: u64,
    /// Events a second and bot, those of others among them.
    pub events_per_second_per_client: f64,
}

/// The whole report.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Which scenario.
    pub scenario: String,
    /// Bots asked for.
    pub clients: u32,
    /// Bots connected at the end.
    pub connected: u64,
    /// Seconds measured.
    pub seconds: f64,
    /// Inputs a second and bot.
    pub rate: u32,
    /// From the bots to the server.
    pub out: Flow,
    /// From the server to the bots.
    #[serde(rename = "in")]
    pub into: Flow,
    /// Position updates of single entities a second, all bots together.
    pub updates_per_second: f64,
    /// Moves sent a second, all bots together.
    pub moves_per_second: f64,
    /// Entities in a watcher's view at the end, on average; none: nobody watched.
    pub visible: Option<f64>,
    /// Packets of positions due in all: one a tick and bot where bots walk; none: the scenario sets
    /// no number.
    pub syncs_due: Option<u64>,
    /// Packets of positions that came.
    pub syncs: u64,
    /// Entity updates that came, to all bots.
    pub updates: u64,
    /// What was due at the watchers.
    pub expected: u64,
    /// What of it came.
    pub delivered: u64,
    /// What bots heard of the blows of a fight; none: they didn't fight.
    pub fight: Option<Fight>,
    /// Mover to watcher, speaker to hearer, or there and back, as the scenario has it.
    pub latency: Quantiles,
    /// The same of the first half of the time alone, if something changed in the second.
    pub latency_before: Option<Quantiles>,
    /// And of the second: some bots stopped reading in it, or others logged in.
    pub latency_later: Option<Quantiles>,
    /// Log-ins a second beside the bots' play, in the second half; none: nobody did that.
    pub log_ins_per_second: Option<f64>,
    /// How old a watcher's view of somebody was, each time just before it became new; with the
    /// oldest that never did.
    pub age: Quantiles,
    /// How far the times between a watcher's updates were from whole ticks.
    pub jitter: Quantiles,
    /// Heartbeats there and back.
    pub round_trip: Quantiles,
    /// Inputs that the bots themselves sent late, or not at all.
    pub late: u64,
    /// Positions that the server did not accept.
    pub corrections: u64,
    /// Faults by code.
    pub errors: BTreeMap<String, u64>,
    /// Refusals by the game's rules, by code.
    pub refusals: BTreeMap<String, u64>,
    /// Lost connections by what was said.
    pub disconnects: BTreeMap<String, u64>,
    /// Processor time and memory.
    #[serde(flatten)]
    pub machine: Machine,
    /// What that comes to.
    #[serde(flatten)]
    pub cost: Cost,
    /// The bare loop of the same call.
    pub bare: Option<Bare>,
    /// Server's processor time for a packet as a multiple of the bare loop's.
    pub ratio: Option<f64>,
    /// What a server of the run's own was told, each as `key=value`.
    pub settings: Vec<String>,
    /// The last warnings and errors of a server of the run's own.
    pub server_said: Vec<String>,
    /// Whether groups were out of each other's sight; false: the zone is too small for that.
    pub groups_isolated: bool,
    /// What became of `--assert`.
    pub verdicts: Vec<Verdict>,
}

impl Quantiles {
    fn of(histogram: &Histogram<u64>) -> Self {
        let millis = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        let any = !histogram.is_empty();
        let at = |quantile: f64| if any { millis(quantile) } else { 0.0 };
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        }
    }

    /// Seconds at a quantile given in thousandths; none if nothing was measured.
    fn seconds(&self, thousandths: u16) -> Option<f64> {
        let millis = match thousandths {
            500 => self.p50_ms,
            950 => self.p95_ms,
            990 => self.p99_ms,
            _ => self.p999_ms,
        };
        (self.count > 0).then_some(millis / 1_000.0)
    }
}

impl Report {
    pub(super) fn new(
        run: &Run,
        tally: Tally,
        measured: Duration,
        connected: u64,
        machine: Machine,
    ) -> Self {
        let seconds = measured.as_secs_f64();
        let clients = f64::from(run.options.clients);
        let flow = |packets: u64, bytes: u64| Flow {
            packets_per_second: packets as f64 / seconds,
            bytes_per_second_per_client: bytes as f64 / seconds / clients,
        };
        let scenario = match run.options.scenario {
            Scenario::Wander => "wander",
            Scenario::Walk => "walk",
            Scenario::Crowd => "crowd",
            Scenario::Fight => "fight",
            Scenario::LoginStorm => "login-storm",
            Scenario::EntryStorm => "entry-storm",
            Scenario::Chat => "chat",
            Scenario::Idle => "idle",
            Scenario::Echo => "echo",
            Scenario::Hostile => "hostile",
        };
        let halves = run.options.has_halves();
        let (seen, watchers) = tally.visible;
        let due = run.options.moves().then_some((seconds * 1e3 * clients) as u64 / TICK_MS);
        let cost = cost(&machine, &tally, seconds, connected);
        let mut report = Self {
            scenario: scenario.to_owned(),
            clients: run.options.clients,
            connected,
            seconds,
            rate: run.options.rate,
            out: flow(tally.packets_out, tally.bytes_out),
            into: flow(tally.packets_in, tally.bytes_in),
            updates_per_second: tally.updates_in as f64 / seconds,
            moves_per_second: tally.updates_out as f64 / seconds,
            visible: (watchers > 0).then(|| seen as f64 / watchers as f64),
            syncs_due: due,
            syncs: tally.syncs_in,
            updates: tally.updates_in,
            expected: tally.expected,
            delivered: tally.delivered,
            fight: (run.options.scenario == Scenario::Fight).then(|| Fight {
                own_due: tally.own_due,
                own_came: tally.own_came,
                events_per_second_per_client: tally.events_in as f64 / seconds / clients,
            }),
            latency: Quantiles::of(&tally.latency),
            latency_before: halves.then(|| Quantiles::of(&tally.latency_before)),
            latency_later: halves.then(|| Quantiles::of(&tally.latency_later)),
            log_ins_per_second: (run.options.storm > 0)
                .then(|| tally.log_ins as f64 / (seconds / 2.0)),
            age: Quantiles::of(&tally.age),
            jitter: Quantiles::of(&tally.jitter),
            round_trip: Quantiles::of(&tally.round_trip),
            late: tally.late,
            corrections: tally.corrections,
            errors: tally.errors,
            refusals: tally.refusals,
            disconnects: tally.disconnects,
            machine,
            cost,
            bare: None,
            ratio: None,
            settings: Vec::new(),
            server_said: Vec::new(),
            groups_isolated: run.posts.get().is_none_or(|posts| posts.isolated),
            verdicts: Vec::new(),
        };
        report.judge(&run.options.assert);
        report
    }

    /// Puts a bare loop's figures beside the server's, and judges again.
    pub(super) fn compare(&mut self, bare: Bare, assertions: &Assertions) {
        self.ratio = self.cost.packet_us.zip(bare.packet_us).map(|(server, bare)| server / bare);
        self.bare = Some(bare);
        self.judge(assertions);
    }

    fn judge(&mut self, assertions: &Assertions) {
        self.verdicts = assertions.judge(|metric| self.measured(metric));
    }

    /// A metric in seconds, bytes, shares and counts.
    fn measured(&self, metric: Metric) -> Option<f64> {
        let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>() as f64;
        match metric {
            Metric::Delivered => {
                (self.expected > 0).then(|| self.delivered as f64 / self.expected as f64)
            }
            Metric::Latency(thousandths) => self.latency.seconds(thousandths),
            Metric::RoundTrip(thousandths) => self.round_trip.seconds(thousandths),
            Metric::Errors => Some(sum(&self.errors)),
            Metric::Refusals => Some(sum(&self.refusals)),
            Metric::Corrections => Some(self.corrections as f64),
            Metric::Connected => Some(self.connected as f64),
            Metric::Late => Some(self.late as f64),
            Metric::Cpu => self.machine.server_cpu,
            Metric::Memory => self.machine.server_memory.map(|bytes| bytes as f64),
            Metric::Session => self.cost.session_bytes,
            Metric::Bandwidth => Some(self.into.bytes_per_second_per_client),
            Metric::Oldest => (self.age.count > 0).then_some(self.age.max_ms / 1e3),
            Metric::Jitter => self.jitter.seconds(990),
            Metric::Own => self
                .fight
                .filter(|fight| fight.own_due > 0)
                .map(|fight| fight.own_came as f64 / fight.own_due as f64),
            Metric::Ratio => self.ratio,
        }
    }

    /// Whether every condition of `--assert` holds.
    pub fn passed(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.passed)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never in practice: every value has a form in JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// Shares what the server spent out among what it did.
fn cost(machine: &Machine, tally: &Tally, seconds: f64, connected: u64) -> Cost {
    let spent = machine.server_cpu.map(|share| share * seconds * 1e6);
    let each = |count: u64| spent.filter(|_| count > 0).map(|spent| spent / count as f64);
    let grown = |(full, empty): (u64, u64)| full.saturating_sub(empty) as f64;
    Cost {
        packet_us: each(tally.packets_in),
        update_us: each(tally.updates_in),
        update_bytes: (tally.updates_in > 0)
            .then(|| tally.bytes_in as f64 / tally.updates_in as f64),
        players_per_core: machine.server_cpu.map(|share| connected as f64 / share),
        session_bytes: machine
            .server_memory
            .zip(machine.empty_memory)
            .map(|memory| grown(memory) / connected.max(1) as f64),
    }
}
