//! Wars: declared, scored once for each kill, ended, kept.

use super::*;

both_ways!(
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

/// Ann's Wolves are at war with Dan's Foxes; everybody has heard.
async fn at_war(hall: &mut Hall) -> Front {
    let (ann, dan) = (hall.come("Ann").await, hall.come("Dan").await);
    let wolves = hall.found(ann, "Wolves").await;
    let foxes = hall.found(dan, "Foxes").await;
    hall.guild(ann, GuildAction::DeclareWar(named("foxes")));
    let _: proto::GuildResponse = hall.expect(ann, PacketType::GuildResponse).await;
    for (player, us, enemy) in [(ann, "Wolves", "Foxes"), (dan, "Foxes", "Wolves")] {
        let start: proto::GuildWarStart = hall.expect(player, PacketType::GuildWarStart).await;
        assert_eq!((start.guild.as_str(), start.enemy.as_str()), (us, enemy));
    }
    assert_eq!(hall.wars_in_zone().await, [(wolves, foxes)]);
    Front { ann, dan, wolves, foxes }
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
    let (_, wars) = hall.store.guilds().await.unwrap();
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
