//! Wars: declared and agreed to or begun after their notice, scored once for each kill, ended, kept.

use super::*;

both_ways!(
    a_war_is_declared_with_a_notice,
    a_war_begins_when_its_notice_is_over,
    a_notice_outlives_a_restart,
    a_declaration_is_withdrawn_or_declined,
    after_a_war_there_is_a_truce,
    a_declaration_ends_with_one_of_its_guilds,
    small_guilds_declare_no_war_where_the_rules_say_so,
    a_victim_counts_once_in_a_while,
    a_war_is_declared_scored_and_ended,
    a_kill_counts_once_however_often_it_is_told,
    a_war_goes_on_after_a_restart,
    a_war_ends_with_one_of_its_guilds,
    kills_without_a_war_count_for_nothing,
);

fn kill(number: u64) -> OperationId {
    OperationId::new(99, number)
}

struct Front {
    ann: PlayerId,
    dan: PlayerId,
    wolves: GuildId,
    foxes: GuildId,
}

/// Ann's Wolves and Dan's Foxes, at peace.
async fn at_peace(hall: &mut Hall) -> Front {
    let (ann, dan) = (hall.come("Ann").await, hall.come("Dan").await);
    let wolves = hall.found(ann, "Wolves").await;
    let foxes = hall.found(dan, "Foxes").await;
    Front { ann, dan, wolves, foxes }
}

/// Ann's Wolves have declared war on Dan's Foxes; everybody has heard.
async fn declared(hall: &mut Hall) -> Front {
    let front = at_peace(hall).await;
    granted(hall, front.ann, GuildAction::DeclareWar(named("foxes"))).await;
    for (player, us, by_us) in [(front.ann, "Wolves", true), (front.dan, "Foxes", false)] {
        let notice = noticed(hall, player).await;
        assert_eq!((notice.guild.as_str(), notice.by_us), (us, by_us));
    }
    front
}

/// Ann's Wolves are at war with Dan's Foxes, who want it too; everybody has heard.
async fn at_war(hall: &mut Hall) -> Front {
    let front = declared(hall).await;
    granted(hall, front.dan, GuildAction::DeclareWar(named("Wolves"))).await;
    war_begins(hall, &front).await;
    front
}

async fn war_begins(hall: &mut Hall, front: &Front) {
    for (player, us, enemy) in [(front.ann, "Wolves", "Foxes"), (front.dan, "Foxes", "Wolves")] {
        let start: proto::GuildWarStart = hall.expect(player, PacketType::GuildWarStart).await;
        assert_eq!((start.guild.as_str(), start.enemy.as_str()), (us, enemy));
    }
    assert_eq!(hall.wars_in_zone().await, [(front.wolves, front.foxes)]);
}

async fn granted(hall: &mut Hall, player: PlayerId, action: GuildAction) {
    hall.guild(player, action);
    let _: proto::GuildResponse = hall.expect(player, PacketType::GuildResponse).await;
}

async fn noticed(hall: &mut Hall, player: PlayerId) -> proto::GuildWarNotice {
    hall.expect(player, PacketType::GuildWarNotice).await
}

async fn refused(hall: &mut Hall, player: PlayerId, action: GuildAction, code: ErrorCode) -> u32 {
    hall.guild(player, action);
    let request = hall.request;
    let error: proto::Error = hall.expect(player, PacketType::Error).await;
    assert_eq!((error.code(), error.in_reply_to), (code, request), "{}", error.message);
    error.retry_after_ms
}

/// The world anew, under other settings.
async fn under(hall: &mut Hall, change: impl FnOnce(&mut ChatConfig)) {
    change(&mut hall.config);
    hall.restart().await;
}

async fn a_war_is_declared_with_a_notice(mut hall: Hall) {
    let front = declared(&mut hall).await;
    let (wolves, foxes) = (|| named("Wolves"), || named("Foxes"));
    let again = GuildAction::DeclareWar(foxes());
    let wait = refused(&mut hall, front.ann, again, ErrorCode::ErrorAtWar).await;
    assert!((1..=600_000).contains(&wait), "{wait}");
    hall.guild(front.dan, GuildAction::Info(None));
    let info: proto::GuildInfo = hall.expect(front.dan, PacketType::GuildInfo).await;
    let [war] = &info.wars[..] else { panic!("{info:?}") };
    assert_eq!((war.enemy.as_str(), war.by_us), ("Wolves", false));
    assert!((1..=600_000).contains(&war.begins_in_ms), "{war:?}");
    // A kill before the war is none of it; the first wars that the zone hears of are those that
    // begin when the other side agrees.
    front.ann_kills(&hall, kill(1));
    granted(&mut hall, front.dan, GuildAction::DeclareWar(wolves())).await;
    war_begins(&mut hall, &front).await;
    front.ann_kills(&hall, kill(2));
    assert_eq!(score(&mut hall, front.ann).await, (1, 0));
    assert_eq!(score(&mut hall, front.dan).await, (0, 1));
    let again = GuildAction::DeclareWar(wolves());
    refused(&mut hall, front.dan, again, ErrorCode::ErrorAtWar).await;
}

async fn a_war_begins_when_its_notice_is_over(mut hall: Hall) {
    under(&mut hall, |config| config.war_notice_seconds = 1).await;
    let front = declared(&mut hall).await;
    war_begins(&mut hall, &front).await;
    // Without a notice it begins at once.
    under(&mut hall, |config| config.war_notice_seconds = 0).await;
    let (eve, bears) = (hall.come("Eve").await, "Bears");
    hall.found(eve, bears).await;
    granted(&mut hall, eve, GuildAction::DeclareWar(named("Foxes"))).await;
    let start: proto::GuildWarStart = hall.expect(eve, PacketType::GuildWarStart).await;
    assert_eq!(start.enemy, "Foxes");
}

async fn a_notice_outlives_a_restart(mut hall: Hall) {
    let front = declared(&mut hall).await;
    assert_eq!(hall.restart().await, [], "it has not begun");
    hall.join(front.ann, "Ann").await;
    let notice = noticed(&mut hall, front.ann).await;
    assert!(notice.by_us && (1..=600_000).contains(&notice.begins_in_ms), "{notice:?}");
    hall.join(front.dan, "Dan").await;
    assert_eq!(noticed(&mut hall, front.dan).await.enemy, "Wolves");
    granted(&mut hall, front.dan, GuildAction::DeclareWar(named("Wolves"))).await;
    war_begins(&mut hall, &front).await;
    granted(&mut hall, front.dan, GuildAction::EndWar(named("Wolves"))).await;
    for player in [front.ann, front.dan] {
        let _: proto::GuildWarEnd = hall.expect(player, PacketType::GuildWarEnd).await;
    }
    hall.restart().await;
    hall.join(front.ann, "Ann").await;
    let early = GuildAction::DeclareWar(named("Foxes"));
    refused(&mut hall, front.ann, early, ErrorCode::ErrorCooldown).await;
}

async fn a_declaration_is_withdrawn_or_declined(mut hall: Hall) {
    under(&mut hall, |config| config.war_truce_seconds = 0).await;
    let front = declared(&mut hall).await;
    for (player, enemy) in [(front.dan, "Wolves"), (front.ann, "Foxes")] {
        granted(&mut hall, player, GuildAction::EndWar(named(enemy))).await;
        for (side, enemy) in [(front.ann, "Foxes"), (front.dan, "Wolves")] {
            let end: proto::GuildWarEnd = hall.expect(side, PacketType::GuildWarEnd).await;
            assert_eq!((end.enemy.as_str(), end.our_kills, end.their_kills), (enemy, 0, 0));
        }
        let again = GuildAction::EndWar(named(enemy));
        refused(&mut hall, player, again, ErrorCode::ErrorNotAtWar).await;
        granted(&mut hall, front.ann, GuildAction::DeclareWar(named("Foxes"))).await;
        noticed(&mut hall, front.ann).await;
        noticed(&mut hall, front.dan).await;
    }
}

async fn after_a_war_there_is_a_truce(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    granted(&mut hall, front.ann, GuildAction::EndWar(named("Foxes"))).await;
    for player in [front.ann, front.dan] {
        let _: proto::GuildWarEnd = hall.expect(player, PacketType::GuildWarEnd).await;
    }
    for (player, enemy) in [(front.ann, "Foxes"), (front.dan, "Wolves")] {
        let early = GuildAction::DeclareWar(named(enemy));
        let wait = refused(&mut hall, player, early, ErrorCode::ErrorCooldown).await;
        assert!((1..=3_600_000).contains(&wait), "{wait}");
    }
}

async fn a_declaration_ends_with_one_of_its_guilds(mut hall: Hall) {
    let front = declared(&mut hall).await;
    hall.guild(front.ann, GuildAction::Disband);
    let end: proto::GuildWarEnd = hall.expect(front.dan, PacketType::GuildWarEnd).await;
    assert_eq!((end.enemy.as_str(), end.our_kills, end.their_kills), ("Wolves", 0, 0));
    hall.guild(front.dan, GuildAction::Info(None));
    let info: proto::GuildInfo = hall.expect(front.dan, PacketType::GuildInfo).await;
    assert_eq!(info.wars, []);
}

async fn small_guilds_declare_no_war_where_the_rules_say_so(mut hall: Hall) {
    under(&mut hall, |config| config.war_members_min = 2).await;
    let front = at_peace(&mut hall).await;
    let small = GuildAction::DeclareWar(named("Foxes"));
    refused(&mut hall, front.ann, small, ErrorCode::ErrorNotAllowed).await;
    let bob = hall.come("Bob").await;
    hall.bring_in(front.ann, "Wolves", bob, "Bob").await;
    granted(&mut hall, front.ann, GuildAction::DeclareWar(named("Foxes"))).await;
    noticed(&mut hall, bob).await;
}

async fn a_victim_counts_once_in_a_while(mut hall: Hall) {
    under(&mut hall, |config| config.war_victim_seconds = 3_600).await;
    let front = at_war(&mut hall).await;
    let dora = hall.come("Dora").await;
    hall.bring_in(front.dan, "Foxes", dora, "Dora").await;
    front.ann_kills(&hall, kill(1));
    assert_eq!(score(&mut hall, front.ann).await, (1, 0));
    front.ann_kills(&hall, kill(2));
    let (killer, victim) = ((front.ann, front.wolves), (dora, front.foxes));
    hall.send(ChatMsg::WarKill { id: kill(3), killer, victim });
    let told: proto::GuildWarScore = hall.expect(front.ann, PacketType::GuildWarScore).await;
    assert_eq!((told.our_kills, told.victim.as_str()), (2, "Dora"), "Dan does not count again");
}

impl Front {
    /// Ann kills Dan.
    fn ann_kills(&self, hall: &Hall, id: OperationId) {
        let (killer, victim) = ((self.ann, self.wolves), (self.dan, self.foxes));
        hall.send(ChatMsg::WarKill { id, killer, victim });
    }
}

async fn score(hall: &mut Hall, player: PlayerId) -> (u32, u32) {
    let score: proto::GuildWarScore = hall.expect(player, PacketType::GuildWarScore).await;
    assert_eq!((score.killer.as_str(), score.victim.as_str()), ("Ann", "Dan"));
    (score.our_kills, score.their_kills)
}

async fn a_war_is_declared_scored_and_ended(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    front.ann_kills(&hall, kill(1));
    assert_eq!(score(&mut hall, front.ann).await, (1, 0));
    assert_eq!(score(&mut hall, front.dan).await, (0, 1));
    hall.guild(front.dan, GuildAction::Info(Some(named("Wolves"))));
    let info: proto::GuildInfo = hall.expect(front.dan, PacketType::GuildInfo).await;
    let wars: Vec<_> = info.wars.iter().map(|it| (it.enemy.as_str(), it.our_kills)).collect();
    assert_eq!(wars, [("Foxes", 1)]);
    hall.guild(front.dan, GuildAction::EndWar(named("Wolves")));
    let _: proto::GuildResponse = hall.expect(front.dan, PacketType::GuildResponse).await;
    for (player, kills) in [(front.ann, (1, 0)), (front.dan, (0, 1))] {
        let end: proto::GuildWarEnd = hall.expect(player, PacketType::GuildWarEnd).await;
        assert_eq!((end.our_kills, end.their_kills), kills);
    }
    assert_eq!(hall.wars_in_zone().await, []);
}

async fn a_kill_counts_once_however_often_it_is_told(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    for id in [1, 1, 2, 1, 2] {
        front.ann_kills(&hall, kill(id));
    }
    assert_eq!(score(&mut hall, front.ann).await, (1, 0));
    assert_eq!(score(&mut hall, front.ann).await, (2, 0));
    front.ann_kills(&hall, kill(3));
    assert_eq!(score(&mut hall, front.ann).await, (3, 0), "nothing came of the repeated ones");
    let wars = hall.store.guilds().await.unwrap().wars;
    assert_eq!((wars[0].first_kills, wars[0].second_kills), (3, 0));
}

async fn a_war_goes_on_after_a_restart(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    front.ann_kills(&hall, kill(1));
    score(&mut hall, front.ann).await;
    assert_eq!(hall.restart().await, [(front.wolves, front.foxes)]);
    hall.join(front.ann, "Ann").await;
    front.ann_kills(&hall, kill(1));
    front.ann_kills(&hall, kill(2));
    assert_eq!(score(&mut hall, front.ann).await, (2, 0));
}

async fn a_war_ends_with_one_of_its_guilds(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    front.ann_kills(&hall, kill(1));
    score(&mut hall, front.dan).await;
    hall.guild(front.ann, GuildAction::Disband);
    let end: proto::GuildWarEnd = hall.expect(front.dan, PacketType::GuildWarEnd).await;
    assert_eq!((end.enemy.as_str(), end.our_kills, end.their_kills), ("Wolves", 0, 1));
    assert_eq!(hall.wars_in_zone().await, []);
}

async fn kills_without_a_war_count_for_nothing(mut hall: Hall) {
    let front = at_war(&mut hall).await;
    let (killer, victim) = ((front.ann, GuildId(500)), (front.dan, front.foxes));
    hall.send(ChatMsg::WarKill { id: kill(1), killer, victim });
    hall.guild(front.ann, GuildAction::EndWar(named("Foxes")));
    let _: proto::GuildResponse = hall.expect(front.ann, PacketType::GuildResponse).await;
    let _: proto::GuildWarEnd = hall.expect(front.ann, PacketType::GuildWarEnd).await;
    front.ann_kills(&hall, kill(2));
    hall.expect_nothing(front.ann).await;
}
