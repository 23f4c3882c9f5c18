//! What only one player is told: refusals, what it carries, its quests, its numbers, corrections.
//!
//! Part of the world's effects (`command.rs` names them too); the zone makes packets of them.

use crate::geometry::Pose;
use crate::ids::{ItemId, Key, PlayerId};
use crate::world::command::{ItemStack, QuestProgress};

/// Why an action was refused. Each has its code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing of that id in sight; whether it is somewhere else is not told.
    NoSuchTarget,
    /// Too far.
    OutOfRange,
    /// Too soon; milliseconds to wait.
    Cooldown(u32),
    /// The actor is dead.
    Dead,
    /// The target is.
    TargetDead,
    /// Oneself, a friend, a peaceful NPC, no PvP here.
    NotAllowed(&'static str),
    /// Not in the actor's inventory.
    NoSuchItem,
    /// The item does nothing.
    NotUsable,
    /// No room.
    InventoryFull,
    /// No skill of that name.
    NoSuchSkill,
    /// Too little power.
    NotEnoughPower,
    /// The level is too low.
    LevelTooLow(u32),
    /// No quest of that name.
    NoSuchQuest,
    /// Already accepted or done, or too many.
    QuestState(&'static str),
    /// Not finite, outside the world, or no zone is there.
    BadPosition(&'static str),
    /// The store is away.
    Unavailable,
    /// Too many operations of this player are under way.
    Busy,
    /// Who is to be given something has no room for it.
    ReceiverFull,
}

/// What a player carries, and what it is told for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// All stacks.
    pub stacks: Vec<ItemStack>,
    /// Gold.
    pub gold: u64,
    /// What was just used.
    pub used: Option<ItemId>,
    /// Who has just given something.
    pub giver: Option<PlayerId>,
    /// The packet it answers; 0: none.
    pub request: u64,
}

/// A player's own numbers. Times are what is left, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnStats {
    /// 0: dead.
    pub health: u32,
    /// Health at most.
    pub max_health: u32,
    /// What skills cost.
    pub power: u32,
    /// Power at most.
    pub max_power: u32,
    /// All ever earned.
    pub experience: u64,
    /// Experience at which the next level begins; none: there is no next one.
    pub next_level_at: Option<u64>,
    /// 1 to `rules.level_max`.
    pub level: u32,
    /// Gold carried.
    pub gold: u64,
    /// Until it stops counting as fighting; 0: it does not.
    pub combat_ms: u64,
    /// What is not ready yet.
    pub cooldowns: Vec<(Cooling, u64)>,
}

/// What a player waits for before it can do it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cooling {
    /// The plain attack.
    Attack,
    /// A skill of this key.
    Skill(Key),
    /// Items of this kind or group.
    Item(Key),
}

/// What only one player is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// An action was refused.
    Refused {
        /// The packet.
        request: u64,
        /// Why.
        refusal: Refusal,
    },
    /// The inventory as it is now.
    Inventory(Holdings),
    /// The player's own numbers as they are now.
    Stats(OwnStats),
    /// The quests as they are now.
    Quests(Vec<QuestProgress>),
    /// A streamed place was not accepted.
    Correction {
        /// Where the player is.
        pose: Pose,
        /// The refused update.
        sequence: u32,
        /// Why.
        reason: &'static str,
    },
}
