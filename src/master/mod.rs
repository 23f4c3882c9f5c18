//! The master role: registry of servers, balancing, placement of zones, presence of players.
//!
//! One task owns all of it and reads one inbox and the operators' questions. Play goes on without
//! it: it holds nothing that its servers could not tell it again, and it never waits for anybody
//! inside its loop. A new master listens for a while before it places zones and grants presence.

pub mod balance;
mod bans;
mod cluster;
mod config;
mod entries;
mod operators;
pub mod placement;
mod post;
pub mod presence;
pub mod query;
pub mod registry;
#[cfg(test)]
pub(crate) mod rig;
mod settling;
mod views;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use config::MasterConfig;

use crate::ids::{ServerId, ZoneId};
use crate::limits;
use crate::link::{Directory, Inbox};
use crate::msg::{Conducts, GatewayMsg, HostMsg, LoginMsg, MasterMsg, NodeMsg};
use crate::store::Store;
use crate::tick;
use balance::Balancer;
use bans::Bans;
use placement::Placement;
use post::Post;
use presence::Presence;
use query::Query;
use registry::Registry;
use settling::Settling;

/// Players in the world of one master, whatever its gateways could hold together.
const PLAYERS_MAX: usize = 1_000_000;
/// Seconds between two looks for new bans.
const BANS_EVERY: u64 = 5;
/// Seconds between two lists of all servers, if nothing changes.
const MEMBERS_EVERY: u64 = 3;

/// Whom the master speaks to, each by its process.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// Gateways.
    pub gateways: Directory<ServerId, GatewayMsg>,
    /// Login roles.
    pub login: Directory<ServerId, LoginMsg>,
    /// All processes, this one included.
    pub nodes: Directory<ServerId, NodeMsg>,
    /// Zone servers.
    pub hosts: Directory<ServerId, HostMsg>,
}

/// What the role works with.
#[derive(Debug)]
pub struct Parts {
    /// `[master]`.
    pub config: MasterConfig,
    /// All zones of the world.
    pub zones: Vec<ZoneId>,
    /// Whether this process is a whole world by itself: there is nobody else to be heard first.
    pub alone: bool,
    /// Whom it speaks to.
    pub peers: Peers,
    /// Bans.
    pub store: Store,
}

/// Plays the role until `stop` or until every outbox to it is gone.
pub async fn run(
    parts: Parts,
    mut inbox: Inbox<MasterMsg>,
    mut queries: mpsc::Receiver<Query>,
    stop: CancellationToken,
) {
    let mut master = Master::new(parts, tick::now());
    let mut messages = Vec::with_capacity(256);
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            count = inbox.recv_many(&mut messages, 256) => {
                if count == 0 {
                    break;
                }
                let now = tick::now();
                messages.drain(..).for_each(|message| master.on_message(message, now));
            }
            Some(query) = queries.recv() => master.on_query(query, tick::now()),
            Some(bans) = master.bans.answered() => master.on_bans(bans),
            _ = second.tick() => {
                // What waits is heard first: a stall of this task is nobody's death but its own.
                let waiting = std::iter::from_fn(|| inbox.try_recv()).take(limits::MASTER_INBOX);
                let now = tick::now();
                waiting.for_each(|message| master.on_message(message, now));
                master.on_second(now);
            }
        }
        master.post.send_again();
    }
    debug!("the master has ended");
}

/// All that the role owns.
struct Master {
    config: MasterConfig,
    peers: Peers,
    /// The way to gateways for what must arrive.
    post: Post,
    store: Store,
    started: Instant,
    settling: Settling,
    registry: Registry,
    /// For the lists of the login roles.
    balancer: Balancer,
    /// For the lists of the gateways, which route the text port's clients. A turn of its own, or
    /// one group's turns would fall on the same servers each time.
    gateway_balancer: Balancer,
    placement: Placement,
    presence: Presence,
    /// Gateways that are to be asked who plays there, and from when on.
    unasked: BTreeMap<ServerId, Instant>,
    bans: Bans,
    /// What players have used up of their limits, for the gateways that have them next.
    conducts: Conducts,
    seconds: u64,
}

impl Master {
    fn new(parts: Parts, now: Instant) -> Self {
        let Parts { config, zones, alone, peers, store } = parts;
        Self {
            registry: Registry::new(config.patience(), config.servers_max),
            balancer: Balancer::new(config.balancing, rand::random()),
            gateway_balancer: Balancer::new(config.balancing, rand::random()),
            placement: Placement::new(zones),
            presence: Presence::new(PLAYERS_MAX),
            started: now,
            settling: if alone { Settling::done() } else { Settling::from(now) },
            unasked: BTreeMap::new(),
            bans: Bans::new(),
            conducts: Conducts::default(),
            seconds: 0,
            post: Post::new(peers.gateways.clone()),
            config,
            peers,
            store,
        }
    }

    fn on_message(&mut self, message: MasterMsg, now: Instant) {
        let Some(message) = self.settling.hold(message, &self.presence) else { return };
        match message {
            MasterMsg::Status(status) => self.on_status(*status, now),
            MasterMsg::Lost { server, clean } => self.on_lost(server, clean, now),
            MasterMsg::Claim { request, player, name, session, device } => {
                self.on_claim((request, now), player, name, session, device);
            }
            MasterMsg::Present { sessions } => {
                sessions.into_iter().for_each(|session| self.on_present(session, now));
            }
            MasterMsg::Located { player, session, zone, epoch } => {
                self.on_located(player, session, (zone, epoch), now);
            }
            MasterMsg::Released { player, session } => self.presence.released(player, session),
            MasterMsg::Conduct { player, gateway, conduct } => {
                self.on_conduct(player, gateway, conduct, now);
            }
            MasterMsg::WhereIs { request, player } => self.on_where_is(request, player),
        }
    }

    fn on_second(&mut self, now: Instant) {
        for message in self.settling.over(now) {
            self.on_message(message, now);
        }
        self.presence.sweep(now);
        self.conducts.sweep(now);
        self.ask_gateways(now);
        self.look_at_servers(now);
        self.place_zones(now);
        self.tell_servers(now);
        if self.seconds.is_multiple_of(MEMBERS_EVERY) {
            self.tell_members(now);
        }
        if self.seconds.is_multiple_of(BANS_EVERY) {
            self.bans.ask(&self.store);
        }
        self.count_cluster(now);
        self.seconds += 1;
    }
}

#[cfg(test)]
mod tests;
