// What this client knows of the world: entities in view with their last places, the zones it has
// seen, and where everything is to be drawn. The picture is two ticks behind (100 ms, more in a zone
// whose time runs slow), so that there are places on both sides to interpolate between.

export const KIND = { PLAYER: 1, NPC: 2, ITEM: 3 };
const BEHIND_TICKS = 2;
const EXTRAPOLATE_MS = 200;
const SAMPLES = 8;
const TICK_MS = 50;

export class World {
  constructor() {
    this.zones = new Map();
    this.self = 0;
    this.reset();
  }

  reset() {
    this.entities = new Map();
    this.handles = new Map();    // "zone:handle" -> entity id
    this.clocks = new Map();     // zone -> its last tick, this machine's ms then, a tick's length
  }

  get me() {
    return this.entities.get(this.self);
  }

  onZoneEnter(zone) {
    if (zone.reset) this.reset();
    this.zones.set(zone.zone_id, zone);
    this.zone = zone;
  }

  onEnter(body) {
    const { entity_id: id, zone_id: zone, handle, position } = body;
    const known = this.entities.get(id);
    const entity = known ?? { id, samples: [], seenAt: performance.now() };
    const moved = entity.zone !== zone;
    Object.assign(entity, {
      kind: body.kind, name: body.name, template: body.template, level: body.level,
      health: body.health, maxHealth: body.max_health, guild: body.guild,
      quantity: body.quantity, speed: body.speed, zone, handle,
      origin: { x: body.origin_x, y: body.origin_y },
    });
    if (entity.health > 0) entity.dead = false;
    this.entities.set(id, entity);
    this.handles.set(`${zone}:${handle}`, id);
    // The same packet tells of a change; only one that comes with a new zone, or with a new
    // entity, brings a place that SYNC_POSITIONS has not told.
    if (position && (!known || moved)) this.sample(entity, performance.now(), position);
  }

  onLeave({ entity_id: id, zone_id: zone }) {
    const entity = this.entities.get(id);
    if (entity?.zone !== zone) return;
    this.entities.delete(id);
    this.handles.delete(`${zone}:${entity.handle}`);
  }

  onPositions({ zone_id: zone, tick, records, dilation_percent: percent }) {
    const at = this.clock(zone, tick, (TICK_MS * 100) / (percent || 100));
    for (const record of records) {
      const entity = this.entities.get(this.handles.get(`${zone}:${record.handle}`));
      if (entity?.zone === zone) this.sample(entity, at, record);
    }
  }

  // When that tick of the zone was by this machine's clock, as seen through the quickest packet; it
  // may creep up, so that a machine whose clock runs slow is not left behind. `length`: of the ticks
  // to come, ms.
  clock(zone, tick, length) {
    const seen = performance.now();
    const before = this.clocks.get(zone);
    const reckoned = before && before.at + (tick - before.tick) * before.length;
    const jumped = !before || Math.abs(seen - reckoned) > 1000;
    const at = jumped ? seen : Math.min(seen, reckoned + 0.2);
    this.clocks.set(zone, { tick, at, length });
    return at;
  }

  tickOf(entity) {
    return this.clocks.get(entity.zone)?.length ?? TICK_MS;
  }

  sample(entity, at, { x, y, rotation }) {
    const { samples } = entity;
    const place = { at, x: entity.origin.x + x, y: entity.origin.y + y, rotation };
    const last = samples.at(-1);
    if (last && at <= last.at) samples.pop();
    // Standing still is not told: without this, the first step would be a slow slide.
    else if (last && at - last.at > 3 * this.tickOf(entity)) {
      samples.push({ ...last, at: at - this.tickOf(entity) });
    }
    samples.push(place);
    while (samples.length > SAMPLES) samples.shift();
  }

  // Where the entity is to be drawn.
  place(entity) {
    const tick = this.tickOf(entity);
    const now = performance.now() - BEHIND_TICKS * tick;
    const { samples } = entity;
    let after = samples.length - 1;
    while (after > 0 && samples[after - 1].at >= now) after -= 1;
    const b = samples[after];
    if (!b) return { x: 0, y: 0, rotation: 0 };
    if (after === 0) return b;
    const a = samples[after - 1];
    const limit = 1 + EXTRAPOLATE_MS / Math.max(b.at - a.at, 1);
    // A stop is not told either: what stands for two ticks is where it was last.
    const stands = now - b.at > 2 * tick;
    const part = stands ? 1 : Math.min((now - a.at) / Math.max(b.at - a.at, 1), limit);
    const far = Math.hypot(b.x - a.x, b.y - a.y) > 20;
    if (far) return b;
    const turn = ((b.rotation - a.rotation + 540) % 360) - 180;
    return {
      x: a.x + (b.x - a.x) * part,
      y: a.y + (b.y - a.y) * part,
      rotation: a.rotation + turn * Math.min(part, 1),
    };
  }

  // The tick that is shown of the entity's zone, for lag compensation.
  shown(entity) {
    const clock = this.clocks.get(entity.zone);
    if (clock === undefined) return {};
    const since = (performance.now() - clock.at) / clock.length - BEHIND_TICKS;
    const ticks = Math.max(clock.tick + since, 0);
    return { view_tick: Math.floor(ticks), view_ms: Math.floor((ticks % 1) * TICK_MS) };
  }

  distance(entity) {
    const me = this.me;
    if (!me) return Infinity;
    const a = this.place(me), b = this.place(entity);
    return Math.hypot(b.x - a.x, b.y - a.y);
  }
}
