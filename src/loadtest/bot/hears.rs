//! What a bot makes of the server's packets: mostly it counts, and a watcher looks closer.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prost::Message;

use super::{Bot, SPREAD, Stage};
use crate::geometry::{Point, Rect};
use crate::limits;
use crate::loadtest::book::Arrival;
use crate::loadtest::options::Scenario;
use crate::loadtest::scan;
use crate::loadtest::tally::{Phase, count, note};
use crate::proto::{self, EntityKind, ErrorCode, PacketType};
use crate::protocol::packet;
use crate::tick::{TICK, now};

/// How long a bot rests after its place was refused: longer than being dead lasts.
const REST: Duration = Duration::from_secs(6);

impl Bot {
    /// Takes what came with the answer that let the bot in.
    pub(super) fn take_unread(&mut self) {
        let partial = std::mem::take(&mut self.wire.partial);
        let taken = self.take(&partial);
        self.wire.partial.extend_from_slice(&partial[taken..]);
    }

    /// Takes bytes that have just been read.
    pub(super) fn take_read(&mut self, read: &[u8]) {
        self.desk.add_moved([0, 0, 0, read.len() as u64, 0]);
        if self.wire.partial.is_empty() {
            let taken = self.take(read);
            self.wire.partial.extend_from_slice(&read[taken..]);
        } else {
            let mut partial = std::mem::take(&mut self.wire.partial);
            partial.extend_from_slice(read);
            let taken = self.take(&partial);
            partial.drain(..taken);
            self.wire.partial = partial;
        }
    }

    /// Takes every whole packet; gives the bytes they were.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        let mut packets = 0;
        loop {
            let body = match packet::first_frame(&bytes[taken..], limits::SERVER_FRAME_MAX) {
                Ok(Some(body)) => body,
                Ok(None) => break,
                Err(_) => {
                    // Nothing after it can be understood.
                    self.desk.fault("impossible frame");
                    taken = bytes.len();
                    break;
                }
            };
            taken += packet::LENGTH_BYTES + body.len();
            packets += 1;
            match packet::decode(body, limits::SERVER_FRAME_MAX) {
                Ok((header, payload)) => self.on_packet(header.kind, &payload),
                Err(_) => self.desk.fault("undecodable packet"),
            }
        }
        self.desk.add_moved([0, packets, 0, 0, 0]);
        if self.desk.phase.get() == Phase::Measure {
            let mut tally = self.desk.tally.borrow_mut();
            tally.packets_in += packets;
            tally.bytes_in += taken as u64;
        }
        taken
    }

    fn on_packet(&mut self, kind: i32, payload: &[u8]) {
        match PacketType::try_from(kind) {
            Ok(PacketType::SyncPositions) => self.on_positions(payload),
            Ok(PacketType::ZoneEnter) => self.on_zone(payload),
            Ok(PacketType::EntityEnter) => self.on_enter(payload),
            Ok(PacketType::EntityLeave) if self.book.is_some() => self.on_leave(payload),
            Ok(PacketType::HeartbeatResponse) => self.on_heartbeat(payload),
            Ok(PacketType::PositionCorrection) => self.on_correction(payload),
            Ok(PacketType::ChatMessage) => self.on_chat(payload),
            Ok(PacketType::RoomMembers | PacketType::RoomJoin) if !self.settled => self.on_room(),
            Ok(PacketType::Error) => self.on_error(payload),
            Ok(PacketType::GameEvent) => self.on_game_event(payload),
            Ok(PacketType::LogoutResponse) if self.stage == Stage::Leaving => {
                self.stage = Stage::Gone
            }
            Ok(PacketType::DisconnectNotice) => {
                if let Ok(notice) = proto::DisconnectNotice::decode(payload) {
                    self.notice = Some(notice.message);
                }
            }
            _ => {}
        }
    }

    fn measures(&self) -> bool {
        matches!(self.phase, Phase::Measure | Phase::Drain)
    }

    fn on_positions(&mut self, payload: &[u8]) {
        let Some(positions) = scan::positions(payload) else {
            return self.desk.fault("unreadable positions");
        };
        let updates = positions.len() as u64;
        self.desk.add_moved([0, 0, updates, 0, 0]);
        if self.desk.phase.get() == Phase::Measure {
            let mut tally = self.desk.tally.borrow_mut();
            tally.updates_in += updates;
            tally.syncs_in += 1;
        }
        if self.book.is_some() {
            self.watch(&positions);
        }
    }

    /// A watcher's look at positions: what each has delivered, and whether they come in step.
    fn watch(&mut self, positions: &scan::Positions<'_>) {
        let (measures, later) = (self.measures(), self.desk.second_half.get());
        let run = &self.desk.run;
        let Some(book) = &mut self.book else { return };
        let now = run.ledger.nanos(now());
        let mut tally = self.desk.tally.borrow_mut();
        for packed in positions.iter() {
            let arrival = book.record(positions.zone, packed, now, &run.ledger);
            let (true, Some(Arrival { latency, age })) = (measures, arrival) else { continue };
            run.live.slowest.fetch_max(latency, Relaxed);
            tally.note_latency(Duration::from_nanos(latency), later);
            note(&mut tally.age, Duration::from_nanos(age));
        }
        let this = (positions.zone, positions.tick, now);
        if let Some((zone, tick, before)) = self.last_sync.replace(this)
            && zone == positions.zone
            && measures
        {
            let apart = TICK.as_nanos() as u64 * positions.tick.saturating_sub(tick);
            let off = apart.abs_diff(now.saturating_sub(before));
            note(&mut tally.jitter, Duration::from_nanos(off));
        }
    }

    fn on_zone(&mut self, payload: &[u8]) {
        let Ok(zone) = proto::ZoneEnter::decode(payload) else { return };
        let proto::ZoneEnter { min_x, min_y, max_x, max_y, reset, .. } = zone;
        self.bounds = Some(Rect { min_x, min_y, max_x, max_y });
        let ledger = &self.desk.run.ledger;
        if let (true, Some(book)) = (reset, &mut self.book) {
            book.reset(ledger.nanos(now()), ledger);
        }
    }

    fn on_enter(&mut self, payload: &[u8]) {
        self.desk.add_moved([0, 0, 0, 0, 1]);
        if self.book.is_none() {
            return;
        }
        let Ok(entity) = proto::EntityEnter::decode(payload) else { return };
        let run = &self.desk.run;
        let player = entity.kind() == EntityKind::EntityPlayer && entity.entity_id != self.player;
        // Only where bots walk are their places due to those who see them.
        let bot =
            (player && run.options.moves()).then(|| run.options.bot_named(&entity.name)).flatten();
        if let Some(book) = &mut self.book {
            book.enter(&entity, bot, run.ledger.nanos(now()), &run.ledger);
        }
    }

    fn on_leave(&mut self, payload: &[u8]) {
        let Ok(leave) = proto::EntityLeave::decode(payload) else { return };
        let ledger = &self.desk.run.ledger;
        if let Some(book) = &mut self.book {
            book.leave(leave.entity_id, leave.zone_id, ledger.nanos(now()), ledger);
        }
    }

    fn on_heartbeat(&mut self, payload: &[u8]) {
        let sent = scan::number(payload, 1);
        // An answer to what was sent before measuring began tells nothing about it.
        if !self.measures() || sent < self.measured_from {
            return;
        }
        let took = self.desk.run.ledger.nanos(now()).saturating_sub(sent);
        let mut tally = self.desk.tally.borrow_mut();
        note(&mut tally.round_trip, Duration::from_nanos(took));
        if self.awaits_beats() {
            tally.delivered += 1;
            self.desk.run.live.slowest.fetch_max(took, Relaxed);
            tally.note_latency(Duration::from_nanos(took), self.desk.second_half.get());
        }
    }

    fn on_correction(&mut self, payload: &[u8]) {
        let Ok(correction) = proto::PositionCorrection::decode(payload) else { return };
        self.at = Point { x: correction.x, y: correction.y };
        if let Some(course) = &mut self.course {
            course.put(self.at);
        }
        self.rest_until = now() + REST;
        if self.phase == Phase::Measure {
            self.desk.tally.borrow_mut().corrections += 1;
        }
    }

    fn on_room(&mut self) {
        if self.scenario() != Scenario::Chat {
            return;
        }
        let run = self.desk.run.clone();
        let group = run.options.group as usize;
        let first = self.index / group * group;
        if let Some(book) = &mut self.book {
            let last = (first + group).min(run.options.clients as usize);
            for bot in (first..last).filter(|bot| *bot != self.index) {
                book.hear(bot, &run.ledger);
            }
        }
        self.next_talk = now() + self.talk_period().mul_f64((self.index as f64 * SPREAD).fract());
        self.settle();
    }

    fn on_chat(&mut self, payload: &[u8]) {
        if self.scenario() != Scenario::Chat {
            return;
        }
        let Some(book) = &mut self.book else { return };
        let run = &self.desk.run;
        let Ok(message) = proto::ChatMessage::decode(payload) else { return };
        let (Some(bot), Ok(number)) =
            (run.options.bot_named(&message.sender), message.text.parse::<u64>())
        else {
            return;
        };
        if let Some(nanos) = book.heard(bot, number, run.ledger.nanos(now()), &run.ledger) {
            run.live.slowest.fetch_max(nanos, Relaxed);
            let later = self.desk.second_half.get();
            self.desk.tally.borrow_mut().note_latency(Duration::from_nanos(nanos), later);
        }
    }

    fn on_error(&mut self, payload: &[u8]) {
        let Ok(error) = proto::Error::decode(payload) else { return };
        // Joining a room that is not made yet, or making one that is, is tried again.
        if self.scenario() == Scenario::Chat && !self.settled {
            return;
        }
        let code = error.code();
        let name = code.as_str_name();
        if is_rule(code) {
            self.on_blow_refused(code);
            count(&mut self.desk.tally.borrow_mut().refusals, name);
        } else {
            self.desk.fault(name);
        }
    }
}

/// Whether an honest player meets this now and then: two reach for one thing, a target dies or
/// walks off, one has died oneself.
fn is_rule(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::ErrorNoSuchTarget
            | ErrorCode::ErrorOutOfRange
            | ErrorCode::ErrorCooldown
            | ErrorCode::ErrorDead
            | ErrorCode::ErrorTargetDead
            | ErrorCode::ErrorNotAllowed
            | ErrorCode::ErrorInventoryFull
    )
}
