//! The bare loop that a server is measured by: as many sockets, as many bytes each way at the same
//! rate, and nothing else. What it costs is what the kernel takes.
//!
//! The loop itself (`looping.rs`) is a child process, as the server is; its clients (`clients.rs`)
//! run here. Sizes and rates are those of the report that it stands beside.

mod clients;
mod looping;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::cores::Cores;
use super::options::{Options, Scenario};
use super::process::Process;
use super::report::Report;
use crate::tick::TICK_MS;

pub use looping::BareLoop;

/// Writes a second of a server that writes once a tick.
const TICKS_A_SECOND: f64 = 1_000.0 / TICK_MS as f64;
/// Smallest frame: its length and a byte.
const FRAME_MIN: f64 = 5.0;

/// What a bare loop has cost.
#[derive(Debug, Clone, Serialize)]
pub struct Bare {
    /// Its processor time, share of one core; none: it was not to be seen.
    pub cpu: Option<f64>,
    /// What of that the kernel had.
    pub kernel: Option<f64>,
    /// Microseconds of it for each packet that came.
    pub packet_us: Option<f64>,
    /// Share of the packets due that came.
    pub delivered: f64,
    /// Bytes of a packet.
    pub packet_bytes: u32,
    /// Packets a second to each client.
    pub packets_per_second: f64,
    /// Answers to requests there and back, milliseconds, where it answers: 50 % and 99 %.
    pub round_trip_ms: Option<(f64, f64)>,
}

/// What must be known of a run before it begins.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    clients: u32,
    duration: Duration,
    answers: bool,
}

/// What a bare loop and its clients exchange.
#[derive(Debug, Clone, Copy)]
struct Traffic {
    clients: u32,
    /// Answers requests one by one; false: writes at ticks.
    answers: bool,
    /// Bytes of a client's packet.
    request: u32,
    /// Packets a second and client.
    requests: f64,
    /// Bytes of the server's packet.
    packet: u32,
    /// Of them in one write.
    per_write: f64,
    /// Writes a second and client.
    writes: f64,
}

impl Plan {
    pub(super) fn of(options: &Options) -> Self {
        let &Options { clients, duration, scenario, .. } = options;
        Self { clients, duration, answers: scenario == Scenario::Echo }
    }

    /// As much each way as the report has counted.
    fn traffic(&self, report: &Report) -> Traffic {
        let clients = f64::from(self.clients);
        let sizes = [&report.out, &report.into].map(|flow| {
            let packets = flow.packets_per_second / clients;
            (packets, (flow.bytes_per_second_per_client / packets.max(1e-9)).max(FRAME_MIN))
        });
        let [(requests, request), (packets, packet)] = sizes;
        let writes = packets.min(TICKS_A_SECOND);
        Traffic {
            clients: self.clients,
            answers: self.answers,
            request: request.round() as u32,
            requests,
            packet: packet.round() as u32,
            per_write: packets / writes.max(1e-9),
            writes,
        }
    }
}

/// A running loop; it ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures a bare loop as the server of `report` was measured.
///
/// # Errors
/// If it cannot be started or connected to.
pub(super) fn run(plan: &Plan, report: &Report, cores: Option<&Cores>) -> anyhow::Result<Bare> {
    let traffic = plan.traffic(report);
    cores.map_or(Ok(()), Cores::become_server)?;
    let (running, port) = start(&traffic)?;
    cores.map_or(Ok(()), Cores::become_bots)?;
    let process = Process::of(running.0.id());
    let counted = clients::run(&traffic, port, plan.duration, process)?;
    let due = if traffic.answers {
        counted.sent as f64
    } else {
        f64::from(plan.clients) * traffic.per_write * traffic.writes * counted.seconds
    };
    Ok(Bare {
        cpu: counted.spent.map(|spent| spent.all),
        kernel: counted.spent.map(|spent| spent.kernel),
        packet_us: counted
            .spent
            .map(|spent| spent.all * counted.seconds * 1e6 / counted.came.max(1) as f64),
        delivered: counted.came as f64 / due.max(1.0),
        packet_bytes: traffic.packet,
        packets_per_second: counted.came as f64 / counted.seconds / f64::from(plan.clients),
        round_trip_ms: counted.round_trip_ms,
    })
}

fn start(traffic: &Traffic) -> anyhow::Result<(Running, u16)> {
    let program = std::env::current_exe().context("this program's file is not known")?;
    let mut command = Command::new(program);
    command.arg("bare-loop").args(["--clients", &traffic.clients.to_string()]);
    command.args(["--request", &traffic.request.to_string()]);
    command.args(["--packet", &traffic.packet.to_string()]);
    command.args(["--per-write", &traffic.per_write.to_string()]);
    command.args(["--writes", &traffic.writes.to_string()]);
    if traffic.answers {
        command.arg("--answer");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("the bare loop cannot be started")?;
    let output = child.stdout.take().context("the bare loop has no output")?;
    let running = Running(child);
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let port = line.trim().parse().context("the bare loop did not come up")?;
    Ok((running, port))
}
