//! The look for bans: players that were banned while they play are sent away within seconds.
//!
//! The store is asked beside the master's loop, one look at a time.

use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::Master;
use crate::ids::PlayerId;
use crate::proto::DisconnectReason;
use crate::store::{Store, StoreError};
use crate::tick;

/// How far back each look reaches, ms: clocks of other machines may be behind. To kick a banned
/// player twice does no harm.
const OVERLAP_MS: u64 = 60_000;

/// What a look gives.
pub(super) type Answer = Result<Result<Vec<(PlayerId, String)>, StoreError>, JoinError>;

/// Looks for bans.
#[derive(Debug)]
pub(super) struct Bans {
    /// The one that is under way, if one is.
    look: JoinSet<Result<Vec<(PlayerId, String)>, StoreError>>,
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
        self.look.spawn(async move { store.banned_since(since).await });
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
}

impl Master {
    pub(super) fn on_bans(&mut self, answer: Answer) {
        let banned = match answer {
            Ok(Ok(banned)) => banned,
            Ok(Err(error)) => return warn!(%error, "cannot look for bans"),
            Err(error) => return warn!(%error, "the look for bans broke off"),
        };
        self.bans.seen_at = self.bans.asked_at;
        for (player, reason) in banned {
            let Some(present) = self.presence.get(player) else { continue };
            info!(%player, "a banned player is sent away");
            let message = format!("you are banned: {reason}");
            self.kick(present.session, DisconnectReason::DisconnectBanned, message);
        }
    }
}
