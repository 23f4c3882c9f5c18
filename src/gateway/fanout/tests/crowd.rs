//! A great fight in view: nobody's bytes are exceeded, nobody stands still, and what concerns
//! oneself is always told.

use std::collections::BTreeSet;

use super::*;

const FIGHTERS: u16 = 200;
const SECONDS: u64 = 20;
const AVERAGE: u32 = 30_000;
const PEAK: u32 = 60_000;

/// What a watcher of the fight has got.
#[derive(Default)]
struct Account {
    bytes: usize,
    most_in_a_tick: usize,
    own: BTreeSet<(u64, u64)>,
    others: u64,
    deaths: u64,
    last_place: BTreeMap<u16, u64>,
    oldest: u64,
    healths: BTreeMap<u64, u32>,
    own_expected: usize,
}

impl Account {
    fn take(&mut self, me: EntityId, tick: u64, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.most_in_a_tick = self.most_in_a_tick.max(bytes.len());
        for said in read(bytes) {
            match said {
                Said::Event(event) => {
                    if event.kind() == proto::EventKind::EventPlayerDamage {
                        self.healths.insert(event.target_id, event.remaining);
                    }
                    self.deaths += u64::from(event.kind() == proto::EventKind::EventPlayerDeath);
                    if me.0 == event.actor_id || me.0 == event.target_id {
                        self.own.insert((tick, event.event_id));
                    } else {
                        self.others += 1;
                    }
                }
                Said::Positions(sync) => {
                    for record in sync.records {
                        self.last_place.insert(PackedPosition(record).handle().0, tick);
                    }
                }
                Said::Enter(entity) => {
                    self.healths.insert(entity.entity_id, entity.health);
                }
                _ => {}
            }
        }
        let oldest = self.last_place.values().map(|told| tick - told).max();
        self.oldest = self.oldest.max(oldest.unwrap_or(0));
    }
}

/// 200 who all walk and strike twice a second, seen by the first of them.
fn fight(together: bool) -> (Account, Stage) {
    let mut stage = Stage::new((AVERAGE, PEAK));
    for handle in 0..FIGHTERS {
        let (x, y) = (f32::from(handle % 20), f32::from(handle / 20));
        stage.put(handle, 180.0 + x * 2.0, 190.0 + y * 2.0);
    }
    let conn = stage.look_on(0);
    let me = stage.id(0);
    let mut account = Account::default();
    for _ in 0..40 {
        stage.step();
    }
    let sent = stage.sent(conn);
    account.take(me, 0, &sent);
    account = Account { healths: account.healths, ..Account::default() };
    for tick in 0..SECONDS * 20 {
        for handle in 0..FIGHTERS {
            let at = stage.things[&handle].at;
            let step = if (tick / 20).is_multiple_of(2) { 0.25 } else { -0.25 };
            stage.walk(handle, at.x + step, at.y);
            let moment = if together { 0 } else { u64::from(handle) };
            if (tick + moment).is_multiple_of(10) {
                let victim = (handle + 1) % FIGHTERS;
                account.own_expected += 2 * usize::from(handle == 0 || victim == 0);
                stage.strike(handle, victim, 1);
            }
        }
        for handle in (0..FIGHTERS).filter(|handle| (u64::from(*handle) + tick) % 200 == 0) {
            stage.heal(handle, 100);
        }
        stage.step();
        let sent = stage.sent(conn);
        account.take(me, tick + 1, &sent);
    }
    (account, stage)
}

#[test]
fn a_great_fight_stays_within_the_bytes_and_everybody_is_seen_to_move() {
    for together in [false, true] {
        let (account, _) = fight(together);
        // What was saved up before may be used besides.
        let most = AVERAGE as usize * SECONDS as usize + (PEAK - AVERAGE) as usize;
        assert!(account.bytes <= most, "{} B, together: {together}", account.bytes);
        let peak = PEAK as usize / 20;
        assert!(account.most_in_a_tick <= peak + 500, "{} in a tick", account.most_in_a_tick);
        assert_eq!(account.last_place.len(), usize::from(FIGHTERS));
        assert!(account.oldest <= 40, "a view {} ticks old, together: {together}", account.oldest);
        assert_eq!(account.own.len(), account.own_expected, "together: {together}");
        assert!(account.others > 50 * SECONDS, "{} events of others", account.others);
    }
}

#[test]
fn after_a_fight_everybodys_health_is_known_within_five_seconds() {
    let (mut account, mut stage) = fight(true);
    let (conn, me) = (ConnId(0), stage.id(0));
    for tick in 0..100 {
        stage.step();
        let sent = stage.sent(conn);
        account.take(me, SECONDS * 20 + tick, &sent);
    }
    let wrong: Vec<_> = stage
        .things
        .values()
        .filter(|thing| account.healths.get(&thing.id.0) != Some(&thing.health))
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// As little as the configuration allows: strangers' blows leave room for the positions.
#[test]
fn a_fight_leaves_positions_their_half_of_the_least_budget() {
    let mut stage = Stage::new((2_000, 2_000));
    for handle in 0..13 {
        stage.put(handle, 200.0 + f32::from(handle), 200.0);
    }
    let conn = stage.look_on(0);
    let mut places = [0, 0];
    for (fights, places) in places.iter_mut().enumerate() {
        for tick in 0..100 {
            stage.walk(12, 212.0 + (tick % 40) as f32 / 10.0, 200.0);
            for handle in 0..12 {
                if fights == 1 && (tick + u64::from(handle)).is_multiple_of(10) {
                    stage.strike(handle, (handle + 1) % 12, 1);
                }
            }
            stage.step();
        }
        for said in stage.heard(conn) {
            if let Said::Positions(sync) = said {
                *places += sync.records.len();
            }
        }
    }
    assert!(places[1] * 10 >= places[0] * 9, "{places:?}");
}

#[test]
fn deaths_come_before_blows_and_the_near_before_the_far() {
    let mut stage = Stage::new((3_000, 3_000));
    stage.put(0, 200.0, 200.0);
    for handle in 1..60 {
        stage.put(handle, 200.0 + f32::from(handle) / 2.0, 200.0);
    }
    let conn = stage.look_on(0);
    let me = stage.id(0);
    for _ in 0..60 {
        stage.step();
    }
    stage.sent(conn);
    let mut account = Account::default();
    let mut nearest = BTreeMap::<u64, u64>::new();
    for tick in 0..20u64 {
        for handle in (2..58).step_by(2) {
            stage.strike(handle, handle + 1, if handle == 40 && tick == 10 { 100 } else { 0 });
        }
        stage.step();
        let sent = stage.sent(conn);
        for said in read(&sent) {
            if let Said::Event(event) = said {
                *nearest.entry(event.target_id).or_default() += 1;
            }
        }
        account.take(me, tick, &sent);
    }
    assert_eq!(account.deaths, 1);
    let (near, far) = (nearest.get(&1_003), nearest.get(&1_057));
    assert!(near >= Some(&10) && far.is_none(), "{near:?} {far:?}");
}
