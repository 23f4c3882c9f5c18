//! What comes into a zone: its inbox. What moves players between zones is taken a hundred times a
//! second, so that nobody waits for a tick at a border; all else at the start of each tick.

use std::collections::VecDeque;

use tracing::debug;

use super::ZoneServer;
use super::border::Arrival;
use crate::ids::{PlayerId, SessionRef};
use crate::limits;
use crate::msg::ZoneMsg;
use crate::tick::now;
use crate::world::command::{Action, Command};

/// What was read before its tick, in order.
pub(super) type Waiting = VecDeque<ZoneMsg>;

impl ZoneServer {
    /// Takes what has come since the last tick, in order; never more than an inbox full, so that
    /// a flood cannot hold up the tick for ever.
    pub(super) fn take_inputs(&mut self) {
        for message in std::mem::take(&mut self.waiting) {
            self.on_message(message);
        }
        for _ in 0..limits::ZONE_INBOX {
            let Some(message) = self.inbox.try_recv() else { return };
            self.on_message(message);
        }
    }

    /// Between ticks: takes hand-overs and puts the rest by. What is for a player keeps its order:
    /// a hand-over says who has the player, and whatever waits is dealt with by that.
    pub(super) fn take_handovers(&mut self) {
        while self.waiting.len() < limits::ZONE_INBOX {
            let Some(message) = self.inbox.try_recv() else { return };
            match message {
                ZoneMsg::Arrive { .. } | ZoneMsg::Arrived { .. } | ZoneMsg::NotArrived { .. } => {
                    self.on_message(message);
                }
                message => self.waiting.push_back(message),
            }
        }
    }

    pub(super) fn on_message(&mut self, message: ZoneMsg) {
        let Some(message) = self.catch(message) else { return };
        match message {
            ZoneMsg::Act { player, session, request, action } => {
                self.on_act(player, session, request, action);
            }
            ZoneMsg::Watch { gateway } => self.sync.watch(gateway),
            ZoneMsg::Unwatch { gateway } => self.sync.unwatch(gateway),
            ZoneMsg::Enter { player, session, ticket } => self.on_enter(player, session, ticket),
            ZoneMsg::Leave { player, session } => self.on_leave(player, session),
            ZoneMsg::Arrive { transfer, from, owner, handover, session } => {
                self.on_arrive(Arrival { transfer, from, owner, handover, session });
            }
            ZoneMsg::Arrived { player, handover } => {
                self.crossings.on_arrived(player, handover, now());
                self.carry_out_crossings();
            }
            ZoneMsg::NotArrived { player, handover, certain } => {
                self.crossings.on_not_arrived(player, handover, certain);
                self.carry_out_crossings();
            }
            ZoneMsg::SetGuild { player, guild } => {
                self.world.apply(Command::SetGuild { player, guild });
            }
            ZoneMsg::SetWars { wars } => self.world.apply(Command::SetWars(wars)),
            ZoneMsg::Strike(strike) => self.on_strike_in(strike),
            ZoneMsg::StrikeRefused { player, request, refusal } => {
                self.on_strike_refused(player, request, refusal);
            }
            ZoneMsg::Credit { player, credit } => {
                self.world.apply(Command::Credit { player, credit });
            }
        }
    }

    /// Puts by, or forwards, what is for a player who is between two zones or has just gone.
    fn catch(&mut self, message: ZoneMsg) -> Option<ZoneMsg> {
        let player = match &message {
            ZoneMsg::Act { player, .. }
            | ZoneMsg::Enter { player, .. }
            | ZoneMsg::Leave { player, .. }
            | ZoneMsg::SetGuild { player, .. }
            | ZoneMsg::StrikeRefused { player, .. }
            | ZoneMsg::Credit { player, .. } => *player,
            _ => return Some(message),
        };
        if self.players.session(player).is_some() && !self.crossings.has_staged(player) {
            return Some(message);
        }
        let message = self.crossings.catch(player, message, now());
        if message.is_none() {
            self.carry_out_crossings();
        }
        message
    }

    /// A player acts. Only the session that has the player may.
    fn on_act(&mut self, player: PlayerId, session: SessionRef, request: u64, action: Action) {
        if self.players.session(player) == Some(session) {
            self.world.apply(Command::Act { player, request, action });
        } else {
            debug!(%player, "an action of a player who is not here");
        }
    }
}
