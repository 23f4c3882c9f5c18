//! The uniform grid over a zone: which entities are in which cell, by a counting sort.
//!
//! Built once for each frame; the gateway reads runs of neighbouring cells from it. A row of cells
//! is contiguous, so a circle costs one run for each row it touches.

use std::ops::Range;

use crate::geometry::{Point, Rect};
use crate::limits::CELL_SIZE;

/// Cells over a rectangle and, after a sort, the range of sorted places in each.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    origin: Point,
    cell_size: f32,
    columns: u32,
    rows: u32,
    /// `starts[c]..starts[c + 1]` are the sorted places of cell `c`.
    starts: Vec<u32>,
}

impl Grid {
    /// An empty grid over `bounds`. Zones that would need more than a million cells get larger
    /// ones.
    pub fn over(bounds: Rect) -> Self {
        const CELLS_MAX: f32 = 1_000_000.0;
        let area = (bounds.width() / CELL_SIZE).ceil() * (bounds.height() / CELL_SIZE).ceil();
        let cell_size =
            if area > CELLS_MAX { CELL_SIZE * (area / CELLS_MAX).sqrt() } else { CELL_SIZE };
        let columns = (bounds.width() / cell_size).ceil().max(1.0) as u32;
        let rows = (bounds.height() / cell_size).ceil().max(1.0) as u32;
        let starts = vec![0; (columns * rows) as usize + 1];
        Self {
            origin: Point { x: bounds.min_x, y: bounds.min_y },
            cell_size,
            columns,
            rows,
            starts,
        }
    }

    fn column(&self, x: f32) -> u32 {
        // A float to integer cast saturates: what lies outside counts to the edge cells.
        (((x - self.origin.x) / self.cell_size) as u32).min(self.columns - 1)
    }

    fn row(&self, y: f32) -> u32 {
        (((y - self.origin.y) / self.cell_size) as u32).min(self.rows - 1)
    }

    fn cell(&self, p: Point) -> usize {
        (self.row(p.y) * self.columns + self.column(p.x)) as usize
    }

    /// Sorts points into the grid: `place(i)` of the result is where the `i`th point goes. Equal
    /// cells keep the given order, so the result is the same on any machine.
    pub fn sort(&mut self, points: &[Point]) -> Vec<u32> {
        let cells: Vec<u32> = points.iter().map(|p| self.cell(*p) as u32).collect();
        self.starts.fill(0);
        for &cell in &cells {
            self.starts[cell as usize + 1] += 1;
        }
        for cell in 1..self.starts.len() {
            self.starts[cell] += self.starts[cell - 1];
        }
        let mut next = self.starts.clone();
        let mut places = Vec::with_capacity(points.len());
        for &cell in &cells {
            places.push(next[cell as usize]);
            next[cell as usize] += 1;
        }
        places
    }

    /// The runs of sorted places whose cells come within `radius` of `center`: one for each row.
    pub fn runs(&self, center: Point, radius: f32) -> impl Iterator<Item = Range<usize>> + '_ {
        let (west, east) = (self.column(center.x - radius), self.column(center.x + radius));
        let (south, north) = (self.row(center.y - radius), self.row(center.y + radius));
        (south..=north).filter_map(move |row| {
            let first = (row * self.columns + west) as usize;
            let last = (row * self.columns + east) as usize;
            let run = self.starts[first] as usize..self.starts[last + 1] as usize;
            (!run.is_empty()).then_some(run)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Rect = Rect { min_x: -500.0, min_y: 0.0, max_x: 500.0, max_y: 300.0 };

    proptest! {
        #[test]
        fn no_point_within_the_radius_is_missed(
            points in prop::collection::vec((-500.0f32..500.0, 0.0f32..300.0), 0..200),
            center in (-600.0f32..600.0, -100.0f32..400.0),
            radius in 0.0f32..120.0,
        ) {
            let points: Vec<Point> = points.into_iter().map(|(x, y)| Point { x, y }).collect();
            let center = Point { x: center.0, y: center.1 };
            let mut grid = Grid::over(BOUNDS);
            let places = grid.sort(&points);
            let mut seen = places.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..points.len() as u32).collect::<Vec<_>>());
            let found: Vec<usize> = grid.runs(center, radius).flatten().collect();
            for (point, place) in points.iter().zip(&places) {
                if point.distance(center) <= radius {
                    prop_assert!(found.contains(&(*place as usize)));
                }
            }
            let mut once = found.clone();
            once.dedup();
            prop_assert_eq!(once.len(), found.len(), "no place comes twice");
        }
    }

    #[test]
    fn a_huge_zone_gets_larger_cells() {
        let side = 10_000.0;
        let grid = Grid::over(Rect { min_x: 0.0, min_y: 0.0, max_x: side, max_y: side * 10.0 });
        assert!(grid.starts.len() < 1_100_000);
    }
}
