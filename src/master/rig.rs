//! A master that a simulation plays by hand: it hears its inbox and its seconds when it is told to.

use super::{Master, Parts};
use crate::ids::{PlayerId, SessionRef, ZoneId};
use crate::limits;
use crate::link::{Inbox, Outbox, inbox};
use crate::msg::MasterMsg;
use crate::tick::now;

/// A master that runs. Its look for bans needs a runtime to be there, and is never answered.
pub(crate) struct Rig {
    master: Master,
    inbox: Inbox<MasterMsg>,
}

impl Rig {
    pub(crate) fn start(parts: Parts) -> (Self, Outbox<MasterMsg>) {
        let (outbox, inbox) = inbox(limits::MASTER_INBOX, true);
        (Self { master: Master::new(parts, now()), inbox }, outbox)
    }

    /// Hears what has come; `second`: another second is over.
    pub(crate) fn turn(&mut self, second: bool) {
        while let Some(message) = self.inbox.try_recv() {
            self.master.on_message(message, now());
        }
        if second {
            self.master.on_second(now());
        }
        self.master.post.send_again();
    }

    /// Through which session a player plays, and where it stands, as far as is known.
    pub(crate) fn present(&self, player: PlayerId) -> Option<(SessionRef, Option<ZoneId>)> {
        self.master.presence.get(player).map(|present| (present.session, present.zone))
    }

    /// How many are present.
    pub(crate) fn population(&self) -> usize {
        self.master.presence.len()
    }
}
