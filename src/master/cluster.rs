//! Which servers there are and what each has to do: their states acted on, everybody told of
//! everybody, newcomers balanced, zones placed.
//!
//! Whatever changes is acted on at once; what did not arrive is told again each second.

use std::time::Instant;

use tracing::{debug, info, warn};

use super::Master;
use super::balance::Balancer;
use super::placement::Step;
use super::registry::{Heard, Kind, RegisterError, Source, State};
use super::views;
use crate::ids::ServerId;
use crate::msg::login::GameServer;
use crate::msg::master::ServerStatus;
use crate::msg::node::Member;
use crate::msg::{GatewayMsg, HostMsg, LoginMsg, NodeMsg};
use crate::role::Role;

/// Gateways a client is told of; more would not fit into one packet.
const SERVERS_TOLD: usize = 64;

impl Master {
    pub(super) fn on_status(&mut self, status: ServerStatus, now: Instant) {
        let (server, name) = (status.server, status.name.clone());
        let plays = status.roles.contains(&Role::Gateway);
        match self.registry.on_status(status, now) {
            Ok(Heard::Same) => {}
            Ok(Heard::Rehoused) => self.place_zones(now),
            Ok(Heard::Changed) => self.on_changed(now),
            Ok(Heard::Came) => {
                info!(%server, name, "a server is there");
                if plays {
                    self.unasked.insert(server, now);
                    self.ask_gateways(now);
                }
                self.on_changed(now);
            }
            Err(RegisterError::Full) => {
                metrics::counter!("throng_refusals_total", "reason" => "registry_full")
                    .increment(1);
                warn!(%server, "the registry is full; a server of the cluster is left out");
            }
        }
    }

    /// The link to a server is gone.
    pub(super) fn on_lost(&mut self, server: ServerId, clean: bool, now: Instant) {
        self.registry.lost(server, clean, now);
        self.look_at_servers(now);
    }

    /// Acts on what has become of servers since the last look.
    pub(super) fn look_at_servers(&mut self, now: Instant) {
        let changed = self.registry.sweep(now);
        for (server, state) in &changed {
            match state {
                State::Dead => {
                    warn!(%server, "a server is dead");
                    self.presence.orphan(*server, now);
                }
                State::Suspect => warn!(%server, "a server is silent"),
                State::Alive | State::Draining => debug!(%server, ?state, "a server has changed"),
            }
        }
        if !changed.is_empty() {
            self.on_changed(now);
        }
    }

    /// Servers have come, died, begun to drain, or are suspect or not any more.
    pub(super) fn on_changed(&mut self, now: Instant) {
        self.tell_members(now);
        self.tell_servers(now);
        self.place_zones(now);
    }

    /// Tells every process which servers there are.
    pub(super) fn tell_members(&self, now: Instant) {
        let living = self.registry.servers(now).filter(|(_, state)| *state != State::Dead);
        let members: Vec<Member> = living
            .filter_map(|(server, _)| match &server.source {
                Source::Link(status) if status.link_port != 0 => Some(Member {
                    server: server.id,
                    roles: status.roles.clone(),
                    host: status.link_host.clone(),
                    port: status.link_port,
                }),
                Source::Link(_) | Source::Http { .. } => None,
            })
            .collect();
        for (server, node) in self.peers.nodes.snapshot().iter() {
            if let Err(error) = node.send(NodeMsg::Members(members.clone())) {
                debug!(%server, %error, "a server did not hear who is there");
            }
        }
    }

    /// Sends every login role and gateway its list of gateways, best first. Who does not get it
    /// gets the next one.
    pub(super) fn tell_servers(&mut self, now: Instant) {
        let candidates = self.registry.candidates(Kind::Gateway, now);
        let list = |balancer: &mut Balancer, to: ServerId| -> Vec<GameServer> {
            let region = self.registry.get(to).map_or("", |server| server.region());
            let best = balancer.order(&candidates, region).into_iter().take(SERVERS_TOLD);
            best.filter_map(|id| self.registry.get(id)).map(views::game_server).collect()
        };
        for (login, outbox) in self.peers.login.snapshot().iter() {
            let servers = list(&mut self.balancer, *login);
            if let Err(error) = outbox.send(LoginMsg::Servers(servers)) {
                debug!(%login, %error, "a login role did not get its list");
            }
        }
        for (gateway, outbox) in self.peers.gateways.snapshot().iter() {
            let servers = list(&mut self.gateway_balancer, *gateway);
            if let Err(error) = outbox.send(GatewayMsg::Servers(servers)) {
                debug!(%gateway, %error, "a gateway did not get its list");
            }
        }
    }

    /// Has every zone run where it should. A new master only listens.
    pub(super) fn place_zones(&mut self, now: Instant) {
        let hosts = self.hosts(now);
        if !self.settling.is_over() {
            return self.placement.hear(&hosts, now);
        }
        for step in self.placement.plan(&hosts, now) {
            self.carry_out(step);
        }
    }

    /// Tells a zone server what to do. If it cannot be told, it is planned anew.
    pub(super) fn carry_out(&self, step: Step) {
        let (server, message) = match step {
            Step::Place { zone, on } => (on, HostMsg::Run { zone }),
            Step::Move { zone, from, to } => (from, HostMsg::Move { zone, to }),
        };
        match step {
            Step::Place { zone, on } => info!(%zone, %on, "a zone is to run"),
            Step::Move { zone, from, to } => info!(%zone, %from, %to, "a zone is to move"),
        }
        match self.peers.hosts.get(server).map(|host| host.send(message)) {
            Some(Ok(())) => {}
            Some(Err(error)) => warn!(%server, %error, "a zone server was not told"),
            None => warn!(%server, "a zone server is not linked yet"),
        }
    }
}
