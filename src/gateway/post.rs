//! What the session manager sends: to shards, zones, chat and the master.
//!
//! Who is where and whose must arrive, so it waits here when an inbox is full and goes again soon,
//! in order. Frames, and packets behind a long wait, are dropped and counted: what is seen comes
//! again with the next frame, and what has happened goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use metrics::counter;
use tracing::debug;

use super::{Peers, ToShard};
use crate::ids::ZoneId;
use crate::link::kept::Kept;
use crate::link::{Outbox, SendError, Wire};
use crate::msg::backlog::Backlog;
use crate::msg::frame::EncodedFrame;
use crate::msg::{ChatMsg, MasterMsg, ZoneMsg};
use crate::net::Shards;

/// Packets wait behind a shard's other messages only as long as fewer than these wait.
const PACKETS_WAIT: usize = 4_096;

/// Most that are remembered to have left zones that do not run; beyond it the oldest are forgotten,
/// as players of a gateway that is gone are: their zone lets them go in the end.
const LEFT_MAX: usize = 8_192;

/// The session manager's way out.
pub(super) struct Post {
    peers: Peers,
    shards: Shards<ToShard>,
    to_shards: Vec<Kept<ToShard>>,
    /// What has happened in frames of a zone that a shard had no room for.
    missed: BTreeMap<(ZoneId, usize), Backlog>,
    to_zones: BTreeMap<ZoneId, Kept<ZoneMsg>>,
    /// Who has left zones that did not run.
    left: VecDeque<(ZoneId, ZoneMsg)>,
    to_chat: Kept<ChatMsg>,
    to_master: Kept<MasterMsg>,
}

impl Post {
    pub(super) fn new(peers: Peers, shards: Shards<ToShard>) -> Self {
        Self {
            to_shards: (0..shards.len()).map(|_| Kept::default()).collect(),
            missed: BTreeMap::new(),
            to_zones: BTreeMap::new(),
            left: VecDeque::new(),
            to_chat: Kept::default(),
            to_master: Kept::default(),
            peers,
            shards,
        }
    }

    /// How many shards there are.
    pub(super) fn shards(&self) -> usize {
        self.to_shards.len()
    }

    /// Tells a shard what it must know.
    pub(super) fn shard(&mut self, shard: usize, message: ToShard) {
        let shards = &self.shards;
        if let Some(kept) = self.to_shards.get_mut(shard) {
            // A shard's end is the process's; nothing tells it from a full inbox, nor needs to.
            let _ = kept.send(message, |m| shards.send(shard, m).map_err(SendError::Full));
        }
    }

    /// Tells every shard.
    pub(super) fn all_shards(&mut self, message: impl Fn() -> ToShard) {
        for shard in 0..self.to_shards.len() {
            self.shard(shard, message());
        }
    }

    /// Sends a shard packets for its clients, behind what it was told before.
    pub(super) fn packets(&mut self, shard: usize, message: ToShard) {
        if self.to_shards.get(shard).is_some_and(|kept| kept.len() < PACKETS_WAIT) {
            self.shard(shard, message);
        } else {
            counter!("throng_refusals_total", "reason" => "shard_inbox_full").increment(1);
        }
    }

    /// Sends every shard a frame if it takes it at once. What has happened in one that it does not
    /// take goes with the next one that it does.
    pub(super) fn frame(&mut self, frame: &Arc<EncodedFrame>) {
        let zone = frame.frame.zone;
        for (shard, kept) in self.to_shards.iter().enumerate() {
            let missed = self.missed.get_mut(&(zone, shard)).map(Backlog::take).unwrap_or_default();
            let message = ToShard::Frame { frame: frame.clone(), missed };
            let refused = match kept.is_empty() {
                true => self.shards.send(shard, message).err(),
                false => Some(message),
            };
            if let Some(ToShard::Frame { frame, missed }) = refused {
                counter!("throng_refusals_total", "reason" => "shard_inbox_full").increment(1);
                let backlog = self.missed.entry((zone, shard)).or_default();
                backlog.put_back(missed);
                backlog.keep(&frame.events);
            }
        }
        // Only where a frame was lost is there anything to look at.
        self.missed.retain(|_, backlog| !backlog.is_empty());
    }

    /// A zone's frames come no longer.
    pub(super) fn forget_zone(&mut self, zone: ZoneId) {
        self.missed.retain(|(of, _), _| *of != zone);
    }

    /// Tells a zone what it must know. One that does not run is told nothing: it starts empty. But
    /// it may come back with all its players, on its way to another server, and then must hear who
    /// has left it meanwhile.
    pub(super) fn zone(&mut self, zone: ZoneId, message: ZoneMsg) {
        let kept = self.to_zones.entry(zone).or_default();
        let untold = match self.peers.zones.get(zone) {
            Some(outbox) => kept.send(message, |message| outbox.send(message)),
            None => Err(message),
        };
        let Err(message) = untold else { return };
        if matches!(message, ZoneMsg::Leave { .. }) {
            if self.left.len() == LEFT_MAX {
                self.left.pop_front();
            }
            self.left.push_back((zone, message));
        }
        debug!(%zone, "a zone does not run; it was not told");
    }

    /// A zone that did not run does again: it hears who has left it.
    pub(super) fn tell_who_left(&mut self, zone: ZoneId) {
        let all = std::mem::take(&mut self.left);
        let (here, others): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|(of, _)| *of == zone);
        self.left = others;
        for (_, leave) in here {
            self.zone(zone, leave);
        }
    }

    /// Tells chat what it must know.
    pub(super) fn chat(&mut self, message: ChatMsg) {
        let outbox = &self.peers.chat;
        if self.to_chat.send(message, |message| outbox.send(message)).is_err() {
            // Whoever plays it next is told all there is to know.
            debug!("nobody plays chat now; it was not told");
        }
    }

    /// Tells the master what it must know.
    pub(super) fn master(&mut self, message: MasterMsg) {
        let outbox = &self.peers.master;
        if self.to_master.send(message, |message| outbox.send(message)).is_err() {
            // Whoever plays it next is told all there is to know.
            debug!("nobody plays the master now; it was not told");
        }
    }

    /// Sends again what found no room.
    pub(super) fn send_again(&mut self) {
        for (shard, kept) in self.to_shards.iter_mut().enumerate() {
            kept.send_again(|message| self.shards.send(shard, message).map_err(SendError::Full));
        }
        for (zone, kept) in &mut self.to_zones {
            if !kept.is_empty() {
                again(kept, self.peers.zones.get(*zone).as_ref());
            }
        }
        self.to_zones.retain(|_, kept| !kept.is_empty());
        again(&mut self.to_chat, Some(&self.peers.chat));
        again(&mut self.to_master, Some(&self.peers.master));
    }
}

fn again<M: Wire>(kept: &mut Kept<M>, outbox: Option<&Outbox<M>>) {
    kept.send_again(|message| match outbox {
        Some(outbox) => outbox.send(message),
        None => Err(SendError::Closed(message)),
    });
}
