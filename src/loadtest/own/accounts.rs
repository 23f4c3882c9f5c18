//! The bots' accounts, put into the store of a server of the run's own before it starts, with
//! everybody in their places: registering thousands over the network would take longer than the run.
//!
//! Beside the login role's key, made here too, it leaves what `entry.rs` remembers from a run
//! before, so bots come in with tickets of their own making.

use std::path::Path;

use anyhow::Context;
use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::task::JoinSet;

use super::world;
use crate::client::password_hash;
use crate::geometry::{Point, Pose};
use crate::ids::{PlayerId, ZoneId};
use crate::loadtest::course::Posts;
use crate::loadtest::entry::{KEY, Memory};
use crate::loadtest::options::Options;
use crate::names::Name;
use crate::store::record::NewCharacter;
use crate::store::{Store, StoreConfig};
use crate::token::TicketSigner;
use crate::world::content::Content;

/// The zone of `world.rs`.
const ZONE: ZoneId = ZoneId(1);
/// What all posts lie around.
const MIDDLE: Point = Point { x: 0.0, y: 0.0 };
/// Accounts that are made at once: they share commits.
const AT_ONCE: usize = 512;
/// How long the store may take for one of them, milliseconds: they wait for each other.
const TIMEOUT_MS: u64 = 30_000;
/// Cost of a hash that nobody waits for: KiB and passes.
const CHEAP: (u32, u32) = (8, 1);
/// The same at the server's usual cost.
const USUAL: (u32, u32) = (19_456, 2);

/// Makes all accounts in the store at `url`, and the key in the folder `data`, which may be new.
///
/// # Errors
/// What the store says, or that the folder cannot be written.
pub(super) fn prepare(options: &Options, data: &Path, url: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    TicketSigner::load_or_create(&data.join(KEY)).context("no key for the bots' tickets")?;
    let config = StoreConfig { url: url.to_owned(), timeout_ms: TIMEOUT_MS, ..<_>::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let memory = runtime.block_on(async {
        let store = Store::open(&config, data).await.context("the server's store")?;
        let memory = make(options, &store).await.context("the bots' accounts")?;
        store.close().await;
        anyhow::Ok(memory)
    })?;
    memory.write(&data.join(KEY))
}

async fn make(options: &Options, store: &Store) -> anyhow::Result<Memory> {
    let hash = secret_hash(options)?;
    let bounds = world::bounds(options);
    let posts = Posts::around(options, MIDDLE, &bounds);
    let newcomer = newcomer();
    let mut memory = Memory::around(MIDDLE);
    let mut at_work: JoinSet<anyhow::Result<(String, PlayerId)>> = JoinSet::new();
    let all = options.accounts() as usize;
    for bot in 0..all {
        let name = Name::parse(&options.name(bot)).map_err(|why| anyhow::anyhow!("{why}"))?;
        let at = posts.places.get(bot).copied().unwrap_or(MIDDLE);
        let pose = Pose { at, rotation: 0.0 };
        let character = NewCharacter { pose, ..newcomer.clone() };
        let (store, hash) = (store.clone(), hash.clone());
        at_work.spawn(async move {
            let player = store.create_account(&name, &hash, character).await?;
            Ok((name.as_str().to_owned(), player))
        });
        if at_work.len() >= AT_ONCE
            && let Some(made) = at_work.join_next().await
        {
            memory.know(made??);
        }
    }
    while let Some(made) = at_work.join_next().await {
        memory.know(made??);
    }
    Ok(memory)
}

/// One hash for everybody: they have one password, and nobody guesses it here.
fn secret_hash(options: &Options) -> anyhow::Result<String> {
    let (memory, passes) = if world::hashes_for_real(options) { USUAL } else { CHEAP };
    let impossible = |error: &dyn std::fmt::Display| anyhow::anyhow!("no hash: {error}");
    let params = Params::new(memory, passes, 1, None).map_err(|error| impossible(&error))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let secret = password_hash(&options.password);
    let hash = argon2.hash_password(secret.as_bytes()).map_err(|error| impossible(&error))?;
    Ok(hash.to_string())
}

/// What one begins with in the default world.
fn newcomer() -> NewCharacter {
    let Content { rules, items, .. } = Content::standard();
    let stackable = |kind| items.get(kind).is_none_or(|item| item.stackable);
    let begins = rules.starting_items.iter().filter(|(_, quantity)| **quantity > 0);
    NewCharacter {
        zone: ZONE,
        pose: Pose { at: MIDDLE, rotation: 0.0 },
        health: rules.base_health,
        power: rules.base_power,
        items: begins.map(|(kind, n)| (kind.clone(), *n, stackable(kind))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadtest::entry::Door;
    use crate::loadtest::options::for_test;

    #[test]
    fn accounts_are_there_before_anybody_comes() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = for_test(&["--start", "--clients", "120", "--storm", "3"]);
        prepare(&options, folder.path(), "sqlite").unwrap();
        options.key = Some(folder.path().join(KEY));
        let door = Door::new(&options);
        assert!((0..123).all(|bot| door.knows(&options.name(bot))));
        assert!(!door.knows(&options.name(123)));
        assert_eq!(door.middle(), Some(MIDDLE));
        let again = prepare(&options, folder.path(), "sqlite").unwrap_err();
        assert!(format!("{again:#}").contains("taken"), "{again:#}");
    }
}
