//! Accounts, bans and resume tokens.

use uuid::Uuid;

use super::{Database, character, name, on_both, player};
use crate::ids::{Epoch, PlayerId, ServerId, SessionKey, SessionRef, TicketUse};
use crate::store::StoreError;
use crate::store::record::{ResumeRecord, TicketStanding};
use crate::tick::unix_millis;

on_both!(
    a_name_is_taken_once_however_it_is_written,
    a_new_character_has_what_it_begins_with,
    accounts_are_listed_page_by_page,
    a_ban_is_seen_and_lifted,
    a_new_secret_is_seen_and_ends_what_was_proven_before,
    unknown_players_are_not_found,
    a_resume_token_is_found_until_it_expires,
    the_newest_places_of_an_owner_are_known,
    the_token_before_goes_on_until_it_is_let_go,
    a_ban_or_a_new_secret_ends_resume_tokens,
);

async fn a_name_is_taken_once_however_it_is_written(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann_1").await;
    let again = store.create_account(&name("aNN_1"), "other", character(vec![])).await;
    assert_eq!(again, Err(StoreError::NameTaken));
    let account = store.account(&name("ANN_1")).await.unwrap().unwrap();
    assert_eq!((account.player, account.name.as_str()), (ann, "Ann_1"));
    assert_eq!(account.secret_hash, "$argon2id$…");
    assert_eq!(store.account_of(ann).await.unwrap(), Some(account));
    assert_eq!(store.account(&name("Bob_1")).await.unwrap(), None);
    // The refused one left nothing behind.
    assert_eq!(store.accounts(PlayerId(0), 10).await.unwrap().len(), 1);
}

async fn a_new_character_has_what_it_begins_with(database: Database) {
    let store = database.open().await;
    let items = vec![("potion".into(), 5, true), ("sword".into(), 2, false)];
    let id = store.create_account(&name("Ann"), "s", character(items)).await.unwrap();
    let state = store.player(id).await.unwrap().unwrap();
    assert_eq!(state.epoch, Epoch(0));
    assert_eq!((state.level, state.experience, state.gold), (1, 0, 0));
    assert_eq!((state.health, state.power, state.zone.0), (100, 50, 3));
    assert_eq!(state.pose, character(vec![]).pose);
    assert_eq!(&*state.name, "Ann");
    let mut held: Vec<_> = state.inventory.iter().map(|s| (&*s.kind, s.quantity)).collect();
    held.sort_unstable();
    assert_eq!(held, [("potion", 5), ("sword", 1), ("sword", 1)]);

    let too_many = vec![("sword".into(), 101, false)];
    let refused = store.create_account(&name("Bob"), "s", character(too_many)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    assert_eq!(store.account(&name("Bob")).await.unwrap(), None);
}

async fn accounts_are_listed_page_by_page(database: Database) {
    let store = database.open().await;
    for number in 0..5 {
        player(&store, &format!("Player_{number}")).await;
    }
    let first = store.accounts(PlayerId(0), 3).await.unwrap();
    let second = store.accounts(first[2].player, 3).await.unwrap();
    let names: Vec<_> = first.iter().chain(&second).map(|a| a.name.as_str().to_owned()).collect();
    assert_eq!(names, ["Player_0", "Player_1", "Player_2", "Player_3", "Player_4"]);
    assert_eq!((first[0].level, first[0].last_seen_at), (1, None));
    assert!(first[0].created_at > 0);

    store.claim(first[0].player, ServerId(1), None).await.unwrap();
    let seen = store.accounts(PlayerId(0), 1).await.unwrap()[0].last_seen_at;
    assert!(seen >= Some(first[0].created_at));
}

async fn a_ban_is_seen_and_lifted(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (player(&store, "Ann").await, player(&store, "Bob").await);
    let before = unix_millis();
    store.set_ban(ann, Some("spam")).await.unwrap();
    assert_eq!(store.account_of(ann).await.unwrap().unwrap().ban.as_deref(), Some("spam"));
    assert_eq!(store.account_of(bob).await.unwrap().unwrap().ban, None);
    let barred = store.barred_since(before).await.unwrap();
    assert!(matches!(&barred[..], [it] if it.player == ann && it.ban.as_deref() == Some("spam")));
    assert_eq!(store.barred_since(unix_millis() + 60_000).await.unwrap(), []);
    assert_eq!(store.accounts(PlayerId(0), 1).await.unwrap()[0].ban.as_deref(), Some("spam"));

    store.set_ban(ann, None).await.unwrap();
    assert_eq!(store.account_of(ann).await.unwrap().unwrap().ban, None);
    assert_eq!(store.barred_since(0).await.unwrap(), []);
}

async fn a_new_secret_is_seen_and_ends_what_was_proven_before(database: Database) {
    let store = database.open().await;
    let (ann, bob) = (player(&store, "Ann").await, player(&store, "Bob").await);
    let ticket = |number| TicketUse { id: Uuid::from_u128(number), expires_at: 9 };
    let standing = async |of, number, given_at| {
        store.ticket_standing(of, ticket(number), given_at).await.unwrap()
    };
    let before = unix_millis();
    assert_eq!(standing(ann, 1, before).await, TicketStanding::Good);
    store.set_secret(ann, "new").await.unwrap();
    let barred = store.barred_since(before).await.unwrap();
    assert!(matches!(&barred[..], [it] if it.player == ann && it.ban.is_none()), "{barred:?}");
    let at = barred[0].at;
    assert_eq!(standing(ann, 1, at).await, TicketStanding::Void);
    assert_eq!(standing(ann, 1, at + 1).await, TicketStanding::Good);
    assert_eq!(standing(bob, 1, before).await, TicketStanding::Good, "another's");
    store.set_ban(bob, Some("spam")).await.unwrap();
    assert_eq!(standing(bob, 1, before).await, TicketStanding::Void);
    store.use_ticket(ticket(1)).await.unwrap();
    assert_eq!(standing(ann, 1, at + 1).await, TicketStanding::Used);

    // A session of before gets no token any more, one of after does.
    let of = |key| ResumeRecord {
        session: SessionRef { gateway: ServerId(1), key },
        ..token(ann, 1, u64::MAX >> 1)
    };
    let found = async || store.find_resume([5; 32], 0).await.unwrap().is_some();
    store.put_resume([5; 32], None, of(SessionKey::made_at(at))).await.unwrap();
    assert!(!found().await);
    store.put_resume([5; 32], None, of(SessionKey::made_at(at + 1))).await.unwrap();
    assert!(found().await);
}

async fn unknown_players_are_not_found(database: Database) {
    let store = database.open().await;
    let nobody = PlayerId(404);
    assert_eq!(store.account_of(nobody).await.unwrap(), None);
    assert_eq!(store.player(nobody).await.unwrap(), None);
    assert_eq!(store.set_ban(nobody, Some("x")).await, Err(StoreError::NotFound));
    assert_eq!(store.set_secret(nobody, "x").await, Err(StoreError::NotFound));
    assert_eq!(store.claim(nobody, ServerId(1), None).await, Err(StoreError::NotFound));
    assert_eq!(
        store.put_resume([0; 32], None, token(nobody, 1, 9)).await,
        Err(StoreError::NotFound)
    );
    assert_eq!(store.statistics(nobody).await.unwrap(), []);
}

/// A token of session `key`, to be taken before `expires_at`.
fn token(player: PlayerId, key: u64, expires_at: u64) -> ResumeRecord {
    ResumeRecord {
        player,
        name: name("Ann"),
        session_id: Uuid::from_u128(u128::from(key)),
        // As large as they get: the databases' integers have a sign.
        session: SessionRef { gateway: ServerId(u64::MAX), key: SessionKey(u64::MAX - key) },
        device: "phone".into(),
        expires_at,
    }
}

async fn the_newest_places_of_an_owner_are_known(database: Database) {
    let store = database.open().await;
    let (ann, ben) = (player(&store, "Ann").await, player(&store, "Ben").await);
    let places = async |of: &str| {
        let record = store.login_record(&name(of)).await.unwrap().unwrap();
        let mut places: Vec<(u8, u64)> =
            record.places.iter().map(|(place, seen_at)| (place[0], *seen_at)).collect();
        places.sort_unstable();
        places
    };
    assert_eq!(places("Ann").await, []);
    store.remember_places(ben, vec![[200; 32]], 1).await.unwrap();
    store.remember_places(ann, vec![[1; 32], [2; 32]], 10).await.unwrap();
    store.remember_places(ann, vec![[1; 32]], 50).await.unwrap();
    assert_eq!(places("ann").await, [(1, 50), (2, 10)]);
    for number in 3..18 {
        store.remember_places(ann, vec![[number; 32]], 20).await.unwrap();
    }
    let kept = places("Ann").await;
    assert_eq!((kept.len(), kept[0]), (16, (1, 50)), "the one unused for longest is forgotten");
    assert!(!kept.contains(&(2, 10)));
    assert_eq!(places("Ben").await, [(200, 1)]);
    assert_eq!(store.login_record(&name("Nobody")).await.unwrap(), None);
}

async fn a_resume_token_is_found_until_it_expires(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann").await;
    let record = token(ann, 1, 1_000);
    store.put_resume([7; 32], None, record.clone()).await.unwrap();
    assert_eq!(store.find_resume([8; 32], 500).await.unwrap(), None);
    assert_eq!(store.find_resume([7; 32], 500).await.unwrap(), Some(record.clone()));
    assert_eq!(store.find_resume([7; 32], 999).await.unwrap(), Some(record), "looking takes none");
    assert_eq!(store.find_resume([7; 32], 1_000).await.unwrap(), None, "it has expired");
}

async fn the_token_before_goes_on_until_it_is_let_go(database: Database) {
    let store = database.open().await;
    let (ann, ben) = (player(&store, "Ann").await, player(&store, "Ben").await);
    let find = async |hash: u8| store.find_resume([hash; 32], 0).await.unwrap();
    let of_ben = ResumeRecord { name: name("Ben"), ..token(ben, 9, 1_000) };
    store.put_resume([9; 32], None, of_ben.clone()).await.unwrap();
    store.put_resume([1; 32], None, token(ann, 1, 1_000)).await.unwrap();
    store.put_resume([2; 32], Some([1; 32]), token(ann, 2, 1_000)).await.unwrap();
    assert_eq!(find(1).await, Some(token(ann, 2, 1_000)), "both lead to the session as it is now");
    assert_eq!(find(2).await, Some(token(ann, 2, 1_000)));
    store.put_resume([2; 32], None, token(ann, 2, 1_000)).await.unwrap();
    assert_eq!((find(1).await, find(2).await), (None, Some(token(ann, 2, 1_000))));
    store.put_resume([3; 32], Some([2; 32]), token(ann, 3, 1_000)).await.unwrap();
    store.put_resume([4; 32], Some([3; 32]), token(ann, 3, 1_000)).await.unwrap();
    assert_eq!(find(2).await, None, "two generations back is over");
    store.drop_resume(token(ann, 2, 0).session).await.unwrap();
    assert_eq!(find(3).await, Some(token(ann, 3, 1_000)), "another session's word");
    store.drop_resume(token(ann, 3, 0).session).await.unwrap();
    assert_eq!((find(3).await, find(4).await), (None, None));
    assert_eq!(find(9).await, Some(of_ben), "others keep theirs");
}

async fn a_ban_or_a_new_secret_ends_resume_tokens(database: Database) {
    let store = database.open().await;
    let ann = player(&store, "Ann").await;
    store.put_resume([1; 32], None, token(ann, 1, 1_000)).await.unwrap();
    store.set_secret(ann, "new").await.unwrap();
    assert_eq!(store.find_resume([1; 32], 0).await.unwrap(), None);
    assert_eq!(store.account_of(ann).await.unwrap().unwrap().secret_hash, "new");
    store.put_resume([2; 32], None, token(ann, 1, 1_000)).await.unwrap();
    store.set_ban(ann, Some("spam")).await.unwrap();
    assert_eq!(store.find_resume([2; 32], 0).await.unwrap(), None);
}
