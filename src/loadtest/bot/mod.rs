//! One bot in the world: sends on its schedule, reads what comes, counts.
//!
//! Driven by its crew (`crew.rs`), whose bots share buffers and counters without a lock. Every so
//! many bots one is a watcher, which decodes everything and keeps an account of what was due to it;
//! the others only count.

mod acts;
mod fights;
mod hears;
mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::book::Book;
use super::course::Course;
use super::entry::Arrived;
use super::fleet::Run;
use super::options::Scenario;
use super::tally::{Phase, Tally, count, note};
use crate::geometry::{Point, Rect};
use crate::proto::{LogoutRequest, PacketType};
use crate::tick::now;
use wire::Wire;

/// Time between two heartbeats, which measure the round trip.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The period of a bot that sends nothing but heartbeats.
const IDLE: Duration = Duration::from_millis(500);
/// An input that goes out so much after its moment is late.
const LATE: Duration = Duration::from_millis(20);
/// How long a bot waits for the answer to its log-out.
const GOODBYE: Duration = Duration::from_secs(5);
/// The golden ratio's share: spreads any number of bots evenly over a circle or a period.
const SPREAD: f64 = 0.618_034;

/// Packets out and in, updates in, bytes in, and entities that came into view.
pub(super) type Moved = [u64; 5];

/// What the bots of one thread share.
pub(super) struct Desk {
    pub run: Arc<Run>,
    pub tally: RefCell<Tally>,
    /// Where the run stands, as the crew saw it last.
    pub phase: Cell<Phase>,
    /// Half of the measured time has passed.
    pub second_half: Cell<bool>,
    /// What has moved in the whole run.
    pub moved: Cell<Moved>,
}

/// How far a bot is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stage {
    Playing,
    /// Cut off; what the others go on sending is due to a watcher all the same.
    Lost,
    /// Has asked for its log-out.
    Leaving,
    Gone,
}

/// One bot.
pub(super) struct Bot {
    index: usize,
    player: u64,
    desk: Rc<Desk>,
    wire: Wire,
    stage: Stage,
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
    /// Stops reading halfway through.
    slow: bool,
    moves: u32,
    words: u64,
    last_due: Option<Instant>,
    /// A watcher's last positions: zone, tick, and when they came.
    last_sync: Option<(u32, u64, u64)>,
    rest_until: Instant,
    next_heartbeat: Instant,
    next_deed: Instant,
    next_talk: Instant,
    /// The server's parting word.
    notice: Option<String>,
}

impl Desk {
    /// Nothing counted yet.
    pub(super) fn new(run: Arc<Run>) -> Self {
        Self {
            tally: RefCell::default(),
            phase: Cell::new(run.live.phase()),
            second_half: Cell::new(false),
            moved: Cell::default(),
            run,
        }
    }

    /// Counts a fault, whatever the phase.
    pub(super) fn fault(&self, what: &str) {
        self.run.live.errors.fetch_add(1, Relaxed);
        count(&mut self.tally.borrow_mut().errors, what);
    }

    /// Adds to what has moved.
    fn add_moved(&self, more: Moved) {
        let mut moved = self.moved.get();
        moved.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        self.moved.set(moved);
    }
}

impl Bot {
    /// A bot that has just come in.
    pub(super) fn new(desk: Rc<Desk>, arrived: Arrived) -> Self {
        let Arrived { index, player, stream, unread, sent } = arrived;
        let start = now();
        let share = (index as f64 * SPREAD).fract();
        // The slow ones are the last of all, spread over no group in particular.
        let slow = index + desk.run.options.slow as usize >= desk.run.options.clients as usize;
        let watches = index.is_multiple_of(desk.run.watch_every) && !slow;
        let wire = Wire::new(stream, unread, sent);
        if slow {
            wire.narrow();
        }
        if let Some(mine) = desk.run.players.get(index) {
            mine.store(player.player_id, Relaxed);
        }
        Self {
            index,
            player: player.player_id,
            wire,
            stage: Stage::Playing,
            at: Point { x: player.x, y: player.y },
            bounds: None,
            course: None,
            book: watches.then(Book::default),
            phase: Phase::Settle,
            measured_from: 0,
            settled: false,
            slow,
            moves: 0,
            words: 0,
            last_due: None,
            last_sync: None,
            rest_until: start,
            next_heartbeat: start + HEARTBEAT.mul_f64(share),
            next_deed: start + acts::DEED.mul_f64(share),
            next_talk: start + acts::SMALL_TALK.mul_f64(share),
            notice: None,
            desk,
        }
    }

    /// Joins the crew's event queue.
    ///
    /// # Errors
    /// The system has no room in it.
    pub(super) fn begin(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.wire.register(registry, token)?;
        self.take_unread();
        Ok(())
    }

    /// When it does something for the first time.
    pub(super) fn first_moment(&self) -> Instant {
        now() + self.period().mul_f64((self.index as f64 * SPREAD).fract())
    }

    /// Its moment, which was `due`, has come. Gives the next one; none: it is gone for good.
    pub(super) fn turn(&mut self, due: Instant, now: Instant) -> Option<Instant> {
        self.change_phase(now);
        let over = self.phase == Phase::End;
        match self.stage {
            // A server of the run's own goes with its world: nobody need be put away there.
            Stage::Playing if over && self.desk.run.options.start => {
                self.close_book();
                None
            }
            Stage::Playing if over => {
                self.close_book();
                self.stage = Stage::Leaving;
                self.wire.append(PacketType::LogoutRequest, &LogoutRequest {});
                // Who gets no answer in time is left standing; the server sends it away by itself.
                self.wire.flush().ok().map(|()| now + GOODBYE)
            }
            Stage::Playing => {
                let period = self.period();
                self.count_late(now.saturating_duration_since(due), period);
                self.act(now);
                if let Err(error) = self.wire.flush() {
                    self.mourn(&error);
                }
                Some(next_moment(due, period, now))
            }
            Stage::Lost if over => {
                self.close_book();
                None
            }
            Stage::Lost => Some(now + IDLE),
            Stage::Leaving | Stage::Gone => None,
        }
    }

    /// Its socket has something, or takes something again. False: it is gone for good.
    pub(super) fn on_event(&mut self, closed: bool, buffer: &mut [u8]) -> bool {
        let outcome = match self.stage {
            Stage::Lost | Stage::Gone => return true,
            Stage::Playing | Stage::Leaving => self.exchange(closed, buffer),
        };
        match (outcome, self.stage) {
            (Err(_), Stage::Leaving) => return false,
            (Err(error), _) => self.mourn(&error),
            (Ok(()), _) => {}
        }
        self.stage != Stage::Gone
    }

    /// Writes what has waited and reads all that is there.
    fn exchange(&mut self, closed: bool, buffer: &mut [u8]) -> io::Result<()> {
        self.wire.flush()?;
        if self.slow && self.desk.second_half.get() && self.stage == Stage::Playing {
            return Ok(());
        }
        loop {
            let Some(read) = self.wire.read(buffer)? else { return Ok(()) };
            self.take_read(&buffer[..read]);
            // A part-filled buffer means an empty socket, which saves a call for each packet.
            if self.stage == Stage::Gone || read < buffer.len() && !closed {
                return Ok(());
            }
        }
    }

    /// Counts the lost connection, with the server's parting word if there was one.
    fn mourn(&mut self, error: &io::Error) {
        self.stage = if self.book.is_some() { Stage::Lost } else { Stage::Gone };
        if self.slow && self.desk.second_half.get() {
            return;
        }
        let live = &self.desk.run.live;
        live.inside.fetch_sub(1, Relaxed);
        live.failed.fetch_add(1, Relaxed);
        if self.settled {
            live.arrived.fetch_sub(1, Relaxed);
        }
        self.desk.fault("lost connection");
        let reason = self.notice.take().unwrap_or_else(|| error.to_string());
        count(&mut self.desk.tally.borrow_mut().disconnects, &reason);
    }

    fn scenario(&self) -> Scenario {
        self.desk.run.options.scenario
    }

    /// Time between two moments of the schedule.
    fn period(&self) -> Duration {
        match self.scenario() {
            Scenario::Wander
            | Scenario::Walk
            | Scenario::Crowd
            | Scenario::Fight
            | Scenario::Echo => {
                Duration::from_secs_f64(1.0 / f64::from(self.desk.run.options.rate))
            }
            Scenario::Idle if !self.settled => {
                Duration::from_secs_f64(1.0 / f64::from(self.desk.run.options.rate))
            }
            Scenario::Chat => self.talk_period() / 4,
            Scenario::Idle | Scenario::LoginStorm | Scenario::EntryStorm | Scenario::Hostile => {
                IDLE
            }
        }
    }

    /// Time between two words of a bot that talks in a room.
    fn talk_period(&self) -> Duration {
        Duration::from_secs(self.desk.run.options.talk_every.into())
    }

    /// An input that is late counts once, and once more for each that it has swallowed.
    fn count_late(&self, behind: Duration, period: Duration) {
        if self.phase == Phase::Measure && behind > LATE {
            let swallowed = behind.div_duration_f64(period) as u64;
            self.desk.tally.borrow_mut().late += 1 + swallowed.saturating_sub(1);
        }
    }

    /// Sees whether the run has gone on.
    fn change_phase(&mut self, now: Instant) {
        let phase = self.desk.phase.get();
        if phase == self.phase {
            return;
        }
        if self.phase < Phase::Measure {
            let ledger = &self.desk.run.ledger;
            self.measured_from = ledger.nanos(now);
            if let Some(book) = &mut self.book {
                book.open(self.measured_from, ledger);
            }
        }
        if phase >= Phase::Drain
            && self.phase < Phase::Drain
            && let Some(book) = &self.book
        {
            let mut tally = self.desk.tally.borrow_mut();
            tally.visible.0 += book.in_view() as u64;
            tally.visible.1 += 1;
        }
        self.phase = phase;
    }

    /// Hands a watcher's account in.
    fn close_book(&mut self) {
        let Some(mut book) = self.book.take() else { return };
        if self.phase < Phase::Measure {
            return;
        }
        let ledger = &self.desk.run.ledger;
        let oldest = book.oldest(ledger.nanos(now()), ledger);
        let (expected, delivered) = book.close(ledger);
        let mut tally = self.desk.tally.borrow_mut();
        if oldest > 0 && self.desk.run.options.moves() {
            note(&mut tally.age, Duration::from_nanos(oldest));
        }
        tally.expected += expected;
        tally.delivered += delivered;
    }
}

/// The schedule is absolute, but moments that have passed entirely are gone: a burst of old places
/// would be refused, and is nothing a player sends.
fn next_moment(due: Instant, period: Duration, now: Instant) -> Instant {
    let mut next = due + period;
    while next + period < now {
        next += period;
    }
    next
}
