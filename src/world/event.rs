//! What happens in a zone and is told to others: eight kinds, in the order in which they happened.
//!
//! The world makes events; the zone's event manager takes them in order at 100 Hz and publishes
//! them to those in range with the next frame.

use crate::geometry::Point;
use crate::ids::{EntityId, EventId, Key, ZoneId};
use crate::limits;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Rises by one with each event of a zone.
    pub id: EventId,
    /// The step in which it happened.
    pub tick: crate::tick::Tick,
    /// Where.
    pub at: Point,
    /// What.
    pub kind: EventKind,
}

/// Who hears of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Audience {
    /// Those within so many metres of it.
    Within(f32),
    /// Everybody whose player is in the zone.
    Zone,
    /// Those whose player is in the zone and within so many metres of it, without this one, which
    /// hears of it elsewhere; 0: with everybody.
    Beside(f32, EntityId),
}

/// How much an event matters to those whom it does not concern: where not all can be told, the
/// least of these goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// What somebody says.
    Talk,
    /// Somebody's death.
    Death,
    /// All else.
    Other,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// Somebody (a player or an NPC) has struck.
    PlayerAttack {
        /// Who.
        attacker: EntityId,
        /// Whom.
        target: EntityId,
        /// Health taken.
        damage: u32,
    },
    /// Somebody was hurt.
    PlayerDamage {
        /// Who.
        victim: EntityId,
        /// By whom.
        attacker: EntityId,
        /// Health taken.
        damage: u32,
        /// Health left.
        remaining: u32,
    },
    /// Somebody has died.
    PlayerDeath {
        /// Who.
        victim: EntityId,
        /// By whom.
        killer: EntityId,
    },
    /// Somebody has taken a thing off the ground.
    ItemPickup {
        /// Who.
        player: EntityId,
        /// Key of `[items]`.
        item: Key,
        /// How many.
        quantity: u32,
    },
    /// Somebody has used a skill.
    SkillUse {
        /// Who.
        caster: EntityId,
        /// Key of `[skills]`.
        skill: Key,
        /// On whom.
        target: EntityId,
        /// Damage done or health given.
        amount: u32,
    },
    /// Somebody has spoken to those near or to the zone.
    ChatMessage {
        /// Who.
        speaker: EntityId,
        /// The speaker's name.
        name: Key,
        /// What was said; checked.
        text: Key,
        /// To the whole zone.
        shout: bool,
    },
    /// Somebody has gone from one zone to another. Each of the two tells its own people, once the
    /// crossing is certain; the traveller is the new one's.
    ZoneChange {
        /// Who.
        player: EntityId,
        /// From there.
        from: ZoneId,
        /// To there.
        to: ZoneId,
    },
    /// Somebody has finished a quest.
    QuestComplete {
        /// Who.
        player: EntityId,
        /// Key of `[quests]`.
        quest: Key,
    },
}

impl EventKind {
    /// Every kind's word, in the order of the wire's numbers (from 1).
    pub const NAMES: [&'static str; 8] = [
        "player_attack",
        "player_damage",
        "player_death",
        "item_pickup",
        "skill_use",
        "chat_message",
        "zone_change",
        "quest_complete",
    ];

    /// 0 to 7, the place in [`Self::NAMES`].
    pub fn index(&self) -> usize {
        match self {
            EventKind::PlayerAttack { .. } => 0,
            EventKind::PlayerDamage { .. } => 1,
            EventKind::PlayerDeath { .. } => 2,
            EventKind::ItemPickup { .. } => 3,
            EventKind::SkillUse { .. } => 4,
            EventKind::ChatMessage { .. } => 5,
            EventKind::ZoneChange { .. } => 6,
            EventKind::QuestComplete { .. } => 7,
        }
    }

    /// Who hears of it from `zone`, where it has happened.
    pub fn audience(&self, zone: ZoneId) -> Audience {
        match self {
            EventKind::PlayerAttack { .. } | EventKind::SkillUse { .. } => {
                Audience::Within(limits::ATTACK_EVENT_RANGE)
            }
            EventKind::PlayerDamage { .. } | EventKind::PlayerDeath { .. } => {
                Audience::Within(limits::DAMAGE_EVENT_RANGE)
            }
            EventKind::ItemPickup { .. } => Audience::Within(limits::PICK_UP_EVENT_RANGE),
            EventKind::ChatMessage { shout: false, .. } => {
                Audience::Within(limits::NEAR_CHAT_RANGE)
            }
            // Each of the two zones tells its own people, so that nobody near the border hears it
            // twice. The traveller's gateway may not know yet that it is the other zone's.
            EventKind::ZoneChange { player, from, .. } => {
                let except = if *from == zone { *player } else { EntityId(0) };
                Audience::Beside(limits::VIEW_RADIUS, except)
            }
            EventKind::QuestComplete { .. } => Audience::Within(limits::VIEW_RADIUS),
            // Who shouts wants to be heard everywhere, and is not placed by it.
            EventKind::ChatMessage { shout: true, .. } => Audience::Zone,
        }
    }

    /// Whom it concerns, who did it and to whom: they hear of it wherever they are.
    pub fn concerns(&self) -> [EntityId; 2] {
        match *self {
            EventKind::PlayerAttack { attacker, target, .. } => [attacker, target],
            EventKind::PlayerDamage { victim, attacker, .. } => [attacker, victim],
            EventKind::PlayerDeath { victim, killer } => [killer, victim],
            EventKind::SkillUse { caster, target, .. } => [caster, target],
            EventKind::ItemPickup { player, .. }
            | EventKind::ZoneChange { player, .. }
            | EventKind::QuestComplete { player, .. } => [player, player],
            EventKind::ChatMessage { speaker, .. } => [speaker, speaker],
        }
    }

    /// What it is to the others.
    pub fn weight(&self) -> Weight {
        match self {
            EventKind::ChatMessage { .. } => Weight::Talk,
            EventKind::PlayerDeath { .. } => Weight::Death,
            EventKind::PlayerAttack { .. }
            | EventKind::PlayerDamage { .. }
            | EventKind::ItemPickup { .. }
            | EventKind::SkillUse { .. }
            | EventKind::ZoneChange { .. }
            | EventKind::QuestComplete { .. } => Weight::Other,
        }
    }

    /// Whose health it tells, and how much of it is left.
    pub fn health(&self) -> Option<(EntityId, u32)> {
        match *self {
            EventKind::PlayerDamage { victim, remaining, .. } => Some((victim, remaining)),
            _ => None,
        }
    }
}
