//! What a zone's thread may know of its world: who is here, under which ownership, what is to be
//! saved.
//!
//! Called between steps. Nothing here changes what a world does; only `take_unsaved` takes marks away.

use crate::ids::{Epoch, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::command::{GuildTag, PlayerState};
use crate::world::entity::Body;

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
    /// Steps made so far.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// What is saved of a player that is here now.
    pub fn player(&self, player: PlayerId) -> Option<PlayerState> {
        let entity = self.entities.get(self.player_handle(player)?)?;
        Some(self.state_of(entity))
    }

    /// Who is here, and under which ownership.
    pub fn players(&self) -> impl Iterator<Item = (PlayerId, Epoch)> {
        let players = self.entities.iter();
        players.filter_map(|(_, entity)| Some((entity.player_id()?, entity.player()?.epoch)))
    }

    /// The ownership under which a player is here.
    pub fn epoch(&self, player: PlayerId) -> Option<Epoch> {
        let entity = self.entities.get(self.player_handle(player)?)?;
        entity.player().map(|player| player.epoch)
    }

    /// The guild of a player that is here.
    pub fn guild(&self, player: PlayerId) -> Option<GuildTag> {
        self.entities.get(self.player_handle(player)?)?.appearance.guild.clone()
    }

    /// The level of a player that is here; 1 for others.
    pub fn level(&self, player: PlayerId) -> u32 {
        let entity = self.player_handle(player).and_then(|handle| self.entities.get(handle));
        entity.map_or(1, |entity| entity.appearance.level)
    }

    /// The states of all players that have changed since the last call, or of `everybody`.
    pub fn take_unsaved(&mut self, everybody: bool) -> Vec<PlayerState> {
        let mut changed = Vec::new();
        for (handle, entity) in self.entities.iter_mut() {
            if let Some(player) = entity.player_mut()
                && (std::mem::take(&mut player.unsaved) || everybody)
            {
                changed.push(handle);
            }
        }
        changed.into_iter().filter_map(|h| Some(self.state_of(self.entities.get(h)?))).collect()
    }

    /// How much is here.
    pub fn population(&self) -> Population {
        let mut population = Population::default();
        for (_, entity) in self.entities.iter() {
            match &entity.body {
                Body::Player(_) => population.players += 1,
                Body::Npc(_) => population.npcs += usize::from(entity.is_alive()),
                Body::Item(_) => population.items += 1,
                Body::Ghost(_) => {}
            }
        }
        population
    }
}
