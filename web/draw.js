// Draws the world on a canvas: ground, borders, everything in view, and what just happened. It
// reads the world and changes nothing in it.

import { KIND } from "./world.js";

const FLOAT_MS = 1200;
const SIZE = { [KIND.PLAYER]: 0.7, [KIND.NPC]: 0.7, [KIND.ITEM]: 0.35 };

function hashOf(word) {
  let hash = 2166136261;
  for (const letter of word) hash = Math.imul(hash ^ letter.codePointAt(0), 16777619);
  return hash >>> 0;
}

// A colour of its own for each word.
function colourOf(word, lightness) {
  return `hsl(${hashOf(word) % 360} 60% ${lightness}%)`;
}

// Grass, moss or water: a dark ground of its own for each zone.
function groundOf(word) {
  return `hsl(${85 + (hashOf(word) % 120)} 26% 12%)`;
}

export class Picture {
  constructor(canvas, world) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.world = world;
    this.scale = 10;            // pixels a metre
    this.eye = { x: 0, y: 0 };
    this.floats = [];
    this.marks = [];
    this.target = 0;
  }

  zoom(factor) {
    this.scale = Math.min(Math.max(this.scale * factor, 4), 30);
  }

  // A word that rises from an entity or a place.
  float(at, text, colour) {
    this.floats.push({ at, text, colour, since: performance.now() });
    if (this.floats.length > 60) this.floats.shift();
  }

  mark(at) {
    this.marks = [{ at, since: performance.now() }];
  }

  toScreen({ x, y }) {
    return {
      x: this.width / 2 + (x - this.eye.x) * this.scale,
      y: this.height / 2 - (y - this.eye.y) * this.scale,
    };
  }

  toWorld(x, y) {
    return {
      x: this.eye.x + (x - this.width / 2) / this.scale,
      y: this.eye.y - (y - this.height / 2) / this.scale,
    };
  }

  // What is under a point of the screen, the player itself left out.
  entityAt(x, y) {
    let best = null, least = 22;
    for (const entity of this.world.entities.values()) {
      if (entity.id === this.world.self || entity.dead) continue;
      const at = this.toScreen(this.world.place(entity));
      const away = Math.hypot(at.x - x, at.y - y) - SIZE[entity.kind] * this.scale;
      if (away < least) [best, least] = [entity, away];
    }
    return best;
  }

  draw() {
    this.fit();
    const { pen, world } = this;
    const me = world.me;
    if (me) {
      const { x, y } = world.place(me);
      this.eye = { x, y };
    }
    pen.fillStyle = "#10161a";
    pen.fillRect(0, 0, this.width, this.height);
    for (const zone of world.zones.values()) this.drawZone(zone);
    this.drawGrid();
    this.drawMarks();
    const order = [...world.entities.values()].sort((a, b) => b.kind - a.kind);
    for (const entity of order) this.drawEntity(entity);
    this.drawFloats();
  }

  fit() {
    const { canvas } = this;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  drawZone(zone) {
    const a = this.toScreen({ x: zone.min_x, y: zone.max_y });
    const b = this.toScreen({ x: zone.max_x, y: zone.min_y });
    const { pen } = this;
    pen.fillStyle = zone.pvp ? "#2a1a1c" : groundOf(zone.name);
    pen.fillRect(a.x, a.y, b.x - a.x, b.y - a.y);
    pen.strokeStyle = zone.pvp ? "#c0555f" : "#56707a";
    pen.lineWidth = 2;
    pen.setLineDash([10, 6]);
    pen.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
    pen.setLineDash([]);
  }

  drawGrid() {
    const { pen } = this;
    const low = this.toWorld(0, this.height), high = this.toWorld(this.width, 0);
    pen.strokeStyle = "#ffffff12";
    pen.lineWidth = 1;
    pen.beginPath();
    for (let x = Math.ceil(low.x / 10) * 10; x <= high.x; x += 10) {
      const at = Math.round(this.toScreen({ x, y: 0 }).x) + 0.5;
      pen.moveTo(at, 0);
      pen.lineTo(at, this.height);
    }
    for (let y = Math.ceil(low.y / 10) * 10; y <= high.y; y += 10) {
      const at = Math.round(this.toScreen({ x: 0, y }).y) + 0.5;
      pen.moveTo(0, at);
      pen.lineTo(this.width, at);
    }
    pen.stroke();
  }

  drawMarks() {
    const now = performance.now();
    this.marks = this.marks.filter((mark) => now - mark.since < 600);
    for (const { at, since } of this.marks) {
      const spot = this.toScreen(at), part = (now - since) / 600;
      this.pen.strokeStyle = `rgb(255 255 255 / ${0.7 * (1 - part)})`;
      this.pen.lineWidth = 2;
      this.circle(spot, 4 + 10 * part);
      this.pen.stroke();
    }
  }

  drawEntity(entity) {
    const place = this.world.place(entity), at = this.toScreen(place);
    const size = SIZE[entity.kind] * this.scale;
    if (at.x < -80 || at.y < -80 || at.x > this.width + 80 || at.y > this.height + 80) return;
    const { pen } = this;
    pen.globalAlpha = entity.dead ? 0.35 : 1;
    if (entity.id === this.target) {
      pen.strokeStyle = "#ff9f43";
      pen.lineWidth = 2;
      this.circle(at, size + 5);
      pen.stroke();
    }
    if (entity.kind === KIND.ITEM) this.drawItem(entity, at, size);
    else this.drawBody(entity, at, size, place.rotation);
    pen.globalAlpha = 1;
  }

  drawItem(entity, at, size) {
    const { pen } = this;
    pen.fillStyle = colourOf(entity.template, 70);
    pen.beginPath();
    pen.moveTo(at.x, at.y - size);
    pen.lineTo(at.x + size, at.y);
    pen.lineTo(at.x, at.y + size);
    pen.lineTo(at.x - size, at.y);
    pen.fill();
    const count = entity.quantity > 1 ? ` ×${entity.quantity}` : "";
    this.label(entity.name + count, { x: at.x, y: at.y + size + 11 }, "#ffffff80", 10);
  }

  drawBody(entity, at, size, rotation) {
    const { pen } = this;
    const own = entity.id === this.world.self, player = entity.kind === KIND.PLAYER;
    pen.fillStyle = own ? "#6c9cff" : player ? colourOf(entity.name, 66) : colourOf(entity.template, 52);
    this.circle(at, size);
    pen.fill();
    pen.strokeStyle = own ? "#ffffff" : player ? "#ffffffb0" : "#00000080";
    pen.lineWidth = own ? 2 : 1.5;
    pen.stroke();
    const turn = (rotation * Math.PI) / 180;
    pen.beginPath();
    pen.moveTo(at.x, at.y);
    pen.lineTo(at.x + Math.cos(turn) * size * 1.5, at.y - Math.sin(turn) * size * 1.5);
    pen.stroke();
    const guild = entity.guild ? ` ‹${entity.guild}›` : "";
    const colour = own ? "#ffffff" : player ? "#dfe8ff" : "#c9c2a5";
    this.label(`${entity.name} ${entity.level}${guild}`, { x: at.x, y: at.y - size - 11 }, colour, 12);
    if (entity.health < entity.maxHealth || own || entity.id === this.target) {
      this.drawBar({ x: at.x, y: at.y - size - 8 }, entity.health / Math.max(entity.maxHealth, 1));
    }
  }

  drawBar(at, part) {
    const { pen } = this;
    pen.fillStyle = "#000000a0";
    pen.fillRect(at.x - 19, at.y, 38, 5);
    pen.fillStyle = part > 0.5 ? "#4fd18b" : part > 0.25 ? "#f0b35e" : "#ff6b75";
    pen.fillRect(at.x - 18, at.y + 1, 36 * Math.min(Math.max(part, 0), 1), 3);
  }

  drawFloats() {
    const now = performance.now();
    this.floats = this.floats.filter((float) => now - float.since < FLOAT_MS);
    for (const { at, text, colour, since } of this.floats) {
      const part = (now - since) / FLOAT_MS;
      const entity = this.world.entities.get(at.id);
      const spot = this.toScreen(entity ? this.world.place(entity) : at);
      this.pen.globalAlpha = 1 - part * part;
      this.label(text, { x: spot.x, y: spot.y - 18 - part * 30 }, colour, 15);
      this.pen.globalAlpha = 1;
    }
  }

  circle(at, radius) {
    this.pen.beginPath();
    this.pen.arc(at.x, at.y, radius, 0, Math.PI * 2);
  }

  label(text, at, colour, size) {
    const { pen } = this;
    pen.font = `600 ${size}px system-ui, sans-serif`;
    pen.textAlign = "center";
    pen.lineWidth = 3;
    pen.strokeStyle = "#000000a0";
    pen.strokeText(text, at.x, at.y);
    pen.fillStyle = colour;
    pen.fillText(text, at.x, at.y);
  }
}
