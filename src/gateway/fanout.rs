//! The heart of the speed: one frame of a zone to every session that sees some of it.
//!
//! For each session and tick: bring its views up to date, put leaves, enters, changed positions
//! and events in range into one buffer behind what already waited, and write once. Bytes are
//! copied, never encoded, here; nothing is locked, looked up by name or woken.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::feed::Feed;
use super::outlet::Outlet;
use super::session::{Conn, Playing, State};
use super::set_outs::emit_set_outs;
use super::shard::GatewayService;
use super::talk::FromShard;
use crate::geometry::Point;
use crate::ids::{EntityId, SessionKey, ZoneId};
use crate::limits::LEAVE_RADIUS;
use crate::msg::frame::EncodedFrame;
use crate::net::{CloseReason, ConnId, Io, Written};
use crate::proto::PacketType;
use crate::protocol::server;
use crate::tick::TICK_MS;
use crate::world::content::Content;
use crate::world::entity::Handle;
use crate::world::event::Audience;
use crate::world::interest::{Look, View};

/// Bytes of one position record.
const RECORD: usize = 9;
/// Bytes that an entity's coming into view is reckoned to cost.
const ENTER_COST: usize = 64;
/// Entities that may always come into view, however little budget is left.
const NEWCOMERS_MIN: usize = 8;
/// Frames after which a session's player that is not in them is looked for: 3 s.
const ABSENT_TICKS: u32 = 60;
/// Buffers of waiting packets larger than this are given back once empty: a few packets, for there
/// is one for each session.
pub(super) const PENDING_KEPT: usize = 512;

/// Buffers that every session uses in turn.
#[derive(Default)]
pub(super) struct Scratch {
    look: Look,
    header: Vec<u8>,
    records: Vec<u8>,
    out: Vec<u8>,
    /// Who left a view for another zone.
    crossed: Vec<EntityId>,
    /// Zones that sessions have begun to see: to be watched from now on.
    opened: Vec<(ZoneId, usize)>,
    /// Sessions whose player has not been in its zone for a while.
    missing: Vec<SessionKey>,
}

/// What a shard counts in plain integers and publishes once a second.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub updates_sent: u64,
    pub updates_shed: u64,
    pub frames_passed_over: u64,
}

/// What one session's turn needs of its shard.
struct Turn<'a> {
    feeds: &'a BTreeMap<ZoneId, Feed>,
    content: &'a Content,
    scratch: &'a mut Scratch,
    tally: &'a mut Tally,
    /// Ticks between two position lines on the text port.
    text_period: u64,
}

impl GatewayService {
    /// A zone's tick: each session that follows it has its turn.
    pub(super) fn on_zone_frame(&mut self, io: &mut Io<'_>, frame: Arc<EncodedFrame>) {
        let zone = frame.frame.zone;
        match self.feeds.get_mut(&zone) {
            Some(feed) => feed.advance(frame, io.now()),
            None => {
                self.feeds.insert(zone, Feed::new(frame, io.now()));
            }
        }
        let Some(feed) = self.feeds.get(&zone) else { return };
        let mut watchers = self.watchers.remove(&zone).unwrap_or_default();
        let text_hz = self.shared.config.text_sync_hz.max(1);
        let mut turn = Turn {
            feeds: &self.feeds,
            content: &self.shared.content,
            scratch: &mut self.scratch,
            tally: &mut self.tally,
            text_period: (1_000 / TICK_MS / text_hz).max(1),
        };
        watchers.retain(|&index| match self.conns.get_mut(index) {
            Some(Some(conn)) => turn.take(io, feed, index, conn),
            _ => false,
        });
        self.watchers.insert(zone, watchers);
        for (zone, index) in self.scratch.opened.drain(..) {
            let watchers = self.watchers.entry(zone).or_default();
            // A view that was closed and opened again since that zone's last frame is there still;
            // twice there, it would be told everything twice.
            if !watchers.contains(&index) {
                watchers.push(index);
            }
        }
        for session in std::mem::take(&mut self.scratch.missing) {
            self.report(FromShard::Missing { session });
        }
    }
}

impl GatewayService {
    /// A frame that a later one of the same zone stands behind already: what happened in it is told
    /// with that one, and nothing is looked at twice. So a shard that is late catches up.
    pub(super) fn pass_over(&mut self, io: &Io<'_>, frame: Arc<EncodedFrame>) {
        let zone = frame.frame.zone;
        let Some(feed) = self.feeds.get_mut(&zone) else {
            self.feeds.insert(zone, Feed::new(frame, io.now()));
            return;
        };
        feed.advance(frame.clone(), io.now());
        self.tally.frames_passed_over += 1;
        for &index in self.watchers.get(&zone).into_iter().flatten() {
            let Some(Some(conn)) = self.conns.get_mut(index) else { continue };
            let Conn { state: State::InWorld(playing), outlet, pending, .. } = &mut **conn else {
                continue;
            };
            if let Some(view) = playing.views.iter_mut().find(|view| view.zone == zone) {
                view.pass_over(&frame.frame);
            }
            if playing.follows(zone) {
                emit_events(playing, &frame, outlet, pending);
            }
        }
    }
}

impl Turn<'_> {
    /// One session's turn. False: the zone is no business of it any more.
    fn take(&mut self, io: &mut Io<'_>, feed: &Feed, index: usize, conn: &mut Conn) -> bool {
        let zone = feed.frame.frame.zone;
        let Conn { id, state: State::InWorld(playing), outlet, pending, .. } = conn else {
            return false;
        };
        if !playing.follows(zone) {
            return false;
        }
        let waiting = io.waiting(*id) > 0;
        if playing.zone != zone {
            if !waiting && !playing.reset {
                self.look_over_border(feed, playing, outlet, pending);
                emit_set_outs(playing, &feed.frame, outlet, pending);
            }
            emit_events(playing, &feed.frame, outlet, pending);
            return true;
        }
        let this = (zone, feed.frame.frame.tick);
        if playing.told.replace(this) == Some(this) {
            return true;
        }
        let mut out = std::mem::take(&mut self.scratch.out);
        out.clear();
        out.append(pending);
        if pending.capacity() > PENDING_KEPT {
            *pending = Vec::new();
        }
        if find_eye(playing, &feed.frame) {
            playing.absent = 0;
        } else {
            playing.absent += 1;
            if playing.absent.is_multiple_of(ABSENT_TICKS) {
                self.scratch.missing.push(playing.session);
            }
        }
        if !waiting {
            self.tell_views(index, feed, playing, outlet, &mut out);
            emit_set_outs(playing, &feed.frame, outlet, &mut out);
        }
        emit_events(playing, &feed.frame, outlet, &mut out);
        playing.budget.spend(out.len());
        self.write(io, *id, &out);
        self.scratch.out = out;
        true
    }

    fn write(&self, io: &mut Io<'_>, id: ConnId, out: &[u8]) {
        if !out.is_empty() && io.write(id, out) == Written::Refused {
            io.close(id, CloseReason::TooSlow);
        }
    }

    /// A neighbouring zone's tick: who comes and goes there is told with the own zone's next tick.
    fn look_over_border(
        &mut self,
        feed: &Feed,
        playing: &mut Playing,
        outlet: &mut Outlet,
        pending: &mut Vec<u8>,
    ) {
        let (eye, zone) = (playing.eye, feed.frame.frame.zone);
        if let Some(view) = playing.views.iter_mut().find(|view| view.zone == zone)
            && view.follows(&feed.frame.frame)
        {
            fold(view, feed, eye, NEWCOMERS_MIN, self.scratch, outlet, pending);
            self.tell_crossed(&playing.views, outlet, pending);
        }
    }

    /// Where a player stands who has crossed, told once more after the zone it left has said that
    /// it is gone. That zone's words may have come late: then it has taken the player, in the
    /// client's eyes, back from the zone that shows it.
    fn tell_crossed(&mut self, views: &[View], outlet: &mut Outlet, out: &mut Vec<u8>) {
        for crossed in self.scratch.crossed.drain(..) {
            for view in views {
                let Some(feed) = self.feeds.get(&view.zone) else { continue };
                let handle = feed.frame.frame.ids.iter().position(|id| *id == crossed);
                let handle = handle.map(|index| Handle(index as u16));
                if let Some(handle) = handle.filter(|handle| view.sees(*handle)) {
                    emit_enter(feed, handle, outlet, out);
                }
            }
        }
    }

    /// The own zone's tick: everything in sight.
    fn tell_views(
        &mut self,
        index: usize,
        feed: &Feed,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        self.see_zones(index, feed, playing, outlet, out);
        let allowed = playing.budget.refill();
        let tick = feed.frame.frame.tick;
        let text = outlet.is_text();
        let tells = !text || tick.0.is_multiple_of(self.text_period);
        // Where the bytes do not do for all zones in sight, each is the first in turn.
        let first = tick.0 as usize % playing.views.len().max(1);
        let (later, sooner) = playing.views.split_at_mut(first);
        for view in sooner.iter_mut().chain(later) {
            let Some(feed) = self.feeds.get(&view.zone) else { continue };
            let left = allowed.saturating_sub(out.len());
            let newcomers = (left / ENTER_COST).max(NEWCOMERS_MIN);
            fold(view, feed, playing.eye, newcomers, self.scratch, outlet, out);
            if !tells {
                continue;
            }
            let most = allowed.saturating_sub(out.len()) / RECORD;
            let Scratch { look, records, .. } = &mut *self.scratch;
            records.clear();
            let frame = &feed.frame.frame;
            let shed = view.tell(frame, look, most, |place| {
                server::append_sync_record(records, frame.packed[place]);
            });
            self.tally.updates_shed += shed as u64;
            if !records.is_empty() {
                self.tally.updates_sent += (records.len() / RECORD) as u64;
                let header = &mut self.scratch.header;
                header.clear();
                server::append_sync_header(header, view.zone, frame.tick);
                outlet.emit(out, PacketType::SyncPositions, &[header, &self.scratch.records]);
            }
        }
        self.tell_crossed(&playing.views, outlet, out);
    }

    /// Opens views of the zones in sight and closes the others. A neighbour that runs anew is told
    /// anew; a void view of which nobody knows any more whom it showed starts all anew.
    fn see_zones(
        &mut self,
        index: usize,
        feed: &Feed,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        let feeds = self.feeds;
        let own = feed.frame.frame.zone;
        let void = |view: &View| {
            feeds.get(&view.zone).is_some_and(|feed| {
                let anew = view.zone != own && feed.shown_before(view).is_some();
                !view.follows(&feed.frame.frame) && !anew
            })
        };
        if playing.reset || playing.views.iter().any(void) {
            playing.reset = false;
            playing.views.clear();
            if let Some(zone) = self.content.zone(playing.zone) {
                outlet.emit_packet(out, &server::zone_enter(zone, true));
            }
        }
        let own = &feed.frame.frame;
        let eye = playing.eye;
        let deep_inside = playing.views.len() == 1
            && playing.views[0].zone == own.zone
            && eye.x - own.bounds.min_x > LEAVE_RADIUS
            && own.bounds.max_x - eye.x > LEAVE_RADIUS
            && eye.y - own.bounds.min_y > LEAVE_RADIUS
            && own.bounds.max_y - eye.y > LEAVE_RADIUS;
        if deep_inside {
            return;
        }
        let in_sight = |zone: ZoneId| {
            zone == own.zone
                || self
                    .content
                    .zone(zone)
                    .is_some_and(|zone| zone.bounds.distance(eye) <= LEAVE_RADIUS)
        };
        playing.views.retain_mut(|view| {
            let Some(feed) = feeds.get(&view.zone) else { return in_sight(view.zone) };
            let before = feed.shown_before(view);
            let stays = in_sight(view.zone) && before.is_none();
            if !stays {
                for handle in view.drain() {
                    emit_leave(before.unwrap_or(&feed.frame), handle, outlet, out);
                }
            }
            stays
        });
        for zone in self.content.zones_near(eye, LEAVE_RADIUS).map(|zone| zone.id) {
            let Some(feed) = feeds.get(&zone) else { continue };
            if !playing.views.iter().any(|view| view.zone == zone) {
                playing.views.push(View::new(&feed.frame.frame, index));
                if zone != own.zone {
                    self.scratch.opened.push((zone, index));
                }
            }
        }
    }
}

/// Finds the session's own player in its zone's frame; it keeps its eyes where they were if the
/// player is not there (yet). Tells whether it is.
fn find_eye(playing: &mut Playing, frame: &EncodedFrame) -> bool {
    let (frame, own) = (&frame.frame, EntityId::from(playing.player));
    let known = playing.handle.filter(|handle| frame.ids.get(handle.index()) == Some(&own));
    let place = known.and_then(|handle| frame.place(handle));
    let place = place.or_else(|| {
        let here = |(index, id): (usize, &EntityId)| {
            (*id == own).then_some(Handle(index as u16)).filter(|h| frame.place(*h).is_some())
        };
        playing.handle = frame.ids.iter().enumerate().find_map(here);
        playing.handle.and_then(|handle| frame.place(handle))
    });
    if let Some(place) = place {
        playing.eye = frame.at[place];
    }
    place.is_some()
}

/// Brings a view up to its zone's last frame and says who came, who went and who has changed.
fn fold(
    view: &mut View,
    feed: &Feed,
    eye: Point,
    newcomers: usize,
    scratch: &mut Scratch,
    outlet: &mut Outlet,
    out: &mut Vec<u8>,
) {
    let Scratch { look, crossed, .. } = scratch;
    let since = view.folded();
    view.fold(&feed.frame.frame, eye, newcomers, look);
    for handle in &look.left {
        emit_leave(&feed.frame, *handle, outlet, out);
        if feed.frame.descriptors.get(*handle).is_empty() {
            crossed.extend(feed.frame.frame.ids.get(handle.index()));
        }
    }
    for handle in &look.entered {
        emit_enter(feed, *handle, outlet, out);
    }
    let missed = feed.announced_after(since);
    for handle in missed {
        if view.sees(*handle) && look.entered.binary_search(handle).is_err() {
            emit_enter(feed, *handle, outlet, out);
        }
    }
}

/// Says who has come, unless it is another zone's by now: that zone says so, and two that do would
/// have the client lose it with the one that then says it is gone.
fn emit_enter(feed: &Feed, handle: Handle, outlet: &mut Outlet, out: &mut Vec<u8>) {
    let frame = &feed.frame.frame;
    let descriptor = feed.frame.descriptors.get(handle);
    let Some(place) = frame.place(handle).filter(|_| !descriptor.is_empty()) else { return };
    let position = server::position_field(frame.packed[place]);
    outlet.emit(out, PacketType::EntityEnter, &[descriptor, &position]);
}

fn emit_leave(shown: &EncodedFrame, handle: Handle, outlet: &mut Outlet, out: &mut Vec<u8>) {
    if let Some(id) = shown.frame.ids.get(handle.index()) {
        outlet.emit_packet(out, &server::entity_leave(*id, shown.frame.zone));
    }
}

/// The frame's events that this session is in range of.
fn emit_events(playing: &Playing, frame: &EncodedFrame, outlet: &mut Outlet, out: &mut Vec<u8>) {
    for event in &frame.events {
        let hears = match event.audience {
            Audience::Within(range) => event.at.distance_squared(playing.eye) <= range * range,
            Audience::Zone => playing.zone == frame.frame.zone,
            Audience::ZoneExcept(them) => {
                playing.zone == frame.frame.zone && EntityId::from(playing.player) != them
            }
        };
        if hears {
            outlet.emit_shared(out, event.kind, &event.payload);
        }
    }
}
