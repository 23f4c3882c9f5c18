//! Leaving is never better than staying: the body stands until the fight is over, and what one had
//! to wait for is waited for.

use throng::proto::ErrorCode;

use crate::player::{Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology};

scenarios![
    who_quits_in_a_fight_stands_there_and_can_be_killed,
    no_log_out_and_no_crash_makes_a_skill_ready,
];

async fn who_quits_in_a_fight_stands_there_and_can_be_killed(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let them = bob.id;
    ann.go(130.0, 0.0).await;
    bob.go(134.0, 0.0).await;
    ann.sees_at(them, 134.0, 0.0).await;
    ann.attack(them).await.unwrap();
    bob.client.logout().await.unwrap();
    ann.kill(them).await;
    ann.loses(them).await;
    let mut bob = Player::again(&server, "Bob").await;
    bob.until_view("life again", |client| client.view().me().is_some_and(|me| me.health > 0)).await;
}

async fn no_log_out_and_no_crash_makes_a_skill_ready(topology: Topology) {
    let mut server = Server::start(topology);
    let mut ann = Player::new(&server, "Ann").await;
    ann.use_skill("sprint", None).await.unwrap();
    ann.client.logout().await.unwrap();
    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(refusal(ann.use_skill("sprint", None).await), ErrorCode::ErrorCooldown);
    ann.client.logout().await.unwrap();
    server.kill().await;
    server.start_again();
    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(refusal(ann.use_skill("sprint", None).await), ErrorCode::ErrorCooldown);
}
