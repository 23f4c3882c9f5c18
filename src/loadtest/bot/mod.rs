//! One bot in the world: sends on its schedule, reads what comes, counts.
//!
//! Runs as a task on one of the fleet's threads, whose bots share buffers and counters without a
//! lock. Every so many bots one is a watcher, which decodes everything and keeps an account of
//! what was due to it; the others only count.

mod acts;
mod hears;
mod wire;

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::book::Book;
use super::course::Course;
use super::entry::Inside;
use super::fleet::Run;
use super::options::Scenario;
use super::tally::{Phase, Tally, count};
use crate::geometry::{Point, Rect};
use crate::proto::{LogoutRequest, PacketType};
use crate::tick::now;
use wire::Wire;

/// Time between two heartbeats, which measure the round trip.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Time between two words of a bot that talks in a room.
const TALK: Duration = Duration::from_secs(2);
/// The period of a bot that sends nothing but heartbeats.
const IDLE: Duration = Duration::from_millis(500);
/// An input that goes out so much after its moment is late.
const LATE: Duration = Duration::from_millis(20);
/// How long a bot waits for the answer to its log-out.
const GOODBYE: Duration = Duration::from_secs(5);
/// The golden ratio's share: spreads any number of bots evenly over a circle or a period.
const SPREAD: f64 = 0.618_034;

/// What the bots of one thread share.
pub(super) struct Desk {
    pub run: Arc<Run>,
    pub tally: RefCell<Tally>,
    /// Where bytes are read to; what is not a whole packet yet is kept by its bot.
    pub buffer: RefCell<Vec<u8>>,
}

/// One bot.
pub(super) struct Bot {
    index: usize,
    player: u64,
    desk: Rc<Desk>,
    wire: Wire,
    at: Point,
    bounds: Option<Rect>,
    course: Option<Course>,
    /// A watcher's account.
    book: Option<Book>,
    phase: Phase,
    /// When measuring began, nanoseconds of the ledger.
    measured_from: u64,
    /// In its place, or its room.
    settled: bool,
    moves: u32,
    words: u64,
    last_due: Option<Instant>,
    rest_until: Instant,
    next_heartbeat: Instant,
    next_deed: Instant,
    next_talk: Instant,
    /// The server's parting word.
    notice: Option<String>,
    logged_out: bool,
}

impl Desk {
    /// Counts a fault, whatever the phase.
    pub(super) fn fault(&self, what: &str) {
        self.run.live.errors.fetch_add(1, Relaxed);
        count(&mut self.tally.borrow_mut().errors, what);
    }
}

impl Bot {
    /// Takes over the connection of a bot that is in; none if it is encrypted.
    pub(super) fn new(index: usize, desk: Rc<Desk>, inside: Inside) -> Option<Self> {
        let parts = inside.client.into_connection().into_parts()?;
        let start = now();
        let share = (index as f64 * SPREAD).fract();
        let watches = index.is_multiple_of(desk.run.watch_every);
        Some(Self {
            index,
            player: inside.player.player_id,
            wire: Wire::new(parts),
            at: Point { x: inside.player.x, y: inside.player.y },
            bounds: None,
            course: None,
            book: watches.then(Book::default),
            phase: Phase::Settle,
            measured_from: 0,
            settled: false,
            moves: 0,
            words: 0,
            last_due: None,
            rest_until: start,
            next_heartbeat: start + HEARTBEAT.mul_f64(share),
            next_deed: start + acts::DEED.mul_f64(share),
            next_talk: start + acts::SMALL_TALK.mul_f64(share),
            notice: None,
            logged_out: false,
            desk,
        })
    }

    /// Plays until the run is over or the connection is.
    pub(super) async fn play(mut self) {
        if let Err(error) = self.keep_playing().await {
            self.mourn(&error.to_string());
            // What the others go on sending is due to a watcher that was cut off, too.
            while self.phase < Phase::End && self.book.is_some() {
                tokio::time::sleep(IDLE).await;
                self.change_phase();
            }
            return self.close_book();
        }
        self.close_book();
        // Who doesn't answer in time is left standing; the server sends it away by itself.
        let _ = tokio::time::timeout(GOODBYE, self.log_out()).await;
    }

    /// Counts the lost connection, with the server's parting word if there was one.
    fn mourn(&mut self, error: &str) {
        let live = &self.desk.run.live;
        live.inside.fetch_sub(1, Relaxed);
        live.failed.fetch_add(1, Relaxed);
        if self.settled {
            live.arrived.fetch_sub(1, Relaxed);
        }
        self.desk.fault("lost connection");
        let reason = self.notice.take().unwrap_or_else(|| error.to_owned());
        count(&mut self.desk.tally.borrow_mut().disconnects, &reason);
    }

    async fn keep_playing(&mut self) -> std::io::Result<()> {
        let period = self.period();
        let mut due = now() + period.mul_f64((self.index as f64 * SPREAD).fract());
        let timer = tokio::time::sleep_until(due.into());
        tokio::pin!(timer);
        self.take_unread();
        let desk = self.desk.clone();
        loop {
            tokio::select! {
                biased;
                () = &mut timer => {
                    self.change_phase();
                    if self.phase == Phase::End {
                        return Ok(());
                    }
                    let now = now();
                    self.count_late(now.saturating_duration_since(due), period);
                    self.act(now);
                    self.wire.flush()?;
                    due += period;
                    // The schedule is absolute, but moments that have passed entirely are gone:
                    // a burst of old places would be refused, and is nothing a player sends.
                    while due + period < now {
                        due += period;
                    }
                    timer.as_mut().reset(due.into());
                }
                read = poll_fn(|cx| self.wire.poll_read(&desk.buffer, cx)) => {
                    self.take_read(&desk.buffer.borrow(), read?);
                }
            }
        }
    }

    fn scenario(&self) -> Scenario {
        self.desk.run.options.scenario
    }

    /// Time between two moments of the schedule.
    fn period(&self) -> Duration {
        match self.scenario() {
            Scenario::Wander | Scenario::Crowd | Scenario::Echo => {
                Duration::from_secs_f64(1.0 / f64::from(self.desk.run.options.rate))
            }
            Scenario::Chat => TALK / 4,
            Scenario::Idle | Scenario::LoginStorm => IDLE,
        }
    }

    /// An input that is late counts once, and once more for each that it has swallowed.
    fn count_late(&self, behind: Duration, period: Duration) {
        if self.phase == Phase::Measure && behind > LATE {
            let swallowed = behind.div_duration_f64(period) as u64;
            self.desk.tally.borrow_mut().late += 1 + swallowed.saturating_sub(1);
        }
    }

    /// Sees whether the run has gone on.
    fn change_phase(&mut self) {
        let phase = self.desk.run.live.phase();
        if phase == self.phase {
            return;
        }
        if self.phase < Phase::Measure {
            let ledger = &self.desk.run.ledger;
            self.measured_from = ledger.nanos(now());
            if let Some(book) = &mut self.book {
                book.open(ledger);
            }
        }
        self.phase = phase;
    }

    /// Hands a watcher's account in.
    fn close_book(&mut self) {
        let Some(mut book) = self.book.take() else { return };
        if self.phase < Phase::Measure {
            return;
        }
        let visible = book.in_view();
        let (expected, delivered) = book.close(&self.desk.run.ledger);
        let mut tally = self.desk.tally.borrow_mut();
        tally.expected += expected;
        tally.delivered += delivered;
        tally.visible.0 += visible as u64;
        tally.visible.1 += 1;
    }

    /// Leaves the world, so that no character is left standing about.
    async fn log_out(&mut self) -> std::io::Result<()> {
        self.wire.append(PacketType::LogoutRequest, &LogoutRequest {});
        let desk = self.desk.clone();
        while !self.logged_out {
            self.wire.flush()?;
            let read = poll_fn(|cx| self.wire.poll_read(&desk.buffer, cx)).await?;
            self.take_read(&desk.buffer.borrow(), read);
        }
        Ok(())
    }
}
