//! Areas in plan, draped or flat, and modelled meshes.

use glam::{DVec2, DVec3, Vec2};

use super::{
    Detail, Dice, Sketch, ground_at,
    polygon::Rings,
    scene::{Look, Scene, Tint},
    sheet::{self, Patch},
    simple,
};
use crate::{
    model::{Area, Class, Mesh, MeshPart, Vertical},
    tile::Ground,
};

/// Longest edge of a draped triangle, metres.
const EDGE_M: f64 = 15.0;
/// Most triangles that one polygon is refined to; beyond it edges are longer.
const MOST_TRIANGLES: f64 = 60_000.0;
/// The same in a tile above the leaves, which may show hundreds of large polygons: districts, counties.
const MOST_FAR_TRIANGLES: f64 = 4_000.0;
/// Pixels of pictures on surfaces that are drawn in full.
const PIXELS_A_METRE: f64 = 16.0;
/// A picture with pixels of e metres is an error of this many e: whoever tolerates 16 pixels sees none of them.
const PICTURE_ERROR: f64 = 16.0;
/// A corner that has moved by e metres is an error of this many e: whoever tolerates 16 pixels sees it move by two.
const MOVED_ERROR: f64 = 8.0;

pub(super) fn draw_area(
    scene: &mut Scene,
    sketch: &Sketch,
    area: &Area,
    ground: &Ground,
    detail: Detail,
) -> Result<f64, &'static str> {
    let dice = Dice::of(&sketch.id);
    let (look, colour, lift) = match sketch.class {
        Class::Water => (Look::Water, [86, 128, 150], 0.05),
        Class::Greenery => {
            (Look::Greenery, dice.pick(1, &[[122, 148, 92], [132, 156, 98], [114, 140, 88], [140, 158, 108]]), 0.06)
        }
        Class::Road => (Look::Path, [104, 106, 110], 0.12),
        Class::Railway => (Look::Railway, [128, 118, 110], 0.1),
        Class::Building | Class::Storey | Class::Space => (Look::Wall, [214, 208, 198], 0.08),
        _ => (Look::LandUse, dice.pick(1, &[[206, 200, 184], [198, 196, 186], [210, 198, 178], [192, 194, 178]]), 0.04),
    };
    let lift = lift + dice.throw(2) * 0.02 + detail.tolerance_m() * 0.1;
    let tint = Tint::of(sketch.stage, colour);
    let mut drawn = false;
    for polygon in &area.polygons {
        let Some(rings) = Rings::of(polygon, detail.tolerance_m()) else { continue };
        drawn = true;
        let z = polygon.outer.iter().map(|v| v.z).sum::<f64>() / polygon.outer.len().max(1) as f64;
        match area.vertical {
            Vertical::Absolute => flat(scene, look, &rings, z + lift, tint),
            Vertical::AboveTerrain if ground.is_empty() => flat(scene, look, &rings, z + lift, tint),
            // Water is level: at the height of most of its shore.
            Vertical::AboveTerrain if sketch.class == Class::Water => {
                let mut shore: Vec<f64> = rings.outer().iter().filter_map(|v| ground.height_at(*v)).collect();
                shore.sort_by(f64::total_cmp);
                let level = shore.get(shore.len() / 2).copied().unwrap_or(0.0);
                flat(scene, look, &rings, level + z + lift, tint);
            }
            Vertical::AboveTerrain => {
                let (edge, most) =
                    if detail.is_full() { (EDGE_M, MOST_TRIANGLES) } else { (EDGE_M * 3.0, MOST_FAR_TRIANGLES) };
                draped(scene, look, &rings, tint, (edge, most), &|place| ground_at(ground, place) + z + lift);
            }
        }
    }
    if !drawn {
        return Err("a surface without area");
    }
    Ok(if detail.is_full() { 0.0 } else { detail.tolerance_m().max(1.0) })
}

fn flat(scene: &mut Scene, look: Look, rings: &Rings, z: f64, tint: Tint) {
    let indices: Vec<u32> =
        rings.vertices().map(|v| scene.vertex(look, v.extend(z), DVec3::Z, Vec2::ZERO, tint)).collect();
    for triangle in rings.triangles() {
        scene.triangle(look, triangle.map(|i| indices[i as usize]));
    }
}

/// Splits triangles at the middle of their longest edge until none is longer than `edge_m`, or longer where that would
/// make more than about `most` triangles.
///
/// Neighbours split the same edge at the same middle, because whether it is split depends on its length alone
/// and it is always the longest one that is split first; so no gaps open between them.
fn draped(
    scene: &mut Scene,
    look: Look,
    rings: &Rings,
    tint: Tint,
    (edge_m, most): (f64, f64),
    height: &dyn Fn(DVec2) -> f64,
) {
    let edge_m = edge_m.max((rings.area() / most).sqrt() * 2.0);
    let mut vertices: Vec<DVec2> = rings.vertices().collect();
    let mut middles = std::collections::HashMap::<(u32, u32), u32>::new();
    let mut stack = rings.triangles();
    let mut done: Vec<[u32; 3]> = Vec::new();
    while let Some([a, b, c]) = stack.pop() {
        let length = |i: u32, j: u32| vertices[i as usize].distance_squared(vertices[j as usize]);
        let (ab, bc, ca) = (length(a, b), length(b, c), length(c, a));
        let longest = ab.max(bc).max(ca);
        if longest <= edge_m * edge_m || done.len() + stack.len() > 4 * most as usize {
            done.push([a, b, c]);
            continue;
        }
        let (a, b, c) = if ab == longest {
            (a, b, c)
        } else if bc == longest {
            (b, c, a)
        } else {
            (c, a, b)
        };
        let key = (a.min(b), a.max(b));
        let middle = *middles.entry(key).or_insert_with(|| {
            vertices.push((vertices[a as usize] + vertices[b as usize]) * 0.5);
            vertices.len() as u32 - 1
        });
        stack.push([a, middle, c]);
        stack.push([middle, b, c]);
    }
    let indices: Vec<u32> = vertices
        .iter()
        .map(|v| {
            // Slope over a metre, so that draped surfaces are lit as the ground under them.
            let at = |x: f64, y: f64| height(*v + DVec2::new(x, y));
            let normal = DVec3::new(at(-2.0, 0.0) - at(2.0, 0.0), at(0.0, -2.0) - at(0.0, 2.0), 4.0).normalize();
            scene.vertex(look, v.extend(height(*v)), normal, Vec2::ZERO, tint)
        })
        .collect();
    for triangle in done {
        scene.triangle(look, triangle.map(|i| indices[i as usize]));
    }
}

/// A modelled shape as it is, each triangle lit flat.
pub(super) fn draw_mesh(scene: &mut Scene, sketch: &Sketch, mesh: &Mesh, detail: Detail) -> Result<f64, &'static str> {
    if let Some(simple) = (!detail.is_full()).then(|| simple::simple(mesh)).flatten() {
        for (part, corners) in &simple.triangles {
            let Some(part) = mesh.parts.get(*part) else { continue };
            let (look, tint) = plain(sketch, part);
            scene.facet(look, corners.map(|corner| mesh.origin + corner), [Vec2::ZERO; 3], tint);
        }
        return Ok(simple.deviation_m * MOVED_ERROR);
    }
    let (mut drawn, mut has_pictures) = (false, false);
    for part in &mesh.parts {
        if draw_pictured(scene, sketch, mesh.origin, part, detail) {
            (drawn, has_pictures) = (true, true);
            continue;
        }
        let (look, tint) = plain(sketch, part);
        for triangle in part.indices.chunks_exact(3) {
            let corner = |i: usize| part.positions.get(triangle[i] as usize).map(|v| mesh.origin + *v);
            let (Some(a), Some(b), Some(c)) = (corner(0), corner(1), corner(2)) else { continue };
            if (b - a).cross(c - a).length_squared() > 1e-16 {
                scene.facet(look, [a, b, c], [Vec2::ZERO; 3], tint);
                drawn = true;
            }
        }
    }
    match (drawn, detail) {
        (false, _) => Err("a mesh without triangles"),
        (true, Detail::Far { tolerance_m }) if has_pictures => Ok(tolerance_m * PICTURE_ERROR),
        (true, _) => Ok(0.0),
    }
}

/// How a part without a picture looks.
fn plain(sketch: &Sketch, part: &MeshPart) -> (Look, Tint) {
    let look = if part.rgba[3] < 250 { Look::Glass } else { Look::Solid };
    (look, Tint::of(sketch.stage, [part.rgba[0], part.rgba[1], part.rgba[2]]))
}

/// A part with a picture; `false` when it has none that can be shown.
fn draw_pictured(scene: &mut Scene, sketch: &Sketch, origin: DVec3, part: &MeshPart, detail: Detail) -> bool {
    let (Some(texture), Some(album)) = (&part.texture, scene.album) else { return false };
    let pixels_a_metre = match detail {
        Detail::Full => [PIXELS_A_METRE, PIXELS_A_METRE * sheet::FINER],
        Detail::Far { tolerance_m } => [1.0 / tolerance_m; 2],
    };
    let size = album.size(texture.name());
    let islands = size.and_then(|size| Some((size, sheet::islands(part, size, pixels_a_metre)?)));
    let Some((size, islands)) = islands else {
        scene.note_plain();
        return false;
    };
    let tint = Tint::of(sketch.stage, [255; 3]);
    for island in islands {
        let first = scene.count(Look::Textured);
        for triangle in &island.triangles {
            let corners = part.indices.get(*triangle as usize * 3..*triangle as usize * 3 + 3).unwrap_or(&[]);
            let [a, b, c] = *corners else { continue };
            let places = [a, b, c].map(|i| origin + part.positions[i as usize]);
            if (places[1] - places[0]).cross(places[2] - places[0]).length_squared() > 1e-16 {
                scene.facet(Look::Textured, places, [a, b, c].map(|i| Vec2::from(part.uvs[i as usize])), tint);
            }
        }
        let vertices = (first, scene.count(Look::Textured));
        if vertices.1 > first {
            scene.patches.extend(Patch::of(&island, part, size, vertices));
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{super::polygon::tests::polygon, *};
    use crate::{
        model::{CityObject, Geometry, HeightGrid, Line, ObjectId},
        tile::glb::TileMesh,
    };

    /// A slope of one in ten towards the east.
    fn ground() -> Ground {
        Ground::new(vec![HeightGrid {
            north_west: DVec2::new(-500.0, 500.0),
            step_m: DVec2::splat(100.0),
            columns: 11,
            rows: 11,
            heights: (0..121).map(|i| (i % 11) as f32 * 10.0).collect(),
        }])
    }

    fn drawn(class: Class, geometry: Geometry) -> TileMesh {
        let object = CityObject::new(ObjectId::new("a", 1), class, geometry);
        let mut scene = Scene::new(DVec3::ZERO);
        super::super::draw(&mut scene, &Sketch::of(&object), &ground(), Detail::Full).unwrap();
        scene.into_content().meshes.remove(0)
    }

    fn park(class: Class) -> TileMesh {
        let polygons = vec![polygon(&[(0.0, 0.0), (100.0, 0.0), (100.0, 60.0), (0.0, 60.0)], &[])];
        drawn(class, Geometry::Area(Area { polygons, vertical: Vertical::AboveTerrain }))
    }

    #[test]
    fn areas_lie_on_the_ground_in_small_triangles_that_keep_their_area() {
        let mesh = park(Class::Greenery);
        for v in &mesh.positions {
            let above = v.z - (50.0 + v.x * 0.1);
            assert!((0.05..0.1).contains(&above), "{above}");
        }
        let mut area = 0.0;
        for t in mesh.indices.chunks_exact(3) {
            let [a, b, c] = [t[0], t[1], t[2]].map(|i| mesh.positions[i as usize].truncate());
            assert!(a.distance(b).max(b.distance(c)).max(c.distance(a)) <= EDGE_M as f32 + 1e-3);
            area += (b - a).perp_dot(c - a) * 0.5;
        }
        assert!((area - 6000.0).abs() < 0.1, "{area}");
    }

    #[test]
    fn water_is_level_at_the_height_of_its_shore() {
        let mesh = park(Class::Water);
        let level = mesh.positions[0].z;
        assert!(mesh.positions.iter().all(|v| v.z == level) && (50.0..60.2).contains(&level));
    }

    #[test]
    fn roads_keep_their_width_and_lie_on_the_ground_at_both_edges() {
        let path = vec![DVec3::new(0.0, 0.0, 0.0), DVec3::new(0.0, 100.0, 0.0)];
        let line = Line { paths: vec![path], vertical: Vertical::AboveTerrain, width_m: 14.0 };
        let mesh = drawn(Class::Road, Geometry::Line(line));
        let (low, high) = mesh.positions.iter().fold((0f32, 0f32), |(l, h), v| (l.min(v.x), h.max(v.x)));
        assert!((low + 7.0).abs() < 1e-3 && (high - 7.0).abs() < 1e-3);
        for v in &mesh.positions {
            assert!((0.1..0.3).contains(&(v.z - (50.0 + v.x * 0.1))));
        }
        let along = mesh.uvs.iter().map(|uv| uv.y).fold(0.0, f32::max);
        assert!((along - 100.0 / 12.0).abs() < 1e-3);
        for t in mesh.indices.chunks_exact(3) {
            let [a, b, c] = [t[0], t[1], t[2]].map(|i| mesh.positions[i as usize].truncate());
            assert!((b - a).perp_dot(c - a) > 0.0, "seen from above");
        }
    }
}
