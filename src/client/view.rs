//! What a client sees: the entities in view, folded from the server's packets, and where each is
//! right now.
//!
//! `Client` feeds it every packet; a game reads it once a picture. Others are shown 100 ms late,
//! between two known places, with the same code that the server looks back with. It sends nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::Event;
use crate::geometry::{Point, Pose, Rect};
use crate::ids::EntityId;
use crate::proto::{self, EntityKind, EventKind};
use crate::tick::TICK_MS;
use crate::world::frame::PackedPosition;
use crate::world::history::History;

/// How late others are shown, ms of their zone's time: two ticks, so that there is nearly always a later place to
/// walk towards.
pub const SHOWN_LATE_MS: u64 = 100;

/// After a pause this long an entity is taken to have stood until one tick before its next
/// record, ms; after a shorter one its record may just have been held back.
const STOOD_MS: u64 = 600;

/// One entity in view.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the server last said of it: name, kind, health and so on.
    pub about: proto::EntityEnter,
    /// Its newest known place. [`WorldView::pose`] tells where to show it.
    pub newest: Pose,
    history: History,
    records: u32,
}

/// All that a client knows of the world around it.
#[derive(Debug, Default)]
pub struct WorldView {
    me: Option<proto::PlayerInfo>,
    zone: Option<proto::ZoneEnter>,
    entities: BTreeMap<EntityId, Seen>,
    /// Zone and handle, as position records name an entity.
    handles: HashMap<(u32, u16), EntityId>,
    clocks: HashMap<u32, ZoneClock>,
}

/// A zone's time as the local clock sees it.
#[derive(Debug)]
struct ZoneClock {
    /// When the last packet came.
    heard: Instant,
    /// Zone milliseconds at that moment: as the quickest packets have it, so that one late packet
    /// doesn't shift what is shown.
    then_ms: f64,
    /// Zone milliseconds per local one since.
    pace: f64,
}

impl WorldView {
    /// The own player as entered and since changed, once it is in the world.
    pub fn me(&self) -> Option<&proto::PlayerInfo> {
        self.me.as_ref()
    }

    /// The zone one is in.
    pub fn zone(&self) -> Option<&proto::ZoneEnter> {
        self.zone.as_ref()
    }

    /// One entity, if it is in view.
    pub fn get(&self, id: EntityId) -> Option<&Seen> {
        self.entities.get(&id)
    }

    /// Everything in view, by rising id.
    pub fn iter(&self) -> impl Iterator<Item = (EntityId, &Seen)> {
        self.entities.iter().map(|(id, seen)| (*id, seen))
    }

    /// How many entities are in view.
    pub fn len(&self) -> usize {
        self.entities.len()
    }

    /// Whether nothing is in view.
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Where to show an entity at `now`: its place [`SHOWN_LATE_MS`] ago.
    pub fn pose(&self, id: EntityId, now: Instant) -> Option<Pose> {
        let seen = self.entities.get(&id)?;
        let shown = self
            .clocks
            .get(&seen.about.zone_id)
            .and_then(|clock| seen.history.at(clock.shown_ms(now), seen.about.speed));
        Some(shown.unwrap_or(seen.newest))
    }

    /// The nearest entity of a kind to the own player, by newest places.
    pub fn nearest(&self, kind: EntityKind) -> Option<(EntityId, &Seen)> {
        let me = self.me.as_ref()?;
        let here = Point { x: me.x, y: me.y };
        self.iter().filter(|(id, seen)| seen.about.kind() == kind && id.0 != me.player_id).min_by(
            |(_, a), (_, b)| {
                let distance = |seen: &Seen| here.distance_squared(seen.newest.at);
                distance(a).total_cmp(&distance(b))
            },
        )
    }

    /// The tick to name in an attack on an entity shown at `now`, and the milliseconds past it:
    /// `CombatAction.view_tick` and `view_ms`. Zeros (which mean "now") while no clock is known.
    pub fn shown_tick(&self, id: EntityId, now: Instant) -> (u64, u32) {
        let clock = self.entities.get(&id).and_then(|seen| self.clocks.get(&seen.about.zone_id));
        let shown = clock.map_or(0, |clock| clock.shown_ms(now));
        (shown / TICK_MS, (shown % TICK_MS) as u32)
    }

    /// Takes in what the server said, received at `now`.
    pub(super) fn fold(&mut self, event: &Event, now: Instant) {
        match event {
            Event::EnterWorld(entered) if entered.success => self.me = entered.player.clone(),
            Event::ZoneEnter(zone) => self.on_zone_enter(zone),
            Event::EntityEnter(entity) => self.on_entity_enter(entity),
            Event::EntityLeave(leave) => self.on_entity_leave(leave),
            Event::SyncPositions(sync) => self.on_positions(sync, now),
            Event::Game(event) if event.kind() == EventKind::EventPlayerDamage => {
                self.on_damage(event);
            }
            Event::Correction(place) => self.set_own_place(place.x, place.y, place.rotation),
            _ => {}
        }
    }

    /// The own player stands here now, by its own word or the server's.
    pub(super) fn set_own_place(&mut self, x: f32, y: f32, rotation: f32) {
        if let Some(me) = &mut self.me {
            (me.x, me.y, me.rotation) = (x, y, rotation);
        }
    }

    fn on_zone_enter(&mut self, zone: &proto::ZoneEnter) {
        if zone.reset {
            self.entities.clear();
            self.handles.clear();
            self.clocks.clear();
        }
        if let Some(me) = &mut self.me {
            me.zone_id = zone.zone_id;
        }
        self.zone = Some(zone.clone());
    }

    fn on_entity_enter(&mut self, entity: &proto::EntityEnter) {
        let id = EntityId(entity.entity_id);
        let place = (entity.zone_id, entity.handle as u16);
        let newest = unpack(entity.position, entity);
        match self.entities.get_mut(&id) {
            // The same one looks different now; its way goes on.
            Some(seen) if (seen.about.zone_id, seen.about.handle as u16) == place => {
                seen.about = entity.clone();
                seen.newest = newest;
            }
            other => {
                if let Some(seen) = other {
                    let old = (seen.about.zone_id, seen.about.handle as u16);
                    if self.handles.get(&old) == Some(&id) {
                        self.handles.remove(&old);
                    }
                }
                let history = History::default();
                let seen = Seen { about: entity.clone(), newest, history, records: 0 };
                self.entities.insert(id, seen);
                self.handles.insert(place, id);
            }
        }
        self.on_own_entity(entity);
    }

    /// The server shows one's own player too: its health and level are news.
    fn on_own_entity(&mut self, entity: &proto::EntityEnter) {
        if let Some(me) = self.me.as_mut().filter(|me| me.player_id == entity.entity_id) {
            (me.level, me.health, me.max_health) = (entity.level, entity.health, entity.max_health);
            me.guild.clone_from(&entity.guild);
        }
    }

    fn on_entity_leave(&mut self, leave: &proto::EntityLeave) {
        let id = EntityId(leave.entity_id);
        // One that another zone has entered since is here still.
        let Some(seen) = self.entities.get(&id) else { return };
        if seen.about.zone_id != leave.zone_id {
            return;
        }
        let place = (seen.about.zone_id, seen.about.handle as u16);
        self.entities.remove(&id);
        if self.handles.get(&place) == Some(&id) {
            self.handles.remove(&place);
        }
    }

    fn on_positions(&mut self, sync: &proto::SyncPositions, now: Instant) {
        let at_ms = sync.tick * TICK_MS;
        let pace = match sync.dilation_percent {
            percent @ 1..100 => f64::from(percent) / 100.0,
            _ => 1.0,
        };
        self.clocks
            .entry(sync.zone_id)
            .and_modify(|clock| clock.hear(at_ms, pace, now))
            .or_insert_with(|| ZoneClock { heard: now, then_ms: at_ms as f64, pace });
        for record in &sync.records {
            let handle = PackedPosition(*record).handle().0;
            let Some(id) = self.handles.get(&(sync.zone_id, handle)) else { continue };
            if let Some(seen) = self.entities.get_mut(id) {
                seen.record(at_ms, unpack(*record, &seen.about));
            }
        }
    }

    fn on_damage(&mut self, event: &proto::GameEvent) {
        if let Some(seen) = self.entities.get_mut(&EntityId(event.target_id)) {
            seen.about.health = event.remaining;
        }
        if let Some(me) = self.me.as_mut().filter(|me| me.player_id == event.target_id) {
            me.health = event.remaining;
        }
    }
}

impl Seen {
    fn record(&mut self, at_ms: u64, pose: Pose) {
        if let Some((last_ms, last)) = self.history.last()
            && at_ms > last_ms + STOOD_MS
        {
            self.records = self.records.wrapping_add(1);
            self.history.push(self.records, at_ms - TICK_MS, last);
        }
        self.records = self.records.wrapping_add(1);
        self.history.push(self.records, at_ms, pose);
        self.newest = pose;
    }
}

impl ZoneClock {
    /// How fast the estimate gives way to packets that come later than the quickest: a clock may
    /// run slow.
    const GIVE_WAY: f64 = 0.02;

    fn hear(&mut self, zone_ms: u64, pace: f64, now: Instant) {
        let (heard, reckoned) = (zone_ms as f64, self.zone_ms(now));
        let late = heard <= reckoned;
        self.then_ms = if late { reckoned + (heard - reckoned) * Self::GIVE_WAY } else { heard };
        (self.heard, self.pace) = (now, pace);
    }

    fn zone_ms(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.heard).as_secs_f64() * 1_000.0;
        self.then_ms + since * self.pace
    }

    /// The zone's millisecond that is shown at `now`.
    fn shown_ms(&self, now: Instant) -> u64 {
        (self.zone_ms(now) - SHOWN_LATE_MS as f64).max(0.0) as u64
    }
}

/// A packed place of an entity, unpacked with the origin that it was entered with.
fn unpack(packed: u64, entity: &proto::EntityEnter) -> Pose {
    let (min_x, min_y) = (entity.origin_x, entity.origin_y);
    PackedPosition(packed).pose(&Rect { min_x, min_y, max_x: min_x, max_y: min_y })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tick;
    use crate::world::entity::Handle;

    const BOUNDS: Rect = Rect { min_x: -100.0, min_y: -100.0, max_x: 100.0, max_y: 100.0 };

    fn packed(handle: u16, x: f32, y: f32) -> u64 {
        PackedPosition::pack(Handle(handle), Pose { at: Point { x, y }, rotation: 90.0 }, &BOUNDS).0
    }

    fn enter(id: u64, zone: u32, handle: u16, x: f32) -> Event {
        Event::EntityEnter(proto::EntityEnter {
            entity_id: id,
            kind: EntityKind::EntityPlayer as i32,
            speed: 5.0,
            zone_id: zone,
            handle: u32::from(handle),
            position: packed(handle, x, 0.0),
            origin_x: BOUNDS.min_x,
            origin_y: BOUNDS.min_y,
            ..Default::default()
        })
    }

    fn sync(zone: u32, tick: u64, records: &[u64]) -> Event {
        let records = records.to_vec();
        Event::SyncPositions(proto::SyncPositions {
            zone_id: zone,
            tick,
            records,
            ..Default::default()
        })
    }

    fn leave(id: u64, zone: u32) -> Event {
        Event::EntityLeave(proto::EntityLeave { entity_id: id, zone_id: zone })
    }

    #[test]
    fn an_entity_is_shown_where_it_was_100_ms_ago() {
        let (mut view, start) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), start);
        assert_eq!(view.pose(EntityId(7), start).unwrap().at.x, 0.0);
        for step in 0..=4u64 {
            let now = start + Duration::from_millis(step * TICK_MS);
            view.fold(&sync(1, 100 + step, &[packed(3, step as f32 * 0.25, 0.0)]), now);
        }
        let shown = view.pose(EntityId(7), start + Duration::from_millis(225)).unwrap();
        assert!((shown.at.x - 0.625).abs() < 0.02, "half way between ticks 102 and 103: {shown:?}");
        assert!((shown.rotation - 90.0).abs() < 1.0);
        assert_eq!(view.get(EntityId(7)).unwrap().newest.at.x, 1.0);
        assert_eq!(view.shown_tick(EntityId(7), start + Duration::from_millis(225)), (102, 25));
    }

    #[test]
    fn one_that_stood_does_not_creep_through_its_pause() {
        let (mut view, start) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), start);
        view.fold(&sync(1, 100, &[packed(3, 0.0, 0.0)]), start);
        let late = start + Duration::from_millis(40 * TICK_MS);
        view.fold(&sync(1, 140, &[packed(3, 0.25, 0.0)]), late);
        let shown = view.pose(EntityId(7), late + Duration::from_millis(25)).unwrap();
        assert_eq!(shown.at.x, 0.0, "it set out in the last tick only");
        let shown = view.pose(EntityId(7), late + Duration::from_millis(75)).unwrap();
        assert!((shown.at.x - 0.125).abs() < 0.02, "{shown:?}");
    }

    #[test]
    fn a_leave_of_the_old_zone_does_not_take_one_that_has_crossed() {
        let (mut view, now) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), now);
        view.fold(&enter(7, 2, 9, 1.0), now);
        view.fold(&leave(7, 1), now);
        assert_eq!(view.len(), 1);
        view.fold(&sync(1, 5, &[packed(3, 50.0, 0.0)]), now);
        assert_eq!(view.get(EntityId(7)).unwrap().newest.at.x, 1.0, "the old handle is dead");
        view.fold(&sync(2, 5, &[packed(9, 2.0, 0.0)]), now);
        assert_eq!(view.get(EntityId(7)).unwrap().newest.at.x, 2.0);
        view.fold(&leave(7, 2), now);
        assert!(view.is_empty());
    }

    #[test]
    fn a_handle_given_to_another_names_the_other() {
        let (mut view, now) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), now);
        view.fold(&enter(8, 1, 3, 5.0), now);
        view.fold(&leave(7, 1), now);
        view.fold(&sync(1, 9, &[packed(3, 6.0, 0.0)]), now);
        assert_eq!(view.get(EntityId(8)).unwrap().newest.at.x, 6.0);
    }

    #[test]
    fn a_reset_forgets_everything() {
        let (mut view, now) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), now);
        let zone = proto::ZoneEnter { zone_id: 2, reset: false, ..Default::default() };
        view.fold(&Event::ZoneEnter(zone.clone()), now);
        assert_eq!(view.len(), 1, "over a border what is in view stays");
        view.fold(&Event::ZoneEnter(proto::ZoneEnter { reset: true, ..zone }), now);
        assert!(view.is_empty());
        assert_eq!(view.zone().unwrap().zone_id, 2);
    }

    #[test]
    fn a_zone_that_slows_down_is_followed() {
        let start = tick::now();
        let mut clock = ZoneClock { heard: start, then_ms: 0.0, pace: 1.0 };
        for beat in 1..=400u64 {
            clock.hear(beat * TICK_MS, 1.0, start + Duration::from_millis(beat * 2 * TICK_MS));
        }
        let end = start + Duration::from_millis(400 * 2 * TICK_MS);
        let shown = clock.shown_ms(end);
        assert!(shown < 400 * TICK_MS + 3_000, "{shown}");
    }

    #[test]
    fn a_zone_that_says_how_slow_it_is_is_shown_without_a_lurch() {
        let start = tick::now();
        let mut clock = ZoneClock { heard: start, then_ms: 5_000.0, pace: 0.25 };
        for beat in 1..=20u64 {
            // Each tick lasts 200 ms; half way to the next one half of it has passed.
            let now = start + Duration::from_millis(beat * 200);
            clock.hear(5_000 + beat * TICK_MS, 0.25, now);
            let shown = clock.shown_ms(now + Duration::from_millis(100));
            assert_eq!(shown, 5_000 + beat * TICK_MS + 25 - SHOWN_LATE_MS);
        }
    }

    #[test]
    fn health_is_what_was_told_last() {
        let (mut view, now) = (WorldView::default(), tick::now());
        view.fold(&enter(7, 1, 3, 0.0), now);
        let blow = proto::GameEvent {
            kind: EventKind::EventPlayerDamage as i32,
            target_id: 7,
            remaining: 40,
            ..Default::default()
        };
        view.fold(&Event::Game(blow), now);
        assert_eq!(view.get(EntityId(7)).unwrap().about.health, 40);
        let Event::EntityEnter(mut healed) = enter(7, 1, 3, 0.0) else { unreachable!() };
        healed.health = 95;
        view.fold(&Event::EntityEnter(healed), now);
        assert_eq!(view.get(EntityId(7)).unwrap().about.health, 95);
    }
}
