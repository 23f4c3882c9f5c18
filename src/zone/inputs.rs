//! What comes into a zone: its inbox, drained at the start of each tick.

use tracing::{debug, warn};

use super::ZoneServer;
use crate::ids::{PlayerId, SessionRef};
use crate::limits;
use crate::msg::ZoneMsg;
use crate::world::command::{Action, Command};

impl ZoneServer {
    /// Takes what has come since the last tick, in order; never more than an inbox full, so that
    /// a flood cannot hold up the tick for ever.
    pub(super) fn take_inputs(&mut self) {
        for _ in 0..limits::ZONE_INBOX {
            let Some(message) = self.inbox.try_recv() else { return };
            self.on_message(message);
        }
    }

    fn on_message(&mut self, message: ZoneMsg) {
        match message {
            ZoneMsg::Act { player, session, request, action } => {
                self.on_act(player, session, request, action);
            }
            ZoneMsg::Watch { gateway } => self.sync.watch(gateway),
            ZoneMsg::Enter { player, session, ticket } => self.on_enter(player, session, ticket),
            ZoneMsg::Leave { player, session } => self.on_leave(player, session),
            ZoneMsg::Arrive { transfer, from, session } => self.on_arrive(transfer, from, session),
            ZoneMsg::Arrived { player } => self.on_arrived(player),
            ZoneMsg::SetGuild { player, guild } => {
                self.world.apply(Command::SetGuild { player, guild });
            }
            ZoneMsg::SetWars { wars } => self.world.apply(Command::SetWars(wars)),
            ZoneMsg::Strike(strike) => self.world.apply(Command::Strike(strike)),
            ZoneMsg::StrikeRefused { player, request, refusal } => {
                self.on_strike_refused(player, request, refusal);
            }
            ZoneMsg::Credit { player, credit } => {
                self.world.apply(Command::Credit { player, credit });
            }
        }
    }

    /// A player acts. Only the session that has the player may; a player that has just crossed a
    /// border acts in its new zone.
    fn on_act(&mut self, player: PlayerId, session: SessionRef, request: u64, action: Action) {
        if self.players.session(player) == Some(session) {
            self.world.apply(Command::Act { player, request, action });
        } else if let Some(zone) = self.players.departed_to(player) {
            self.send_to_zone(zone, ZoneMsg::Act { player, session, request, action });
        } else {
            debug!(%player, "an action of a player who is not here");
        }
    }

    /// Sends to a neighbour; what cannot be delivered is counted and logged, never waited for.
    pub(super) fn send_to_zone(&self, zone: crate::ids::ZoneId, message: ZoneMsg) -> bool {
        let sent = match self.peers.zones.get(zone) {
            Some(outbox) => outbox.send(message).map_err(|problem| problem.to_string()),
            None => Err("no server has it".to_owned()),
        };
        if let Err(problem) = &sent {
            metrics::counter!("throng_refusals_total", "reason" => "zone_inbox_full").increment(1);
            warn!(to = %zone, %problem, "a message to a neighbouring zone was lost");
        }
        sent.is_ok()
    }
}
