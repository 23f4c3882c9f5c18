//! What each guild request is refused for.

use super::*;
use crate::ids::GuildRank;

both_ways!(
    strangers_are_refused,
    members_are_refused_what_officers_may,
    officers_are_refused_what_leaders_may,
    leaders_are_refused_what_makes_no_sense,
    an_invitation_is_needed_and_used_up,
);

async fn refused(hall: &mut Hall, player: PlayerId, action: GuildAction, code: ErrorCode) {
    hall.guild(player, action);
    hall.expect_error(player, code).await;
}

/// Ann leads the Wolves, Bob is an officer, Cid a member, Dan leads the Foxes.
async fn two_guilds(hall: &mut Hall) -> [PlayerId; 4] {
    let (ann, bob) = (hall.come("Ann").await, hall.come("Bob").await);
    let (cid, dan) = (hall.come("Cid").await, hall.come("Dan").await);
    hall.found(ann, "Wolves").await;
    hall.found(dan, "Foxes").await;
    hall.bring_in(ann, "Wolves", bob, "Bob").await;
    hall.bring_in(ann, "Wolves", cid, "Cid").await;
    let _: proto::GuildJoin = hall.expect(bob, PacketType::GuildJoin).await;
    hall.guild(ann, GuildAction::Rank(named("Bob"), GuildRank::Officer));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    for player in [ann, bob, cid] {
        let _: proto::GuildRankChange = hall.expect(player, PacketType::GuildRank).await;
    }
    [ann, bob, cid, dan]
}

async fn strangers_are_refused(mut hall: Hall) {
    let [ann, ..] = two_guilds(&mut hall).await;
    let eve = hall.come("Eve").await;
    let wolves = || named("Wolves");
    for action in [
        GuildAction::Invite(named("Ann")),
        GuildAction::Leave,
        GuildAction::Kick(named("Ann")),
        GuildAction::Rank(named("Ann"), GuildRank::Member),
        GuildAction::Disband,
        GuildAction::Info(None),
        GuildAction::DeclareWar(wolves()),
        GuildAction::EndWar(wolves()),
    ] {
        refused(&mut hall, eve, action, ErrorCode::ErrorNotInGuild).await;
    }
    let create = GuildAction::Create(named("WOLVES"));
    refused(&mut hall, eve, create, ErrorCode::ErrorNameTaken).await;
    refused(&mut hall, eve, GuildAction::Join(wolves()), ErrorCode::ErrorNotInvited).await;
    let bears = || named("Bears");
    refused(&mut hall, eve, GuildAction::Join(bears()), ErrorCode::ErrorNoSuchGuild).await;
    refused(&mut hall, eve, GuildAction::Info(Some(bears())), ErrorCode::ErrorNoSuchGuild).await;
    let create = GuildAction::Create(named("Server_1"));
    refused(&mut hall, eve, create, ErrorCode::ErrorInvalidName).await;
    hall.room(eve, RoomAction::Create(named("System")));
    hall.expect_error(eve, ErrorCode::ErrorInvalidName).await;
    let create = GuildAction::Create(bears());
    refused(&mut hall, ann, create, ErrorCode::ErrorAlreadyInGuild).await;
}

async fn members_are_refused_what_officers_may(mut hall: Hall) {
    let [_, _, cid, _] = two_guilds(&mut hall).await;
    hall.come("Eve").await;
    for action in [
        GuildAction::Invite(named("Eve")),
        GuildAction::Kick(named("Bob")),
        GuildAction::Rank(named("Cid"), GuildRank::Leader),
        GuildAction::Disband,
        GuildAction::DeclareWar(named("Foxes")),
        GuildAction::EndWar(named("Foxes")),
    ] {
        refused(&mut hall, cid, action, ErrorCode::ErrorNoPermission).await;
    }
    let join = GuildAction::Join(named("Foxes"));
    refused(&mut hall, cid, join, ErrorCode::ErrorAlreadyInGuild).await;
}

async fn officers_are_refused_what_leaders_may(mut hall: Hall) {
    let [_, bob, ..] = two_guilds(&mut hall).await;
    for action in [
        GuildAction::Kick(named("Ann")),
        GuildAction::Rank(named("Cid"), GuildRank::Officer),
        GuildAction::Disband,
        GuildAction::DeclareWar(named("Foxes")),
    ] {
        refused(&mut hall, bob, action, ErrorCode::ErrorNoPermission).await;
    }
    let invite = |name| GuildAction::Invite(named(name));
    refused(&mut hall, bob, invite("Dan"), ErrorCode::ErrorAlreadyInGuild).await;
    refused(&mut hall, bob, invite("Zoe"), ErrorCode::ErrorNoSuchPlayer).await;
    hall.guild(bob, GuildAction::Kick(named("Cid")));
    let _: proto::GuildResponse = hall.expect(bob, PacketType::GuildResponse).await;
}

async fn leaders_are_refused_what_makes_no_sense(mut hall: Hall) {
    let [ann, _, _, dan] = two_guilds(&mut hall).await;
    let own = |rank| GuildAction::Rank(named("Ann"), rank);
    let cases = [
        (GuildAction::Leave, ErrorCode::ErrorNoPermission),
        (GuildAction::Kick(named("Ann")), ErrorCode::ErrorInvalidArgument),
        (own(GuildRank::Member), ErrorCode::ErrorInvalidArgument),
        (own(GuildRank::Leader), ErrorCode::ErrorInvalidArgument),
        (GuildAction::Kick(named("Dan")), ErrorCode::ErrorNoSuchPlayer),
        (GuildAction::Rank(named("Dan"), GuildRank::Member), ErrorCode::ErrorNoSuchPlayer),
        (GuildAction::DeclareWar(named("Bears")), ErrorCode::ErrorNoSuchGuild),
        (GuildAction::DeclareWar(named("Wolves")), ErrorCode::ErrorInvalidArgument),
        (GuildAction::EndWar(named("Foxes")), ErrorCode::ErrorNotAtWar),
    ];
    for (action, code) in cases {
        refused(&mut hall, ann, action, code).await;
    }
    hall.guild(ann, GuildAction::DeclareWar(named("Foxes")));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    let _: proto::GuildWarNotice = hall.expect(ann, PacketType::GuildWarNotice).await;
    let _: proto::GuildWarNotice = hall.expect(dan, PacketType::GuildWarNotice).await;
    let again = GuildAction::DeclareWar(named("Foxes"));
    refused(&mut hall, ann, again, ErrorCode::ErrorAtWar).await;
}

async fn an_invitation_is_needed_and_used_up(mut hall: Hall) {
    let [ann, bob, ..] = two_guilds(&mut hall).await;
    let eve = hall.come("Eve").await;
    hall.bring_in(ann, "Wolves", eve, "Eve").await;
    hall.guild(eve, GuildAction::Leave);
    let _: proto::GuildResponse = hall.expect(eve, PacketType::GuildResponse).await;
    let rejoin = GuildAction::Join(named("Wolves"));
    refused(&mut hall, eve, rejoin.clone(), ErrorCode::ErrorNotInvited).await;
    let _: proto::GuildJoin = hall.expect(bob, PacketType::GuildJoin).await;
    let _: proto::GuildLeave = hall.expect(bob, PacketType::GuildLeave).await;
    hall.guild(bob, GuildAction::Invite(named("Eve")));
    let _: proto::GuildInvite = hall.expect(eve, PacketType::GuildInvite).await;
    hall.send(ChatMsg::Left { player: eve, session: session(eve) });
    hall.join(eve, "Eve").await;
    refused(&mut hall, eve, rejoin, ErrorCode::ErrorNotInvited).await;
}
