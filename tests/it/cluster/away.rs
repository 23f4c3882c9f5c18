//! PostgreSQL stopped and started in the middle: play goes on, what needs a commit is refused with a
//! clear word, and nothing is lost.

use throng::proto::{ErrorCode, QuestState};
use throng::tick;

use super::deaths::{plays_on, since};
use super::world::{World, blocking, tell};
use crate::player::{PASSWORD, refusal};
use crate::postgres::Cluster;
use crate::server::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_while_the_database_is_away() {
    let (cluster, database) = blocking(|| {
        let cluster = Cluster::start();
        let database = cluster.database();
        (cluster, database)
    })
    .await;
    let world = World::start_on(&database, &[], &[("store.timeout_ms", "1000")]).await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.accept_quest("trophies").await.unwrap();
    bob.go(-4.0, 30.0).await;
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    ann.go(at.x, at.y).await;

    let cluster = blocking(move || {
        cluster.stop();
        cluster
    })
    .await;
    let asked = tick::now();
    let refused = refusal(ann.pick_up(flower).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable);
    tell(&format!("the database is away: a pick-up is refused after {}", since(asked)));
    let wolf = ann.nearest("wolf").await;
    let place = ann.view().get(wolf).unwrap().newest.at;
    ann.go(place.x, place.y).await;
    ann.kill(wolf).await;
    ann.say("who turned off the database?").await.unwrap();
    bob.hears("who turned off the database?").await;
    let mut stranger = throng::client::Client::connect(world.gateway("gateway-2")).await.unwrap();
    let login = refusal(stranger.login("Ann", PASSWORD).await);
    assert_eq!(login, ErrorCode::ErrorUnavailable);

    let back = tick::now();
    let _cluster = blocking(move || {
        cluster.resume();
        cluster
    })
    .await;
    ann.go(at.x, at.y).await;
    within("the database's return", async {
        while let Err(error) = ann.pick_up(flower).await {
            assert_eq!(error.code(), Some(ErrorCode::ErrorUnavailable), "{error}");
        }
    })
    .await;
    tell(&format!("the database is back: a pick-up is granted after {}", since(back)));
    bob.go(4.0, 30.0).await;
    plays_on(&mut bob).await;
    ann.client.logout().await.unwrap();
    let mut ann = world.again("gateway-2", "Ann").await.unwrap();
    assert_eq!(ann.carries("flower").await, 1);
    let quests = ann.quest_log().await.unwrap().quests;
    let quest = quests.iter().find(|quest| quest.quest == "trophies").unwrap();
    assert_eq!(quest.state(), QuestState::QuestActive);
    assert_eq!(quest.goals[0].done, 1, "what was done while it was away is kept");
}
