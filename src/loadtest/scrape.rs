//! What a server says of itself at its operators' port, for runs that have started their own: the
//! length and the lateness of the zones' ticks, and the age of what waits to be saved.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Serialize;

/// For each of connecting, writing and reading.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most bytes of an answer that are looked at.
const ANSWER_MAX: u64 = 4 * 1_024 * 1_024;

/// How long ticks took.
const TICK_SECONDS: &str = "throng_zone_tick_seconds";

/// Whether a process says that it is ready.
pub(super) fn is_ready(admin: SocketAddr) -> bool {
    get(admin, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The whole answer; none: nobody answers.
fn get(admin: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = String::new();
    stream.take(ANSWER_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The zones' ticks, all zones together, while it was measured.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Ticks {
    /// How many there were.
    pub count: u64,
    /// How long one took on average, milliseconds.
    pub mean_ms: f64,
    /// Half took no longer, milliseconds; the bucket's upper bound, as for all of these.
    pub p50_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99 % began no later than this, milliseconds.
    pub lag_p99_ms: f64,
    /// All began no later than this, milliseconds.
    pub lag_max_ms: f64,
    /// Ticks that took longer than they may.
    pub overruns: u64,
    /// Age of the oldest save that waited at the end, seconds.
    pub save_age_seconds: f64,
}

/// What found no room in the clients' bytes, all of them together, while it was measured.
#[derive(Debug, Clone, Copy, Serialize, PartialEq)]
pub struct Shed {
    /// Events of others that were not told.
    pub events: u64,
    /// Positions that were put off.
    pub positions: u64,
    /// Entities that were described again because a change of their health was not told.
    pub retold: u64,
}

/// One look at a server's metrics.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    text: String,
}

impl Look {
    /// Asks each process of a server; none: one does not answer.
    pub(super) fn at(admins: &[SocketAddr]) -> Option<Self> {
        let texts: Option<Vec<String>> = admins.iter().map(|at| get(*at, "/metrics")).collect();
        Some(Self { text: texts?.concat() })
    }

    /// What has happened between two looks.
    pub(super) fn ticks_until(&self, later: &Look) -> Option<Ticks> {
        let spent = later.buckets(TICK_SECONDS).less(&self.buckets_of_ticks());
        let lag = later
            .buckets("throng_zone_tick_lag_seconds")
            .less(&self.buckets("throng_zone_tick_lag_seconds"));
        let (overruns, all) = ("throng_zone_overruns_total", format!("{TICK_SECONDS}_sum"));
        Some(Ticks {
            count: spent.count(),
            mean_ms: (later.sum(&all) - self.sum(&all)) * 1e3 / spent.count() as f64,
            p50_ms: spent.quantile(0.5)? * 1e3,
            p99_ms: spent.quantile(0.99)? * 1e3,
            lag_p99_ms: lag.quantile(0.99)? * 1e3,
            lag_max_ms: lag.quantile(1.0)? * 1e3,
            overruns: (later.sum(overruns) - self.sum(overruns)) as u64,
            save_age_seconds: later.most("throng_save_queue_age_seconds"),
        })
    }

    /// What found no room between two looks.
    pub(super) fn shed_until(&self, later: &Look) -> Shed {
        let more = |name: &str| (later.sum(name) - self.sum(name)) as u64;
        Shed {
            events: more("throng_events_shed_total"),
            positions: more("throng_updates_shed_total"),
            retold: more("throng_entities_retold_total"),
        }
    }

    fn buckets_of_ticks(&self) -> Buckets {
        self.buckets(TICK_SECONDS)
    }

    /// The values of a metric, whatever its labels.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(labelled) => labelled.rsplit_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            Some((labels, value.trim().parse().ok()?))
        })
    }

    fn sum(&self, name: &str) -> f64 {
        self.values(name).map(|(_, value)| value).sum()
    }

    fn most(&self, name: &str) -> f64 {
        self.values(name).map(|(_, value)| value).fold(0.0, f64::max)
    }

    /// A histogram, added up over its labels.
    fn buckets(&self, name: &str) -> Buckets {
        let mut buckets = Buckets::default();
        for (labels, value) in self.values(&format!("{name}_bucket")) {
            let bound = labels.split_once("le=\"").and_then(|(_, rest)| rest.split_once('"'));
            let bound = match bound {
                Some(("+Inf", _)) => f64::INFINITY,
                Some((number, _)) => number.parse().unwrap_or(f64::INFINITY),
                None => continue,
            };
            buckets.add(bound, value);
        }
        buckets
    }
}

/// A cumulative histogram: bounds, rising, and how many were no more than each.
#[derive(Debug, Default, PartialEq)]
struct Buckets(Vec<(f64, f64)>);

impl Buckets {
    fn add(&mut self, bound: f64, count: f64) {
        match self.0.binary_search_by(|(known, _)| known.total_cmp(&bound)) {
            Ok(place) => self.0[place].1 += count,
            Err(place) => self.0.insert(place, (bound, count)),
        }
    }

    fn less(mut self, before: &Buckets) -> Self {
        for (bound, count) in &before.0 {
            self.add(*bound, -count);
        }
        self
    }

    fn count(&self) -> u64 {
        self.0.last().map_or(0, |(_, count)| *count as u64)
    }

    /// The bound that so many do not pass; none if nothing was counted.
    fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count() as f64;
        if all == 0.0 {
            return None;
        }
        self.0.iter().find(|(_, count)| *count >= all * share).map(|(bound, _)| *bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(ticks: [u32; 3], overruns: u32) -> Look {
        let [quick, slow, all] = ticks;
        let text = format!(
            "HTTP/1.1 200 OK\r\n\r\n\
             throng_zone_tick_seconds_bucket{{zone=\"1\",le=\"0.001\"}} {quick}\n\
             throng_zone_tick_seconds_bucket{{zone=\"1\",le=\"0.05\"}} {slow}\n\
             throng_zone_tick_seconds_bucket{{zone=\"1\",le=\"+Inf\"}} {all}\n\
             throng_zone_tick_seconds_sum{{zone=\"1\"}} {}\n\
             throng_zone_tick_lag_seconds_bucket{{zone=\"1\",le=\"0.002\"}} {all}\n\
             throng_zone_tick_lag_seconds_bucket{{zone=\"1\",le=\"+Inf\"}} {all}\n\
             throng_zone_overruns_total{{zone=\"1\"}} {overruns}\n\
             throng_save_queue_age_seconds{{zone=\"1\"}} 1.5\n",
            f64::from(all) * 0.003
        );
        Look { text }
    }

    #[test]
    fn only_what_came_between_two_looks_counts() {
        let (before, after) = (look([900, 900, 900], 2), look([1_000, 1_100, 1_100], 5));
        let ticks = before.ticks_until(&after).unwrap();
        assert!((ticks.mean_ms - 3.0).abs() < 1e-6, "{ticks:?}");
        let Ticks { count, p50_ms, p99_ms, lag_p99_ms, overruns, save_age_seconds, .. } = ticks;
        assert_eq!((count, overruns), (200, 3));
        assert_eq!((p50_ms, p99_ms), (1.0, 50.0));
        assert_eq!((lag_p99_ms, save_age_seconds), (2.0, 1.5));
        assert_eq!(before.ticks_until(&before), None, "nothing has happened");
    }
}
