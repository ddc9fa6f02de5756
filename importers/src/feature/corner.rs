//! Evidence that longitude and latitude stand in the wrong order.
//!
//! Buildings have right angles. In degrees a right angle survives only if the shrinking of longitude by the cosine of
//! the latitude is applied to the right axis, so the corners of some hundred footprints tell which one that is.

use glam::{DVec2, DVec3};

use super::Shape;

/// Corners that are looked at; more tell nothing new.
const ENOUGH: u32 = 4000;
/// Fewer tell nothing.
const TOO_FEW: u32 = 200;
/// Within this of 90°, a corner is right.
const TOLERANCE_DEG: f64 = 4.0;

/// Counts right angles with x as longitude and with y as longitude.
#[derive(Debug, Default)]
pub(super) struct Corners {
    seen: u32,
    right: u32,
    right_if_swapped: u32,
}

impl Corners {
    /// Looks at the corners of the polygons, still in degrees.
    pub fn count(&mut self, shape: &Shape) {
        if self.seen >= ENOUGH {
            return;
        }
        for ring in shape.polygons.iter().map(|p| &p.outer) {
            let n = ring.len();
            for i in 0..n {
                let (a, b, c) = (ring[i], ring[(i + 1) % n], ring[(i + 2) % n]);
                if a == b || b == c {
                    continue;
                }
                let as_is = angle_deg(a, b, c, DVec2::new(b.y.to_radians().cos(), 1.0));
                let swapped = angle_deg(a, b, c, DVec2::new(1.0, b.x.to_radians().cos()));
                // A vertex in a straight wall is no corner either way.
                if !(40.0..140.0).contains(&as_is) && !(40.0..140.0).contains(&swapped) {
                    continue;
                }
                let is_right = |angle: f64| u32::from((angle - 90.0).abs() < TOLERANCE_DEG);
                self.seen += 1;
                self.right += is_right(as_is);
                self.right_if_swapped += is_right(swapped);
            }
        }
    }

    /// Whether more corners would tell nothing new.
    pub fn has_enough(&self) -> bool {
        self.seen >= ENOUGH
    }

    /// Adds what others counted.
    pub fn merge(&mut self, other: &Corners) {
        self.seen += other.seen;
        self.right += other.right;
        self.right_if_swapped += other.right_if_swapped;
    }

    /// The sentence to warn with, where the corners speak clearly against the order as it is.
    pub fn verdict(&self) -> Option<String> {
        let share = |count: u32| f64::from(count) / f64::from(self.seen);
        let is_clear = self.seen >= TOO_FEW
            && share(self.right_if_swapped) > 0.5
            && share(self.right_if_swapped) > 1.5 * share(self.right);
        is_clear.then(|| {
            format!(
                "latitude seems to stand before longitude: of {} building corners {:.0} % are right angles as the file \
                 has them and {:.0} % with x and y exchanged; if so give --map axes=yx",
                self.seen,
                share(self.right) * 100.0,
                share(self.right_if_swapped) * 100.0
            )
        })
    }
}

fn angle_deg(a: DVec3, b: DVec3, c: DVec3, scale: DVec2) -> f64 {
    let [to, from] = [a, c].map(|v| (v - b).truncate() * scale);
    to.angle_to(from).abs().to_degrees()
}

#[cfg(test)]
mod tests {
    use groundline_engine::model::Polygon;

    use super::*;

    /// Turned rectangles at 52.5° north, 13.4° east.
    fn houses(is_swapped: bool) -> Corners {
        let mut corners = Corners::default();
        for i in 0..100 {
            let turn = DVec2::from_angle(0.2 + f64::from(i) * 0.05);
            let ring = [(0.0, 0.0), (1.0, 0.0), (1.0, 0.6), (0.0, 0.6)].map(|(x, y)| {
                let metres = turn.rotate(DVec2::new(x, y)) * 2e-4;
                let (lon, lat) = (13.4 + metres.x / 52.5_f64.to_radians().cos(), 52.5 + metres.y);
                if is_swapped { DVec3::new(lat, lon, 0.0) } else { DVec3::new(lon, lat, 0.0) }
            });
            let polygon = Polygon { outer: ring.to_vec(), holes: vec![] };
            corners.count(&Shape { polygons: vec![polygon], ..Shape::default() });
        }
        corners
    }

    #[test]
    fn right_angles_give_swapped_axes_away() {
        assert_eq!(houses(false).verdict(), None);
        let message = houses(true).verdict().unwrap();
        assert!(message.contains("axes=yx") && message.contains("100 %"), "{message}");
    }
}
