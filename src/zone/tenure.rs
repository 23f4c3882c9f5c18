//! A zone's right to run: the lease under which it was started, and how that stands.
//!
//! The host renews leases and says here what came of it; the zone's thread looks before each round.
//! Nothing here asks the store.

use std::time::Instant;

use tokio::sync::watch;

use crate::ids::{Epoch, ZoneId};

/// The incarnation of a zone that runs under that lease: of two, the later one has the higher.
/// Frames carry it, and every operation id of the zone begins with it.
///
/// A lease would have to be started 2⁴⁸ times before one came again.
pub fn origin(zone: ZoneId, lease: Epoch) -> u64 {
    lease.0 << 16 | u64::from(zone.0)
}

/// How a lease stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When that was asked which the store last said yes to.
    pub confirmed: Instant,
    /// Whether the store did not answer the last time.
    pub away: bool,
    /// Whether it is somebody else's by now.
    pub lost: bool,
}

/// The host's end.
#[derive(Debug)]
pub(super) struct Grant(watch::Sender<Standing>);

/// The zone's end.
#[derive(Debug, Clone)]
pub struct Tenure {
    lease: Epoch,
    standing: watch::Receiver<Standing>,
}

/// A lease that was asked for at `asked` and given with that epoch.
pub(super) fn begin(lease: Epoch, asked: Instant) -> (Grant, Tenure) {
    let standing = Standing { confirmed: asked, away: false, lost: false };
    let (grant, standing) = watch::channel(standing);
    (Grant(grant), Tenure { lease, standing })
}

impl Grant {
    /// The store has renewed it; it was asked at `asked`.
    pub(super) fn confirm(&self, asked: Instant) {
        self.0.send_modify(|standing| {
            standing.confirmed = standing.confirmed.max(asked);
            standing.away = false;
        });
    }

    /// The store did not answer.
    pub(super) fn leave_open(&self) {
        self.0.send_modify(|standing| standing.away = true);
    }

    /// It is somebody else's.
    pub(super) fn lose(&self) {
        self.0.send_modify(|standing| standing.lost = true);
    }
}

impl Tenure {
    /// The epoch of the lease.
    pub(super) fn lease(&self) -> Epoch {
        self.lease
    }

    /// Whether another runs the zone by now.
    pub(super) fn is_lost(&self) -> bool {
        self.standing.borrow().lost
    }

    /// Whether the store did not answer when it was last asked.
    pub(super) fn store_is_away(&self) -> bool {
        self.standing.borrow().away
    }

    /// Whether the store has said, asked after `since`, that the lease holds.
    pub(super) fn holds_since(&self, since: Instant) -> bool {
        let standing = self.standing.borrow();
        !standing.lost && standing.confirmed > since
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_later_incarnation_has_a_higher_origin() {
        let (one, other) = (ZoneId(1), ZoneId(65_535));
        assert!(origin(one, Epoch(2)) > origin(one, Epoch(1)));
        assert!(origin(one, Epoch(2)) > origin(other, Epoch(1)));
        assert_ne!(origin(one, Epoch(2)), origin(other, Epoch(2)));
        assert_ne!(!origin(one, Epoch(1 << 40)), origin(one, Epoch(1 << 40)));
    }

    #[test]
    fn only_what_was_asked_afterwards_confirms_a_lease() {
        let start = crate::tick::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let (grant, tenure) = begin(Epoch(3), start);
        assert!(!tenure.holds_since(later(2)));
        grant.confirm(later(1));
        assert!(!tenure.holds_since(later(2)), "that was asked before");
        grant.leave_open();
        assert!(tenure.store_is_away() && !tenure.is_lost());
        grant.confirm(later(3));
        assert!(tenure.holds_since(later(2)) && !tenure.store_is_away());
        grant.lose();
        assert!(tenure.is_lost() && !tenure.holds_since(later(2)));
    }
}
