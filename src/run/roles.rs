//! Starts the roles of a process: each gets its inbox, outboxes to the others, and its part of the
//! configuration.
//!
//! Part of the composition; what the roles do is theirs.

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::Process;
use super::clients::LoginSide;
use super::wiring::Wiring;
use crate::admin::Readiness;
use crate::link::tcp::Hosted;
use crate::link::{Address, Inbox, Outbox};
use crate::master::query::{QUERIES_WAITING, Query};
use crate::msg::node::HostedZone;
use crate::msg::{ChatMsg, GatewayMsg, HostMsg, LoginMsg, MasterMsg, ZoneMsg};
use crate::names::Reserved;
use crate::net::Shards;
use crate::role::Role;
use crate::zone::host;
use crate::{chat, gateway, login, master, zone};

impl Process {
    /// The master; gives the way to ask it.
    pub(super) fn start_master(
        &self,
        wiring: &Wiring,
        inbox: Inbox<MasterMsg>,
    ) -> mpsc::Sender<Query> {
        let (queries_out, queries) = mpsc::channel(QUERIES_WAITING);
        let parts = master::Parts {
            config: self.config.master.clone(),
            zones: self.config.world.zones.iter().map(|zone| zone.id).collect(),
            alone: self.roles.is_all(),
            peers: master::Peers {
                gateways: wiring.gateways.clone(),
                login: wiring.logins.clone(),
                nodes: wiring.nodes.clone(),
                hosts: wiring.hosts.clone(),
            },
            store: self.store.clone(),
        };
        let playing = master::run(parts, inbox, queries, self.stops.others.clone());
        self.tasks.spawn(self.supervisor.keep("master role", Some(Role::Master), playing));
        queries_out
    }

    /// The zone host; gives its end. The master tells it what to run.
    pub(super) fn start_host(
        &self,
        wiring: &Wiring,
        links: &Hosted,
        inbox: Inbox<HostMsg>,
        (hosting, readiness): (watch::Sender<host::Hosted>, Readiness),
    ) -> JoinHandle<()> {
        let (zones, inboxes) = (wiring.own_zones.clone(), links.clone());
        let open = move |hosted: HostedZone, outbox: Outbox<ZoneMsg>| {
            inboxes.insert(Address::Zone(hosted.zone), outbox.clone());
            zones.insert(hosted.zone, outbox);
        };
        let (zones, inboxes) = (wiring.own_zones.clone(), links.clone());
        let close = move |hosted: HostedZone| {
            inboxes.remove(Address::Zone(hosted.zone));
            zones.remove(hosted.zone);
        };
        let parts = host::Parts {
            server: self.server,
            config: self.config.zone.clone(),
            content: self.config.world.clone(),
            store: self.store.clone(),
            alone: self.store.is_ours_alone(),
            loopback: wiring.loopback,
            peers: zone::Peers {
                gateways: wiring.gateways.clone(),
                zones: wiring.zones.clone(),
                chat: wiring.chat.clone(),
                master: wiring.master.clone(),
            },
            hosts: wiring.hosts.clone(),
            doors: host::Doors { open: Box::new(open), close: Box::new(close) },
            stalled: Box::new(move |zones| readiness.stalls(zones)),
            hosted: hosting,
            drain: self.stops.drain.clone(),
            stop: self.stops.zones.clone(),
        };
        tokio::spawn(self.supervisor.keep("zone host", Some(Role::Zone), host::run(parts, inbox)))
    }

    pub(super) fn start_chat(&self, wiring: &Wiring, inbox: Inbox<ChatMsg>) {
        let peers = chat::Peers { gateways: wiring.gateways.clone(), zones: wiring.zones.clone() };
        let (config, store) = (self.config.chat.clone(), self.store.clone());
        let (reserved, stop) = (Reserved::new(&self.config.names), self.stops.others.clone());
        let playing = chat::run(config, reserved, inbox, peers, store, stop);
        self.tasks.spawn(self.supervisor.keep("chat role", Some(Role::Chat), playing));
    }

    pub(super) fn start_login(&self, wiring: &Wiring, inbox: Inbox<LoginMsg>, side: LoginSide) {
        let peers =
            login::Peers { gateways: wiring.gateways.clone(), master: wiring.master.clone() };
        let LoginSide { requests, shards, signer } = side;
        let parts = login::Parts {
            store: self.store.clone(),
            signer,
            content: self.config.world.clone(),
            reserved: Reserved::new(&self.config.names),
            port: login::PortLink {
                requests,
                answer: Box::new(move |shard, message| shards.send(shard, message)),
            },
        };
        let (config, stop) = (self.config.login.clone(), self.stops.others.clone());
        let playing = login::run(config, inbox, peers, parts, stop);
        self.tasks.spawn(self.supervisor.keep("login role", Some(Role::Login), playing));
    }

    pub(super) fn start_gateway(
        &self,
        inbox: Inbox<GatewayMsg>,
        shared: gateway::Shared,
        reports: gateway::Reports,
        shards: Shards<gateway::ToShard>,
    ) -> JoinHandle<()> {
        let (store, stop) = (self.store.clone(), self.stops.gateway.clone());
        let playing = gateway::run(shared, inbox, reports, shards, store, stop);
        tokio::spawn(self.supervisor.keep("gateway role", Some(Role::Gateway), playing))
    }
}
