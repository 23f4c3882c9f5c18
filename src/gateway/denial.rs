//! Clients that are not let in: for good, or not now, and then they are told when to try again.
//!
//! Runs in the gateway's task. Nothing that a client has to try again with is used up before it is
//! let in: a resume token goes on until the next one was used.

use metrics::counter;

use super::Gateway;
use super::sessions::Stage;
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
    pub(super) const ELSEWHERE: Self =
        Self::for_good(ErrorCode::ErrorAlreadyLoggedIn, "you have logged in from elsewhere");
    pub(super) const TICKET_USED: Self =
        Self::for_good(ErrorCode::ErrorTicketUsed, "the ticket was used before; log in again");
    pub(super) const TICKET_VOID: Self =
        Self::for_good(ErrorCode::ErrorTicketInvalid, "the account has changed; log in again");
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
        let Some(session) = self.sessions.get(key) else { return };
        let Stage::Entering(entering) = &session.stage else { return };
        let (conn, sequence, resumes) =
            (entering.conn, entering.sequence, entering.resumes.is_some());
        self.release(key);
        self.deny(conn, sequence, resumes, denial);
    }
}
