//! Questions of clients to the login role that are not answered yet.
//!
//! Runs in the gateway's task. Several processes may play login; a question is answered by the one
//! that got it, or not at all: when that one is gone, its clients are told at once.

use std::time::{Duration, Instant};

use tracing::warn;

use super::Gateway;
use super::talk::{ConnRef, ToShard};
use crate::ids::{RequestId, ServerId};
use crate::msg::LoginMsg;
use crate::msg::login::{LoginDecision, QueuePlace, RegisterDecision};
use crate::tick::now;

/// How long login may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// When a client may ask again, ms.
const RETRY_MS: u32 = 1_000;

/// What a client waits for.
pub(super) struct Question {
    conn: ConnRef,
    sequence: u64,
    registers: bool,
    /// The process that was asked; none: this one.
    asked: Option<ServerId>,
}

impl Gateway {
    /// Asks login on behalf of a client.
    pub(super) fn ask_login(
        &mut self,
        conn: ConnRef,
        sequence: u64,
        registers: bool,
        message: impl FnOnce(ServerId, RequestId) -> LoginMsg,
    ) {
        if self.drain.is_some() {
            return self.not_now(conn, sequence, "this server is going away");
        }
        let question = Question { conn, sequence, registers, asked: None };
        let Ok(request) = self.questions.ask(now(), ANSWER_WITHIN, question) else {
            return self.not_now(conn, sequence, "the server is busy; try again");
        };
        match self.shared.peers.login.send_to_one(message(self.shared.server, request)) {
            Ok(server) => {
                if let Some(question) = self.questions.peek_mut(request) {
                    question.asked = server;
                }
            }
            Err(problem) => {
                warn!(%problem, "login cannot be asked");
                self.questions.answered(request);
                self.not_now(conn, sequence, "logging in is not possible now; try again");
            }
        }
    }

    fn not_now(&mut self, conn: ConnRef, sequence: u64, message: &'static str) {
        let retry_after_ms = RETRY_MS;
        let conn_id = conn.conn;
        self.tell_conn(conn, ToShard::NotNow { conn: conn_id, sequence, message, retry_after_ms });
    }

    pub(super) fn on_login_decided(&mut self, request: RequestId, decision: LoginDecision) {
        if let Some(Question { conn, sequence, registers: false, .. }) =
            self.questions.answered(request)
        {
            if let LoginDecision::Accepted { player, .. } = decision
                && let Some(older) = self.newest.note(player, conn, now())
            {
                self.tell_conn(older, ToShard::Outnumbered { conn: older.conn });
            }
            self.tell_conn(conn, ToShard::LoginDecided { conn: conn.conn, sequence, decision });
        }
    }

    pub(super) fn on_register_decided(&mut self, request: RequestId, decision: RegisterDecision) {
        if let Some(Question { conn, sequence, registers: true, .. }) =
            self.questions.answered(request)
        {
            self.tell_conn(conn, ToShard::RegisterDecided { conn: conn.conn, sequence, decision });
        }
    }

    pub(super) fn on_login_queued(&mut self, request: RequestId, place: QueuePlace) {
        if let Some(question) = self.questions.peek(request) {
            let conn = question.conn;
            self.tell_conn(conn, ToShard::LoginQueued { conn: conn.conn, place });
        }
    }

    /// Several times a second: what was asked of a process that is gone will not be answered.
    pub(super) fn drop_lost_questions(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        let there = self.shared.peers.login.servers();
        for question in self.questions.hopeless(|question| !there.contains(&question.asked)) {
            let message = "the login server was lost; try again";
            self.not_now(question.conn, question.sequence, message);
        }
    }

    /// Once a second: what has waited too long is given up.
    pub(super) fn expire_questions(&mut self, now: Instant) {
        for question in self.questions.expired(now) {
            self.not_now(question.conn, question.sequence, "the server is busy; try again");
        }
    }
}
