//! The zone role: one thread for each zone, which owns that zone's world and reads one inbox.
//!
//! This file is the zone manager: it hosts the thread and reads like a table of contents of its
//! tick. The rules are in `world/`; here they meet time, messages and the store. A zone never
//! waits for anything but its clock.

mod border;
mod clock;
mod commits;
mod config;
pub mod crossing;
mod desk;
mod events;
pub mod host;
mod inputs;
mod moving;
mod orphans;
mod players;
mod post;
#[cfg(test)]
pub(crate) mod rig;
mod signs;
mod sync;
mod tenure;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{Gauge, Histogram, gauge, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, info_span, warn};

use crate::ids::{ServerId, ZoneId};
use crate::link::{Directory, Inbox, Outbox};
use crate::msg::{ChatMsg, GatewayMsg, MasterMsg, ZoneMsg};
use crate::tick;
use crate::world::World;
use crate::world::command::Effect;
use crate::world::content::Content;
use clock::{Clock, Round};
use commits::Saves;
pub use config::ZoneConfig;
use crossing::Crossings;
use desk::Desk;
use events::EventManager;
use host::Report;
use inputs::Waiting;
use moving::{Mode, Moving, Order, Packed};
use orphans::Orphans;
use players::Players;
use post::Post;
use signs::Signs;
use sync::SyncService;
use tenure::Tenure;

/// Whom a zone talks to.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Those that may watch it.
    pub gateways: Directory<ServerId, GatewayMsg>,
    /// Its neighbours.
    pub zones: Directory<ZoneId, ZoneMsg>,
    /// Guild wars are counted there.
    pub chat: Outbox<ChatMsg>,
    /// Knows who stands where.
    pub master: Outbox<MasterMsg>,
}

/// What a zone's thread is started with.
struct Start {
    zone: ZoneId,
    /// The process it runs in: the owner of its players.
    server: ServerId,
    /// The lease under which it may run.
    tenure: Tenure,
    config: ZoneConfig,
    content: Arc<Content>,
    inbox: Inbox<ZoneMsg>,
    peers: Peers,
    /// The way to the store.
    desk: Desk,
    /// How long after the others' its ticks begin, so that zones do not tick together.
    phase: Duration,
    /// Where it shows that it goes on, and who stands in it.
    signs: Arc<Signs>,
    /// What another process has packed; none: it starts empty.
    packed: Option<Box<Packed>>,
    /// What the host says, and hears, when it moves.
    orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
    /// Ends it: every player is saved and released first.
    stop: CancellationToken,
}

/// Why a zone's thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It was told to: its players are saved and released.
    Stopped,
    /// Another server runs the zone: it has not saved or told anything any more.
    GaveUp,
    /// It was handed over, and what came for it later too.
    Moved,
}

/// Starts the thread of one zone; gives where its end is told. A panic ends this zone alone: it is
/// logged, and nothing is told there.
fn spawn(start: Start) -> std::io::Result<oneshot::Receiver<Ending>> {
    let zone = start.zone;
    let (ended, ending) = oneshot::channel();
    std::thread::Builder::new().name(format!("zone-{zone}")).spawn(move || {
        let span = info_span!("zone", %zone);
        let _entered = span.enter();
        // Fails only if the host is gone, at the end of the whole process.
        let _ = ended.send(ZoneServer::new(start).run());
    })?;
    Ok(ending)
}

/// Between two looks at a lease that is to be confirmed.
const CONFIRM_POLL: Duration = Duration::from_millis(5);
/// How long a stopping zone waits for its last saves.
const LAST_SAVES: Duration = Duration::from_secs(20);

/// How far a stopping zone is.
struct LastRounds {
    next_step: Instant,
    /// Whether its inbox still takes something.
    open: bool,
}

/// Everything one zone's thread owns.
struct ZoneServer {
    zone: ZoneId,
    server: ServerId,
    tenure: Tenure,
    config: ZoneConfig,
    content: Arc<Content>,
    inbox: Inbox<ZoneMsg>,
    waiting: Waiting,
    post: Post,
    stop: CancellationToken,
    clock: Clock,
    world: World,
    players: Players,
    crossings: Crossings,
    orphans: Orphans,
    moving: Moving,
    saves: Saves,
    events: EventManager,
    sync: SyncService,
    gauges: Gauges,
    signs: Arc<Signs>,
}

/// Metrics of one zone, looked up once.
struct Gauges {
    tick_seconds: Histogram,
    players: Gauge,
    npcs: Gauge,
    items: Gauge,
    inbox: Gauge,
}

impl Gauges {
    fn new(zone: ZoneId) -> Self {
        let zone = zone.to_string();
        Self {
            tick_seconds: histogram!("throng_zone_tick_seconds", "zone" => zone.clone()),
            players: gauge!("throng_zone_players", "zone" => zone.clone()),
            npcs: gauge!("throng_zone_npcs", "zone" => zone.clone()),
            items: gauge!("throng_zone_items", "zone" => zone.clone()),
            inbox: gauge!("throng_inbox_depth", "role" => format!("zone-{zone}")),
        }
    }

    /// The zone does not run here any more.
    fn clear(&self) {
        for gauge in [&self.players, &self.npcs, &self.items, &self.inbox] {
            gauge.set(0.0);
        }
    }
}

impl ZoneServer {
    fn new(start: Start) -> Self {
        let Start { zone, server, tenure, config, content, inbox, peers, .. } = start;
        let Start { desk, phase, signs, packed, orders, reports, stop, .. } = start;
        let origin = tenure::origin(zone, tenure.lease());
        let seed = if config.seed == 0 { rand::random() } else { config.seed ^ u64::from(zone.0) };
        let saves = Saves::new(desk, zone, origin, config.save_seconds);
        let mut sync = SyncService::new(zone, &content, peers.gateways.clone());
        let mut players = Players::default();
        let world = match packed {
            None => World::new(zone, content.clone(), origin, seed),
            Some(packed) => {
                let Packed { whole, sessions, watchers } = *packed;
                sessions.into_iter().for_each(|(player, session)| players.bind(player, session));
                watchers.into_iter().for_each(|gateway| sync.watch(gateway));
                World::from_whole(zone, content.clone(), (origin, seed), whole)
            }
        };
        Self {
            clock: Clock::start(zone, phase, &config),
            world,
            players,
            moving: Moving::new(orders, reports),
            crossings: Crossings::new(),
            orphans: Orphans::default(),
            waiting: Waiting::new(),
            events: EventManager::new(zone),
            sync,
            gauges: Gauges::new(zone),
            zone,
            server,
            tenure,
            config,
            content,
            inbox,
            post: Post::new(peers),
            stop,
            saves,
            signs,
        }
    }

    fn run(mut self) -> Ending {
        info!(seed_fixed = self.config.seed != 0, lease = %self.tenure.lease(), "zone runs");
        let ending = self.play();
        match ending {
            Ending::Stopped => self.empty_out(),
            Ending::GaveUp => warn!(players = self.players.len(), "another server runs the zone"),
            Ending::Moved => info!(players = self.players.len(), "the zone has moved"),
        }
        self.gauges.clear();
        info!(?ending, "zone has ended");
        ending
    }

    /// Round after round, as long as the zone is this server's.
    fn play(&mut self) -> Ending {
        while self.moving.is_away() || !self.stop.is_cancelled() {
            let round = self.clock.wait();
            self.signs.begin_round();
            self.take_orders();
            let mode = self.moving.mode;
            match mode {
                Mode::Plays | Mode::Settles { .. } => {}
                Mode::Rests { .. } => continue,
                Mode::Follows { since, reached } if self.follow(since, reached) => {
                    return Ending::Moved;
                }
                Mode::Follows { .. } => continue,
            }
            if self.clock.take_gap() {
                self.sit_out();
            }
            if self.tenure.is_lost() {
                return Ending::GaveUp;
            }
            match round {
                Round::Events => self.round(),
                Round::Tick => self.tick(),
            }
        }
        if self.tenure.is_lost() { Ending::GaveUp } else { Ending::Stopped }
    }

    /// The thread has stood still: nothing is done and said until the store has been asked whether
    /// the zone is still this server's.
    fn sit_out(&mut self) {
        let since = tick::now();
        warn!("the zone stood still; it waits until its lease is confirmed");
        while !self.tenure.holds_since(since) {
            if self.tenure.is_lost() || self.stop.is_cancelled() {
                return;
            }
            self.signs.begin_round();
            self.clock.pause(CONFIRM_POLL);
        }
        self.clock.take_gap();
        info!(waited = ?since.elapsed(), "the zone goes on");
    }

    /// Between ticks: nobody waits for one at a border, nor for the store's answer.
    fn round(&mut self) {
        self.take_handovers();
        self.take_completions();
        self.events.round(&mut self.sync);
    }

    /// One tick, in order.
    fn tick(&mut self) {
        let began = tick::now();
        self.clock.tell(&mut self.world);
        self.post.send_again();
        if self.moving.plays() {
            self.take_inputs();
        } else {
            self.take_handovers();
        }
        self.take_completions();
        self.tend_crossings();
        self.world.step();
        self.carry_out_effects();
        self.events.round(&mut self.sync);
        self.sync.publish(self.world.frame());
        self.save_if_due();
        if self.moving.plays() {
            self.tend_orphans();
        }
        self.settle();
        self.clock.spent(began.elapsed());
        self.gauges.tick_seconds.record(began.elapsed());
        self.publish_population();
    }

    fn publish_population(&self) {
        if self.world.tick().0.is_multiple_of(20) {
            let population = self.world.population();
            self.signs.show_players(population.players as u32);
            self.gauges.players.set(population.players as f64);
            self.gauges.npcs.set(population.npcs as f64);
            self.gauges.items.set(population.items as f64);
            self.gauges.inbox.set(self.inbox.len() as f64);
            self.saves.publish();
        }
    }

    /// Turns what the world wants into messages, store calls and events.
    fn carry_out_effects(&mut self) {
        let effects: Vec<Effect> = self.world.drain_effects().collect();
        for effect in effects {
            match effect {
                Effect::Notify { player, notice } => self.on_notice(player, notice),
                Effect::Event(event) => self.events.push(event),
                Effect::Commit(operation) => self.saves.commit(operation),
                Effect::LookUp { operation, player, asker } => {
                    self.saves.look_up(operation, player, asker);
                }
                Effect::Departed { to, transfer } => self.on_departed(to, transfer),
                Effect::Left { state, owed } => self.on_left(*state, owed),
                Effect::Strike { zone, strike } => self.on_strike_out(zone, strike),
                Effect::StrikeRefused { zone, player, request, refusal } => {
                    self.post.zone(zone, ZoneMsg::StrikeRefused { player, request, refusal });
                }
                Effect::Credit { zone, player, credit } => {
                    self.post.zone(zone, ZoneMsg::Credit { player, credit });
                }
                Effect::WarKill { id, killer, victim } => {
                    self.post.war_kill(ChatMsg::WarKill { id, killer, victim });
                }
                Effect::Count { player, counter, by } => self.saves.count(player, counter, by),
                Effect::Kick { player, reason } => self.on_kick(player, reason),
                Effect::Disowned { player, epoch } => self.on_lost_ownership(player, epoch),
            }
        }
    }

    /// The last rounds, until nobody is left.
    fn empty_out(&mut self) {
        let deadline = tick::now() + LAST_SAVES;
        let mut last = LastRounds { next_step: tick::now(), open: true };
        while !self.last_round(&mut last) {
            if tick::now() >= deadline {
                error!(left = self.players.len(), "zone stops with players unsaved");
                return;
            }
            self.signs.begin_round();
            self.clock.pause(Duration::from_millis(5));
        }
    }

    /// One of them: everybody is saved and released, then the thread may end (true). Who was on
    /// the way here, from the store or from a neighbour that stops too, still arrives and leaves.
    fn last_round(&mut self, last: &mut LastRounds) -> bool {
        self.post.send_again();
        self.take_inputs();
        self.take_completions();
        self.tend_crossings();
        for player in self.players.all() {
            self.dismiss(player);
        }
        if tick::now() >= last.next_step {
            last.next_step += tick::TICK;
            self.world.step();
        }
        self.carry_out_effects();
        self.saves.send_counts();
        let nobody = self.players.is_empty() && self.crossings.is_idle();
        if !(nobody && self.saves.is_idle() && self.inbox.is_empty()) {
            return false;
        }
        // From here on neighbours keep what they have; what is on its way is taken in.
        self.inbox.close();
        !std::mem::replace(&mut last.open, false)
    }
}
