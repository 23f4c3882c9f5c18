//! Packets on their way to gateways: encoded once, sent once to each gateway, never waited for.

use std::collections::BTreeMap;

use metrics::{Counter, counter};
use tracing::debug;

use crate::ids::{ServerId, SessionKey, SessionRef};
use crate::link::{Directory, Outbox};
use crate::msg::{GatewayMsg, Outgoing};

/// Most sessions named in one message, so that it fits a link's frame.
const SESSIONS_MAX: usize = 4_096;

pub(super) struct Courier {
    gateways: Directory<ServerId, GatewayMsg>,
    dropped: Counter,
}

impl Courier {
    pub(super) fn new(gateways: Directory<ServerId, GatewayMsg>) -> Self {
        Self { gateways, dropped: counter!("throng_chat_dropped_total") }
    }

    /// For one session.
    pub(super) fn to_one(&self, session: SessionRef, packet: Outgoing) {
        let message = GatewayMsg::Deliver { session: session.key, packet };
        self.send(session.gateway, self.gateways.get(session.gateway).as_ref(), message);
    }

    /// For many sessions: one message to each of their gateways.
    pub(super) fn to_many(&self, sessions: impl IntoIterator<Item = SessionRef>, packet: Outgoing) {
        let mut by_gateway: BTreeMap<ServerId, Vec<SessionKey>> = BTreeMap::new();
        for SessionRef { gateway, key } in sessions {
            by_gateway.entry(gateway).or_default().push(key);
        }
        for (gateway, keys) in by_gateway {
            let outbox = self.gateways.get(gateway);
            for part in keys.chunks(SESSIONS_MAX) {
                let sessions = part.to_vec();
                let message = GatewayMsg::DeliverMany { sessions, packet: packet.clone() };
                self.send(gateway, outbox.as_ref(), message);
            }
        }
    }

    /// For everybody in the world.
    pub(super) fn to_everybody(&self, packet: &Outgoing) {
        for (gateway, outbox) in self.gateways.snapshot().iter() {
            let message = GatewayMsg::Broadcast { packet: packet.clone() };
            self.send(*gateway, Some(outbox), message);
        }
    }

    fn send(&self, gateway: ServerId, outbox: Option<&Outbox<GatewayMsg>>, message: GatewayMsg) {
        let sent = outbox.map(|outbox| outbox.send(message));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.increment(1);
            debug!(%gateway, "a chat packet was dropped: the gateway is full or gone");
        }
    }
}
