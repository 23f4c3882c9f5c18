//! What a zone sends: to gateways, its neighbours, chat and the master.
//!
//! Who is where and whose must arrive, so it waits here when an inbox is full and goes with one of
//! the next ticks, in order. Only packets for clients and what is worth nothing later are dropped,
//! and counted. The thread itself never waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use metrics::counter;
use tracing::{debug, warn};

use super::Peers;
use crate::ids::{ServerId, SessionRef, ZoneId};
use crate::link::kept::Kept;
use crate::link::{Outbox, SendError, Wire};
use crate::msg::{ChatMsg, GatewayMsg, MasterMsg, Outgoing, ZoneMsg};

/// Packets wait behind a gateway's other messages only as long as fewer than these wait.
const PACKETS_WAIT: usize = 4_096;
/// Kills of guild wars that wait for a chat role; beyond it the oldest are lost, and counted.
const KILLS_WAIT: usize = 4_096;

/// One zone's way out.
pub(super) struct Post {
    peers: Peers,
    to_gateways: BTreeMap<ServerId, Kept<GatewayMsg>>,
    to_zones: BTreeMap<ZoneId, Kept<ZoneMsg>>,
    /// What chat must know, also the next one that plays it.
    for_chat: VecDeque<ChatMsg>,
    to_master: Kept<MasterMsg>,
}

impl Post {
    pub(super) fn new(peers: Peers) -> Self {
        Self {
            peers,
            to_gateways: BTreeMap::new(),
            to_zones: BTreeMap::new(),
            for_chat: VecDeque::new(),
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

    /// Tells chat of a kill of a guild war, which nobody would repeat: while nobody plays chat it
    /// waits for the next one.
    pub(super) fn war_kill(&mut self, kill: ChatMsg) {
        if self.for_chat.len() == KILLS_WAIT {
            self.for_chat.pop_front();
            counter!("throng_war_kills_lost_total").increment(1);
        }
        self.for_chat.push_back(kill);
        self.tell_chat();
    }

    fn tell_chat(&mut self) {
        while let Some(message) = self.for_chat.pop_front() {
            if let Err(problem) = self.peers.chat.send(message) {
                return self.for_chat.push_front(problem.into_inner());
            }
        }
    }

    /// Tells the master what it must know.
    pub(super) fn master(&mut self, message: MasterMsg) {
        let outbox = &self.peers.master;
        if self.to_master.send(message, |message| outbox.send(message)).is_err() {
            // Gateways tell the next one where their players stand.
            debug!("nobody plays the master now; it was not told");
        }
    }

    /// Messages that wait for room.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let to_gateways: usize = self.to_gateways.values().map(Kept::len).sum();
        let to_zones: usize = self.to_zones.values().map(Kept::len).sum();
        to_gateways + to_zones + self.for_chat.len() + self.to_master.len()
    }

    /// Sends what has waited since the last tick.
    pub(super) fn send_again(&mut self) {
        for (gateway, kept) in &mut self.to_gateways {
            again(kept, self.peers.gateways.get(*gateway).as_ref());
        }
        for (zone, kept) in &mut self.to_zones {
            again(kept, self.peers.zones.get(*zone).as_ref());
        }
        self.tell_chat();
        again(&mut self.to_master, Some(&self.peers.master));
        self.to_gateways.retain(|_, kept| !kept.is_empty());
        self.to_zones.retain(|_, kept| !kept.is_empty());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{GuildId, OperationId, PlayerId};
    use crate::link::inbox;

    fn kill(id: u64) -> ChatMsg {
        let of = |id| (PlayerId(id), GuildId(id));
        ChatMsg::WarKill { id: OperationId(id.into()), killer: of(1), victim: of(2) }
    }

    #[test]
    fn kills_wait_in_order_for_the_next_that_plays_chat() {
        let (chat, switch) = Outbox::switched();
        let peers = Peers {
            gateways: crate::link::Directory::default(),
            zones: crate::link::Directory::default(),
            chat,
            master: Outbox::switched().0,
        };
        let mut post = Post::new(peers);
        post.war_kill(kill(1));
        post.war_kill(kill(2));
        assert_eq!(post.waiting(), 2, "nobody plays chat");
        let (outbox, mut played) = inbox(2, false);
        switch.set(Some(outbox));
        post.war_kill(kill(3));
        assert_eq!((played.try_recv(), played.try_recv()), (Some(kill(1)), Some(kill(2))));
        assert_eq!(post.waiting(), 1, "there was no room for more");
        post.send_again();
        assert_eq!((played.try_recv(), post.waiting()), (Some(kill(3)), 0));
        switch.set(None);
        for id in 0..=KILLS_WAIT as u64 {
            post.war_kill(kill(id));
        }
        assert_eq!(post.waiting(), KILLS_WAIT);
    }
}
