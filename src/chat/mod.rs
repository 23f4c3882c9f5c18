//! The chat role: who is in the world, what they say to each other, rooms, guilds and their wars.
//!
//! One task owns all of it and reads one inbox. It never waits: what must be in the store first
//! (guilds, wars) is spawned and comes back through a bounded channel, and a packet for a gateway
//! whose inbox is full is dropped and counted. Talk that zones carry (near, zone) never comes here.

mod channels;
mod courier;
mod gateways;
mod guild_queue;
mod guild_store;
mod guild_tell;
mod guilds;
mod invitations;
mod presence;
mod refusal;
mod room_requests;
mod rooms;
#[cfg(test)]
mod tests;
mod touched;
mod war_tell;
mod wars;
mod zones;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::ids::{PlayerId, ServerId, SessionRef, ZoneId};
use crate::limits::GUILD_MEMBERS_MAX;
use crate::link::{Directory, Inbox};
use crate::msg::{ChatMsg, GatewayMsg, Outgoing, ZoneMsg};
use crate::names::{Name, Reserved};
use crate::role::Role;
use crate::store::Store;
use crate::tick;
use courier::Courier;
use gateways::Gateways;
use guild_queue::GuildQueue;
use guild_store::Done;
use guilds::Guilds;
use invitations::Invitations;
use presence::{Arrival, Presence};
use refusal::Refusal;
use rooms::Rooms;
use wars::{WarTerms, Wars};
use zones::ZoneNews;

/// `[chat]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChatConfig {
    /// How long a guild's invitation holds, seconds.
    pub invitation_seconds: u64,
    /// How long a guild request may wait for those before it, ms; then it is refused.
    pub guild_wait_ms: u64,
    /// How long to wait before the guilds are read again when the database was away, ms.
    pub reload_ms: u64,
    /// How long after its declaration a guild war begins, seconds; 0: at once.
    pub war_notice_seconds: u64,
    /// How long after a guild war, or a declaration that came to nothing, its two guilds cannot
    /// declare war on each other, seconds.
    pub war_truce_seconds: u64,
    /// How long after a kill that counted the same victim counts nothing for the same guild,
    /// seconds.
    pub war_victim_seconds: u64,
    /// Members that a guild needs to declare a war.
    pub war_members_min: usize,
}

impl Default for ChatConfig {
    fn default() -> Self {
        Self {
            invitation_seconds: 300,
            guild_wait_ms: 1_000,
            reload_ms: 1_000,
            war_notice_seconds: 600,
            war_truce_seconds: 3_600,
            war_victim_seconds: 300,
            war_members_min: 1,
        }
    }
}

impl ChatConfig {
    /// What is wrong with the values, each with its key and the allowed range.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut range = |key: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("chat.{key} must be {least} to {most}"));
            }
        };
        range("invitation_seconds", self.invitation_seconds, 1, 86_400);
        range("guild_wait_ms", self.guild_wait_ms, 1, 60_000);
        range("reload_ms", self.reload_ms, 10, 60_000);
        range("war_notice_seconds", self.war_notice_seconds, 0, 604_800);
        range("war_truce_seconds", self.war_truce_seconds, 0, 2_592_000);
        range("war_victim_seconds", self.war_victim_seconds, 0, 86_400);
        range("war_members_min", self.war_members_min as u64, 1, GUILD_MEMBERS_MAX as u64);
        problems
    }

    fn war_terms(&self) -> WarTerms {
        WarTerms {
            notice: Duration::from_secs(self.war_notice_seconds),
            truce: Duration::from_secs(self.war_truce_seconds),
            victim: Duration::from_secs(self.war_victim_seconds),
            members_min: self.war_members_min,
        }
    }
}

/// Whom the chat role speaks to.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Every gateway.
    pub gateways: Directory<ServerId, GatewayMsg>,
    /// Every zone.
    pub zones: Directory<ZoneId, ZoneMsg>,
}

/// How often expired things are looked for and lost messages sent again.
const SWEEP: Duration = Duration::from_secs(1);
/// Messages taken from the inbox at once.
const BATCH: usize = 256;
/// How long after the last message zones are told anything unasked. A chat role that nobody speaks
/// to may have been replaced; and when a zone begins anew, gateways speak of its players.
const SPEAKS_FOR: Duration = Duration::from_secs(10);
/// How long the last store calls may take when the role stops.
const FINISH: Duration = Duration::from_secs(2);

/// All that the role knows.
struct Chat {
    config: ChatConfig,
    /// What no new guild or room may be called.
    reserved: Reserved,
    store: Store,
    courier: Courier,
    zones: ZoneNews,
    presence: Presence,
    gateways: Gateways,
    rooms: Rooms,
    guilds: Guilds,
    wars: Wars,
    invitations: Invitations,
    queue: GuildQueue,
    done: mpsc::Sender<Done>,
    /// When somebody last said something to this role.
    heard_at: Instant,
}

/// Plays the chat role until `stop` is cancelled or nobody can send to it any more.
pub async fn run(
    config: ChatConfig,
    reserved: Reserved,
    mut inbox: Inbox<ChatMsg>,
    peers: Peers,
    store: Store,
    stop: CancellationToken,
) {
    let (done, mut completions) = mpsc::channel(guild_queue::IN_FLIGHT_MAX);
    let mut chat = Chat::new(config, reserved, peers, store, done);
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut batch = Vec::with_capacity(BATCH);
    chat.load_guilds();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = completions.recv() => chat.on_done(done),
            _ = sweep.tick() => chat.on_sweep(tick::now()),
            taken = inbox.recv_many(&mut batch, BATCH) => {
                if taken == 0 {
                    break;
                }
                chat.heard_at = tick::now();
                batch.drain(..).for_each(|message| chat.on_message(message));
            }
        }
    }
    // The zones have ended by now: their last war kills are in the inbox.
    while let Some(message) = inbox.try_recv() {
        chat.on_message(message);
    }
    // What is being committed is still told to those whom it concerns.
    let finish = async {
        while chat.queue.in_flight() > 0 {
            let Some(done) = completions.recv().await else { break };
            chat.on_done(done);
        }
    };
    if tokio::time::timeout(FINISH, finish).await.is_err() {
        warn!("store calls of guilds are unfinished; their outcome will show at the next start");
    }
    info!("chat has stopped");
}

impl Chat {
    fn new(
        config: ChatConfig,
        reserved: Reserved,
        peers: Peers,
        store: Store,
        done: mpsc::Sender<Done>,
    ) -> Self {
        let Peers { gateways, zones } = peers;
        let invitations = Invitations::new(Duration::from_secs(config.invitation_seconds));
        Self {
            config,
            reserved,
            store,
            courier: Courier::new(gateways),
            gateways: Gateways::default(),
            heard_at: tick::now(),
            zones: ZoneNews::new(zones),
            presence: Presence::default(),
            rooms: Rooms::default(),
            guilds: Guilds::default(),
            wars: Wars::default(),
            invitations,
            queue: GuildQueue::new(),
            done,
        }
    }

    fn on_message(&mut self, message: ChatMsg) {
        match message {
            ChatMsg::Joined { player, name, session, zone, rooms, since } => {
                match Name::made(&name) {
                    Ok(name) => {
                        self.on_joined(player, Arrival { name, session, zone, since }, &rooms);
                    }
                    Err(problem) => {
                        warn!(%player, problem, "a player with an impossible name is not heard");
                    }
                }
            }
            ChatMsg::Moved { player, zone } => self.on_moved(player, zone),
            ChatMsg::Left { player, session } => self.on_left(player, session),
            ChatMsg::Say { player, request, to, text } => self.on_say(player, request, to, &text),
            ChatMsg::Room { player, request, action } => self.on_room(player, request, &action),
            ChatMsg::Guild { player, request, action } => self.on_guild(player, request, action),
            ChatMsg::Who { player, request: _ } => self.on_who(player),
            ChatMsg::WarKill { id, killer, victim } => self.on_war_kill(id, killer, victim),
            ChatMsg::Announce { request: _, text } => self.on_announce(&text),
        }
    }

    /// A player has come, goes on through another session, or is told of anew. This chat role
    /// knows best in which rooms it is, unless it has not heard of it yet.
    fn on_joined(&mut self, player: PlayerId, arrival: Arrival, rooms: &[Name]) {
        let (zone, known) = (arrival.zone, self.presence.get(player).is_some());
        if !self.presence.join(player, arrival) {
            debug!(%player, "another session has the player by now");
            return;
        }
        if !known {
            self.rooms.restore(player, rooms);
        }
        if self.rooms.of(player) != rooms {
            self.tell_rooms(player);
        }
        self.on_player_came(player, zone);
        if !known {
            self.tell_declarations_to(player, tick::now());
        }
    }

    fn on_moved(&mut self, player: PlayerId, zone: ZoneId) {
        if self.presence.move_to(player, zone) {
            self.on_player_came(player, zone);
        }
    }

    fn on_left(&mut self, player: PlayerId, session: SessionRef) {
        if let Some(gone) = self.presence.leave(player, session) {
            self.leave_all_rooms(player, gone.name.as_str());
            self.invitations.forget_player(player);
        }
    }

    fn on_sweep(&mut self, now: Instant) {
        self.invitations.expire(now);
        self.wars.expire(now);
        self.reload_if_due(now);
        self.work_guilds(now);
        self.look_for_gateways(now);
        self.courier.send_again();
        if now.saturating_duration_since(self.heard_at) < SPEAKS_FOR {
            self.settle_guilds();
            self.tell_wars(now);
        }
        metrics::gauge!("throng_chat_rooms").set(self.rooms.len() as f64);
        metrics::gauge!("throng_guilds").set(self.guilds.len() as f64);
        metrics::gauge!("throng_guild_wars").set(self.wars.len() as f64);
    }

    /// Whoever played through a gateway that is long gone is in the world no more.
    fn look_for_gateways(&mut self, now: Instant) {
        let named = self.presence.iter().map(|(_, online)| online.session.gateway).collect();
        let courier = &self.courier;
        let changes = self.gateways.look(&named, |gateway| courier.knows(gateway), now);
        for gateway in changes.ended {
            info!(%gateway, "a gateway is gone; its players are not in the world any more");
            let lost = self.presence.iter().filter(|(_, o)| o.session.gateway == gateway);
            let lost: Vec<_> = lost.map(|(player, online)| (player, online.session)).collect();
            lost.into_iter().for_each(|(player, session)| self.on_left(player, session));
        }
        for gateway in changes.returned {
            self.courier.keep_for(gateway, GatewayMsg::Introduce { to: Role::Chat });
        }
    }

    /// One packet for one player, if it is in the world.
    fn tell(&self, player: PlayerId, packet: Outgoing) {
        if let Some(online) = self.presence.get(player) {
            self.courier.to_one(online.session, packet);
        }
    }

    /// The same packet for all of these that are in the world.
    fn tell_all(&self, players: impl IntoIterator<Item = PlayerId>, packet: Outgoing) {
        let sessions = players.into_iter().filter_map(|player| self.presence.get(player));
        self.courier.to_many(sessions.map(|online| online.session), packet);
    }

    /// The answer to a request that was not done.
    fn refuse(&self, player: PlayerId, request: u64, refusal: &Refusal) {
        debug!(%player, request, code = ?refusal.code, "refused");
        self.tell(player, refusal.packet(request));
    }
}
