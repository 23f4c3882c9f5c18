//! World, whispers, rooms, who is there.

use super::*;

both_ways!(
    everybody_hears_the_world_channel,
    a_whisper_reaches_one_and_answers_the_speaker,
    a_room_is_for_those_in_it,
    a_room_request_is_refused_with_its_reason,
    leaving_the_world_leaves_the_rooms_but_a_new_session_does_not,
    who_is_in_the_world,
    operators_speak_to_all,
    a_full_gateway_drops_and_nothing_waits,
    a_player_is_told_to_each_zone_it_comes_to,
    rooms_outlive_the_chat_role_that_kept_them,
    a_gateway_hears_the_rooms_of_its_players,
    players_of_a_gateway_that_is_gone_for_a_moment_stay,
);

async fn everybody_hears_the_world_channel(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    hall.say(ann, Addressee::World, "hello all");
    for player in [ann, bob] {
        let heard = hall.expect_chat(player).await;
        assert_eq!(heard, (proto::ChatChannel::ChatWorld, "Ann".into(), "hello all".into()));
    }
    // Whoever is not in the world is not heard.
    hall.say(PlayerId(999), Addressee::World, "boo");
    hall.expect_nothing(bob).await;
}

async fn a_whisper_reaches_one_and_answers_the_speaker(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let cid = hall.come("Cid").await;
    hall.say(ann, Addressee::Player(named("BOB")), "psst");
    for player in [ann, bob] {
        let it: proto::ChatMessage = hall.expect(player, PacketType::ChatMessage).await;
        assert_eq!((it.sender_id, it.target.as_str(), it.text.as_str()), (ann.0, "Bob", "psst"));
        assert_eq!(it.channel(), proto::ChatChannel::ChatWhisper);
    }
    hall.expect_nothing(cid).await;
    hall.say(ann, Addressee::Player(named("ann")), "note to self");
    hall.expect_chat(ann).await;
    hall.expect_nothing(ann).await;
    hall.say(ann, Addressee::Player(named("Dora")), "are you there?");
    hall.expect_error(ann, ErrorCode::ErrorNoSuchPlayer).await;
    hall.send(ChatMsg::Left { player: bob, session: session(bob) });
    hall.say(ann, Addressee::Player(named("Bob")), "still there?");
    hall.expect_error(ann, ErrorCode::ErrorNoSuchPlayer).await;
}

async fn a_room_is_for_those_in_it(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let cid = hall.come("Cid").await;
    let tavern = || named("Tavern");
    hall.room(ann, RoomAction::Create(tavern()));
    let members: proto::RoomMembers = hall.expect(ann, PacketType::RoomMembers).await;
    assert_eq!((members.room.as_str(), members.players), ("Tavern", vec!["Ann".to_owned()]));
    hall.room(bob, RoomAction::Join(named("tavern")));
    let members: proto::RoomMembers = hall.expect(bob, PacketType::RoomMembers).await;
    assert_eq!((members.count, members.players), (2, vec!["Ann".to_owned(), "Bob".to_owned()]));
    let joined: proto::RoomJoin = hall.expect(ann, PacketType::RoomJoin).await;
    assert_eq!((joined.room.as_str(), joined.player.as_str()), ("Tavern", "Bob"));
    hall.say(bob, Addressee::Room(tavern()), "cheers");
    for player in [ann, bob] {
        let heard = hall.expect_chat(player).await;
        assert_eq!(heard, (proto::ChatChannel::ChatRoom, "Bob".into(), "cheers".into()));
    }
    hall.room(cid, RoomAction::List);
    let rooms: proto::RoomList = hall.expect(cid, PacketType::RoomList).await;
    assert_eq!(rooms.rooms, [proto::RoomInfo { room: "Tavern".into(), members: 2 }]);
    hall.room(bob, RoomAction::Leave(tavern()));
    for player in [ann, bob] {
        let left: proto::RoomLeave = hall.expect(player, PacketType::RoomLeave).await;
        assert_eq!(left.player, "Bob");
    }
    hall.room(ann, RoomAction::Leave(tavern()));
    let _: proto::RoomLeave = hall.expect(ann, PacketType::RoomLeave).await;
    hall.room(cid, RoomAction::Members(tavern()));
    hall.expect_error(cid, ErrorCode::ErrorNoSuchRoom).await;
}

async fn a_room_request_is_refused_with_its_reason(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let tavern = || named("Tavern");
    hall.room(ann, RoomAction::Join(tavern()));
    hall.expect_error(ann, ErrorCode::ErrorNoSuchRoom).await;
    hall.room(ann, RoomAction::Create(tavern()));
    let _: proto::RoomMembers = hall.expect(ann, PacketType::RoomMembers).await;
    hall.room(bob, RoomAction::Create(named("TAVERN")));
    hall.expect_error(bob, ErrorCode::ErrorRoomExists).await;
    hall.room(bob, RoomAction::Leave(tavern()));
    hall.expect_error(bob, ErrorCode::ErrorNotInRoom).await;
    hall.say(bob, Addressee::Room(tavern()), "let me in");
    hall.expect_error(bob, ErrorCode::ErrorNotInRoom).await;
    hall.say(bob, Addressee::Room(named("Cellar")), "hello?");
    hall.expect_error(bob, ErrorCode::ErrorNoSuchRoom).await;
    hall.say(bob, Addressee::Guild, "brothers");
    hall.expect_error(bob, ErrorCode::ErrorNotInGuild).await;
}

async fn leaving_the_world_leaves_the_rooms_but_a_new_session_does_not(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let tavern = || named("Tavern");
    hall.room(ann, RoomAction::Create(tavern()));
    hall.room(bob, RoomAction::Join(tavern()));
    let _: proto::RoomMembers = hall.expect(bob, PacketType::RoomMembers).await;
    // Bob goes on through another session; the old one's end comes late.
    let newer = SessionRef { gateway: GATEWAY, key: SessionKey(bob.0) };
    let older = SessionRef { gateway: GATEWAY, key: SessionKey(4_000) };
    hall.send(ChatMsg::Joined {
        player: bob,
        name: "Bob".into(),
        session: older,
        zone: ZONE,
        rooms: vec![],
        since: None,
    });
    hall.send(ChatMsg::Joined {
        player: bob,
        name: "Bob".into(),
        session: newer,
        zone: ZONE,
        rooms: vec![],
        since: None,
    });
    hall.send(ChatMsg::Left { player: bob, session: older });
    hall.say(bob, Addressee::Room(tavern()), "I am back");
    assert_eq!(hall.expect_chat(bob).await.2, "I am back");
    let _: proto::RoomMembers = hall.expect(ann, PacketType::RoomMembers).await;
    let _: proto::RoomJoin = hall.expect(ann, PacketType::RoomJoin).await;
    assert_eq!(hall.expect_chat(ann).await.2, "I am back");
    hall.send(ChatMsg::Left { player: bob, session: newer });
    let left: proto::RoomLeave = hall.expect(ann, PacketType::RoomLeave).await;
    assert_eq!((left.room.as_str(), left.player.as_str()), ("Tavern", "Bob"));
}

async fn who_is_in_the_world(mut hall: Hall) {
    let (bob, ann) = (hall.come("Bob").await, hall.come("Ann").await);
    hall.send(ChatMsg::Who { player: bob, request: 1 });
    let who: proto::RoomMembers = hall.expect(bob, PacketType::RoomMembers).await;
    assert_eq!((who.room.as_str(), who.count), ("", 2));
    assert_eq!(who.players, ["Ann", "Bob"]);
    hall.expect_nothing(ann).await;
}

async fn operators_speak_to_all(mut hall: Hall) {
    let ann = hall.come("Ann").await;
    let text = ChatText::parse("restart at noon").unwrap();
    hall.send(ChatMsg::Announce { request: RequestId(1), text });
    let heard = hall.expect_chat(ann).await;
    assert_eq!(heard, (proto::ChatChannel::ChatSystem, String::new(), "restart at noon".into()));
}

async fn a_full_gateway_drops_and_nothing_waits(mut hall: Hall) {
    let ann = hall.come("Ann").await;
    let (narrow, mut narrow_inbox) = inbox(1, hall.loopback);
    hall.peers.gateways.insert(ServerId(78), narrow);
    for text in ["one", "two", "three"] {
        hall.say(ann, Addressee::World, text);
        assert_eq!(hall.expect_chat(ann).await.2, text);
    }
    let GatewayMsg::Broadcast { packet } = narrow_inbox.recv().await.unwrap() else {
        panic!("world chat is broadcast");
    };
    assert_eq!(proto::ChatMessage::decode(packet.payload).unwrap().text, "one");
    assert!(narrow_inbox.try_recv().is_none(), "the others are lost for it alone");
}

async fn a_player_is_told_to_each_zone_it_comes_to(mut hall: Hall) {
    let ann = hall.come("Ann").await;
    hall.found(ann, "Wolves").await;
    let (outbox, mut other) = inbox(16, hall.loopback);
    hall.peers.zones.insert(ZoneId(4), outbox);
    hall.send(ChatMsg::Moved { player: ann, zone: ZoneId(4) });
    let wars = tokio::time::timeout(PATIENCE, other.recv()).await.unwrap();
    assert_eq!(wars, Some(ZoneMsg::SetWars { wars: vec![] }));
    let told = tokio::time::timeout(PATIENCE, other.recv()).await.unwrap();
    let Some(ZoneMsg::SetGuild { player, guild: Some(guild) }) = told else {
        panic!("{told:?}");
    };
    assert_eq!((player, guild.name.as_ref()), (ann, "Wolves"));
}

async fn a_gateway_hears_the_rooms_of_its_players(mut hall: Hall) {
    let ann = hall.come("Ann").await;
    let names =
        |told: Vec<Name>| told.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    hall.room(ann, RoomAction::Create(named("Tavern")));
    assert_eq!(names(hall.rooms_told(ann).await), ["Tavern"]);
    hall.room(ann, RoomAction::Create(named("Docks")));
    assert_eq!(names(hall.rooms_told(ann).await), ["Docks", "Tavern"]);
    hall.room(ann, RoomAction::Leave(named("TAVERN")));
    assert_eq!(names(hall.rooms_told(ann).await), ["Docks"]);
    // It goes on through another gateway, which does not know.
    hall.rejoin(ann, "Ann", &[]);
    assert_eq!(names(hall.rooms_told(ann).await), ["Docks"]);
}

async fn rooms_outlive_the_chat_role_that_kept_them(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let tavern = || named("Tavern");
    hall.room(ann, RoomAction::Create(tavern()));
    hall.room(bob, RoomAction::Join(tavern()));
    let of_ann = hall.rooms_told(ann).await;
    let of_bob = hall.rooms_told(bob).await;
    hall.restart().await;
    // The gateway tells the new one what it was told.
    hall.rejoin(bob, "Bob", &of_bob);
    hall.rejoin(ann, "Ann", &of_ann);
    hall.say(ann, Addressee::Room(tavern()), "still here?");
    for player in [ann, bob] {
        assert_eq!(hall.expect_chat(player).await.2, "still here?", "and nobody was told of it");
    }
}

async fn players_of_a_gateway_that_is_gone_for_a_moment_stay(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let outbox = hall.peers.gateways.get(GATEWAY).unwrap();
    hall.peers.gateways.remove(GATEWAY);
    hall.say(ann, Addressee::World, "into the void");
    hall.send(ChatMsg::Moved { player: bob, zone: ZONE });
    hall.guild_in_zone(bob).await;
    hall.peers.gateways.insert(GATEWAY, outbox);
    hall.say(ann, Addressee::Player(named("Bob")), "back again");
    assert_eq!(hall.expect_chat(bob).await.2, "back again");
}
