//! What the operators ask for: the registry over HTTP, players sent away, words for everybody,
//! zones moved, servers drained.

use std::time::Instant;

use tracing::info;

use super::Master;
use super::placement::{MoveError, Step};
use super::query::{DrainError, KickOutcome, Moved, Query};
use super::registry::{RegisterError, Registration};
use crate::ids::{ServerId, ZoneId};
use crate::msg::{GatewayMsg, NodeMsg};
use crate::names::{ChatText, Name};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::tick;

impl Master {
    pub(super) fn on_query(&mut self, query: Query, now: Instant) {
        // A failed send only means that who asked has stopped waiting.
        match query {
            Query::Register { registration, reply } => {
                let _ = reply.send(self.on_register(registration, now));
            }
            Query::Heartbeat { server, clients, reply } => {
                let _ = reply.send(self.registry.heartbeat(server, clients, now));
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
            Query::Move { zone, to, reply } => {
                let _ = reply.send(self.on_move(zone, to, now));
            }
            Query::Drain { server, reply } => {
                let _ = reply.send(self.on_drain(server, now));
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

    pub(super) fn on_kick(&mut self, name: &Name, message: String) -> KickOutcome {
        let Some(session) = self.presence.named(&name.folded()).map(|present| present.session)
        else {
            return KickOutcome::NotThere;
        };
        if self.kick(session, DisconnectReason::DisconnectKicked, message) {
            KickOutcome::Told
        } else {
            KickOutcome::Unreachable
        }
    }

    pub(super) fn on_announce(&self, text: &ChatText) -> usize {
        let packet = server::system_message(text, tick::unix_millis());
        let gateways = self.peers.gateways.snapshot();
        let broadcast = || GatewayMsg::Broadcast { packet: packet.clone() };
        gateways.values().filter(|gateway| gateway.send(broadcast()).is_ok()).count()
    }

    pub(super) fn on_move(
        &mut self,
        zone: ZoneId,
        to: ServerId,
        now: Instant,
    ) -> Result<Moved, MoveError> {
        if !self.settling.is_over() {
            return Err(MoveError::Settling);
        }
        let hosts = self.hosts(now);
        self.placement.hear(&hosts, now);
        let step = self.placement.move_to(zone, to, &hosts, now)?;
        let from = match step {
            Some(Step::Move { from, .. }) => Some(from),
            Some(Step::Place { .. }) | None => None,
        };
        info!(%zone, %to, ?from, "the operators want a zone there");
        if let Some(step) = step {
            self.carry_out(step);
        }
        Ok(Moved { zone, from, to, under_way: step.is_some() })
    }

    pub(super) fn on_drain(&mut self, server: ServerId, now: Instant) -> Result<(), DrainError> {
        self.registry.drain(server, now).map_err(|_| DrainError::Unknown)?;
        info!(%server, "the operators want a server to drain");
        let told = self.peers.nodes.get(server).is_some_and(|n| n.send(NodeMsg::Drain).is_ok());
        self.look_at_servers(now);
        if told { Ok(()) } else { Err(DrainError::Unreachable) }
    }
}
