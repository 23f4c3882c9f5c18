//! The session manager's table: who plays through which session, and in which stage it is.
//!
//! Owned by the gateway's task. A session outlives its connection for a minute; its key is never
//! used again, so a late message for an ended one finds nothing.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use foldhash::fast::RandomState;
use tokio::task::JoinHandle;
use tracing::debug;

use super::denial::Denial;
use super::outlet::ReliableLog;
use super::talk::{Asked, ConnRef};
use crate::ids::{PlayerId, SessionKey, TicketUse, ZoneId};
use crate::msg::Outgoing;
use crate::names::Name;
use crate::tick::{now, unix_millis};

/// Where a session is in its life.
pub(super) enum Stage {
    /// A client waits to be let in.
    Entering(Box<Entering>),
    /// A shard has it.
    Attached { conn: ConnRef },
    /// Its connection is gone; the character stands.
    Detached { since: Instant, log: Box<ReliableLog>, received: u64 },
    /// Another connection takes it over; the old shard was asked to give it back.
    Reattaching {
        from: ConnRef,
        /// Who asked last.
        by: Asked,
        since: Instant,
        /// Reliable packets that came meanwhile.
        missed: Vec<Outgoing>,
    },
    /// The player has another session now, here or elsewhere; kept until that is sure.
    Displaced { since: Instant },
}

/// How a client came to wait.
pub(super) struct Entering {
    pub conn: ConnRef,
    /// The packet that asked for it.
    pub sequence: u64,
    pub since: Instant,
    /// To be used up; none: a resumed session of another gateway.
    pub ticket: Option<TicketUse>,
    /// What its client had read before, if it resumes another gateway's session.
    pub resumes: Option<u64>,
    /// Whether the master has granted presence.
    pub granted: bool,
    /// Zones that said the player is elsewhere.
    pub tries: u32,
}

/// The resume token before a session's own. It goes on as well until the new one was used: its
/// client may never have been told of that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Former {
    /// Its hash.
    pub hash: [u8; 32],
    /// Highest client sequence that was read on the connection before; 0: not known.
    pub received: u64,
}

/// One session.
pub(super) struct Session {
    pub key: SessionKey,
    pub player: PlayerId,
    pub name: Name,
    pub device: String,
    pub session_id: uuid::Uuid,
    /// When it began, Unix ms.
    pub since: u64,
    /// None as long as it is not let in.
    pub token_hash: Option<[u8; 32]>,
    /// None: its token was used, or it is its first.
    pub former: Option<Former>,
    /// Where the player stands, or was asked to be let in.
    pub zone: Option<ZoneId>,
    /// The chat rooms that its player is in.
    pub rooms: Vec<Name>,
    /// Its player is being brought in again.
    pub absence: Option<Absence>,
    /// The last write of its resume token; gives whether it is in the store.
    pub token_stored: Option<JoinHandle<bool>>,
    pub stage: Stage,
}

/// A player that is not in its zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    pub since: Instant,
    /// When a zone was last asked to let it in.
    pub asked: Instant,
    /// Whether it waits for its turn to be asked for again.
    pub queued: bool,
}

/// What became of a packet for a session.
pub(super) enum Delivery {
    /// It is for the shard.
    ToShard(usize, Outgoing),
    /// It waits for the resume.
    Kept,
    /// There is nobody to get it.
    Dropped,
}

/// All sessions of this gateway.
#[derive(Default)]
pub(super) struct Sessions {
    next: u64,
    table: HashMap<SessionKey, Session, RandomState>,
    by_token: HashMap<[u8; 32], SessionKey, RandomState>,
}

impl Entering {
    /// One that has just asked.
    pub(super) fn new(
        conn: ConnRef,
        sequence: u64,
        ticket: Option<TicketUse>,
        resumes: Option<u64>,
    ) -> Self {
        Self { conn, sequence, since: now(), ticket, resumes, granted: false, tries: 0 }
    }

    /// Whether it resumes, and what its client is told when another session of its player has come.
    pub(super) fn way_given(&self) -> (bool, Denial) {
        match self.resumes {
            Some(_) => (true, Denial::CHANGES_CONNECTIONS),
            None => (false, Denial::ELSEWHERE),
        }
    }
}

impl Session {
    /// The resume tokens that lead to it.
    fn tokens(&self) -> impl Iterator<Item = [u8; 32]> + use<> {
        self.token_hash.into_iter().chain(self.former.map(|former| former.hash))
    }

    /// The shard that has it.
    pub(super) fn shard(&self) -> Option<usize> {
        match self.stage {
            Stage::Attached { conn } => Some(conn.shard),
            _ => None,
        }
    }

    /// Whether a zone has, or should have, its player.
    pub(super) fn has_player(&self) -> bool {
        match self.stage {
            Stage::Attached { .. } | Stage::Detached { .. } | Stage::Reattaching { .. } => true,
            Stage::Entering(_) | Stage::Displaced { .. } => false,
        }
    }

    /// Says where a packet goes, or keeps it for the resume.
    pub(super) fn deliver(&mut self, packet: Outgoing, keep: usize) -> Delivery {
        match &mut self.stage {
            Stage::Attached { conn } => return Delivery::ToShard(conn.shard, packet),
            Stage::Detached { log, .. } => log.push_later(packet, keep),
            Stage::Reattaching { missed, .. } if missed.len() < keep => missed.push(packet),
            Stage::Entering(_) | Stage::Reattaching { .. } | Stage::Displaced { .. } => {
                debug!(player = %self.player, "a packet for a session without a client");
                return Delivery::Dropped;
            }
        }
        Delivery::Kept
    }

    /// The same for a packet that was sent to a connection which was lost meanwhile.
    pub(super) fn deliver_late(&mut self, packet: Outgoing, keep: usize) -> Delivery {
        if let Stage::Detached { log, .. } = &mut self.stage {
            log.push_undelivered(packet, keep);
            return Delivery::Kept;
        }
        self.deliver(packet, keep)
    }
}

impl Sessions {
    /// A key that was never used, higher than all before it; other gateways' as well, as far as
    /// their clocks agree.
    pub(super) fn next_key(&mut self) -> SessionKey {
        self.next = (self.next + 1).max(SessionKey::made_at(unix_millis()).0);
        SessionKey(self.next)
    }

    /// A player has a session with that key elsewhere: the next ones are younger.
    pub(super) fn heard_of(&mut self, key: SessionKey) {
        self.next = self.next.max(key.0);
    }

    /// Gives a session that nobody knows of yet a new key, younger than that one.
    pub(super) fn rekey(&mut self, key: SessionKey, above: SessionKey) -> Option<SessionKey> {
        let mut session = self.remove(key)?;
        self.heard_of(above);
        session.key = self.next_key();
        let key = session.key;
        self.insert(session);
        Some(key)
    }

    /// Takes a new one in.
    pub(super) fn insert(&mut self, session: Session) {
        for hash in session.tokens() {
            self.by_token.insert(hash, session.key);
        }
        self.table.insert(session.key, session);
    }

    pub(super) fn get(&self, key: SessionKey) -> Option<&Session> {
        self.table.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        self.table.get_mut(&key)
    }

    /// Ends one.
    pub(super) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let session = self.table.remove(&key)?;
        for hash in session.tokens() {
            self.forget(hash, key);
        }
        Some(session)
    }

    /// A token may lead to a younger session by now.
    fn forget(&mut self, hash: [u8; 32], key: SessionKey) {
        if self.by_token(&hash) == Some(key) {
            self.by_token.remove(&hash);
        }
    }

    /// Gives a session its resume token; of those before it `former` alone goes on.
    pub(super) fn set_token(&mut self, key: SessionKey, hash: [u8; 32], former: Option<Former>) {
        let Some(mut session) = self.remove(key) else { return };
        (session.token_hash, session.former) = (Some(hash), former);
        self.insert(session);
    }

    /// A session's token was used, or its client has shown that it has it: the one before is over.
    /// False: it was already.
    pub(super) fn end_former(&mut self, key: SessionKey) -> bool {
        let Some(former) = self.table.get_mut(&key).and_then(|session| session.former.take())
        else {
            return false;
        };
        self.forget(former.hash, key);
        true
    }

    /// The session of a resume token.
    pub(super) fn by_token(&self, hash: &[u8; 32]) -> Option<SessionKey> {
        self.by_token.get(hash).copied()
    }

    pub(super) fn keys(&self) -> Vec<SessionKey> {
        self.table.keys().copied().collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionKey, &Session)> {
        self.table.iter().map(|(key, session)| (*key, session))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SessionKey, &mut Session)> {
        self.table.iter_mut().map(|(key, session)| (*key, session))
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many are in each stage, by the stage's word.
    pub(super) fn by_state(&self) -> BTreeMap<&'static str, usize> {
        let states = ["entering", "playing", "resumable", "displaced"];
        let mut counts = BTreeMap::from(states.map(|state| (state, 0)));
        for session in self.table.values() {
            let state = match session.stage {
                Stage::Entering(_) => "entering",
                Stage::Attached { .. } => "playing",
                Stage::Detached { .. } | Stage::Reattaching { .. } => "resumable",
                Stage::Displaced { .. } => "displaced",
            };
            *counts.entry(state).or_default() += 1;
        }
        counts
    }
}
