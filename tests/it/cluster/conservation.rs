//! Nothing that has a value is lost or doubled, whoever dies: bots play while processes are killed
//! or replaced, then the ledger of operations in the database, what players own there, and what the
//! bots were told are compared.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sqlx::{PgPool, Row};
use throng::tick;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::bots::{Belongings, Bot, Record};
use super::world::{World, blocking, tell};
use crate::postgres::Cluster;
use crate::server::within;

/// Bots in the world while processes die, and while they are replaced; `THRONG_TEST_BOTS` sets both.
const BOTS: u64 = 50;
const PASSENGERS: u64 = 100;
/// How long processes die for, in seconds; `THRONG_TEST_SECONDS` sets it.
const SECONDS: u64 = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_death_loses_or_doubles_anything() {
    let seed = variable("THRONG_TEST_SEED").unwrap_or_else(|| rand::random_range(0..1 << 32));
    let length = Duration::from_secs(variable("THRONG_TEST_SECONDS").unwrap_or(SECONDS));
    tell(&format!(
        "conservation: THRONG_TEST_SEED={seed} THRONG_TEST_SECONDS={}",
        length.as_secs()
    ));
    let database = blocking(|| Cluster::shared().database()).await;
    let mut world = World::start_on(&database, &[("zone-3", "zone")], &[]).await;
    let crowd = Crowd::gather(&world, bots(BOTS), seed).await;
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut deaths: BTreeMap<&str, u32> = BTreeMap::new();
    let began = tick::now();
    while began.elapsed() < length {
        // Time to play in; the deaths come at any moment of it.
        pass(&mut chance, 500..4_000).await;
        let names = world.names();
        let victim = names[chance.random_range(0..names.len())];
        world.kill(victim);
        *deaths.entry(victim).or_default() += 1;
        pass(&mut chance, 0..1_500).await;
        world.spawn(&[victim]);
    }
    tell(&format!("  killed: {deaths:?}"));
    let calm = tick::now();
    world.until_calm().await;
    let records = crowd.disperse(&world).await;
    tell(&format!(
        "  everybody is at rest {:.1} s after the last death",
        calm.elapsed().as_secs_f32()
    ));
    check(&database, &records).await;
    let sum = |of: fn(&Record) -> u32| records.iter().map(of).sum::<u32>();
    assert!(
        sum(|record| record.picks.1) > 0 && sum(|record| record.uses.1) > 0,
        "they have played"
    );
}

/// So that hundreds in one crowd do not keep a small machine busy with each other's steps.
const FEW_STEPS: &[(&str, &str)] =
    &[("gateway.bandwidth", "4000"), ("gateway.bandwidth_peak", "8000")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_process_is_replaced_in_turn_and_nobody_logs_in_again() {
    let database = blocking(|| Cluster::shared().database()).await;
    let mut world = World::start_on(&database, &[], FEW_STEPS).await;
    let crowd = Crowd::gather(&world, bots(PASSENGERS), 1).await;
    for name in ["zone-1", "zone-2", "gateway-1", "gateway-2", "chat", "login", "master"] {
        let asked = tick::now();
        world.terminate(name);
        assert!(world.ended(name).await.success(), "{name} ends well");
        world.run(name).await;
        tell(&format!("{name} is replaced within {:.1} s", asked.elapsed().as_secs_f32()));
    }
    world.until_calm().await;
    let records = crowd.disperse(&world).await;
    check(&database, &records).await;
    nobody_logged_in_again(&records);
}

/// Nobody had to begin a session of its own anew.
pub fn nobody_logged_in_again(records: &[Record]) {
    for record in records {
        assert_eq!(record.log_ins, 0, "{} has had to log in again", record.name);
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// How many bots play.
fn bots(usually: u64) -> usize {
    variable("THRONG_TEST_BOTS").unwrap_or(usually) as usize
}

/// Lets a random time pass, ms.
async fn pass(chance: &mut ChaCha8Rng, millis: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(chance.random_range(millis))).await;
}

/// All the bots, at play.
pub struct Crowd {
    stop: watch::Sender<bool>,
    playing: Vec<JoinHandle<Bot>>,
    began: Instant,
}

impl Crowd {
    /// Brings new bots in, and lets them play.
    pub async fn gather(world: &World, size: usize, seed: u64) -> Self {
        let stop = watch::Sender::new(false);
        let gateways = vec![world.gateway("gateway-1"), world.gateway("gateway-2")];
        let coming = (0..size).map(|number| tokio::spawn(Bot::new(gateways.clone(), number, seed)));
        let mut bots = Vec::new();
        for coming in coming.collect::<Vec<_>>() {
            bots.push(coming.await.expect("a bot in the world"));
        }
        let playing =
            bots.into_iter().map(|bot| tokio::spawn(bot.play(stop.subscribe()))).collect();
        Self { stop, playing, began: tick::now() }
    }

    /// Lets all come to rest, and then leave.
    pub async fn disperse(self, world: &World) -> Vec<Record> {
        let size = self.playing.len();
        let played = self.began.elapsed().as_secs_f32();
        self.stop.send_replace(true);
        let mut resting = Vec::new();
        for playing in self.playing {
            resting.push(playing.await.expect("a bot at rest"));
        }
        world
            .until("everybody in the world, once", |_, status| {
                (status.players() == size as u64).then_some(())
            })
            .await;
        // All at once: who is not read from for long is cut off as too slow.
        let leaving = resting.into_iter().map(|bot| tokio::spawn(bot.leave()));
        let mut records = Vec::new();
        for leaving in leaving.collect::<Vec<_>>() {
            records.push(leaving.await.expect("a bot that has left"));
        }
        let sum = |of: fn(&Record) -> u32| records.iter().map(of).sum::<u32>();
        tell(&format!(
            "  {size} bots in {played:.0} s: {} blows, {} things picked up, {} used, {} borders \
             crossed; {} connections lost, {} resumed, {} log-ins again",
            sum(|record| record.blows),
            sum(|record| record.picks.1),
            sum(|record| record.uses.1),
            sum(|record| record.crossings),
            sum(|record| record.losses),
            sum(|record| record.resumptions),
            sum(|record| record.log_ins),
        ));
        records
    }
}

/// Compares the ledger with what everybody owns and was told, once nobody owns any player.
pub async fn check(database: &str, records: &[Record]) {
    let pool = PgPool::connect(database).await.unwrap();
    within("the last saves", async {
        let sql = "SELECT count(*) FROM players WHERE owner IS NOT NULL";
        while sqlx::query(sql).fetch_one(&pool).await.unwrap().get::<i64, _>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    })
    .await;
    let mut operations = 0;
    for record in records {
        operations += check_player(&pool, record).await;
    }
    tell(&format!("  {operations} operations in the ledger, all of them accounted for"));
}

async fn check_player(pool: &PgPool, record: &Record) -> usize {
    let Record { name, told, picks, uses, .. } = record;
    let steps = ledger(pool, record.player).await;
    let mut states = vec![record.first.clone()];
    let (mut picked, mut used) = (0, 0);
    for (id, receipt) in &steps {
        let before = states.last().expect("the first");
        let after = before.after(receipt);
        match before.step_to(&after) {
            Step::Gold => {}
            Step::Item { more: 1, .. } => picked += 1,
            Step::Item { kind, more: -1 } if kind == "healing_potion" => used += 1,
            step => panic!(
                "{name}: operation {id} is no change of one thing: {step:?}\n{before:?}\n{after:?}"
            ),
        }
        states.push(after);
    }
    let last = states.last().expect("the first");
    assert_eq!(*last, owned(pool, record.player).await, "{name}: the ledger and what is owned");
    for told in told {
        assert!(states.contains(told), "{name} was told what never was so: {told:?}\n{states:?}");
    }
    let within = |(asked, confirmed): (u32, u32), done: u32| confirmed <= done && done <= asked;
    assert!(
        within(*picks, picked),
        "{name}: {picks:?} pick-ups asked and confirmed, {picked} done"
    );
    assert!(within(*uses, used), "{name}: {uses:?} uses asked and confirmed, {used} done");
    steps.len()
}

/// A player's changes of value, in the order in which they were done.
async fn ledger(pool: &PgPool, player: u64) -> Vec<(String, Value)> {
    let sql = "SELECT id::text, outcome FROM operations WHERE player_id = $1 ORDER BY made_at, id";
    let rows = sqlx::query(sql).bind(player.cast_signed()).fetch_all(pool).await.unwrap();
    let receipts = rows.iter().filter_map(|row| {
        let outcome: Value = serde_json::from_str(row.get(1)).unwrap();
        Some((row.get(0), outcome.get("receipt")?.clone()))
    });
    receipts.collect()
}

/// What a player owns by the database's own tables.
async fn owned(pool: &PgPool, player: u64) -> Belongings {
    let player = player.cast_signed();
    let items = sqlx::query("SELECT id, kind, quantity FROM items WHERE player_id = $1");
    let stacks = items.bind(player).fetch_all(pool).await.unwrap();
    let number = |number: i64| number.cast_unsigned();
    let stacks = stacks
        .iter()
        .map(|row| (number(row.get(0)), (row.get(1), number(row.get(2)) as u32)))
        .collect();
    let gold = sqlx::query("SELECT gold FROM players WHERE id = $1").bind(player);
    Belongings { stacks, gold: number(gold.fetch_one(pool).await.unwrap().get(0)) }
}

/// How two states of belongings differ.
#[derive(Debug)]
enum Step {
    /// There is more gold, and nothing else.
    Gold,
    /// Of one kind there are so many more, and nothing else.
    Item { kind: String, more: i64 },
    /// Anything else.
    Other,
}

impl Belongings {
    /// With what a receipt says: the stacks that were touched, and all gold.
    fn after(&self, receipt: &Value) -> Self {
        let mut after = self.clone();
        for stack in receipt["stacks"].as_array().unwrap() {
            let (id, kind) = (stack[0].as_u64().unwrap(), stack[1].as_str().unwrap().to_owned());
            match stack[2].as_u64().unwrap() {
                0 => after.stacks.remove(&id),
                quantity => after.stacks.insert(id, (kind, quantity as u32)),
            };
        }
        after.gold = receipt["gold"].as_u64().unwrap();
        after
    }

    fn step_to(&self, after: &Self) -> Step {
        let mut changes: BTreeMap<&str, i64> = BTreeMap::new();
        for (stacks, sign) in [(&self.stacks, -1), (&after.stacks, 1)] {
            for (kind, quantity) in stacks.values() {
                *changes.entry(kind).or_default() += sign * i64::from(*quantity);
            }
        }
        changes.retain(|_, more| *more != 0);
        let mut changes = changes.into_iter();
        match (changes.next(), changes.next()) {
            (None, None) if after.gold > self.gold => Step::Gold,
            (Some((kind, more)), None) if after.gold == self.gold => {
                Step::Item { kind: kind.to_owned(), more }
            }
            _ => Step::Other,
        }
    }
}
