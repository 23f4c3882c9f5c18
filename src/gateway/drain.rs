//! The end of a gateway while others live: its clients are sent to them, and go on there with their
//! sessions. Characters stay in the world, presence stays, nothing is released.
//!
//! Runs in the gateway's task. A client is sent off only once its resume token is in the store, a
//! few in each turn so that the others are not stormed, and all within the time that the process
//! has.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use tracing::{info, warn};

use super::Gateway;
use super::denial::Denial;
use super::sessions::Stage;
use super::talk::{ConnRef, ToShard};
use crate::ids::{ServerId, SessionKey};
use crate::msg::login::GameServer;
use crate::proto::DisconnectReason;
use crate::tick::now;

/// The whole drain takes no longer: less than the process waits for it.
const WITHIN: Duration = Duration::from_secs(25);
/// Clients sent off by one beat, ten of which are in a second.
const AT_ONCE: usize = 200;
/// How long the shards have to tell the last clients.
const NOTICE: Duration = Duration::from_millis(200);

/// A drain under way.
pub(super) struct Drain {
    until: Instant,
    waiting: VecDeque<SessionKey>,
    others: Others,
}

/// What is to be done with a session.
enum Turn {
    /// Its client is told, over this connection.
    Now(ConnRef),
    /// It is changing connections.
    Later,
    /// Nobody is connected to be told.
    Nobody,
}

/// The gateways that clients are sent to, each with how many it was given.
struct Others(Vec<(Arc<GameServer>, u32)>);

impl Others {
    /// All but this one. The master leaves out those that drain.
    fn of(servers: &[GameServer], this: ServerId) -> Self {
        let others = servers.iter().filter(|server| server.id != this);
        Self(others.map(|server| (Arc::new(server.clone()), 0)).collect())
    }

    /// The one that will have the smallest share of its room taken.
    fn next(&mut self) -> Option<Arc<GameServer>> {
        let load = |(server, given): &(Arc<GameServer>, u32)| {
            f64::from(server.players.saturating_add(*given)) / f64::from(server.capacity.max(1))
        };
        let least = self.0.iter_mut().min_by(|a, b| load(a).total_cmp(&load(b)))?;
        least.1 += 1;
        Some(least.0.clone())
    }
}

impl Gateway {
    /// The process stops. With no other gateway to go to, clients are told and players leave; then
    /// there is nothing more to wait for.
    pub(super) fn begin_to_drain(&mut self) {
        let others = Others::of(&self.servers, self.shared.server);
        info!(sessions = self.sessions.len(), others = others.0.len(), "gateway drains");
        if others.0.is_empty() {
            self.end_all();
        }
        for key in self.sessions.keys() {
            self.fail_entry(key, Denial::DRAINS);
        }
        let waiting = self.sessions.keys().into();
        self.drain = Some(Drain { until: now() + WITHIN, waiting, others });
    }

    /// There is nowhere else to go.
    fn end_all(&mut self) {
        self.post.all_shards(|| ToShard::EndAll {
            reason: DisconnectReason::DisconnectShutdown,
            message: "the server is shutting down".to_owned(),
            to: None,
        });
        for key in self.sessions.keys() {
            self.release(key);
        }
    }

    /// Several times a second: sends some clients off. Those whose resume token is not stored yet
    /// wait.
    pub(super) async fn send_off_some(&mut self) {
        let Some(mut drain) = self.drain.take() else { return };
        for _ in 0..AT_ONCE.min(drain.waiting.len()) {
            let Some(key) = drain.waiting.pop_front() else { break };
            let Some(turn) = self.turn(key) else { continue };
            if matches!(turn, Turn::Later) || !self.token_is_stored(key).await {
                drain.waiting.push_back(key);
            } else if let Turn::Now(conn) = turn
                && let Some(to) = drain.others.next()
            {
                counter!("throng_redirects_total", "reason" => "drain").increment(1);
                self.tell_conn(conn, ToShard::SendOff { session: key, conn: conn.conn, to });
            }
        }
        self.drain = Some(drain);
    }

    /// What is to be done with a session; none: it is over, or goes on elsewhere.
    fn turn(&self, key: SessionKey) -> Option<Turn> {
        match &self.sessions.get(key)?.stage {
            Stage::Attached { conn } => Some(Turn::Now(*conn)),
            Stage::Reattaching { .. } => Some(Turn::Later),
            Stage::Detached { .. } => Some(Turn::Nobody),
            Stage::Entering(_) | Stage::Displaced { .. } => None,
        }
    }

    /// Whether the store has a session's resume token. If it could not be written, it is tried
    /// again.
    async fn token_is_stored(&mut self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get_mut(key) else { return true };
        let Some(write) = session.token_stored.take_if(|write| write.is_finished()) else {
            return session.token_stored.is_none();
        };
        let stored = matches!(write.await, Ok(true));
        if !stored {
            self.store_token(key);
        }
        stored
    }

    /// Whether all were sent off and no token is on its way back, or the time is over.
    pub(super) fn has_drained(&self, now: Instant) -> bool {
        let Some(drain) = &self.drain else { return false };
        let here =
            |stage: &Stage| matches!(stage, Stage::Attached { .. } | Stage::Reattaching { .. });
        let all_gone = drain.waiting.is_empty()
            && self.tokens == 0
            && !self.sessions.iter().any(|(_, session)| here(&session.stage));
        if now >= drain.until && !all_gone {
            warn!(left = drain.waiting.len(), "the time to drain is over");
        }
        all_gone || now >= drain.until
    }

    /// Tells whoever is still connected, and leaves. Sessions are not released: their clients go
    /// on with them elsewhere.
    pub(super) async fn finish_draining(mut self) {
        let to = self.drain.as_mut().and_then(|drain| drain.others.next());
        if let Some(to) = to {
            self.post.all_shards(|| ToShard::EndAll {
                reason: DisconnectReason::DisconnectDrain,
                message: "this server is going away".to_owned(),
                to: Some(to.clone()),
            });
        }
        tokio::time::sleep(NOTICE).await;
        self.post.send_again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: u64, players: u32, capacity: u32) -> GameServer {
        GameServer {
            id: ServerId(id),
            name: String::new(),
            host: "a".into(),
            port: 1,
            text_port: 2,
            players,
            capacity,
        }
    }

    #[test]
    fn clients_are_dealt_by_the_room_that_is_left() {
        let servers = [server(1, 0, 100), server(2, 50, 100), server(3, 100, 1_000)];
        let mut others = Others::of(&servers, ServerId(1));
        let mut given = [0; 4];
        for _ in 0..640 {
            given[others.next().unwrap().id.0 as usize] += 1;
        }
        assert_eq!(given[1], 0, "never back to oneself");
        // 640 and 150 who are there fill 71.8 % of 1,100 places.
        assert!((20..=23).contains(&given[2]), "{given:?}");
        assert!(Others::of(&servers[..1], ServerId(1)).next().is_none());
    }
}
