//! A zone that moves to another process as a whole: it comes to rest, is packed, and either goes on
//! or sends after it what still comes.
//!
//! The host decides; here the thread does its part. At rest it neither steps nor says a word, and
//! leaves in its inbox what is for the zone, wherever that will be.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tracing::{info, warn};

use super::ZoneServer;
use super::crossing::FORWARD;
use super::host::Report;
use crate::ids::{OperationId, PlayerId, ServerId, SessionRef};
use crate::msg::ZoneMsg;
use crate::tick::now;
use crate::world::command::Command;
use crate::world::whole::Whole;

/// How long a zone may take to come to rest: whoever crosses and whatever the store does must end.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);
/// Orders that the host gives and the thread has not read.
pub(super) const ORDERS: usize = 8;

/// What the host tells a zone that moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Come to rest and be packed; answered by [`Report::Packed`].
    Pack(OperationId),
    /// It was not taken: go on.
    Resume,
    /// It runs elsewhere: send after it what still comes, then end.
    Follow,
}

/// A zone that is packed.
#[derive(Debug, Default)]
pub(super) struct Packed {
    pub whole: Whole,
    pub sessions: BTreeMap<PlayerId, SessionRef>,
    pub watchers: Vec<ServerId>,
}

/// How a zone is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    /// It plays.
    Plays,
    /// It comes to rest: nothing new is begun.
    Settles { handover: OperationId, since: Instant },
    /// It is packed.
    Rests { since: Instant },
    /// It runs elsewhere.
    Follows { since: Instant, reached: bool },
}

/// The thread's side of a move.
pub(super) struct Moving {
    pub mode: Mode,
    orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
}

impl Moving {
    pub(super) fn new(orders: mpsc::Receiver<Order>, reports: mpsc::Sender<Report>) -> Self {
        Self { mode: Mode::Plays, orders, reports }
    }

    /// Whether new things may begin.
    pub(super) fn plays(&self) -> bool {
        matches!(self.mode, Mode::Plays)
    }

    /// Whether the zone is packed or gone: whose it is then is for the host to find out.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.mode, Mode::Rests { .. } | Mode::Follows { .. })
    }
}

impl ZoneServer {
    /// Does what the host says.
    pub(super) fn take_orders(&mut self) {
        while let Ok(order) = self.moving.orders.try_recv() {
            match (order, self.moving.mode) {
                (Order::Pack(handover), Mode::Plays) => {
                    info!(%handover, "the zone comes to rest");
                    self.moving.mode = Mode::Settles { handover, since: now() };
                    self.world.apply(Command::CloseBorders(true));
                }
                (Order::Resume, Mode::Rests { since }) => {
                    let rested = now().saturating_duration_since(since);
                    info!(?rested, "the zone goes on");
                    self.world.lose_time(rested.as_millis() as u64);
                    self.play_on();
                }
                (Order::Follow, Mode::Rests { .. }) => {
                    self.moving.mode = Mode::Follows { since: now(), reached: false };
                }
                (order, mode) => warn!(?order, ?mode, "an order does not fit"),
            }
        }
    }

    fn play_on(&mut self) {
        self.moving.mode = Mode::Plays;
        self.world.apply(Command::CloseBorders(false));
    }

    /// After a tick: packs the zone once nothing is under way, or gives up.
    pub(super) fn settle(&mut self) {
        let Mode::Settles { handover, since } = self.moving.mode else { return };
        self.saves.send_counts();
        let packed = if self.stop.is_cancelled() {
            Err("the zone stops")
        } else if self.is_at_rest() {
            Ok(Box::new(self.pack()))
        } else if now().saturating_duration_since(since) >= SETTLE_WITHIN {
            Err("it did not come to rest")
        } else {
            return;
        };
        let goes = packed.is_ok();
        let report = Report::Packed { zone: self.zone, handover, packed };
        let told = self.moving.reports.try_send(report).is_ok();
        if goes && told {
            self.moving.mode = Mode::Rests { since: now() };
        } else {
            // A host that was not told finds out in time.
            warn!(told, "the zone does not move");
            self.play_on();
        }
    }

    /// Whether nobody is on the way and the store owes no answer.
    fn is_at_rest(&self) -> bool {
        self.players.nobody_waits()
            && self.crossings.is_idle()
            && self.saves.is_idle()
            && self.world.is_settled()
    }

    fn pack(&self) -> Packed {
        Packed {
            whole: self.world.whole(),
            sessions: self.players.sessions().collect(),
            watchers: self.sync.watchers().collect(),
        }
    }

    /// The zone runs elsewhere: what comes goes there. True: that was long enough.
    pub(super) fn follow(&mut self, since: Instant, reached: bool) -> bool {
        self.post.send_again();
        let there = self.post.is_elsewhere(self.zone);
        if there && !reached {
            let told = self.moving.reports.try_send(Report::Reached { zone: self.zone }).is_ok();
            self.moving.mode = Mode::Follows { since, reached: told };
        }
        if there {
            let waiting = std::mem::take(&mut self.waiting);
            waiting.into_iter().for_each(|message| self.send_after(message));
            while let Some(message) = self.inbox.try_recv() {
                self.send_after(message);
            }
        }
        now().saturating_duration_since(since) >= FORWARD || (there && self.stop.is_cancelled())
    }

    fn send_after(&mut self, message: ZoneMsg) {
        match message {
            // Worth nothing later: dropped, and counted, if there is no room.
            message @ ZoneMsg::Act { .. } => drop(self.post.zone_now(self.zone, message)),
            message => self.post.zone(self.zone, message),
        }
    }
}
