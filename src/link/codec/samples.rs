//! Strategies that make any message there is, for the round-trip tests.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::geometry::{Point, Pose, Rect};
use crate::ids::{
    EntityId, Epoch, GuildId, GuildRank, ItemId, Key, OperationId, PlayerId, RequestId, ServerId,
    SessionKey, SessionRef, TicketUse, ZoneId,
};
use crate::limits::{COORDINATE_MAX, ZONE_ENTITIES_MAX};
use crate::msg::Outgoing;
use crate::msg::frame::{FrameDelta, FrameEvent, HealthTold};
use crate::msg::login::{
    Credentials, GameServer, LoginDecision, LoginRefusal, QueuePlace, RegisterDecision,
};
use crate::names::{ChatText, Name};
use crate::proto::{DisconnectReason, ErrorCode, PacketType};
use crate::role::Role;
use crate::tick::Tick;
use crate::world::command::{
    Doubt, GuildTag, ItemStack, Owed, PlayerState, Purpose, QuestProgress, StreamState, Timed,
    Timer, Transfer,
};
use crate::world::entity::Handle;
use crate::world::event::{Audience, Weight};
use crate::world::frame::PackedPosition;

pub(super) fn player_id() -> impl Strategy<Value = PlayerId> {
    (1..=u64::from(u32::MAX)).prop_map(PlayerId)
}

pub(super) fn zone_id() -> impl Strategy<Value = ZoneId> {
    (1..=u16::MAX).prop_map(ZoneId)
}

pub(super) fn server_id() -> impl Strategy<Value = ServerId> {
    (1..1u64 << 53).prop_map(ServerId)
}

pub(super) fn guild_id() -> impl Strategy<Value = GuildId> {
    (1..=u64::MAX).prop_map(GuildId)
}

pub(super) fn request_id() -> impl Strategy<Value = RequestId> {
    any::<u64>().prop_map(RequestId)
}

pub(super) fn session_key() -> impl Strategy<Value = SessionKey> {
    any::<u64>().prop_map(SessionKey)
}

pub(super) fn session() -> impl Strategy<Value = SessionRef> {
    (server_id(), session_key()).prop_map(|(gateway, key)| SessionRef { gateway, key })
}

pub(super) fn operation_id() -> impl Strategy<Value = OperationId> {
    any::<u128>().prop_map(OperationId)
}

pub(super) fn ticket() -> impl Strategy<Value = TicketUse> {
    (any::<u128>(), any::<u64>())
        .prop_map(|(id, expires_at)| TicketUse { id: uuid::Uuid::from_u128(id), expires_at })
}

pub(super) fn entity_id() -> impl Strategy<Value = EntityId> {
    any::<u64>().prop_map(EntityId)
}

pub(super) fn handle() -> impl Strategy<Value = Handle> {
    (0..ZONE_ENTITIES_MAX as u16).prop_map(Handle)
}

pub(super) fn key() -> impl Strategy<Value = Key> {
    ".{0,12}".prop_map(Key::from)
}

pub(super) fn name() -> impl Strategy<Value = Name> {
    "[a-zA-Z][a-z0-9_]{2,15}".prop_map(|text| Name::parse(&text).expect("a name"))
}

pub(super) fn chat_text() -> impl Strategy<Value = ChatText> {
    "[a-zA-Z0-9äß!?][ -~]{0,40}[a-z]".prop_map(|text| ChatText::parse(&text).expect("a text"))
}

/// Whatever a client may have sent, infinities included; no NaN, which equals nothing.
pub(super) fn wild() -> impl Strategy<Value = f32> {
    any::<f32>().prop_filter("comparable", |number| !number.is_nan())
}

pub(super) fn point() -> impl Strategy<Value = Point> {
    let axis = || -COORDINATE_MAX..=COORDINATE_MAX;
    (axis(), axis()).prop_map(|(x, y)| Point { x, y })
}

pub(super) fn pose() -> impl Strategy<Value = Pose> {
    (point(), 0.0f32..360.0).prop_map(|(at, rotation)| Pose { at, rotation })
}

pub(super) fn bounds() -> impl Strategy<Value = Rect> {
    (-50_000.0f32..50_000.0, -50_000.0f32..50_000.0, 1.0f32..10_000.0, 1.0f32..10_000.0).prop_map(
        |(min_x, min_y, width, height)| Rect {
            min_x,
            min_y,
            max_x: min_x + width,
            max_y: min_y + height,
        },
    )
}

pub(super) fn rank() -> impl Strategy<Value = GuildRank> {
    prop_oneof![Just(GuildRank::Member), Just(GuildRank::Officer), Just(GuildRank::Leader)]
}

pub(super) fn roles() -> impl Strategy<Value = Vec<Role>> {
    proptest::sample::subsequence(Role::ALL.to_vec(), 0..=5)
}

/// Any set number of a generated enum below `end`.
fn numbered<E>(end: i32) -> impl Strategy<Value = E>
where
    E: TryFrom<i32> + std::fmt::Debug + Clone + 'static,
{
    let all: Vec<E> = (1..end).filter_map(|number| E::try_from(number).ok()).collect();
    proptest::sample::select(all)
}

pub(super) fn packet_type() -> impl Strategy<Value = PacketType> {
    numbered(5_000)
}

pub(super) fn error_code() -> impl Strategy<Value = ErrorCode> {
    numbered(1_000)
}

pub(super) fn disconnect_reason() -> impl Strategy<Value = DisconnectReason> {
    numbered(1_000)
}

pub(super) fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

pub(super) fn packet() -> impl Strategy<Value = Outgoing> {
    (packet_type(), payload()).prop_map(|(kind, payload)| Outgoing { kind, payload })
}

pub(super) fn guild_tag() -> impl Strategy<Value = GuildTag> {
    (guild_id(), key()).prop_map(|(id, name)| GuildTag { id, name })
}

fn stack() -> impl Strategy<Value = ItemStack> {
    (any::<u64>(), key(), any::<u32>()).prop_map(|(id, kind, quantity)| ItemStack {
        id: ItemId(id),
        kind,
        quantity,
    })
}

fn quest() -> impl Strategy<Value = QuestProgress> {
    (key(), vec(any::<u32>(), 0..4), any::<bool>())
        .prop_map(|(quest, done, completed)| QuestProgress { quest, done, completed })
}

fn timer() -> impl Strategy<Value = Timer> {
    let what = prop_oneof![
        Just(Timed::Attack),
        key().prop_map(Timed::Skill),
        key().prop_map(Timed::Item),
        Just(Timed::Fight),
        Just(Timed::Duel),
        Just(Timed::Protection),
        Just(Timed::Death),
        any::<u32>().prop_map(Timed::Haste),
    ];
    (what, any::<u64>()).prop_map(|(what, left_ms)| Timer { what, left_ms })
}

pub(super) fn player_state() -> impl Strategy<Value = PlayerState> {
    let who = (player_id(), key(), any::<u64>(), zone_id(), pose());
    let numbers = (any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), any::<u64>());
    (who, numbers, vec(stack(), 0..4), vec(quest(), 0..4), vec(timer(), 0..4)).prop_map(
        |((id, name, epoch, zone, pose), numbers, inventory, quests, timers)| {
            let (level, experience, health, power, gold) = numbers;
            PlayerState {
                id,
                name,
                epoch: Epoch(epoch),
                zone,
                pose,
                level,
                experience,
                health,
                power,
                gold,
                inventory,
                quests,
                timers,
            }
        },
    )
}

fn purpose() -> impl Strategy<Value = Purpose> {
    prop_oneof![
        (entity_id(), key(), any::<u32>()).prop_map(|(thing, kind, quantity)| Purpose::PickUp {
            thing,
            kind,
            quantity
        }),
        (any::<u64>().prop_map(ItemId), key()).prop_map(|(item, kind)| Purpose::Use { item, kind }),
        (key(), any::<u32>(), point()).prop_map(|(kind, quantity, at)| Purpose::Drop {
            kind,
            quantity,
            at
        }),
        Just(Purpose::Destroy),
        player_id().prop_map(|to| Purpose::Give { to }),
        player_id().prop_map(|from| Purpose::Receive { from }),
        any::<u64>().prop_map(Purpose::Gold),
        key().prop_map(Purpose::Quest),
        key().prop_map(Purpose::Abandon),
    ]
}

pub(super) fn transfer() -> impl Strategy<Value = Transfer> {
    let more = (option::of((any::<u64>(), 0.1f32..9.0)), any::<bool>());
    let doubt = (operation_id(), purpose());
    let doubt = doubt.prop_map(|(operation, purpose)| Doubt { operation, purpose });
    let owed = (any::<u64>(), option::of(doubt));
    let owed = owed.prop_map(|(gold, doubt)| Owed { gold, doubt });
    let stream = (option::of(any::<u32>()), -9.0f32..9.0, any::<u32>(), option::of(any::<u64>()));
    let stream = stream.prop_map(|(sequence, suspicion, impossible, unseen_ms)| StreamState {
        sequence,
        suspicion,
        impossible,
        unseen_ms,
    });
    let movement = (-9.0f32..9.0, stream, owed);
    (player_state(), option::of(guild_tag()), option::of(point()), more, movement).prop_map(
        |(state, guild, destination, (haste, leaves), movement)| {
            let (travel_ahead, stream, owed) = movement;
            Transfer { state, guild, destination, haste, leaves, travel_ahead, stream, owed }
        },
    )
}

fn frame_event() -> impl Strategy<Value = FrameEvent> {
    let audience = prop_oneof![
        Just(Audience::Zone),
        (0.0f32..100.0, entity_id()).prop_map(|(metres, except)| Audience::Beside(metres, except)),
        (0.0f32..100.0).prop_map(Audience::Within)
    ];
    let weight = prop_oneof![Just(Weight::Talk), Just(Weight::Death), Just(Weight::Other)];
    let health =
        (handle(), any::<bool>()).prop_map(|(handle, settled)| HealthTold { handle, settled });
    let about = (weight, [entity_id(), entity_id()], option::of(health));
    (point(), audience, about, packet_type(), payload()).prop_map(
        |(at, audience, (weight, concerns, health), kind, payload)| FrameEvent {
            at,
            audience,
            weight,
            concerns,
            health,
            kind,
            payload,
        },
    )
}

pub(super) fn frame_delta() -> impl Strategy<Value = FrameDelta> {
    let head =
        (zone_id(), any::<u64>(), any::<u64>(), bounds(), 1u8..=100, option::of(any::<u64>()));
    let position = (handle(), 0u64..1 << 48)
        .prop_map(|(handle, rest)| PackedPosition(u64::from(handle.0) | rest << 16));
    let described = (handle(), any::<bool>(), payload());
    let lists = (
        vec(position, 0..5),
        vec((handle(), entity_id()), 0..4),
        vec(handle(), 0..4),
        vec(described, 0..4),
        vec(frame_event(), 0..4),
        vec((handle(), point()), 0..4),
    );
    (head, lists).prop_map(|((zone, origin, tick, bounds, dilation_percent, base), lists)| {
        let (moved, entered, left, described, events, set_out) = lists;
        FrameDelta {
            zone,
            origin,
            tick: Tick(tick),
            bounds,
            dilation_percent,
            base: base.map(Tick),
            moved,
            entered,
            left,
            described,
            events,
            set_out,
        }
    })
}

pub(super) fn credentials() -> impl Strategy<Value = Credentials> {
    (name(), "[0-9a-f]{64}").prop_map(|(name, secret)| Credentials { name, secret })
}

pub(super) fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![any::<[u8; 4]>().prop_map(IpAddr::from), any::<[u8; 16]>().prop_map(IpAddr::from)]
}

pub(super) fn game_server() -> impl Strategy<Value = GameServer> {
    let ports = (any::<u16>(), any::<u16>());
    (server_id(), ".{0,9}", ".{0,9}", ports, any::<u32>(), any::<u32>()).prop_map(
        |(id, name, host, (port, text_port), players, capacity)| GameServer {
            id,
            name,
            host,
            port,
            text_port,
            players,
            capacity,
        },
    )
}

fn refusal() -> impl Strategy<Value = LoginRefusal> {
    (error_code(), ".{0,20}", any::<u32>())
        .prop_map(|(code, message, retry_after_ms)| LoginRefusal { code, message, retry_after_ms })
}

pub(super) fn login_decision() -> impl Strategy<Value = LoginDecision> {
    prop_oneof![
        (player_id(), name(), ".{0,40}", vec(game_server(), 0..3)).prop_map(
            |(player, name, ticket, servers)| LoginDecision::Accepted {
                player,
                name,
                ticket,
                servers
            }
        ),
        refusal().prop_map(LoginDecision::Refused),
    ]
}

pub(super) fn register_decision() -> impl Strategy<Value = RegisterDecision> {
    prop_oneof![
        player_id().prop_map(RegisterDecision::Created),
        refusal().prop_map(RegisterDecision::Refused),
    ]
}

pub(super) fn queue_place() -> impl Strategy<Value = QueuePlace> {
    (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(position, length, wait_ms)| QueuePlace {
        position,
        length,
        wait_ms,
    })
}

/// A key as a shared text of the same words.
pub(super) fn text_key() -> impl Strategy<Value = Key> {
    chat_text().prop_map(|text| Arc::from(text.as_str()))
}
