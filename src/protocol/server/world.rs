//! Packets about what a player has, where it is, and what happens around it.

use prost::Message;

use crate::geometry::Pose;
use crate::ids::ZoneId;
use crate::msg::Outgoing;
use crate::proto::{self, ChatChannel, EventKind as WireKind, PacketType, QuestState};
use crate::protocol::server::{outgoing, refusal};
use crate::protocol::table::SERVER_PAYLOAD_MAX;
use crate::tick::{self, TICK_MS};
use crate::world::command::{
    Cooling, Holdings, ItemStack, Notice, OwnStats, PlayerState, QuestProgress,
};
use crate::world::content::{Content, Goal, QuestKind, Rules, ZoneKind};
use crate::world::event::{Event, EventKind};

/// What a world tells one player. `level` is the player's, for the quests it could accept.
pub fn notice(notice: &Notice, level: u32, content: &Content) -> Outgoing {
    match notice {
        Notice::Refused { request, refusal: why } => refusal(why, *request),
        Notice::Inventory(holdings) => inventory(holdings, content),
        Notice::Stats(stats) => player_stats(stats),
        Notice::Quests(progress) => quest_log(progress, level, content),
        Notice::Correction { pose, sequence, reason } => correction(*pose, *sequence, reason),
    }
}

pub(super) fn player_info(state: &PlayerState, guild: &str, rules: &Rules) -> proto::PlayerInfo {
    proto::PlayerInfo {
        player_id: state.id.0,
        name: state.name.to_string(),
        x: state.pose.at.x,
        y: state.pose.at.y,
        rotation: state.pose.rotation,
        level: state.level,
        experience: state.experience,
        next_level_at: rules.next_level_at(state.level).unwrap_or(0),
        health: state.health,
        max_health: rules.max_health(state.level),
        power: state.power,
        max_power: rules.max_power(state.level),
        gold: state.gold,
        zone_id: u32::from(state.zone.0),
        guild: guild.to_owned(),
    }
}

pub(super) fn items(stacks: &[ItemStack], content: &Content) -> Vec<proto::Item> {
    let item = |stack: &ItemStack| {
        // A kind that the configuration no longer has is shown by its key.
        let kind = content.items.get(&stack.kind);
        proto::Item {
            item_id: stack.id.0,
            kind: stack.kind.to_string(),
            quantity: stack.quantity,
            name: kind.map_or_else(|| stack.kind.to_string(), |kind| kind.name.to_string()),
            usable: kind.is_some_and(|kind| kind.on_use.is_some()),
        }
    };
    stacks.iter().map(item).collect()
}

/// INVENTORY: all stacks, and what it is told for.
pub fn inventory(holdings: &Holdings, content: &Content) -> Outgoing {
    let it = proto::Inventory {
        items: items(&holdings.stacks, content),
        gold: holdings.gold,
        used_item_id: holdings.used.map_or(0, |item| item.0),
        giver_id: holdings.giver.map_or(0, |giver| giver.0),
        in_reply_to: holdings.request,
    };
    outgoing(PacketType::Inventory, &it)
}

/// PLAYER_STATS.
fn player_stats(stats: &OwnStats) -> Outgoing {
    let millis = |left: u64| u32::try_from(left).unwrap_or(u32::MAX);
    let mut it = proto::PlayerStats {
        health: stats.health,
        max_health: stats.max_health,
        power: stats.power,
        max_power: stats.max_power,
        experience: stats.experience,
        next_level_at: stats.next_level_at.unwrap_or(0),
        level: stats.level,
        gold: stats.gold,
        combat_ms: millis(stats.combat_ms),
        attack_ms: 0,
        cooldowns: Vec::new(),
        item_cooldowns: Vec::new(),
    };
    for (what, left) in &stats.cooldowns {
        let remaining_ms = millis(*left);
        match what {
            Cooling::Attack => it.attack_ms = remaining_ms,
            Cooling::Skill(key) => {
                it.cooldowns.push(proto::Cooldown { key: key.to_string(), remaining_ms });
            }
            Cooling::Item(key) => {
                it.item_cooldowns.push(proto::Cooldown { key: key.to_string(), remaining_ms });
            }
        }
    }
    outgoing(PacketType::PlayerStats, &it)
}

/// QUEST_LOG: active quests, then those a player of `level` could accept, then completed ones, as
/// many as one packet holds. An active one that the configuration no longer has is shown by its key,
/// so that it can be given up.
pub fn quest_log(progress: &[QuestProgress], level: u32, content: &Content) -> Outgoing {
    let known = |progress: &QuestProgress| {
        let state =
            if progress.completed { QuestState::QuestCompleted } else { QuestState::QuestActive };
        match content.quests.get(&progress.quest) {
            Some(kind) => Some(quest(&progress.quest, kind, state, &progress.done, content)),
            None if progress.completed => None,
            None => {
                let key = progress.quest.to_string();
                let (name, goals) = (key.clone(), Vec::new());
                Some(proto::Quest { quest: key, name, state: state.into(), goals })
            }
        }
    };
    let active = progress.iter().filter(|one| !one.completed).filter_map(known);
    let open = content
        .quests
        .iter()
        .filter(|(key, kind)| kind.level <= level && progress.iter().all(|one| one.quest != **key))
        .map(|(key, kind)| quest(key, kind, QuestState::QuestAvailable, &[], content));
    let completed = progress.iter().filter(|one| one.completed).filter_map(known);
    // Six bytes are more than the key and length that each quest gets in the packet.
    let mut left = SERVER_PAYLOAD_MAX;
    let fits = |quest: &proto::Quest| {
        left = left.saturating_sub(quest.encoded_len() + 6);
        left > 0
    };
    let quests = active.chain(open).chain(completed).take_while(fits).collect();
    outgoing(PacketType::QuestLog, &proto::QuestLog { quests })
}

fn quest(
    key: &str,
    kind: &QuestKind,
    state: QuestState,
    done: &[u32],
    content: &Content,
) -> proto::Quest {
    let goal = |(place, goal): (usize, &Goal)| {
        let (description, wanted) = goal_words(goal, content);
        let done = match state {
            QuestState::QuestCompleted => wanted,
            _ => done.get(place).copied().unwrap_or(0).min(wanted),
        };
        proto::QuestGoal { description, done, wanted }
    };
    proto::Quest {
        quest: key.to_owned(),
        name: kind.name.to_string(),
        state: state.into(),
        goals: kind.goals.iter().enumerate().map(goal).collect(),
    }
}

fn goal_words(goal: &Goal, content: &Content) -> (String, u32) {
    match goal {
        Goal::Kill { npc, count } => {
            let name = content.npcs.get(npc).map_or(npc, |kind| &kind.name);
            (format!("Kill {count} × {name}"), *count)
        }
        Goal::Collect { item, count } => {
            let name = content.items.get(item).map_or(item, |kind| &kind.name);
            (format!("Collect {count} × {name}"), *count)
        }
        Goal::Visit { zone, at, .. } => {
            let place = content.zone(*zone).map_or("an unknown zone", |kind| &kind.name);
            (format!("Go to {place}, {:.0} {:.0}", at.x, at.y), 1)
        }
    }
}

/// ZONE_ENTER; `reset`: the client forgets what it saw.
pub fn zone_enter(zone: &ZoneKind, reset: bool) -> Outgoing {
    let it = proto::ZoneEnter {
        zone_id: u32::from(zone.id.0),
        name: zone.name.to_string(),
        min_x: zone.bounds.min_x,
        min_y: zone.bounds.min_y,
        max_x: zone.bounds.max_x,
        max_y: zone.bounds.max_y,
        pvp: zone.pvp,
        reset,
        tick_ms: TICK_MS as u32,
    };
    outgoing(PacketType::ZoneEnter, &it)
}

/// GAME_EVENT, or CHAT_MESSAGE for what was said near or to the zone.
pub fn event(event: &Event, zone: ZoneId) -> Outgoing {
    if let EventKind::ChatMessage { speaker, name, text, shout } = &event.kind {
        let channel = if *shout { ChatChannel::ChatZone } else { ChatChannel::ChatNear };
        let it = proto::ChatMessage {
            channel: channel.into(),
            sender: name.to_string(),
            sender_id: speaker.0,
            target: String::new(),
            text: text.to_string(),
            sent_at: tick::unix_millis(),
            event_id: event.id.0,
        };
        return outgoing(PacketType::ChatMessage, &it);
    }
    let mut it = proto::GameEvent {
        event_id: event.id.0,
        zone_id: u32::from(zone.0),
        x: event.at.x,
        y: event.at.y,
        ..Default::default()
    };
    fill_event(&mut it, &event.kind);
    outgoing(PacketType::GameEvent, &it)
}

fn fill_event(it: &mut proto::GameEvent, kind: &EventKind) {
    match kind {
        EventKind::PlayerAttack { attacker, target, damage } => {
            it.set_kind(WireKind::EventPlayerAttack);
            (it.actor_id, it.target_id, it.amount) = (attacker.0, target.0, *damage);
        }
        EventKind::PlayerDamage { victim, attacker, damage, remaining } => {
            it.set_kind(WireKind::EventPlayerDamage);
            (it.actor_id, it.target_id, it.amount) = (attacker.0, victim.0, *damage);
            it.remaining = *remaining;
        }
        EventKind::PlayerDeath { victim, killer } => {
            it.set_kind(WireKind::EventPlayerDeath);
            (it.actor_id, it.target_id) = (killer.0, victim.0);
        }
        EventKind::ItemPickup { player, item, quantity } => {
            it.set_kind(WireKind::EventItemPickup);
            (it.actor_id, it.amount, it.subject) = (player.0, *quantity, item.to_string());
        }
        EventKind::SkillUse { caster, skill, target, amount } => {
            it.set_kind(WireKind::EventSkillUse);
            (it.actor_id, it.target_id, it.amount) = (caster.0, target.0, *amount);
            it.subject = skill.to_string();
        }
        EventKind::ChatMessage { speaker, name, text, .. } => {
            it.set_kind(WireKind::EventChatMessage);
            (it.actor_id, it.actor_name, it.text) = (speaker.0, name.to_string(), text.to_string());
        }
        EventKind::ZoneChange { player, from, to } => {
            it.set_kind(WireKind::EventZoneChange);
            (it.actor_id, it.to_zone_id) = (player.0, u32::from(to.0));
            it.zone_id = u32::from(from.0);
        }
        EventKind::QuestComplete { player, quest } => {
            it.set_kind(WireKind::EventQuestComplete);
            (it.actor_id, it.subject) = (player.0, quest.to_string());
        }
    }
}

/// POSITION_CORRECTION: the player stands at `pose`, whatever update `sequence` said.
pub fn correction(pose: Pose, sequence: u32, reason: &str) -> Outgoing {
    let it = proto::PositionCorrection {
        x: pose.at.x,
        y: pose.at.y,
        rotation: pose.rotation,
        sequence,
        reason: reason.to_owned(),
    };
    outgoing(PacketType::PositionCorrection, &it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemId;
    use crate::world::content::Reward;

    #[test]
    fn a_quest_log_never_outgrows_its_packet() {
        let mut content = Content::default();
        for number in 0..2_000 {
            let quest = QuestKind {
                name: "A quest with a name of some length".into(),
                level: 1,
                goals: vec![Goal::Kill { npc: "wolf".into(), count: 3 }],
                reward: Reward::default(),
            };
            content.quests.insert(format!("quest_{number:04}").into(), quest);
        }
        let active = QuestProgress { quest: "quest_1999".into(), done: vec![9], completed: false };
        let done = QuestProgress { quest: "quest_0000".into(), done: vec![3], completed: true };
        let packet = quest_log(&[done, active], 1, &content);
        assert!(packet.payload.len() <= SERVER_PAYLOAD_MAX);
        let it = proto::QuestLog::decode(packet.payload).unwrap();
        assert!(it.quests.len() > 100);
        assert_eq!(it.quests[0].quest, "quest_1999", "what is active comes first");
        assert_eq!(it.quests[0].goals[0].done, 3, "no more is done than is wanted");
    }

    #[test]
    fn a_full_inventory_fits_its_packet() {
        let mut content = Content::default();
        let kind: crate::ids::Key = "k".repeat(64).into();
        let item = crate::world::content::ItemKind {
            name: "n".repeat(64).into(),
            stackable: false,
            on_use: None,
            cooldown_ms: None,
            cooldown_group: None,
        };
        content.items.insert(kind.clone(), item);
        let stack =
            |id| ItemStack { id: ItemId(u64::MAX - id), kind: kind.clone(), quantity: u32::MAX };
        let stacks: Vec<_> = (0..crate::limits::INVENTORY_MAX as u64).map(stack).collect();
        let holdings = Holdings {
            stacks,
            gold: u64::MAX,
            used: Some(ItemId(u64::MAX)),
            giver: Some(crate::ids::PlayerId(u64::MAX)),
            request: u64::MAX,
        };
        let packet = inventory(&holdings, &content);
        assert!(packet.payload.len() <= SERVER_PAYLOAD_MAX);
    }

    #[test]
    fn growth_is_told_by_the_rules() {
        let state = |level| PlayerState {
            id: crate::ids::PlayerId(1),
            name: "Ann".into(),
            epoch: crate::ids::Epoch(1),
            zone: ZoneId(1),
            pose: Pose::default(),
            level,
            experience: 0,
            health: 1,
            power: 1,
            gold: 0,
            inventory: vec![],
            quests: vec![],
            timers: vec![],
        };
        let rules = Rules::default();
        let info = player_info(&state(3), "", &rules);
        assert_eq!((info.max_health, info.max_power, info.next_level_at), (140, 120, 900));
        assert_eq!(player_info(&state(rules.level_max), "", &rules).next_level_at, 0);
    }
}
