//! What a new master or chat role is told: who plays here. And what a gateway does that has stood
//! still for a while: others may have taken it for dead.
//!
//! Runs in the gateway's task.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::Gateway;
use super::sessions::Session;
use crate::ids::SessionKey;
use crate::msg::master::PresentSession;
use crate::msg::{ChatMsg, MasterMsg};
use crate::names::Name;
use crate::role::Role;
use crate::tick::now;

/// Sessions in one message to a new master.
const PRESENT_AT_ONCE: usize = 1_000;
/// Between two beats, more than any load explains: the process was stopped.
const STOOD_STILL: Duration = Duration::from_secs(3);
/// How long after it no player is brought in by itself, unless the master has spoken.
const DOUBT: Duration = Duration::from_secs(10);
/// How long a master has to send sessions away that go on elsewhere, once it knows of them.
const MASTER_WITHIN: Duration = Duration::from_secs(2);

/// Whether this gateway can be sure that its sessions are still its own.
#[derive(Debug)]
pub(super) struct Certainty {
    last_beat: Instant,
    /// Until then a session may be one that its client goes on with elsewhere.
    doubtful_until: Option<Instant>,
}

impl Certainty {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_beat: now, doubtful_until: None }
    }

    /// Several times a second.
    pub(super) fn beat(&mut self, now: Instant) {
        let gap = now.saturating_duration_since(self.last_beat);
        self.last_beat = now;
        if gap > STOOD_STILL {
            warn!(?gap, "the gateway stood still; its sessions may go on elsewhere");
            self.doubtful_until = Some(now + DOUBT);
        } else if self.doubtful_until.is_some_and(|until| now >= until) {
            debug!("what is still a session here is this gateway's own");
            self.doubtful_until = None;
        }
    }

    /// The master hears of all sessions now, and sends away those that it knows elsewhere.
    fn on_told_master(&mut self, now: Instant) {
        if let Some(until) = &mut self.doubtful_until {
            *until = now + MASTER_WITHIN;
        }
    }

    pub(super) fn is_certain(&self) -> bool {
        self.doubtful_until.is_none()
    }
}

impl Gateway {
    /// Somebody new plays the master or chat: it hears who is here.
    pub(super) fn on_introduce(&mut self, to: Role) {
        match to {
            Role::Master => {
                self.present_all();
                self.claim_again();
                self.certainty.on_told_master(now());
            }
            Role::Chat => self.join_all(),
            Role::Login | Role::Gateway | Role::Zone => {}
        }
    }

    fn playing(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.sessions.iter().filter(|(_, session)| session.has_player())
    }

    fn present_all(&mut self) {
        let present = |(key, session): (SessionKey, &Session)| PresentSession {
            player: session.player,
            name: session.name.key(),
            session: self.session_ref(key),
            device: session.device.clone(),
            zone: session.zone,
            since: session.since,
        };
        let all: Vec<PresentSession> = self.playing().map(present).collect();
        for sessions in all.chunks(PRESENT_AT_ONCE) {
            self.post.master(MasterMsg::Present { sessions: sessions.to_vec() });
        }
    }

    fn join_all(&mut self) {
        let told =
            |(key, session): (SessionKey, &Session)| self.joined(key, session, Some(session.since));
        let joined: Vec<ChatMsg> = self.playing().filter_map(told).collect();
        joined.into_iter().for_each(|message| self.post.chat(message));
    }

    /// What chat is told of a session whose player stands somewhere; `since` if it has played
    /// before.
    pub(super) fn joined(
        &self,
        key: SessionKey,
        session: &Session,
        since: Option<u64>,
    ) -> Option<ChatMsg> {
        Some(ChatMsg::Joined {
            player: session.player,
            name: session.name.key(),
            session: self.session_ref(key),
            zone: session.zone?,
            rooms: session.rooms.clone(),
            since,
        })
    }

    /// The rooms that a session's player is in, for the next chat role.
    pub(super) fn on_rooms(&mut self, key: SessionKey, rooms: Vec<Name>) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.rooms = rooms;
        }
    }
}
