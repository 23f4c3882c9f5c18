//! A player's body: what it owns and is doing, how it grows, heals, dies and returns.
//!
//! Coming and going is here; crossing borders is in `handover.rs`.

use crate::geometry::{Point, Pose, normalize_degrees};
use crate::ids::{EntityId, Epoch, ItemId, Key, PlayerId};
use crate::tick::Tick;
use crate::world::World;
use crate::world::budget::Budget;
use crate::world::command::{
    Credit, Effect, Holdings, ItemStack, Notice, PlayerState, QuestProgress,
};
use crate::world::entity::{Appearance, AppearanceChange, Body, Entity, Handle, Look};
use crate::world::history::History;
use crate::world::operation::Operations;
use crate::world::stats::ToldStats;
use crate::world::stream::Stream;

/// Ticks between two helpings of health and power: a second.
const REGENERATION_TICKS: u64 = 20;
/// Ticks for which a client that has not heard of it yet may still move with its haste.
const HASTE_GRACE: u64 = 10;
/// Ticks that a leaving player waits for the store at most: 2 s, twice its time limit.
const LEAVE_WAIT: u64 = 40;

/// What is known of a player besides what others see.
#[derive(Debug, Default)]
pub(super) struct Player {
    pub epoch: Epoch,
    pub experience: u64,
    pub power: u32,
    pub gold: u64,
    pub inventory: Vec<ItemStack>,
    pub quests: Vec<QuestProgress>,
    /// Where the server walks it.
    pub destination: Option<Point>,
    pub budget: Budget,
    pub stream: Stream,
    pub attack_ready: Tick,
    /// Skills that were used, and when they can be again.
    pub skills_ready: Vec<(Key, Tick)>,
    /// Items that were used, by kind or group, and when the next can be.
    pub items_ready: Vec<(Key, Tick)>,
    pub haste: Option<Haste>,
    /// Whoever fights does not leave the world.
    pub combat_until: Tick,
    /// It has fought with players: they may go on, over a border too.
    pub duel_until: Tick,
    /// The world has put it there: players can't strike it until it strikes.
    pub protected_until: Tick,
    /// Dead: when it returns.
    pub respawn_at: Option<Tick>,
    /// Before this it may not cross a border: a neighbour has just not taken it.
    pub border_closed_until: Tick,
    pub operations: Operations,
    pub leaving: Option<Leaving>,
    /// Whether something has changed since it was last given out to be saved.
    pub unsaved: bool,
    pub history: History,
    /// What its client was told of its numbers.
    pub told: ToldStats,
}

/// What an inventory is sent for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    /// An item was used.
    pub used: Option<ItemId>,
    /// Somebody has given something.
    pub giver: Option<PlayerId>,
    /// The packet it answers; 0: none.
    pub request: u64,
}

/// Its session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaving {
    /// Whether it stays for as long as it fights.
    lingers: bool,
    /// It waits for the store until then, or after its fight not at all.
    pub until: Tick,
}

/// Being faster for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Haste {
    /// When its client may not move with it any more: [`HASTE_GRACE`] after its end.
    pub over: Tick,
    pub factor: f32,
}

impl Haste {
    /// One that ends at `until`.
    pub fn until(until: Tick, factor: f32) -> Self {
        Self { over: Tick(until.0 + HASTE_GRACE), factor }
    }

    /// Whether it has not ended yet.
    pub fn lasts(&self, now: Tick) -> bool {
        now.0 + HASTE_GRACE < self.over.0
    }
}

impl World {
    /// A player comes in from outside. If it stands here already, it is a new session's now: its
    /// client counts its moves anew, and what is here is newer than what the store held.
    pub(super) fn on_enter(&mut self, state: PlayerState) {
        let id = EntityId::from(state.id);
        if let Some(handle) = self.entities.handle(id)
            && let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut)
        {
            player.epoch = player.epoch.max(state.epoch);
            player.leaving = None;
            player.stream.renew();
            player.told = ToldStats::default();
            return;
        }
        let rules = &self.content.rules;
        let level = rules.level_at(state.experience);
        let (max_health, max_power) = (rules.max_health(level), rules.max_power(level));
        let health = state.health.min(max_health);
        let inside = self.place.bounds.contains(state.pose.at);
        let at = if inside { state.pose.at } else { self.place.spawn };
        let appearance = Appearance {
            look: Look::Player,
            name: state.name,
            level,
            health,
            max_health,
            guild: None,
            quantity: 0,
            speed: rules.player_speed,
        };
        let mut player = Player {
            epoch: state.epoch,
            experience: state.experience,
            power: state.power.min(max_power),
            gold: state.gold,
            inventory: state.inventory,
            quests: state.quests,
            budget: self.fresh_budget(),
            stream: Stream::begin(self.real_ms()),
            protected_until: if inside { Tick(0) } else { self.protection_end() },
            ..Player::default()
        };
        player.set_timers(state.timers, self.tick);
        player.respawn_at = (health == 0).then_some(player.respawn_at.unwrap_or(self.tick));
        let pose = Pose { at, rotation: normalize_degrees(state.pose.rotation) };
        let appearance = Appearance {
            speed: appearance.speed
                * player.haste.filter(|haste| haste.lasts(self.tick)).map_or(1.0, |h| h.factor),
            ..appearance
        };
        self.put_player(id, pose, appearance, player);
    }

    /// Until when one is protected whom the world puts somewhere now; only where players fight.
    fn protection_end(&self) -> Tick {
        let millis = self.content.rules.spawn_protection_ms;
        if self.place.pvp { self.tick.after_millis(millis) } else { Tick(0) }
    }

    /// Puts a player in, in its ghost's place if that is still here; watchers see one body.
    pub(super) fn put_player(
        &mut self,
        id: EntityId,
        pose: Pose,
        appearance: Appearance,
        player: Player,
    ) {
        let body = Body::Player(Box::new(player));
        if let Some(handle) = self.entities.handle(id)
            && let Some(ghost) = self.entities.get_mut(handle)
        {
            ghost.pose = pose;
            ghost.appearance = appearance;
            ghost.body = body;
            ghost.mark(AppearanceChange::Announce);
            return;
        }
        // A full zone takes nobody: whoever asks for the player then finds none.
        let _ = self.entities.insert(Entity::new(id, pose, appearance, body), self.tick);
    }

    /// A player leaves the world, as soon as its fight is over and the store has decided what it
    /// asked for. Until then it stands there for all to strike. What it is still owed then goes
    /// along with its last save.
    pub(super) fn on_leave(&mut self, id: PlayerId) {
        self.begin_leaving(id, true);
    }

    /// A player leaves the world whether it fights or not: the zone ends.
    pub(super) fn on_dismiss(&mut self, id: PlayerId) {
        self.begin_leaving(id, false);
    }

    fn begin_leaving(&mut self, id: PlayerId, lingers: bool) {
        let until = Tick(self.tick.0 + LEAVE_WAIT);
        let Some(handle) = self.player_handle(id) else { return };
        let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) else {
            return;
        };
        player.leaving.get_or_insert(Leaving { lingers, until }).lingers &= lingers;
        player.destination = None;
        self.let_go_of(handle);
    }

    /// Whether a player's session is over and the player stays for its fight.
    pub fn lingers(&self, player: PlayerId) -> bool {
        let entity = self.player_handle(player).and_then(|handle| self.entities.get(handle));
        entity.and_then(Entity::player).is_some_and(|player| player.lingers(self.tick))
    }

    /// A player is another server's: it goes without a last word.
    pub(super) fn on_forget(&mut self, id: PlayerId) {
        if let Some(handle) = self.player_handle(id) {
            self.forget_operations(handle);
            self.entities.remove(handle, self.tick);
        }
    }

    /// Lets those go that were held up by the store.
    pub(super) fn let_go(&mut self) {
        self.each_player(Self::let_go_of);
    }

    fn let_go_of(&mut self, handle: Handle) {
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(player) = entity.player() else { return };
        let Some(leaving) = player.leaving.filter(|_| !player.lingers(self.tick)) else { return };
        if player.operations.is_clear() || self.tick >= leaving.until {
            let state = Box::new(self.state_of(entity));
            let owed = self.last_operations(handle);
            self.forget_operations(handle);
            self.entities.remove(handle, self.tick);
            self.effects.push(Effect::Left { state, owed });
        }
    }

    /// Returns the dead, ends haste, and gives health and power back to the peaceful.
    pub(super) fn recover(&mut self) {
        self.each_player(|world, handle| {
            world.end_haste(handle);
            let Some(entity) = world.entities.get(handle) else { return };
            let Some(player) = entity.player() else { return };
            let due = player.respawn_at.is_some_and(|at| world.tick >= at);
            if due && player.leaving.is_none() {
                world.respawn(handle);
            } else if entity.is_alive()
                && world.tick >= player.combat_until
                && (world.tick.0 + u64::from(handle.0)).is_multiple_of(REGENERATION_TICKS)
            {
                world.regenerate(handle);
            }
        });
    }

    fn respawn(&mut self, handle: Handle) {
        let (spawn, now) = (self.place.spawn, self.travel_ms());
        let protected = self.protection_end();
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let max_power = self.content.rules.max_power(entity.appearance.level);
        entity.pose.at = spawn;
        entity.appearance.health = entity.appearance.max_health;
        entity.mark(AppearanceChange::Announce);
        let Some(player) = entity.player_mut() else { return };
        player.power = max_power;
        player.respawn_at = None;
        player.protected_until = protected;
        // The time of being dead brings no allowance.
        player.budget.measured_ms = now;
        player.history.clear();
        player.unsaved = true;
        // A client that streams its place must hear that it is elsewhere now.
        self.tell_put(handle, "returned to life");
    }

    fn regenerate(&mut self, handle: Handle) {
        let rules = &self.content.rules;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        entity.heal(rules.regenerated(entity.appearance.max_health));
        let max_power = rules.max_power(entity.appearance.level);
        if let Some(player) = entity.player_mut()
            && player.power < max_power
        {
            player.power = max_power.min(player.power + rules.regenerated(max_power));
            player.unsaved = true;
        }
    }

    /// Makes a player faster until `until`.
    pub(super) fn begin_haste(&mut self, handle: Handle, until: Tick, factor: f32) {
        self.settle_budget(handle);
        let speed = self.content.rules.player_speed * factor;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        entity.appearance.speed = speed;
        entity.mark(AppearanceChange::Announce);
        if let Some(player) = entity.player_mut() {
            player.haste = Some(Haste::until(until, factor));
        }
    }

    fn end_haste(&mut self, handle: Handle) {
        let (now, walk) = (self.tick, self.content.rules.player_speed);
        let haste = self.entities.get(handle).and_then(|entity| entity.player()?.haste);
        let Some(haste) = haste.filter(|haste| !haste.lasts(now)) else { return };
        let over = now >= haste.over;
        if over {
            self.settle_budget(handle);
        }
        let Some(entity) = self.entities.get_mut(handle) else { return };
        if let Some(player) = entity.player_mut().filter(|_| over) {
            player.haste = None;
        }
        if entity.appearance.speed != walk {
            entity.appearance.speed = walk;
            entity.mark(AppearanceChange::Announce);
        }
    }

    /// What a kill earns its killer.
    pub(super) fn earn(&mut self, handle: Handle, credit: &Credit) {
        let Some(id) = self.entities.get(handle).and_then(Entity::player_id) else { return };
        match &credit.npc {
            Some(npc) => {
                self.count(id, "kills", 1);
                self.on_kill(handle, npc);
            }
            None => self.count(id, "player_kills", 1),
        }
        self.gain_experience(handle, credit.experience);
        self.owe_gold(handle, credit.gold);
    }

    /// Adds experience, and the level it makes; who rises is whole again.
    pub(super) fn gain_experience(&mut self, handle: Handle, amount: u64) {
        let rules = &self.content.rules;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let Some(player) = entity.player_mut() else { return };
        player.experience = player.experience.saturating_add(amount);
        player.unsaved = true;
        let level = rules.level_at(player.experience);
        let rises = level > entity.appearance.level;
        if !rises {
            return;
        }
        let (max_health, max_power) = (rules.max_health(level), rules.max_power(level));
        entity.appearance.level = level;
        entity.appearance.max_health = max_health;
        if entity.appearance.health > 0 {
            entity.appearance.health = max_health;
        }
        entity.mark(AppearanceChange::Announce);
        if let Some(player) = entity.player_mut() {
            player.power = max_power;
        }
    }

    /// What is saved of a player that is here.
    pub(super) fn state_of(&self, entity: &Entity) -> PlayerState {
        let none = Player::default();
        let player = entity.player().unwrap_or(&none);
        PlayerState {
            id: PlayerId(entity.id.0),
            name: entity.appearance.name.clone(),
            epoch: player.epoch,
            zone: self.zone,
            pose: entity.pose,
            level: entity.appearance.level,
            experience: player.experience,
            health: entity.appearance.health,
            power: player.power,
            gold: player.gold,
            inventory: player.inventory.clone(),
            quests: player.quests.clone(),
            timers: player.timers(self.tick),
        }
    }

    /// A player fights from now on. Its blow at another player, where that is open to players,
    /// can be answered for as long, over a border too. Whoever strikes is protected no more.
    pub(super) fn strikes(&mut self, handle: Handle, duel: bool) {
        let until = self.combat_end();
        let Some(player) = self.entities.get_mut(handle).and_then(Entity::player_mut) else {
            return;
        };
        player.combat_until = until;
        player.protected_until = Tick(0);
        if duel {
            player.duel_until = until;
        }
        player.unsaved = true;
    }

    /// Sends a player its inventory.
    pub(super) fn show_inventory(&mut self, handle: Handle, told: Told) {
        let Some(entity) = self.entities.get(handle) else { return };
        let (Some(id), Some(player)) = (entity.player_id(), entity.player()) else { return };
        let Told { used, giver, request } = told;
        let (stacks, gold) = (player.inventory.clone(), player.gold);
        self.notify(id, Notice::Inventory(Holdings { stacks, gold, used, giver, request }));
    }
}

impl Player {
    /// Whether its session is over and it stays for its fight.
    pub fn lingers(&self, now: Tick) -> bool {
        self.leaving.is_some_and(|leaving| leaving.lingers) && now < self.combat_until
    }

    /// As if its session had ended where it comes from.
    pub fn leave_after_fight(&mut self, now: Tick) {
        self.leaving = Some(Leaving { lingers: true, until: now });
    }
}
