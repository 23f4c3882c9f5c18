//! What a gateway without room misses, and what events tell of health.

use super::*;
use crate::geometry::{Point, Rect};
use crate::ids::EventId;
use crate::link::{Inbox, inbox};
use crate::proto::PacketType;
use crate::tick::Tick;
use crate::world::entity::{Appearance, Look};
use crate::world::event::{Audience, EventKind};
use crate::world::frame::PackedPosition;

const ZONE: ZoneId = ZoneId(1);
const GATEWAY: ServerId = ServerId(5);
const BOUNDS: Rect = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
const ANNA: EntityId = EntityId(7);

fn service(room: usize) -> (SyncService, Inbox<GatewayMsg>) {
    let (outbox, inbox) = inbox(room, false);
    let gateways = Directory::default();
    gateways.insert(GATEWAY, outbox);
    let mut sync = SyncService::new(ZONE, &Content::standard(), gateways);
    sync.watch(GATEWAY);
    (sync, inbox)
}

fn blow(id: u64, remaining: u32) -> Happened {
    let kind =
        EventKind::PlayerDamage { victim: ANNA, attacker: EntityId(9), damage: 1, remaining };
    let event = Event { id: EventId(id), tick: Tick(1), at: Point::default(), kind };
    let packet = Outgoing { kind: PacketType::GameEvent, payload: id.to_string().into() };
    Happened { event, packet }
}

/// Anna stands there; with a health if that is news.
fn update(tick: u64, health: Option<u32>) -> FrameUpdate {
    let at = Point { x: 1.0, y: 1.0 };
    let packed = PackedPosition(3);
    let ids = vec![EntityId(0), EntityId(0), EntityId(0), ANNA];
    let frame = Frame::assemble(ZONE, 7, Tick(tick), BOUNDS, &[(packed, at, false)], ids);
    let appearance = |health| Appearance {
        look: Look::Player,
        name: "Anna".into(),
        level: 1,
        health,
        max_health: 100,
        guild: None,
        quantity: 0,
        speed: 5.0,
    };
    let news =
        health.map(|health| (Handle(3), AppearanceChange::Quiet, ANNA, Some(appearance(health))));
    FrameUpdate { frame, appearances: news.into_iter().collect() }
}

fn events(message: Option<GatewayMsg>) -> Vec<(String, Option<HealthTold>)> {
    let events = match message.unwrap() {
        GatewayMsg::Frame(frame) => frame.events.clone(),
        GatewayMsg::FrameDelta(delta) => delta.events,
        other => panic!("{other:?}"),
    };
    let word = |event: &FrameEvent| String::from_utf8(event.payload.to_vec()).unwrap();
    events.iter().map(|event| (word(event), event.health)).collect()
}

#[test]
fn what_happens_while_a_gateway_has_no_room_is_told_with_the_next_frame() {
    let (mut sync, mut gateway) = service(1);
    for (tick, health) in [(1, 99), (2, 98), (3, 97)] {
        sync.add_event(blow(tick, health));
        sync.publish(update(tick, Some(health)));
    }
    let told = |settled| Some(HealthTold { handle: Handle(3), settled });
    assert_eq!(events(gateway.try_recv()), [("1".into(), told(true))]);
    sync.add_event(blow(4, 96));
    sync.publish(update(4, Some(96)));
    let missed = [("2", false), ("3", false), ("4", true)];
    let missed = missed.map(|(word, settled)| (word.to_owned(), told(settled)));
    assert_eq!(events(gateway.try_recv()), missed, "and nobody believes the older healths");
    sync.add_event(blow(5, 95));
    sync.publish(update(5, Some(95)));
    assert_eq!(events(gateway.try_recv()), [("5".into(), told(true))], "told once");
}

#[test]
fn an_event_settles_a_health_only_if_it_is_the_frames() {
    let (mut sync, mut gateway) = service(8);
    sync.add_event(blow(1, 90));
    sync.add_event(blow(2, 80));
    sync.publish(update(1, Some(95)));
    sync.add_event(blow(3, 95));
    sync.publish(update(2, None));
    let told: Vec<bool> = [gateway.try_recv(), gateway.try_recv()]
        .into_iter()
        .flat_map(events)
        .map(|(_, health)| health.unwrap().settled)
        .collect();
    assert_eq!(told, [false, false, false], "healed since, and later than its tick");
}

#[test]
fn who_is_out_of_sight_is_not_told_of() {
    let kinds = [
        EventKind::QuestComplete { player: ANNA, quest: "q".into() },
        EventKind::ZoneChange { player: ANNA, from: ZONE, to: ZoneId(2) },
        EventKind::ZoneChange { player: ANNA, from: ZoneId(2), to: ZONE },
        EventKind::PlayerDeath { victim: ANNA, killer: ANNA },
        EventKind::ItemPickup { player: ANNA, item: "i".into(), quantity: 1 },
    ];
    for kind in kinds {
        let audience = kind.audience(ZONE);
        assert!(
            matches!(audience, Audience::Within(range) | Audience::Beside(range, _)
                if range <= crate::limits::VIEW_RADIUS),
            "{kind:?}"
        );
    }
}
