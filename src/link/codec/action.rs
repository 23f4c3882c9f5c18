//! What a player does, on the wire. The hot one: nothing is allocated but text.
//!
//! Numbers and ids come from clients and pass as they are; the world checks them.

use super::DecodeError;
use super::reading::{At, present};
use super::shared::{NOTHING, put_key};
use crate::ids::{EntityId, ItemId};
use crate::proto::link as wire;
use crate::world::command::{Action, Gift};
use wire::action_give::Gift as WireGift;
use wire::input::Action as Input;

pub(super) fn put(action: &Action) -> Input {
    match action {
        Action::Move { x, y, rotation, sequence, client_time } => Input::Move(wire::ActionMove {
            x: *x,
            y: *y,
            rotation: *rotation,
            sequence: *sequence,
            client_time: *client_time,
        }),
        Action::MoveTo { x, y } => Input::MoveTo(wire::ActionMoveTo { x: *x, y: *y }),
        Action::Attack { target, seen } => {
            Input::Attack(wire::ActionAttack { target: target.0, seen: seen.map(put_seen) })
        }
        Action::Skill { skill, target, seen } => Input::Skill(wire::ActionSkill {
            skill: put_key(skill),
            target: target.map(|id| id.0),
            seen: seen.map(put_seen),
        }),
        Action::UseItem(item) => Input::UseItem(item.0),
        Action::PickUp(entity) => Input::PickUp(entity.0),
        Action::Drop { item, quantity } => Input::Drop(put_some(*item, *quantity)),
        Action::Destroy { item, quantity } => Input::Destroy(put_some(*item, *quantity)),
        Action::Give { to, gift } => Input::Give(wire::ActionGive {
            to: to.0,
            gift: Some(match gift {
                Gift::Items { item, quantity } => WireGift::Items(put_some(*item, *quantity)),
                Gift::Gold(gold) => WireGift::Gold(*gold),
            }),
        }),
        Action::AcceptQuest(quest) => Input::AcceptQuest(put_key(quest)),
        Action::AbandonQuest(quest) => Input::AbandonQuest(put_key(quest)),
        Action::Stats => Input::Stats(NOTHING),
        Action::Inventory => Input::Inventory(NOTHING),
        Action::QuestLog => Input::QuestLog(NOTHING),
        Action::Say(text) => Input::Say(put_key(text)),
        Action::Shout(text) => Input::Shout(put_key(text)),
    }
}

pub(super) fn read(action: Input) -> Result<Action, DecodeError> {
    Ok(match action {
        Input::Move(wire::ActionMove { x, y, rotation, sequence, client_time }) => {
            Action::Move { x, y, rotation, sequence, client_time }
        }
        Input::MoveTo(wire::ActionMoveTo { x, y }) => Action::MoveTo { x, y },
        Input::Attack(wire::ActionAttack { target, seen }) => {
            Action::Attack { target: EntityId(target), seen: seen.map(read_seen) }
        }
        Input::Skill(wire::ActionSkill { skill, target, seen }) => Action::Skill {
            skill: skill.into(),
            target: target.map(EntityId),
            seen: seen.map(read_seen),
        },
        Input::UseItem(item) => Action::UseItem(ItemId(item)),
        Input::PickUp(entity) => Action::PickUp(EntityId(entity)),
        Input::Drop(wire::SomeOf { item, quantity }) => {
            Action::Drop { item: ItemId(item), quantity }
        }
        Input::Destroy(wire::SomeOf { item, quantity }) => {
            Action::Destroy { item: ItemId(item), quantity }
        }
        Input::Give(wire::ActionGive { to, gift }) => Action::Give {
            to: EntityId(to),
            gift: match present(At("ActionGive", "gift"), gift)? {
                WireGift::Items(wire::SomeOf { item, quantity }) => {
                    Gift::Items { item: ItemId(item), quantity }
                }
                WireGift::Gold(gold) => Gift::Gold(gold),
            },
        },
        Input::AcceptQuest(quest) => Action::AcceptQuest(quest.into()),
        Input::AbandonQuest(quest) => Action::AbandonQuest(quest.into()),
        Input::Stats(wire::Nothing {}) => Action::Stats,
        Input::Inventory(wire::Nothing {}) => Action::Inventory,
        Input::QuestLog(wire::Nothing {}) => Action::QuestLog,
        Input::Say(text) => Action::Say(text.into()),
        Input::Shout(text) => Action::Shout(text.into()),
    })
}

fn put_some(item: ItemId, quantity: u32) -> wire::SomeOf {
    wire::SomeOf { item: item.0, quantity }
}

fn put_seen((tick, ms): (u64, u32)) -> wire::Seen {
    wire::Seen { tick, ms }
}

fn read_seen(wire::Seen { tick, ms }: wire::Seen) -> (u64, u32) {
    (tick, ms)
}
