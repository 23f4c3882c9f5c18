//! Which session has which player of a zone; coming in, going out, and what players are told.
//!
//! A player may act only through the session it is bound to. Who leaves is saved and released
//! before it may come in again.

use std::collections::BTreeMap;

use tracing::{debug, info, info_span, warn};

use super::ZoneServer;
use super::desk::Claimed;
use crate::ids::{Epoch, PlayerId, SessionRef, TicketUse};
use crate::msg::gateway::EnterRefusal;
use crate::msg::{GatewayMsg, MasterMsg, ZoneMsg};
use crate::proto::DisconnectReason;
use crate::protocol::server;
use crate::store::StoreError;
use crate::store::record::Claim;
use crate::world::command::{Command, Notice, Operation, PlayerState};

/// A request to come in that waits for something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entering {
    pub session: SessionRef,
    pub ticket: Option<TicketUse>,
}

/// Sessions and comings and goings of one zone.
#[derive(Debug, Default)]
pub(super) struct Players {
    bound: BTreeMap<PlayerId, SessionRef>,
    /// Asked the store for them; the newest request counts. None: nobody wants it any more.
    claiming: BTreeMap<PlayerId, Option<Entering>>,
    /// On their way out, up to the end of their last save; a request that waits for that.
    leaving: BTreeMap<PlayerId, Option<Entering>>,
}

impl Players {
    pub(super) fn session(&self, player: PlayerId) -> Option<SessionRef> {
        self.bound.get(&player).copied()
    }

    pub(super) fn bind(&mut self, player: PlayerId, session: SessionRef) {
        self.bound.insert(player, session);
    }

    pub(super) fn unbind(&mut self, player: PlayerId) {
        self.bound.remove(&player);
    }

    /// A player is on its way out no longer; gives the request that has waited for it.
    pub(super) fn stop_leaving(&mut self, player: PlayerId) -> Option<Entering> {
        self.leaving.remove(&player).flatten()
    }

    pub(super) fn all(&self) -> Vec<PlayerId> {
        self.bound.keys().copied().collect()
    }

    /// Every player that has a session, with it.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (PlayerId, SessionRef)> {
        self.bound.iter().map(|(player, session)| (*player, *session))
    }

    /// Whether nobody is on the way in or out.
    pub(super) fn nobody_waits(&self) -> bool {
        self.claiming.is_empty() && self.leaving.is_empty()
    }

    /// The youngest session that has a player here, or wants it.
    fn youngest(&self, player: PlayerId) -> Option<SessionRef> {
        let wants = |waiting: &BTreeMap<PlayerId, Option<Entering>>| {
            waiting.get(&player).copied().flatten().map(|entering| entering.session)
        };
        let all = [self.session(player), wants(&self.claiming), wants(&self.leaving)];
        all.into_iter().flatten().max_by_key(|session| (session.key, session.gateway))
    }

    pub(super) fn len(&self) -> usize {
        self.bound.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bound.is_empty() && self.nobody_waits()
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
        if let Some(youngest) = self.players.youngest(player)
            && youngest.is_younger_than(session)
        {
            // Messages of two gateways come in any order, and so do the store's answers.
            debug!("a younger session has the player, or is on its way in");
            return self.refuse_entry(session, EnterRefusal::Superseded(youngest.key));
        }
        if let Some(waiting) = self.players.leaving.get_mut(&player) {
            debug!("waits for the last save");
            let older = waiting.replace(entering);
            self.give_up(older, session);
        } else if self.players.bound.contains_key(&player) {
            match ticket {
                Some(ticket) => self.saves.use_ticket(player, session, ticket),
                None => self.attach(player, session),
            }
        } else if let Some(newest) = self.players.claiming.get_mut(&player) {
            let older = newest.replace(entering);
            self.give_up(older, session);
        } else if self.is_full() {
            self.refuse_entry(session, EnterRefusal::Full);
        } else {
            self.players.claiming.insert(player, Some(entering));
            self.saves.claim(player, self.server, entering);
        }
    }

    /// Whether nobody more can be taken in: who stands here, and who is on the way in from the store
    /// or another server, have all the places. Who waits for a last save asks again after it.
    pub(super) fn is_full(&self) -> bool {
        let coming = self.players.claiming.len() + self.crossings.staged();
        self.players.bound.len() + coming >= self.config.max_players
    }

    /// The store has answered a claim.
    pub(super) fn on_claimed(&mut self, claimed: Claimed) {
        let Claimed { player, entering, result } = claimed;
        let session = entering.session;
        let newest = self.players.claiming.remove(&player).flatten();
        if newest.is_none_or(|newest| newest.session != session) {
            return self.on_claimed_in_vain(claimed.player, session, newest, result);
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
                return self.refuse_entry(session, reason);
            }
        };
        let owner = self.content.zone_at(state.pose.at).map(|zone| zone.id);
        if let Some(other) = owner
            && other != self.zone
        {
            // It was moved since the gateway looked: give it back for the other zone.
            self.refuse_entry(session, EnterRefusal::Elsewhere(other));
            return self.on_left(state, Vec::new());
        }
        self.players.bind(player, session);
        self.world.apply(Command::Enter { state: Box::new(state) });
        self.confirm_entry(player, session);
    }

    /// The session for which a player was claimed is over, and knows it. A newer one claims for itself, with
    /// a ticket of its own; if there is none, the player goes back.
    fn on_claimed_in_vain(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        newest: Option<Entering>,
        result: Result<Claim, StoreError>,
    ) {
        debug!(%player, session = session.key.0, "claimed in vain");
        if let Some(newest) = newest {
            self.players.claiming.insert(player, Some(newest));
            self.saves.claim(player, self.server, newest);
        } else if let Ok(claim) = result {
            self.on_left(claim.state, Vec::new());
        }
    }

    /// A request to come in waits no longer: a younger session's does.
    fn give_up(&mut self, older: Option<Entering>, younger: SessionRef) {
        if let Some(older) = older.filter(|older| older.session != younger) {
            self.refuse_entry(older.session, EnterRefusal::Superseded(younger.key));
        }
    }

    /// A used-up ticket lets a new session have a player that stands here.
    pub(super) fn on_ticket_used(
        &mut self,
        player: PlayerId,
        session: SessionRef,
        result: Result<(), StoreError>,
    ) {
        match result {
            // It may have left or crossed a border while the ticket was looked at.
            Ok(()) => self.on_message(ZoneMsg::Enter { player, session, ticket: None }),
            Err(StoreError::TicketUsed) => self.refuse_entry(session, EnterRefusal::TicketUsed),
            Err(error) => {
                warn!(%player, %error, "ticket could not be used up");
                self.refuse_entry(session, EnterRefusal::Unavailable);
            }
        }
    }

    fn attach(&mut self, player: PlayerId, session: SessionRef) {
        let before = self.players.session(player);
        if before != Some(session) {
            info!(%player, "player goes on with another session");
            self.players.bind(player, session);
            if let Some(before) = before {
                self.send_off(before);
            }
            // A new client counts its moves from the beginning.
            if let Some(state) = self.world.player(player) {
                self.world.apply(Command::Enter { state: Box::new(state) });
            }
        }
        self.confirm_entry(player, session);
    }

    /// A session has lost its player to a younger one: its gateway need not keep it any longer.
    fn send_off(&mut self, session: SessionRef) {
        let kick = GatewayMsg::Kick {
            session: session.key,
            reason: DisconnectReason::DisconnectLoggedInElsewhere,
            message: "you have logged in from elsewhere".to_owned(),
        };
        self.post.gateway(session, kick);
    }

    fn confirm_entry(&mut self, player: PlayerId, session: SessionRef) {
        let Some(state) = self.world.player(player) else {
            // The world had no room for it.
            self.players.bound.remove(&player);
            return self.refuse_entry(session, EnterRefusal::Full);
        };
        let guild = self.world.guild(player).map_or_else(|| "".into(), |guild| guild.name);
        let (zone, epoch) = (self.zone, state.epoch);
        let entered =
            GatewayMsg::Entered { session: session.key, state: Box::new(state), zone, guild };
        self.post.gateway(session, entered);
        self.post.master(MasterMsg::Located { player, session, zone, epoch });
    }

    fn refuse_entry(&mut self, session: SessionRef, reason: EnterRefusal) {
        self.post.gateway(session, GatewayMsg::EnterRefused { session: session.key, reason });
    }

    /// A session is over: its player leaves, unless another session has it by now.
    pub(super) fn on_leave(&mut self, player: PlayerId, session: SessionRef) {
        if self.players.session(player) == Some(session) {
            return self.let_leave(player);
        }
        let Players { claiming, leaving, .. } = &mut self.players;
        let waiting = claiming.get_mut(&player).into_iter().chain(leaving.get_mut(&player));
        for waiting in waiting {
            // It ended before its player came in.
            let _ = waiting.take_if(|entering| entering.session == session);
        }
    }

    /// A player leaves. One that fights stays until its fight is over, for whoever brings it in
    /// again as for whoever strikes it; any other is nobody's from now on, and who wants it waits
    /// for its last save. The world holds it until the store has decided what it asked for.
    pub(super) fn let_leave(&mut self, player: PlayerId) {
        let here = self.world.player(player).is_some();
        self.world.apply(Command::Leave { player });
        if self.world.lingers(player) {
            debug!(%player, "a player leaves in the middle of a fight and stands until it is over");
            // Whoever looks for the player in the store finds it where it stands.
            return self.save_now(player);
        }
        self.give_up_session(player, here);
    }

    /// A player leaves at once, in a fight or not: the zone ends.
    pub(super) fn dismiss(&mut self, player: PlayerId) {
        let here = self.world.player(player).is_some();
        self.world.apply(Command::Dismiss { player });
        self.give_up_session(player, here);
    }

    fn give_up_session(&mut self, player: PlayerId, here: bool) {
        self.players.bound.remove(&player);
        if here {
            self.players.leaving.entry(player).or_insert(None);
        }
    }

    /// The world has let a leaving player go: save it for the last time.
    pub(super) fn on_left(&mut self, state: PlayerState, owed: Vec<Operation>) {
        self.players.bound.remove(&state.id);
        self.players.leaving.entry(state.id).or_insert(None);
        self.saves.release(state, owed);
    }

    /// The last save is done, or given up: who waited for it may come in.
    pub(super) fn on_released(&mut self, player: PlayerId) {
        if let Some(entering) = self.players.stop_leaving(player) {
            self.on_enter(player, entering.session, entering.ticket);
        }
    }

    /// Another server owns a player that we thought ours: let it go at once, unsaved. Its session
    /// has it there.
    pub(super) fn on_lost_ownership(&mut self, player: PlayerId, epoch: Epoch) {
        if self.world.epoch(player) != Some(epoch) {
            return;
        }
        warn!(%player, "another server owns the player; it is let go");
        self.players.bound.remove(&player);
        self.world.apply(Command::Forget { player });
        // Who waited for its last save does so no longer.
        self.on_released(player);
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
        self.post.gateway(session, kick);
        self.let_leave(player);
    }

    /// Tells one player what only it is told.
    pub(super) fn on_notice(&mut self, player: PlayerId, notice: Notice) {
        let Some(session) = self.players.session(player) else { return };
        let level = self.world.level(player);
        let packet = server::notice(&notice, level, &self.content);
        self.post.packet(session, packet);
    }
}
