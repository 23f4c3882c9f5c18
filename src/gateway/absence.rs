//! Sessions whose player is not where it should be: it has crossed a border, its zone runs anew, or
//! it was lost on its way.
//!
//! Runs in the gateway's task. A zone that is asked to let a player in gives it to the session
//! again if it stands there, so asking twice does no harm; the client notices nothing.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::Gateway;
use super::sessions::{Absence, Session, Stage};
use super::talk::ToShard;
use crate::ids::{PlayerId, SessionKey, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::master::PresentSession;
use crate::msg::{ChatMsg, MasterMsg, ZoneMsg};
use crate::names::Name;
use crate::proto::DisconnectReason;
use crate::role::Role;
use crate::tick::now;

/// Between two tries to bring a player in again.
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// Sessions in one message to a new master.
const PRESENT_AT_ONCE: usize = 1_000;
/// How long it is tried.
const BRING_IN_WITHIN: Duration = Duration::from_secs(30);

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
        if let Some(shard) = session.shard() {
            self.post.shard(shard, ToShard::Moved { session: key, zone });
        }
        self.post.chat(ChatMsg::Moved { player, zone });
    }

    /// A zone runs anew and is empty: the players that stood there are brought in again, from
    /// their last save.
    pub(super) fn on_zone_restarted(&mut self, zone: ZoneId) {
        let stood = |session: &Session| session.zone == Some(zone) && session.has_player();
        let keys: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(_, session)| stood(session))
            .map(|(key, _)| key)
            .collect();
        info!(%zone, players = keys.len(), "zone runs anew; its players are brought in again");
        for key in keys {
            self.bring_in(key);
        }
    }

    /// A shard does not find a session's player in its zone.
    pub(super) fn on_missing(&mut self, key: SessionKey) {
        let attached = |session: &Session| matches!(session.stage, Stage::Attached { .. });
        if self.sessions.get(key).is_some_and(|s| attached(s) && s.absence.is_none()) {
            warn!(session = key.0, "a session's player is not in its zone; it is looked for");
            self.bring_in(key);
        }
    }

    fn bring_in(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(zone) = session.zone else { return };
        let now = now();
        let absence = session.absence.get_or_insert(Absence { since: now, asked: now });
        absence.asked = now;
        let enter = ZoneMsg::Enter { player: session.player, session: session_ref, ticket: None };
        self.post.zone(zone, enter);
    }

    /// A zone has not let a player in that was to be brought in again: it is elsewhere, or it is
    /// tried again later.
    pub(super) fn on_not_brought_in(&mut self, key: SessionKey, reason: &EnterRefusal) {
        if let EnterRefusal::Elsewhere(zone) = reason
            && let Some(session) = self.sessions.get_mut(key)
            && session.absence.is_some()
            && session.zone != Some(*zone)
        {
            session.zone = Some(*zone);
            self.bring_in(key);
        }
    }

    /// Once a second: tries again, and gives up in the end.
    pub(super) fn tend_absent(&mut self, now: Instant) {
        let absent = |(key, session): (SessionKey, &Session)| Some((key, session.absence?));
        let absent: Vec<(SessionKey, Absence)> = self.sessions.iter().filter_map(absent).collect();
        for (key, absence) in absent {
            if now - absence.since > BRING_IN_WITHIN {
                let message = "your character could not be brought in again".to_owned();
                self.on_kick(key, DisconnectReason::DisconnectInternal, message);
            } else if now - absence.asked > ASK_AGAIN {
                self.bring_in(key);
            }
        }
    }

    /// Somebody new plays the master or chat: it hears who is here.
    pub(super) fn on_introduce(&mut self, to: Role) {
        let playing: Vec<(SessionKey, &Session)> =
            self.sessions.iter().filter(|(_, session)| session.has_player()).collect();
        match to {
            Role::Master => {
                let present = |(key, session): &(SessionKey, &Session)| PresentSession {
                    player: session.player,
                    name: session.name.key(),
                    session: self.session_ref(*key),
                    device: session.device.clone(),
                    zone: session.zone,
                    since: session.since,
                };
                let parts = playing.chunks(PRESENT_AT_ONCE);
                let messages: Vec<MasterMsg> = parts
                    .map(|part| MasterMsg::Present { sessions: part.iter().map(present).collect() })
                    .collect();
                messages.into_iter().for_each(|message| self.post.master(message));
            }
            Role::Chat => {
                let joined = |(key, session): (SessionKey, &Session)| {
                    Some(ChatMsg::Joined {
                        player: session.player,
                        name: session.name.key(),
                        session: self.session_ref(key),
                        zone: session.zone?,
                        rooms: session.rooms.clone(),
                    })
                };
                let messages: Vec<ChatMsg> = playing.into_iter().filter_map(joined).collect();
                messages.into_iter().for_each(|message| self.post.chat(message));
            }
            Role::Login | Role::Gateway | Role::Zone => {}
        }
    }

    /// The rooms that a session's player is in, for the next chat role.
    pub(super) fn on_rooms(&mut self, key: SessionKey, rooms: Vec<Name>) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.rooms = rooms;
        }
    }
}
