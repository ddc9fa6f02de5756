//! The sea goes on beyond the border of the city.
//!
//! A city's data end somewhere. On land the picture dissolves into haze there; where water reaches the border it
//! would look cut off, so the water is drawn on to the horizon. Only pictures are made up here, no data.

use bevy::{
    camera::{primitives::Aabb, visibility::NoFrustumCulling},
    light::NotShadowCaster,
    prelude::*,
};
use glam::{DVec2, DVec3};
use groundline_engine::model::Extent;

use crate::{
    content::DrawMesh,
    material::{CityMaterial, Kind, Materials},
    mesh::gpu_mesh,
    origin::axes_from_city,
    pick::Ray,
    scene::{CityScene, Origin},
    stream::Streaming,
    tile_part::TileEntity,
};

/// Places along the border that are asked for water.
const SAMPLES: usize = 160;
/// How far the sea goes on, in sizes of the city.
const REACH: f64 = 24.0;
/// Colour of the water, linear; the shader tints all water alike.
const WATER: [f32; 4] = [0.020, 0.095, 0.125, 1.0];

/// The sea beyond the border has been looked for.
#[derive(Resource, Default)]
pub struct SeaDone(bool);

/// Draws the sea beyond the border once all tiles of the first view are there.
#[allow(clippy::too_many_arguments)]
pub fn extend_sea(
    mut done: ResMut<SeaDone>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    shared: Res<Materials>,
    streaming: Res<Streaming>,
    city: Res<CityScene>,
    origin: Res<Origin>,
) {
    if done.0 || !streaming.is_complete {
        return;
    }
    done.0 = true;
    let extent = city.0.scene_extent();
    if extent.is_empty() {
        return;
    }
    let Some((mesh, middle)) = sea_beyond(&extent, |place| water_at(&streaming, &extent, place)) else { return };
    let bounds = Aabb::from_min_max(mesh.min, mesh.max);
    commands.spawn((
        Mesh3d(meshes.add(gpu_mesh(&mesh))),
        MeshMaterial3d(materials.add(CityMaterial::new(Kind::Water, [1.0; 4], None, &shared.look))),
        Transform::from_translation(origin.0.render_from_city(middle)),
        bounds,
        NoFrustumCulling,
        NotShadowCaster,
        TileEntity { origin: middle, kind: Kind::Water },
    ));
}

/// Height of the water at a place; `None` where there is none.
fn water_at(streaming: &Streaming, extent: &Extent, place: DVec2) -> Option<f64> {
    let ray = Ray { from: place.extend(extent.max.z + 100.0), direction: DVec3::NEG_Z };
    let hit = |is_seen: fn(Kind) -> bool| {
        let hits = streaming.shown_picks().filter_map(|(_, tile)| tile.cast(&ray, 1e5, is_seen, |_, _| true));
        hits.map(|hit| hit.place.z).reduce(f64::max)
    };
    let water = hit(|kind| kind == Kind::Water)?;
    // A lake below a hill's edge is no sea: the water must be what is seen from above.
    let land = hit(|kind| kind == Kind::Terrain);
    (land.is_none_or(|land| land < water)).then_some(water)
}

/// The mesh of the sea around `extent`, and its origin: strips from border to horizon wherever the border is water.
/// Alpha of the vertex colours falls to 0 where sea ends and haze begins.
fn sea_beyond(extent: &Extent, water_at: impl Fn(DVec2) -> Option<f64>) -> Option<(DrawMesh, DVec3)> {
    let middle = extent.centre().truncate();
    let half = extent.size().truncate() * 0.5;
    let border = |index: usize| {
        // Around the rectangle, counter-clockwise.
        let t = index as f64 / SAMPLES as f64 * 4.0;
        let (side, along) = (t.floor() as usize % 4, t.fract() * 2.0 - 1.0);
        match side {
            0 => DVec2::new(along, -1.0),
            1 => DVec2::new(1.0, along),
            2 => DVec2::new(-along, 1.0),
            _ => DVec2::new(-1.0, -along),
        }
    };
    let levels: Vec<Option<f64>> = (0..SAMPLES).map(|index| water_at(middle + border(index) * half * 0.97)).collect();
    let wet = levels.iter().flatten().count();
    if wet < SAMPLES / 16 {
        return None;
    }
    let mut sorted: Vec<f64> = levels.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let level = sorted[sorted.len() / 2];
    let is_sea = |index: usize| levels[index % SAMPLES].is_some_and(|height| (height - level).abs() < 1.0);
    let origin = middle.extend(level);
    let mut mesh = DrawMesh { min: Vec3::INFINITY, max: Vec3::NEG_INFINITY, ..DrawMesh::default() };
    let rings = [0.96, 1.15, 1.7, 3.5, REACH];
    let mut first_of = vec![None; SAMPLES + 1];
    for (index, first) in first_of.iter_mut().enumerate() {
        // A sample beside the sea carries its haze.
        let share = if is_sea(index) { 1.0 } else { 0.0 };
        let is_near = is_sea(index) || is_sea(index + 1) || is_sea(index + SAMPLES - 1);
        if !is_near {
            continue;
        }
        *first = Some(mesh.positions.len() as u32);
        for ring in rings {
            // 5 cm below the city's own water, where both are drawn.
            let place = axes_from_city((border(index) * half * ring).extend(-0.05));
            mesh.min = mesh.min.min(place);
            mesh.max = mesh.max.max(place);
            mesh.positions.push(place.into());
            mesh.normals.push([0.0, 1.0, 0.0]);
            mesh.uvs.push([0.0; 2]);
            mesh.colours.push([WATER[0], WATER[1], WATER[2], share]);
        }
    }
    for index in 0..SAMPLES {
        let (Some(a), Some(b)) = (first_of[index], first_of[index + 1]) else { continue };
        if !is_sea(index) && !is_sea(index + 1) {
            continue;
        }
        for ring in 0..rings.len() as u32 - 1 {
            let (a, b) = (a + ring, b + ring);
            mesh.indices.extend([a, a + 1, b, b, a + 1, b + 1]);
        }
    }
    (!mesh.indices.is_empty()).then_some((mesh, origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sea_goes_on_only_where_the_border_is_sea() {
        let extent = Extent::around([DVec3::new(0.0, 0.0, -5.0), DVec3::new(1000.0, 1000.0, 100.0)]);
        // Water along the south border.
        let (mesh, origin) = sea_beyond(&extent, |place| (place.y < 100.0).then_some(2.0)).expect("a coast");
        assert_eq!(origin, DVec3::new(500.0, 500.0, 2.0));
        // Render z runs south: nothing reaches far north (or beyond the south-west and south-east corners' wedges).
        let reach = |pick: fn(&[f32; 3]) -> f32| mesh.positions.iter().map(pick).fold(f32::MIN, f32::max);
        assert!(reach(|p| p[2]) > 10_000.0, "to the horizon in the south");
        assert!(reach(|p| -p[2]) < 500.0, "not in the north");
        assert!(mesh.indices.iter().all(|&index| (index as usize) < mesh.positions.len()));
        assert!(sea_beyond(&extent, |_| None).is_none());
    }
}
