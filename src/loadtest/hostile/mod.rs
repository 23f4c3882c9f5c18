//! `--scenario hostile`: bots that walk, and beside them, in the second half of each run, flooders of one
//! kind after the other. What they do to the bots' latency is the figure.
//!
//! Each kind is a run of `fleet.rs` against the same server of the run's own; `pour.rs` is what the
//! flooders do.

mod pour;

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use super::fleet;
use super::options::{Options, Scenario};
use super::own::OwnServer;
use super::report::Report;
pub(super) use pour::pour;

/// What a flooder sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flood {
    /// What the program `yes` does.
    Yes,
    /// Packets that are always allowed.
    Heartbeats,
    /// A packet of the world, before log-in.
    WrongState,
    /// Packets of a type that there is not.
    Unknown,
    /// One log-in, and nothing more.
    Outside,
    /// The beginning of a request.
    HalfOpen,
    /// Requests for what is not there, one behind the other.
    Nowhere,
    /// WebSocket pings.
    Pings,
}

/// The kinds: what is sent, and to which port by the banner's word for it.
const KINDS: [(Flood, &str); 13] = [
    (Flood::Yes, "login"),
    (Flood::Yes, "gateway"),
    (Flood::Yes, "text"),
    (Flood::Yes, "web"),
    (Flood::Yes, "admin"),
    (Flood::Heartbeats, "login"),
    (Flood::Heartbeats, "gateway"),
    (Flood::WrongState, "gateway"),
    (Flood::Unknown, "gateway"),
    (Flood::Outside, "gateway"),
    (Flood::HalfOpen, "web"),
    (Flood::Nowhere, "web"),
    (Flood::Pings, "web"),
];
/// How many flooders there are of each.
const COUNTS: [u32; 2] = [1, 100];
/// Most that a flood may raise the bots' p99: a tenth.
const RAISED_MAX: f64 = 1.1;

/// Flooders of one kind.
#[derive(Debug, Clone)]
pub struct Assault {
    pub(super) flood: Flood,
    pub(super) target: SocketAddr,
    pub(super) count: u32,
}

/// What flooders of one kind have done.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What they send.
    pub flood: String,
    /// Where to.
    pub port: String,
    /// How many they are.
    pub flooders: u32,
    /// The bots' p99 in the first half, ms.
    pub p99_without_ms: f64,
    /// Beside the flooders, ms.
    pub p99_with_ms: f64,
    /// The one by the other.
    pub ratio: f64,
    /// The server's processor time in both halves, shares of one core; none: not to be seen.
    pub server_cpu: Option<(f64, f64)>,
}

/// All rows.
#[derive(Debug, Clone, Serialize)]
pub struct Table {
    /// Bots asked for.
    pub clients: u32,
    /// By kind and number.
    pub rows: Vec<Row>,
}

/// Runs all kinds against one server of the run's own.
pub(super) fn run(options: &Options, own: &OwnServer) -> anyhow::Result<Table> {
    let mut rows = Vec::new();
    for (flood, port) in KINDS {
        let Some(target) = own.port(port) else { anyhow::bail!("there is no port '{port}'") };
        for count in COUNTS {
            let mut options = own.aim(options.clone());
            options.scenario = Scenario::Walk;
            options.flood = Some(Assault { flood, target, count });
            rows.push(Row::of(&fleet::run(options, Some(own))?, flood, port, count));
        }
    }
    Ok(Table { clients: options.clients, rows })
}

impl Flood {
    fn as_str(self) -> &'static str {
        match self {
            Flood::Yes => "yes",
            Flood::Heartbeats => "heartbeats",
            Flood::WrongState => "wrong state",
            Flood::Unknown => "unknown type",
            Flood::Outside => "logged in, outside",
            Flood::HalfOpen => "half requests",
            Flood::Nowhere => "404s",
            Flood::Pings => "pings",
        }
    }
}

impl Row {
    fn of(report: &Report, flood: Flood, port: &str, flooders: u32) -> Self {
        let p99 = |half: &Option<super::Quantiles>| half.as_ref().map_or(0.0, |half| half.p99_ms);
        let (without, with) = (p99(&report.latency_before), p99(&report.latency_later));
        Self {
            flood: flood.as_str().to_owned(),
            port: port.to_owned(),
            flooders,
            p99_without_ms: without,
            p99_with_ms: with,
            ratio: with / without,
            server_cpu: report.machine.halves_cpu,
        }
    }
}

impl Table {
    /// Whether no kind has raised the bots' p99 by more than a tenth.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.ratio <= RAISED_MAX)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never in practice: every value has a form in JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

/// A table in Markdown, so that it can be put into a document as it is.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} bots walk; p99 from a step to its watchers' screens.\n", self.clients)?;
        writeln!(
            f,
            "| flood | port | flooders | p99 without | with | ratio | server, % of a core |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let Row { flood, port, flooders, p99_without_ms, p99_with_ms, ratio, .. } = row;
            let cpu = row.server_cpu.map_or_else(String::new, |(before, later)| {
                format!("{:.0} → {:.0}", before * 100.0, later * 100.0)
            });
            writeln!(
                f,
                "| {flood} | {port} | {flooders} | {p99_without_ms:.1} ms | {p99_with_ms:.1} ms | \
                 {ratio:.2} | {cpu} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raise_of_more_than_a_tenth_fails_the_table() {
        let row = |ratio| Row {
            flood: "yes".into(),
            port: "text".into(),
            flooders: 1,
            p99_without_ms: 50.0,
            p99_with_ms: 50.0 * ratio,
            ratio,
            server_cpu: Some((0.25, 0.5)),
        };
        let mut table = Table { clients: 500, rows: vec![row(1.0), row(1.1)] };
        assert!(table.passed());
        let text = table.to_string();
        assert!(text.contains("| yes | text | 1 | 50.0 ms | 55.0 ms | 1.10 | 25 → 50 |"), "{text}");
        table.rows.push(row(1.11));
        assert!(!table.passed());
    }
}
