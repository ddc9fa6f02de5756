//! The picked object: known by its id alone, drawn over the city wherever its tiles are shown, weighed where it is measured.

use bevy::{prelude::*, window::RequestRedraw};

use crate::{
    attribute::Picked,
    desk::Desk,
    lookup::Lookup,
    material::{CityMaterial, Kind, Materials},
    mesh::gpu_mesh,
    overlay::OverlayState,
    scene::{CityScene, Origin, SceneSet},
    solid::{Open, solid},
    stream::{Streaming, TileKey, choose_tiles},
    tile_part::TileEntity,
};

/// Colour of the picked object, linear.
const HIGHLIGHT: [f32; 4] = [0.05, 0.85, 1.0, 0.8];
/// Size of an object of which nothing is known yet, metres.
const UNKNOWN_SIZE_M: f64 = 10.0;

/// Picks what a view names, draws what is picked, weighs what is measured.
pub struct SelectionPlugin;

impl Plugin for SelectionPlugin {
    fn build(&self, app: &mut App) {
        let systems = (pick_wanted, learn, highlight, weigh).chain().in_set(SceneSet::Scene).after(choose_tiles);
        app.add_systems(Update, systems);
    }
}

/// Marks the mesh over the picked object.
#[derive(Component)]
struct Highlighted;

/// Picks the object that a view, a bookmark or the palette names.
fn pick_wanted(mut state: ResMut<OverlayState>, city: Res<CityScene>) {
    let Some(wanted) = state.bypass_change_detection().to_pick.take() else { return };
    state.picked = Some(Picked {
        object: Lookup::start(&city.0, &wanted.id),
        class: String::new(),
        name: String::new(),
        layer: String::new(),
        place: wanted.place.unwrap_or(city.0.extent.centre()),
        size_m: UNKNOWN_SIZE_M,
        id: wanted.id,
    });
}

/// Takes what the store says of the picked object, and keeps drawing until it has said it.
fn learn(mut state: ResMut<OverlayState>, mut redraw: MessageWriter<RequestRedraw>) {
    if let Some(picked) = &mut state.bypass_change_detection().picked
        && matches!(picked.object, Lookup::Waiting(_))
    {
        picked.object.poll();
        redraw.write(RequestRedraw);
    }
}

/// Draws the picked object over the tiles that are shown, whenever it or they change.
#[allow(clippy::too_many_arguments)]
fn highlight(
    mut last: Local<(Option<String>, Vec<TileKey>, u64)>,
    mut state: ResMut<OverlayState>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut materials: ResMut<Assets<CityMaterial>>,
    shared: Res<Materials>,
    streaming: Res<Streaming>,
    (origin, city): (Res<Origin>, Res<CityScene>),
    highlighted: Query<Entity, With<Highlighted>>,
) {
    let id = state.picked.as_ref().map(|picked| picked.id.clone());
    if last.0 == id && (id.is_none() || (last.1 == streaming.shown && last.2 == streaming.swaps)) {
        return;
    }
    *last = (id.clone(), streaming.shown.clone(), streaming.swaps);
    highlighted.iter().for_each(|entity| commands.entity(entity).despawn());
    let Some(id) = id else { return };
    for (key, tile) in streaming.shown_picks() {
        for row in (0..tile.features.ids.len()).filter(|row| tile.features.ids[*row] == id) {
            let mesh = tile.feature_mesh(row as u32);
            if let Some(picked) = &mut state.bypass_change_detection().picked {
                let fill = |slot: &mut String, value: Option<&String>| {
                    if slot.is_empty() {
                        *slot = value.cloned().unwrap_or_default();
                    }
                };
                fill(&mut picked.class, tile.features.classes.get(row));
                fill(&mut picked.name, tile.features.names.get(row));
                fill(&mut picked.layer, city.0.layers.get(key.layer).map(|layer| &layer.name));
                if !mesh.positions.is_empty() {
                    picked.size_m = f64::from((mesh.max - mesh.min).length());
                }
            }
            if mesh.positions.is_empty() {
                continue;
            }
            let material = materials.add(CityMaterial::new(Kind::Highlight, HIGHLIGHT, None, &shared.look));
            commands.spawn((
                Mesh3d(meshes.add(gpu_mesh(&mesh))),
                MeshMaterial3d(material),
                Transform::from_translation(origin.0.render_from_city(tile.origin)),
                bevy::camera::primitives::Aabb::from_min_max(mesh.min, mesh.max),
                bevy::light::NotShadowCaster,
                TileEntity { origin: tile.origin, kind: Kind::Highlight },
                Highlighted,
            ));
        }
    }
}

/// The bodies of objects that are measured, from the triangles that are shown.
fn weigh(mut last: Local<Vec<TileKey>>, mut desk: ResMut<Desk>, streaming: Res<Streaming>) {
    let ids: Vec<String> = desk.notes.measurements.iter().filter_map(|m| m.object.clone()).collect();
    let is_new = *last != streaming.shown;
    let to_weigh: Vec<String> = ids.into_iter().filter(|id| is_new || !desk.bodies.contains_key(id)).collect();
    if is_new {
        last.clone_from(&streaming.shown);
    }
    for id in to_weigh {
        let mut triangles = Vec::new();
        for (_, tile) in streaming.shown_picks() {
            for row in (0..tile.features.ids.len()).filter(|row| tile.features.ids[*row] == id) {
                triangles.extend(tile.feature_triangles(row as u32));
            }
        }
        let body = solid(&triangles);
        // What was weighed once stays when its tile goes out of sight.
        if body != Err(Open::Empty) || !desk.bodies.contains_key(&id) {
            desk.bodies.insert(id, body);
        }
    }
}
