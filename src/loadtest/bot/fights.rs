//! How bots fight, and what they must hear of it: of each blow both who deals it and who gets it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Bot;
use crate::loadtest::options::Scenario;
use crate::loadtest::scan;
use crate::loadtest::tally::Phase;
use crate::proto::{CombatAction, ErrorCode, EventKind, PacketType};

/// Time between two blows of a bot: a little more than the game allows.
const BLOWS_APART: Duration = Duration::from_millis(600);

impl Bot {
    /// Strikes somebody, each time another one; only while it is measured, so that every blow that
    /// is heard of was counted.
    pub(super) fn fight(&mut self, now: Instant) {
        if self.phase != Phase::Measure || now < self.next_deed {
            return;
        }
        self.next_deed = now + BLOWS_APART;
        let run = self.desk.run.clone();
        let count = run.players.len();
        self.words += 1;
        let next = self.index + 1 + self.words as usize % (count - 1).max(1);
        let target_id = run.players[next % count].load(Relaxed);
        if target_id == 0 || target_id == self.player {
            return;
        }
        self.send(PacketType::CombatAction, &CombatAction { target_id, view_tick: 0, view_ms: 0 });
        self.desk.tally.borrow_mut().own_due += 2;
    }

    /// The server has not let it strike: nobody will hear of that blow.
    pub(super) fn on_blow_refused(&mut self, code: ErrorCode) {
        if self.desk.run.options.scenario == Scenario::Fight && code != ErrorCode::ErrorDead {
            let mut tally = self.desk.tally.borrow_mut();
            tally.own_due = tally.own_due.saturating_sub(2);
        }
    }

    /// Something has happened.
    pub(super) fn on_game_event(&mut self, payload: &[u8]) {
        let (kind, actor, target) =
            (scan::number(payload, 2), scan::number(payload, 6), scan::number(payload, 7));
        let mut tally = self.desk.tally.borrow_mut();
        tally.events_in += u64::from(self.desk.phase.get() == Phase::Measure);
        // Whoever is struck may not know yet that it is measured.
        let own = actor == self.player || target == self.player;
        if own && kind == EventKind::EventPlayerAttack as u64 {
            tally.own_came += 1;
        }
    }
}
