//! A building of components as one block (体块): what is seen of a BIM from afar, and all that is seen of it where blocks are wanted.
//!
//! While components come, the lowest and highest of their surfaces over each cell of a grid in plan are kept. At the end the cells
//! that hang together become a few prisms one upon the other: as many heights as it takes to be near the surfaces. By how much they
//! differ is measured, and goes into the tile's error.

use std::collections::{BTreeMap, HashMap, HashSet};

use glam::{DVec2, DVec3};
use serde::{Deserialize, Serialize};

use crate::{
    model::{Block, CityObject, Mesh, Polygon, Stage},
    tile::{curve, shape::simplify_ring},
};

/// Level of the squares that are the first cells: half a metre.
const FINEST: u32 = 28;
/// Cells beyond which they are taken together by fours.
const MOST_CELLS: usize = 1 << 16;
/// Cells that are larger than this, metres, say nothing of a building: something lies far off.
const LARGEST_CELL_M: f64 = 8.0;
/// Most prisms one upon the other.
const MOST_TIERS: usize = 5;
/// Heights that differ by less, as a root mean square, need no other prism, metres.
const SAME_HEIGHT_M: f64 = 0.8;
/// Upper prisms and holes that are smaller are left out, square metres.
const LEAST_AREA_M2: f64 = 6.0;
/// Gaps that are narrower are closed: a model may be of walls alone, and walls have doors, metres.
const GAP_M: f64 = 4.0;
/// Where less of an outline is covered, it is one of walls without floors, and no court is open in it.
const SHELL: f64 = 0.5;
/// Of a cell's side, how far outlines may move to be straight.
const STRAIGHT: f64 = 1.1;

/// The lowest and the highest surface over a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Column {
    low: f32,
    high: f32,
}

/// What is known of the components of a layer, together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Silhouette {
    /// How often the cells were taken together.
    coarser: u32,
    columns: HashMap<[u32; 2], Column>,
    objects: u64,
    stage: Option<Stage>,
    /// The buildings that they are components of, as far as there are no more than one.
    wholes: Vec<(String, String)>,
}

/// The prisms that stand for components, and how far they are from them.
pub struct Prisms {
    pub blocks: Vec<Block>,
    pub deviation_m: f64,
}

impl Silhouette {
    /// How many components.
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Stage of all of them; in operation where they differ.
    pub fn stage(&self) -> Stage {
        self.stage.unwrap_or(Stage::Operation)
    }

    /// Id and name of the building, where there is one.
    pub fn whole(&self) -> Option<&(String, String)> {
        self.wholes.first().filter(|_| self.wholes.len() == 1)
    }

    /// A building that may have components.
    pub fn add_whole(&mut self, object: &CityObject) {
        // A second one is kept to know that there is not one.
        if self.wholes.len() < 2 {
            self.wholes.push((object.id.0.clone(), object.name.clone().unwrap_or_default()));
        }
    }

    /// A component.
    pub fn add(&mut self, object: &CityObject, mesh: &Mesh) {
        self.stage = match self.stage {
            None => Some(object.stage),
            Some(stage) if stage == object.stage => Some(stage),
            Some(_) => Some(Stage::Operation),
        };
        self.objects += 1;
        for part in &mesh.parts {
            let place = |corner: u32| part.positions.get(corner as usize).map(|place| mesh.origin + *place);
            for corners in part.indices.chunks_exact(3) {
                if let [Some(a), Some(b), Some(c)] = [corners[0], corners[1], corners[2]].map(place) {
                    self.add_triangle([a, b, c]);
                }
            }
        }
        while self.columns.len() > MOST_CELLS {
            self.coarsen();
        }
    }

    fn level(&self) -> u32 {
        FINEST.saturating_sub(self.coarser)
    }

    fn add_triangle(&mut self, [a, b, c]: [DVec3; 3]) {
        let size = (a.max(b).max(c) - a.min(b).min(c)).truncate();
        // More cells than are kept need not be looked at one by one.
        while size.max_element() / curve::side_m(self.level()) > (MOST_CELLS as f64).sqrt() && self.level() > 0 {
            self.coarsen();
        }
        let step_m = curve::side_m(self.level()) * 0.5;
        let steps = |from: DVec3, to: DVec3| (from.truncate().distance(to.truncate()) / step_m).ceil().max(1.0) as u32;
        let across = steps(a, b).max(steps(a, c));
        for i in 0..=across {
            let share = f64::from(i) / f64::from(across);
            let (from, to) = (a.lerp(b, share), a.lerp(c, share));
            let along = steps(from, to);
            for j in 0..=along {
                self.add_place(from.lerp(to, f64::from(j) / f64::from(along)));
            }
        }
    }

    fn add_place(&mut self, place: DVec3) {
        let z = place.z as f32;
        let column = self.columns.entry(curve::cell(place.truncate(), self.level()));
        let column = column.or_insert(Column { low: z, high: z });
        (column.low, column.high) = (column.low.min(z), column.high.max(z));
    }

    /// Takes cells together by fours.
    fn coarsen(&mut self) {
        self.coarser += 1;
        let mut columns: HashMap<[u32; 2], Column> = HashMap::with_capacity(self.columns.len() / 3);
        for (cell, column) in &self.columns {
            let sum = columns.entry(cell.map(|part| part >> 1)).or_insert(*column);
            (sum.low, sum.high) = (sum.low.min(column.low), sum.high.max(column.high));
        }
        self.columns = columns;
    }

    /// The prisms; the same whatever the order in which the components came.
    pub fn prisms(&self) -> Prisms {
        let columns: BTreeMap<[i64; 2], Column> =
            self.columns.iter().map(|(cell, column)| (cell.map(i64::from), *column)).collect();
        let side_m = curve::side_m(self.level());
        let mut prisms = Prisms { blocks: Vec::new(), deviation_m: side_m * STRAIGHT };
        if side_m > LARGEST_CELL_M {
            return prisms;
        }
        let columns = closed(columns, ((GAP_M * 0.5 / side_m).round() as i64).max(1));
        let mut deviations = Vec::new();
        for body in bodies(columns.keys().copied()) {
            // A rail that stands alone is not seen where blocks are.
            if body.len() as f64 * side_m * side_m >= LEAST_AREA_M2 {
                stack(&body, &columns, side_m, &mut prisms.blocks, &mut deviations);
            }
        }
        deviations.sort_unstable_by(f32::total_cmp);
        // Chimneys and aerials do not count.
        let most = deviations.get(deviations.len() * 95 / 100).copied().unwrap_or(0.0);
        prisms.deviation_m = prisms.deviation_m.max(f64::from(most));
        prisms
    }
}

/// The cells with those between them where gaps are narrower than twice `reach` cells; these are as their nearest neighbour is.
fn closed(mut columns: BTreeMap<[i64; 2], Column>, reach: i64) -> BTreeMap<[i64; 2], Column> {
    let axes = [[1, 0], [0, 1]];
    let moved = |[x, y]: [i64; 2], [dx, dy]: [i64; 2], by: i64| [x + dx * by, y + dy * by];
    let mut cells: HashSet<[i64; 2]> = columns.keys().copied().collect();
    for axis in axes {
        cells = cells.iter().flat_map(|cell| (-reach..=reach).map(move |by| moved(*cell, axis, by))).collect();
    }
    for axis in axes {
        let is_inner = |cell: &&[i64; 2]| (-reach..=reach).all(|by| cells.contains(&moved(**cell, axis, by)));
        cells = cells.iter().filter(is_inner).copied().collect();
    }
    let mut rim: Vec<[i64; 2]> = columns.keys().copied().collect();
    while !rim.is_empty() {
        let mut next = Vec::new();
        for cell in rim {
            let column = columns[&cell];
            for (axis, by) in axes.into_iter().flat_map(|axis| [(axis, -1), (axis, 1)]) {
                let beside = moved(cell, axis, by);
                if cells.contains(&beside) && !columns.contains_key(&beside) {
                    columns.insert(beside, column);
                    next.push(beside);
                }
            }
        }
        rim = next;
    }
    columns
}

/// Cells that hang together, corner to corner too; each in order, the first first.
fn bodies(cells: impl Iterator<Item = [i64; 2]>) -> Vec<Vec<[i64; 2]>> {
    let ordered: Vec<[i64; 2]> = cells.collect();
    let mut left: HashSet<[i64; 2]> = ordered.iter().copied().collect();
    let mut bodies = Vec::new();
    for first in ordered {
        if !left.remove(&first) {
            continue;
        }
        let (mut body, mut stack) = (Vec::new(), vec![first]);
        while let Some([x, y]) = stack.pop() {
            body.push([x, y]);
            let around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| [x + dx, y + dy]));
            stack.extend(around.filter(|cell| left.remove(cell)));
        }
        body.sort_unstable();
        bodies.push(body);
    }
    bodies
}

/// The prisms of one body.
fn stack(
    body: &[[i64; 2]],
    columns: &BTreeMap<[i64; 2], Column>,
    side_m: f64,
    blocks: &mut Vec<Block>,
    deviations: &mut Vec<f32>,
) {
    let mut lows: Vec<f32> = body.iter().map(|cell| columns[cell].low).collect();
    lows.sort_unstable_by(f32::total_cmp);
    let base = f64::from(lows[lows.len() / 20]);
    let heights: Vec<f64> = body.iter().map(|cell| f64::from(columns[cell].high)).collect();
    let tiers = tiers(&heights);
    let tier_of = |height: f64| {
        let distance = |tier: &usize| (tiers[*tier] - height).abs();
        (0..tiers.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    };
    let own: HashMap<[i64; 2], usize> = body.iter().zip(&heights).map(|(cell, h)| (*cell, tier_of(*h))).collect();
    let smooth: Vec<([i64; 2], usize)> = body.iter().map(|cell| (*cell, median_around(*cell, &own))).collect();
    deviations.extend(smooth.iter().zip(&heights).map(|((_, tier), height)| (tiers[*tier] - height).abs() as f32));
    let mut below = base;
    for (tier, height) in tiers.iter().enumerate() {
        let cells: HashSet<[i64; 2]> = smooth.iter().filter(|(_, t)| *t >= tier).map(|(cell, _)| *cell).collect();
        let footprint = outlines(&cells, side_m, if tier == 0 { 0.0 } else { LEAST_AREA_M2 });
        let height_m = height - below;
        if footprint.is_empty() || height_m < 0.1 {
            continue;
        }
        let block = Block { footprint, base_m: Some(below), height_m, lift_m: 0.0, storeys: None, roof: None };
        blocks.push(block);
        below = *height;
    }
}

/// The tier that most of a cell and its neighbours have no more than.
fn median_around([x, y]: [i64; 2], own: &HashMap<[i64; 2], usize>) -> usize {
    let around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| [x + dx, y + dy]));
    let mut tiers: Vec<usize> = around.filter_map(|cell| own.get(&cell).copied()).collect();
    tiers.sort_unstable();
    tiers[tiers.len() / 2]
}

/// Most heights that are told apart.
const BINS: usize = 256;

/// A few heights, rising, near which all are: the fewest that are near enough, chosen so that the squares of the distances are least
/// (one-dimensional k-means, by dynamic programming over a histogram).
fn tiers(heights: &[f64]) -> Vec<f64> {
    let (low, high) = heights.iter().fold((f64::MAX, f64::MIN), |(low, high), h| (low.min(*h), high.max(*h)));
    let step = ((high - low) / BINS as f64).max(0.05);
    // Count, sum and sum of squares up to each bin.
    let mut sums = vec![[0.0; 3]; BINS + 1];
    for height in heights {
        let bin = (((height - low) / step) as usize).min(BINS - 1);
        let above_low = height - low;
        [1.0, above_low, above_low * above_low].iter().zip(&mut sums[bin + 1]).for_each(|(part, sum)| *sum += part);
    }
    for bin in 1..=BINS {
        let before = sums[bin - 1];
        sums[bin].iter_mut().zip(before).for_each(|(sum, part)| *sum += part);
    }
    let part = |from: usize, to: usize| -> [f64; 3] { std::array::from_fn(|k| sums[to][k] - sums[from][k]) };
    let cost = |from: usize, to: usize| {
        let [count, sum, squares] = part(from, to);
        if count > 0.0 { squares - sum * sum / count } else { 0.0 }
    };
    let count = heights.len() as f64;
    // Of the best partition of the first bins into so many stretches: its cost, and where its last begins.
    let mut best: Vec<Vec<(f64, usize)>> = vec![(0..=BINS).map(|to| (cost(0, to), 0)).collect()];
    while (best[best.len() - 1][BINS].0.max(0.0) / count).sqrt() > SAME_HEIGHT_M && best.len() < MOST_TIERS {
        let before = &best[best.len() - 1];
        let next = (0..=BINS).map(|to| {
            let all = (0..=to).map(|from| (before[from].0 + cost(from, to), from));
            all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
        });
        let next = next.collect();
        best.push(next);
    }
    let (mut means, mut to) = (Vec::new(), BINS);
    for level in best.iter().rev() {
        let from = level[to].1;
        let [count, sum, _] = part(from, to);
        if count > 0.0 {
            means.push(low + sum / count);
        }
        to = from;
    }
    means.reverse();
    means
}

/// The outlines of cells as polygons, nearly straight where cells are stairs.
fn outlines(cells: &HashSet<[i64; 2]>, side_m: f64, least_m2: f64) -> Vec<Polygon> {
    let mut rings = rings(cells);
    let area = |ring: &[[i64; 2]]| -> f64 {
        let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
        pairs.map(|(a, b)| (a[0] * b[1] - b[0] * a[1]) as f64).sum::<f64>() * 0.5 * side_m * side_m
    };
    rings.retain(|ring| {
        let area = area(ring);
        if area > 0.0 { area >= least_m2 } else { -area >= LEAST_AREA_M2 }
    });
    let (outer, mut holes): (Vec<_>, Vec<_>) = rings.into_iter().partition(|ring| area(ring) > 0.0);
    let outlined: f64 = outer.iter().map(|ring| area(ring)).sum();
    if (cells.len() as f64) * side_m * side_m < outlined * SHELL {
        holes.clear();
    }
    let mut polygons: Vec<(Vec<[i64; 2]>, Polygon)> = outer
        .into_iter()
        .map(|ring| {
            let polygon = Polygon { outer: straight(&ring, side_m), holes: Vec::new() };
            (ring, polygon)
        })
        .collect();
    for hole in holes {
        // The first corner of a hole touches a cell of the body around it: the smallest outline that holds it is its own.
        let around = polygons.iter_mut().filter(|(ring, _)| holds(ring, hole[0]));
        if let Some((_, polygon)) = around.min_by(|a, b| area(&a.0).total_cmp(&area(&b.0))) {
            polygon.holes.push(straight(&hole, side_m));
        }
    }
    polygons.into_iter().map(|(_, polygon)| polygon).filter(|polygon| polygon.outer.len() > 3).collect()
}

/// Whether a ring of corners holds a corner, by the number of its edges to the right of it, a little above.
fn holds(ring: &[[i64; 2]], [x, y]: [i64; 2]) -> bool {
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    let crossed = pairs.filter(|(a, b)| {
        let is_beside = a[0] == b[0] && a[0] > x;
        is_beside && a[1].min(b[1]) <= y && y < a[1].max(b[1])
    });
    crossed.count() % 2 == 1
}

/// The rings of corners around cells, the cells to their left: outlines turn left, holes turn right. Each begins at its lowest corner.
fn rings(cells: &HashSet<[i64; 2]>) -> Vec<Vec<[i64; 2]>> {
    // Edges by where they begin; at a corner where two cells touch there are two.
    let mut edges: BTreeMap<[i64; 2], Vec<[i64; 2]>> = BTreeMap::new();
    let mut ordered: Vec<[i64; 2]> = cells.iter().copied().collect();
    ordered.sort_unstable();
    for [x, y] in ordered {
        let sides = [
            ([x, y - 1], [x, y], [x + 1, y]),
            ([x + 1, y], [x + 1, y], [x + 1, y + 1]),
            ([x, y + 1], [x + 1, y + 1], [x, y + 1]),
            ([x - 1, y], [x, y + 1], [x, y]),
        ];
        for (beyond, from, to) in sides {
            if !cells.contains(&beyond) {
                edges.entry(from).or_default().push(to);
            }
        }
    }
    let mut rings = Vec::new();
    while let Some((&start, _)) = edges.first_key_value() {
        let (mut ring, mut at, mut direction) = (Vec::new(), start, [0, 0]);
        while let Some(ways) = edges.get_mut(&at) {
            // Where there are two ways, the one to the left keeps cells that only touch apart.
            let turn = |to: &[i64; 2]| direction[0] * (to[1] - at[1]) - direction[1] * (to[0] - at[0]);
            let Some(way) = (0..ways.len()).max_by_key(|way| turn(&ways[*way])) else { break };
            let to = ways.swap_remove(way);
            if ways.is_empty() {
                edges.remove(&at);
            }
            let next = [to[0] - at[0], to[1] - at[1]];
            // Corners within a straight line are none.
            if next != direction {
                ring.push(at);
            }
            (direction, at) = (next, to);
            if at == start {
                break;
            }
        }
        if ring.len() > 3 {
            rings.push(ring);
        }
    }
    rings
}

/// A ring in the city's frame, closed, without the stairs of cells.
fn straight(ring: &[[i64; 2]], side_m: f64) -> Vec<DVec3> {
    let half_m = curve::side_m(0) * 0.5;
    let place = |[x, y]: &[i64; 2]| DVec2::new(*x as f64, *y as f64) * side_m - DVec2::splat(half_m);
    // Between the middles of the edges, stairs are nearly straight before anything is left out.
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    let mut corners: Vec<DVec2> = Vec::new();
    for (a, b) in pairs {
        let (a, b) = (place(a), place(b));
        match a.distance(b) <= side_m * 2.5 {
            true => corners.push((a + b) * 0.5),
            false => corners.extend([a, b]),
        }
    }
    let simple = simplify_ring(&corners, side_m * STRAIGHT);
    let kept = if simple.len() < 3 { corners } else { simple };
    kept.iter().chain(kept.first()).map(|corner| corner.extend(0.0)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{Class, Geometry, MeshPart, ObjectId};

    /// An upright box around a middle, turned, as a component.
    pub fn slab(middle: DVec3, size: DVec3, turn: f64) -> CityObject {
        let along = DVec2::from_angle(turn);
        let corner = |x: f64, y: f64, z: f64| {
            let plan = along * (x * size.x) + along.perp() * (y * size.y);
            plan.extend(z * size.z)
        };
        let positions: Vec<DVec3> = [-0.5, 0.5]
            .into_iter()
            .flat_map(|z| [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)].map(|(x, y)| corner(x, y, z)))
            .collect();
        let indices = vec![0, 1, 2, 0, 2, 3, 4, 5, 6, 4, 6, 7, 0, 1, 5, 0, 5, 4, 2, 3, 7, 2, 7, 6];
        let part = MeshPart { positions, indices, rgba: [255; 4], ..MeshPart::default() };
        let mesh = Mesh { origin: middle, parts: vec![part] };
        CityObject::new(ObjectId::new("bim", middle), Class::BuildingElement, Geometry::Mesh(mesh))
    }

    fn silhouette(objects: &[CityObject]) -> Silhouette {
        let mut silhouette = Silhouette::default();
        for object in objects {
            let Geometry::Mesh(mesh) = &object.geometry else { unreachable!() };
            silhouette.add(object, mesh);
        }
        silhouette
    }

    fn area_m2(block: &Block) -> f64 {
        let ring = |ring: &[DVec3]| {
            ring.windows(2).map(|w| (w[0] - ring[0]).truncate().perp_dot((w[1] - ring[0]).truncate())).sum::<f64>()
                * 0.5
        };
        block.footprint.iter().map(|p| ring(&p.outer) + p.holes.iter().map(|h| ring(h)).sum::<f64>()).sum()
    }

    #[test]
    fn a_tower_on_a_podium_is_two_prisms_of_its_volume() {
        let at = DVec3::new(512_345.0, 4_012_345.0, 0.0);
        let podium = slab(at + DVec3::Z * 3.0, DVec3::new(60.0, 40.0, 6.0), 0.0);
        let tower = slab(at + DVec3::new(10.0, 5.0, 23.0), DVec3::new(20.0, 18.0, 34.0), 0.0);
        let prisms = silhouette(&[tower, podium]).prisms();
        assert_eq!(prisms.blocks.len(), 2, "{:?}", prisms.blocks);
        let [low, high] = [&prisms.blocks[0], &prisms.blocks[1]];
        assert!((low.base_m.unwrap() - 0.0).abs() < 0.1 && (low.height_m - 6.0).abs() < 0.3, "{low:?}");
        assert!((high.base_m.unwrap() + high.height_m - 40.0).abs() < 0.3, "{high:?}");
        assert!((area_m2(low) / 2400.0 - 1.0).abs() < 0.05, "{}", area_m2(low));
        assert!((area_m2(high) / 360.0 - 1.0).abs() < 0.12, "{}", area_m2(high));
        assert!(prisms.deviation_m < 1.0, "{}", prisms.deviation_m);
    }

    #[test]
    fn a_turned_slab_has_few_corners_and_its_area() {
        let at = DVec3::new(512_345.3, 4_012_345.7, 12.0);
        let prisms = silhouette(&[slab(at, DVec3::new(50.0, 22.0, 9.0), 0.6)]).prisms();
        assert_eq!(prisms.blocks.len(), 1);
        let outer = &prisms.blocks[0].footprint[0].outer;
        assert!(outer.len() <= 13, "{} corners", outer.len());
        assert!((area_m2(&prisms.blocks[0]) / 1100.0 - 1.0).abs() < 0.06, "{}", area_m2(&prisms.blocks[0]));
    }

    #[test]
    fn a_court_stays_open_and_what_stands_apart_stays_apart() {
        let at = DVec3::new(1000.25, 2000.25, 5.0);
        let wing = |x: f64, y: f64, w: f64, d: f64| slab(at + DVec3::new(x, y, 0.0), DVec3::new(w, d, 10.0), 0.0);
        let court = [wing(0.0, -20.0, 50.0, 10.0), wing(0.0, 20.0, 50.0, 10.0)];
        let sides = [wing(-20.0, 0.0, 10.0, 50.0), wing(20.0, 0.0, 10.0, 50.0), wing(90.0, 0.0, 10.0, 10.0)];
        let all: Vec<CityObject> = court.into_iter().chain(sides).collect();
        let first = silhouette(&all).prisms().blocks;
        assert_eq!(first.len(), 2, "{first:?}");
        assert_eq!(first.iter().map(|b| b.footprint[0].holes.len()).sum::<usize>(), 1);
        let total: f64 = first.iter().map(area_m2).sum();
        assert!((total / 1700.0 - 1.0).abs() < 0.1, "{total}");
        let reversed: Vec<CityObject> = all.into_iter().rev().collect();
        assert_eq!(silhouette(&reversed).prisms().blocks, first, "the order of arrival does not matter");
    }

    #[test]
    fn walls_without_floors_are_a_block_too_and_doors_do_not_split_it() {
        let at = DVec3::new(1000.0, 2000.0, 1.5);
        let wall = |x: f64, y: f64, w: f64, d: f64| slab(at + DVec3::new(x, y, 0.0), DVec3::new(w, d, 3.0), 0.0);
        // Four walls of 30 m by 20 m, each in two pieces with a metre and a half between them.
        let along = |x: f64, y: f64| [wall(x - 7.75, y, 14.0, 0.3), wall(x + 7.75, y, 14.0, 0.3)];
        let across = |x: f64, y: f64| [wall(x, y - 5.25, 0.3, 9.0), wall(x, y + 5.25, 0.3, 9.0)];
        let all: Vec<CityObject> = [along(0.0, -10.0), along(0.0, 10.0), across(-15.0, 0.0), across(15.0, 0.0)]
            .into_iter()
            .flatten()
            .collect();
        let blocks = silhouette(&all).prisms().blocks;
        assert_eq!((blocks.len(), blocks[0].footprint.len()), (1, 1), "{blocks:?}");
        assert!(blocks[0].footprint[0].holes.is_empty());
        assert!((area_m2(&blocks[0]) / 600.0 - 1.0).abs() < 0.1, "{}", area_m2(&blocks[0]));
    }

    #[test]
    fn a_large_model_takes_bounded_memory() {
        let mut silhouette = Silhouette::default();
        for i in 0..20 {
            let object = slab(DVec3::new(f64::from(i) * 400.0, 0.0, 0.0), DVec3::new(390.0, 390.0, 4.0), 0.0);
            let Geometry::Mesh(mesh) = &object.geometry else { unreachable!() };
            silhouette.add(&object, mesh);
            assert!(silhouette.columns.len() <= MOST_CELLS);
        }
        assert!(silhouette.coarser > 0);
        let blocks = silhouette.prisms().blocks;
        let total: f64 = blocks.iter().map(area_m2).sum();
        assert!((total / (20.0 * 390.0 * 390.0) - 1.0).abs() < 0.1, "{total} in {}", blocks.len());
    }

    #[test]
    fn nonsense_is_nothing() {
        assert!(Silhouette::default().prisms().blocks.is_empty());
        let far = slab(DVec3::splat(1e8), DVec3::new(1e9, 1e9, 1.0), 0.0);
        assert!(silhouette(&[far]).prisms().blocks.is_empty());
        let thin = slab(DVec3::ZERO, DVec3::new(0.1, 0.1, 90.0), 0.0);
        assert!(silhouette(&[thin]).prisms().blocks.is_empty(), "a pole is no block");
    }
}
