//! The text port by hand, beside a packet client in the same world.

use throng::client::Event;
use throng::proto::{self, ChatChannel};

use crate::player::Player;
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED, within};
use crate::text::{TextClient, field, word};

scenarios![
    a_first_word_asks_for_the_way,
    walking_and_talking_are_seen_and_heard,
    rooms_are_made_entered_and_left,
    a_guild_is_led_from_the_keyboard,
    a_wolf_is_hunted_by_hand,
    what_is_no_command_is_refused_and_nothing_breaks,
    lines_count_however_they_are_cut,
];

async fn a_first_word_asks_for_the_way(topology: Topology) {
    let server = Server::start(topology);
    let here = format!("REDIRECT 127.0.0.1 {}", server.address("text").port());
    for asked in ["LOGIN", "WORLD", "ZONE", "CHAT", "login"] {
        within("the way", async {
            loop {
                let mut client = TextClient::connect(&server).await;
                client.send(asked).await;
                let answer = client.expect("").await;
                client.expect_end().await;
                if answer == here {
                    break;
                }
                // Until the gateway has heard of itself from the master.
                assert_eq!(answer, "ERROR No available servers");
            }
        })
        .await;
    }
    let mut client = TextClient::connect(&server).await;
    client.ask("PING", "PONG").await;
    client.ask("WORLD", "ERROR").await;
}

async fn walking_and_talking_are_seen_and_heard(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut bob = Player::new(&server, "Bob").await;
    let mut ann = TextClient::player(&server, "Ann").await;
    let id = throng::ids::EntityId(ann.id);
    let welcome = ann.find("WELCOME", |line| line.starts_with("WELCOME ")).await;
    assert_eq!(word(&welcome, 1).len(), 36, "a session id is a UUID");
    ann.find("the zone", |line| line == "ZONE_ENTER 1 Field").await;
    let me = ann.find("oneself", |line| line.starts_with("PLAYER_INFO PLAYER:")).await;
    assert!(me.contains(":Ann:60.00:0.00:"), "{me}");
    ann.find("Bob", |line| line.contains(":Bob:")).await;
    bob.sees(id).await;

    ann.send("MOVE 75.5 -5").await;
    bob.sees_at(id, 75.5, -5.0).await;
    bob.move_to(80.0, 5.0).await.unwrap();
    // At once where he sets out for, then where he is, twice a second.
    let way = format!("PLAYER_MOVE {} 80.00 5.00", bob.id);
    ann.expect(&way).await;
    let there = format!("{} 80.00 5.00", bob.id);
    ann.expect_where("Bob's arrival", |line| {
        assert_ne!(line, way, "a way is told once");
        line.starts_with("SYNC_POSITIONS") && line.contains(&there)
    })
    .await;

    ann.ask("CHAT  hello, all", "CHAT Ann hello, all").await;
    bob.hears("hello, all").await;
    bob.say("hello, Ann").await.unwrap();
    ann.expect("CHAT Bob hello, Ann").await;
    ann.ask("ZONE to the zone", "ZONE Ann to the zone").await;
    assert_eq!(bob.hears("to the zone").await.channel(), ChatChannel::ChatZone);
    ann.ask("WORLD to everybody", "WORLD Ann to everybody").await;
    bob.hears("to everybody").await;
    ann.ask("WHISPER bob psst", "WHISPER_TO Bob psst").await;
    assert_eq!(bob.hears("psst").await.channel(), ChatChannel::ChatWhisper);
    bob.chat(ChatChannel::ChatWhisper, "Ann", "what?").await.unwrap();
    ann.expect("WHISPER Bob what?").await;

    assert_eq!(ann.ask("WHO", "WHO").await, "WHO 2 Ann Bob");
    ann.ask("ping", "PONG").await;
    let help = ann.ask("HELP", "HELP REGISTER").await;
    assert!(help.contains("name password"));
    ann.expect("END").await;
    ann.ask("QUIT", "BYE").await;
    ann.expect_end().await;
    bob.loses(id).await;
}

async fn rooms_are_made_entered_and_left(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut bob = Player::new(&server, "Bob").await;
    let mut ann = TextClient::player(&server, "Ann").await;
    ann.ask("ROOM CREATE inn", "ROOM WHO inn 1 Ann").await;
    ann.ask("ROOM CREATE inn", "ERROR").await;
    bob.join_room("inn").await.unwrap();
    ann.expect("ROOM JOIN inn Bob").await;
    ann.ask("ROOM SAY inn good evening", "ROOM SAY inn Ann good evening").await;
    bob.hears("good evening").await;
    assert_eq!(ann.ask("ROOM LIST", "ROOM LIST").await, "ROOM LIST 1 inn 2");
    assert_eq!(ann.ask("ROOM WHO inn", "ROOM WHO").await, "ROOM WHO inn 2 Ann Bob");
    ann.ask("ROOM LEAVE inn", "ROOM LEAVE inn Ann").await;
    bob.until("Ann's going", |event| matches!(event, Event::RoomLeft(_)).then_some(())).await;
    ann.ask("ROOM SAY inn hello?", "ERROR").await;
    ann.ask("ROOM JOIN inn", "ROOM WHO inn 2").await;
    ann.ask("ROOM JOIN attic", "ERROR").await;
}

async fn a_guild_is_led_from_the_keyboard(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut bob = Player::new(&server, "Bob").await;
    let mut ann = TextClient::player(&server, "Ann").await;
    let mut cid = TextClient::player(&server, "Cid").await;
    ann.ask("GUILD CREATE Pack", "GUILD OK").await;
    cid.ask("GUILD CREATE pack", "ERROR").await;
    ann.ask("GUILD INVITE Bob", "GUILD OK").await;
    bob.until("the invitation", |e| matches!(e, Event::GuildInvited(_)).then_some(())).await;
    let join = proto::GuildJoin { guild: "Pack".into(), player: String::new() };
    bob.guild(&join).await.unwrap();
    ann.expect("GUILD JOIN Pack Bob").await;
    ann.ask("GUILD INVITE Cid", "GUILD OK").await;
    cid.expect("GUILD INVITE Pack Ann").await;
    cid.ask("GUILD JOIN Pack", "GUILD OK").await;
    ann.expect("GUILD JOIN Pack Cid").await;
    cid.ask("GUILD SAY hello, pack", "GUILD SAY Cid hello, pack").await;
    ann.expect("GUILD SAY Cid hello, pack").await;
    bob.hears("hello, pack").await;
    cid.ask("GUILD KICK Bob", "ERROR").await;
    cid.ask("GUILD LEAVE", "GUILD OK").await;
    ann.expect("GUILD LEAVE Pack Cid").await;

    ann.ask("GUILD RANK Bob OFFICER", "GUILD RANK Pack Bob OFFICER").await;
    let info = ann.ask("GUILD INFO", "GUILD INFO").await;
    assert!(info.ends_with(" Pack 2 0"), "{info}");
    ann.expect("GUILD MEMBER Ann LEADER online").await;
    ann.expect("GUILD MEMBER Bob OFFICER online").await;
    cid.ask("GUILD CREATE Herd", "GUILD OK").await;
    let notice = ann.ask("GUILD WAR Herd", "GUILD WAR Pack Herd ").await;
    assert!(notice.ends_with(" Pack"), "{notice}");
    cid.expect("GUILD WAR Herd Pack ").await;
    ann.ask("GUILD WAR Herd", "ERROR").await;
    cid.ask("GUILD WAR Pack", "GUILD WAR Herd Pack").await;
    ann.expect("GUILD WAR Pack Herd").await;
    ann.ask("GUILD INFO Herd", "GUILD INFO").await;
    ann.ask("GUILD PEACE Herd", "GUILD PEACE Pack Herd 0 0").await;
    cid.expect("GUILD PEACE Herd Pack 0 0").await;
    ann.ask("GUILD KICK Bob", "GUILD KICK Pack Bob").await;
    bob.until("being cast out", |e| matches!(e, Event::GuildKicked(_)).then_some(())).await;
    ann.ask("GUILD DISBAND", "GUILD DISBAND Pack").await;
    ann.ask("GUILD INFO", "ERROR").await;
}

async fn a_wolf_is_hunted_by_hand(topology: Topology) {
    let server = Server::start(topology);
    let mut bob = Player::new(&server, "Bob").await;
    let mut ann = TextClient::player(&server, "Ann").await;
    ann.ask("QUEST", "QUEST wolf_hunt available").await;
    ann.ask("QUEST ACCEPT wolf_hunt", "QUEST wolf_hunt active").await;
    ann.ask("QUEST ACCEPT tour", "QUEST tour active").await;
    ann.ask("QUEST ACCEPT nothing", "ERROR").await;
    let npc = ann.find("a wolf", |line| line.starts_with("NPC_INFO") && line.contains(":wolf:"));
    let wolf = field(&npc.await, 1).to_owned();
    let me = ann.id;
    ann.send(&format!("ATTACK {wolf}")).await;
    let blow = ann.expect("EVENT_ATTACK").await;
    assert_eq!((word(&blow, 2), word(&blow, 3)), (me.to_string().as_str(), wolf.as_str()));
    ann.find("the short form", |line| line == format!("ATTACK {me} {wolf} 12")).await;
    let hurt = format!(" {wolf} {me} 12 18");
    ann.find("damage", |l| l.starts_with("EVENT_DAMAGE") && l.ends_with(&hurt)).await;
    ann.send(&format!("SKILL power_strike {wolf}")).await;
    ann.expect_where("the skill", |l| l.starts_with("EVENT_SKILL") && l.contains("power_strike"))
        .await;
    let death = format!(" {wolf} {me}");
    ann.find("its death", |l| l.starts_with("EVENT_DEATH") && l.ends_with(&death)).await;
    ann.send(&format!("ATTACK {wolf}")).await;
    ann.expect("ERROR").await;

    let item = ann.find("a pelt", |l| l.starts_with("ITEM_INFO") && l.contains(":wolf_pelt:"));
    let item = item.await;
    let (pelt, x, y) = (field(&item, 1), field(&item, 3), field(&item, 4));
    ann.send(&format!("MOVE {x} {y}")).await;
    let there = (x.parse().unwrap(), y.parse().unwrap());
    bob.sees_at(throng::ids::EntityId(me), there.0, there.1).await;
    ann.send(&format!("PICKUP {pelt}")).await;
    ann.expect("EVENT_ITEM_PICKUP").await;
    ann.find("the pelt", |line| line.starts_with("ITEM ") && line.contains(" wolf_pelt 1 ")).await;
    ann.find("the quest's end", |line| {
        line.starts_with("EVENT_QUEST_COMPLETE") && line.ends_with(" wolf_hunt")
    })
    .await;
    ann.send("INVENTORY").await;
    let potion = ann
        .expect_where("potions", |line| {
            line.starts_with("ITEM ") && line.contains(" healing_potion ")
        })
        .await;
    let stack = word(&potion, 1).to_owned();
    ann.ask(&format!("USE_ITEM {stack}"), &format!("ITEM_USED {stack}")).await;
    ann.send("SKILL sprint").await;
    ann.expect_where("the sprint", |l| l.starts_with("EVENT_SKILL") && l.contains(" sprint "))
        .await;

    ann.send("MOVE 110 0").await;
    ann.expect("ZONE_ENTER 2 Arena").await;
    ann.find("the tour's end", |line| {
        line.starts_with("EVENT_QUEST_COMPLETE") && line.ends_with(" tour")
    })
    .await;
    let change = format!(" {me} 1 2");
    ann.find("the change", |l| l.starts_with("EVENT_ZONE_CHANGE") && l.ends_with(&change)).await;
}

async fn what_is_no_command_is_refused_and_nothing_breaks(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = TextClient::connect(&server).await;
    for line in [
        "DANCE",
        "",
        "MOVE 1 2",
        "CHAT hello",
        "WHO",
        "GUILD INFO",
        "LOGIN Ann",
        "LOGIN Ann wrong",
        "REGISTER A secret-word",
        "REGISTER Ann' secret-word",
        "REGISTER a_name_that_is_much_too_long secret-word",
    ] {
        let answer = ann.ask(line, "").await;
        assert!(answer.starts_with("ERROR "), "{line}: {answer}");
        assert!(!answer.contains("secret"), "{answer}");
    }
    let mut ann = TextClient::player(&server, "Ann").await;
    for line in [
        "MOVE",
        "MOVE NaN 0",
        "MOVE inf 0",
        "MOVE 1e30 0",
        "MOVE 9000 9000",
        "MOVE one two",
        "ATTACK 99999999999999999999",
        "ATTACK 12345",
        "PICKUP 12345",
        "USE_ITEM 12345",
        "SKILL '; DROP TABLE players;--",
        "WHISPER Nobody hello",
        "WHISPER",
        "ROOM DANCE",
        "GUILD",
        "LOGIN Ann secret-word",
        "REGISTER Cid secret-word",
    ] {
        ann.send(line).await;
        let answer = ann.expect("ERROR").await;
        assert!(answer.len() > "ERROR ".len(), "{line}: {answer}");
    }
    ann.ask("PING", "PONG").await;

    let mut wordy = TextClient::connect(&server).await;
    wordy.send(&"x".repeat(2_000)).await;
    wordy.expect("ERROR").await;
    wordy.expect_end().await;
    let mut garbled = TextClient::connect(&server).await;
    garbled.send_raw(b"PING \xff\xfe\n").await;
    garbled.expect("ERROR").await;
    ann.ask("PING", "PONG").await;
}

async fn lines_count_however_they_are_cut(topology: Topology) {
    let server = Server::start(topology);
    let mut ann = TextClient::connect(&server).await;
    ann.send_raw(b"PING\r\nREGISTER Ann secret-word\r\nPI").await;
    ann.expect("PONG").await;
    ann.expect("REGISTERED").await;
    ann.send_raw(b"NG\n").await;
    ann.expect("PONG").await;
    for byte in b"LOGIN Ann secret-word\r\n" {
        ann.send_raw(&[*byte]).await;
        tokio::task::yield_now().await;
    }
    ann.expect("PLAYER_INFO").await;
    let long = "é".repeat(256);
    ann.ask(&format!("CHAT {long}"), &format!("CHAT Ann {long}")).await;
    ann.send_raw(b"PING\nPING\n").await;
    ann.expect("PONG").await;
    ann.expect("PONG").await;
}
