//! Reads what bots need from payloads without building messages: positions are counted and
//! walked over where they lie, and single fields are picked out of others.
//!
//! Nothing in here allocates, for a bot must be cheap. What is no protobuf reads as nothing.

/// One field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message, in the order in which they lie. Ends early at what cannot be read.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// SYNC_POSITIONS as it lies.
#[derive(Debug, Clone)]
pub struct Positions<'a> {
    /// The zone.
    pub zone: u32,
    /// Its tick.
    pub tick: u64,
    records: &'a [u8],
}

/// Key of a position record: field 3, eight bytes.
const RECORD_KEY: u8 = 0x19;
/// A record with its key.
const RECORD: usize = 9;

/// The fields of `message`.
pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// The number in field `tag`, the last one if it is there more than once; 0 if it is not.
pub fn number(message: &[u8], tag: u32) -> u64 {
    fields(message)
        .filter_map(|(found, value)| match value {
            Value::Varint(number) if found == tag => Some(number),
            _ => None,
        })
        .last()
        .unwrap_or(0)
}

/// Reads the head of a SYNC_POSITIONS; none if the fields don't lie as the server puts them.
pub fn positions(payload: &[u8]) -> Option<Positions<'_>> {
    let (mut zone, mut tick) = (0, 0);
    let mut rest = payload;
    while let Some(key) = rest.first() {
        if *key == RECORD_KEY {
            break;
        }
        let mut fields = Fields { rest };
        match fields.next()? {
            (1, Value::Varint(number)) => zone = u32::try_from(number).ok()?,
            (2, Value::Varint(number)) => tick = number,
            (_, Value::Varint(_)) => {}
            _ => return None,
        }
        rest = fields.rest;
    }
    rest.len().is_multiple_of(RECORD).then_some(Positions { zone, tick, records: rest })
}

impl Positions<'_> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len() / RECORD
    }

    /// The packed positions.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.records.chunks_exact(RECORD).filter_map(|record| {
            let (key, packed) = record.split_first()?;
            (*key == RECORD_KEY).then(|| packed.first_chunk().map(|b| u64::from_le_bytes(*b)))?
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.varint()?;
        let tag = u32::try_from(key >> 3).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            _ => return None,
        };
        Some((tag, value))
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (place, byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[place + 1..];
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::proto;

    proptest! {
        #[test]
        fn positions_are_those_that_prost_reads(
            zone_id: u32, tick: u64, dilation_percent in 0u32..100,
            records in prop::collection::vec(any::<u64>(), 0..300),
        ) {
            let message = proto::SyncPositions { zone_id, tick, records, dilation_percent };
            // As the server puts them: the records last.
            let head = proto::SyncPositions { records: vec![], ..message.clone() };
            let rest = proto::SyncPositions { records: message.records.clone(), ..Default::default() };
            let bytes = [head.encode_to_vec(), rest.encode_to_vec()].concat();
            let found = positions(&bytes).unwrap();
            prop_assert_eq!((found.zone, found.tick), (zone_id, tick));
            prop_assert_eq!(found.len(), message.records.len());
            prop_assert_eq!(found.iter().collect::<Vec<_>>(), message.records);
        }

        #[test]
        fn fields_are_those_that_prost_reads(
            event_id: u64, x: f32, target_id: u64, text in "\\PC{0,40}", kind in 0i32..9,
        ) {
            let event = proto::GameEvent {
                event_id, kind, x, target_id, text: text.clone(), ..Default::default()
            };
            let bytes = event.encode_to_vec();
            prop_assert_eq!(number(&bytes, 1), event_id);
            prop_assert_eq!(number(&bytes, 2), kind as u64);
            prop_assert_eq!(number(&bytes, 7), target_id);
            prop_assert_eq!(number(&bytes, 13), 0);
            let found = fields(&bytes).find(|(tag, _)| *tag == 12).map(|(_, value)| value);
            let wanted = (!text.is_empty()).then_some(Value::Bytes(text.as_bytes()));
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn random_bytes_end_it_and_nothing_else(bytes: Vec<u8>) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
            if let Some(found) = positions(&bytes) {
                prop_assert!(found.iter().count() <= found.len());
            }
        }
    }

    #[test]
    fn a_cut_record_is_no_position() {
        let message =
            proto::SyncPositions { zone_id: 1, tick: 9, records: vec![1, 2], ..Default::default() };
        let bytes = message.encode_to_vec();
        assert!(positions(&bytes[..bytes.len() - 1]).is_none());
    }
}
