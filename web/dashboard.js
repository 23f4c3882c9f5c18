// The operators' dashboard: reads /metrics, /status.json and, beside a master, /cluster once a
// second and shows what they say.
// No library, no address but this server's own. Whatever comes from the server is put in as text,
// never as markup.
"use strict";

const EVERY_MS = 1000;
const KEPT = 120; // two minutes of one value a second
const TICK_BUDGET_MS = 50;
const SVG = "http://www.w3.org/2000/svg";

const history = {}; // name -> values, oldest first
let last = null; // the metrics of the last look, with its time
let master = true; // whether this process plays the master, as far as is known

const at = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const count = (n) => (n < 10000 ? whole.format(n) : short.format(n));

// --- reading -----------------------------------------------------------------------------------

/** Prometheus text to a map: name -> [{ labels, value }]. */
function parseMetrics(text) {
  const found = new Map();
  const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
  const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
  for (const row of text.split("\n")) {
    const match = row.startsWith("#") ? null : line.exec(row);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || "").matchAll(label)) labels[name] = value;
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

const fits = (series, wanted) => Object.entries(wanted).every(([k, v]) => series.labels[k] === v);

/** The sum of all series of a metric that have these labels; undefined if there is none. */
function sum(metrics, name, wanted = {}) {
  const series = (metrics.get(name) || []).filter((s) => fits(s, wanted) && Number.isFinite(s.value));
  return series.length ? series.reduce((total, s) => total + s.value, 0) : undefined;
}

/** What a counter has risen by in a second since the last look. */
function rate(now, name, wanted = {}) {
  const value = sum(now.metrics, name, wanted);
  const before = last ? sum(last.metrics, name, wanted) : undefined;
  if (value === undefined || !last) return undefined;
  // Below what it was: the server has started again.
  const risen = Math.max(value - (before === undefined || before > value ? 0 : before), 0);
  return (risen * 1000) / (now.time - last.time);
}

/** The mean of a histogram's or summary's values since the last look, else since the start. */
function mean(now, name, wanted = {}) {
  const of = (look, part) => (look && sum(look.metrics, name + part, wanted)) || 0;
  const risen = (part) => of(now, part) - of(last, part);
  if (last && risen("_count") > 0) return risen("_sum") / risen("_count");
  const total = of(now, "_count");
  return total > 0 ? of(now, "_sum") / total : undefined;
}

/** A metric's values by one label, largest first. */
function byLabel(metrics, name, label) {
  const totals = new Map();
  for (const { labels, value } of metrics.get(name) || []) {
    const key = labels[label] || "other";
    totals.set(key, (totals.get(key) || 0) + value);
  }
  return [...totals].sort((a, b) => b[1] - a[1]);
}

// --- showing -----------------------------------------------------------------------------------

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function shape(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function words(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

function figure(id, value, unit = "") {
  if (value === undefined) return at(id).replaceChildren("–");
  at(id).replaceChildren(value, ...(unit ? [element("small", "", " " + unit)] : []));
}

/** Keeps a value and draws the last two minutes of it. */
function spark(name, value) {
  const values = (history[name] ||= []);
  if (value === undefined && !values.length) return; // A rate needs a second look.
  values.push(value ?? 0);
  if (values.length > KEPT) values.shift();
  const high = Math.max(...values, 1);
  const points = values.map((v, i) => {
    const x = ((KEPT - values.length + i) / (KEPT - 1)) * 100;
    return `${x.toFixed(2)},${(38 - (v / high) * 32).toFixed(2)}`;
  });
  const start = points[0].split(",")[0];
  const svg = at("spark-" + name);
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(
    shape("polygon", { class: "area", points: `${start},40 ${points.join(" ")} 100,40` }),
    shape("polyline", { class: "stroke", points: points.join(" ") }),
  );
}

function meter(share, text) {
  const part = Math.min(Math.max(share, 0), 1);
  const bar = shape("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none" });
  bar.append(shape("rect", { x: 0, y: 0, width: part * 100, height: 10 }));
  const tone = part >= 0.9 ? " bad" : part >= 0.7 ? " warn" : "";
  return element("div", "meter" + tone, bar, element("span", "", text));
}

function row(...cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const isNumber = typeof cell === "number" || (cell && cell.number !== undefined);
    const content = cell && cell.number !== undefined ? cell.number : cell;
    made.append(element("td", isNumber ? "number" : "", content ?? "–"));
  }
  return made;
}

function rows(id, all, columns, nothing) {
  if (all.length) return at(id).replaceChildren(...all);
  const cell = element("td", "empty", nothing);
  cell.colSpan = columns;
  at(id).replaceChildren(element("tr", "", cell));
}

function pairs(id, entries, nothing) {
  const made = entries.map(([name, value]) => {
    return element("div", "", element("dt", "", name), element("dd", "", value));
  });
  at(id).replaceChildren(...(made.length ? made : [element("p", "", nothing)]));
}

const readable = (key) => key.replace(/^ERROR_/, "").replaceAll("_", " ").toLowerCase();
const perSecond = (n) => (n === undefined ? undefined : count(Math.round(n)));
const millis = (seconds) => {
  if (seconds === undefined) return undefined;
  const ms = seconds * 1000;
  return (ms < 10 ? ms.toFixed(2) : ms.toFixed(0)) + " ms";
};

function bytes(n) {
  if (n === undefined || n === null) return undefined;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return (n < 10 && unit ? n.toFixed(1) : n.toFixed(0)) + " " + units[unit];
}

function duration(seconds) {
  const [days, hours] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

function showHead(status) {
  words("version", "v" + status.version);
  words("roles", status.roles === "all" ? "all roles in one process" : "roles: " + status.roles);
  words("uptime", "up " + duration(status.uptime_seconds));
  const badge = at("state");
  badge.className = "badge " + (status.problems.length ? "warn" : "good");
  words("state", status.problems.length ? "not ready" : "ready");
  const amiss = [...status.problems, ...status.warnings];
  at("problems").hidden = amiss.length === 0;
  at("problems").replaceChildren(...amiss.map((why) => element("li", "", why)));
}

function showTiles(now, cluster) {
  const { metrics } = now;
  const players = cluster ? cluster.players : sum(metrics, "throng_zone_players");
  const npcs = sum(metrics, "throng_zone_npcs");
  figure("players", players === undefined ? undefined : count(players));
  words("players-note", npcs === undefined ? "" : `among ${count(npcs)} NPCs`);
  spark("players", players);

  // Those of other servers are links.
  const ports = byLabel(metrics, "throng_connections", "port").filter(([port]) => port !== "link");
  const connections = ports.length ? ports.reduce((all, [, open]) => all + open, 0) : undefined;
  figure("connections", connections === undefined ? undefined : count(connections));
  const sessions = byLabel(metrics, "throng_sessions", "state").filter(([, n]) => n > 0);
  words("connections-note", sessions.map(([state, n]) => `${count(n)} ${readable(state)}`).join(" · "));
  spark("connections", connections);

  const packets = rate(now, "throng_packets_total", { direction: "in" });
  figure("packets", perSecond(packets), "/s");
  const bytesIn = rate(now, "throng_bytes_total", { direction: "in" });
  words("packets-note", bytesIn === undefined ? "" : `${bytes(bytesIn)}/s`);
  spark("packets", packets);

  const updates = rate(now, "throng_updates_sent_total");
  figure("updates", perSecond(updates), "/s");
  const bytesOut = rate(now, "throng_bytes_total", { direction: "out" });
  const shed = rate(now, "throng_updates_shed_total");
  const less = shed ? ` · ${count(Math.round(shed))}/s put off` : "";
  words("updates-note", bytesOut === undefined ? "" : `${bytes(bytesOut)}/s${less}`);
  spark("updates", updates);

  const linked = cluster ? cluster.servers.filter((s) => s.cpu_percent !== null) : [];
  const alive = linked.filter((s) => s.state !== "dead");
  const cpu = alive.length ? alive.reduce((all, s) => all + s.cpu_percent, 0) : undefined;
  figure("cpu", cpu === undefined ? undefined : cpu.toFixed(0), "% of a core");
  const memory = alive.reduce((all, s) => all + (s.memory_bytes || 0), 0);
  words("cpu-note", memory ? `${bytes(memory)} of memory` : "");
  spark("cpu", cpu);
}

/** Where a zone is, in words: its server, or what is wrong. */
function whereabouts(home, names) {
  if (!home) return ["here"];
  const called = (id) => names.get(id) || "a server that is gone";
  if (home.state === "running") return [called(home.server)];
  if (home.state === "homeless") return [element("span", "badge bad", "runs nowhere")];
  if (home.from) return [`${called(home.from)} → ${called(home.server)} `, element("span", "badge warn", "moving")];
  return [called(home.server) + " ", element("span", "badge warn", "starting")];
}

function showZones(now, status, cluster) {
  const { metrics } = now;
  const labels = (name) => (metrics.get(name) || []).map((s) => s.labels.zone);
  const known = new Map((cluster ? cluster.zones : []).map((z) => [String(z.zone), z]));
  for (const zone of labels("throng_zone_players")) if (!known.has(zone)) known.set(zone, null);
  const names = new Map((cluster ? cluster.servers : []).map((s) => [s.server_id, s.name]));
  const made = [...known].sort((a, b) => Number(a[0]) - Number(b[0])).map(([zone, home]) => {
    const name = status.zone_names[zone] || "zone " + zone;
    const title = element("span", "", element("strong", "", name), element("span", "quiet", " " + zone));
    const tick = mean(now, "throng_zone_tick_seconds", { zone });
    const share = tick === undefined ? undefined : (tick * 1000) / TICK_BUDGET_MS;
    const of = (metric) => {
      const value = sum(metrics, metric, { zone });
      return { number: value === undefined ? "–" : count(value) };
    };
    const seen = home ? home.players : sum(metrics, "throng_zone_players", { zone });
    const dilation = sum(metrics, "throng_zone_dilation", { zone });
    const slow = dilation !== undefined && dilation < 0.995;
    const place = element("span", "", ...whereabouts(home, names));
    if (slow) place.append(" ", element("span", "badge warn", `time × ${dilation.toFixed(2)}`));
    return row(title, place, { number: count(seen) }, of("throng_zone_npcs"), of("throng_zone_items"),
      { number: millis(tick) ?? "–" }, share === undefined ? "–" : meter(share, (share * 100).toFixed(1) + " %"),
      of("throng_zone_overruns_total"));
  });
  rows("zones", made, 8, "No zone runs here, and no master of this process knows one.");
}

const TONES = { alive: "good", suspect: "warn", draining: "warn", dead: "bad" };

function showServers(cluster) {
  const servers = cluster ? cluster.servers : [];
  const facts = cluster && [
    `${servers.filter((s) => s.state === "alive").length} alive`,
    "newcomers by " + cluster.balancing.replaceAll("_", " "),
    cluster.settling && "the master has just started and still hears who is there",
  ];
  words("balancing", facts ? "· " + facts.filter(Boolean).join(" · ") : "");
  const made = servers.map((server) => {
    const title = element("strong", "", server.name);
    const up = server.started_at && "up " + duration(Math.max(Math.floor((Date.now() - server.started_at) / 1000), 0));
    const notes = [server.version && "v" + server.version, server.region, server.source === "http" && "http", up];
    const note = element("span", "quiet", " " + notes.filter(Boolean).join(" · "));
    const does = server.does.length >= 5 ? "all roles" : server.does.join(", ");
    const text = server.text_port ? ` and ${server.text_port}` : "";
    const linked = server.link_port ? `${server.link_host}:${server.link_port}` : server.host || "–";
    const address = server.port ? `${server.host}:${server.port}${text}` : linked;
    const cpu = server.cpu_percent === null ? "–" : server.cpu_percent.toFixed(0) + " %";
    return row(element("span", "", title, note), element("span", "badge " + TONES[server.state], server.state), does,
      address, server.zones.join(", ") || "–", { number: `${count(server.players)} / ${count(server.capacity)}` }, meter(server.load / 100, server.load + " %"),
      { number: cpu }, { number: bytes(server.memory_bytes) ?? "–" }, { number: server.source === "link" ? String(server.links) : "–" },
      { number: (server.silent_ms / 1000).toFixed(1) + " s ago" });
  });
  rows("servers", made, 11, "The cluster is shown by the master, which is not in this process.");
}

function showRest(now) {
  const { metrics } = now;
  const events = byLabel(metrics, "throng_events_total", "kind").filter(([, n]) => n > 0);
  pairs("events", events.map(([kind, n]) => {
    const lately = rate(now, "throng_events_total", { kind });
    const pace = lately === undefined ? "" : ` · ${lately.toFixed(lately < 10 ? 1 : 0)}/s`;
    return [readable(kind), count(n) + pace];
  }), "Nothing has happened yet.");

  const queues = [
    ["log-ins in progress", sum(metrics, "throng_login_queue_depth")],
    ["one log-in takes", millis(mean(now, "throng_login_seconds", { request: "login" }))],
    ["saves waiting", sum(metrics, "throng_save_queue_depth")],
    ["oldest save", millis(sum(metrics, "throng_save_queue_age_seconds"))],
    ["commits a second", perSecond(rate(now, "throng_commits_total"))],
    ["a database operation takes", millis(mean(now, "throng_database_seconds"))],
    ["bytes waiting for clients", bytes(sum(metrics, "throng_outbound_queue_bytes"))],
  ];
  const told = queues.filter(([, value]) => value !== undefined);
  pairs("queues", told.map(([name, n]) => [name, typeof n === "number" ? count(n) : n]), "Nothing is waiting.");

  const errors = [
    ...byLabel(metrics, "throng_errors_total", "code"),
    ...byLabel(metrics, "throng_refusals_total", "reason"),
    ...byLabel(metrics, "throng_connections_refused_total", "reason").map(([why, n]) => ["connection: " + why, n]),
    ["slow clients cut", sum(metrics, "throng_slow_clients_cut_total") ?? 0],
    ["database errors", sum(metrics, "throng_database_errors_total") ?? 0],
  ].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]).slice(0, 10);
  pairs("errors", errors.map(([why, n]) => [readable(why), count(n)]), "Nothing was refused, nothing failed.");
}

// --- the round ---------------------------------------------------------------------------------

async function look() {
  const within = AbortSignal.timeout(4000);
  const [metrics, status, cluster] = await Promise.all([
    fetch("/metrics", { signal: within }).then((answer) => answer.text()),
    fetch("/status.json", { signal: within }).then((answer) => answer.json()),
    // Without a master in this process the page shows this process alone.
    master ? fetch("/cluster", { signal: within }).then((answer) => (answer.ok ? answer.json() : null)) : null,
  ]);
  const now = { time: performance.now(), metrics: parseMetrics(metrics) };
  master = status.roles === "all" || status.roles.split(",").includes("master");
  showHead(status);
  showTiles(now, cluster);
  showZones(now, status, cluster);
  showServers(cluster);
  showRest(now);
  last = now;
}

async function round() {
  const began = performance.now();
  try {
    if (!document.hidden || !last) await look();
  } catch (error) {
    at("state").className = "badge bad";
    words("state", "no answer");
    console.error(error);
  }
  setTimeout(round, Math.max(EVERY_MS - (performance.now() - began), 100));
}

round();
