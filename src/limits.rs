//! Every bound that more than one room must know, with its unit and its reason.
//!
//! What an operator may change is in the configuration; what stands here is fixed by the protocol
//! or protects memory whatever the configuration says.

use std::time::Duration;

/// Largest coordinate, metres either way of the origin.
pub const COORDINATE_MAX: f32 = 65_536.0;
/// Longest side of a zone, metres: 20 bits of centimetres in a packed position.
pub const ZONE_SIDE_MAX: f32 = 10_485.0;
/// Entities of one zone: 16 bits of handle in a packed position.
pub const ZONE_ENTITIES_MAX: usize = 65_000;

/// Largest frame the server sends, bytes after the length.
pub const SERVER_FRAME_MAX: usize = 65_536;
/// Largest frame of a client that has not logged in.
pub const CLIENT_FRAME_MAX_BEFORE_LOGIN: usize = 1_024;
/// Largest frame of a client that has.
pub const CLIENT_FRAME_MAX: usize = 16_384;
/// Longest line on the text port, bytes with its end.
pub const TEXT_LINE_MAX: usize = 1_024;
/// The server may compress payloads longer than this, bytes.
pub const COMPRESS_OVER: usize = 512;

/// Metres within which an entity comes into view.
pub const VIEW_RADIUS: f32 = 50.0;
/// Metres beyond which it goes out of view again; more than [`VIEW_RADIUS`], so that nothing
/// flickers at the edge.
pub const LEAVE_RADIUS: f32 = 55.0;
/// Side of a cell of the interest grid, metres.
pub const CELL_SIZE: f32 = 25.0;

/// Metres within which an attack is told.
pub const ATTACK_EVENT_RANGE: f32 = 50.0;
/// Metres within which damage and death are told.
pub const DAMAGE_EVENT_RANGE: f32 = 30.0;
/// Metres within which a pick-up is told.
pub const PICK_UP_EVENT_RANGE: f32 = 20.0;
/// Metres within which near chat is heard.
pub const NEAR_CHAT_RANGE: f32 = 50.0;

/// Characters of one chat text.
pub const CHAT_TEXT_MAX: usize = 256;
/// Characters of a player's, guild's or room's name, its signs among them.
pub const NAME_MIN: usize = 3;
/// Letters, digits and `_` of a name; the signs on them do not count.
pub const NAME_MAX: usize = 16;
/// Bytes of a name, in UTF-8.
pub const NAME_BYTES_MAX: usize = 64;
/// Characters of a new password, where one is seen.
pub const PASSWORD_MIN: usize = 8;
/// Members of a room.
pub const ROOM_MEMBERS_MAX: usize = 1_000;
/// Rooms in the whole world; a room ends with its last member.
pub const ROOMS_MAX: usize = 10_000;
/// Rooms one player is in at once.
pub const ROOMS_PER_PLAYER_MAX: usize = 16;
/// Members of a guild.
pub const GUILD_MEMBERS_MAX: usize = 200;
/// Wars one guild has declared at once, those that it fights among them.
pub const GUILD_WARS_MAX: usize = 8;
/// Wars that others have declared on one guild: as many as one GUILD_INFO can tell of.
pub const GUILD_WARS_AGAINST_MAX: usize = 64;
/// Unanswered guild invitations kept for one player; the oldest goes first.
pub const GUILD_INVITES_MAX: usize = 16;
/// Stacks in one inventory.
pub const INVENTORY_MAX: usize = 100;
/// Items in one stack.
pub const STACK_MAX: u32 = 9_999;
/// Quests in progress at once.
pub const ACTIVE_QUESTS_MAX: usize = 25;
/// Bytes of a device id or a client version.
pub const DEVICE_ID_MAX: usize = 64;
/// Bytes of a resume token or a ticket as text.
pub const TOKEN_TEXT_MAX: usize = 512;

/// Messages waiting for a zone: inputs of 5,000 players for a tick and a half.
pub const ZONE_INBOX: usize = 8_192;
/// Messages waiting for a gateway's session manager.
pub const GATEWAY_INBOX: usize = 16_384;
/// Messages waiting for the chat role.
pub const CHAT_INBOX: usize = 8_192;
/// Messages waiting for the login role.
pub const LOGIN_INBOX: usize = 1_024;
/// Messages waiting for the master.
pub const MASTER_INBOX: usize = 4_096;
/// Messages waiting for a process itself.
pub const NODE_INBOX: usize = 1_024;
/// Messages waiting for a zone host: an order for each zone of a large world, and a zone in parts.
pub const HOST_INBOX: usize = 4_096;
/// Messages waiting for one I/O shard.
pub const SHARD_INBOX: usize = 16_384;
/// Commands of one player kept while a hand-over between processes is under way.
pub const HANDOVER_INPUT_MAX: usize = 64;
/// Value changes waiting for the store's writer.
pub const STORE_QUEUE: usize = 4_096;

/// A client that has logged in enters the world within this: its ticket is worth nothing after.
pub const ENTER_WITHIN: Duration = Duration::from_secs(60);
/// The same for one that has asked to enter and waits for the answer.
pub const ENTERING_MAX: Duration = Duration::from_secs(75);
/// Connections of one port on which one account is logged in without being in the world; the newest
/// stay.
pub const LOGGED_IN_MAX: usize = 2;

/// Largest frame of a link between processes: a whole zone's, with 65,000 entities, fits.
pub const LINK_FRAME_MAX: usize = 16 * 1_024 * 1_024;
/// Largest frame of a link before the other process has proven who it is.
pub const LINK_GREETING_MAX: usize = 4_096;
/// Bytes that may wait for a link's socket before droppable messages are dropped: a second or two
/// of a large zone's frames; what is older is worth nothing.
pub const LINK_UNSENT_MAX: usize = 4 * 1_024 * 1_024;
/// Unsent bytes that the kernel keeps of a link (Linux).
pub const LINK_KERNEL_UNSENT: u32 = 256 * 1_024;
/// Connections to the links' port at once, from all processes of the cluster and strangers.
pub const LINK_CONNECTIONS_MAX: usize = 4_096;
/// Of them, those under way of being proven; more are closed at once.
pub const LINK_GREETINGS_MAX: usize = 128;
/// Of those, from one address (IPv6: one /64).
pub const LINK_GREETINGS_PER_ADDRESS: usize = 16;

/// Fewest characters of a secret that somebody has put into a file: the cluster's, or the operators'
/// token.
pub const SECRET_CHARS_MIN: usize = 32;
