//! What comes into a zone: its inbox, drained at the start of each tick.

use tracing::debug;

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
            ZoneMsg::Unwatch { gateway } => self.sync.unwatch(gateway),
            ZoneMsg::Enter { player, session, ticket } => self.on_enter(player, session, ticket),
            ZoneMsg::Leave { player, session } => self.on_leave(player, session),
            ZoneMsg::Arrive { transfer, from, owner: _, handover, session } => {
                self.on_arrive(transfer, from, handover, session);
            }
            ZoneMsg::Arrived { player, handover: _ } => self.on_arrived(player),
            ZoneMsg::NotArrived { player, handover: _, certain: _ } => {
                debug!(%player, "a neighbour has not taken a player");
            }
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
            // Worth nothing later: dropped, and counted, if the neighbour has no room.
            let _ = self.post.zone_now(zone, ZoneMsg::Act { player, session, request, action });
        } else {
            debug!(%player, "an action of a player who is not here");
        }
    }
}
