//! What goes to gateways: packets, encoded once, sent once to each gateway, never waited for; and
//! what a gateway must know, which waits here while its inbox is full.

use std::collections::BTreeMap;

use metrics::{Counter, counter};
use tracing::debug;

use crate::ids::{ServerId, SessionKey, SessionRef};
use crate::link::kept::Kept;
use crate::link::{Directory, Outbox, SendError};
use crate::msg::{GatewayMsg, Outgoing};

/// Most sessions named in one message, so that it fits a link's frame.
const SESSIONS_MAX: usize = 4_096;

pub(super) struct Courier {
    gateways: Directory<ServerId, GatewayMsg>,
    kept: BTreeMap<ServerId, Kept<GatewayMsg>>,
    dropped: Counter,
}

impl Courier {
    pub(super) fn new(gateways: Directory<ServerId, GatewayMsg>) -> Self {
        let dropped = counter!("throng_chat_dropped_total");
        Self { gateways, kept: BTreeMap::new(), dropped }
    }

    /// Whether a gateway is there.
    pub(super) fn knows(&self, gateway: ServerId) -> bool {
        self.gateways.get(gateway).is_some()
    }

    /// What a gateway must know. One that is gone is told nothing: nobody asks it.
    pub(super) fn keep_for(&mut self, gateway: ServerId, message: GatewayMsg) {
        let Some(outbox) = self.gateways.get(gateway) else { return };
        let kept = self.kept.entry(gateway).or_default();
        if kept.send(message, |message| outbox.send(message)).is_err() {
            debug!(%gateway, "a gateway that has ended was not told");
        }
    }

    /// Sends again what found no room.
    pub(super) fn send_again(&mut self) {
        for (gateway, kept) in &mut self.kept {
            let outbox = self.gateways.get(*gateway);
            kept.send_again(|message| match &outbox {
                Some(outbox) => outbox.send(message),
                None => Err(SendError::Closed(message)),
            });
        }
        self.kept.retain(|_, kept| !kept.is_empty());
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
