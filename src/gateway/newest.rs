//! On which connections each account has logged in of late: at most two that are not in the world.
//!
//! The session manager notes each log-in and sends away the connection that comes out. Nothing in
//! here learns how a connection goes on: one that has entered, or has closed, is not concerned by
//! what it is told then, and all is forgotten when a ticket is worth nothing any more.

use std::collections::HashMap;
use std::time::Instant;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::talk::ConnRef;
use crate::ids::PlayerId;
use crate::limits::{ENTER_WITHIN, LOGGED_IN_MAX};

/// See the module.
#[derive(Default)]
pub(super) struct Newest {
    by_player: HashMap<PlayerId, SmallVec<[(Instant, ConnRef); LOGGED_IN_MAX]>, RandomState>,
}

impl Newest {
    /// An account has logged in on a connection. Gives the one that is too many now: the oldest.
    pub(super) fn note(
        &mut self,
        player: PlayerId,
        conn: ConnRef,
        now: Instant,
    ) -> Option<ConnRef> {
        let known = self.by_player.entry(player).or_default();
        known.retain(|(_, one)| *one != conn);
        let oldest = (known.len() >= LOGGED_IN_MAX).then(|| known.remove(0).1);
        known.push((now, conn));
        oldest
    }

    /// Once a second: forgets log-ins that are too old to enter with.
    pub(super) fn forget(&mut self, now: Instant) {
        self.by_player.retain(|_, known| {
            known.retain(|(at, _)| now.saturating_duration_since(*at) < ENTER_WITHIN);
            !known.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::ConnId;

    #[test]
    fn the_two_newest_of_an_account_stay() {
        let (start, mut newest) = (crate::tick::now(), Newest::default());
        let conn = |id| ConnRef { shard: 0, conn: ConnId(id) };
        let (anna, bert) = (PlayerId(1), PlayerId(2));
        assert_eq!(newest.note(anna, conn(1), start), None);
        assert_eq!(newest.note(anna, conn(2), start), None);
        assert_eq!(newest.note(bert, conn(3), start), None);
        assert_eq!(newest.note(anna, conn(1), start), None, "the same one again");
        assert_eq!(newest.note(anna, conn(4), start), Some(conn(2)), "which is the older one now");
        newest.forget(start + ENTER_WITHIN);
        assert!(newest.by_player.is_empty());
    }
}
