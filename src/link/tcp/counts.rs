//! What links count, with the handles kept: they are touched for every message.

use metrics::{Counter, Histogram, counter, histogram};

/// Why a message did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Droppable, and there is no connection.
    Down,
    /// Droppable, and too much waits for the connection.
    Congested,
    /// Reliable, and too much waits for the other process; the sender has it back.
    LogFull,
    /// Over the largest frame.
    TooLarge,
    /// Droppable, and its inbox here is full.
    InboxFull,
    /// Its inbox is not here.
    NoInbox,
    /// Its body cannot be decoded.
    Undecodable,
    /// It is not its source's to say.
    Misfit,
}

/// Counters of this process's links; all links share them.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub reliable_out: Counter,
    pub droppable_out: Counter,
    pub bytes_out: Counter,
    pub bytes_in: Counter,
    pub reliable_in: Counter,
    pub droppable_in: Counter,
    pub resent: Counter,
    pub repeated: Counter,
    pub round_trip: Histogram,
    down: Counter,
    congested: Counter,
    log_full: Counter,
    too_large: Counter,
    inbox_full: Counter,
    no_inbox: Counter,
    undecodable: Counter,
    misfit: Counter,
}

impl Counts {
    pub(super) fn new() -> Self {
        let dropped =
            |reason: &'static str| counter!("throng_link_drops_total", "reason" => reason);
        let messages = |direction: &'static str, kind: &'static str| counter!("throng_link_messages_total", "direction" => direction, "kind" => kind);
        let bytes =
            |direction: &'static str| counter!("throng_link_bytes_total", "direction" => direction);
        Self {
            reliable_out: messages("out", "reliable"),
            droppable_out: messages("out", "droppable"),
            bytes_out: bytes("out"),
            bytes_in: bytes("in"),
            reliable_in: messages("in", "reliable"),
            droppable_in: messages("in", "droppable"),
            resent: counter!("throng_link_resends_total"),
            repeated: counter!("throng_link_repeats_total"),
            round_trip: histogram!("throng_link_round_trip_seconds"),
            down: dropped("down"),
            congested: dropped("congested"),
            log_full: dropped("log_full"),
            too_large: dropped("too_large"),
            inbox_full: dropped("inbox_full"),
            no_inbox: dropped("no_inbox"),
            undecodable: dropped("undecodable"),
            misfit: counter!("throng_refusals_total", "reason" => "wrong_source"),
        }
    }

    pub(super) fn dropped(&self, why: Dropped) {
        let counter = match why {
            Dropped::Down => &self.down,
            Dropped::Congested => &self.congested,
            Dropped::LogFull => &self.log_full,
            Dropped::TooLarge => &self.too_large,
            Dropped::InboxFull => &self.inbox_full,
            Dropped::NoInbox => &self.no_inbox,
            Dropped::Undecodable => &self.undecodable,
            Dropped::Misfit => &self.misfit,
        };
        counter.increment(1);
    }
}
