//! One process dies without a word while players are in the world: the others go on, and what it
//! did is done again soon, by another or by its successor.

use std::time::{Duration, Instant};

use sqlx::{PgPool, Row};
use throng::client::{Client, Event, Recovery};
use throng::geometry::Point;
use throng::proto::{self, ChatChannel, DisconnectReason, ErrorCode, QuestState};
use throng::tick;

use super::world::{World, blocking, tell};
use crate::player::{PASSWORD, Player, refusal};
use crate::postgres::Cluster;
use crate::server::within;

/// How long an answer is waited for that may have died with a process.
const ANSWER: Duration = Duration::from_millis(500);
/// How long the master is away.
const MASTER_AWAY: Duration = Duration::from_secs(61);

/// Asks for something that only the player's zone can answer, until it does. Losing the connection
/// fails the test.
pub async fn plays_on(player: &mut Player) {
    let name = player.name.clone();
    within(&format!("{name}: an answer from the zone"), async {
        loop {
            match tokio::time::timeout(ANSWER, player.client.inventory()).await {
                Ok(Ok(_)) => return,
                Ok(Err(error)) if error.is_disconnect() => panic!("{name}: {error}"),
                Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(25)).await,
                Err(_) => {}
            }
        }
    })
    .await;
}

/// Waits until the store has a player at a place and with a quest.
pub async fn until_saved(database: &str, player: &Player, at: Point) {
    let pool = PgPool::connect(database).await.unwrap();
    let sql = "SELECT count(*) FROM players JOIN quests ON player_id = id \
        WHERE id = $1 AND abs(x - $2) < 1 AND abs(y - $3) < 1";
    within("a save", async {
        loop {
            let query = sqlx::query(sql).bind(player.id.0.cast_signed());
            let query = query.bind(f64::from(at.x)).bind(f64::from(at.y));
            if query.fetch_one(&pool).await.unwrap().get::<i64, _>(0) > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_servers_zones_go_on_elsewhere() {
    let database = blocking(|| Cluster::shared().database()).await;
    let mut world = World::start_on(&database, &[], &[]).await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.accept_quest("trophies").await.unwrap();
    let flower = ann.nearest("flower").await;
    let at = ann.view().get(flower).unwrap().newest.at;
    ann.go(at.x, at.y).await;
    ann.pick_up(flower).await.unwrap();
    ann.go(-10.0, 30.0).await;
    bob.go(10.0, 30.0).await;
    until_saved(&database, &ann, Point { x: -10.0, y: 30.0 }).await;
    let session = ann.session().unwrap().session_id.clone();

    let dead = world.home(1).await;
    let killed = tick::now();
    world.kill(dead);
    // The neighbour does not notice.
    bob.go(14.0, 30.0).await;
    plays_on(&mut bob).await;
    plays_on(&mut ann).await;
    tell(&format!("kill -9 of a zone server: play goes on after {}", since(killed)));

    assert_eq!(ann.session().unwrap().session_id, session, "no log-in, no new session");
    // As last saved.
    ann.sees_at(ann.id, -10.0, 30.0).await;
    assert_eq!(ann.carries("flower").await, 1, "what was committed is kept");
    let quests = ann.quest_log().await.unwrap().quests;
    let quest = quests.iter().find(|quest| quest.quest == "trophies").unwrap();
    assert_eq!(quest.state(), QuestState::QuestActive);
    ann.go(-4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    ann.say("I am still here").await.unwrap();
    bob.hears("I am still here").await;
    let others = world.home(1).await;
    assert_ne!(others, dead);

    // Its successor gets its share again, or at least does no harm.
    world.run(dead).await;
    plays_on(&mut ann).await;
    plays_on(&mut bob).await;
    ann.sees(bob.id).await;
    bob.sees(ann.id).await;
}

/// Has two players in one room and one guild.
pub async fn befriend(ann: &mut Player, bob: &mut Player) {
    ann.create_room("inn").await.unwrap();
    bob.join_room("inn").await.unwrap();
    ann.guild(&proto::GuildCreateRequest { name: "Pack".into() }).await.unwrap();
    let invite = proto::GuildInvite { player: bob.name.clone(), guild: String::new() };
    ann.guild(&invite).await.unwrap();
    let join = proto::GuildJoin { guild: "Pack".into(), player: String::new() };
    bob.guild(&join).await.unwrap();
}

/// The channels of such friends, each with its target.
pub const OF_FRIENDS: [(ChatChannel, &str); 2] =
    [(ChatChannel::ChatGuild, ""), (ChatChannel::ChatRoom, "inn")];

/// Two friends at two gateways, the first of which goes away as `goes` says: its client plays on at
/// the other one by itself, as if nothing had happened. Gives both.
pub async fn plays_on_at_the_other_gateway(
    world: &mut World,
    what: &str,
    goes: impl FnOnce(&mut World),
) -> (Player, Player) {
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    befriend(&mut ann, &mut bob).await;
    ann.go(-4.0, 30.0).await;
    bob.go(4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    let session = ann.session().unwrap().session_id.clone();
    ann.set_recovery(Some(Recovery::default()));

    let gone = tick::now();
    goes(world);
    let resumed = ann.until("the way back", |event| match event {
        Event::Resumed(resumed) => Some(*resumed),
        _ => None,
    });
    assert!(!resumed.await.anew, "no log-in");
    plays_on(&mut ann).await;
    tell(&format!("{what} of a gateway: its client plays on after {}", since(gone)));
    assert_eq!(ann.session().unwrap().session_id, session);
    assert!(bob.view().get(ann.id).is_some(), "she stood there all the time");
    ann.sees(bob.id).await;
    ann.use_skill("mend", Some(bob.id)).await.unwrap();
    for (channel, target) in OF_FRIENDS {
        arrives(&mut ann, &mut bob, channel, target).await;
        arrives(&mut bob, &mut ann, channel, target).await;
    }
    (ann, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_clients_go_on_at_the_other() {
    let mut world = World::start().await;
    plays_on_at_the_other_gateway(&mut world, "kill -9", |world| world.kill("gateway-1")).await;
    world.run("gateway-1").await;
    let mut cid = world.player("gateway-1", "Cid").await;
    plays_on(&mut cid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chat_and_login_come_back() {
    let mut world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    befriend(&mut ann, &mut bob).await;

    let killed = tick::now();
    world.kill("chat");
    world.run("chat").await;
    for (channel, target) in OF_FRIENDS {
        arrives(&mut ann, &mut bob, channel, target).await;
        arrives(&mut bob, &mut ann, channel, target).await;
        tell(&format!("kill -9 of chat: {channel:?} works again after {}", since(killed)));
    }
    let near = ann.say("nearby nothing has happened").await.unwrap();
    assert_eq!(near.sender_id, ann.id.0);

    let killed = tick::now();
    world.kill("login");
    plays_on(&mut ann).await;
    let mut stranger = Client::connect(world.gateway("gateway-2")).await.unwrap();
    let refused = refusal(stranger.login("Ann", PASSWORD).await);
    assert_eq!(refused, ErrorCode::ErrorUnavailable, "a clear word, at once");
    world.run("login").await;
    let mut cid = within("a log-in", async {
        loop {
            let mut client = Client::connect(world.gateway("gateway-2")).await.unwrap();
            match client.register("Cid", PASSWORD).await {
                Ok(_) => return Player::enter(client, "Cid").await.unwrap(),
                Err(error) => assert_eq!(error.code(), Some(ErrorCode::ErrorUnavailable)),
            }
        }
    })
    .await;
    tell(&format!("kill -9 of login: a log-in works again after {}", since(killed)));
    plays_on(&mut cid).await;
}

/// Says something until the other hears it: a message is lost while the chat role is away.
pub async fn arrives(from: &mut Player, to: &mut Player, channel: ChatChannel, target: &str) {
    within(&format!("a word from {}", from.name.clone()), async {
        for number in 0.. {
            let text = format!("word {number}");
            let said = tokio::time::timeout(ANSWER, from.client.chat(channel, target, &text)).await;
            // A new chat role hears of the one before it hears of the other.
            if matches!(said, Ok(Ok(_)))
                && tokio::time::timeout(ANSWER, to.hears(&text)).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_goes_on_without_a_master_and_the_next_one_knows_everything() {
    let mut world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    let homes = [world.home(1).await, world.home(2).await, world.home(3).await];
    world.kill("master");
    let killed = tick::now();
    for round in 0.. {
        if round > 0 && killed.elapsed() > MASTER_AWAY {
            break;
        }
        // Walking, crossing, blows, words: nothing of it needs the master.
        let side = if round % 2 == 0 { 4.0 } else { -4.0 };
        ann.go(side, 30.0).await;
        bob.go(-side, 30.0).await;
        ann.sees_at(bob.id, -side, 30.0).await;
        bob.sees_at(ann.id, side, 30.0).await;
        if round == 0 {
            ann.attack(bob.id).await.unwrap();
        }
        ann.say(&format!("who is in charge? {round}")).await.unwrap();
        bob.hears(&format!("who is in charge? {round}")).await;
        let nobody = format!("nobody {round}");
        ann.chat(ChatChannel::ChatWhisper, "Bob", &nobody).await.unwrap();
        bob.hears(&nobody).await;
    }
    for name in ["login", "chat", "gateway-1", "gateway-2", "zone-1", "zone-2"] {
        stays_ready_without_a_master(&world, name).await;
    }

    let started = tick::now();
    world.run("master").await;
    world
        .until("everything known again", |world, status| {
            let all = ["login", "chat", "gateway-1", "gateway-2", "zone-1", "zone-2"];
            let alive = all.iter().all(|name| status.state(world, name) == Some("alive"));
            (alive && status.players() == 2 && !status.settles()).then_some(())
        })
        .await;
    tell(&format!(
        "kill -9 of the master: the next one knows all {} after its start",
        since(started)
    ));
    let again = [world.home(1).await, world.home(2).await, world.home(3).await];
    assert_eq!(again, homes, "no zone was moved");

    // It knows who plays: a second log-in, at the other gateway, sends the first away.
    let mut second = world.again("gateway-2", "Ann").await.unwrap();
    let notice = ann.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
    plays_on(&mut second).await;
    plays_on(&mut bob).await;
    let one_of_each =
        |_: &World, status: &super::world::Status| (status.players() == 2).then_some(());
    world.until("two players", one_of_each).await;
}

/// Waits until a process says that the master is away; it is ready all the time.
async fn stays_ready_without_a_master(world: &World, name: &str) {
    within(&format!("{name}: a word on the master"), async {
        loop {
            let answer = world.readiness(name).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.body);
            if answer.json()["warnings"][0] == "no master is linked" {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
}

/// Seconds since a moment, for people to read.
pub fn since(moment: Instant) -> String {
    format!("{:.2} s", moment.elapsed().as_secs_f32())
}
