//! How sessions begin: a client enters with a ticket, or goes on with another gateway's session.
//!
//! Runs in the gateway's task, one message at a time. Entering is: the master grants presence (and
//! sends an older session away), the player's place says which zone, that zone claims the player,
//! the client is told. Every step has a deadline.

use tracing::{info, info_span, warn};

use super::Gateway;
use super::outlet::ReliableLog;
use super::sessions::{Entering, Session, Stage};
use super::talk::{ConnRef, How, ToShard};
use crate::ids::{Key, PlayerId, RequestId, SessionKey, SessionRef, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{ChatMsg, MasterMsg, ZoneMsg};
use crate::names::Name;
use crate::proto::ErrorCode;
use crate::protocol::server;
use crate::store::StoreError;
use crate::store::record::ResumeRecord;
use crate::tick::{now, unix_millis};
use crate::token::Ticket;
use crate::world::command::PlayerState;

const TICKET_USED: &str = "the ticket was used before; log in again";
/// How often a player is looked for in another zone.
const TRIES: u32 = 3;

/// What the store was asked for.
pub(super) enum Found {
    /// Whether a ticket was used before.
    Ticket { conn: ConnRef, ticket: Box<Ticket>, result: Result<bool, StoreError> },
    /// Where a player is.
    Player { session: SessionKey, result: Result<Option<PlayerState>, StoreError> },
    /// What a resume token goes on with.
    Token { conn: ConnRef, last_sequence: u64, result: Result<Option<ResumeRecord>, StoreError> },
}

impl Gateway {
    pub(super) fn session_ref(&self, key: SessionKey) -> SessionRef {
        SessionRef { gateway: self.shared.server, key }
    }

    /// A client enters with a ticket. One that was used before must not get as far as presence,
    /// where it would send the player's own session away.
    pub(super) fn on_enter(&mut self, conn: ConnRef, ticket: Ticket) {
        let (store, found) = (self.store.clone(), self.found.clone());
        tokio::spawn(async move {
            let result = store.ticket_is_used(ticket.usage).await;
            // Fails only if the gateway has ended.
            let _ = found.send(Found::Ticket { conn, ticket: Box::new(ticket), result }).await;
        });
    }

    fn on_ticket_found(&mut self, conn: ConnRef, ticket: Ticket, result: Result<bool, StoreError>) {
        let (code, message) = match result {
            Ok(false) => return self.begin_with(conn, ticket),
            Ok(true) => (ErrorCode::ErrorTicketUsed, TICKET_USED),
            Err(error) => {
                warn!(%error, "ticket could not be looked up");
                (ErrorCode::ErrorUnavailable, "the database is away")
            }
        };
        let packet = server::enter_world_refused(code, message);
        self.tell_conn(conn, ToShard::Refused { conn: conn.conn, packet });
    }

    fn begin_with(&mut self, conn: ConnRef, ticket: Ticket) {
        let entering =
            Entering { conn, since: now(), ticket: Some(ticket.usage), resumes: None, tries: 0 };
        self.begin(ticket.player, ticket.name, ticket.device, entering);
    }

    pub(super) fn begin(
        &mut self,
        player: PlayerId,
        name: Name,
        device: String,
        entering: Entering,
    ) {
        let key = self.sessions.next_key();
        self.sessions.insert(Session {
            key,
            player,
            name: name.clone(),
            device: device.clone(),
            session_id: uuid::Uuid::new_v4(),
            since: unix_millis(),
            token_hash: None,
            zone: None,
            rooms: Vec::new(),
            absence: None,
            token_stored: None,
            stage: Stage::Entering(Box::new(entering)),
        });
        let claim = MasterMsg::Claim {
            request: RequestId(key.0),
            player,
            name: name.key(),
            session: self.session_ref(key),
            device,
        };
        if let Err(problem) = self.shared.peers.master.send(claim) {
            warn!(%problem, "the master cannot be asked for presence");
            self.fail_entry(key, ErrorCode::ErrorUnavailable, "the world is not ready; try again");
        }
    }

    /// The master has granted presence; the zone is where the player stands already.
    pub(super) fn on_presence(&mut self, request: RequestId, zone: Option<ZoneId>) {
        let key = SessionKey(request.0);
        let Some(session) = self.sessions.get_mut(key) else { return };
        if !matches!(session.stage, Stage::Entering(_)) {
            return;
        }
        if let Some(zone) = zone {
            return self.ask_zone(key, zone);
        }
        let (store, player, found) = (self.store.clone(), session.player, self.found.clone());
        tokio::spawn(async move {
            let result = store.player(player).await;
            // Fails only if the gateway has ended.
            let _ = found.send(Found::Player { session: key, result }).await;
        });
    }

    /// The store has answered.
    pub(super) fn on_found(&mut self, found: Found) {
        match found {
            Found::Ticket { conn, ticket, result } => self.on_ticket_found(conn, *ticket, result),
            Found::Player { session, result: Ok(Some(state)) } => {
                let zone = self.shared.content.zone_at(state.pose.at).map(|zone| zone.id);
                let zone = zone.or(self.shared.content.zones.first().map(|zone| zone.id));
                match zone {
                    Some(zone) => self.ask_zone(session, zone),
                    None => self.fail_entry(session, ErrorCode::ErrorNoServers, "no zone runs"),
                }
            }
            Found::Player { session, result: Ok(None) } => {
                self.fail_entry(session, ErrorCode::ErrorNoSuchPlayer, "the character is gone");
            }
            Found::Player { session, result: Err(error) } => {
                warn!(%error, "player could not be read");
                self.fail_entry(session, ErrorCode::ErrorUnavailable, "the database is away");
            }
            Found::Token { conn, last_sequence, result } => {
                self.on_token_found(conn, last_sequence, result);
            }
        }
    }

    fn ask_zone(&mut self, key: SessionKey, zone: ZoneId) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Entering(entering) = &session.stage else { return };
        let enter = ZoneMsg::Enter {
            player: session.player,
            session: session_ref,
            ticket: entering.ticket,
        };
        session.zone = Some(zone);
        let sent = self.shared.peers.zones.get(zone).is_some_and(|z| z.send(enter).is_ok());
        if !sent {
            let message = "the zone is not reachable; try again";
            self.fail_entry(key, ErrorCode::ErrorUnavailable, message);
        }
    }

    /// The zone has let the player in: the session begins.
    pub(super) fn on_entered(
        &mut self,
        key: SessionKey,
        state: Box<PlayerState>,
        zone: ZoneId,
        guild: Key,
    ) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.get_mut(key) else {
            // It ended while its player was on its way in: nobody is to stand there for it.
            let player = state.id;
            return self.post.zone(zone, ZoneMsg::Leave { player, session: session_ref });
        };
        let span = info_span!("entered", player = %session.player, %zone);
        let _entered = span.enter();
        let conn = match &session.stage {
            Stage::Entering(entering) => entering.conn,
            // It was brought in again; chat tells its zone the player's guild once more.
            Stage::Attached { .. } | Stage::Detached { .. } | Stage::Reattaching { .. } => {
                session.absence = None;
                return self.stands(key, zone);
            }
            Stage::Displaced { .. } => return session.zone = Some(zone),
        };
        session.zone = Some(zone);
        let stage = std::mem::replace(&mut session.stage, Stage::Attached { conn });
        let Stage::Entering(entering) = stage else { return };
        let how = match entering.resumes {
            None => How::Entered { state, guild },
            Some(last_sequence) => {
                // Another gateway had it: what was missed there nobody knows.
                let log = Box::new(ReliableLog::unknown());
                How::Resumed { log, last_sequence, received: 0 }
            }
        };
        let joined = ChatMsg::Joined {
            player: session.player,
            name: session.name.key(),
            session: session_ref,
            zone,
            rooms: Vec::new(),
        };
        info!(name = %session.name, "player enters");
        self.open(key, entering.conn, how);
        self.post.chat(joined);
    }

    /// The zone has not let the player in.
    pub(super) fn on_enter_refused(&mut self, key: SessionKey, reason: EnterRefusal) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Entering(entering) = &mut session.stage else {
            return self.on_not_brought_in(key, &reason);
        };
        match reason {
            EnterRefusal::Elsewhere(zone) if entering.tries < TRIES => {
                entering.tries += 1;
                // The claim that found the player elsewhere has used the ticket up.
                entering.ticket = None;
                self.ask_zone(key, zone);
            }
            EnterRefusal::TicketUsed => {
                self.fail_entry(key, ErrorCode::ErrorTicketUsed, TICKET_USED);
            }
            EnterRefusal::Full => {
                self.fail_entry(key, ErrorCode::ErrorUnavailable, "the zone is full");
            }
            EnterRefusal::Elsewhere(_) | EnterRefusal::Unavailable => {
                let message = "the player cannot be brought in now; try again";
                self.fail_entry(key, ErrorCode::ErrorUnavailable, message);
            }
        }
    }

    /// Ends a session that never began.
    pub(super) fn fail_entry(&mut self, key: SessionKey, code: ErrorCode, message: &str) {
        let Some(session) = self.sessions.get(key) else { return };
        let Stage::Entering(entering) = &session.stage else { return };
        let packet = match entering.resumes {
            None => server::enter_world_refused(code, message),
            Some(_) => server::resume_refused(code, message),
        };
        self.tell_conn(entering.conn, ToShard::Refused { conn: entering.conn.conn, packet });
        self.release(key);
    }
}
