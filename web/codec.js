// Protobuf for Throng's packets: the definitions of proto/*.proto as words, and the reading and
// writing of them. A test compares the words with the definitions and the bytes with the server's.
//
// Numbers are JavaScript numbers: every 64-bit value of the protocol stays below 2^53. A packed
// position (fixed64) is read as { handle, x, y, rotation }, x and y in metres from its origin.

// Message: "field:type=number ...". A * marks a repeated field; enums are ints.
export const MESSAGES = {
  PacketHeader: "type:int=1 size:int=2 sequence:int=3 timestamp:int=4 is_compressed:bool=5",
  Packet: "header:PacketHeader=1 payload:bytes=2",
  LoginRequest: "username:string=1 password_hash:string=2 client_version:string=3 " +
    "device_id:string=4",
  ServerInfo: "server_id:int=1 server_name:string=2 ip_address:string=3 port:int=4 " +
    "current_players:int=5 max_players:int=6 load_factor:float=7",
  LoginResponse: "success:bool=1 error_code:int=2 error_message:string=3 session_token:string=4 " +
    "player_id:int=5 game_servers:ServerInfo*=6 retry_after_ms:int=7",
  LogoutRequest: "",
  LogoutResponse: "success:bool=1",
  HeartbeatRequest: "client_time:int=1",
  HeartbeatResponse: "client_time:int=1 server_time:int=2",
  RegisterRequest: "username:string=1 password_hash:string=2 client_version:string=3",
  RegisterResponse: "success:bool=1 error_code:int=2 error_message:string=3 player_id:int=4 " +
    "retry_after_ms:int=5",
  ResumeRequest: "resume_token:string=1 last_sequence:int=2",
  ResumeResponse: "success:bool=1 error_code:int=2 error_message:string=3 resume_token:string=4 " +
    "session_id:string=5 player_id:int=6 replayed:int=7 lost:bool=8 last_client_sequence:int=9",
  Error: "code:int=1 message:string=2 in_reply_to:int=3 retry_after_ms:int=4",
  DisconnectNotice: "reason:int=1 message:string=2 may_resume:bool=3",
  Redirect: "host:string=1 port:int=2",
  LoginQueue: "position:int=1 length:int=2 estimated_wait_ms:int=3",
  EnterWorldRequest: "session_token:string=1",
  Item: "item_id:int=1 kind:string=2 quantity:int=3 name:string=4 usable:bool=5",
  PlayerInfo: "player_id:int=1 name:string=2 x:float=3 y:float=4 rotation:float=5 level:int=6 " +
    "experience:int=7 next_level_at:int=8 health:int=9 max_health:int=10 power:int=11 " +
    "max_power:int=12 gold:int=13 zone_id:int=14 guild:string=15",
  EnterWorldResponse: "success:bool=1 error_code:int=2 error_message:string=7 " +
    "player:PlayerInfo=3 inventory:Item*=4 session_id:string=5 resume_token:string=6",
  MovementUpdate: "x:float=1 y:float=2 rotation:float=3 sequence:int=4 client_time:int=5",
  MoveTo: "x:float=1 y:float=2",
  CombatAction: "target_id:int=1 view_tick:int=2 view_ms:int=3",
  UseItem: "item_id:int=1",
  PickUp: "entity_id:int=1",
  UseSkill: "skill:string=1 target_id:int=2 view_tick:int=3 view_ms:int=4",
  Inventory: "items:Item*=1 gold:int=2 used_item_id:int=3 giver_id:int=4 in_reply_to:int=5",
  QuestAccept: "quest:string=1",
  QuestGoal: "description:string=1 done:int=2 wanted:int=3",
  Quest: "quest:string=1 name:string=2 state:int=3 goals:QuestGoal*=4",
  QuestLog: "quests:Quest*=1",
  ItemDrop: "item_id:int=1 quantity:int=2",
  ItemDestroy: "item_id:int=1 quantity:int=2",
  ItemGive: "player_id:int=1 item_id:int=2 quantity:int=3 gold:int=4",
  QuestAbandon: "quest:string=1",
  ZoneEnter: "zone_id:int=1 name:string=2 min_x:float=3 min_y:float=4 max_x:float=5 " +
    "max_y:float=6 pvp:bool=7 reset:bool=8 tick_ms:int=9",
  EntityEnter: "entity_id:int=1 kind:int=2 name:string=3 template:string=4 level:int=5 " +
    "health:int=6 max_health:int=7 guild:string=8 quantity:int=9 speed:float=10 zone_id:int=11 " +
    "handle:int=12 position:fixed64=13 origin_x:float=14 origin_y:float=15",
  EntityLeave: "entity_id:int=1 zone_id:int=2",
  SyncPositions: "zone_id:int=1 tick:int=2 records:fixed64*=3 dilation_percent:int=4",
  GameEvent: "event_id:int=1 kind:int=2 zone_id:int=3 x:float=4 y:float=5 actor_id:int=6 " +
    "target_id:int=7 amount:int=8 remaining:int=9 subject:string=10 actor_name:string=11 " +
    "text:string=12 to_zone_id:int=13",
  Cooldown: "key:string=1 remaining_ms:int=2",
  PlayerStats: "health:int=1 max_health:int=2 power:int=3 max_power:int=4 experience:int=5 " +
    "next_level_at:int=6 level:int=7 gold:int=8 combat_ms:int=9 attack_ms:int=10 " +
    "cooldowns:Cooldown*=11 item_cooldowns:Cooldown*=12",
  PositionCorrection: "x:float=1 y:float=2 rotation:float=3 sequence:int=4 reason:string=5",
  GuildCreateRequest: "name:string=1",
  GuildResponse: "success:bool=1 guild_id:int=2 name:string=3 message:string=4",
  GuildInvite: "player:string=1 guild:string=2",
  GuildJoin: "guild:string=1 player:string=2",
  GuildLeave: "guild:string=1 player:string=2",
  GuildKick: "player:string=1 guild:string=2",
  GuildRankChange: "player:string=1 rank:int=2 guild:string=3",
  GuildMember: "name:string=1 rank:int=2 online:bool=3",
  GuildWar: "enemy:string=1 our_kills:int=2 their_kills:int=3 started_at:int=4 begins_in_ms:int=5 by_us:bool=6",
  GuildInfo: "name:string=1 guild_id:int=2 members:GuildMember*=3 wars:GuildWar*=4",
  GuildDisband: "guild:string=1",
  GuildWarStart: "enemy:string=1 guild:string=2",
  GuildWarEnd: "enemy:string=1 guild:string=2 our_kills:int=3 their_kills:int=4",
  GuildWarScore: "guild:string=1 enemy:string=2 our_kills:int=3 their_kills:int=4 " +
    "killer:string=5 victim:string=6",
  GuildWarNotice: "guild:string=1 enemy:string=2 by_us:bool=3 begins_in_ms:int=4",
  ChatSend: "channel:int=1 target:string=2 text:string=3",
  ChatMessage: "channel:int=1 sender:string=2 sender_id:int=3 target:string=4 text:string=5 " +
    "sent_at:int=6 event_id:int=7",
  RoomCreate: "room:string=1",
  RoomJoin: "room:string=1 player:string=2",
  RoomLeave: "room:string=1 player:string=2",
  RoomInfo: "room:string=1 members:int=2",
  RoomList: "rooms:RoomInfo*=1",
  RoomMembers: "room:string=1 players:string*=2 count:int=3",
};

// Packet type: its number and its payload's message.
export const PACKETS = {
  LOGIN_REQUEST: [1000, "LoginRequest"],
  LOGIN_RESPONSE: [1001, "LoginResponse"],
  LOGOUT_REQUEST: [1002, "LogoutRequest"],
  LOGOUT_RESPONSE: [1003, "LogoutResponse"],
  HEARTBEAT_REQUEST: [1004, "HeartbeatRequest"],
  HEARTBEAT_RESPONSE: [1005, "HeartbeatResponse"],
  REGISTER_REQUEST: [1006, "RegisterRequest"],
  REGISTER_RESPONSE: [1007, "RegisterResponse"],
  RESUME_REQUEST: [1008, "ResumeRequest"],
  RESUME_RESPONSE: [1009, "ResumeResponse"],
  ERROR: [1010, "Error"],
  DISCONNECT_NOTICE: [1011, "DisconnectNotice"],
  REDIRECT: [1012, "Redirect"],
  LOGIN_QUEUE: [1013, "LoginQueue"],
  ENTER_WORLD_REQUEST: [2000, "EnterWorldRequest"],
  ENTER_WORLD_RESPONSE: [2001, "EnterWorldResponse"],
  MOVEMENT_UPDATE: [2002, "MovementUpdate"],
  MOVE_TO: [2003, "MoveTo"],
  COMBAT_ACTION: [2004, "CombatAction"],
  USE_ITEM: [2005, "UseItem"],
  PICK_UP: [2006, "PickUp"],
  USE_SKILL: [2007, "UseSkill"],
  INVENTORY: [2008, "Inventory"],
  QUEST_ACCEPT: [2009, "QuestAccept"],
  QUEST_LOG: [2010, "QuestLog"],
  ITEM_DROP: [2011, "ItemDrop"],
  ITEM_DESTROY: [2012, "ItemDestroy"],
  ITEM_GIVE: [2013, "ItemGive"],
  QUEST_ABANDON: [2014, "QuestAbandon"],
  ZONE_ENTER: [2020, "ZoneEnter"],
  ENTITY_ENTER: [2021, "EntityEnter"],
  ENTITY_LEAVE: [2022, "EntityLeave"],
  SYNC_POSITIONS: [2023, "SyncPositions"],
  GAME_EVENT: [2024, "GameEvent"],
  POSITION_CORRECTION: [2025, "PositionCorrection"],
  PLAYER_STATS: [2027, "PlayerStats"],
  GUILD_CREATE_REQUEST: [3000, "GuildCreateRequest"],
  GUILD_RESPONSE: [3001, "GuildResponse"],
  GUILD_INVITE: [3002, "GuildInvite"],
  GUILD_JOIN: [3003, "GuildJoin"],
  GUILD_LEAVE: [3004, "GuildLeave"],
  GUILD_KICK: [3005, "GuildKick"],
  GUILD_RANK: [3006, "GuildRankChange"],
  GUILD_INFO: [3007, "GuildInfo"],
  GUILD_DISBAND: [3008, "GuildDisband"],
  GUILD_WAR_START: [3010, "GuildWarStart"],
  GUILD_WAR_END: [3011, "GuildWarEnd"],
  GUILD_WAR_SCORE: [3012, "GuildWarScore"],
  GUILD_WAR_NOTICE: [3013, "GuildWarNotice"],
  CHAT_SEND: [4000, "ChatSend"],
  CHAT_MESSAGE: [4001, "ChatMessage"],
  ROOM_CREATE: [4002, "RoomCreate"],
  ROOM_JOIN: [4003, "RoomJoin"],
  ROOM_LEAVE: [4004, "RoomLeave"],
  ROOM_LIST: [4005, "RoomList"],
  ROOM_MEMBERS: [4006, "RoomMembers"],
};

const VARINT = 0, I64 = 1, LENGTH = 2, I32 = 5;
const WIRE = { int: VARINT, bool: VARINT, float: I32, fixed64: I64 };
const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true });

const schemas = {};
for (const [name, words] of Object.entries(MESSAGES)) {
  const fields = words.split(" ").filter(Boolean).map((word) => {
    const [, field, type, repeated, number] = /^(\w+):(\w+)(\*?)=(\d+)$/.exec(word);
    return { field, type, repeated: repeated === "*", number: Number(number) };
  });
  schemas[name] = { fields, byNumber: new Map(fields.map((f) => [f.number, f])) };
}
const byNumber = new Map(Object.entries(PACKETS).map(([name, [n, message]]) => [n, { name, message }]));

// -- writing --------------------------------------------------------------------------------------

function varint(out, value) {
  while (value > 127) {
    out.push((value % 128) + 128);
    value = Math.floor(value / 128);
  }
  out.push(value);
}

function bytes(out, data) {
  varint(out, data.length);
  for (const byte of data) out.push(byte);
}

function writeValue(out, type, value) {
  switch (type) {
    case "int": return varint(out, value);
    case "bool": return varint(out, value ? 1 : 0);
    case "string": return bytes(out, utf8.encode(value));
    case "bytes": return bytes(out, value);
    case "float": {
      const raw = new Uint8Array(4);
      new DataView(raw.buffer).setFloat32(0, value, true);
      return out.push(...raw);
    }
    case "fixed64": throw new Error("only the server writes positions");
    default: return bytes(out, encode(type, value));
  }
}

// The bytes of a message. Fields that are left out, or have their default, are not written.
export function encode(message, values) {
  const out = [];
  for (const { field, type, repeated, number } of schemas[message].fields) {
    const given = values[field];
    const all = repeated ? given || [] : given === undefined ? [] : [given];
    for (const value of all) {
      if (!repeated && (value === 0 || value === "" || value === false)) continue;
      varint(out, number * 8 + (WIRE[type] ?? LENGTH));
      writeValue(out, type, value);
    }
  }
  return Uint8Array.from(out);
}

// -- reading --------------------------------------------------------------------------------------

class Reader {
  constructor(data) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    this.at = 0;
  }

  get more() {
    return this.at < this.data.length;
  }

  varint() {
    let value = 0, scale = 1;
    for (let i = 0; i < 10; i += 1) {
      if (!this.more) throw new Error("the bytes end within a number");
      const byte = this.data[this.at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw new Error("a number has more than ten bytes");
  }

  take(length) {
    if (this.at + length > this.data.length) throw new Error("the bytes end within a field");
    const part = this.data.subarray(this.at, this.at + length);
    this.at += length;
    return part;
  }

  skip(wire) {
    if (wire === VARINT) this.varint();
    else if (wire === I64) this.take(8);
    else if (wire === LENGTH) this.take(this.varint());
    else if (wire === I32) this.take(4);
    else throw new Error(`there is no wire type ${wire}`);
  }

  position() {
    const at = this.at;
    this.take(8);
    const low = this.view.getUint32(at, true), high = this.view.getUint32(at + 4, true);
    return {
      handle: low & 0xffff,
      x: ((low >>> 16) + (high & 0xf) * 65536) / 100,
      y: ((high >>> 4) & 0xfffff) / 100,
      rotation: ((high >>> 24) * 360) / 256,
    };
  }

  value(type) {
    switch (type) {
      case "int": return this.varint();
      case "bool": return this.varint() !== 0;
      case "string": return text.decode(this.take(this.varint()));
      case "bytes": return this.take(this.varint());
      case "float": {
        const at = this.at;
        this.take(4);
        return this.view.getFloat32(at, true);
      }
      case "fixed64": return this.position();
      default: return decode(type, this.take(this.varint()));
    }
  }
}

function initial({ type, repeated }) {
  if (repeated) return [];
  if (type === "int" || type === "float") return 0;
  if (type === "bool") return false;
  if (type === "string") return "";
  return type === "bytes" ? new Uint8Array(0) : null;
}

// The fields of a message; those that are not there have their default, unknown ones are skipped.
export function decode(message, data) {
  const { fields, byNumber: known } = schemas[message];
  const values = {};
  for (const field of fields) values[field.field] = initial(field);
  const reader = new Reader(data);
  while (reader.more) {
    const key = reader.varint();
    const field = known.get(Math.floor(key / 8));
    const wire = key % 8;
    if (!field || (WIRE[field.type] ?? LENGTH) !== wire) reader.skip(wire);
    else if (field.repeated) values[field.field].push(reader.value(field.type));
    else values[field.field] = reader.value(field.type);
  }
  return values;
}

// -- packets --------------------------------------------------------------------------------------

// The bytes of one packet of a client.
export function encodePacket(name, values, sequence, timestamp) {
  const [type, message] = PACKETS[name];
  const payload = encode(message, values);
  return encode("Packet", { header: { type, size: payload.length, sequence, timestamp }, payload });
}

// A packet of the server: { name, header, body }. `body` is null for a type unknown to this client.
export function decodePacket(data) {
  const { header, payload } = decode("Packet", data);
  if (!header) throw new Error("a packet without a header");
  const known = byNumber.get(header.type);
  if (!known) return { name: String(header.type), header, body: null };
  const plain = header.is_compressed ? inflate(payload, header.size) : payload;
  return { name: known.name, header, body: decode(known.message, plain) };
}

// One LZ4 block that holds `size` bytes.
export function inflate(block, size) {
  const out = new Uint8Array(size);
  let at = 0, end = 0;
  const length = (start) => {
    let sum = start;
    if (start === 15) {
      let byte;
      do sum += byte = block[at++]; while (byte === 255);
    }
    return sum;
  };
  while (at < block.length) {
    const token = block[at++];
    const literals = length(token >> 4);
    if (end + literals > size || at + literals > block.length) throw new Error("a bad LZ4 block");
    out.set(block.subarray(at, at + literals), end);
    at += literals;
    end += literals;
    if (at >= block.length) break;
    const back = block[at] + block[at + 1] * 256;
    at += 2;
    const copied = length(token & 15) + 4;
    if (!back || back > end || end + copied > size) throw new Error("a bad LZ4 block");
    for (let i = 0; i < copied; i += 1, end += 1) out[end] = out[end - back];
  }
  if (end !== size) throw new Error("an LZ4 block of another size");
  return out;
}
