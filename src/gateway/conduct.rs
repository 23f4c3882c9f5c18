//! Limits are the player's, not the connection's: what was used up on one goes along to the next, here
//! or at another gateway.
//!
//! A shard tells it when a connection ends and when a mute begins; the session manager keeps it for a
//! while, tells the master, and hands it on to whichever connection has the player by then.

use super::Gateway;
use super::session::Conn;
use super::sessions::Stage;
use super::shard::{GatewayService, find};
use super::talk::{ConnRef, FromShard, ToShard};
use crate::ids::{PlayerId, SessionKey};
use crate::msg::{Conduct, MasterMsg};
use crate::net::ConnId;
use crate::tick::now;

impl Gateway {
    /// A shard tells what a player has used up over a connection.
    pub(super) fn on_conduct_here(&mut self, player: PlayerId, from: ConnRef, conduct: Conduct) {
        let gateway = self.shared.server;
        self.post.master(MasterMsg::Conduct { player, gateway, conduct: conduct.clone() });
        self.take_conduct(player, Some(from), conduct);
    }

    /// The master tells it of another gateway's.
    pub(super) fn on_conduct(&mut self, player: PlayerId, conduct: Conduct) {
        self.take_conduct(player, None, conduct);
    }

    fn take_conduct(&mut self, player: PlayerId, from: Option<ConnRef>, conduct: Conduct) {
        self.conducts.keep(player, conduct.clone(), now());
        let plays_elsewhere = self.sessions.iter().find_map(|(key, session)| match session.stage {
            Stage::Attached { conn } if session.player == player && Some(conn) != from => {
                Some((key, conn))
            }
            _ => None,
        });
        if let Some((session, conn)) = plays_elsewhere {
            self.post.shard(conn.shard, ToShard::Conduct { session, conduct });
        }
    }
}

impl Conn {
    /// Goes on with what was used up on another connection.
    pub(super) fn take_on(&mut self, conduct: &Conduct, now: std::time::Instant) {
        self.rates.take_on(conduct, now);
        self.strikes.take_on(&conduct.strikes, now);
    }
}

impl GatewayService {
    /// A player's connection ends, or its player is muted from now on: whoever has it next knows.
    pub(super) fn tell_conduct(&mut self, conn: ConnId, now: std::time::Instant) {
        let from = ConnRef { shard: self.index, conn };
        let Some(client) = self.conn(conn) else { return };
        let Some(player) = client.playing().map(|playing| playing.player) else { return };
        let mut conduct = client.rates.conduct(now);
        conduct.strikes = client.strikes.ages(now);
        if conduct.matters() {
            self.report(FromShard::Conduct { player, conn: from, conduct });
        }
    }

    /// A message of a player was refused: if that has muted it, other connections must know. Gives
    /// whether it has.
    pub(super) fn look_for_mute(&mut self, conn: ConnId) -> bool {
        let Some(client) = find(&mut self.conns, conn) else { return false };
        let now = client.heard;
        let muted = client.rates.is_muted(now);
        let Some(playing) = client.playing() else { return false };
        let begins = muted && !std::mem::replace(&mut playing.muted, muted);
        if begins {
            self.tell_conduct(conn, now);
        }
        begins
    }

    pub(super) fn on_conduct(
        &mut self,
        session: SessionKey,
        conduct: &Conduct,
        now: std::time::Instant,
    ) {
        if let Some(client) = self.session_conn(session) {
            client.take_on(conduct, now);
        }
    }
}
