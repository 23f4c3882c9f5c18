//! What a shard does about clients that send what they may not, send too much, or stay too long
//! without playing: an answer at most once a second for each rate, a pause in reading, an end.
//!
//! Called from the shard's own thread: `inbound.rs` for each packet that is not taken, `shard.rs` at
//! the end of a turn and once a second. It never looks at a packet's bytes.

use std::time::{Duration, Instant};

use metrics::counter;

use super::GatewayConfig;
use super::inbound::Refused;
use super::session::{Conn, State};
use super::shard::{GatewayService, find};
use crate::limits::{ENTER_WITHIN, ENTERING_MAX};
use crate::net::rate::Class;
use crate::net::{ConnId, Framing, Io};
use crate::proto::DisconnectReason;
use crate::protocol::client::Rejected;
use crate::protocol::server;

/// See [`ENTER_WITHIN`].
const TOO_LONG_OUTSIDE: &str = "enter the world sooner after logging in";

impl GatewayService {
    /// A packet or line is not taken.
    pub(super) fn refuse(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        sequence: u64,
        refused: &Refused,
    ) {
        let answer = (sequence, refused.retry_after_ms);
        match refused.over {
            Some(class) => self.refuse_for_rate(io, conn, class, &refused.rejected, answer),
            None => self.send_error(io, conn, &refused.rejected, answer),
        }
        let strikes = self.shared.config.strikes;
        if refused.strike
            && let Some(client) = self.conn(conn)
            && client.strikes.strike(io.now(), strikes)
        {
            let reason = DisconnectReason::DisconnectProtocol;
            self.send_away(io, conn, reason, "too many packets that are not allowed");
        }
    }

    /// It was too much for a rate: told once a second. Whoever has used up the rate of all packets
    /// is not read from until there is some again.
    fn refuse_for_rate(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        class: Class,
        rejected: &Rejected,
        answer: (u64, u32),
    ) {
        let Some(client) = find(&mut self.conns, conn) else { return };
        if class == Class::General {
            io.pause(conn, client.rates.refilled(&self.shared.rates, io.now()));
        }
        match client.withheld.refuse(class, io.now()) {
            None => {}
            Some(0) => self.send_error(io, conn, rejected, answer),
            Some(others) => {
                let message = format!("{}; {others} others were not answered", rejected.message);
                self.send_error(io, conn, &Rejected::new(rejected.code, message), answer);
            }
        }
    }

    /// Sends ERROR; `answer`: to which sequence, and when to try again, ms.
    pub(super) fn send_error(
        &mut self,
        io: &mut Io<'_>,
        conn: ConnId,
        rejected: &Rejected,
        (in_reply_to, retry_after_ms): (u64, u32),
    ) {
        self.traffic.refused(rejected.code);
        let Rejected { code, message } = rejected;
        self.send_now(io, conn, &server::error(*code, message, in_reply_to, retry_after_ms));
    }

    /// Nothing more is read of a client for now, and so many of its packets wait already.
    pub(super) fn on_held_back(&mut self, io: &mut Io<'_>, conn: ConnId, waiting: usize) {
        if self.shared.rates.is_flood(waiting) {
            counter!("throng_floods_closed_total").increment(1);
            let reason = DisconnectReason::DisconnectProtocol;
            self.send_away(io, conn, reason, "more than ten times as many packets as are allowed");
        }
    }

    /// The account has logged in on newer connections: one that has not entered has to go. One that
    /// is about to enter is decided by whoever decides that.
    pub(super) fn on_outnumbered(&mut self, io: &mut Io<'_>, conn: ConnId) {
        if self.conn(conn).is_some_and(|conn| matches!(conn.state, State::Authenticated)) {
            let reason = DisconnectReason::DisconnectLoggedInElsewhere;
            self.send_away(io, conn, reason, "the account has logged in on newer connections");
        }
    }

    /// Once a second: sends those away who waited too long with something.
    pub(super) fn end_overdue(&mut self, io: &mut Io<'_>, now: Instant) {
        let (late, config) = (self.conns.iter().flatten(), &self.shared.config);
        let late: Vec<(ConnId, &str)> =
            late.filter_map(|conn| Some((conn.id, overdue(config, conn, now)?))).collect();
        for (conn, message) in late {
            self.contain(io, Some(conn), |service, io| {
                service.send_away(io, conn, DisconnectReason::DisconnectTimeout, message);
            });
        }
    }
}

/// What a connection waited too long with, as it is told.
fn overdue(config: &GatewayConfig, conn: &Conn, now: Instant) -> Option<&'static str> {
    let passed = |since: Instant, most: Duration| now.saturating_duration_since(since) > most;
    let entering = |most| conn.logged_in.is_some_and(|at| passed(at, most));
    let (too_long, words) = match conn.state {
        State::Closing => return None,
        State::Fresh => {
            let within = Duration::from_secs(config.auth_seconds);
            (passed(conn.opened, within), "log in sooner after connecting")
        }
        State::Authenticated => (entering(ENTER_WITHIN), TOO_LONG_OUTSIDE),
        State::Waiting { authenticated: true } => (entering(ENTERING_MAX), TOO_LONG_OUTSIDE),
        State::Waiting { authenticated: false } | State::InWorld(_) => (false, ""),
    };
    if too_long {
        return Some(words);
    }
    let idle = match conn.peer.framing {
        Framing::Length => Duration::from_secs(config.dead_seconds),
        Framing::Lines => Duration::from_secs(config.text_idle_seconds),
    };
    passed(conn.heard, idle).then_some("nothing was heard from you for too long")
}

#[cfg(test)]
mod tests {
    use super::super::outlet::Outlet;
    use super::super::pace::Strikes;
    use super::*;
    use crate::net::Peer;
    use crate::net::rate::{RateGate, Withheld};

    fn conn(state: State, now: Instant) -> Conn {
        let address = [127, 0, 0, 1].into();
        Conn {
            id: ConnId(1),
            peer: Peer { address, framing: Framing::Length },
            opened: now,
            heard: now,
            logged_in: None,
            received: 0,
            strikes: Strikes::default(),
            rates: RateGate::new(now),
            withheld: Withheld::default(),
            state,
            outlet: Outlet::new(None, 0, false, std::rc::Rc::default()),
            pending: Vec::new(),
            answered: false,
        }
    }

    #[test]
    fn who_logs_in_has_a_minute_to_enter_however_often_it_is_heard() {
        let (config, start) = (GatewayConfig::default(), crate::tick::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (state, last) in
            [(State::Authenticated, 60), (State::Waiting { authenticated: true }, 75)]
        {
            let mut conn = conn(state, start);
            conn.logged_in = Some(start);
            for second in 1..=last {
                conn.heard = at(second);
                assert_eq!(overdue(&config, &conn, at(second)), None, "{second}");
            }
            conn.heard = at(last + 1);
            assert_eq!(overdue(&config, &conn, at(last + 1)), Some(TOO_LONG_OUTSIDE));
            conn.forgive(Duration::from_secs(30));
            assert_eq!(overdue(&config, &conn, at(last + 30)), None);
        }
    }

    #[test]
    fn the_silent_and_the_fresh_have_times_of_their_own() {
        let (config, start) = (GatewayConfig::default(), crate::tick::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let fresh = conn(State::Fresh, start);
        assert_eq!(overdue(&config, &fresh, at(10)), None);
        assert_eq!(overdue(&config, &fresh, at(11)), Some("log in sooner after connecting"));
        let waiting = conn(State::Waiting { authenticated: false }, start);
        assert_eq!(overdue(&config, &waiting, at(25)), None);
        assert!(overdue(&config, &waiting, at(26)).is_some(), "silent");
        assert_eq!(overdue(&config, &conn(State::Closing, start), at(99)), None);
    }
}
