//! The world's rules as scenarios, played on a small stage of three zones with a store that does
//! what it is asked, or not.

mod borders;
mod coming;
mod corners;
mod duels;
mod fighting;
mod giving;
mod golden;
mod honest;
mod leaving;
mod moving;
mod npcs;
mod owing;
mod quests;
mod same;
mod sharing;
mod sight;
mod things;
mod travel;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::*;
use super::content::Content;
use super::entity::{Entity, Look};
use super::event::{Audience, EventKind};
use super::*;
use crate::geometry::Pose;
use crate::ids::{Epoch, ItemId, Key};

const STAGE: &str = include_str!("stage.toml");
pub(super) const WEST: ZoneId = ZoneId(1);
pub(super) const EAST: ZoneId = ZoneId(2);
pub(super) const SOUTH: ZoneId = ZoneId(3);
pub(super) const ANNA: PlayerId = PlayerId(1);
pub(super) const BERT: PlayerId = PlayerId(2);

pub(super) fn content() -> Content {
    let content: Content = toml::from_str(STAGE).unwrap();
    assert_eq!(content.problems(), Vec::<String>::new());
    content
}

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Willing,
    /// Does nothing and says so.
    Away,
    /// Does it, but says that it is away.
    Mumbling,
    /// Does not answer.
    Silent,
    /// Finds no room.
    Full,
    /// Finds no room for what is given; all else it does.
    ReceiverFull,
    /// Did it, or not, and says that nobody knows; and finds nothing out.
    Lost {
        /// Whether it did.
        done: bool,
    },
}

/// A store in memory.
pub(super) struct Bank {
    pub mood: Mood,
    done: BTreeMap<OperationId, Receipt>,
    /// Operations in the order in which they were done.
    pub book: Vec<Operation>,
    pub gold: BTreeMap<PlayerId, u64>,
    pub stacks: BTreeMap<(PlayerId, Key), ItemStack>,
}

impl Bank {
    pub fn decide(&mut self, operation: &Operation) -> Option<Result<Receipt, CommitRefusal>> {
        match self.mood {
            Mood::Silent => return None,
            Mood::Away => return Some(Err(CommitRefusal::Unavailable)),
            Mood::Full => return Some(Err(CommitRefusal::Full)),
            Mood::ReceiverFull if matches!(operation.change, Change::Give { .. }) => {
                return Some(Err(CommitRefusal::ReceiverFull));
            }
            Mood::Lost { done: false } => return Some(Err(CommitRefusal::Unavailable)),
            Mood::Willing | Mood::ReceiverFull | Mood::Mumbling | Mood::Lost { done: true } => {}
        }
        let receipt = match self.done.get(&operation.id) {
            Some(receipt) => receipt.clone(),
            None => {
                let receipt = self.perform(operation);
                self.done.insert(operation.id, receipt.clone());
                self.book.push(operation.clone());
                receipt
            }
        };
        let clear = matches!(self.mood, Mood::Willing | Mood::ReceiverFull);
        Some(if clear { Ok(receipt) } else { Err(CommitRefusal::Unavailable) })
    }

    /// What came of an operation.
    pub fn look_up(
        &self,
        operation: OperationId,
        player: PlayerId,
    ) -> Option<Result<Receipt, CommitRefusal>> {
        match self.mood {
            Mood::Silent => None,
            Mood::Away | Mood::Lost { .. } => Some(Err(CommitRefusal::Unavailable)),
            Mood::Full | Mood::ReceiverFull | Mood::Willing | Mood::Mumbling => {
                let Some(receipt) = self.done.get(&operation) else {
                    return Some(Err(CommitRefusal::NotDone));
                };
                Some(Ok(match receipt.receiver.as_deref() {
                    Some((to, got)) if *to == player => got.clone(),
                    _ => receipt.clone(),
                }))
            }
        }
    }

    /// All that is there of a kind, whoever has it.
    pub fn held(&self, player: PlayerId, kind: &str) -> u32 {
        self.stacks.get(&(player, kind.into())).map_or(0, |stack| stack.quantity)
    }

    fn add(&mut self, player: PlayerId, kind: &Key, quantity: u32) -> ItemStack {
        let id = ItemId(100 + self.stacks.len() as u64);
        let new = ItemStack { id, kind: kind.clone(), quantity: 0 };
        let stack = self.stacks.entry((player, kind.clone())).or_insert(new);
        stack.quantity += quantity;
        stack.clone()
    }

    fn perform(&mut self, operation: &Operation) -> Receipt {
        let player = operation.player;
        let mut changed = Vec::new();
        let mut receiver = None;
        match &operation.change {
            Change::Grant { items, gold, .. } => {
                *self.gold.entry(player).or_default() += gold;
                for (kind, quantity, _) in items {
                    changed.push(self.add(player, kind, *quantity));
                }
            }
            Change::Give { to, gift, .. } => {
                let mut got = Receipt::default();
                match gift {
                    Gift::Items { item, quantity } => {
                        let mut stacks = self.stacks.values_mut();
                        let stack = stacks.find(|stack| stack.id == *item).unwrap();
                        stack.quantity -= quantity;
                        let left = stack.clone();
                        got.stacks.push(self.add(*to, &left.kind, *quantity));
                        changed.push(left);
                    }
                    Gift::Gold(amount) => {
                        *self.gold.entry(player).or_default() -= amount;
                        *self.gold.entry(*to).or_default() += amount;
                    }
                }
                got.gold = self.gold.get(to).copied().unwrap_or(0);
                receiver = Some(Box::new((*to, got)));
            }
            Change::Abandon { .. } => {}
            Change::Consume { item, quantity } => {
                if let Some(stack) = self.stacks.values_mut().find(|stack| stack.id == *item) {
                    stack.quantity -= quantity;
                    changed.push(stack.clone());
                }
            }
        }
        let gold = self.gold.get(&player).copied().unwrap_or(0);
        Receipt { stacks: changed, gold, receiver }
    }
}

/// One zone, its store, and everything that has come out of it.
pub(super) struct Stage {
    pub world: World,
    pub bank: Bank,
    pub log: Vec<Effect>,
    requests: u64,
}

impl Stage {
    pub fn new(zone: ZoneId) -> Self {
        Self::of(content(), zone)
    }

    pub fn of(content: Content, zone: ZoneId) -> Self {
        let bank = Bank {
            mood: Mood::Willing,
            done: BTreeMap::new(),
            book: Vec::new(),
            gold: BTreeMap::new(),
            stacks: BTreeMap::new(),
        };
        let world = World::new(zone, Arc::new(content), 77, 5);
        Self { world, bank, log: Vec::new(), requests: 0 }
    }

    pub fn tell(&mut self, command: Command) {
        self.world.apply(command);
        self.settle();
    }

    /// Gathers effects, and lets the store decide what it is asked.
    fn settle(&mut self) {
        loop {
            let effects: Vec<Effect> = self.world.drain_effects().collect();
            if effects.is_empty() {
                return;
            }
            for effect in &effects {
                let (player, operation, outcome) = match effect {
                    Effect::Commit(asked) => (asked.player, asked.id, self.bank.decide(asked)),
                    Effect::LookUp { operation, player, .. } => {
                        (*player, *operation, self.bank.look_up(*operation, *player))
                    }
                    _ => continue,
                };
                if let Some(outcome) = outcome {
                    self.world.apply(Command::Decided { player, operation, outcome });
                }
            }
            self.log.extend(effects);
        }
    }

    pub fn step(&mut self) {
        self.world.step();
        self.settle();
    }

    pub fn steps(&mut self, ticks: u64) {
        for _ in 0..ticks {
            self.step();
        }
    }

    /// Steps until `done` says so, for at most a minute.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..1_200 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("not within a minute: {what}");
    }

    pub fn enter(&mut self, id: PlayerId, x: f32, y: f32) {
        self.tell(Command::Enter { state: Box::new(newcomer(id, self.world.zone, x, y)) });
    }

    pub fn act(&mut self, player: PlayerId, action: Action) -> u64 {
        self.requests += 1;
        let request = self.requests;
        self.tell(Command::Act { player, request, action });
        request
    }

    /// Acts, and gives the reason if that was refused.
    pub fn refused(&mut self, player: PlayerId, action: Action) -> Option<Refusal> {
        let asked = self.act(player, action);
        self.refusals(player).into_iter().find(|(request, _)| *request == asked).map(|(_, r)| r)
    }

    pub fn attack(&mut self, player: PlayerId, target: EntityId) -> Option<Refusal> {
        self.refused(player, Action::Attack { target, seen: None })
    }

    pub fn state(&self, player: PlayerId) -> PlayerState {
        self.world.player(player).expect("the player is here")
    }

    pub fn entity(&self, id: EntityId) -> &Entity {
        self.world.entities.get(self.world.entities.handle(id).unwrap()).unwrap()
    }

    pub fn is_here(&self, id: impl Into<EntityId>) -> bool {
        self.world.entities.handle(id.into()).is_some()
    }

    /// Puts a player or an NPC somewhere, at once.
    pub fn put(&mut self, id: impl Into<EntityId>, x: f32, y: f32) {
        let handle = self.world.entities.handle(id.into()).unwrap();
        let entity = self.world.entities.get_mut(handle).unwrap();
        entity.pose.at = Point { x, y };
        if let Some(history) = entity.history_mut() {
            history.clear();
        }
    }

    pub fn set_health(&mut self, id: impl Into<EntityId>, health: u32) {
        let handle = self.world.entities.handle(id.into()).unwrap();
        self.world.entities.get_mut(handle).unwrap().appearance.health = health;
    }

    /// The first NPC of a kind.
    pub fn npc(&self, kind: &str) -> EntityId {
        let look = Look::Npc(kind.into());
        let found = self.world.entities.iter().find(|(_, entity)| entity.appearance.look == look);
        found.expect("there is one").1.id
    }

    /// Everything of a kind on the ground.
    pub fn things(&self, kind: &str) -> Vec<EntityId> {
        let look = Look::Item(kind.into());
        let all = self.world.entities.iter().filter(|(_, e)| e.appearance.look == look);
        all.map(|(_, entity)| entity.id).collect()
    }

    pub fn events(&self) -> Vec<EventKind> {
        let event = |effect: &Effect| match effect {
            Effect::Event(event) => Some(event.kind.clone()),
            _ => None,
        };
        self.log.iter().filter_map(event).collect()
    }

    pub fn notices(&self, to: PlayerId) -> Vec<Notice> {
        let notice = |effect: &Effect| match effect {
            Effect::Notify { player, notice } if *player == to => Some(notice.clone()),
            _ => None,
        };
        self.log.iter().filter_map(notice).collect()
    }

    pub fn refusals(&self, to: PlayerId) -> Vec<(u64, Refusal)> {
        let refusal = |notice: Notice| match notice {
            Notice::Refused { request, refusal } => Some((request, refusal)),
            _ => None,
        };
        self.notices(to).into_iter().filter_map(refusal).collect()
    }

    pub fn corrections(&self, to: PlayerId) -> Vec<&'static str> {
        let correction = |notice: Notice| match notice {
            Notice::Correction { reason, .. } => Some(reason),
            _ => None,
        };
        self.notices(to).into_iter().filter_map(correction).collect()
    }

    /// The sum of a counter.
    pub fn counted(&self, who: PlayerId, what: &str) -> u64 {
        let count = |effect: &Effect| match effect {
            Effect::Count { player, counter, by } if *player == who && *counter == what => *by,
            _ => 0,
        };
        self.log.iter().map(count).sum()
    }

    pub fn transfer(&self) -> (ZoneId, Transfer) {
        let departed = |effect: &Effect| match effect {
            Effect::Departed { to, transfer } => Some((*to, (**transfer).clone())),
            _ => None,
        };
        self.log.iter().rev().find_map(departed).expect("somebody has departed")
    }

    pub fn kicks(&self) -> Vec<(PlayerId, &'static str)> {
        let kick = |effect: &Effect| match effect {
            Effect::Kick { player, reason } => Some((*player, *reason)),
            _ => None,
        };
        self.log.iter().filter_map(kick).collect()
    }
}

/// Of level 4, whole.
pub(super) fn veteran(id: PlayerId, zone: ZoneId, x: f32, y: f32) -> Command {
    let mut state = newcomer(id, zone, x, y);
    state.experience = 900;
    state.health = 160;
    Command::Enter { state: Box::new(state) }
}

pub(super) fn skill(name: &str, target: Option<EntityId>) -> Action {
    Action::Skill { skill: name.into(), target, seen: None }
}

/// The strike that went over a border last, and to which zone.
pub(super) fn strike_of(stage: &Stage) -> (ZoneId, Strike) {
    let strike = |effect: &Effect| match effect {
        Effect::Strike { zone, strike } => Some((*zone, (**strike).clone())),
        _ => None,
    };
    stage.log.iter().rev().find_map(strike).expect("a strike goes over the border")
}

pub(super) fn newcomer(id: PlayerId, zone: ZoneId, x: f32, y: f32) -> PlayerState {
    PlayerState {
        id,
        name: format!("player{id}").into(),
        epoch: Epoch(1),
        zone,
        pose: Pose { at: Point { x, y }, rotation: 0.0 },
        level: 1,
        experience: 0,
        health: 100,
        power: 100,
        gold: 0,
        inventory: vec![ItemStack { id: ItemId(1), kind: "potion".into(), quantity: 3 }],
        quests: Vec::new(),
        timers: Vec::new(),
    }
}
