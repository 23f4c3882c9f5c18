//! Several log-ins of one account that enter in the same moment: one plays, and of the others nothing
//! is left.

use super::*;

#[tokio::test]
async fn a_log_in_that_loses_before_it_has_asked_a_zone_is_over_at_once() {
    let mut desk = Desk::open(64).await;
    let loser = desk.ask_to_enter(conn(1));
    let winner = desk.ask_to_enter(conn(2));
    desk.gateway.on_message(kicked(loser));
    desk.gateway.on_presence(RequestId(winner.0), Some(WEST));
    desk.gateway.on_presence(RequestId(loser.0), Some(WEST));
    assert!(matches!(desk.told().await, ToShard::Refused { conn: ConnId(1), .. }));
    let asked = desk.heard_in_west();
    assert!(matches!(asked[..], [ZoneMsg::Enter { session, .. }] if session.key == winner));
    assert_eq!(desk.gateway.sessions.len(), 1);
}

#[tokio::test]
async fn a_log_in_that_loses_in_its_zone_is_over_when_the_zone_says_so() {
    let by_word_of_zone = [
        |key, winner| {
            let reason = EnterRefusal::Superseded(winner);
            GatewayMsg::EnterRefused { session: key, reason }
        },
        |key, _| kicked(key),
    ];
    for word in by_word_of_zone {
        let mut desk = Desk::open(64).await;
        let loser = desk.come(conn(1));
        desk.gateway.on_message(kicked(loser));
        let winner = desk.come(conn(2));
        assert_eq!(Desk::leaves(&desk.heard_in_west()), 0, "the player is not to leave meanwhile");
        desk.entered(winner, WEST);
        assert_eq!(desk.opened().await.session, winner);
        desk.gateway.on_message(word(loser, winner));
        assert_eq!(desk.gateway.sessions.keys(), [winner]);
        assert_eq!(desk.gateway.sessions.by_state()["resumable"], 0);
    }
}

#[tokio::test]
async fn a_session_that_a_zone_knows_a_younger_one_of_gives_way() {
    let mut desk = Desk::open(64).await;
    let late = desk.come(conn(1));
    let ahead = SessionKey(late.0 + (1 << 40));
    let reason = EnterRefusal::Superseded(ahead);
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: late, reason });
    assert!(matches!(desk.told().await, ToShard::Refused { conn: ConnId(1), .. }));
    assert_eq!(desk.gateway.sessions.len(), 0);
    assert!(desk.ask_to_enter(conn(2)) > ahead, "by now the clock has been put right");
}

#[tokio::test]
async fn a_claim_by_a_clock_that_is_behind_is_made_again_with_a_higher_key() {
    let mut desk = Desk::open(64).await;
    let key = desk.ask_to_enter(conn(1));
    assert!(desk.master.try_recv().is_some());
    let ahead = SessionKey(key.0 + (1 << 40));
    let reason = EnterRefusal::Superseded(ahead);
    desk.gateway.on_message(GatewayMsg::EnterRefused { session: key, reason });
    let Some(MasterMsg::Claim { request, session, .. }) = desk.master.try_recv() else { panic!() };
    assert!(session.key > ahead && request.0 == session.key.0);
    desk.gateway.on_presence(request, Some(WEST));
    desk.entered(session.key, WEST);
    assert_eq!(desk.opened().await.conn, ConnId(1));
}
