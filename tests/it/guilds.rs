//! Guilds from founding to end, and wars whose kills count even after a restart.

use throng::client::Event;
use throng::ids::EntityId;
use throng::proto::{self, ErrorCode, GuildRank};

use crate::player::{Player, refusal};
use crate::scenarios;
use crate::server::{Server, Topology, UNHURRIED};

scenarios![a_guild_from_founding_to_its_end, a_war_is_scored_and_outlives_a_restart];

/// Guild requests by name.
impl Player {
    async fn found(&mut self, name: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildCreateRequest { name: name.into() }).await
    }

    async fn invite(&mut self, player: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildInvite { player: player.into(), guild: String::new() }).await
    }

    async fn join(&mut self, guild: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildJoin { guild: guild.into(), player: String::new() }).await
    }

    async fn cast_out(&mut self, player: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildKick { player: player.into(), guild: String::new() }).await
    }

    async fn rank(
        &mut self,
        player: &str,
        rank: GuildRank,
    ) -> Result<proto::GuildResponse, ErrorCode> {
        let (player, guild) = (player.into(), String::new());
        self.grant(&proto::GuildRankChange { player, rank: rank as i32, guild }).await
    }

    async fn war(&mut self, enemy: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildWarStart { enemy: enemy.into(), guild: String::new() }).await
    }

    async fn peace(&mut self, enemy: &str) -> Result<proto::GuildResponse, ErrorCode> {
        self.grant(&proto::GuildWarEnd { enemy: enemy.into(), ..Default::default() }).await
    }

    async fn grant<M: throng::client::ClientMessage>(
        &mut self,
        message: &M,
    ) -> Result<proto::GuildResponse, ErrorCode> {
        self.guild(message).await.map_err(|error| refusal::<()>(Err(error)))
    }

    /// Waits until somebody in view bears this guild's name.
    async fn sees_guild(&mut self, id: EntityId, guild: &str) {
        self.until_view(&format!("{id} of '{guild}'"), |client| {
            client.view().get(id).is_some_and(|seen| seen.about.guild == guild)
        })
        .await;
    }
}

async fn a_guild_from_founding_to_its_end(topology: Topology) {
    let server = Server::start_with(topology, UNHURRIED);
    let mut ann = Player::new(&server, "Ann").await;
    let mut bob = Player::new(&server, "Bob").await;
    let mut cid = Player::new(&server, "Cid").await;
    let (leader, officer) = (ann.id, bob.id);
    assert_eq!(ann.invite("Bob").await, Err(ErrorCode::ErrorNotInGuild));
    let founded = ann.found("Pack").await.unwrap();
    assert_eq!(founded.name, "Pack");
    cid.sees_guild(leader, "Pack").await;
    assert_eq!(cid.found("PACK").await.map(|_| ()), Err(ErrorCode::ErrorNameTaken));
    assert_eq!(ann.found("Herd").await.map(|_| ()), Err(ErrorCode::ErrorAlreadyInGuild));
    assert_eq!(bob.join("Pack").await.map(|_| ()), Err(ErrorCode::ErrorNotInvited));
    assert_eq!(bob.join("Nothing").await.map(|_| ()), Err(ErrorCode::ErrorNoSuchGuild));
    assert_eq!(ann.invite("Nobody").await.map(|_| ()), Err(ErrorCode::ErrorNoSuchPlayer));

    ann.invite("bob").await.unwrap();
    let invited = bob.until("an invitation", |event| match event {
        Event::GuildInvited(invited) => Some((invited.guild.clone(), invited.player.clone())),
        _ => None,
    });
    assert_eq!(invited.await, ("Pack".into(), "Ann".into()));
    bob.join("Pack").await.unwrap();
    ann.until("Bob's coming", |event| match event {
        Event::GuildJoined(join) if join.player == "Bob" => Some(()),
        _ => None,
    })
    .await;
    cid.sees_guild(officer, "Pack").await;
    assert_eq!(bob.invite("Cid").await.map(|_| ()), Err(ErrorCode::ErrorNoPermission));
    assert_eq!(bob.cast_out("Ann").await.map(|_| ()), Err(ErrorCode::ErrorNoPermission));
    ann.rank("Bob", GuildRank::Officer).await.unwrap();
    bob.until("a rank", |event| match event {
        Event::GuildRank(change) if change.rank() == GuildRank::Officer => Some(()),
        _ => None,
    })
    .await;
    bob.invite("Cid").await.unwrap();
    cid.join("Pack").await.unwrap();
    bob.cast_out("Cid").await.unwrap();
    cid.until("being cast out", |event| matches!(event, Event::GuildKicked(_)).then_some(())).await;
    let info = ann.guild_info("").await.unwrap();
    let members: Vec<_> = info.members.iter().map(|m| (m.name.as_str(), m.rank())).collect();
    assert_eq!(members.len(), 2, "{info:?}");
    assert!(members.contains(&("Bob", GuildRank::Officer)));

    let disband = proto::GuildDisband { guild: String::new() };
    assert_eq!(bob.grant(&disband).await.map(|_| ()), Err(ErrorCode::ErrorNoPermission));
    ann.rank("Bob", GuildRank::Leader).await.unwrap();
    assert_eq!(ann.grant(&disband).await.map(|_| ()), Err(ErrorCode::ErrorNoPermission));
    ann.grant(&proto::GuildLeave::default()).await.unwrap();
    bob.until("Ann's going", |event| match event {
        Event::GuildLeft(left) if left.player == "Ann" => Some(()),
        _ => None,
    })
    .await;
    cid.sees_guild(leader, "").await;
    bob.grant(&disband).await.unwrap();
    assert_eq!(refusal(ann.guild_info("Pack").await), ErrorCode::ErrorNoSuchGuild);
    cid.sees_guild(officer, "").await;
}

async fn a_war_is_scored_and_outlives_a_restart(topology: Topology) {
    let settings = [UNHURRIED, &[("chat.war_victim_seconds", "0")]].concat();
    let mut server = Server::start_with(topology, &settings);
    let mut ann = Player::new(&server, "Ann").await;
    let mut mate = Player::new(&server, "Mate").await;
    let mut foe = Player::new(&server, "Foe").await;
    ann.found("Pack").await.unwrap();
    foe.found("Herd").await.unwrap();
    ann.invite("Mate").await.unwrap();
    mate.join("Pack").await.unwrap();
    assert_eq!(refusal(ann.attack(foe.id).await), ErrorCode::ErrorNotAllowed);
    assert_eq!(mate.war("Herd").await.map(|_| ()), Err(ErrorCode::ErrorNoPermission));
    assert!(ann.war("Pack").await.is_err(), "not against oneself");
    ann.war("Herd").await.unwrap();
    assert_eq!(ann.war("Herd").await.map(|_| ()), Err(ErrorCode::ErrorAtWar));
    for (player, by_us) in [(&mut ann, true), (&mut mate, true), (&mut foe, false)] {
        let notice = player.until("the notice", |event| match event {
            Event::WarNotice(notice) => Some((notice.by_us, notice.begins_in_ms > 0)),
            _ => None,
        });
        assert_eq!(notice.await, (by_us, true));
    }
    assert_eq!(refusal(ann.attack(foe.id).await), ErrorCode::ErrorNotAllowed, "not yet");
    foe.war("Pack").await.unwrap();
    for player in [&mut mate, &mut foe] {
        player.until("the war", |event| matches!(event, Event::WarStarted(_)).then_some(())).await;
    }
    mate.sees_guild(ann.id, "Pack").await;
    assert_eq!(refusal(ann.attack(mate.id).await), ErrorCode::ErrorNotAllowed);
    ann.sees_guild(foe.id, "Herd").await;
    ann.kill(foe.id).await;
    assert_eq!(score(&mut ann).await, (1, 0, "Ann".into(), "Foe".into()));
    assert_eq!(score(&mut mate).await, (1, 0, "Ann".into(), "Foe".into()));
    assert_eq!(score(&mut foe).await, (0, 1, "Ann".into(), "Foe".into()));

    assert!(server.stop().await.success());
    server.start_again();
    let mut ann = Player::again(&server, "Ann").await;
    let mut foe = Player::again(&server, "Foe").await;
    ann.sees_guild(ann.id, "Pack").await;
    let info = ann.guild_info("").await.unwrap();
    assert_eq!((info.members.len(), info.wars.len()), (2, 1));
    assert_eq!((info.wars[0].our_kills, info.wars[0].their_kills), (1, 0));
    ann.sees_guild(foe.id, "Herd").await;
    foe.until_view("life again", |c| c.view().me().is_some_and(|me| me.health > 0)).await;
    ann.kill(foe.id).await;
    assert_eq!(score(&mut ann).await.0, 2);
    foe.peace("Pack").await.map(|_| ()).unwrap_or_else(|code| panic!("{code:?}"));
    let ended = ann
        .until("peace", |event| match event {
            Event::WarEnded(end) => Some((end.our_kills, end.their_kills)),
            _ => None,
        })
        .await;
    assert_eq!(ended, (2, 0));
    assert_eq!(ann.peace("Herd").await.map(|_| ()), Err(ErrorCode::ErrorNotAtWar));
    assert_eq!(ann.war("Herd").await.map(|_| ()), Err(ErrorCode::ErrorCooldown), "a truce");
    foe.until_view("life again", |c| c.view().me().is_some_and(|me| me.health > 0)).await;
    let (them, here) = (foe.id, foe.place());
    ann.sees_at(them, here.x, here.y).await;
    let peace = refusal(ann.attack(them).await);
    assert!(matches!(peace, ErrorCode::ErrorNotAllowed | ErrorCode::ErrorTargetDead), "{peace:?}");
}

/// The next score: ours, theirs, killer, victim.
async fn score(player: &mut Player) -> (u32, u32, String, String) {
    player
        .until("a score", |event| match event {
            Event::WarScore(score) => Some((
                score.our_kills,
                score.their_kills,
                score.killer.clone(),
                score.victim.clone(),
            )),
            _ => None,
        })
        .await
}
