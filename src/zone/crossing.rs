//! Crossings of borders as a state machine: messages, the store's answers and the time go in,
//! [`Step`]s come out. Pure, so that any order of events can be played through.
//!
//! A zone of the same process takes a player in at once. One of another process only stages it,
//! unseen, and asks the store to change the player's owner; what the store says is what is so. The
//! zone that the player leaves keeps all of it, and what comes for it meanwhile, until it hears how
//! that ended, or asks the store to have the player back: one of the two wins there, for good.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{Epoch, OperationId, PlayerId, SessionRef, ZoneId};
use crate::limits;
use crate::msg::ZoneMsg;
use crate::store::StoreError;
use crate::world::command::{PlayerState, Transfer};

/// How long an answer is waited for; then the store is asked.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries when the store does not answer.
pub const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long what comes for a player that has gone is forwarded.
pub const FORWARD: Duration = Duration::from_secs(5);
/// How long an answered hand-over is known, so that a repeated offer is answered alike.
const REMEMBERED: Duration = Duration::from_mins(1);

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Tell a zone.
    Send {
        /// Which.
        to: ZoneId,
        /// What.
        message: ZoneMsg,
    },
    /// Have the store make this server the player's owner and save the state, if the state's epoch
    /// is still the stored one; answered by [`Crossings::on_taken_over`].
    TakeOver {
        /// As it left the other zone.
        state: Box<PlayerState>,
        /// In which hand-over.
        handover: OperationId,
    },
    /// Have the store make this server the player's owner again, if the epoch is still the stored
    /// one; answered by [`Crossings::on_reclaimed`].
    Reclaim {
        /// Whom.
        player: PlayerId,
        /// Under which it left.
        epoch: Epoch,
        /// In which hand-over.
        handover: OperationId,
    },
    /// A player is this zone's now: it is shown, and whoever must know is told.
    Show {
        /// All of it, under its new epoch.
        transfer: Box<Transfer>,
        /// Where it comes from.
        from: ZoneId,
        /// Where its packets go.
        session: SessionRef,
    },
    /// A player has not gone: it stands here again.
    Return {
        /// All of it, under the epoch that counts.
        transfer: Box<Transfer>,
        /// Where its packets go.
        session: SessionRef,
    },
    /// A player is shown elsewhere: its ghost may go.
    Gone {
        /// Who.
        player: PlayerId,
        /// How long it took.
        took: Duration,
    },
    /// These have waited: they count as if they came now.
    Replay(Vec<ZoneMsg>),
}

/// The crossings of one zone, both ways.
#[derive(Debug)]
pub struct Crossings {
    leaving: BTreeMap<PlayerId, Leaving>,
    gone: BTreeMap<PlayerId, Gone>,
    staged: BTreeMap<PlayerId, Staged>,
    answered: BTreeMap<OperationId, Answered>,
    steps: Vec<Step>,
}

/// A player that another process was offered.
#[derive(Debug)]
struct Leaving {
    to: ZoneId,
    handover: OperationId,
    transfer: Box<Transfer>,
    session: SessionRef,
    since: Instant,
    waits: Waits,
    kept: Kept,
}

/// A player that another process offers.
#[derive(Debug)]
struct Staged {
    from: ZoneId,
    handover: OperationId,
    transfer: Box<Transfer>,
    session: SessionRef,
    waits: Waits,
    kept: Kept,
}

/// What a hand-over waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// The other zone's answer.
    Answer,
    /// The store's.
    Store,
    /// Then the store is asked again.
    Until(Instant),
}

/// A player that stands elsewhere.
#[derive(Debug)]
struct Gone {
    to: ZoneId,
    handover: OperationId,
    since: Instant,
    /// Whether its new zone has said so.
    confirmed: bool,
}

/// A hand-over to this zone that was answered for good.
#[derive(Debug, Clone, Copy)]
struct Answered {
    taken: bool,
    at: Instant,
}

/// What has come for a player between two zones.
#[derive(Debug, Default)]
struct Kept {
    messages: Vec<ZoneMsg>,
    acts: usize,
}

impl Kept {
    /// Keeps a message; what is too much is dropped.
    fn push(&mut self, message: ZoneMsg) {
        let is_act = matches!(message, ZoneMsg::Act { .. });
        let count = if is_act { self.acts } else { self.messages.len() - self.acts };
        if count < limits::HANDOVER_INPUT_MAX {
            self.acts += usize::from(is_act);
            self.messages.push(message);
        } else {
            metrics::counter!("throng_refusals_total", "reason" => "handover_backlog_full")
                .increment(1);
        }
    }
}

impl Default for Crossings {
    fn default() -> Self {
        Self::new()
    }
}

impl Crossings {
    /// Nobody crosses.
    pub fn new() -> Self {
        Self {
            leaving: BTreeMap::new(),
            gone: BTreeMap::new(),
            staged: BTreeMap::new(),
            answered: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_steps(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }

    /// Whether nobody is between two zones; those that have gone do not count.
    pub fn is_idle(&self) -> bool {
        self.leaving.is_empty() && self.staged.is_empty()
    }

    /// How many players are staged here.
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Whether a player is staged here.
    pub fn has_staged(&self, player: PlayerId) -> bool {
        self.staged.contains_key(&player)
    }

    /// Those that have left and of whom nobody has said where they stand.
    pub fn unresolved(&self) -> impl Iterator<Item = PlayerId> {
        self.leaving.keys().copied()
    }

    /// Where a player went a moment ago.
    pub fn gone_to(&self, player: PlayerId, now: Instant) -> Option<ZoneId> {
        let gone = self.gone.get(&player)?;
        (now.saturating_duration_since(gone.since) < FORWARD).then_some(gone.to)
    }

    /// A player was sent to a zone of this process, which has it from now on. `confirmed`: nobody
    /// needs to say so.
    pub fn sent(
        &mut self,
        player: PlayerId,
        to: ZoneId,
        handover: OperationId,
        confirmed: bool,
        now: Instant,
    ) {
        self.gone.insert(player, Gone { to, handover, since: now, confirmed });
    }

    /// A player was offered to a zone of another process.
    pub fn offered(
        &mut self,
        transfer: Box<Transfer>,
        to: ZoneId,
        handover: OperationId,
        session: SessionRef,
        now: Instant,
    ) {
        let player = transfer.state.id;
        self.gone.remove(&player);
        let (waits, kept) = (Waits::Answer, Kept::default());
        let leaving = Leaving { to, handover, transfer, session, since: now, waits, kept };
        self.leaving.insert(player, leaving);
    }

    /// Takes a message for a player who is between two zones or has gone; gives it back if it is
    /// for this zone to deal with.
    pub fn catch(&mut self, player: PlayerId, message: ZoneMsg, now: Instant) -> Option<ZoneMsg> {
        if let Some(staged) = self.staged.get_mut(&player) {
            staged.kept.push(message);
        } else if let Some(leaving) = self.leaving.get_mut(&player) {
            leaving.kept.push(message);
        } else if let Some(to) = self.gone_to(player, now) {
            self.steps.push(Step::Send { to, message });
        } else {
            return Some(message);
        }
        None
    }

    /// A player stands here after all: where it went before does not count any more.
    pub fn forget(&mut self, player: PlayerId) {
        self.gone.remove(&player);
    }

    /// A zone of another process offers a player. `room`: whether this zone can take one now; if
    /// not, the offer is refused, unless it was taken before.
    pub fn on_offer(
        &mut self,
        transfer: Box<Transfer>,
        (from, handover): (ZoneId, OperationId),
        session: SessionRef,
        room: bool,
        now: Instant,
    ) {
        let (player, epoch) = (transfer.state.id, transfer.state.epoch);
        if let Some(Answered { taken, .. }) = self.answered.get(&handover).copied() {
            return self.answer(player, (from, handover), taken, now);
        }
        if self.staged.get(&player).is_some_and(|staged| staged.handover == handover) {
            return;
        }
        // What this zone itself waits for is about a later ownership than an old offer's.
        let leaving = self.leaving.get(&player);
        if !room || leaving.is_some_and(|leaving| leaving.transfer.state.epoch >= epoch) {
            return self.answer(player, (from, handover), false, now);
        }
        let mut kept = Kept::default();
        if let Some(older) = self.staged.remove(&player) {
            kept = older.kept;
        }
        if let Some(leaving) = self.leaving.remove(&player) {
            // It comes back before its arrival was heard of.
            kept = leaving.kept;
        }
        self.steps.push(Step::TakeOver { state: Box::new(transfer.state.clone()), handover });
        let waits = Waits::Store;
        self.staged.insert(player, Staged { from, handover, transfer, session, waits, kept });
    }

    /// The store has changed the owner of a staged player to this server, or has not.
    pub fn on_taken_over(
        &mut self,
        player: PlayerId,
        handover: OperationId,
        result: Result<Epoch, StoreError>,
        now: Instant,
    ) {
        let staged = self.staged.get_mut(&player).filter(|staged| staged.handover == handover);
        let Some(staged) = staged else { return };
        if let Err(StoreError::Unavailable(_)) = result {
            // It may have been done. The other zone may ask too; the store answers only one so.
            let from = staged.from;
            staged.waits = Waits::Until(now + ASK_AGAIN);
            let message = ZoneMsg::NotArrived { player, handover, certain: false };
            return self.steps.push(Step::Send { to: from, message });
        }
        let Some(staged) = self.staged.remove(&player) else { return };
        let Staged { from, mut transfer, session, kept, .. } = staged;
        if let Ok(epoch) = result {
            transfer.state.epoch = epoch;
            self.gone.remove(&player);
            self.steps.push(Step::Show { transfer, from, session });
        }
        self.answer(player, (from, handover), result.is_ok(), now);
        self.replay(kept);
    }

    /// The other zone shows the player.
    pub fn on_arrived(&mut self, player: PlayerId, handover: OperationId, now: Instant) {
        if self.leaving.get(&player).is_some_and(|leaving| leaving.handover == handover) {
            self.let_go(player, true, now);
        } else if let Some(gone) = self.gone.get_mut(&player)
            && gone.handover == handover
            && !std::mem::replace(&mut gone.confirmed, true)
        {
            let took = now.saturating_duration_since(gone.since);
            self.steps.push(Step::Gone { player, took });
        }
    }

    /// The other zone does not take the player.
    pub fn on_not_arrived(&mut self, player: PlayerId, handover: OperationId, certain: bool) {
        let waits =
            |leaving: &Leaving| leaving.handover == handover && leaving.waits == Waits::Answer;
        if !self.leaving.get(&player).is_some_and(waits) {
            // Once the store was asked, only that says what is so.
            return;
        }
        if certain {
            self.take_back(player, None);
        } else {
            self.reclaim(player);
        }
    }

    /// The store has given a player back to this server, or says that another has it.
    pub fn on_reclaimed(
        &mut self,
        player: PlayerId,
        handover: OperationId,
        result: Result<Epoch, StoreError>,
        now: Instant,
    ) {
        let leaving = self.leaving.get_mut(&player).filter(|leaving| leaving.handover == handover);
        let Some(leaving) = leaving else { return };
        match result {
            Ok(epoch) => self.take_back(player, Some(epoch)),
            Err(StoreError::Unavailable(_)) => leaving.waits = Waits::Until(now + ASK_AGAIN),
            Err(_) => self.let_go(player, false, now),
        }
    }

    /// Time passes: whoever has waited too long asks the store.
    pub fn pass(&mut self, now: Instant) {
        let late = |leaving: &Leaving| match leaving.waits {
            Waits::Answer => now.saturating_duration_since(leaving.since) >= ANSWER_WITHIN,
            Waits::Store => false,
            Waits::Until(at) => now >= at,
        };
        let due: Vec<PlayerId> =
            self.leaving.iter().filter(|(_, l)| late(l)).map(|(player, _)| *player).collect();
        due.into_iter().for_each(|player| self.reclaim(player));
        for staged in self.staged.values_mut() {
            if matches!(staged.waits, Waits::Until(at) if now >= at) {
                staged.waits = Waits::Store;
                let (state, handover) = (staged.transfer.state.clone(), staged.handover);
                self.steps.push(Step::TakeOver { state: Box::new(state), handover });
            }
        }
        self.gone.retain(|_, gone| now.saturating_duration_since(gone.since) < FORWARD);
        self.answered.retain(|_, a| now.saturating_duration_since(a.at) < REMEMBERED);
    }

    /// Answers an offer for good.
    fn answer(
        &mut self,
        player: PlayerId,
        (to, handover): (ZoneId, OperationId),
        taken: bool,
        now: Instant,
    ) {
        self.answered.insert(handover, Answered { taken, at: now });
        let message = if taken {
            ZoneMsg::Arrived { player, handover }
        } else {
            ZoneMsg::NotArrived { player, handover, certain: true }
        };
        self.steps.push(Step::Send { to, message });
    }

    fn replay(&mut self, kept: Kept) {
        if !kept.messages.is_empty() {
            self.steps.push(Step::Replay(kept.messages));
        }
    }

    fn reclaim(&mut self, player: PlayerId) {
        let Some(leaving) = self.leaving.get_mut(&player) else { return };
        leaving.waits = Waits::Store;
        let (epoch, handover) = (leaving.transfer.state.epoch, leaving.handover);
        self.steps.push(Step::Reclaim { player, epoch, handover });
    }

    /// A player stands here again, under a new epoch if the store has given one.
    fn take_back(&mut self, player: PlayerId, epoch: Option<Epoch>) {
        let Some(leaving) = self.leaving.remove(&player) else { return };
        let Leaving { mut transfer, session, kept, .. } = leaving;
        transfer.state.epoch = epoch.unwrap_or(transfer.state.epoch);
        self.steps.push(Step::Return { transfer, session });
        self.replay(kept);
    }

    /// A player is another's: what has come for it follows.
    fn let_go(&mut self, player: PlayerId, confirmed: bool, now: Instant) {
        let Some(leaving) = self.leaving.remove(&player) else { return };
        let Leaving { to, handover, since, kept, .. } = leaving;
        self.gone.insert(player, Gone { to, handover, since: now, confirmed });
        let took = now.saturating_duration_since(since);
        self.steps.push(Step::Gone { player, took });
        let forwards = kept.messages.into_iter().map(|message| Step::Send { to, message });
        self.steps.extend(forwards);
    }
}
