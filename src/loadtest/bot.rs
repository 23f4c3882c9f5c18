//! One bot in the world: sends on its schedule, reads what comes, counts.
//!
//! Runs as a task on one of the fleet's threads, whose bots share buffers and counters without a
//! lock. Every so many bots one is a watcher, which decodes everything and keeps an account of
//! what was due to it; the others only count.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::net::TcpStream;

use super::book::Book;
use super::course::{Course, posts};
use super::entry::Inside;
use super::fleet::Run;
use super::ledger::place_key;
use super::options::Scenario;
use super::tally::{Phase, Tally};
use crate::geometry::{Point, Pose, Rect};
use crate::proto::{self, EntityKind, PacketType};
use crate::protocol::packet;
use crate::tick::{now, unix_millis};
use crate::world::entity::Handle;
use crate::world::frame::PackedPosition;

/// Time between two heartbeats, which measure the round trip.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Time between two tries to fight or pick up.
const DEED: Duration = Duration::from_secs(4);
/// Time between two words of a bot that talks in a room, and of one that wanders.
pub(super) const TALK: Duration = Duration::from_secs(2);
const SMALL_TALK: Duration = Duration::from_secs(40);
/// Inputs that are further apart than this are each due; of those closer together the later one
/// may stand for both, as a tick of 50 ms shows only one place.
const DUE_APART: Duration = Duration::from_millis(95);
/// The field, unknown to the server, that pads an echo's request.
const PADDING_FIELD: u32 = 15;

/// What the bots of one thread share.
pub(super) struct Desk {
    pub run: Arc<Run>,
    pub tally: RefCell<Tally>,
    /// Where bytes are read to; what is not a whole packet yet is kept by its bot.
    pub buffer: RefCell<Vec<u8>>,
}

/// Why a bot is done.
pub(super) enum Done {
    /// The run is over.
    End,
    /// The connection is.
    Lost(String),
}

/// One bot.
pub(super) struct Bot {
    pub(super) index: usize,
    pub(super) player: u64,
    pub(super) desk: Rc<Desk>,
    pub(super) stream: TcpStream,
    pub(super) unread: Vec<u8>,
    pub(super) out: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) sent: u64,
    pub(super) at: Point,
    pub(super) bounds: Option<Rect>,
    pub(super) course: Option<Course>,
    pub(super) book: Option<Book>,
    pub(super) in_view: foldhash::HashSet<u64>,
    pub(super) phase: Phase,
    pub(super) settled: bool,
    pub(super) moves: u32,
    pub(super) words: u64,
    pub(super) last_due: Option<Instant>,
    pub(super) rest_until: Instant,
    pub(super) next_heartbeat: Instant,
    pub(super) next_deed: Instant,
    pub(super) next_talk: Instant,
    pub(super) notice: Option<String>,
}

impl Bot {
    /// Takes over the connection of a bot that is in; none if it is encrypted.
    pub(super) fn new(index: usize, desk: Rc<Desk>, inside: Inside) -> Option<Self> {
        let parts = inside.client.into_connection().into_parts()?;
        let start = now();
        // Spread, so that not all do the same at once.
        let share = (index as f64 * 0.618_034).fract();
        let watches = index.is_multiple_of(desk.run.watch_every);
        Some(Self {
            index,
            player: inside.player.player_id,
            stream: parts.stream,
            unread: parts.unread.to_vec(),
            out: Vec::new(),
            payload: Vec::new(),
            sent: parts.sent,
            at: Point { x: inside.player.x, y: inside.player.y },
            bounds: None,
            course: None,
            book: watches.then(Book::new),
            in_view: foldhash::HashSet::default(),
            phase: Phase::Settle,
            settled: false,
            moves: 0,
            words: 0,
            last_due: None,
            rest_until: start,
            next_heartbeat: start + HEARTBEAT.mul_f64(share),
            next_deed: start + DEED.mul_f64(share),
            next_talk: start + SMALL_TALK.mul_f64(share),
            notice: None,
            desk,
        })
    }

    /// Plays until the run is over or the connection is.
    pub(super) async fn play(mut self) -> Done {
        let period = self.period();
        let first = now() + period.mul_f64((self.index as f64 * 0.618_034).fract());
        let mut due = first;
        let timer = tokio::time::sleep_until(due.into());
        tokio::pin!(timer);
        self.take_unread();
        loop {
            tokio::select! {
                biased;
                () = &mut timer => {
                    if let Some(done) = self.change_phase() {
                        return done;
                    }
                    let now = now();
                    if now > due + period && self.phase == Phase::Measure {
                        self.desk.tally.borrow_mut().late += 1;
                    }
                    self.act(now);
                    due += period;
                    timer.as_mut().reset(due.into());
                    if let Err(error) = self.flush() {
                        return self.lost(&error.to_string());
                    }
                }
                ready = self.stream.readable() => {
                    if let Err(error) = ready.and_then(|()| self.read()) {
                        return self.lost(&error.to_string());
                    }
                }
                ready = self.stream.writable(), if !self.out.is_empty() => {
                    if let Err(error) = ready.and_then(|()| self.flush()) {
                        return self.lost(&error.to_string());
                    }
                }
            }
        }
    }

    pub(super) fn scenario(&self) -> Scenario {
        self.desk.run.options.scenario
    }

    /// Time between two moments of the schedule.
    fn period(&self) -> Duration {
        match self.scenario() {
            Scenario::Wander | Scenario::Crowd | Scenario::Echo => {
                Duration::from_secs_f64(1.0 / f64::from(self.desk.run.options.rate))
            }
            Scenario::Chat => TALK / 4,
            Scenario::Idle | Scenario::LoginStorm => Duration::from_millis(500),
        }
    }

    fn lost(&mut self, error: &str) -> Done {
        self.close_book();
        Done::Lost(self.notice.take().unwrap_or_else(|| error.to_owned()))
    }

    /// Sees whether the run has gone on; at its end hands in the account.
    fn change_phase(&mut self) -> Option<Done> {
        let phase = self.desk.run.live.phase();
        if phase == self.phase {
            return None;
        }
        if self.phase < Phase::Measure
            && let Some(book) = &mut self.book
        {
            book.open(&self.desk.run.ledger);
        }
        self.phase = phase;
        if phase == Phase::End {
            self.close_book();
            return Some(Done::End);
        }
        None
    }

    fn close_book(&mut self) {
        let Some(mut book) = self.book.take() else { return };
        if self.phase < Phase::Measure {
            return;
        }
        let (expected, delivered) = book.close(&self.desk.run.ledger);
        let mut tally = self.desk.tally.borrow_mut();
        tally.expected += expected;
        tally.delivered += delivered;
        tally.visible.0 += self.in_view.len() as u64;
        tally.visible.1 += 1;
    }

    // -- out --------------------------------------------------------------------------------------

    /// Does what is due now.
    fn act(&mut self, now: Instant) {
        if now >= self.next_heartbeat && self.scenario() != Scenario::Echo {
            self.next_heartbeat += HEARTBEAT;
            let client_time = self.desk.run.ledger.nanos(now);
            self.send(PacketType::HeartbeatRequest, &proto::HeartbeatRequest { client_time });
        }
        if self.phase >= Phase::Drain {
            return;
        }
        match self.scenario() {
            Scenario::Wander => {
                self.walk(now);
                self.do_deeds(now);
            }
            Scenario::Crowd => self.walk(now),
            Scenario::Chat => self.talk(now),
            Scenario::Echo => self.echo(now),
            Scenario::Idle | Scenario::LoginStorm => self.settle(),
        }
    }

    pub(super) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.desk.run.live.arrived.fetch_add(1, Relaxed);
        }
    }

    fn walk(&mut self, now: Instant) {
        let Some(bounds) = self.bounds else { return };
        if now < self.rest_until {
            return;
        }
        let run = &self.desk.run;
        let (at, index) = (self.at, self.index);
        let course = self.course.get_or_insert_with(|| {
            let (posts, _) = run.posts.get_or_init(|| posts(&run.options, at, &bounds));
            Course::new(at, posts.get(index).copied().unwrap_or(at), index)
        });
        let Pose { at, rotation } = course.step(run.options.rate as f32);
        let arrived = course.arrived();
        self.at = at;
        self.moves = self.moves.wrapping_add(1);
        let pose = Pose { at, rotation };
        let key = place_key(PackedPosition::pack(Handle(0), pose, &bounds));
        let due = self.last_due.is_none_or(|last| now - last >= DUE_APART);
        if due {
            self.last_due = Some(now);
        }
        run.ledger.note(self.index, key, now, due);
        let update = proto::MovementUpdate {
            x: at.x,
            y: at.y,
            rotation,
            sequence: self.moves,
            client_time: unix_millis(),
        };
        self.send(PacketType::MovementUpdate, &update);
        if arrived {
            self.settle();
        }
    }

    /// Fights, picks up and talks a little; watchers only, for they know what is near.
    fn do_deeds(&mut self, now: Instant) {
        if now >= self.next_talk {
            self.next_talk += SMALL_TALK;
            let channel = proto::ChatChannel::ChatNear.into();
            let text = "what a day".to_owned();
            self.send(
                PacketType::ChatSend,
                &proto::ChatSend { channel, target: String::new(), text },
            );
        }
        if now < self.next_deed || !self.settled {
            return;
        }
        self.next_deed = now + DEED;
        let Some(book) = &self.book else { return };
        if let Some(entity_id) = book.nearest(EntityKind::EntityItem, self.at, 2.5) {
            self.send(PacketType::PickUp, &proto::PickUp { entity_id });
        } else if let Some(target_id) = book.nearest(EntityKind::EntityNpc, self.at, 9.0) {
            let action = proto::CombatAction { target_id, view_tick: 0, view_ms: 0 };
            self.send(PacketType::CombatAction, &action);
        }
    }

    /// Talks in its group's room once it is in.
    fn talk(&mut self, now: Instant) {
        let group = self.desk.run.options.group as usize;
        let room = format!("loadtest_{}", self.index / group);
        if !self.settled {
            if now >= self.next_deed {
                self.next_deed = now + Duration::from_secs(1);
                if self.index.is_multiple_of(group) {
                    self.send(PacketType::RoomCreate, &proto::RoomCreate { room: room.clone() });
                }
                let join = proto::RoomJoin { room, player: String::new() };
                self.send(PacketType::RoomJoin, &join);
            }
            return;
        }
        if now < self.next_talk {
            return;
        }
        self.next_talk = now + TALK;
        self.words += 1;
        self.desk.run.ledger.note(self.index, self.words, now, true);
        let (channel, text) = (proto::ChatChannel::ChatRoom.into(), self.words.to_string());
        self.send(PacketType::ChatSend, &proto::ChatSend { channel, target: room, text });
    }

    fn echo(&mut self, now: Instant) {
        self.settle();
        let client_time = self.desk.run.ledger.nanos(now);
        self.payload.clear();
        // Encoding into a vector cannot fail.
        let _ = proto::HeartbeatRequest { client_time }.encode(&mut self.payload);
        let padding = self.desk.run.options.payload as usize;
        prost::encoding::encode_key(
            PADDING_FIELD,
            prost::encoding::WireType::LengthDelimited,
            &mut self.payload,
        );
        prost::encoding::encode_varint(padding as u64, &mut self.payload);
        self.payload.resize(self.payload.len() + padding, 0);
        if self.phase == Phase::Measure {
            self.desk.tally.borrow_mut().expected += 1;
        }
        self.append(PacketType::HeartbeatRequest);
    }

    fn send(&mut self, kind: PacketType, message: &impl Message) {
        self.payload.clear();
        // Encoding into a vector cannot fail.
        let _ = message.encode(&mut self.payload);
        self.append(kind);
    }

    fn append(&mut self, kind: PacketType) {
        self.sent += 1;
        let before = self.out.len();
        packet::append(&mut self.out, kind, self.sent, unix_millis(), &[&self.payload]);
        self.desk.run.live.packets_out.fetch_add(1, Relaxed);
        if self.phase == Phase::Measure {
            let mut tally = self.desk.tally.borrow_mut();
            tally.packets_out += 1;
            tally.bytes_out += (self.out.len() - before) as u64;
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
