//! The packet types as Rust sees them: what a client may send, and what a server sends it.
//!
//! Two tables, one line a type. Whoever adds a packet to `proto/` adds its line here.

use bytes::Bytes;
use prost::Message;

use super::Resumed;
use crate::proto::{self, PacketType};

/// A message that a client may send.
pub trait ClientMessage: Message {
    /// The type that its header names.
    const KIND: PacketType;
}

macro_rules! client_messages {
    ($($kind:ident: $message:ident),* $(,)?) => {
        $(impl ClientMessage for proto::$message {
            const KIND: PacketType = PacketType::$kind;
        })*
    };
}

client_messages! {
    LoginRequest: LoginRequest,
    LogoutRequest: LogoutRequest,
    HeartbeatRequest: HeartbeatRequest,
    RegisterRequest: RegisterRequest,
    ResumeRequest: ResumeRequest,
    EnterWorldRequest: EnterWorldRequest,
    MovementUpdate: MovementUpdate,
    MoveTo: MoveTo,
    CombatAction: CombatAction,
    UseItem: UseItem,
    PickUp: PickUp,
    UseSkill: UseSkill,
    Inventory: Inventory,
    QuestAccept: QuestAccept,
    QuestLog: QuestLog,
    ItemDrop: ItemDrop,
    ItemDestroy: ItemDestroy,
    ItemGive: ItemGive,
    QuestAbandon: QuestAbandon,
    GuildCreateRequest: GuildCreateRequest,
    GuildInvite: GuildInvite,
    GuildJoin: GuildJoin,
    GuildLeave: GuildLeave,
    GuildKick: GuildKick,
    GuildRank: GuildRankChange,
    GuildInfo: GuildInfo,
    GuildDisband: GuildDisband,
    GuildWarStart: GuildWarStart,
    GuildWarEnd: GuildWarEnd,
    ChatSend: ChatSend,
    RoomCreate: RoomCreate,
    RoomJoin: RoomJoin,
    RoomLeave: RoomLeave,
    RoomList: RoomList,
    RoomMembers: RoomMembers,
}

macro_rules! server_packets {
    ($($(#[$doc:meta])* $variant:ident = $kind:ident: $message:ident),* $(,)?) => {
        /// Something the server has told this client.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $variant(proto::$message),)*
            /// Not from the server: the connection is lost, and the client tries to go on with the
            /// session by itself. What is in view may be out of date.
            Reconnecting {
                /// What happened.
                why: String,
            },
            /// Not from the server: the session goes on. What was missed and a fresh view follow.
            Resumed(Resumed),
            /// A packet of a newer server than this library knows. Safe to pass over.
            Unknown {
                /// `PacketHeader.type`.
                kind: i32,
                /// Its payload.
                payload: Bytes,
            },
        }

        impl Event {
            /// Reads the payload of a packet of type `kind`.
            ///
            /// # Errors
            /// If the payload is not the message that the type names.
            pub fn decode(kind: i32, payload: Bytes) -> Result<Self, prost::DecodeError> {
                Ok(match PacketType::try_from(kind) {
                    $(Ok(PacketType::$kind) => {
                        Self::$variant(proto::$message::decode(payload)?)
                    })*
                    _ => Self::Unknown { kind, payload },
                })
            }
        }
    };
}

server_packets! {
    /// The answer to a log-in.
    Login = LoginResponse: LoginResponse,
    /// The session is over, as asked.
    Logout = LogoutResponse: LogoutResponse,
    /// The answer to a heartbeat.
    Heartbeat = HeartbeatResponse: HeartbeatResponse,
    /// The answer to a registration.
    Register = RegisterResponse: RegisterResponse,
    /// The answer to a resumption.
    Resume = ResumeResponse: ResumeResponse,
    /// Something was refused; see `in_reply_to`.
    Error = Error: Error,
    /// The connection closes after this.
    Disconnect = DisconnectNotice: DisconnectNotice,
    /// Go on at another address.
    Redirect = Redirect: Redirect,
    /// The log-in waits its turn.
    LoginQueue = LoginQueue: LoginQueue,
    /// The answer to entering.
    EnterWorld = EnterWorldResponse: EnterWorldResponse,
    /// All that one carries.
    Inventory = Inventory: Inventory,
    /// All quests that are open to one, active or done.
    QuestLog = QuestLog: QuestLog,
    /// This is one's zone now.
    ZoneEnter = ZoneEnter: ZoneEnter,
    /// An entity has come into view, or looks different now.
    EntityEnter = EntityEnter: EntityEnter,
    /// An entity has gone out of view.
    EntityLeave = EntityLeave: EntityLeave,
    /// Where things are.
    SyncPositions = SyncPositions: SyncPositions,
    /// Something has happened near.
    Game = GameEvent: GameEvent,
    /// One's own place was not accepted.
    Correction = PositionCorrection: PositionCorrection,
    /// One's own numbers as they are now.
    Stats = PlayerStats: PlayerStats,
    /// The answer to a guild request.
    Guild = GuildResponse: GuildResponse,
    /// A guild invites one.
    GuildInvited = GuildInvite: GuildInvite,
    /// Somebody has joined the guild.
    GuildJoined = GuildJoin: GuildJoin,
    /// Somebody has left the guild.
    GuildLeft = GuildLeave: GuildLeave,
    /// Somebody was cast out of the guild.
    GuildKicked = GuildKick: GuildKick,
    /// A member's new rank.
    GuildRank = GuildRank: GuildRankChange,
    /// A guild as it is.
    GuildInfo = GuildInfo: GuildInfo,
    /// The guild is no more.
    GuildDisbanded = GuildDisband: GuildDisband,
    /// A war has begun.
    WarStarted = GuildWarStart: GuildWarStart,
    /// A war has ended.
    WarEnded = GuildWarEnd: GuildWarEnd,
    /// A kill has counted.
    WarScore = GuildWarScore: GuildWarScore,
    /// A war is declared and will begin.
    WarNotice = GuildWarNotice: GuildWarNotice,
    /// Somebody has said something.
    Chat = ChatMessage: ChatMessage,
    /// Somebody has come into a room.
    RoomJoined = RoomJoin: RoomJoin,
    /// Somebody has gone from a room.
    RoomLeft = RoomLeave: RoomLeave,
    /// The rooms there are.
    Rooms = RoomList: RoomList,
    /// Who is in a room.
    RoomMembers = RoomMembers: RoomMembers,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_type_becomes_its_event_and_an_unknown_one_is_kept() {
        let chat = proto::ChatMessage { text: "hi".into(), ..Default::default() };
        let payload = Bytes::from(chat.encode_to_vec());
        let kind = PacketType::ChatMessage as i32;
        assert_eq!(Event::decode(kind, payload.clone()).unwrap(), Event::Chat(chat));
        assert_eq!(
            Event::decode(4099, payload.clone()).unwrap(),
            Event::Unknown { kind: 4099, payload }
        );
        assert!(Event::decode(kind, Bytes::from_static(&[0xff])).is_err());
    }
}
