//! The table, row by row: who is heard, and who is not.

use super::*;
use crate::ids::{
    Epoch, GuildId, Key, OperationId, PlayerId, RequestId, SessionKey, SessionRef, ZoneId,
};
use crate::msg::Outgoing;
use crate::msg::gateway::EnterRefusal;
use crate::msg::host::ZoneOffer;
use crate::msg::login::{Credentials, LoginDecision, LoginRefusal, QueuePlace, RegisterDecision};
use crate::msg::master::{PresentSession, ServerStatus};
use crate::msg::node::Introduction;
use crate::names::{ChatText, Name};
use crate::proto::{DisconnectReason, ErrorCode, PacketType};
use crate::world::command::{Action, Credit, Refusal};

const ME: ServerId = ServerId(1);
const OTHER: ServerId = ServerId(2);
const PLAYER: PlayerId = PlayerId(3);
const ZONE: ZoneId = ZoneId(4);
const REQUEST: RequestId = RequestId(5);
const HANDOVER: OperationId = OperationId(6);
const KEY: SessionKey = SessionKey(7);

/// A server that plays these.
fn source(roles: &str) -> Source {
    Source { server: ME, roles: roles.parse().unwrap() }
}

fn session(gateway: ServerId) -> SessionRef {
    SessionRef { gateway, key: KEY }
}

/// Of the servers with one role, only those with these may say it.
#[track_caller]
fn only(roles: &[Role], messages: &[&dyn Sourced]) {
    for (row, message) in messages.iter().enumerate() {
        for role in Role::ALL {
            let may = message.may_come_from(&source(role.as_str()));
            assert_eq!(may.is_ok(), roles.contains(&role), "row {row}, {role}: {may:?}");
        }
    }
}

/// A gateway may say it of itself, and of no other.
#[track_caller]
fn of_its_own<M: Sourced>(make: impl Fn(ServerId) -> M) {
    let gateway = source("gateway");
    assert_eq!(make(ME).may_come_from(&gateway), Ok(()));
    assert_eq!(make(OTHER).may_come_from(&gateway), Err(Misfit::OtherServer(OTHER)));
    for role in ["master", "login", "chat"] {
        let refused = make(ME).may_come_from(&source(role));
        assert_eq!(refused, Err(Misfit::NotItsRole(&[Role::Gateway])), "{role}");
    }
}

fn introduction(server: ServerId, roles: &[Role]) -> NodeMsg {
    let (started_at, ticket_key, zones) = (1, None, vec![]);
    let roles = roles.to_vec();
    NodeMsg::Introduced(Box::new(Introduction { server, roles, started_at, ticket_key, zones }))
}

fn status(server: ServerId, roles: &[Role]) -> MasterMsg {
    MasterMsg::Status(Box::new(ServerStatus {
        server,
        name: String::new(),
        roles: roles.to_vec(),
        version: String::new(),
        region: String::new(),
        host: String::new(),
        port: 0,
        text_port: 0,
        players: 0,
        capacity: 0,
        cpu_percent: 0.0,
        memory: 0,
        zones: vec![],
        draining: false,
        link_host: String::new(),
        link_port: 0,
        started_at: 1,
        links: 0,
    }))
}

#[test]
fn a_server_describes_itself_alone_and_as_it_has_proven() {
    let both = source("zone,gateway");
    let (roles, more) = (&[Role::Zone, Role::Gateway], &[Role::Zone, Role::Master]);
    let other = Err(Misfit::OtherServer(OTHER));
    let unproven = Err(Misfit::UnprovenRole(Role::Master));
    assert_eq!(introduction(ME, roles).may_come_from(&both), Ok(()));
    assert_eq!(introduction(OTHER, roles).may_come_from(&both), other);
    assert_eq!(introduction(ME, more).may_come_from(&both), unproven);
    assert_eq!(status(ME, roles).may_come_from(&both), Ok(()));
    assert_eq!(status(OTHER, roles).may_come_from(&both), other);
    assert_eq!(status(ME, more).may_come_from(&both), unproven);
    only(&Role::ALL, &[&introduction(ME, &[]), &status(ME, &[])]);
}

#[test]
fn orders_come_from_whoever_plays_the_master() {
    let run = HostMsg::Run { zone: ZONE };
    let go = HostMsg::Move { zone: ZONE, to: OTHER };
    let servers = LoginMsg::Servers(vec![]);
    let presence = LoginMsg::Presence { request: REQUEST, device: None };
    let granted = GatewayMsg::PresenceGranted { request: REQUEST, zone: None };
    let introduce = GatewayMsg::Introduce { to: Role::Master };
    let members = NodeMsg::Members(vec![]);
    let text = ChatText::parse("hello").unwrap();
    let announce = ChatMsg::Announce { request: REQUEST, text };
    let told = GatewayMsg::Servers(vec![]);
    let orders: [&dyn Sourced; 10] = [
        &run,
        &go,
        &members,
        &NodeMsg::Drain,
        &servers,
        &presence,
        &granted,
        &introduce,
        &announce,
        &told,
    ];
    only(&[Role::Master], &orders);
    assert_eq!(NodeMsg::Drain.may_come_from(&source("chat,master")), Ok(()));
}

#[test]
fn gateways_speak_of_their_own_sessions() {
    let (name, device) = (Key::from("Ann"), String::new());
    let claim = |gateway| {
        let (name, device) = (name.clone(), device.clone());
        let session = session(gateway);
        MasterMsg::Claim { request: REQUEST, player: PLAYER, name, session, device }
    };
    let present = |gateway| {
        let (name, device, zone) = (name.clone(), device.clone(), None);
        let session = session(gateway);
        PresentSession { player: PLAYER, name, session, device, zone, since: 1 }
    };
    let mixed = MasterMsg::Present { sessions: vec![present(ME), present(OTHER)] };
    let other = Err(Misfit::OtherServer(OTHER));
    assert_eq!(mixed.may_come_from(&source("gateway")), other);
    only(&[Role::Gateway], &[&MasterMsg::Present { sessions: vec![] }, &claim(ME)]);
    of_its_own(claim);
    of_its_own(|gateway| MasterMsg::Present { sessions: vec![present(gateway)] });
    of_its_own(|gateway| MasterMsg::Released { player: PLAYER, session: session(gateway) });
    of_its_own(|gateway| ChatMsg::Left { player: PLAYER, session: session(gateway) });
    of_its_own(|gateway| {
        let (name, rooms, since) = (name.clone(), vec![], None);
        let session = session(gateway);
        ChatMsg::Joined { player: PLAYER, name, session, zone: ZONE, rooms, since }
    });
    let name = Name::parse("Ann").unwrap();
    let credentials = Credentials { name, secret: "0".repeat(64) };
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    of_its_own(|from| {
        let (credentials, device) = (credentials.clone(), device.clone());
        LoginMsg::Login { from, request: REQUEST, credentials, device, address }
    });
    of_its_own(|from| {
        let credentials = credentials.clone();
        LoginMsg::Register { from, request: REQUEST, credentials, address }
    });
    let moved = ChatMsg::Moved { player: PLAYER, zone: ZONE };
    only(&[Role::Gateway], &[&moved, &ChatMsg::Who { player: PLAYER, request: 1 }]);
}

#[test]
fn zone_servers_send_on_what_gateways_have_said() {
    let enter = |gateway| {
        let session = session(gateway);
        ZoneMsg::Enter { player: PLAYER, session, ticket: None }
    };
    let leave = |gateway| ZoneMsg::Leave { player: PLAYER, session: session(gateway) };
    let act = |gateway| {
        let (session, action) = (session(gateway), Action::Inventory);
        ZoneMsg::Act { player: PLAYER, session, request: 1, action }
    };
    of_its_own(|gateway| ZoneMsg::Watch { gateway });
    of_its_own(|gateway| ZoneMsg::Unwatch { gateway });
    of_its_own(enter);
    of_its_own(leave);
    of_its_own(act);
    for message in [enter(OTHER), leave(OTHER), act(OTHER), ZoneMsg::Watch { gateway: OTHER }] {
        for zones in ["zone", "zone,gateway"] {
            assert_eq!(message.may_come_from(&source(zones)), Ok(()), "{message:?}");
        }
    }
}

#[test]
fn zones_speak_of_sessions_at_any_gateway() {
    let located =
        MasterMsg::Located { player: PLAYER, session: session(OTHER), zone: ZONE, epoch: Epoch(1) };
    let moved = GatewayMsg::Moved { session: KEY, player: PLAYER, zone: ZONE };
    let refused = GatewayMsg::EnterRefused { session: KEY, reason: EnterRefusal::Full };
    let (killer, victim) = ((PLAYER, GuildId(1)), (PLAYER, GuildId(2)));
    let kill = ChatMsg::WarKill { id: HANDOVER, killer, victim };
    let arrived = ZoneMsg::Arrived { player: PLAYER, handover: HANDOVER };
    let not_arrived = ZoneMsg::NotArrived { player: PLAYER, handover: HANDOVER, certain: true };
    let credit = Credit { experience: 1, gold: 1, npc: None };
    let credit = ZoneMsg::Credit { player: PLAYER, credit };
    let refusal = Refusal::OutOfRange;
    let missed = ZoneMsg::StrikeRefused { player: PLAYER, request: 1, refusal };
    let taken = HostMsg::Taken { handover: HANDOVER, zone: ZONE };
    let (certain, reason) = (true, String::new());
    let not_taken = HostMsg::NotTaken { handover: HANDOVER, zone: ZONE, certain, reason };
    let messages: [&dyn Sourced; 9] =
        [&located, &moved, &kill, &arrived, &not_arrived, &credit, &missed, &taken, &not_taken];
    only(&[Role::Zone], &messages);
    only(&[Role::Zone, Role::Master], &[&refused]);
}

#[test]
fn a_host_offers_what_it_runs_itself() {
    let offer = |from| {
        HostMsg::Offered(Box::new(ZoneOffer {
            handover: HANDOVER,
            zone: ZONE,
            from,
            lease: Epoch(1),
            part: 0,
            parts: 1,
            players: vec![],
            npcs: vec![],
            things: vec![],
            rest: None,
            watchers: vec![],
        }))
    };
    only(&[Role::Zone], &[&offer(ME)]);
    let refused = offer(OTHER).may_come_from(&source("zone"));
    assert_eq!(refused, Err(Misfit::OtherServer(OTHER)));
}

#[test]
fn nobody_is_told_of_losses_by_others() {
    let lost = |server| MasterMsg::Lost { server, clean: true };
    for server in [ME, OTHER] {
        assert_eq!(lost(server).may_come_from(&source("all")), Err(Misfit::Internal));
    }
    only(&[], &[&lost(ME)]);
}

#[test]
fn answers_and_packets_come_from_the_roles_that_make_them() {
    let packet = Outgoing { kind: PacketType::GameEvent, payload: bytes::Bytes::new() };
    let deliver = GatewayMsg::Deliver { session: KEY, packet: packet.clone() };
    only(&[Role::Zone, Role::Chat], &[&deliver]);
    only(&[Role::Chat, Role::Master], &[&GatewayMsg::Broadcast { packet: packet.clone() }]);
    let (reason, message) = (DisconnectReason::DisconnectKicked, String::new());
    let kick = GatewayMsg::Kick { session: KEY, reason, message };
    only(&[Role::Zone, Role::Master], &[&kick]);
    let many = GatewayMsg::DeliverMany { sessions: vec![KEY], packet };
    let rooms = GatewayMsg::Rooms { session: KEY, rooms: vec![] };
    let introduce = GatewayMsg::Introduce { to: Role::Chat };
    let guild = ZoneMsg::SetWars { wars: vec![] };
    only(&[Role::Chat], &[&many, &rooms, &introduce]);
    only(&[Role::Zone, Role::Chat], &[&guild]);
    let code = ErrorCode::ErrorUnavailable;
    let refusal = LoginRefusal { code, message: String::new(), retry_after_ms: 0 };
    let decision = LoginDecision::Refused(refusal.clone());
    let decided = GatewayMsg::LoginDecided { request: REQUEST, decision };
    let decision = RegisterDecision::Refused(refusal);
    let registered = GatewayMsg::RegisterDecided { request: REQUEST, decision };
    let place = QueuePlace { position: 1, length: 1, wait_ms: 1 };
    let queued = GatewayMsg::LoginQueued { request: REQUEST, place };
    let asked = MasterMsg::WhereIs { request: REQUEST, player: PLAYER };
    only(&[Role::Login], &[&decided, &registered, &queued, &asked]);
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let refused = NodeMsg::Drain.may_come_from(&source("gateway")).unwrap_err();
    assert_eq!(refused.to_string(), "only a server that plays master says that");
    let packet = Outgoing { kind: PacketType::GameEvent, payload: bytes::Bytes::new() };
    let refused = GatewayMsg::Broadcast { packet }.may_come_from(&source("zone")).unwrap_err();
    assert_eq!(refused.to_string(), "only a server that plays chat or master says that");
}
