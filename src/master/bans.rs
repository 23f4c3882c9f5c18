//! The look for bans and new passwords: players that were banned while they play are sent away
//! within seconds, and so are those who came in with an older password.
//!
//! The store is asked beside the master's loop, one look at a time. A new master looks as far back
//! as the oldest session that it is told of: nobody may have looked while there was none.

use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::Master;
use crate::proto::DisconnectReason;
use crate::store::record::Barred;
use crate::store::{Store, StoreError};
use crate::tick;

/// How far back each look reaches, ms: clocks of other machines may be behind. To kick a banned
/// player twice does no harm.
const OVERLAP_MS: u64 = 60_000;

/// What a look gives.
pub(super) type Answer = Result<Result<Vec<Barred>, StoreError>, JoinError>;

/// Looks for bans.
#[derive(Debug)]
pub(super) struct Bans {
    /// The one that is under way, if one is.
    look: JoinSet<Result<Vec<Barred>, StoreError>>,
    /// Unix ms of the last look that was answered.
    seen_at: u64,
    /// Unix ms of the look under way.
    asked_at: u64,
}

impl Bans {
    /// From now on.
    pub(super) fn new() -> Self {
        Self { look: JoinSet::new(), seen_at: tick::unix_millis(), asked_at: 0 }
    }

    /// Looks, unless the last look is not answered yet.
    pub(super) fn ask(&mut self, store: &Store) {
        if !self.look.is_empty() {
            return;
        }
        self.asked_at = tick::unix_millis();
        let since = self.seen_at.saturating_sub(OVERLAP_MS);
        let store = store.clone();
        self.look.spawn(async move { store.barred_since(since).await });
    }

    /// Somebody plays since `time`, Unix ms, of whom this master did not know.
    pub(super) fn reach_back_to(&mut self, time: u64) {
        self.seen_at = self.seen_at.min(time);
        // A look that is under way does not reach so far.
        self.asked_at = self.asked_at.min(time);
    }

    /// Waits for the answer; none if nobody looks.
    pub(super) async fn answered(&mut self) -> Option<Answer> {
        self.look.join_next().await
    }

    /// Unix ms up to which all bans are known.
    #[cfg(test)]
    pub(super) fn seen_at(&self) -> u64 {
        self.seen_at
    }

    /// As if it were so much later than it is.
    #[cfg(test)]
    pub(super) fn pass(&mut self, time: std::time::Duration) {
        self.seen_at += time.as_millis() as u64;
    }
}

impl Master {
    pub(super) fn on_bans(&mut self, answer: Answer) {
        let barred = match answer {
            Ok(Ok(barred)) => barred,
            Ok(Err(error)) => return warn!(%error, "cannot look for bans"),
            Err(error) => return warn!(%error, "the look for bans broke off"),
        };
        self.bans.seen_at = self.bans.asked_at;
        for Barred { player, at, ban } in barred {
            let Some(present) = self.presence.get(player) else { continue };
            let session = present.session;
            let (reason, message) = match ban {
                Some(why) => (DisconnectReason::DisconnectBanned, format!("you are banned: {why}")),
                None if session.key.time() < at => {
                    let message = "the password is a new one; log in again".to_owned();
                    (DisconnectReason::DisconnectKicked, message)
                }
                None => continue,
            };
            info!(%player, ?reason, "a player is sent away");
            self.kick(session, reason, message);
        }
    }
}
