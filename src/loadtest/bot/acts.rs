//! What a bot does when its moment has come.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use prost::Message;

use super::{Bot, HEARTBEAT};
use crate::geometry::Pose;
use crate::loadtest::course::{Course, Posts};
use crate::loadtest::ledger::place_key;
use crate::loadtest::options::Scenario;
use crate::loadtest::tally::Phase;
use crate::proto::{self, EntityKind, PacketType};
use crate::tick::{TICK, unix_millis};
use crate::world::entity::Handle;
use crate::world::frame::PackedPosition;

/// Time between two tries to fight or pick up.
pub(super) const DEED: Duration = Duration::from_secs(4);
/// Time between two words of a bot that wanders.
pub(super) const SMALL_TALK: Duration = Duration::from_secs(40);
/// Inputs that are further apart than this are each due; of those closer together the later one
/// may stand for both, for a tick shows only one place: a tick and a half.
const DUE_APART: Duration = TICK.saturating_add(Duration::from_millis(TICK.as_millis() as u64 / 2));
/// Time between two tries to come into the room.
const KNOCK: Duration = Duration::from_secs(1);
/// From how near a bot takes things and strikes, m; a little less than the server allows.
const PICK_UP_REACH: f32 = 2.5;
const ATTACK_REACH: f32 = 9.0;

impl Bot {
    /// Does what is due now.
    pub(super) fn act(&mut self, now: Instant) {
        if self.phase >= Phase::Drain {
            return;
        }
        if now >= self.next_heartbeat && self.scenario() != Scenario::Echo {
            self.next_heartbeat += HEARTBEAT;
            self.beat(now, 0);
        }
        match self.scenario() {
            Scenario::Wander => {
                self.walk(now);
                self.do_deeds(now);
            }
            Scenario::Walk | Scenario::Crowd => self.walk(now),
            Scenario::Fight => {
                self.walk(now);
                self.fight(now);
            }
            Scenario::Idle if !self.settled => self.walk(now),
            Scenario::Chat => self.talk(now),
            Scenario::Echo => {
                self.settle();
                self.beat(now, self.desk.run.options.payload);
            }
            Scenario::Idle | Scenario::LoginStorm | Scenario::EntryStorm | Scenario::Hostile => {}
        }
    }

    /// In its place.
    pub(super) fn settle(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.desk.run.live.arrived.fetch_add(1, Relaxed);
        }
    }

    /// Whether the answers to heartbeats are what this scenario is about.
    pub(super) fn awaits_beats(&self) -> bool {
        matches!(self.scenario(), Scenario::Echo | Scenario::Idle)
    }

    /// Sends a heartbeat, padded to a frame of so many bytes.
    fn beat(&mut self, now: Instant, bytes: u32) {
        let client_time = self.desk.run.ledger.nanos(now);
        let message = proto::HeartbeatRequest { client_time };
        let kind = PacketType::HeartbeatRequest;
        let sent = self.wire.append_sized(kind, &message, bytes as usize);
        self.count_sent(sent, false);
        if self.phase == Phase::Measure && self.awaits_beats() {
            self.desk.tally.borrow_mut().expected += 1;
        }
    }

    fn walk(&mut self, now: Instant) {
        let Some(bounds) = self.bounds else { return };
        if now < self.rest_until {
            return;
        }
        let run = self.desk.run.clone();
        let (at, index) = (self.at, self.index);
        let course = self.course.get_or_insert_with(|| {
            let posts = run.posts.get_or_init(|| {
                let middle = run.door.middle().filter(|middle| bounds.contains(*middle));
                Posts::around(&run.options, middle.unwrap_or(at), &bounds)
            });
            let post = posts.places.get(index).copied().unwrap_or(at);
            Course::new(at, post, index, run.options.hurry)
        });
        let pose = course.step(run.options.rate as f32);
        let arrived = course.arrived();
        let Pose { at, rotation } = pose;
        self.moves = self.moves.wrapping_add(1);
        let update = proto::MovementUpdate {
            x: at.x,
            y: at.y,
            rotation,
            sequence: self.moves,
            client_time: unix_millis(),
        };
        // Noted even if it cannot go out: a server that does not read shows nobody anything.
        self.at = at;
        let key = place_key(PackedPosition::pack(Handle(0), pose, &bounds));
        // One that stops reading will be cut, and what it says then is due to nobody.
        let cut = self.slow && self.desk.second_half.get();
        let due = !cut && self.last_due.is_none_or(|last| now - last >= DUE_APART);
        if due {
            self.last_due = Some(now);
        }
        run.ledger.note(self.index, key, now, due);
        let sent = self.wire.append(PacketType::MovementUpdate, &update);
        self.count_sent(sent, true);
        if arrived {
            self.settle();
        }
    }

    /// Talks a little, and if it is a watcher, which knows what is near, fights and picks up.
    fn do_deeds(&mut self, now: Instant) {
        if now >= self.next_talk {
            self.next_talk += SMALL_TALK;
            let channel = proto::ChatChannel::ChatNear.into();
            let (target, text) = (String::new(), "what a day".to_owned());
            self.send(PacketType::ChatSend, &proto::ChatSend { channel, target, text });
        }
        if now < self.next_deed || !self.settled {
            return;
        }
        self.next_deed = now + DEED;
        let Some(book) = &self.book else { return };
        if let Some(entity_id) = book.nearest(EntityKind::EntityItem, self.at, PICK_UP_REACH) {
            self.send(PacketType::PickUp, &proto::PickUp { entity_id });
        } else if let Some(target_id) = book.nearest(EntityKind::EntityNpc, self.at, ATTACK_REACH) {
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
                self.next_deed = now + KNOCK;
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
        self.next_talk = now + self.talk_period();
        self.words += 1;
        self.desk.run.ledger.note(self.index, self.words, now, true);
        let (channel, text) = (proto::ChatChannel::ChatRoom.into(), self.words.to_string());
        self.send(PacketType::ChatSend, &proto::ChatSend { channel, target: room, text });
    }

    pub(super) fn send(&mut self, kind: PacketType, message: &impl Message) {
        let sent = self.wire.append(kind, message);
        self.count_sent(sent, false);
    }

    /// Counts a packet of so many bytes; none: it could not go out, for too much waits.
    fn count_sent(&self, bytes: Option<usize>, is_move: bool) {
        self.desk.add_moved([1, 0, 0, 0, 0]);
        if self.phase != Phase::Measure {
            return;
        }
        let mut tally = self.desk.tally.borrow_mut();
        let Some(bytes) = bytes else {
            tally.late += 1;
            return;
        };
        tally.packets_out += 1;
        tally.bytes_out += bytes as u64;
        tally.updates_out += u64::from(is_move);
    }
}
