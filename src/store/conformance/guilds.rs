//! Guilds and their members.

use super::{Database, name, on_both, operation, player};
use crate::ids::{GuildId, GuildRank, PlayerId};
use crate::limits::GUILD_MEMBERS_MAX;
use crate::store::record::GuildBooks;
use crate::store::{Store, StoreError};

on_both!(
    a_guild_is_made_once_and_its_name_is_its_own,
    a_player_is_in_one_guild,
    a_guild_always_has_one_leader,
    a_guild_has_only_so_many_members,
    a_disbanded_guild_leaves_its_name_and_its_members_free,
    guild_changes_are_applied_once_per_operation,
);

pub(super) fn is_conflict<T>(outcome: Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Conflict(_)))
}

/// A guild of the one player `leader`.
pub(super) async fn guild(store: &Store, text: &str, leader: &str) -> (GuildId, PlayerId) {
    let leader = player(store, leader).await;
    (store.create_guild(operation(), &name(text), leader).await.unwrap(), leader)
}

/// Members and ranks of the only guild.
async fn members(store: &Store) -> Vec<(PlayerId, GuildRank)> {
    let guilds = store.guilds().await.unwrap().guilds;
    guilds[0].members.iter().map(|(player, _, rank)| (*player, *rank)).collect()
}

async fn a_guild_is_made_once_and_its_name_is_its_own(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (player(&store, "Ann").await, player(&store, "Bob").await);
    let first = operation();
    // Sent twice at once, through two processes as it were.
    let other = database.open().await;
    let wolves_name = name("Wolves");
    let (wolves, same) = tokio::join!(
        store.create_guild(first, &wolves_name, ann),
        other.create_guild(first, &wolves_name, ann)
    );
    let wolves = wolves.unwrap();
    assert_eq!(same, Ok(wolves));
    assert_eq!(store.create_guild(first, &name("Wolves"), ann).await, Ok(wolves));
    let taken = store.create_guild(operation(), &name("WOLVES"), bob).await;
    assert_eq!(taken, Err(StoreError::NameTaken));
    assert!(is_conflict(store.create_guild(operation(), &name("Foxes"), ann).await));
    let nobody = store.create_guild(operation(), &name("Foxes"), PlayerId(404)).await;
    assert_eq!(nobody, Err(StoreError::NotFound));
    let GuildBooks { guilds, wars, .. } = store.guilds().await.unwrap();
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
    assert_eq!(store.guilds().await.unwrap(), GuildBooks::default());
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
