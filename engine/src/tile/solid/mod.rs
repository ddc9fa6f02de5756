//! Tiles of everything that is neither terrain nor scan.
//!
//! Objects are written to a [`Spill`] as they come, and an index of a few dozen bytes each to another.
//! At the end the index alone is read back and sorted along the curve, which makes every square of the quadtree a range of it.
//! A leaf draws its objects in full. A tile above draws the largest of the objects under it, simplified,
//! as many as its budget allows; its geometric error says how large the largest is that it leaves out.
//! Where a tile can hold everything under it, simplified, its children are the leaves.
//! Over components (BIM) stands one tile more, in which they are a block: a building is a block before it is walls.
//!
//! A checkpoint puts the objects and the index on the disk; tiles that are drawn are written down in the [`Journal`].
//!
//! [`Journal`]: super::Journal

mod change;
mod draw;
mod mass;
mod plan;
mod silhouette;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use glam::DVec3;
use serde::{Deserialize, Serialize};

pub(crate) use self::change::{Delta, Objects, change};
use self::{
    draw::{Drawn, Pen, Pick},
    plan::{LEAF_WEIGHT, Plan, Weighed, largest, plan},
    silhouette::Silhouette,
};
use super::{
    LayerTiles, Surroundings, TileError, TileNode, TilesetBuilder,
    album::{self, Album},
    shape::Sketch,
    spill::{Place, Spill},
};
use crate::model::{CimLevel, CityObject, Geometry};

/// Components that cost less to draw than this need no block in their place.
const LEAST_WEIGHT: u64 = LEAF_WEIGHT / 8;
/// Coordinates beyond this are no place in a city, metres.
const FARTHEST_M: f64 = 1e9;

/// Objects that could not be drawn.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Undrawn {
    /// The first of them: id and reason.
    pub listed: Vec<(String, String)>,
    /// How many.
    pub total: u64,
    /// Surfaces whose picture cannot be shown.
    pub plain_surfaces: u64,
}

impl Undrawn {
    pub(super) fn add(&mut self, id: &str, reason: &str) {
        self.total += 1;
        if self.listed.len() < LayerTiles::UNDRAWN_LISTED {
            self.listed.push((id.into(), reason.into()));
        }
    }

    pub(super) fn merge(&mut self, other: Undrawn) {
        self.total += other.total;
        self.plain_surfaces += other.plain_surfaces;
        let free = LayerTiles::UNDRAWN_LISTED - self.listed.len();
        self.listed.extend(other.listed.into_iter().take(free));
    }
}

/// An object in the index, and where its record lies.
#[derive(Serialize, Deserialize)]
struct Entry {
    weighed: Weighed,
    offset: u64,
    length: u32,
    /// Whether a block may stand for it.
    is_component: bool,
}

impl Borrow<Weighed> for Entry {
    fn borrow(&self) -> &Weighed {
        &self.weighed
    }
}

impl Entry {
    fn place(&self) -> Place {
        Place::new(self.offset, self.length)
    }
}

/// Collects the solid objects of one layer.
pub struct SolidTiler {
    spill: Spill,
    album: Album,
    /// Entries that come to the index next.
    entries: Vec<Entry>,
    undrawn: Undrawn,
    index: Spill,
    /// Bytes and entries of the index.
    index_bytes: u64,
    indexed: usize,
    /// What is seen of components from afar.
    silhouette: Silhouette,
}

/// What another process needs to know to go on with a [`SolidTiler`].
#[derive(Serialize, Deserialize)]
pub struct State {
    objects: u64,
    index: u64,
    indexed: usize,
    album: album::State,
    undrawn: Undrawn,
    silhouette: Silhouette,
}

/// Names of the files.
const OBJECTS: &str = "solids";
const INDEX: &str = "index";
/// Entries that are written to the index together, and the length that stands before them.
const INDEXED_TOGETHER: usize = 4096;
const BLOCK_HEAD: u64 = 8;

impl SolidTiler {
    /// A tiler; what does not fit in memory goes to files in `spill`.
    pub fn new(spill: &Path) -> Result<Self, TileError> {
        Ok(Self {
            spill: Spill::new(spill, OBJECTS),
            album: Album::new(spill),
            entries: Vec::new(),
            undrawn: Undrawn::default(),
            index: Spill::new(spill, INDEX),
            index_bytes: 0,
            indexed: 0,
            silhouette: Silhouette::default(),
        })
    }

    /// Moves the entries to the index.
    fn index(&mut self) -> Result<(), TileError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let mut block = postcard::to_extend(&self.entries, vec![0; BLOCK_HEAD as usize])
            .map_err(|e| TileError::Spill(e.to_string()))?;
        let length = block.len() as u64 - BLOCK_HEAD;
        block[..BLOCK_HEAD as usize].copy_from_slice(&length.to_le_bytes());
        self.index.write(&block)?;
        self.index_bytes += block.len() as u64;
        self.indexed += self.entries.len();
        self.entries.clear();
        Ok(())
    }

    /// Reads the whole index back.
    fn read_index(&mut self) -> Result<(), TileError> {
        self.index()?;
        let damaged = || TileError::Spill("the index of objects is damaged".into());
        // Exactly as much memory as it takes, since this is the largest piece of all.
        let mut entries = Vec::new();
        entries.try_reserve_exact(self.indexed).map_err(|e| TileError::Spill(e.to_string()))?;
        let mut at = 0;
        while at < self.index_bytes {
            let length = self.index.read(Place::new(at, BLOCK_HEAD as u32))?;
            let length = u64::from_le_bytes(length.try_into().map_err(|_| damaged())?);
            let within = u32::try_from(length).ok().filter(|n| at + BLOCK_HEAD + u64::from(*n) <= self.index_bytes);
            let block = self.index.read(Place::new(at + BLOCK_HEAD, within.ok_or_else(damaged)?))?;
            let block: Vec<Entry> = postcard::from_bytes(&block).map_err(|_| damaged())?;
            entries.extend(block);
            at += BLOCK_HEAD + length;
        }
        if entries.len() != self.indexed {
            return Err(damaged());
        }
        self.entries = entries;
        Ok(())
    }

    /// Puts objects and index on the disk.
    pub fn checkpoint(&mut self) -> Result<State, TileError> {
        self.index()?;
        Ok(State {
            objects: self.spill.checkpoint()?,
            index: self.index.checkpoint()?,
            indexed: self.indexed,
            album: self.album.checkpoint()?,
            undrawn: self.undrawn.clone(),
            silhouette: self.silhouette.clone(),
        })
    }

    /// The tiler that had this `state` in a process before this one.
    pub fn restore(spill: &Path, state: State) -> Result<Self, TileError> {
        let io = |source| TileError::Io { path: spill.into(), source };
        Ok(Self {
            spill: Spill::restore(spill, OBJECTS, state.objects).map_err(io)?,
            album: Album::restore(spill, state.album).map_err(io)?,
            entries: Vec::new(),
            undrawn: state.undrawn,
            index: Spill::restore(spill, INDEX, state.index).map_err(io)?,
            index_bytes: state.index,
            indexed: state.indexed,
            silhouette: state.silhouette,
        })
    }

    /// A name for everything that it holds, in the order in which it is drawn.
    fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut block = Vec::with_capacity(28 * INDEXED_TOGETHER);
        for entries in self.entries.chunks(INDEXED_TOGETHER) {
            block.clear();
            for entry in entries {
                block.extend_from_slice(&entry.weighed.curve.to_le_bytes());
                block.extend_from_slice(&entry.weighed.key.to_le_bytes());
                block.extend_from_slice(&entry.place().to_bytes());
            }
            hasher.update(&block);
        }
        hasher.finalize().to_hex()[..16].to_string()
    }

    /// Takes a building without a shape of its own, which may have components.
    pub fn push_whole(&mut self, object: &CityObject) {
        self.silhouette.add_whole(object);
    }

    /// Takes one object.
    pub fn push(&mut self, object: &CityObject) -> Result<(), TileError> {
        if let Err(reason) = can_be_drawn(&object.geometry) {
            self.undrawn.add(object.id.as_str(), reason);
            return Ok(());
        }
        if let Geometry::Mesh(mesh) = &object.geometry {
            for texture in mesh.parts.iter().filter_map(|part| part.texture.as_ref()) {
                self.album.keep(texture)?;
            }
        }
        let record = postcard::to_allocvec(&Sketch::of(object)).map_err(|e| TileError::Spill(e.to_string()))?;
        let (offset, length) = self.spill.write(&record)?.parts();
        let mut is_component = false;
        if let Geometry::Mesh(mesh) = &object.geometry
            && CimLevel::of(object.class, &object.geometry) >= CimLevel::FUNCTION
        {
            self.silhouette.add(object, mesh);
            is_component = true;
        }
        self.entries.push(Entry { weighed: Weighed::of(object), offset, length, is_component });
        if self.entries.len() >= INDEXED_TOGETHER { self.index() } else { Ok(()) }
    }

    /// Writes the tiles.
    pub fn finish(mut self, around: &Surroundings<'_>, tileset: &mut TilesetBuilder<'_>) -> Result<Undrawn, TileError> {
        let mut undrawn = std::mem::take(&mut self.undrawn);
        self.read_index()?;
        if self.entries.is_empty() {
            return Ok(undrawn);
        }
        self.entries.sort_unstable_by_key(|e| (e.weighed.curve, e.weighed.key, e.offset));
        let (plans, root) = plan(&self.entries);
        let pen = Pen { ground: around.ground, album: &self.album, tileset };
        let drawn = self.draw_all(&plans, pen)?;
        let mut nodes: Vec<Option<TileNode>> = Vec::new();
        for drawn in drawn {
            undrawn.merge(drawn.undrawn);
            nodes.push(Some(drawn.node));
        }
        let tree = assemble(root, &plans, &mut nodes);
        tileset.add_root(self.under_block(tree, pen)?);
        Ok(undrawn)
    }

    /// The tree under a tile in which a block stands for all components, where there are many of them.
    fn under_block(&self, tree: TileNode, pen: Pen<'_>) -> Result<TileNode, TileError> {
        let components = self.entries.iter().filter(|entry| entry.is_component);
        let weight: u64 = components.map(|entry| u64::from(entry.weighed.weight)).sum();
        if weight < LEAST_WEIGHT {
            return Ok(tree);
        }
        let others = (0..self.entries.len()).filter(|i| !self.entries[*i].is_component).collect();
        let others = largest(others, |i: &usize| self.entries[*i].weighed);
        let picks = others.kept.iter().map(|number| self.pick(*number)).collect::<Result<_, _>>()?;
        let block = pen.draw_block(&self.silhouette, picks, f64::from(others.left_out_m))?;
        Ok(match block {
            Some(block) => TileNode { children: vec![tree], ..block },
            None => tree,
        })
    }

    /// Draws every planned tile, on as many threads as there are cores, and writes its content.
    fn draw_all(&self, plans: &[Plan], pen: Pen<'_>) -> Result<Vec<Drawn>, TileError> {
        let (next, all, tileset) = (AtomicUsize::new(0), self.fingerprint(), pen.tileset);
        let done: Mutex<Vec<Option<Result<Drawn, TileError>>>> = Mutex::new(plans.iter().map(|_| None).collect());
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(16).min(plans.len());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(plan) = plans.get(index) else { break };
                let name = format!("solid/{all}/{index}");
                let drawn = match tileset.journal().get::<Drawn>(&name).filter(|made| tileset.adopt(&made.node)) {
                    Some(made) => Ok(made),
                    None => {
                        let drawn = self.picks(plan).and_then(|picks| pen.draw(plan, picks));
                        drawn.inspect(|made| tileset.journal().put(&name, made))
                    }
                };
                let is_error = drawn.is_err();
                done.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(drawn);
                if is_error {
                    // The disk is full or the like: the others need not try.
                    next.store(plans.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let results: Vec<_> = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut drawn = Vec::with_capacity(plans.len());
        for result in results.into_iter().flatten() {
            drawn.push(result?);
        }
        if drawn.len() < plans.len() {
            return Err(TileError::Spill("a tile was not drawn".into()));
        }
        Ok(drawn)
    }

    /// The objects that a tile draws.
    fn picks(&self, plan: &Plan) -> Result<Vec<Pick>, TileError> {
        plan.picks.iter().map(|number| self.pick(*number)).collect()
    }

    fn pick(&self, number: usize) -> Result<Pick, TileError> {
        let entry = &self.entries[number];
        Ok(Pick { weighed: entry.weighed, record: self.spill.read(entry.place())? })
    }
}

/// Puts the drawn tiles together as the tree that was planned.
fn assemble(root: usize, plans: &[Plan], nodes: &mut [Option<TileNode>]) -> TileNode {
    let children = plans[root].children.iter().map(|child| assemble(*child, plans, nodes)).collect();
    TileNode { children, ..nodes[root].take().unwrap_or_default() }
}

/// Whether a shape can be drawn, or why not.
fn can_be_drawn(geometry: &Geometry) -> Result<(), &'static str> {
    if !is_finite(geometry) {
        return Err("coordinates are not finite or not within the city's frame");
    }
    if geometry.extent().is_empty() { Err("a shape without vertices") } else { Ok(()) }
}

/// Whether every number of the shape is one, and every place lies in reach.
fn is_finite(geometry: &Geometry) -> bool {
    let near = |v: &DVec3| v.abs().max_element() <= FARTHEST_M && !v.is_nan();
    let measure = |m: f64| (0.0..=FARTHEST_M).contains(&m);
    let polygon = |p: &crate::model::Polygon| p.outer.iter().all(near) && p.holes.iter().flatten().all(near);
    match geometry {
        Geometry::Point(point) => near(&point.at),
        Geometry::Line(line) => line.paths.iter().flatten().all(near) && measure(line.width_m),
        Geometry::Area(area) => area.polygons.iter().all(polygon),
        Geometry::Block(block) => {
            block.footprint.iter().all(polygon)
                && block.base_m.is_none_or(|b| b.abs() <= FARTHEST_M)
                && block.height_m.abs() <= FARTHEST_M
                && measure(block.lift_m)
        }
        Geometry::Tube(tube) => {
            tube.axis.iter().all(near) && measure(tube.section.size_m()) && measure(tube.section.height_m())
        }
        Geometry::Shaft(shaft) => near(&shaft.top) && measure(shaft.depth_m) && measure(shaft.diameter_m),
        Geometry::Instance(instance) => {
            near(&instance.at) && measure(instance.height_m) && measure(instance.width_m) && instance.yaw.is_finite()
        }
        Geometry::Mesh(mesh) => near(&mesh.origin) && mesh.parts.iter().all(|p| p.positions.iter().all(near)),
        Geometry::None | Geometry::Points(_) | Geometry::Heights(_) | Geometry::Picture(_) => true,
    }
}
