//! What a zone sends: to gateways, its neighbours, chat and the master.
//!
//! Who is where and whose must arrive, so it waits here when an inbox is full and goes with one of
//! the next ticks, in order. Only packets for clients and what is worth nothing later are dropped,
//! and counted. The thread itself never waits.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::counter;
use tracing::warn;

use super::Peers;
use crate::ids::{ServerId, SessionRef, ZoneId};
use crate::link::kept::Kept;
use crate::link::{Outbox, SendError, Wire};
use crate::msg::{ChatMsg, GatewayMsg, MasterMsg, Outgoing, ZoneMsg};

/// Packets wait behind a gateway's other messages only as long as fewer than these wait.
const PACKETS_WAIT: usize = 4_096;

/// One zone's way out.
pub(super) struct Post {
    peers: Peers,
    to_gateways: BTreeMap<ServerId, Kept<GatewayMsg>>,
    to_zones: BTreeMap<ZoneId, Kept<ZoneMsg>>,
    to_chat: Kept<ChatMsg>,
    to_master: Kept<MasterMsg>,
}

impl Post {
    pub(super) fn new(peers: Peers) -> Self {
        Self {
            peers,
            to_gateways: BTreeMap::new(),
            to_zones: BTreeMap::new(),
            to_chat: Kept::default(),
            to_master: Kept::default(),
        }
    }

    /// The gateways there are now.
    pub(super) fn gateways(&self) -> Arc<BTreeMap<ServerId, Outbox<GatewayMsg>>> {
        self.peers.gateways.snapshot()
    }

    /// Tells a session's gateway what it must know.
    pub(super) fn gateway(&mut self, session: SessionRef, message: GatewayMsg) {
        let Some(outbox) = self.peers.gateways.get(session.gateway) else { return };
        let kept = self.to_gateways.entry(session.gateway).or_default();
        if kept.send(message, |message| outbox.send(message)).is_err() {
            warn!(gateway = %session.gateway, "a gateway that has ended was not told");
        }
    }

    /// Sends a packet to a session's client, behind what its gateway was told before.
    pub(super) fn packet(&mut self, session: SessionRef, packet: Outgoing) {
        let waiting = self.to_gateways.get(&session.gateway).map_or(0, Kept::len);
        if waiting < PACKETS_WAIT {
            self.gateway(session, GatewayMsg::Deliver { session: session.key, packet });
        } else {
            counter!("throng_refusals_total", "reason" => "gateway_inbox_full").increment(1);
        }
    }

    /// Tells a neighbour what it must know.
    pub(super) fn zone(&mut self, zone: ZoneId, message: ZoneMsg) {
        let outbox = self.peers.zones.get(zone);
        let kept = self.to_zones.entry(zone).or_default();
        let told = outbox.is_some_and(|to| kept.send(message, |message| to.send(message)).is_ok());
        if !told {
            warn!(to = %zone, "a neighbouring zone does not run; it was not told");
        }
    }

    /// Whether a neighbour runs in another process.
    pub(super) fn is_elsewhere(&self, zone: ZoneId) -> bool {
        self.peers.zones.get(zone).is_some_and(|outbox| outbox.server().is_some())
    }

    /// The way to a neighbour, unless something waits to go there first.
    pub(super) fn neighbour(&self, zone: ZoneId) -> Option<Outbox<ZoneMsg>> {
        let waits = self.to_zones.get(&zone).is_some_and(|kept| !kept.is_empty());
        self.peers.zones.get(zone).filter(|_| !waits)
    }

    /// Sends a neighbour what it takes at once or not at all; else it comes back.
    pub(super) fn zone_now(&mut self, zone: ZoneId, message: ZoneMsg) -> Result<(), ZoneMsg> {
        let sent = match self.neighbour(zone) {
            None => return Err(message),
            Some(outbox) => outbox.send(message),
        };
        sent.map_err(|problem| {
            counter!("throng_refusals_total", "reason" => "zone_inbox_full").increment(1);
            let (SendError::Full(message) | SendError::Closed(message)) = problem;
            message
        })
    }

    /// Tells chat what it must know.
    pub(super) fn chat(&mut self, message: ChatMsg) {
        let outbox = &self.peers.chat;
        if self.to_chat.send(message, |message| outbox.send(message)).is_err() {
            warn!("chat has ended; it was not told");
        }
    }

    /// Tells the master what it must know.
    pub(super) fn master(&mut self, message: MasterMsg) {
        let outbox = &self.peers.master;
        if self.to_master.send(message, |message| outbox.send(message)).is_err() {
            warn!("the master has ended; it was not told");
        }
    }

    /// Sends what has waited since the last tick.
    pub(super) fn send_again(&mut self) {
        for (gateway, kept) in &mut self.to_gateways {
            again(kept, self.peers.gateways.get(*gateway).as_ref());
        }
        for (zone, kept) in &mut self.to_zones {
            again(kept, self.peers.zones.get(*zone).as_ref());
        }
        again(&mut self.to_chat, Some(&self.peers.chat));
        again(&mut self.to_master, Some(&self.peers.master));
        self.to_gateways.retain(|_, kept| !kept.is_empty());
    }
}

fn again<M: Wire>(kept: &mut Kept<M>, outbox: Option<&Outbox<M>>) {
    if !kept.is_empty() {
        kept.send_again(|message| match outbox {
            Some(outbox) => outbox.send(message),
            None => Err(SendError::Closed(message)),
        });
    }
}
