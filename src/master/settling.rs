//! The first seconds of a master: its servers tell it what runs and who plays, and until then it
//! does not take their silence for an answer.
//!
//! Zones that nobody reports are not placed yet. Questions about players whom nobody has told of
//! wait, so that a log-in finds the session that the player has somewhere, which then is told to
//! go. None waits longer than this lasts. Pure: it is told the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::presence::Presence;
use crate::ids::PlayerId;
use crate::limits;
use crate::msg::MasterMsg;

/// How long a new master listens: links that have lost the old one are up again by then.
const SETTLES_WITHIN: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub(super) struct Settling {
    /// None: it is over.
    until: Option<Instant>,
    held: BTreeMap<PlayerId, Vec<MasterMsg>>,
    count: usize,
}

impl Settling {
    /// From `now` on.
    pub(super) fn from(now: Instant) -> Self {
        Self { until: Some(now + SETTLES_WITHIN), held: BTreeMap::new(), count: 0 }
    }

    /// There is nobody to listen to.
    pub(super) fn done() -> Self {
        Self { until: None, held: BTreeMap::new(), count: 0 }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.until.is_none()
    }

    /// Takes a message that has to wait; gives back any other. Where too many wait already, the
    /// next are not held up: the zones see to it that no player has two masters, only the older
    /// session may then hear late that it is over.
    pub(super) fn hold(&mut self, message: MasterMsg, known: &Presence) -> Option<MasterMsg> {
        if self.is_over() {
            return Some(message);
        }
        let player = match &message {
            MasterMsg::Claim { player, .. } | MasterMsg::WhereIs { player, .. } => *player,
            MasterMsg::Released { player, session } => {
                if let Some(held) = self.held.get_mut(player) {
                    let before = held.len();
                    held.retain(|held| {
                        !matches!(held, MasterMsg::Claim { session: by, .. } if by == session)
                    });
                    self.count -= before - held.len();
                }
                return Some(message);
            }
            _ => return Some(message),
        };
        if known.get(player).is_some() || self.count >= limits::MASTER_INBOX {
            return Some(message);
        }
        self.held.entry(player).or_default().push(message);
        self.count += 1;
        None
    }

    /// What waited for word of this player.
    pub(super) fn told_of(&mut self, player: PlayerId) -> Vec<MasterMsg> {
        let held = self.held.remove(&player).unwrap_or_default();
        self.count -= held.len();
        held
    }

    /// Everything that waited, once the time is over.
    pub(super) fn over(&mut self, now: Instant) -> Vec<MasterMsg> {
        if self.until.is_none_or(|until| now < until) {
            return Vec::new();
        }
        self.until = None;
        self.count = 0;
        std::mem::take(&mut self.held).into_values().flatten().collect()
    }
}
