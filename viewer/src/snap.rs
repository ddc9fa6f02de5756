//! Where a measuring click goes: to a corner or an edge of what is drawn, if one is near on the screen, else to the surface.

use std::sync::Arc;

use bevy::math::Vec2;
use glam::{DVec3, Vec3};

use crate::{
    material::Kind,
    origin::{axes_from_city, city_from_axes},
    pick::{PickMesh, PickTile, Ray},
    scene::Viewed,
};

/// Corners are caught within this on the screen, pixels.
pub const CORNER_PX: f32 = 12.0;
/// Edges are caught within this, pixels.
pub const EDGE_PX: f32 = 8.0;
/// A corner may lie behind the surface before it by this share of its distance and still be seen: it is its edge.
const BEHIND: f64 = 2e-4;
/// Candidates of which it is looked whether they are seen.
const MOST_CANDIDATES: usize = 12;
/// Triangles at an edge are one plane when their normals differ by less (cosine): its diagonal is no edge.
const FLAT: f32 = 0.9995;

/// What was caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catch {
    /// A corner.
    Corner,
    /// A place on an edge.
    Edge,
    /// A place on a surface.
    Surface,
}

/// Where a click goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snap {
    /// Place in the city's frame.
    pub place: DVec3,
    /// What is there.
    pub catch: Catch,
}

/// A triangle edge near the cursor.
struct Near<'a> {
    pixels: f32,
    place: DVec3,
    catch: Catch,
    mesh: &'a PickMesh,
    /// Indices of its ends, for an edge.
    ends: Option<(u32, u32)>,
}

/// The corner or edge nearest to `pixel` that is seen, else `surface`: what the ray through the pixel meets.
pub fn snap<'a>(
    tiles: &[&'a Arc<PickTile>],
    viewed: &Viewed,
    pixel: Vec2,
    surface: Option<DVec3>,
    is_met: impl Fn(Kind) -> bool + Copy,
    is_left: impl Fn(Kind, DVec3) -> bool + Copy,
) -> Option<Snap> {
    let ray = viewed.ray(pixel);
    let mut near: Vec<Near<'a>> = Vec::new();
    // What lies well behind the surface is hidden by it.
    let deepest = surface.map_or(f64::INFINITY, |place| place.distance(viewed.pose.place) * 1.05 + 2.0);
    for tile in tiles {
        for mesh in tile.meshes.iter().filter(|mesh| is_met(mesh.kind) && is_aimed_at(tile, mesh, &ray, viewed)) {
            collect(tile, mesh, viewed, pixel, deepest, &mut near);
        }
    }
    near.sort_by(|a, b| {
        (a.catch != Catch::Corner, a.pixels)
            .partial_cmp(&(b.catch != Catch::Corner, b.pixels))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    near.dedup_by(|a, b| a.place == b.place);
    near.retain(|near| is_left(Kind::Other, near.place));
    let is_seen = |place: DVec3| {
        let away = place - viewed.pose.place;
        let distance = away.length();
        let ray = Ray { from: viewed.pose.place, direction: away / distance };
        let limit = distance * (1.0 - BEHIND) - 0.02;
        !tiles.iter().any(|tile| tile.cast(&ray, limit, is_met, is_left).is_some())
    };
    let corners = near.iter().filter(|near| near.catch == Catch::Corner).take(MOST_CANDIDATES);
    let edges = near.iter().filter(|near| near.catch == Catch::Edge && is_edge(near)).take(MOST_CANDIDATES);
    corners
        .chain(edges)
        .find(|near| is_seen(near.place))
        .map(|near| Snap { place: near.place, catch: near.catch })
        .or_else(|| surface.map(|place| Snap { place, catch: Catch::Surface }))
}

/// Whether the cursor's ray passes near the box of a mesh.
fn is_aimed_at(tile: &PickTile, mesh: &PickMesh, ray: &Ray, viewed: &Viewed) -> bool {
    let (min, max) = mesh.bounds();
    let middle = tile.origin + city_from_axes(((min + max) * 0.5).as_dvec3());
    let radius = f64::from((max - min).length()) * 0.5;
    let along = (middle - ray.from).dot(ray.direction);
    let aside = (middle - ray.from - ray.direction * along.max(0.0)).length();
    along > -radius && aside < radius + (along + radius) * f64::from(CORNER_PX / viewed.size.y.max(1.0))
}

fn collect<'a>(
    tile: &'a PickTile,
    mesh: &'a PickMesh,
    viewed: &Viewed,
    pixel: Vec2,
    deepest: f64,
    near: &mut Vec<Near<'a>>,
) {
    let place_of = |index: u32| {
        let position = mesh.positions()[index as usize];
        tile.origin + city_from_axes(Vec3::from(position).as_dvec3())
    };
    let eye = axes_from_city(viewed.pose.place - tile.origin);
    // Most triangles are far from the cursor; f32 within the tile tells which.
    let towards = axes_from_city(viewed.ray(pixel).direction);
    let a_pixel = 2.0 * (crate::camera::FIELD_OF_VIEW_DEG.to_radians() * 0.5).tan() as f32 / viewed.size.y.max(1.0);
    let aside = |corner: Vec3| {
        let away = corner - eye;
        let along = away.dot(towards);
        ((away - towards * along).length(), along)
    };
    for triangle in mesh.indices().chunks_exact(3) {
        let corners = [0, 1, 2].map(|k| Vec3::from(mesh.positions()[triangle[k] as usize]));
        let longest =
            corners[0].distance(corners[1]).max(corners[1].distance(corners[2])).max(corners[2].distance(corners[0]));
        let (off, along) = aside(corners[0]);
        if along + longest < 0.0 || f64::from(along - longest) > deepest {
            continue;
        }
        if off > longest + (along + longest) * a_pixel * CORNER_PX * 2.0 {
            continue;
        }
        for k in 0..3 {
            let (from, to) = (triangle[k], triangle[(k + 1) % 3]);
            let (a, b) = (place_of(from), place_of(to));
            let (Some((pixel_a, depth_a)), Some((pixel_b, _))) = (viewed.pixel(a), viewed.pixel(b)) else { continue };
            if f64::from(depth_a) > deepest {
                continue;
            }
            let to_corner = pixel_a.distance(pixel);
            if to_corner <= CORNER_PX {
                near.push(Near { pixels: to_corner, place: a, catch: Catch::Corner, mesh, ends: None });
            }
            let along = pixel_b - pixel_a;
            let share = ((pixel - pixel_a).dot(along) / along.length_squared().max(1e-6)).clamp(0.0, 1.0);
            let to_edge = (pixel_a + along * share).distance(pixel);
            if to_edge <= EDGE_PX {
                let place = nearest_to_ray(a, b, &viewed.ray(pixel));
                near.push(Near { pixels: to_edge, place, catch: Catch::Edge, mesh, ends: Some((from, to)) });
            }
        }
    }
}

/// The place between `a` and `b` that is nearest to the ray.
fn nearest_to_ray(a: DVec3, b: DVec3, ray: &Ray) -> DVec3 {
    let edge = b - a;
    let away = a - ray.from;
    let (ee, ed) = (edge.length_squared(), edge.dot(ray.direction));
    let determinant = ee - ed * ed;
    if determinant.abs() < 1e-9 * ee.max(1e-9) {
        return a;
    }
    let share = (ed * away.dot(ray.direction) - away.dot(edge)) / determinant;
    a + edge * share.clamp(0.0, 1.0)
}

/// Whether the edge is one of the body and not the diagonal of a flat face.
fn is_edge(near: &Near<'_>) -> bool {
    let Some((from, to)) = near.ends else { return false };
    let at = |index: u32| Vec3::from(near.mesh.positions()[index as usize]);
    let (start, end) = (at(from), at(to));
    let is_same = |a: Vec3, b: Vec3| a.distance_squared(b) < 1e-6;
    let mut normals: Vec<Vec3> = Vec::new();
    for triangle in near.mesh.indices().chunks_exact(3) {
        let corners = [0, 1, 2].map(|k| at(triangle[k]));
        let holds = |place: Vec3| corners.iter().any(|corner| is_same(*corner, place));
        if holds(start) && holds(end) {
            normals.push((corners[1] - corners[0]).cross(corners[2] - corners[0]).normalize_or_zero());
        }
    }
    normals.len() < 2 || normals.iter().any(|normal| normal.dot(normals[0]).abs() < FLAT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        camera::CameraPose,
        content::{DrawMesh, TileMeshes},
    };

    const ORIGIN: DVec3 = DVec3::new(40_534_000.0, 3_993_000.0, 12.0);

    /// A level square of 20 m around the origin, and a lower one of 60 m under it.
    fn tile() -> Arc<PickTile> {
        let square = |half: f32, z: f32| DrawMesh {
            positions: vec![[-half, z, half], [half, z, half], [half, z, -half], [-half, z, -half]],
            features: vec![0; 4],
            indices: vec![0, 1, 2, 0, 2, 3],
            min: Vec3::new(-half, z, -half),
            max: Vec3::new(half, z, half),
            ..DrawMesh::default()
        };
        let mut tile = TileMeshes { meshes: vec![square(10.0, 30.0), square(30.0, 0.0)], ..TileMeshes::default() };
        Arc::new(PickTile::new(ORIGIN, &mut tile, &[Kind::Roof, Kind::Terrain]))
    }

    fn caught(aim: DVec3, off_px: Vec2) -> Snap {
        let pose = CameraPose::looking_at(ORIGIN + DVec3::new(0.0, 0.0, 30.0), 150.0, 20.0, -60.0);
        let viewed = Viewed { pose, size: Vec2::new(1280.0, 720.0) };
        let pixel = viewed.pixel(ORIGIN + aim).expect("in front").0 + off_px;
        let tile = tile();
        let ray = viewed.ray(pixel);
        let surface = tile.cast(&ray, 1e4, |_| true, |_, _| true).map(|hit| hit.place);
        snap(&[&tile], &viewed, pixel, surface, |_| true, |_, _| true).expect("something is there")
    }

    #[test]
    fn corners_come_before_edges_and_edges_before_surfaces() {
        let corner = caught(DVec3::new(10.0, 10.0, 30.0), Vec2::new(6.0, -4.0));
        assert_eq!(corner.catch, Catch::Corner);
        assert!(corner.place.distance(ORIGIN + DVec3::new(10.0, 10.0, 30.0)) < 1e-6);
        let edge = caught(DVec3::new(10.0, 3.0, 30.0), Vec2::new(4.0, 0.0));
        assert_eq!(edge.catch, Catch::Edge);
        assert!((edge.place.x - ORIGIN.x - 10.0).abs() < 1e-6 && (edge.place.z - ORIGIN.z - 30.0).abs() < 1e-6);
        let roof = caught(DVec3::new(2.0, 5.0, 30.0), Vec2::ZERO);
        assert_eq!(roof.catch, Catch::Surface);
        assert!((roof.place.z - ORIGIN.z - 30.0).abs() < 1e-2);
    }

    #[test]
    fn the_diagonal_of_a_flat_roof_is_no_edge_and_what_is_hidden_is_not_caught() {
        assert_eq!(caught(DVec3::new(4.0, 4.0, 30.0), Vec2::ZERO).catch, Catch::Surface, "on the diagonal");
        // The middle of the ground lies under the roof; its diagonal passes there too.
        let hidden = caught(DVec3::new(0.0, 1.0, 30.0), Vec2::ZERO);
        assert!((hidden.place.z - ORIGIN.z - 30.0).abs() < 1e-2, "{hidden:?}");
    }
}
