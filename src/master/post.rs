//! The master's way to the gateways for what must arrive: it waits here when an inbox is full.
//!
//! Lists that come again each second go to the directory's outboxes straight.

use std::collections::BTreeMap;

use crate::ids::ServerId;
use crate::link::Directory;
use crate::link::kept::Kept;
use crate::msg::GatewayMsg;

/// What waits, by gateway.
#[derive(Debug)]
pub(super) struct Post {
    gateways: Directory<ServerId, GatewayMsg>,
    kept: BTreeMap<ServerId, Kept<GatewayMsg>>,
}

impl Post {
    /// Nothing waits.
    pub(super) fn new(gateways: Directory<ServerId, GatewayMsg>) -> Self {
        Self { gateways, kept: BTreeMap::new() }
    }

    /// Sends, or keeps for later. False: there is no such gateway.
    pub(super) fn gateway(&mut self, to: ServerId, message: GatewayMsg) -> bool {
        let Some(outbox) = self.gateways.get(to) else { return false };
        self.kept.entry(to).or_default().send(message, |message| outbox.send(message)).is_ok()
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn send_again(&mut self) {
        self.kept.retain(|to, kept| {
            let Some(outbox) = self.gateways.get(*to) else { return false };
            kept.send_again(|message| outbox.send(message));
            !kept.is_empty()
        });
    }
}
