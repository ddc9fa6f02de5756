//! Where the pixels of a raster lie, and how they are carried into the city's frame.

use glam::{DVec2, DVec3};
use groundline_engine::crs::Transform;

/// Affine map from pixel coordinates (column, row; whole numbers are outer corners, halves are centres)
/// to the source's plane coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Affine {
    /// Plane coordinates of the outer corner of the first pixel.
    pub origin: DVec2,
    /// One column further.
    pub column: DVec2,
    /// One row further.
    pub row: DVec2,
}

impl Affine {
    /// Plane coordinates of a place in the raster.
    pub fn at(&self, pixel: DVec2) -> DVec2 {
        self.origin + self.column * pixel.x + self.row * pixel.y
    }

    /// Whether it maps pixels to places at all: finite and not collapsed.
    pub fn is_valid(&self) -> bool {
        self.origin.is_finite()
            && self.column.is_finite()
            && self.row.is_finite()
            && self.column.perp_dot(self.row).abs() > 1e-24
    }

    /// The six numbers of a world file (`.tfw`, `.jgw`, `.pgw`, `.wld`): A, D, B, E and the centre of the first pixel.
    pub fn from_world_file(text: &str) -> Option<Self> {
        let numbers: Vec<f64> =
            text.split_whitespace().take(6).map(|t| t.replace(',', ".").parse().ok()).collect::<Option<_>>()?;
        let [a, d, b, e, c, f] = numbers.try_into().ok()?;
        let (column, row) = (DVec2::new(a, d), DVec2::new(b, e));
        let affine = Self { origin: DVec2::new(c, f) - (column + row) * 0.5, column, row };
        affine.is_valid().then_some(affine)
    }

    /// Box of a raster of this size in the source's coordinates: min x, min y, max x, max y.
    pub fn extent(&self, columns: u32, rows: u32) -> [f64; 4] {
        let (w, h) = (f64::from(columns), f64::from(rows));
        let corners = [DVec2::ZERO, DVec2::new(w, 0.0), DVec2::new(0.0, h), DVec2::new(w, h)].map(|c| self.at(c));
        let low = corners.iter().fold(DVec2::INFINITY, |m, c| m.min(*c));
        let high = corners.iter().fold(DVec2::NEG_INFINITY, |m, c| m.max(*c));
        [low.x, low.y, high.x, high.y]
    }
}

/// A raster grid with axes along the city's: `place = north_west + (column, -row) * step` for pixel coordinates
/// with whole numbers at outer corners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CityGrid {
    /// Outer corner of the first pixel.
    pub north_west: DVec2,
    /// Size of a pixel, metres, both above 0.
    pub step_m: DVec2,
    /// Columns.
    pub columns: u32,
    /// Rows.
    pub rows: u32,
}

/// Intervals across the raster at which the transformation is probed.
const PROBES: usize = 24;

fn to_city(affine: &Affine, transform: &Transform, pixels: &[DVec2]) -> Vec<DVec2> {
    let mut points: Vec<DVec3> = pixels.iter().map(|p| affine.at(*p).extend(0.0)).collect();
    transform.apply(&mut points);
    points.into_iter().map(|p| p.truncate()).collect()
}

/// The grid in the city onto which the raster falls pixel by pixel, if the transformation keeps axes and is linear
/// to a hundredth of a pixel. Nothing needs to be resampled then.
pub(crate) fn aligned_grid(affine: &Affine, transform: &Transform, columns: u32, rows: u32) -> Option<CityGrid> {
    let size = DVec2::new(f64::from(columns), f64::from(rows));
    let lattice: Vec<DVec2> = (0..=PROBES)
        .flat_map(|j| (0..=PROBES).map(move |i| DVec2::new(i as f64, j as f64) / PROBES as f64 * size))
        .collect();
    let places = to_city(affine, transform, &lattice);
    let origin = places[0];
    let east = (places[PROBES] - origin) / size.x;
    let south = (places[PROBES * (PROBES + 1)] - origin) / size.y;
    let step_m = DVec2::new(east.x, -south.y);
    if !(origin.is_finite() && step_m.is_finite()) || step_m.min_element() <= 0.0 {
        return None;
    }
    let tolerance = 0.01 * step_m.min_element();
    let fits = lattice.iter().zip(&places).all(|(pixel, place)| {
        let expected = origin + DVec2::new(pixel.x, -pixel.y) * step_m;
        (*place - expected).abs().max_element() <= tolerance
    });
    fits.then_some(CityGrid { north_west: origin, step_m, columns, rows })
}

/// The grid in the city that covers a raster which is turned, scaled or bent by the transformation.
/// Its step is the source's, measured in the middle, so that nothing is sampled up; `None` when the raster
/// cannot be placed or would need more than `max_pixels`.
pub(crate) fn covering_grid(
    affine: &Affine,
    transform: &Transform,
    columns: u32,
    rows: u32,
    max_pixels: u64,
) -> Option<CityGrid> {
    let size = DVec2::new(f64::from(columns), f64::from(rows));
    let lattice: Vec<DVec2> = (0..=PROBES)
        .flat_map(|j| (0..=PROBES).map(move |i| DVec2::new(i as f64, j as f64) / PROBES as f64 * size))
        .collect();
    let places = to_city(affine, transform, &lattice);
    let (mut low, mut high) = (DVec2::INFINITY, DVec2::NEG_INFINITY);
    for place in places.iter().filter(|p| p.is_finite()) {
        low = low.min(*place);
        high = high.max(*place);
    }
    let middle = size * 0.5;
    let around = to_city(affine, transform, &[middle, middle + DVec2::X, middle + DVec2::Y]);
    let (column, row) = (around[1] - around[0], around[2] - around[0]);
    // A raster turned by 90° swaps the lengths, one turned by 45° must not be sampled finer than its pixels.
    let step_m = DVec2::new(column.x.abs().max(row.x.abs()), column.y.abs().max(row.y.abs()));
    if !(low.is_finite() && high.is_finite() && step_m.is_finite()) || step_m.min_element() <= 0.0 {
        return None;
    }
    let counts = ((high - low) / step_m).ceil().max(DVec2::ONE);
    if counts.x > 1e9 || counts.y > 1e9 || counts.x * counts.y > max_pixels as f64 {
        return None;
    }
    Some(CityGrid { north_west: DVec2::new(low.x, high.y), step_m, columns: counts.x as u32, rows: counts.y as u32 })
}

/// Cells of the city's grid between two exactly computed places.
const LATTICE: u32 = 16;
/// Nodes of the lattice that are searched at once.
const NODES_AT_ONCE: usize = 1 << 18;

/// Tells for each pixel centre of a grid in the city which place of the source raster it shows.
///
/// The transformation runs only from source to city, so its inverse is found by Newton's method on a lattice of
/// every 16th pixel and interpolated between; over 16 pixels a map projection bends by far less than a pixel.
pub(crate) struct PixelFinder {
    grid: CityGrid,
    across: usize,
    /// Source pixel of each lattice node, NaN where there is none.
    nodes: Vec<DVec2>,
}

impl PixelFinder {
    /// Prepares the lattice for `grid`.
    pub fn new(affine: &Affine, transform: &Transform, source_size: DVec2, grid: CityGrid) -> Self {
        let across = grid.columns.div_ceil(LATTICE) as usize + 1;
        let down = grid.rows.div_ceil(LATTICE) as usize + 1;
        let targets: Vec<DVec2> = (0..down)
            .flat_map(|j| (0..across).map(move |i| (i, j)))
            .map(|(i, j)| {
                let pixel = DVec2::new(i as f64, j as f64) * f64::from(LATTICE) + 0.5;
                grid.north_west + DVec2::new(pixel.x, -pixel.y) * grid.step_m
            })
            .collect();
        // Start where a linear map through the raster's middle would put it.
        let middle = source_size * 0.5;
        let around = to_city(affine, transform, &[middle, middle + DVec2::X, middle + DVec2::Y]);
        let start = |target: &DVec2| solve(around[0], around[1], around[2], *target).map_or(middle, |d| middle + d);
        let mut nodes: Vec<DVec2> = targets.iter().map(start).collect();
        for (nodes, targets) in nodes.chunks_mut(NODES_AT_ONCE).zip(targets.chunks(NODES_AT_ONCE)) {
            find(affine, transform, targets, nodes);
        }
        Self { grid, across, nodes }
    }

    /// For each row of the grid the first and the last row of the source that its pixels and those of the rows below it, in
    /// the first case, need; of a row that needs none, the first is beyond the last.
    pub fn needs(&self, source_rows: u32) -> Vec<(u32, u32)> {
        let last = f64::from(source_rows.max(1) - 1);
        // A pixel is made of the rows whose middles are next to it.
        let range = |nodes: &[DVec2]| {
            let rows = nodes.iter().map(|n| n.y).filter(|y| y.is_finite());
            rows.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(y), h.max(y)))
        };
        let lines: Vec<_> = self.nodes.chunks_exact(self.across).map(range).collect();
        let mut needs: Vec<(u32, u32)> = (0..self.grid.rows as usize)
            .map(|row| {
                let pair = lines.get(row / LATTICE as usize..row / LATTICE as usize + 2).unwrap_or(&[]);
                let low = pair.iter().map(|(low, _)| *low).fold(f64::INFINITY, f64::min);
                let high = pair.iter().map(|(_, high)| *high).fold(f64::NEG_INFINITY, f64::max);
                let is_any = low <= high && high > -1.0 && low < last + 2.0;
                match is_any {
                    true => ((low - 1.5).clamp(0.0, last) as u32, (high + 0.5).clamp(0.0, last) as u32),
                    false => (u32::MAX, 0),
                }
            })
            .collect();
        for row in (1..needs.len()).rev() {
            needs[row - 1].0 = needs[row - 1].0.min(needs[row].0);
        }
        needs
    }

    /// Calls `take(column, source pixel)` for each pixel of a row of the grid; pixels outside the raster are NaN
    /// or beyond its size.
    pub fn row(&self, row: u32, mut take: impl FnMut(usize, DVec2)) {
        let (j, v) = ((row / LATTICE) as usize, f64::from(row % LATTICE) / f64::from(LATTICE));
        for column in 0..self.grid.columns {
            let (i, u) = ((column / LATTICE) as usize, f64::from(column % LATTICE) / f64::from(LATTICE));
            let at = |i: usize, j: usize| self.nodes[j * self.across + i];
            let north = at(i, j).lerp(at(i + 1, j), u);
            let south = at(i, j + 1).lerp(at(i + 1, j + 1), u);
            take(column as usize, north.lerp(south, v));
        }
    }
}

/// Moves `nodes` to the places of the source that lie at `targets`; NaN where there is none.
fn find(affine: &Affine, transform: &Transform, targets: &[DVec2], nodes: &mut [DVec2]) {
    for _ in 0..8 {
        let probes: Vec<DVec2> = nodes.iter().flat_map(|p| [*p, *p + DVec2::X, *p + DVec2::Y]).collect();
        let places = to_city(affine, transform, &probes);
        let mut largest: f64 = 0.0;
        for ((node, target), place) in nodes.iter_mut().zip(targets).zip(places.chunks_exact(3)) {
            match solve(place[0], place[1], place[2], *target) {
                Some(delta) if delta.is_finite() => {
                    *node += delta;
                    largest = largest.max(delta.abs().max_element());
                }
                _ => *node = DVec2::NAN,
            }
        }
        if largest < 1e-6 {
            break;
        }
    }
}

/// Pixels to go from the place `here` (with its neighbours one column and one row further) to `target`.
fn solve(here: DVec2, next_column: DVec2, next_row: DVec2, target: DVec2) -> Option<DVec2> {
    let (a, b, d) = (next_column - here, next_row - here, target - here);
    let determinant = a.perp_dot(b);
    let delta = DVec2::new(d.perp_dot(b), a.perp_dot(d)) / determinant;
    delta.is_finite().then_some(delta)
}
