//! What a tile draws, from a file of the city or from a tileset of others.

use std::{path::PathBuf, sync::Arc};

use glam::{DVec3, Vec3};
use groundline_engine::{
    store::read_file,
    tile::{Piece, Tile, TileContent, TileSource},
};

use crate::content::{DrawMaterial, DrawMesh, DrawPoints, Features, NO_FEATURE, TileMeshes, load_tile, smooth_normals};

/// Largest content file that is read, bytes.
const MAX_CONTENT_BYTES: u64 = 512 << 20;

/// Where the content of a tile lies.
#[derive(Clone)]
pub enum ContentAt {
    /// A file.
    File(PathBuf),
    /// What a source has under an address.
    Source(Arc<dyn TileSource>, String),
}

/// What was read.
pub enum Got {
    /// What is drawn, and its origin in the city's frame where it has one of its own.
    Drawn(TileMeshes, Option<DVec3>),
    /// Tiles in the place of the one that was asked for.
    Tiles(Vec<Tile>),
}

impl ContentAt {
    /// Reads it; the error says where.
    pub fn read(&self) -> Result<Got, String> {
        match self {
            Self::File(path) => {
                let wrong = |reason: String| format!("{}: {reason}", path.display());
                let bytes = read_file(path, MAX_CONTENT_BYTES).map_err(|error| wrong(error.to_string()))?;
                let tile = load_tile(&bytes).map_err(|error| wrong(error.to_string()))?;
                Ok(Got::Drawn(tile, None))
            }
            Self::Source(source, address) => match source.read(address)? {
                Piece::Tiles(tiles) => Ok(Got::Tiles(tiles)),
                Piece::Drawn(content, origin) => Ok(Got::Drawn(meshes_of(*content), Some(origin))),
            },
        }
    }
}

/// A content in the renderer's axes. Instances are left out: whoever makes such contents has spread them.
fn meshes_of(content: TileContent) -> TileMeshes {
    let axes = |v: Vec3| [v.x, v.z, -v.y];
    let linear = linear_table();
    let shade = |[r, g, b]: [u8; 3]| [r, g, b].map(|byte| linear[usize::from(byte)]);
    let colour = |[r, g, b, a]: [u8; 4]| {
        let [r, g, b] = shade([r, g, b]);
        [r, g, b, f32::from(a) / 255.0]
    };
    let materials = content.materials.into_iter().map(|material| DrawMaterial {
        name: material.name,
        base_colour: material.base_colour,
        roughness: material.roughness,
        texture: material.texture,
        double_sided: material.double_sided,
    });
    let mut out = TileMeshes {
        materials: materials.collect(),
        features: Features {
            ids: content.features.ids,
            classes: content.features.classes.into_iter().map(str::to_owned).collect(),
            names: content.features.names,
            levels: content.features.levels,
        },
        ..TileMeshes::default()
    };
    for mesh in content.meshes {
        let count = mesh.positions.len();
        let positions: Vec<[f32; 3]> = mesh.positions.into_iter().map(axes).collect();
        let mut indices = mesh.indices;
        indices.truncate(indices.len() / 3 * 3);
        if count == 0 || indices.is_empty() || indices.iter().any(|index| *index as usize >= count) {
            continue;
        }
        let normals = match mesh.normals.len() == count {
            true => mesh.normals.into_iter().map(axes).collect(),
            false => smooth_normals(&positions, &indices),
        };
        let mut uvs: Vec<[f32; 2]> = mesh.uvs.into_iter().map(|uv| uv.to_array()).collect();
        let mut colours: Vec<[f32; 4]> = mesh.colours.into_iter().map(colour).collect();
        let mut features = mesh.features;
        uvs.resize(count, [0.0; 2]);
        colours.resize(count, [1.0; 4]);
        features.resize(count, NO_FEATURE);
        let mut drawn = DrawMesh {
            material: mesh.material,
            positions,
            normals,
            uvs,
            colours,
            features,
            indices,
            ..DrawMesh::default()
        };
        drawn.measure();
        out.meshes.push(drawn);
    }
    if let Some(points) = content.points {
        out.points = DrawPoints {
            positions: points.positions.into_iter().map(axes).collect(),
            colours: points.colours.into_iter().map(|[r, g, b]| colour([r, g, b, 255])).collect(),
        };
    }
    out
}

/// Linear light of each sRGB byte.
fn linear_table() -> [f32; 256] {
    std::array::from_fn(|byte| {
        let s = byte as f32 / 255.0;
        if s <= 0.04045 { s / 12.92 } else { ((s + 0.055) / 1.055).powf(2.4) }
    })
}

#[cfg(test)]
mod tests {
    use groundline_engine::tile::glb::{FeatureTable, TileMesh};

    use super::*;

    #[test]
    fn contents_of_others_are_turned_to_the_axes_of_the_renderer() {
        let mesh = TileMesh {
            positions: vec![Vec3::ZERO, Vec3::X, Vec3::new(0.0, 2.0, 5.0)],
            colours: vec![[255, 188, 0, 255]; 3],
            features: vec![0; 3],
            indices: vec![0, 1, 2, 0],
            ..TileMesh::default()
        };
        let wild = TileMesh { indices: vec![0, 1, 9], ..mesh.clone() };
        let features = FeatureTable {
            ids: vec!["a/b".into()],
            classes: vec!["generic"],
            names: vec!["".into()],
            ..FeatureTable::default()
        };
        let tile = meshes_of(TileContent { meshes: vec![mesh, wild], features, ..TileContent::default() });
        assert_eq!(tile.meshes.len(), 1, "what names a vertex that is not there is left out");
        let mesh = &tile.meshes[0];
        assert_eq!((mesh.positions[2], mesh.indices.len(), mesh.max), ([0.0, 5.0, -2.0], 3, Vec3::new(1.0, 5.0, 0.0)));
        assert!((mesh.colours[0][1] - 0.503).abs() < 0.01 && mesh.colours[0][0] == 1.0);
        assert_eq!((mesh.uvs.len(), tile.features.ids[0].as_str()), (3, "a/b"));
    }
}
