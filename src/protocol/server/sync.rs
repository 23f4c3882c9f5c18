//! Entities and positions: what the fan-out copies to very many clients.
//!
//! A zone encodes each entity once; a gateway's shard copies the bytes. protobuf allows that: a
//! message's fields may come in any order and piece by piece, so a descriptor and a position, or a
//! header and any number of records, make a valid message when put one after another.

use bytes::Bytes;
use prost::Message;
use prost::encoding;

use crate::ids::{EntityId, ZoneId};
use crate::msg::Outgoing;
use crate::proto::{self, EntityKind, PacketType};
use crate::protocol::server::outgoing;
use crate::tick::Tick;
use crate::world::content::ZoneKind;
use crate::world::entity::{Appearance, Handle, Look};
use crate::world::frame::{FULL_SPEED, PackedPosition};

/// Bytes of a position as a field: its key and eight bytes.
pub const FIXED64_FIELD: usize = 9;
/// The key before a record in SYNC_POSITIONS: field 3, 64 bits.
pub const SYNC_RECORD_TAG: u8 = (3 << 3) | 1;
/// The key before the position in ENTITY_ENTER: field 13, 64 bits.
pub const ENTITY_POSITION_TAG: u8 = (13 << 3) | 1;

fn field(key: u8, position: PackedPosition) -> [u8; FIXED64_FIELD] {
    let [a, b, c, d, e, f, g, h] = position.0.to_le_bytes();
    [key, a, b, c, d, e, f, g, h]
}

/// One whole record of SYNC_POSITIONS: append any number of them to [`append_sync_header`]'s.
pub fn sync_record(position: PackedPosition) -> [u8; FIXED64_FIELD] {
    field(SYNC_RECORD_TAG, position)
}

/// Appends [`sync_record`].
pub fn append_sync_record(out: &mut Vec<u8>, position: PackedPosition) {
    out.extend_from_slice(&sync_record(position));
}

/// Appends what stands before the records of SYNC_POSITIONS: the zone, its tick and, if that is not
/// [`FULL_SPEED`], how fast its time runs, percent.
pub fn append_sync_header(out: &mut Vec<u8>, zone: ZoneId, tick: Tick, dilation_percent: u8) {
    encoding::uint32::encode(1, &u32::from(zone.0), out);
    encoding::uint64::encode(2, &tick.0, out);
    if dilation_percent != FULL_SPEED {
        encoding::uint32::encode(4, &u32::from(dilation_percent), out);
    }
}

/// ENTITY_ENTER's payload without the position, which changes by itself and is appended for each
/// who is told, with [`append_entity_position`] or as a part, [`position_field`].
pub fn entity_descriptor(
    id: EntityId,
    zone: &ZoneKind,
    handle: Handle,
    appearance: &Appearance,
) -> Bytes {
    let (kind, template) = match &appearance.look {
        Look::Player => (EntityKind::EntityPlayer, String::new()),
        Look::Npc(key) => (EntityKind::EntityNpc, key.to_string()),
        Look::Item(key) => (EntityKind::EntityItem, key.to_string()),
    };
    let it = proto::EntityEnter {
        entity_id: id.0,
        kind: kind.into(),
        name: appearance.name.to_string(),
        template,
        level: appearance.level,
        health: appearance.health,
        max_health: appearance.max_health,
        guild: appearance.guild.as_ref().map(|guild| guild.name.to_string()).unwrap_or_default(),
        quantity: appearance.quantity,
        speed: appearance.speed,
        zone_id: u32::from(zone.id.0),
        handle: u32::from(handle.0),
        position: 0,
        origin_x: zone.bounds.min_x,
        origin_y: zone.bounds.min_y,
    };
    it.encode_to_vec().into()
}

/// The rest of an ENTITY_ENTER payload: where it is.
pub fn position_field(position: PackedPosition) -> [u8; FIXED64_FIELD] {
    field(ENTITY_POSITION_TAG, position)
}

/// Appends [`position_field`].
pub fn append_entity_position(out: &mut Vec<u8>, position: PackedPosition) {
    out.extend_from_slice(&position_field(position));
}

/// ENTITY_LEAVE.
pub fn entity_leave(id: EntityId, zone: ZoneId) -> Outgoing {
    let it = proto::EntityLeave { entity_id: id.0, zone_id: u32::from(zone.0) };
    outgoing(PacketType::EntityLeave, &it)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::geometry::{Point, Pose, Rect};
    use crate::ids::GuildId;
    use crate::world::command::GuildTag;

    fn meadow() -> ZoneKind {
        ZoneKind {
            id: ZoneId(3),
            name: "Meadow".into(),
            bounds: Rect { min_x: -100.0, min_y: 50.0, max_x: 400.0, max_y: 550.0 },
            spawn: Point { x: 0.0, y: 60.0 },
            pvp: false,
            npcs: vec![],
            items: vec![],
        }
    }

    proptest! {
        #[test]
        fn any_concatenation_of_records_is_a_message(
            zone: u16, tick: u64, records in prop::collection::vec(any::<u64>(), 0..80),
            dilation in 25u8..=FULL_SPEED,
        ) {
            let mut payload = Vec::new();
            append_sync_header(&mut payload, ZoneId(zone), Tick(tick), dilation);
            for record in &records {
                append_sync_record(&mut payload, PackedPosition(*record));
            }
            let read = proto::SyncPositions::decode(payload.as_slice()).unwrap();
            prop_assert_eq!((read.zone_id, read.tick), (u32::from(zone), tick));
            let told = if dilation == FULL_SPEED { 0 } else { u32::from(dilation) };
            prop_assert_eq!(read.dilation_percent, told);
            prop_assert_eq!(read.records, records);
        }
    }

    #[test]
    fn a_descriptor_and_a_position_are_an_entity() {
        let zone = meadow();
        let appearance = Appearance {
            look: Look::Npc("wolf".into()),
            name: "Grey wolf".into(),
            level: 4,
            health: 30,
            max_health: 60,
            guild: Some(GuildTag { id: GuildId(1), name: "Pack".into() }),
            quantity: 0,
            speed: 2.0,
        };
        let handle = Handle(77);
        let pose = Pose { at: Point { x: 12.34, y: 56.78 }, rotation: 90.0 };
        let packed = PackedPosition::pack(handle, pose, &zone.bounds);
        let mut payload = entity_descriptor(EntityId(9), &zone, handle, &appearance).to_vec();
        append_entity_position(&mut payload, packed);
        let read = proto::EntityEnter::decode(payload.as_slice()).unwrap();
        assert_eq!((read.entity_id, read.zone_id, read.handle), (9, 3, 77));
        assert_eq!((read.template.as_str(), read.guild.as_str()), ("wolf", "Pack"));
        assert_eq!(read.position, packed.0);
        assert_eq!((read.origin_x, read.origin_y), (-100.0, 50.0));
    }
}
