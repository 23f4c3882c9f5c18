//! How sessions begin, go on and end: entering with a ticket, resuming, being displaced.
//!
//! Runs in the gateway's task, one message at a time. Entering is: the master grants presence (and
//! sends an older session away), the player's place says which zone, that zone claims the player,
//! the client is told. Every step has a deadline.

use std::time::{Duration, Instant};

use tracing::{debug, info, info_span, warn};

use super::Gateway;
use super::outlet::ReliableLog;
use super::sessions::{Entering, Returning, Session, Stage};
use super::talk::{ConnRef, How, Opening, ToShard};
use crate::ids::{Key, PlayerId, RequestId, SessionKey, SessionRef, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{ChatMsg, MasterMsg, ZoneMsg};
use crate::names::Name;
use crate::proto::{DisconnectReason, ErrorCode};
use crate::protocol::server;
use crate::store::StoreError;
use crate::store::record::ResumeRecord;
use crate::tick::{now, unix_millis};
use crate::token::{ResumeToken, Ticket};
use crate::world::command::PlayerState;

/// How long entering may take in all.
const ENTER_WITHIN: Duration = Duration::from_secs(10);
/// How long a displaced session's character may go without its new session.
const DISPLACED_FOR: Duration = Duration::from_secs(12);
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
    fn session_ref(&self, key: SessionKey) -> SessionRef {
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
        self.to_conn(conn, ToShard::Refused { conn: conn.conn, packet });
    }

    fn begin_with(&mut self, conn: ConnRef, ticket: Ticket) {
        let entering =
            Entering { conn, since: now(), ticket: Some(ticket.usage), resumes: None, tries: 0 };
        self.begin(ticket.player, ticket.name, ticket.device, entering);
    }

    fn begin(&mut self, player: PlayerId, name: Name, device: String, entering: Entering) {
        let key = self.sessions.next_key();
        self.sessions.insert(Session {
            key,
            player,
            name: name.clone(),
            device: device.clone(),
            session_id: uuid::Uuid::new_v4(),
            token_hash: None,
            zone: None,
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
        let Some(session) = self.sessions.get_mut(key) else { return };
        let span = info_span!("entered", player = %session.player, %zone);
        let _entered = span.enter();
        session.zone = Some(zone);
        let shard = match &session.stage {
            Stage::Entering(entering) => entering.conn.shard,
            // The zone runs anew; chat tells it the player's guild again.
            Stage::Attached { .. } | Stage::Detached { .. } => {
                let player = session.player;
                return self.tell_chat(ChatMsg::Moved { player, zone });
            }
            Stage::Returning(_) | Stage::Displaced { .. } => return,
        };
        let stage = std::mem::replace(&mut session.stage, Stage::Attached { shard });
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
        };
        info!(name = %session.name, "player enters");
        self.open(key, entering.conn, how);
        self.tell_chat(joined);
    }

    /// Gives a session to the shard of its new connection, under a new resume token.
    fn open(&mut self, key: SessionKey, conn: ConnRef, how: How) {
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
            expires_at: unix_millis() + 24 * 3_600_000,
        };
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.put_resume(hash, record).await {
                warn!(%error, "resume token was not stored; only this gateway can resume");
            }
        });
        session.stage = Stage::Attached { shard: conn.shard };
        let opening = Opening {
            conn: conn.conn,
            session: key,
            session_id: session.session_id,
            token,
            player: session.player,
            zone,
            how,
        };
        self.to_conn(conn, ToShard::Open(Box::new(opening)));
    }

    /// The zone has not let the player in.
    pub(super) fn on_enter_refused(&mut self, key: SessionKey, reason: EnterRefusal) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Entering(entering) = &mut session.stage else { return };
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
    fn fail_entry(&mut self, key: SessionKey, code: ErrorCode, message: &str) {
        let Some(session) = self.sessions.get(key) else { return };
        let Stage::Entering(entering) = &session.stage else { return };
        let packet = match entering.resumes {
            None => server::enter_world_refused(code, message),
            Some(_) => server::resume_refused(code, message),
        };
        self.to_conn(entering.conn, ToShard::Refused { conn: entering.conn.conn, packet });
        self.release(key);
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
            Stage::Attached { shard } => {
                // The old connection is not known to be dead yet: take the session from it.
                let shard = *shard;
                let to = Some((conn, last_sequence));
                session.stage = Stage::Returning(Returning { since: now(), to, kept: Vec::new() });
                self.to_shard(shard, ToShard::Detach { session: key });
            }
            Stage::Detached { log, received, .. } => {
                let (log, received) = (std::mem::take(log), *received);
                info!(player = %session.player, "session resumed");
                self.open(key, conn, How::Resumed { log, last_sequence, received });
            }
            Stage::Returning(returning) if returning.to.is_none() => {
                returning.to = Some((conn, last_sequence));
            }
            Stage::Entering(_) | Stage::Returning(_) | Stage::Displaced { .. } => {
                let message = "the session is not to be had";
                self.refuse_resume(conn, message);
            }
        }
    }

    fn on_token_found(
        &mut self,
        conn: ConnRef,
        last_sequence: u64,
        result: Result<Option<ResumeRecord>, StoreError>,
    ) {
        match result {
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

    fn refuse_resume(&self, conn: ConnRef, message: &str) {
        let packet = server::resume_refused(ErrorCode::ErrorResumeRefused, message);
        self.to_conn(conn, ToShard::Refused { conn: conn.conn, packet });
    }

    /// A session's connection is gone. Its shard keeps what comes for it until it has given it
    /// back, so that nothing falls between the two.
    pub(super) fn on_closed(&mut self, key: SessionKey, shard: usize) {
        if let Some(session) = self.sessions.get_mut(key) {
            match session.stage {
                // It was asked already.
                Stage::Returning(_) => return,
                Stage::Attached { .. } => {
                    debug!(player = %session.player, "connection lost; the character stands");
                    let returning = Returning { since: now(), to: None, kept: Vec::new() };
                    session.stage = Stage::Returning(returning);
                }
                Stage::Entering(_) | Stage::Detached { .. } | Stage::Displaced { .. } => {}
            }
        }
        self.to_shard(shard, ToShard::Detach { session: key });
    }

    /// A shard gives a session back.
    pub(super) fn on_lost(&mut self, key: SessionKey, log: ReliableLog, received: u64) {
        let keep = self.shared.config.resume_packets;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Returning(returning) = &mut session.stage else { return };
        let mut log = Box::new(log);
        for packet in returning.kept.drain(..) {
            log.push(None, packet, keep);
        }
        match returning.to {
            Some((to, last_sequence)) => {
                self.open(key, to, How::Resumed { log, last_sequence, received });
            }
            None => session.stage = Stage::Detached { since: now(), log, received },
        }
    }

    /// A player has logged out.
    pub(super) fn on_logout(&mut self, key: SessionKey) {
        if let Some(session) = self.sessions.get(key) {
            info!(player = %session.player, "player logs out");
            self.release(key);
        }
    }

    /// A player has crossed a border.
    pub(super) fn on_moved(&mut self, key: SessionKey, player: PlayerId, zone: ZoneId) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.zone = Some(zone);
        if let Some(shard) = session.shard() {
            self.to_shard(shard, ToShard::Moved { session: key, zone });
        }
        self.tell_chat(ChatMsg::Moved { player, zone });
    }

    /// A zone runs anew and is empty: the players that stood there are brought in again, from
    /// their last save, and their sessions never notice.
    pub(super) fn on_zone_restarted(&mut self, zone: ZoneId) {
        let Some(outbox) = self.shared.peers.zones.get(zone) else { return };
        for (key, session) in self.sessions.iter().filter(|(_, s)| s.zone == Some(zone)) {
            if matches!(session.stage, Stage::Attached { .. } | Stage::Detached { .. }) {
                let (player, session) = (session.player, self.session_ref(key));
                let enter = ZoneMsg::Enter { player, session, ticket: None };
                if let Err(problem) = outbox.send(enter) {
                    warn!(%player, %zone, %problem, "player could not be brought in again");
                }
            }
        }
    }

    /// A session must end.
    pub(super) fn on_kick(&mut self, key: SessionKey, reason: DisconnectReason, message: String) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        info!(player = %session.player, ?reason, message, "session ends");
        if let Stage::Entering(entering) = &session.stage {
            let (conn, code) = (entering.conn, ErrorCode::ErrorAlreadyLoggedIn);
            let packet = server::enter_world_refused(code, &message);
            self.to_conn(conn, ToShard::Refused { conn: conn.conn, packet });
        } else if let Some(shard) = session.shard() {
            self.to_shard(shard, ToShard::End { session: key, reason, message });
        }
        if reason == DisconnectReason::DisconnectLoggedInElsewhere {
            // The character stays for the new session; if that never comes, it leaves.
            if let Some(session) = self.sessions.get_mut(key) {
                session.stage = Stage::Displaced { since: now() };
            }
        } else {
            self.release(key);
        }
    }

    /// Ends a session: its player leaves the world unless another session has it.
    pub(super) fn release(&mut self, key: SessionKey) {
        let session_ref = self.session_ref(key);
        let Some(session) = self.sessions.remove(key) else { return };
        let player = session.player;
        if let Some(zone) = session.zone
            && let Some(outbox) = self.shared.peers.zones.get(zone)
            && let Err(problem) = outbox.send(ZoneMsg::Leave { player, session: session_ref })
        {
            warn!(%player, %zone, %problem, "the zone was not told that a player leaves");
        }
        self.tell_chat(ChatMsg::Left { player, session: session_ref });
        let released = MasterMsg::Released { player, session: session_ref };
        if let Err(problem) = self.shared.peers.master.send(released) {
            warn!(%player, %problem, "the master was not told that a session ended");
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.drop_resume(session_ref).await {
                debug!(%error, "resume token stays until it expires");
            }
        });
    }

    fn tell_chat(&self, message: ChatMsg) {
        if let Err(problem) = self.shared.peers.chat.send(message) {
            warn!(%problem, "chat was not told");
        }
    }

    /// Ends what has waited too long in its stage.
    pub(super) fn end_overdue(&mut self, now: Instant) {
        let stands = Duration::from_secs(self.shared.config.resume_seconds);
        let overdue: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(_, session)| match &session.stage {
                Stage::Entering(entering) => now - entering.since > ENTER_WITHIN,
                Stage::Attached { .. } => false,
                Stage::Detached { since, .. } => now - *since > stands,
                Stage::Returning(returning) => now - returning.since > ENTER_WITHIN,
                Stage::Displaced { since } => now - *since > DISPLACED_FOR,
            })
            .map(|(key, _)| key)
            .collect();
        for key in overdue {
            self.fail_entry(key, ErrorCode::ErrorUnavailable, "entering took too long; try again");
            self.release(key);
        }
    }
}
