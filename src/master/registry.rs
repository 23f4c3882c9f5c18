//! Which servers there are and how they are: those of this cluster by their links, others by HTTP.
//!
//! The master's task owns the one [`Registry`] and tells it the time. It is pure: no clock, no
//! I/O, no randomness, and it never holds more servers than its bound.

mod kind;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use kind::Kind;

use crate::ids::{ServerId, ZoneId};
use crate::master::balance::Candidate;
use crate::msg::master::ServerStatus;

/// How long a dead server stays visible to operators.
const REMEMBER_DEAD: Duration = Duration::from_secs(60);
/// How long a server may take to speak again once its link has broken without a good-bye.
const LOST_PATIENCE: Duration = Duration::from_secs(1);

/// How a server is, as seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Heard of lately.
    Alive,
    /// Silent for a while, or its link has broken; it gets no newcomers and no zones.
    Suspect,
    /// Alive, but takes no newcomers any more.
    Draining,
    /// Silent for too long. It must register again, or speak again over its link.
    Dead,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Alive, Self::Suspect, Self::Draining, Self::Dead];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Draining => "draining",
            Self::Dead => "dead",
        }
    }
}

/// After how long a silence a server is what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A linked server becomes suspect.
    pub suspect: Duration,
    /// A linked server becomes dead.
    pub dead: Duration,
    /// A server registered over HTTP becomes dead.
    pub http_dead: Duration,
}

/// What a server says of itself over HTTP. Checked by who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it is for.
    pub kind: Kind,
    /// Where it is reached.
    pub host: String,
    /// See `host`; not 0.
    pub port: u16,
    /// Most clients it takes; not 0.
    pub capacity: u32,
    /// A region tag for the geographic strategy, may be empty.
    pub region: String,
}

/// How a server came into the registry.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A process of this cluster, by its status messages.
    Link(Box<ServerStatus>),
    /// Anything else, over HTTP.
    Http {
        /// What it said of itself.
        registration: Registration,
        /// Clients it last said it has; may be more than its capacity.
        clients: u32,
    },
}

/// One known server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Which.
    pub id: ServerId,
    /// Where it came from, and how it says it is.
    pub source: Source,
    /// When it was last heard of.
    pub last_seen: Instant,
    /// When it is dead unless it speaks again: its link has gone.
    lost_until: Option<Instant>,
    /// The operators want it to drain, whether it has said so itself or not.
    told_to_drain: bool,
    /// How it was when [`Registry::sweep`] last looked.
    seen: State,
}

impl Server {
    fn new(id: ServerId, source: Source, now: Instant) -> Self {
        let (lost_until, told_to_drain, seen) = (None, false, State::Alive);
        Self { id, source, last_seen: now, lost_until, told_to_drain, seen }
    }

    /// Whether it does that kind of work.
    pub fn does(&self, kind: Kind) -> bool {
        match &self.source {
            Source::Link(status) => kind.role().is_some_and(|role| status.roles.contains(&role)),
            Source::Http { registration, .. } => registration.kind == kind,
        }
    }

    /// Where clients reach it; port 0: they do not.
    pub fn address(&self) -> (&str, u16) {
        match &self.source {
            Source::Link(status) => (&status.host, status.port),
            Source::Http { registration, .. } => (&registration.host, registration.port),
        }
    }

    /// Clients it has now.
    pub fn connections(&self) -> u32 {
        match &self.source {
            Source::Link(status) => status.players,
            Source::Http { clients, .. } => *clients,
        }
    }

    /// Most clients it takes.
    pub fn capacity(&self) -> u32 {
        match &self.source {
            Source::Link(status) => status.capacity,
            Source::Http { registration, .. } => registration.capacity,
        }
    }

    /// Percent of its capacity in use, 0 to 100, rounded down: only a full one has 100. 100 if it
    /// has no capacity.
    pub fn load(&self) -> u8 {
        let used = u64::from(self.connections()) * 100;
        used.checked_div(u64::from(self.capacity())).map_or(100, |percent| percent.min(100) as u8)
    }

    /// Its region tag, may be empty.
    pub fn region(&self) -> &str {
        match &self.source {
            Source::Link(status) => &status.region,
            Source::Http { registration, .. } => &registration.region,
        }
    }

    /// Whether it takes nobody new and ends, by its own wish or the operators'.
    pub fn drains(&self) -> bool {
        let says_so = |status: &ServerStatus| status.draining;
        self.told_to_drain || matches!(&self.source, Source::Link(status) if says_so(status))
    }

    /// How it is at `now`.
    pub fn state(&self, now: Instant, patience: &Patience) -> State {
        let silence = now.saturating_duration_since(self.last_seen);
        let lost = self.lost_until.is_some_and(|until| until <= now);
        match &self.source {
            Source::Link(_) if lost || silence >= patience.dead => State::Dead,
            Source::Link(_) if self.drains() => State::Draining,
            Source::Link(_) if self.lost_until.is_some() || silence >= patience.suspect => {
                State::Suspect
            }
            Source::Http { .. } if silence >= patience.http_dead => State::Dead,
            Source::Link(_) | Source::Http { .. } => State::Alive,
        }
    }
}

/// Why a server is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// As many servers as may be are there and none of them is dead.
    #[error("the registry is full: raise master.servers_max, or unregister what is not needed")]
    Full,
}

/// The id is of no living server that registered over HTTP: it must register again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown server: register again")]
pub struct UnknownServer;

/// What a status has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// The server was unknown or dead before.
    Came,
    /// It is otherwise than before: it drains, or is not suspect any more.
    Changed,
    /// It runs other zones than before.
    Rehoused,
    /// Nothing of that.
    Same,
}

/// The zones that a server says it runs, without their players.
fn hosts(source: &Source) -> impl Iterator<Item = (ZoneId, u64)> + '_ {
    let zones = match source {
        Source::Link(status) => status.zones.as_slice(),
        Source::Http { .. } => &[],
    };
    zones.iter().map(|zone| (zone.zone, zone.origin))
}

/// All known servers.
#[derive(Debug)]
pub struct Registry {
    servers: BTreeMap<ServerId, Server>,
    patience: Patience,
    most: usize,
}

impl Registry {
    /// An empty one for at most `most` servers.
    pub fn new(patience: Patience, most: usize) -> Self {
        Self { servers: BTreeMap::new(), patience, most }
    }

    /// A linked server is there, and how it is.
    ///
    /// # Errors
    /// [`RegisterError::Full`].
    pub fn on_status(
        &mut self,
        status: ServerStatus,
        now: Instant,
    ) -> Result<Heard, RegisterError> {
        let id = status.server;
        if !self.servers.contains_key(&id) {
            self.make_room(now)?;
        }
        let patience = self.patience;
        let source = Source::Link(Box::new(status));
        let server = match self.servers.entry(id) {
            Entry::Vacant(place) => place.insert(Server::new(id, source, now)),
            Entry::Occupied(known) => {
                let server = known.into_mut();
                let before = std::mem::replace(&mut server.source, source);
                server.last_seen = now;
                server.lost_until = None;
                if server.seen != State::Dead {
                    let state = server.state(now, &patience);
                    let changed = std::mem::replace(&mut server.seen, state) != state;
                    let rehoused = !hosts(&before).eq(hosts(&server.source));
                    return Ok(match (changed, rehoused) {
                        (true, _) => Heard::Changed,
                        (false, true) => Heard::Rehoused,
                        (false, false) => Heard::Same,
                    });
                }
                server
            }
        };
        server.seen = server.state(now, &patience);
        Ok(Heard::Came)
    }

    /// The link to a server is gone: after a good-bye it is dead at once, else a second later
    /// unless it speaks again.
    pub fn lost(&mut self, id: ServerId, clean: bool, now: Instant) {
        if let Some(server) = self.servers.get_mut(&id)
            && matches!(server.source, Source::Link(_))
        {
            server.lost_until = Some(if clean { now } else { now + LOST_PATIENCE });
        }
    }

    /// The operators want a linked server to drain. From now on it gets nobody new.
    ///
    /// # Errors
    /// If it is unknown, dead, or not one of the cluster.
    pub fn drain(&mut self, id: ServerId, now: Instant) -> Result<(), UnknownServer> {
        let patience = self.patience;
        let server = self
            .servers
            .get_mut(&id)
            .filter(|server| matches!(server.source, Source::Link(_)))
            .filter(|server| server.state(now, &patience) != State::Dead)
            .ok_or(UnknownServer)?;
        server.told_to_drain = true;
        Ok(())
    }

    /// A server registers over HTTP under the unused id `id`. One of the same kind, host and port
    /// is replaced: it is the same program, started again. Its id is given back.
    ///
    /// # Errors
    /// [`RegisterError::Full`].
    pub fn register(
        &mut self,
        id: ServerId,
        registration: Registration,
        now: Instant,
    ) -> Result<Option<ServerId>, RegisterError> {
        let same = |server: &&Server| match &server.source {
            Source::Http { registration: known, .. } => {
                known.kind == registration.kind
                    && known.host == registration.host
                    && known.port == registration.port
            }
            Source::Link(_) => false,
        };
        let replaced = self.servers.values().find(same).map(|server| server.id);
        match replaced {
            Some(old) => drop(self.servers.remove(&old)),
            None => self.make_room(now)?,
        }
        let source = Source::Http { registration, clients: 0 };
        self.servers.insert(id, Server::new(id, source, now));
        Ok(replaced)
    }

    /// A server that registered over HTTP is alive and has so many clients.
    ///
    /// # Errors
    /// If it is unknown, dead, or not one of those.
    pub fn heartbeat(
        &mut self,
        id: ServerId,
        clients: u32,
        now: Instant,
    ) -> Result<(), UnknownServer> {
        let server = self.living_http(id, now)?;
        if let Source::Http { clients: known, .. } = &mut server.source {
            *known = clients;
        }
        server.last_seen = now;
        Ok(())
    }

    /// A server that registered over HTTP goes.
    ///
    /// # Errors
    /// See [`Self::heartbeat`].
    pub fn unregister(&mut self, id: ServerId, now: Instant) -> Result<(), UnknownServer> {
        self.living_http(id, now)?;
        self.servers.remove(&id);
        Ok(())
    }

    fn living_http(&mut self, id: ServerId, now: Instant) -> Result<&mut Server, UnknownServer> {
        let patience = self.patience;
        self.servers
            .get_mut(&id)
            .filter(|server| matches!(server.source, Source::Http { .. }))
            .filter(|server| server.state(now, &patience) != State::Dead)
            .ok_or(UnknownServer)
    }

    fn make_room(&mut self, now: Instant) -> Result<(), RegisterError> {
        if self.servers.len() >= self.most {
            let patience = self.patience;
            self.servers.retain(|_, server| server.state(now, &patience) != State::Dead);
        }
        if self.servers.len() < self.most { Ok(()) } else { Err(RegisterError::Full) }
    }

    /// Forgets the long dead; tells who is otherwise than at the last look, and how. A server that
    /// has just come is told of by what registered it.
    pub fn sweep(&mut self, now: Instant) -> Vec<(ServerId, State)> {
        let patience = self.patience;
        let mut changed = Vec::new();
        for server in self.servers.values_mut() {
            let state = server.state(now, &patience);
            if std::mem::replace(&mut server.seen, state) != state {
                changed.push((server.id, state));
            }
        }
        self.servers.retain(|_, server| {
            server.seen != State::Dead
                || now.saturating_duration_since(server.last_seen) < REMEMBER_DEAD
        });
        changed
    }

    /// Whether the id is in use.
    pub fn contains(&self, id: ServerId) -> bool {
        self.servers.contains_key(&id)
    }

    /// All servers by id, each with its state, the dead included.
    pub fn servers(&self, now: Instant) -> impl Iterator<Item = (&Server, State)> {
        self.servers.values().map(move |server| (server, server.state(now, &self.patience)))
    }

    /// The server with that id.
    pub fn get(&self, id: ServerId) -> Option<&Server> {
        self.servers.get(&id)
    }

    /// Those of one kind as the balancer sees them. Which of them may get newcomers is its to say.
    pub fn candidates(&self, kind: Kind, now: Instant) -> Vec<Candidate<'_>> {
        self.servers(now)
            .filter(|(server, _)| server.does(kind) && server.address().1 != 0)
            .map(|(server, state)| Candidate {
                id: server.id,
                connections: server.connections(),
                capacity: server.capacity(),
                region: server.region(),
                state,
            })
            .collect()
    }
}

#[cfg(test)]
pub(super) mod tests;
