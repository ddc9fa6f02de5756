//! What a far tile leaves out, together: the buildings and trees that are too many to be drawn one by one, merged by the cells of
//! a grid into one body each, of the same area, mean height and direction. So a city looks built-up from afar, and not empty
//! between its largest buildings.
//!
//! The masses of a tile come of those of the tiles below it and of what the tile leaves out of what they draw; so a change of one
//! object needs those of its neighbours only. They are kept in steps, which makes them the same on whatever way they came.

use std::collections::BTreeMap;

use glam::{DQuat, DVec3};
use serde::{Deserialize, Serialize};

use crate::{
    model::{CityObject, Class, Extent, Geometry, InstanceModel, Polygon},
    tile::{
        Ground, curve,
        shape::{Body, Dice, Scene},
    },
};

/// Cells along the longer side of what a tile leaves out: at least this many, and fewer than twice as many.
const CELLS: f64 = 48.0;
/// Bodies smaller than this part of a cell are not drawn: nobody sees them where the tile is far enough.
const LEAST_PART: f64 = 0.15;
/// Cells are no smaller than where this is the side, metres.
const LEAST_SIDE_M: f64 = 64.0;
/// The most of a cell's area that is covered.
const MOST_COVERED: f64 = 0.92;

/// What merged objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// Is not merged: what is left out of it is not seen.
    None,
    /// Buildings at a known height.
    Building,
    /// Buildings that stand on the terrain.
    GroundedBuilding,
    /// Trees.
    Tree,
}

/// All that a tile leaves out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Masses {
    /// Level of the squares that are its cells.
    level: u32,
    pub all: Vec<Mass>,
}

/// What must be known of one object to merge it; its place is known elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bulk {
    kind: Kind,
    /// Direction of its longest wall: parts of a quarter turn.
    turn: u8,
    /// Decimetres.
    height_dm: u16,
    /// Square decimetres.
    area_dm2: u32,
}

/// Objects that are merged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mass {
    kind: Kind,
    count: u32,
    /// Of the middle, decimetres.
    x_dm: i32,
    y_dm: i32,
    /// Of the foot.
    base_dm: i32,
    height_dm: u32,
    /// Square decimetres.
    area_dm2: u64,
    /// Mean direction, as the cosine and sine of four times the angle.
    turn: [i8; 2],
}

impl Bulk {
    const NONE: Self = Self { kind: Kind::None, turn: 0, height_dm: 0, area_dm2: 0 };

    pub fn of(object: &CityObject) -> Self {
        let size = object.geometry.extent().size();
        let (kind, area_m2, height_m, turn) = match &object.geometry {
            Geometry::Block(block) if block.lift_m == 0.0 => {
                let kind = if block.base_m.is_some() { Kind::Building } else { Kind::GroundedBuilding };
                let area = block.footprint.iter().map(area_m2).sum();
                let walls = block.footprint.iter().flat_map(|polygon| polygon.outer.windows(2));
                (kind, area, block.height_m, turn(walls.map(|pair| pair[1] - pair[0])))
            }
            Geometry::Mesh(mesh) if object.class == Class::Building => {
                let edges = mesh.parts.iter().flat_map(|part| {
                    let at = |corner: &u32| part.positions.get(*corner as usize).copied().unwrap_or_default();
                    part.indices.chunks_exact(3).take(MOST_EDGES).map(move |t| at(&t[1]) - at(&t[0]))
                });
                (Kind::Building, size.x * size.y * USUAL_COVER, size.z, turn(edges))
            }
            Geometry::Instance(instance)
                if matches!(instance.model, InstanceModel::BroadleafTree | InstanceModel::ConiferTree) =>
            {
                let width = if instance.width_m > 0.0 { instance.width_m } else { instance.height_m * 0.5 };
                (Kind::Tree, width * width * std::f64::consts::FRAC_PI_4, instance.height_m, 0)
            }
            _ => return Self::NONE,
        };
        if area_m2 < 0.01 || height_m < 0.1 {
            return Self::NONE;
        }
        // Saturating casts: what is absurd is as large as can be.
        Self { kind, turn, height_dm: (height_m * 10.0) as u16, area_dm2: (area_m2 * 100.0) as u32 }
    }

    /// As the mass of one object whose box has this middle.
    pub fn at(self, centre: DVec3) -> Option<Mass> {
        let decimetres = |metres: f64| (metres * 10.0).round() as i32;
        let base = centre.z - f64::from(self.height_dm) * 0.05;
        let angle = f64::from(self.turn) / 256.0 * std::f64::consts::TAU;
        (self.kind != Kind::None).then(|| Mass {
            kind: self.kind,
            count: 1,
            x_dm: decimetres(centre.x),
            y_dm: decimetres(centre.y),
            base_dm: if self.kind == Kind::Building { decimetres(base) } else { 0 },
            height_dm: u32::from(self.height_dm),
            area_dm2: u64::from(self.area_dm2),
            turn: [angle.cos(), angle.sin()].map(|part| (part * 127.0).round() as i8),
        })
    }
}

/// Triangles of a part of a mesh that are looked at for its direction.
const MOST_EDGES: usize = 64;
/// How much of its box a building usually covers.
const USUAL_COVER: f64 = 0.75;

fn area_m2(polygon: &Polygon) -> f64 {
    let ring = |ring: &[DVec3]| {
        let first = ring.first().copied().unwrap_or_default();
        let cross = |pair: &[DVec3]| (pair[0] - first).truncate().perp_dot((pair[1] - first).truncate());
        ring.windows(2).map(cross).sum::<f64>().abs() * 0.5
    };
    ring(&polygon.outer) - polygon.holes.iter().map(|hole| ring(hole)).sum::<f64>()
}

/// The direction of the longest edge in plan, in 256 parts of a quarter turn.
fn turn(edges: impl Iterator<Item = DVec3>) -> u8 {
    let plan = edges.map(|edge| edge.truncate()).max_by(|a, b| a.length_squared().total_cmp(&b.length_squared()));
    let angle = plan.map_or(0.0, |edge| edge.to_angle());
    ((angle.rem_euclid(std::f64::consts::FRAC_PI_2) / std::f64::consts::FRAC_PI_2 * 256.0) as u32 % 256) as u8
}

/// Sums over a cell.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: u32,
    /// Means times the area: place, height of the foot, height, direction.
    weighted: [f64; 6],
    area: f64,
}

impl Sum {
    fn add(&mut self, mass: &Mass) {
        let area = mass.area_dm2 as f64;
        let parts = [
            f64::from(mass.x_dm),
            f64::from(mass.y_dm),
            f64::from(mass.base_dm),
            f64::from(mass.height_dm),
            f64::from(mass.turn[0]),
            f64::from(mass.turn[1]),
        ];
        self.weighted.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part * area);
        self.area += area;
        self.count = self.count.saturating_add(mass.count);
    }

    fn mass(&self, kind: Kind) -> Mass {
        let [x, y, base, height, cos, sin] = self.weighted.map(|sum| (sum / self.area).round());
        Mass {
            kind,
            count: self.count,
            x_dm: x as i32,
            y_dm: y as i32,
            base_dm: base as i32,
            height_dm: height as u32,
            area_dm2: self.area as u64,
            turn: [cos as i8, sin as i8],
        }
    }
}

impl Masses {
    /// Merges masses by cells, in the order in which they come.
    pub fn merged(masses: &[Mass]) -> Self {
        let size = Extent::around(masses.iter().map(Mass::middle)).size();
        let side_m = size.x.max(size.y).max(LEAST_SIDE_M);
        let level = (0..curve::LEVELS).find(|level| curve::side_m(*level) <= side_m / CELLS).unwrap_or(curve::LEVELS);
        let mut sums: BTreeMap<([u32; 2], Kind), Sum> = BTreeMap::new();
        for mass in masses {
            sums.entry((curve::cell(mass.middle().truncate(), level), mass.kind)).or_default().add(mass);
        }
        Self { level, all: sums.into_iter().map(|((_, kind), sum)| sum.mass(kind)).collect() }
    }

    /// Draws each as one body.
    pub fn draw(&self, scene: &mut Scene<'_>, ground: &Ground) {
        let cell_m = curve::side_m(self.level);
        for (body, kinds) in
            [(Body::Building, &[Kind::Building, Kind::GroundedBuilding][..]), (Body::Trees, &[Kind::Tree])]
        {
            let of_body = || self.all.iter().filter(|mass| kinds.contains(&mass.kind));
            let is_seen = |mass: &&Mass| mass.side_m(cell_m) > cell_m * LEAST_PART;
            if !of_body().any(|mass| is_seen(&mass)) {
                continue;
            }
            scene.begin_merged(body, of_body().map(|mass| u64::from(mass.count)).sum());
            for mass in of_body().filter(is_seen) {
                let side = mass.side_m(cell_m);
                let mut foot = mass.middle();
                if mass.kind != Kind::Building {
                    foot.z = ground.height_at(foot.truncate()).unwrap_or(0.0);
                }
                let angle = f64::from(mass.turn[1]).atan2(f64::from(mass.turn[0])) * 0.25;
                let size = DVec3::new(side, side, f64::from(mass.height_dm) * 0.1);
                let dice = Dice::of(&format!("{} {}", mass.x_dm, mass.y_dm));
                scene.merged(body, foot, DQuat::from_rotation_z(angle), size, dice);
            }
        }
    }

    /// As they are kept.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers in memory are written without fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// What [`Masses::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).unwrap_or_default()
    }
}

impl Mass {
    fn middle(&self) -> DVec3 {
        DVec3::new(f64::from(self.x_dm), f64::from(self.y_dm), f64::from(self.base_dm)) * 0.1
    }
}

impl Mass {
    /// How many objects it is.
    #[cfg(test)]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What they cover.
    pub fn area_m2(&self) -> f64 {
        self.area_dm2 as f64 * 0.01
    }

    /// Side of the square that it covers.
    fn side_m(&self, cell_m: f64) -> f64 {
        self.area_m2().min(cell_m * cell_m * MOST_COVERED).sqrt()
    }
}
