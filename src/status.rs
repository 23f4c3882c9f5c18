//! How this process is, told to the master once a second: players, processor, memory, zones.
//!
//! Reads `/proc` where there is one; elsewhere the processor and memory are 0.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::link::Outbox;
use crate::link::tcp::Links;
use crate::msg::MasterMsg;
use crate::msg::master::{ServerStatus, ZoneStatus};
use crate::net::Gate;
use crate::role::Role;
use crate::tick::now;
use crate::zone::host::Hosted;

/// Kernel clock ticks of a second; 100 on every Linux that is met.
const CLOCK_TICKS: f64 = 100.0;

/// Where a process's status is read from.
pub struct Source {
    /// What does not change.
    pub template: ServerStatus,
    /// Its client connections.
    pub gate: Arc<Gate>,
    /// The zones that run in it, with their players.
    pub zones: watch::Receiver<Hosted>,
    /// Its links, if it has any.
    pub links: Option<Links>,
    /// Cancelled when it takes no newcomers any more.
    pub draining: CancellationToken,
}

impl Source {
    fn now(&self, cpu: &mut CpuMeter) -> ServerStatus {
        let hosted = self.zones.borrow().clone();
        let zones: Vec<ZoneStatus> = hosted
            .iter()
            .map(|(hosted, players)| ZoneStatus {
                zone: hosted.zone,
                players: *players,
                origin: hosted.origin,
            })
            .collect();
        let players = if self.template.roles.contains(&Role::Gateway) {
            u32::try_from(self.gate.connections()).unwrap_or(u32::MAX)
        } else {
            zones.iter().map(|zone| zone.players).sum()
        };
        let links = self.links.iter().flat_map(Links::status).filter(|link| link.up).count();
        ServerStatus {
            players,
            cpu_percent: cpu.percent(),
            memory: resident_bytes(),
            zones,
            draining: self.draining.is_cancelled(),
            links: u32::try_from(links).unwrap_or(u32::MAX),
            ..self.template.clone()
        }
    }
}

/// Tells the master how the process is, once a second and whenever its zones change or it begins to
/// drain, until `stop`.
pub async fn report(mut source: Source, master: Outbox<MasterMsg>, stop: CancellationToken) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let draining = source.draining.clone();
    let mut drain = std::pin::pin!(draining.cancelled());
    let mut drains = false;
    let mut cpu = CpuMeter::start();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = second.tick() => {}
            Ok(()) = source.zones.changed() => {}
            () = &mut drain, if !drains => drains = true,
        }
        let status = source.now(&mut cpu);
        if let Err(problem) = master.send(MasterMsg::Status(Box::new(status))) {
            debug!(%problem, "the master was not told how this server is");
        }
    }
}

/// Measures the process's share of a core between two looks.
struct CpuMeter {
    at: Instant,
    seconds: f64,
}

impl CpuMeter {
    fn start() -> Self {
        Self { at: now(), seconds: cpu_seconds() }
    }

    fn percent(&mut self) -> f32 {
        let (now, seconds) = (now(), cpu_seconds());
        let passed = (now - self.at).as_secs_f64();
        let used = seconds - self.seconds;
        *self = Self { at: now, seconds };
        if passed > 0.0 { (used / passed * 100.0) as f32 } else { 0.0 }
    }
}

/// User and system time of this process so far (proc(5), fields 14 and 15 of `stat`).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / CLOCK_TICKS
}

/// Resident memory of this process (proc(5), second field of `statm`, in pages of 4 KiB).
fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_running_process_has_memory_and_uses_time() {
        assert!(resident_bytes() > 1_000_000);
        let mut meter = CpuMeter::start();
        let mut sum = 0u64;
        while cpu_seconds() - meter.seconds < 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(meter.percent() > 0.0);
    }
}
