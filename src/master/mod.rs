//! The master role: registry of servers, balancing, placement of zones, presence of players.
//!
//! One task owns all of it and reads one inbox and the operators' questions. Play goes on without
//! it: it holds nothing that its servers could not tell it again, and it never waits for anybody
//! inside its loop.

pub mod balance;
mod config;
pub mod placement;
pub mod presence;
pub mod query;
pub mod registry;
mod views;

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

pub use config::MasterConfig;

use crate::ids::{Key, PlayerId, RequestId, ServerId, SessionRef};
use crate::limits;
use crate::link::{Directory, Inbox, SendError};
use crate::msg::login::GameServer;
use crate::msg::master::{PresentSession, ServerStatus};
use crate::msg::{GatewayMsg, LoginMsg, MasterMsg};
use crate::names::{ChatText, Name};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::store::{Store, StoreError};
use crate::tick;
use balance::Balancer;
use placement::Placement;
use presence::Presence;
use query::{KickOutcome, Query};
use registry::{Kind, RegisterError, Registration, Registry};

/// Players in the world of one master, whatever its gateways could hold together.
const PLAYERS_MAX: usize = 1_000_000;
/// Gateways a client is told of; more would not fit into one packet.
const SERVERS_TOLD: usize = 64;
/// Seconds between two looks for new bans.
const BANS_EVERY: u64 = 5;
/// How far back each look reaches, ms: clocks of other machines may be behind. To kick a banned
/// player twice does no harm.
const BANS_OVERLAP_MS: u64 = 60_000;

/// Whom the master speaks to.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    /// Gateways, by process.
    pub gateways: Directory<ServerId, GatewayMsg>,
    /// Login roles, by process.
    pub login: Directory<ServerId, LoginMsg>,
}

/// Plays the role until `stop` or until every outbox to it is gone.
pub async fn run(
    config: MasterConfig,
    mut inbox: Inbox<MasterMsg>,
    mut queries: mpsc::Receiver<Query>,
    peers: Peers,
    store: Store,
    stop: CancellationToken,
) {
    let mut master = Master::new(config, peers, store);
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
                messages.drain(..).for_each(|message| master.on_message(message));
            }
            Some(query) = queries.recv() => master.on_query(query),
            Some(bans) = master.bans.join_next() => master.on_bans(bans),
            _ = second.tick() => {
                // What waits is heard first: a stall of this task is nobody's death but its own.
                let waiting = std::iter::from_fn(|| inbox.try_recv()).take(limits::MASTER_INBOX);
                waiting.for_each(|message| master.on_message(message));
                master.on_second();
            }
        }
    }
    debug!("the master has ended");
}

/// All that the role owns.
struct Master {
    config: MasterConfig,
    peers: Peers,
    store: Store,
    started: Instant,
    registry: Registry,
    /// For the lists of the login roles.
    balancer: Balancer,
    /// For the lists of the gateways, which route the text port's clients. A turn of its own, or
    /// one group's turns would fall on the same servers each time.
    gateway_balancer: Balancer,
    placement: Placement,
    presence: Presence,
    /// The look for bans that is under way, if one is.
    bans: JoinSet<Result<Vec<(PlayerId, String)>, StoreError>>,
    /// Unix ms of the last look that was answered.
    bans_seen_at: u64,
    /// Unix ms of the look under way.
    bans_asked_at: u64,
    seconds: u64,
}

impl Master {
    fn new(config: MasterConfig, peers: Peers, store: Store) -> Self {
        Self {
            registry: Registry::new(config.patience(), config.servers_max),
            balancer: Balancer::new(config.balancing, rand::random()),
            gateway_balancer: Balancer::new(config.balancing, rand::random()),
            placement: Placement::default(),
            presence: Presence::new(PLAYERS_MAX),
            started: tick::now(),
            bans: JoinSet::new(),
            bans_seen_at: tick::unix_millis(),
            bans_asked_at: 0,
            seconds: 0,
            config,
            peers,
            store,
        }
    }

    fn on_message(&mut self, message: MasterMsg) {
        match message {
            MasterMsg::Status(status) => self.on_status(*status),
            MasterMsg::Claim { request, player, name, session, device } => {
                self.on_claim(request, player, name, session, device);
            }
            MasterMsg::Present { sessions } => {
                sessions.into_iter().for_each(|session| self.on_present(session));
            }
            MasterMsg::Located { player, session, zone } => {
                self.presence.located(player, session, zone);
            }
            MasterMsg::Released { player, session } => self.presence.released(player, session),
            MasterMsg::WhereIs { request, player } => self.on_where_is(request, player),
        }
    }

    fn on_status(&mut self, status: ServerStatus) {
        let (server, name) = (status.server, status.name.clone());
        match self.registry.on_status(status, tick::now()) {
            Ok(false) => {}
            Ok(true) => {
                info!(%server, name, "a server is there");
                self.presence.adopt(server);
                // A newcomer should not have to wait for the next second to find it.
                self.tell_servers();
            }
            Err(RegisterError::Full) => {
                metrics::counter!("throng_refusals_total", "reason" => "registry_full")
                    .increment(1);
                warn!(%server, "the registry is full; a server of the cluster is left out");
            }
        }
    }

    fn on_claim(
        &mut self,
        request: RequestId,
        player: PlayerId,
        name: Key,
        session: SessionRef,
        device: String,
    ) {
        let Some(gateway) = self.peers.gateways.get(session.gateway) else {
            warn!(%player, gateway = %session.gateway, "a claim from an unknown gateway");
            return;
        };
        if let Some(rival) = self.presence.rival(player, session)
            && !self.kick(
                rival,
                DisconnectReason::DisconnectLoggedInElsewhere,
                "you have logged in from elsewhere".to_owned(),
            )
        {
            // Two sessions must never play one player: the gateway's question runs out, and its
            // client tries again.
            warn!(%player, gateway = %rival.gateway, "the older session could not be told to go");
            return;
        }
        let folded = Name::parse(&name).map_or_else(|_| name.to_lowercase(), |n| n.folded());
        match self.presence.claim(player, (name, folded), session, device) {
            Ok(zone) => {
                let granted = GatewayMsg::PresenceGranted { request, zone };
                if let Err(error) = gateway.send(granted) {
                    warn!(%player, %error, "a grant did not reach its gateway");
                }
            }
            Err(error) => warn!(%player, %error, "a claim was refused"),
        }
    }

    /// A session plays already, and this master did not know. The newest log-in has been heard of
    /// before: an older one that comes late must go.
    fn on_present(&mut self, present: PresentSession) {
        let PresentSession { player, name, session, device, zone } = present;
        if self.presence.rival(player, session).is_some() {
            let message = "you have logged in from elsewhere".to_owned();
            self.kick(session, DisconnectReason::DisconnectLoggedInElsewhere, message);
            return;
        }
        let folded = Name::parse(&name).map_or_else(|_| name.to_lowercase(), |n| n.folded());
        match self.presence.claim(player, (name, folded), session, device) {
            Ok(_) => {
                if let Some(zone) = zone {
                    self.presence.located(player, session, zone);
                }
            }
            Err(error) => warn!(%player, %error, "a session is not known to the master"),
        }
    }

    /// Tells a session's gateway to end it. False: the gateway lives but cannot be told now. One
    /// that is gone has taken its sessions with it.
    fn kick(&self, session: SessionRef, reason: DisconnectReason, message: String) -> bool {
        let Some(gateway) = self.peers.gateways.get(session.gateway) else { return true };
        let kick = GatewayMsg::Kick { session: session.key, reason, message };
        !matches!(gateway.send(kick), Err(SendError::Full(_)))
    }

    fn on_where_is(&mut self, request: RequestId, player: PlayerId) {
        let device = self.presence.get(player).map(|present| present.device.clone());
        // The question does not say which login role asks. Each makes its ids at random, so the
        // others have no question under this one.
        for outbox in self.peers.login.snapshot().values() {
            let answer = LoginMsg::Presence { request, device: device.clone() };
            if let Err(error) = outbox.send(answer) {
                warn!(%error, "an answer did not reach a login role");
            }
        }
    }

    fn on_second(&mut self) {
        let now = tick::now();
        for server in self.registry.sweep(now) {
            warn!(%server, "a server is dead");
            self.presence.orphan(server, now);
        }
        self.presence.sweep(now);
        let hosts = self.hosts(now);
        for step in self.placement.plan(&hosts, now) {
            info!(?step, "a zone should run elsewhere");
        }
        self.tell_servers();
        if self.seconds.is_multiple_of(BANS_EVERY) {
            self.ask_for_bans();
        }
        self.seconds += 1;
    }

    /// Sends every login role and gateway its list of gateways, best first. Who does not get it
    /// gets the next one.
    fn tell_servers(&mut self) {
        let candidates = self.registry.candidates(Kind::Gateway, tick::now());
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

    fn ask_for_bans(&mut self) {
        if !self.bans.is_empty() {
            return;
        }
        self.bans_asked_at = tick::unix_millis();
        let since = self.bans_seen_at.saturating_sub(BANS_OVERLAP_MS);
        let store = self.store.clone();
        self.bans.spawn(async move { store.banned_since(since).await });
    }

    fn on_bans(
        &mut self,
        answer: Result<Result<Vec<(PlayerId, String)>, StoreError>, tokio::task::JoinError>,
    ) {
        let banned = match answer {
            Ok(Ok(banned)) => banned,
            Ok(Err(error)) => return warn!(%error, "cannot look for bans"),
            Err(error) => return warn!(%error, "the look for bans broke off"),
        };
        self.bans_seen_at = self.bans_asked_at;
        for (player, reason) in banned {
            let Some(present) = self.presence.get(player) else { continue };
            info!(%player, "a banned player is sent away");
            let message = format!("you are banned: {reason}");
            self.kick(present.session, DisconnectReason::DisconnectBanned, message);
        }
    }

    fn on_query(&mut self, query: Query) {
        let now = tick::now();
        // A failed send only means that who asked has stopped waiting.
        match query {
            Query::Register { registration, reply } => {
                let _ = reply.send(self.on_register(registration, now));
            }
            Query::Heartbeat { server, load, reply } => {
                let _ = reply.send(self.registry.heartbeat(server, load, now));
            }
            Query::Unregister { server, reply } => {
                let _ = reply.send(self.registry.unregister(server, now));
            }
            Query::Find { kind, reply } => {
                let _ = reply.send(self.find(kind, now));
            }
            Query::Snapshot { reply } => {
                let _ = reply.send(Box::new(self.snapshot(now)));
            }
            Query::Kick { name, message, reply } => {
                let _ = reply.send(self.on_kick(&name, message));
            }
            Query::Announce { text, reply } => {
                let _ = reply.send(self.on_announce(&text));
            }
        }
    }

    fn on_register(
        &mut self,
        registration: Registration,
        now: Instant,
    ) -> Result<ServerId, RegisterError> {
        let mut id = ServerId::random();
        while self.registry.contains(id) {
            id = ServerId::random();
        }
        let kind = registration.kind;
        let replaced = self.registry.register(id, registration, now)?;
        info!(server = %id, %kind, ?replaced, "a server has registered over http");
        Ok(id)
    }

    fn on_kick(&self, name: &Name, message: String) -> KickOutcome {
        let Some(present) = self.presence.named(&name.folded()) else {
            return KickOutcome::NotThere;
        };
        if self.kick(present.session, DisconnectReason::DisconnectKicked, message) {
            KickOutcome::Told
        } else {
            KickOutcome::Unreachable
        }
    }

    fn on_announce(&self, text: &ChatText) -> usize {
        let packet = server::system_message(text, tick::unix_millis());
        let gateways = self.peers.gateways.snapshot();
        let broadcast = || GatewayMsg::Broadcast { packet: packet.clone() };
        gateways.values().filter(|gateway| gateway.send(broadcast()).is_ok()).count()
    }
}

#[cfg(test)]
mod tests;
