//! Zones whose threads do not go on: noticed by their host, which lets their leases run out and then
//! starts them anew.
//!
//! Looked at once a second. A thread that hangs cannot say so, so its host counts the rounds that it
//! begins. When it wakes it finds its lease lost and gives up, as after any long stop.

use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{error, info, warn};

use super::{Host, Stage};
use crate::ids::ZoneId;
use crate::msg::node::HostedZone;
use crate::tick::now;

/// A thread that begins no round for so long has stalled: its lease is renewed no more.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// And then its lease has run out.
const GONE_AFTER: Duration = Duration::from_secs(8);
/// How much of a pause between two looks counts. A host that looks late was held up itself, with
/// the whole process or by a busy machine, and cannot tell.
const COUNTED_MAX: Duration = Duration::from_secs(1);

/// How a thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// It begins rounds.
    Goes,
    /// It has not for a while.
    Stalls,
    /// It has not for so long that its lease has run out.
    Gone,
}

/// What a host knows of a thread. Pure: told the time.
#[derive(Debug)]
pub(super) struct Pulse {
    rounds: u64,
    looked: Instant,
    still: Duration,
}

impl Pulse {
    /// Of a thread that is started now.
    pub(super) fn new(now: Instant) -> Self {
        Self { rounds: 0, looked: now, still: Duration::ZERO }
    }

    /// Looks at how many rounds it has begun.
    fn look(&mut self, rounds: u64, now: Instant) -> Beat {
        let passed = now.saturating_duration_since(self.looked).min(COUNTED_MAX);
        self.looked = now;
        if rounds == self.rounds {
            self.still += passed;
        } else {
            (self.rounds, self.still) = (rounds, Duration::ZERO);
        }
        self.beat()
    }

    fn beat(&self) -> Beat {
        if self.still >= GONE_AFTER {
            Beat::Gone
        } else if self.still >= STALLED_AFTER {
            Beat::Stalls
        } else {
            Beat::Goes
        }
    }

    /// Whether its lease may be renewed.
    pub(super) fn goes(&self) -> bool {
        self.beat() == Beat::Goes
    }
}

impl Host {
    /// Once a second, before leases are renewed.
    pub(super) fn look_for_stalls(&mut self) {
        let now = now();
        let (mut stalled, mut gone) = (Vec::new(), Vec::new());
        for (zone, stage) in &mut self.zones {
            let Stage::Running(running) = stage else { continue };
            let went = running.pulse.goes();
            match running.pulse.look(running.rounds(), now) {
                Beat::Goes if !went => info!(%zone, "the zone's thread goes on again"),
                Beat::Goes => {}
                Beat::Stalls => {
                    if went {
                        warn!(%zone, "the zone's thread does not go on; its lease runs out");
                        counter!("throng_zone_stalled_total", "zone" => zone.to_string())
                            .increment(1);
                    }
                    stalled.push(*zone);
                }
                Beat::Gone => gone.push(*zone),
            }
        }
        for zone in gone {
            self.give_up(zone);
        }
        (self.parts.stalled)(&stalled);
    }

    /// A zone's thread hangs: the zone starts anew, here or wherever its lease is taken first.
    fn give_up(&mut self, zone: ZoneId) {
        let Some(Stage::Running(running)) = self.zones.remove(&zone) else { return };
        error!(%zone, players = running.players(), "the zone's thread hangs; the zone starts anew");
        running.grant.lose();
        (self.parts.doors.close)(HostedZone { zone, origin: running.origin });
        if self.parts.stop.is_cancelled() {
            self.give_back(zone, running.lease);
        } else {
            self.begin(zone, Duration::ZERO);
        }
        self.publish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_begins_no_rounds_stalls_and_is_given_up() {
        let start = now();
        let mut pulse = Pulse::new(start);
        let mut look = |rounds, millis| pulse.look(rounds, start + Duration::from_millis(millis));
        assert_eq!(look(100, 1_000), Beat::Goes);
        assert_eq!(look(200, 2_000), Beat::Goes);
        assert_eq!(look(200, 3_000), Beat::Goes);
        assert_eq!(look(200, 4_000), Beat::Stalls);
        assert_eq!(look(201, 5_000), Beat::Goes, "one round is enough");
        for second in 6..13 {
            look(201, second * 1_000);
        }
        assert_eq!(look(201, 13_000), Beat::Gone);
    }

    #[test]
    fn a_host_that_was_held_up_itself_blames_no_thread() {
        let start = now();
        let mut pulse = Pulse::new(start);
        let mut look = |rounds, seconds| pulse.look(rounds, start + Duration::from_secs(seconds));
        assert_eq!(look(100, 1), Beat::Goes);
        // The whole process was stopped for an hour; its threads have not run yet.
        assert_eq!(look(100, 3_601), Beat::Goes);
        assert_eq!(look(101, 3_602), Beat::Goes);
    }
}
