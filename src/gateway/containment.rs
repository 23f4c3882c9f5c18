//! What a fault in the service of one session costs: its connection, and nothing else.
//!
//! The shard's loop hands each message on through here. A message about many sessions is done for
//! each by itself, the rest of a batch goes on, and a session that could not be opened is given back
//! to the session manager, which would count it as attached for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};

use metrics::counter;
use tracing::error;

use super::outlet::ReliableLog;
use super::session::State;
use super::shard::GatewayService;
use super::talk::{ConnRef, FromShard, How, Opening, Subject, ToShard};
use crate::ids::SessionKey;
use crate::msg::Outgoing;
use crate::net::{CloseReason, ConnId, Io};

/// A panic was contained; the connection that it was about ends.
pub(super) fn count_panic(conn: Option<ConnId>) {
    counter!("throng_service_panics_total").increment(1);
    error!(?conn, "the service of a connection has panicked; the connection ends");
}

impl GatewayService {
    /// Does something about one connection, or about none. If it panics the connection is closed;
    /// false.
    pub(super) fn contain(
        &mut self,
        io: &mut Io<'_>,
        about: Option<ConnId>,
        act: impl FnOnce(&mut Self, &mut Io<'_>),
    ) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(|| act(self, io)));
        if outcome.is_err() {
            count_panic(about);
            if let Some(conn) = about {
                io.close(conn, CloseReason::Service);
            }
        }
        outcome.is_ok()
    }

    /// One message of the session manager's.
    pub(super) fn take_message(&mut self, io: &mut Io<'_>, message: ToShard) {
        let about = match message.subject() {
            Subject::Conn(conn) => Some(conn),
            Subject::Session(session) => self.session_conn(session).map(|conn| conn.id),
            Subject::All => None,
        };
        self.contain(io, about, |service, io| service.on_message(io, message));
    }

    /// Sends each of them a packet with the next tick.
    pub(super) fn send_all(
        &mut self,
        io: &mut Io<'_>,
        sessions: Vec<SessionKey>,
        packet: &Outgoing,
    ) {
        for session in sessions {
            let about = self.session_conn(session).map(|conn| conn.id);
            self.contain(io, about, |service, io| service.send_soon(io, session, packet));
        }
    }

    /// Opens a session. One whose opening fails half-way is lost with its connection, as one that
    /// was opened is.
    pub(super) fn open(&mut self, io: &mut Io<'_>, opening: Opening) {
        let (session, conn) = (opening.session, opening.conn);
        let received = match &opening.how {
            How::Entered { .. } => 0,
            How::Resumed { received, .. } => *received,
        };
        if self.contain(io, Some(conn), |service, io| service.on_opening(io, opening)) {
            return;
        }
        let holds = |state: &State| match state {
            State::InWorld(playing) => playing.session == session,
            _ => false,
        };
        if !self.conn(conn).is_some_and(|conn| holds(&conn.state)) {
            let log = Box::new(ReliableLog::unknown());
            let conn = ConnRef { shard: self.index, conn };
            self.report(FromShard::Lost { session, conn, log, received });
        }
    }
}
