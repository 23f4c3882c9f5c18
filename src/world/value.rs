//! Changes of value: what a world asks the store for, and what the store says.
//!
//! Part of the world's commands and effects (`command.rs` names them too); the store carries them
//! out, once each.

use crate::geometry::Point;
use crate::ids::{EntityId, Epoch, ItemId, Key, OperationId, PlayerId};
use crate::world::command::ItemStack;

/// A change of value that must be in the store before anyone hears of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Makes a retry harmless.
    pub id: OperationId,
    /// Whose.
    pub player: PlayerId,
    /// The ownership under which it is asked.
    pub epoch: Epoch,
    /// What.
    pub change: Change,
}

/// What an [`Operation`] changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Items and gold come in.
    Grant {
        /// Kind, quantity, and whether equal ones share a stack.
        items: Vec<(Key, u32, bool)>,
        /// Gold.
        gold: u64,
        /// A quest that is completed by it, in the same transaction, and all the experience that
        /// the player has then.
        quest: Option<(Key, u64)>,
    },
    /// Items of one stack go out.
    Consume {
        /// Which stack; must be the player's.
        item: ItemId,
        /// How many.
        quantity: u32,
    },
    /// Something goes from the player to another one.
    Give {
        /// To whom.
        to: PlayerId,
        /// The ownership under which the other may be given something.
        to_epoch: Epoch,
        /// What.
        gift: Gift,
        /// Whether equal ones share a stack there.
        share: bool,
    },
    /// An active quest is forgotten with all that was done for it.
    Abandon {
        /// Which.
        quest: Key,
    },
}

/// What one player gives another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gift {
    /// Items of one stack.
    Items {
        /// Which stack; must be the giver's.
        item: ItemId,
        /// How many; of a player's wish, 0: all of them.
        quantity: u32,
    },
    /// Gold.
    Gold(u64),
}

/// What the store holds after an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The stacks that changed, as they are now; quantity 0: gone.
    pub stacks: Vec<ItemStack>,
    /// The player's gold now.
    pub gold: u64,
    /// Of a gift: who got it, and what that one has now.
    pub receiver: Option<Box<(PlayerId, Receipt)>>,
}

/// Why the store did not do an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitRefusal {
    /// The database cannot be reached now: nobody knows whether it was done.
    Unavailable,
    /// It was looked up: it was not done, and never will be.
    NotDone,
    /// Another server owns the player.
    StaleEpoch,
    /// No such stack, or not so many in it.
    NotThere,
    /// The inventory has no room.
    Full,
    /// The receiver's inventory has no room.
    ReceiverFull,
    /// The receiver has left, or is another server's by now.
    ReceiverGone,
}

/// What the store has yet to do for a player, or may have done without saying so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Owed {
    /// Gold that was earned and not asked for.
    pub gold: u64,
    /// An operation that was asked for without a clear answer.
    pub doubt: Option<Doubt>,
}

/// An operation of which nobody has said yet what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubt {
    /// Which.
    pub operation: OperationId,
    /// What for.
    pub purpose: Purpose,
}

/// What an operation is for: what follows once the store has done it.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// Things are taken off the ground.
    PickUp {
        /// What lies there, in the zone where it was asked.
        thing: EntityId,
        /// Its kind.
        kind: Key,
        /// How many.
        quantity: u32,
    },
    /// An item is used up.
    Use {
        /// From which stack.
        item: ItemId,
        /// Its kind.
        kind: Key,
    },
    /// Things are put on the ground.
    Drop {
        /// Their kind.
        kind: Key,
        /// How many.
        quantity: u32,
        /// Where.
        at: Point,
    },
    /// Things are no more.
    Destroy,
    /// Another player gets something.
    Give {
        /// Who.
        to: PlayerId,
    },
    /// Another player has given something: the operation is that one's.
    Receive {
        /// Who.
        from: PlayerId,
    },
    /// So much gold was earned.
    Gold(u64),
    /// A quest's reward.
    Quest(Key),
    /// A quest was given up.
    Abandon(Key),
}

impl Purpose {
    /// Whether it is asked for again and again until it is done. What a player has asked for is
    /// only looked up once its player was told that it is not possible now.
    pub fn is_owed(&self) -> bool {
        match self {
            Purpose::Gold(_) | Purpose::Quest(_) | Purpose::Abandon(_) => true,
            Purpose::PickUp { .. }
            | Purpose::Use { .. }
            | Purpose::Drop { .. }
            | Purpose::Destroy
            | Purpose::Give { .. }
            | Purpose::Receive { .. } => false,
        }
    }
}
