// One session with the server over WebSocket: sequence numbers, heartbeats, and going on with the
// session when the connection breaks. What packets mean is decided elsewhere: see `handlers`.

import { decodePacket, encodePacket } from "./codec.js";

const HEARTBEAT_MS = 5000;
const SILENCE_MS = 15000;   // without a packet: the connection is dead, whatever the browser thinks
const RESUME_MS = 55000;    // the server keeps a lost session for 60 s
const RETRY_MS = [200, 500, 1000, 2000, 4000];

export class Connection {
  // handlers: onPacket(name, body, header), onState(state), and onLost(text) when a session is over.
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.elsewhere = "";      // where REDIRECT sends us
    this.resumeToken = "";
    this.state = "closed";
    this.asked = new Map();
    setInterval(() => this.beat(), 1000);
  }

  // Opens a connection for a new log-in; resolves once it is open.
  open() {
    this.abandon();
    this.resumeToken = this.elsewhere = "";
    return this.connect(this.url);
  }

  // Goes on with a session of before, perhaps of before a reload.
  resume(token, received) {
    this.resumeToken = token;
    this.received = received;
    this.lostAt = Date.now();
    this.tries = 0;
    this.again();
  }

  connect(url) {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url);
      socket.binaryType = "arraybuffer";
      this.socket = socket;
      socket.onopen = () => {
        this.sent = 0;
        this.heardAt = this.beatAt = Date.now();
        this.asked.clear();
        this.become("open");
        resolve();
      };
      socket.onmessage = (event) => { if (socket === this.socket) this.read(event.data); };
      socket.onerror = () => reject(new Error("the server cannot be reached"));
      socket.onclose = () => { if (socket === this.socket) this.broken(); };
    });
  }

  // Sends one packet; gives its sequence, by which ERROR names it.
  send(name, values = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) return 0;
    this.sent += 1;
    this.socket.send(encodePacket(name, values, this.sent, Date.now()));
    this.asked.set(this.sent, name);
    if (this.asked.size > 200) this.asked.delete(this.asked.keys().next().value);
    return this.sent;
  }

  // What the packet with that sequence was.
  nameOf(sequence) {
    return this.asked.get(sequence) ?? "";
  }

  read(data) {
    let packet;
    try {
      packet = decodePacket(new Uint8Array(data));
    } catch (error) {
      console.error("a packet cannot be read:", error);
      return;
    }
    this.heardAt = Date.now();
    if (this.state === "playing") this.received = packet.header.sequence;
    const { name, header, body } = packet;
    if (name === "HEARTBEAT_RESPONSE") {
      const trip = Date.now() - body.client_time;
      this.latency = this.latency === undefined ? trip : this.latency * 0.7 + trip * 0.3;
    } else if (name === "ENTER_WORLD_RESPONSE" && body.success) {
      this.playing(header, body.resume_token);
    } else if (name === "RESUME_RESPONSE") {
      if (!body.success) return this.lost(body.error_message);
      this.playing(header, body.resume_token);
    } else if (name === "ERROR" && this.nameOf(body.in_reply_to) === "RESUME_REQUEST") {
      // Not now: tried again, unless it would be said again.
      return body.retry_after_ms ? this.broken() : this.lost(body.message);
    } else if (name === "REDIRECT") {
      // It names the port for packets; ours is that of this page, on every gateway alike.
      const to = new URL(this.url);
      to.hostname = body.host.includes(":") ? `[${body.host}]` : body.host;
      this.elsewhere = to.href;
    } else if (name === "DISCONNECT_NOTICE" && !body.may_resume) {
      this.lost(body.message);
    } else if (name === "LOGOUT_RESPONSE") {
      this.lost("");
    }
    if (body) this.handlers.onPacket(name, body, header);
  }

  playing(header, token) {
    this.resumeToken = token;
    this.received = header.sequence;
    this.become("playing");
  }

  beat() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const now = Date.now();
    if (now - this.heardAt > SILENCE_MS) {
      this.broken();
    } else if (now - this.beatAt >= HEARTBEAT_MS) {
      this.beatAt = now;
      this.send("HEARTBEAT_REQUEST", { client_time: now });
    }
  }

  // The connection is gone. A session that was played goes on over a new one.
  broken() {
    this.abandon();
    if (!this.resumeToken) {
      this.become("closed");
      return;
    }
    if (this.state === "playing") {
      this.lostAt = Date.now();
      this.tries = 0;
    }
    this.again();
  }

  again() {
    if (Date.now() - this.lostAt > RESUME_MS) return this.lost("the connection was lost for too long");
    this.become("resuming");
    const wait = RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2);
    // By turns where we were sent and where this page is from, which may be many gateways' address.
    const url = this.elsewhere && this.tries % 2 === 0 ? this.elsewhere : this.url;
    this.tries += 1;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(url).then(
      () => this.send("RESUME_REQUEST", {
        resume_token: this.resumeToken, last_sequence: this.received,
      }),
      () => {},                       // `onclose` follows and tries again
    ), wait);
  }

  // The session is over.
  lost(text) {
    this.abandon();
    this.resumeToken = "";
    this.become("closed");
    this.handlers.onLost(text);
  }

  abandon() {
    clearTimeout(this.timer);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.handlers.onState(state);
  }
}
