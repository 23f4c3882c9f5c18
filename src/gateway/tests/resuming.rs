//! Answers that are lost with the connection that was to bring them, and clients that ask again: here,
//! at another gateway, over another connection, while the first try is still under way.

use super::*;

impl Desk {
    /// The store has what a gateway last wrote of a session's token.
    async fn stored(&mut self, key: SessionKey) {
        let session = self.gateway.sessions.get_mut(key).unwrap();
        session.token_stored.take().unwrap().await.unwrap();
    }

    /// Whether the store leads anywhere from that token.
    async fn leads_on(&self, token: [u8; 32]) -> bool {
        self.gateway.store.find_resume(token, unix_millis()).await.unwrap().is_some()
    }

    /// A client is told that it will never go on.
    async fn refused(&mut self) -> ConnId {
        self.told_of(|told| match told {
            ToShard::Refused { conn, packet } => {
                assert_eq!(packet.kind, PacketType::ResumeResponse);
                Some(conn)
            }
            _ => None,
        })
        .await
    }
}

fn token_of(opening: &Opening) -> [u8; 32] {
    ResumeToken::hash(opening.token.as_str())
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_nothing_however_often() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    let mut before = conn(1);
    desk.gateway.on_message(GatewayMsg::Deliver { session: key, packet: packet(1) });
    for try_number in 2..6 {
        desk.lost(key, before);
        desk.gateway.on_message(GatewayMsg::Deliver { session: key, packet: packet(2) });
        desk.gateway.on_resume(asked(try_number, token));
        let opening = desk.opened().await;
        assert_eq!((opening.conn, opening.session), (ConnId(try_number), key));
        let How::Resumed { last_sequence, received, .. } = opening.how else { panic!() };
        // Of the connections in between its client knows nothing.
        assert_eq!(last_sequence, (try_number == 2).then_some(0), "try {try_number}");
        assert_eq!(received, 3, "what was read on the one that it knows");
        before = conn(try_number);
    }
}

#[tokio::test]
async fn a_token_is_over_once_the_next_one_was_shown_or_used() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, first) = desk.play_as(anna, conn(1)).await;
    desk.lost(key, conn(1));
    desk.gateway.on_resume(asked(2, first));
    let second = token_of(&desk.opened().await);
    desk.stored(key).await;
    assert!(desk.leads_on(first).await && desk.leads_on(second).await);
    desk.gateway.on_report(FromShard::Proven { session: key, conn: conn(1) });
    assert_eq!(desk.gateway.sessions.by_token(&first), Some(key), "a late word of another one");
    desk.gateway.on_report(FromShard::Proven { session: key, conn: conn(2) });
    assert_eq!(desk.gateway.sessions.by_token(&first), None, "here it is over at once");
    desk.gateway.store_proven();
    desk.stored(key).await;
    assert!(!desk.leads_on(first).await && desk.leads_on(second).await);
    desk.gateway.on_resume(asked(3, first));
    desk.find().await;
    assert_eq!(desk.refused().await, ConnId(3));
    // Whoever uses the next one ends the one before as well.
    desk.lost(key, conn(2));
    desk.gateway.on_resume(asked(4, second));
    desk.opened().await;
    desk.lost(key, conn(4));
    desk.gateway.on_resume(asked(5, second));
    let third = token_of(&desk.opened().await);
    desk.lost(key, conn(5));
    desk.gateway.on_resume(asked(6, third));
    desk.opened().await;
    desk.gateway.on_resume(asked(7, second));
    desk.find().await;
    assert_eq!(desk.refused().await, ConnId(7));
}

#[tokio::test]
async fn of_two_tries_at_once_the_later_one_goes_on() {
    let mut desk = Desk::open(64).await;
    let (key, token) = desk.play().await;
    desk.gateway.on_resume(asked(2, token));
    desk.gateway.on_resume(asked(3, token));
    let (who, sequence, _, retry) = desk.put_off().await;
    assert_eq!((who, sequence), (ConnId(2), 2));
    assert!(retry > 0, "not now, and not never");
    desk.lost(key, conn(1));
    assert_eq!(desk.opened().await.conn, ConnId(3));
}

#[tokio::test]
async fn of_two_tries_at_another_gateway_the_later_one_goes_on() {
    let mut desk = Desk::open(64).await;
    let (_, first) = desk.crashed_elsewhere().await;
    let token = first.token_hash;
    desk.gateway.on_resume(first);
    desk.gateway.on_resume(asked(5, token));
    // Both were looked up before either was known.
    desk.find().await;
    desk.find().await;
    let first = desk.put_off().await.0;
    desk.gateway.on_resume(asked(6, token));
    let second = desk.put_off().await.0;
    assert_eq!(first.0 + second.0, 4 + 5, "either, in whatever order the store answers");
    assert_eq!(desk.gateway.sessions.len(), 1);
    let Some(MasterMsg::Claim { request, .. }) = desk.master.try_recv() else { panic!() };
    assert!(desk.master.try_recv().is_none(), "it is claimed once");
    desk.gateway.on_message(GatewayMsg::PresenceGranted { request, zone: Some(WEST) });
    desk.entered(SessionKey(request.0), WEST);
    assert_eq!(desk.opened().await.conn, ConnId(6));
}

#[tokio::test]
async fn who_went_elsewhere_and_heard_nothing_may_come_back() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, token) = desk.play_as(anna, conn(1)).await;
    desk.stored(key).await;
    desk.lost(key, conn(1));
    // Another gateway has claimed the player, and nothing has come of it.
    desk.gateway.on_message(kicked(key));
    desk.gateway.on_resume(asked(2, token));
    desk.find().await;
    let again = desk.gateway.sessions.keys().into_iter().max().unwrap();
    assert!(again > key);
    desk.gateway.on_presence(RequestId(again.0), Some(WEST));
    desk.entered(again, WEST);
    assert_eq!(desk.opened().await.conn, ConnId(2));
    desk.stored(again).await;
    // The zone says that the player is not the old one's any more.
    desk.gateway.on_message(kicked(key));
    assert_eq!(desk.gateway.sessions.len(), 1);
    assert!(desk.leads_on(token).await, "its client has not shown the new one yet");
    desk.lost(again, conn(2));
    desk.gateway.on_resume(asked(3, token));
    assert_eq!(desk.opened().await.session, again);
}

#[tokio::test]
async fn a_token_outlives_a_claim_that_came_to_nothing() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, token) = desk.play_as(anna, conn(1)).await;
    desk.stored(key).await;
    desk.gateway.on_message(kicked(key));
    desk.gateway.end_overdue(now() + Duration::from_secs(13));
    assert_eq!(desk.gateway.sessions.len(), 0);
    assert!(desk.leads_on(token).await);
}

#[tokio::test]
async fn a_log_in_ends_the_tokens_of_the_session_before() {
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (old, token) = desk.play_as(anna, conn(1)).await;
    desk.stored(old).await;
    desk.gateway.on_message(kicked(old));
    let (new, _) = desk.play_as(anna, conn(2)).await;
    desk.gateway.on_resume(asked(3, token));
    desk.find().await;
    assert_eq!(desk.refused().await, ConnId(3), "before the store has heard of the new one");
    desk.stored(new).await;
    assert!(!desk.leads_on(token).await, "and then other gateways refuse it too");
}

#[tokio::test]
async fn a_log_in_that_the_database_cannot_take_leaves_the_session_before_alone() {
    use sqlx::ConnectOptions;
    let mut desk = Desk::open(64).await;
    let anna = desk.enlist().await;
    let (key, _) = desk.play_as(anna, conn(1)).await;
    desk.stored(key).await;
    while desk.master.try_recv().is_some() {}
    let file = desk._folder.path().join("throng.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut other = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let enter = |desk: &mut Desk, number| {
        let usage = crate::ids::TicketUse { id: uuid::Uuid::from_u128(number), expires_at: 9 };
        let (name, device) = (Name::parse("Anna").unwrap(), String::new());
        let ticket = crate::token::Ticket { player: anna, name, device, usage };
        desk.gateway.on_enter(conn(2), 4, ticket);
    };
    enter(&mut desk, 1);
    desk.find().await;
    assert_eq!(desk.put_off().await.0, ConnId(2));
    assert!(desk.master.try_recv().is_none(), "nobody is sent away for it");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    enter(&mut desk, 1);
    desk.find().await;
    assert!(matches!(desk.master.try_recv(), Some(MasterMsg::Claim { .. })));
}
