//! The world's packets as lines: entities, positions, events, inventory, quests.

use std::fmt::Write as _;

use prost::Message;

use crate::geometry::{Point, Pose};
use crate::proto::{self, EntityKind, EventKind, PacketType, QuestState};
use crate::protocol::text::lines::{Lines, Word};
use crate::protocol::text::render::{Rendered, refused};
use crate::protocol::text::view::{TextView, pose};
use crate::world::frame::PackedPosition;

pub(super) fn world(
    kind: PacketType,
    payload: &[u8],
    view: &mut TextView,
    lines: &mut Lines,
) -> Rendered {
    match kind {
        PacketType::EnterWorldResponse => {
            let it = proto::EnterWorldResponse::decode(payload)?;
            if it.success {
                lines.push(format_args!("WELCOME {}", Word(&it.session_id)));
                view.player = it.player.as_ref().map(|player| player.player_id);
                view.introduction = it.player.map(Box::new);
            } else {
                refused(lines, it.error_code(), &it.error_message);
            }
        }
        PacketType::ZoneEnter => {
            let it = proto::ZoneEnter::decode(payload)?;
            zone_enter(&it, view, lines);
        }
        PacketType::EntityEnter => {
            let it = proto::EntityEnter::decode(payload)?;
            entity_enter(&it, view, lines);
        }
        PacketType::EntityLeave => {
            let it = proto::EntityLeave::decode(payload)?;
            if view.leave(it.entity_id, it.zone_id) {
                lines.push(format_args!("ENTITY_LEAVE {}", it.entity_id));
            }
        }
        PacketType::SyncPositions => {
            let it = proto::SyncPositions::decode(payload)?;
            positions(&it, view, lines);
        }
        PacketType::GameEvent => {
            let it = proto::GameEvent::decode(payload)?;
            event(&it, view, lines);
        }
        PacketType::PositionCorrection => {
            let it = proto::PositionCorrection::decode(payload)?;
            if let Some(player) = view.player {
                lines.push(format_args!("PLAYER_MOVE {player} {:.2} {:.2}", it.x, it.y));
            }
        }
        PacketType::Inventory => {
            let it = proto::Inventory::decode(payload)?;
            inventory(&it, lines);
        }
        PacketType::PlayerStats => {
            let it = proto::PlayerStats::decode(payload)?;
            stats(&it, lines);
        }
        PacketType::QuestLog => {
            let it = proto::QuestLog::decode(payload)?;
            quest_log(&it, lines);
        }
        _ => {}
    }
    Ok(())
}

/// The zone, and after the very first one who the session's own player is.
fn zone_enter(it: &proto::ZoneEnter, view: &mut TextView, lines: &mut Lines) {
    if it.reset {
        view.forget_all();
    }
    lines.push(format_args!("ZONE_ENTER {} {}", it.zone_id, it.name));
    if let Some(player) = view.introduction.take() {
        let at = Pose { at: Point { x: player.x, y: player.y }, rotation: player.rotation };
        player_info(
            lines,
            (player.player_id, &player.name),
            at,
            (player.level, player.health, player.max_health),
            player.zone_id,
        );
    }
}

fn player_info(
    lines: &mut Lines,
    (id, name): (u64, &str),
    Pose { at, rotation }: Pose,
    (level, health, max_health): (u32, u32, u32),
    zone: u32,
) {
    // Whoever is seen is online: the last field is for clients that keep a list of players.
    lines.push(format_args!(
        "PLAYER_INFO PLAYER:{id}:{}:{:.2}:{:.2}:{rotation:.1}:{level}:{health}:{max_health}:{zone}:1",
        Word(name),
        at.x,
        at.y,
    ));
}

fn entity_enter(it: &proto::EntityEnter, view: &mut TextView, lines: &mut Lines) {
    let origin = Point { x: it.origin_x, y: it.origin_y };
    let pose = pose(PackedPosition(it.position), origin);
    view.enter(it.entity_id, it.zone_id, it.handle, origin);
    let (id, at, kind) = (it.entity_id, pose.at, Word(&it.template));
    match it.kind() {
        EntityKind::EntityPlayer => {
            let growth = (it.level, it.health, it.max_health);
            player_info(lines, (id, &it.name), pose, growth, it.zone_id);
        }
        EntityKind::EntityNpc => lines.push(format_args!(
            "NPC_INFO NPC:{id}:{kind}:{:.2}:{:.2}:{:.1}:{}:{}",
            at.x, at.y, pose.rotation, it.level, it.health,
        )),
        EntityKind::EntityItem => lines.push(format_args!(
            "ITEM_INFO ITEM:{id}:{kind}:{:.2}:{:.2}:{}",
            at.x, at.y, it.quantity,
        )),
        EntityKind::EntityUnspecified => {}
    }
}

/// As many as a line holds in each.
fn positions(it: &proto::SyncPositions, view: &TextView, lines: &mut Lines) {
    let known = it.records.iter().filter_map(|packed| view.locate(it.zone_id, *packed));
    let mut words = known
        .map(|(known, pose)| {
            format!("{} {:.2} {:.2} {:.1}", known.id, pose.at.x, pose.at.y, pose.rotation)
        })
        .peekable();
    if words.peek().is_some() {
        lines.push_list("SYNC_POSITIONS", true, words);
    }
}

fn event(it: &proto::GameEvent, view: &TextView, lines: &mut Lines) {
    let proto::GameEvent { event_id: id, actor_id: actor, target_id: target, amount, x, y, .. } =
        *it;
    let subject = Word(&it.subject);
    match it.kind() {
        EventKind::EventPlayerAttack => {
            lines.push(format_args!("EVENT_ATTACK {id} {actor} {target} {amount} {x:.2} {y:.2}"));
            if view.is_self(actor) || view.is_self(target) {
                lines.push(format_args!("ATTACK {actor} {target} {amount}"));
            }
        }
        EventKind::EventPlayerDamage => {
            let left = it.remaining;
            lines.push(format_args!("EVENT_DAMAGE {id} {target} {actor} {amount} {left}"));
        }
        EventKind::EventPlayerDeath => {
            lines.push(format_args!("EVENT_DEATH {id} {target} {actor}"));
        }
        EventKind::EventItemPickup => lines
            .push(format_args!("EVENT_ITEM_PICKUP {id} {actor} {subject} {amount} {x:.2} {y:.2}")),
        EventKind::EventSkillUse => lines.push(format_args!(
            "EVENT_SKILL {id} {actor} {subject} {target} {amount} {x:.2} {y:.2}"
        )),
        EventKind::EventChatMessage => {
            lines.push(format_args!("CHAT {} {}", Word(&it.actor_name), it.text));
        }
        EventKind::EventZoneChange => {
            let (from, to) = (it.zone_id, it.to_zone_id);
            lines.push(format_args!("EVENT_ZONE_CHANGE {id} {actor} {from} {to}"));
        }
        EventKind::EventQuestComplete => {
            lines.push(format_args!("EVENT_QUEST_COMPLETE {id} {actor} {subject}"));
        }
        EventKind::EventUnspecified => {}
    }
}

fn inventory(it: &proto::Inventory, lines: &mut Lines) {
    if it.used_item_id != 0 {
        lines.push(format_args!("ITEM_USED {}", it.used_item_id));
    }
    if it.giver_id != 0 {
        lines.push(format_args!("ITEM_GIVEN {}", it.giver_id));
    }
    lines.push(format_args!("INVENTORY {} {}", it.items.len(), it.gold));
    for item in &it.items {
        let use_word = if item.usable { "usable" } else { "-" };
        let (id, kind, quantity) = (item.item_id, Word(&item.kind), item.quantity);
        lines.push(format_args!("ITEM {id} {kind} {quantity} {use_word} {}", item.name));
    }
}

/// The numbers, then each skill and kind of item that is not ready with the milliseconds until it is.
fn stats(it: &proto::PlayerStats, lines: &mut Lines) {
    let mut cooling = String::new();
    for cooldown in &it.cooldowns {
        let (key, left) = (Word(&cooldown.key), cooldown.remaining_ms);
        // Writing to a string does not fail.
        let _ = write!(cooling, " {key}:{left}");
    }
    for cooldown in &it.item_cooldowns {
        let _ = write!(cooling, " item/{}:{}", Word(&cooldown.key), cooldown.remaining_ms);
    }
    let (health, power) = ((it.health, it.max_health), (it.power, it.max_power));
    lines.push(format_args!(
        "PLAYER_STATS {} {} {} {} {} {} {} {} {} {}{cooling}",
        health.0,
        health.1,
        power.0,
        power.1,
        it.level,
        it.experience,
        it.next_level_at,
        it.gold,
        it.combat_ms,
        it.attack_ms,
    ));
}

fn quest_log(it: &proto::QuestLog, lines: &mut Lines) {
    lines.push(format_args!("QUESTS {}", it.quests.len()));
    for quest in &it.quests {
        let state = match quest.state() {
            QuestState::QuestAvailable => "available",
            QuestState::QuestActive => "active",
            QuestState::QuestCompleted => "completed",
        };
        let key = Word(&quest.quest);
        lines.push(format_args!("QUEST {key} {state} {} {}", quest.goals.len(), quest.name));
        for goal in &quest.goals {
            let (done, wanted, what) = (goal.done, goal.wanted, &goal.description);
            lines.push(format_args!("QUEST_GOAL {key} {done} {wanted} {what}"));
        }
    }
}
