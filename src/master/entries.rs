//! Who may play: claims of gateways, what they tell a new master, and who is sent away for it.
//!
//! One session per player: a claim is granted once every other session is on its way out. That a
//! player never obeys two at once is the zone's doing, which listens to the session that entered
//! last; so a gateway that hangs or has died keeps nobody out.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::Master;
use crate::ids::{Epoch, Key, PlayerId, RequestId, ServerId, SessionRef, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::master::PresentSession;
use crate::msg::{GatewayMsg, LoginMsg};
use crate::names::Name;
use crate::proto::DisconnectReason;
use crate::role::Role;

/// How soon a gateway is asked again who plays there, after a zone has told of a session that the
/// master does not know.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Master {
    pub(super) fn on_claim(
        &mut self,
        request: RequestId,
        player: PlayerId,
        name: Key,
        session: SessionRef,
        device: String,
    ) {
        if let Some(rival) = self.presence.rival(player, session) {
            self.displace(rival);
        }
        let folded = folded(&name);
        match self.presence.claim(player, (name, folded), session, device) {
            Ok(zone) => {
                let granted = GatewayMsg::PresenceGranted { request, zone };
                if !self.post.gateway(session.gateway, granted) {
                    warn!(%player, gateway = %session.gateway, "a claim from an unknown gateway");
                }
            }
            Err(error) => {
                warn!(%player, %error, "a claim was refused");
                let (session, gateway) = (session.key, session.gateway);
                let refused = GatewayMsg::EnterRefused { session, reason: EnterRefusal::Full };
                // Untold, it gives up by itself.
                self.post.gateway(gateway, refused);
            }
        }
    }

    /// A session plays already, and this master may not have known.
    pub(super) fn on_present(&mut self, present: PresentSession, now: Instant) {
        let player = present.player;
        let folded = folded(&present.name);
        match self.presence.told(present, folded) {
            Ok(None) => {}
            Ok(Some(loser)) => self.displace(loser),
            Err(error) => warn!(%player, %error, "a session is not known to the master"),
        }
        for message in self.settling.told_of(player) {
            self.on_message(message, now);
        }
    }

    pub(super) fn on_located(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        place: (ZoneId, Epoch),
        now: Instant,
    ) {
        if self.presence.get(player).is_none() {
            // It entered while there was no master, and its gateway could not yet tell of it.
            self.unasked.entry(session.gateway).or_insert(now + ASK_AGAIN);
        }
        self.presence.located(player, session, place);
    }

    /// Asks gateways that are new to this master, or have come back, who plays there.
    pub(super) fn ask_gateways(&mut self, now: Instant) {
        let due: Vec<ServerId> =
            self.unasked.iter().filter(|(_, at)| **at <= now).map(|(server, _)| *server).collect();
        for server in due {
            let Some(gateway) = self.peers.gateways.get(server) else {
                // One that is not linked any more is asked when it comes again.
                if self.registry.get(server).is_none() {
                    self.unasked.remove(&server);
                }
                continue;
            };
            match gateway.send(GatewayMsg::Introduce { to: Role::Master }) {
                Ok(()) => drop(self.unasked.remove(&server)),
                Err(error) => debug!(%server, %error, "a gateway is asked later who plays there"),
            }
        }
    }

    /// Ends a session in favour of another one of the same player.
    fn displace(&mut self, session: SessionRef) {
        let message = "you have logged in from elsewhere".to_owned();
        self.kick(session, DisconnectReason::DisconnectLoggedInElsewhere, message);
    }

    /// Tells a session's gateway to end it. False: the gateway is gone, and its sessions with it.
    pub(super) fn kick(
        &mut self,
        session: SessionRef,
        reason: DisconnectReason,
        message: String,
    ) -> bool {
        let kick = GatewayMsg::Kick { session: session.key, reason, message };
        self.post.gateway(session.gateway, kick)
    }

    pub(super) fn on_where_is(&mut self, request: RequestId, player: PlayerId) {
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
}

/// A name as compared.
fn folded(name: &Key) -> String {
    Name::parse(name).map_or_else(|_| name.to_lowercase(), |name| name.folded())
}
