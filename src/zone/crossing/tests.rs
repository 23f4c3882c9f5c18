//! Two zones of different processes, a store and a network between them that lose, repeat and delay
//! whatever they can: a player stands in one zone at most, and in the end in just one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::geometry::Pose;
use crate::ids::{ServerId, SessionKey};
use crate::tick::now;
use crate::world::command::{Owed, StreamState};

const ANNA: PlayerId = PlayerId(7);
const SESSION: SessionRef = SessionRef { gateway: ServerId(9), key: SessionKey(1) };

fn transfer(epoch: Epoch) -> Box<Transfer> {
    let state = PlayerState {
        id: ANNA,
        name: "Anna".into(),
        epoch,
        zone: ZoneId(1),
        pose: Pose::default(),
        level: 1,
        experience: 0,
        health: 1,
        power: 1,
        gold: 0,
        inventory: vec![],
        quests: vec![],
        timers: vec![],
    };
    Box::new(Transfer {
        state,
        guild: None,
        destination: None,
        haste: None,
        leaves: false,
        travel_ahead: 0.0,
        stream: StreamState::default(),
        owed: Owed::default(),
    })
}

/// Something that is said to a zone about Anna, by number.
fn word(number: u64) -> ZoneMsg {
    let session = SessionRef { key: SessionKey(number), ..SESSION };
    ZoneMsg::Leave { player: ANNA, session }
}

/// One side of the border.
#[derive(Default)]
struct Side {
    crossings: Crossings,
    stands: Option<Epoch>,
}

/// A call of the store under way.
struct Call {
    side: usize,
    epoch: Epoch,
    handover: OperationId,
    takes_over: bool,
}

/// The player's row.
struct Row {
    epoch: Epoch,
    owner: usize,
    handover: Option<OperationId>,
}

impl Row {
    fn set(&mut self, call: &Call) -> Result<Epoch, StoreError> {
        let after = Epoch(call.epoch.0 + 1);
        if self.epoch == call.epoch {
            *self = Self { epoch: after, owner: call.side, handover: Some(call.handover) };
        }
        let done =
            self.epoch == after && self.owner == call.side && self.handover == Some(call.handover);
        if done { Ok(after) } else { Err(StoreError::StaleEpoch) }
    }
}

struct Play {
    chance: ChaCha8Rng,
    now: Instant,
    sides: [Side; 2],
    row: Row,
    calls: Vec<Call>,
    mail: Vec<(usize, ZoneMsg)>,
    /// Whether the network loses and repeats, and the store does not answer.
    rough: bool,
    said: u64,
    heard: Vec<u64>,
    handovers: u128,
}

impl Play {
    fn new(seed: u64, rough: bool) -> Self {
        let mut sides = [Side::default(), Side::default()];
        sides[0].stands = Some(Epoch(1));
        Self {
            chance: ChaCha8Rng::seed_from_u64(seed),
            now: now(),
            sides,
            row: Row { epoch: Epoch(1), owner: 0, handover: None },
            calls: Vec::new(),
            mail: Vec::new(),
            rough,
            said: 0,
            heard: Vec::new(),
            handovers: 0,
        }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.chance.random_range(0..count) == 0
    }

    /// One thing happens, whichever.
    fn step(&mut self) {
        match self.chance.random_range(0..10) {
            0 => self.depart(),
            1..=4 => self.deliver(),
            5..=6 => self.answer_call(),
            7 => {
                self.said += 1;
                let side = self.chance.random_range(0..2);
                self.hear(side, word(self.said));
            }
            _ => self.pass(Duration::from_millis(200)),
        }
        let standing = self.sides.iter().filter(|side| side.stands.is_some()).count();
        assert!(standing <= 1, "she stands in two zones");
    }

    fn pass(&mut self, most: Duration) {
        let part = self.chance.random_range(0.0..1.0);
        self.now += most.mul_f64(part);
        for side in 0..2 {
            self.sides[side].crossings.pass(self.now);
            self.carry_out(side);
        }
    }

    /// Anna walks over the border.
    fn depart(&mut self) {
        let Some(side) = self.sides.iter().position(|side| side.stands.is_some()) else { return };
        let Some(epoch) = self.sides[side].stands.take() else { return };
        self.handovers += 1;
        let handover = OperationId(self.handovers);
        let (to, from) = (zone(1 - side), zone(side));
        let transfer = transfer(epoch);
        let arrive = ZoneMsg::Arrive {
            transfer: transfer.clone(),
            from,
            owner: ServerId(side as u64 + 1),
            handover,
            session: SESSION,
        };
        self.sides[side].crossings.offered(transfer, to, handover, SESSION, self.now);
        self.send(1 - side, arrive);
    }

    fn send(&mut self, to: usize, message: ZoneMsg) {
        let is_word = matches!(message, ZoneMsg::Leave { .. });
        if self.rough && !is_word && self.one_in(6) {
            return;
        }
        if self.rough && !is_word && self.one_in(6) {
            self.mail.push((to, message.clone()));
        }
        self.mail.push((to, message));
    }

    /// Any message arrives; over a smooth network, the first.
    fn deliver(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let place = if self.rough { self.chance.random_range(0..self.mail.len()) } else { 0 };
        let (to, message) = self.mail.remove(place);
        self.hear(to, message);
    }

    fn hear(&mut self, side: usize, message: ZoneMsg) {
        let room = !(self.rough && self.one_in(4));
        let now = self.now;
        let crossings = &mut self.sides[side].crossings;
        match message {
            ZoneMsg::Arrive { transfer, from, handover, session, .. } => {
                crossings.on_offer(transfer, (from, handover), session, room, now);
            }
            ZoneMsg::Arrived { player, handover } => crossings.on_arrived(player, handover, now),
            ZoneMsg::NotArrived { player, handover, certain } => {
                crossings.on_not_arrived(player, handover, certain);
            }
            message => {
                let caught = self.sides[side].stands.is_some();
                let left = if caught {
                    Some(message)
                } else {
                    self.sides[side].crossings.catch(ANNA, message, now)
                };
                if let Some(ZoneMsg::Leave { session, .. }) = left {
                    self.heard.push(session.key.0);
                }
            }
        }
        self.carry_out(side);
    }

    fn carry_out(&mut self, side: usize) {
        for step in self.sides[side].crossings.take_steps() {
            let other = 1 - side;
            match step {
                Step::Send { message, .. } => self.send(other, message),
                Step::TakeOver { state, handover } => {
                    let epoch = state.epoch;
                    self.calls.push(Call { side, epoch, handover, takes_over: true });
                }
                Step::Reclaim { epoch, handover, .. } => {
                    self.calls.push(Call { side, epoch, handover, takes_over: false });
                }
                Step::Show { transfer, .. } | Step::Return { transfer, .. } => {
                    assert!(self.sides[side].stands.is_none());
                    self.sides[side].stands = Some(transfer.state.epoch);
                }
                Step::Gone { .. } => {}
                Step::Replay(messages) => {
                    messages.into_iter().for_each(|message| self.hear(side, message));
                }
            }
        }
    }

    /// The store does one of the calls, or does not; it answers, or the answer is lost.
    fn answer_call(&mut self) {
        if self.calls.is_empty() {
            return;
        }
        let place = self.chance.random_range(0..self.calls.len());
        let call = self.calls.remove(place);
        let away = || Err(StoreError::Unavailable("away".into()));
        let (lost, undone) = (self.rough && self.one_in(4), self.rough && self.one_in(4));
        let result = if undone { away() } else { self.row.set(&call) };
        let result = if lost { away() } else { result };
        let Call { side, handover, takes_over, .. } = call;
        let crossings = &mut self.sides[side].crossings;
        if takes_over {
            crossings.on_taken_over(ANNA, handover, result, self.now);
        } else {
            crossings.on_reclaimed(ANNA, handover, result, self.now);
        }
        self.carry_out(side);
    }

    /// From now on everything works, and nobody crosses any more.
    fn settle(&mut self) {
        self.rough = false;
        for _ in 0..200 {
            self.deliver();
            self.answer_call();
            self.pass(Duration::from_secs(1));
        }
    }

    fn assert_settled(&self) {
        assert!(self.sides.iter().all(|side| side.crossings.is_idle()), "somebody still waits");
        let standing: Vec<usize> =
            (0..2).filter(|side| self.sides[*side].stands.is_some()).collect();
        assert_eq!(standing, [self.row.owner], "she stands where the store says");
        assert_eq!(self.sides[self.row.owner].stands, Some(self.row.epoch));
    }
}

fn zone(side: usize) -> ZoneId {
    ZoneId(side as u16 + 1)
}

#[test]
fn whatever_gets_lost_she_stands_in_one_zone() {
    for seed in 0..3_000 {
        let outcome = std::panic::catch_unwind(|| {
            let mut play = Play::new(seed, true);
            for _ in 0..150 {
                play.step();
            }
            play.settle();
            play.assert_settled();
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn what_is_said_to_her_meanwhile_is_heard_once() {
    for seed in 0..1_000 {
        let outcome = std::panic::catch_unwind(|| {
            let mut play = Play::new(seed, false);
            for _ in 0..150 {
                play.step();
            }
            play.settle();
            play.assert_settled();
            let mut heard = play.heard.clone();
            heard.sort_unstable();
            assert_eq!(heard, (1..=play.said).collect::<Vec<_>>());
        });
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

#[test]
fn an_offer_without_an_answer_is_taken_back_through_the_store() {
    let start = now();
    let mut source = Crossings::new();
    let handover = OperationId(1);
    source.offered(transfer(Epoch(4)), ZoneId(2), handover, SESSION, start);
    source.catch(ANNA, word(1), start);
    source.pass(start + ANSWER_WITHIN / 2);
    assert_eq!(source.take_steps(), []);
    source.pass(start + ANSWER_WITHIN);
    let reclaim = Step::Reclaim { player: ANNA, epoch: Epoch(4), handover };
    let asked = source.take_steps();
    assert!(asked == [reclaim.clone()], "{asked:?}");
    // Nobody's word counts any more but the store's.
    source.on_not_arrived(ANNA, handover, true);
    let away = StoreError::Unavailable("away".into());
    source.on_reclaimed(ANNA, handover, Err(away), start + ANSWER_WITHIN);
    assert_eq!(source.take_steps(), []);
    source.pass(start + ANSWER_WITHIN + ASK_AGAIN);
    assert_eq!(source.take_steps(), [reclaim]);
    source.on_reclaimed(ANNA, handover, Ok(Epoch(5)), start + ANSWER_WITHIN * 2);
    let back = Step::Return { transfer: transfer(Epoch(5)), session: SESSION };
    assert_eq!(source.take_steps(), [back, Step::Replay(vec![word(1)])]);
    assert!(source.is_idle());
}

#[test]
fn only_so_much_input_is_kept() {
    let start = now();
    let mut source = Crossings::new();
    source.offered(transfer(Epoch(4)), ZoneId(2), OperationId(1), SESSION, start);
    let action = crate::world::command::Action::Inventory;
    for request in 0..100 {
        let act = ZoneMsg::Act { player: ANNA, session: SESSION, request, action: action.clone() };
        assert_eq!(source.catch(ANNA, act, start), None);
    }
    assert_eq!(source.catch(ANNA, word(1), start), None, "there is room for what is no input");
    source.on_arrived(ANNA, OperationId(1), start);
    let steps = source.take_steps();
    let sent = steps.iter().filter(|step| matches!(step, Step::Send { .. })).count();
    assert_eq!(sent, limits::HANDOVER_INPUT_MAX + 1);
    let last = Step::Send { to: ZoneId(2), message: word(1) };
    assert_eq!(steps.last(), Some(&last));
}
