//! A zone server that a simulation plays by hand: rounds and ticks when it says so, the store's
//! answers and the state of its lease as it says.
//!
//! What the zone's thread does around its rounds (`ZoneServer::play`) is done here, without waiting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use super::desk::{Call, Claimed, Completion, Desk, RELEASE_PAUSE};
use super::tenure::{self, Grant, origin};
use super::{LastRounds, Peers, Start, ZoneConfig, ZoneServer, clock};
use crate::ids::{Epoch, PlayerId, ServerId, SessionRef, ZoneId};
use crate::link::{Outbox, inbox};
use crate::msg::ZoneMsg;
use crate::msg::node::HostedZone;
use crate::tick::{TICK, now};
use crate::world::command::PlayerState;
use crate::world::content::Content;

/// What a zone is started with.
pub(crate) struct Setting {
    pub zone: ZoneId,
    pub server: ServerId,
    /// Its lease, and when that was asked for.
    pub lease: (Epoch, Instant),
    pub content: Arc<Content>,
    pub peers: Peers,
    pub desk: Desk,
    pub seed: u64,
}

/// Why a zone has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It was told to.
    Stopped,
    /// Another runs it.
    GaveUp,
}

/// A zone that runs.
pub(crate) struct Rig {
    server: ZoneServer,
    grant: Grant,
    pub lease: Epoch,
    pub hosted: HostedZone,
    /// The last round.
    beat: Instant,
    /// It stood still then, and its lease was not confirmed since.
    unsure: Option<Instant>,
    last: Option<LastRounds>,
    next_tick: Instant,
}

impl Rig {
    pub(crate) fn start(setting: Setting) -> (Self, Outbox<ZoneMsg>) {
        let Setting { zone, server, lease: (lease, asked), content, peers, desk, seed } = setting;
        let (outbox, inbox) = inbox(4_096, true);
        let (grant, tenure) = tenure::begin(lease, asked);
        let config =
            ZoneConfig { save_seconds: 1, orphan_seconds: 20, seed, ..ZoneConfig::default() };
        let server = ZoneServer::new(Start {
            zone,
            server,
            tenure,
            config,
            content,
            inbox,
            peers,
            desk,
            phase: Duration::ZERO,
            signs: Arc::default(),
            packed: None,
            orders: mpsc::channel(1).1,
            reports: mpsc::channel(1).0,
            stop: CancellationToken::new(),
        });
        let hosted = HostedZone { zone, origin: origin(zone, lease) };
        let beat = now();
        let (unsure, last) = (None, None);
        (Self { server, grant, lease, hosted, beat, unsure, last, next_tick: beat }, outbox)
    }

    /// The store has renewed the lease, or did not answer, or says that it is another's.
    pub(crate) fn renewed(&self, asked: Instant, result: Result<bool, ()>) {
        match result {
            Ok(true) => self.grant.confirm(asked),
            Ok(false) => self.grant.lose(),
            Err(()) => self.grant.leave_open(),
        }
    }

    pub(crate) fn stop(&self) {
        self.server.stop.cancel();
    }

    /// One round, or the tick that is due; whether it has ended by it.
    pub(crate) fn turn(&mut self) -> Option<Ended> {
        let now = now();
        let gap = now.saturating_duration_since(self.beat) > clock::GAP;
        self.beat = now;
        if self.server.stop.is_cancelled() || self.last.is_some() {
            let last = self.last.get_or_insert(LastRounds { next_step: now, open: true });
            return self.server.last_round(last).then_some(Ended::Stopped);
        }
        if gap {
            self.unsure = Some(now);
        }
        if self.server.tenure.is_lost() {
            return Some(Ended::GaveUp);
        }
        if self.unsure.is_some_and(|since| !self.server.tenure.holds_since(since)) {
            return None;
        }
        self.unsure = None;
        if now < self.next_tick {
            self.server.round();
            return None;
        }
        self.next_tick = now + TICK;
        self.server.tick();
        None
    }

    /// Who is shown here, and under which ownership.
    pub(crate) fn shown(&self) -> Vec<(PlayerId, Epoch)> {
        self.server.world.players().collect()
    }

    pub(crate) fn shows(&self, player: PlayerId) -> bool {
        self.server.world.epoch(player).is_some()
    }

    pub(crate) fn state(&self, player: PlayerId) -> Option<PlayerState> {
        self.server.world.player(player)
    }

    /// Whether the store has said all that it was asked for a player.
    pub(crate) fn is_certain(&self, player: PlayerId) -> bool {
        self.server.world.is_certain(player)
    }

    pub(crate) fn session(&self, player: PlayerId) -> Option<SessionRef> {
        self.server.players.session(player)
    }

    pub(crate) fn population(&self) -> u32 {
        self.server.players.len() as u32
    }

    /// What is under way or waits here; empty: nothing.
    pub(crate) fn waits_for(&self) -> Vec<String> {
        let ZoneServer { players, crossings, inbox, waiting, post, .. } = &self.server;
        let mut found = Vec::new();
        let mut look = |waits: bool, what: &str| {
            if waits {
                found.push(format!("zone {} has {what}", self.server.zone));
            }
        };
        look(!crossings.is_idle(), "somebody between two zones");
        look(!players.nobody_waits(), &format!("somebody on the way in or out: {players:?}"));
        look(!inbox.is_empty() || !waiting.is_empty(), "messages that it does not read");
        let doubted = |(player, _)| !self.server.world.is_certain(player);
        look(self.server.world.players().any(doubted), "somebody of whom the store owes an answer");
        look(post.waiting() > 0, "messages that nobody takes");
        found
    }

    /// Whether the store owes it nothing.
    pub(crate) fn saves_are_idle(&self) -> bool {
        self.server.saves.is_idle()
    }
}
