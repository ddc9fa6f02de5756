//! Which building a `building:part` belongs to: the one in whose outline it lies.
//!
//! A part costs some 80 bytes while the file is read.

use glam::DVec3;
use groundline_engine::model::Polygon;

use crate::feature::is_inside;

/// A way or a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub is_relation: bool,
    pub id: i64,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", if self.is_relation { "relation" } else { "way" }, self.id)
    }
}

/// Parts that are remembered; further ones are drawn together with the outline that they lie in.
const MAX_PARTS: usize = 4_000_000;

/// All parts of a file.
#[derive(Default)]
pub(super) struct Parts {
    /// Sorted by x once settled.
    list: Vec<PartAt>,
    by_key: Vec<(Key, u32)>,
}

struct PartAt {
    x: f64,
    y: f64,
    key: Key,
    outline: Option<Key>,
}

impl Parts {
    /// Adds a part; `false` when there are too many.
    pub fn add(&mut self, key: Key, polygons: &[Polygon]) -> bool {
        if self.list.len() >= MAX_PARTS {
            return false;
        }
        if let Some(place) = polygons.first().and_then(inner_place) {
            self.list.push(PartAt { x: place.x, y: place.y, key, outline: None });
        }
        true
    }

    /// Sorts them, after the last.
    pub fn settle(&mut self) {
        self.list.sort_by(|a, b| a.x.total_cmp(&b.x).then(a.key.cmp(&b.key)));
        self.by_key = self.list.iter().enumerate().map(|(at, part)| (part.key, at as u32)).collect();
        self.by_key.sort_unstable();
    }

    /// Gives the parts inside an outline to it; says whether there are any.
    pub fn claim(&mut self, outline: Key, polygons: &[Polygon]) -> bool {
        let mut is_any = false;
        for polygon in polygons {
            let (low, high) = polygon
                .outer
                .iter()
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v.x), high.max(v.x)));
            let from = self.list.partition_point(|part| part.x < low);
            for part in self.list[from..].iter_mut().take_while(|part| part.x <= high) {
                let place = DVec3::new(part.x, part.y, 0.0);
                if is_inside(place, &polygon.outer) && !polygon.holes.iter().any(|hole| is_inside(place, hole)) {
                    part.outline = Some(outline);
                    is_any = true;
                }
            }
        }
        is_any
    }

    /// The outline that a part was given to.
    pub fn outline_of(&self, key: Key) -> Option<Key> {
        let at = self.by_key.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        self.list.get(self.by_key[at].1 as usize)?.outline
    }
}

/// A place inside a polygon: the middle of the widest stretch of a line across it.
fn inner_place(polygon: &Polygon) -> Option<DVec3> {
    let rings = || std::iter::once(&polygon.outer).chain(&polygon.holes);
    let (low, high) =
        polygon.outer.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v.y), high.max(v.y)));
    // Not quite the middle, where vertices of symmetric houses are.
    let y = low + (high - low) * 0.487;
    let mut crossings: Vec<f64> = Vec::new();
    for ring in rings() {
        let next = ring.iter().cycle().skip(1);
        for (a, b) in ring.iter().zip(next) {
            if (a.y > y) != (b.y > y) {
                crossings.push(a.x + (b.x - a.x) * (y - a.y) / (b.y - a.y));
            }
        }
    }
    crossings.sort_by(f64::total_cmp);
    let widest = crossings.chunks_exact(2).max_by(|a, b| (a[1] - a[0]).total_cmp(&(b[1] - b[0])))?;
    Some(DVec3::new((widest[0] + widest[1]) / 2.0, y, 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64, y: f64, size: f64) -> Polygon {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        Polygon { outer: corners.map(|(u, v)| DVec3::new(x + u * size, y + v * size, 0.0)).to_vec(), holes: vec![] }
    }

    #[test]
    fn parts_find_the_outline_around_them() {
        let way = |id| Key { is_relation: false, id };
        let relation = Key { is_relation: true, id: 1 };
        let mut parts = Parts::default();
        parts.add(way(1), &[square(1.0, 1.0, 1.0)]);
        parts.add(relation, &[square(8.0, 8.0, 1.0)]);
        parts.add(way(3), &[square(100.0, 1.0, 1.0)]);
        parts.settle();
        assert!(parts.claim(way(10), &[square(0.0, 0.0, 10.0)]));
        assert!(!parts.claim(way(11), &[square(20.0, 0.0, 10.0)]));
        let found = [way(1), relation, way(3), way(4)].map(|key| parts.outline_of(key));
        assert_eq!(found, [Some(way(10)), Some(way(10)), None, None]);
    }
}
