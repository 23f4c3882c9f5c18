//! Whom this process dials, and when: a schedule without sockets or clocks, and the dialing itself.
//!
//! The switchboard keeps one [`Dial`] for each bootstrap address and each known member, and starts
//! [`dial`] when one is due.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Shared;
use super::greeting::{self, Failure};
use super::switchboard::Offer;
use crate::ids::ServerId;

/// The first pause after a failure; doubled by each more.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The one of a pair that is not to dial does so all the same when the other hasn't for so long:
/// it may be unable to reach this process.
const SECOND_PAUSE: Duration = Duration::from_secs(1);
/// Connecting and greeting must be done within this.
pub(super) const GREETING_MAX: Duration = Duration::from_secs(5);
/// A member that is not linked is dialed for so long after its link was lost or it was named.
const HOPE: Duration = Duration::from_secs(60);
/// The same failure is told again after this.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Whom to dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// Whoever is at this host and port.
    Bootstrap(String, u16),
    /// This process.
    Member(ServerId),
}

/// One target's schedule.
#[derive(Debug)]
pub(super) struct Dial {
    pub host: String,
    pub port: u16,
    /// The process that this led to last.
    pub leads_to: Option<ServerId>,
    /// Whether the other end is the one of the pair that dials.
    second: bool,
    running: bool,
    /// When to give up, if there is no link then.
    until: Instant,
    due: Instant,
    pause: Duration,
    refused_since: Option<Instant>,
    told: Option<(String, Instant)>,
}

impl Dial {
    /// To be dialed at once, or by the `second` of a pair only after a while.
    pub(super) fn new(host: String, port: u16, second: bool, now: Instant) -> Self {
        Self {
            host,
            port,
            leads_to: None,
            second,
            running: false,
            until: now + HOPE,
            due: if second { now + SECOND_PAUSE } else { now },
            pause: FIRST_PAUSE,
            refused_since: None,
            told: None,
        }
    }

    /// When it is to be dialed next; none while it is being dialed.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.running).then_some(self.due)
    }

    /// Is still wanted.
    pub(super) fn named(&mut self, now: Instant) {
        self.until = now + HOPE;
    }

    /// When to give up, if there is no link then.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// Is being dialed.
    pub(super) fn start(&mut self) {
        self.running = true;
    }

    /// Its connection was lost, `jitter` is chance from 0 to 1.
    pub(super) fn lost(&mut self, now: Instant, jitter: f64) {
        let wait = if self.second { SECOND_PAUSE } else { Duration::ZERO };
        self.pause = FIRST_PAUSE;
        self.until = now + HOPE;
        self.due = now + wait + jittered(FIRST_PAUSE, jitter);
    }

    /// Has led to a process.
    pub(super) fn reached(&mut self, server: ServerId) {
        self.running = false;
        self.leads_to = Some(server);
        self.pause = FIRST_PAUSE;
        self.refused_since = None;
        self.told = None;
    }

    /// Has failed. Gives for how long the address has done nothing but refuse connections.
    pub(super) fn failed(&mut self, now: Instant, refused: bool, jitter: f64) -> Option<Duration> {
        self.running = false;
        self.due = now + jittered(self.pause, jitter);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if !refused {
            self.refused_since = None;
        } else if self.refused_since.is_none() {
            self.refused_since = Some(now);
        }
        self.refused_since.map(|since| now - since)
    }

    /// Whether a failure is news: another than before, or long ago.
    pub(super) fn is_news(&mut self, words: &str, now: Instant) -> bool {
        let known = self.told.as_ref();
        if known.is_some_and(|(told, at)| told == words && now - *at < TOLD_AGAIN) {
            return false;
        }
        self.told = Some((words.to_owned(), now));
        true
    }
}

/// Half of a pause for certain, and a part of the other half.
fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// Connects, greets and offers the connection to the switchboard. Gives the process it led to.
pub(super) async fn dial(
    shared: &Shared,
    host: &str,
    port: u16,
    offers: mpsc::Sender<Offer>,
) -> Result<ServerId, Failure> {
    let greet = async {
        let mut stream = shared.security.connect(host, port).await?;
        let said = |server| shared.said(server);
        let proven = greeting::dial(&mut stream, &shared.greeter, said).await?;
        let server = proven.identity.server;
        let offer = Offer { proven, stream, dialed: true, admission: None };
        offers.send(offer).await.map_err(|_| io::Error::other("links are stopping"))?;
        Ok(server)
    };
    timeout(GREETING_MAX, greet).await.unwrap_or(Err(Failure::Late))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_two_seconds_and_start_anew() {
        let start = crate::tick::now();
        let mut dial = Dial::new("here".into(), 1, false, start);
        assert_eq!(dial.due(), Some(start));
        let mut pauses = Vec::new();
        for _ in 0..8 {
            dial.start();
            assert_eq!(dial.due(), None);
            assert_eq!(dial.failed(start, false, 1.0), None);
            pauses.push((dial.due().unwrap() - start).as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        dial.start();
        dial.reached(ServerId(7));
        dial.lost(start, 0.0);
        assert_eq!(dial.due(), Some(start + FIRST_PAUSE / 2));
    }

    #[test]
    fn the_second_of_a_pair_lets_the_first_try_first() {
        let start = crate::tick::now();
        let mut dial = Dial::new("here".into(), 1, true, start);
        assert_eq!(dial.due(), Some(start + SECOND_PAUSE));
        dial.lost(start, 0.0);
        assert!(dial.due().unwrap() > start + SECOND_PAUSE);
    }

    #[test]
    fn refusals_count_from_the_first_in_a_row() {
        let start = crate::tick::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut dial = Dial::new("here".into(), 1, false, start);
        assert_eq!(dial.failed(at(0), true, 0.0), Some(Duration::ZERO));
        assert_eq!(dial.failed(at(700), true, 0.0), Some(Duration::from_millis(700)));
        assert_eq!(dial.failed(at(800), false, 0.0), None);
        assert_eq!(dial.failed(at(900), true, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn a_failure_is_told_once_and_again_after_a_while() {
        let start = crate::tick::now();
        let mut dial = Dial::new("here".into(), 1, false, start);
        assert!(dial.is_news("one", start));
        assert!(!dial.is_news("one", start));
        assert!(dial.is_news("two", start));
        assert!(dial.is_news("two", start + TOLD_AGAIN));
    }
}
