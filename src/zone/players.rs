//! Which session has which player of a zone; coming in, going out, and what players are told.
//!
//! A player may act only through the session it is bound to. Who leaves is saved and released
//! before it may come in again.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, info, info_span, warn};

use super::ZoneServer;
use super::border::Departure;
use super::commits::Claimed;
use crate::ids::{PlayerId, SessionRef, TicketUse, ZoneId};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::store::StoreError;
use crate::tick::now;
use crate::world::command::{Command, Notice, PlayerState};

/// How long a departed player's input is forwarded.
const FORWARD: Duration = Duration::from_secs(5);

/// A request to come in that waits for something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entering {
    pub session: SessionRef,
    pub ticket: Option<TicketUse>,
}

/// Sessions and comings and goings of one zone.
#[derive(Default)]
pub(super) struct Players {
    bound: BTreeMap<PlayerId, SessionRef>,
    /// Asked the store for them; the newest request counts.
    claiming: BTreeMap<PlayerId, Entering>,
    /// Being saved for the last time; a request that waits for that.
    leaving: BTreeMap<PlayerId, Option<Entering>>,
    departed: BTreeMap<PlayerId, Departure>,
}

impl Players {
    pub(super) fn session(&self, player: PlayerId) -> Option<SessionRef> {
        self.bound.get(&player).copied()
    }

    pub(super) fn bind(&mut self, player: PlayerId, session: SessionRef) {
        self.bound.insert(player, session);
    }

    pub(super) fn all(&self) -> Vec<PlayerId> {
        self.bound.keys().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.bound.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bound.is_empty() && self.leaving.is_empty()
    }

    pub(super) fn depart(&mut self, player: PlayerId, departure: Departure) {
        self.bound.remove(&player);
        self.departed.insert(player, departure);
        self.departed.retain(|_, departure| departure.at.elapsed() < FORWARD);
    }

    pub(super) fn departed_to(&self, player: PlayerId) -> Option<ZoneId> {
        let departure = self.departed.get(&player)?;
        (now() - departure.at < FORWARD).then_some(departure.to)
    }

    pub(super) fn forget_departure(&mut self, player: PlayerId) {
        self.departed.remove(&player);
    }

    /// The first confirmation of a departure.
    pub(super) fn confirm_departure(&mut self, player: PlayerId) -> Option<Departure> {
        let departure = self.departed.get_mut(&player)?;
        let first = !std::mem::replace(&mut departure.confirmed, true);
        first.then_some(*departure)
    }
}

impl ZoneServer {
    /// A gateway brings a player. One that stands here already is tied to the new session.
    pub(super) fn on_enter(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        ticket: Option<TicketUse>,
    ) {
        let span = info_span!("enter", %player);
        let _entered = span.enter();
        let entering = Entering { session, ticket };
        if let Some(waiting) = self.players.leaving.get_mut(&player) {
            debug!("waits for the last save");
            *waiting = Some(entering);
        } else if let Some(zone) = self.players.departed_to(player) {
            self.send_to_zone(zone, ZoneMsg::Enter { player, session, ticket });
        } else if self.players.bound.contains_key(&player) {
            match ticket {
                Some(ticket) => self.saves.use_ticket(player, session, ticket),
                None => self.attach(player, session),
            }
        } else if self.players.bound.len() >= self.config.max_players {
            self.refuse_entry(session, EnterRefusal::Full);
        } else {
            let asked = self.players.claiming.insert(player, entering).is_some();
            if !asked {
                self.saves.claim(player, self.server, entering);
            }
        }
    }

    /// The store has answered a claim.
    pub(super) fn on_claimed(&mut self, claimed: Claimed) {
        let Claimed { player, entering, result } = claimed;
        let newest = self.players.claiming.remove(&player).unwrap_or(entering);
        if newest.session != entering.session {
            self.refuse_entry(entering.session, EnterRefusal::Unavailable);
        }
        let state = match result {
            Ok(claim) => claim.state,
            Err(error) => {
                let reason = match error {
                    StoreError::TicketUsed => EnterRefusal::TicketUsed,
                    error => {
                        warn!(%player, %error, "player could not be claimed");
                        EnterRefusal::Unavailable
                    }
                };
                return self.refuse_entry(newest.session, reason);
            }
        };
        let owner = self.content.zone_at(state.pose.at).map(|zone| zone.id);
        if let Some(other) = owner
            && other != self.zone
        {
            // It was moved since the gateway looked: give it back for the other zone.
            self.refuse_entry(newest.session, EnterRefusal::Elsewhere(other));
            self.players.leaving.insert(player, None);
            return self.saves.release(state);
        }
        self.players.bind(player, newest.session);
        self.world.apply(Command::Enter { state: Box::new(state) });
        self.confirm_entry(player, newest.session);
    }

    /// A used-up ticket lets a new session have a player that stands here.
    pub(super) fn on_ticket_used(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        result: Result<(), StoreError>,
    ) {
        match result {
            Ok(()) if self.players.bound.contains_key(&player) => self.attach(player, session),
            // It left while the ticket was looked at: it comes in like anybody else.
            Ok(()) => self.on_enter(player, session, None),
            Err(StoreError::TicketUsed) => self.refuse_entry(session, EnterRefusal::TicketUsed),
            Err(error) => {
                warn!(%player, %error, "ticket could not be used up");
                self.refuse_entry(session, EnterRefusal::Unavailable);
            }
        }
    }

    fn attach(&mut self, player: PlayerId, session: SessionRef) {
        info!(%player, "player goes on with another session");
        self.players.bind(player, session);
        // A new client counts its moves from the beginning.
        if let Some(state) = self.world.player(player) {
            self.world.apply(Command::Enter { state: Box::new(state) });
        }
        self.confirm_entry(player, session);
    }

    fn confirm_entry(&mut self, player: PlayerId, session: SessionRef) {
        let Some(state) = self.world.player(player) else {
            // The world had no room for it.
            self.players.bound.remove(&player);
            return self.refuse_entry(session, EnterRefusal::Full);
        };
        let guild = self.world.guild(player).map_or_else(|| "".into(), |guild| guild.name);
        let zone = self.zone;
        let entered =
            GatewayMsg::Entered { session: session.key, state: Box::new(state), zone, guild };
        self.tell_gateway(session, entered);
        self.tell_master(MasterMsg::Located { player, session, zone });
    }

    fn refuse_entry(&self, session: SessionRef, reason: EnterRefusal) {
        self.tell_gateway(session, GatewayMsg::EnterRefused { session: session.key, reason });
    }

    /// A session is over: its player leaves, unless another session has it by now.
    pub(super) fn on_leave(&mut self, player: PlayerId, session: SessionRef) {
        if self.players.session(player) == Some(session) {
            self.world.apply(Command::Leave { player });
        } else if let Some(zone) = self.players.departed_to(player) {
            self.send_to_zone(zone, ZoneMsg::Leave { player, session });
        } else if let Some(entering) = self.players.claiming.get(&player)
            && entering.session == session
        {
            debug!(%player, "session ended before its player came in");
        }
    }

    /// The world has let a leaving player go: save it for the last time.
    pub(super) fn on_left(&mut self, state: PlayerState) {
        self.players.bound.remove(&state.id);
        self.players.leaving.insert(state.id, None);
        self.saves.release(state);
    }

    /// The last save is done, or given up: who waited for it may come in.
    pub(super) fn on_released(&mut self, player: PlayerId) {
        if let Some(Some(entering)) = self.players.leaving.remove(&player) {
            self.on_enter(player, entering.session, entering.ticket);
        }
    }

    /// Another server owns a player that we thought ours: let it go at once, unsaved.
    pub(super) fn on_lost_ownership(&mut self, player: PlayerId) {
        warn!(%player, "another server owns the player; it leaves");
        self.on_kick(player, "another server has taken over");
    }

    /// Sends a player away. Its session ends, and with it the player leaves.
    pub(super) fn on_kick(&mut self, player: PlayerId, reason: &'static str) {
        let Some(session) = self.players.session(player) else { return };
        info!(%player, reason, "player is sent away");
        let kick = GatewayMsg::Kick {
            session: session.key,
            reason: DisconnectReason::DisconnectKicked,
            message: reason.to_owned(),
        };
        self.tell_gateway(session, kick);
        self.world.apply(Command::Leave { player });
    }

    /// Tells one player what only it is told.
    pub(super) fn on_notice(&mut self, player: PlayerId, notice: Notice) {
        let Some(session) = self.players.session(player) else { return };
        let level = self.world.level(player);
        let packet = server::notice(&notice, level, &self.content);
        self.tell_gateway(session, GatewayMsg::Deliver { session: session.key, packet });
    }

    pub(super) fn tell_gateway(&self, session: SessionRef, message: GatewayMsg) {
        let Some(outbox) = self.peers.gateways.get(session.gateway) else { return };
        if let Err(problem) = outbox.send(message) {
            metrics::counter!("throng_refusals_total", "reason" => "gateway_inbox_full")
                .increment(1);
            warn!(gateway = %session.gateway, %problem, "a message to a gateway was lost");
        }
    }

    pub(super) fn tell_master(&self, message: MasterMsg) {
        if let Err(problem) = self.peers.master.send(message) {
            debug!(%problem, "the master was not told");
        }
    }
}
