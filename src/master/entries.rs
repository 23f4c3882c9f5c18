//! Who may play: claims of gateways, what they tell a new master, and who is sent away for it.
//!
//! One session per player: a claim is granted once every other session is on its way out, and only
//! to a session with a higher key than that has. That a player never obeys two at once is the zone's
//! doing, which listens to the one with the highest, in whatever order they come; so a gateway that
//! hangs or has died keeps nobody out.

use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::Master;
use crate::ids::{Epoch, Key, PlayerId, RequestId, ServerId, SessionRef, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::master::PresentSession;
use crate::msg::{Conduct, GatewayMsg, LoginMsg};
use crate::names::Name;
use crate::proto::DisconnectReason;
use crate::role::Role;

/// How soon a gateway is asked again who plays there, after a zone has told of a session that the
/// master does not know.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Master {
    pub(super) fn on_claim(
        &mut self,
        (request, now): (RequestId, Instant),
        player: PlayerId,
        name: Key,
        session: SessionRef,
        device: String,
    ) {
        if let Some(rival) = self.presence.rival(player, session) {
            if rival.is_younger_than(session) {
                // By a clock that is ahead. Zones tell two sessions apart by their keys, so this
                // one needs a higher key before it may be the player's last.
                let reason = EnterRefusal::Superseded(rival.key);
                let refused = GatewayMsg::EnterRefused { session: session.key, reason };
                self.post.gateway(session.gateway, refused);
                return;
            }
            self.displace(rival);
        }
        let folded = folded(&name);
        match self.presence.claim(player, (name, folded), session, device) {
            Ok(zone) => {
                if let Some(conduct) = self.conducts.of(player, now) {
                    self.post.gateway(session.gateway, GatewayMsg::Conduct { player, conduct });
                }
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

    /// A gateway tells what a player has used up of its limits; another one may have it by now.
    pub(super) fn on_conduct(
        &mut self,
        player: PlayerId,
        from: ServerId,
        conduct: Conduct,
        now: Instant,
    ) {
        self.conducts.keep(player, conduct.clone(), now);
        let gateway = self.presence.get(player).map(|present| present.session.gateway);
        if let Some(gateway) = gateway.filter(|gateway| *gateway != from) {
            self.post.gateway(gateway, GatewayMsg::Conduct { player, conduct });
        }
    }

    /// A session plays already, and this master may not have known.
    pub(super) fn on_present(&mut self, present: PresentSession, now: Instant) {
        let player = present.player;
        let folded = folded(&present.name);
        self.bans.reach_back_to(present.session.key.time());
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
