// The web client: brings connection, world, picture and panels together, and turns clicks and keys
// into packets. The server decides everything; what is checked here only saves a refusal.

import { Connection } from "./connection.js";
import { Picture } from "./draw.js";
import { device, keep, recall } from "./memory.js";
import { $, CHANNEL, Panels, element } from "./panels.js";
import { sha256 } from "./sha256.js";
import { KIND, World } from "./world.js";

const VERSION = "0.1.0";
const PASSWORD_MIN = 8;             // characters of a new password; the server sees only its hash
const REACH = { attack: 10, pickUp: 3 };   // metres
const ATTACK_MS = 550;
const EVENT = { ATTACK: 1, DAMAGE: 2, DEATH: 3, PICK_UP: 4, SKILL: 5, CHAT: 6, ZONE: 7, QUEST: 8 };
const ITEM_REPEAT_MS = 700;
const KEPT = "throng.session";

const world = new World();
const picture = new Picture($("canvas"), world);
const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`;
const connection = new Connection(url, { onPacket, onState, onLost });
const panels = new Panels((name, values) => connection.send(name, values));
let content = { skills: [], items: {}, quests: {}, enemies: [] };
let account = null;       // { name, hash } while logging in
let entering = "";        // what the entry form waits for
let wanted = null;        // { id, verb } the entity the player wants to strike or take
let actedAt = 0;
const ready = new Map();  // skill key -> { from, until }
const held = new Set();   // walking keys that are down

fetch("/content.json").then((answer) => answer.json()).then((read) => {
  content = read;
  drawSkills();
}).catch((error) => console.error("the content cannot be read:", error));

// -- the way in -----------------------------------------------------------------------------------

$("account").onsubmit = async (event) => {
  event.preventDefault();
  const verb = event.submitter?.value ?? "login";
  const name = $("username").value.trim();
  say(verb === "register" ? "Making the account …" : "Logging in …");
  try {
    // As every client does it: NFC first, so that a password is the same from any keyboard.
    const password = $("password").value.normalize("NFC");
    if (verb === "register" && [...password].length < PASSWORD_MIN) {
      say(`A password has at least ${PASSWORD_MIN} characters.`);
      return;
    }
    account = { name, hash: await sha256(password) };
    await connection.open();
    entering = verb;
    if (verb === "register") register();
    else login();
  } catch (error) {
    say(error.message);
  }
};

function register() {
  connection.send("REGISTER_REQUEST", {
    username: account.name, password_hash: account.hash, client_version: VERSION,
  });
}

function login() {
  connection.send("LOGIN_REQUEST", {
    username: account.name, password_hash: account.hash, client_version: VERSION, device_id: device(),
  });
}

function say(text) {
  $("entry-note").textContent = text;
}

function refuse(body) {
  entering = "";
  say(body.error_message || "It was refused.");
}

function begin(self, name) {
  world.self = self;
  panels.clear();
  panels.name = name;
  $("name").textContent = name;
  for (const id of ["bar", "tabs", "chat", "skills"]) $(id).hidden = false;
  $("entry").hidden = true;
  $("canvas").focus();
}

function onState(state) {
  const texts = { resuming: "Connection lost, going on …" };
  notice(texts[state] ?? "", 0);
}

function onLost(text) {
  keep("session", KEPT, null);
  world.reset();
  world.zones.clear();
  world.self = 0;
  wanted = null;
  for (const id of ["bar", "tabs", "panels", "chat", "skills"]) $(id).hidden = true;
  $("entry").hidden = false;
  say(text);
}

// -- what comes -----------------------------------------------------------------------------------

const on = {
  REGISTER_RESPONSE: (body) => (body.success ? login() : refuse(body)),
  LOGIN_QUEUE: (body) => say(`Place ${body.position} of ${body.length} in the queue …`),
  LOGIN_RESPONSE: (body) => {
    if (!body.success) return refuse(body);
    connection.send("ENTER_WORLD_REQUEST", { session_token: body.session_token });
  },
  ENTER_WORLD_RESPONSE: (body) => {
    if (!body.success) return refuse(body);
    entering = "";
    account = null;
    $("password").value = "";
    say("");
    begin(body.player.player_id, body.player.name);
    panels.onInventory(body.inventory, body.player.gold);
    connection.send("QUEST_LOG");
  },
  RESUME_RESPONSE: (body) => {
    if (!body.success) return;
    world.self = body.player_id;
    connection.send("INVENTORY");
    connection.send("QUEST_LOG");
  },
  ERROR: (body) => {
    if (entering) return refuse({ error_message: body.message });
    const asked = connection.nameOf(body.in_reply_to);
    if (asked === "GUILD_INFO") return panels.onGuild(null);
    notice(body.message);
    if (asked.startsWith("CHAT") || asked.startsWith("GUILD") || asked.startsWith("ROOM")) panels.tell(body.message);
    if (asked === "COMBAT_ACTION" && body.retry_after_ms === 0) wanted = null;
  },
  DISCONNECT_NOTICE: (body) => notice(body.message),
  ZONE_ENTER: (body) => {
    world.onZoneEnter(body);
    $("zone").textContent = body.name + (body.pvp ? " (PvP)" : "");
  },
  ENTITY_ENTER: (body) => world.onEnter(body),
  ENTITY_LEAVE: (body) => world.onLeave(body),
  SYNC_POSITIONS: (body) => world.onPositions(body),
  GAME_EVENT: onEvent,
  INVENTORY: (body) => panels.onInventory(body.items, body.gold),
  QUEST_LOG: (body) => panels.onQuests(body.quests),
  CHAT_MESSAGE: (body) => panels.onChat(body, panels.name),
  GUILD_INFO: (body) => panels.onGuild(body),
  GUILD_INVITE: (body) => {
    panels.onInvite(body.guild, body.player);
    panels.tell(`${body.player} invites you to the guild ${body.guild}`);
  },
  GUILD_RESPONSE: (body) => {
    if (body.message) panels.event(body.message);
    guildChanged();
  },
  GUILD_JOIN: (body) => guildChanged(`${body.player} has joined ${body.guild}`),
  GUILD_LEAVE: (body) => guildChanged(`${body.player} has left ${body.guild}`),
  GUILD_KICK: (body) => guildChanged(`${body.player} was cast out of ${body.guild}`),
  GUILD_RANK: () => guildChanged(),
  GUILD_DISBAND: (body) => {
    panels.onGuild(null);
    panels.event(`${body.guild} is no more`);
  },
  GUILD_WAR_START: (body) => guildChanged(`${body.guild} and ${body.enemy} are at war`),
  GUILD_WAR_NOTICE: (body) => guildChanged(
    `${body.by_us ? body.guild : body.enemy} has declared war on ${body.by_us ? body.enemy : body.guild}: ` +
    `it begins in ${Math.ceil(body.begins_in_ms / 60000)} min`),
  GUILD_WAR_END: (body) => guildChanged(`The war with ${body.enemy} is over: ${body.our_kills} to ${body.their_kills}`),
  GUILD_WAR_SCORE: (body) => guildChanged(`${body.killer} has killed ${body.victim}: ${body.our_kills} to ${body.their_kills}`),
  ROOM_LIST: (body) => panels.drawRooms(body.rooms),
  ROOM_MEMBERS: (body) => panels.onRoomMembers(body, panels.name),
  ROOM_JOIN: (body) => panels.event(`${body.player} has come into ${body.room}`),
  ROOM_LEAVE: (body) => panels.onRoomLeave(body, panels.name),
};

function onPacket(name, body) {
  on[name]?.(body);
}

function guildChanged(text) {
  if (text) panels.event(text);
  if (panels.open === "guild" || !text) connection.send("GUILD_INFO");
}

function nameOf(id) {
  return world.entities.get(id)?.name ?? "somebody";
}

function onEvent(event) {
  const { kind, actor_id: actor, target_id: target, amount, remaining, subject } = event;
  const who = event.actor_name || nameOf(actor);
  const victim = world.entities.get(target);
  const place = { id: target, x: event.x, y: event.y };
  if (kind === EVENT.DAMAGE) {
    if (victim) victim.health = remaining;
    picture.float(place, `−${amount}`, target === world.self ? "#ff6b75" : "#ffd28a");
  } else if (kind === EVENT.DEATH) {
    if (victim) Object.assign(victim, { health: 0, dead: true });
    if (wanted?.id === target) wanted = null;
    panels.event(target === world.self ? `${who} has killed you` : `${who} has killed ${nameOf(target)}`);
  } else if (kind === EVENT.PICK_UP) {
    if (actor === world.self) picture.float({ id: actor, x: event.x, y: event.y }, `+${amount} ${content.items[subject] ?? subject}`, "#4fd18b");
    panels.event(`${who} takes ${amount} ${content.items[subject] ?? subject}`);
  } else if (kind === EVENT.SKILL) {
    const skill = content.skills.find(({ key }) => key === subject);
    picture.float({ id: actor, x: event.x, y: event.y }, skill?.name ?? subject, "#9ecbff");
    if (actor === world.self && skill) ready.set(subject, { from: Date.now(), until: Date.now() + skill.cooldown_ms });
  } else if (kind === EVENT.ZONE) {
    panels.event(`${who} goes elsewhere`);
  } else if (kind === EVENT.QUEST) {
    panels.event(`${who} has finished “${content.quests[subject] ?? subject}”`);
    if (actor === world.self) notice(`Quest done: ${content.quests[subject] ?? subject}`, 3000, "good");
  }
}

// -- what goes ------------------------------------------------------------------------------------

function walk({ x, y }) {
  connection.send("MOVE_TO", { x, y });
}

// Strikes or takes what is wanted once it is in reach, and walks there until then.
function pursue() {
  const entity = wanted && world.entities.get(wanted.id);
  if (!entity || entity.dead) {
    wanted = null;
    return;
  }
  const now = performance.now();
  const take = entity.kind === KIND.ITEM;
  const pause = take ? ITEM_REPEAT_MS : ATTACK_MS;
  if (now - actedAt < pause) return;
  actedAt = now;
  if (world.distance(entity) > (take ? REACH.pickUp : REACH.attack) - 0.5) {
    walk(near(entity, take ? 1 : REACH.attack * 0.6));
  } else if (take) {
    connection.send("PICK_UP", { entity_id: entity.id });
    wanted = null;
  } else {
    connection.send("COMBAT_ACTION", { target_id: entity.id, ...world.shown(entity) });
  }
}

// A place `distance` metres short of the entity.
function near(entity, distance) {
  const me = world.place(world.me), there = world.place(entity);
  const away = Math.hypot(there.x - me.x, there.y - me.y) || 1;
  const part = Math.max(away - distance, 0) / away;
  return { x: me.x + (there.x - me.x) * part, y: me.y + (there.y - me.y) * part };
}

function useSkill(skill) {
  const target = wanted ? world.entities.get(wanted.id) : null;
  // Without a target a skill is one's own. What heals is never meant for an enemy.
  const fits = target && (skill.heals ? target.kind === KIND.PLAYER : target.kind !== KIND.ITEM);
  const aimed = skill.aimed && fits;
  connection.send("USE_SKILL", {
    skill: skill.key, ...(aimed ? { target_id: target.id, ...world.shown(target) } : {}),
  });
}

function drawSkills() {
  $("skills").replaceChildren(...content.skills.map((skill, place) => {
    const made = element("button", { type: "button", onclick: () => useSkill(skill) },
      skill.name, element("small", { textContent: `${place + 1} · ${skill.cost} power` }),
      element("i"));
    made.title = `from level ${skill.level}`;
    Object.assign(made.dataset, { key: skill.key, level: skill.level });
    return made;
  }));
}

// -- mouse, finger, keys --------------------------------------------------------------------------

const canvas = $("canvas");
canvas.onpointerdown = (event) => {
  if (connection.state !== "playing" || !world.me) return;
  canvas.focus();
  const entity = picture.entityAt(event.clientX, event.clientY);
  if (entity) {
    wanted = { id: entity.id };
    actedAt = performance.now() - 2 * ATTACK_MS;
    return;
  }
  const at = picture.toWorld(event.clientX, event.clientY);
  wanted = null;
  picture.mark(at);
  walk(at);
};
canvas.onwheel = (event) => {
  event.preventDefault();
  picture.zoom(event.deltaY < 0 ? 1.1 : 1 / 1.1);
};

const STEPS = {
  KeyW: [0, 1], KeyS: [0, -1], KeyA: [-1, 0], KeyD: [1, 0],
  ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0],
};

addEventListener("keydown", (event) => {
  if (event.target.closest?.("input, select, textarea") || connection.state !== "playing") return;
  // What has the focus is pressed and left by the keys that a browser has for that.
  const focused = event.target.closest?.("button, a");
  if (focused && (event.code === "Enter" || event.code === "Space" || event.code === "Tab")) return;
  // Where there is nobody to fight, Tab goes on to the buttons.
  const next = event.code === "Tab" && !event.shiftKey ? nearestEnemy() ?? wanted : null;
  const digit = /^Digit([1-9])$/.exec(event.code);
  if (STEPS[event.code]) held.add(event.code);
  else if (digit && content.skills[digit[1] - 1]) useSkill(content.skills[digit[1] - 1]);
  else if (event.code === "Escape") stop();
  else if (next) wanted = next;
  else if (event.code === "Enter") $("text").focus();
  else return;
  event.preventDefault();
});
addEventListener("keyup", (event) => held.delete(event.code));
addEventListener("blur", () => held.clear());

// Stands still, and wants nothing any more.
function stop() {
  wanted = null;
  held.clear();
  if (world.me) walk(world.place(world.me));
}

// The nearest one that fights, but the one that is wanted already.
function nearestEnemy() {
  const enemies = [...world.entities.values()]
    .filter((entity) => entity.kind === KIND.NPC && content.enemies.includes(entity.template))
    .filter((entity) => !entity.dead && entity.id !== wanted?.id)
    .sort((a, b) => world.distance(a) - world.distance(b));
  return enemies.length ? { id: enemies[0].id } : null;
}

// Walking keys: a goal a second ahead, told again until they are released, then one at one's feet.
let stepped = false;
setInterval(() => {
  if (connection.state !== "playing" || !world.me) return;
  const me = world.place(world.me);
  let x = 0, y = 0;
  for (const key of held) [x, y] = [x + STEPS[key][0], y + STEPS[key][1]];
  if (x || y) {
    const length = Math.hypot(x, y), ahead = (world.me.speed || 5) * 1.2;
    wanted = null;
    walk({ x: me.x + (x / length) * ahead, y: me.y + (y / length) * ahead });
  } else if (stepped) {
    walk({ x: me.x, y: me.y });
  }
  stepped = Boolean(x || y);
  if (!stepped) pursue();
}, 150);

// -- chat -----------------------------------------------------------------------------------------

$("channel").onchange = () => {
  const channel = Number($("channel").value);
  $("to").hidden = channel !== CHANNEL.WHISPER && channel !== CHANNEL.ROOM;
  $("to").placeholder = channel === CHANNEL.ROOM ? "room" : "to";
};
$("say").onsubmit = (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  const channel = Number($("channel").value);
  if (text) connection.send("CHAT_SEND", { channel, target: $("to").hidden ? "" : $("to").value.trim(), text });
  $("text").value = "";
  $("canvas").focus();
};
$("text").onkeydown = (event) => { if (event.key === "Escape") $("canvas").focus(); };
// Implicit submission needs a submit button where there are two fields.
$("say").onkeydown = (event) => {
  if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    $("say").requestSubmit();
  }
};

$("logout").onclick = () => connection.send("LOGOUT_REQUEST");

// -- the picture ----------------------------------------------------------------------------------

let noticeTimer = 0;
function notice(text, millis = 3000, tone = "bad") {
  clearTimeout(noticeTimer);
  $("notice").textContent = text;
  $("notice").className = tone;
  $("notice").hidden = !text;
  if (text && millis) noticeTimer = setTimeout(() => { $("notice").hidden = true; }, millis);
}

function drawBar() {
  const { me } = world;
  if (!me) return;
  const { x, y } = world.place(me);
  $("level").textContent = `level ${me.level}`;
  $("health").textContent = `${me.health} / ${me.maxHealth}`;
  $("meter").setAttribute("aria-valuenow", me.health);
  $("meter").setAttribute("aria-valuemax", me.maxHealth);
  $("health-bar").style.width = `${(100 * me.health) / Math.max(me.maxHealth, 1)}%`;
  $("place").textContent = `${x.toFixed(0)}, ${y.toFixed(0)}`;
  const { latency } = connection;
  $("latency").textContent = latency === undefined ? "" : `${Math.round(latency)} ms`;
  const now = Date.now();
  for (const made of $("skills").children) {
    const wait = ready.get(made.dataset.key);
    const part = wait ? Math.max(wait.until - now, 0) / (wait.until - wait.from) : 0;
    made.lastChild.style.transform = `scaleX(${part})`;
    made.disabled = me.level < Number(made.dataset.level);
  }
}

// For who does not see the ring around it.
function describeTarget() {
  const target = wanted && world.entities.get(wanted.id);
  const label = target ? `The world; target: ${target.name}` : "The world";
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
}

function frame() {
  if (!document.hidden) {
    picture.target = wanted?.id ?? 0;
    describeTarget();
    picture.draw();
    drawBar();
  }
  requestAnimationFrame(frame);
}
requestAnimationFrame(frame);

// -- again -----------------------------------------------------------------------------------------

// A reload goes on with the session.
const kept = JSON.parse(recall("session", KEPT) ?? "null");
if (kept) {
  begin(kept.self, kept.name);
  connection.resume(kept.token, kept.received);
}
addEventListener("pagehide", () => {
  if (connection.resumeToken) {
    const { resumeToken: token, received } = connection;
    keep("session", KEPT, JSON.stringify({ token, received, self: world.self, name: panels.name }));
  }
});
