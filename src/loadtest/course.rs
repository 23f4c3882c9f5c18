//! Where bots walk: each in a circle of its own around its post, at a steady pace that the server
//! accepts, and so that no two of its steps end on the same centimetre.

use std::f32::consts::TAU;

use super::options::{Options, Scenario};
use crate::geometry::{Point, Pose, Rect};
use crate::limits;

/// Pace in circles, m/s; a player may do 5.
const PACE: f32 = 4.0;
/// Pace on the way to the post, m/s.
const HURRY: f32 = 4.8;
/// The same where a server of the run's own lets players go faster.
pub(super) const HURRY_FAST: f32 = 40.0;
/// Longest time that a step stands for, s: within what the server allows at once.
const STEP_SECONDS: f32 = 0.39;
/// Smallest and largest circle, m.
const RADII: (f32, f32) = (1.5, 4.5);
/// Distance between two groups' posts, m: members of different groups, at most a circle away
/// from their posts, never see each other.
const GROUPS_APART: f32 = limits::LEAVE_RADIUS + 2.0 * RADII.1 + 2.0;
/// How far a crowd's posts are from its middle, m; its outermost members still see each other.
const CROWD_RADIUS: f32 = 18.0;
/// Distance of posts from the zone's border, m.
const MARGIN: f32 = 10.0;
/// The golden angle, radians: each next one falls into the widest gap.
const GOLDEN: f32 = 2.399_963;

/// One bot's way.
#[derive(Debug, Clone)]
pub struct Course {
    at: Point,
    post: Point,
    radius: f32,
    phase: f32,
    hurry: f32,
    arrived: bool,
}

impl Course {
    /// Sets out from `at`, at `hurry` metres a second if given, to circle around `post`.
    pub fn new(at: Point, post: Point, bot: usize, hurry: Option<f32>) -> Self {
        // Irrational shares, so that no two bots walk in step.
        let share = (bot as f32 * 0.618_034).fract();
        let hurry = hurry.unwrap_or(HURRY);
        let radius = RADII.0 + (RADII.1 - RADII.0) * share;
        Self { at, post, radius, phase: (bot as f32 * GOLDEN) % TAU, hurry, arrived: false }
    }

    /// Whether the circle has been reached.
    pub fn arrived(&self) -> bool {
        self.arrived
    }

    /// The server says the bot is here.
    pub fn put(&mut self, at: Point) {
        self.at = at;
        self.arrived = false;
    }

    /// The next step's end, with `rate` steps a second.
    pub fn step(&mut self, rate: f32) -> Pose {
        let from = self.at;
        if self.arrived {
            self.phase = (self.phase + self.length(PACE, rate) / self.radius) % TAU;
            self.at = self.goal();
        } else {
            let (goal, length) = (self.goal(), self.length(self.hurry, rate));
            self.at = from.towards(goal, length);
            self.arrived = self.at == goal;
        }
        Pose { at: self.at, rotation: from.heading(self.at) }
    }

    fn goal(&self) -> Point {
        let (sin, cos) = self.phase.sin_cos();
        Point { x: self.post.x + self.radius * cos, y: self.post.y + self.radius * sin }
    }

    fn length(&self, pace: f32, rate: f32) -> f32 {
        pace * (1.0 / rate).min(STEP_SECONDS)
    }
}

/// The posts of all bots.
#[derive(Debug)]
pub struct Posts {
    /// What they lie around.
    pub middle: Point,
    /// By bot.
    pub places: Vec<Point>,
    /// Whether groups are out of each other's sight there.
    pub isolated: bool,
}

impl Posts {
    /// Those around `middle`.
    pub fn around(options: &Options, middle: Point, zone: &Rect) -> Self {
        let (places, isolated) = posts(options, middle, zone);
        Self { middle, places, isolated }
    }
}

fn posts(options: &Options, middle: Point, zone: &Rect) -> (Vec<Point>, bool) {
    let clients = options.clients as usize;
    if matches!(options.scenario, Scenario::Crowd | Scenario::Fight) {
        let inner = Rect {
            min_x: zone.min_x + CROWD_RADIUS + MARGIN,
            min_y: zone.min_y + CROWD_RADIUS + MARGIN,
            max_x: zone.max_x - CROWD_RADIUS - MARGIN,
            max_y: zone.max_y - CROWD_RADIUS - MARGIN,
        };
        let middle =
            if inner.width() > 0.0 && inner.height() > 0.0 { inner.clamp(middle) } else { middle };
        let post = |bot: usize| {
            let distance = CROWD_RADIUS * ((bot as f32 + 0.5) / clients as f32).sqrt();
            let (sin, cos) = (bot as f32 * GOLDEN).sin_cos();
            Point { x: middle.x + distance * cos, y: middle.y + distance * sin }
        };
        return ((0..clients).map(post).collect(), true);
    }
    let groups = clients.div_ceil(options.group as usize);
    let mut apart = GROUPS_APART;
    let centres = loop {
        let centres = honeycomb(middle, apart, zone, groups);
        if centres.len() == groups || apart < 1.0 {
            break centres;
        }
        apart *= 0.9;
    };
    let centre = |bot: usize| {
        let group = bot / options.group as usize;
        // A zone too small for anything: everybody in its middle.
        centres.get(group).copied().unwrap_or(middle)
    };
    ((0..clients).map(centre).collect(), apart == GROUPS_APART)
}

/// The `count` points of a honeycomb around `middle` that are nearest to it and inside the zone.
fn honeycomb(middle: Point, apart: f32, zone: &Rect, count: usize) -> Vec<Point> {
    let inside = Rect {
        min_x: zone.min_x + MARGIN,
        min_y: zone.min_y + MARGIN,
        max_x: zone.max_x - MARGIN,
        max_y: zone.max_y - MARGIN,
    };
    let reach = zone.width().max(zone.height());
    // Enough rings for the count even if the middle is in a corner, and no more than fit.
    let rings = ((reach / apart) as i32 + 2).min((count as f32 * 4.0).sqrt() as i32 + 4);
    let mut points = Vec::new();
    for row in -rings..=rings {
        for column in -rings..=rings {
            let shift = if row % 2 == 0 { 0.0 } else { apart / 2.0 };
            let point = Point {
                x: middle.x + column as f32 * apart + shift,
                y: middle.y + row as f32 * apart * 3.0f32.sqrt() / 2.0,
            };
            if inside.contains(point) {
                points.push(point);
            }
        }
    }
    points.sort_by(|a, b| a.distance_squared(middle).total_cmp(&b.distance_squared(middle)));
    points.truncate(count);
    points
}

#[cfg(test)]
mod tests {
    use super::super::options::for_test;
    use super::*;

    const ZONE: Rect = Rect { min_x: -500.0, min_y: -500.0, max_x: 500.0, max_y: 500.0 };

    #[test]
    fn groups_of_a_wander_see_only_themselves() {
        let options = for_test(&["--clients", "500"]);
        let (posts, isolated) = posts(&options, Point { x: 400.0, y: 0.0 }, &ZONE);
        assert!(isolated);
        for (bot, post) in posts.iter().enumerate() {
            assert!(ZONE.contains(*post));
            let (mine, other) = (posts[bot / 50 * 50], posts[(bot + 50) % 500]);
            assert_eq!(*post, mine);
            assert!(post.distance(other) > limits::LEAVE_RADIUS + 2.0 * RADII.1);
        }
    }

    #[test]
    fn a_zone_too_small_for_isolation_says_so() {
        let options = for_test(&["--clients", "5000"]);
        let small = Rect { min_x: 0.0, min_y: 0.0, max_x: 200.0, max_y: 200.0 };
        let (posts, isolated) = posts(&options, Point { x: 100.0, y: 100.0 }, &small);
        assert!(!isolated);
        assert!(posts.iter().all(|post| small.contains(*post)));
    }

    #[test]
    fn a_crowd_is_in_view_of_itself() {
        let options = for_test(&["--clients", "300", "--scenario", "crowd"]);
        let (posts, _) = posts(&options, Point::default(), &ZONE);
        for a in &posts {
            for b in &posts {
                assert!(a.distance(*b) + 2.0 * RADII.1 < limits::VIEW_RADIUS);
            }
        }
    }

    #[test]
    fn each_step_is_within_the_pace_and_ends_on_another_centimetre() {
        for (bot, rate) in [(0, 10.0), (7, 20.0), (33, 2.0), (12, 1.0)] {
            let mut course = Course::new(Point::default(), Point { x: 60.0, y: 3.0 }, bot, None);
            let (mut last, mut seen) = (Point::default(), std::collections::VecDeque::new());
            for _ in 0..2_000 {
                let at = course.step(rate).at;
                assert!(last.distance(at) <= 5.0 * (1.0 / rate).min(STEP_SECONDS) + 0.001);
                let place = ((at.x * 100.0).round() as i32, (at.y * 100.0).round() as i32);
                assert_ne!(Some(&place), seen.back());
                seen.push_back(place);
                last = at;
            }
            assert!(course.arrived());
            course.put(Point { x: -50.0, y: 0.0 });
            assert!(
                course.step(rate).at.distance(Point { x: -50.0, y: 0.0 }) <= 5.0 * STEP_SECONDS
            );
        }
    }
}
