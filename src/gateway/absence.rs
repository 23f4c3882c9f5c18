//! Sessions whose player is not where it should be: it has crossed a border, its zone runs anew, or
//! it was lost on its way.
//!
//! Runs in the gateway's task. A zone that is asked to let a player in gives it to the session
//! again if it stands there, so asking twice does no harm; the client notices nothing. However many
//! are lost at once, a zone and the store are asked for so many in each turn.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use metrics::counter;
use tracing::{info, warn};

use super::Gateway;
use super::sessions::{Absence, Session, Stage};
use super::talk::ToShard;
use crate::ids::{EntityId, PlayerId, SessionKey, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{ChatMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::tick::now;
use crate::world::entity::Handle;

/// Between two tries to bring a player in again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// How long it is tried, while its zone runs.
const BRING_IN_WITHIN: Duration = Duration::from_secs(30);
/// A zone that runs anew or has moved shows its players within this; who is not among them then is
/// brought in.
const SETTLED: Duration = Duration::from_millis(300);
/// Players that are brought in by one beat, ten of which are in a second.
const AT_ONCE: usize = 200;

impl Gateway {
    /// A player has crossed a border.
    pub(super) fn on_moved(&mut self, key: SessionKey, player: PlayerId, zone: ZoneId) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else {
            // Its session ended meanwhile: it must not stand there for nobody.
            return self.post.zone(zone, ZoneMsg::Leave { player, session: session_ref });
        };
        session.absence = None;
        self.stands(key, zone);
    }

    /// Where a session's player stands.
    pub(super) fn stands(&mut self, key: SessionKey, zone: ZoneId) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.zone = Some(zone);
        let player = session.player;
        let shard = session.shard();
        self.see(zone);
        if let Some(shard) = shard {
            self.post.shard(shard, ToShard::Moved { session: key, zone });
        }
        self.post.chat(ChatMsg::Moved { player, zone });
    }

    /// Several times a second: looks for the players of zones that run anew or have moved, and
    /// brings some of those in that are not where they should be.
    pub(super) fn bring_in_some(&mut self, now: Instant) {
        if !self.certainty.is_certain() {
            return;
        }
        for zone in self.watching.take_anew(now, SETTLED) {
            self.look_for_players(zone);
        }
        for _ in 0..AT_ONCE {
            let Some(key) = self.absent.pop_front() else { break };
            self.bring_in(key);
        }
    }

    /// A zone that has moved has all its players; one that runs anew is empty, and those who stood
    /// in it come in again from their last save.
    fn look_for_players(&mut self, zone: ZoneId) {
        let Some(frame) = self.watching.frame(zone) else { return };
        let shown: HashSet<EntityId, RandomState> = frame
            .frame
            .ids
            .iter()
            .enumerate()
            .filter(|(index, _)| frame.frame.place(Handle(*index as u16)).is_some())
            .map(|(_, id)| *id)
            .collect();
        let missing = |session: &Session| {
            session.zone == Some(zone)
                && session.has_player()
                && session.absence.is_none()
                && !shown.contains(&EntityId::from(session.player))
        };
        let sessions = self.sessions.iter();
        let missing: Vec<SessionKey> =
            sessions.filter(|(_, session)| missing(session)).map(|(key, _)| key).collect();
        if missing.is_empty() {
            return info!(%zone, "zone has moved, and its players with it");
        }
        info!(%zone, players = missing.len(), "zone runs anew; its players are brought in again");
        missing.into_iter().for_each(|key| self.queue(key));
    }

    /// A shard does not find a session's player in its zone.
    pub(super) fn on_missing(&mut self, key: SessionKey) {
        let attached = |session: &Session| matches!(session.stage, Stage::Attached { .. });
        if self.sessions.get(key).is_some_and(|s| attached(s) && s.absence.is_none()) {
            warn!(session = key.0, "a session's player is not in its zone; it is looked for");
            self.queue(key);
        }
    }

    /// A player is to be brought in when it is its turn.
    fn queue(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let now = now();
        let absence =
            session.absence.get_or_insert(Absence { since: now, asked: now, queued: false });
        if !std::mem::replace(&mut absence.queued, true) {
            self.absent.push_back(key);
        }
    }

    fn bring_in(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let (Some(zone), true, Some(absence)) =
            (session.zone, session.has_player(), &mut session.absence)
        else {
            return;
        };
        (absence.asked, absence.queued) = (now(), false);
        counter!("throng_players_brought_in_total").increment(1);
        let enter = ZoneMsg::Enter { player: session.player, session: session_ref, ticket: None };
        self.post.zone(zone, enter);
    }

    /// A zone has not let a player in that was to be brought in again: it is elsewhere, or it is
    /// tried again later.
    pub(super) fn on_not_brought_in(&mut self, key: SessionKey, reason: &EnterRefusal) {
        if let EnterRefusal::Superseded(by) = reason {
            self.sessions.heard_of(*by);
            let message = "you have logged in from elsewhere".to_owned();
            return self.on_kick(key, DisconnectReason::DisconnectLoggedInElsewhere, message);
        }
        if let EnterRefusal::Elsewhere(zone) = reason
            && let Some(session) = self.sessions.get_mut(key)
            && session.absence.is_some()
            && session.zone != Some(*zone)
        {
            session.zone = Some(*zone);
            self.see(*zone);
            self.bring_in(key);
        }
    }

    /// Once a second: tries again, and gives up in the end. As long as a zone does not run at all,
    /// its players wait for it.
    pub(super) fn tend_absent(&mut self, now: Instant) {
        let zones = self.shared.peers.zones.snapshot();
        let (mut again, mut lost) = (Vec::new(), Vec::new());
        for (key, session) in self.sessions.iter_mut() {
            let Some(absence) = &mut session.absence else { continue };
            if session.zone.is_none_or(|zone| !zones.contains_key(&zone)) {
                absence.since = now;
            } else if now.saturating_duration_since(absence.since) > BRING_IN_WITHIN {
                lost.push(key);
            } else if now.saturating_duration_since(absence.asked) > ASK_AGAIN {
                again.push(key);
            }
        }
        again.into_iter().for_each(|key| self.queue(key));
        for key in lost {
            let message = "your character could not be brought in again".to_owned();
            self.on_kick(key, DisconnectReason::DisconnectInternal, message);
        }
    }
}
