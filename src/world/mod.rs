//! The pure world of one zone: commands go in, steps happen, effects and a frame come out.
//!
//! Called by the zone's thread alone. There is no socket, clock, database, task or unseeded
//! randomness in here, and no map with an unstable order: the same seed and commands give the same
//! effects and frames on any machine.

mod belongings;
mod budget;
mod check;
mod combat;
pub mod command;
pub mod content;
mod doubt;
pub mod entity;
pub mod event;
pub mod frame;
pub mod grid;
pub mod handles;
pub mod handover;
pub mod history;
pub mod interest;
pub mod item;
pub mod movement;
mod nearby;
pub mod notice;
mod npc;
pub mod operation;
mod player;
mod queries;
pub mod quest;
pub mod rules;
pub mod share;
mod skill;
mod stats;
pub mod stream;
mod strike;
mod target;
#[cfg(test)]
mod tests;
pub mod timer;
pub mod value;
pub mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::geometry::Point;
use crate::ids::{EntityId, EventId, GuildId, OperationId, PlayerId, ZoneId};
use crate::tick::{TICK_MS, Tick};
use budget::LostTime;
use command::{Action, Command, Credit, Effect, GuildTag, Notice, Refusal};
use content::{Content, ZoneKind};
use doubt::LeftBehind;
use entity::{AppearanceChange, Body, Entities, Entity, Handle};
use event::{Event, EventKind};
use frame::FrameUpdate;
use item::Unlaid;
use nearby::Nearby;
use player::Told;
pub use queries::Population;

/// One zone's entities and rules.
#[derive(Debug)]
pub struct World {
    zone: ZoneId,
    /// The zone as the content has it.
    place: ZoneKind,
    content: Arc<Content>,
    origin: u64,
    tick: Tick,
    lost_time: LostTime,
    /// How fast its time runs, percent of real time.
    dilation_percent: u8,
    chance: ChaCha8Rng,
    entities: Entities,
    muster: Muster,
    /// Living players, as they stood when the step began.
    players_near: Nearby,
    /// Everything that can be hurt, as it stood at `creatures_at`.
    creatures_near: Nearby,
    creatures_at: Option<Tick>,
    /// Pairs of guilds at war, the smaller id first.
    wars: BTreeSet<(GuildId, GuildId)>,
    /// Operations that the store has not decided, with whom they were asked for, and who else waits
    /// for them.
    asked: BTreeMap<(OperationId, PlayerId), Option<PlayerId>>,
    /// What must be known of operations of players that have gone.
    left_behind: BTreeMap<OperationId, LeftBehind>,
    /// Things that wait for room to lie somewhere.
    unlaid: Vec<Unlaid>,
    /// Things of players' on the ground, or waiting for room there.
    dropped: usize,
    /// When the zone's items lie there again, by their place in its kind.
    item_returns: Vec<(Tick, usize)>,
    entities_made: u32,
    events_made: u64,
    operations_made: u64,
    effects: Vec<Effect>,
    /// Who was sent on a new way since the last frame; some perhaps twice.
    set_out: Vec<Handle>,
    /// Whether nobody may leave over a border: the zone is about to move as a whole.
    borders_closed: bool,
}

/// Who was here when the step began, by what they are. Those who have gone since are found no
/// more: handles rest.
#[derive(Debug, Default)]
struct Muster {
    players: Vec<Handle>,
    npcs: Vec<Handle>,
    things: Vec<Handle>,
    ghosts: Vec<Handle>,
}

impl World {
    /// A fresh zone with its NPCs and items in place. `origin` names this incarnation (it is part
    /// of each operation id and must never come again); `seed` decides all chance.
    ///
    /// # Panics
    /// If the content has no such zone.
    pub fn new(zone: ZoneId, content: Arc<Content>, origin: u64, seed: u64) -> Self {
        let mut world = Self::bare(zone, content, origin, seed);
        world.settle_npcs();
        world.lay_items();
        world
    }

    /// A zone with nothing in it.
    #[expect(clippy::expect_used, reason = "a zone is started for a zone of the content")]
    fn bare(zone: ZoneId, content: Arc<Content>, origin: u64, seed: u64) -> Self {
        let place = content.zone(zone).expect("the zone is in the content").clone();
        Self {
            zone,
            origin,
            tick: Tick(0),
            lost_time: LostTime::NONE,
            dilation_percent: frame::FULL_SPEED,
            chance: ChaCha8Rng::seed_from_u64(seed),
            entities: Entities::default(),
            muster: Muster::default(),
            players_near: Nearby::over(place.bounds),
            creatures_near: Nearby::over(place.bounds),
            creatures_at: None,
            wars: BTreeSet::new(),
            asked: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            unlaid: Vec::new(),
            dropped: 0,
            item_returns: Vec::new(),
            entities_made: 0,
            events_made: 0,
            operations_made: 0,
            effects: Vec::new(),
            set_out: Vec::new(),
            borders_closed: false,
            place,
            content,
        }
    }

    /// Takes one command. Its effects wait for [`Self::drain_effects`]. After an `Enter`, `Arrive`
    /// or `Return`, [`Self::player`] says whether the zone had room.
    pub fn apply(&mut self, command: Command) {
        match command {
            Command::Enter { state } => self.on_enter(*state),
            Command::Arrive { transfer, from } => self.on_arrive(*transfer, from),
            Command::Return { transfer } => self.on_return(*transfer),
            Command::Arrived { player } => self.on_arrived(player),
            Command::CloseBorders(closed) => self.borders_closed = closed,
            Command::Linger { player } => self.on_linger(player),
            Command::Leave { player } => self.on_leave(player),
            Command::Dismiss { player } => self.on_dismiss(player),
            Command::Forget { player } => self.on_forget(player),
            Command::Act { player, request, action } => self.on_act(player, request, action),
            Command::Decided { player, operation, outcome } => {
                self.on_decided(player, operation, outcome);
            }
            Command::SetGuild { player, guild } => self.on_set_guild(player, guild),
            Command::SetWars(wars) => self.wars = wars.into_iter().collect(),
            Command::Strike(strike) => self.on_strike(*strike),
            Command::Credit { player, credit } => self.on_credit(player, &credit),
        }
    }

    /// One tick of 50 ms.
    pub fn step(&mut self) {
        self.tick.0 += 1;
        self.lost_time.step();
        self.muster();
        self.walk();
        self.think();
        self.recover();
        self.visit();
        self.tend_ground();
        self.tend_operations();
        self.cross_borders();
        self.fade_ghosts();
        self.let_go();
        self.tell_stats();
        self.remember();
    }

    /// Says that `millis` of real time have passed without a step (missed ticks, or ticks slowed
    /// down). A second of it is made good to clients that stream their moves by their own clocks;
    /// beyond that they are held to the zone's time like everybody else.
    pub fn lose_time(&mut self, millis: u64) {
        self.lost_time.lose(millis);
    }

    /// Says that `millis` of real time have passed since the last step, those not counted that are
    /// told as lost, for what happens before the next one.
    pub fn advance_to(&mut self, millis: u64) {
        self.lost_time.advance(millis);
    }

    /// Says how fast the zone's time runs from now on, percent of real time (1 to 100): frames tell.
    pub fn run_at(&mut self, percent: u8) {
        self.dilation_percent = percent.clamp(1, frame::FULL_SPEED);
    }

    /// The effects since the last call, oldest first.
    pub fn drain_effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// The public state after this step; clears the marks of what has changed.
    pub fn frame(&mut self) -> FrameUpdate {
        let set_out = self.take_set_out();
        let mut update = frame::build(&mut self.entities, &self.place, self.origin, self.tick);
        update.frame.dilation_percent = self.dilation_percent;
        update.frame.set_out = set_out;
        update
    }

    fn on_act(&mut self, player: PlayerId, request: u64, action: Action) {
        let Some(handle) = self.player_handle(player) else { return };
        let leaving = |entity: &Entity| entity.player().is_some_and(|p| p.leaving.is_some());
        if self.entities.get(handle).is_none_or(leaving) {
            return;
        }
        let done = match action {
            Action::Move { x, y, rotation, sequence, client_time: _ } => {
                self.on_move(handle, x, y, rotation, sequence);
                Ok(())
            }
            Action::MoveTo { x, y } => self.on_move_to(handle, x, y),
            Action::Attack { target, seen } => self.on_attack(handle, request, target, seen),
            Action::Skill { skill, target, seen } => {
                self.on_skill(handle, request, &skill, target, seen)
            }
            Action::UseItem(item) => self.on_use_item(handle, request, item),
            Action::PickUp(thing) => self.on_pick_up(handle, request, thing),
            Action::Drop { item, quantity } => self.on_drop(handle, request, item, quantity),
            Action::Destroy { item, quantity } => self.on_destroy(handle, request, item, quantity),
            Action::Give { to, gift } => self.on_give(handle, request, to, gift),
            Action::AcceptQuest(quest) => self.on_accept_quest(handle, &quest),
            Action::AbandonQuest(quest) => self.on_abandon_quest(handle, &quest),
            Action::Inventory => {
                self.show_inventory(handle, Told { request, ..Told::default() });
                Ok(())
            }
            Action::Stats => {
                self.on_stats(handle);
                Ok(())
            }
            Action::QuestLog => {
                self.show_quests(handle);
                Ok(())
            }
            Action::Say(text) => self.on_speech(handle, text, false),
            Action::Shout(text) => self.on_speech(handle, text, true),
        };
        if let Err(refusal) = done {
            self.refuse(player, request, refusal);
        }
    }

    /// A player speaks; even the dead do.
    fn on_speech(
        &mut self,
        handle: Handle,
        text: crate::ids::Key,
        shout: bool,
    ) -> Result<(), Refusal> {
        let Some(entity) = self.entities.get(handle) else { return Ok(()) };
        let (speaker, name, at) = (entity.id, entity.appearance.name.clone(), entity.pose.at);
        self.tell(at, EventKind::ChatMessage { speaker, name, text, shout });
        Ok(())
    }

    fn on_set_guild(&mut self, player: PlayerId, guild: Option<GuildTag>) {
        let Some(handle) = self.player_handle(player) else { return };
        let Some(entity) = self.entities.get_mut(handle) else { return };
        if entity.appearance.guild != guild {
            entity.appearance.guild = guild;
            entity.mark(AppearanceChange::Announce);
        }
    }

    fn on_credit(&mut self, player: PlayerId, credit: &Credit) {
        if let Some(handle) = self.player_handle(player) {
            self.earn(handle, credit);
        }
    }

    /// Sees who is here and where the living players are.
    fn muster(&mut self) {
        let muster = &mut self.muster;
        muster.players.clear();
        muster.npcs.clear();
        muster.things.clear();
        muster.ghosts.clear();
        for (handle, entity) in self.entities.iter() {
            match &entity.body {
                Body::Player(_) => muster.players.push(handle),
                Body::Npc(_) => muster.npcs.push(handle),
                Body::Item(_) => muster.things.push(handle),
                Body::Ghost(_) => muster.ghosts.push(handle),
            }
        }
        let entities = &self.entities;
        let players = muster.players.iter().filter_map(|handle| {
            let entity = entities.get(*handle).filter(|entity| entity.is_alive())?;
            Some((*handle, entity.pose.at))
        });
        self.players_near.rebuild(players);
    }

    /// Does something for each player that was here when the step began.
    fn each_player(&mut self, visit: impl Fn(&mut Self, Handle)) {
        let players = std::mem::take(&mut self.muster.players);
        for &handle in &players {
            visit(self, handle);
        }
        self.muster.players = players;
    }

    /// The handle of a player that this zone owns.
    fn player_handle(&self, player: PlayerId) -> Option<Handle> {
        let handle = self.entities.handle(player.into())?;
        self.entities.get(handle)?.player().map(|_| handle)
    }

    /// Milliseconds of this zone's time.
    fn now_ms(&self) -> u64 {
        self.tick.0 * TICK_MS
    }

    fn next_entity(&mut self) -> EntityId {
        self.entities_made = self.entities_made.wrapping_add(1);
        EntityId::of_zone(self.zone, self.entities_made)
    }

    /// A random place within `radius` of `center`, inside the zone.
    fn place_around(&mut self, center: Point, radius: f32) -> Point {
        // Drawn from the square until it is in the circle: no trigonometry, whose last bits differ
        // between machines. Each draw hits with a chance of 0.79.
        loop {
            let (x, y) =
                (self.chance.random_range(-1.0..=1.0f32), self.chance.random_range(-1.0..=1.0f32));
            if x * x + y * y <= 1.0 {
                let at = Point { x: center.x + x * radius, y: center.y + y * radius };
                return self.place.bounds.clamp(at);
            }
        }
    }

    fn roll_gold(&mut self, [least, most]: [u64; 2]) -> u64 {
        self.chance.random_range(least..=most.max(least))
    }

    fn tell(&mut self, at: Point, kind: EventKind) {
        self.events_made += 1;
        let event = Event { id: EventId(self.events_made), tick: self.tick, at, kind };
        self.effects.push(Effect::Event(event));
    }

    fn notify(&mut self, player: PlayerId, notice: Notice) {
        self.effects.push(Effect::Notify { player, notice });
    }

    fn refuse(&mut self, player: PlayerId, request: u64, refusal: Refusal) {
        self.notify(player, Notice::Refused { request, refusal });
    }

    fn count(&mut self, player: PlayerId, counter: &'static str, by: u64) {
        if by > 0 {
            self.effects.push(Effect::Count { player, counter, by });
        }
    }
}
