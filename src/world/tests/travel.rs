//! However a player is moved, and whatever happens to it meanwhile, it travels no further than its
//! speed in the time that has passed, and the allowance.

use proptest::prelude::*;

use super::*;
use crate::tick::TICK_MS;
use crate::world::budget::{CLOCK_TOLERANCE, JITTER_MS};
use crate::world::movement::CLOSED;

const SPEED: f32 = 5.0;
/// Real time goes on in steps of so much, ms.
const SLOT_MS: u64 = 10;

#[derive(Debug, Clone)]
enum Deed {
    /// Streams a place so far from where it stands.
    Move(f32, f32),
    /// Streams the place it has just been told to be at, and some more in the same tick.
    Burst(f32, u32),
    MoveTo(f32, f32),
    Haste,
    Die,
    /// A zone stands still, or runs slower, for so long.
    Lose(usize, u64),
    /// The store says nothing for a while.
    Ask,
    Answer,
    Relog,
}

fn deeds() -> impl Strategy<Value = Vec<(u64, Deed)>> {
    let place = (-6.0f32..6.0, 90.0f32..110.0);
    let deed = prop_oneof![
        8 => (-3.0f32..3.0, -3.0f32..3.0).prop_map(|(x, y)| Deed::Move(x, y)),
        2 => (0.1f32..0.6, 1u32..30).prop_map(|(step, times)| Deed::Burst(step, times)),
        8 => place.prop_map(|(x, y)| Deed::MoveTo(x, y)),
        1 => Just(Deed::Haste),
        1 => Just(Deed::Die),
        1 => (0usize..2, 10u64..1_500).prop_map(|(zone, millis)| Deed::Lose(zone, millis)),
        1 => Just(Deed::Ask),
        2 => Just(Deed::Answer),
        1 => Just(Deed::Relog),
    ];
    prop::collection::vec((0u64..12, deed), 20..150)
}

/// Two zones whose ticks are not at the same time, and one player in one of them.
struct Road {
    zones: [Stage; 2],
    /// When each has ticked last and ticks next, ms.
    ticks: [(u64, u64); 2],
    /// Which has the player.
    home: usize,
    now: u64,
    sequence: u32,
    waiting: Vec<Deed>,
    asked: Vec<OperationId>,
    last: Option<Point>,
    /// Metres ahead of the speed, by real time.
    ahead: f32,
    /// The most that ever was.
    most: f32,
}

impl Road {
    fn new(phase: u64) -> Self {
        // Who returns to life is at the border again.
        let mut content = content();
        for (zone, x) in content.zones.iter_mut().zip([-1.0, 1.0]) {
            zone.spawn = Point { x, y: 100.0 };
        }
        let mut zones = [Stage::of(content.clone(), WEST), Stage::of(content, EAST)];
        zones[0].enter(ANNA, -1.0, 100.0);
        Self {
            zones,
            ticks: [(0, TICK_MS), (0, phase * SLOT_MS)],
            home: 0,
            now: 0,
            sequence: 0,
            waiting: Vec::new(),
            asked: Vec::new(),
            last: None,
            ahead: 0.0,
            most: 0.0,
        }
    }

    fn entity(&self) -> Option<&Entity> {
        let world = &self.zones[self.home].world;
        world.entities.get(world.player_handle(ANNA)?)
    }

    fn pass(&mut self, slots: u64) {
        for _ in 0..slots {
            self.now += SLOT_MS;
            if let Some(entity) = self.entity().filter(|entity| entity.is_alive()) {
                let factor = entity.player().unwrap().haste.map_or(1.0, |haste| haste.factor);
                let brought = SPEED * factor * CLOCK_TOLERANCE * SLOT_MS as f32 / 1000.0;
                self.ahead = (self.ahead - brought).max(0.0);
            }
            for zone in 0..2 {
                if self.now >= self.ticks[zone].1 {
                    self.tick(zone);
                }
            }
        }
    }

    fn tick(&mut self, zone: usize) {
        let length = self.now - self.ticks[zone].0;
        self.zones[zone].world.lose_time(length.saturating_sub(TICK_MS));
        self.zones[zone].world.advance_to(TICK_MS);
        if zone == self.home {
            for deed in std::mem::take(&mut self.waiting) {
                self.carry_out(deed);
                self.measure();
            }
        }
        self.ticks[zone] = (self.now, self.now + TICK_MS);
        self.zones[zone].step();
        self.cross(zone);
        self.measure();
    }

    /// Charges what was travelled since the last look, unless somebody else has put the player.
    fn measure(&mut self) {
        let put = |effect: &Effect| {
            let Effect::Notify { notice: Notice::Correction { reason, .. }, .. } = effect else {
                return false;
            };
            [CLOSED, "returned to life"].contains(reason)
        };
        let was_put = self.zones[self.home].log.iter().any(put);
        if let Some(at) = self.entity().map(|entity| entity.pose.at)
            && let Some(last) = self.last.replace(at)
            && !was_put
        {
            self.ahead += last.distance(at);
            self.most = self.most.max(self.ahead);
        }
        self.note_asked();
        let log = std::mem::take(&mut self.zones[self.home].log);
        for effect in log {
            if let Effect::Left { state, .. } = effect {
                self.zones[self.home].tell(Command::Enter { state });
                self.last = None;
            }
        }
    }

    fn note_asked(&mut self) {
        let asked = self.zones[self.home].log.iter().filter_map(|effect| match effect {
            Effect::Commit(operation) => Some(operation.id),
            _ => None,
        });
        self.asked.extend(asked);
    }

    fn cross(&mut self, from: usize) {
        let departed = self.zones[from].log.iter().find_map(|effect| match effect {
            Effect::Departed { transfer, .. } => Some(transfer.clone()),
            _ => None,
        });
        self.departed(from, departed);
    }

    fn departed(&mut self, from: usize, transfer: Option<Box<Transfer>>) {
        let Some(transfer) = transfer else { return };
        let (to, zone) = (1 - from, [WEST, EAST][from]);
        let into = self.now - self.ticks[to].0;
        self.zones[to].world.advance_to(into);
        self.zones[to].tell(Command::Arrive { transfer, from: zone });
        self.zones[from].tell(Command::Arrived { player: ANNA });
        self.zones[from].log.clear();
        self.home = to;
    }

    fn carry_out(&mut self, deed: Deed) {
        let Some(at) = self.entity().map(|entity| entity.pose.at) else { return };
        let home = self.home;
        let stage = &mut self.zones[home];
        let mut stream = |x: f32, y: f32| {
            self.sequence += 1;
            let sequence = self.sequence;
            stage.act(ANNA, Action::Move { x, y, rotation: 0.0, sequence, client_time: 0 });
        };
        match deed {
            Deed::Move(x, y) => stream(at.x + x, at.y + y),
            Deed::Burst(step, times) => {
                (1..=times).for_each(|time| stream(at.x, at.y + step * time as f32));
            }
            Deed::MoveTo(x, y) => drop(stage.act(ANNA, Action::MoveTo { x, y })),
            Deed::Haste => {
                let handle = stage.world.player_handle(ANNA).unwrap();
                let until = stage.world.tick.after_millis(1_000);
                if stage.entity(ANNA.into()).is_alive() {
                    stage.world.begin_haste(handle, until, 2.0);
                }
            }
            Deed::Die => {
                stage.set_health(ANNA, 0);
                let handle = stage.world.player_handle(ANNA).unwrap();
                let returns = stage.world.tick.after_millis(500);
                let player = stage.world.entities.get_mut(handle).unwrap().player_mut().unwrap();
                player.respawn_at = Some(returns);
                player.destination = None;
            }
            Deed::Lose(zone, millis) => self.ticks[zone].1 += millis / SLOT_MS * SLOT_MS,
            Deed::Ask => {
                stage.bank.mood = Mood::Silent;
                stage.act(ANNA, Action::UseItem(ItemId(1)));
            }
            Deed::Answer => {
                for operation in std::mem::take(&mut self.asked) {
                    let (player, outcome) = (ANNA, Err(CommitRefusal::Unavailable));
                    self.zones.iter_mut().for_each(|stage| {
                        let outcome = outcome.clone();
                        stage.tell(Command::Decided { player, operation, outcome });
                    });
                }
            }
            Deed::Relog => stage.tell(Command::Leave { player: ANNA }),
        }
    }
}

fn travel(phase: u64, deeds: Vec<(u64, Deed)>) -> f32 {
    let mut road = Road::new(phase);
    for (slots, deed) in deeds {
        road.waiting.push(deed);
        road.pass(slots);
    }
    road.pass(20);
    road.most
}

fn allowance() -> f32 {
    SPEED * (200 + JITTER_MS) as f32 / 1000.0 + 0.06
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_travels_more_than_speed_and_allowance(phase in 1u64..=5, deeds in deeds()) {
        let most = travel(phase, deeds);
        prop_assert!(most <= allowance(), "{most} m ahead of the speed");
    }
}

#[test]
fn walking_and_streaming_together_are_no_faster_than_either() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -10.0, 100.0);
    stage.steps(20);
    for sequence in 1..=200 {
        let x = stage.state(ANNA).pose.at.x - 0.25;
        stage.act(ANNA, Action::Move { x, y: 100.0, rotation: 180.0, sequence, client_time: 0 });
        stage.act(ANNA, Action::MoveTo { x: -190.0, y: 100.0 });
        stage.step();
    }
    let travelled = -10.0 - stage.state(ANNA).pose.at.x;
    let most = 10.0 * SPEED * CLOCK_TOLERANCE + allowance();
    assert!(travelled > 45.0 && travelled <= most, "{travelled} m in ten seconds");
}

#[test]
fn haste_does_not_begin_anew_at_each_border() {
    let mut road = Road::new(3);
    road.waiting.push(Deed::Haste);
    road.pass(5);
    let mut slots = 0;
    while road.entity().is_some_and(|entity| entity.player().unwrap().haste.is_some()) {
        assert!(slots < 300, "three seconds of one");
        let x = if road.home == 0 { 2.0 } else { -2.0 };
        road.waiting.push(Deed::MoveTo(x, 100.0));
        road.pass(5);
        slots += 5;
    }
    assert!(slots >= 100, "it has its second");
}

#[test]
fn who_waits_for_the_store_is_not_found_in_a_zone_that_does_not_own_it() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -2.0, 100.0);
    stage.steps(20);
    stage.bank.mood = Mood::Silent;
    stage.act(ANNA, Action::UseItem(ItemId(1)));
    let inside = |stage: &Stage| stage.state(ANNA).pose.at.x < 0.0;
    for sequence in 1..=40 {
        let x = -2.0 + sequence as f32 * 0.25;
        stage.act(ANNA, Action::Move { x, y: 100.0, rotation: 0.0, sequence, client_time: 0 });
        stage.step();
        assert!(inside(&stage), "streaming");
    }
    assert!(!stage.corrections(ANNA).is_empty() && stage.kicks().is_empty());
    stage.act(ANNA, Action::MoveTo { x: 20.0, y: 100.0 });
    for _ in 0..40 {
        stage.step();
        assert!(inside(&stage), "walking");
    }
    // Over the border first, and then in doubt.
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -0.1, 100.0);
    stage.steps(20);
    stage.bank.mood = Mood::Silent;
    let over = Action::Move { x: 0.3, y: 100.0, rotation: 0.0, sequence: 1, client_time: 0 };
    stage.act(ANNA, over);
    stage.act(ANNA, Action::UseItem(ItemId(1)));
    stage.step();
    assert!(inside(&stage));
    assert_eq!(stage.corrections(ANNA), [CLOSED]);
}

#[test]
fn a_zone_whose_time_runs_slow_slows_those_who_stream() {
    let mut stage = Stage::new(WEST);
    stage.enter(ANNA, -190.0, 100.0);
    stage.steps(20);
    let begin = stage.state(ANNA).pose.at.x;
    // A quarter of real time for 40 s of it; the client goes on at its own speed and takes each
    // correction.
    let (mut x, ticks) = (begin, 200);
    for tick in 0..ticks {
        stage.world.lose_time(150);
        stage.world.advance_to(TICK_MS);
        for part in 0..4 {
            x += 0.25;
            let sequence = tick * 4 + part;
            stage.act(ANNA, Action::Move { x, y: 100.0, rotation: 0.0, sequence, client_time: 0 });
        }
        let corrected = !stage.corrections(ANNA).is_empty();
        stage.log.retain(|effect| matches!(effect, Effect::Kick { .. }));
        stage.step();
        if corrected {
            x = stage.state(ANNA).pose.at.x;
        }
    }
    let travelled = stage.state(ANNA).pose.at.x - begin;
    let zone_time = ticks as f32 * 0.05;
    let most = (zone_time + 1.0) * SPEED * CLOCK_TOLERANCE + allowance();
    assert!(travelled <= most, "{travelled} m in {zone_time} s of the zone");
    assert!(travelled >= zone_time * SPEED * 0.8, "{travelled} m: it gets on all the same");
    assert!(stage.kicks().is_empty(), "it is no cheat");
}
