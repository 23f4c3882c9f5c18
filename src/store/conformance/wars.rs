//! Wars between guilds: declared, agreed to, withdrawn, fought, scored, ended.

use std::time::Duration;

use super::guilds::{guild, is_conflict};
use super::{Database, on_both, operation, player};
use crate::ids::{GuildId, PlayerId};
use crate::limits::{GUILD_WARS_AGAINST_MAX, GUILD_WARS_MAX};
use crate::store::record::{DeclarationRecord, GuildBooks, TruceRecord, WarRecord};
use crate::store::{Store, StoreError};
use crate::tick;

on_both!(
    a_war_is_fought_scored_and_ended,
    a_declaration_becomes_a_war_once,
    a_declaration_is_withdrawn_and_a_truce_follows,
    wars_have_their_rules,
    wars_count_against_the_attacker_alone,
    kills_at_once_are_all_counted,
    a_victim_counts_once_in_a_while,
    disbanding_ends_the_wars,
);

/// Every kill counts.
const ALWAYS: Duration = Duration::ZERO;

struct Front {
    wolves: GuildId,
    foxes: GuildId,
    ann: PlayerId,
    bob: PlayerId,
}

/// Ann's Wolves and Bob's Foxes, at peace.
async fn front(store: &Store) -> Front {
    let (wolves, ann) = guild(store, "Wolves", "Ann").await;
    let (foxes, bob) = guild(store, "Foxes", "Bob").await;
    Front { wolves, foxes, ann, bob }
}

async fn wars(store: &Store) -> Vec<WarRecord> {
    store.guilds().await.unwrap().wars
}

async fn a_war_is_fought_scored_and_ended(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, ann, bob } = front(&store).await;
    let record = |first_kills, second_kills| WarRecord {
        first: wolves,
        second: foxes,
        attacker: foxes,
        first_kills,
        second_kills,
        started_at: 1_000,
    };
    let start = operation();
    // The attacker has the larger id: the record still names the smaller one first.
    let war = store.start_war(start, foxes, wolves, 1_000).await.unwrap();
    assert_eq!(war, record(0, 0));
    assert_eq!(store.start_war(start, foxes, wolves, 2_000).await.unwrap(), war);
    let (kill, ours, theirs) = (operation(), (ann, wolves), (bob, foxes));
    assert_eq!(store.score_war(kill, foxes, ours, 1, ALWAYS).await.unwrap(), record(0, 1));
    let second = store.score_war(operation(), wolves, theirs, 1, ALWAYS).await;
    assert_eq!(second.unwrap(), record(1, 1));
    let retry = store.score_war(kill, foxes, ours, 1, ALWAYS).await;
    assert_eq!(retry.unwrap(), record(0, 1), "a retry");
    assert_eq!(wars(&store).await, [record(1, 1)]);
    let end = operation();
    assert_eq!(store.end_war(end, wolves, foxes, 3_000, 3_500).await.unwrap(), record(1, 1));
    assert_eq!(store.end_war(end, wolves, foxes, 3_000, 3_500).await.unwrap(), record(1, 1));
    assert_eq!(wars(&store).await, []);
    assert!(is_conflict(store.start_war(operation(), foxes, wolves, 3_499).await), "a truce");
    let again = store.start_war(operation(), wolves, foxes, 3_500).await.unwrap();
    assert_eq!((again.first_kills, again.second_kills, again.started_at), (0, 0, 3_500));
    assert_eq!(again.attacker, wolves);
}

async fn a_declaration_becomes_a_war_once(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, .. } = front(&store).await;
    let (declare, begin) = (operation(), operation());
    let declared = DeclarationRecord {
        attacker: foxes,
        defender: wolves,
        declared_at: 1_000,
        begins_at: 601_000,
    };
    for _ in 0..2 {
        let answer = store.declare_war(declare, foxes, wolves, 1_000, 601_000).await;
        assert_eq!(answer.unwrap(), declared);
    }
    let known = store.guilds().await.unwrap();
    assert_eq!((known.declarations, known.wars), (vec![declared], vec![]));
    for (attacker, defender) in [(foxes, wolves), (wolves, foxes)] {
        let again = store.declare_war(operation(), attacker, defender, 2_000, 9_000).await;
        assert!(is_conflict(again), "one is enough");
        assert!(is_conflict(store.start_war(operation(), attacker, defender, 2_000).await));
    }
    // It outlives the process that took it.
    drop(store);
    let store = database.open().await;
    assert_eq!(store.guilds().await.unwrap().declarations, [declared]);
    for _ in 0..2 {
        let war = store.begin_war(begin, wolves, foxes, 5_000).await.unwrap();
        assert_eq!((war.attacker, war.started_at), (foxes, 5_000), "whoever has agreed");
    }
    assert!(is_conflict(store.begin_war(operation(), wolves, foxes, 6_000).await));
    let known = store.guilds().await.unwrap();
    assert_eq!((known.declarations.len(), known.wars.len()), (0, 1));
}

async fn a_declaration_is_withdrawn_and_a_truce_follows(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, .. } = front(&store).await;
    let now = tick::unix_millis();
    let (withdraw, later) = (operation(), now + 3_600_000);
    assert!(is_conflict(store.withdraw_war(operation(), wolves, foxes, later).await));
    store.declare_war(operation(), foxes, wolves, now, now + 9_000).await.unwrap();
    for _ in 0..2 {
        store.withdraw_war(withdraw, wolves, foxes, later).await.unwrap();
    }
    let known = store.guilds().await.unwrap();
    let truce = TruceRecord { first: wolves, second: foxes, until: later };
    assert_eq!((known.declarations, known.truces), (vec![], vec![truce]));
    assert!(is_conflict(store.begin_war(operation(), wolves, foxes, now).await));
    for (attacker, defender) in [(foxes, wolves), (wolves, foxes)] {
        let early = store.declare_war(operation(), attacker, defender, later - 1, later).await;
        assert!(is_conflict(early), "a truce");
    }
    store.declare_war(operation(), wolves, foxes, later, later + 1).await.unwrap();
}

async fn wars_have_their_rules(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, bob, .. } = front(&store).await;
    assert!(is_conflict(store.start_war(operation(), wolves, wolves, 0).await));
    assert!(is_conflict(store.declare_war(operation(), wolves, wolves, 0, 1).await));
    let nobody = store.start_war(operation(), wolves, GuildId(404), 0).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
    let nobody = store.declare_war(operation(), wolves, GuildId(404), 0, 1).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
    let kill = store.score_war(operation(), wolves, (bob, foxes), 0, ALWAYS).await;
    assert!(is_conflict(kill));
    assert!(is_conflict(store.end_war(operation(), wolves, foxes, 0, 0).await));
    assert_eq!(store.guilds().await.unwrap().truces, [], "what failed has left nothing");
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    assert!(is_conflict(store.start_war(operation(), foxes, wolves, 0).await));
    assert!(is_conflict(store.declare_war(operation(), foxes, wolves, 0, 1).await));
}

async fn wars_count_against_the_attacker_alone(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, .. } = front(&store).await;
    // Small guilds declare war on the wolves, who can still declare as many as anybody.
    let mut others = Vec::new();
    for number in 0..GUILD_WARS_AGAINST_MAX {
        let (other, _) =
            guild(&store, &format!("Guild_{number}"), &format!("Leader_{number}")).await;
        store.declare_war(operation(), other, wolves, 0, 1).await.unwrap();
        others.push(other);
    }
    assert!(is_conflict(store.declare_war(operation(), foxes, wolves, 0, 1).await), "enough");
    store.begin_war(operation(), others[0], wolves, 1).await.unwrap();
    for other in &others[1..GUILD_WARS_MAX] {
        store.declare_war(operation(), foxes, *other, 0, 1).await.unwrap();
    }
    store.start_war(operation(), foxes, others[0], 0).await.unwrap();
    let ninth = store.declare_war(operation(), foxes, others[20], 0, 1).await;
    assert!(is_conflict(ninth), "the attacker has its eight");
    store.declare_war(operation(), wolves, foxes, 0, 1).await.unwrap();
}

async fn kills_at_once_are_all_counted(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, ann, bob } = front(&store).await;
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    let mut kills = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        let (killer, victim) =
            if number % 5 == 0 { (foxes, (ann, wolves)) } else { (wolves, (bob, foxes)) };
        kills.spawn(async move { store.score_war(operation(), killer, victim, 1, ALWAYS).await });
    }
    for outcome in kills.join_all().await {
        outcome.unwrap();
    }
    let war = &wars(&store).await[0];
    assert_eq!((war.first_kills, war.second_kills), (40, 10));
}

async fn a_victim_counts_once_in_a_while(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, ann, bob } = front(&store).await;
    let cid = player(&store, "Cid").await;
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    let minutes = Duration::from_secs(300);
    let kill = async |killer, victim, now| {
        let war = store.score_war(operation(), killer, victim, now, minutes).await.unwrap();
        (war.first_kills, war.second_kills)
    };
    assert_eq!(kill(wolves, (bob, foxes), 1_000_000).await, (1, 0));
    assert_eq!(kill(wolves, (bob, foxes), 1_299_999).await, (1, 0), "again, too soon");
    assert_eq!(kill(wolves, (cid, foxes), 1_299_999).await, (2, 0), "another one");
    assert_eq!(kill(foxes, (ann, wolves), 1_299_999).await, (2, 1), "the other way");
    assert_eq!(kill(wolves, (bob, foxes), 1_300_000).await, (3, 1), "the time is over");
    assert_eq!(kill(wolves, (bob, foxes), 1_500_000).await, (3, 1), "counted from the last one");
}

async fn disbanding_ends_the_wars(database: Database) {
    let store = database.open().await;
    let Front { wolves, foxes, bob, .. } = front(&store).await;
    let (bears, _) = guild(&store, "Bears", "Cid").await;
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    store.declare_war(operation(), bears, foxes, 0, 1).await.unwrap();
    store.disband_guild(operation(), foxes).await.unwrap();
    let GuildBooks { wars, declarations, .. } = store.guilds().await.unwrap();
    assert_eq!((wars, declarations), (vec![], vec![]));
    let kill = store.score_war(operation(), wolves, (bob, foxes), 0, ALWAYS).await;
    assert!(is_conflict(kill));
    let gone = store.start_war(operation(), wolves, foxes, 0).await;
    assert_eq!(gone, Err(StoreError::NotFound));
}
