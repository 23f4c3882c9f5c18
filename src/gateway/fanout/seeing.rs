//! What one session sees: zones in sight, who comes and goes there, who looks different, who has
//! moved.
//!
//! Parts of a session's turn (`fanout.rs`), in the order in which they are called.

use super::{Glance, Scratch, Turn};
use crate::gateway::feed::Feed;
use crate::gateway::outlet::Outlet;
use crate::gateway::session::Playing;
use crate::geometry::Point;
use crate::ids::ZoneId;
use crate::limits::LEAVE_RADIUS;
use crate::msg::frame::EncodedFrame;
use crate::proto::PacketType;
use crate::protocol::server;
use crate::tick::Tick;
use crate::world::entity::Handle;
use crate::world::interest::View;

/// Bytes of one position record.
const RECORD: usize = 9;
/// Bytes that an entity's coming into view is reckoned to cost.
const ENTER_COST: usize = 64;
/// Entities that may always come into view, however little budget is left.
const NEWCOMERS_MIN: usize = 8;

impl Turn<'_> {
    /// Opens views of the zones in sight and closes the others. A neighbour that runs anew is told
    /// anew; a void view of which nobody knows any more whom it showed starts all anew.
    pub(super) fn see_zones(
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

    /// Looks at every zone in sight and says who went and who came. Where the bytes do not do for
    /// all of them, each is the first in turn.
    pub(super) fn look(
        &mut self,
        tick: Tick,
        allowed: usize,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        let count = playing.views.len();
        if self.scratch.glances.len() < count {
            self.scratch.glances.resize_with(count, Glance::default);
        }
        self.scratch.crossed.clear();
        for place in in_turn(tick, count) {
            let view = &mut playing.views[place];
            let Some(feed) = self.feeds.get(&view.zone) else { continue };
            let newcomers = (allowed.saturating_sub(out.len()) / ENTER_COST).max(NEWCOMERS_MIN);
            fold(view, place, feed, playing.eye, newcomers, self.scratch, outlet, out);
        }
        self.tell_crossed(&playing.views, outlet, out);
    }

    /// The same for one neighbouring zone; gives which of the views is its, if it was looked at.
    pub(super) fn look_over_border(
        &mut self,
        feed: &Feed,
        playing: &mut Playing,
        outlet: &mut Outlet,
        pending: &mut Vec<u8>,
    ) -> Option<usize> {
        let (eye, frame) = (playing.eye, &feed.frame.frame);
        let place = playing.views.iter().position(|view| view.zone == frame.zone)?;
        let view = playing.views.get_mut(place).filter(|view| view.follows(frame))?;
        if self.scratch.glances.len() <= place {
            self.scratch.glances.resize_with(place + 1, Glance::default);
        }
        fold(view, place, feed, eye, NEWCOMERS_MIN, self.scratch, outlet, pending);
        self.tell_crossed(&playing.views, outlet, pending);
        Some(place)
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

    /// Whoever looks different since the view was last brought up to date, and whoever's health is
    /// another one than the last event has told, is described again.
    pub(super) fn tell_again(
        &mut self,
        place: usize,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        let again = &mut self.scratch.glances[place].again;
        if again.is_empty() {
            return;
        }
        let view = &mut playing.views[place];
        let Some(feed) = self.feeds.get(&view.zone) else { return };
        again.sort_unstable();
        again.dedup();
        for handle in again.drain(..) {
            view.doubts.settle(handle);
            emit_enter(feed, handle, outlet, out);
        }
    }

    /// Describes some of those again of whom the client may know what is not so any more.
    pub(super) fn resolve_doubts(
        &mut self,
        tick: Tick,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        let allowed = playing.budgets.again.refill();
        let before = out.len();
        for view in &mut playing.views {
            view.tick_doubts(tick);
            if view.doubts.is_idle() {
                continue;
            }
            let Some(feed) = self.feeds.get(&view.zone) else { continue };
            while out.len() < before + allowed
                && let Some(handle) = view.doubts.take()
            {
                emit_enter(feed, handle, outlet, out);
                self.tally.retold += 1;
            }
        }
        playing.budgets.again.spend(out.len() - before);
    }

    /// The own zone's tick: the positions that are due, up to `most` bytes in `out`.
    pub(super) fn tell_positions(
        &mut self,
        tick: Tick,
        most: usize,
        playing: &mut Playing,
        outlet: &mut Outlet,
        out: &mut Vec<u8>,
    ) {
        if outlet.is_text() && !tick.0.is_multiple_of(self.text_period) {
            return;
        }
        for place in in_turn(tick, playing.views.len()) {
            let view = &mut playing.views[place];
            let Some(feed) = self.feeds.get(&view.zone) else { continue };
            let Scratch { glances, records, header, .. } = &mut *self.scratch;
            let most = most.saturating_sub(out.len()) / RECORD;
            records.clear();
            let frame = &feed.frame.frame;
            let shed = view.tell(frame, &mut glances[place].look, most, |place| {
                server::append_sync_record(records, frame.packed[place]);
            });
            self.tally.updates_shed += shed as u64;
            if !records.is_empty() {
                self.tally.updates_sent += (records.len() / RECORD) as u64;
                header.clear();
                let dilation = frame.dilation_percent;
                server::append_sync_header(header, view.zone, frame.tick, dilation);
                outlet.emit(out, PacketType::SyncPositions, &[header, records]);
            }
        }
    }
}

/// The places of so many views, each tick another one first.
fn in_turn(tick: Tick, count: usize) -> impl Iterator<Item = usize> {
    let first = tick.0 as usize % count.max(1);
    (first..count).chain(0..first)
}

/// Brings a view up to its zone's last frame, says who went and who came, and notes who has changed
/// besides.
#[expect(clippy::too_many_arguments, reason = "one session's turn, part by part")]
fn fold(
    view: &mut View,
    place: usize,
    feed: &Feed,
    eye: Point,
    newcomers: usize,
    scratch: &mut Scratch,
    outlet: &mut Outlet,
    out: &mut Vec<u8>,
) {
    let Scratch { glances, crossed, .. } = scratch;
    let Glance { look, again } = &mut glances[place];
    again.clear();
    let frame = &feed.frame.frame;
    let since = view.folded();
    view.fold(frame, eye, newcomers, look);
    for handle in &look.left {
        emit_leave(&feed.frame, *handle, outlet, out);
        if feed.frame.descriptors.get(*handle).is_empty() {
            crossed.extend(frame.ids.get(handle.index()));
        }
    }
    for handle in &look.entered {
        emit_enter(feed, *handle, outlet, out);
    }
    for (announced, quiet) in feed.changed_after(since) {
        let entered = |handle: &Handle| look.entered.binary_search(handle).is_ok();
        again.extend(announced.iter().filter(|handle| view.sees(**handle) && !entered(handle)));
        for handle in quiet {
            if view.sees(*handle) && !entered(handle) {
                view.doubts.add(*handle, frame.ids.len());
            }
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
