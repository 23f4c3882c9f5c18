//! What a load test has found, as text for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::assertion::{Metric, Verdict};
use super::fleet::Run;
use super::options::Scenario;
use super::tally::Tally;

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
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Machine {
    /// The server's processor time, share of one core.
    pub server_cpu: Option<f64>,
    /// The server's resident memory, bytes.
    pub server_memory: Option<u64>,
    /// The bots' own processor time, share of one core. Near the number of threads the bots
    /// are the bottleneck, and the latencies theirs.
    pub bots_cpu: Option<f64>,
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
    /// What was due at the watchers.
    pub expected: u64,
    /// What of it came.
    pub delivered: u64,
    /// Mover to watcher, speaker to hearer, or there and back, as the scenario has it.
    pub latency: Quantiles,
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
            Scenario::Crowd => "crowd",
            Scenario::LoginStorm => "login-storm",
            Scenario::Chat => "chat",
            Scenario::Idle => "idle",
            Scenario::Echo => "echo",
        };
        let (seen, watchers) = tally.visible;
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
            expected: tally.expected,
            delivered: tally.delivered,
            latency: Quantiles::of(&tally.latency),
            round_trip: Quantiles::of(&tally.round_trip),
            late: tally.late,
            corrections: tally.corrections,
            errors: tally.errors,
            refusals: tally.refusals,
            disconnects: tally.disconnects,
            machine,
            groups_isolated: run.posts.get().is_none_or(|posts| posts.isolated),
            verdicts: Vec::new(),
        };
        report.verdicts = run.options.assert.judge(|metric| report.measured(metric));
        report
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

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, clients, connected, seconds, rate, .. } = self;
        writeln!(
            f,
            "{scenario}: {connected} of {clients} bots, {seconds:.1} s, {rate} inputs/s each"
        )?;
        self.write_flows(f)?;
        self.write_times(f)?;
        self.write_machine(f)?;
        for (name, counts) in
            [("errors", &self.errors), ("refusals", &self.refusals), ("lost", &self.disconnects)]
        {
            writeln!(f, "  {name:<12}{}", listed(counts))?;
        }
        for Verdict { condition, actual, passed } in &self.verdicts {
            let word = if *passed { "ok" } else { "FAILED" };
            writeln!(f, "  {word:<12}{condition} ({actual})")?;
        }
        Ok(())
    }
}

impl Report {
    fn write_flows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, flow, updates) in [
            ("to server", &self.out, self.moves_per_second),
            ("to clients", &self.into, self.updates_per_second),
        ] {
            let Flow { packets_per_second, bytes_per_second_per_client } = flow;
            writeln!(
                f,
                "  {name:<12}{packets_per_second:>10.0} packets/s  {updates:>10.0} moves/s  \
                 {bytes_per_second_per_client:>8.0} bytes/s per client"
            )?;
        }
        let Some(visible) = self.visible else { return Ok(()) };
        let note = if self.groups_isolated { "" } else { "; groups see each other: small zone" };
        writeln!(f, "  {:<12}{visible:>10.1} entities on average{note}", "in view")
    }

    fn write_times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.expected > 0 {
            let share = self.delivered as f64 / self.expected as f64 * 100.0;
            let what = match self.scenario.as_str() {
                "wander" | "crowd" => "inputs of bots in a watcher's view whose place came there",
                "chat" => "messages in a watcher's room that came there",
                "login-storm" => "log-ins that ended in the world",
                _ => "requests that were answered",
            };
            let (delivered, expected) = (self.delivered, self.expected);
            writeln!(f, "  {:<12}{share:>10.2} %   {delivered} of {expected} {what}", "delivered")?;
        }
        for (name, quantiles) in [("latency", &self.latency), ("round trip", &self.round_trip)] {
            if quantiles.count > 0 {
                let Quantiles { p50_ms, p95_ms, p99_ms, p999_ms, max_ms, .. } = quantiles;
                writeln!(
                    f,
                    "  {name:<12}{:>10} {p50_ms:.2}  p95 {p95_ms:.2}  p99 {p99_ms:.2}  \
                     p99.9 {p999_ms:.2}  max {max_ms:.2} ms",
                    "p50"
                )?;
            }
        }
        Ok(())
    }

    fn write_machine(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { server_cpu, server_memory, bots_cpu } = self.machine;
        if let (Some(cpu), Some(memory)) = (server_cpu, server_memory) {
            let (cpu, megabytes) = (cpu * 100.0, memory as f64 / 1e6);
            writeln!(f, "  {:<12}{cpu:>10.0} % of a core   {megabytes:.0} MB", "server")?;
        }
        let cpu = bots_cpu.map_or(String::new(), |cpu| format!("{:.0} % of a core", cpu * 100.0));
        let (late, corrections) = (self.late, self.corrections);
        writeln!(f, "  {:<12}{cpu:>21}   {late} late inputs, {corrections} corrections", "bots")
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let mut text = String::new();
    for (what, count) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{what} {count}");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}
