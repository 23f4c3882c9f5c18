//! What the codecs cost: packets in and out, a view of 50 positions, lines.

use divan::{Bencher, black_box};
use prost::Message;
use throng::geometry::{Point, Pose, Rect};
use throng::ids::{EntityId, ZoneId};
use throng::limits;
use throng::proto::{EntityEnter, EntityKind, MovementUpdate, PacketType};
use throng::protocol::text::TextView;
use throng::protocol::{client, packet, server, text};
use throng::tick::Tick;
use throng::world::entity::Handle;
use throng::world::frame::PackedPosition;

const VISIBLE: u16 = 50;
const BOUNDS: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 1_000.0, max_y: 1_000.0 };

fn main() {
    divan::main();
}

fn position(handle: u16) -> PackedPosition {
    let at = Point { x: f32::from(handle) * 1.7, y: 500.0 - f32::from(handle) };
    PackedPosition::pack(Handle(handle), Pose { at, rotation: 45.0 }, &BOUNDS)
}

fn movement() -> Vec<u8> {
    let update =
        MovementUpdate { x: 1.0, y: 2.0, rotation: 3.0, sequence: 4, client_time: 1_800_000_000 };
    update.encode_to_vec()
}

fn sync_payload() -> Vec<u8> {
    let mut payload = Vec::new();
    server::append_sync_header(&mut payload, ZoneId(1), Tick(123_456), 100);
    for handle in 0..VISIBLE {
        server::append_sync_record(&mut payload, position(handle));
    }
    payload
}

#[divan::bench]
fn move_frame_written(bencher: Bencher) {
    let (payload, mut out) = (movement(), Vec::with_capacity(256));
    bencher.bench_local(|| {
        out.clear();
        let parts: [&[u8]; 1] = [black_box(&payload)];
        packet::append(&mut out, PacketType::MovementUpdate, 77, 1_800_000_000_000, &parts);
        out.len()
    });
}

#[divan::bench]
fn move_frame_read(bencher: Bencher) {
    let mut out = Vec::new();
    packet::append(&mut out, PacketType::MovementUpdate, 77, 1_800_000_000_000, &[&movement()]);
    let body = out.split_off(packet::LENGTH_BYTES);
    bencher.bench_local(|| {
        let (_, payload) = packet::decode(black_box(&body), limits::CLIENT_FRAME_MAX)?;
        let read = client::decode(PacketType::MovementUpdate, &payload);
        Ok::<_, packet::PacketError>(read.is_ok())
    });
}

#[divan::bench]
fn sync_of_50_written(bencher: Bencher) {
    let records: Vec<_> =
        (0..VISIBLE).map(|handle| server::sync_record(position(handle))).collect();
    let (mut payload, mut out) = (Vec::with_capacity(1_024), Vec::with_capacity(1_024));
    bencher.bench_local(|| {
        payload.clear();
        out.clear();
        server::append_sync_header(&mut payload, ZoneId(1), Tick(123_456), 100);
        for record in black_box(&records) {
            payload.extend_from_slice(record);
        }
        let kind = PacketType::SyncPositions;
        packet::append(&mut out, kind, 77, 1_800_000_000_000, &[&payload]);
        out.len()
    });
}

#[divan::bench]
fn sync_of_50_compressed(bencher: Bencher) {
    let (payload, mut out) = (sync_payload(), Vec::with_capacity(1_024));
    bencher.bench_local(|| {
        out.clear();
        let parts: [&[u8]; 1] = [black_box(&payload)];
        packet::append_compressed(&mut out, PacketType::SyncPositions, 77, 1, &parts)
    });
}

#[divan::bench]
fn sync_of_50_as_text(bencher: Bencher) {
    let mut view = TextView::new();
    for handle in 0..VISIBLE {
        let enter = EntityEnter {
            entity_id: EntityId::of_zone(ZoneId(1), handle.into()).0,
            kind: EntityKind::EntityNpc.into(),
            zone_id: 1,
            handle: handle.into(),
            ..Default::default()
        };
        text::render(PacketType::EntityEnter, &enter.encode_to_vec(), &mut view);
    }
    let payload = sync_payload();
    bencher.bench_local(|| {
        text::render(PacketType::SyncPositions, black_box(&payload), &mut view).len()
    });
}

#[divan::bench]
fn chat_line_read() -> bool {
    text::parse(black_box("CHAT hello there, how are you?")).is_ok()
}
