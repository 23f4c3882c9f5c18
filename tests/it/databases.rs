//! The same play on PostgreSQL, and what happens while a database is away.

use std::time::Duration;

use throng::proto::{ErrorCode, QuestState};
use throng::tick;

use crate::pgbouncer::{Pooler, Unknown};
use crate::play;
use crate::player::{Player, refusal};
use crate::postgres::Cluster;
use crate::scenarios;
use crate::server::{Server, Topology, within};

scenarios![
    play_on_postgres,
    play_through_a_pooler,
    play_goes_on_while_the_database_is_away,
    a_second_signal_does_not_wait
];

async fn play_on_postgres(topology: Topology) {
    let address = tokio::task::spawn_blocking(|| Cluster::shared().database()).await.unwrap();
    let server = Server::start_with(topology, &[("store.url", &address)]);
    play::hunt_across_restarts(server).await;
}

async fn play_through_a_pooler(topology: Topology) {
    let started = tokio::task::spawn_blocking(|| {
        let cluster = Cluster::shared();
        let pooler = Pooler::start(cluster, 8, Unknown::Refused);
        let address = pooler.address(&cluster.database());
        (pooler, address)
    });
    let (_pooler, address) = started.await.unwrap();
    let server = Server::start_with(topology, &[("store.url", &address)]);
    play::hunt_across_restarts(server).await;
}

/// A cluster of its own, with a server on it.
async fn own_cluster(topology: Topology) -> (Cluster, Server) {
    tokio::task::spawn_blocking(move || {
        let cluster = Cluster::start();
        let server = Server::start_with(topology, &[("store.url", &cluster.database())]);
        (cluster, server)
    })
    .await
    .unwrap()
}

async fn play_goes_on_while_the_database_is_away(topology: Topology) {
    let (cluster, mut server) = own_cluster(topology).await;
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    ann.accept_quest("trophies").await.unwrap();
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    ann.go(at.x, at.y).await;
    cluster.stop();

    let asked = tick::now();
    let refused = refusal(ann.pick_up(flower).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    assert!(asked.elapsed() < Duration::from_secs(5), "refused after {:?}", asked.elapsed());
    ann.move_to(at.x + 5.0, at.y).await.unwrap();
    bob.sees_at(ann.id, at.x + 5.0, at.y).await;
    ann.say("who turned off the database?").await.unwrap();
    bob.hears("who turned off the database?").await;
    let wolf = ann.nearest("wolf").await;
    ann.kill(wolf).await;
    let mut stranger = server.connect().await;
    let login = refusal(stranger.login("Ann", crate::player::PASSWORD).await);
    assert_eq!(login, ErrorCode::ErrorUnavailable);

    cluster.resume();
    ann.go(at.x, at.y).await;
    within("the database's return", async {
        loop {
            match ann.pick_up(flower).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::ErrorUnavailable)),
            }
        }
    })
    .await;
    assert!(server.stop().await.success());
    server.start_again();
    let mut ann = Player::again(&server, "Ann").await;
    assert_eq!(ann.carries("flower").await, 1);
    let log = ann.quest_log().await.unwrap();
    let quest = log.quests.iter().find(|quest| quest.quest == "trophies").unwrap();
    assert_eq!(quest.state(), QuestState::QuestActive);
    assert_eq!(quest.goals[0].done, 1, "what was done while it was away is kept");
}

async fn a_second_signal_does_not_wait(topology: Topology) {
    let (cluster, mut server) = own_cluster(topology).await;
    let mut ann = Player::new(&server, "Ann").await;
    ann.go(75.0, 5.0).await;
    cluster.stop();
    server.terminate();
    ann.sent_away().await;
    // The last save waits for the database; nobody else has to.
    server.terminate();
    assert_eq!(server.ended().await.code(), Some(1));
}
