//! What NPCs do: rest, walk, notice, chase, fight, go home, die and come back.
//!
//! Each tick costs an NPC one step; it looks around for players only every few ticks, in the grid.
//! An NPC never leaves its zone, and gives up what it can't reach. One that has given up evades:
//! nobody can hurt it until it is home and whole again.

use std::sync::Arc;

use rand::RngExt;

use crate::geometry::{Point, Pose};
use crate::ids::{EntityId, Key, PlayerId};
use crate::tick::{TICK_SECONDS, Tick};
use crate::world::World;
use crate::world::combat::Striker;
use crate::world::content::{NpcKind, NpcSpawn};
use crate::world::entity::{Appearance, AppearanceChange, Body, Entity, Handle, Look};
use crate::world::history::History;
use crate::world::share::{HITS_MAX, Hit};
use crate::world::whole::{Doing, NpcState};

/// Ticks between two looks around.
const LOOK_PERIOD: u64 = 4;
/// Ticks for which a dead one lies there: 2 s.
const CORPSE_TICKS: u64 = 40;
/// Ticks of rest between two walks: 1 to 5 s.
const REST_TICKS: std::ops::RangeInclusive<u64> = 20..=100;
/// Ticks between two helpings of health on the way home: a second.
const HEAL_PERIOD: u64 = 20;
/// Share of its health that one gets back with each, as a divisor.
const HEAL_PART: u32 = 10;
/// What is nearer than this is reached, m.
const ARRIVED: f32 = 0.1;

/// What is known of an NPC besides what others see.
#[derive(Debug)]
pub(super) struct Npc {
    /// Key of `[npcs]`.
    pub key: Key,
    pub kind: Arc<NpcKind>,
    /// Where it lives, and how far around that it roams.
    home: Point,
    roam: f32,
    /// Where it walks in turn; empty: it roams.
    patrol: Arc<[Point]>,
    next_stop: usize,
    mind: Mind,
    attack_ready: Tick,
    /// Who has hurt it in this fight.
    pub hits: Vec<Hit>,
    pub history: History,
}

impl Npc {
    /// Whether it goes home and cannot be hurt.
    pub fn evades(&self) -> bool {
        self.mind == Mind::Return
    }
}

/// What an NPC is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mind {
    /// Stands about.
    Rest { until: Tick },
    /// Walks to its next place.
    Walk { to: Point },
    /// Runs after somebody.
    Chase { prey: PlayerId },
    /// Has somebody in reach, and strikes when it can.
    Fight { prey: PlayerId },
    /// Goes home and heals; sees nobody.
    Return,
    /// Lies there, then is gone, then lives again.
    Dead { hides: Tick, returns: Tick },
}

impl World {
    /// Puts the zone's NPCs in their places.
    pub(super) fn settle_npcs(&mut self) {
        for spawn in self.place.npcs.clone() {
            let Some(kind) = self.content.npcs.get(&spawn.kind) else { continue };
            let (kind, patrol) = (Arc::new(kind.clone()), Arc::from(spawn.patrol.as_slice()));
            for _ in 0..spawn.count {
                self.settle_npc(&spawn, &kind, &patrol);
            }
        }
    }

    fn settle_npc(&mut self, spawn: &NpcSpawn, kind: &Arc<NpcKind>, patrol: &Arc<[Point]>) {
        let at = self.place_around(spawn.at, spawn.radius);
        let appearance = Appearance {
            look: Look::Npc(spawn.kind.clone()),
            name: kind.name.clone(),
            level: kind.level,
            health: kind.health,
            max_health: kind.health,
            guild: None,
            quantity: 0,
            // The most it ever does, so that nobody need hear of each chase.
            speed: kind.run_speed.max(kind.walk_speed),
        };
        let rests = Tick(self.chance.random_range(1..=*REST_TICKS.end()));
        let stops = patrol.len().max(1) as u64;
        let npc = Npc {
            key: spawn.kind.clone(),
            kind: Arc::clone(kind),
            home: spawn.at,
            roam: spawn.radius,
            patrol: Arc::clone(patrol),
            next_stop: self.chance.random_range(0..stops) as usize,
            mind: Mind::Rest { until: rests },
            attack_ready: Tick(0),
            hits: Vec::new(),
            history: History::default(),
        };
        let rotation = self.chance.random_range(0.0..360.0f32);
        let (id, body) = (self.next_entity(), Body::Npc(Box::new(npc)));
        let entity = Entity::new(id, Pose { at, rotation }, appearance, body);
        // A zone has room for its content; `Content::problems` counts.
        let _ = self.entities.insert(entity, self.tick);
    }

    /// Lets every NPC do what it does for a tick.
    pub(super) fn think(&mut self) {
        let npcs = std::mem::take(&mut self.muster.npcs);
        for &handle in &npcs {
            let Some(mind) = self.npc(handle).map(|npc| npc.mind) else { continue };
            match mind {
                Mind::Rest { until } => self.rest(handle, until),
                Mind::Walk { to } => self.stroll(handle, to),
                Mind::Chase { prey } => self.chase(handle, prey),
                Mind::Fight { prey } => self.fight(handle, prey),
                Mind::Return => self.go_home(handle),
                Mind::Dead { hides, returns } => self.lie_dead(handle, hides, returns),
            }
        }
        self.muster.npcs = npcs;
    }

    fn rest(&mut self, handle: Handle, until: Tick) {
        if self.notice(handle) || self.tick < until {
            return;
        }
        let Some(npc) = self.npc_mut(handle) else { return };
        let stop = npc.patrol.get(npc.next_stop).copied();
        npc.next_stop = (npc.next_stop + 1) % npc.patrol.len().max(1);
        let (home, roam) = (npc.home, npc.roam);
        let to = stop.unwrap_or_else(|| self.place_around(home, roam));
        self.set_mind(handle, Mind::Walk { to });
    }

    fn stroll(&mut self, handle: Handle, to: Point) {
        if self.notice(handle) {
            return;
        }
        let Some(speed) = self.npc(handle).map(|npc| npc.kind.walk_speed) else { return };
        if self.step_towards(handle, to, speed) {
            let until = Tick(self.tick.0 + self.chance.random_range(REST_TICKS));
            self.set_mind(handle, Mind::Rest { until });
        }
    }

    /// Looks around, now and then; true: it has found somebody to chase.
    fn notice(&mut self, handle: Handle) -> bool {
        let turn = (self.tick.0 + u64::from(handle.0)).is_multiple_of(LOOK_PERIOD);
        if !turn || self.players_near.is_empty() {
            return false;
        }
        let Some(entity) = self.entities.get(handle) else { return false };
        let Some(npc) = entity.npc().filter(|npc| npc.kind.damage > 0) else { return false };
        if npc.kind.notice_radius <= 0.0 {
            return false;
        }
        let found = self.players_near.nearest(entity.pose.at, npc.kind.notice_radius);
        let prey = found.and_then(|found| self.entities.get(found)?.player_id());
        if let Some(prey) = prey {
            self.set_mind(handle, Mind::Chase { prey });
        }
        prey.is_some()
    }

    fn chase(&mut self, handle: Handle, prey: PlayerId) {
        let Some((at, _)) = self.prey_place(handle, prey) else {
            return self.lose(handle);
        };
        let Some(entity) = self.entities.get(handle) else { return };
        let Some(npc) = entity.npc() else { return };
        let (speed, reach) = (npc.kind.run_speed, npc.kind.reach);
        if entity.pose.at.distance(at) <= reach {
            self.set_mind(handle, Mind::Fight { prey });
        } else {
            self.step_towards(handle, self.place.bounds.clamp(at), speed);
        }
    }

    fn fight(&mut self, handle: Handle, prey: PlayerId) {
        let Some((at, victim)) = self.prey_place(handle, prey) else {
            return self.lose(handle);
        };
        let now = self.tick;
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let (id, from, level) = (entity.id, entity.pose.at, entity.appearance.level);
        let Some(npc) = entity.npc_mut() else { return };
        if from.distance(at) > npc.kind.reach {
            npc.mind = Mind::Chase { prey };
            return;
        }
        if now < npc.attack_ready {
            return;
        }
        npc.attack_ready = now.after_millis(npc.kind.attack_cooldown_ms);
        let damage = npc.kind.damage;
        entity.pose.rotation = from.heading(at);
        let striker = Striker { id, zone: self.zone, level, guild: None, at: from, open: false };
        self.blow(&striker, victim, damage);
    }

    /// Its prey is out of reach for good: it turns on whoever else has hurt it most, or gives up.
    fn lose(&mut self, handle: Handle) {
        let Some(npc) = self.npc(handle) else { return };
        let reachable = npc.hits.iter().filter(|hit| self.prey_place(handle, hit.player).is_some());
        // Of equals the one who came first.
        let next = reachable.rev().max_by_key(|hit| hit.damage).map(|hit| hit.player);
        match next {
            Some(prey) => self.set_mind(handle, Mind::Chase { prey }),
            None => self.evade(handle),
        }
    }

    /// It goes home, and the fight is forgotten.
    fn evade(&mut self, handle: Handle) {
        if let Some(npc) = self.npc_mut(handle) {
            npc.mind = Mind::Return;
            npc.hits = Vec::new();
        }
    }

    /// Where its prey is; none: it is dead, gone, or too far from home to follow.
    fn prey_place(&self, handle: Handle, prey: PlayerId) -> Option<(Point, Handle)> {
        let victim = self.player_handle(prey)?;
        let entity = self.entities.get(victim).filter(|entity| entity.is_alive())?;
        let hunter = self.entities.get(handle)?;
        let npc = hunter.npc()?;
        let far = hunter.pose.at.distance(npc.home) > npc.kind.leash
            || entity.pose.at.distance(npc.home) > npc.kind.leash + npc.kind.reach;
        (!far).then_some((entity.pose.at, victim))
    }

    fn go_home(&mut self, handle: Handle) {
        let heals = (self.tick.0 + u64::from(handle.0)).is_multiple_of(HEAL_PERIOD);
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let Some(npc) = entity.npc() else { return };
        let (home, speed) = (npc.home, npc.kind.run_speed);
        if heals {
            entity.heal((entity.appearance.max_health / HEAL_PART).max(1));
        }
        if self.step_towards(handle, home, speed) {
            if let Some(entity) = self.entities.get_mut(handle) {
                entity.heal(entity.appearance.max_health);
            }
            self.set_mind(handle, Mind::Rest { until: self.tick });
        }
    }

    fn lie_dead(&mut self, handle: Handle, hides: Tick, returns: Tick) {
        if self.tick >= returns {
            return self.live_again(handle);
        }
        if self.tick >= hides
            && let Some(entity) = self.entities.get_mut(handle)
        {
            entity.visible = false;
        }
    }

    fn live_again(&mut self, handle: Handle) {
        let Some(npc) = self.npc(handle) else { return };
        let (home, roam) = (npc.home, npc.roam);
        let at = self.place_around(home, roam);
        let until = Tick(self.tick.0 + self.chance.random_range(REST_TICKS));
        let Some(entity) = self.entities.get_mut(handle) else { return };
        entity.pose.at = at;
        entity.visible = true;
        entity.appearance.health = entity.appearance.max_health;
        entity.mark(AppearanceChange::Announce);
        if let Some(npc) = entity.npc_mut() {
            npc.mind = Mind::Rest { until };
            npc.history.clear();
        }
    }

    /// An NPC was struck and lives. One that is at peace turns on the striker, or evades one that
    /// it can't reach, who stands over the border; one that fights has its fight.
    pub(super) fn provoke(&mut self, handle: Handle, striker: EntityId) {
        let prey = striker.player().filter(|player| self.player_handle(*player).is_some());
        match self.npc(handle).map(|npc| npc.mind) {
            Some(Mind::Rest { .. } | Mind::Walk { .. }) => match prey {
                Some(prey) => self.set_mind(handle, Mind::Chase { prey }),
                None => self.evade(handle),
            },
            Some(Mind::Chase { .. } | Mind::Fight { .. } | Mind::Return | Mind::Dead { .. })
            | None => {}
        }
    }

    /// An NPC was killed: from now on it lies there, then comes back.
    pub(super) fn lay_down(&mut self, handle: Handle) {
        let now = self.tick;
        let Some(npc) = self.npc_mut(handle) else { return };
        let returns = now.after_millis(npc.kind.respawn_seconds * 1000);
        npc.mind = Mind::Dead { hides: Tick(now.0 + CORPSE_TICKS), returns };
    }

    /// Every NPC, for another process.
    pub(super) fn npc_states(&self) -> Vec<NpcState> {
        let left = |until: Tick| self.tick.millis_until(until);
        let states = self.entities.iter().filter_map(|(_, entity)| {
            let npc = entity.npc()?;
            Some(NpcState {
                id: entity.id,
                kind: npc.key.clone(),
                pose: entity.pose,
                health: entity.appearance.health,
                attack_ready_ms: left(npc.attack_ready),
                next_stop: npc.next_stop as u32,
                hits: npc.hits.clone(),
                doing: match npc.mind {
                    Mind::Rest { .. } | Mind::Walk { .. } => Doing::Roams,
                    Mind::Chase { prey } | Mind::Fight { prey } => Doing::Hunts(prey),
                    Mind::Return => Doing::Returns,
                    Mind::Dead { hides, returns } => {
                        Doing::LiesDead { hides_ms: left(hides), returns_ms: left(returns) }
                    }
                },
            })
        });
        states.collect()
    }

    /// Makes an NPC of this zone what it was in another process; one that the content here does not
    /// know as such is left as it is.
    pub(super) fn restore_npc(&mut self, state: &NpcState) {
        let after = |millis| self.tick.after_millis(millis);
        let mind = match state.doing {
            Doing::Roams => Mind::Rest { until: after(0) },
            Doing::Hunts(prey) => Mind::Chase { prey },
            Doing::Returns => Mind::Return,
            Doing::LiesDead { hides_ms, returns_ms } => {
                Mind::Dead { hides: after(hides_ms), returns: after(returns_ms) }
            }
        };
        let attack_ready = after(state.attack_ready_ms);
        let at = self.place.bounds.clamp(state.pose.at);
        let Some(handle) = self.entities.handle(state.id) else { return };
        let Some(entity) = self.entities.get_mut(handle) else { return };
        let health = state.health.min(entity.appearance.max_health);
        let Some(npc) = entity.npc_mut().filter(|npc| npc.key == state.kind) else { return };
        npc.mind = mind;
        npc.attack_ready = attack_ready;
        npc.hits.clone_from(&state.hits);
        npc.hits.truncate(HITS_MAX);
        npc.next_stop = state.next_stop as usize % npc.patrol.len().max(1);
        entity.pose = Pose { at, ..state.pose };
        entity.appearance.health = health;
        entity.visible = !matches!(state.doing, Doing::LiesDead { hides_ms: 0, .. });
    }

    /// One tick's step; true: it is there.
    fn step_towards(&mut self, handle: Handle, to: Point, speed: f32) -> bool {
        let Some(entity) = self.entities.get_mut(handle) else { return true };
        let from = entity.pose.at;
        let next = from.towards(to, speed * TICK_SECONDS);
        if next != from {
            entity.pose = Pose { at: next, rotation: from.heading(to) };
        }
        next.distance_squared(to) <= ARRIVED * ARRIVED
    }

    fn npc(&self, handle: Handle) -> Option<&Npc> {
        self.entities.get(handle)?.npc()
    }

    fn npc_mut(&mut self, handle: Handle) -> Option<&mut Npc> {
        self.entities.get_mut(handle)?.npc_mut()
    }

    fn set_mind(&mut self, handle: Handle, mind: Mind) {
        if let Some(npc) = self.npc_mut(handle) {
            npc.mind = mind;
        }
    }
}
