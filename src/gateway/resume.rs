//! How sessions change connections: opened on a shard, lost with a connection, resumed on another.
//!
//! Runs in the gateway's task. A shard speaks of a session always together with its connection, so
//! that late words about an old connection change nothing.

use std::time::Duration;

use metrics::counter;
use tracing::{debug, info, warn};

use super::Gateway;
use super::denial::Denial;
use super::entry::{Asked, Found};
use super::outlet::ReliableLog;
use super::sessions::{Entering, Resuming, Stage};
use super::talk::{ConnRef, How, Opening, ToShard};
use crate::ids::SessionKey;
use crate::store::record::ResumeRecord;
use crate::store::{Store, StoreError};
use crate::tick::{now, unix_millis};
use crate::token::ResumeToken;

/// How long the store keeps a resume token, ms: longer than a restart of everything takes.
const TOKEN_KEPT_MS: u64 = 24 * 3_600_000;

/// How often a token's write is tried, each time after twice the pause before.
const TOKEN_TRIES: u32 = 5;
/// The first pause.
const TOKEN_RETRY: Duration = Duration::from_secs(1);

/// Puts a resume token into the store, also over a short absence of the database.
async fn put_token(store: &Store, hash: [u8; 32], record: ResumeRecord) -> bool {
    for attempt in 1..=TOKEN_TRIES {
        match store.put_resume(hash, record.clone()).await {
            Ok(()) => return true,
            Err(error @ StoreError::Unavailable(_)) if attempt < TOKEN_TRIES => {
                debug!(%error, attempt, "resume token is not stored yet");
                tokio::time::sleep(TOKEN_RETRY * 2u32.pow(attempt - 1)).await;
            }
            Err(error) => {
                warn!(%error, "resume token was not stored; only this gateway can resume");
                break;
            }
        }
    }
    false
}

impl Gateway {
    /// Gives a session to the shard of its new connection, under a new resume token.
    pub(super) fn open(&mut self, key: SessionKey, conn: ConnRef, how: How) {
        let token = ResumeToken::random();
        self.sessions.set_token(key, ResumeToken::hash(token.as_str()));
        self.store_token(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(zone) = session.zone else { return };
        session.stage = Stage::Attached { conn };
        let opening = Opening {
            conn: conn.conn,
            session: key,
            session_id: session.session_id,
            token,
            player: session.player,
            zone,
            how,
        };
        self.tell_conn(conn, ToShard::Open(Box::new(opening)));
    }

    /// Writes a session's resume token into the store, so that another gateway can go on with it.
    pub(super) fn store_token(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(hash) = session.token_hash else { return };
        let record = ResumeRecord {
            player: session.player,
            name: session.name.clone(),
            session_id: session.session_id,
            session: session_ref,
            device: session.device.clone(),
            expires_at: unix_millis() + TOKEN_KEPT_MS,
        };
        let (store, before) = (self.store.clone(), session.token_stored.take());
        session.token_stored = Some(tokio::spawn(async move {
            // One after the other, or an older token could replace a newer one.
            if let Some(before) = before {
                let _ = before.await;
            }
            put_token(&store, hash, record).await
        }));
    }

    /// A client goes on with a session.
    pub(super) fn on_resume(&mut self, asked: Asked) {
        let Asked { conn, sequence, token_hash, last_sequence } = asked;
        if self.drain.is_some() {
            return self.deny(conn, sequence, true, Denial::DRAINS);
        }
        let Some(key) = self.sessions.by_token(&token_hash) else {
            let (store, found) = (self.store.clone(), self.found.clone());
            self.tokens += 1;
            tokio::spawn(async move {
                let result = store.take_resume(token_hash, unix_millis()).await;
                // Fails only if the gateway has ended.
                let _ = found.send(Found::Token { asked, result }).await;
            });
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else { return };
        match &mut session.stage {
            Stage::Attached { conn: from } => {
                // The old connection is not known to be dead yet: take the session from it.
                let from = *from;
                let (to, since, missed) = (conn, now(), Vec::new());
                session.stage = Stage::Reattaching { from, to, last_sequence, since, missed };
                self.tell_conn(from, ToShard::Detach { session: key, conn: from.conn });
            }
            Stage::Detached { log, received, .. } => {
                let (log, received) = (std::mem::take(log), *received);
                info!(player = %session.player, "session resumed");
                self.go_on(key, conn, How::Resumed { log, last_sequence, received, state: None });
            }
            Stage::Entering(_) | Stage::Reattaching { .. } => {
                self.deny(conn, sequence, true, Denial::CHANGES_CONNECTIONS);
            }
            Stage::Displaced { .. } => {
                self.refuse_resume(conn, "the player has another session by now; log in");
            }
        }
    }

    fn go_on(&mut self, key: SessionKey, conn: ConnRef, how: How) {
        counter!("throng_resumes_total", "result" => "same_gateway").increment(1);
        self.open(key, conn, how);
    }

    pub(super) fn on_token_found(
        &mut self,
        asked: Asked,
        result: Result<Option<ResumeRecord>, StoreError>,
    ) {
        let Asked { conn, sequence, token_hash, last_sequence } = asked;
        match result {
            // Tokens of this gateway's own sessions are all known here: this one was replaced, or
            // its session has ended, before the store heard of it.
            Ok(Some(record)) if record.session.gateway == self.shared.server => {
                self.refuse_resume(conn, "the resume token is not valid any more; log in");
            }
            Ok(Some(record)) => {
                let ResumeRecord { player, name, device, session_id, .. } = record.clone();
                let resuming = Resuming { last_sequence, token_hash, record };
                let entering = Entering::new(conn, sequence, None, Some(Box::new(resuming)));
                self.begin(player, name, device, session_id, entering);
            }
            Ok(None) => self.refuse_resume(conn, "the resume token is not valid; log in"),
            Err(error) => {
                warn!(%error, "resume token could not be looked up");
                self.deny(conn, sequence, true, Denial::NO_DATABASE);
            }
        }
    }

    /// A shard has lost a session's connection, or gives the session back.
    pub(super) fn on_lost(
        &mut self,
        key: SessionKey,
        conn: ConnRef,
        mut log: Box<ReliableLog>,
        received: u64,
    ) {
        let keep = self.shared.config.resume_packets;
        let Some(session) = self.sessions.get_mut(key) else { return };
        match &mut session.stage {
            Stage::Reattaching { from, to, last_sequence, missed, .. } if *from == conn => {
                for packet in missed.drain(..) {
                    log.push(None, packet, keep);
                }
                let (to, last_sequence) = (*to, *last_sequence);
                info!(player = %session.player, "session goes on over another connection");
                self.go_on(key, to, How::Resumed { log, last_sequence, received, state: None });
            }
            Stage::Attached { conn: with } if *with == conn => {
                debug!(player = %session.player, "connection lost; the character stands");
                session.stage = Stage::Detached { since: now(), log, received };
            }
            _ => debug!(session = key.0, "a late word about an old connection"),
        }
    }
}
