//! One session per player, whatever happens to gateways and masters.

use super::*;
use crate::msg::Conduct;
use crate::msg::master::PresentSession;
use crate::role::Role;

fn present(player: u64, session: SessionRef, since: u64) -> PresentSession {
    PresentSession {
        player: PlayerId(player),
        name: "Anna_1".into(),
        session,
        device: "phone".into(),
        zone: Some(ZoneId(2)),
        since,
    }
}

fn tells(sessions: Vec<PresentSession>) -> MasterMsg {
    MasterMsg::Present { sessions }
}

/// The requests that were granted, each with the zone told, and the sessions that were sent away.
fn heard(inbox: &mut Inbox<GatewayMsg>) -> (Vec<(u64, Option<u16>)>, Vec<u64>) {
    let (mut granted, mut kicked) = (Vec::new(), Vec::new());
    for message in all(inbox) {
        match message {
            GatewayMsg::PresenceGranted { request, zone } => {
                granted.push((request.0, zone.map(|zone| zone.0)));
            }
            GatewayMsg::Kick { session, reason, .. } => {
                assert_eq!(reason, DisconnectReason::DisconnectLoggedInElsewhere);
                kicked.push(session.0);
            }
            _ => {}
        }
    }
    (granted, kicked)
}

#[tokio::test]
async fn a_gateway_that_hangs_keeps_nobody_out_and_hears_of_it_when_it_reads_again() {
    let mut bench = Bench::with(1, true).await;
    bench.claim(5, 42, session(1, 7));
    // That grant fills the first gateway's inbox.
    bench.claim(6, 42, session(2, 9));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(6, None)], vec![]));
    assert_eq!(heard(&mut bench.gateways[0]), (vec![(5, None)], vec![]));
    bench.master.post.send_again();
    assert_eq!(heard(&mut bench.gateways[0]), (vec![], vec![7]));
}

#[tokio::test]
async fn a_dead_gateway_keeps_nobody_out() {
    let mut bench = Bench::new().await;
    bench.claim(5, 42, session(1, 7));
    bench.master.peers.gateways.remove(ServerId(1));
    bench.claim(6, 42, session(2, 9));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(6, None)], vec![]));
}

#[tokio::test]
async fn a_new_master_asks_each_gateway_who_plays_there() {
    let mut bench = Bench::new_in_cluster().await;
    let asked = |inbox: &mut Inbox<GatewayMsg>| {
        let introduce = |m: &GatewayMsg| matches!(m, GatewayMsg::Introduce { to: Role::Master });
        all(inbox).iter().filter(|message| introduce(message)).count()
    };
    bench.hear(status(1, 0));
    bench.hear(status(1, 0));
    assert_eq!((asked(&mut bench.gateways[0]), asked(&mut bench.gateways[1])), (1, 0));
    // It dies, and was not dead after all.
    bench.second_at(6_000);
    bench.hear_at(7_000, status(1, 0));
    assert_eq!(asked(&mut bench.gateways[0]), 1);
    // A zone knows of a session whose gateway could not tell of it, since it was just entering.
    let (player, zone) = (PlayerId(42), ZoneId(1));
    bench.hear_at(7_000, located(player, session(1, 3), zone));
    bench.second_at(7_500);
    assert_eq!(asked(&mut bench.gateways[0]), 0);
    bench.second_at(8_000);
    assert_eq!(asked(&mut bench.gateways[0]), 1);
    bench.second_at(9_000);
    assert_eq!(asked(&mut bench.gateways[0]), 0);
}

#[tokio::test]
async fn a_claim_waits_for_word_of_the_older_session_which_is_sent_away_first() {
    let mut bench = Bench::new_in_cluster().await;
    bench.hear(claimed(5, 42, session(2, 9)));
    bench.hear(claimed(6, 43, session(2, 10)));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![], vec![]));
    bench.hear_at(900, tells(vec![present(42, session(1, 7), 1_000)]));
    assert_eq!(heard(&mut bench.gateways[0]), (vec![], vec![7]));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(5, Some(2))], vec![]));
    bench.second_at(2_999);
    assert_eq!(heard(&mut bench.gateways[1]), (vec![], vec![]));
    bench.second_at(3_000);
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(6, None)], vec![]), "no longer than that");
    bench.hear_at(3_100, claimed(7, 44, session(2, 11)));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(7, None)], vec![]), "then at once");
}

#[tokio::test]
async fn a_claim_that_was_given_up_is_not_granted_later() {
    let mut bench = Bench::new_in_cluster().await;
    bench.hear(claimed(5, 42, session(2, 9)));
    bench.hear(MasterMsg::Released { player: PlayerId(42), session: session(2, 9) });
    bench.second_at(3_000);
    assert_eq!(heard(&mut bench.gateways[1]), (vec![], vec![]));
    assert!(bench.master.presence.is_empty());
}

#[tokio::test]
async fn login_hears_of_a_player_once_its_gateway_has_told() {
    let mut bench = Bench::new_in_cluster().await;
    for player in [42, 43] {
        let request = RequestId(player);
        bench.hear(MasterMsg::WhereIs { request, player: PlayerId(player) });
    }
    assert_eq!(all(&mut bench.login), []);
    bench.hear(tells(vec![present(42, session(1, 7), 1_000)]));
    let answer = |player, device| LoginMsg::Presence { request: RequestId(player), device };
    assert_eq!(all(&mut bench.login), [answer(42, Some("phone".to_owned()))]);
    bench.second_at(3_000);
    assert!(all(&mut bench.login).contains(&answer(43, None)));
}

#[tokio::test]
async fn of_two_sessions_told_of_the_younger_stays() {
    let mut bench = Bench::new_in_cluster().await;
    bench.hear(tells(vec![present(42, session(2, 9), 2_000)]));
    bench.hear(tells(vec![present(42, session(1, 7), 1_000)]));
    assert_eq!(heard(&mut bench.gateways[0]), (vec![], vec![7]));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![], vec![]));
}

#[tokio::test]
async fn a_gateway_that_wakes_has_lost_what_was_claimed_meanwhile_and_keeps_the_rest() {
    let mut bench = Bench::new().await;
    bench.hear(status(1, 2));
    bench.claim(5, 42, session(1, 7));
    bench.claim(6, 43, session(1, 8));
    bench.hear(MasterMsg::Lost { server: ServerId(1), clean: false });
    bench.second_at(1_000);
    bench.hear_at(2_000, claimed(7, 42, session(2, 9)));
    assert_eq!(heard(&mut bench.gateways[1]), (vec![(7, None)], vec![]));
    heard(&mut bench.gateways[0]);
    bench.hear_at(60_000, status(1, 2));
    let awake = [present(42, session(1, 7), 1_000), present(43, session(1, 8), 1_000)];
    bench.hear_at(60_000, tells(awake.to_vec()));
    assert_eq!(heard(&mut bench.gateways[0]), (vec![], vec![7]));
    bench.second_at(200_000);
    assert_eq!(bench.master.presence.len(), 2, "nobody is forgotten as an orphan");
}

#[tokio::test]
async fn a_claim_with_a_lower_key_than_the_player_has_is_to_be_made_again() {
    let mut bench = Bench::new().await;
    bench.claim(1, 7, session(1, 50));
    bench.claim(2, 7, session(2, 40));
    let refused = all(&mut bench.gateways[1]).into_iter().find_map(|message| match message {
        GatewayMsg::EnterRefused { session, reason } => Some((session, reason)),
        _ => None,
    });
    let above = crate::msg::gateway::EnterRefusal::Superseded(SessionKey(50));
    assert_eq!(refused, Some((SessionKey(40), above)));
    bench.claim(3, 7, session(2, 51));
    let (_, kicked) = heard(&mut bench.gateways[0]);
    assert_eq!(kicked, [50]);
    let (granted, _) = heard(&mut bench.gateways[1]);
    assert_eq!(granted, [(3, None)]);
}

#[tokio::test]
async fn what_a_player_has_used_up_goes_along_to_its_next_gateway() {
    let mut bench = Bench::new().await;
    let muted = || Conduct { muted: 9_000, ..Conduct::default() };
    let told = |inbox: &mut Inbox<GatewayMsg>| {
        let conducts = all(inbox).into_iter().filter_map(|message| match message {
            GatewayMsg::Conduct { player, conduct } => Some((player, conduct.muted > 8_000)),
            _ => None,
        });
        conducts.collect::<Vec<_>>()
    };
    bench.claim(1, 7, session(1, 5));
    let tells = |gateway| MasterMsg::Conduct { player: PlayerId(7), gateway, conduct: muted() };
    bench.hear(tells(ServerId(1)));
    assert_eq!(told(&mut bench.gateways[0]), [], "it knows");
    bench.claim(2, 7, session(2, 6));
    assert_eq!(told(&mut bench.gateways[1]), [(PlayerId(7), true)]);
    // What comes late is passed on.
    bench.hear(tells(ServerId(1)));
    assert_eq!(told(&mut bench.gateways[1]), [(PlayerId(7), true)]);
}
