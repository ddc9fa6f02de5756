//! A tile as a level of detail wants it (CIM1 to CIM7): what is finer is left out, and below the level of outer form buildings
//! are plain blocks of their height.

use std::collections::BTreeMap;

use glam::Vec3;
use groundline_engine::model::{CimLevel, Class};

use crate::content::{DrawMaterial, DrawMesh, DrawPoints, Features, NO_FEATURE, TileMeshes};

/// Colour of plain blocks, linear.
const BLOCK_COLOUR: [f32; 4] = [0.68, 0.67, 0.64, 1.0];
/// What is so much nearer to the foot of a building than to its top belongs to the foot.
const FOOT: f32 = 0.1;
/// Triangles that lean less than this (cosine) are roofs.
const ROOF: f32 = 0.35;

/// What becomes of a feature.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Gone,
    /// What is blocks already: in the colour of blocks.
    Plain,
    /// A block between two heights.
    Block {
        foot: f32,
        top: f32,
    },
}

/// Leaves out of a tile what is finer than `level`; features without a level stay. Where the tile is one in which blocks stand for
/// components already, their heights are kept.
pub fn limit(tile: &mut TileMeshes, level: CimLevel, has_blocks: bool) {
    if level < CimLevel::STANDARD {
        // A scan shows the outer form.
        tile.points = DrawPoints::default();
    }
    if level == CimLevel::PART || tile.features.levels.is_empty() {
        return;
    }
    let mut fates: Vec<Fate> = tile.features.levels.iter().map(|of| fate(*of, level)).collect();
    if level == CimLevel::FRAME {
        for (row, fate) in fates.iter_mut().enumerate().filter(|(_, fate)| **fate == Fate::Kept) {
            if is_building(&tile.features, row as u32) {
                *fate = Fate::Plain;
            }
        }
        if !has_blocks {
            for (feature, (foot, top)) in heights(&tile.meshes, &tile.features) {
                fates[feature as usize] = Fate::Block { foot, top };
            }
        }
    }
    let block_material = tile.materials.len();
    let mut blocks = DrawMesh { material: block_material, ..DrawMesh::default() };
    for mesh in &mut tile.meshes {
        take(mesh, &fates, &mut blocks);
    }
    if !blocks.indices.is_empty() {
        tile.materials.push(DrawMaterial { name: "wall".into(), base_colour: [1.0; 4], ..DrawMaterial::default() });
        tile.meshes.push(blocks);
    }
    tile.meshes.retain(|mesh| !mesh.indices.is_empty());
    tile.meshes.iter_mut().for_each(DrawMesh::measure);
}

fn fate(of: u8, level: CimLevel) -> Fate {
    if of > level.number() { Fate::Gone } else { Fate::Kept }
}

/// Foot and top of each building: the top is the mean height of its roofs.
fn heights(meshes: &[DrawMesh], features: &Features) -> BTreeMap<u32, (f32, f32)> {
    #[derive(Default)]
    struct Sum {
        foot: Option<f32>,
        highest: f32,
        weighted: f32,
        area: f32,
    }
    let mut sums: BTreeMap<u32, Sum> = BTreeMap::new();
    let is_one = |feature: u32| {
        is_building(features, feature) && features.ids.get(feature as usize).is_some_and(|id| !id.is_empty())
    };
    for mesh in meshes {
        for (corners, feature) in triangles(mesh).filter(|(_, feature)| is_one(*feature)) {
            let [a, b, c] = corners.map(|corner| Vec3::from(mesh.positions[corner as usize]));
            let sum = sums.entry(feature).or_default();
            let (low, high) = (a.y.min(b.y).min(c.y), a.y.max(b.y).max(c.y));
            sum.highest = if sum.foot.is_some() { sum.highest.max(high) } else { high };
            sum.foot = Some(sum.foot.map_or(low, |foot| foot.min(low)));
            let cross = (b - a).cross(c - a);
            if cross.y > cross.length() * ROOF {
                sum.weighted += (a.y + b.y + c.y) / 3.0 * cross.y;
                sum.area += cross.y;
            }
        }
    }
    let height = |sum: Sum| {
        let foot = sum.foot.unwrap_or_default();
        let top = if sum.area > 0.0 { sum.weighted / sum.area } else { sum.highest };
        (foot, top.max(foot))
    };
    sums.into_iter().map(|(feature, sum)| (feature, height(sum))).collect()
}

fn is_building(features: &Features, row: u32) -> bool {
    features.classes.get(row as usize).is_some_and(|class| class == Class::Building.word())
}

fn triangles(mesh: &DrawMesh) -> impl Iterator<Item = ([u32; 3], u32)> + '_ {
    mesh.indices.chunks_exact(3).map(|corners| {
        let feature = mesh.features.get(corners[0] as usize).copied().unwrap_or(NO_FEATURE);
        ([corners[0], corners[1], corners[2]], feature)
    })
}

/// Takes out of a mesh what is gone, and moves what becomes a block.
fn take(mesh: &mut DrawMesh, fates: &[Fate], blocks: &mut DrawMesh) {
    let fate = |feature: u32| fates.get(feature as usize).copied().unwrap_or(Fate::Kept);
    if mesh.features.iter().all(|feature| fate(*feature) == Fate::Kept) {
        return;
    }
    let mut kept = DrawMesh { material: mesh.material, ..DrawMesh::default() };
    let mut moved = vec![u32::MAX; mesh.positions.len()];
    for (corners, feature) in triangles(mesh) {
        match fate(feature) {
            Fate::Gone => {}
            fate @ (Fate::Kept | Fate::Plain) => {
                for corner in corners {
                    let new = &mut moved[corner as usize];
                    if *new == u32::MAX {
                        *new = kept.positions.len() as u32;
                        kept.copy_vertex(mesh, corner as usize);
                        if let (Fate::Plain, Some(colour)) = (fate, kept.colours.last_mut()) {
                            *colour = BLOCK_COLOUR;
                        }
                    }
                    kept.indices.push(*new);
                }
            }
            Fate::Block { foot, top } => {
                let flat = |corner: u32| {
                    let place = Vec3::from(mesh.positions[corner as usize]);
                    let is_foot = place.y - foot < (top - foot) * FOOT;
                    Vec3::new(place.x, if is_foot { foot } else { top }, place.z)
                };
                blocks.facet(corners.map(flat), feature);
            }
        }
    }
    *mesh = kept;
}

impl DrawMesh {
    pub(crate) fn copy_vertex(&mut self, from: &DrawMesh, vertex: usize) {
        self.positions.push(from.positions[vertex]);
        self.normals.push(from.normals[vertex]);
        self.uvs.push(from.uvs[vertex]);
        self.colours.push(from.colours[vertex]);
        self.features.push(from.features[vertex]);
    }

    /// Adds a flat triangle of a plain block; nothing where it has no area.
    fn facet(&mut self, corners: [Vec3; 3], feature: u32) {
        let [a, b, c] = corners;
        let cross = (b - a).cross(c - a);
        if cross.length_squared() < 1e-8 {
            return;
        }
        let normal = cross.normalize();
        for corner in corners {
            self.indices.push(self.positions.len() as u32);
            self.positions.push(corner.into());
            self.normals.push(normal.into());
            self.uvs.push([0.0; 2]);
            self.colours.push(BLOCK_COLOUR);
            self.features.push(feature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house of 10 m by 8 m, eaves at 5 m, ridge at 9 m, with a lamp of two triangles beside it; and no other vertices.
    fn tile() -> TileMeshes {
        let mut mesh = DrawMesh::default();
        let mut add = |corners: [[f32; 3]; 3], feature: u32| {
            let [a, b, c] = corners.map(Vec3::from);
            let normal = (b - a).cross(c - a).normalize();
            for corner in corners {
                mesh.indices.push(mesh.positions.len() as u32);
                mesh.positions.push(corner);
                mesh.normals.push(normal.into());
                mesh.uvs.push([0.5; 2]);
                mesh.colours.push([1.0; 4]);
                mesh.features.push(feature);
            }
        };
        // Gables to west and east, walls to north and south, two roofs; y is up.
        for x in [0.0, 10.0] {
            add([[x, 0.0, 0.0], [x, 0.0, 8.0], [x, 5.0, 8.0]], 0);
            add([[x, 0.0, 0.0], [x, 5.0, 8.0], [x, 5.0, 0.0]], 0);
            add([[x, 5.0, 0.0], [x, 5.0, 8.0], [x, 9.0, 4.0]], 0);
        }
        for z in [0.0, 8.0] {
            add([[0.0, 0.0, z], [10.0, 0.0, z], [10.0, 5.0, z]], 0);
            add([[0.0, 0.0, z], [10.0, 5.0, z], [0.0, 5.0, z]], 0);
        }
        add([[0.0, 5.0, 0.0], [0.0, 9.0, 4.0], [10.0, 9.0, 4.0]], 0);
        add([[0.0, 5.0, 0.0], [10.0, 9.0, 4.0], [10.0, 5.0, 0.0]], 0);
        add([[0.0, 9.0, 4.0], [0.0, 5.0, 8.0], [10.0, 5.0, 8.0]], 0);
        add([[0.0, 9.0, 4.0], [10.0, 5.0, 8.0], [10.0, 9.0, 4.0]], 0);
        add([[20.0, 0.0, 0.0], [20.2, 0.0, 0.0], [20.0, 6.0, 0.0]], 1);
        let features = Features {
            ids: vec!["b/1".into(), "lamp/1".into()],
            classes: vec!["building".into(), "lamp".into()],
            names: vec![String::new(); 2],
            levels: vec![3, 4],
        };
        TileMeshes { materials: vec![DrawMaterial::default()], meshes: vec![mesh], features, ..TileMeshes::default() }
    }

    fn at(number: u8) -> TileMeshes {
        let mut tile = tile();
        limit(&mut tile, CimLevel::new(number).unwrap(), false);
        tile
    }

    #[test]
    fn what_is_finer_is_left_out() {
        assert_eq!([1, 2, 3, 4, 7].map(|n| at(n).triangles()), [0, 12, 14, 15, 15]);
        let three = at(3);
        assert!(three.meshes.len() == 1 && three.meshes[0].features.iter().all(|feature| *feature == 0));
        assert_eq!(three.meshes[0].max, Vec3::new(10.0, 9.0, 8.0));
    }

    #[test]
    fn a_house_becomes_a_block_over_the_same_ground() {
        let tile = at(2);
        let block = &tile.meshes[0];
        assert_eq!(tile.materials[block.material].name, "wall");
        // Mean of the roof: half way between eaves and ridge.
        assert_eq!((block.min, block.max), (Vec3::ZERO, Vec3::new(10.0, 7.0, 8.0)));
        let heights: Vec<f32> = block.positions.iter().map(|p| p[1]).collect();
        assert!(heights.iter().all(|y| [0.0, 7.0].contains(y)), "{heights:?}");
        let up: f32 = block
            .indices
            .chunks_exact(3)
            .map(|t| [0, 1, 2].map(|k| Vec3::from(block.positions[t[k] as usize])))
            .map(|[a, b, c]| (b - a).cross(c - a).y * 0.5)
            .sum();
        assert!((up - 80.0).abs() < 1e-3, "the roof covers the ground: {up}");
    }

    #[test]
    fn many_buildings_together_keep_their_shape_and_lose_their_colour() {
        let mut merged = tile();
        merged.features.ids[0].clear();
        merged.features.levels[0] = 2;
        limit(&mut merged, CimLevel::FRAME, false);
        assert_eq!((merged.triangles(), merged.meshes[0].max.y), (14, 9.0));
        assert!(merged.meshes[0].colours.iter().all(|colour| *colour == BLOCK_COLOUR));
    }

    #[test]
    fn the_block_of_a_building_of_components_keeps_its_tiers() {
        let mut block = tile();
        block.features.levels[0] = 2;
        limit(&mut block, CimLevel::FRAME, true);
        assert_eq!((block.triangles(), block.meshes[0].max.y), (14, 9.0));
        assert!(block.meshes[0].colours.iter().all(|colour| *colour == BLOCK_COLOUR));
    }

    #[test]
    fn tiles_of_others_stay_as_they_are() {
        let mut other = tile();
        other.features.levels.clear();
        limit(&mut other, CimLevel::SURFACE, false);
        assert_eq!(other.triangles(), 15);
        // A scan has no features at all.
        for (number, points) in [(2, 0), (3, 1)] {
            let mut scan = TileMeshes::default();
            scan.points.positions.push([0.0; 3]);
            limit(&mut scan, CimLevel::new(number).unwrap(), false);
            assert_eq!(scan.points.positions.len(), points, "CIM{number}");
        }
    }
}
