//! The doors of a process: client ports, the web port, the operators' port.
//!
//! Part of the composition; opens sockets and hands them to whoever serves them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Process;
use crate::net::http::{self, HttpConfig, Places};
use crate::net::tls::Tls;
use crate::net::websocket::{self, WebSocketConfig};
use crate::net::{Framing, Gate, ListenConfig, Shards, listen, listener};
use crate::proto::ErrorCode;
use crate::protocol::{packet, server};
use crate::role::Role;
use crate::tick::{now, unix_millis};
use crate::{admin, gateway, limits, master, web};

impl Process {
    /// The operators' port: metrics, health, registry, dashboard.
    pub(super) fn serve_operators(
        &self,
        listener: TcpListener,
        metrics: PrometheusHandle,
        token: admin::OperatorToken,
        master: Option<mpsc::Sender<master::query::Query>>,
        readiness: admin::Readiness,
    ) {
        let zones = self.config.world.zones.iter();
        let state = admin::AdminState {
            metrics,
            token,
            master,
            master_links: self.config.link.master.clone(),
            store: Some(self.store.clone()),
            readiness,
            started: now(),
            hosts: admin::Hosts::new(self.config.admin_hosts()),
            zone_names: zones.map(|zone| (zone.id, zone.name.clone())).collect(),
        };
        let stop = self.stops.others.clone();
        let serving = admin::serve(listener, admin::router(state), stop);
        self.tasks.spawn(self.supervisor.keep("operators' port", None, serving));
    }

    /// The public web port: the web client and the WebSocket.
    pub(super) fn serve_http(
        &self,
        listener: TcpListener,
        shards: Shards<gateway::ToShard>,
        gate: Arc<Gate>,
        tls: Option<Tls>,
    ) {
        let stop = self.stops.gateway.clone();
        let net = &self.config.net;
        let (allowed_origins, rate) = (net.allowed_origins.clone(), net.rate.clone());
        let config = WebSocketConfig { allowed_origins, secure: tls.is_some(), rate };
        let sockets = websocket::router(config, shards, stop.clone());
        let app = web::router(&self.config.world).merge(sockets);
        let config = HttpConfig { label: "http", places: Places::Gate(gate), tls, public: true };
        let serving = http::serve(listener, app, config, stop);
        self.tasks.spawn(self.supervisor.keep("web port", Some(Role::Gateway), serving));
    }
}

/// Opens the client ports.
pub(super) struct Ports<'a> {
    pub(super) process: &'a Process,
    pub(super) gate: &'a Arc<Gate>,
    pub(super) tls: &'a Option<Tls>,
}

impl Ports<'_> {
    pub(super) fn packets<M: Send + 'static>(
        &self,
        port: u16,
        label: &'static str,
        shards: &Shards<M>,
    ) -> anyhow::Result<SocketAddr> {
        let most = limits::CLIENT_FRAME_MAX_BEFORE_LOGIN;
        let full = server::error(ErrorCode::ErrorUnavailable, "the server is full", 0, 5_000);
        let mut refusal = Vec::new();
        packet::append(&mut refusal, full.kind, 1, unix_millis(), &[&full.payload]);
        self.open(port, Framing::Length, most, label, shards, refusal, self.tls.clone())
    }

    pub(super) fn lines<M: Send + 'static>(
        &self,
        port: u16,
        shards: &Shards<M>,
    ) -> anyhow::Result<SocketAddr> {
        let refusal = b"ERROR the server is full\n".to_vec();
        self.open(port, Framing::Lines, limits::TEXT_LINE_MAX, "text", shards, refusal, None)
    }

    #[expect(clippy::too_many_arguments, reason = "one call for each kind of port, right above")]
    fn open<M: Send + 'static>(
        &self,
        port: u16,
        framing: Framing,
        most: usize,
        label: &'static str,
        shards: &Shards<M>,
        refusal: Vec<u8>,
        tls: Option<Tls>,
    ) -> anyhow::Result<SocketAddr> {
        let (address, part) = (self.process.address(port), "port of clients");
        let mut config = ListenConfig::new(&self.process.config.net, address, framing, most, label);
        config.refusal = refusal.into();
        config.tls = tls;
        let stop = self.process.stops.listeners.clone();
        let (address, listening) = listen(config, shards.clone(), self.gate.clone(), stop)
            .with_context(|| format!("the {label} port (ports.{label})"))?;
        tokio::spawn(self.process.supervisor.keep(part, None, listening));
        Ok(address)
    }
}

/// A listening socket for HTTP; `key` is the setting that named its address.
pub(super) fn bind(address: SocketAddr, backlog: u32, key: &str) -> anyhow::Result<TcpListener> {
    listener::bind(address, backlog).with_context(|| format!("{address} cannot be had ({key})"))
}
