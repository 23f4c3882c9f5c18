//! Changes of value: what a world asks the store for, and what the store says.
//!
//! Part of the world's commands and effects (`command.rs` names them too); the store carries them
//! out, once each.

use crate::ids::{Epoch, ItemId, Key, OperationId, PlayerId};
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
        /// A quest that is completed by it, in the same transaction.
        quest: Option<Key>,
    },
    /// Items of one stack go out.
    Consume {
        /// Which stack; must be the player's.
        item: ItemId,
        /// How many.
        quantity: u32,
    },
}

/// What the store holds after an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The stacks that changed, as they are now; quantity 0: gone.
    pub stacks: Vec<ItemStack>,
    /// The player's gold now.
    pub gold: u64,
}

/// Why the store did not do an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitRefusal {
    /// The database cannot be reached now.
    Unavailable,
    /// Another server owns the player.
    StaleEpoch,
    /// No such stack, or not so many in it.
    NotThere,
    /// The inventory has no room.
    Full,
}

/// What the store has yet to do for a player, or may have done without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owed {
    /// Gold that was earned and not asked for.
    pub gold: u64,
    /// Gold that was asked for without a clear answer, and with which operation.
    pub unclear_gold: Option<(OperationId, u64)>,
    /// An item that was to be used, likewise.
    pub unclear_use: Option<(ItemId, OperationId)>,
}
