// The panels beside the world: bag, quests, guild, rooms, events, chat lines. They show what they are
// given and send what is clicked; texts of others are only ever set as text.

const RANKS = ["", "member", "officer", "leader"];
const CHANNELS = ["", "near", "zone", "world", "whisper", "guild", "room", "system"];
export const CHANNEL = { NEAR: 1, ZONE: 2, WORLD: 3, WHISPER: 4, GUILD: 5, ROOM: 6, SYSTEM: 7 };
const LINES = 200;

export const $ = (id) => document.getElementById(id);

// An element with properties and children.
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function button(text, onclick, disabled = false) {
  return element("button", { type: "button", className: "small", textContent: text, onclick, disabled });
}

// A line of input with a button.
function ask(placeholder, label, send) {
  const input = element("input", { placeholder, maxLength: 64, required: true });
  input.setAttribute("aria-label", placeholder);
  return element("form", {
    onsubmit: (event) => {
      event.preventDefault();
      send(input.value.trim());
      input.value = "";
    },
  }, input, element("button", { className: "small", textContent: label }));
}

export class Panels {
  // send(packet name, values)
  constructor(send) {
    this.send = send;
    this.rooms = new Map();
    this.guild = null;
    this.invites = [];
    this.open = "";
    for (const tab of $("tabs").children) {
      tab.onclick = () => this.show(this.open === tab.dataset.panel ? "" : tab.dataset.panel);
    }
  }

  show(panel) {
    this.open = panel;
    $("panels").hidden = !panel;
    for (const section of $("panels").children) section.classList.toggle("shown", section.id === panel);
    for (const tab of $("tabs").children) tab.setAttribute("aria-pressed", tab.dataset.panel === panel);
    if (panel === "guild") this.send("GUILD_INFO");
    if (panel === "rooms") this.send("ROOM_LIST");
    if (panel === "bag") this.send("INVENTORY");
    if (panel === "quests") this.send("QUEST_LOG");
  }

  // A new session: nothing of the last one is left.
  clear() {
    this.rooms.clear();
    this.invites = [];
    this.onGuild(null);
    this.drawRooms([]);
    this.onQuests([]);
    $("lines").replaceChildren();
    $("event-list").replaceChildren();
    this.show("");
  }

  onInventory(items, gold) {
    if (gold !== undefined) $("gold").textContent = `${gold} gold`;
    const rows = items.map((item) => element("li", {},
      element("span", { textContent: `${item.name || item.kind} ×${item.quantity}` }),
      item.usable ? button("use", () => this.send("USE_ITEM", { item_id: item.item_id })) : null));
    $("items").replaceChildren(...(rows.length ? rows : [element("li", { className: "quiet", textContent: "empty" })]));
  }

  onQuests(quests) {
    const rows = quests.map((quest) => {
      const goals = quest.goals.map((goal) => element("div", {
        className: goal.done >= goal.wanted ? "done" : "quiet",
        textContent: `${goal.description} ${goal.done}/${goal.wanted}`,
      }));
      const state = quest.state === 0
        ? button("accept", () => this.send("QUEST_ACCEPT", { quest: quest.quest }))
        : element("span", { className: quest.state === 2 ? "done" : "quiet", textContent: quest.state === 2 ? "done" : "open" });
      const head = element("div", { className: "row" }, element("strong", { textContent: quest.name }), state);
      return element("li", { className: "tall" }, head, ...(quest.state === 2 ? [] : goals));
    });
    $("quest-list").replaceChildren(...(rows.length ? rows : [element("li", { className: "quiet", textContent: "none here" })]));
  }

  // -- guild --------------------------------------------------------------------------------------

  onInvite(guild, player) {
    this.invites = [...this.invites.filter((invite) => invite.guild !== guild), { guild, player }];
    this.drawGuild();
  }

  onGuild(info) {
    this.guild = info;
    if (info) this.invites = [];
    this.drawGuild();
  }

  drawGuild() {
    $("guild-body").replaceChildren(...(this.guild ? this.guildOf(this.guild) : this.noGuild()));
  }

  noGuild() {
    const invites = this.invites.map(({ guild, player }) => element("div", { className: "row" },
      element("span", { textContent: `${player} invites you to ${guild}` }),
      button("join", () => this.send("GUILD_JOIN", { guild }))));
    return [
      element("p", { className: "quiet", textContent: "You are in no guild." }),
      ...invites,
      ask("Name of a new guild", "create", (name) => this.send("GUILD_CREATE_REQUEST", { name })),
    ];
  }

  guildOf(guild) {
    const mine = guild.members.find((member) => member.name === this.name)?.rank ?? 0;
    const members = guild.members.map((member) => element("div", { className: "row" },
      element("span", {
        className: member.online ? "" : "quiet", textContent: `${member.name} (${RANKS[member.rank]})`,
      }),
      this.memberButtons(member, mine)));
    const wars = guild.wars.map((war) => this.warOf(war, mine === 3));
    const leader = mine === 3 ? [
      ask("Declare war on", "war", (enemy) => this.send("GUILD_WAR_START", { enemy })),
      button("disband the guild", () => confirm(`Disband ${guild.name}?`) && this.send("GUILD_DISBAND")),
    ] : [button("leave", () => this.send("GUILD_LEAVE"))];
    return [
      element("strong", { textContent: guild.name }),
      element("h3", { textContent: `${guild.members.length} members` }), ...members,
      ...(mine >= 2 ? [ask("Invite a player", "invite", (player) => this.send("GUILD_INVITE", { player }))] : []),
      ...(wars.length ? [element("h3", { textContent: "wars" }), ...wars] : []),
      ...leader,
    ];
  }

  // A war that is fought, or one that is declared and can be agreed to or taken back.
  warOf(war, leads) {
    const pending = war.begins_in_ms > 0;
    const told = pending
      ? `${war.enemy}: declared by ${war.by_us ? "us" : "them"}, begins in ${Math.ceil(war.begins_in_ms / 60000)} min`
      : `${war.enemy}: ${war.our_kills} to ${war.their_kills}`;
    const send = (packet) => () => this.send(packet, { enemy: war.enemy });
    const end = pending ? (war.by_us ? "withdraw" : "decline") : "end";
    return element("div", { className: "row" },
      element("span", { textContent: told }),
      leads && pending && !war.by_us ? button("fight", send("GUILD_WAR_START")) : null,
      leads ? button(end, send("GUILD_WAR_END")) : null);
  }

  memberButtons(member, mine) {
    if (member.name === this.name || mine < 2) return null;
    const row = element("span");
    const rank = (rank) => this.send("GUILD_RANK", { player: member.name, rank });
    if (mine === 3 && member.rank === 1) row.append(button("promote", () => rank(2)));
    if (mine === 3 && member.rank === 2) row.append(button("demote", () => rank(1)));
    if (member.rank < mine) row.append(button("kick", () => this.send("GUILD_KICK", { player: member.name })));
    return row;
  }

  // -- rooms --------------------------------------------------------------------------------------

  onRoomMembers({ room, players, count }, own) {
    if (players.includes(own)) this.rooms.set(room, count);
    this.drawRooms(this.listed ?? []);
    this.event(`${room}: ${players.join(", ")}${count > players.length ? ", …" : ""}`);
  }

  onRoomLeave({ room, player }, own) {
    if (player === own) this.rooms.delete(room);
    this.drawRooms(this.listed ?? []);
  }

  drawRooms(listed) {
    this.listed = listed;
    const others = listed.filter(({ room }) => !this.rooms.has(room));
    const row = (room, count, verb, packet) => element("div", { className: "row" },
      element("span", { textContent: `${room} (${count})` }),
      element("span", {}, button("who", () => this.send("ROOM_MEMBERS", { room })),
        button(verb, () => this.send(packet, { room }))));
    $("rooms-body").replaceChildren(
      ...[...this.rooms].map(([room, count]) => row(room, count, "leave", "ROOM_LEAVE")),
      ...others.map(({ room, members }) => row(room, members, "join", "ROOM_JOIN")),
      ask("Name of a new room", "make", (room) => this.send("ROOM_CREATE", { room })),
    );
  }

  // -- words --------------------------------------------------------------------------------------

  onChat({ channel, sender, target, text }, own) {
    let tag = CHANNELS[channel] ?? "?";
    if (channel === CHANNEL.WHISPER) tag = sender === own ? `to ${target}` : "whispers";
    if (channel === CHANNEL.ROOM) tag = target;
    const line = element("li", { className: `c${channel}` },
      element("span", { className: "tag", textContent: `[${tag}]` }),
      element("strong", { textContent: sender ? `${sender}: ` : "" }), text);
    this.add($("lines"), line);
  }

  // A line of the client's own.
  tell(text) {
    this.add($("lines"), element("li", { className: "bad", textContent: text }));
  }

  event(text) {
    this.add($("event-list"), element("li", { textContent: text }));
  }

  add(list, line) {
    const below = list.scrollHeight - list.scrollTop - list.clientHeight < 30;
    list.append(line);
    while (list.children.length > LINES) list.firstChild.remove();
    if (below) list.scrollTop = list.scrollHeight;
  }
}
