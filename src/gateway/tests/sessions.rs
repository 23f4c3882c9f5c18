//! Sessions and their connections: lost, resumed, taken over, ended.

use super::*;

#[tokio::test]
async fn a_late_word_about_an_old_connection_does_not_detach_the_new_one() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume(asked(2, token)));
    desk.lost(key, conn(1));
    assert_eq!(desk.opened().await.conn, ConnId(2));
    desk.lost(key, conn(1));
    let stage = &desk.gateway.sessions.get(key).unwrap().stage;
    assert!(matches!(stage, Stage::Attached { conn } if conn.conn == ConnId(2)));
}

#[tokio::test]
async fn packets_that_come_while_a_session_changes_connections_come_again() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume(asked(2, token)));
    desk.gateway.on_message(GatewayMsg::Deliver { session: key, packet: packet(1) });
    desk.gateway.on_message(GatewayMsg::DeliverMany { sessions: vec![key], packet: packet(2) });
    desk.lost(key, conn(1));
    let How::Resumed { log, last_sequence, .. } = desk.opened().await.how else { panic!() };
    assert_eq!(log.missed(last_sequence), (vec![packet(1), packet(2)], false));
}

#[tokio::test]
async fn a_packet_that_missed_its_connection_waits_for_the_resume() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.lost(key, conn(1));
    desk.gateway.on_message(GatewayMsg::Deliver { session: key, packet: packet(3) });
    desk.gateway.on_report(FromShard::Undelivered { session: key, packet: packet(1) });
    desk.gateway.on_message(GatewayMsg::DeliverMany { sessions: vec![key], packet: packet(4) });
    desk.gateway.on_report(FromShard::Undelivered { session: key, packet: packet(2) });
    let late = Asked { last_sequence: 9, ..asked(2, token) };
    desk.gateway.on_report(FromShard::Resume(late));
    let How::Resumed { log, last_sequence, .. } = desk.opened().await.how else { panic!() };
    let in_order = [1, 2, 3, 4].map(packet).to_vec();
    assert_eq!(log.missed(last_sequence), (in_order, false), "older ones first");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_refused_even_if_the_store_still_has_it() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    let record = ResumeRecord {
        player: ANNA,
        name: Name::parse("Anna").unwrap(),
        session_id: uuid::Uuid::nil(),
        session: desk.gateway.session_ref(key),
        device: String::new(),
        expires_at: u64::MAX,
    };
    desk.gateway.on_token_found(asked(2, [0; 32]), Ok(Some(record)));
    assert!(matches!(desk.told().await, ToShard::Refused { conn: ConnId(2), .. }));
    assert_eq!(desk.gateway.sessions.len(), 1);
}

#[tokio::test]
async fn who_waits_for_a_session_that_ends_is_told() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_report(FromShard::Resume(asked(2, token)));
    desk.gateway.on_report(FromShard::Logout { session: key });
    loop {
        if let ToShard::Refused { conn, packet } = desk.told().await {
            assert_eq!((conn, packet.kind), (ConnId(2), PacketType::ResumeResponse));
            break;
        }
    }
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
}

#[tokio::test]
async fn a_player_that_comes_in_for_an_ended_session_leaves_again() {
    let mut desk = Desk::open(64).await;
    let key = desk.come(conn(1));
    desk.gateway.end_overdue(now() + Duration::from_secs(11));
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    desk.entered(key, WEST);
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    desk.gateway.on_message(GatewayMsg::Moved { session: key, player: ANNA, zone: WEST });
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
}

#[tokio::test]
async fn a_leave_that_finds_no_room_is_sent_again() {
    let mut desk = Desk::open(2).await;
    let (key, _) = desk.play().await;
    // Watching and the entry still fill the inbox.
    desk.gateway.on_report(FromShard::Logout { session: key });
    assert_eq!(desk.heard_in_west().len(), 1);
    desk.gateway.post.send_again();
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 1);
    let chat = std::iter::from_fn(|| desk.chat.try_recv());
    assert_eq!(chat.filter(|message| matches!(message, ChatMsg::Left { .. })).count(), 1);
    let mut master = std::iter::from_fn(|| desk.master.try_recv());
    assert!(master.any(|message| matches!(message, MasterMsg::Released { .. })));
}

#[tokio::test]
async fn a_displaced_session_leaves_its_player_to_the_new_one() {
    let mut desk = Desk::open(64).await;
    let (old, _) = desk.play().await;
    desk.gateway.on_message(kicked(old));
    let new = desk.come(conn(2));
    desk.entered(new, WEST);
    assert_eq!(desk.opened().await.session, new);
    assert_eq!(Desk::leaves(&desk.heard_in_west()), 0);
    desk.gateway.end_overdue(now() + Duration::from_secs(13));
    assert_eq!((desk.gateway.sessions.len(), Desk::leaves(&desk.heard_in_west())), (1, 1));
}

#[tokio::test]
async fn what_a_player_has_used_up_goes_along_to_its_next_session() {
    let muted = || crate::msg::Conduct { muted: 9_000, ..Default::default() };
    let mut desk = Desk::open(64).await;
    let (old, token) = desk.play().await;
    let report = || FromShard::Conduct { player: ANNA, conn: conn(1), conduct: muted() };
    desk.gateway.on_report(report());
    let mut master = std::iter::from_fn(|| desk.master.try_recv());
    assert!(master.any(|message| matches!(message, MasterMsg::Conduct { player: ANNA, .. })));
    desk.lost(old, conn(1));
    desk.gateway.on_resume(asked(2, token));
    let conduct = desk.opened().await.conduct.unwrap();
    assert!((8_000..=9_000).contains(&conduct.muted), "{conduct:?}");
    desk.gateway.on_message(kicked(old));
    let new = desk.come(conn(3));
    desk.entered(new, WEST);
    assert!(desk.opened().await.conduct.is_some(), "a new session is no way out");
    // What is told late, here or by the master, finds whoever plays by then.
    for late in [true, false] {
        if late {
            desk.gateway.on_report(report());
        } else {
            desk.gateway.on_message(GatewayMsg::Conduct { player: ANNA, conduct: muted() });
        }
        let told = desk.told_of(|told| match told {
            ToShard::Conduct { session, conduct } => Some((session, conduct.muted)),
            _ => None,
        });
        assert_eq!(told.await, (new, 9_000));
    }
}
