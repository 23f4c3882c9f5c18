//! What clients connect to: the gateway's and the login role's I/O shards and their ports, as far
//! as this process plays those roles.
//!
//! Part of the composition; the roles' services are `gateway/`'s and `login/`'s.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::Process;
use super::ports::{Ports, bind};
use super::wiring::Wiring;
use crate::banner::Addresses;
use crate::gateway::{self, GatewayService, ToShard};
use crate::limits;
use crate::login::{self, LoginPort, PortMsg, PortRequest};
use crate::net::tls::Tls;
use crate::net::{Gate, Shards, spawn_shards};
use crate::role::Role;
use crate::token::TicketSigner;

/// The client side of a gateway.
pub(super) struct GatewaySide {
    pub(super) shared: gateway::Shared,
    pub(super) reports: gateway::Reports,
    pub(super) shards: Shards<ToShard>,
    pub(super) http: TcpListener,
}

/// The client side of a login role.
pub(super) struct LoginSide {
    pub(super) requests: mpsc::Receiver<PortRequest>,
    pub(super) shards: Shards<PortMsg>,
    pub(super) signer: TicketSigner,
}

/// Everything that clients connect to.
pub(super) struct Clients {
    pub(super) gate: Arc<Gate>,
    pub(super) tls: Option<Tls>,
    pub(super) gateway: Option<GatewaySide>,
    pub(super) login: Option<LoginSide>,
    pub(super) addresses: Addresses,
}

impl Process {
    /// Opens the client ports of the roles that this process plays.
    pub(super) async fn open_to_clients(&self, wiring: &Wiring) -> anyhow::Result<Clients> {
        let mut clients = Clients {
            gate: self.gate()?,
            tls: self.tls()?,
            gateway: None,
            login: None,
            addresses: Addresses::default(),
        };
        clients.addresses.secure = clients.tls.is_some();
        if let Some(signer) = &self.signer {
            let side = self.login_side(signer.clone());
            let ports = Ports { process: self, gate: &clients.gate, tls: &clients.tls };
            let login = ports.packets(self.config.ports.login, "login", &side.shards)?;
            clients.addresses.login = Some(login);
            clients.login = Some(side);
        }
        if self.roles.has(Role::Gateway) {
            let http =
                bind(self.address(self.config.ports.http), self.config.net.backlog, "ports.http")?;
            let side = self.gateway_side(wiring, http);
            let ports = Ports { process: self, gate: &clients.gate, tls: &clients.tls };
            let gateway = ports.packets(self.config.ports.gateway, "gateway", &side.shards)?;
            clients.addresses.gateway = Some(gateway);
            clients.addresses.text = Some(ports.lines(self.config.ports.text, &side.shards)?);
            clients.addresses.http = Some(side.http.local_addr()?);
            clients.gateway = Some(side);
        }
        Ok(clients)
    }

    fn gate(&self) -> anyhow::Result<Arc<Gate>> {
        let net = &self.config.net;
        let proxies = net.proxies().map_err(|other| {
            anyhow::anyhow!("net.trusted_proxies: {other:?} is neither an address nor a network")
        })?;
        Ok(Gate::behind(proxies, net.max_connections, net.per_address))
    }

    fn gateway_side(&self, wiring: &Wiring, http: TcpListener) -> GatewaySide {
        let (reports, reports_in) = gateway::reports();
        let shared = self.gateway_shared(wiring, reports);
        let shards = spawn_shards(
            self.config.net.shard_count(),
            limits::SHARD_INBOX,
            self.config.net.connection_limits(),
            self.stops.shards.clone(),
            {
                let shared = shared.clone();
                move |index| GatewayService::new(index, shared.clone())
            },
        );
        GatewaySide { shared, reports: reports_in, shards, http }
    }

    fn login_side(&self, signer: TicketSigner) -> LoginSide {
        let (login_requests, requests) = mpsc::channel(login::REQUESTS_WAITING);
        let limits = self.config.net.connection_limits();
        let shards = spawn_shards(1, limits::SHARD_INBOX, limits, self.stops.shards.clone(), {
            let (config, rates) = (self.config.login.clone(), self.config.net.rate.clone());
            move |index| LoginPort::new(&config, &rates, index, login_requests.clone())
        });
        LoginSide { requests, shards, signer }
    }

    fn gateway_shared(
        &self,
        wiring: &Wiring,
        reports: mpsc::Sender<gateway::FromShard>,
    ) -> gateway::Shared {
        gateway::Shared {
            server: self.server,
            config: self.config.gateway.clone(),
            rates: self.config.net.rate.clone(),
            content: self.config.world.clone(),
            peers: gateway::Peers {
                zones: wiring.zones.clone(),
                login: wiring.login.clone(),
                chat: wiring.chat.clone(),
                master: wiring.master.clone(),
            },
            verifier: self.verifier.clone(),
            minimum_version: self.config.login.minimum_version().unwrap_or_default(),
            reports,
        }
    }
}
