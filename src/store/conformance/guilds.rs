//! Guilds and their wars.

use super::{Database, name, on_both, operation, player};
use crate::ids::{GuildId, GuildRank, PlayerId};
use crate::limits::{GUILD_MEMBERS_MAX, GUILD_WARS_MAX};
use crate::store::record::WarRecord;
use crate::store::{Store, StoreError};

on_both!(
    a_guild_is_made_once_and_its_name_is_its_own,
    a_player_is_in_one_guild,
    a_guild_always_has_one_leader,
    a_guild_has_only_so_many_members,
    a_disbanded_guild_leaves_its_name_and_its_members_free,
    guild_changes_are_applied_once_per_operation,
    a_war_is_fought_scored_and_ended,
    wars_have_their_rules,
    kills_at_once_are_all_counted,
    disbanding_ends_the_wars,
);

fn is_conflict<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Conflict(_)))
}

/// A guild of the one player `leader`.
async fn guild(store: &Store, text: &str, leader: &str) -> (GuildId, PlayerId) {
    let leader = player(store, leader).await;
    (store.create_guild(operation(), &name(text), leader).await.unwrap(), leader)
}

/// Members and ranks of the only guild.
async fn members(store: &Store) -> Vec<(PlayerId, GuildRank)> {
    let (guilds, _) = store.guilds().await.unwrap();
    guilds[0].members.iter().map(|(player, _, rank)| (*player, *rank)).collect()
}

async fn a_guild_is_made_once_and_its_name_is_its_own(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (player(&store, "Ann").await, player(&store, "Bob").await);
    let first = operation();
    let wolves = store.create_guild(first, &name("Wolves"), ann).await.unwrap();
    assert_eq!(store.create_guild(first, &name("Wolves"), ann).await, Ok(wolves));
    let taken = store.create_guild(operation(), &name("WOLVES"), bob).await;
    assert_eq!(taken, Err(StoreError::NameTaken));
    assert!(is_conflict(store.create_guild(operation(), &name("Foxes"), ann).await));
    let nobody = store.create_guild(operation(), &name("Foxes"), PlayerId(404)).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
    let (guilds, wars) = store.guilds().await.unwrap();
    assert_eq!((guilds.len(), wars.len()), (1, 0));
    assert_eq!((guilds[0].id, guilds[0].name.as_str()), (wolves, "Wolves"));
    assert_eq!(guilds[0].members, [(ann, name("Ann"), GuildRank::Leader)]);
}

async fn a_player_is_in_one_guild(database: Database) {
    let store = database.open().await;
    let (wolves, ann) = guild(&store, "Wolves", "Ann").await;
    let (foxes, _) = guild(&store, "Foxes", "Bob").await;
    let cid = player(&store, "Cid").await;
    // Both at once: one of them gets it.
    let (one, other) = tokio::join!(
        store.join_guild(operation(), wolves, cid),
        store.join_guild(operation(), foxes, cid)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    assert!(is_conflict(store.join_guild(operation(), foxes, ann).await));
    let nowhere = store.join_guild(operation(), GuildId(404), ann).await;
    assert_eq!(nowhere, Err(StoreError::NotFound));
    let left = if one.is_ok() { wolves } else { foxes };
    store.leave_guild(operation(), left, cid).await.unwrap();
    let again = store.leave_guild(operation(), left, cid).await;
    assert_eq!(again, Err(StoreError::NotFound));
    store.join_guild(operation(), foxes, cid).await.unwrap();
    assert_eq!(store.leave_guild(operation(), wolves, cid).await, Err(StoreError::NotFound));
}

async fn a_guild_always_has_one_leader(database: Database) {
    use GuildRank::{Leader, Member, Officer};
    let store = database.open().await;
    let (wolves, ann) = guild(&store, "Wolves", "Ann").await;
    let bob = player(&store, "Bob").await;
    store.join_guild(operation(), wolves, bob).await.unwrap();
    assert!(is_conflict(store.leave_guild(operation(), wolves, ann).await));
    assert!(is_conflict(store.set_guild_rank(operation(), wolves, ann, Member).await));
    store.set_guild_rank(operation(), wolves, bob, Officer).await.unwrap();
    assert_eq!(members(&store).await, [(ann, Leader), (bob, Officer)]);
    store.set_guild_rank(operation(), wolves, bob, Leader).await.unwrap();
    assert_eq!(members(&store).await, [(ann, Officer), (bob, Leader)]);
    store.set_guild_rank(operation(), wolves, bob, Leader).await.unwrap();
    store.set_guild_rank(operation(), wolves, ann, Member).await.unwrap();
    store.leave_guild(operation(), wolves, ann).await.unwrap();
    assert_eq!(members(&store).await, [(bob, Leader)]);
    let stranger = store.set_guild_rank(operation(), wolves, ann, Officer).await;
    assert_eq!(stranger, Err(StoreError::NotFound));
}

async fn a_guild_has_only_so_many_members(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let mut joining = tokio::task::JoinSet::new();
    for number in 0..GUILD_MEMBERS_MAX + 5 {
        let store = store.clone();
        joining.spawn(async move {
            let player = player(&store, &format!("Player_{number}")).await;
            store.join_guild(operation(), wolves, player).await
        });
    }
    let outcomes = joining.join_all().await;
    let refused = outcomes.iter().filter(|outcome| is_conflict((*outcome).clone())).count();
    assert_eq!(refused, 6, "the leader counts too");
    assert_eq!(members(&store).await.len(), GUILD_MEMBERS_MAX);
}

async fn a_disbanded_guild_leaves_its_name_and_its_members_free(database: Database) {
    let store = database.open().await;
    let (wolves, ann) = guild(&store, "Wolves", "Ann").await;
    let disband = operation();
    store.disband_guild(disband, wolves).await.unwrap();
    store.disband_guild(disband, wolves).await.unwrap();
    assert_eq!(store.disband_guild(operation(), wolves).await, Err(StoreError::NotFound));
    assert_eq!(store.join_guild(operation(), wolves, ann).await, Err(StoreError::NotFound));
    assert_eq!(store.guilds().await.unwrap(), (vec![], vec![]));
    let again = store.create_guild(operation(), &name("wolves"), ann).await.unwrap();
    assert_ne!(again, wolves);
}

async fn guild_changes_are_applied_once_per_operation(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let bob = player(&store, "Bob").await;
    let (join, leave, promote) = (operation(), operation(), operation());
    for _ in 0..2 {
        store.join_guild(join, wolves, bob).await.unwrap();
    }
    for _ in 0..2 {
        store.set_guild_rank(promote, wolves, bob, GuildRank::Officer).await.unwrap();
    }
    for _ in 0..2 {
        store.leave_guild(leave, wolves, bob).await.unwrap();
    }
    // The join was done and is over; sending it again does not undo the leaving.
    store.join_guild(join, wolves, bob).await.unwrap();
    assert_eq!(members(&store).await.len(), 1);
    // An id means one thing.
    let reused = store.create_guild(join, &name("Foxes"), bob).await;
    assert!(matches!(reused, Err(StoreError::Corrupt(_))), "{reused:?}");
}

async fn a_war_is_fought_scored_and_ended(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let (foxes, _) = guild(&store, "Foxes", "Bob").await;
    let record = |first_kills, second_kills| WarRecord {
        first: wolves,
        second: foxes,
        first_kills,
        second_kills,
        started_at: 1_000,
    };
    let start = operation();
    // The attacker has the larger id: the record still names the smaller one first.
    let war = store.start_war(start, foxes, wolves, 1_000).await.unwrap();
    assert_eq!(war, record(0, 0));
    assert_eq!(store.start_war(start, foxes, wolves, 2_000).await.unwrap(), war);
    let kill = operation();
    assert_eq!(store.score_war(kill, foxes, wolves).await.unwrap(), record(0, 1));
    assert_eq!(store.score_war(operation(), wolves, foxes).await.unwrap(), record(1, 1));
    assert_eq!(store.score_war(kill, foxes, wolves).await.unwrap(), record(0, 1), "a retry");
    assert_eq!(store.guilds().await.unwrap().1, [record(1, 1)]);
    let end = operation();
    assert_eq!(store.end_war(end, wolves, foxes, 3_000).await.unwrap(), record(1, 1));
    assert_eq!(store.end_war(end, wolves, foxes, 3_000).await.unwrap(), record(1, 1));
    assert_eq!(store.guilds().await.unwrap().1, []);
    let again = store.start_war(operation(), wolves, foxes, 4_000).await.unwrap();
    assert_eq!((again.first_kills, again.second_kills, again.started_at), (0, 0, 4_000));
}

async fn wars_have_their_rules(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let (foxes, _) = guild(&store, "Foxes", "Bob").await;
    assert!(is_conflict(store.start_war(operation(), wolves, wolves, 0).await));
    let nobody = store.start_war(operation(), wolves, GuildId(404), 0).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
    assert!(is_conflict(store.score_war(operation(), wolves, foxes).await));
    assert!(is_conflict(store.end_war(operation(), wolves, foxes, 0).await));
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    assert!(is_conflict(store.start_war(operation(), foxes, wolves, 0).await));
    for number in 1..GUILD_WARS_MAX {
        let (other, _) =
            guild(&store, &format!("Guild_{number}"), &format!("Leader_{number}")).await;
        store.start_war(operation(), other, wolves, 0).await.unwrap();
    }
    let (last, _) = guild(&store, "Last", "Last_leader").await;
    assert!(is_conflict(store.start_war(operation(), last, wolves, 0).await));
    store.start_war(operation(), last, foxes, 0).await.unwrap();
}

async fn kills_at_once_are_all_counted(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let (foxes, _) = guild(&store, "Foxes", "Bob").await;
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    let mut kills = tokio::task::JoinSet::new();
    for number in 0..50 {
        let store = store.clone();
        let (killer, victim) = if number % 5 == 0 { (foxes, wolves) } else { (wolves, foxes) };
        kills.spawn(async move { store.score_war(operation(), killer, victim).await });
    }
    for outcome in kills.join_all().await {
        outcome.unwrap();
    }
    let war = &store.guilds().await.unwrap().1[0];
    assert_eq!((war.first_kills, war.second_kills), (40, 10));
}

async fn disbanding_ends_the_wars(database: Database) {
    let store = database.open().await;
    let (wolves, _) = guild(&store, "Wolves", "Ann").await;
    let (foxes, _) = guild(&store, "Foxes", "Bob").await;
    store.start_war(operation(), wolves, foxes, 0).await.unwrap();
    store.disband_guild(operation(), foxes).await.unwrap();
    assert_eq!(store.guilds().await.unwrap().1, []);
    assert!(is_conflict(store.score_war(operation(), wolves, foxes).await));
    let gone = store.start_war(operation(), wolves, foxes, 0).await;
    assert_eq!(gone, Err(StoreError::NotFound));
}
