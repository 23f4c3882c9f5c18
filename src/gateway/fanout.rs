//! The heart of the speed: one frame of a zone to every session that sees some of it.
//!
//! For each session and tick, behind what already waited and in one write: who left and who came,
//! what has happened, whose description has changed, who has moved. Bytes are copied, never encoded,
//! here; nothing is locked, looked up by name or woken. A shard's service owns one; it knows
//! sessions by their place only, and a fault in one session's turn ends that session's connection
//! and nothing else.

mod events;
mod seeing;
mod tally;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::GatewayConfig;
use super::containment::count_panic;
use super::feed::Feed;
use super::outlet::Outlet;
use super::session::{Conn, Playing, State};
use super::set_outs::emit_set_outs;
use crate::ids::{EntityId, SessionKey, ZoneId};
use crate::msg::frame::{EncodedFrame, FrameEvent};
use crate::net::{CloseReason, ConnId, Io, Written};
use crate::tick::TICK_MS;
use crate::world::content::Content;
use crate::world::entity::Handle;
use crate::world::interest::Look;
use tally::{Meters, Tally};

/// Frames after which a session's player that is not in them is looked for: 3 s.
const ABSENT_TICKS: u32 = 60;
/// Buffers of waiting packets larger than this are given back once empty: a few packets, for there
/// is one for each session.
pub(super) const PENDING_KEPT: usize = 512;

/// What the fan-out needs of its shard's connections; see [`Io`].
pub(super) trait Sockets {
    fn waiting(&self, conn: ConnId) -> usize;
    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written;
    fn close(&mut self, conn: ConnId, reason: CloseReason);
    fn now(&self) -> Instant;
}

impl Sockets for Io<'_> {
    fn waiting(&self, conn: ConnId) -> usize {
        Io::waiting(self, conn)
    }

    fn write(&mut self, conn: ConnId, bytes: &[u8]) -> Written {
        Io::write(self, conn, bytes)
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason) {
        Io::close(self, conn, reason);
    }

    fn now(&self) -> Instant {
        Io::now(self)
    }
}

/// A shard's zones, who sees them, and what every turn uses.
pub(super) struct Fanout {
    feeds: BTreeMap<ZoneId, Feed>,
    /// Connections with an interest in a zone, by place.
    watchers: BTreeMap<ZoneId, Vec<usize>>,
    scratch: Scratch,
    tally: Tally,
    meters: Meters,
    content: Arc<Content>,
    /// Ticks between two position lines on the text port.
    text_period: u64,
}

/// Buffers that every session uses in turn.
#[derive(Default)]
struct Scratch {
    /// One for each view of a session.
    glances: Vec<Glance>,
    choice: events::Choice,
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

/// What one look at one zone has found.
#[derive(Default)]
struct Glance {
    look: Look,
    /// In view before, and to be described again once what has happened is told.
    again: Vec<Handle>,
}

/// A zone's frame as it is handed over: with what had happened in frames that were not.
#[derive(Clone, Copy)]
struct News<'a> {
    missed: &'a [FrameEvent],
    frame: &'a EncodedFrame,
}

impl<'a> News<'a> {
    fn is_empty(self) -> bool {
        self.missed.is_empty() && self.frame.events.is_empty()
    }

    /// In the order in which it happened.
    fn iter(self) -> impl Iterator<Item = &'a FrameEvent> {
        self.missed.iter().chain(&self.frame.events)
    }

    fn get(self, place: usize) -> Option<&'a FrameEvent> {
        match place.checked_sub(self.missed.len()) {
            None => self.missed.get(place),
            Some(place) => self.frame.events.get(place),
        }
    }
}

/// What one session's turn needs of its shard.
struct Turn<'a> {
    feeds: &'a BTreeMap<ZoneId, Feed>,
    content: &'a Content,
    scratch: &'a mut Scratch,
    tally: &'a mut Tally,
    text_period: u64,
}

impl Fanout {
    /// Nobody sees anything yet.
    pub(super) fn new(content: Arc<Content>, config: &GatewayConfig) -> Self {
        Self {
            feeds: BTreeMap::new(),
            watchers: BTreeMap::new(),
            scratch: Scratch::default(),
            tally: Tally::default(),
            meters: Meters::new(),
            content,
            text_period: (1_000 / TICK_MS / config.text_sync_hz.max(1)).max(1),
        }
    }

    /// The connection at a place has an interest in a zone.
    pub(super) fn watch(&mut self, zone: ZoneId, place: usize) {
        let watchers = self.watchers.entry(zone).or_default();
        // A view that was closed and opened again since that zone's last frame is there still;
        // twice there, it would be told everything twice.
        if !watchers.contains(&place) {
            watchers.push(place);
        }
    }

    /// The connection at a place is gone.
    pub(super) fn forget(&mut self, place: usize) {
        for watchers in self.watchers.values_mut() {
            watchers.retain(|watcher| *watcher != place);
        }
    }

    /// A zone's frames come no longer.
    pub(super) fn unwatch(&mut self, zone: ZoneId) {
        self.feeds.remove(&zone);
        if self.watchers.get(&zone).is_some_and(Vec::is_empty) {
            self.watchers.remove(&zone);
        }
    }

    /// How long ago a client that now acts on a view was sent it; see [`Feed::round_trip`].
    pub(super) fn round_trip(
        &self,
        zone: ZoneId,
        seen: (u64, u32),
        now: Instant,
    ) -> Option<Duration> {
        self.feeds.get(&zone)?.round_trip(seen, now)
    }

    /// Sessions whose player has not been in its zone for a while, told once.
    pub(super) fn take_missing(&mut self) -> Vec<SessionKey> {
        std::mem::take(&mut self.scratch.missing)
    }

    /// Adds what was counted since the last call to the metrics.
    pub(super) fn publish(&mut self) {
        self.meters.add(std::mem::take(&mut self.tally));
    }

    fn advance(&mut self, frame: &Arc<EncodedFrame>, now: Instant) {
        match self.feeds.get_mut(&frame.frame.zone) {
            Some(feed) => feed.advance(frame.clone(), now),
            None => {
                self.feeds.insert(frame.frame.zone, Feed::new(frame.clone(), now));
            }
        }
    }

    /// A zone's tick: each session that follows it has its turn. `missed` has happened in frames
    /// that did not come.
    pub(super) fn frame(
        &mut self,
        conns: &mut [Option<Box<Conn>>],
        io: &mut impl Sockets,
        frame: &Arc<EncodedFrame>,
        missed: &[FrameEvent],
    ) {
        self.advance(frame, io.now());
        let Self { feeds, watchers, scratch, tally, content, text_period, .. } = self;
        let zone = frame.frame.zone;
        let Some(feed) = feeds.get(&zone) else { return };
        let mut turn = Turn { feeds, content, scratch, tally, text_period: *text_period };
        if let Some(watchers) = watchers.get_mut(&zone) {
            watchers.retain(|&index| match conns.get_mut(index) {
                Some(Some(conn)) => {
                    contained(io, conn, |io, conn| turn.take(io, feed, missed, index, conn))
                }
                _ => false,
            });
        }
        while let Some((zone, index)) = self.scratch.opened.pop() {
            self.watch(zone, index);
        }
    }

    /// A frame that a later one of the same zone stands behind already: what happened in it is told
    /// with that one, and nothing is looked at twice. So a shard that is late catches up.
    pub(super) fn pass_over(
        &mut self,
        conns: &mut [Option<Box<Conn>>],
        io: &mut impl Sockets,
        frame: &Arc<EncodedFrame>,
        missed: &[FrameEvent],
    ) {
        self.advance(frame, io.now());
        let Self { feeds, watchers, scratch, tally, content, text_period, .. } = self;
        tally.frames_passed_over += 1;
        let mut turn = Turn { feeds, content, scratch, tally, text_period: *text_period };
        let news = News { missed, frame };
        for &index in watchers.get(&frame.frame.zone).into_iter().flatten() {
            let Some(Some(conn)) = conns.get_mut(index) else { continue };
            contained(io, conn, |_, conn| {
                turn.pass_over(news, conn);
                true
            });
        }
    }
}

/// One session's turn; gives what it gives. If it panics its connection is closed, and the zone is
/// no business of it any more.
fn contained<S: Sockets>(
    io: &mut S,
    conn: &mut Conn,
    turn: impl FnOnce(&mut S, &mut Conn) -> bool,
) -> bool {
    let id = conn.id;
    match catch_unwind(AssertUnwindSafe(|| turn(io, conn))) {
        Ok(stays) => stays,
        Err(_) => {
            count_panic(Some(id));
            io.close(id, CloseReason::Service);
            false
        }
    }
}

impl Turn<'_> {
    /// One session's turn. False: the zone is no business of it any more.
    fn take<S: Sockets>(
        &mut self,
        io: &mut S,
        feed: &Feed,
        missed: &[FrameEvent],
        index: usize,
        conn: &mut Conn,
    ) -> bool {
        let zone = feed.frame.frame.zone;
        let news = News { missed, frame: &feed.frame };
        let Conn { id, state: State::InWorld(playing), outlet, pending, .. } = conn else {
            return false;
        };
        if !playing.follows(zone) {
            return false;
        }
        let waiting = io.waiting(*id) > 0;
        if playing.zone != zone {
            let looks = !waiting && !playing.reset;
            self.over_the_border(feed, news, looks, playing, outlet, pending);
            if looks {
                emit_set_outs(playing, &feed.frame, outlet, pending);
            }
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
        self.find_eye(playing, &feed.frame);
        playing.budgets.events.refill();
        if waiting {
            self.tell_events(news, None, playing, outlet, &mut out);
        } else {
            self.tell_all(index, feed, news, playing, outlet, &mut out);
            emit_set_outs(playing, &feed.frame, outlet, &mut out);
        }
        playing.budgets.view.spend(out.len());
        self.write(io, *id, &out);
        self.scratch.out = out;
        true
    }

    /// The own zone's tick, in the order that docs/protocol.md promises.
    fn tell_all(
        &mut self,
        index: usize,
        feed: &Feed,
        news: News<'_>,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        self.see_zones(index, feed, playing, outlet, out);
        let allowed = playing.budgets.view.refill();
        let tick = feed.frame.frame.tick;
        self.look(tick, allowed, playing, outlet, out);
        let own = playing.views.iter().position(|view| view.zone == feed.frame.frame.zone);
        self.tell_events(news, own, playing, outlet, out);
        for place in 0..playing.views.len() {
            self.tell_again(place, playing, outlet, out);
        }
        self.resolve_doubts(tick, playing, outlet, out);
        let most = allowed.max(out.len() + playing.budgets.positions);
        self.tell_positions(tick, most, playing, outlet, out);
    }

    /// A neighbouring zone's tick: who comes and goes there, and what happens, goes out with the own
    /// zone's next tick.
    fn over_the_border(
        &mut self,
        feed: &Feed,
        news: News<'_>,
        looks: bool,
        playing: &mut Playing,
        outlet: &mut Outlet,
        pending: &mut Vec<u8>,
    ) {
        let place = looks.then(|| self.look_over_border(feed, playing, outlet, pending)).flatten();
        self.tell_events(news, place, playing, outlet, pending);
        if let Some(place) = place {
            self.tell_again(place, playing, outlet, pending);
        }
    }

    fn pass_over(&mut self, news: News<'_>, conn: &mut Conn) {
        let Conn { state: State::InWorld(playing), outlet, pending, .. } = conn else { return };
        let frame = &news.frame.frame;
        if let Some(view) = playing.views.iter_mut().find(|view| view.zone == frame.zone) {
            view.pass_over(frame);
        }
        if playing.zone == frame.zone {
            playing.budgets.events.refill();
        }
        if playing.follows(frame.zone) {
            self.tell_events(news, None, playing, outlet, pending);
        }
    }

    fn write<S: Sockets>(&self, io: &mut S, id: ConnId, out: &[u8]) {
        if !out.is_empty() && io.write(id, out) == Written::Refused {
            io.close(id, CloseReason::TooSlow);
        }
    }

    /// Finds the session's own player in its zone's frame; it keeps its eyes where they were if the
    /// player is not there (yet), and is reported if it stays away.
    fn find_eye(&mut self, playing: &mut Playing, frame: &EncodedFrame) {
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
            playing.absent = 0;
            return;
        }
        playing.absent += 1;
        if playing.absent.is_multiple_of(ABSENT_TICKS) {
            self.scratch.missing.push(playing.session);
        }
    }
}
