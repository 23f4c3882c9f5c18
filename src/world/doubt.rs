//! Operations whose answer was lost, or said that nobody knows: they are asked about until it is
//! known what came of them.
//!
//! What is owed is asked for again under its id, all else is only looked up: its player has heard
//! that it was not possible. What lies on the ground, or is to lie there, is the zone's own to find
//! out about when the player has gone.

use crate::geometry::Point;
use crate::ids::{EntityId, Key, OperationId, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{Change, CommitRefusal, Effect, Operation, Purpose, Refusal};
use crate::world::entity::{Entity, Handle};
use crate::world::operation::{Pending, grant_gold};

/// Ticks before the first look-up: a tenth of a second, then twice as long each time.
const FIRST_PAUSE: u64 = 2;
/// Ticks between two look-ups at most: half a second, so that everything is known well within two
/// seconds after the store is back.
const LONGEST_PAUSE: u64 = 10;
/// Ticks after which an answer does not come any more: 10 s, ten times the store's time limit.
const ANSWER_WAIT: u64 = 200;

/// What the zone must find out about an operation of a player that has gone.
#[derive(Debug)]
pub(super) struct LeftBehind {
    player: PlayerId,
    part: Part,
    asked: Option<Tick>,
    tries: u32,
    again: Tick,
}

/// What lies on the ground if it was done, or if it was not.
#[derive(Debug)]
enum Part {
    /// It goes if it was done.
    Thing(EntityId),
    /// It is laid down if it was done.
    Drop { kind: Key, quantity: u32, at: Point },
}

fn pause(tries: u32) -> u64 {
    (FIRST_PAUSE << tries.min(8)).min(LONGEST_PAUSE)
}

impl World {
    /// Nobody knows what came of an operation. Who asked for it hears that, and what waits behind it
    /// is refused: it was never asked.
    pub(super) fn doubt(&mut self, handle: Handle, mut pending: Pending) {
        let first = pending.tries == 0;
        pending.again = Tick(self.tick.0 + pause(pending.tries));
        pending.tries += 1;
        pending.asked = None;
        let request = pending.request;
        let Some(operations) = self.operations_mut(handle) else { return };
        operations.doubt = Some(pending);
        let waiting = std::mem::take(&mut operations.queue);
        if first && request != 0 {
            self.refuse_handle(handle, request, Refusal::Unavailable);
        }
        for pending in waiting {
            self.turn_away(handle, &pending);
        }
    }

    /// One that was never asked does not come to pass.
    fn turn_away(&mut self, handle: Handle, pending: &Pending) {
        match &pending.purpose {
            Purpose::PickUp { thing, .. } => self.put_back(*thing),
            Purpose::Gold(amount) => self.owe_again(handle, *amount),
            Purpose::Use { kind, .. } => self.was_not_used(handle, kind),
            Purpose::Drop { .. }
            | Purpose::Destroy
            | Purpose::Give { .. }
            | Purpose::Receive { .. }
            | Purpose::Quest(_)
            | Purpose::Abandon(_) => {}
        }
        if pending.request != 0 {
            self.refuse_handle(handle, pending.request, Refusal::Unavailable);
        }
    }

    /// Asks again about what is in doubt; an answer that does not come is as good as one that says
    /// nothing.
    pub(super) fn tend_doubt(&mut self, handle: Handle) {
        let now = self.tick;
        let overdue = |asked: Option<Tick>| asked.is_some_and(|at| now.0 >= at.0 + ANSWER_WAIT);
        let Some(entity) = self.entities.get(handle) else { return };
        let (Some(player), Some(body)) = (entity.player_id(), entity.player()) else { return };
        let operations = &body.operations;
        let mut waited = operations.queue.front().into_iter().chain(&operations.doubt);
        if let Some(lost) = waited.find(|pending| overdue(pending.asked)).map(|p| p.id) {
            self.asked.remove(&(lost, player));
            return self.decide(player, lost, Err(CommitRefusal::Unavailable));
        }
        if let Some(doubt) = &operations.doubt
            && doubt.asked.is_none()
            && now >= doubt.again
        {
            self.ask_again(handle, player);
        }
    }

    fn ask_again(&mut self, handle: Handle, player: PlayerId) {
        let (now, content) = (self.tick, self.content.clone());
        let Some(body) = self.entities.get_mut(handle).and_then(Entity::player_mut) else { return };
        let (epoch, experience) = (body.epoch, body.experience);
        let Some(doubt) = &mut body.operations.doubt else { return };
        doubt.asked = Some(now);
        let id = doubt.id;
        let commit = |change| Effect::Commit(Operation { id, player, epoch, change });
        let look_up = |asker| Effect::LookUp { operation: id, player, asker };
        let effect = match &doubt.purpose {
            Purpose::Gold(amount) => commit(grant_gold(*amount)),
            Purpose::Quest(quest) => commit(content.reward(quest, experience)),
            Purpose::Abandon(quest) => commit(Change::Abandon { quest: quest.clone() }),
            // It is the giver's, and in the order of the giver's.
            Purpose::Receive { from } => look_up(*from),
            Purpose::PickUp { .. }
            | Purpose::Use { .. }
            | Purpose::Drop { .. }
            | Purpose::Destroy
            | Purpose::Give { .. } => look_up(player),
        };
        self.asked.insert((id, player), None);
        self.effects.push(effect);
    }

    /// A player goes over the border: what lies on this side stays this zone's to find out about.
    pub(super) fn leave_doubt_behind(&mut self, handle: Handle) {
        let Some(player) = self.entities.get(handle).and_then(Entity::player_id) else { return };
        let Some(operations) = self.operations_mut(handle) else { return };
        let Some(doubt) = &mut operations.doubt else { return };
        let id = doubt.id;
        match &mut doubt.purpose {
            Purpose::PickUp { thing, .. } => {
                let part = Part::Thing(*thing);
                self.leave_behind(id, player, part, None);
            }
            purpose @ Purpose::Drop { .. } => {
                // Nothing follows from it for the player itself.
                let dropped = std::mem::replace(purpose, Purpose::Destroy);
                if let Purpose::Drop { kind, quantity, at } = dropped {
                    self.leave_behind(id, player, Part::Drop { kind, quantity, at }, None);
                }
            }
            Purpose::Use { .. }
            | Purpose::Destroy
            | Purpose::Give { .. }
            | Purpose::Receive { .. }
            | Purpose::Gold(_)
            | Purpose::Quest(_)
            | Purpose::Abandon(_) => {}
        }
    }

    /// A player goes with operations undecided: what they have to do with the ground is this zone's
    /// to find out about.
    pub(super) fn forget_operations(&mut self, handle: Handle) {
        let Some(player) = self.entities.get(handle).and_then(Entity::player_id) else { return };
        let Some(operations) = self.operations_mut(handle) else { return };
        let queue = std::mem::take(&mut operations.queue);
        let doubt = operations.doubt.take();
        for pending in queue.into_iter().chain(doubt) {
            let Pending { id, purpose, asked, tries, .. } = pending;
            let open = asked.is_some() || tries > 0;
            match purpose {
                Purpose::PickUp { thing, .. } if open => {
                    self.leave_behind(id, player, Part::Thing(thing), asked);
                }
                Purpose::PickUp { thing, .. } => self.put_back(thing),
                Purpose::Drop { kind, quantity, at } if open => {
                    self.leave_behind(id, player, Part::Drop { kind, quantity, at }, asked);
                }
                Purpose::Drop { .. }
                | Purpose::Use { .. }
                | Purpose::Destroy
                | Purpose::Give { .. }
                | Purpose::Receive { .. }
                | Purpose::Gold(_)
                | Purpose::Quest(_)
                | Purpose::Abandon(_) => {}
            }
        }
    }

    /// A thing lies here that was asked for in another process, without a clear answer.
    pub(super) fn doubt_thing(&mut self, id: OperationId, player: PlayerId, thing: EntityId) {
        self.leave_behind(id, player, Part::Thing(thing), None);
    }

    fn leave_behind(&mut self, id: OperationId, player: PlayerId, part: Part, asked: Option<Tick>) {
        let left = LeftBehind { player, part, asked, tries: 0, again: self.tick };
        self.left_behind.insert(id, left);
    }

    /// The store has answered about an operation of somebody who may have gone.
    pub(super) fn settle_left_behind(
        &mut self,
        id: OperationId,
        player: PlayerId,
        refusal: Option<CommitRefusal>,
    ) {
        let now = self.tick;
        if refusal == Some(CommitRefusal::Unavailable) {
            if let Some(left) = self.left_behind.get_mut(&id).filter(|left| left.player == player) {
                left.again = Tick(now.0 + pause(left.tries));
                left.tries += 1;
                left.asked = None;
            }
            return;
        }
        if self.left_behind.get(&id).is_none_or(|left| left.player != player) {
            return;
        }
        let Some(left) = self.left_behind.remove(&id) else { return };
        match (left.part, refusal) {
            (Part::Thing(thing), None) => {
                if let Some(handle) = self.entities.handle(thing) {
                    self.take_away(handle);
                }
            }
            (Part::Thing(thing), Some(_)) => self.put_back(thing),
            (Part::Drop { kind, quantity, at }, None) => self.lay_dropped(kind, quantity, at),
            (Part::Drop { .. }, Some(_)) => {}
        }
    }

    /// Looks up what those have left in doubt who are gone.
    pub(super) fn tend_left_behind(&mut self) {
        let now = self.tick;
        for (id, left) in &mut self.left_behind {
            let waits = left.asked.is_some_and(|at| now.0 < at.0 + ANSWER_WAIT);
            if waits || now < left.again {
                continue;
            }
            left.asked = Some(now);
            self.asked.insert((*id, left.player), None);
            let (operation, player) = (*id, left.player);
            self.effects.push(Effect::LookUp { operation, player, asker: player });
        }
    }

    /// Whether something is to be laid down that is not known to have been given up yet: that is
    /// not to be carried elsewhere.
    pub(super) fn drops_in_doubt(&self) -> bool {
        let drops = |pending: &Pending| matches!(pending.purpose, Purpose::Drop { .. });
        let in_doubt = |entity: &Entity| {
            entity.player().and_then(|p| p.operations.doubt.as_ref()).is_some_and(drops)
        };
        self.left_behind.values().any(|left| matches!(left.part, Part::Drop { .. }))
            || self.entities.iter().any(|(_, entity)| in_doubt(entity))
    }
}
