//! How sessions end: by their player's wish, by a kick, by a time-out, by the end of the process.
//!
//! Runs in the gateway's task. Whatever ends a session passes [`Gateway::release`], which tells
//! everybody who knows of it; the world lets the player go unless another session has it.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::Gateway;
use super::denial::Denial;
use super::sessions::{Entering, Stage};
use super::talk::ToShard;
use crate::ids::SessionKey;
use crate::msg::{ChatMsg, MasterMsg, ZoneMsg};
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::server;

/// How long entering may take in all.
const ENTER_WITHIN: Duration = Duration::from_secs(10);
/// How long the master may take to grant presence. A new one listens to its servers for three
/// seconds first; one that hangs is not known to for longer, and nobody is to wait for that.
const GRANT_WITHIN: Duration = Duration::from_secs(4);
/// The same for one that resumes: its client has a player that stands there, and more gateways to
/// ask, so it is told soon to try again.
const RESUME_GRANT_WITHIN: Duration = Duration::from_secs(1);
/// How long a displaced session's character may go without its new session.
const DISPLACED_FOR: Duration = Duration::from_secs(12);

impl Gateway {
    /// A player has logged out.
    pub(super) fn on_logout(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get(key) {
            info!(name = %session.name, player = %session.player, "player logs out");
            self.release(key);
        }
    }

    /// A session must end.
    pub(super) fn on_kick(&mut self, key: SessionKey, reason: DisconnectReason, message: String) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        info!(name = %session.name, player = %session.player, ?reason, message, "session ends");
        if reason == DisconnectReason::DisconnectLoggedInElsewhere {
            return self.displace(key, message);
        }
        match &session.stage {
            Stage::Entering(entering) => {
                let conn = entering.conn;
                let code = ErrorCode::ErrorAlreadyLoggedIn;
                let packet = match entering.resumes {
                    None => server::enter_world_refused(code, &message),
                    Some(_) => server::resume_refused(code, &message),
                };
                self.tell_conn(conn, ToShard::Refused { conn: conn.conn, packet });
            }
            Stage::Attached { conn } => {
                let shard = conn.shard;
                self.post.shard(shard, ToShard::End { session: key, reason, message });
            }
            Stage::Reattaching { by, .. } => {
                let to = by.conn;
                self.refuse_resume(to, "the session has ended; log in");
            }
            Stage::Detached { .. } | Stage::Displaced { .. } => {}
        }
        self.release(key);
    }

    /// Another session of its player has come. A session whose player stands, or may stand, in a
    /// zone stays until the zone says that the player is the other's: it must not leave meanwhile.
    /// If the other never comes, it does.
    fn displace(&mut self, key: SessionKey, message: String) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let reason = DisconnectReason::DisconnectLoggedInElsewhere;
        match &session.stage {
            Stage::Entering(_) if session.zone.is_none() => return self.give_way(key),
            // The zone, or the master again.
            Stage::Displaced { .. } => return self.release(key),
            Stage::Entering(entering) => {
                let (conn, sequence) = (entering.conn, entering.sequence);
                let (resumes, denial) = entering.way_given();
                self.deny(conn, sequence, resumes, denial);
            }
            Stage::Attached { conn } => {
                let shard = conn.shard;
                self.post.shard(shard, ToShard::End { session: key, reason, message });
            }
            Stage::Reattaching { by, .. } => {
                let (conn, sequence) = (by.conn, by.sequence);
                self.deny(conn, sequence, true, Denial::CHANGES_CONNECTIONS);
            }
            Stage::Detached { .. } => {}
        }
        if let Some(session) = self.sessions.get_mut(key) {
            session.stage = Stage::Displaced { since: crate::tick::now() };
            session.absence = None;
            // The other session's token is the one to be stored now.
            if let Some(write) = &session.token_stored {
                write.abort();
            }
        }
    }

    /// Ends a session: its player leaves the world unless another session has it.
    pub(super) fn release(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.remove(key) else { return };
        let player = session.player;
        if let Stage::Reattaching { by, .. } = &session.stage {
            self.refuse_resume(by.conn, "the session has ended");
        }
        if let Some(zone) = session.zone {
            self.post.zone(zone, ZoneMsg::Leave { player, session: session_ref });
        }
        self.post.chat(ChatMsg::Left { player, session: session_ref });
        self.post.master(MasterMsg::Released { player, session: session_ref });
        if session.token_hash.is_none() || matches!(session.stage, Stage::Displaced { .. }) {
            // Its token, if it has one, is not its own: its player has another session, or its
            // client tries to go on with one.
            return;
        }
        let (store, stored) = (self.store.clone(), session.token_stored);
        tokio::spawn(async move {
            // Only then is there one to be dropped.
            if let Some(stored) = stored {
                let _ = stored.await;
            }
            if let Err(error) = store.drop_resume(session_ref).await {
                debug!(%error, "resume token stays until it expires");
            }
        });
    }

    /// Ends what has waited too long in its stage.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        let stands = Duration::from_secs(self.shared.config.resume_seconds);
        let overdue: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(_, session)| match &session.stage {
                Stage::Entering(entering) => now - entering.since > patience(entering).0,
                Stage::Attached { .. } => false,
                Stage::Detached { since, .. } => now - *since > stands,
                Stage::Reattaching { since, .. } => now - *since > ENTER_WITHIN,
                Stage::Displaced { since } => now - *since > DISPLACED_FOR,
            })
            .map(|(key, _)| key)
            .collect();
        for key in overdue {
            let stage = self.sessions.get(key).map(|session| &session.stage);
            if let Some(Stage::Entering(entering)) = stage {
                let (_, denial) = patience(entering);
                self.fail_entry(key, denial);
            }
            self.release(key);
        }
    }
}

/// How long a client waits to be let in, and what it is told then.
fn patience(entering: &Entering) -> (Duration, Denial) {
    match (entering.granted, entering.resumes) {
        (true, _) => (ENTER_WITHIN, Denial::TOO_LONG),
        (false, None) => (GRANT_WITHIN, Denial::NO_MASTER),
        (false, Some(_)) => (RESUME_GRANT_WITHIN, Denial::NO_MASTER),
    }
}
