//! Many who come at once: several sessions of one player, and more players than there are places.

use super::*;

#[tokio::test]
async fn of_several_sessions_the_youngest_has_the_player_in_whatever_order_they_come() {
    for stands_already in [false, true] {
        for order in [[2, 3, 4], [4, 3, 2], [3, 4, 2], [2, 4, 3], [4, 2, 3]] {
            let mut land = Land::open().await;
            if stands_already {
                let ticket = land.ticket();
                land.enter(WEST, session(1), ticket);
                land.until("somebody plays", |land| land.entered(session(1))).await;
            }
            for key in order {
                let ticket = land.ticket();
                land.enter(WEST, session(key), ticket);
                land.tick();
            }
            let over = |land: &Land, key| {
                land.refused(session(key)).is_some() || land.sent_off(session(key))
            };
            let so = |land: &Land| land.entered(session(4)) && over(land, 2) && over(land, 3);
            land.until("one plays and the others know", so).await;
            assert_eq!(land.west.players.session(land.anna), Some(session(4)), "{order:?}");
            assert_eq!(land.sent_off(session(1)), stands_already);
            assert!(!over(&land, 4));
        }
    }
}

#[tokio::test]
async fn a_zone_takes_no_more_than_it_has_places_when_many_come_at_once() {
    let config = ZoneConfig { seed: 5, max_players: 2, ..ZoneConfig::default() };
    let mut land = Land::with(config, 1_024).await;
    let mut guests = Vec::new();
    for number in 0..6 {
        let pose = Pose { at: Point { x: 30.0, y: 60.0 }, rotation: 0.0 };
        let character = NewCharacter { zone: EAST, pose, health: 9, power: 9, items: vec![] };
        let name = Name::parse(&format!("Guest{number}")).unwrap();
        guests.push(land.store.create_account(&name, "x", character).await.unwrap());
    }
    for round in 0..2 {
        for (number, guest) in guests.iter().enumerate() {
            let (session, ticket) = (session(round * 10 + number as u64 + 1), land.ticket());
            land.send(EAST, ZoneMsg::Enter { player: *guest, session, ticket });
        }
        let decided =
            |land: &Land, key| land.entered(session(key)) || land.refused(session(key)).is_some();
        let all = |land: &Land| (1..=6).all(|number| decided(land, round * 10 + number));
        land.until("all are answered", all).await;
        let inside = (1..=6).filter(|number| land.entered(session(round * 10 + number)));
        assert_eq!((inside.count(), land.east.players.len()), (2, 2));
        for (number, guest) in guests.iter().enumerate() {
            let session = session(round * 10 + number as u64 + 1);
            land.send(EAST, ZoneMsg::Leave { player: *guest, session });
        }
        land.until("all are gone and no place is lost", |land| land.east.players.is_empty()).await;
    }
}
