//! The desk at which a zone's calls of the store are made: each runs as a task, and for each comes a
//! completion, also if its task breaks off.
//!
//! Used by `commits.rs` alone, which says what is called and what an answer means. Nothing here
//! touches the zone's state.

use std::time::Duration;

use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::{error, warn};

use super::players::Entering;
use crate::ids::{Epoch, OperationId, PlayerId, ServerId, SessionRef, TicketUse};
use crate::store::record::Claim;
use crate::store::{Store, StoreError};
use crate::tick::now;
use crate::world::command::{CommitRefusal, Operation, PlayerState, Receipt};

/// Results waiting for the zone's next round. Tasks wait here, not the thread.
const COMPLETIONS: usize = 8_192;
/// After so many tries of a last save it is said again that one waits.
const RELEASE_WARNS: u32 = 30;
/// Between two tries of a last save.
pub(crate) const RELEASE_PAUSE: Duration = Duration::from_secs(1);

/// Whose counter goes up, and by how much.
pub(crate) type Count = (PlayerId, &'static str, u64);

/// A claim's answer.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub player: PlayerId,
    pub entering: Entering,
    pub result: Result<Claim, StoreError>,
}

/// What a zone asks of the store.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    Claim { player: PlayerId, owner: ServerId, entering: Entering },
    UseTicket { player: PlayerId, session: SessionRef, ticket: TicketUse },
    Commit(Operation),
    LookUp { operation: OperationId, player: PlayerId, asker: PlayerId },
    Save(Vec<PlayerState>),
    Count { id: OperationId, counts: Vec<Count> },
    Release { state: Box<PlayerState>, owed: Vec<Operation> },
    TakeOver { state: Box<PlayerState>, owner: ServerId, handover: OperationId },
    Reclaim { player: PlayerId, epoch: Epoch, owner: ServerId, handover: OperationId },
}

impl Call {
    /// Asks the store and waits for its answer.
    pub(super) async fn make(self, store: &Store) -> Completion {
        match self {
            Call::Claim { player, owner, entering } => {
                let result = store.claim(player, owner, entering.ticket).await;
                Completion::Claimed(Box::new(Claimed { player, entering, result }))
            }
            Call::UseTicket { player, session, ticket } => {
                let result = store.use_ticket(ticket).await;
                Completion::TicketUsed { player, session, result }
            }
            Call::Commit(operation) => {
                let (player, id) = (operation.player, operation.id);
                let outcome = store.commit(operation).await;
                Completion::Decided { player, operation: id, outcome }
            }
            Call::LookUp { operation, player, asker } => {
                let outcome = store.look_up(operation, player, asker).await;
                Completion::Decided { player, operation, outcome }
            }
            Call::Save(states) => {
                let result = store.save(states.clone()).await;
                Completion::Saved { states, result }
            }
            Call::Count { id, counts } => Completion::Counted(store.count(id, counts).await),
            Call::Release { state, owed } => release(store, *state, owed).await,
            Call::TakeOver { state, owner, handover } => {
                let player = state.id;
                let result = store.take_over(*state, owner, handover).await;
                Completion::TakenOver { player, handover, result }
            }
            Call::Reclaim { player, epoch, owner, handover } => {
                let result = store.reclaim(player, epoch, owner, handover).await;
                Completion::Reclaimed { player, handover, result }
            }
        }
    }
}

impl Call {
    /// What counts as its answer if its task breaks off: nobody knows whether it was done, as when
    /// the store does not answer in time.
    fn broken(&self) -> Completion {
        let unclear = || StoreError::Unavailable("the call broke off".into());
        match self {
            Call::Claim { player, entering, .. } => {
                let (player, entering, result) = (*player, *entering, Err(unclear()));
                Completion::Claimed(Box::new(Claimed { player, entering, result }))
            }
            Call::UseTicket { player, session, .. } => {
                let (player, session, result) = (*player, *session, Err(unclear()));
                Completion::TicketUsed { player, session, result }
            }
            Call::Commit(operation) => Completion::Decided {
                player: operation.player,
                operation: operation.id,
                outcome: Err(CommitRefusal::Unavailable),
            },
            Call::LookUp { operation, player, .. } => Completion::Decided {
                player: *player,
                operation: *operation,
                outcome: Err(CommitRefusal::Unavailable),
            },
            // The world has their states still, and saves them all anew.
            Call::Save(_) => Completion::SaveBroke,
            Call::Count { .. } => Completion::Counted(Err(unclear())),
            Call::Release { state, owed } => {
                Completion::ReleaseBroke { state: state.clone(), owed: owed.clone() }
            }
            Call::TakeOver { state, handover, .. } => Completion::TakenOver {
                player: state.id,
                handover: *handover,
                result: Err(unclear()),
            },
            Call::Reclaim { player, handover, .. } => {
                let (player, handover, result) = (*player, *handover, Err(unclear()));
                Completion::Reclaimed { player, handover, result }
            }
        }
    }
}

/// A completion that a zone waits for: sent when the call's task has it, or when the task is gone.
struct Due {
    broken: Option<Completion>,
    completions: mpsc::Sender<Completion>,
}

impl Due {
    async fn send(mut self, completion: Completion) {
        self.broken = None;
        // Fails only if the zone has ended.
        let _ = self.completions.send(completion).await;
    }
}

impl Drop for Due {
    fn drop(&mut self) {
        let Some(broken) = self.broken.take() else { return };
        error!(?broken, "a call of the store broke off");
        if let Err(TrySendError::Full(broken)) = self.completions.try_send(broken) {
            let completions = self.completions.clone();
            if let Ok(runtime) = Runtime::try_current() {
                runtime.spawn(async move { completions.send(broken).await });
            }
        }
    }
}

/// Has the store do what a player is owed and saves it for the last time, for as long as the store
/// is away: nobody can bring the player in anywhere before it is back.
async fn release(store: &Store, state: PlayerState, mut owed: Vec<Operation>) -> Completion {
    let (player, since) = (state.id, now());
    let mut attempt = 0;
    loop {
        let done = match pay(store, &mut owed).await {
            Ok(()) => store.release(state.clone().after(since.elapsed())).await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => break,
            Err(StoreError::Unavailable(problem)) => {
                if attempt % RELEASE_WARNS == 0 {
                    warn!(%player, attempt, problem, "last save waits for the database");
                }
                attempt += 1;
                tokio::time::sleep(RELEASE_PAUSE).await;
            }
            Err(StoreError::StaleEpoch) => {
                warn!(%player, "another server has a player that leaves; it is not saved");
                break;
            }
            Err(error) => {
                error!(%player, %error, "last save was not taken");
                break;
            }
        }
    }
    Completion::Released(player)
}

/// Has the store do what is owed, in order; what is done is taken out.
async fn pay(store: &Store, owed: &mut Vec<Operation>) -> Result<(), StoreError> {
    while let Some(operation) = owed.first() {
        match store.commit(operation.clone()).await {
            Ok(_) => {}
            Err(CommitRefusal::Unavailable) => {
                return Err(StoreError::Unavailable("what is owed is not done".into()));
            }
            Err(refusal) => {
                let player = operation.player;
                error!(%player, ?refusal, id = %operation.id, "what was owed cannot be done");
            }
        }
        owed.remove(0);
    }
    Ok(())
}

/// Where a zone's calls are made; what the store says comes back here.
pub(crate) struct Desk {
    calls: Box<dyn Fn(Call) + Send>,
    completions: mpsc::Receiver<Completion>,
}

impl Desk {
    /// Over a store: each call runs as a task of the current runtime.
    pub(super) fn over(store: Store) -> Self {
        Self::asking(move |call| {
            let store = store.clone();
            async move { call.make(&store).await }
        })
    }

    /// Each call is a task of the current runtime that gives its completion.
    pub(super) fn asking<F>(ask: impl Fn(Call) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Completion> + Send + 'static,
    {
        let runtime = Runtime::current();
        Self::with(move |call, completions| {
            let due = Due { broken: Some(call.broken()), completions };
            let asked = ask(call);
            runtime.spawn(async move {
                let completion = asked.await;
                due.send(completion).await;
            });
        })
    }

    /// Each call is given to `make`, with the way back for its completion.
    pub(crate) fn with(make: impl Fn(Call, mpsc::Sender<Completion>) + Send + 'static) -> Self {
        let (sender, completions) = mpsc::channel(COMPLETIONS);
        Self { calls: Box::new(move |call| make(call, sender.clone())), completions }
    }

    /// Makes a call.
    pub(super) fn make(&self, call: Call) {
        (self.calls)(call);
    }

    /// What the store has answered next.
    pub(super) fn answered(&mut self) -> Option<Completion> {
        self.completions.try_recv().ok()
    }
}

/// What the store has answered.
#[derive(Debug)]
pub(crate) enum Completion {
    Claimed(Box<Claimed>),
    TicketUsed {
        player: PlayerId,
        session: SessionRef,
        result: Result<(), StoreError>,
    },
    Decided {
        player: PlayerId,
        operation: OperationId,
        outcome: Result<Receipt, CommitRefusal>,
    },
    Saved {
        states: Vec<PlayerState>,
        result: Result<Vec<PlayerId>, StoreError>,
    },
    /// The save broke off.
    SaveBroke,
    Counted(Result<(), StoreError>),
    Released(PlayerId),
    /// A last save broke off; of what was owed some may have been done.
    ReleaseBroke {
        state: Box<PlayerState>,
        owed: Vec<Operation>,
    },
    TakenOver {
        player: PlayerId,
        handover: OperationId,
        result: Result<Epoch, StoreError>,
    },
    Reclaimed {
        player: PlayerId,
        handover: OperationId,
        result: Result<Epoch, StoreError>,
    },
}
