//! A zone's way to the store: claims, changes of value, saves and releases.
//!
//! The thread never waits: each [`Call`] runs as a task and its result comes back as a
//! [`Completion`], taken a hundred times a second. Saves that fail are kept and tried again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use metrics::{Gauge, gauge};
use tokio::runtime::Handle as Runtime;
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::ZoneServer;
use super::players::Entering;
use crate::ids::{Epoch, OperationId, PlayerId, ServerId, SessionRef, TicketUse, ZoneId};
use crate::store::record::Claim;
use crate::store::{Store, StoreError};
use crate::tick::now;
use crate::world::command::{Command, CommitRefusal, Operation, PlayerState, Receipt};

/// Results waiting for the zone's next round. Tasks wait here, not the thread.
const COMPLETIONS: usize = 8_192;
/// After so many tries of a last save it is said again that one waits.
const RELEASE_WARNS: u32 = 30;
/// Every so many rounds those are saved too that have not changed: whether they are still ours is
/// learned that way alone.
const EVERYBODY: u64 = 6;
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
    async fn make(self, store: &Store) -> Completion {
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
        let runtime = Runtime::current();
        Self::with(move |call, completions| {
            let store = store.clone();
            runtime.spawn(async move {
                let completion = call.make(&store).await;
                // Fails only if the zone has ended.
                let _ = completions.send(completion).await;
            });
        })
    }

    /// Each call is given to `make`, with the way back for its completion.
    pub(crate) fn with(make: impl Fn(Call, mpsc::Sender<Completion>) + Send + 'static) -> Self {
        let (sender, completions) = mpsc::channel(COMPLETIONS);
        Self { calls: Box::new(move |call| make(call, sender.clone())), completions }
    }
}

/// What the store has answered.
#[derive(Debug)]
pub(crate) enum Completion {
    Claimed(Box<Claimed>),
    TicketUsed { player: PlayerId, session: SessionRef, result: Result<(), StoreError> },
    Decided { player: PlayerId, operation: OperationId, outcome: Result<Receipt, CommitRefusal> },
    Saved { states: Vec<PlayerState>, result: Result<Vec<PlayerId>, StoreError> },
    Counted(Result<(), StoreError>),
    Released(PlayerId),
    TakenOver { player: PlayerId, handover: OperationId, result: Result<Epoch, StoreError> },
    Reclaimed { player: PlayerId, handover: OperationId, result: Result<Epoch, StoreError> },
}

/// One zone's dealings with the store.
pub(super) struct Saves {
    desk: Desk,
    origin: u64,
    batches: u64,
    interval: Duration,
    next_save: Instant,
    /// Rounds of saving begun.
    rounds: u64,
    /// Calls under way.
    in_flight: usize,
    /// Players in the save under way; 0: none is.
    saving: usize,
    counting: bool,
    /// States that could not be saved yet, and since when the oldest waits.
    unsaved: BTreeMap<PlayerId, PlayerState>,
    saving_since: Option<Instant>,
    counts: BTreeMap<(PlayerId, &'static str), u64>,
    /// A batch of counts that was sent and not yet answered for; sent again under the same id.
    sent_counts: Option<(OperationId, Vec<Count>)>,
    depth: Gauge,
    age: Gauge,
}

impl Saves {
    pub(super) fn new(desk: Desk, zone: ZoneId, origin: u64, seconds: u64) -> Self {
        let interval = Duration::from_secs(seconds);
        Self {
            desk,
            // Apart from the world's own operation ids.
            origin: !origin,
            batches: 0,
            interval,
            next_save: now() + interval,
            rounds: 0,
            in_flight: 0,
            saving: 0,
            counting: false,
            unsaved: BTreeMap::new(),
            saving_since: None,
            counts: BTreeMap::new(),
            sent_counts: None,
            depth: gauge!("throng_save_queue_depth", "zone" => zone.to_string()),
            age: gauge!("throng_save_queue_age_seconds", "zone" => zone.to_string()),
        }
    }

    fn call(&mut self, call: Call) {
        self.in_flight += 1;
        (self.desk.calls)(call);
    }

    /// What the store has answered next.
    fn answered(&mut self) -> Option<Completion> {
        let completion = self.desk.completions.try_recv().ok()?;
        self.in_flight -= 1;
        Some(completion)
    }

    pub(super) fn claim(&mut self, player: PlayerId, owner: ServerId, entering: Entering) {
        self.call(Call::Claim { player, owner, entering });
    }

    pub(super) fn use_ticket(&mut self, player: PlayerId, session: SessionRef, ticket: TicketUse) {
        self.call(Call::UseTicket { player, session, ticket });
    }

    pub(super) fn commit(&mut self, operation: Operation) {
        self.call(Call::Commit(operation));
    }

    pub(super) fn look_up(&mut self, operation: OperationId, player: PlayerId, asker: PlayerId) {
        self.call(Call::LookUp { operation, player, asker });
    }

    /// Does what a player is owed and saves it for the last time, trying again while the store is
    /// away.
    pub(super) fn release(&mut self, state: PlayerState, owed: Vec<Operation>) {
        self.unsaved.remove(&state.id);
        self.call(Call::Release { state: Box::new(state), owed });
    }

    /// Makes `owner` the owner of a player that comes from another process.
    pub(super) fn take_over(&mut self, state: PlayerState, owner: ServerId, handover: OperationId) {
        self.call(Call::TakeOver { state: Box::new(state), owner, handover });
    }

    /// Makes `owner` the owner again of a player that another process was offered.
    pub(super) fn reclaim(
        &mut self,
        player: PlayerId,
        epoch: Epoch,
        owner: ServerId,
        handover: OperationId,
    ) {
        self.call(Call::Reclaim { player, epoch, owner, handover });
    }

    /// Adds to a player's counter; sent with the next save.
    pub(super) fn count(&mut self, player: PlayerId, counter: &'static str, by: u64) {
        *self.counts.entry((player, counter)).or_default() += by;
    }

    /// Whether nothing is under way or waits.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.counts.is_empty() && self.sent_counts.is_none()
    }

    /// Whether no player's state is on its way to the store.
    #[cfg(test)]
    pub(super) fn nothing_is_saved(&self) -> bool {
        self.saving == 0
    }

    fn save(&mut self) {
        if self.saving > 0 || self.unsaved.is_empty() {
            return;
        }
        self.saving_since.get_or_insert_with(now);
        self.saving = self.unsaved.len();
        let states: Vec<PlayerState> = std::mem::take(&mut self.unsaved).into_values().collect();
        self.call(Call::Save(states));
    }

    /// Sends counters; a batch the store has not answered for goes again before the next.
    pub(super) fn send_counts(&mut self) {
        if self.counting {
            return;
        }
        if self.sent_counts.is_none() && !self.counts.is_empty() {
            self.batches += 1;
            let id = OperationId::new(self.origin, self.batches);
            let counts = std::mem::take(&mut self.counts);
            let batch = counts.into_iter().map(|((player, name), by)| (player, name, by));
            self.sent_counts = Some((id, batch.collect()));
        }
        if let Some((id, batch)) = self.sent_counts.clone() {
            self.counting = true;
            self.call(Call::Count { id, counts: batch });
        }
    }

    /// Tells the metrics what waits for the store: what was not taken, and what is being saved.
    pub(super) fn publish(&self) {
        self.depth.set((self.unsaved.len() + self.saving) as f64);
        let age = self.saving_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        self.age.set(age);
    }

    /// Keeps states that were not saved, unless there are newer ones.
    fn keep(&mut self, states: Vec<PlayerState>, epochs: impl Fn(PlayerId) -> Option<Epoch>) {
        for state in states {
            if epochs(state.id) == Some(state.epoch) {
                self.unsaved.entry(state.id).or_insert(state);
            }
        }
    }
}

impl ZoneServer {
    /// Every few seconds: saves whoever has changed, and sends the counters.
    pub(super) fn save_if_due(&mut self) {
        let now = now();
        if now < self.saves.next_save || !self.moving.plays() {
            return;
        }
        self.saves.next_save = now + self.saves.interval;
        self.saves.rounds += 1;
        let everybody = self.saves.rounds.is_multiple_of(EVERYBODY);
        for state in self.world.take_unsaved(everybody) {
            self.saves.unsaved.insert(state.id, state);
        }
        self.saves.save();
        self.saves.send_counts();
    }

    /// Takes what the store has answered since the last round.
    pub(super) fn take_completions(&mut self) {
        while let Some(completion) = self.saves.answered() {
            match completion {
                Completion::Claimed(claimed) => self.on_claimed(*claimed),
                Completion::TicketUsed { player, session, result } => {
                    self.on_ticket_used(player, session, result);
                }
                Completion::Decided { player, operation, outcome } => {
                    self.world.apply(Command::Decided { player, operation, outcome });
                }
                Completion::Saved { states, result } => self.on_saved(states, result),
                Completion::Counted(result) => self.on_counted(result),
                Completion::Released(player) => self.on_released(player),
                Completion::TakenOver { player, handover, result } => {
                    self.crossings.on_taken_over(player, handover, result, now());
                    self.carry_out_crossings();
                }
                Completion::Reclaimed { player, handover, result } => {
                    self.crossings.on_reclaimed(player, handover, result, now());
                    self.carry_out_crossings();
                }
            }
        }
    }

    /// Saves one player without waiting for the next round.
    pub(super) fn save_now(&mut self, player: PlayerId) {
        if let Some(state) = self.world.player(player)
            && self.moving.plays()
        {
            self.saves.unsaved.insert(player, state);
            self.saves.save();
        }
    }

    fn on_saved(&mut self, states: Vec<PlayerState>, result: Result<Vec<PlayerId>, StoreError>) {
        self.saves.saving = 0;
        match result {
            Ok(refused) => {
                self.saves.saving_since = None;
                for state in states.iter().filter(|state| refused.contains(&state.id)) {
                    self.on_lost_ownership(state.id, state.epoch);
                }
            }
            Err(error) => {
                warn!(%error, players = states.len(), "players were not saved; will try again");
                let world = &self.world;
                self.saves.keep(states, |player| world.player(player).map(|state| state.epoch));
            }
        }
    }

    fn on_counted(&mut self, result: Result<(), StoreError>) {
        self.saves.counting = false;
        match result {
            Ok(()) => self.saves.sent_counts = None,
            Err(StoreError::Unavailable(problem)) => {
                warn!(problem, "statistics wait for the database");
            }
            Err(error) => {
                error!(%error, "a batch of statistics was not taken");
                self.saves.sent_counts = None;
            }
        }
    }
}
