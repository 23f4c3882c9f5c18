//! Guild requests on their way to the store: in order for each guild and player, together for all
//! others. While a change is under way, whatever touches the same guild or player waits for it and
//! is decided only then.
//!
//! Bounds and what happens at them: [`REQUESTS_MAX`] requests wait (further ones are refused), none
//! longer than `guild_wait_ms`; [`KILLS_MAX`] kills wait (further ones are lost and counted). When
//! the database was away or contradicts the copy in memory, everything is read again before the
//! next change.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{debug, error, info, warn};

use super::Chat;
use super::guild_store::{self, Change, Done, Job};
use super::guilds::{self, Books, Step};
use super::refusal::Refusal;
use super::touched::{self, Touched, TouchedSet};
use super::wars::{Clocks, pair};
use crate::ids::{GuildId, OperationId, PlayerId};
use crate::msg::chat::GuildAction;
use crate::store::StoreError;
use crate::store::record::GuildBooks;
use crate::tick;

/// Store calls under way at once; they share the store's commits.
pub(super) const IN_FLIGHT_MAX: usize = 64;
/// Requests that wait.
const REQUESTS_MAX: usize = 256;
/// Kills that wait, for example while the database is away.
const KILLS_MAX: usize = 4_096;

/// A request that waits.
#[derive(Debug)]
struct Request {
    since: Instant,
    player: PlayerId,
    request: u64,
    action: GuildAction,
}

/// A kill that waits to be counted.
#[derive(Debug)]
struct Kill {
    id: OperationId,
    killer: (PlayerId, GuildId),
    victim: (PlayerId, GuildId),
}

/// Whether what is in memory is what the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Good,
    /// To be read at this moment or later.
    Stale(Instant),
    /// Being read.
    Loading,
}

/// What waits and what is under way.
pub(super) struct GuildQueue {
    memory: Memory,
    has_loaded: bool,
    requests: VecDeque<Request>,
    kills: VecDeque<Kill>,
    busy: TouchedSet,
    in_flight: usize,
    /// Of this incarnation; part of each operation's id.
    origin: u64,
    next: u64,
}

impl GuildQueue {
    pub(super) fn new() -> Self {
        Self {
            memory: Memory::Stale(tick::now()),
            has_loaded: false,
            requests: VecDeque::new(),
            kills: VecDeque::new(),
            busy: TouchedSet::new(),
            in_flight: 0,
            origin: rand::random(),
            next: 1,
        }
    }

    /// Whether the guilds were read at least once.
    pub(super) fn has_loaded(&self) -> bool {
        self.has_loaded
    }

    /// Store calls under way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn next_id(&mut self) -> OperationId {
        let id = OperationId::new(self.origin, self.next);
        self.next += 1;
        id
    }

    fn can_start(&self, touched: &TouchedSet) -> bool {
        self.memory == Memory::Good
            && self.in_flight < IN_FLIGHT_MAX
            && touched.is_disjoint(&self.busy)
    }
}

impl Chat {
    /// A player wants something of guilds: at once, or when its turn comes.
    pub(super) fn on_guild(&mut self, player: PlayerId, request: u64, action: GuildAction) {
        if self.presence.get(player).is_none() {
            return;
        }
        let since = tick::now();
        let request = Request { since, player, request, action };
        if self.queue.memory != Memory::Good {
            if self.queue.has_loaded && matches!(request.action, GuildAction::Info(_)) {
                // The last that is known will do.
                self.decide(request, TouchedSet::new(), since);
            } else {
                self.refuse(player, request.request, &Refusal::UNAVAILABLE);
            }
            return;
        }
        if self.queue.requests.len() >= REQUESTS_MAX {
            return self.refuse(player, request.request, &Refusal::BUSY);
        }
        self.queue.requests.push_back(request);
        self.work_guilds(since);
    }

    /// A kill between guilds at war. `id` makes counting it twice harmless.
    pub(super) fn on_war_kill(
        &mut self,
        id: OperationId,
        killer: (PlayerId, GuildId),
        victim: (PlayerId, GuildId),
    ) {
        if self.queue.kills.len() >= KILLS_MAX {
            counter!("throng_war_kills_lost_total").increment(1);
            error!(%id, "too many kills wait for the database; one is lost");
            return;
        }
        self.queue.kills.push_back(Kill { id, killer, victim });
        self.work_guilds(tick::now());
    }

    /// Starts what can be started.
    pub(super) fn work_guilds(&mut self, now: Instant) {
        self.work_requests(now);
        self.work_declarations(now);
        self.work_kills();
    }

    fn work_requests(&mut self, now: Instant) {
        let longest = Duration::from_millis(self.config.guild_wait_ms);
        // What an earlier request waits for, a later one must not take before it.
        let mut ahead = TouchedSet::new();
        for waiting in std::mem::take(&mut self.queue.requests) {
            let touched = self.touched(waiting.player, &waiting.action);
            if self.queue.memory != Memory::Good {
                self.refuse(waiting.player, waiting.request, &Refusal::UNAVAILABLE);
            } else if self.queue.can_start(&touched) && touched.is_disjoint(&ahead) {
                self.decide(waiting, touched, now);
            } else if now.duration_since(waiting.since) >= longest {
                self.refuse(waiting.player, waiting.request, &Refusal::BUSY);
            } else {
                ahead.extend(touched);
                self.queue.requests.push_back(waiting);
            }
        }
    }

    /// Lets the wars begin whose notice is over.
    fn work_declarations(&mut self, now: Instant) {
        for declared in self.wars.due(now) {
            let (ours, theirs) = (declared.attacker, declared.defender);
            let touched = TouchedSet::from([Touched::Guild(ours), Touched::Guild(theirs)]);
            if self.queue.can_start(&touched) {
                let (id, change) = (self.queue.next_id(), Change::BeginWar { ours, theirs });
                self.start(Job { id, change, asked: None, touched });
            }
        }
    }

    fn work_kills(&mut self) {
        if self.queue.memory != Memory::Good {
            return;
        }
        let mut ahead = TouchedSet::new();
        for kill in std::mem::take(&mut self.queue.kills) {
            if self.wars.get(pair(kill.killer.1, kill.victim.1)).is_none() {
                debug!(id = %kill.id, "a kill after the war is not counted");
                continue;
            }
            let touched = touched::by_kill(kill.killer.1, kill.victim.1);
            if self.queue.can_start(&touched) && touched.is_disjoint(&ahead) {
                let Kill { id, killer, victim } = kill;
                let change = Change::Score { killer, victim };
                self.start(Job { id, change, asked: None, touched });
            } else {
                ahead.extend(touched);
                self.queue.kills.push_back(kill);
            }
        }
    }

    /// The player itself, its guild and the one it names.
    fn touched(&self, player: PlayerId, action: &GuildAction) -> TouchedSet {
        let named = match action {
            GuildAction::Join(name)
            | GuildAction::DeclareWar(name)
            | GuildAction::EndWar(name)
            | GuildAction::Info(Some(name)) => self.guilds.named(name).ok().map(|guild| guild.id),
            GuildAction::Create(_)
            | GuildAction::Invite(_)
            | GuildAction::Leave
            | GuildAction::Kick(_)
            | GuildAction::Rank(..)
            | GuildAction::Disband
            | GuildAction::Info(None) => None,
        };
        let guilds = self.guilds.id_of(player).into_iter().chain(named).map(Touched::Guild);
        guilds.chain([Touched::Player(player)]).collect()
    }

    fn decide(&mut self, request: Request, touched: TouchedSet, now: Instant) {
        let Request { player, request, action, since: _ } = request;
        let books = Books {
            guilds: &self.guilds,
            wars: &self.wars,
            invitations: &self.invitations,
            presence: &self.presence,
            reserved: &self.reserved,
            terms: self.config.war_terms(),
            now,
        };
        match guilds::decide(&books, player, &action) {
            Ok(Step::Persist(change)) => {
                let id = self.queue.next_id();
                self.start(Job { id, change, asked: Some((player, request)), touched });
            }
            Ok(Step::Invite { guild, invited }) => self.invite(player, guild, invited, now),
            Ok(Step::Info(guild)) => self.tell_info(player, guild),
            Err(refusal) => self.refuse(player, request, &refusal),
        }
    }

    fn start(&mut self, job: Job) {
        self.queue.busy.extend(&job.touched);
        self.queue.in_flight += 1;
        let terms = self.config.war_terms();
        guild_store::start(self.store.clone(), job, terms, self.done.clone());
    }

    /// Reads the guilds and wars.
    pub(super) fn load_guilds(&mut self) {
        self.queue.memory = Memory::Loading;
        self.queue.in_flight += 1;
        guild_store::load(self.store.clone(), self.done.clone());
    }

    /// Reads them again if that is due and no change is under way.
    pub(super) fn reload_if_due(&mut self, now: Instant) {
        if let Memory::Stale(due) = self.queue.memory
            && due <= now
            && self.queue.in_flight == 0
        {
            self.load_guilds();
        }
    }

    /// A store call has returned.
    pub(super) fn on_done(&mut self, done: Done) {
        let now = tick::now();
        self.queue.in_flight -= 1;
        match done {
            Done::Loaded(Ok(books)) => self.on_loaded(books, now),
            Done::Loaded(Err(error)) => {
                warn!(%error, "guilds cannot be loaded; trying again");
                self.queue.memory = Memory::Stale(self.later(now));
            }
            Done::Changed(job, result) => {
                self.queue.busy.retain(|busy| !job.touched.contains(busy));
                match result {
                    Ok(outcome) => self.on_changed(job.change, outcome, job.asked),
                    Err(error) => self.on_not_changed(*job, &error, now),
                }
            }
        }
        self.reload_if_due(now);
        self.work_guilds(now);
    }

    fn on_loaded(&mut self, books: GuildBooks, now: Instant) {
        let GuildBooks { guilds, wars, declarations, truces } = books;
        info!(guilds = guilds.len(), wars = wars.len(), "guilds are loaded");
        self.guilds.replace(guilds);
        self.wars.replace(wars, declarations, truces, Clocks { now, unix: tick::unix_millis() });
        self.queue.memory = Memory::Good;
        let first = !std::mem::replace(&mut self.queue.has_loaded, true);
        self.settle_guilds();
        self.tell_wars(now);
        if first {
            // Who came before this could not be told.
            self.tell_declarations(now);
        }
    }

    fn on_not_changed(&mut self, job: Job, error: &StoreError, now: Instant) {
        debug!(id = %job.id, change = ?job.change, %error, "a guild change was not made");
        let away = matches!(error, StoreError::Unavailable(_));
        if let Change::Score { killer, victim } = job.change {
            if away {
                self.queue.kills.push_front(Kill { id: job.id, killer, victim });
            } else if self.wars.get(pair(killer.1, victim.1)).is_none() {
                // The war was over before the kill was counted: nothing is wrong.
                return;
            }
        } else if let Some((player, request)) = job.asked {
            self.refuse(player, request, &Refusal::of_store(error));
        }
        if away {
            // Whether it was made will show when everything is read again.
            self.queue.memory = Memory::Stale(self.later(now));
        } else if *error != StoreError::NameTaken {
            warn!(%error, "guilds are not as they seemed; reading them again");
            self.queue.memory = Memory::Stale(now);
        }
    }

    fn later(&self, now: Instant) -> Instant {
        now + Duration::from_millis(self.config.reload_ms)
    }
}
