//! Which zones this gateway watches, and what comes of it: those that its sessions can see, from
//! whichever server runs them now.
//!
//! Runs in the gateway's task. A zone's frames carry its incarnation: what comes from an older one
//! than is known is the word of a server that has lost the zone, and is ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{debug, warn};

use super::Gateway;
use super::sessions::Stage;
use super::talk::ToShard;
use crate::ids::ZoneId;
use crate::limits::LEAVE_RADIUS;
use crate::link::Outbox;
use crate::msg::ZoneMsg;
use crate::msg::frame::{EncodedFrame, FrameDelta};
use crate::msg::mirror::FrameMirror;
use crate::tick::now;
use crate::world::content::Content;

/// A zone that nobody can see any more is watched for so long, in case somebody comes back.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// A watched zone that has been silent for so long is asked again.
const SILENT: Duration = Duration::from_secs(1);
/// The least time between two questions for a whole frame.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// All that is watched.
pub(super) struct Watching {
    /// The zones in sight of somebody in each zone, itself among them.
    in_sight: BTreeMap<ZoneId, Vec<ZoneId>>,
    /// The directory of zones as last looked at.
    directory: Arc<BTreeMap<ZoneId, Outbox<ZoneMsg>>>,
    zones: BTreeMap<ZoneId, Watched>,
    /// The newest incarnation heard of, also of zones that are not watched now.
    origins: BTreeMap<ZoneId, u64>,
}

/// One watched zone.
struct Watched {
    /// When a session was last known to see it.
    wanted_at: Instant,
    /// When it was last asked for its frames.
    asked_at: Instant,
    /// When its last frame came.
    heard_at: Option<Instant>,
    mirror: FrameMirror,
    frame: Option<Arc<EncodedFrame>>,
    /// When its new incarnation was first heard of, until its players have been looked for in it.
    anew: Option<Instant>,
}

impl Watched {
    fn new(now: Instant) -> Self {
        Self {
            wanted_at: now,
            asked_at: now,
            heard_at: None,
            mirror: FrameMirror::default(),
            frame: None,
            anew: None,
        }
    }
}

impl Watching {
    /// Nothing yet. Who can see which zone follows from the world's geometry.
    pub(super) fn new(content: &Content) -> Self {
        let near = |zone: ZoneId| {
            let bounds = content.zone(zone).map(|kind| kind.bounds);
            let seen = content.zones.iter().filter(move |other| {
                bounds.is_some_and(|bounds| other.bounds.gap(&bounds) <= LEAVE_RADIUS)
            });
            seen.map(|other| other.id).collect()
        };
        Self {
            in_sight: content.zones.iter().map(|kind| (kind.id, near(kind.id))).collect(),
            directory: Arc::default(),
            zones: BTreeMap::new(),
            origins: BTreeMap::new(),
        }
    }

    /// A session's player is in that zone: it sees these, of which some were not watched before.
    fn want(&mut self, zone: ZoneId, now: Instant) -> Vec<ZoneId> {
        let mut new = Vec::new();
        for seen in self.in_sight.get(&zone).into_iter().flatten() {
            match self.zones.get_mut(seen) {
                Some(watched) => watched.wanted_at = now,
                None => {
                    self.zones.insert(*seen, Watched::new(now));
                    new.push(*seen);
                }
            }
        }
        new
    }

    /// The last frame of a zone, if it is watched and has sent one.
    pub(super) fn frame(&self, zone: ZoneId) -> Option<&EncodedFrame> {
        self.zones.get(&zone)?.frame.as_deref()
    }

    /// Zones whose incarnation was new at least so long ago and whose players were not looked for
    /// yet; asked once.
    pub(super) fn take_anew(&mut self, now: Instant, settled: Duration) -> Vec<ZoneId> {
        let zones = self.zones.iter_mut();
        let due = zones.filter_map(|(zone, watched)| {
            watched.anew.take_if(|since| now.saturating_duration_since(*since) >= settled)?;
            Some(*zone)
        });
        due.collect()
    }

    /// Whether a frame of that incarnation counts; a newer one is remembered.
    fn admit(&mut self, zone: ZoneId, origin: u64, now: Instant) -> bool {
        let known = self.origins.entry(zone).or_insert(origin);
        let Some(watched) = self.zones.get_mut(&zone) else { return false };
        if origin < *known {
            counter!("throng_frames_ignored_total", "reason" => "stale").increment(1);
            return false;
        }
        if origin > *known {
            *known = origin;
            watched.anew = Some(now);
        }
        true
    }
}

impl Gateway {
    /// A session's player stands, or is to stand, in that zone: what it sees is watched at once.
    pub(super) fn see(&mut self, zone: ZoneId) {
        for new in self.watching.want(zone, now()) {
            self.watch(new);
        }
    }

    /// A frame of a zone of this process.
    pub(super) fn on_frame(&mut self, frame: Arc<EncodedFrame>) {
        let now = now();
        if self.watching.admit(frame.frame.zone, frame.frame.origin, now) {
            self.take_frame(frame, now);
        }
    }

    /// A frame that came over a wire: rebuilt here, or asked for as a whole.
    pub(super) fn on_frame_delta(&mut self, delta: FrameDelta) {
        let (zone, now) = (delta.zone, now());
        if !self.watching.admit(zone, delta.origin, now) {
            return;
        }
        let Some(watched) = self.watching.zones.get_mut(&zone) else { return };
        match watched.mirror.apply(delta) {
            Ok(frame) => self.take_frame(frame, now),
            Err(_) if now - watched.asked_at > ASK_AGAIN => self.watch(zone),
            Err(missed) => debug!(%zone, %missed, "asked already"),
        }
    }

    fn take_frame(&mut self, frame: Arc<EncodedFrame>, now: Instant) {
        if let Some(watched) = self.watching.zones.get_mut(&frame.frame.zone) {
            watched.heard_at = Some(now);
            watched.frame = Some(frame.clone());
        }
        self.post.frame(&frame);
    }

    fn watch(&mut self, zone: ZoneId) {
        if let Some(watched) = self.watching.zones.get_mut(&zone) {
            watched.asked_at = now();
        }
        let Some(outbox) = self.shared.peers.zones.get(zone) else { return };
        if let Err(problem) = outbox.send(ZoneMsg::Watch { gateway: self.shared.server }) {
            warn!(%zone, %problem, "zone cannot be asked for its frames");
        }
    }

    /// Several times a second: a zone that has appeared or moved is watched where it is now, and
    /// asked again for whom it was asked before.
    pub(super) fn look_for_moved_zones(&mut self) {
        let directory = self.shared.peers.zones.snapshot();
        if Arc::ptr_eq(&directory, &self.watching.directory) {
            return;
        }
        let before = std::mem::replace(&mut self.watching.directory, directory.clone());
        let moved = |zone: &ZoneId| match (before.get(zone), directory.get(zone)) {
            (Some(old), Some(new)) => !old.leads_where(new),
            (None, Some(_)) => true,
            _ => false,
        };
        for zone in directory.keys().copied().filter(moved) {
            debug!(%zone, "zone is somewhere else now");
            self.post.tell_who_left(zone);
            if self.watching.zones.contains_key(&zone) {
                self.watch(zone);
                self.ask_for_entries_again(zone);
            }
        }
    }

    /// Once a second: watches what sessions see, asks silent zones again, and lets go of those that
    /// nobody can see.
    pub(super) fn tend_zones(&mut self, now: Instant) {
        let in_world = self.sessions.iter().filter(|(_, session)| {
            session.has_player() || matches!(session.stage, Stage::Entering(_))
        });
        let stood_in: BTreeSet<ZoneId> = in_world.filter_map(|(_, session)| session.zone).collect();
        for zone in stood_in {
            self.see(zone);
        }
        let zones = self.watching.zones.iter();
        let unseen =
            zones.filter(|(_, w)| now.saturating_duration_since(w.wanted_at) > WATCHED_FOR);
        for zone in unseen.map(|(zone, _)| *zone).collect::<Vec<_>>() {
            self.unwatch(zone);
        }
        let zones = self.watching.zones.iter();
        let silent = zones.filter(|(_, watched)| {
            let last = watched.heard_at.map_or(watched.asked_at, |at| at.max(watched.asked_at));
            now.saturating_duration_since(last) > SILENT
        });
        for zone in silent.map(|(zone, _)| *zone).collect::<Vec<_>>() {
            self.watch(zone);
        }
    }

    fn unwatch(&mut self, zone: ZoneId) {
        debug!(%zone, "nobody can see the zone any more");
        self.watching.zones.remove(&zone);
        self.post.forget_zone(zone);
        self.post.all_shards(|| ToShard::Unwatched(zone));
        if let Some(outbox) = self.shared.peers.zones.get(zone)
            && let Err(problem) = outbox.send(ZoneMsg::Unwatch { gateway: self.shared.server })
        {
            debug!(%zone, %problem, "zone goes on sending frames; they are ignored");
        }
    }
}
