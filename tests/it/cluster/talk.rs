//! Log-ins and words that go through the whole cluster: in by one gateway, out by the other.

use throng::client::{Client, Event};
use throng::ids::EntityId;
use throng::proto::{self, ChatChannel, DisconnectReason, ErrorCode};

use super::world::World;
use crate::player::{PASSWORD, Player, refusal};
use crate::server::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_logs_in_anywhere_and_plays_anywhere() {
    let world = World::start().await;
    let mut here = Client::connect(world.gateway("gateway-1")).await.unwrap();
    here.register("Ann", PASSWORD).await.unwrap();
    let mut gateways = [world.gateway("gateway-1").port, world.gateway("gateway-2").port];
    gateways.sort_unstable();
    let login = within("a list of both gateways", async {
        loop {
            let login = here.login("Ann", PASSWORD).await.unwrap();
            let told = login.game_servers.iter().map(|server| server.port as u16);
            let mut told: Vec<u16> = told.collect();
            told.sort_unstable();
            if told == gateways {
                return login;
            }
        }
    })
    .await;

    let mut ann = enter(&world, "gateway-2", &login).await;
    ann.go(-30.0, 5.0).await;
    ann.say("far from where I came in").await.unwrap();
    let used = refusal(here.enter(&login.session_token).await);
    assert_eq!(used, ErrorCode::ErrorTicketUsed, "a ticket is good once in the whole cluster");

    // The log-in's own port, and the first gateway: the session at the second one is over.
    let mut door = Client::connect(world.login()).await.unwrap();
    let login = door.login("Ann", PASSWORD).await.unwrap();
    let mut again = enter(&world, "gateway-1", &login).await;
    let notice = ann.sent_away().await;
    assert_eq!(notice.reason(), DisconnectReason::DisconnectLoggedInElsewhere);
    assert!(again.place().distance(throng::geometry::Point { x: -30.0, y: 5.0 }) < 1.0);
    again.say("here again").await.unwrap();
    let one = world.until("one player", |_, status| (status.players() == 1).then_some(()));
    one.await;
}

/// Comes into the world at a gateway with a ticket from elsewhere.
async fn enter(world: &World, gateway: &str, login: &proto::LoginResponse) -> Player {
    let mut client = Client::connect(world.gateway(gateway)).await.unwrap();
    let entered = client.enter(&login.session_token).await.unwrap();
    let id = EntityId(login.player_id);
    let mut player = Player { client, name: "Ann".to_owned(), id, entered };
    player.sees(id).await;
    player
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_guilds_and_wars_reach_everybody() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    let mut foe = world.player("gateway-2", "Foe").await;

    ann.chat(ChatChannel::ChatWhisper, "Bob", "psst").await.unwrap();
    assert_eq!(bob.hears("psst").await.sender, "Ann");
    bob.chat(ChatChannel::ChatWhisper, "Ann", "what?").await.unwrap();
    ann.hears("what?").await;
    ann.chat(ChatChannel::ChatWorld, "", "hello, world").await.unwrap();
    bob.hears("hello, world").await;

    ann.create_room("inn").await.unwrap();
    let members = bob.join_room("inn").await.unwrap();
    assert_eq!(members.players, ["Ann", "Bob"]);
    bob.chat(ChatChannel::ChatRoom, "inn", "cheers").await.unwrap();
    ann.hears("cheers").await;
    assert!(foe.chat(ChatChannel::ChatRoom, "inn", "me too").await.is_err(), "Foe is not in it");

    ann.guild(&proto::GuildCreateRequest { name: "Pack".into() }).await.unwrap();
    foe.guild(&proto::GuildCreateRequest { name: "Herd".into() }).await.unwrap();
    ann.guild(&proto::GuildInvite { player: "Bob".into(), guild: String::new() }).await.unwrap();
    let join = proto::GuildJoin { guild: "Pack".into(), player: String::new() };
    bob.guild(&join).await.unwrap();
    ann.chat(ChatChannel::ChatGuild, "", "welcome, Bob").await.unwrap();
    bob.hears("welcome, Bob").await;
    bob.chat(ChatChannel::ChatGuild, "", "glad to be here").await.unwrap();
    ann.hears("glad to be here").await;

    // In the Moor there is peace, but for a war.
    ann.go(-4.0, 130.0).await;
    foe.go(-2.0, 130.0).await;
    bob.go(0.0, 130.0).await;
    ann.sees_at(foe.id, -2.0, 130.0).await;
    assert_eq!(refusal(ann.attack(foe.id).await), ErrorCode::ErrorNotAllowed);
    let war = proto::GuildWarStart { enemy: "Herd".into(), guild: String::new() };
    ann.guild(&war).await.unwrap();
    let agreed = proto::GuildWarStart { enemy: "Pack".into(), guild: String::new() };
    foe.guild(&agreed).await.unwrap();
    for player in [&mut bob, &mut foe] {
        player.until("the war", |event| matches!(event, Event::WarStarted(_)).then_some(())).await;
    }
    within("the war's begin in the zone", async {
        while let Err(refused) = ann.attack(foe.id).await {
            assert_eq!(refused.code(), Some(ErrorCode::ErrorNotAllowed));
        }
    })
    .await;
    ann.kill(foe.id).await;
    for (player, score) in [(&mut ann, (1, 0)), (&mut bob, (1, 0)), (&mut foe, (0, 1))] {
        let told = player.until("a score", |event| match event {
            Event::WarScore(score) => Some((score.our_kills, score.their_kills)),
            _ => None,
        });
        assert_eq!(told.await, score);
    }
}
