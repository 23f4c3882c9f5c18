//! Who is near a place: the grid over the entities of one kind, for NPCs that look around and
//! spells that burst.
//!
//! Built at most once a tick and only asked within it; it never says more than where things were
//! when it was built.

use crate::geometry::{Point, Rect};
use crate::world::entity::Handle;
use crate::world::grid::Grid;

/// Handles and places, sorted by grid cell.
#[derive(Debug)]
pub(super) struct Nearby {
    grid: Grid,
    sorted: Vec<(Handle, Point)>,
    /// Kept between builds for their memory.
    given: Vec<(Handle, Point)>,
    points: Vec<Point>,
}

impl Nearby {
    /// Nobody, over `bounds`.
    pub fn over(bounds: Rect) -> Self {
        Self { grid: Grid::over(bounds), sorted: Vec::new(), given: Vec::new(), points: Vec::new() }
    }

    /// Forgets who was there and takes `all` in.
    pub fn rebuild(&mut self, all: impl Iterator<Item = (Handle, Point)>) {
        self.given.clear();
        self.given.extend(all);
        self.sorted.clear();
        self.sorted.extend_from_slice(&self.given);
        if self.given.is_empty() {
            return;
        }
        self.points.clear();
        self.points.extend(self.given.iter().map(|(_, at)| *at));
        for (entry, place) in self.given.iter().zip(self.grid.sort(&self.points)) {
            self.sorted[place as usize] = *entry;
        }
    }

    /// Whether nobody is there at all.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Those within `radius` metres of `center`, in grid order.
    pub fn within(&self, center: Point, radius: f32) -> impl Iterator<Item = (Handle, Point)> + '_ {
        let runs = (!self.is_empty()).then(|| self.grid.runs(center, radius));
        runs.into_iter()
            .flatten()
            .flat_map(|run| &self.sorted[run])
            .filter(move |(_, at)| at.distance_squared(center) <= radius * radius)
            .copied()
    }

    /// The nearest within `radius` metres; of equally near ones that with the lowest handle.
    pub fn nearest(&self, center: Point, radius: f32) -> Option<Handle> {
        self.within(center, radius)
            .min_by(|(a, at), (b, bt)| {
                let (a_far, b_far) = (at.distance_squared(center), bt.distance_squared(center));
                a_far.total_cmp(&b_far).then(a.cmp(b))
            })
            .map(|(handle, _)| handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_and_nobody_is_kept_from_before() {
        let bounds = Rect { min_x: 0.0, min_y: 0.0, max_x: 100.0, max_y: 100.0 };
        let mut nearby = Nearby::over(bounds);
        let at = |x: f32| Point { x, y: 50.0 };
        assert_eq!(nearby.nearest(at(1.0), 100.0), None);
        nearby.rebuild([(Handle(1), at(90.0)), (Handle(2), at(30.0))].into_iter());
        assert_eq!(nearby.nearest(at(50.0), 60.0), Some(Handle(2)));
        assert_eq!(nearby.nearest(at(50.0), 19.0), None);
        nearby.rebuild(std::iter::empty());
        assert!(nearby.is_empty() && nearby.nearest(at(50.0), 60.0).is_none());
    }
}
