//! What a bot does with what it hears: counts it, and, if it watches, keeps its account.
//!
//! The other half of `bot.rs`, called when its socket is readable.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use prost::Message;

use super::bot::{Bot, TALK};
use super::options::Scenario;
use super::scan;
use super::tally::{Phase, count, note};
use crate::geometry::{Point, Rect};
use crate::limits;
use crate::proto::{self, EntityKind, ErrorCode, PacketType};
use crate::protocol::packet;
use crate::tick::now;

/// How long a bot rests after its place was refused: longer than being dead lasts.
const REST: Duration = Duration::from_secs(6);
/// Codes from here on are refusals by the game's rules, not faults.
const RULES_FROM: i32 = 40;

impl Bot {
    /// Reads what is there.
    pub(super) fn read(&mut self) -> std::io::Result<()> {
        let desk = self.desk.clone();
        let mut buffer = desk.buffer.borrow_mut();
        loop {
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                Ok(read) if self.unread.is_empty() => {
                    let taken = self.take(&buffer[..read]);
                    self.unread.extend_from_slice(&buffer[taken..read]);
                }
                Ok(read) => {
                    self.unread.extend_from_slice(&buffer[..read]);
                    self.take_unread();
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the whole packets of what was read before.
    pub(super) fn take_unread(&mut self) {
        let unread = std::mem::take(&mut self.unread);
        let taken = self.take(&unread);
        self.unread = unread[taken..].to_vec();
    }

    /// Takes every whole packet; gives the bytes they were.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Ok(Some(body)) = packet::first_frame(&bytes[taken..], limits::SERVER_FRAME_MAX) {
            taken += packet::LENGTH_BYTES + body.len();
            self.desk.run.live.packets_in.fetch_add(1, Relaxed);
            if self.phase == Phase::Measure {
                let mut tally = self.desk.tally.borrow_mut();
                tally.packets_in += 1;
                tally.bytes_in += (packet::LENGTH_BYTES + body.len()) as u64;
            }
            match packet::decode(body, limits::SERVER_FRAME_MAX) {
                Ok((header, payload)) => self.on_packet(header.kind, &payload),
                Err(_) => count(&mut self.desk.tally.borrow_mut().errors, "undecodable packet"),
            }
        }
        taken
    }

    fn on_packet(&mut self, kind: i32, payload: &[u8]) {
        match PacketType::try_from(kind) {
            Ok(PacketType::SyncPositions) => self.on_positions(payload),
            Ok(PacketType::ZoneEnter) => self.on_zone(payload),
            Ok(PacketType::EntityEnter) if self.book.is_some() => self.on_enter(payload),
            Ok(PacketType::EntityLeave) if self.book.is_some() => self.on_leave(payload),
            Ok(PacketType::HeartbeatResponse) => self.on_heartbeat(payload),
            Ok(PacketType::PositionCorrection) => self.on_correction(payload),
            Ok(PacketType::ChatMessage) => self.on_chat(payload),
            Ok(PacketType::RoomMembers | PacketType::RoomJoin) if !self.settled => self.on_room(),
            Ok(PacketType::Error) => self.on_error(payload),
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
            return count(&mut self.desk.tally.borrow_mut().errors, "unreadable positions");
        };
        let run = self.desk.run.clone();
        run.live.updates_in.fetch_add(positions.len() as u64, Relaxed);
        if self.phase == Phase::Measure {
            self.desk.tally.borrow_mut().updates_in += positions.len() as u64;
        }
        let measures = self.measures();
        let Some(book) = &mut self.book else { return };
        let now = run.ledger.nanos(now());
        for packed in positions.iter() {
            let latency = book.record(positions.zone, packed, now, &run.ledger);
            if let (true, Some(nanos)) = (measures, latency) {
                note(&mut self.desk.tally.borrow_mut().latency, Duration::from_nanos(nanos));
            }
        }
    }

    fn on_zone(&mut self, payload: &[u8]) {
        let Ok(zone) = proto::ZoneEnter::decode(payload) else { return };
        let proto::ZoneEnter { min_x, min_y, max_x, max_y, reset, .. } = zone;
        self.bounds = Some(Rect { min_x, min_y, max_x, max_y });
        let ledger = &self.desk.run.ledger;
        if let (true, Some(book)) = (reset, &mut self.book) {
            book.reset(ledger.nanos(now()), ledger);
            self.in_view.clear();
        }
    }

    fn on_enter(&mut self, payload: &[u8]) {
        let Ok(entity) = proto::EntityEnter::decode(payload) else { return };
        let run = &self.desk.run;
        let player = entity.kind() == EntityKind::EntityPlayer && entity.entity_id != self.player;
        // Only where bots walk are their places due to those who see them.
        let bot =
            (player && run.options.moves()).then(|| run.options.bot_named(&entity.name)).flatten();
        if let Some(book) = &mut self.book {
            book.enter(&entity, bot, run.ledger.nanos(now()), &run.ledger);
        }
        self.in_view.insert(entity.entity_id);
    }

    fn on_leave(&mut self, payload: &[u8]) {
        let Ok(leave) = proto::EntityLeave::decode(payload) else { return };
        let ledger = &self.desk.run.ledger;
        if let Some(book) = &mut self.book {
            book.leave(leave.entity_id, leave.zone_id, ledger.nanos(now()), ledger);
        }
        self.in_view.remove(&leave.entity_id);
    }

    fn on_heartbeat(&mut self, payload: &[u8]) {
        if !self.measures() {
            return;
        }
        let sent = scan::number(payload, 1);
        let took = self.desk.run.ledger.nanos(now()).saturating_sub(sent);
        let mut tally = self.desk.tally.borrow_mut();
        note(&mut tally.round_trip, Duration::from_nanos(took));
        if self.scenario() == Scenario::Echo && tally.delivered < tally.expected {
            tally.delivered += 1;
            note(&mut tally.latency, Duration::from_nanos(took));
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
        self.next_talk = now() + TALK.mul_f64((self.index as f64 * 0.618_034).fract());
        self.settle();
    }

    fn on_chat(&mut self, payload: &[u8]) {
        if self.scenario() != Scenario::Chat || self.book.is_none() {
            return;
        }
        let run = self.desk.run.clone();
        let Ok(message) = proto::ChatMessage::decode(payload) else { return };
        let (Some(bot), Ok(number)) =
            (run.options.bot_named(&message.sender), message.text.parse::<u64>())
        else {
            return;
        };
        let measures = self.measures();
        let Some(book) = &mut self.book else { return };
        let latency = book.heard(bot, number, run.ledger.nanos(now()), &run.ledger);
        if let (true, Some(nanos)) = (measures && bot != self.index, latency) {
            note(&mut self.desk.tally.borrow_mut().latency, Duration::from_nanos(nanos));
        }
    }

    fn on_error(&mut self, payload: &[u8]) {
        let Ok(error) = proto::Error::decode(payload) else { return };
        // Joining a room that is not made yet is tried again.
        let joining = self.scenario() == Scenario::Chat && !self.settled;
        if self.phase != Phase::Measure || joining {
            return;
        }
        let code = ErrorCode::try_from(error.code).map_or("UNKNOWN", |code| code.as_str_name());
        let mut tally = self.desk.tally.borrow_mut();
        if error.code >= RULES_FROM {
            count(&mut tally.refusals, code);
        } else {
            count(&mut tally.errors, code);
        }
    }
}
