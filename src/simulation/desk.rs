//! The way to the store: every call takes its time, and may be refused, be committed without an
//! answer, or be answered before it is committed. What one process asks for one player keeps its
//! order.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;

use super::counts::Counts;
use super::store::Model;
use crate::ids::{Epoch, PlayerId, ServerId, SessionKey, ZoneId};
use crate::store::StoreError;
use crate::world::command::{CommitRefusal, Operation, PlayerState, Receipt};
use crate::zone::rig::{Call, Claimed, Completion, Desk, RELEASE_PAUSE};

/// What a process asks.
#[derive(Debug, Clone)]
pub(super) enum Request {
    /// A zone, and where it hears the answer.
    Zone {
        call: Call,
        answers: mpsc::Sender<Completion>,
    },
    /// A zone host.
    StartLease {
        zone: ZoneId,
        asked: u64,
    },
    RenewLeases {
        leases: Vec<(ZoneId, Epoch)>,
        asked: u64,
    },
    EndLease {
        zone: ZoneId,
        lease: Epoch,
    },
    /// A gateway.
    Player {
        session: SessionKey,
        player: PlayerId,
    },
}

/// What a host or a gateway hears.
#[derive(Debug)]
pub(super) enum Answer {
    Leased {
        zone: ZoneId,
        asked: u64,
        result: Result<Epoch, StoreError>,
    },
    /// Those that are lost; none: the store did not answer.
    Renewed {
        leases: Vec<(ZoneId, Epoch)>,
        asked: u64,
        lost: Option<Vec<ZoneId>>,
    },
    Returned {
        zone: ZoneId,
    },
    Found {
        session: SessionKey,
        state: Option<PlayerState>,
    },
}

/// Requests that were made and not looked at yet.
pub(super) type Requests = Arc<Mutex<Vec<(ServerId, Request)>>>;

/// The desk of a zone in the process `from`.
pub(super) fn of_zone(requests: Requests, from: ServerId) -> Desk {
    Desk::with(move |call, answers| {
        requests.lock().push((from, Request::Zone { call, answers }));
    })
}

/// How long a lease lasts, and how much later another takes it, ms: as in `zone/host/leases.rs`.
const LEASE: u64 = 5_000;
const MARGIN: u64 = 1_000;
/// A call is given up after this, ms: `store.timeout_ms`.
const TIMEOUT: u64 = 1_000;

#[derive(Debug)]
enum Due {
    /// The transaction; with `answered`, nobody waits for what it gives.
    Commit { request: Request, answered: bool },
    /// What it gave, some time after it.
    Done(Completed),
    /// "Unavailable".
    Refuse(Request),
}

#[derive(Debug)]
enum Completed {
    Zone(Completion, mpsc::Sender<Completion>),
    Other(Answer),
}

/// All calls under way.
pub(super) struct Calls {
    pub requests: Requests,
    due: BTreeMap<(u64, u64), (ServerId, Due)>,
    next: u64,
    /// The last commit of each process for each player.
    lanes: BTreeMap<(ServerId, u64), u64>,
    /// Share of calls that go wrong, percent.
    pub faults: u32,
    /// Nobody is answered before.
    pub away_until: u64,
}

impl Calls {
    pub(super) fn new() -> Self {
        Self {
            requests: Requests::default(),
            due: BTreeMap::new(),
            next: 0,
            lanes: BTreeMap::new(),
            faults: 0,
            away_until: 0,
        }
    }

    fn put(&mut self, at: u64, from: ServerId, due: Due) {
        self.next += 1;
        self.due.insert((at, self.next), (from, due));
    }

    /// Decides what becomes of the newest requests.
    pub(super) fn take_requests(&mut self, now: u64, chance: &mut ChaCha8Rng, counts: &mut Counts) {
        let requests = std::mem::take(&mut *self.requests.lock());
        for (from, request) in requests {
            if now < self.away_until {
                counts.refused += 1;
                self.put(now + chance.random_range(10..TIMEOUT), from, Due::Refuse(request));
                continue;
            }
            let lanes = lanes(&request);
            let last = lanes.iter().filter_map(|lane| self.lanes.get(&(from, *lane))).max();
            let free = last.map_or(0, |last| last + 1);
            let soon = (now + chance.random_range(1..30)).max(free);
            if soon >= now + TIMEOUT {
                counts.refused += 1;
                self.put(now + TIMEOUT, from, Due::Refuse(request));
                continue;
            }
            let fault = chance.random_range(0..100) < self.faults;
            let at = match if fault { chance.random_range(0..4) } else { 4 } {
                0 => {
                    counts.refused += 1;
                    self.put(now + chance.random_range(10..TIMEOUT), from, Due::Refuse(request));
                    continue;
                }
                1 => {
                    counts.lost_answers += 1;
                    self.put(now + TIMEOUT, from, Due::Refuse(request.clone()));
                    self.put(soon, from, Due::Commit { request, answered: true });
                    soon
                }
                2 => {
                    counts.late_commits += 1;
                    let late = (now + TIMEOUT + chance.random_range(1..1_500)).max(free);
                    self.put(now + TIMEOUT, from, Due::Refuse(request.clone()));
                    self.put(late, from, Due::Commit { request, answered: true });
                    late
                }
                slow => {
                    let at = if slow == 3 { soon + chance.random_range(50..900) } else { soon };
                    self.put(at, from, Due::Commit { request, answered: false });
                    at
                }
            };
            self.lanes.extend(lanes.into_iter().map(|lane| ((from, lane), at)));
        }
    }

    /// A process is gone: what has left it may yet be done, or not.
    pub(super) fn on_killed(&mut self, who: ServerId, chance: &mut ChaCha8Rng) {
        let waits = |due: &Due| matches!(due, Due::Commit { answered: false, .. });
        let sent = self.due.values().filter(|(from, due)| *from == who && waits(due)).count();
        let mut done = chance.random_range(0..=sent);
        self.due.retain(|_, (from, due)| match due {
            _ if *from != who => true,
            Due::Commit { answered: true, .. } => true,
            Due::Commit { answered: false, .. } => {
                let kept = done > 0;
                done = done.saturating_sub(1);
                kept
            }
            Due::Done(_) | Due::Refuse(_) => false,
        });
    }

    /// A process stands still: what has not left it comes to the store when it is woken.
    pub(super) fn on_frozen(&mut self, who: ServerId, millis: u64, chance: &mut ChaCha8Rng) {
        let mine: Vec<(u64, u64)> =
            self.due.iter().filter(|(_, (from, _))| *from == who).map(|(key, _)| *key).collect();
        // Its calls keep their order: from some call on, all of them wait.
        let from = chance.random_range(0..=mine.len());
        for key in mine.into_iter().skip(from) {
            if let Some(due) = self.due.remove(&key) {
                self.due.insert((key.0 + millis, key.1), due);
            }
        }
        for ((server, _), last) in &mut self.lanes {
            if *server == who {
                *last += millis;
            }
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.due.is_empty() && self.requests.lock().is_empty()
    }

    /// Does what is due; gives what hosts and gateways are to hear.
    pub(super) fn step(
        &mut self,
        now: u64,
        model: &mut Model,
        chance: &mut ChaCha8Rng,
        counts: &mut Counts,
    ) -> Vec<(ServerId, Answer)> {
        let mut heard = Vec::new();
        while let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let (from, due) = entry.remove();
            match due {
                Due::Commit { request, answered } => {
                    let done = perform(request, from, Some(&mut *model), counts);
                    if !answered {
                        self.put(now + chance.random_range(0..15), from, Due::Done(done));
                    }
                }
                Due::Refuse(Request::Zone { call: call @ Call::Release { .. }, answers }) => {
                    let again = Request::Zone { call, answers };
                    let at = now + RELEASE_PAUSE.as_millis() as u64;
                    self.put(at, from, Due::Commit { request: again, answered: false });
                }
                Due::Refuse(request) => {
                    let refused = perform(request, from, None, counts);
                    self.put(now, from, Due::Done(refused));
                }
                // A zone that has ended hears nothing.
                Due::Done(Completed::Zone(completion, to)) => drop(to.try_send(completion)),
                Due::Done(Completed::Other(answer)) => heard.push((from, answer)),
            }
        }
        heard
    }
}

/// What a request keeps its order with, among those of its process.
fn lanes(request: &Request) -> Vec<u64> {
    match request {
        Request::Zone { call, .. } => match call {
            Call::Claim { player, .. } | Call::Reclaim { player, .. } => vec![player.0],
            Call::Commit(operation) => vec![operation.player.0],
            Call::LookUp { asker, .. } => vec![asker.0],
            Call::Release { state, .. } | Call::TakeOver { state, .. } => vec![state.id.0],
            Call::Save(states) => states.iter().map(|state| state.id.0).collect(),
            Call::UseTicket { .. } | Call::Count { .. } => vec![0],
        },
        _ => vec![0],
    }
}

fn away() -> StoreError {
    StoreError::Unavailable("simulated".into())
}

fn name(zone: ZoneId) -> String {
    format!("zone-{zone}")
}

/// Does a request, or, without a store, refuses it.
fn perform(
    request: Request,
    from: ServerId,
    model: Option<&mut Model>,
    counts: &mut Counts,
) -> Completed {
    let answer = match request {
        Request::Zone { call, answers, .. } => {
            return Completed::Zone(answer(call, model, counts), answers);
        }
        Request::StartLease { zone, asked } => {
            let free = asked.saturating_sub(MARGIN);
            let take =
                |model: &mut Model| model.start_lease(&name(zone), from, free, asked + LEASE);
            let result = model.map_or_else(|| Err(away()), take);
            Answer::Leased { zone, asked, result }
        }
        Request::RenewLeases { leases, asked } => {
            let named: Vec<(String, Epoch)> =
                leases.iter().map(|(zone, epoch)| (name(*zone), *epoch)).collect();
            let lost = model.map(|model| {
                let lost = model.renew_leases(from, &named, asked + LEASE);
                let zones = leases.iter().map(|(zone, _)| *zone);
                zones.filter(|zone| lost.contains(&name(*zone))).collect()
            });
            Answer::Renewed { leases, asked, lost }
        }
        Request::EndLease { zone, lease } => {
            if let Some(model) = model {
                model.end_lease(&name(zone), from, lease);
            }
            Answer::Returned { zone }
        }
        Request::Player { session, player } => {
            Answer::Found { session, state: model.and_then(|model| model.player(player)) }
        }
    };
    Completed::Other(answer)
}

fn commit(
    model: &mut Model,
    operation: &Operation,
    counts: &mut Counts,
) -> Result<Receipt, CommitRefusal> {
    let before = model.done.len();
    let outcome = model.commit(operation);
    match &outcome {
        Ok(_) if model.done.len() > before => counts.operations += 1,
        Ok(_) => counts.operations_again += 1,
        Err(CommitRefusal::StaleEpoch) => counts.stale_operations += 1,
        Err(_) => {}
    }
    outcome
}

fn ask<T>(
    model: Option<&mut Model>,
    act: impl FnOnce(&mut Model) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    model.map_or_else(|| Err(away()), act)
}

fn answer(call: Call, model: Option<&mut Model>, counts: &mut Counts) -> Completion {
    match call {
        Call::Claim { player, owner, entering } => {
            let result = ask(model, |model| model.claim(player, owner, entering.ticket));
            Completion::Claimed(Box::new(Claimed { player, entering, result }))
        }
        Call::UseTicket { player, session, ticket } => {
            let result = ask(model, |model| model.use_ticket(ticket));
            Completion::TicketUsed { player, session, result }
        }
        Call::Commit(operation) => {
            let (player, id) = (operation.player, operation.id);
            let outcome = model
                .map_or(Err(CommitRefusal::Unavailable), |model| commit(model, &operation, counts));
            Completion::Decided { player, operation: id, outcome }
        }
        Call::LookUp { operation, player, .. } => {
            let outcome = model.map_or(Err(CommitRefusal::Unavailable), |model| {
                let found = model.look_up(operation, player);
                counts.looked_up += 1;
                counts.found_done += usize::from(found.is_ok());
                found
            });
            Completion::Decided { player, operation, outcome }
        }
        Call::Save(states) => {
            let result = ask(model, |model| Ok(model.save(&states)));
            counts.stale_saves += result.as_ref().map_or(0, Vec::len);
            Completion::Saved { states, result }
        }
        Call::Count { .. } => Completion::Counted(ask(model, |_| Ok(()))),
        Call::Release { state, owed } => {
            let result = ask(model, |model| {
                for operation in &owed {
                    let paid = commit(model, operation, counts);
                    counts.paid_at_leaving += usize::from(paid.is_ok());
                }
                model.release(&state)
            });
            counts.left += usize::from(result.is_ok());
            counts.stale_saves += usize::from(result == Err(StoreError::StaleEpoch));
            Completion::Released(state.id)
        }
        Call::TakeOver { state, owner, handover } => {
            let before = model.as_ref().and_then(|model| model.rows.get(&state.id)).cloned();
            let result = ask(model, |model| model.take_over(&state, owner, handover));
            match &result {
                Ok(epoch) if before.is_some_and(|row| row.state.epoch == *epoch) => {
                    counts.taken_over_again += 1;
                }
                Ok(_) => counts.taken_over += 1,
                Err(StoreError::StaleEpoch) => counts.take_overs_refused += 1,
                Err(_) => {}
            }
            Completion::TakenOver { player: state.id, handover, result }
        }
        Call::Reclaim { player, epoch, owner, handover } => {
            let result = ask(model, |model| model.reclaim(player, epoch, owner, handover));
            match &result {
                Ok(_) => counts.reclaims_won += 1,
                Err(StoreError::StaleEpoch) => counts.reclaims_lost += 1,
                Err(_) => {}
            }
            Completion::Reclaimed { player, handover, result }
        }
    }
}
