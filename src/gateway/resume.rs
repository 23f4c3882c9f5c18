//! How sessions change connections: opened on a shard, lost with a connection, resumed on another.
//!
//! Runs in the gateway's task. A shard speaks of a session always together with its connection, so
//! that late words about an old connection change nothing.

use tracing::{debug, info, warn};

use super::Gateway;
use super::outlet::ReliableLog;
use super::sessions::{Entering, Stage};
use super::talk::{ConnRef, How, Opening, ToShard};
use crate::ids::SessionKey;
use crate::proto::ErrorCode;
use crate::protocol::server;
use crate::store::StoreError;
use crate::store::record::ResumeRecord;
use crate::tick::{now, unix_millis};
use crate::token::ResumeToken;

use super::entry::Found;

/// How long the store keeps a resume token, ms: longer than a restart of everything takes.
const TOKEN_KEPT_MS: u64 = 24 * 3_600_000;

impl Gateway {
    /// Gives a session to the shard of its new connection, under a new resume token.
    pub(super) fn open(&mut self, key: SessionKey, conn: ConnRef, how: How) {
        let token = ResumeToken::random();
        let hash = ResumeToken::hash(token.as_str());
        self.sessions.set_token(key, hash);
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(zone) = session.zone else { return };
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
            if let Err(error) = store.put_resume(hash, record).await {
                warn!(%error, "resume token was not stored; only this gateway can resume");
            }
        }));
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

    /// A client goes on with a session.
    pub(super) fn on_resume(&mut self, conn: ConnRef, token_hash: [u8; 32], last_sequence: u64) {
        let Some(key) = self.sessions.by_token(&token_hash) else {
            let (store, found) = (self.store.clone(), self.found.clone());
            tokio::spawn(async move {
                let result = store.take_resume(token_hash, unix_millis()).await;
                // Fails only if the gateway has ended.
                let _ = found.send(Found::Token { conn, last_sequence, result }).await;
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
                self.open(key, conn, How::Resumed { log, last_sequence, received });
            }
            Stage::Entering(_) | Stage::Reattaching { .. } | Stage::Displaced { .. } => {
                self.refuse_resume(conn, "the session is not to be had");
            }
        }
    }

    pub(super) fn on_token_found(
        &mut self,
        conn: ConnRef,
        last_sequence: u64,
        result: Result<Option<ResumeRecord>, StoreError>,
    ) {
        match result {
            // Tokens of this gateway's own sessions are all known here: this one was replaced, or
            // its session has ended, before the store heard of it.
            Ok(Some(record)) if record.session.gateway == self.shared.server => {
                self.refuse_resume(conn, "the resume token is not valid any more; log in");
            }
            Ok(Some(record)) => {
                let entering = Entering {
                    conn,
                    since: now(),
                    ticket: None,
                    resumes: Some(last_sequence),
                    tries: 0,
                };
                self.begin(record.player, record.name, record.device, entering);
            }
            Ok(None) => self.refuse_resume(conn, "the resume token is not valid; log in"),
            Err(error) => {
                warn!(%error, "resume token could not be looked up");
                self.refuse_resume(conn, "the database is away; log in again later");
            }
        }
    }

    pub(super) fn refuse_resume(&mut self, conn: ConnRef, message: &str) {
        let packet = server::resume_refused(ErrorCode::ErrorResumeRefused, message);
        self.tell_conn(conn, ToShard::Refused { conn: conn.conn, packet });
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
                self.open(key, to, How::Resumed { log, last_sequence, received });
            }
            Stage::Attached { conn: with } if *with == conn => {
                debug!(player = %session.player, "connection lost; the character stands");
                session.stage = Stage::Detached { since: now(), log, received };
            }
            _ => debug!(session = key.0, "a late word about an old connection"),
        }
    }
}
