//! Who sets out where, told at once to those who see it and speak lines.
//!
//! Packet clients see it in the next positions, so they cost one look at a list that is mostly
//! empty. Called by the fan-out for each frame, once the session's view is up to it.

use super::outlet::Outlet;
use super::session::Playing;
use crate::geometry::Point;
use crate::ids::EntityId;
use crate::msg::frame::EncodedFrame;

/// Lines of one frame to one session at most; of more the nearest are told.
const MOST: usize = 32;

/// Tells a session that speaks lines of others who have set out in its sight.
pub(super) fn emit_set_outs(
    playing: &Playing,
    frame: &EncodedFrame,
    outlet: &Outlet,
    out: &mut Vec<u8>,
) {
    let frame = &frame.frame;
    if frame.set_out.is_empty() || !outlet.is_text() {
        return;
    }
    let Some(view) = playing.views.iter().find(|view| view.zone == frame.zone) else { return };
    let mut near: Vec<(f32, EntityId, Point)> = Vec::new();
    for (handle, to) in &frame.set_out {
        let (Some(place), Some(id)) = (frame.place(*handle), frame.ids.get(handle.index())) else {
            continue;
        };
        if view.sees(*handle) && *id != EntityId::from(playing.player) {
            near.push((frame.at[place].distance_squared(playing.eye), *id, *to));
        }
    }
    if near.len() > MOST {
        near.select_nth_unstable_by(MOST, |one, other| one.0.total_cmp(&other.0));
        near.truncate(MOST);
    }
    for (_, id, to) in near {
        outlet.emit_set_out(out, id, to);
    }
}
