//! Odd texts in every column that takes one: data stays data.

use std::time::Duration;

use uuid::Uuid;

use super::{Database, assert_unavailable, character, claimed, name, on_both, operation, player};
use crate::ids::{Epoch, ServerId, SessionKey, SessionRef};
use crate::store::StoreError;
use crate::store::record::ResumeRecord;
use crate::world::command::{Change, CommitRefusal, Operation, PlayerState, QuestProgress};

on_both!(odd_texts_come_back_as_they_went_in, a_nul_character_is_refused, odd_names_are_names);

const ODD: &[&str] = &[
    "",
    " ",
    "'",
    "'; DROP TABLE accounts; --",
    "\" OR 1=1 --",
    "$1",
    "?1 :name @name %s {}",
    "\\' \\x00 \\",
    "line\r\nbreak\ttab",
    "%_*[a-z]",
    "null",
    "\u{202e}\u{200b}\u{feff}",
    "Größe 漢字 🐺 e\u{301}",
    "\u{1}\u{7f}\u{fffd}",
];

async fn odd_texts_come_back_as_they_went_in(database: Database) {
    let store = database.open().await;
    let mut state = claimed(&store, "Ann").await.state;
    for (number, text) in ODD.iter().enumerate() {
        store.set_secret(state.id, text).await.unwrap();
        store.set_ban(state.id, Some(text)).await.unwrap();
        let account = store.account_of(state.id).await.unwrap().unwrap();
        assert_eq!((account.secret_hash.as_str(), account.ban.as_deref()), (*text, Some(*text)));

        let items = vec![((*text).into(), 1, true)];
        let change = Change::Grant { items, gold: 0, quest: None };
        let grant = Operation { id: operation(), player: state.id, epoch: state.epoch, change };
        let receipt = store.commit(grant.clone()).await.unwrap();
        assert_eq!(&*receipt.stacks[0].kind, *text);
        assert_eq!(store.commit(grant).await.unwrap(), receipt, "kept as JSON");

        state.quests =
            vec![QuestProgress { quest: (*text).into(), done: vec![1], completed: false }];
        store.save(vec![state.clone()]).await.unwrap();
        let saved = store.player(state.id).await.unwrap().unwrap();
        assert!(saved.quests.contains(&state.quests[0]), "{text:?}");
        assert!(saved.inventory.contains(&receipt.stacks[0]), "{text:?}");

        let session =
            SessionRef { gateway: ServerId(1), key: SessionKey(u64::MAX - number as u64) };
        let record = ResumeRecord {
            player: state.id,
            name: name("Ann"),
            session_id: Uuid::nil(),
            session,
            device: (*text).into(),
            expires_at: 9,
        };
        store.put_resume([number as u8; 32], None, record.clone()).await.unwrap();
        assert_eq!(store.find_resume([number as u8; 32], 0).await.unwrap(), Some(record));
        assert_eq!(store.lease(text, ServerId(1), Duration::ZERO).await, Ok(Epoch(1)));

        let texts: &'static str = text;
        store.count(operation(), vec![(state.id, texts, 1)]).await.unwrap();
    }
    let counters = store.statistics(state.id).await.unwrap();
    let mut names: Vec<&str> = counters.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let mut expected = ODD.to_vec();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

async fn a_nul_character_is_refused(database: Database) {
    let store = database.open().await;
    let state = claimed(&store, "Ann").await.state;
    let refused = |outcome| matches!(outcome, Err(StoreError::Conflict(_)));
    assert!(refused(store.set_ban(state.id, Some("a\0b")).await));
    assert!(refused(store.set_secret(state.id, "\0").await));
    assert!(refused(store.create_account(&name("Bob"), "\0", character(vec![])).await.map(drop)));
    assert!(refused(store.lease("\0", ServerId(1), Duration::ZERO).await.map(drop)));
    let change = Change::Grant { items: vec![("\0".into(), 1, true)], gold: 1, quest: None };
    let grant = Operation { id: operation(), player: state.id, epoch: state.epoch, change };
    assert_eq!(store.commit(grant).await, Err(CommitRefusal::Unavailable));
    let quests = vec![QuestProgress { quest: "\0".into(), done: vec![], completed: true }];
    let unsound = PlayerState { quests, level: 9, ..state.clone() };
    assert_eq!(store.save(vec![unsound]).await.unwrap(), []);
    // Nothing of it was done, and the store goes on.
    assert_eq!(store.account(&name("Bob")).await.unwrap(), None);
    assert_eq!(store.player(state.id).await.unwrap().unwrap(), state);
    store.close().await;
    assert_unavailable(store.set_ban(state.id, None).await);
}

async fn odd_names_are_names(database: Database) {
    let store = database.open().await;
    for text in ["select", "DROP", "null", "Größe", "漢字名", "a__", "O123456789012345"] {
        let id = player(&store, text).await;
        let account = store.account(&name(text)).await.unwrap().unwrap();
        assert_eq!((account.player, account.name.as_str()), (id, text));
        store.create_guild(operation(), &name(text), id).await.unwrap();
    }
    assert_eq!(store.guilds().await.unwrap().guilds.len(), 7);
}
