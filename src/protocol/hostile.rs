//! Hostile input, made from the table: whatever arrives under whatever type, the answer is a value
//! or a refusal with a reason, never a panic.

use proptest::prelude::*;
use prost::Message;

use crate::proto::{self, ChatChannel, ErrorCode, PacketType};
use crate::protocol::client::{self, ClientPacket, Rejected};
use crate::protocol::table::{PacketRule, TABLE};
use crate::protocol::text::{LINE_OUT_MAX, TextView, render};

/// A payload that is right in form, for each type that clients send.
fn sample(kind: PacketType) -> Vec<u8> {
    let (name, hash) = ("Wanderer".to_owned(), client::password_hash("secret"));
    let version = "1.2.3".to_owned();
    match kind {
        PacketType::LoginRequest => proto::LoginRequest {
            username: name,
            password_hash: hash,
            client_version: version,
            device_id: "device".into(),
        }
        .encode_to_vec(),
        PacketType::RegisterRequest => {
            proto::RegisterRequest { username: name, password_hash: hash, client_version: version }
                .encode_to_vec()
        }
        PacketType::ResumeRequest => {
            proto::ResumeRequest { resume_token: "t".repeat(43), last_sequence: 9 }.encode_to_vec()
        }
        PacketType::EnterWorldRequest => {
            proto::EnterWorldRequest { session_token: "t".repeat(300) }.encode_to_vec()
        }
        PacketType::HeartbeatRequest => proto::HeartbeatRequest { client_time: 77 }.encode_to_vec(),
        PacketType::MovementUpdate => {
            proto::MovementUpdate { x: 1.5, y: -2.5, rotation: 90.0, sequence: 4, client_time: 99 }
                .encode_to_vec()
        }
        PacketType::MoveTo => proto::MoveTo { x: 3.0, y: 4.0 }.encode_to_vec(),
        PacketType::CombatAction => {
            proto::CombatAction { target_id: 7, view_tick: 100, view_ms: 49 }.encode_to_vec()
        }
        PacketType::UseItem => proto::UseItem { item_id: 5 }.encode_to_vec(),
        PacketType::PickUp => proto::PickUp { entity_id: 5 }.encode_to_vec(),
        PacketType::UseSkill => {
            proto::UseSkill { skill: "heal".into(), ..Default::default() }.encode_to_vec()
        }
        PacketType::ItemDrop => proto::ItemDrop { item_id: 5, quantity: 2 }.encode_to_vec(),
        PacketType::ItemDestroy => proto::ItemDestroy { item_id: 5, quantity: 0 }.encode_to_vec(),
        PacketType::ItemGive => {
            proto::ItemGive { player_id: 8, item_id: 5, quantity: 2, gold: 0 }.encode_to_vec()
        }
        PacketType::QuestAbandon => proto::QuestAbandon { quest: "wolves".into() }.encode_to_vec(),
        PacketType::QuestAccept => proto::QuestAccept { quest: "wolves".into() }.encode_to_vec(),
        other => talk_sample(other, name),
    }
}

fn talk_sample(kind: PacketType, name: String) -> Vec<u8> {
    match kind {
        PacketType::ChatSend => proto::ChatSend {
            channel: ChatChannel::ChatWhisper.into(),
            target: name,
            text: "hello".into(),
        }
        .encode_to_vec(),
        PacketType::GuildCreateRequest => proto::GuildCreateRequest { name }.encode_to_vec(),
        PacketType::GuildInvite => {
            proto::GuildInvite { player: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::GuildJoin => {
            proto::GuildJoin { guild: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::GuildKick => {
            proto::GuildKick { player: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::GuildRank => {
            proto::GuildRankChange { player: name, rank: 2, ..Default::default() }.encode_to_vec()
        }
        PacketType::GuildInfo => proto::GuildInfo { name, ..Default::default() }.encode_to_vec(),
        PacketType::GuildWarStart => {
            proto::GuildWarStart { enemy: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::GuildWarEnd => {
            proto::GuildWarEnd { enemy: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::RoomCreate => proto::RoomCreate { room: name }.encode_to_vec(),
        PacketType::RoomJoin => {
            proto::RoomJoin { room: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::RoomLeave => {
            proto::RoomLeave { room: name, ..Default::default() }.encode_to_vec()
        }
        PacketType::RoomMembers => {
            proto::RoomMembers { room: name, ..Default::default() }.encode_to_vec()
        }
        // The rest are requests without fields.
        _ => Vec::new(),
    }
}

fn from_clients() -> impl Iterator<Item = &'static PacketRule> {
    TABLE.iter().filter(|rule| rule.from_client())
}

fn check(rule: &PacketRule, answer: Result<ClientPacket, Rejected>) {
    if let Err(Rejected { code, message }) = answer {
        assert!(code != ErrorCode::ErrorUnspecified && code != ErrorCode::ErrorInternal);
        assert!(!message.is_empty(), "{}: a refusal says why", rule.name);
    }
}

#[test]
fn every_sample_is_taken_and_fits_its_limit() {
    for rule in from_clients() {
        let payload = sample(rule.kind);
        assert!(payload.len() <= rule.max_payload, "{}", rule.name);
        let answer = client::decode(rule.kind, &payload);
        assert!(answer.is_ok(), "{}: {answer:?}", rule.name);
    }
}

#[test]
fn what_only_the_server_sends_is_refused() {
    for rule in TABLE.iter().filter(|rule| !rule.from_client()) {
        let refused = client::decode(rule.kind, &[]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::ErrorUnknownType, "{}", rule.name);
    }
}

#[test]
fn an_empty_payload_is_taken_or_refused_with_a_reason() {
    for rule in from_clients() {
        check(rule, client::decode(rule.kind, &[]));
    }
}

#[test]
fn every_cut_is_taken_or_refused_with_a_reason() {
    for rule in from_clients() {
        let payload = sample(rule.kind);
        for cut in 0..payload.len() {
            check(rule, client::decode(rule.kind, &payload[..cut]));
        }
    }
}

#[test]
fn every_flipped_bit_is_taken_or_refused_with_a_reason() {
    for rule in from_clients() {
        let payload = sample(rule.kind);
        for bit in 0..payload.len() * 8 {
            let mut flipped = payload.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            check(rule, client::decode(rule.kind, &flipped));
        }
    }
}

/// A message of random field keys and values: nearer to what a parser takes than noise is.
fn nearly_protobuf() -> impl Strategy<Value = Vec<u8>> {
    let field = (1u8..16, 0u8..6, prop::collection::vec(any::<u8>(), 0..40));
    prop::collection::vec(field, 0..12).prop_map(|fields| {
        let mut bytes = Vec::new();
        for (tag, wire_type, value) in fields {
            bytes.push((tag << 3) | wire_type);
            if wire_type == 2 {
                bytes.push(value.len() as u8);
            }
            bytes.extend_from_slice(&value);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn random_payloads_are_taken_or_refused_with_a_reason(
        noise in prop::collection::vec(any::<u8>(), 0..400), nearly in nearly_protobuf(),
    ) {
        for rule in from_clients() {
            check(rule, client::decode(rule.kind, &noise));
            check(rule, client::decode(rule.kind, &nearly));
        }
    }

    #[test]
    fn whatever_is_rendered_is_whole_clean_lines(
        noise in prop::collection::vec(any::<u8>(), 0..400), nearly in nearly_protobuf(),
        words in "[a-z :\\x00-\\x1f\u{7f}\u{85}\u{2028}\u{1F600}]{0,1200}",
    ) {
        let mut view = TextView::new();
        let spoken = proto::ChatMessage {
            channel: ChatChannel::ChatNear.into(),
            sender: words.clone(),
            text: words.clone(),
            ..Default::default()
        };
        let entity = proto::EntityEnter {
            kind: proto::EntityKind::EntityNpc.into(),
            template: words.clone(),
            name: words.clone(),
            ..Default::default()
        };
        let error = proto::Error { code: 1, message: words, ..Default::default() };
        let payloads = [spoken.encode_to_vec(), entity.encode_to_vec(), error.encode_to_vec()];
        for rule in TABLE.iter().filter(|rule| rule.from_server()) {
            for payload in payloads.iter().chain([&noise, &nearly]) {
                for line in render(rule.kind, payload, &mut view).split_inclusive('\n') {
                    let inside = line.strip_suffix('\n').expect("a line is ended");
                    prop_assert!(line.len() <= LINE_OUT_MAX);
                    let broken = inside.contains(|c: char| c.is_control() || c == '\u{2028}');
                    prop_assert!(!broken);
                }
            }
        }
    }
}
