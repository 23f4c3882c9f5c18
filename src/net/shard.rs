//! I/O shards: a thread each, with connections of its own and one service.
//!
//! `run.rs` and the roles start them and keep the [`Shards`] handle; listeners and the WebSocket
//! bridge give them connections. What happens on the thread is `worker`'s.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::gate::{Admission, Refusal};
use super::transport::Transport;
use super::worker;
use super::{ConnectionLimits, Framing, Peer, Service};

/// Connections on their way to one shard.
const NEWCOMERS: usize = 1_024;

/// A connection for a shard.
#[derive(Debug)]
pub struct Newcomer {
    /// What carries it.
    pub transport: Transport,
    /// What the service is told.
    pub peer: Peer,
    /// Its largest frame until the service says otherwise, bytes.
    pub first_frame_limit: usize,
    /// Its place in the process.
    pub admission: Admission,
}

impl Newcomer {
    /// A connection from `address` that speaks `framing`.
    pub fn new(
        transport: Transport,
        address: IpAddr,
        framing: Framing,
        first_frame_limit: usize,
        admission: Admission,
    ) -> Self {
        Self { transport, peer: Peer { address, framing }, first_frame_limit, admission }
    }
}

/// One connection's place in a shard; dropping it frees the place.
#[derive(Debug)]
pub(super) struct Seat(Arc<AtomicUsize>);

impl Seat {
    fn take(taken: &Arc<AtomicUsize>) -> Self {
        taken.fetch_add(1, Ordering::Relaxed);
        Self(taken.clone())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The shards of one service. Cheap to clone.
#[derive(Debug)]
pub struct Shards<M> {
    shards: Arc<[Handle<M>]>,
    ended: watch::Receiver<usize>,
}

#[derive(Debug)]
struct Handle<M> {
    inbox: mpsc::Sender<M>,
    newcomers: mpsc::Sender<(Newcomer, Seat)>,
    taken: Arc<AtomicUsize>,
}

impl<M> Clone for Shards<M> {
    fn clone(&self) -> Self {
        Self { shards: self.shards.clone(), ended: self.ended.clone() }
    }
}

impl<M> Shards<M> {
    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Sends to the service of one shard, without waiting.
    ///
    /// # Errors
    /// Gives the message back if the inbox is full, the shard has ended or there is none such.
    pub fn send(&self, index: usize, message: M) -> Result<(), M> {
        match self.shards.get(index) {
            Some(shard) => shard.inbox.try_send(message).map_err(|error| error.into_inner()),
            None => Err(message),
        }
    }

    /// Gives a connection to the shard that has the fewest.
    ///
    /// # Errors
    /// Too many connections are on their way there, or the shards have ended; the newcomer comes
    /// back.
    pub fn adopt(&self, newcomer: Newcomer) -> Result<(), Box<Newcomer>> {
        let fewest = self.shards.iter().min_by_key(|shard| shard.taken.load(Ordering::Relaxed));
        let Some(shard) = fewest else {
            return Err(Box::new(newcomer));
        };
        let seat = Seat::take(&shard.taken);
        shard.newcomers.try_send((newcomer, seat)).map_err(|error| {
            Refusal::Busy.count();
            Box::new(error.into_inner().0)
        })
    }

    /// Connections of each shard.
    pub fn connections(&self) -> Vec<usize> {
        self.shards.iter().map(|shard| shard.taken.load(Ordering::Relaxed)).collect()
    }

    /// Waits until the first shard's thread has ended.
    pub async fn first_ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the last thread has dropped its end: that is an end too.
        let _ = ended.wait_for(|ended| *ended > 0).await;
    }

    /// Waits until every shard's thread has ended.
    pub async fn join(&self) {
        let mut ended = self.ended.clone();
        // An error means that the last thread has dropped its end: that is an end too.
        let _ = ended.wait_for(|ended| *ended == self.shards.len()).await;
    }
}

/// Tells [`Shards::join`] that a thread has ended, even by a panic.
struct End(watch::Sender<usize>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.send_modify(|ended| *ended += 1);
    }
}

/// Starts `count` shards (at least one), each with an inbox for `inbox` messages. `make` is called
/// with the shard's number, on its thread. When `stop` is cancelled the shards flush and close
/// their connections, within two seconds, and end.
///
/// # Panics
/// If the system gives no thread or no event queue; this is start-up.
#[expect(clippy::expect_used, reason = "at start-up, and there is nothing to fall back on")]
pub fn spawn_shards<S: Service>(
    count: usize,
    inbox: usize,
    limits: ConnectionLimits,
    stop: CancellationToken,
    make: impl Fn(usize) -> S + Send + Sync + Clone + 'static,
) -> Shards<S::Msg> {
    let (end, ended) = watch::channel(0);
    let start = |index: usize| {
        let (to_inbox, inbox) = mpsc::channel(inbox);
        let (to_newcomers, newcomers) = mpsc::channel(NEWCOMERS);
        let watch = worker::Watch::new().expect("an event queue for an I/O shard");
        let (make, stop, end) = (make.clone(), stop.clone(), End(end.clone()));
        let thread = move || {
            let _end = end;
            let queues = worker::Queues { inbox, newcomers, stop };
            worker::run(make(index), limits, watch, queues);
        };
        std::thread::Builder::new()
            .name(format!("io-{index}"))
            .spawn(thread)
            .expect("a thread for an I/O shard");
        Handle { inbox: to_inbox, newcomers: to_newcomers, taken: Arc::default() }
    };
    Shards { shards: (0..count.max(1)).map(start).collect(), ended }
}
