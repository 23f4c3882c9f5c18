//! This process as a member of its cluster: learns from the links who comes and goes, and turns the
//! ways between roles accordingly.
//!
//! One task; it reads the links' events, the node's inbox and what the zone host says. It owns the
//! [`Roster`] and is the only one that changes directories and switches. It never waits for a peer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::roster::{Roster, talk};
use super::wiring::Wiring;
use crate::admin::Readiness;
use crate::ids::{Key, ServerId, ZoneId};
use crate::link::tcp::{LinkEvent, Links};
use crate::link::{Address, Identity, Inbox, Outbox, Wire};
use crate::msg::node::{HostedZone, Introduction, Member};
use crate::msg::{GatewayMsg, MasterMsg, NodeMsg};
use crate::role::{Role, Roles};
use crate::token::TicketVerifier;
use crate::zone::host::Hosted as Hosting;

/// How often what could not be sent is sent again.
const AGAIN: Duration = Duration::from_millis(250);

/// What the task is made of.
pub(super) struct Parts {
    pub(super) server: ServerId,
    pub(super) roles: Roles,
    /// Unix ms.
    pub(super) started_at: u64,
    pub(super) wiring: Wiring,
    /// None: this process is alone.
    pub(super) links: Option<Links>,
    pub(super) verifier: TicketVerifier,
    /// The public half of its own login key.
    pub(super) ticket_key: Option<Bytes>,
    pub(super) hosting: watch::Receiver<Hosting>,
    /// All zones of the world, with their names.
    pub(super) world: Vec<(ZoneId, Key)>,
    pub(super) readiness: Readiness,
    /// Says which process plays the master.
    pub(super) mastered: watch::Sender<Option<ServerId>>,
    /// Cancelled when the master has this process drain.
    pub(super) drain: CancellationToken,
}

/// The member and its view of the others.
pub(super) struct Cluster {
    parts: Parts,
    roster: Roster,
    /// Who plays the master and chat, as the switches are set.
    master: Option<ServerId>,
    chat: Option<ServerId>,
    /// Whether a master has ever told the cluster of this process: play goes on without one, and
    /// before that nobody is sent here.
    listed: bool,
    /// Where each zone runs, as the directory says.
    zones: BTreeMap<ZoneId, ServerId>,
    /// Peers that have not been told the newest of what this process hosts.
    untold: BTreeSet<ServerId>,
}

impl Cluster {
    pub(super) fn new(parts: Parts) -> Self {
        let own = |role: Role| parts.roles.has(role).then_some(parts.server);
        let cluster = Self {
            roster: Roster::new(parts.server, &parts.roles, parts.started_at),
            master: own(Role::Master),
            listed: parts.links.is_none() || parts.roles.has(Role::Master),
            chat: own(Role::Chat),
            zones: BTreeMap::new(),
            untold: BTreeSet::new(),
            parts,
        };
        cluster.report_missing();
        cluster
    }

    /// Runs until `stop`.
    pub(super) async fn run(
        mut self,
        mut inbox: Inbox<NodeMsg>,
        mut events: mpsc::Receiver<LinkEvent>,
        stop: CancellationToken,
    ) {
        let mut again = tokio::time::interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut hosting = self.parts.hosting.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(event) = events.recv() => self.on_event(event),
                Some(message) = inbox.recv() => self.on_message(message),
                Ok(()) = hosting.changed() => self.on_hosting(),
                _ = again.tick(), if !self.untold.is_empty() => self.introduce(),
            }
        }
    }

    fn on_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Up { identity, fresh, hold } => {
                self.on_up(&identity, fresh);
                // What it sends may come in now that its ways back are there.
                drop(hold);
            }
            LinkEvent::Down { server } => {
                info!(%server, "a link is down; it will be tried again");
            }
            LinkEvent::Lost { server, clean } => self.on_lost(server, clean),
        }
    }

    fn on_up(&mut self, identity: &Identity, fresh: bool) {
        let (server, roles) = (identity.server, identity.roles.iter().collect::<Vec<_>>());
        if !self.roster.linked(server, &roles) && !fresh {
            return;
        }
        info!(%server, plays = %words(&roles), "linked with a server");
        let wiring = self.parts.wiring.clone();
        self.lead(server, Address::Node, |outbox| wiring.nodes.insert(server, outbox));
        for role in roles {
            match role {
                Role::Zone => {
                    self.lead(server, Address::Host, |outbox| wiring.hosts.insert(server, outbox));
                }
                Role::Gateway => self.lead(server, Address::Gateway, |outbox| {
                    wiring.gateways.insert(server, outbox);
                }),
                Role::Login => {
                    self.lead(server, Address::Login, |outbox| {
                        wiring.logins.insert(server, outbox);
                    });
                }
                // Turned by `settle`, once it has introduced itself.
                Role::Master | Role::Chat => {}
            }
        }
        self.untold.insert(server);
        self.introduce();
    }

    fn on_lost(&mut self, server: ServerId, clean: bool) {
        warn!(%server, clean, "a server is gone");
        let wiring = &self.parts.wiring;
        wiring.nodes.remove(server);
        wiring.hosts.remove(server);
        wiring.gateways.remove(server);
        wiring.logins.remove(server);
        self.parts.verifier.forget(server);
        self.untold.remove(&server);
        self.roster.lost(server);
        if let Some(master) = &wiring.own.master
            && let Err(problem) = master.send(MasterMsg::Lost { server, clean })
        {
            // It sees the silence too, a little later.
            warn!(%server, %problem, "the master was not told of a loss");
        }
        self.settle();
    }

    fn on_message(&mut self, message: NodeMsg) {
        match message {
            NodeMsg::Members(members) => self.on_members(members),
            NodeMsg::Introduced(introduction) => self.on_introduced(*introduction),
            NodeMsg::Drain => {
                info!("the master has this server drain");
                self.parts.drain.cancel();
            }
        }
    }

    /// Links with whoever this process has something to say to.
    fn on_members(&mut self, members: Vec<Member>) {
        let Some(links) = &self.parts.links else { return };
        if !self.listed && members.iter().any(|member| member.server == self.parts.server) {
            self.listed = true;
            self.report_missing();
        }
        for member in members {
            if talk(&self.parts.roles, &member.roles) {
                links.connect(member);
            }
        }
    }

    fn on_introduced(&mut self, introduction: Introduction) {
        let server = introduction.server;
        if let Some(key) = &introduction.ticket_key
            && let Err(problem) = self.parts.verifier.trust(server, key)
        {
            warn!(%server, %problem, "the log-in tickets of a server are not taken");
        }
        self.roster.introduced(introduction);
        self.settle();
    }

    /// What this process hosts has changed: its own ways lead there, and its peers are told.
    fn on_hosting(&mut self) {
        let zones = self.hosted();
        if zones == self.roster.hosted() {
            return;
        }
        for hosted in &zones {
            // A zone that runs anew has another inbox in the same place.
            self.zones.remove(&hosted.zone);
        }
        self.roster.hosts(zones);
        self.settle();
        self.untold = self.parts.wiring.nodes.snapshot().keys().copied().collect();
        self.untold.remove(&self.parts.server);
        self.introduce();
    }

    /// The zones that run in this process.
    fn hosted(&self) -> Vec<HostedZone> {
        self.parts.hosting.borrow().iter().map(|(zone, _)| *zone).collect()
    }

    /// Tells the peers that do not know it yet what this process plays and hosts.
    fn introduce(&mut self) {
        let introduction = Introduction {
            server: self.parts.server,
            roles: self.parts.roles.iter().collect(),
            started_at: self.parts.started_at,
            ticket_key: self.parts.ticket_key.clone(),
            zones: self.hosted(),
        };
        let nodes = self.parts.wiring.nodes.snapshot();
        self.untold.retain(|server| {
            let introduced = || NodeMsg::Introduced(Box::new(introduction.clone()));
            nodes.get(server).is_some_and(|node| node.send(introduced()).is_err())
        });
    }

    /// Turns switches and the zones' directory to where the roster says.
    fn settle(&mut self) {
        let wiring = self.parts.wiring.clone();
        let master = self.roster.chosen(Role::Master);
        if master != self.master {
            self.master = master;
            self.parts.mastered.send_replace(master);
            let own = wiring.own.master.clone();
            wiring.switches.master.set(self.way(master, Address::Master, own));
            self.present_to(Role::Master, master);
        }
        let chat = self.roster.chosen(Role::Chat);
        if chat != self.chat {
            self.chat = chat;
            let own = wiring.own.chat.clone();
            wiring.switches.chat.set(self.way(chat, Address::Chat, own));
            self.present_to(Role::Chat, chat);
        }
        let logins = self.roster.all(Role::Login);
        let logins = logins.into_iter().filter_map(|server| wiring.logins.get(server));
        wiring.switches.login.set_many(logins.collect());
        self.settle_zones();
        self.report_missing();
    }

    /// Says what the roles of this process need and cannot reach now.
    fn report_missing(&self) {
        let plays = |role| self.parts.roles.has(role);
        let (mut missing, mut away) = (Vec::new(), Vec::new());
        match (self.master, self.listed) {
            (None, true) => away.push("no master is linked".to_owned()),
            (None, false) => missing.push("no master is linked".to_owned()),
            (Some(_), false) => missing.push("the master does not know this server yet".to_owned()),
            (Some(_), true) => {}
        }
        if plays(Role::Gateway) {
            if self.chat.is_none() {
                missing.push("no chat server is linked".to_owned());
            }
            if self.roster.all(Role::Login).is_empty() {
                missing.push("no login server is linked".to_owned());
            }
            let world = self.parts.world.iter();
            let silent = world.filter(|(zone, _)| !self.zones.contains_key(zone));
            missing.extend(silent.map(|(zone, name)| format!("zone {zone} ({name}) runs nowhere")));
        }
        self.parts.readiness.misses(missing);
        self.parts.readiness.does_without(away);
    }

    fn settle_zones(&mut self) {
        let wiring = self.parts.wiring.clone();
        let places = self.roster.zones();
        for (zone, server) in &places {
            if self.zones.get(zone) != Some(server) {
                let own = wiring.own_zones.get(*zone);
                if let Some(outbox) = self.way(Some(*server), Address::Zone(*zone), own) {
                    wiring.zones.insert(*zone, outbox);
                }
            }
        }
        for zone in self.zones.keys().filter(|zone| !places.contains_key(zone)) {
            wiring.zones.remove(*zone);
        }
        self.zones = places;
    }

    /// The way to an inbox of some process: this one's own, or over its link.
    fn way<M: Wire>(
        &self,
        server: Option<ServerId>,
        to: Address,
        own: Option<Outbox<M>>,
    ) -> Option<Outbox<M>> {
        let server = server?;
        if server == self.parts.server {
            return own;
        }
        self.parts.links.as_ref()?.outbox(server, to)
    }

    fn lead<M: Wire>(&self, server: ServerId, to: Address, put: impl FnOnce(Outbox<M>)) {
        if let Some(outbox) = self.way(Some(server), to, None) {
            put(outbox);
        }
    }

    /// Somebody new plays a role that must know who is here: the own gateway tells it.
    fn present_to(&self, role: Role, player: Option<ServerId>) {
        let Some(player) = player else {
            return warn!(%role, "nobody plays a role now");
        };
        info!(%role, server = %player, "a role is played by another server now");
        if let Some(gateway) = &self.parts.wiring.own.gateway
            && let Err(problem) = gateway.send(GatewayMsg::Introduce { to: role })
        {
            warn!(%role, %problem, "the gateway was not told who plays a role");
        }
    }
}

fn words(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(",")
}
