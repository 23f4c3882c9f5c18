//! What a zone costs: the frame, the grid with its visible sets, and the tick itself.
//!
//! `cargo bench --bench world`

#![expect(clippy::expect_used, reason = "a bench may end at once when its world is wrong")]

use std::sync::Arc;

use divan::Bencher;
use throng::geometry::{Point, Pose, Rect};
use throng::ids::{Epoch, PlayerId, ZoneId};
use throng::world::World;
use throng::world::command::{Action, Command, PlayerState};
use throng::world::content::{Content, NpcSpawn};
use throng::world::grid::Grid;
use throng::world::interest::{Look, View};

const ZONE: ZoneId = ZoneId(2);

fn main() {
    divan::main();
}

/// The default Darkwood with `npcs` wolves more and `players` who walk across it.
fn busy_zone(players: u64, npcs: u32) -> World {
    let mut content = Content::standard();
    let zone = content.zones.iter_mut().find(|zone| zone.id == ZONE).expect("there is a Darkwood");
    let bounds = zone.bounds;
    let at = Point { x: 450.0, y: 250.0 };
    if npcs > 0 {
        let spawn =
            NpcSpawn { kind: "wolf".into(), at, radius: 600.0, count: npcs, patrol: vec![] };
        zone.npcs.push(spawn);
    }
    let mut world = World::new(ZONE, Arc::new(content), 1, 1);
    for index in 0..players {
        let state = player(index + 1, place(&bounds, index));
        world.apply(Command::Enter { state: Box::new(state) });
        send(&mut world, index, &bounds, 0);
    }
    world
}

/// Spreads numbers evenly and without a pattern.
fn place(bounds: &Rect, index: u64) -> Point {
    let part = |by: f64| (index as f64 * by).fract() as f32;
    Point {
        x: bounds.min_x + part(0.754_877_666) * (bounds.width() - 1.0),
        y: bounds.min_y + part(0.569_840_296) * (bounds.height() - 1.0),
    }
}

/// Lets a player walk to another place, so that it never stands still.
fn send(world: &mut World, index: u64, bounds: &Rect, round: u64) {
    let to = place(bounds, index + 7_919 * (round + 1));
    let action = Action::MoveTo { x: to.x, y: to.y };
    world.apply(Command::Act { player: PlayerId(index + 1), request: 1, action });
}

fn player(id: u64, at: Point) -> PlayerState {
    PlayerState {
        id: PlayerId(id),
        name: format!("player{id}").into(),
        epoch: Epoch(1),
        zone: ZONE,
        pose: Pose { at, rotation: 0.0 },
        level: 1,
        experience: 0,
        health: 100,
        power: 100,
        gold: 0,
        inventory: vec![],
        quests: vec![],
        timers: vec![],
    }
}

/// A tick with everybody under way, frame included.
#[divan::bench(args = [(1_000, 0), (5_000, 0), (100, 10_000), (1_000, 10_000)])]
fn tick(bencher: Bencher, (players, npcs): (u64, u32)) {
    let mut world = busy_zone(players, npcs);
    let bounds = Content::standard().zone(ZONE).expect("there is a Darkwood").bounds;
    let mut round = 0;
    bencher.bench_local(|| {
        round += 1;
        // A twentieth of them chooses anew, as if each did once a second.
        for index in (round % 20..players).step_by(20) {
            send(&mut world, index, &bounds, round);
        }
        world.step();
        world.drain_effects();
        world.frame().frame.len()
    });
}

/// The frame alone.
#[divan::bench(args = [1_000, 5_000])]
fn frame(bencher: Bencher, players: u64) {
    let mut world = busy_zone(players, 0);
    world.step();
    bencher.bench_local(|| world.frame().frame.len());
}

/// Sorting places into the grid.
#[divan::bench(args = [1_000, 5_000])]
fn grid(bencher: Bencher, count: u64) {
    let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 500.0, max_y: 900.0 };
    let points: Vec<Point> = (0..count).map(|index| place(&bounds, index)).collect();
    let mut grid = Grid::over(bounds);
    bencher.bench_local(|| grid.sort(&points).len());
}

/// The visible sets of everybody in a zone, each with its positions chosen.
#[divan::bench(args = [1_000, 5_000])]
fn visible_sets(bencher: Bencher, players: u64) {
    let mut world = busy_zone(players, 0);
    world.step();
    let frame = world.frame().frame;
    let eyes: Vec<Point> = frame.at.clone();
    let mut views: Vec<View> = (0..eyes.len()).map(|salt| View::new(&frame, salt)).collect();
    let mut look = Look::default();
    bencher.bench_local(|| {
        let mut told = 0;
        for (view, eye) in views.iter_mut().zip(&eyes) {
            view.fold(&frame, *eye, usize::MAX, &mut look);
            view.tell(&frame, &mut look, 400, |_| told += 1);
        }
        told
    });
}
