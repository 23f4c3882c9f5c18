//! A guild's life, from its founding to its end.

use super::*;
use crate::ids::GuildRank;

both_ways!(
    a_guild_lives_from_founding_to_disbanding,
    guilds_are_there_after_a_restart,
    a_leader_is_replaced_and_may_go,
    the_last_one_to_leave_ends_the_guild,
    requests_of_one_guild_keep_their_order,
    without_a_database_guilds_are_refused_and_talk_goes_on,
);

async fn a_guild_lives_from_founding_to_disbanding(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let id = hall.found(ann, "Wolves").await;
    hall.bring_in(ann, "Wolves", bob, "Bob").await;

    hall.say(bob, Addressee::Guild, "howl");
    for player in [ann, bob] {
        let heard = hall.expect_chat(player).await;
        assert_eq!(heard, (proto::ChatChannel::ChatGuild, "Bob".into(), "howl".into()));
    }

    hall.guild(ann, GuildAction::Rank(named("bob"), GuildRank::Officer));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    for player in [ann, bob] {
        let rank: proto::GuildRankChange = hall.expect(player, PacketType::GuildRank).await;
        assert_eq!((rank.player.as_str(), rank.rank()), ("Bob", proto::GuildRank::Officer));
    }

    hall.guild(bob, GuildAction::Info(None));
    let info: proto::GuildInfo = hall.expect(bob, PacketType::GuildInfo).await;
    assert_eq!((info.guild_id, info.name.as_str()), (id.0, "Wolves"));
    let members: Vec<_> =
        info.members.iter().map(|it| (it.name.as_str(), it.rank(), it.online)).collect();
    let wanted =
        [("Ann", proto::GuildRank::Leader, true), ("Bob", proto::GuildRank::Officer, true)];
    assert_eq!(members, wanted);

    hall.guild(ann, GuildAction::Kick(named("Bob")));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    for player in [ann, bob] {
        let kicked: proto::GuildKick = hall.expect(player, PacketType::GuildKick).await;
        assert_eq!((kicked.guild.as_str(), kicked.player.as_str()), ("Wolves", "Bob"));
    }
    assert_eq!(hall.guild_in_zone(bob).await, None);

    hall.guild(ann, GuildAction::Disband);
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let end: proto::GuildDisband = hall.expect(ann, PacketType::GuildDisband).await;
    assert_eq!(end.guild, "Wolves");
    assert_eq!(hall.guild_in_zone(ann).await, None);
    assert!(hall.store.guilds().await.unwrap().guilds.is_empty());
    // Its name and its members are free again.
    hall.found(bob, "Wolves").await;
}

async fn guilds_are_there_after_a_restart(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let id = hall.found(ann, "Wolves").await;
    hall.bring_in(ann, "Wolves", bob, "Bob").await;
    assert_eq!(hall.restart().await, []);
    assert_eq!(hall.join(bob, "Bob").await.as_deref(), Some("Wolves"));
    hall.guild(bob, GuildAction::Info(Some(named("wolves"))));
    let info: proto::GuildInfo = hall.expect(bob, PacketType::GuildInfo).await;
    assert_eq!(info.guild_id, id.0);
    let members: Vec<_> = info.members.iter().map(|it| (it.name.as_str(), it.online)).collect();
    assert_eq!(members, [("Ann", false), ("Bob", true)]);
}

async fn a_leader_is_replaced_and_may_go(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    hall.found(ann, "Wolves").await;
    hall.bring_in(ann, "Wolves", bob, "Bob").await;
    hall.guild(ann, GuildAction::Rank(named("Bob"), GuildRank::Leader));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let mut ranks = Vec::new();
    for _ in 0..2 {
        let rank: proto::GuildRankChange = hall.expect(bob, PacketType::GuildRank).await;
        let _: proto::GuildRankChange = hall.expect(ann, PacketType::GuildRank).await;
        ranks.push((rank.player.clone(), rank.rank()));
    }
    let wanted = [
        ("Ann".to_owned(), proto::GuildRank::Officer),
        ("Bob".to_owned(), proto::GuildRank::Leader),
    ];
    assert_eq!(ranks, wanted);
    hall.guild(ann, GuildAction::Leave);
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let left: proto::GuildLeave = hall.expect(bob, PacketType::GuildLeave).await;
    assert_eq!(left.player, "Ann");
    let guilds = hall.store.guilds().await.unwrap().guilds;
    assert_eq!(guilds[0].members, [(bob, named("Bob"), GuildRank::Leader)]);
}

async fn the_last_one_to_leave_ends_the_guild(mut hall: Hall) {
    let ann = hall.come("Ann").await;
    hall.found(ann, "Wolves").await;
    hall.guild(ann, GuildAction::Leave);
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let _: proto::GuildDisband = hall.expect(ann, PacketType::GuildDisband).await;
    assert!(hall.store.guilds().await.unwrap().guilds.is_empty());
}

async fn requests_of_one_guild_keep_their_order(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    // All at once: the later ones are decided by what the earlier ones have done.
    hall.guild(ann, GuildAction::Create(named("Wolves")));
    hall.guild(ann, GuildAction::Invite(named("Bob")));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let _: proto::GuildInvite = hall.expect(bob, PacketType::GuildInvite).await;
    hall.guild(bob, GuildAction::Join(named("Wolves")));
    hall.guild(ann, GuildAction::Disband);
    hall.guild(bob, GuildAction::Leave);
    let _: proto::GuildResponse = hall.expect(bob, PacketType::GuildResponse).await;
    let _: proto::GuildJoin = hall.expect(bob, PacketType::GuildJoin).await;
    let _: proto::GuildDisband = hall.expect(bob, PacketType::GuildDisband).await;
    hall.expect_error(bob, ErrorCode::ErrorNotInGuild).await;
}

async fn without_a_database_guilds_are_refused_and_talk_goes_on(mut hall: Hall) {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    hall.found(ann, "Wolves").await;
    hall.bring_in(ann, "Wolves", bob, "Bob").await;
    hall.store.close().await;
    // The first one finds out, the second is refused at the door.
    for _ in 0..2 {
        hall.guild(bob, GuildAction::Leave);
        hall.expect_error(bob, ErrorCode::ErrorUnavailable).await;
    }
    hall.guild(bob, GuildAction::Info(None));
    let info: proto::GuildInfo = hall.expect(bob, PacketType::GuildInfo).await;
    assert_eq!(info.members.len(), 2);
    hall.say(bob, Addressee::Guild, "still here");
    assert_eq!(hall.expect_chat(ann).await.2, "still here");
    hall.restart().await;
    assert_eq!(hall.join(bob, "Bob").await.as_deref(), Some("Wolves"));
}
