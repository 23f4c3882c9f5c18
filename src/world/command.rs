//! What goes into a world and what comes out of it: commands and effects.
//!
//! A zone's thread turns messages into [`Command`]s before a step and [`Effect`]s into messages
//! after it. Nothing else crosses the world's border.

use crate::geometry::{Point, Pose};
use crate::ids::{EntityId, Epoch, GuildId, ItemId, Key, OperationId, PlayerId, ZoneId};
use crate::world::event::Event;
pub use crate::world::notice::{Cooling, Holdings, Notice, OwnStats, Refusal};
pub use crate::world::stream::StreamState;
pub use crate::world::timer::{Timed, Timer};
pub use crate::world::value::{
    Change, CommitRefusal, Doubt, Gift, Operation, Owed, Purpose, Receipt,
};

/// A guild as the world needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuildTag {
    /// Which.
    pub id: GuildId,
    /// Its name, shown beside the player's.
    pub name: Key,
}

/// One stack in an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStack {
    /// Given by the store.
    pub id: ItemId,
    /// Key of `[items]`.
    pub kind: Key,
    /// 1 to [`crate::limits::STACK_MAX`].
    pub quantity: u32,
}

/// How far a player is with one quest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuestProgress {
    /// Key of `[quests]`.
    pub quest: Key,
    /// How much of each goal is done, in the quest's order.
    pub done: Vec<u32>,
    /// Whether it is finished and rewarded.
    pub completed: bool,
}

/// All that is saved of a player, and all of it that survives a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayerState {
    /// Who.
    pub id: PlayerId,
    /// Shown to others.
    pub name: Key,
    /// The ownership under which it may be saved.
    pub epoch: Epoch,
    /// The zone it was last in.
    pub zone: ZoneId,
    /// Where.
    pub pose: Pose,
    /// 1 to `rules.level_max`.
    pub level: u32,
    /// All ever earned.
    pub experience: u64,
    /// 0: dead.
    pub health: u32,
    /// What skills cost.
    pub power: u32,
    /// Changed by operations alone.
    pub gold: u64,
    /// Changed by operations alone.
    pub inventory: Vec<ItemStack>,
    /// Every quest ever accepted.
    pub quests: Vec<QuestProgress>,
    /// What it waits for and what wears off.
    pub timers: Vec<Timer>,
}

/// A player on its way from one zone to another: what is saved and what is not.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// What is saved.
    pub state: PlayerState,
    /// The guild, if any.
    pub guild: Option<GuildTag>,
    /// Where it is walking by itself.
    pub destination: Option<Point>,
    /// Milliseconds for which its client may yet move with haste (a moment longer than it lasts),
    /// and its factor.
    pub haste: Option<(u64, f32)>,
    /// Whether its session is over, and it leaves when its fight is.
    pub leaves: bool,
    /// Metres that it is ahead of its speed.
    pub travel_ahead: f32,
    /// What is known of its client's stream.
    pub stream: StreamState,
    /// What the store has yet to do for it.
    pub owed: Owed,
}

/// What a player does; made by the gateway from a packet or a line.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Streams its own place.
    Move {
        /// Where it says it is. Not yet checked.
        x: f32,
        /// See `x`.
        y: f32,
        /// Degrees.
        rotation: f32,
        /// Its number of this update.
        sequence: u32,
        /// Its clock, ms.
        client_time: u64,
    },
    /// Wants to be walked there.
    MoveTo {
        /// Where to. Not yet checked.
        x: f32,
        /// See `x`.
        y: f32,
    },
    /// Strikes.
    Attack {
        /// Whom.
        target: EntityId,
        /// Tick and milliseconds of the view it acted on; none: now.
        seen: Option<(u64, u32)>,
    },
    /// Uses a skill.
    Skill {
        /// Key of `[skills]`.
        skill: Key,
        /// On whom; none: oneself.
        target: Option<EntityId>,
        /// As in `Attack`.
        seen: Option<(u64, u32)>,
    },
    /// Uses an item of its own.
    UseItem(ItemId),
    /// Takes a thing off the ground.
    PickUp(EntityId),
    /// Puts items of one of its stacks on the ground.
    Drop {
        /// Which stack.
        item: ItemId,
        /// How many; 0: all.
        quantity: u32,
    },
    /// Does away with items of one of its stacks.
    Destroy {
        /// Which stack.
        item: ItemId,
        /// How many; 0: all.
        quantity: u32,
    },
    /// Gives something to a player near.
    Give {
        /// To whom.
        to: EntityId,
        /// What.
        gift: Gift,
    },
    /// Accepts a quest.
    AcceptQuest(Key),
    /// Gives an active quest up.
    AbandonQuest(Key),
    /// Asks for its inventory.
    Inventory,
    /// Asks for its quests.
    QuestLog,
    /// Its client knows nothing of its numbers any more (it goes on over another connection).
    Stats,
    /// Speaks to those near.
    Say(Key),
    /// Speaks to the whole zone.
    Shout(Key),
}

/// A blow or a spell that reaches over a border: decided by the zone that owns the target.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    /// Who.
    pub attacker: PlayerId,
    /// Its name.
    pub attacker_name: Key,
    /// The zone that owns the attacker.
    pub from_zone: ZoneId,
    /// Its level.
    pub level: u32,
    /// Its guild.
    pub guild: Option<GuildTag>,
    /// Where it stands.
    pub at: Point,
    /// Whom.
    pub target: EntityId,
    /// The skill; none: a plain blow.
    pub skill: Option<Key>,
    /// Whether the attacker stands in a PvP zone.
    pub from_pvp: bool,
    /// The packet this answers.
    pub request: u64,
    /// The zones to ask next, should this one not have the target.
    pub ask_next: Vec<ZoneId>,
    /// How often it may still be passed on.
    pub passes: u32,
}

/// What a world is told.
#[derive(Debug, Clone)]
pub enum Command {
    /// A player comes in from outside.
    Enter {
        /// What the store holds.
        state: Box<PlayerState>,
    },
    /// A player comes over a border.
    Arrive {
        /// All of it.
        transfer: Box<Transfer>,
        /// The zone it came from.
        from: ZoneId,
    },
    /// A player crosses back because the neighbour did not take it.
    Return {
        /// All of it.
        transfer: Box<Transfer>,
    },
    /// The neighbour shows the player now: its ghost may go.
    Arrived {
        /// Who.
        player: PlayerId,
    },
    /// Nobody may leave over a border from now on, or may again.
    CloseBorders(bool),
    /// Nobody has said yet where the player is shown: its ghost stays.
    Linger {
        /// Who.
        player: PlayerId,
    },
    /// A player leaves the world, when its fight is over; answered by [`Effect::Left`].
    Leave {
        /// Who.
        player: PlayerId,
    },
    /// A player leaves the world, whatever it does; answered by [`Effect::Left`].
    Dismiss {
        /// Who.
        player: PlayerId,
    },
    /// A player turns out to be another server's: it is taken out, and nothing is made of it.
    Forget {
        /// Who.
        player: PlayerId,
    },
    /// A player acts.
    Act {
        /// Who.
        player: PlayerId,
        /// The packet's sequence, for refusals.
        request: u64,
        /// What.
        action: Action,
    },
    /// The store has decided an operation that [`Effect::Commit`] asked for, or found what
    /// [`Effect::LookUp`] asked about.
    Decided {
        /// For whom it was asked.
        player: PlayerId,
        /// Which.
        operation: OperationId,
        /// The stacks it changed, or why it was not done.
        outcome: Result<Receipt, CommitRefusal>,
    },
    /// A player's guild is this now.
    SetGuild {
        /// Who.
        player: PlayerId,
        /// None: no guild.
        guild: Option<GuildTag>,
    },
    /// These pairs of guilds are at war now, and no others; the smaller id first.
    SetWars(Vec<(GuildId, GuildId)>),
    /// A neighbour's player strikes something here.
    Strike(Box<Strike>),
    /// A player of this zone killed something of a neighbour's.
    Credit {
        /// Who.
        player: PlayerId,
        /// What for.
        credit: Credit,
    },
}

/// What a kill in a neighbouring zone earns.
#[derive(Debug, Clone, PartialEq)]
pub struct Credit {
    /// Experience.
    pub experience: u64,
    /// Gold.
    pub gold: u64,
    /// The NPC kind, for quests; none: a player.
    pub npc: Option<Key>,
}

/// What a world wants done outside.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Tell one player.
    Notify {
        /// Whom.
        player: PlayerId,
        /// What.
        notice: Notice,
    },
    /// Something has happened; to be queued for the event manager.
    Event(Event),
    /// Have the store do this and answer with [`Command::Decided`].
    Commit(Operation),
    /// Have the store find out what came of an operation, and answer likewise.
    LookUp {
        /// Which.
        operation: OperationId,
        /// For whom: whose stacks are wanted.
        player: PlayerId,
        /// Who asked for it; it is looked for in the order of this one's operations.
        asker: PlayerId,
    },
    /// A player has walked over the border; its ghost stays until [`Command::Arrived`].
    Departed {
        /// The zone that owns its place now.
        to: ZoneId,
        /// All of it.
        transfer: Box<Transfer>,
    },
    /// A player has left the world: do what it is owed, save this and release it.
    Left {
        /// The last state.
        state: Box<PlayerState>,
        /// What is owed, oldest first.
        owed: Vec<Operation>,
    },
    /// A strike at something that a neighbour may own.
    Strike {
        /// The zone that is asked first.
        zone: ZoneId,
        /// The blow.
        strike: Box<Strike>,
    },
    /// A strike from over the border was refused.
    StrikeRefused {
        /// Where the attacker is.
        zone: ZoneId,
        /// Who.
        player: PlayerId,
        /// The packet.
        request: u64,
        /// Why.
        refusal: Refusal,
    },
    /// A player of another zone killed something here.
    Credit {
        /// Where it is.
        zone: ZoneId,
        /// Who.
        player: PlayerId,
        /// What for.
        credit: Credit,
    },
    /// A kill between guilds at war.
    WarKill {
        /// Makes counting it twice harmless.
        id: OperationId,
        /// The killer and its guild.
        killer: (PlayerId, GuildId),
        /// The victim and its guild.
        victim: (PlayerId, GuildId),
    },
    /// Count something up for a player.
    Count {
        /// Who.
        player: PlayerId,
        /// A counter's name: `kills`, `deaths`, `damage_dealt`, …
        counter: &'static str,
        /// By how much.
        by: u64,
    },
    /// Send a player away.
    Kick {
        /// Whom.
        player: PlayerId,
        /// Why.
        reason: &'static str,
    },
    /// The store says that another server owns a player.
    Disowned {
        /// Whom.
        player: PlayerId,
        /// Under which epoch it was thought to be here.
        epoch: Epoch,
    },
}
