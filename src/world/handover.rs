//! Crossing borders: a player becomes a message on one side and a body on the other, and those who
//! watch see it all the while.
//!
//! The side it leaves keeps a ghost that does nothing until the other side shows the player. Who
//! waits for the store crosses when that has answered, so that no answer comes to the wrong zone.

use crate::geometry::{Pose, Rect};
use crate::ids::{EntityId, PlayerId, ZoneId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::budget::Budget;
use crate::world::command::{Effect, Transfer};
use crate::world::entity::{Appearance, AppearanceChange, Body, Entity, Handle, Look};
use crate::world::event::EventKind;
use crate::world::movement::CLOSED;
use crate::world::operation::Operations;
use crate::world::player::{Haste, Player};
use crate::world::stream::Stream;

/// Ticks for which a ghost stays when nobody says that the player is shown elsewhere: 5 s.
pub const GHOST_TICKS: u64 = 100;
/// Ticks for which it stays when somebody has: the other zone's frame is seen by then.
pub const GHOST_REST: u64 = 4;
/// Ticks for which a player that was not taken may not try again: a second.
pub const BORDER_CLOSED: u64 = 20;
/// How far inside the border a player that was not taken is put, m.
const INSIDE: f32 = 0.5;

/// What is left of a player that another zone owns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ghost {
    /// Where it went.
    pub to: ZoneId,
    fades: Tick,
}

impl World {
    /// Sends those on who stand beyond the border.
    pub(super) fn cross_borders(&mut self) {
        self.each_player(|world, handle| {
            let Some(entity) = world.entities.get(handle) else { return };
            let at = entity.pose.at;
            if world.place.bounds.contains(at) {
                return;
            }
            let closed = world.border_closed(handle) || !entity.is_alive();
            match world.content.zone_at(at).map(|zone| zone.id) {
                Some(to) if !closed => world.depart(handle, to),
                _ => world.put_at_edge(handle),
            }
        });
    }

    /// Whoever has stepped over the border in the very tick in which it closed stands at the edge:
    /// nobody is at home in a zone that does not own it.
    fn put_at_edge(&mut self, handle: Handle) {
        let bounds = self.place.bounds;
        if let Some(entity) = self.entities.get_mut(handle) {
            entity.pose.at = bounds.clamp(entity.pose.at);
            self.tell_put(handle, CLOSED);
        }
    }

    fn depart(&mut self, handle: Handle, to: ZoneId) {
        self.leave_doubt_behind(handle);
        let Some(transfer) = self.transfer_of(handle, to) else { return };
        let fades = Tick(self.tick.0 + GHOST_TICKS);
        if let Some(entity) = self.entities.get_mut(handle) {
            entity.body = Body::Ghost(Ghost { to, fades });
            entity.mark(AppearanceChange::Quiet);
        }
        self.effects.push(Effect::Departed { to, transfer: Box::new(transfer) });
    }

    /// All of a player, for the zone `to`.
    pub(super) fn transfer_of(&self, handle: Handle, to: ZoneId) -> Option<Transfer> {
        let entity = self.entities.get(handle)?;
        let player = entity.player()?;
        let left = |tick: Tick| self.tick.millis_until(tick);
        let mut budget = player.budget;
        if entity.is_alive() {
            budget.settle(&self.pace(handle));
        }
        let mut state = self.state_of(entity);
        state.zone = to;
        Some(Transfer {
            state,
            guild: entity.appearance.guild.clone(),
            destination: player.destination,
            haste: player.haste.map(|haste| (left(haste.over), haste.factor)),
            leaves: player.leaving.is_some(),
            travel_ahead: budget.ahead,
            stream: player.stream.state(self.real_ms()),
            owed: player.operations.owed(),
        })
    }

    /// A player comes over the border. One that stands here already came before: nothing happens.
    pub(super) fn on_arrive(&mut self, transfer: Transfer, from: ZoneId) {
        let id = transfer.state.id;
        if self.player_handle(id).is_some() {
            return;
        }
        let pose = transfer.state.pose;
        let at = self.place.bounds.clamp(pose.at);
        self.put_transfer(transfer, Pose { at, ..pose });
        if self.player_handle(id).is_some() {
            let (player, to) = (EntityId::from(id), self.zone);
            self.tell(at, EventKind::ZoneChange { player, from, to });
        }
    }

    /// The neighbour did not take a player: it stands just inside the border again.
    pub(super) fn on_return(&mut self, transfer: Transfer) {
        let id = transfer.state.id;
        if self.player_handle(id).is_some() {
            return;
        }
        let pose = Pose {
            at: inside(&self.place.bounds).clamp(transfer.state.pose.at),
            ..transfer.state.pose
        };
        self.put_transfer(transfer, pose);
        let until = Tick(self.tick.0 + BORDER_CLOSED);
        let Some(handle) = self.player_handle(id) else { return };
        if let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) {
            player.border_closed_until = until;
        }
        self.tell_put(handle, CLOSED);
    }

    /// Puts a player in that comes from elsewhere.
    pub(super) fn put_transfer(&mut self, transfer: Transfer, pose: Pose) {
        let rules = &self.content.rules;
        let after = |millis: u64| self.tick.after_millis(millis);
        let state = transfer.state;
        let haste = transfer.haste.filter(|(millis, _)| *millis > 0);
        let haste = haste.map(|(millis, factor)| Haste { over: after(millis), factor });
        let factor = haste.filter(|haste| haste.lasts(self.tick)).map_or(1.0, |h| h.factor);
        let budget = Budget { ahead: transfer.travel_ahead, measured_ms: self.travel_ms() };
        let mut player = Player {
            epoch: state.epoch,
            experience: state.experience,
            power: state.power,
            gold: state.gold,
            inventory: state.inventory,
            quests: state.quests,
            destination: transfer.destination,
            budget,
            stream: Stream::resumed(transfer.stream, self.real_ms()),
            operations: Operations::owing(transfer.owed, self.tick),
            unsaved: true,
            ..Player::default()
        };
        player.set_timers(state.timers, self.tick);
        player.haste = haste;
        player.respawn_at = (state.health == 0).then_some(player.respawn_at.unwrap_or(self.tick));
        if transfer.leaves {
            player.leave_after_fight(self.tick);
        }
        let appearance = Appearance {
            look: Look::Player,
            name: state.name,
            level: state.level,
            health: state.health,
            max_health: rules.max_health(state.level),
            guild: transfer.guild,
            quantity: 0,
            speed: rules.player_speed * factor,
        };
        self.put_player(state.id.into(), pose, appearance, player);
    }

    /// A hand-over takes its time: the ghost stays for as long as one does that nobody speaks of.
    pub(super) fn on_linger(&mut self, player: PlayerId) {
        let fades = Tick(self.tick.0 + GHOST_TICKS);
        let Some(handle) = self.entities.handle(player.into()) else { return };
        if let Some(Body::Ghost(ghost)) =
            self.entities.get_mut(handle).map(|entity| &mut entity.body)
        {
            ghost.fades = fades;
        }
    }

    /// The neighbour shows the player now.
    pub(super) fn on_arrived(&mut self, player: PlayerId) {
        let fades = Tick(self.tick.0 + GHOST_REST);
        let from = self.zone;
        let Some(handle) = self.entities.handle(player.into()) else { return };
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (id, at) = (entity.id, entity.pose.at);
        let Body::Ghost(ghost) = &mut entity.body else { return };
        if ghost.fades > fades {
            ghost.fades = fades;
            let to = ghost.to;
            self.tell(at, EventKind::ZoneChange { player: id, from, to });
        }
    }

    /// Takes ghosts away whose time has come.
    pub(super) fn fade_ghosts(&mut self) {
        for index in 0..self.muster.ghosts.len() {
            let handle = self.muster.ghosts[index];
            let entity = self.entities.get(handle);
            if let Some(Body::Ghost(ghost)) = entity.map(|entity| &entity.body)
                && self.tick >= ghost.fades
            {
                self.entities.remove(handle, self.tick);
            }
        }
    }

    /// Whether a player may not cross now: the zone moves, a neighbour has just not taken it, it is
    /// about to leave, or the store has yet to answer it, and that answer must find it here.
    pub(super) fn border_closed(&self, handle: Handle) -> bool {
        let player = self.entities.get(handle).and_then(Entity::player);
        self.borders_closed
            || player.is_some_and(|player| {
                self.tick < player.border_closed_until
                    || player.leaving.is_some() && !player.lingers(self.tick)
                    || !player.operations.is_idle()
            })
    }
}

/// The zone without a strip along its border; a zone too narrow for one is left as it is.
fn inside(bounds: &Rect) -> Rect {
    let strip = |side: f32| if side > 4.0 * INSIDE { INSIDE } else { 0.0 };
    let (x, y) = (strip(bounds.width()), strip(bounds.height()));
    Rect {
        min_x: bounds.min_x + x,
        min_y: bounds.min_y + y,
        max_x: bounds.max_x - x,
        max_y: bounds.max_y - y,
    }
}
