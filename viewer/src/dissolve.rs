//! Draws what fades ([`crate::fade`]): its entities get a twin of their material that leaves pixels out, for that time alone.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bevy::{
    camera::visibility::NoFrustumCulling,
    light::NotShadowCaster,
    mesh::MeshTag,
    prelude::*,
    render::{Render, RenderApp, RenderSystems, render_resource::PipelineCache},
};

use crate::{
    content::DrawMesh,
    fade::Part,
    material::{CityMaterial, Kind, Materials},
    mesh::gpu_mesh,
    stream::Streaming,
    style::Shading,
    tile_part::TileEntity,
};

/// Frames after which whatever a frame asks of the renderer has reached it.
const FRAMES_TO_RENDERER: u32 = 4;

/// Draws fades.
pub struct DissolvePlugin;

impl Plugin for DissolvePlugin {
    fn build(&self, app: &mut App) {
        let pending = Arc::new(AtomicUsize::new(usize::MAX));
        app.insert_resource(Rehearsal { pending: pending.clone(), way: None, frames: 0, stand_in: None });
        let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
        let count = move |cache: Res<PipelineCache>| {
            pending.store(cache.waiting_pipelines().count(), Ordering::Relaxed);
        };
        render_app.add_systems(Render, count.in_set(RenderSystems::Cleanup));
    }
}

/// A fade must not wait for its shader, or there would be holes: it is compiled beforehand, by a triangle without area.
#[derive(Resource)]
pub struct Rehearsal {
    /// Pipelines that the renderer waits for.
    pending: Arc<AtomicUsize>,
    /// What was compiled for: the style's part of the shader, and whether there are cuts.
    way: Option<(Shading, bool)>,
    frames: u32,
    stand_in: Option<Entity>,
}

/// Compiles what fades need, and says whether it is there. A single picture has no fades.
pub fn rehearse(
    mut rehearsal: ResMut<Rehearsal>,
    mut streaming: ResMut<Streaming>,
    mut commands: Commands,
    mut meshes: ResMut<Assets<Mesh>>,
    mut shared: ResMut<Materials>,
    mut assets: ResMut<Assets<CityMaterial>>,
    mut visible: Query<&mut Visibility>,
) {
    if streaming.is_single_picture {
        return;
    }
    let shading = shared.look.drawing().shading();
    let way = (shading, shared.look.is_cut());
    if rehearsal.way.replace(way) != Some(way) {
        rehearsal.frames = 0;
    }
    // What is seen through does not fade.
    let fades = shading != Shading::Glass;
    let seen = if fades { Visibility::Visible } else { Visibility::Hidden };
    match rehearsal.stand_in {
        Some(entity) => {
            if let Ok(mut visibility) = visible.get_mut(entity) {
                visibility.set_if_neq(seen);
            }
        }
        None => {
            let plain = shared.plain(Kind::Other, &mut assets);
            let mesh = gpu_mesh(&DrawMesh {
                positions: vec![[0.0; 3]; 3],
                normals: vec![[0.0, 1.0, 0.0]; 3],
                uvs: vec![[0.0; 2]; 3],
                colours: vec![[1.0; 4]; 3],
                indices: vec![0, 1, 2],
                ..DrawMesh::default()
            });
            let material = MeshMaterial3d(shared.fading(&plain, &mut assets));
            let entity = (Mesh3d(meshes.add(mesh)), material, seen, NoFrustumCulling, MeshTag(1));
            rehearsal.stand_in = Some(commands.spawn(entity).id());
        }
    }
    rehearsal.frames = rehearsal.frames.saturating_add(1);
    let is_compiled = rehearsal.frames > FRAMES_TO_RENDERER && rehearsal.pending.load(Ordering::Relaxed) == 0;
    if !is_compiled {
        streaming.fades.stop();
    }
    streaming.can_fade = fades && is_compiled;
}

/// An entity that fades, and the material that it has otherwise.
#[derive(Component)]
pub struct Dissolving(Handle<CityMaterial>);

/// Gives entities that begin to fade their twin of a material, and those that have done their own.
pub fn dissolve(
    streaming: Res<Streaming>,
    mut commands: Commands,
    mut shared: ResMut<Materials>,
    mut assets: ResMut<Assets<CityMaterial>>,
    done: Query<(Entity, &Dissolving)>,
    mut parts: Query<(&TileEntity, &mut MeshMaterial3d<CityMaterial>, &mut Visibility)>,
) {
    let fading: HashMap<Entity, Part> = streaming.fading_entities().collect();
    for (entity, Dissolving(plain)) in &done {
        if fading.contains_key(&entity) {
            continue;
        }
        let Ok((part, mut material, _)) = parts.get_mut(entity) else { continue };
        material.0 = plain.clone();
        let mut entity = commands.entity(entity);
        entity.remove::<(Dissolving, MeshTag)>();
        if part.kind.throws_shadow() {
            entity.remove::<NotShadowCaster>();
        }
    }
    for (entity, fade) in fading {
        let Ok((part, mut material, mut visibility)) = parts.get_mut(entity) else { continue };
        if part.kind.is_always_blended() {
            // Lines change over half-way.
            if !fade.is_ahead() {
                visibility.set_if_neq(Visibility::Hidden);
            }
            continue;
        }
        let mut entity = commands.entity(entity);
        if !done.contains(entity.id()) {
            let twin = shared.fading(&material.0, &mut assets);
            entity.insert(Dissolving(std::mem::replace(&mut material.0, twin)));
        }
        entity.insert(MeshTag(fade.tag()));
        // One of the two alone, or each would lie in the other's shade.
        match (part.kind.throws_shadow(), fade.is_ahead()) {
            (false, _) => {}
            (true, true) => drop(entity.remove::<NotShadowCaster>()),
            (true, false) => drop(entity.insert(NotShadowCaster)),
        }
    }
}

#[cfg(test)]
#[path = "dissolve_test.rs"]
mod tests;
