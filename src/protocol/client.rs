//! A client's packets to domain values: every check of form is made here.
//!
//! Gateways call [`decode`] on a payload that [`super::table::admit`] let through. What comes out
//! has checked names and texts and bounded keys; whether it makes sense in the world is for the
//! world, chat and login to say. Nothing in here panics on any bytes.

pub(in crate::protocol) mod fields;
mod kind;
mod talk;

use prost::Message;

use crate::ids::{EntityId, ItemId};
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::msg::login::Credentials;
use crate::names::ChatText;
use crate::proto::{self, ErrorCode, PacketType};
use crate::protocol::table;
use crate::world::command::{Action, Gift};

use fields::{bounded, credentials, device, key, seen, token};
pub use fields::{password_hash, version_supported};

/// What a client says, checked for form.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientPacket {
    /// Wants to log in.
    Login {
        /// Name and secret.
        credentials: Credentials,
        /// The client's version as it wrote it; see [`version_supported`].
        client_version: String,
        /// Its device; may be empty.
        device: String,
    },
    /// Wants an account.
    Register {
        /// Name and secret.
        credentials: Credentials,
        /// As in `Login`.
        client_version: String,
    },
    /// Goes on with a session whose connection was lost.
    Resume {
        /// The token it was given. Not yet checked.
        token: String,
        /// The highest sequence it has received.
        last_sequence: u64,
    },
    /// Wants to play.
    EnterWorld {
        /// The ticket it was given. Not yet checked.
        ticket: String,
    },
    /// Leaves.
    Logout,
    /// Is still there.
    Heartbeat {
        /// To be sent back.
        client_time: u64,
    },
    /// Does something in the world; near and zone chat among it.
    Act(Action),
    /// Speaks to somebody whom chat finds.
    Say {
        /// To whom.
        to: Addressee,
        /// What.
        text: ChatText,
    },
    /// Something about rooms.
    Room(RoomAction),
    /// Something about guilds.
    Guild(GuildAction),
}

/// Why a packet is not taken: what ERROR tells the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// For its program.
    pub code: ErrorCode,
    /// For its maker; names the field.
    pub message: String,
}

impl Rejected {
    /// A refusal with its reason.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn argument(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::ErrorInvalidArgument, message)
    }
}

/// Turns a payload into what the client says.
///
/// # Errors
/// [`ErrorCode::ErrorMalformed`] if the bytes are not the message, else the code that fits the
/// first field that is not allowed.
pub fn decode(kind: PacketType, payload: &[u8]) -> Result<ClientPacket, Rejected> {
    // The first packet of the world's range, ENTER_WORLD_REQUEST, is about the session too.
    match kind as i32 {
        ..2_001 => decode_session(kind, payload),
        2_001..3_000 => decode_action(kind, payload).map(ClientPacket::Act),
        3_000..4_000 => talk::decode_guild(kind, payload).map(ClientPacket::Guild),
        4_000 => talk::decode_chat(payload),
        _ => talk::decode_room(kind, payload).map(ClientPacket::Room),
    }
}

fn message<M: Message + Default>(kind: PacketType, payload: &[u8]) -> Result<M, Rejected> {
    M::decode(payload).map_err(|error| {
        let name = table::rule(kind).name;
        Rejected::new(ErrorCode::ErrorMalformed, format!("not a {name}: {error}"))
    })
}

fn not_a_clients(kind: PacketType) -> Rejected {
    let message = format!("only the server sends {}", table::rule(kind).name);
    Rejected::new(ErrorCode::ErrorUnknownType, message)
}

fn decode_session(kind: PacketType, payload: &[u8]) -> Result<ClientPacket, Rejected> {
    match kind {
        PacketType::LoginRequest => {
            let it: proto::LoginRequest = message(kind, payload)?;
            Ok(ClientPacket::Login {
                credentials: credentials(&it.username, it.password_hash)?,
                client_version: bounded("client_version", it.client_version)?,
                device: device(it.device_id)?,
            })
        }
        PacketType::RegisterRequest => {
            let it: proto::RegisterRequest = message(kind, payload)?;
            Ok(ClientPacket::Register {
                credentials: credentials(&it.username, it.password_hash)?,
                client_version: bounded("client_version", it.client_version)?,
            })
        }
        PacketType::ResumeRequest => {
            let it: proto::ResumeRequest = message(kind, payload)?;
            let token = token("resume_token", it.resume_token)?;
            Ok(ClientPacket::Resume { token, last_sequence: it.last_sequence })
        }
        PacketType::EnterWorldRequest => {
            let it: proto::EnterWorldRequest = message(kind, payload)?;
            let ticket = token("session_token", it.session_token)?;
            Ok(ClientPacket::EnterWorld { ticket })
        }
        PacketType::LogoutRequest => {
            message::<proto::LogoutRequest>(kind, payload).map(|_| ClientPacket::Logout)
        }
        PacketType::HeartbeatRequest => {
            let it: proto::HeartbeatRequest = message(kind, payload)?;
            Ok(ClientPacket::Heartbeat { client_time: it.client_time })
        }
        other => Err(not_a_clients(other)),
    }
}

fn decode_action(kind: PacketType, payload: &[u8]) -> Result<Action, Rejected> {
    Ok(match kind {
        PacketType::MovementUpdate => {
            let it: proto::MovementUpdate = message(kind, payload)?;
            let proto::MovementUpdate { x, y, rotation, sequence, client_time } = it;
            Action::Move { x, y, rotation, sequence, client_time }
        }
        PacketType::MoveTo => {
            let it: proto::MoveTo = message(kind, payload)?;
            Action::MoveTo { x: it.x, y: it.y }
        }
        PacketType::CombatAction => {
            let it: proto::CombatAction = message(kind, payload)?;
            let seen = seen(it.view_tick, it.view_ms)?;
            Action::Attack { target: EntityId(it.target_id), seen }
        }
        PacketType::UseItem => {
            let it: proto::UseItem = message(kind, payload)?;
            Action::UseItem(ItemId(it.item_id))
        }
        PacketType::PickUp => {
            let it: proto::PickUp = message(kind, payload)?;
            Action::PickUp(EntityId(it.entity_id))
        }
        PacketType::UseSkill => {
            let it: proto::UseSkill = message(kind, payload)?;
            let target = (it.target_id != 0).then_some(EntityId(it.target_id));
            let seen = seen(it.view_tick, it.view_ms)?;
            Action::Skill { skill: key("skill", &it.skill)?, target, seen }
        }
        PacketType::Inventory => {
            message::<proto::Inventory>(kind, payload).map(|_| Action::Inventory)?
        }
        PacketType::QuestAccept => {
            let it: proto::QuestAccept = message(kind, payload)?;
            Action::AcceptQuest(key("quest", &it.quest)?)
        }
        PacketType::ItemDrop => {
            let it: proto::ItemDrop = message(kind, payload)?;
            Action::Drop { item: ItemId(it.item_id), quantity: it.quantity }
        }
        PacketType::ItemDestroy => {
            let it: proto::ItemDestroy = message(kind, payload)?;
            Action::Destroy { item: ItemId(it.item_id), quantity: it.quantity }
        }
        PacketType::ItemGive => {
            let it: proto::ItemGive = message(kind, payload)?;
            Action::Give { to: EntityId(it.player_id), gift: gift(&it)? }
        }
        PacketType::QuestAbandon => {
            let it: proto::QuestAbandon = message(kind, payload)?;
            Action::AbandonQuest(key("quest", &it.quest)?)
        }
        PacketType::QuestLog => {
            message::<proto::QuestLog>(kind, payload).map(|_| Action::QuestLog)?
        }
        other => return Err(not_a_clients(other)),
    })
}

/// An item or gold, and not both.
fn gift(it: &proto::ItemGive) -> Result<Gift, Rejected> {
    match (it.item_id, it.quantity, it.gold) {
        (0, 0, gold) if gold > 0 => Ok(Gift::Gold(gold)),
        (0, ..) => Err(Rejected::argument("item_id or gold says what is given")),
        (item, quantity, 0) => Ok(Gift::Items { item: ItemId(item), quantity }),
        (..) => Err(Rejected::argument("gold is given without an item")),
    }
}
