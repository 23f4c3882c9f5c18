// Run by tests/web_client.rs with the web client's scripts beside it: a connection that is lost, put
// off, sent elsewhere, and ended, with sockets of our own. Standard output: what went wrong, if
// anything.

import assert from "node:assert/strict";

import { Connection } from "./connection.js";
import { MESSAGES, PACKETS, decodePacket } from "./codec.js";

const sockets = [];
const waits = [];
globalThis.setInterval = () => 0;
globalThis.setTimeout = (run, wait) => waits.push({ run, wait });
globalThis.clearTimeout = () => {};
globalThis.WebSocket = class {
  static OPEN = 1;
  constructor(url) {
    Object.assign(this, { url, readyState: 0, sent: [] });
    sockets.push(this);
  }
  send(bytes) { this.sent.push(decodePacket(new Uint8Array(bytes))); }
  close() { this.readyState = 3; }
};

// What a server sends, by the client's own tables: only texts, numbers and truths are needed.
function frame(name, values, sequence) {
  const out = [], tag = (number, wire) => out.push(number * 8 + wire);
  const varint = (into, value) => {
    for (; value > 127; value = Math.floor(value / 128)) into.push((value % 128) + 128);
    into.push(value);
  };
  const [kind, message] = PACKETS[name];
  for (const word of MESSAGES[message].split(" ").filter(Boolean)) {
    const [, field, , number] = /^(\w+):(\w+)\*?=(\d+)$/.exec(word);
    if (!(field in values)) continue;
    const value = values[field];
    if (typeof value === "string") {
      tag(Number(number), 2);
      varint(out, value.length);
      out.push(...Buffer.from(value));
    } else {
      tag(Number(number), 0);
      varint(out, Number(value));
    }
  }
  const header = [8], packet = [];
  varint(header, kind);
  for (const [number, value] of [[2, out.length], [3, sequence], [4, 1]]) {
    header.push(number * 8);
    varint(header, value);
  }
  packet.push(10);
  varint(packet, header.length);
  packet.push(...header, 18);
  varint(packet, out.length);
  packet.push(...out);
  return new Uint8Array(packet);
}

const heard = [];
const connection = new Connection("wss://one.test:8088/ws", {
  onPacket: (name) => heard.push(name),
  onState: (state) => heard.push(state),
  onLost: (text) => heard.push(`lost: ${text}`),
});
const last = () => sockets[sockets.length - 1];
const settle = async () => { for (let turn = 0; turn < 5; turn++) await null; };
async function opened() {
  const socket = last();
  socket.readyState = 1;
  socket.onopen();
  await settle();
  return socket;
}
const say = (socket, name, values, sequence) => socket.onmessage({ data: frame(name, values, sequence) });
async function retry() {
  const { run, wait } = waits.pop();
  run();
  return wait;
}

try {
  const opening = connection.open();
  let socket = await opened();
  await opening;
  say(socket, "ENTER_WORLD_RESPONSE", { success: true, resume_token: "first" }, 1);
  assert.equal(connection.state, "playing");

  // A drain: the other gateway's name, our own port.
  say(socket, "REDIRECT", { host: "two.test", port: 8081 }, 2);
  say(socket, "DISCONNECT_NOTICE", { message: "moving", may_resume: true }, 3);
  socket.onclose();
  await retry();
  assert.equal(last().url, "wss://two.test:8088/ws");
  socket = await opened();
  assert.equal(socket.sent[0].name, "RESUME_REQUEST");
  assert.deepEqual([socket.sent[0].body.resume_token, socket.sent[0].body.last_sequence], ["first", 3]);

  // It is not ready yet: tried again with the same token, where the page is from.
  say(socket, "ERROR", { in_reply_to: 1, retry_after_ms: 500, message: "not now" }, 1);
  assert.ok(!heard.some((word) => word.startsWith("lost")));
  assert.ok((await retry()) > 0);
  assert.equal(last().url, "wss://one.test:8088/ws");
  socket = await opened();
  assert.equal(socket.sent[0].body.resume_token, "first");
  say(socket, "RESUME_RESPONSE", { success: true, resume_token: "second" }, 1);
  assert.equal(connection.state, "playing");

  // A token that nobody knows any more ends it.
  socket.onclose();
  await retry();
  socket = await opened();
  assert.equal(socket.sent[0].body.resume_token, "second");
  say(socket, "RESUME_RESPONSE", { error_message: "log in" }, 1);
  assert.deepEqual([heard.at(-1), connection.state], ["lost: log in", "closed"]);
} catch (error) {
  console.log(error.stack);
}
