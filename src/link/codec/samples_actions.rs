//! Strategies that make what players do and are refused, and what they strike over a border, for the
//! round-trip tests.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::samples::*;
use crate::ids::ItemId;
use crate::world::command::{Action, Gift, Refusal, Strike};

fn seen() -> impl Strategy<Value = Option<(u64, u32)>> {
    option::of((any::<u64>(), any::<u32>()))
}

pub(super) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (wild(), wild(), wild(), any::<u32>(), any::<u64>()).prop_map(
            |(x, y, rotation, sequence, client_time)| Action::Move {
                x,
                y,
                rotation,
                sequence,
                client_time
            }
        ),
        (wild(), wild()).prop_map(|(x, y)| Action::MoveTo { x, y }),
        (entity_id(), seen()).prop_map(|(target, seen)| Action::Attack { target, seen }),
        (key(), option::of(entity_id()), seen()).prop_map(|(skill, target, seen)| Action::Skill {
            skill,
            target,
            seen
        }),
        any::<u64>().prop_map(|id| Action::UseItem(ItemId(id))),
        entity_id().prop_map(Action::PickUp),
        (any::<u64>(), any::<u32>())
            .prop_map(|(id, quantity)| Action::Drop { item: ItemId(id), quantity }),
        (any::<u64>(), any::<u32>())
            .prop_map(|(id, quantity)| Action::Destroy { item: ItemId(id), quantity }),
        (entity_id(), any::<u64>(), any::<u32>()).prop_map(|(to, id, quantity)| Action::Give {
            to,
            gift: Gift::Items { item: ItemId(id), quantity }
        }),
        (entity_id(), any::<u64>())
            .prop_map(|(to, gold)| Action::Give { to, gift: Gift::Gold(gold) }),
        key().prop_map(Action::AcceptQuest),
        key().prop_map(Action::AbandonQuest),
        Just(Action::Stats),
        Just(Action::Inventory),
        Just(Action::QuestLog),
        text_key().prop_map(Action::Say),
        text_key().prop_map(Action::Shout),
    ]
}

pub(super) fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::NoSuchTarget),
        Just(Refusal::OutOfRange),
        any::<u32>().prop_map(Refusal::Cooldown),
        Just(Refusal::Dead),
        Just(Refusal::TargetDead),
        Just(Refusal::NotAllowed("no fighting here")),
        Just(Refusal::NoSuchItem),
        Just(Refusal::NotUsable),
        Just(Refusal::InventoryFull),
        Just(Refusal::NoSuchSkill),
        Just(Refusal::NotEnoughPower),
        any::<u32>().prop_map(Refusal::LevelTooLow),
        Just(Refusal::NoSuchQuest),
        Just(Refusal::QuestState("done already")),
        Just(Refusal::BadPosition("no zone is there")),
        Just(Refusal::Unavailable),
        Just(Refusal::Busy),
        Just(Refusal::ReceiverFull),
    ]
}

pub(super) fn strike() -> impl Strategy<Value = Strike> {
    let who = (player_id(), key(), zone_id(), any::<u32>(), option::of(guild_tag()));
    let what = (point(), entity_id(), option::of(key()), any::<bool>(), any::<u64>());
    let next = (vec(zone_id(), 0..3), any::<u32>());
    (who, what, next).prop_map(|(who, what, (ask_next, passes))| {
        let (at, target, skill, from_pvp, request) = what;
        let (attacker, attacker_name, from_zone, level, guild) = who;
        Strike {
            attacker,
            attacker_name,
            from_zone,
            level,
            guild,
            at,
            target,
            skill,
            from_pvp,
            request,
            ask_next,
            passes,
        }
    })
}
