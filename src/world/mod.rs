//! The pure world of one zone: commands go in, steps happen, effects and a frame come out.
//!
//! Called by the zone's thread alone. There is no socket, clock, database, task or unseeded
//! randomness in here, and no map with an unstable order: the same seed and commands give the same
//! effects and frames on any machine.

pub mod command;
pub mod content;
pub mod entity;
pub mod event;
pub mod frame;
pub mod grid;
pub mod history;
pub mod interest;

use std::sync::Arc;

use crate::ids::{PlayerId, ZoneId};
use crate::tick::Tick;
use command::{Command, Effect, GuildTag, PlayerState};
use content::Content;
use entity::Entities;
use frame::FrameUpdate;

/// One zone's entities and rules.
#[derive(Debug)]
pub struct World {
    zone: ZoneId,
    content: Arc<Content>,
    origin: u64,
    tick: Tick,
    entities: Entities,
    effects: Vec<Effect>,
}

/// How much is in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Population {
    /// Players, ghosts left out.
    pub players: usize,
    /// Living NPCs.
    pub npcs: usize,
    /// Things on the ground.
    pub items: usize,
}

impl World {
    /// A fresh zone with its NPCs and items in place. `origin` names this incarnation (it is part
    /// of each operation id and must never come again); `seed` decides all chance.
    pub fn new(zone: ZoneId, content: Arc<Content>, origin: u64, seed: u64) -> Self {
        let _ = seed;
        Self {
            zone,
            content,
            origin,
            tick: Tick(0),
            entities: Entities::default(),
            effects: vec![],
        }
    }

    /// Takes one command. Its effects wait for [`Self::drain_effects`].
    pub fn apply(&mut self, command: Command) {
        let _ = command;
    }

    /// One tick of 50 ms: walk, think, fight, decay, cross borders.
    pub fn step(&mut self) {
        self.tick.0 += 1;
    }

    /// The effects since the last call, oldest first.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// The public state after this step; clears the marks of what has changed.
    pub fn frame(&mut self) -> FrameUpdate {
        let zone = self.content.zone(self.zone).expect("a world's zone is in its content");
        frame::build(&mut self.entities, zone, self.origin, self.tick)
    }

    /// Steps made so far.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// What is saved of a player that is here now.
    pub fn player(&self, player: PlayerId) -> Option<PlayerState> {
        let _ = player;
        None
    }

    /// x
    pub fn lose_time(&mut self, _millis: u64) {}

    /// The guild of a player that is here.
    pub fn guild(&self, player: PlayerId) -> Option<GuildTag> {
        let _ = player;
        None
    }

    /// The level of a player that is here; 1 for others.
    pub fn level(&self, player: PlayerId) -> u32 {
        let _ = player;
        1
    }

    /// The states of all players that have changed since the last call.
    pub fn take_unsaved(&mut self) -> Vec<PlayerState> {
        Vec::new()
    }

    /// How much is here.
    pub fn population(&self) -> Population {
        Population::default()
    }
}
