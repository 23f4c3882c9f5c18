//! The inboxes of this process that links may deliver to, by address.
//!
//! The composition enters them, and takes them out when a role or a zone ends. Connections' readers
//! look them up for every message. Nothing gets into one that its source may not say.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::link::codec::DecodeError;
use crate::link::{Address, Outbox, SendError, Wire};
use crate::msg::{Misfit, Source};

/// A shared table of inboxes, swapped as a whole when one comes or goes. Cheap to clone.
#[derive(Clone, Default)]
pub struct Hosted {
    table: Arc<ArcSwap<Table>>,
}

/// Inboxes by address.
pub(super) type Table = BTreeMap<Address, Arc<dyn Host>>;

impl fmt::Debug for Hosted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.load().keys()).finish()
    }
}

impl Hosted {
    /// Takes messages for `address` from now on, decoded as `M`, to an outbox of this process.
    pub fn insert<M: Wire>(&self, address: Address, outbox: Outbox<M>) {
        let host: Arc<dyn Host> = Arc::new(outbox);
        self.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.insert(address, host.clone());
            table
        });
    }

    /// Takes no more messages for `address`.
    pub fn remove(&self, address: Address) {
        self.table.rcu(|table| {
            let mut table = BTreeMap::clone(table);
            table.remove(&address);
            table
        });
    }

    /// The table as it is now.
    pub(super) fn now(&self) -> Arc<Table> {
        self.table.load_full()
    }
}

/// Why a message was not put into an inbox.
#[derive(Debug)]
pub(super) enum NotPut {
    /// The inbox has no room now.
    Full,
    /// Its role has ended.
    Closed,
    /// The bytes are no message for it.
    Undecodable(DecodeError),
    /// It is not its source's to say.
    Misfit(Misfit),
}

/// An inbox, whatever it takes.
pub(super) trait Host: Send + Sync {
    /// Decodes a body, and puts it into the inbox if it may come from `source`, without waiting.
    fn put(&self, body: Bytes, source: &Source) -> Result<(), NotPut>;

    /// Waits until there may be room.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

impl<M: Wire> Host for Outbox<M> {
    fn put(&self, body: Bytes, source: &Source) -> Result<(), NotPut> {
        let message = M::decode(body).map_err(NotPut::Undecodable)?;
        message.may_come_from(source).map_err(NotPut::Misfit)?;
        self.send(message).map_err(|error| match error {
            SendError::Full(_) => NotPut::Full,
            SendError::Closed(_) => NotPut::Closed,
        })
    }

    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.has_room())
    }
}
