//! Triangles with colours to the meshes of city objects.

use std::collections::{BTreeMap, HashMap};

use glam::DVec3;
use groundline_engine::model::{Extent, Geometry, Mesh, MeshPart, Texture};

/// Colour of a surface whose source names none.
pub(crate) const PLAIN: [u8; 4] = [200, 200, 200, 255];

/// Triangles of one or of many colours as parts of one colour each. Colours of vertices are averaged over each
/// triangle and rounded to 16 steps a channel, so that a coloured surface falls into a bounded number of parts.
/// Triangles that name a vertex which is not there are left out and counted.
pub(crate) fn parts(
    positions: &[DVec3],
    triangles: &[[u32; 3]],
    colours: Option<&[[u8; 4]]>,
    plain: [u8; 4],
) -> (Vec<MeshPart>, u64) {
    let mut wrong = 0;
    let mut groups: BTreeMap<[u8; 4], Vec<[u32; 3]>> = BTreeMap::new();
    for triangle in triangles {
        if triangle.iter().any(|i| *i as usize >= positions.len()) {
            wrong += 1;
            continue;
        }
        let rgba = colours.map_or(plain, |colours| mean(triangle, colours, plain));
        groups.entry(rgba).or_default().push(*triangle);
    }
    let made = groups.into_iter().map(|(rgba, triangles)| {
        let mut part = MeshPart { rgba, ..MeshPart::default() };
        let mut seen: HashMap<u32, u32> = HashMap::new();
        for corner in triangles.into_iter().flatten() {
            let next = part.positions.len() as u32;
            let index = *seen.entry(corner).or_insert_with(|| {
                part.positions.extend(positions.get(corner as usize));
                next
            });
            part.indices.push(index);
        }
        part
    });
    (made.collect(), wrong)
}

/// Triangles with a picture, and a place in it for each vertex, as one part.
pub(crate) fn pictured(
    positions: &[DVec3],
    triangles: &[[u32; 3]],
    uvs: &[[f32; 2]],
    rgba: [u8; 4],
    texture: &Texture,
) -> MeshPart {
    let mut part = MeshPart { rgba, texture: Some(texture.clone()), ..MeshPart::default() };
    let mut seen: HashMap<u32, u32> = HashMap::new();
    let known = |corner: &u32| (*corner as usize) < positions.len().min(uvs.len());
    for corner in triangles.iter().filter(|t| t.iter().all(known)).flatten() {
        let next = part.positions.len() as u32;
        let index = *seen.entry(*corner).or_insert_with(|| {
            part.positions.extend(positions.get(*corner as usize));
            part.uvs.extend(uvs.get(*corner as usize));
            next
        });
        part.indices.push(index);
    }
    part
}

fn mean(triangle: &[u32; 3], colours: &[[u8; 4]], plain: [u8; 4]) -> [u8; 4] {
    let mut sum = [0u32; 4];
    for corner in triangle {
        let colour = colours.get(*corner as usize).unwrap_or(&plain);
        sum.iter_mut().zip(colour).for_each(|(s, c)| *s += u32::from(*c));
    }
    sum.map(|s| ((s / 3) as u8 >> 4) * 17)
}

/// The parts around the middle of their box, so that their numbers are small. Nothing when there is no triangle.
pub(crate) fn geometry(mut parts: Vec<MeshPart>) -> Geometry {
    parts.retain(|p| !p.indices.is_empty());
    let extent = Extent::around(parts.iter().flat_map(|p| p.positions.iter().copied()));
    if parts.is_empty() || extent.is_empty() {
        return Geometry::None;
    }
    let origin = extent.centre();
    for part in &mut parts {
        part.positions.iter_mut().for_each(|p| *p -= origin);
    }
    Geometry::Mesh(Mesh { origin, parts })
}
