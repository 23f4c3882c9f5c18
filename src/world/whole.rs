//! A whole zone as a value, for its way to another process: its players, its NPCs, what lies on the
//! ground, and what is counted.
//!
//! Made of a world that waits for nothing from the store; times are what is left, in milliseconds.
//! What only a moment depends on (where a resting NPC goes next, what was seen a second ago) stays
//! behind.

use std::sync::Arc;

use crate::geometry::{Point, Pose};
use crate::ids::{EntityId, GuildId, Key, OperationId, PlayerId, ZoneId};
use crate::world::World;
use crate::world::command::Transfer;
use crate::world::content::Content;
use crate::world::share::Hit;

/// All of a zone that goes along.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Whole {
    /// Everybody who stands in it.
    pub players: Vec<Transfer>,
    /// Every NPC, alive or not.
    pub npcs: Vec<NpcState>,
    /// What lies on the ground.
    pub things: Vec<Thing>,
    /// The rest.
    pub rest: ZoneRest,
}

/// What a zone knows besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ZoneRest {
    /// The zone's own things that come again: place in the zone's items, milliseconds left.
    pub returns: Vec<(u32, u64)>,
    /// Pairs of guilds at war, the smaller id first.
    pub wars: Vec<(GuildId, GuildId)>,
    /// Ids given to what the zone made.
    pub entities_made: u32,
    /// Ids given to events.
    pub events_made: u64,
}

/// An NPC.
#[derive(Debug, Clone, PartialEq)]
pub struct NpcState {
    /// Which.
    pub id: EntityId,
    /// Key of `[npcs]`.
    pub kind: Key,
    /// Where it is.
    pub pose: Pose,
    /// 0: dead.
    pub health: u32,
    /// Milliseconds until it may strike again.
    pub attack_ready_ms: u64,
    /// Which place of its patrol comes next.
    pub next_stop: u32,
    /// Who has hurt it in its fight.
    pub hits: Vec<Hit>,
    /// What it is at.
    pub doing: Doing,
}

/// What an NPC is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Stands or walks about.
    Roams,
    /// Runs after somebody or fights.
    Hunts(PlayerId),
    /// Goes home and heals, and cannot be hurt.
    Returns,
    /// Lies there, then is gone, then lives again.
    LiesDead {
        /// Milliseconds until it is gone.
        hides_ms: u64,
        /// Milliseconds until it lives.
        returns_ms: u64,
    },
}

/// Something on the ground.
#[derive(Debug, Clone, PartialEq)]
pub struct Thing {
    /// Which.
    pub id: EntityId,
    /// Key of `[items]`.
    pub kind: Key,
    /// How many.
    pub quantity: u32,
    /// Where.
    pub at: Point,
    /// Whose alone it is, and for how many milliseconds.
    pub owner: Option<(PlayerId, u64)>,
    /// Milliseconds until it is gone; none: it waits for ever.
    pub expires_ms: Option<u64>,
    /// Its place in the zone's items, if it comes again.
    pub spawn: Option<u32>,
    /// Who has asked for it without a clear answer, and with which operation.
    pub unclear: Option<(PlayerId, OperationId)>,
    /// Whether a player has put it there.
    pub dropped: bool,
}

impl World {
    /// Whether nothing is asked of the store.
    pub fn is_settled(&self) -> bool {
        let waits = |player: &crate::world::player::Player| !player.operations.is_idle();
        self.asked.is_empty()
            && !self.drops_in_doubt()
            && !self.entities.iter().any(|(_, e)| e.player().is_some_and(waits))
    }

    /// All of it, for another process. The world itself is not changed.
    pub fn whole(&self) -> Whole {
        let handles = self.entities.iter().map(|(handle, _)| handle);
        let now = self.tick;
        let returns = self.item_returns.iter();
        Whole {
            players: handles.filter_map(|handle| self.transfer_of(handle, self.zone)).collect(),
            npcs: self.npc_states(),
            things: self.things(),
            rest: ZoneRest {
                returns: returns.map(|(at, i)| (*i as u32, now.millis_until(*at))).collect(),
                wars: self.wars.iter().copied().collect(),
                entities_made: self.entities_made,
                events_made: self.events_made,
            },
        }
    }

    /// The zone that another process gave away: as [`World::new`], with everybody in place.
    ///
    /// # Panics
    /// If the content has no such zone.
    pub fn from_whole(
        zone: ZoneId,
        content: Arc<Content>,
        (origin, seed): (u64, u64),
        whole: Whole,
    ) -> Self {
        let Whole { players, npcs, things, rest } = whole;
        let mut world = Self::bare(zone, content, origin, seed);
        world.settle_npcs();
        for npc in npcs {
            world.restore_npc(&npc);
        }
        world.wars = rest.wars.into_iter().collect();
        world.entities_made = world.entities_made.max(rest.entities_made);
        world.events_made = rest.events_made;
        let returns = rest.returns.into_iter();
        let after = |millis| world.tick.after_millis(millis);
        world.item_returns = returns.map(|(index, ms)| (after(ms), index as usize)).collect();
        for thing in things {
            world.lay_thing(thing);
        }
        for transfer in players {
            let pose = transfer.state.pose;
            let at = world.place.bounds.clamp(pose.at);
            world.put_transfer(transfer, Pose { at, ..pose });
        }
        world
    }
}
