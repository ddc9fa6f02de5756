//! A plain ground under a city that has no terrain, so that its buildings stand on something.
//!
//! Only a picture is made up here, no data: it is not picked, and a city with terrain has none.

use bevy::{camera::primitives::Aabb, light::NotShadowCaster, prelude::*};
use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

use crate::{
    city::CityModel,
    content::DrawMesh,
    material::{CityMaterial, Kind, Materials},
    mesh::gpu_mesh,
    origin::axes_from_city,
    scene::{CityScene, Origin},
    tile_part::TileEntity,
};

/// Cells along a side: light and haze are computed well even over a large plane.
const CELLS: u32 = 32;
/// How far it reaches beyond the city, in sizes of the city: farther than the border that fades.
const MARGIN: f64 = 0.06;
/// And metres more.
const MARGIN_M: f64 = 20.0;
/// Paper grey, linear.
const COLOUR: [f32; 4] = [0.42, 0.46, 0.48, 1.0];

/// Lays the plain ground once.
pub fn lay_plane(
    mut is_done: Local<bool>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    shared: Res<Materials>,
    city: Res<CityScene>,
    origin: Res<Origin>,
) {
    if *is_done {
        return;
    }
    *is_done = true;
    let Some((mesh, middle)) = plane_under(&city.0) else { return };
    let bounds = Aabb::from_min_max(mesh.min, mesh.max);
    commands.spawn((
        Mesh3d(meshes.add(gpu_mesh(&mesh))),
        MeshMaterial3d(materials.add(CityMaterial::new(Kind::Terrain, [1.0; 4], None, &shared.look))),
        Transform::from_translation(origin.0.render_from_city(middle)),
        bounds,
        NotShadowCaster,
        TileEntity { origin: middle, kind: Kind::Terrain },
    ));
}

/// Box around what is drawn of a city: without terrain there is the plane around the objects, so that it fades into the haze
/// and not they.
pub fn drawn_extent(city: &CityModel) -> Extent {
    let mut extent = city.scene_extent();
    if city.ground.is_empty() && !extent.is_empty() {
        let size = extent.size();
        let margin = DVec2::splat(size.x.max(size.y) * MARGIN + MARGIN_M).extend(0.0);
        extent.min -= margin;
        extent.max += margin;
    }
    extent
}

/// The plane's mesh and its origin; `None` for a city with terrain or without anything.
fn plane_under(city: &CityModel) -> Option<(DrawMesh, DVec3)> {
    let extent = city.scene_extent();
    if !city.ground.is_empty() || extent.is_empty() {
        return None;
    }
    // What stands on no terrain stands on 0; where a source has its own heights, the lowest of them decides.
    let level = if extent.min.z > 5.0 || extent.min.z < -5.0 { extent.min.z } else { 0.0 };
    let middle = extent.centre().truncate().extend(level - 0.3);
    let half = drawn_extent(city).size().truncate() * 0.5;
    let mut mesh = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
    for row in 0..=CELLS {
        for column in 0..=CELLS {
            let share = DVec2::new(f64::from(column), f64::from(row)) / f64::from(CELLS) * 2.0 - 1.0;
            let place = axes_from_city((share * half).extend(0.0));
            mesh.min = mesh.min.min(place);
            mesh.max = mesh.max.max(place);
            mesh.positions.push(place.into());
            mesh.normals.push([0.0, 1.0, 0.0]);
            mesh.uvs.push([0.0; 2]);
            mesh.colours.push(COLOUR);
        }
    }
    for row in 0..CELLS {
        for column in 0..CELLS {
            let a = row * (CELLS + 1) + column;
            let (b, c, d) = (a + 1, a + CELLS + 2, a + CELLS + 1);
            mesh.indices.extend([a, b, c, a, c, d]);
        }
    }
    Some((mesh, middle))
}

#[cfg(test)]
mod tests {
    use groundline_engine::{model::HeightGrid, tile::Ground};

    use super::*;

    #[test]
    fn terrain_makes_the_plane_needless() {
        let grid = HeightGrid {
            north_west: DVec2::new(0.0, 10.0),
            step_m: DVec2::splat(10.0),
            columns: 2,
            rows: 2,
            heights: vec![1.0; 4],
        };
        let city = CityModel::of_layers("with terrain", Vec::new(), Ground::new(vec![grid]), Vec::new());
        assert!(plane_under(&city).is_none());
        let empty = CityModel::of_layers("empty", Vec::new(), Ground::default(), Vec::new());
        assert!(plane_under(&empty).is_none());
    }
}
