//! How this process is, told to the master once a second and at once when what it runs changes:
//! players, processor, memory, zones, links.
//!
//! Reads `/proc` where there is one; elsewhere the processor and memory are 0.

use std::fs;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::ids::ServerId;
use crate::link::Outbox;
use crate::msg::MasterMsg;
use crate::msg::master::{ServerStatus, ZoneStatus};
use crate::tick::now;
use crate::zone::host::Hosted;

/// Kernel clock ticks of a second; 100 on every Linux that is met.
const CLOCK_TICKS: f64 = 100.0;

/// Where what changes is read. The sender of a watch that never changes may be gone.
pub struct StatusSource {
    /// Players that this process has as a gateway; none: it is none, and its zones' players count.
    pub clients: Option<Box<dyn Fn() -> u32 + Send + Sync>>,
    /// The zones that run here, with their players; for ever empty without the zone role.
    pub hosted: watch::Receiver<Hosted>,
    /// Links that are up.
    pub links: Box<dyn Fn() -> u32 + Send + Sync>,
    /// Which process plays the master: another one knows nothing yet.
    pub master: watch::Receiver<Option<ServerId>>,
    /// Whether the process takes nobody new any more.
    pub draining: watch::Receiver<bool>,
}

impl StatusSource {
    /// Fills in what has changed since the last look.
    fn fill(&mut self, status: &mut ServerStatus) {
        let hosted = self.hosted.borrow_and_update().clone();
        let zones = hosted.iter().map(|(hosted, players)| ZoneStatus {
            zone: hosted.zone,
            players: *players,
            origin: hosted.origin,
        });
        status.zones = zones.collect();
        status.players = match &self.clients {
            Some(clients) => clients(),
            None => hosted.iter().fold(0, |sum, (_, players)| sum.saturating_add(*players)),
        };
        status.links = (self.links)();
        status.draining = *self.draining.borrow_and_update();
    }

    /// Waits until other zones run here than was told, or another master is to be told, or the
    /// process begins to drain.
    async fn changed(&mut self, told: &ServerStatus) {
        let same = |hosted: &Hosted| {
            let now = hosted.iter().map(|(hosted, _)| (hosted.zone, hosted.origin));
            now.eq(told.zones.iter().map(|zone| (zone.zone, zone.origin)))
        };
        tokio::select! {
            () = until(&mut self.hosted, |hosted| !same(hosted)) => {}
            Ok(()) = self.master.changed() => {}
            () = until(&mut self.draining, |draining| *draining != told.draining) => {}
        }
    }
}

/// Waits until it is so; for ever if it will not change any more.
async fn until<T>(watched: &mut watch::Receiver<T>, so: impl FnMut(&T) -> bool) {
    if watched.wait_for(so).await.is_err() {
        std::future::pending().await
    }
}

/// Tells the master how the process is, until `stop`. `status` holds what does not change.
pub async fn report(
    status: ServerStatus,
    source: StatusSource,
    master: Outbox<MasterMsg>,
    stop: CancellationToken,
) {
    report_every(Duration::from_secs(1), status, source, master, stop).await;
}

async fn report_every(
    period: Duration,
    mut status: ServerStatus,
    mut source: StatusSource,
    master: Outbox<MasterMsg>,
    stop: CancellationToken,
) {
    let mut due = tokio::time::interval(period);
    let mut cpu = CpuMeter::start();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {
                status.cpu_percent = cpu.percent();
                status.memory = resident_bytes();
            }
            () = source.changed(&status) => {}
        }
        source.fill(&mut status);
        if let Err(problem) = master.send(MasterMsg::Status(Box::new(status.clone()))) {
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
    use crate::ids::ZoneId;
    use crate::link::{Inbox, inbox};
    use crate::msg::node::HostedZone;

    fn nobody(server: u64) -> ServerStatus {
        ServerStatus {
            server: ServerId(server),
            name: String::new(),
            roles: vec![],
            version: String::new(),
            region: String::new(),
            host: String::new(),
            port: 0,
            text_port: 0,
            players: 0,
            capacity: 0,
            cpu_percent: 0.0,
            memory: 0,
            zones: vec![],
            draining: false,
            link_host: String::new(),
            link_port: 0,
            started_at: 0,
            links: 0,
        }
    }

    async fn told(master: &mut Inbox<MasterMsg>) -> ServerStatus {
        let Some(MasterMsg::Status(status)) = master.recv().await else { panic!("a status") };
        *status
    }

    #[tokio::test]
    async fn changes_are_told_at_once_and_the_rest_in_time() {
        let (to_master, mut heard) = inbox(16, false);
        let (hosts, hosted) = watch::channel(Vec::new());
        let (drains, draining) = watch::channel(false);
        let (masters, master) = watch::channel(None);
        let source = |hosted, draining| StatusSource {
            clients: None,
            hosted,
            links: Box::new(|| 3),
            master: master.clone(),
            draining,
        };
        let (never, stop) = (Duration::from_secs(3_600), CancellationToken::new());
        let slow = source(hosted.clone(), draining.clone());
        let reporting = report_every(never, nobody(1), slow, to_master.clone(), stop.clone());
        let reporting = tokio::spawn(reporting);
        let first = told(&mut heard).await;
        assert_eq!((first.links, first.zones.len(), first.draining), (3, 0, false));
        let zone = HostedZone { zone: ZoneId(4), origin: 9 };
        hosts.send_replace(vec![(zone, 0)]);
        let second = told(&mut heard).await;
        assert_eq!(second.zones, [ZoneStatus { zone: ZoneId(4), players: 0, origin: 9 }]);
        masters.send_replace(Some(ServerId(2)));
        assert_eq!(told(&mut heard).await.zones.len(), 1, "a new master hears of it at once");
        drains.send_replace(true);
        assert!(told(&mut heard).await.draining);
        stop.cancel();
        reporting.await.unwrap();
        // Players alone are no reason to hurry, and watches may end.
        let (soon, stop) = (Duration::from_millis(1), CancellationToken::new());
        let quick = source(hosted, draining);
        let reporting = tokio::spawn(report_every(soon, nobody(1), quick, to_master, stop.clone()));
        assert_eq!(told(&mut heard).await.players, 0);
        hosts.send_replace(vec![(zone, 7)]);
        drop((hosts, drains, masters));
        while told(&mut heard).await.players != 7 {}
        stop.cancel();
        reporting.await.unwrap();
    }

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
