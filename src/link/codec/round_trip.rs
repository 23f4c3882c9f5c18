//! What is sent is what arrives, for every message; and no bytes whatever make the codec panic.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::DecodeError;
use super::samples::*;
use super::samples_actions::{action, refusal, strike};
use super::samples_nodes::{host_msg, node_msg, present_session, zone_status};
use crate::ids::Epoch;
use crate::link::Wire;
use crate::msg::chat::{Addressee, GuildAction, RoomAction};
use crate::msg::gateway::EnterRefusal;
use crate::msg::master::ServerStatus;
use crate::msg::{ChatMsg, Conduct, GatewayMsg, HostMsg, LoginMsg, MasterMsg, NodeMsg, ZoneMsg};
use crate::role::Role;
use crate::world::command::{Action, Credit};

fn zone_msg() -> impl Strategy<Value = ZoneMsg> {
    let wars = vec((guild_id(), guild_id()), 0..4).prop_map(|pairs| {
        let ordered = pairs.into_iter().map(|(a, b)| (a.min(b), a.max(b)));
        ordered.filter(|(a, b)| a != b).collect()
    });
    prop_oneof![
        server_id().prop_map(|gateway| ZoneMsg::Watch { gateway }),
        server_id().prop_map(|gateway| ZoneMsg::Unwatch { gateway }),
        (player_id(), session(), option::of(ticket()))
            .prop_map(|(player, session, ticket)| ZoneMsg::Enter { player, session, ticket }),
        (player_id(), session()).prop_map(|(player, session)| ZoneMsg::Leave { player, session }),
        (player_id(), session(), any::<u64>(), action()).prop_map(
            |(player, session, request, action)| ZoneMsg::Act { player, session, request, action }
        ),
        (transfer(), zone_id(), server_id(), operation_id(), session()).prop_map(
            |(transfer, from, owner, handover, session)| {
                ZoneMsg::Arrive { transfer: Box::new(transfer), from, owner, handover, session }
            }
        ),
        (player_id(), operation_id())
            .prop_map(|(player, handover)| ZoneMsg::Arrived { player, handover }),
        (player_id(), operation_id(), any::<bool>()).prop_map(|(player, handover, certain)| {
            ZoneMsg::NotArrived { player, handover, certain }
        }),
        (player_id(), option::of(guild_tag()))
            .prop_map(|(player, guild)| ZoneMsg::SetGuild { player, guild }),
        wars.prop_map(|wars| ZoneMsg::SetWars { wars }),
        strike().prop_map(|strike| ZoneMsg::Strike(Box::new(strike))),
        (player_id(), any::<u64>(), refusal()).prop_map(|(player, request, refusal)| {
            ZoneMsg::StrikeRefused { player, request, refusal }
        }),
        (player_id(), any::<u64>(), any::<u64>(), option::of(key())).prop_map(
            |(player, experience, gold, npc)| {
                ZoneMsg::Credit { player, credit: Credit { experience, gold, npc } }
            }
        ),
    ]
}

/// All but `Frame`, which becomes a `FrameDelta` on the wire.
fn gateway_msg() -> impl Strategy<Value = GatewayMsg> {
    let refused = prop_oneof![
        Just(EnterRefusal::TicketUsed),
        zone_id().prop_map(EnterRefusal::Elsewhere),
        Just(EnterRefusal::Full),
        Just(EnterRefusal::Unavailable),
        any::<u64>().prop_map(|key| EnterRefusal::Superseded(crate::ids::SessionKey(key))),
    ];
    prop_oneof![
        frame_delta().prop_map(|delta| GatewayMsg::FrameDelta(Box::new(delta))),
        (session_key(), packet())
            .prop_map(|(session, packet)| GatewayMsg::Deliver { session, packet }),
        (vec(session_key(), 0..5), packet())
            .prop_map(|(sessions, packet)| GatewayMsg::DeliverMany { sessions, packet }),
        packet().prop_map(|packet| GatewayMsg::Broadcast { packet }),
        (session_key(), player_state(), zone_id(), key()).prop_map(
            |(session, state, zone, guild)| GatewayMsg::Entered {
                session,
                state: Box::new(state),
                zone,
                guild
            }
        ),
        (session_key(), refused)
            .prop_map(|(session, reason)| GatewayMsg::EnterRefused { session, reason }),
        (session_key(), player_id(), zone_id())
            .prop_map(|(session, player, zone)| GatewayMsg::Moved { session, player, zone }),
        (session_key(), disconnect_reason(), ".{0,20}").prop_map(|(session, reason, message)| {
            GatewayMsg::Kick { session, reason, message }
        }),
        (session_key(), vec(name(), 0..4))
            .prop_map(|(session, rooms)| GatewayMsg::Rooms { session, rooms }),
        prop_oneof![Just(Role::Master), Just(Role::Chat)]
            .prop_map(|to| GatewayMsg::Introduce { to }),
        (request_id(), login_decision())
            .prop_map(|(request, decision)| GatewayMsg::LoginDecided { request, decision }),
        (request_id(), queue_place())
            .prop_map(|(request, place)| GatewayMsg::LoginQueued { request, place }),
        (request_id(), register_decision())
            .prop_map(|(request, decision)| GatewayMsg::RegisterDecided { request, decision }),
        (request_id(), option::of(zone_id()))
            .prop_map(|(request, zone)| GatewayMsg::PresenceGranted { request, zone }),
        (player_id(), conduct())
            .prop_map(|(player, conduct)| GatewayMsg::Conduct { player, conduct }),
    ]
}

fn room_action() -> impl Strategy<Value = RoomAction> {
    prop_oneof![
        name().prop_map(RoomAction::Create),
        name().prop_map(RoomAction::Join),
        name().prop_map(RoomAction::Leave),
        Just(RoomAction::List),
        name().prop_map(RoomAction::Members),
    ]
}

fn guild_action() -> impl Strategy<Value = GuildAction> {
    prop_oneof![
        name().prop_map(GuildAction::Create),
        name().prop_map(GuildAction::Invite),
        name().prop_map(GuildAction::Join),
        Just(GuildAction::Leave),
        name().prop_map(GuildAction::Kick),
        (name(), rank()).prop_map(|(name, rank)| GuildAction::Rank(name, rank)),
        Just(GuildAction::Disband),
        option::of(name()).prop_map(GuildAction::Info),
        name().prop_map(GuildAction::DeclareWar),
        name().prop_map(GuildAction::EndWar),
    ]
}

fn chat_msg() -> impl Strategy<Value = ChatMsg> {
    let to = prop_oneof![
        Just(Addressee::World),
        name().prop_map(Addressee::Player),
        Just(Addressee::Guild),
        name().prop_map(Addressee::Room),
    ];
    let side = || (player_id(), guild_id());
    prop_oneof![
        (player_id(), key(), session(), zone_id(), vec(name(), 0..4), option::of(any::<u64>()))
            .prop_map(|(player, name, session, zone, rooms, since)| {
                ChatMsg::Joined { player, name, session, zone, rooms, since }
            }),
        (player_id(), zone_id()).prop_map(|(player, zone)| ChatMsg::Moved { player, zone }),
        (player_id(), session()).prop_map(|(player, session)| ChatMsg::Left { player, session }),
        (player_id(), any::<u64>(), to, chat_text())
            .prop_map(|(player, request, to, text)| ChatMsg::Say { player, request, to, text }),
        (player_id(), any::<u64>(), room_action())
            .prop_map(|(player, request, action)| ChatMsg::Room { player, request, action }),
        (player_id(), any::<u64>(), guild_action())
            .prop_map(|(player, request, action)| ChatMsg::Guild { player, request, action }),
        (player_id(), any::<u64>()).prop_map(|(player, request)| ChatMsg::Who { player, request }),
        (operation_id(), side(), side()).prop_map(|(id, killer, victim)| ChatMsg::WarKill {
            id,
            killer,
            victim
        }),
        (request_id(), chat_text()).prop_map(|(request, text)| ChatMsg::Announce { request, text }),
    ]
}

fn login_msg() -> impl Strategy<Value = LoginMsg> {
    prop_oneof![
        (server_id(), request_id(), credentials(), ".{0,9}", address()).prop_map(
            |(from, request, credentials, device, address)| LoginMsg::Login {
                from,
                request,
                credentials,
                device,
                address
            }
        ),
        (server_id(), request_id(), credentials(), address()).prop_map(
            |(from, request, credentials, address)| LoginMsg::Register {
                from,
                request,
                credentials,
                address
            }
        ),
        vec(game_server(), 0..4).prop_map(LoginMsg::Servers),
        (request_id(), option::of(".{0,9}"))
            .prop_map(|(request, device)| LoginMsg::Presence { request, device }),
    ]
}

fn status() -> impl Strategy<Value = ServerStatus> {
    let words = (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}");
    let numbers = (any::<u16>(), any::<u16>(), any::<u32>(), any::<u32>(), 0.0f32..200.0);
    let rest = (any::<u64>(), vec(zone_status(), 0..4), any::<bool>());
    let more = (".{0,9}", any::<u16>(), any::<u64>(), any::<u32>());
    (server_id(), roles(), words, numbers, (rest, more)).prop_map(
        |(server, roles, (name, version, region, host), numbers, (rest, more))| {
            let (port, text_port, players, capacity, cpu_percent) = numbers;
            let (memory, zones, draining) = rest;
            let (link_host, link_port, started_at, links) = more;
            ServerStatus {
                server,
                name,
                roles,
                version,
                region,
                host,
                port,
                text_port,
                players,
                capacity,
                cpu_percent,
                memory,
                zones,
                draining,
                link_host,
                link_port,
                started_at,
                links,
            }
        },
    )
}

fn conduct() -> impl Strategy<Value = Conduct> {
    let times = || vec(any::<u32>(), 0..4);
    (any::<[u32; 4]>(), times(), times(), times()).prop_map(|(until, tried, spoken, strikes)| {
        let [packets, moves, abilities, muted] = until;
        Conduct { packets, moves, abilities, muted, tried, spoken, strikes }
    })
}

fn master_msg() -> impl Strategy<Value = MasterMsg> {
    prop_oneof![
        status().prop_map(|status| MasterMsg::Status(Box::new(status))),
        (request_id(), player_id(), key(), session(), ".{0,9}").prop_map(
            |(request, player, name, session, device)| MasterMsg::Claim {
                request,
                player,
                name,
                session,
                device
            }
        ),
        vec(present_session(), 0..4).prop_map(|sessions| MasterMsg::Present { sessions }),
        (player_id(), session(), zone_id(), any::<u64>().prop_map(Epoch)).prop_map(
            |(player, session, zone, epoch)| MasterMsg::Located { player, session, zone, epoch }
        ),
        (player_id(), session())
            .prop_map(|(player, session)| MasterMsg::Released { player, session }),
        (server_id(), any::<bool>()).prop_map(|(server, clean)| MasterMsg::Lost { server, clean }),
        (request_id(), player_id())
            .prop_map(|(request, player)| MasterMsg::WhereIs { request, player }),
        (player_id(), server_id(), conduct()).prop_map(|(player, gateway, conduct)| {
            MasterMsg::Conduct { player, gateway, conduct }
        }),
    ]
}

proptest! {
    #[test]
    fn every_zone_message_survives(message in zone_msg()) {
        prop_assert_eq!(ZoneMsg::decode(message.encode()).unwrap(), message);
    }

    #[test]
    fn every_gateway_message_survives(message in gateway_msg()) {
        let arrived = GatewayMsg::decode(message.encode()).unwrap();
        prop_assert_eq!(format!("{arrived:?}"), format!("{message:?}"));
    }

    #[test]
    fn every_chat_message_survives(message in chat_msg()) {
        prop_assert_eq!(ChatMsg::decode(message.encode()).unwrap(), message);
    }

    #[test]
    fn every_login_message_survives(message in login_msg()) {
        prop_assert_eq!(LoginMsg::decode(message.encode()).unwrap(), message);
    }

    #[test]
    fn every_master_message_survives(message in master_msg()) {
        prop_assert_eq!(MasterMsg::decode(message.encode()).unwrap(), message);
    }

    #[test]
    fn every_message_of_processes_survives(node in node_msg(), host in host_msg()) {
        prop_assert_eq!(NodeMsg::decode(node.encode()).unwrap(), node);
        prop_assert_eq!(HostMsg::decode(host.encode()).unwrap(), host);
    }

    #[test]
    fn no_bytes_make_the_codec_panic(bytes in vec(any::<u8>(), 0..200)) {
        decode_all(bytes.into());
    }

    #[test]
    fn no_flipped_bit_makes_the_codec_panic(
        message in zone_msg(), other in gateway_msg(), place in any::<usize>(), bit in 0u8..8,
    ) {
        for encoded in [message.encode(), other.encode()] {
            let mut bytes = encoded.to_vec();
            let place = place % bytes.len();
            bytes[place] ^= 1 << bit;
            decode_all(bytes.into());
        }
    }

    #[test]
    fn a_message_for_one_role_is_none_for_another(
        zone in zone_msg(), chat in chat_msg(), login in login_msg(), master in master_msg(),
    ) {
        prop_assert!(ChatMsg::decode(zone.encode()).is_err());
        prop_assert!(ZoneMsg::decode(chat.encode()).is_err());
        prop_assert!(MasterMsg::decode(login.encode()).is_err());
        prop_assert!(GatewayMsg::decode(master.encode()).is_err());
        prop_assert!(LoginMsg::decode(master.encode()).is_err());
    }
}

fn decode_all(bytes: Bytes) {
    let _ = ZoneMsg::decode(bytes.clone()).is_ok();
    let _ = GatewayMsg::decode(bytes.clone()).is_ok();
    let _ = ChatMsg::decode(bytes.clone()).is_ok();
    let _ = LoginMsg::decode(bytes.clone()).is_ok();
    let _ = MasterMsg::decode(bytes.clone()).is_ok();
    let _ = NodeMsg::decode(bytes.clone()).is_ok();
    let _ = HostMsg::decode(bytes).is_ok();
}

fn problem<T: std::fmt::Debug>(result: Result<T, DecodeError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_wrong_field_is_named() {
    use crate::ids::{PlayerId, ServerId, SessionKey, SessionRef, ZoneId};

    let session = SessionRef { gateway: ServerId(1), key: SessionKey(1) };
    let nobody = ZoneMsg::Leave { player: PlayerId(0), session };
    assert_eq!(
        problem(ZoneMsg::decode(nobody.encode())),
        "SessionLeave.player_id is no player's id"
    );
    let nowhere = ChatMsg::Moved { player: PlayerId(1), zone: ZoneId(0) };
    assert_eq!(
        problem(ChatMsg::decode(nowhere.encode())),
        "PlayerRelocated.zone_id is no zone's id"
    );
    assert_eq!(problem(ChatMsg::decode(Bytes::new())), "Envelope.body is not set");
    let watch = ZoneMsg::Watch { gateway: ServerId(1) };
    assert_eq!(
        problem(ChatMsg::decode(watch.encode())),
        "ChatMsg.body is not a message for this role"
    );
    assert!(problem(ZoneMsg::decode(Bytes::from_static(b"\xff\xff"))).starts_with("malformed: "));
}

#[test]
fn a_streamed_place_arrives_as_it_was_sent_even_if_it_is_no_number() {
    use crate::ids::{PlayerId, ServerId, SessionKey, SessionRef};

    let session = SessionRef { gateway: ServerId(1), key: SessionKey(1) };
    let action = Action::MoveTo { x: f32::NAN, y: f32::INFINITY };
    let message = ZoneMsg::Act { player: PlayerId(1), session, request: 1, action };
    let arrived = ZoneMsg::decode(message.encode()).unwrap();
    assert_eq!(format!("{arrived:?}"), format!("{message:?}"));
}
