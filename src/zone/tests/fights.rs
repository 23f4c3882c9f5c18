//! Sessions that end in the middle of a fight, and blows at who is between two zones.

use super::*;
use crate::world::command::{Refusal, Strike, Timed};

impl Land {
    /// Anna strikes around her: from now on she fights.
    async fn fighting() -> Self {
        let mut land = Self::open().await;
        let ticket = land.ticket();
        land.enter(WEST, session(1), ticket);
        land.until("she is in", |land| land.entered(session(1))).await;
        let storm = Action::Skill { skill: "storm".into(), target: None, seen: None };
        land.act(session(1), storm);
        land
    }

    fn act(&mut self, session: SessionRef, action: Action) {
        let player = self.anna;
        self.send(WEST, ZoneMsg::Act { player, session, request: 1, action });
        self.tick();
    }
}

#[tokio::test]
async fn who_leaves_in_a_fight_stands_and_then_goes_and_is_saved_at_once() {
    let mut land = Land::fighting().await;
    land.leave(WEST, session(1));
    land.tick();
    assert!(land.stands_in(&land.west) && land.west.world.lingers(land.anna));
    // Whoever asks the store where she is need not wait for the next round of saves.
    land.until("the save is done", |land| land.west.saves.nothing_is_saved()).await;
    let saved = land.store.player(land.anna).await.unwrap().unwrap();
    assert!(saved.timers.iter().any(|timer| timer.what == Timed::Fight), "{saved:?}");
    assert!(land.west.world.lingers(land.anna));
    land.leave(WEST, session(1));
    land.until("she is gone", Land::is_deserted).await;
    assert!(land.west.world.tick().0 >= 120, "six seconds later");
}

#[tokio::test]
async fn a_new_session_takes_over_who_stands_there() {
    for ticketed in [true, false] {
        let mut land = Land::fighting().await;
        land.leave(WEST, session(1));
        land.tick();
        let second = land.ticket();
        land.enter(WEST, session(2), second.filter(|_| ticketed));
        land.until("the second is in", |land| land.entered(session(2))).await;
        assert!(!land.west.world.lingers(land.anna), "she is somebody's again");
        land.leave(WEST, session(1));
        for _ in 0..150 {
            land.tick();
        }
        assert!(land.stands_in(&land.west), "the first one's end is no concern of the second");
        land.leave(WEST, session(2));
        land.until("she is gone", Land::is_deserted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_stops_waits_for_no_fight() {
    let mut land = Land::fighting().await;
    land.leave(WEST, session(1));
    land.tick();
    land.stop.cancel();
    let Land { mut west, store, anna, .. } = land;
    let ticks = west.world.tick().0;
    let west = tokio::task::spawn_blocking(move || {
        west.empty_out();
        west
    });
    let west = west.await.unwrap();
    assert!(west.players.is_empty() && west.world.tick().0 < ticks + 100);
    let saved = store.player(anna).await.unwrap().unwrap();
    assert!(saved.timers.iter().any(|timer| timer.what == Timed::Fight), "{saved:?}");
}

fn blow(from_zone: ZoneId, at: Point, target: PlayerId) -> Box<Strike> {
    Box::new(Strike {
        attacker: PlayerId(77),
        attacker_name: "Mallory".into(),
        from_zone,
        level: 1,
        guild: None,
        at,
        target: target.into(),
        skill: Some("mend".into()),
        from_pvp: false,
        request: 8,
        ask_next: Vec::new(),
        passes: 5,
    })
}

#[tokio::test]
async fn a_strike_at_somebody_who_is_about_to_be_shown_is_for_then() {
    let mut land = Land::apart(ZoneConfig { seed: 5, ..ZoneConfig::default() }).await;
    land.send_over().await;
    while !land.east.crossings.has_staged(land.anna) {
        land.west.tick();
        land.carry();
        land.east.take_handovers();
    }
    assert!(!land.stands_in(&land.east), "the store has not answered");
    let strike = blow(WEST, Point { x: -1.0, y: 60.0 }, land.anna);
    land.send(EAST, ZoneMsg::Strike(strike));
    land.until("she stands there", |land| land.stands_in(&land.east)).await;
    land.until("it was for her", |land| land.east.waiting.is_empty()).await;
    let refused = land.west.inbox.len();
    assert_eq!(refused, 0, "nobody was told that she is not there");
}

#[tokio::test]
async fn a_striker_hears_when_nothing_reaches_over_the_border() {
    let mut land = Land::open().await;
    let ticket = land.ticket();
    land.enter(WEST, session(1), ticket);
    land.until("she is in", |land| land.entered(session(1))).await;
    land.peers.zones.remove(EAST);
    land.told.clear();
    let strike = Strike { attacker: land.anna, ..*blow(WEST, Point::default(), PlayerId(9)) };
    land.west.on_strike_out(EAST, Box::new(strike));
    land.listen();
    let refusal = Refusal::NotAllowed("nothing reaches over that border now");
    let packet = crate::protocol::server::refusal(&refusal, 8);
    let told =
        |told: &GatewayMsg| matches!(told, GatewayMsg::Deliver { packet: p, .. } if *p == packet);
    assert!(land.told.iter().any(told), "{:?}", land.told);
}
