//! Reading tiles on worker threads, the most urgent first.

use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc::SyncSender};

use bevy::{camera::primitives::Aabb, prelude::*};
use groundline_engine::{model::CimLevel, tile::Tile};

use crate::{
    city::LayerModel,
    content::{DrawMaterial, TileMeshes},
    detail,
    edges::edge_mesh,
    material::Kind,
    mesh::{gpu_mesh, points_mesh},
    pick::PickTile,
    sift::{LayerSift, part_rooms},
    stream::TileKey,
    style::Drawing,
    tile_content::{ContentAt, Got},
};

/// Finished tiles that may wait for the main thread.
pub const FINISHED_WAITING: usize = 8;

/// A mesh ready for the renderer.
pub struct ReadyMesh {
    pub mesh: Mesh,
    pub bounds: Aabb,
    pub material: DrawMaterial,
    pub kind: Kind,
}

/// A tile as a worker hands it over.
pub struct LoadedTile {
    pub meshes: Vec<ReadyMesh>,
    pub pick: PickTile,
    pub triangles: usize,
    pub points: usize,
    pub bytes: usize,
    pub has_edges: bool,
}

/// What a worker is told to read.
pub struct Job {
    pub key: TileKey,
    pub urgency: f64,
    pub content: ContentAt,
    pub origin: glam::DVec3,
    pub class: String,
    pub with_edges: bool,
    pub detail: CimLevel,
    /// Whether blocks stand for components in it.
    pub has_blocks: bool,
    pub sift: SiftOf,
    /// Of which version of the city it is: counts versions taken over.
    pub age: u64,
}

impl Job {
    /// The order to read a tile; `None` for one that draws nothing.
    pub fn of(
        layer: &LayerModel,
        node: &Tile,
        key: TileKey,
        urgency: f64,
        (drawing, detail, sift, age): (Drawing, CimLevel, SiftOf, u64),
    ) -> Option<Self> {
        Some(Self {
            key,
            // Ground first: nothing looks right without it.
            urgency: if layer.is_ground() { urgency * 0.1 } else { urgency },
            content: layer.content(node.content.as_ref()?),
            origin: node.origin?,
            class: layer.main_class().to_owned(),
            with_edges: drawing.has_edges(),
            detail,
            has_blocks: node.stands_for.is_some(),
            sift,
            age,
        })
    }
}

/// What a worker found.
pub enum Loaded {
    /// A tile that can be drawn.
    Tile(LoadedTile),
    /// Tiles in the place of the one that asked by this content.
    Tiles(String, Vec<Tile>),
}

impl Loaded {
    /// What it costs to hand it to the renderer: triangles and points.
    pub fn cost(&self) -> usize {
        match self {
            Self::Tile(tile) => tile.triangles + tile.points,
            Self::Tiles(..) => 0,
        }
    }
}

/// What was sifted out of a tile.
pub type SiftOf = Option<Arc<LayerSift>>;

/// What a worker hands over, with what it was told.
pub struct Finished {
    pub key: TileKey,
    pub detail: CimLevel,
    pub sift: SiftOf,
    pub age: u64,
    pub loaded: Result<Loaded, String>,
}

#[derive(Default)]
pub struct Queue {
    pub jobs: Mutex<QueueState>,
    pub wake: Condvar,
}

#[derive(Default)]
pub struct QueueState {
    pub wanted: Vec<Job>,
    pub is_closed: bool,
}

/// A worker: takes the most urgent job, reads it, hands it over.
pub fn work(queue: &Queue, sender: &SyncSender<Finished>) {
    loop {
        let job = {
            let mut state = queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if state.is_closed {
                    return;
                }
                // Sorted with the most urgent last.
                if let Some(job) = state.wanted.pop() {
                    break job;
                }
                state = queue.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let loaded = load(&job);
        let finished = Finished { key: job.key, detail: job.detail, sift: job.sift, age: job.age, loaded };
        if sender.send(finished).is_err() {
            return;
        }
    }
}

fn load(job: &Job) -> Result<Loaded, String> {
    match (job.content.read()?, &job.content) {
        (Got::Drawn(tile, origin), _) => Ok(Loaded::Tile(prepare(tile, origin.unwrap_or(job.origin), job))),
        (Got::Tiles(tiles), ContentAt::Source(_, address)) => Ok(Loaded::Tiles(address.clone(), tiles)),
        (Got::Tiles(_), ContentAt::File(path)) => Err(format!("{}: tiles in a file of tiles", path.display())),
    }
}

/// Makes what the renderer and the mouse need of a tile around `origin`.
fn prepare(mut tile: TileMeshes, origin: glam::DVec3, job: &Job) -> LoadedTile {
    detail::limit(&mut tile, job.detail, job.has_blocks);
    if let Some(sift) = &job.sift {
        sift.apply(&mut tile);
    }
    part_rooms(&mut tile);
    let (triangles, points) = (tile.triangles(), tile.points.positions.len());
    let mut meshes = Vec::new();
    let mut kinds = Vec::new();
    for mesh in &tile.meshes {
        let material = tile.materials.get(mesh.material).cloned().unwrap_or_default();
        let kind = Kind::of(&material.name, &job.class);
        kinds.push(kind);
        meshes.push(ReadyMesh { mesh: gpu_mesh(mesh), bounds: Aabb::from_min_max(mesh.min, mesh.max), material, kind });
    }
    if points > 0 {
        let (mesh, bounds) = points_mesh(&tile.points.positions, &tile.points.colours);
        let material = DrawMaterial { name: "points".into(), base_colour: [1.0; 4], ..DrawMaterial::default() };
        meshes.push(ReadyMesh { mesh, bounds, material, kind: Kind::Points });
    }
    let gpu_bytes = tile.bytes();
    let pick = PickTile::new(origin, &mut tile, &kinds);
    if job.with_edges {
        meshes.extend(edge_meshes(&pick));
    }
    let bytes = gpu_bytes + pick.bytes();
    LoadedTile { meshes, pick, triangles, points, bytes, has_edges: job.with_edges }
}

/// Edges of buildings.
pub fn edge_meshes(pick: &PickTile) -> Vec<ReadyMesh> {
    let ghosts = pick.meshes.iter().filter(|mesh| matches!(mesh.kind, Kind::Facade | Kind::Roof | Kind::Other));
    ghosts
        .filter_map(|ghost| {
            let (min, max) = ghost.bounds();
            Some(ReadyMesh {
                mesh: edge_mesh(ghost.positions(), ghost.indices())?,
                bounds: Aabb::from_min_max(min, max),
                material: DrawMaterial { name: "edges".into(), base_colour: [1.0; 4], ..DrawMaterial::default() },
                kind: Kind::Lines,
            })
        })
        .collect()
}
