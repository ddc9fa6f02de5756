//! What of a tile the renderer has.

use bevy::{
    camera::{primitives::Aabb, visibility::NoFrustumCulling},
    light::NotShadowCaster,
    prelude::*,
};

use crate::{
    content::DrawMesh,
    loader::ReadyMesh,
    material::{CityMaterial, Kind},
    mesh::gpu_mesh,
    origin::RenderOrigin,
    scene::Origin,
    stream::TileKey,
};

/// Which mesh of which tile an entity draws; edges and points have none.
#[derive(Component, Clone, Copy)]
pub struct TilePart {
    /// The tile.
    pub key: TileKey,
    /// Index of the mesh among those of its [`PickTile`].
    pub mesh: usize,
}

/// Marks an entity of a tile, with the tile's origin for re-basing.
#[derive(Component)]
pub struct TileEntity {
    /// Origin of the tile in the city's frame.
    pub origin: glam::DVec3,
    /// What it shades.
    pub kind: Kind,
}

/// A mesh of the viewer's own, around `middle` of the city's frame: always drawn, without a shadow.
pub fn own_mesh(
    mesh: &DrawMesh,
    meshes: &mut Assets<Mesh>,
    material: Handle<CityMaterial>,
    (origin, middle): (&RenderOrigin, glam::DVec3),
    kind: Kind,
) -> impl Bundle {
    (
        Mesh3d(meshes.add(gpu_mesh(mesh))),
        MeshMaterial3d(material),
        Transform::from_translation(origin.render_from_city(middle)),
        Aabb::from_min_max(mesh.min, mesh.max),
        NoFrustumCulling,
        NotShadowCaster,
        TileEntity { origin: middle, kind },
    )
}

/// Gives a mesh to the renderer, hidden.
pub fn spawn_part(
    commands: &mut Commands,
    meshes: &mut Assets<Mesh>,
    part: ReadyMesh,
    material: Handle<CityMaterial>,
    origin: glam::DVec3,
    place: Vec3,
) -> Entity {
    let mut entity = commands.spawn((
        Mesh3d(meshes.add(part.mesh)),
        MeshMaterial3d(material),
        Transform::from_translation(place),
        part.bounds,
        Visibility::Hidden,
        TileEntity { origin, kind: part.kind },
    ));
    if !part.kind.throws_shadow() {
        entity.insert(NotShadowCaster);
    }
    entity.id()
}

/// Moves everything when the render origin has moved.
pub fn rebase_tiles(origin: Res<Origin>, mut tiles: Query<(&TileEntity, &mut Transform)>) {
    if !origin.is_changed() {
        return;
    }
    for (tile, mut transform) in &mut tiles {
        transform.translation = origin.0.render_from_city(tile.origin);
    }
}
