//! How the master shows what it owns: to clients, to HTTP queries, to the planner, to people.
//!
//! Reads everything and changes nothing.

use std::time::Instant;

use metrics::gauge;

use super::Master;
use super::placement::{Host, Place};
use super::query::{Found, ServerView, Snapshot, ZoneView};
use super::registry::{Kind, Server, Source, State};
use crate::msg::login::GameServer;
use crate::role::Role;

/// A gateway as clients are told of it.
pub(super) fn game_server(server: &Server) -> GameServer {
    let (host, port) = server.address();
    let (name, text_port) = match &server.source {
        Source::Link(status) => (status.name.clone(), status.text_port),
        Source::Http { .. } => (format!("{host}:{port}"), 0),
    };
    GameServer {
        id: server.id,
        name,
        host: host.to_owned(),
        port,
        text_port,
        players: server.connections(),
        capacity: server.capacity(),
    }
}

impl Master {
    /// The living servers of a kind that have room, least loaded first: by their exact loads, of
    /// which percent are only what is shown.
    pub(super) fn find(&self, kind: Kind, now: Instant) -> Vec<Found> {
        let mut fit = self.registry.candidates(kind, now);
        fit.retain(|candidate| candidate.takes_newcomers());
        fit.sort_by(|a, b| a.compare_load(b).then(a.id.cmp(&b.id)));
        let servers = fit.iter().filter_map(|candidate| self.registry.get(candidate.id));
        let found = servers.map(|server| {
            let (host, port) = server.address();
            let (server_id, load) = (server.id, server.load());
            Found { server_id, host: host.to_owned(), port, load }
        });
        found.collect()
    }

    /// The living zone servers of the cluster.
    pub(super) fn hosts(&self, now: Instant) -> Vec<Host> {
        let living = self.registry.servers(now).filter(|(_, state)| *state != State::Dead);
        living
            .filter_map(|(server, state)| match &server.source {
                Source::Link(status) if status.roles.contains(&Role::Zone) => Some(Host {
                    server: server.id,
                    capacity: status.capacity,
                    takes: state == State::Alive,
                    draining: state == State::Draining,
                    zones: status.zones.clone(),
                }),
                Source::Link(_) | Source::Http { .. } => None,
            })
            .collect()
    }

    /// Counts for Prometheus what only the master sees: which zones run, how the servers are. A zone
    /// on its way between two servers runs.
    pub(super) fn count_cluster(&self, now: Instant) {
        for (zone, home) in self.placement.homes() {
            let runs = match home.place {
                Place::Running { .. } | Place::Ordered { from: Some(_), .. } => 1.0,
                Place::Ordered { from: None, .. } | Place::Homeless => 0.0,
            };
            gauge!("throng_zone_running", "zone" => zone.to_string()).set(runs);
        }
        // All of them, so that a state in which nobody is any more goes back to 0.
        for state in State::ALL {
            let servers = self.registry.servers(now).filter(|(_, is)| *is == state).count();
            gauge!("throng_servers", "state" => state.as_str()).set(servers as f64);
        }
    }

    /// Everything at one moment.
    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        Snapshot {
            uptime_seconds: now.saturating_duration_since(self.started).as_secs(),
            balancing: self.config.balancing,
            settling: !self.settling.is_over(),
            players: self.presence.len(),
            servers: self.registry.servers(now).map(|(s, state)| view(s, state, now)).collect(),
            zones: self
                .placement
                .homes()
                .map(|(zone, home)| ZoneView { zone, players: home.players, place: home.place })
                .collect(),
        }
    }
}

fn view(server: &Server, state: State, now: Instant) -> ServerView {
    let (host, port) = server.address();
    let told = game_server(server);
    let silence = now.saturating_duration_since(server.last_seen).as_millis();
    let mut view = ServerView {
        server_id: server.id,
        name: told.name,
        source: "http",
        does: Vec::new(),
        version: String::new(),
        region: server.region().to_owned(),
        host: host.to_owned(),
        port,
        text_port: told.text_port,
        link_host: String::new(),
        link_port: 0,
        links: 0,
        started_at: None,
        draining: server.drains(),
        zones: Vec::new(),
        players: server.connections(),
        capacity: server.capacity(),
        load: server.load(),
        state,
        silent_ms: u64::try_from(silence).unwrap_or(u64::MAX),
        cpu_percent: None,
        memory_bytes: None,
    };
    match &server.source {
        Source::Link(status) => {
            view.source = "link";
            view.does = status.roles.iter().map(|role| role.as_str()).collect();
            view.version = status.version.clone();
            view.cpu_percent = Some(status.cpu_percent);
            view.memory_bytes = Some(status.memory);
            view.link_host = status.link_host.clone();
            view.link_port = status.link_port;
            view.links = status.links;
            view.started_at = Some(status.started_at);
            view.zones = status.zones.iter().map(|zone| zone.zone).collect();
        }
        Source::Http { registration, .. } => view.does = vec![registration.kind.as_str()],
    }
    view
}
