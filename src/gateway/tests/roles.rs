//! The master, login and chat: away, lost, new; and sessions of another gateway that is gone.

use super::*;
use crate::role::Role;

/// A resume token of another gateway's session.
fn record(anna: PlayerId) -> ResumeRecord {
    ResumeRecord {
        player: anna,
        name: Name::parse("Anna").unwrap(),
        session_id: uuid::Uuid::from_u128(9),
        session: crate::ids::SessionRef { gateway: ServerId(99), key: SessionKey(1) },
        device: "phone".into(),
        expires_at: u64::MAX >> 1,
    }
}

impl Desk {
    /// Another gateway's session of Anna's, which is gone; what its client asks here.
    pub(super) async fn crashed_elsewhere(&mut self) -> (PlayerId, Asked) {
        let character =
            NewCharacter { zone: WEST, pose: Pose::default(), health: 1, power: 1, items: vec![] };
        let name = Name::parse("Anna").unwrap();
        let store = &self.gateway.store;
        let anna = store.create_account(&name, "$argon2id$", character).await.unwrap();
        store.put_resume([3; 32], None, record(anna)).await.unwrap();
        (anna, Asked { conn: conn(4), sequence: 2, token_hash: [3; 32], last_sequence: 17 })
    }
}

#[tokio::test]
async fn a_session_of_a_crashed_gateway_goes_on_with_all_that_its_player_has() {
    let mut desk = Desk::open(64).await;
    let (anna, asked) = desk.crashed_elsewhere().await;
    desk.gateway.on_resume(asked);
    desk.find().await;
    let Some(MasterMsg::Claim { request, player, .. }) = desk.master.try_recv() else { panic!() };
    assert_eq!(player, anna);
    desk.gateway.on_message(GatewayMsg::PresenceGranted { request, zone: Some(WEST) });
    assert!(matches!(desk.heard_in_west()[..], [ZoneMsg::Enter { ticket: None, .. }]));
    desk.entered(SessionKey(request.0), WEST);
    let opening = desk.opened().await;
    assert_eq!(opening.session_id, uuid::Uuid::from_u128(9), "it is the same session");
    let How::Resumed { log, last_sequence, state, .. } = opening.how else { panic!() };
    assert!(log.missed(last_sequence).1, "what it missed nobody knows");
    assert_eq!((last_sequence, state.map(|state| state.health)), (Some(17), Some(100)));
}

#[tokio::test]
async fn a_token_is_not_lost_because_the_master_is_away() {
    let mut desk = Desk::open(64).await;
    let (_, asked) = desk.crashed_elsewhere().await;
    desk.to_master.set(None);
    let (conn, token_hash) = (asked.conn, asked.token_hash);
    desk.gateway.on_resume(asked);
    desk.find().await;
    let (who, sequence, _, retry) = desk.put_off().await;
    assert_eq!((who, sequence), (conn.conn, 2));
    assert!(retry > 0, "it may try again");
    let there = desk.gateway.store.find_resume(token_hash, unix_millis()).await.unwrap();
    assert!(there.is_some(), "with the same token");
}

#[tokio::test]
async fn who_resumes_hears_soon_that_the_master_does_not_answer() {
    let mut desk = Desk::open(64).await;
    let (_, asked) = desk.crashed_elsewhere().await;
    desk.gateway.on_resume(asked);
    desk.find().await;
    desk.gateway.end_overdue(now() + Duration::from_millis(900));
    assert_eq!(desk.gateway.sessions.len(), 1);
    desk.gateway.end_overdue(now() + Duration::from_millis(1_100));
    assert_eq!(desk.put_off().await.0, ConnId(4));
    assert_eq!(desk.gateway.sessions.len(), 0);
}

#[tokio::test]
async fn a_token_that_nobody_knows_is_refused_for_good() {
    let mut desk = Desk::open(64).await;
    let (conn, token_hash) = (conn(1), [8; 32]);
    desk.gateway.on_resume(Asked { conn, sequence: 2, token_hash, last_sequence: 0 });
    desk.find().await;
    let packet = desk.told_of(|told| match told {
        ToShard::Refused { packet, .. } => Some(packet),
        _ => None,
    });
    let answer = crate::proto::ResumeResponse::decode(packet.await.payload).unwrap();
    assert_eq!(answer.error_code(), ErrorCode::ErrorResumeRefused);
}

#[tokio::test]
async fn a_new_master_hears_who_plays_and_who_waits() {
    let mut desk = Desk::open(64).await;
    let (playing, _) = desk.play().await;
    let waiting = desk.ask_to_enter(conn(2));
    while desk.master.try_recv().is_some() {}
    let (outbox, mut master) = inbox(64, false);
    desk.to_master.set(Some(outbox));
    desk.gateway.on_message(GatewayMsg::Introduce { to: Role::Master });
    let Some(MasterMsg::Present { sessions }) = master.try_recv() else { panic!() };
    let told: Vec<_> = sessions.iter().map(|session| (session.session.key, session.zone)).collect();
    assert_eq!(told, [(playing, Some(WEST))]);
    let Some(MasterMsg::Claim { request, .. }) = master.try_recv() else { panic!() };
    assert_eq!(request, RequestId(waiting.0));
    // Both masters grant it: the zone is asked once.
    desk.heard_in_west();
    desk.gateway.on_message(GatewayMsg::PresenceGranted { request, zone: Some(WEST) });
    desk.gateway.on_message(GatewayMsg::PresenceGranted { request, zone: Some(WEST) });
    assert_eq!(desk.heard_in_west().len(), 1);
}

#[tokio::test]
async fn a_new_chat_hears_who_is_here_and_in_which_rooms() {
    let mut desk = Desk::open(64).await;
    let (key, _) = desk.play().await;
    let tavern = vec![Name::parse("Tavern").unwrap()];
    desk.gateway.on_message(GatewayMsg::Rooms { session: key, rooms: tavern.clone() });
    desk.to_chat.set(None);
    desk.gateway.on_message(GatewayMsg::Moved { session: key, player: ANNA, zone: EAST });
    let (outbox, mut chat) = inbox(64, false);
    desk.to_chat.set(Some(outbox));
    desk.gateway.on_message(GatewayMsg::Introduce { to: Role::Chat });
    let Some(ChatMsg::Joined { player, zone, rooms, .. }) = chat.try_recv() else { panic!() };
    assert_eq!((player, zone, rooms), (ANNA, EAST, tavern));
    assert!(chat.try_recv().is_none());
}

#[tokio::test]
async fn entering_without_a_master_or_a_zone_is_put_off() {
    let mut desk = Desk::open(64).await;
    desk.zones.remove(WEST);
    desk.come(conn(1));
    let (who, sequence, message, retry) = desk.put_off().await;
    assert_eq!((who, sequence), (ConnId(1), 9));
    assert!(message.contains("zone") && retry > 0, "{message}");
    desk.to_master.set(None);
    desk.ask_to_enter(conn(2));
    assert!(desk.put_off().await.3 > 0);
    assert_eq!(desk.gateway.sessions.len(), 0);
}

#[tokio::test]
async fn a_question_to_a_login_process_that_dies_is_answered_at_once() {
    let mut desk = Desk::open(64).await;
    let ask = |desk: &mut Desk, number, sequence| {
        desk.gateway.ask_login(conn(number), sequence, false, |_, request| LoginMsg::Presence {
            request,
            device: None,
        });
    };
    ask(&mut desk, 1, 5);
    assert!(desk.login.try_recv().is_some());
    desk.gateway.drop_lost_questions();
    assert!(desk.shard.try_recv().is_err(), "it may still be answered");
    desk.to_login.set(None);
    desk.gateway.drop_lost_questions();
    let (who, sequence, message, retry) = desk.put_off().await;
    assert_eq!((who, sequence), (ConnId(1), 5));
    assert!(message.contains("lost") && retry > 0, "{message}");
    ask(&mut desk, 2, 6);
    assert_eq!(desk.put_off().await.1, 6, "nobody is there to be asked");
}
