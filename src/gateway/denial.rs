//! Clients that are not let in: for good, or not now, and then they are told when to try again.
//!
//! Runs in the gateway's task. A resume token that was taken from the store for nothing is put back
//! before its client hears of it.

use metrics::counter;
use tracing::warn;

use super::Gateway;
use super::entry::Found;
use super::sessions::{Resuming, Stage};
use super::talk::{ConnRef, ToShard};
use crate::ids::SessionKey;
use crate::proto::ErrorCode;
use crate::protocol::server;

/// When a client may try again, ms.
const RETRY_MS: u32 = 1_000;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Denial {
    code: ErrorCode,
    message: &'static str,
    /// 0: the same would be said again.
    retry_after_ms: u32,
}

impl Denial {
    /// The same would be said again.
    pub(super) const fn for_good(code: ErrorCode, message: &'static str) -> Self {
        Self { code, message, retry_after_ms: 0 }
    }

    /// Something is away that will be there again.
    pub(super) const fn not_now(message: &'static str) -> Self {
        Self { code: ErrorCode::ErrorUnavailable, message, retry_after_ms: RETRY_MS }
    }

    pub(super) const DRAINS: Self = Self::not_now("this server is going away; go to another");
    pub(super) const NO_DATABASE: Self = Self::not_now("the database is away; try again");
    pub(super) const NO_MASTER: Self = Self::not_now("the world is not ready; try again");
    pub(super) const NO_ZONE: Self = Self::not_now("the zone is not reachable now; try again");
    pub(super) const ZONE_FULL: Self =
        Self::not_now("the world, or the player's zone, is full; try again later");
    pub(super) const TOO_LONG: Self = Self::not_now("entering took too long; try again");
    pub(super) const NOT_BROUGHT_IN: Self =
        Self::not_now("the player cannot be brought in now; try again");
    pub(super) const CHANGES_CONNECTIONS: Self =
        Self::not_now("the session is changing connections already; try again");
    pub(super) const TICKET_USED: Self =
        Self::for_good(ErrorCode::ErrorTicketUsed, "the ticket was used before; log in again");
    pub(super) const NO_CHARACTER: Self =
        Self::for_good(ErrorCode::ErrorNoSuchPlayer, "the character is gone");
    pub(super) const NO_ZONE_AT_ALL: Self =
        Self::for_good(ErrorCode::ErrorNoServers, "no zone runs");
}

impl Gateway {
    /// Tells a client that it is not let in.
    pub(super) fn deny(&mut self, conn: ConnRef, sequence: u64, resumes: bool, denial: Denial) {
        let Denial { code, message, retry_after_ms } = denial;
        if resumes {
            let result = if retry_after_ms == 0 { "refused" } else { "unavailable" };
            counter!("throng_resumes_total", "result" => result).increment(1);
        }
        let message = match (retry_after_ms, resumes) {
            (0, true) => {
                ToShard::Refused { conn: conn.conn, packet: server::resume_refused(code, message) }
            }
            (0, false) => {
                let packet = server::enter_world_refused(code, message);
                ToShard::Refused { conn: conn.conn, packet }
            }
            _ => ToShard::NotNow { conn: conn.conn, sequence, message, retry_after_ms },
        };
        self.tell_conn(conn, message);
    }

    /// The client's session is not to be had any more.
    pub(super) fn refuse_resume(&mut self, conn: ConnRef, message: &'static str) {
        // A refusal for good has no use for the packet's sequence.
        self.deny(conn, 0, true, Denial::for_good(ErrorCode::ErrorResumeRefused, message));
    }

    /// Ends a session that never began.
    pub(super) fn fail_entry(&mut self, key: SessionKey, denial: Denial) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Entering(entering) = &mut session.stage else { return };
        let (conn, sequence) = (entering.conn, entering.sequence);
        let resumes = entering.resumes.take();
        self.release(key);
        match resumes {
            Some(resuming) if denial.retry_after_ms > 0 => {
                self.put_back(conn, sequence, *resuming, denial);
            }
            resumes => self.deny(conn, sequence, resumes.is_some(), denial),
        }
    }

    /// Puts a token back into the store, and then tells its client to try again.
    fn put_back(&mut self, conn: ConnRef, sequence: u64, resuming: Resuming, denial: Denial) {
        let (store, found) = (self.store.clone(), self.found.clone());
        self.tokens += 1;
        tokio::spawn(async move {
            let Resuming { token_hash, record, .. } = resuming;
            if let Err(error) = store.put_resume(token_hash, record).await {
                warn!(%error, "a resume token is lost; its client must log in again");
            }
            // Fails only if the gateway has ended.
            let _ = found.send(Found::PutBack { conn, sequence, denial }).await;
        });
    }
}
