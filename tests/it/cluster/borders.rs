//! The border between two zones on different servers, with players who come in by different
//! gateways: they meet over it, and walk to and fro without anybody or anything being lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use throng::client::Event;
use throng::geometry::Point;
use throng::ids::EntityId;
use throng::proto::{ErrorCode, EventKind, QuestState};
use throng::tick;
use throng::world::frame::PackedPosition;
use tokio::sync::Barrier;

use super::world::{Status, World, tell};
use crate::player::{Player, refusal};
use crate::server::within;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_meet_over_a_border_between_servers() {
    let world = World::start().await;
    let mut ann = world.player("gateway-1", "Ann").await;
    let mut bob = world.player("gateway-2", "Bob").await;
    ann.go(-4.0, 30.0).await;
    bob.go(4.0, 30.0).await;
    ann.sees_at(bob.id, 4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    assert_eq!(zone_of(&ann, bob.id), 2);
    assert_eq!(zone_of(&bob, ann.id), 1);

    ann.say("can you hear me?").await.unwrap();
    bob.hears("can you hear me?").await;
    bob.say("well enough").await.unwrap();
    ann.hears("well enough").await;

    let blow = ann.attack(bob.id).await.unwrap();
    assert!(blow.amount > 0 && blow.zone_id == 2, "the target's owner decides: {blow:?}");
    let them = bob.id.0;
    let damage = bob.game(EventKind::EventPlayerDamage, |event| event.target_id == them).await;
    let left = damage.remaining;
    let max = bob.view().me().expect("Bob").max_health;
    assert_eq!(left, max - blow.amount);
    let answer = bob.attack(ann.id).await.unwrap();
    assert!(answer.amount > 0 && answer.zone_id == 1, "{answer:?}");

    let healing = ann.use_skill("mend", Some(bob.id)).await.unwrap();
    assert!(healing.amount > 0, "what Bob has lost comes back: {healing:?}");
    bob.until_view("health again", |client| client.view().me().is_some_and(|me| me.health > left))
        .await;
    ann.go(-30.0, 30.0).await;
    bob.sees_at(ann.id, -30.0, 30.0).await;
    assert_eq!(refusal(bob.attack(ann.id).await), ErrorCode::ErrorOutOfRange);

    ann.go(-4.0, 30.0).await;
    bob.sees_at(ann.id, -4.0, 30.0).await;
    ann.kill(bob.id).await;
    let (me, home) = (bob.id, Point { x: 20.0, y: 0.0 });
    bob.until_view("life again at the spawn", |client| {
        let alive = client.view().me().is_some_and(|me| me.health > 0);
        alive && client.view().get(me).is_some_and(|seen| seen.newest.at.distance(home) < 5.0)
    })
    .await;
}

/// The zone in which somebody is seen.
fn zone_of(observer: &Player, them: EntityId) -> u32 {
    observer.view().get(them).expect("in view").about.zone_id
}

/// Players who walk to and fro at once.
const WALKERS: usize = 20;
/// How often each of them crosses the border: about a thousand crossings in all.
const LEGS: usize = 50;
/// A walker who has not arrived after this long asks to walk there once more.
const LATE: Duration = Duration::from_secs(3);
/// Between two moves of a zone: less than the time for which its old home forwards.
const MOVES_EVERY: Duration = Duration::from_millis(1_700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_crossings_lose_nothing() {
    let world = World::start().await;
    // Those furthest north see a third zone too, which has no rest meanwhile.
    let walked = tokio::select! {
        walked = walk_all(&world) => walked,
        () = send_to_and_fro(&world, 3) => unreachable!("it goes on for ever"),
    };
    let Walk { mut gaps, mut ordinary, told, out_of_sight, asked_again, put_back, .. } = walked;
    assert_eq!(gaps.len(), WALKERS * LEGS, "each crossing once");
    assert!(told <= gaps.len(), "{told} events of {} crossings: some came twice", gaps.len());
    let (p50, p99, most) = spread(&mut gaps);
    let count = gaps.len();
    tell(&format!("{count} crossings: own gap p50 {p50} ms, p99 {p99} ms, most {most} ms"));
    let (p50, p99, most) = spread(&mut ordinary);
    tell(&format!("  between other updates: p50 {p50} ms, p99 {p99} ms, most {most} ms"));
    tell(&format!(
        "  the border was closed for a moment {put_back} times; a walker was out of its own sight \
         {out_of_sight} times and asked for its way again {asked_again} times; {told} crossings told \
         as events"
    ));
    let everybody = |_: &_, status: &Status| (status.players() == WALKERS as u64).then_some(());
    world.until("all of them", everybody).await;
}

/// All walkers at once; what they have seen together.
async fn walk_all(world: &World) -> Walk {
    let ready = Arc::new(Barrier::new(WALKERS));
    let walks = (0..WALKERS).map(|number| {
        let gateway = world.gateway(["gateway-1", "gateway-2"][number % 2]);
        let ready = ready.clone();
        tokio::spawn(async move {
            let mut player = Player::new_at(gateway, &format!("Walker{number}")).await;
            // Away from the wolves, each on a way of its own.
            player.go(-8.0, 20.0 + 2.0 * number as f32).await;
            ready.wait().await;
            walk(player).await
        })
    });
    let walks: Vec<_> = walks.collect();
    let mut all = Walk::default();
    for walk in walks {
        all.add(walk.await.expect("a walk to its end"));
    }
    all
}

/// Has the operators move a zone from one server to the other for ever.
async fn send_to_and_fro(world: &World, zone: u64) {
    loop {
        for server in ["zone-1", "zone-2"] {
            // One that is still on its way is left alone.
            let answer = world.send_zone(zone, server).await;
            assert!([200, 409].contains(&answer.status), "{}", answer.body);
            tokio::time::sleep(MOVES_EVERY).await;
        }
    }
}

/// What a walker has seen of itself.
#[derive(Default)]
struct Walk {
    /// Between the last sight of oneself in one zone and the first in the next.
    gaps: Vec<Duration>,
    /// Between two sights of oneself in one zone.
    ordinary: Vec<Duration>,
    last: Option<(u32, Instant)>,
    /// Zone changes told as events.
    told: usize,
    /// How often no zone showed oneself for a moment.
    out_of_sight: usize,
    /// How often one had to ask for a way a second time.
    asked_again: usize,
    /// How often a crossing did not come about.
    put_back: usize,
}

impl Walk {
    fn add(&mut self, other: Self) {
        self.gaps.extend(other.gaps);
        self.ordinary.extend(other.ordinary);
        self.told += other.told;
        self.out_of_sight += other.out_of_sight;
        self.asked_again += other.asked_again;
        self.put_back += other.put_back;
    }

    fn note(&mut self, player: &Player, event: &Event) {
        let me = player.id;
        match event {
            Event::Game(game)
                if game.kind() == EventKind::EventZoneChange && game.actor_id == me.0 =>
            {
                self.told += 1;
            }
            Event::SyncPositions(sync) => {
                let Some(seen) = player.view().get(me) else { return };
                let handle = seen.about.handle as u16;
                let of_me = |record: &u64| PackedPosition(*record).handle().0 == handle;
                if sync.zone_id == seen.about.zone_id && sync.records.iter().any(of_me) {
                    self.sight(sync.zone_id);
                }
            }
            Event::EntityEnter(entity) if entity.entity_id == me.0 => self.sight(entity.zone_id),
            Event::EntityLeave(leave)
                if leave.entity_id == me.0 && player.view().get(me).is_none() =>
            {
                self.out_of_sight += 1;
            }
            Event::Correction(_) => self.put_back += 1,
            Event::Disconnect(notice) => panic!("{} was sent away: {notice:?}", player.name),
            _ => {}
        }
    }

    /// One's own place is told, by this zone.
    fn sight(&mut self, zone: u32) {
        let now = tick::now();
        match self.last.replace((zone, now)) {
            Some((before, at)) if before == zone => self.ordinary.push(now - at),
            Some((_, at)) => self.gaps.push(now - at),
            None => {}
        }
    }

    /// Standing still counts as no gap.
    fn pause(&mut self) {
        if let Some((_, at)) = &mut self.last {
            *at = tick::now();
        }
    }
}

/// Walks to and fro over the border; what is one's own must be there afterwards.
async fn walk(mut player: Player) -> Walk {
    player.accept_quest("trophies").await.unwrap();
    player.use_skill("sprint", None).await.unwrap();
    let potion = player.inventory().await.unwrap().items[0].clone();
    player.use_item(throng::ids::ItemId(potion.item_id)).await.unwrap();
    let before = belongings(&mut player).await;
    let (y, mut walk) = (player.place().y, Walk::default());
    player.so_far().await;
    for leg in 0..LEGS {
        let goal = Point { x: if leg % 2 == 0 { 8.0 } else { -8.0 }, y };
        player.move_to(goal.x, goal.y).await.unwrap();
        walk.pause();
        let mut asked = tick::now();
        let name = player.name.clone();
        within(&format!("{name}: leg {leg}"), async {
            loop {
                let seen = player.view().get(player.id);
                let there = seen.is_some_and(|seen| seen.newest.at.distance(goal) < 0.5);
                if there && walk.gaps.len() > leg {
                    return;
                }
                let event = player.next().await.unwrap_or_else(|e| panic!("{name}: {e}"));
                walk.note(&player, &event);
                let late = asked.elapsed() > LATE;
                if late || matches!(event, Event::Correction(_)) {
                    walk.asked_again += usize::from(late);
                    asked = tick::now();
                    player.move_to(goal.x, goal.y).await.unwrap();
                }
            }
        })
        .await;
        assert_eq!(walk.gaps.len(), leg + 1, "{name} has crossed once");
    }
    assert_eq!(belongings(&mut player).await, before, "{} has all that it had", player.name);
    let again = refusal(player.use_skill("sprint", None).await);
    assert_eq!(again, ErrorCode::ErrorCooldown, "pauses go along");
    walk
}

/// Stacks with their ids, gold, and quests with their state.
async fn belongings(
    player: &mut Player,
) -> (Vec<(u64, String, u32)>, u64, Vec<(String, QuestState)>) {
    let inventory = player.inventory().await.unwrap();
    let stacks = inventory.items.into_iter().map(|item| (item.item_id, item.kind, item.quantity));
    let mut stacks: Vec<_> = stacks.collect();
    stacks.sort_unstable();
    let quests = player.quest_log().await.unwrap().quests.into_iter();
    let quests = quests.map(|quest| (quest.quest.clone(), quest.state())).collect();
    (stacks, inventory.gold, quests)
}

/// Half, 99 % and all of them are at most so many milliseconds.
fn spread(times: &mut [Duration]) -> (u128, u128, u128) {
    times.sort_unstable();
    let at = |share: f64| {
        let index = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
        times.get(index - 1).map_or(0, Duration::as_millis)
    };
    (at(0.5), at(0.99), at(1.0))
}
