//! Who is where: outboxes by id, read by everybody, changed only by `run.rs` and the links.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::link::Outbox;

/// A table of outboxes that is swapped as a whole when a role comes or goes. Cheap to clone.
#[derive(Debug)]
pub struct Directory<K, M> {
    table: Arc<ArcSwap<BTreeMap<K, Outbox<M>>>>,
}

impl<K, M> Clone for Directory<K, M> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone() }
    }
}

impl<K: Ord + Copy, M> Default for Directory<K, M> {
    fn default() -> Self {
        Self { table: Arc::new(ArcSwap::from_pointee(BTreeMap::new())) }
    }
}

impl<K: Ord + Copy, M> Directory<K, M> {
    /// The outbox of `key`, if it is known.
    pub fn get(&self, key: K) -> Option<Outbox<M>> {
        self.table.load().get(&key).cloned()
    }

    /// What `act` makes of the outbox of `key`, if it is known; nothing is counted or copied.
    pub fn with<T>(&self, key: K, act: impl FnOnce(&Outbox<M>) -> T) -> Option<T> {
        self.table.load().get(&key).map(act)
    }

    /// Enters or replaces `key`.
    pub fn insert(&self, key: K, outbox: Outbox<M>) {
        self.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.insert(key, outbox.clone());
            table
        });
    }

    /// Forgets `key`.
    pub fn remove(&self, key: K) {
        self.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.remove(&key);
            table
        });
    }

    /// All that are known now, by key.
    pub fn snapshot(&self) -> Arc<BTreeMap<K, Outbox<M>>> {
        self.table.load_full()
    }
}
