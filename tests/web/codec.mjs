// Run by tests/web_client.rs with the web client's scripts beside it. Standard input: the packets that
// the server made (hex), and the folder of the definitions. Standard output: what was read, and
// packets that this client made.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { MESSAGES, PACKETS, decodePacket, encodePacket } from "./codec.js";
import { plainSha256, sha256 } from "./sha256.js";

const { folder, packets, requests, texts } = JSON.parse(readFileSync(0, "utf8"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

// The definitions, as codec.js would say them.
function definitions() {
  const enums = {}, bodies = {};
  for (const file of ["packet", "session", "world", "guild", "chat"]) {
    const source = readFileSync(join(folder, `${file}.proto`), "utf8").replace(/\/\/.*/g, "");
    for (const [, kind, name, body] of source.matchAll(/(enum|message) (\w+) \{([^}]*)\}/g)) {
      (kind === "enum" ? enums : bodies)[name] = body;
    }
  }
  const typeOf = (type) => (type === "uint32" || type === "uint64" || enums[type] ? "int" : type);
  const messages = {};
  for (const [name, body] of Object.entries(bodies)) {
    const fields = [...body.matchAll(/(repeated )?(\w+) (\w+) = (\d+)/g)];
    messages[name] = fields.map(([, repeated, type, field, number]) =>
      `${field}:${typeOf(type)}${repeated ? "*" : ""}=${number}`).join(" ");
  }
  const types = {};
  for (const [, name, number] of enums.PacketType.matchAll(/(\w+) = (\d+)/g)) types[name] = Number(number);
  return { messages, types };
}

const { messages, types } = definitions();
delete types.PACKET_TYPE_UNSPECIFIED;
const known = Object.fromEntries(Object.entries(PACKETS).map(([name, [number]]) => [name, number]));
const unknown = Object.values(PACKETS).map(([, message]) => message).filter((name) => !(name in MESSAGES));

const read = packets.map((packet) => {
  const { name, body } = decodePacket(new Uint8Array(Buffer.from(packet, "hex")));
  return { name, body };
});
const written = requests.map(([name, body], place) => hex(encodePacket(name, body, place + 1, 1700000000123)));
const digests = await Promise.all(texts.map(async (text) =>
  [await sha256(text), hex(plainSha256(new TextEncoder().encode(text)))]));

// Bytes that are cut off or shaken must end in an error or a packet, not in a hang.
let survived = 0;
for (const packet of packets) {
  const bytes = new Uint8Array(Buffer.from(packet, "hex"));
  for (let at = 0; at < bytes.length; at += 1) {
    const shaken = bytes.slice();
    shaken[at] ^= 0x55;
    for (const broken of [bytes.subarray(0, at), shaken]) {
      try {
        decodePacket(broken);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
      }
      survived += 1;
    }
  }
}

console.log(JSON.stringify({
  messages: JSON.stringify(messages) === JSON.stringify(MESSAGES) ? [] : Object.keys(messages)
    .filter((name) => messages[name] !== MESSAGES[name]).concat(Object.keys(MESSAGES).filter((name) => !(name in messages))),
  types: JSON.stringify(types) === JSON.stringify(known),
  unknown, read, written, digests, survived,
}));
