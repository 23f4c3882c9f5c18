//! Domain values to packets for clients: every payload the server sends is made here.
//!
//! Zones, chat, login and gateways call these and send what they get, an [`Outgoing`], to however
//! many shall have it. What goes to very many at once (positions, entities) comes as parts that
//! concatenate to a valid message. Nothing in here decides anything.

mod guild;
mod room;
mod session;
mod sync;
mod world;

use prost::Message;

use crate::msg::Outgoing;
use crate::proto::PacketType;

pub use guild::{
    WarTold, guild_disbanded, guild_info, guild_invite, guild_joined, guild_kicked, guild_left,
    guild_rank, guild_response, war_ended, war_notice, war_score, war_started,
};
pub use room::{
    ROOM_LIST_MAX, ROOM_MEMBERS_SHOWN, chat_message, room_joined, room_left, room_list,
    room_members, system_message, who,
};
pub use session::{
    code_of, disconnect_notice, enter_world_refused, enter_world_response, error,
    heartbeat_response, login_queue, login_refused, login_response, logout_response, redirect,
    refusal, register_refused, register_response, resume_refused, resume_response,
};
pub use sync::{
    ENTITY_POSITION_TAG, FIXED64_FIELD, SYNC_RECORD_TAG, append_entity_position,
    append_sync_header, append_sync_record, entity_descriptor, entity_leave, position_field,
    sync_record,
};
pub use world::{correction, event, inventory, notice, quest_log, zone_enter};

/// A packet from its message.
fn outgoing(kind: PacketType, message: &impl Message) -> Outgoing {
    Outgoing { kind, payload: message.encode_to_vec().into() }
}
