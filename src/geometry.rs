//! Points, angles and rectangles of the world's plane, in metres and degrees.
//!
//! Pure arithmetic that the world, the protocol and the gateway share.

use serde::{Deserialize, Serialize};

use crate::limits;

/// A place: metres, finite, within ± [`limits::COORDINATE_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// Metres to the east.
    pub x: f32,
    /// Metres to the north.
    pub y: f32,
}

/// Where something stands and which way it looks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose {
    /// Where.
    pub at: Point,
    /// Degrees counter-clockwise from +x, 0 ≤ r < 360.
    pub rotation: f32,
}

/// A half-open rectangle: its lower edges belong to it, its upper ones to its neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rect {
    /// West edge, in.
    pub min_x: f32,
    /// South edge, in.
    pub min_y: f32,
    /// East edge, out.
    pub max_x: f32,
    /// North edge, out.
    pub max_y: f32,
}

impl Point {
    /// The point, if both numbers are finite and inside the world.
    pub fn checked(x: f32, y: f32) -> Option<Self> {
        let fits = |v: f32| v.is_finite() && v.abs() <= limits::COORDINATE_MAX;
        (fits(x) && fits(y)).then_some(Self { x, y })
    }

    /// Square of the distance, m².
    pub fn distance_squared(self, other: Point) -> f32 {
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        dx * dx + dy * dy
    }

    /// Distance, m.
    pub fn distance(self, other: Point) -> f32 {
        self.distance_squared(other).sqrt()
    }

    /// The point `step` metres towards `target`, or `target` itself if that is nearer.
    pub fn towards(self, target: Point, step: f32) -> Point {
        let distance = self.distance(target);
        if distance <= step || distance == 0.0 {
            return target;
        }
        let part = step / distance;
        Point { x: self.x + (target.x - self.x) * part, y: self.y + (target.y - self.y) * part }
    }

    /// The direction of `target` from here, degrees; 0 if it is the same point.
    pub fn heading(self, target: Point) -> f32 {
        normalize_degrees(direction(target.x - self.x, target.y - self.y))
    }
}

impl Rect {
    /// Whether the point belongs to this rectangle.
    pub fn contains(&self, p: Point) -> bool {
        p.x >= self.min_x && p.x < self.max_x && p.y >= self.min_y && p.y < self.max_y
    }

    /// Distance from the point to the rectangle's nearest edge or inside, m; 0 inside.
    pub fn distance(&self, p: Point) -> f32 {
        let dx = (self.min_x - p.x).max(p.x - self.max_x).max(0.0);
        let dy = (self.min_y - p.y).max(p.y - self.max_y).max(0.0);
        (dx * dx + dy * dy).sqrt()
    }

    /// Distance between the nearest points of the two, m; 0 if they touch.
    pub fn gap(&self, other: &Rect) -> f32 {
        let dx = (self.min_x - other.max_x).max(other.min_x - self.max_x).max(0.0);
        let dy = (self.min_y - other.max_y).max(other.min_y - self.max_y).max(0.0);
        (dx * dx + dy * dy).sqrt()
    }

    /// Whether the two share more than an edge.
    pub fn overlaps(&self, other: &Rect) -> bool {
        self.min_x < other.max_x
            && other.min_x < self.max_x
            && self.min_y < other.max_y
            && other.min_y < self.max_y
    }

    /// The point inside that is nearest to `p`, kept a centimetre off the upper edges.
    pub fn clamp(&self, p: Point) -> Point {
        const INSIDE: f32 = 0.01;
        Point {
            x: p.x.clamp(self.min_x, self.max_x - INSIDE),
            y: p.y.clamp(self.min_y, self.max_y - INSIDE),
        }
    }

    /// Width, m.
    pub fn width(&self) -> f32 {
        self.max_x - self.min_x
    }

    /// Height, m.
    pub fn height(&self) -> f32 {
        self.max_y - self.min_y
    }
}

/// The angle of a vector, degrees within ± 180; 0 for one without length.
///
/// Made of nothing but additions, multiplications and divisions, which every machine rounds alike:
/// the standard library's `atan2` is the system's, and its last bits differ from one to another.
fn direction(x: f32, y: f32) -> f32 {
    let (across, along) = (x.abs().min(y.abs()), x.abs().max(y.abs()));
    if along == 0.0 {
        return 0.0;
    }
    let acute = arc_tangent(across / along);
    let right = if y.abs() > x.abs() { 90.0 - acute } else { acute };
    let upper = if x < 0.0 { 180.0 - right } else { right };
    if y < 0.0 { -upper } else { upper }
}

/// The angle whose tangent is `ratio`, 0 to 1; degrees, right to a few units of the last place.
fn arc_tangent(ratio: f32) -> f32 {
    /// The tangent of 22.5°: beyond it the way to 45° is the shorter one.
    const HALF: f32 = 0.414_213_57;
    let (from, ratio) =
        if ratio > HALF { (45.0, (ratio - 1.0) / (ratio + 1.0)) } else { (0.0, ratio) };
    // The polynomial of the Cephes library's atanf.
    let square = ratio * ratio;
    let series = ((8.053_744_5e-2 * square - 1.387_768_6e-1) * square + 1.997_771_1e-1) * square
        - 3.333_295e-1;
    from + (series * square * ratio + ratio) * (180.0 / std::f32::consts::PI)
}

/// The same angle within 0 ≤ r < 360; 0 for what is not finite.
pub fn normalize_degrees(angle: f32) -> f32 {
    let turned = angle.rem_euclid(360.0);
    // rem_euclid of a tiny negative number rounds to 360 itself.
    if turned.is_finite() && turned < 360.0 { turned } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_no_point() {
        let west = Rect { min_x: 0.0, min_y: 0.0, max_x: 10.0, max_y: 10.0 };
        let east = Rect { min_x: 10.0, max_x: 20.0, ..west };
        let border = Point { x: 10.0, y: 5.0 };
        assert!(!west.contains(border) && east.contains(border));
        assert!(!west.overlaps(&east));
        assert!(west.contains(west.clamp(border)));
    }

    #[test]
    fn the_gap_is_between_the_nearest_points() {
        let west = Rect { min_x: 0.0, min_y: 0.0, max_x: 10.0, max_y: 10.0 };
        let moved = |x, y| Rect { min_x: x, min_y: y, max_x: x + 5.0, max_y: y + 5.0 };
        for (other, gap) in
            [((10.0, 0.0), 0.0), ((2.0, 2.0), 0.0), ((13.0, 4.0), 3.0), ((-8.0, -9.0), 5.0)]
        {
            let other = moved(other.0, other.1);
            assert_eq!((west.gap(&other), other.gap(&west)), (gap, gap), "{other:?}");
        }
    }

    #[test]
    fn angles_stay_in_one_turn() {
        for (given, wanted) in [(360.0, 0.0), (-90.0, 270.0), (725.0, 5.0), (f32::NAN, 0.0)] {
            assert_eq!(normalize_degrees(given), wanted);
        }
        assert_eq!(normalize_degrees(-1e-9), 0.0);
    }

    #[test]
    fn a_heading_is_the_angle_of_the_way() {
        let here = Point { x: -3.0, y: 7.0 };
        for (dx, dy, wanted) in
            [(5.0, 0.0, 0.0), (0.0, 2.0, 90.0), (-1.0, 0.0, 180.0), (0.0, -9.0, 270.0)]
        {
            assert_eq!(here.heading(Point { x: here.x + dx, y: here.y + dy }), wanted);
        }
        assert_eq!(here.heading(here), 0.0);
        let far = limits::COORDINATE_MAX;
        for step in 0..3_600 {
            let angle = f64::from(step) / 10.0;
            let (sin, cos) = angle.to_radians().sin_cos();
            for length in [0.001, 1.0, f64::from(far)] {
                let to = Point { x: (cos * length) as f32, y: (sin * length) as f32 };
                let off = (f64::from(Point::default().heading(to)) - angle).abs();
                assert!(off.min(360.0 - off) < 1e-4, "{angle}° at {length} m: off by {off}");
            }
        }
    }

    #[test]
    fn a_point_outside_the_world_is_no_point() {
        assert!(Point::checked(f32::NAN, 0.0).is_none());
        assert!(Point::checked(0.0, f32::INFINITY).is_none());
        assert!(Point::checked(65_537.0, 0.0).is_none());
        assert!(Point::checked(-65_536.0, 65_536.0).is_some());
    }
}
