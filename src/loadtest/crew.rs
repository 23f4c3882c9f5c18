//! One thread's bots: an event loop over their sockets and their schedules, without a task, a timer
//! or a wake-up for each.
//!
//! Newcomers come from the thread at the door. A bot's moment is late by a millisecond at most,
//! which is what the event queue's clock is good for.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token};

use super::bot::{Bot, Desk, Moved};
use super::entry::Arrived;
use super::fleet::Run;
use super::tally::Tally;
use crate::tick::now;

/// Bytes that a bot reads at once.
const READ_BUFFER: usize = 64 * 1024;
/// Events that are taken at once.
const EVENTS: usize = 1_024;
/// The longest that a crew sleeps: it must see when the run goes on.
const LOOK_UP: Duration = Duration::from_millis(50);
/// What wakes a crew when somebody has come in.
pub(super) const DOORBELL: Token = Token(usize::MAX);

/// A thread's bots.
pub(super) struct Crew {
    desk: Rc<Desk>,
    poll: Poll,
    newcomers: Receiver<Arrived>,
    door_open: bool,
    bots: Vec<Option<Bot>>,
    alive: usize,
    /// Each bot's next moment, the soonest first.
    moments: BinaryHeap<Reverse<(Instant, usize)>>,
    buffer: Vec<u8>,
    told: Moved,
}

impl Crew {
    /// Nobody yet.
    pub(super) fn new(run: Arc<Run>, poll: Poll, newcomers: Receiver<Arrived>) -> Self {
        Self {
            desk: Rc::new(Desk::new(run)),
            poll,
            newcomers,
            door_open: true,
            bots: Vec::new(),
            alive: 0,
            moments: BinaryHeap::new(),
            buffer: vec![0; READ_BUFFER],
            told: Moved::default(),
        }
    }

    /// Plays until the run is over and everybody has left.
    ///
    /// # Errors
    /// The event queue failed.
    pub(super) fn play(mut self) -> io::Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        while self.door_open || self.alive > 0 {
            self.look_up();
            if self.door_open {
                self.let_in();
            }
            let next = self.do_what_is_due();
            let wait = next.map_or(LOOK_UP, |at| at.saturating_duration_since(now()).min(LOOK_UP));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if event.token() != DOORBELL {
                    self.on_event(event);
                }
            }
        }
        self.look_up();
        Ok(self.desk.tally.take())
    }

    /// Sees whether the run has gone on, and tells the progress line what has moved.
    fn look_up(&mut self) {
        let live = &self.desk.run.live;
        self.desk.phase.set(live.phase());
        self.desk.second_half.set(live.second_half.load(Relaxed));
        let moved = self.desk.moved.get();
        let counters = [
            &live.packets_out,
            &live.packets_in,
            &live.updates_in,
            &live.bytes_in,
            &live.enters_in,
        ];
        for ((counter, now), told) in counters.into_iter().zip(moved).zip(self.told) {
            if now > told {
                counter.fetch_add(now - told, Relaxed);
            }
        }
        self.told = moved;
    }

    fn let_in(&mut self) {
        loop {
            match self.newcomers.try_recv() {
                Ok(arrived) => self.take_in(arrived),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    self.door_open = false;
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, arrived: Arrived) {
        let place = self.bots.len();
        let mut bot = Bot::new(self.desk.clone(), arrived);
        if let Err(error) = bot.begin(self.poll.registry(), Token(place)) {
            return self.desk.fault(&format!("entry: {error}"));
        }
        self.moments.push(Reverse((bot.first_moment(), place)));
        self.bots.push(Some(bot));
        self.alive += 1;
    }

    /// Gives when the next moment is.
    fn do_what_is_due(&mut self) -> Option<Instant> {
        let now = now();
        while let Some(Reverse((due, place))) = self.moments.peek().copied() {
            if due > now {
                return Some(due);
            }
            self.moments.pop();
            let Some(bot) = &mut self.bots[place] else { continue };
            match bot.turn(due, now) {
                Some(next) => self.moments.push(Reverse((next, place))),
                None => self.dismiss(place),
            }
        }
        None
    }

    fn on_event(&mut self, event: &Event) {
        let place = event.token().0;
        let Some(Some(bot)) = self.bots.get_mut(place) else { return };
        if !bot.on_event(event.is_read_closed(), &mut self.buffer) {
            self.dismiss(place);
        }
    }

    fn dismiss(&mut self, place: usize) {
        if self.bots[place].take().is_some() {
            self.alive -= 1;
        }
    }
}
