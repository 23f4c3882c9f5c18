//! How sessions change connections: opened on a shard, lost with a connection, resumed on another.
//!
//! Runs in the gateway's task. A shard speaks of a session always together with its connection, so
//! that late words about an old connection change nothing. An answer may be lost with the connection
//! that was to bring it: until a client has shown that it has its new token, the one before goes on
//! as well, and of several connections that ask with it the last one counts.

use std::time::Duration;

use metrics::counter;
use tracing::{debug, info, warn};

use super::Gateway;
use super::denial::Denial;
use super::entry::{Found, Newcomer};
use super::outlet::ReliableLog;
use super::sessions::{Entering, Former, Session, Stage};
use super::talk::{Asked, ConnRef, How, Opening, ToShard};
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
async fn put_token(
    store: &Store,
    hash: [u8; 32],
    former: Option<[u8; 32]>,
    record: ResumeRecord,
) -> bool {
    for attempt in 1..=TOKEN_TRIES {
        match store.put_resume(hash, former, record.clone()).await {
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
    /// Gives a session to the shard of its new connection, under a new resume token. `former`: the
    /// one with which it was asked for.
    pub(super) fn open(
        &mut self,
        key: SessionKey,
        conn: ConnRef,
        how: How,
        former: Option<Former>,
    ) {
        let token = ResumeToken::random();
        self.sessions.set_token(key, ResumeToken::hash(token.as_str()), former);
        self.store_token(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Some(zone) = session.zone else { return };
        let conduct = self.conducts.of(session.player, now());
        session.stage = Stage::Attached { conn };
        let opening = Opening {
            conn: conn.conn,
            session: key,
            session_id: session.session_id,
            token,
            player: session.player,
            zone,
            conduct,
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
        let former = session.former.map(|former| former.hash);
        let (store, before) = (self.store.clone(), session.token_stored.take());
        session.token_stored = Some(tokio::spawn(async move {
            // One after the other, or an older token could replace a newer one.
            if let Some(before) = before {
                let _ = before.await;
            }
            put_token(&store, hash, former, record).await
        }));
    }

    /// A client goes on with a session.
    pub(super) fn on_resume(&mut self, asked: Asked) {
        if self.drain.is_some() {
            return self.deny(asked.conn, asked.sequence, true, Denial::DRAINS);
        }
        match self.sessions.by_token(&asked.token_hash) {
            Some(key) if !self.is_displaced(key) => self.resume(key, asked),
            // Its client may have gone on elsewhere since, and not have been told.
            _ => self.look_up(asked),
        }
    }

    fn is_displaced(&self, key: SessionKey) -> bool {
        let session = self.sessions.get(key);
        session.is_some_and(|session| matches!(session.stage, Stage::Displaced { .. }))
    }

    /// Asks the store for a session that is not played here.
    fn look_up(&mut self, asked: Asked) {
        let (store, found) = (self.store.clone(), self.found.clone());
        self.tokens += 1;
        tokio::spawn(async move {
            let result = store.find_resume(asked.token_hash, unix_millis()).await;
            // Fails only if the gateway has ended.
            let _ = found.send(Found::Token { asked, result }).await;
        });
    }

    /// A client goes on with a session of this gateway's. Whoever asked before it waits no longer.
    fn resume(&mut self, key: SessionKey, asked: Asked) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        match &mut session.stage {
            Stage::Attached { conn } => {
                // The old connection is not known to be dead yet: take the session from it.
                let from = *conn;
                let (since, missed) = (now(), Vec::new());
                session.stage = Stage::Reattaching { from, by: asked, since, missed };
                self.tell_conn(from, ToShard::Detach { session: key, conn: from.conn });
            }
            Stage::Detached { log, received, .. } => {
                let (log, received) = (std::mem::take(log), *received);
                info!(player = %session.player, "session resumed");
                self.go_on(key, asked, log, received);
            }
            Stage::Reattaching { by, .. } => {
                let before = std::mem::replace(by, asked);
                self.deny(before.conn, before.sequence, true, Denial::CHANGES_CONNECTIONS);
            }
            Stage::Entering(entering) => {
                let before = (entering.conn, entering.sequence);
                (entering.conn, entering.sequence) = (asked.conn, asked.sequence);
                entering.resumes = Some(asked.last_sequence);
                self.deny(before.0, before.1, true, Denial::CHANGES_CONNECTIONS);
            }
            Stage::Displaced { .. } => {}
        }
    }

    /// A session whose connection is gone goes on over another one. `received`: what was read on
    /// the one that is gone. A client that asks with the token before never knew of that one.
    fn go_on(&mut self, key: SessionKey, asked: Asked, log: Box<ReliableLog>, received: u64) {
        counter!("throng_resumes_total", "result" => "same_gateway").increment(1);
        let Some(session) = self.sessions.get(key) else { return };
        let (former, last_sequence) = match session.former {
            Some(former) if former.hash == asked.token_hash => (former, None),
            _ => (Former { hash: asked.token_hash, received }, Some(asked.last_sequence)),
        };
        let received = former.received;
        let how = How::Resumed { log, last_sequence, received, state: None };
        self.open(key, asked.conn, how, Some(former));
    }

    /// A client has its new token: the one before is over, here at once and in the store within a
    /// second. Many sessions have the next token by then, or have ended, and need no write of it.
    pub(super) fn on_proven(&mut self, key: SessionKey, conn: ConnRef) {
        let Some(session) = self.sessions.get(key) else { return };
        if matches!(session.stage, Stage::Attached { conn: with } if with == conn)
            && self.sessions.end_former(key)
        {
            self.proven.insert(key);
        }
    }

    /// Has the store forget the tokens before those that clients have shown to have.
    pub(super) fn store_proven(&mut self) {
        for key in std::mem::take(&mut self.proven) {
            let session = self.sessions.get(key);
            if session.is_some_and(|session| session.former.is_none() && session.has_player()) {
                self.store_token(key);
            }
        }
    }

    pub(super) fn on_token_found(
        &mut self,
        asked: Asked,
        result: Result<Option<ResumeRecord>, StoreError>,
    ) {
        let Asked { conn, sequence, token_hash, last_sequence } = asked;
        if self.sessions.by_token(&token_hash).is_some_and(|key| !self.is_displaced(key)) {
            // Another connection has asked meanwhile.
            return self.on_resume(asked);
        }
        match result {
            Ok(Some(record)) if self.is_over(&record) => {
                self.refuse_resume(conn, "the resume token is not valid any more; log in");
            }
            Ok(Some(record)) => {
                let ResumeRecord { player, name, device, session_id, .. } = record;
                let token_hash = Some(token_hash);
                let newcomer = Newcomer { player, name, device, session_id, token_hash };
                let entering = Entering::new(conn, sequence, None, Some(last_sequence));
                self.begin(newcomer, entering);
            }
            Ok(None) => self.refuse_resume(conn, "the resume token is not valid; log in"),
            Err(error) => {
                warn!(%error, "resume token could not be looked up");
                self.deny(conn, sequence, true, Denial::NO_DATABASE);
            }
        }
    }

    /// Tokens of this gateway's own sessions are all known here. So one that only the store knows
    /// was replaced, or its session has ended, before the store heard of it; unless its player was
    /// claimed for another session, which may never have come.
    fn is_over(&self, record: &ResumeRecord) -> bool {
        if record.session.gateway != self.shared.server {
            return false;
        }
        let plays = |session: &Session| session.player == record.player && session.has_player();
        !self.is_displaced(record.session.key) || self.sessions.iter().any(|(_, s)| plays(s))
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
            Stage::Reattaching { from, by, missed, .. } if *from == conn => {
                for packet in missed.drain(..) {
                    log.push(None, packet, keep);
                }
                let asked = *by;
                info!(player = %session.player, "session goes on over another connection");
                self.go_on(key, asked, log, received);
            }
            Stage::Attached { conn: with } if *with == conn => {
                debug!(player = %session.player, "connection lost; the character stands");
                session.stage = Stage::Detached { since: now(), log, received };
            }
            _ => debug!(session = key.0, "a late word about an old connection"),
        }
    }
}
