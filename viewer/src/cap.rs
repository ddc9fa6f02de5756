//! The faces that fill solids where a plane cuts them (剖面填充).
//!
//! Of the triangles that are drawn, those that a plane crosses give a segment each; the segments of one object close to rings, and rings within
//! rings are holes. Surfaces that do not close have no face, but for houses without a floor. It does not matter to which side a surface looks.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use bevy::{
    camera::{primitives::Aabb, visibility::NoFrustumCulling},
    light::NotShadowCaster,
    prelude::*,
};
use geo::TriangulateEarcut;
use glam::{DVec2, DVec3};

use crate::{
    content::{DrawMesh, NO_FEATURE},
    cut::{Cuts, Plane},
    material::{CityMaterial, Kind, Materials},
    mesh::gpu_mesh,
    origin::{axes_from_city, city_from_axes},
    pick::{PickMesh, PickTile},
    scene::Origin,
    stream::{Streaming, TileKey},
    tile_part::TileEntity,
};

/// Ends of segments that are nearer than this are one, metres.
const WELD_M: f64 = 0.002;
/// Triangles that are looked at in one frame while a person is watching.
const TRIANGLES_A_FRAME: usize = 1_500_000;
/// Most segments of one object.
const MOST_SEGMENTS: usize = 200_000;

/// The faces that are drawn, by tile.
#[derive(Resource, Default)]
pub struct Caps {
    of: Cuts,
    /// With what the mouse saw of the tile: another one has other faces.
    tiles: HashMap<TileKey, (Option<Entity>, Arc<PickTile>)>,
}

/// Fills what the planes cut, tile by tile as they are shown.
#[allow(clippy::too_many_arguments)]
pub fn lay_caps(
    cuts: Res<Cuts>,
    mut caps: ResMut<Caps>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    mut held: Local<Option<Handle<CityMaterial>>>,
    mut shared: ResMut<Materials>,
    streaming: Res<Streaming>,
    origin: Res<Origin>,
) {
    let caps = &mut *caps;
    let is_other = caps.of != *cuts;
    let shown: HashMap<TileKey, ()> = streaming.shown.iter().map(|key| (*key, ())).collect();
    caps.tiles.retain(|key, (face, of)| {
        let is_same = streaming.pick_of(*key).is_some_and(|pick| Arc::ptr_eq(pick, of));
        let stays = !is_other && is_same && shown.contains_key(key);
        if let Some(face) = face.filter(|_| !stays) {
            commands.entity(face).despawn();
        }
        stays
    });
    caps.of = cuts.clone();
    let planes = cuts.planes();
    if planes.is_empty() {
        return;
    }
    let mut left = if streaming.is_single_picture { usize::MAX } else { TRIANGLES_A_FRAME };
    for (key, tile) in streaming.shown_picks() {
        if left == 0 {
            break;
        }
        if caps.tiles.contains_key(&key) {
            continue;
        }
        let (mesh, looked_at) = faces_of(tile, &planes);
        left = left.saturating_sub(looked_at);
        let face = (!mesh.indices.is_empty()).then(|| {
            let material = held.get_or_insert_with(|| shared.plain(Kind::Cap, &mut materials)).clone();
            let bounds = Aabb::from_min_max(mesh.min, mesh.max);
            let place = Transform::from_translation(origin.0.render_from_city(tile.origin));
            let entity = TileEntity { origin: tile.origin, kind: Kind::Cap };
            let drawn = (Mesh3d(meshes.add(gpu_mesh(&mesh))), MeshMaterial3d(material), place, bounds);
            commands.spawn((drawn, NoFrustumCulling, NotShadowCaster, entity)).id()
        });
        caps.tiles.insert(key, (face, Arc::clone(tile)));
    }
}

/// The faces of a tile at all planes, in its own coordinates, and how many triangles were looked at. `uv.x` is the kind of what is cut.
fn faces_of(tile: &PickTile, planes: &[Plane]) -> (DrawMesh, usize) {
    let mut out = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
    let mut looked_at = 0;
    for plane in planes {
        let local = Plane { at: plane.at - tile.origin, ..*plane };
        // Walls and roof of a house stand in meshes of their own.
        let mut sections = BTreeMap::new();
        for (number, mesh) in tile.meshes.iter().enumerate().filter(|(_, mesh)| mesh.kind.is_solid()) {
            if crosses(mesh, &local) {
                looked_at += mesh.indices().len() / 3;
                add_segments(&mut sections, number, mesh, &local);
            }
        }
        sections.values().for_each(|section| fill(&mut out, section, &local));
    }
    (out, looked_at)
}

/// What a plane leaves of the triangles of one object.
struct Section {
    kind: Kind,
    tint: [f32; 4],
    segments: Vec<[DVec2; 2]>,
}

/// Whether the plane goes through the mesh's box.
fn crosses(mesh: &PickMesh, plane: &Plane) -> bool {
    let (min, max) = mesh.bounds();
    let (low, high) = (city_from_axes(min.as_dvec3()), city_from_axes(max.as_dvec3()));
    let (centre, half) = ((low + high) * 0.5, ((high - low) * 0.5).abs());
    ((centre - plane.at).dot(plane.normal)).abs() <= half.dot(plane.normal.abs())
}

/// Two directions in a plane, across and up.
fn axes_of(plane: &Plane) -> (DVec3, DVec3) {
    let across = if plane.normal.z.abs() > 0.9 { DVec3::X } else { DVec3::Z.cross(plane.normal).normalize() };
    (across, plane.normal.cross(across))
}

/// Adds what the plane leaves of a mesh's triangles to the sections by feature; what is no feature's is the mesh's own.
fn add_segments(sections: &mut BTreeMap<(u32, usize), Section>, number: usize, mesh: &PickMesh, plane: &Plane) {
    let (across, up) = axes_of(plane);
    let normal = axes_from_city(plane.normal);
    let base = plane.at.dot(plane.normal) as f32;
    let positions = mesh.positions();
    // Vertices on the plane count as behind it, so that every ring closes.
    let side = |index: u32| normal.dot(Vec3::from(positions[index as usize])) - base;
    let place = |index: u32| city_from_axes(Vec3::from(positions[index as usize]).as_dvec3());
    for triangle in mesh.indices().chunks_exact(3) {
        let sides = [side(triangle[0]), side(triangle[1]), side(triangle[2])];
        let is_before = sides.map(|side| side > 0.0);
        if is_before[0] == is_before[1] && is_before[1] == is_before[2] {
            continue;
        }
        let mut ends = [DVec2::ZERO; 2];
        let mut count = 0;
        for (a, b) in [(0, 1), (1, 2), (2, 0)] {
            if is_before[a] != is_before[b] && count < 2 {
                let (from, to) = (place(triangle[a]), place(triangle[b]));
                let share = f64::from(sides[a]) / f64::from(sides[a] - sides[b]);
                let met = from + (to - from) * share - plane.at;
                ends[count] = DVec2::new(met.dot(across), met.dot(up));
                count += 1;
            }
        }
        let feature = mesh.feature(triangle[0]);
        let key = (feature, if feature == NO_FEATURE { number } else { usize::MAX });
        let section =
            sections.entry(key).or_insert_with(|| Section { kind: mesh.kind, tint: mesh.tint, segments: Vec::new() });
        if count == 2 && section.segments.len() < MOST_SEGMENTS {
            section.segments.push(ends);
        }
    }
}

/// Rings that the segments close to. Where `is_bridged`, a path that ends is closed straight: houses mostly come without a floor.
fn rings_of(segments: &[[DVec2; 2]], is_bridged: bool) -> Vec<Vec<DVec2>> {
    let key = |place: DVec2| ((place.x / WELD_M).round() as i64, (place.y / WELD_M).round() as i64);
    let mut at: HashMap<(i64, i64), Vec<usize>> = HashMap::new();
    let mut is_used = vec![false; segments.len()];
    for (number, [a, b]) in segments.iter().enumerate() {
        if key(*a) == key(*b) {
            is_used[number] = true;
            continue;
        }
        at.entry(key(*a)).or_default().push(number);
        at.entry(key(*b)).or_default().push(number);
    }
    let mut rings = Vec::new();
    for first in 0..segments.len() {
        if is_used[first] {
            continue;
        }
        is_used[first] = true;
        let [begin, end] = segments[first];
        let mut path = VecDeque::from([begin, end]);
        // On from its end, then from its begin.
        for is_back in [true, false] {
            loop {
                let (from, other) = if is_back { (path.back(), path.front()) } else { (path.front(), path.back()) };
                let (Some(from), Some(other)) = (from.copied(), other.copied()) else { break };
                if key(from) == key(other) {
                    break;
                }
                let next = at.get_mut(&key(from)).and_then(|list| {
                    list.retain(|number| !is_used[*number]);
                    list.pop()
                });
                let Some(next) = next else { break };
                is_used[next] = true;
                let [a, b] = segments[next];
                let to = if key(a) == key(from) { b } else { a };
                if is_back { path.push_back(to) } else { path.push_front(to) }
            }
        }
        let is_closed = path.front().map(|p| key(*p)) == path.back().map(|p| key(*p));
        if is_closed {
            path.pop_back();
        }
        if path.len() >= 3 && (is_closed || is_bridged) {
            rings.push(path.into());
        }
    }
    rings
}

fn area(ring: &[DVec2]) -> f64 {
    let next = ring.iter().skip(1).chain(ring.first());
    ring.iter().zip(next).map(|(a, b)| a.perp_dot(*b)).sum::<f64>() * 0.5
}

fn holds(ring: &[DVec2], place: DVec2) -> bool {
    let next = ring.iter().skip(1).chain(ring.first());
    let crossings = ring.iter().zip(next).filter(|(a, b)| {
        (a.y > place.y) != (b.y > place.y) && place.x < (b.x - a.x) * (place.y - a.y) / (b.y - a.y) + a.x
    });
    crossings.count() % 2 == 1
}

/// Adds the face that the segments enclose.
fn fill(out: &mut DrawMesh, section: &Section, plane: &Plane) {
    let is_house = matches!(section.kind, Kind::Facade | Kind::Roof);
    let mut rings = rings_of(&section.segments, is_house);
    rings.retain(|ring| area(ring).abs() > 1e-5);
    rings.sort_by(|a, b| area(b).abs().total_cmp(&area(a).abs()));
    // A ring within an even number of others is a face, one within an odd number a hole of the smallest around it.
    let around: Vec<Vec<usize>> = (0..rings.len())
        .map(|inner| (0..inner).filter(|outer| holds(&rings[*outer], rings[inner][0])).collect())
        .collect();
    let as_line = |ring: &[DVec2]| ring.iter().map(|p| (p.x, p.y)).collect::<geo::LineString>();
    let (across, up) = axes_of(plane);
    for (outer, ring) in rings.iter().enumerate().filter(|(outer, _)| around[*outer].len().is_multiple_of(2)) {
        let holes = (0..rings.len())
            .filter(|inner| !around[*inner].len().is_multiple_of(2) && around[*inner].last() == Some(&outer));
        let polygon = geo::Polygon::new(as_line(ring), holes.map(|inner| as_line(&rings[inner])).collect());
        let face = polygon.earcut_triangles_raw();
        let begin = out.positions.len() as u32;
        for &[x, y] in &face.vertices {
            let place = plane.at + across * x + up * y;
            let at = axes_from_city(place);
            out.min = out.min.min(at);
            out.max = out.max.max(at);
            out.positions.push(at.into());
            out.normals.push(axes_from_city(plane.normal).into());
            out.uvs.push([f32::from(section.kind as u8), 0.0]);
            out.colours.push(section.tint);
        }
        out.indices.extend(face.triangle_indices.iter().map(|index| begin + *index as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::TileMeshes;

    /// A box around the tile's origin with this half size, as feature `feature`.
    fn box_mesh(half: f32, feature: u32, turn: bool) -> DrawMesh {
        let corner = |n: u32| {
            let sign = |bit: u32| if n & bit > 0 { half } else { -half };
            [sign(1), sign(2), sign(4)]
        };
        let sides = [[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]];
        let mut indices: Vec<u32> = sides.iter().flat_map(|[a, b, c, d]| [*a, *b, *c, *a, *c, *d]).collect();
        if turn {
            indices.reverse();
        }
        DrawMesh {
            positions: (0..8).map(corner).collect(),
            normals: vec![[0.0, 1.0, 0.0]; 8],
            uvs: vec![[0.0; 2]; 8],
            colours: vec![[1.0, 0.5, 0.25, 1.0]; 8],
            features: vec![feature; 8],
            indices,
            min: Vec3::splat(-half),
            max: Vec3::splat(half),
            ..DrawMesh::default()
        }
    }

    fn tile(meshes: Vec<DrawMesh>, kind: Kind) -> PickTile {
        let kinds = vec![kind; meshes.len()];
        let mut tile = TileMeshes { meshes, ..TileMeshes::default() };
        PickTile::new(DVec3::new(40_534_000.0, 3_993_000.0, 12.0), &mut tile, &kinds)
    }

    fn joined(mut a: DrawMesh, b: DrawMesh) -> DrawMesh {
        let begin = a.positions.len() as u32;
        a.indices.extend(b.indices.iter().map(|index| index + begin));
        a.positions.extend(b.positions);
        a.features.extend(b.features);
        a.colours.extend(b.colours);
        a.normals.extend(b.normals);
        a.uvs.extend(b.uvs);
        (a.min, a.max) = (a.min.min(b.min), a.max.max(b.max));
        a
    }

    fn face_area(tile: &PickTile, cut: &str) -> f64 {
        let cuts = Cuts::new(vec![cut.parse().unwrap()]).unwrap();
        let (mesh, _) = faces_of(tile, &cuts.planes());
        for position in &mesh.positions {
            let place = tile.origin + city_from_axes(Vec3::from(*position).as_dvec3());
            let off = cuts.planes().iter().map(|p| (place - p.at).dot(p.normal).abs()).fold(f64::MAX, f64::min);
            assert!(off < 1e-3, "{place} is {off} m off the plane");
        }
        let corner = |index: &u32| Vec3::from(mesh.positions[*index as usize]);
        let triangles =
            mesh.indices.chunks_exact(3).map(|t| (corner(&t[1]) - corner(&t[0])).cross(corner(&t[2]) - corner(&t[0])));
        triangles.map(|normal| f64::from(normal.length()) * 0.5).sum()
    }

    #[test]
    fn a_solid_has_the_face_of_its_section_whichever_way_it_looks() {
        for turn in [false, true] {
            let solid = tile(vec![box_mesh(5.0, 1, turn)], Kind::Facade);
            assert!((face_area(&solid, "level:13") - 100.0).abs() < 1e-2);
            assert!((face_area(&solid, "section:40534001,3993000,90") - 100.0).abs() < 1e-2);
            // Across the corner at 45°: wider by the root of two.
            let slanted = face_area(&solid, "section:40534000,3993000,45");
            assert!((slanted - 100.0 * f64::sqrt(2.0)).abs() < 0.1, "{slanted}");
            assert_eq!(face_area(&solid, "level:18"), 0.0, "above it");
        }
    }

    #[test]
    fn a_hollow_in_a_solid_stays_open_and_other_objects_do_not_count() {
        let hollow = joined(box_mesh(5.0, 1, false), box_mesh(3.0, 1, true));
        assert!((face_area(&tile(vec![hollow], Kind::Structure), "level:13") - 64.0).abs() < 1e-2);
        let within = joined(box_mesh(5.0, 1, false), box_mesh(3.0, 2, false));
        assert!((face_area(&tile(vec![within], Kind::Other), "level:13") - 136.0).abs() < 1e-2, "one in the other");
    }

    #[test]
    fn what_does_not_close_has_no_face() {
        let mut open = box_mesh(5.0, 1, false);
        // Without its last wall.
        open.indices.truncate(30);
        assert_eq!(face_area(&tile(vec![open.clone()], Kind::Structure), "level:13"), 0.0);
        // A house is closed straight.
        assert!((face_area(&tile(vec![open.clone()], Kind::Facade), "level:13") - 100.0).abs() < 1e-2);
        let mut wall = open.clone();
        (wall.indices, open.indices) = (open.indices[..18].to_vec(), open.indices[18..].to_vec());
        let apart = tile(vec![wall, open], Kind::Facade);
        assert!((face_area(&apart, "level:13") - 100.0).abs() < 1e-2, "its parts stand in two meshes");
        assert_eq!(face_area(&tile(vec![box_mesh(5.0, 1, false)], Kind::Terrain), "level:13"), 0.0);
    }
}
