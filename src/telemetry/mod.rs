//! What operators see of a process: log lines on standard error, and metrics for Prometheus.
//!
//! `main` starts it once, before anything else that could fail. Logging never waits: when standard
//! error is not read, lines are dropped and counted. Nothing in here knows what a role does; the
//! metrics' names and meanings stand in [`catalogue`].

mod born;
pub mod catalogue;
mod held;
mod process;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::Context;
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::error;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use held::Held;

pub use held::LogGate;

/// Log lines that may wait for standard error.
const LOG_LINES: usize = 16_384;
/// Between two rounds of [`Telemetry::keep`].
const ROUND: Duration = Duration::from_secs(5);

/// Upper bounds of the buckets of every histogram of seconds: 50 µs to 10 s, about 2.3 apart, and
/// one at 40 ms, where a tick becomes too long.
const SECONDS: [f64; 18] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.04, 0.05, 0.1,
    0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// The same for histograms of counts.
const COUNTS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0];

/// The running log and metrics of a process. Dropping it writes the last log lines.
#[derive(Debug)]
pub struct Telemetry {
    metrics: PrometheusHandle,
    log: LogGate,
    dropped: ErrorCounter,
    _guard: WorkerGuard,
}

/// The log waits no longer than this for the banner.
const HELD_FOR: Duration = Duration::from_secs(3);

impl Telemetry {
    /// Starts both, and logs every panic from now on.
    ///
    /// # Errors
    /// If the filter is none, or a log or recorder was installed before.
    pub fn start(config: &LogConfig) -> anyhow::Result<Self> {
        let (log, dropped, guard) = start_log(config)?;
        std::panic::set_hook(Box::new(log_panic));
        let metrics = recorder()?.install_recorder().context("metrics were started before")?;
        catalogue::describe_all();
        born::begin();
        gauge!("throng_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        process::started();
        process::measure();
        Ok(Self { metrics, log, dropped, _guard: guard })
    }

    /// What `/metrics` is rendered from.
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }

    /// What holds the log's first lines back until the banner is out.
    pub fn log(&self) -> LogGate {
        self.log.clone()
    }

    /// Starts the task that keeps histograms small and measures the process. It ends with the
    /// runtime. A start that takes long is logged while it lasts.
    pub fn keep(&self) {
        let log = self.log.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HELD_FOR).await;
            log.open();
        });
        let (metrics, dropped) = (self.metrics.clone(), self.dropped.clone());
        tokio::spawn(async move {
            let lines = counter!("throng_log_lines_dropped_total");
            let mut round = tokio::time::interval(ROUND);
            round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                round.tick().await;
                metrics.run_upkeep();
                lines.absolute(dropped.dropped_lines() as u64);
                // The kernel lists every open socket for it.
                let _ = tokio::task::spawn_blocking(process::measure).await;
            }
        });
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.log.open();
    }
}

fn start_log(config: &LogConfig) -> anyhow::Result<(LogGate, ErrorCounter, WorkerGuard)> {
    let filter = EnvFilter::try_new(&config.filter).context("log.filter")?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LOG_LINES)
        .thread_name("log")
        .finish(std::io::stderr());
    let dropped = writer.error_counter();
    let (writer, log_gate) = Held::new(writer);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let started = match config.format {
        LogFormat::Human => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))?;
    Ok((log_gate, dropped, guard))
}

fn recorder() -> anyhow::Result<PrometheusBuilder> {
    let mut builder = PrometheusBuilder::new();
    for metric in catalogue::METRICS {
        if metric.kind == catalogue::Kind::Histogram {
            let seconds = metric.unit == Some(metrics::Unit::Seconds);
            let buckets: &[f64] = if seconds { &SECONDS } else { &COUNTS };
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), buckets)?;
        }
    }
    // A histogram that is missing in the catalogue still becomes a histogram.
    Ok(builder.set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?)
}

fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("(no text)");
    error!(thread = thread.name().unwrap_or("?"), location, message, "panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_counts_become_histograms_with_help() {
        let recorder = recorder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            catalogue::describe_all();
            metrics::histogram!("throng_zone_tick_seconds", "zone" => "1").record(0.004);
            metrics::histogram!("throng_visible_entities").record(40.0);
            process::measure();
        });
        handle.run_upkeep();
        let text = handle.render();
        for line in [
            "# HELP throng_zone_tick_seconds ",
            "# TYPE throng_zone_tick_seconds histogram",
            "throng_zone_tick_seconds_bucket{zone=\"1\",le=\"0.005\"} 1",
            "throng_visible_entities_bucket{le=\"50\"} 1",
            "# TYPE throng_process_resident_bytes gauge",
        ] {
            assert!(text.contains(line), "'{line}' is not in\n{text}");
        }
    }
}
