//! Zones that run anew, move, fall silent, or whose old server wakes up.

use super::*;
use crate::msg::frame::FrameDelta;

#[tokio::test]
async fn players_of_a_zone_that_runs_anew_are_brought_in_wherever_they_were() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.heard_in_west();
    desk.tick(WEST, 1, 1, &[ANNA]);
    desk.tick(WEST, 2, 1, &[]);
    desk.gateway.bring_in_some(now());
    assert!(desk.heard_in_west().is_empty(), "it may show them in a moment");
    desk.gateway.bring_in_some(now() + Duration::from_secs(1));
    assert!(matches!(desk.heard_in_west()[..], [ZoneMsg::Enter { ticket: None, .. }]));
    // Its last save says that it stood in the east.
    let reason = EnterRefusal::Elsewhere(EAST);
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: key, reason });
    let mut in_east = std::iter::from_fn(|| desk.east.try_recv());
    assert!(in_east.any(|message| matches!(message, ZoneMsg::Enter { .. })));
    desk.entered(key, EAST);
    loop {
        if let ToShard::Moved { session, zone } = desk.told().await {
            assert_eq!((session, zone), (key, EAST));
            break;
        }
    }
    assert!(desk.gateway.sessions.get(key).unwrap().absence.is_none());
}

#[tokio::test]
async fn a_player_that_is_nowhere_is_looked_for_and_given_up_in_the_end() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.heard_in_west();
    desk.gateway.on_report(FromShard::Missing { session: key });
    desk.gateway.on_report(FromShard::Missing { session: key });
    desk.gateway.bring_in_some(now());
    desk.gateway.bring_in_some(now());
    assert_eq!(desk.heard_in_west().len(), 1, "it is asked for once");
    let reason = EnterRefusal::Unavailable;
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: key, reason });
    desk.gateway.tend_absent(now() + Duration::from_secs(3));
    desk.gateway.bring_in_some(now());
    assert_eq!(desk.heard_in_west().len(), 1, "and again");
    desk.gateway.tend_absent(now() + Duration::from_secs(31));
    assert!(desk.gateway.sessions.get(key).is_none());
    loop {
        if let ToShard::End { session, reason, .. } = desk.told().await {
            assert_eq!((session, reason), (key, DisconnectReason::DisconnectInternal));
            break;
        }
    }
}

#[tokio::test]
async fn a_zone_that_moves_has_its_players_and_nobody_is_brought_in() {
    let mut desk = Desk::open(64).await;
    desk.play().await;
    desk.tick(WEST, 1, 7, &[ANNA]);
    desk.heard_in_west();
    desk.tick(WEST, 2, 1, &[ANNA]);
    desk.gateway.bring_in_some(now() + Duration::from_secs(1));
    assert!(desk.heard_in_west().is_empty());
    let newest = desk
        .told_of(|told| match told {
            ToShard::Frame { frame, .. } if frame.frame.origin == 2 => Some(frame.frame.tick),
            _ => None,
        })
        .await;
    assert_eq!(newest, Tick(1), "clients see the new frames");
}

#[tokio::test]
async fn a_server_that_wakes_after_its_zone_was_given_away_is_not_heard() {
    let mut desk = Desk::open(64).await;
    desk.play().await;
    desk.heard_in_west();
    desk.tick(WEST, 2, 1, &[ANNA]);
    desk.tick(WEST, 1, 900, &[]);
    let stale = FrameDelta::of(&frame(WEST, 1, 901, &[]), true);
    desk.gateway.on_message(GatewayMsg::FrameDelta(Box::new(stale)));
    desk.tick(WEST, 2, 2, &[ANNA]);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        if let ToShard::Frame { frame, .. } = desk.told().await {
            heard.push((frame.frame.origin, frame.frame.tick.0));
        }
    }
    assert_eq!(heard, [(2, 1), (2, 2)]);
    desk.gateway.bring_in_some(now() + Duration::from_secs(1));
    assert!(desk.heard_in_west().is_empty(), "its silence about her means nothing");
}

#[tokio::test]
async fn a_zone_with_thousands_of_players_is_not_stormed() {
    let mut desk = Desk::open(8_192).await;
    for number in 1..=1_000 {
        let key = desk.ask_to_enter_as(PlayerId(number), conn(number));
        desk.gateway.on_presence(RequestId(key.0), Some(WEST));
        let session = desk.gateway.sessions.get_mut(key).unwrap();
        session.stage = Stage::Attached { conn: conn(number) };
        while desk.master.try_recv().is_some() {}
    }
    desk.tick(WEST, 1, 1, &[]);
    desk.tick(WEST, 2, 1, &[PlayerId(1_000)]);
    desk.heard_in_west();
    let later = now() + Duration::from_secs(1);
    for beat in 1..=5 {
        desk.gateway.bring_in_some(later);
        let asked = desk.heard_in_west().len();
        assert_eq!(asked, if beat < 5 { 200 } else { 199 }, "in beat {beat}");
    }
    desk.gateway.tend_absent(later + Duration::from_secs(9));
    assert!(desk.heard_in_west().is_empty(), "who is asked for again waits for its turn too");
    desk.gateway.bring_in_some(later);
    assert_eq!(desk.heard_in_west().len(), 200);
}

#[tokio::test]
async fn a_gateway_that_stood_still_brings_nobody_in_until_the_master_has_spoken() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    let start = now();
    desk.gateway.certainty.beat(start + Duration::from_secs(20));
    desk.heard_in_west();
    desk.gateway.on_report(FromShard::Missing { session: key });
    desk.gateway.bring_in_some(start + Duration::from_secs(20));
    assert!(desk.heard_in_west().is_empty(), "it may be playing elsewhere");
    // The master is told, and knows that it is.
    desk.gateway.on_message(GatewayMsg::Introduce { to: crate::role::Role::Master });
    let reason = DisconnectReason::DisconnectLoggedInElsewhere;
    desk.gateway.on_message(GatewayMsg::Kick { session: key, reason, message: String::new() });
    desk.gateway.certainty.beat(start + Duration::from_secs(22));
    desk.gateway.certainty.beat(start + Duration::from_secs(24));
    desk.gateway.bring_in_some(start + Duration::from_secs(24));
    assert!(desk.heard_in_west().is_empty());
    // And what ends here disturbs nobody there: it names its own session.
    desk.gateway.end_overdue(start + Duration::from_secs(60));
    let old = desk.gateway.session_ref(key);
    assert!(
        desk.heard_in_west()
            .iter()
            .all(|message| matches!(message, ZoneMsg::Leave { session, .. } if *session == old))
    );
}

#[tokio::test]
async fn a_zone_is_watched_where_it_is_and_only_while_somebody_can_see_it() {
    let mut desk = Desk::open(64).await;
    let watches = |inbox: &mut Inbox<ZoneMsg>| {
        std::iter::from_fn(|| inbox.try_recv())
            .filter_map(|message| match message {
                ZoneMsg::Watch { gateway } => Some((gateway, true)),
                ZoneMsg::Unwatch { gateway } => Some((gateway, false)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    desk.gateway.look_for_moved_zones();
    assert!(watches(&mut desk.west).is_empty(), "nobody is there to see it");
    let (key, _) = desk.play().await;
    assert_eq!(watches(&mut desk.west), [(HERE, true)], "at once");
    assert_eq!(watches(&mut desk.east), [(HERE, true)], "it can be seen over the border");

    desk.gateway.look_for_moved_zones();
    assert!(watches(&mut desk.west).is_empty(), "nothing has changed");
    let (outbox, mut elsewhere) = inbox(64, false);
    desk.zones.insert(WEST, outbox);
    desk.gateway.look_for_moved_zones();
    assert_eq!(watches(&mut elsewhere), [(HERE, true)]);
    assert!(watches(&mut desk.east).is_empty(), "the other has not moved");

    desk.gateway.tend_zones(now() + Duration::from_secs(2));
    assert_eq!(watches(&mut elsewhere), [(HERE, true)], "a silent zone is asked again");
    desk.gateway.on_report(FromShard::Logout { session: key });
    desk.gateway.tend_zones(now() + Duration::from_secs(29));
    assert!(!watches(&mut elsewhere).contains(&(HERE, false)), "somebody may come back");
    desk.gateway.tend_zones(now() + Duration::from_secs(31));
    assert_eq!(watches(&mut elsewhere), [(HERE, false)]);
    let gone = desk.told_of(|told| match told {
        ToShard::Unwatched(zone) => Some(zone),
        _ => None,
    });
    assert_eq!(gone.await, WEST);
    desk.gateway.on_message(GatewayMsg::Frame(frame(WEST, 9, 9, &[])));
    assert!(desk.gateway.watching.frame(WEST).is_none(), "what still comes is ignored");
}

#[tokio::test]
async fn who_waits_for_a_zone_that_moves_is_asked_for_where_it_is_now() {
    let mut desk = Desk::open(64).await;
    desk.gateway.look_for_moved_zones();
    let key = desk.come(conn(1));
    assert_eq!(desk.heard_in_west().len(), 1);
    let (outbox, mut elsewhere) = inbox(64, false);
    desk.zones.insert(WEST, outbox);
    desk.gateway.look_for_moved_zones();
    let asked = std::iter::from_fn(|| elsewhere.try_recv())
        .filter(|message| matches!(message, ZoneMsg::Enter { session, .. } if session.key == key));
    assert_eq!(asked.count(), 1);
}

#[tokio::test]
async fn players_of_a_zone_that_does_not_run_wait_for_it() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.gateway.on_report(FromShard::Missing { session: key });
    desk.zones.remove(WEST);
    desk.gateway.tend_absent(now() + Duration::from_secs(100));
    desk.gateway.tend_absent(now() + Duration::from_secs(129));
    assert!(desk.gateway.sessions.get(key).is_some(), "it is not its fault");
}

#[tokio::test]
async fn who_leaves_while_a_zone_is_on_its_way_leaves_it_when_it_has_arrived() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    desk.gateway.look_for_moved_zones();
    desk.zones.remove(WEST);
    desk.gateway.look_for_moved_zones();
    desk.gateway.on_report(FromShard::Logout { session: key });
    let (outbox, mut elsewhere) = inbox(64, false);
    desk.zones.insert(WEST, outbox);
    desk.gateway.look_for_moved_zones();
    let arrived: Vec<ZoneMsg> = std::iter::from_fn(|| elsewhere.try_recv()).collect();
    assert_eq!(Desk::leaves(&arrived), 1);
}
