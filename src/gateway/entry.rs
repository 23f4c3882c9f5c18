//! How sessions begin: a client enters with a ticket, or goes on with another gateway's session.
//!
//! Runs in the gateway's task, one message at a time. Entering is: the master grants presence (and
//! sends an older session away), the player's place says which zone, that zone claims the player,
//! the client is told. Every step has a deadline.

use metrics::counter;
use tracing::{info, info_span, warn};

use super::Gateway;
use super::denial::Denial;
use super::outlet::ReliableLog;
use super::sessions::{Entering, Former, Session, Stage};
use super::talk::{Asked, ConnRef, How};
use crate::ids::{Key, PlayerId, RequestId, SessionKey, SessionRef, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{MasterMsg, ZoneMsg};
use crate::names::Name;
use crate::store::StoreError;
use crate::store::record::{ResumeRecord, TicketStanding};
use crate::tick::unix_millis;
use crate::token::Ticket;
use crate::world::command::PlayerState;

/// How often a player is looked for in another zone.
const TRIES: u32 = 3;

/// What the store was asked for.
pub(super) enum Found {
    /// How a ticket stands.
    Ticket {
        conn: ConnRef,
        sequence: u64,
        ticket: Box<Ticket>,
        result: Result<TicketStanding, StoreError>,
    },
    /// Where a player is.
    Player { session: SessionKey, result: Result<Option<PlayerState>, StoreError> },
    /// What a resume token goes on with.
    Token { asked: Asked, result: Result<Option<ResumeRecord>, StoreError> },
}

/// Who comes in.
pub(super) struct Newcomer {
    pub player: PlayerId,
    pub name: Name,
    pub device: String,
    pub session_id: uuid::Uuid,
    /// The token that it resumes with.
    pub token_hash: Option<[u8; 32]>,
}

impl Gateway {
    pub(super) fn session_ref(&self, key: SessionKey) -> SessionRef {
        SessionRef { gateway: self.shared.server, key }
    }

    /// A client enters with a ticket. One that does not let it in must not get as far as presence,
    /// where it would send the player's own session away; nor one that cannot be used up now,
    /// because the database takes nothing.
    pub(super) fn on_enter(&mut self, conn: ConnRef, sequence: u64, ticket: Ticket) {
        if self.drain.is_some() {
            return self.deny(conn, sequence, false, Denial::DRAINS);
        }
        let (store, found) = (self.store.clone(), self.found.clone());
        tokio::spawn(async move {
            let result = store.ticket_standing(ticket.player, ticket.usage, ticket.given_at());
            let result = result.await;
            let ticket = Box::new(ticket);
            // Fails only if the gateway has ended.
            let _ = found.send(Found::Ticket { conn, sequence, ticket, result }).await;
        });
    }

    fn on_ticket_found(
        &mut self,
        conn: ConnRef,
        sequence: u64,
        ticket: Ticket,
        result: Result<TicketStanding, StoreError>,
    ) {
        let denial = match result {
            Ok(TicketStanding::Good) => {
                let Ticket { player, name, device, usage } = ticket;
                let entering = Entering::new(conn, sequence, Some(usage), None);
                let session_id = uuid::Uuid::new_v4();
                let newcomer = Newcomer { player, name, device, session_id, token_hash: None };
                return self.begin(newcomer, entering);
            }
            Ok(TicketStanding::Used) => Denial::TICKET_USED,
            Ok(TicketStanding::Void) => Denial::TICKET_VOID,
            Err(error) => {
                warn!(%error, "ticket could not be looked up");
                Denial::NO_DATABASE
            }
        };
        self.deny(conn, sequence, false, denial);
    }

    pub(super) fn begin(&mut self, newcomer: Newcomer, entering: Entering) {
        let Newcomer { player, name, device, session_id, token_hash } = newcomer;
        let key = self.sessions.next_key();
        self.sessions.insert(Session {
            key,
            player,
            name,
            device,
            session_id,
            since: unix_millis(),
            token_hash: None,
            former: token_hash.map(|hash| Former { hash, received: 0 }),
            zone: None,
            rooms: Vec::new(),
            absence: None,
            token_stored: None,
            stage: Stage::Entering(Box::new(entering)),
        });
        if self.drain.is_some() {
            // The store was asked before, and nobody who comes now would be sent off.
            return self.fail_entry(key, Denial::DRAINS);
        }
        self.claim(key);
    }

    /// Asks the master for the player's presence.
    fn claim(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let claim = MasterMsg::Claim {
            request: RequestId(key.0),
            player: session.player,
            name: session.name.key(),
            session: self.session_ref(key),
            device: session.device.clone(),
        };
        if let Err(problem) = self.shared.peers.master.send(claim) {
            warn!(%problem, "the master cannot be asked for presence");
            self.fail_entry(key, Denial::NO_MASTER);
        }
    }

    /// There is a new master: whoever waits for the old one's word asks it.
    pub(super) fn claim_again(&mut self) {
        let waits = |session: &Session| match &session.stage {
            Stage::Entering(entering) => !entering.granted,
            _ => false,
        };
        let waiting = self.sessions.iter().filter(|(_, session)| waits(session));
        for key in waiting.map(|(key, _)| key).collect::<Vec<_>>() {
            self.claim(key);
        }
    }

    /// The master knows a session of the player's that seems to be the younger, by a clock that is
    /// ahead of this one. But whom it hears of last is the one that counts.
    fn claim_above(&mut self, key: SessionKey, other: SessionKey) {
        if let Some(key) = self.sessions.rekey(key, other) {
            self.claim(key);
        }
    }

    /// A session that is on its way in is not the player's last any more: its client is told, and
    /// the other one has the player. Who resumes may be the same client on another connection, and
    /// keeps its token.
    pub(super) fn give_way(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else { return };
        let Stage::Entering(entering) = &session.stage else { return };
        let (_, denial) = entering.way_given();
        self.fail_entry(key, denial);
    }

    /// The master has granted presence; the zone is where the player stands already.
    pub(super) fn on_presence(&mut self, request: RequestId, zone: Option<ZoneId>) {
        let key = SessionKey(request.0);
        let Some(session) = self.sessions.get_mut(key) else { return };
        let Stage::Entering(entering) = &mut session.stage else { return };
        if std::mem::replace(&mut entering.granted, true) {
            // An older master's grant has come too.
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
            Found::Ticket { conn, sequence, ticket, result } => {
                self.on_ticket_found(conn, sequence, *ticket, result);
            }
            Found::Player { session, result: Ok(Some(state)) } => {
                let zone = self.shared.content.zone_at(state.pose.at).map(|zone| zone.id);
                let zone = zone.or(self.shared.content.zones.first().map(|zone| zone.id));
                match zone {
                    Some(zone) => self.ask_zone(session, zone),
                    None => self.fail_entry(session, Denial::NO_ZONE_AT_ALL),
                }
            }
            Found::Player { session, result: Ok(None) } => {
                self.fail_entry(session, Denial::NO_CHARACTER);
            }
            Found::Player { session, result: Err(error) } => {
                warn!(%error, "player could not be read");
                self.fail_entry(session, Denial::NO_DATABASE);
            }
            Found::Token { asked, result } => {
                self.tokens -= 1;
                self.on_token_found(asked, result);
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
        self.see(zone);
        let sent = self.shared.peers.zones.get(zone).is_some_and(|z| z.send(enter).is_ok());
        if !sent {
            self.fail_entry(key, Denial::NO_ZONE);
        }
    }

    /// A zone is somewhere else now: what was asked where it ran before may be lost.
    pub(super) fn ask_for_entries_again(&mut self, zone: ZoneId) {
        let waits = |session: &Session| {
            session.zone == Some(zone) && matches!(session.stage, Stage::Entering(_))
        };
        let waiting = self.sessions.iter().filter(|(_, session)| waits(session));
        for key in waiting.map(|(key, _)| key).collect::<Vec<_>>() {
            self.ask_zone(key, zone);
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
            // Whom the zone lets in next takes the player over.
            Stage::Displaced { .. } => return session.zone = Some(zone),
        };
        session.zone = Some(zone);
        let stage = std::mem::replace(&mut session.stage, Stage::Attached { conn });
        let Stage::Entering(entering) = stage else { return };
        let how = match entering.resumes {
            None => How::Entered { state, guild },
            Some(last_sequence) => {
                counter!("throng_resumes_total", "result" => "other_gateway").increment(1);
                // Another gateway had it: what was missed there nobody knows.
                let log = Box::new(ReliableLog::unknown());
                let last_sequence = Some(last_sequence);
                How::Resumed { log, last_sequence, received: 0, state: Some(state) }
            }
        };
        let former = session.former;
        info!(name = %session.name, "player enters");
        self.see(zone);
        self.open(key, entering.conn, how, former);
        if let Some(joined) = self.sessions.get(key).and_then(|s| self.joined(key, s, None)) {
            self.post.chat(joined);
        }
    }

    /// The zone has not let the player in.
    pub(super) fn on_enter_refused(&mut self, key: SessionKey, reason: EnterRefusal) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let entering = match &mut session.stage {
            Stage::Entering(entering) => entering,
            // The player never was its, or is another's by now.
            Stage::Displaced { .. } => return self.release(key),
            _ => return self.on_not_brought_in(key, &reason),
        };
        match reason {
            EnterRefusal::Elsewhere(zone) if entering.tries < TRIES => {
                entering.tries += 1;
                // The claim that found the player elsewhere has used the ticket up.
                entering.ticket = None;
                self.ask_zone(key, zone);
            }
            EnterRefusal::Superseded(by) if !entering.granted => self.claim_above(key, by),
            EnterRefusal::Superseded(by) => {
                self.sessions.heard_of(by);
                self.give_way(key);
            }
            EnterRefusal::TicketUsed => self.fail_entry(key, Denial::TICKET_USED),
            EnterRefusal::Full => self.fail_entry(key, Denial::ZONE_FULL),
            EnterRefusal::Elsewhere(_) | EnterRefusal::Unavailable => {
                self.fail_entry(key, Denial::NOT_BROUGHT_IN);
            }
        }
    }
}
