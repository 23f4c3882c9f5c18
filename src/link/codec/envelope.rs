//! The outer part of what travels on a link: envelopes' heads around bodies that are encoded
//! already, and the link's own messages.
//!
//! The fields of a head come first, in order, so a body's bytes can be put behind it (together they
//! are one valid `Envelope`) and cut off again without decoding. Called for every message by
//! `link/tcp`; never copies a body.

use bytes::{Buf, Bytes};
use prost::Message;
use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use super::DecodeError;
use super::reading::{self, At, present};
use super::shared::NOTHING;
use crate::ids::ServerId;
use crate::link::Address;
use crate::proto::link as wire;
use wire::control::Control;
use wire::envelope::Body;

/// Keys of `Envelope`'s fields on the wire: number and wire type (0 a number, 2 bytes).
const MESSAGE_ID: u8 = 1 << 3;
const SOURCE: u8 = 2 << 3;
const TARGET_SERVER: u8 = 3 << 3;
const TIMESTAMP: u8 = 4 << 3;
const TARGET: u8 = (5 << 3) | 2;
const ACKNOWLEDGEMENT: u8 = (9 << 3) | 2;
const CONTROL: u8 = (10 << 3) | 2;
/// Keys of `Address`.
const ROLE: u8 = 1 << 3;
const ZONE: u8 = 2 << 3;

/// What stands before a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its place among the reliable messages; 0: droppable.
    pub message_id: u64,
    /// Who sends it.
    pub source: ServerId,
    /// Whom it is for.
    pub target_server: ServerId,
    /// Unix milliseconds.
    pub timestamp: u64,
    /// Which inbox there.
    pub target: Address,
}

/// What came over a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived {
    /// A message for a role.
    Message {
        /// Its place among the reliable ones; 0: droppable.
        id: u64,
        /// Which inbox.
        target: Address,
        /// An `Envelope` with only its body set.
        body: Bytes,
    },
    /// The link's own.
    Own(Own),
}

/// The link's own messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Everything up to this id is applied.
    Acknowledgement(u64),
    /// To be answered with the same number: microseconds of the sender's own clock.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// The process leaves the cluster.
    Goodbye,
}

/// Writes a head; the body's bytes go right behind it.
pub fn put_head(out: &mut Vec<u8>, head: &Head) {
    let Head { message_id, source, target_server, timestamp, target } = head;
    let numbers = [
        (MESSAGE_ID, *message_id),
        (SOURCE, source.0),
        (TARGET_SERVER, target_server.0),
        (TIMESTAMP, *timestamp),
    ];
    for (key, number) in numbers {
        if number != 0 {
            out.push(key);
            encode_varint(number, out);
        }
    }
    let zone = match target {
        Address::Zone(zone) => u64::from(zone.0),
        _ => 0,
    };
    let zone_length = if zone == 0 { 0 } else { 1 + encoded_len_varint(zone) };
    out.extend([TARGET, 2 + zone_length as u8, ROLE, put_inbox(*target) as u8]);
    if zone != 0 {
        out.push(ZONE);
        encode_varint(zone, out);
    }
}

fn put_inbox(address: Address) -> wire::Role {
    match address {
        Address::Node => wire::Role::Node,
        Address::Host => wire::Role::Host,
        Address::Master => wire::Role::Master,
        Address::Login => wire::Role::Login,
        Address::Gateway => wire::Role::Gateway,
        Address::Chat => wire::Role::Chat,
        Address::Zone(_) => wire::Role::Zone,
    }
}

/// An envelope around one of the link's own messages.
pub fn own(message: Own) -> Vec<u8> {
    let mut envelope = wire::Envelope::default();
    let control = |control| Some(wire::Control { control: Some(control) });
    match message {
        Own::Acknowledgement(through_message_id) => {
            let through = wire::Acknowledgement { through_message_id };
            envelope.body = Some(Body::Acknowledgement(through));
        }
        Own::Ping(sent) => envelope.control = control(Control::Ping(sent)),
        Own::Pong(sent) => envelope.control = control(Control::Pong(sent)),
        Own::Goodbye => envelope.control = control(Control::Goodbye(NOTHING)),
    }
    envelope.encode_to_vec()
}

/// Takes an envelope apart as far as a link must know it.
///
/// # Errors
/// Names the field of the head that is missing or wrong. A body is not looked at.
pub fn read(mut frame: Bytes) -> Result<Arrived, DecodeError> {
    let mut rest: &[u8] = &frame;
    let (mut id, mut target) = (0, None);
    while let Some((key, after)) = rest.split_first() {
        match *key {
            MESSAGE_ID => {
                rest = after;
                id = decode_varint(&mut rest)?;
            }
            SOURCE | TARGET_SERVER | TIMESTAMP => {
                rest = after;
                decode_varint(&mut rest)?;
            }
            TARGET => {
                rest = after;
                target = Some(read_target(&mut rest)?);
            }
            ACKNOWLEDGEMENT | CONTROL => return read_own(frame),
            _ => break,
        }
    }
    let target = present(At("Envelope", "target"), target)?;
    let head = frame.len() - rest.len();
    frame.advance(head);
    if frame.is_empty() {
        return Err(At("Envelope", "body").wrong("not set"));
    }
    Ok(Arrived::Message { id, target, body: frame })
}

fn read_target(rest: &mut &[u8]) -> Result<Address, DecodeError> {
    let length = decode_varint(rest)?;
    let cut = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (bytes, after) = cut.ok_or(At("Envelope", "target").wrong("cut off"))?;
    *rest = after;
    let wire::Address { role, zone_id } = wire::Address::decode(bytes)?;
    Ok(match reading::known(At("Address", "role"), role)? {
        wire::Role::Node => Address::Node,
        wire::Role::Host => Address::Host,
        wire::Role::Master => Address::Master,
        wire::Role::Login => Address::Login,
        wire::Role::Gateway => Address::Gateway,
        wire::Role::Chat => Address::Chat,
        wire::Role::Zone => Address::Zone(reading::zone(At("Address", "zone_id"), zone_id)?),
        wire::Role::Unspecified => return Err(At("Address", "role").wrong("not set")),
    })
}

fn read_own(frame: Bytes) -> Result<Arrived, DecodeError> {
    let envelope = wire::Envelope::decode(frame)?;
    let own = match (envelope.control, envelope.body) {
        (Some(wire::Control { control }), _) => match present(At("Control", "control"), control)? {
            Control::Ping(sent) => Own::Ping(sent),
            Control::Pong(sent) => Own::Pong(sent),
            Control::Goodbye(wire::Nothing {}) => Own::Goodbye,
        },
        (None, Some(Body::Acknowledgement(wire::Acknowledgement { through_message_id }))) => {
            Own::Acknowledgement(through_message_id)
        }
        (None, _) => return Err(At("Envelope", "body").wrong("not the link's own")),
    };
    Ok(Arrived::Own(own))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{PlayerId, ZoneId};
    use crate::link::Wire;
    use crate::msg::ChatMsg;

    fn address() -> impl Strategy<Value = Address> {
        prop_oneof![
            Just(Address::Node),
            Just(Address::Host),
            Just(Address::Master),
            Just(Address::Login),
            Just(Address::Gateway),
            Just(Address::Chat),
            (1..=u16::MAX).prop_map(|zone| Address::Zone(ZoneId(zone))),
        ]
    }

    fn head() -> impl Strategy<Value = Head> {
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), address()).prop_map(
            |(message_id, source, target_server, timestamp, target)| Head {
                message_id,
                source: ServerId(source),
                target_server: ServerId(target_server),
                timestamp,
                target,
            },
        )
    }

    fn framed(head: &Head, message: &ChatMsg) -> Bytes {
        let mut bytes = Vec::new();
        put_head(&mut bytes, head);
        bytes.extend_from_slice(&message.encode());
        bytes.into()
    }

    proptest! {
        #[test]
        fn a_head_and_a_body_are_one_envelope(head in head(), player in 1..1_000_000u64) {
            let message = ChatMsg::Moved { player: PlayerId(player), zone: ZoneId(3) };
            let bytes = framed(&head, &message);
            let envelope = wire::Envelope::decode(bytes.clone()).unwrap();
            prop_assert_eq!(envelope.encode_to_vec(), bytes.to_vec());
            prop_assert_eq!(envelope.message_id, head.message_id);
            prop_assert_eq!(envelope.timestamp, head.timestamp);
            prop_assert_eq!(envelope.target.unwrap().role, put_inbox(head.target) as i32);

            let Arrived::Message { id, target, body } = read(bytes).unwrap() else {
                panic!("not a message");
            };
            prop_assert_eq!((id, target), (head.message_id, head.target));
            prop_assert_eq!(ChatMsg::decode(body).unwrap(), message);
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60), head in head(), cut in 0..60usize,
        ) {
            let _ = read(bytes.into()).is_ok();
            let mut whole = framed(&head, &ChatMsg::Moved { player: PlayerId(1), zone: ZoneId(1) });
            whole.truncate(cut);
            let _ = read(whole).is_ok();
        }
    }

    #[test]
    fn the_links_own_messages_survive() {
        for message in [Own::Acknowledgement(7), Own::Ping(8), Own::Pong(0), Own::Goodbye] {
            assert_eq!(read(own(message).into()).unwrap(), Arrived::Own(message));
        }
    }

    #[test]
    fn what_is_wrong_with_a_head_is_named() {
        let problem = |bytes: &[u8]| read(Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert_eq!(problem(&[]), "Envelope.target is not set");
        assert_eq!(problem(&[TARGET, 2, ROLE, 9]), "Address.role is no known number");
        assert_eq!(problem(&[TARGET, 2, ROLE, 4]), "Address.zone_id is no zone's id");
        assert_eq!(problem(&[TARGET, 2, ROLE, 1]), "Envelope.body is not set");
        assert_eq!(problem(&[TARGET, 9, ROLE, 1]), "Envelope.target is cut off");
    }
}
