//! What a player does in the world, one call each. Calls that the server answers wait for the
//! answer; moves don't, for nothing comes back unless they are refused.

use super::{Client, ClientError, Event};
use crate::ids::{EntityId, ItemId};
use crate::proto::{self, ChatChannel, EventKind};
use crate::tick;

impl Client {
    /// Lets the server walk the own player to a place.
    ///
    /// # Errors
    /// The connection broke. A refusal comes as an event.
    pub async fn move_to(&mut self, x: f32, y: f32) -> Result<u64, ClientError> {
        self.send(&proto::MoveTo { x, y }).await
    }

    /// Says where the own player is now, for games that move it themselves: at most 20 times a
    /// second and no faster than the player's speed, else [`Event::Correction`] comes back.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn walk(&mut self, x: f32, y: f32, rotation: f32) -> Result<u64, ClientError> {
        self.move_sequence = self.move_sequence.wrapping_add(1);
        let sequence = self.move_sequence;
        let client_time = self.started.elapsed().as_millis() as u64;
        self.view.set_own_place(x, y, rotation);
        self.send(&proto::MovementUpdate { x, y, rotation, sequence, client_time }).await
    }

    /// Strikes an entity, where it is shown to this client now.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it is out of reach, gone, dead, or the last blow was too
    /// short ago.
    pub async fn attack(&mut self, target: EntityId) -> Result<proto::GameEvent, ClientError> {
        let (view_tick, view_ms) = self.view.shown_tick(target, tick::now());
        let message = proto::CombatAction { target_id: target.0, view_tick, view_ms };
        self.act("an attack", &message, EventKind::EventPlayerAttack, move |event| {
            event.target_id == target.0
        })
        .await
    }

    /// Uses a skill, on an entity or (none) on oneself.
    ///
    /// # Errors
    /// [`ClientError::Refused`] as for [`Self::attack`], or for want of power, level or the skill.
    pub async fn use_skill(
        &mut self,
        skill: &str,
        target: Option<EntityId>,
    ) -> Result<proto::GameEvent, ClientError> {
        let (view_tick, view_ms) =
            target.map_or((0, 0), |target| self.view.shown_tick(target, tick::now()));
        let skill = skill.to_owned();
        let target_id = target.map_or(0, |target| target.0);
        let message = proto::UseSkill { skill: skill.clone(), target_id, view_tick, view_ms };
        self.act("a skill", &message, EventKind::EventSkillUse, move |event| event.subject == skill)
            .await
    }

    /// Picks up something that lies near.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it is too far, gone, another's loot, or there is no room.
    pub async fn pick_up(&mut self, item: EntityId) -> Result<proto::GameEvent, ClientError> {
        let message = proto::PickUp { entity_id: item.0 };
        self.act("a pick-up", &message, EventKind::EventItemPickup, |_| true).await
    }

    /// Sends an action whose answer is one's own event of a kind.
    async fn act<M: super::ClientMessage>(
        &mut self,
        asked: &'static str,
        message: &M,
        kind: EventKind,
        mut fits: impl FnMut(&proto::GameEvent) -> bool,
    ) -> Result<proto::GameEvent, ClientError> {
        let me = self.session.as_ref().ok_or(ClientError::NoSession)?.player.0;
        self.request(asked, message, |event| match event {
            Event::Game(event) if event.kind() == kind && event.actor_id == me && fits(event) => {
                Some(event.clone())
            }
            _ => None,
        })
        .await
    }

    /// Uses an item that one carries; the answer is what one carries then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if one doesn't have it or it can't be used.
    pub async fn use_item(&mut self, item: ItemId) -> Result<proto::Inventory, ClientError> {
        let message = proto::UseItem { item_id: item.0 };
        self.request("using an item", &message, |event| match event {
            Event::Inventory(inventory) if inventory.used_item_id == item.0 => {
                Some(inventory.clone())
            }
            _ => None,
        })
        .await
    }

    /// Puts `quantity` of a stack (0: all of it) on the ground, for anybody; the answer is what one
    /// carries then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if one doesn't have so much, is dead, or too much lies about.
    pub async fn drop_item(
        &mut self,
        item: ItemId,
        quantity: u32,
    ) -> Result<proto::Inventory, ClientError> {
        let message = proto::ItemDrop { item_id: item.0, quantity };
        self.part_with("dropping an item", &message).await
    }

    /// Does away with `quantity` of a stack (0: all of it); the answer is what one carries then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if one doesn't have so much.
    pub async fn destroy_item(
        &mut self,
        item: ItemId,
        quantity: u32,
    ) -> Result<proto::Inventory, ClientError> {
        let message = proto::ItemDestroy { item_id: item.0, quantity };
        self.part_with("destroying an item", &message).await
    }

    /// Gives a player near `quantity` of a stack (0: all of it); the answer is what one carries then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if one doesn't have so much, or the other is too far, dead, gone, has
    /// no room or is busy.
    pub async fn give_item(
        &mut self,
        to: EntityId,
        item: ItemId,
        quantity: u32,
    ) -> Result<proto::Inventory, ClientError> {
        let message = proto::ItemGive { player_id: to.0, item_id: item.0, quantity, gold: 0 };
        self.part_with("giving an item", &message).await
    }

    /// Gives a player near gold; the answer is what one carries then.
    ///
    /// # Errors
    /// As [`Self::give_item`].
    pub async fn give_gold(
        &mut self,
        to: EntityId,
        gold: u64,
    ) -> Result<proto::Inventory, ClientError> {
        let message = proto::ItemGive { player_id: to.0, gold, ..Default::default() };
        self.part_with("giving gold", &message).await
    }

    /// Sends what is answered by the inventory as it then is.
    async fn part_with<M: super::ClientMessage>(
        &mut self,
        asked: &'static str,
        message: &M,
    ) -> Result<proto::Inventory, ClientError> {
        self.request_numbered(asked, message, |request, event| match event {
            Event::Inventory(inventory) if inventory.in_reply_to == request => {
                Some(inventory.clone())
            }
            _ => None,
        })
        .await
    }

    /// What one carries.
    ///
    /// # Errors
    /// No answer, or the connection broke.
    pub async fn inventory(&mut self) -> Result<proto::Inventory, ClientError> {
        self.request("the inventory", &proto::Inventory::default(), |event| match event {
            Event::Inventory(inventory) => Some(inventory.clone()),
            _ => None,
        })
        .await
    }

    /// The quests open to one, active and done.
    ///
    /// # Errors
    /// No answer, or the connection broke.
    pub async fn quest_log(&mut self) -> Result<proto::QuestLog, ClientError> {
        self.request("the quest log", &proto::QuestLog::default(), quest_log).await
    }

    /// Takes a quest on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none of that key, or it is active or done.
    pub async fn accept_quest(&mut self, quest: &str) -> Result<proto::QuestLog, ClientError> {
        let message = proto::QuestAccept { quest: quest.to_owned() };
        self.request("a quest", &message, quest_log).await
    }

    /// Gives an active quest up.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if it is not active.
    pub async fn abandon_quest(&mut self, quest: &str) -> Result<proto::QuestLog, ClientError> {
        let message = proto::QuestAbandon { quest: quest.to_owned() };
        self.request("giving a quest up", &message, quest_log).await
    }

    /// Says something to those near.
    ///
    /// # Errors
    /// As [`Self::chat`].
    pub async fn say(&mut self, text: &str) -> Result<proto::ChatMessage, ClientError> {
        self.chat(ChatChannel::ChatNear, "", text).await
    }

    /// Says something on a channel. `target` is whom to whisper to, or the room; else empty.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a text that is not allowed, too many of them, or a target
    /// that isn't there.
    pub async fn chat(
        &mut self,
        channel: ChatChannel,
        target: &str,
        text: &str,
    ) -> Result<proto::ChatMessage, ClientError> {
        let me = self.session.as_ref().ok_or(ClientError::NoSession)?.player.0;
        let (target, text) = (target.to_owned(), text.to_owned());
        let message = proto::ChatSend { channel: channel as i32, target, text };
        self.request("a chat message", &message, |event| match event {
            Event::Chat(chat) if chat.sender_id == me && chat.channel() == channel => {
                Some(chat.clone())
            }
            _ => None,
        })
        .await
    }

    /// Makes a room and is in it.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the name is taken or not allowed.
    pub async fn create_room(&mut self, room: &str) -> Result<proto::RoomMembers, ClientError> {
        let message = proto::RoomCreate { room: room.to_owned() };
        self.request("a room", &message, room_members).await
    }

    /// Comes into a room.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none of that name or it is full.
    pub async fn join_room(&mut self, room: &str) -> Result<proto::RoomMembers, ClientError> {
        let message = proto::RoomJoin { room: room.to_owned(), player: String::new() };
        self.request("a room", &message, room_members).await
    }

    /// Sends any guild request ([`proto::GuildCreateRequest`], [`proto::GuildInvite`],
    /// [`proto::GuildWarStart`] and so on) and waits until it is granted.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the reason.
    pub async fn guild<M: super::ClientMessage>(
        &mut self,
        message: &M,
    ) -> Result<proto::GuildResponse, ClientError> {
        self.request("a guild request", message, |event| match event {
            Event::Guild(response) => Some(response.clone()),
            _ => None,
        })
        .await
    }

    /// A guild as it is; an empty name is one's own.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn guild_info(&mut self, name: &str) -> Result<proto::GuildInfo, ClientError> {
        let message = proto::GuildInfo { name: name.to_owned(), ..Default::default() };
        self.request("a guild", &message, |event| match event {
            Event::GuildInfo(info) => Some(info.clone()),
            _ => None,
        })
        .await
    }
}

fn quest_log(event: &Event) -> Option<proto::QuestLog> {
    match event {
        Event::QuestLog(log) => Some(log.clone()),
        _ => None,
    }
}

fn room_members(event: &Event) -> Option<proto::RoomMembers> {
    match event {
        Event::RoomMembers(members) => Some(members.clone()),
        _ => None,
    }
}
