//! The one table of packet types: who may send each, in which state, at what cost, how large.
//!
//! The gateway's checks, the rate limits, the resume log, the protocol reference's test and the
//! hostile-input tests are all made from it. It holds data and looks things up, nothing else.

use crate::limits;
use crate::proto::{ErrorCode, PacketType};
use crate::protocol::client::Rejected;
use crate::protocol::packet::OVERHEAD_MAX;

/// Who sends a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Clients only.
    Client,
    /// The server only.
    Server,
    /// Both, with a meaning of its own each way.
    Both,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// No log-in yet.
    Fresh,
    /// LOGIN_REQUEST succeeded here; its ticket waits to be used.
    Authenticated,
    /// The player is in the world.
    InWorld,
}

/// A set of [`ClientState`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateSet(u8);

impl StateSet {
    /// Never.
    pub const NONE: Self = Self(0);
    /// In every state.
    pub const ANY: Self = Self(0b111);
    /// Until the world is entered.
    pub const BEFORE_WORLD: Self = Self(0b011);
    /// From the log-in on.
    pub const AUTHENTICATED: Self = Self(0b110);
    /// In the world.
    pub const IN_WORLD: Self = Self(0b100);

    /// Whether `state` is in it.
    pub const fn has(self, state: ClientState) -> bool {
        self.0 & (1 << state as u8) != 0
    }
}

/// Which limit counts a client's packet, besides the general one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateClass {
    /// The general one alone.
    General,
    /// Moves.
    Move,
    /// Attacks, skills, items.
    Ability,
    /// What others hear.
    Chat,
    /// What costs hashing or a transaction.
    Login,
}

/// What the server does with one packet type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRule {
    /// Which.
    pub kind: PacketType,
    /// Its name in the protocol definition.
    pub name: &'static str,
    /// Who sends it.
    pub from: Direction,
    /// When a client may send it; for the server's own, when a client gets it.
    pub states: StateSet,
    /// Tokens it takes from the general limit.
    pub cost: u32,
    /// The other limit that counts it.
    pub rate: RateClass,
    /// Most payload bytes, before compression; of a client's packet where both send it.
    pub max_payload: usize,
    /// Whether the server keeps it for replay after a lost connection. Not kept: what a fresh
    /// view replaces, and what belongs to the connection rather than to the session.
    pub reliable: bool,
}

impl PacketRule {
    /// Whether a client may send it at all.
    pub fn from_client(&self) -> bool {
        self.from != Direction::Server
    }

    /// Whether the server sends it.
    pub fn from_server(&self) -> bool {
        self.from != Direction::Client
    }
}

/// Most payload bytes of a packet of the server's.
pub const SERVER_PAYLOAD_MAX: usize = limits::SERVER_FRAME_MAX - OVERHEAD_MAX;
/// Room for numbers only.
const NUMBERS: usize = 64;
/// Room for a number, and for padding, so that echoes of a size can be measured.
const PADDED: usize = 128;
/// Room for a key and numbers.
const KEYED: usize = 160;
/// Room for two names, even if they come decomposed.
const NAMED: usize = 560;
/// Room for a log-in, within a frame of [`limits::CLIENT_FRAME_MAX_BEFORE_LOGIN`].
const LOGIN: usize = 640;
/// Room for a text, even if it comes decomposed.
const TALK: usize = 4_096;

const fn client(
    kind: PacketType,
    name: &'static str,
    states: StateSet,
    cost: u32,
    rate: RateClass,
    max_payload: usize,
) -> PacketRule {
    let from = Direction::Client;
    PacketRule { kind, name, from, states, cost, rate, max_payload, reliable: false }
}

const fn both(
    kind: PacketType,
    name: &'static str,
    cost: u32,
    rate: RateClass,
    max_payload: usize,
) -> PacketRule {
    let (from, states) = (Direction::Both, StateSet::IN_WORLD);
    PacketRule { kind, name, from, states, cost, rate, max_payload, reliable: true }
}

const fn server(
    kind: PacketType,
    name: &'static str,
    states: StateSet,
    reliable: bool,
) -> PacketRule {
    let (from, rate) = (Direction::Server, RateClass::General);
    PacketRule {
        kind,
        name,
        from,
        states,
        cost: 0,
        rate,
        max_payload: SERVER_PAYLOAD_MAX,
        reliable,
    }
}

use PacketType as P;
use RateClass as R;
use StateSet as S;

/// Every packet type, by rising number. The first entry stands for all that is unknown.
#[rustfmt::skip]
pub static TABLE: [PacketRule; 57] = [
    server(P::Unspecified, "PACKET_TYPE_UNSPECIFIED", S::NONE, false),

    client(P::LoginRequest, "LOGIN_REQUEST", S::BEFORE_WORLD, 10, R::Login, LOGIN),
    server(P::LoginResponse, "LOGIN_RESPONSE", S::BEFORE_WORLD, false),
    client(P::LogoutRequest, "LOGOUT_REQUEST", S::AUTHENTICATED, 1, R::General, NUMBERS),
    server(P::LogoutResponse, "LOGOUT_RESPONSE", S::AUTHENTICATED, false),
    client(P::HeartbeatRequest, "HEARTBEAT_REQUEST", S::ANY, 1, R::General, PADDED),
    server(P::HeartbeatResponse, "HEARTBEAT_RESPONSE", S::ANY, false),
    client(P::RegisterRequest, "REGISTER_REQUEST", S::BEFORE_WORLD, 20, R::Login, LOGIN),
    server(P::RegisterResponse, "REGISTER_RESPONSE", S::BEFORE_WORLD, false),
    client(P::ResumeRequest, "RESUME_REQUEST", S::BEFORE_WORLD, 10, R::Login, LOGIN),
    server(P::ResumeResponse, "RESUME_RESPONSE", S::BEFORE_WORLD, false),
    server(P::Error, "ERROR", S::ANY, true),
    server(P::DisconnectNotice, "DISCONNECT_NOTICE", S::ANY, false),
    server(P::Redirect, "REDIRECT", S::ANY, false),
    server(P::LoginQueue, "LOGIN_QUEUE", S::BEFORE_WORLD, false),

    client(P::EnterWorldRequest, "ENTER_WORLD_REQUEST", S::BEFORE_WORLD, 10, R::Login, LOGIN),
    server(P::EnterWorldResponse, "ENTER_WORLD_RESPONSE", S::BEFORE_WORLD, false),
    client(P::MovementUpdate, "MOVEMENT_UPDATE", S::IN_WORLD, 1, R::Move, NUMBERS),
    client(P::MoveTo, "MOVE_TO", S::IN_WORLD, 1, R::Move, NUMBERS),
    client(P::CombatAction, "COMBAT_ACTION", S::IN_WORLD, 2, R::Ability, NUMBERS),
    client(P::UseItem, "USE_ITEM", S::IN_WORLD, 2, R::Ability, NUMBERS),
    client(P::PickUp, "PICK_UP", S::IN_WORLD, 2, R::Ability, NUMBERS),
    client(P::UseSkill, "USE_SKILL", S::IN_WORLD, 2, R::Ability, KEYED),
    both(P::Inventory, "INVENTORY", 5, R::General, NUMBERS),
    client(P::QuestAccept, "QUEST_ACCEPT", S::IN_WORLD, 5, R::General, KEYED),
    both(P::QuestLog, "QUEST_LOG", 5, R::General, NUMBERS),
    client(P::ItemDrop, "ITEM_DROP", S::IN_WORLD, 5, R::Ability, NUMBERS),
    client(P::ItemDestroy, "ITEM_DESTROY", S::IN_WORLD, 5, R::Ability, NUMBERS),
    client(P::ItemGive, "ITEM_GIVE", S::IN_WORLD, 5, R::Ability, NUMBERS),
    client(P::QuestAbandon, "QUEST_ABANDON", S::IN_WORLD, 5, R::General, KEYED),
    server(P::ZoneEnter, "ZONE_ENTER", S::IN_WORLD, false),
    server(P::EntityEnter, "ENTITY_ENTER", S::IN_WORLD, false),
    server(P::EntityLeave, "ENTITY_LEAVE", S::IN_WORLD, false),
    server(P::SyncPositions, "SYNC_POSITIONS", S::IN_WORLD, false),
    server(P::GameEvent, "GAME_EVENT", S::IN_WORLD, true),
    server(P::PositionCorrection, "POSITION_CORRECTION", S::IN_WORLD, true),
    server(P::PlayerStats, "PLAYER_STATS", S::IN_WORLD, false),

    client(P::GuildCreateRequest, "GUILD_CREATE_REQUEST", S::IN_WORLD, 20, R::General, NAMED),
    server(P::GuildResponse, "GUILD_RESPONSE", S::IN_WORLD, true),
    both(P::GuildInvite, "GUILD_INVITE", 5, R::General, NAMED),
    both(P::GuildJoin, "GUILD_JOIN", 10, R::General, NAMED),
    both(P::GuildLeave, "GUILD_LEAVE", 10, R::General, NAMED),
    both(P::GuildKick, "GUILD_KICK", 10, R::General, NAMED),
    both(P::GuildRank, "GUILD_RANK", 10, R::General, NAMED),
    both(P::GuildInfo, "GUILD_INFO", 10, R::General, NAMED),
    both(P::GuildDisband, "GUILD_DISBAND", 20, R::General, NAMED),
    both(P::GuildWarStart, "GUILD_WAR_START", 20, R::General, NAMED),
    both(P::GuildWarEnd, "GUILD_WAR_END", 20, R::General, NAMED),
    server(P::GuildWarScore, "GUILD_WAR_SCORE", S::IN_WORLD, true),
    server(P::GuildWarNotice, "GUILD_WAR_NOTICE", S::IN_WORLD, true),

    client(P::ChatSend, "CHAT_SEND", S::IN_WORLD, 2, R::Chat, TALK),
    server(P::ChatMessage, "CHAT_MESSAGE", S::IN_WORLD, true),
    client(P::RoomCreate, "ROOM_CREATE", S::IN_WORLD, 10, R::General, NAMED),
    both(P::RoomJoin, "ROOM_JOIN", 5, R::General, NAMED),
    both(P::RoomLeave, "ROOM_LEAVE", 5, R::General, NAMED),
    both(P::RoomList, "ROOM_LIST", 20, R::General, NUMBERS),
    both(P::RoomMembers, "ROOM_MEMBERS", 20, R::General, NAMED),
];

/// Types are numbered `1000 × range + offset`; so many offsets and ranges are used.
const OFFSETS: usize = 32;
const RANGES: usize = 4;
/// Place in the table by range and offset; 0: unknown.
static PLACES: [[u8; OFFSETS]; RANGES] = places();

const fn places() -> [[u8; OFFSETS]; RANGES] {
    let mut places = [[0; OFFSETS]; RANGES];
    let mut place = 1;
    while place < TABLE.len() {
        let number = TABLE[place].kind as usize;
        places[number / 1_000 - 1][number % 1_000] = place as u8;
        place += 1;
    }
    places
}

/// The rule of a packet type.
pub fn rule(kind: PacketType) -> &'static PacketRule {
    &TABLE[place(kind)]
}

/// A packet type's place in [`TABLE`], for counting by type.
pub fn place(kind: PacketType) -> usize {
    let number = kind as usize;
    (number / 1_000)
        .checked_sub(1)
        .and_then(|range| PLACES.get(range)?.get(number % 1_000))
        .map_or(0, |place| usize::from(*place))
}

/// The rule of a packet that a client in `state` has sent, if it may: the type is known, a
/// client's, allowed in this state, and `size` (payload bytes) is within it.
///
/// # Errors
/// The code and the words for the client.
pub fn admit(kind: i32, size: usize, state: ClientState) -> Result<&'static PacketRule, Rejected> {
    let rule = PacketType::try_from(kind).map_or(&TABLE[0], rule);
    if rule.kind == PacketType::Unspecified {
        return Err(Rejected::new(
            ErrorCode::ErrorUnknownType,
            format!("there is no packet type {kind}"),
        ));
    }
    if !rule.from_client() {
        let message = format!("only the server sends {}", rule.name);
        return Err(Rejected::new(ErrorCode::ErrorUnknownType, message));
    }
    if !rule.states.has(state) {
        let when = match state {
            ClientState::Fresh => "before log-in",
            ClientState::Authenticated => "before the world is entered",
            ClientState::InWorld => "in the world",
        };
        let message = format!("{} is not allowed {when}", rule.name);
        return Err(Rejected::new(ErrorCode::ErrorWrongState, message));
    }
    if size > rule.max_payload {
        let message = format!("{} has at most {} bytes, not {size}", rule.name, rule.max_payload);
        return Err(Rejected::new(ErrorCode::ErrorTooLarge, message));
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_one_rule() {
        let mut known = 0;
        for kind in (0..5_000).filter_map(|number| PacketType::try_from(number).ok()) {
            assert_eq!(rule(kind).kind, kind, "{kind:?} is in the table");
            assert_eq!(rule(kind).name, kind.as_str_name());
            known += 1;
        }
        assert_eq!(known, TABLE.len());
        assert!(TABLE.is_sorted_by_key(|rule| rule.kind as i32));
    }

    #[test]
    fn limits_fit_the_frames() {
        for rule in &TABLE {
            let frame = match rule.states.has(ClientState::Fresh) {
                _ if rule.from == Direction::Server => limits::SERVER_FRAME_MAX,
                true => limits::CLIENT_FRAME_MAX_BEFORE_LOGIN,
                false => limits::CLIENT_FRAME_MAX,
            };
            assert!(rule.max_payload + OVERHEAD_MAX <= frame, "{}", rule.name);
            assert!(!rule.from_client() || rule.cost > 0, "{} costs something", rule.name);
        }
    }

    #[test]
    fn a_packet_is_admitted_only_where_it_belongs() {
        use ClientState::{Authenticated, Fresh, InWorld};
        let code = |kind: i32, size, state| admit(kind, size, state).map_err(|r| r.code).err();
        let (login, leave, heartbeat) = (1000, 1002, 1004);
        assert_eq!(code(login, 10, Fresh), None);
        assert_eq!(code(login, 10, InWorld), Some(ErrorCode::ErrorWrongState));
        assert_eq!(code(login, 4_000, Fresh), Some(ErrorCode::ErrorTooLarge));
        assert_eq!(code(leave, 0, Fresh), Some(ErrorCode::ErrorWrongState));
        assert_eq!(code(leave, 0, Authenticated), None);
        assert_eq!(code(2004, 8, Authenticated), Some(ErrorCode::ErrorWrongState));
        assert_eq!(code(2004, 8, InWorld), None);
        for state in [Fresh, Authenticated, InWorld] {
            assert_eq!(code(heartbeat, 0, state), None);
            for unknown in [0, 1, -1, 999, 1_014, 1_099, 2_023, 4_007, i32::MAX, i32::MIN] {
                assert_eq!(code(unknown, 0, state), Some(ErrorCode::ErrorUnknownType));
            }
        }
    }
}
